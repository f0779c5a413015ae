//! The model's nodes in one list: calls of local functions replaced by what they call, bodies of If, Loop and Scan
//! beside the graph that holds them.
//!
//! A function's body is copied for each call, with its values renamed so that they meet nothing else; each copy of a
//! node keeps the place where the original is stored. What cannot be replaced faithfully stays a call. Source: ONNX IR
//! specification, "Model Local Functions".

mod flattener;

use super::place::Place;
use super::proto::{GraphProto, NodeProto, OperatorSetIdProto};
use super::{Model, NodeIndex};
use flattener::Flattener;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// A graph: the main one, or a body that a node holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ScopeIndex(pub usize);

/// The main graph.
pub const MAIN: ScopeIndex = ScopeIndex(0);

/// A node where it runs.
#[derive(Clone, Debug)]
pub struct FlatNode<'m> {
    /// The node; from a function's body with the names of the place where it was called.
    pub proto: Cow<'m, NodeProto>,
    /// The node as it is stored, where it is.
    pub stored: Option<&'m NodeProto>,
    /// Where it is stored.
    pub place: Place,
    /// Where its attributes are stored: those of a function's node may be the call's.
    pub attributes: BTreeMap<String, Place>,
    /// The graph that it runs in.
    pub scope: ScopeIndex,
    /// What messages call it: `call/node` in a function.
    pub label: String,
    /// The local function whose body it is stored in.
    pub function: Option<String>,
    /// The position, in the list of its graph, of the node that it is or that it was called by.
    pub position: usize,
    /// The bodies that it holds.
    pub bodies: Vec<ScopeIndex>,
}

/// A graph and its place in the tree of graphs.
#[derive(Clone, Debug)]
pub struct Scope<'m> {
    /// What it is declared with; its own list of nodes is that before functions were replaced.
    pub proto: Cow<'m, GraphProto>,
    /// The graph as it is stored.
    pub stored: &'m GraphProto,
    /// Where it is stored.
    pub place: Place,
    /// What names of weights in it begin with: empty for the main graph, else `node/attribute/`.
    pub path: String,
    /// The node that holds it, and in which attribute.
    pub holder: Option<Holder>,
    /// Its nodes in order.
    pub nodes: Vec<NodeIndex>,
}

/// The attribute that holds a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The node.
    pub node: NodeIndex,
    /// The name of the attribute.
    pub attribute: String,
    /// The position in the attribute's list of graphs, where it holds a list.
    pub of_list: Option<usize>,
}

/// All nodes and graphs of a model.
#[derive(Debug)]
pub struct Flat<'m> {
    pub(super) nodes: Vec<FlatNode<'m>>,
    pub(super) scopes: Vec<Scope<'m>>,
    /// Operator sets that only functions import.
    pub(super) imports: Vec<OperatorSetIdProto>,
    /// Functions whose bodies stand in the place of calls.
    pub(super) followed: BTreeSet<String>,
    /// Functions that stay calls, and why.
    pub(super) opaque: BTreeMap<String, String>,
}

impl<'m> Flat<'m> {
    /// The nodes of a model.
    pub fn of(model: &'m Model) -> Self {
        Flattener::run(model)
    }

    /// What names of weights beside a node begin with. A weight is stored once, however often its function is called, so
    /// the calls are no part of its name.
    pub(super) fn path(&self, node: &FlatNode<'_>) -> String {
        match &node.function {
            Some(function) if node.place.is_function_node() => format!("{function}/"),
            _ => self.scopes[node.scope.0].path.clone(),
        }
    }

    /// Why nothing in a function's body runs where it could be seen; nothing where it does.
    pub fn unseen(&self, function: &str) -> Option<&str> {
        let reason = self.opaque.get(function).map_or("is never called", String::as_str);
        (!self.followed.contains(function)).then_some(reason)
    }
}
