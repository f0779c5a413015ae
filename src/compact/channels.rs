//! Channels on their way through a graph.

use super::Cuts;
use crate::model::proto::NodeProto;
use crate::model::{Constant, GraphIndex, NodeIndex, Use, View};
use std::collections::{BTreeMap, BTreeSet};

/// Where the channels of a value lie, and what the ones that are followed hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Followed {
    pub(super) along: Along,
    /// Whether they are 0; else they hold anything.
    pub(super) zero: bool,
}

/// Where channels lie in a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Along {
    /// On the second of so many axes.
    Second {
        /// How many.
        rank: usize,
    },
    /// On the last axis, of two or of an unknown number.
    Last,
    /// On the last of two axes, where each takes the same number of places, one after the other.
    Blocks,
}

/// What comes of channels behind a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Goes {
    /// They are in its first output.
    On(Followed),
    /// It reads them with a weight, and what it gives is the same without them.
    In,
}

/// Why channels cannot be cut out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Obstacle {
    /// These are not 0 any more.
    Alive(BTreeSet<usize>),
    /// Something stands in the way of all.
    Node(String),
}

/// A node that channels come to.
pub(super) struct Crossing<'a, 'm> {
    pub(super) graph: &'a GraphIndex<'m>,
    pub(super) at: NodeIndex,
    /// The channels that are to go.
    pub(super) gone: &'a BTreeSet<usize>,
    /// How many there are.
    pub(super) channels: usize,
    /// The values that hold them, by their names.
    pub(super) followed: &'a BTreeMap<String, Followed>,
    /// What is cut on the way.
    pub(super) cuts: &'a mut Cuts,
}

impl<'a> Crossing<'a, '_> {
    pub(super) fn node(&self) -> &'a NodeProto {
        self.graph.node(self.at)
    }

    /// The channels at an input, where they are.
    pub(super) fn input(&self, input: usize) -> Option<Followed> {
        self.followed.get(self.node().input(input)?).copied()
    }

    /// The channels at the first input, which alone has some.
    pub(super) fn only(&self) -> Result<Followed, Obstacle> {
        let others = (1..self.node().input.len()).any(|input| self.input(input).is_some());
        self.input(0).filter(|_| !others).ok_or_else(|| self.refused("reads the channels at another input"))
    }

    /// The float constant at an input that is stored as it is read, and that nothing else reads.
    pub(super) fn own(&self, input: usize) -> Result<&'a Constant, Obstacle> {
        let operand = self.graph.operand(self.at, input).ok_or_else(|| self.refused("reads what is no constant"))?;
        let constant = &operand.constant;
        let plain = operand.view == View::of(&constant.dims)
            && constant.quantization.is_none()
            && constant.element.is_some_and(|element| element.is_float() && operand.element == Some(element));
        let uses = self.graph.uses(&constant.place);
        let only = matches!(uses, [Use::Input { .. }]);
        let given = self.graph.model().graph().input.iter().any(|input| input.name == constant.name);
        if plain && only && !given {
            Ok(constant)
        } else {
            Err(self
                .refused(&format!("reads {}, which is stored in another way or read elsewhere, too", constant.name)))
        }
    }

    /// The values of a constant.
    pub(super) fn values(&self, constant: &Constant) -> Result<ndarray::ArrayD<f64>, Obstacle> {
        self.graph.model().values(constant).map_err(|error| self.refused(&error.to_string()))
    }

    /// That the node stands in the way.
    pub(super) fn refused(&self, why: &str) -> Obstacle {
        let node = self.node();
        let name = if node.name.is_empty() { node.output.first().map_or("", String::as_str) } else { &node.name };
        Obstacle::Node(format!("{} {name} {why}", node.op_type))
    }
}
