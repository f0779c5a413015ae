//! Every weight of a model: in a layer that is rewritten, or skipped with its reason.

use super::{Finding, LayerRule, MatrixLayout, RULES, Skip, Unfold};
use crate::model::proto::{NodeProto, TensorProto};
use crate::model::{Constant, GraphIndex, graph};
use crate::tensor::ElementType;
use regex::Regex;
use serde::Serialize;
use std::collections::BTreeMap;

/// A weight that is rewritten, and where it is used.
#[derive(Clone, Debug)]
pub struct Layer {
    /// The weight.
    pub weight: Constant,
    /// How its tensor is a matrix.
    pub layout: MatrixLayout,
    /// The nodes that use it, in graph order; the moments of their inputs add up.
    pub sites: Vec<Site>,
}

/// One use of a layer's weight.
#[derive(Clone, Debug)]
pub struct Site {
    /// What messages call the node.
    pub node: String,
    /// Its operator.
    pub op_type: String,
    /// The value that meets the weight.
    pub input: String,
    /// That value's element type.
    pub element: ElementType,
    /// How that value becomes rows.
    pub unfold: Unfold,
}

/// A line of the ledger.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    /// The weight's name, where the node has one.
    pub weight: Option<String>,
    /// What messages call the (first) node that uses it.
    pub node: String,
    /// The node's operator.
    pub op: String,
    /// The weight's shape.
    pub shape: Option<Vec<usize>>,
    /// d, the dimension of a row of inputs of one group.
    pub dim: Option<usize>,
    /// Groups with moments of their own.
    pub groups: Option<usize>,
    /// How many nodes use the weight as a layer.
    pub users: usize,
    /// Why it is left as it is; nothing where it is rewritten.
    pub reason: Option<String>,
}

/// Which layers to rewrite: regular expressions on weight or node names.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Where given, only what matches one of these.
    pub include: Vec<Regex>,
    /// Never what matches one of these.
    pub exclude: Vec<Regex>,
}

/// What becomes of every weight of a model.
#[derive(Clone, Debug)]
pub struct Ledger {
    /// The weights to rewrite, in graph order.
    pub layers: Vec<Layer>,
    /// The weights that stay, and the nodes without one.
    pub skipped: Vec<Entry>,
}

impl Ledger {
    /// Surveys a model.
    ///
    /// # Errors
    /// The first pattern of `selection` that matches no layer.
    pub fn survey(graph: &GraphIndex<'_>, selection: &Selection) -> Result<Self, String> {
        let mut surveyor = Surveyor { graph, found: Vec::new(), skipped: Vec::new() };
        for (_, node) in graph.nodes() {
            surveyor.examine(node);
        }
        surveyor.look_outside_the_main_graph();
        let candidates = surveyor.layers();
        let mut skipped = surveyor.skipped;
        selection.check(&candidates)?;
        let (layers, left_out): (Vec<_>, Vec<_>) = candidates.into_iter().partition(|layer| selection.takes(layer));
        skipped.extend(left_out.iter().map(|layer| Entry { reason: Some(Skip::LeftOut.to_string()), ..layer.entry() }));
        Ok(Self { layers, skipped })
    }

    /// The whole ledger: rewritten weights first, in graph order.
    pub fn entries(&self) -> Vec<Entry> {
        self.layers.iter().map(Layer::entry).chain(self.skipped.iter().cloned()).collect()
    }
}

impl Layer {
    /// The layer's line in the ledger.
    pub fn entry(&self) -> Entry {
        let first = &self.sites[0];
        Entry {
            weight: Some(self.weight.name.clone()),
            node: first.node.clone(),
            op: first.op_type.clone(),
            shape: Some(self.weight.dims.clone()),
            dim: Some(self.layout.dim),
            groups: Some(self.layout.groups),
            users: self.sites.len(),
            reason: None,
        }
    }

    fn matches(&self, pattern: &Regex) -> bool {
        pattern.is_match(&self.weight.name) || self.sites.iter().any(|site| pattern.is_match(&site.node))
    }
}

impl Selection {
    fn takes(&self, layer: &Layer) -> bool {
        let included = self.include.is_empty() || self.include.iter().any(|pattern| layer.matches(pattern));
        included && !self.exclude.iter().any(|pattern| layer.matches(pattern))
    }

    fn check(&self, layers: &[Layer]) -> Result<(), String> {
        for (option, patterns) in [("--include", &self.include), ("--exclude", &self.exclude)] {
            if let Some(idle) = patterns.iter().find(|pattern| !layers.iter().any(|layer| layer.matches(pattern))) {
                return Err(format!(
                    "{option} {idle} matches no weight or node of a layer; `onnx-sap inspect` lists their names"
                ));
            }
        }
        Ok(())
    }
}

fn rule(node: &NodeProto) -> Option<&'static dyn LayerRule> {
    RULES.iter().copied().find(|rule| node.is_standard() && rule.op_type() == node.op_type)
}

/// A weight large enough to carry what was learnt: a float matrix or more. Biases and scales are vectors.
fn carries_weights(constant: &Constant) -> bool {
    constant.dims.len() >= 2 && constant.element.is_some_and(ElementType::is_float)
}

struct Surveyor<'a, 'g> {
    graph: &'a GraphIndex<'g>,
    found: Vec<(&'g NodeProto, Finding)>,
    skipped: Vec<Entry>,
}

impl<'g> Surveyor<'_, 'g> {
    fn examine(&mut self, node: &'g NodeProto) {
        match rule(node).map(|rule| rule.examine(node, self.graph)) {
            Some(Ok(finding)) => self.found.push((node, finding)),
            Some(Err(reason)) => {
                let weight =
                    node.input.iter().find_map(|name| self.graph.constant(name)).filter(|c| carries_weights(c));
                self.skip(node, weight.cloned().as_ref(), &reason);
            }
            // It has no use of the weight of its own: those that read the other name have their own lines.
            None if self.graph.is_alias(node) => {}
            None => {
                let constants: Vec<Constant> =
                    node.input.iter().filter_map(|name| self.graph.constant(name)).cloned().collect();
                for constant in constants.iter().filter(|constant| carries_weights(constant)) {
                    self.skip(node, Some(constant), &Skip::NoRule(node.op_type.clone()));
                }
            }
        }
    }

    fn skip(&mut self, node: &NodeProto, weight: Option<&Constant>, reason: &Skip) {
        let weight = weight.map(|constant| (constant.name.clone(), constant.dims.clone()));
        self.skip_named(node, weight, reason);
    }

    fn skip_named(&mut self, node: &NodeProto, weight: Option<(String, Vec<usize>)>, reason: &Skip) {
        let (weight, shape) = weight.unzip();
        self.skipped.push(Entry {
            weight,
            node: node.label().to_owned(),
            op: node.op_type.clone(),
            shape,
            dim: None,
            groups: None,
            users: 1,
            reason: Some(reason.to_string()),
        });
    }

    fn look_outside_the_main_graph(&mut self) {
        let model = self.graph.model();
        let seen = Tensors::default().and(&model.graph().initializer, &model.graph().node);
        for (_, node) in self.graph.nodes() {
            let place = format!("a subgraph of {} ({})", node.label(), node.op_type);
            for inner in node.attribute.iter().flat_map(graph::subgraphs) {
                self.skip_all(&inner.node, &seen.and(&inner.initializer, &inner.node), &place);
            }
        }
        for function in &model.header().functions {
            let seen = Tensors::default().and(&[], &function.node);
            self.skip_all(&function.node, &seen, &format!("the local function {}", function.name));
        }
        for sparse in &model.graph().sparse_initializer {
            let name = sparse.values.as_ref().map(|values| values.name.clone());
            let shape = sparse.dims.iter().map(|&dim| dim as usize).collect();
            let reason = Some(Skip::Sparse.to_string());
            let (node, op) = (String::new(), "SparseTensor".to_owned());
            self.skipped.push(Entry {
                weight: name,
                node,
                op,
                shape: Some(shape),
                dim: None,
                groups: None,
                users: 0,
                reason,
            });
        }
    }

    fn skip_all(&mut self, nodes: &[NodeProto], seen: &Tensors<'_>, place: &str) {
        for node in nodes {
            if rule(node).is_some() {
                let weight = node.input.iter().find_map(|name| seen.weight(name));
                self.skip_named(node, weight, &Skip::NotMainGraph(place.to_owned()));
            }
            for inner in node.attribute.iter().flat_map(graph::subgraphs) {
                self.skip_all(&inner.node, &seen.and(&inner.initializer, &inner.node), place);
            }
        }
    }

    /// Groups what was found by weight, and skips weights that cannot be rewritten for all their users at once.
    fn layers(&mut self) -> Vec<Layer> {
        let mut order: Vec<String> = Vec::new();
        let mut by_weight: BTreeMap<String, Vec<(&NodeProto, Finding)>> = BTreeMap::new();
        for (node, finding) in std::mem::take(&mut self.found) {
            let name = finding.weight.name.clone();
            if !by_weight.contains_key(&name) {
                order.push(name.clone());
            }
            by_weight.entry(name).or_default().push((node, finding));
        }
        let mut layers = Vec::new();
        for findings in order.iter().filter_map(|name| by_weight.remove(name)) {
            match self.obstacle(&findings) {
                Some(reason) => {
                    for (node, finding) in &findings {
                        self.skip(node, Some(&finding.weight), &reason);
                    }
                }
                None => layers.push(layer(findings)),
            }
        }
        layers
    }

    fn obstacle(&self, findings: &[(&NodeProto, Finding)]) -> Option<Skip> {
        let (_, first) = findings.first()?;
        let weight = &first.weight;
        if self.graph.is_pinned(&weight.name) {
            return Some(Skip::Pinned);
        }
        if findings.iter().any(|(_, finding)| finding.layout != first.layout) {
            let nodes: Vec<&str> = findings.iter().map(|(node, _)| node.label()).collect();
            return Some(Skip::Orientations(nodes.join(", ")));
        }
        let users = self.graph.users(&weight.name).iter().map(|&at| self.graph.node(at));
        let stranger = users.into_iter().find(|user| !findings.iter().any(|(node, _)| std::ptr::eq(*node, *user)));
        stranger.map(|user| Skip::SharedWith(format!("{} ({})", user.label(), user.op_type)))
    }
}

/// The stored tensors that a node outside of the main graph can name: those beside it, and those around its graph.
#[derive(Clone, Default)]
struct Tensors<'m>(BTreeMap<&'m str, &'m TensorProto>);

impl<'m> Tensors<'m> {
    fn and(&self, initializers: &'m [TensorProto], nodes: &'m [NodeProto]) -> Self {
        let mut all = self.clone();
        all.0.extend(initializers.iter().map(|tensor| (tensor.name.as_str(), tensor)));
        for node in nodes.iter().filter(|node| node.op_type == "Constant" && node.is_standard()) {
            let value = node.attribute.iter().find(|attribute| attribute.name == "value");
            all.0.extend(node.output.first().map(String::as_str).zip(value.and_then(|value| value.t.as_ref())));
        }
        all
    }

    fn weight(&self, name: &str) -> Option<(String, Vec<usize>)> {
        let tensor = self.0.get(name).filter(|tensor| tensor.dims.len() >= 2)?;
        Some((name.to_owned(), tensor.dims.iter().map(|&dim| dim as usize).collect()))
    }
}

fn layer(findings: Vec<(&NodeProto, Finding)>) -> Layer {
    let (weight, layout) = (findings[0].1.weight.clone(), findings[0].1.layout);
    let site = |(node, finding): (&NodeProto, Finding)| Site {
        node: node.label().to_owned(),
        op_type: node.op_type.clone(),
        input: finding.input,
        element: finding.element,
        unfold: finding.unfold,
    };
    Layer { weight, layout, sites: findings.into_iter().map(site).collect() }
}
