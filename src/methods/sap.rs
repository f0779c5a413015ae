//! Scaled Activation Projection: `Ŵ = W · Wp` for every layer (arXiv 2403.08618); biases stay.

use super::schedule::costliest_first;
use super::{Evidence, Family, LayerFacts, Method, MethodError};
use crate::layers::Layer;
use crate::linalg::{self, Alpha, Factored, LinalgError, UnitMoment};
use crate::model::{Constant, MatrixView, WeightCopy, WeightPatch};
use ndarray::Array2;

pub(super) struct Sap;

impl Method for Sap {
    fn name(&self) -> &'static str {
        "sap"
    }

    fn summary(&self) -> &'static str {
        "scaled activation projection (arXiv 2403.08618)"
    }

    fn prepare(&self, evidence: Evidence<'_>) -> Result<Box<dyn Family>, MethodError> {
        // Each layer is solved by one thread alone, so the result does not depend on how many there are.
        let observer = evidence.observer;
        observer.begin("solving", evidence.layers.len(), "layers");
        let cost = |MatrixView { groups, outputs, inputs }: &MatrixView| {
            groups.extent() as f64 * linalg::cost(inputs.extent(), outputs.extent())
        };
        let costs: Vec<f64> = evidence.layers.iter().map(|layer| cost(&layer.matrix)).collect();
        let prepare = |index| Projectable::new(evidence, index).inspect(|_| observer.advance(1));
        let layers = costliest_first(&costs, prepare)?;
        observer.end();
        let facts = layers.iter().map(|layer| layer.facts.clone()).collect();
        Ok(Box::new(Projections { layers, facts, costs }))
    }
}

/// One weight, ready for any α.
struct Projectable {
    weight: Constant,
    matrix: MatrixView,
    copies: Vec<WeightCopy>,
    groups: Vec<Group>,
    facts: LayerFacts,
}

/// The part of a weight that one group's inputs meet.
enum Group {
    Seen(Box<dyn Factored>),
    /// All inputs were zero: nothing to project onto.
    Idle(Array2<f64>),
}

impl Projectable {
    fn new(evidence: Evidence<'_>, index: usize) -> Result<Self, MethodError> {
        let Layer { weight, matrix, copies, .. } = &evidence.layers[index];
        let matrices = matrix.matrices(&evidence.model.values(weight)?);
        let mut groups = Vec::with_capacity(matrices.len());
        let mut ranks = Vec::new();
        for (weights, sum) in matrices.into_iter().zip(evidence.moments.sums(index)) {
            let (group, rank) = group(evidence, index, sum, weights).map_err(|source| failed(weight, source))?;
            groups.push(group);
            ranks.extend(rank);
        }
        let idle_groups = groups.len() - ranks.len();
        let effective_rank = (!ranks.is_empty()).then(|| ranks.iter().sum::<f64>() / ranks.len() as f64);
        let facts = LayerFacts { effective_rank, idle_groups, moment_loss: evidence.moments.loss(index) };
        Ok(Self { weight: weight.clone(), matrix: matrix.clone(), copies: copies.clone(), groups, facts })
    }

    fn patch(&self, alpha: Alpha) -> Result<WeightPatch, MethodError> {
        let project = |group: &Group| match group {
            Group::Seen(factored) => factored.project(alpha),
            Group::Idle(matrix) => Ok(matrix.clone()),
        };
        let matrices: Result<Vec<_>, _> = self.groups.iter().map(project).collect();
        let matrices = matrices.map_err(|source| failed(&self.weight, source))?;
        let values = self.matrix.tensor(&matrices, &self.weight.dims);
        Ok(WeightPatch { constant: self.weight.clone(), values, copies: self.copies.clone() })
    }
}

fn group(
    evidence: Evidence<'_>,
    index: usize,
    sum: Array2<f64>,
    matrix: Array2<f64>,
) -> Result<(Group, Option<f64>), LinalgError> {
    let Some(moment) = UnitMoment::from_sum(sum)? else { return Ok((Group::Idle(matrix), None)) };
    let rank = moment.effective_rank();
    let moment = moment.with_loss(evidence.moments.loss(index));
    Ok((Group::Seen(evidence.solver.factor(moment, matrix)?), Some(rank)))
}

fn failed(weight: &Constant, source: LinalgError) -> MethodError {
    MethodError::Linalg { weight: weight.name.clone(), source }
}

struct Projections {
    layers: Vec<Projectable>,
    facts: Vec<LayerFacts>,
    costs: Vec<f64>,
}

impl Family for Projections {
    fn correction(&self, alpha: Alpha) -> Result<Vec<WeightPatch>, MethodError> {
        costliest_first(&self.costs, |index| self.layers[index].patch(alpha))
    }

    fn facts(&self) -> &[LayerFacts] {
        &self.facts
    }
}
