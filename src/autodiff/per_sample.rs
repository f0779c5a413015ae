//! How far each sample would move a model: the norms of the gradients of its own loss, without a pass for each sample.
//!
//! Samples do not meet in a network as in inference, so the gradient of the sum of losses in an input holds that of each sample's loss in
//! its row. Of a linear last layer `z = W φ + b` the gradient of one loss is `g φᵀ` and `g`, with g that in z, so its norm is
//! `|g| √(|φ|² + 1)` (Goodfellow, "Efficient Per-Example Gradient Computations", 2015).

use super::emit::Emit;
use super::error::AutodiffError;
use super::known::{Knowledge, Value};
use super::reverse::{Wanted, differentiate};
use crate::engine::Engine;
use crate::model::{GraphIndex, NodeIndex};
use std::collections::BTreeMap;

/// The linear layer that gives the scores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastLayer {
    /// Its weight, as it is stored.
    pub weight: String,
    /// What it sees: a row for each sample.
    pub features: String,
    /// What it gives, its bias added.
    pub scores: String,
    /// Whether it has a bias.
    pub has_bias: bool,
}

impl LastLayer {
    /// That of a model: a Gemm, or a MatMul to which a constant may be added.
    pub fn of(graph: &GraphIndex<'_>, scores: &str) -> Option<Self> {
        let at = graph.producer(scores)?;
        let node = graph.node(at);
        let constant = |at: NodeIndex, input: usize| graph.operand(at, input).is_some();
        let (product, has_bias) = match node.op_type.as_str() {
            "Gemm" if node.int("transA", 0) == 0 => (at, node.input(2).is_some()),
            "MatMul" => (at, false),
            "Add" => {
                let input = usize::from(constant(at, 0));
                (graph.producer(node.input(input)?).filter(|_| constant(at, 1 - input))?, true)
            }
            _ => return None,
        };
        let node = graph.node(product);
        let linear = matches!(node.op_type.as_str(), "Gemm" | "MatMul") && constant(product, 1);
        let (features, weight) = (node.input(0)?.to_owned(), node.input(1)?.to_owned());
        linear.then(|| Self { weight, features, scores: scores.to_owned(), has_bias })
    }
}

/// A model with norms, as bytes, and of each what it is of and the output that holds it.
type WithNorms = (Vec<u8>, Vec<(String, String)>);

/// Adds the norm of each sample's gradient as outputs `NAME_grad_norms` `[samples]`: in inputs, and in a last layer, weight and bias
/// together. `losses` holds the loss of each sample. Returns what each is of, and its name.
///
/// # Errors
/// [`AutodiffError`].
pub(super) fn add_norms(
    graph: &GraphIndex<'_>,
    engine: &dyn Engine,
    (losses, inputs, last): (&str, &[String], Option<&LastLayer>),
    extents: &BTreeMap<String, usize>,
) -> Result<WithNorms, AutodiffError> {
    let mut wrt = inputs.to_vec();
    wrt.extend(last.iter().flat_map(|last| [last.scores.clone(), last.features.clone()]));
    let wanted = Wanted { target: losses, summed: true, wrt: &wrt, held: &[], extents };
    let mut found = differentiate(graph, engine, &wanted)?;
    let mut norms = Vec::new();
    for (name, gradient) in inputs.iter().zip(&found.gradients) {
        let squares = squares(gradient, &mut found.emit);
        let norm = found.emit.unary("Sqrt", &squares);
        norms.push((name.clone(), norm));
    }
    if let Some((last, gradient)) = last.zip(found.gradients.get(inputs.len())) {
        let norm = of_last(last, gradient, &found.known, &mut found.emit)?;
        norms.push((last.weight.clone(), norm));
    }
    let mut outputs = Vec::new();
    for (name, norm) in norms {
        let output = format!("{name}_grad_norms");
        found.emit.name_output(&norm, &output);
        outputs.push((name, output));
    }
    Ok((found.emit.into_additions().into_bytes()?, outputs))
}

/// The sum of squares of each sample.
fn squares(value: &Value, emit: &mut Emit<'_>) -> Value {
    let rows = emit.reshape(value, &[0, -1]);
    let square = emit.mul(&rows, &rows);
    emit.sum(&square, &[1], false)
}

fn of_last(last: &LastLayer, gradient: &Value, known: &Knowledge, emit: &mut Emit<'_>) -> Result<Value, AutodiffError> {
    let unknown = || AutodiffError::Target(format!("nothing is known of {}", last.features));
    let features = known.get(&last.features).filter(|known| known.shape.rank() == 2).ok_or_else(unknown)?;
    let of_features = squares(&features.value, emit);
    let of_features = if last.has_bias { emit.shifted(&of_features, 1.0) } else { of_features };
    let of_gradient = squares(gradient, emit);
    let product = emit.mul(&of_features, &of_gradient);
    Ok(emit.unary("Sqrt", &product))
}
