//! A model that gives the loss of its samples and gradients of it, for others to use.

use super::error::AutodiffError;
use super::loss::{Loss, LossPorts, with_loss};
use super::parameters::parameters;
use super::path::leading_to;
use super::per_sample::{LastLayer, add_norms};
use super::reverse::{Wanted, differentiate};
use crate::engine::Engine;
use crate::model::{GraphIndex, Model, ModelError, inlined};
use crate::tensor::ElementType;
use bytes::Bytes;
use regex::Regex;
use std::collections::BTreeMap;

/// What gradients are taken with respect to.
#[derive(Clone, Debug)]
pub enum Respect {
    /// Everything that can be learnt ([`parameters`]).
    Weights,
    /// The inputs of floats.
    Inputs,
    /// Stored tensors of floats and inputs with such names.
    Named(Regex),
}

/// What is differentiated.
#[derive(Clone, Copy, Debug)]
pub enum Objective<'a> {
    /// A loss that is added behind scores.
    Loss {
        /// The value that holds the scores.
        scores: &'a str,
        /// How they are judged.
        loss: Loss<'a>,
        /// Whether there are outputs for the norms of the gradients of each sample's own loss: in inputs and in the last layer.
        norms: bool,
    },
    /// A number that the model computes.
    Value(&'a str),
}

/// A model with gradients among its outputs.
#[derive(Clone, Debug)]
pub struct GradientModel {
    /// The serialised model. Its external data is where the original's is.
    pub bytes: Vec<u8>,
    /// What was added for a loss.
    pub ports: Option<LossPorts>,
    /// The output of each gradient, after what it is the gradient in.
    pub gradients: Vec<(String, String)>,
    /// The output of the norms of each sample's gradients, after what these are in.
    pub norms: Vec<(String, String)>,
    /// What was named, and has no part in what is differentiated.
    pub unused: Vec<String>,
}

impl GradientModel {
    /// That of a model. `extents`: of open axes by their symbols.
    ///
    /// # Errors
    /// [`AutodiffError`].
    pub fn of(
        model: &Model,
        engine: &dyn Engine,
        objective: Objective<'_>,
        respect: &Respect,
        extents: &BTreeMap<String, usize>,
    ) -> Result<Self, AutodiffError> {
        let plain = again(model, inlined(model.bytes(), model.folder())?)?;
        let graph = GraphIndex::new(&plain)?;
        let candidates = candidates(&graph, respect)?;
        let (differentiated, ports) = match objective {
            Objective::Value(_) => (None, None),
            Objective::Loss { scores, loss, .. } => {
                let (bytes, ports) = with_loss(&graph, engine, scores, loss, extents)?;
                (Some(again(model, bytes.into())?), Some(ports))
            }
        };
        let graph = GraphIndex::new(differentiated.as_ref().unwrap_or(&plain))?;
        let target = match (&ports, objective) {
            (Some(ports), _) => &ports.loss,
            (None, Objective::Value(target) | Objective::Loss { scores: target, .. }) => target,
        };
        let leads = leading_to(&graph, target);
        let (wrt, unused): (Vec<String>, Vec<String>) =
            candidates.into_iter().partition(|name| leads.contains(name.as_str()));
        if wrt.is_empty() {
            return Err(AutodiffError::Target(format!("{target} depends on nothing of what gradients are asked for")));
        }
        let wanted = Wanted { target, summed: false, wrt: &wrt, held: &[], extents };
        let mut found = differentiate(&graph, engine, &wanted)?;
        let mut gradients = Vec::with_capacity(wrt.len());
        for (name, gradient) in wrt.into_iter().zip(&found.gradients) {
            let output = format!("{name}_grad");
            if graph.defines(&output) {
                return Err(AutodiffError::Target(format!("the model has a value {output} already; rename it")));
            }
            found.emit.name_output(gradient, &output);
            gradients.push((name, output));
        }
        let bytes = found.emit.into_additions().into_bytes()?;
        let made = Self { bytes, ports, gradients, norms: Vec::new(), unused };
        match (objective, &made.ports) {
            (Objective::Loss { scores, norms: true, .. }, Some(ports)) => {
                let losses = ports.losses.clone();
                made.with_norms(model, engine, (scores, &losses), extents)
            }
            _ => Ok(made),
        }
    }
}

impl GradientModel {
    fn with_norms(
        self,
        model: &Model,
        engine: &dyn Engine,
        (scores, losses): (&str, &str),
        extents: &BTreeMap<String, usize>,
    ) -> Result<Self, AutodiffError> {
        let inputs: Vec<String> = of_floats(model).collect();
        let so_far = again(model, self.bytes.into())?;
        let graph = GraphIndex::new(&so_far)?;
        let last = LastLayer::of(&graph, scores);
        let (bytes, norms) = add_norms(&graph, engine, (losses, &inputs, last.as_ref()), extents)?;
        if norms.is_empty() {
            let reason =
                "no input is of floats and the scores come from no linear layer, so there are no norms to give";
            return Err(AutodiffError::Target(reason.to_owned()));
        }
        Ok(Self { bytes, norms, ..self })
    }
}

/// The inputs of floats.
fn of_floats(model: &Model) -> impl Iterator<Item = String> + use<> {
    let inputs = model.inputs().into_iter();
    inputs.filter(|port| port.element.is_some_and(ElementType::is_float)).map(|port| port.name)
}

/// Other bytes in the place of a model's.
fn again(model: &Model, bytes: Bytes) -> Result<Model, ModelError> {
    Model::decode(model.path(), model.folder().to_path_buf(), bytes)
}

fn candidates(graph: &GraphIndex<'_>, respect: &Respect) -> Result<Vec<String>, AutodiffError> {
    let inputs = of_floats(graph.model());
    let stored = graph.model().graph().initializer.iter();
    let stored = stored.filter(|tensor| ElementType::from_onnx(tensor.data_type).is_some_and(ElementType::is_float));
    let (found, missing): (Vec<String>, _) = match respect {
        Respect::Weights => (parameters(graph), "it stores no floats that could be learnt".to_owned()),
        Respect::Inputs => (inputs.collect(), "none of its inputs are floats".to_owned()),
        Respect::Named(pattern) => {
            let names = stored.map(|tensor| tensor.name.clone()).chain(inputs);
            let missing = format!("no tensor or input of floats has a name that {pattern} matches");
            (names.filter(|name| pattern.is_match(name)).collect(), missing)
        }
    };
    if found.is_empty() {
        Err(AutodiffError::Target(format!("nothing to differentiate by: {missing}")))
    } else {
        Ok(found)
    }
}
