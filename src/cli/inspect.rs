//! `onnx-sap inspect`: every weight of a model, rewritten or skipped, and why.

use super::Answer;
use super::layers::LayerArgs;
use super::options::Format;
use super::ui::{Ui, shape_text, table};
use crate::error::Error;
use crate::layers::{Entry, Ledger};
use crate::model::{GraphIndex, Model};
use crate::report::ModelReport;
use clap::Args;
use serde::Serialize;
use std::fmt::Write;
use std::path::PathBuf;

/// List every weight of a model: where it was found, and whether it is rewritten or why not
#[derive(Args)]
pub(super) struct InspectArgs {
    /// The model
    #[arg(value_name = "IN.onnx")]
    input: PathBuf,
    /// How to show it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    #[command(flatten)]
    layers: LayerArgs,
}

#[derive(Serialize)]
struct Inspection {
    model: ModelReport,
    layers: Vec<Line>,
}

#[derive(Serialize)]
struct Line {
    status: &'static str,
    #[serde(flatten)]
    entry: Entry,
}

pub(super) fn run(args: &InspectArgs, ui: &Ui) -> Result<Answer, Error> {
    let model = Model::open(&args.input)?;
    let graph = GraphIndex::new(&model)?;
    let entries = Ledger::survey(&graph, &args.layers.selection()).map_err(Error::Usage)?.entries();
    let line = |entry: Entry| Line { status: if entry.reason.is_none() { "rewritten" } else { "skipped" }, entry };
    let inspection = Inspection { model: ModelReport::of(&model), layers: entries.into_iter().map(line).collect() };
    match args.format {
        Format::Text => ui.result(&text(&inspection)),
        Format::Json => ui.json(&inspection)?,
    }
    Ok(Answer::Yes)
}

fn text(inspection: &Inspection) -> String {
    let model = &inspection.model;
    let mut text = String::new();
    let (path, size) = (model.path.display(), bytes(model.bytes as u64));
    let _ = writeln!(text, "model    {path}, {size}, IR version {}", model.ir_version);
    let opsets: Vec<String> = model.opsets.iter().map(|(domain, version)| format!("{domain} {version}")).collect();
    let _ = writeln!(text, "opsets   {}", opsets.join(", "));
    for (name, ports) in [("input", &model.inputs), ("output", &model.outputs)] {
        for port in ports {
            let _ = writeln!(text, "{name:<8} {}: {}", port.name, port.describe());
        }
    }
    for (file, size) in &model.external {
        let _ = writeln!(text, "external {file}, {}", bytes(*size));
    }
    text.push('\n');
    let rows = inspection.layers.iter().map(|line| {
        let entry = &line.entry;
        let number = |number: Option<usize>| number.map_or(String::new(), |number| number.to_string());
        vec![
            entry.weight.clone().unwrap_or_default(),
            entry.found.clone().unwrap_or_default(),
            entry.op.clone(),
            entry.node.clone(),
            entry.dtype.clone().unwrap_or_default(),
            entry.shape.as_ref().map_or(String::new(), |shape| shape_text(shape)),
            number(entry.dim),
            number(entry.groups),
            entry.users.to_string(),
            fate(entry),
        ]
    });
    text + &table(&["weight", "found", "op", "node", "type", "shape", "d", "groups", "users", ""], &[6, 7, 8], rows)
}

/// A size as people read it.
fn bytes(count: u64) -> String {
    match count {
        0..1_000 => format!("{count} bytes"),
        1_000..1_000_000 => format!("{:.1} kB", count as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", count as f64 / 1e6),
        _ => format!("{:.1} GB", count as f64 / 1e9),
    }
}

/// What becomes of a weight, in words.
fn fate(entry: &Entry) -> String {
    match (&entry.reason, &entry.copy) {
        (Some(reason), _) => format!("skipped: {reason}"),
        (None, Some(copy)) => format!("rewritten as {copy}, a copy for these users"),
        (None, None) => "rewritten".to_owned(),
    }
}
