//! `onnx-sap completions` and `onnx-sap man`: what shells and `man` show, made of the same arguments as `--help`.

use super::Answer;
use super::ui::Ui;
use crate::error::Error;
use clap::{Args, Command};
use clap_complete::Shell;
use std::path::PathBuf;

/// Print the completions of a shell
///
/// For bash: onnx-sap completions bash > ~/.local/share/bash-completion/completions/onnx-sap
#[derive(Args)]
pub(super) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// Print the manual page, or write those of all commands
#[derive(Args)]
pub(super) struct ManArgs {
    /// Where a page for each command goes, as in ~/.local/share/man/man1; made where it is not there
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
}

pub(super) fn run(args: &CompletionsArgs, mut command: Command, ui: &Ui) -> Answer {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "onnx-sap", &mut script);
    ui.result(&String::from_utf8_lossy(&script));
    Answer::Yes
}

pub(super) fn man(args: &ManArgs, command: Command, ui: &Ui) -> Result<Answer, Error> {
    match &args.folder {
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(command).render(&mut page).map_err(|error| Error::Usage(error.to_string()))?;
            ui.result(&String::from_utf8_lossy(&page));
        }
        Some(folder) => {
            let written = std::fs::create_dir_all(folder).and_then(|()| clap_mangen::generate_to(command, folder));
            written.map_err(|error| Error::Usage(format!("{} cannot be written: {error}", folder.display())))?;
        }
    }
    Ok(Answer::Yes)
}
