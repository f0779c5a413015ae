//! Checks that hold for every engine, so that each of them answers a wrong name with the same words.

use super::EngineError;
use crate::tensor::Tensor;
use std::fmt::Display;

/// Refuses an input that the model lacks or that is fed twice, an input left out, and an output that the model lacks.
pub(super) fn check<'a>(
    engine: &'static str,
    model_inputs: impl Iterator<Item = &'a str> + Clone,
    model_outputs: impl Iterator<Item = &'a str> + Clone,
    inputs: &[(&str, &Tensor)],
    wanted: &[&str],
) -> Result<(), EngineError> {
    let fail = |reason: String| Err(EngineError::Run { engine, reason });
    for (position, (name, _)) in inputs.iter().enumerate() {
        if !model_inputs.clone().any(|known| known == *name) {
            return fail(format!("the model has no input `{name}`; it takes {}", list(model_inputs)));
        }
        if inputs[..position].iter().any(|(earlier, _)| earlier == name) {
            return fail(format!("input `{name}` is fed twice"));
        }
    }
    if let Some(missing) = model_inputs.clone().find(|known| !inputs.iter().any(|(name, _)| name == known)) {
        return fail(format!("input `{missing}` is not fed"));
    }
    match wanted.iter().find(|name| !model_outputs.clone().any(|known| known == **name)) {
        Some(name) => fail(format!("the model has no output `{name}`; it gives {}", list(model_outputs))),
        None => Ok(()),
    }
}

/// Any message of an engine, on one line.
pub(super) fn one_line(message: impl Display) -> String {
    message.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}

fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let quoted: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    if quoted.is_empty() { "none".into() } else { quoted.join(", ") }
}
