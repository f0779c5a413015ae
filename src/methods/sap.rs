//! Scaled Activation Projection: `Ŵ = W · Wp` for every layer (arXiv 2403.08618); biases stay.

use super::schedule::costliest_first;
use super::{
    About, Evidence, Family, LayerFacts, LayerMethod, Method, MethodError, Projection, Space, Spaces, Strengths,
    Unwanted,
};
use crate::evidence::Moments;
use crate::layers::Layer;
use crate::linalg::{self, Alpha, Factored, LinalgError, UnitMoment};
use crate::model::{Constant, MatrixView, Model, WeightPatch};
use ndarray::Array2;

pub(super) struct Sap;

impl Method for Sap {
    fn name(&self) -> &'static str {
        "sap"
    }

    fn summary(&self) -> &'static str {
        "scaled activation projection (arXiv 2403.08618)"
    }

    fn about(&self) -> About {
        About {
            needs: "samples that are likely labelled correctly, which it takes by their loss",
            costs: "a pass that measures second moments, one solve a layer, some passes over validation data",
            changes: "the weights of every layer; then, where validation says so, their scale and the last layer",
            source: "Kodge et al., SAP: Corrective Machine Unlearning with Scaled Activation Projection, arXiv 2403.08618",
        }
    }

    fn of_layers(&self) -> Option<&'static dyn LayerMethod> {
        Some(&Self)
    }
}

impl LayerMethod for Sap {
    fn prepare<'a>(&self, evidence: Evidence<'a>) -> Result<Box<dyn Family + 'a>, MethodError> {
        // Each layer is solved by one thread alone, so the result does not depend on how many there are.
        let observer = evidence.observer;
        observer.begin("solving", evidence.layers.len(), "layers");
        let cost = |MatrixView { groups, outputs, inputs }: &MatrixView| {
            groups.extent() as f64 * linalg::cost(inputs.extent(), outputs.extent())
        };
        let costs: Vec<f64> = evidence.layers.iter().map(|layer| cost(&layer.matrix)).collect();
        // What a solver keeps of a layer takes as much memory as its moment.
        let once = evidence.solver.serves_every_alpha()
            && evidence.moments.are_in_memory()
            && evidence.unwanted.as_ref().is_none_or(|unwanted| unwanted.moments.are_in_memory());
        let prepare = |index| {
            let seen = Seen::of(&evidence, index)?;
            let facts = seen.facts(&evidence)?;
            let factored = once.then(|| seen.factored(&evidence)).transpose()?;
            observer.advance(1);
            Ok::<_, MethodError>((facts, factored))
        };
        let prepared = costliest_first(&costs, evidence.at_once, prepare)?;
        observer.end();
        let (facts, factored): (Vec<_>, Vec<_>) = prepared.into_iter().unzip();
        let Evidence { model, layers: of_model, at_once, .. } = evidence;
        let layers = match factored.into_iter().collect() {
            Some(factored) => Layers::Factored(factored),
            None => Layers::Anew(Box::new(evidence)),
        };
        Ok(Box::new(Projections { model, of_model, layers, facts, costs, at_once }))
    }
}

/// One weight and what its inputs were like.
struct Seen<'a> {
    layer: &'a Layer,
    /// What the entries of their moments have lost to float32.
    loss: f64,
    groups: Vec<SeenGroup>,
}

/// The part of a weight that each group's inputs meet, and their moments; none where all inputs were zero, so that there is
/// nothing to project onto.
struct SeenGroup {
    weight: Array2<f64>,
    retain: Option<UnitMoment>,
    forget: Option<UnitMoment>,
}

/// One weight, ready for any α.
struct Projectable<'a> {
    layer: &'a Layer,
    groups: Vec<Group>,
    projection: &'static dyn Projection,
    /// The strength of what is to be forgotten, where it is not the one that is chosen.
    alpha_forget: Option<Alpha>,
}

/// The part of a weight that one group's inputs meet.
enum Group {
    /// Projected onto what is to be retained alone: nothing of it is needed besides.
    Onto(Box<dyn Factored>),
    /// Projected by both spaces.
    Between { weight: Array2<f64>, retain: Option<Box<dyn Factored>>, forget: Option<Box<dyn Factored>> },
    /// It stays.
    Idle(Array2<f64>),
}

impl<'a> Seen<'a> {
    fn of(evidence: &Evidence<'a>, index: usize) -> Result<Self, MethodError> {
        let layer = &evidence.layers[index];
        let moments_of = |moments: &Moments<'_>| {
            let loss = moments.loss(index);
            let moment = |sum| match UnitMoment::from_sum(sum) {
                Ok(moment) => Ok(moment.map(|moment| moment.with_loss(loss))),
                Err(source) => Err(failed(&layer.weight, source)),
            };
            moments.sums(index)?.into_iter().map(moment).collect::<Result<Vec<_>, MethodError>>()
        };
        let retain = moments_of(&evidence.moments)?;
        let forget = match &evidence.unwanted {
            Some(unwanted) => moments_of(&unwanted.moments)?,
            None => retain.iter().map(|_| None).collect(),
        };
        let weights = layer.matrix.matrices(&evidence.model.values(&layer.weight)?);
        let groups = weights.into_iter().zip(retain.into_iter().zip(forget));
        let groups = groups.map(|(weight, (retain, forget))| SeenGroup { weight, retain, forget }).collect();
        Ok(Self { layer, loss: evidence.moments.loss(index), groups })
    }

    fn facts(&self, evidence: &Evidence<'_>) -> Result<LayerFacts, MethodError> {
        let moments = || self.groups.iter().filter_map(|group| group.retain.as_ref());
        let ranks: Vec<f64> = moments().map(UnitMoment::effective_rank).collect();
        let idle_groups = self.groups.iter().filter(|group| group.stays(evidence.projection)).count();
        let effective_rank = (!ranks.is_empty()).then(|| ranks.iter().sum::<f64>() / ranks.len() as f64);
        let energies =
            evidence.energies.then(|| moments().map(UnitMoment::energies).collect::<Result<_, _>>()).transpose();
        let energies = energies.map_err(|source| failed(&self.layer.weight, source))?;
        Ok(LayerFacts { effective_rank, idle_groups, moment_loss: Some(self.loss), energies })
    }

    fn factored(self, evidence: &Evidence<'_>) -> Result<Projectable<'a>, MethodError> {
        let layer = self.layer;
        let groups: Result<Vec<Group>, _> = self.groups.into_iter().map(|group| group.factored(evidence)).collect();
        let groups = groups.map_err(|source| failed(&layer.weight, source))?;
        let alpha_forget = evidence.unwanted.as_ref().and_then(|Unwanted { alpha, .. }| *alpha);
        Ok(Projectable { layer, groups, projection: evidence.projection, alpha_forget })
    }
}

impl SeenGroup {
    fn stays(&self, projection: &dyn Projection) -> bool {
        projection.leaves(self.retain.is_some(), self.forget.is_some())
    }

    fn factored(self, evidence: &Evidence<'_>) -> Result<Group, LinalgError> {
        let Evidence { solver, scaling, projection, .. } = *evidence;
        let stays = self.stays(projection);
        let Self { weight, retain, forget } = self;
        if !projection.forgets() {
            return match retain {
                Some(moment) => solver.factor(moment, weight, scaling).map(Group::Onto),
                None => Ok(Group::Idle(weight)),
            };
        }
        if stays {
            return Ok(Group::Idle(weight));
        }
        let factor = |moment: Option<UnitMoment>| {
            moment.map(|moment| solver.factor(moment, weight.clone(), scaling)).transpose()
        };
        let (retain, forget) = (factor(retain.filter(|_| projection.retains()))?, factor(forget)?);
        Ok(Group::Between { weight, retain, forget })
    }
}

impl Projectable<'_> {
    fn patch(&self, alpha: Alpha) -> Result<WeightPatch, MethodError> {
        let Layer { weight, matrix, copies, .. } = self.layer;
        let project = |group: &Group| match group {
            Group::Onto(factored) => factored.project(alpha),
            Group::Between { weight, retain, forget } => {
                let alpha_forget = self.alpha_forget.unwrap_or(alpha);
                let retain = retain.as_deref().map(|factored| Space { factored, alpha });
                let forget = forget.as_deref().map(|factored| Space { factored, alpha: alpha_forget });
                self.projection.project(weight, &Spaces { retain, forget })
            }
            Group::Idle(matrix) => Ok(matrix.clone()),
        };
        let matrices: Result<Vec<_>, _> = self.groups.iter().map(project).collect();
        let matrices = matrices.map_err(|source| failed(weight, source))?;
        let values = matrix.tensor(&matrices, &weight.dims);
        Ok(WeightPatch { constant: weight.clone(), values, copies: copies.clone() })
    }
}

fn failed(weight: &Constant, source: LinalgError) -> MethodError {
    MethodError::Linalg { weight: weight.name.clone(), source }
}

struct Projections<'a> {
    model: &'a Model,
    of_model: &'a [Layer],
    layers: Layers<'a>,
    facts: Vec<LayerFacts>,
    costs: Vec<f64>,
    at_once: usize,
}

/// What corrections are made from.
enum Layers<'a> {
    /// Layers that were factored once for every α.
    Factored(Vec<Projectable<'a>>),
    /// Moments, of which each α makes what it needs, layer by layer: nothing is in memory twice for longer than that.
    Anew(Box<Evidence<'a>>),
}

impl Family for Projections<'_> {
    fn correction(&self, strengths: &Strengths) -> Result<Vec<WeightPatch>, MethodError> {
        costliest_first(&self.costs, self.at_once, |index| match (strengths.of(index), &self.layers) {
            (None, _) => {
                let Layer { weight, copies, .. } = &self.of_model[index];
                let values = self.model.values(weight)?;
                Ok(WeightPatch { constant: weight.clone(), values, copies: copies.clone() })
            }
            (Some(alpha), Layers::Factored(layers)) => layers[index].patch(alpha),
            (Some(alpha), Layers::Anew(evidence)) => Seen::of(evidence, index)?.factored(evidence)?.patch(alpha),
        })
    }

    fn facts(&self) -> &[LayerFacts] {
        &self.facts
    }
}
