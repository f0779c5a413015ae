//! The command line: one file a command, and `ui.rs`, the only file of the crate that prints.
//!
//! Exit codes: 0 done; 1 it ran, and the answer is no; 2 it could not run.

mod correct;
mod inspect;
mod options;
mod runtime;
mod score;
mod ui;

use crate::error::Error;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use std::process::ExitCode;
use ui::Ui;

/// Corrects an ONNX classifier that was trained on wrong labels: same graph, same names, better weights.
#[derive(Parser)]
#[command(
    name = "onnx-sap",
    version,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    arg_required_else_help = true,
    after_help = options::EXAMPLES,
    after_long_help = options::long_help()
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    correct: Option<correct::CorrectArgs>,
    #[command(flatten)]
    verbosity: Verbosity,
}

#[derive(Subcommand)]
enum Command {
    Inspect(inspect::InspectArgs),
    Score(score::ScoreArgs),
    #[command(subcommand)]
    Runtime(runtime::RuntimeCommand),
}

#[derive(Args, Clone, Copy)]
struct Verbosity {
    /// Show errors only
    #[arg(long, short, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// Explain what is going on
    #[arg(long, short, global = true)]
    verbose: bool,
}

/// How a command ended that could run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Answer {
    Yes,
    No,
}

/// Parses the command line, runs the command, and says how it ended.
pub fn main() -> ExitCode {
    let cli = match Cli::command().try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        // Help and version are no errors; clap knows which stream each goes to.
        Err(error) => error.exit(),
    };
    let ui = Ui::new(cli.verbosity.quiet, cli.verbosity.verbose);
    let result = match (&cli.command, &cli.correct) {
        (Some(Command::Inspect(args)), _) => inspect::run(args, &ui),
        (Some(Command::Score(args)), _) => score::run(args, &ui),
        (Some(Command::Runtime(command)), _) => runtime::run(command, &ui),
        (None, Some(args)) => correct::run(args, &ui),
        (None, None) => Err(Error::Usage("give IN.onnx, OUT.onnx and --data; see `onnx-sap --help`".into())),
    };
    ui.close();
    match result {
        Ok(Answer::Yes) => ExitCode::SUCCESS,
        Ok(Answer::No) => ExitCode::from(1),
        Err(error) => {
            ui.error(&error);
            ExitCode::from(2)
        }
    }
}
