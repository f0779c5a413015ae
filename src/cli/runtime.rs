//! `onnx-sap runtime`: which engine and device would be used, and why; fetching ONNX Runtime.

use super::Answer;
use super::ui::{Ui, table};
use crate::engine::runtime::{self, Outcome};
use crate::engine::tract::TractEngine;
use crate::engine::{Device, Engine, EngineName, choose};
use crate::error::Error;
use crate::progress::Silent;
use clap::Subcommand;
use std::fmt::Write;
use std::path::Path;

/// Show or fetch what runs models
#[derive(Subcommand)]
pub(super) enum RuntimeCommand {
    /// Show which engine and device would be used, and why
    Status,
    /// Fetch the pinned ONNX Runtime through pip into the user's cache
    Install {
        /// The build for CUDA
        #[arg(long)]
        cuda: bool,
    },
}

pub(super) fn run(command: &RuntimeCommand, ui: &Ui) -> Result<Answer, Error> {
    match command {
        RuntimeCommand::Status => status(ui),
        RuntimeCommand::Install { cuda } => {
            let library = runtime::install(*cuda, ui)?;
            ui.result(&format!("{}\n", library.display()));
            Ok(Answer::Yes)
        }
    }
}

/// This program and what it would run models with, for `--version`. Nothing is fetched.
pub(super) fn versions() -> String {
    let tract = TractEngine::new();
    let library = runtime::locate(&Silent, false);
    let library = library.map_or_else(|_| "not found".to_owned(), |located| located.version);
    let program = env!("CARGO_PKG_VERSION");
    format!("onnx-sap {program}\ntract {}\nonnxruntime {library}\n", tract.info().version)
}

fn status(ui: &Ui) -> Result<Answer, Error> {
    let mut text = String::from("ONNX Runtime, in the order of the search\n");
    let rows = runtime::search().into_iter().map(|candidate| {
        let outcome = match candidate.outcome {
            Outcome::Usable { version } => format!("version {version}"),
            Outcome::Unusable { reason } => format!("cannot be used: {reason}"),
            Outcome::Absent => "nothing there".to_owned(),
        };
        let place = candidate.path.as_deref().map_or(String::new(), |path: &Path| path.display().to_string());
        vec![candidate.source.explain().to_owned(), outcome, place]
    });
    text += &table(&["where", "what", "path"], &[], rows);
    text += "\nCUDA libraries that its CUDA provider needs\n";
    let libraries = runtime::cuda_libraries();
    let mut searched: Vec<&Path> = Vec::new();
    for folder in libraries.iter().filter(|library| library.found.is_none()).flat_map(|library| &library.looked_in) {
        if !searched.contains(&folder.as_path()) {
            searched.push(folder);
        }
    }
    let rows = libraries.iter().map(|library| {
        let missing = || format!("missing: {}", library.comes_with);
        let found = library.found.as_ref().map_or_else(missing, |path| path.display().to_string());
        vec![library.name.to_owned(), found]
    });
    text += &table(&["library", "where"], &[], rows);
    for folder in searched {
        let _ = writeln!(text, "looked in {}", folder.display());
    }
    // Asking must not fetch anything, and which engine would be used is no answer where fetching comes first.
    let would_fetch = runtime::locate(&Silent, false).is_err() && !runtime::offline();
    if would_fetch {
        let _ = writeln!(text, "\nONNX Runtime {} would be fetched through pip at the first run", runtime::VERSION);
    } else {
        let choice = choose(EngineName::Auto, Device::Auto, None, &Silent)?;
        let info = choice.engine.info();
        let _ = writeln!(
            text,
            "\nwould use {} {}, {} on {}: {}",
            info.name, info.version, info.provider, info.device, choice.why
        );
    }
    ui.result(&text);
    Ok(Answer::Yes)
}
