//! The pass itself: from the target back to what gradients are wanted of, a rule for each node (reverse accumulation; Griewank and
//! Walther, "Evaluating Derivatives", 2008, chapter 3).

use super::emit::Emit;
use super::error::AutodiffError;
use super::known::{Knowledge, Known, Value};
use super::path::Path;
use super::rule::{Applied, OutputGradients};
use super::rules;
use crate::engine::Engine;
use crate::model::proto::NodeProto;
use crate::model::{Additions, GraphIndex, NodeIndex};
use std::collections::{BTreeMap, BTreeSet};

/// What gradients are wanted.
#[derive(Clone, Debug)]
pub struct Wanted<'a> {
    /// The number that is differentiated: a value of the main graph.
    pub target: &'a str,
    /// Whether it may hold several numbers, whose sum is differentiated.
    pub summed: bool,
    /// The inputs, stored tensors or values between that it is differentiated with respect to.
    pub wrt: &'a [String],
    /// Values that are taken for constants: no gradient goes through them.
    pub held: &'a [String],
    /// Extents of open axes by their symbols, for models that do not take any.
    pub extents: &'a BTreeMap<String, usize>,
}

/// Gradients, as nodes behind those of the model.
pub struct Differentiated<'g> {
    /// What was written.
    pub emit: Emit<'g>,
    /// The gradient of each value that was wanted, in that order and in the shape and type of that value.
    pub gradients: Vec<Value>,
    /// What is known of the values on the way.
    pub known: Knowledge,
}

/// Since this operator set, what the rules write means the same (but for axes as inputs, which [`Emit`] knows).
const OLDEST_OPSET: i64 = 11;

/// Writes the gradients of a number of a model. The model has no local functions ([`inlined`](crate::model::inlined)).
///
/// # Errors
/// [`AutodiffError`]: an operator without a rule, or what a rule does not cover, with the node; a target that is no number; those of
/// the engine, which tells the shapes.
pub fn differentiate<'g>(
    graph: &'g GraphIndex<'g>,
    engine: &dyn Engine,
    wanted: &Wanted<'_>,
) -> Result<Differentiated<'g>, AutodiffError> {
    let opset = graph.model().opset();
    if opset < OLDEST_OPSET {
        let reason = format!(
            "gradients need opset {OLDEST_OPSET}, the model's is {opset}; convert it with onnx.version_converter"
        );
        return Err(AutodiffError::Target(reason));
    }
    let path = Path::between(graph, wanted.wrt, wanted.held, wanted.target);
    let mut values = path.values(graph);
    values.insert(wanted.target.to_owned());
    values.extend(wanted.wrt.iter().cloned());
    check_names(graph, &values)?;
    let known = Knowledge::gather(graph, engine, &values, wanted.extents)?;
    let emit = Emit::new(Additions::new(graph), opset);
    let mut reverse = Reverse { graph, known, emit, parts: BTreeMap::new() };
    reverse.seed(wanted)?;
    let needs = reverse.needs(&path, wanted);
    for &at in path.nodes.iter().rev() {
        reverse.through(at, &needs)?;
    }
    let gradients = wanted.wrt.iter().map(|name| reverse.gradient_of(name)).collect::<Result<_, _>>()?;
    Ok(Differentiated { emit: reverse.emit, gradients, known: reverse.known })
}

fn check_names(graph: &GraphIndex<'_>, values: &BTreeSet<String>) -> Result<(), AutodiffError> {
    match values.iter().find(|name| !graph.defines(name)) {
        Some(name) => Err(AutodiffError::Target(format!("the model has no value {name}"))),
        None => Ok(()),
    }
}

struct Reverse<'g> {
    graph: &'g GraphIndex<'g>,
    known: Knowledge,
    emit: Emit<'g>,
    /// What each use of a value contributes to its gradient.
    parts: BTreeMap<String, Vec<Value>>,
}

impl Reverse<'_> {
    fn seed(&mut self, wanted: &Wanted<'_>) -> Result<(), AutodiffError> {
        let target = wanted.target;
        let known = self.known.get(target).filter(|known| known.value.element.is_float());
        let one_number = |known: &&Known| known.shape.fixed().is_some_and(|shape| shape.iter().product::<usize>() == 1);
        let Some(known) = known.filter(|known| wanted.summed || one_number(known)) else {
            return Err(AutodiffError::Target(format!(
                "{target} is not one floating-point number, so it has no gradient"
            )));
        };
        let one = self.emit.number(1.0, known.value.element);
        let seed = if known.shape.rank() == 0 { one } else { self.emit.expand_as(&one, known) };
        self.parts.insert(target.to_owned(), vec![seed]);
        Ok(())
    }

    /// The floating-point values of the path that depend on what gradients are wanted of.
    fn needs(&self, path: &Path, wanted: &Wanted<'_>) -> BTreeSet<String> {
        let is_held = |name: &str| wanted.held.iter().any(|held| held == name);
        let is_float =
            |name: &str| !is_held(name) && self.known.get(name).is_some_and(|known| known.value.element.is_float());
        let mut needs: BTreeSet<String> = wanted.wrt.iter().filter(|name| is_float(name)).cloned().collect();
        for &at in &path.nodes {
            let node = self.graph.node(at);
            // What a body takes from around it is seen by no rule: its node must not pass for one that depends on nothing.
            let has_bodies =
                node.attribute.iter().any(|attribute| attribute.g.is_some() || !attribute.graphs.is_empty());
            if has_bodies || node.input.iter().any(|name| needs.contains(name)) {
                needs.extend(node.output.iter().filter(|name| is_float(name)).cloned());
            }
        }
        needs
    }

    /// Takes the gradients of a node's outputs to its inputs.
    fn through(&mut self, at: NodeIndex, needs: &BTreeSet<String>) -> Result<(), AutodiffError> {
        let node = self.graph.node(at);
        if !node.output.iter().any(|name| needs.contains(name)) {
            return Ok(());
        }
        let outputs: Vec<Option<Value>> = node.output.iter().map(|name| self.summed(name)).collect();
        if outputs.iter().all(Option::is_none) {
            return Ok(());
        }
        let rule = rules::of(node).ok_or_else(|| no_rule(node))?;
        let needed = node.input.iter().map(|name| needs.contains(name)).collect();
        let applied = Applied { graph: self.graph, known: &self.known, at, needs: needed };
        let found = rule.gradients(&applied, &OutputGradients(outputs), &mut self.emit);
        let found = found.map_err(|refusal| refused(node, &refusal.0))?;
        for (name, gradient) in node.input.iter().zip(found) {
            if let Some(gradient) = gradient.filter(|_| needs.contains(name)) {
                self.parts.entry(name.clone()).or_default().push(gradient);
            }
        }
        Ok(())
    }

    /// The sum of what all uses of a value contribute.
    fn summed(&mut self, name: &str) -> Option<Value> {
        let parts = self.parts.remove(name)?;
        let sum = parts.into_iter().reduce(|sum, part| self.emit.add(&sum, &part))?;
        self.parts.insert(name.to_owned(), vec![sum.clone()]);
        Some(sum)
    }

    fn gradient_of(&mut self, name: &str) -> Result<Value, AutodiffError> {
        let Some(known) = self.known.get(name).filter(|known| known.value.element.is_float()) else {
            return Err(AutodiffError::Target(format!(
                "{name} holds no floating-point numbers, so nothing has a gradient in it"
            )));
        };
        let known = known.clone();
        // What the target does not depend on has a gradient all the same.
        Ok(self.summed(name).unwrap_or_else(|| self.emit.zeros_as(&known)))
    }
}

fn no_rule(node: &NodeProto) -> AutodiffError {
    let rules = super::RULES.iter().map(|rule| rule.operators().len()).sum();
    AutodiffError::NoRule { node: node.label().to_owned(), operator: operator(node), rules }
}

fn refused(node: &NodeProto, reason: &str) -> AutodiffError {
    AutodiffError::Refused { node: node.label().to_owned(), operator: operator(node), reason: reason.to_owned() }
}

/// The operator of a node, with its operator set where that is not ONNX's own.
fn operator(node: &NodeProto) -> String {
    let set = node.operator_set();
    if set.is_empty() { node.op_type.clone() } else { format!("{set}.{}", node.op_type) }
}
