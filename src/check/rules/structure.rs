//! `structure = "same"`: the graph, its inputs and outputs, operator sets, and the types and shapes of all tensors.

use super::{NO_MODEL, Rule};
use crate::check::evidence::Files;
use crate::check::{Evidence, Finding, Policy, Status};

pub(super) struct Structure;

pub(super) const STRUCTURE: Structure = Structure;

/// Differences that a message names.
const NAMED: usize = 3;

impl Rule for Structure {
    fn name(&self) -> &'static str {
        "structure"
    }

    fn summary(&self) -> &'static str {
        "`structure = \"same\"`: graph, inputs, outputs, operator sets, and the type and shape of every tensor; needs the golden model"
    }

    fn judge(&self, policy: &Policy, evidence: &Evidence) -> Vec<Finding> {
        if policy.structure.is_none() {
            return Vec::new();
        }
        let finding = match &evidence.files {
            None => Finding::new(self.name(), "", Status::NotChecked, NO_MODEL),
            Some(files) => {
                let differences = differences(files);
                let message = match differences.len() {
                    0 => "that of the golden model".to_owned(),
                    count => {
                        let named = differences[..count.min(NAMED)].join("; ");
                        let more = if count > NAMED { format!("; {} more", count - NAMED) } else { String::new() };
                        format!("{named}{more}: `onnx-sap diff` shows all")
                    }
                };
                Finding::new(self.name(), "", Status::of(differences.is_empty()), message)
            }
        };
        vec![finding]
    }
}

fn differences(files: &Files) -> Vec<String> {
    let side = |side: &Option<String>| side.clone().unwrap_or_else(|| "nothing".to_owned());
    let facts = files.structure.iter();
    let facts = facts.map(|fact| format!("{} is {}, not {}", fact.part, side(&fact.b), side(&fact.a)));
    let tensors = files.tensors.different.iter().filter(|change| change.a != change.b);
    facts.chain(tensors.map(|change| format!("tensor {} has another type or shape", change.name))).collect()
}
