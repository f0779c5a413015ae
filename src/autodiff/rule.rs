//! How an operator is differentiated: the question that a rule answers, and the node that it is asked about.

use super::emit::Emit;
use super::error::Refusal;
use super::known::{Knowledge, Known, Value};
use crate::model::proto::NodeProto;
use crate::model::{GraphIndex, NodeIndex};
use crate::tensor::ElementType;

/// The gradients of a node's inputs, each in the shape of its input; nothing stands for one of zeros, or one that is not needed. Or
/// what of the node is not covered.
pub type Gradients = Result<Vec<Option<Value>>, Refusal>;

/// How some operators of ONNX's own set are differentiated.
pub trait Rule: Sync {
    /// The operators.
    fn operators(&self) -> &'static [&'static str];
    /// The gradients in terms of the gradient `g` of the output `y`, for the docs.
    fn equation(&self) -> &'static str;
    /// What of the operators is not covered, for the docs; empty where nothing is left out.
    fn limits(&self) -> &'static str {
        ""
    }
    /// Nodes to try it on.
    #[cfg(test)]
    fn cases(&self) -> proptest::strategy::BoxedStrategy<super::tests::Case>;
    /// Writes the nodes that compute the gradients of a node's inputs. Only those that are needed are written.
    ///
    /// # Errors
    /// What of the node is not covered.
    fn gradients(&self, node: &Applied<'_>, outputs: &OutputGradients, emit: &mut Emit<'_>) -> Gradients;
}

/// The gradients of the outputs of a node: each in the shape of its output, or nothing where the output does not count.
#[derive(Debug)]
pub struct OutputGradients(pub(super) Vec<Option<Value>>);

impl OutputGradients {
    /// That of the one output that operators mostly have.
    ///
    /// # Errors
    /// Another output counts instead: a rule that does not expect that.
    pub fn only(&self) -> Result<&Value, Refusal> {
        match &self.0[..] {
            [Some(gradient), rest @ ..] if rest.iter().all(Option::is_none) => Ok(gradient),
            _ => Err(Refusal::new("something depends on one of its further outputs")),
        }
    }

    /// That of each output.
    pub fn all(&self) -> &[Option<Value>] {
        &self.0
    }
}

/// A node that is differentiated.
pub struct Applied<'a> {
    pub(super) graph: &'a GraphIndex<'a>,
    pub(super) known: &'a Knowledge,
    pub(super) at: NodeIndex,
    /// Of each input, whether its gradient is needed.
    pub(super) needs: Vec<bool>,
}

impl<'a> Applied<'a> {
    /// The node itself, for its attributes.
    pub fn proto(&self) -> &'a NodeProto {
        self.graph.node(self.at)
    }

    /// Its operator.
    pub fn operator(&self) -> &'a str {
        &self.proto().op_type
    }

    /// Where it is.
    pub fn index(&self) -> NodeIndex {
        self.at
    }

    /// Whether the gradient of an input is needed.
    pub fn needs(&self, input: usize) -> bool {
        self.needs.get(input).copied().unwrap_or(false)
    }

    /// An input.
    ///
    /// # Errors
    /// The node has no such input, or nothing is known of it.
    pub fn input(&self, input: usize) -> Result<&'a Known, Refusal> {
        self.known_as(self.proto().input(input), "input", input)
    }

    /// An output.
    ///
    /// # Errors
    /// The node has no such output, or nothing is known of it.
    pub fn output(&self, output: usize) -> Result<&'a Known, Refusal> {
        let name = self.proto().output.get(output).map(String::as_str).filter(|name| !name.is_empty());
        self.known_as(name, "output", output)
    }

    fn known_as(&self, name: Option<&str>, what: &str, at: usize) -> Result<&'a Known, Refusal> {
        let name = name.ok_or_else(|| Refusal::new(format!("it has no {what} {at}")))?;
        self.known.get(name).ok_or_else(|| Refusal::new(format!("nothing is known of its {what} {name}")))
    }

    /// Whether an optional input is given.
    pub fn has(&self, input: usize) -> bool {
        self.proto().input(input).is_some()
    }

    /// The element type of the first input, which is that of its gradients.
    ///
    /// # Errors
    /// As [`input`](Self::input).
    pub fn element(&self) -> Result<ElementType, Refusal> {
        Ok(self.input(0)?.value.element)
    }

    /// The integers of an input, which are the same in every run.
    ///
    /// # Errors
    /// They are not.
    pub fn integers(&self, input: usize) -> Result<Vec<i64>, Refusal> {
        let name = self.proto().input(input).ok_or_else(|| Refusal::new(format!("it has no input {input}")))?;
        let computed = || self.known.get(name).and_then(|known| known.integers.clone());
        let found = self.graph.integers(self.at, input).or_else(computed);
        found.ok_or_else(|| Refusal::new(format!("its input {name} is not the same in every run")))
    }

    /// The integers that are an input since some operator set, and were an attribute before; nothing where the node has neither.
    ///
    /// # Errors
    /// As [`integers`](Self::integers).
    pub fn list(&self, attribute: &str, input: usize) -> Result<Option<Vec<i64>>, Refusal> {
        match self.proto().ints(attribute) {
            Some(list) => Ok(Some(list.to_vec())),
            None if self.has(input) => self.integers(input).map(Some),
            None => Ok(None),
        }
    }

    /// The numbers that a constant input holds.
    ///
    /// # Errors
    /// It is no constant.
    pub fn numbers(&self, input: usize) -> Result<Vec<f64>, Refusal> {
        let constant = self.graph.operand(self.at, input).map(|operand| &operand.constant);
        let values = constant.and_then(|constant| self.graph.model().values(constant).ok());
        let values = values.map(|values| values.into_iter().collect());
        values.ok_or_else(|| Refusal::new(format!("its input {input} is no constant")))
    }

    /// Whether an optional input holds `true` in every run.
    ///
    /// # Errors
    /// It holds something else in another.
    pub fn truth(&self, input: usize) -> Result<bool, Refusal> {
        if !self.has(input) {
            return Ok(false);
        }
        Ok(self.integers(input)?.iter().any(|&value| value != 0))
    }

    /// An axis that an attribute names, of an input.
    ///
    /// # Errors
    /// The input has no such axis.
    pub fn axis(&self, default: i64) -> Result<usize, Refusal> {
        let axis = self.proto().int("axis", default);
        self.input(0)?.shape.axis(axis).ok_or_else(|| Refusal::new(format!("its input has no axis {axis}")))
    }
}
