//! The command line: one file a command, and `ui.rs`, the only file of the crate that prints.
//!
//! Exit codes: 0 done; 1 it ran, and the answer is no; 2 it could not run; 130 and 143 it was stopped by SIGINT or SIGTERM.

mod attribute;
mod check;
mod command_line;
mod compare;
mod completions;
mod correct;
mod correction;
mod detect;
mod diff;
mod evidence;
mod forget;
mod golden;
mod grad;
mod inspect;
mod layers;
mod merge;
mod method;
mod options;
mod runtime;
mod score;
mod shard;
mod signals;
mod summary;
mod trust;
mod tune;
mod ui;
mod variant;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, FromArgMatches, Subcommand};
use std::process::ExitCode;
use ui::Ui;

#[derive(Subcommand)]
enum Command {
    Inspect(inspect::InspectArgs),
    Score(Box<score::ScoreArgs>),
    Detect(Box<detect::DetectArgs>),
    Attribute(Box<attribute::AttributeArgs>),
    Compare(Box<compare::CompareArgs>),
    Diff(Box<diff::DiffArgs>),
    Check(Box<check::CheckArgs>),
    #[command(subcommand)]
    Golden(golden::GoldenCommand),
    Grad(Box<grad::GradArgs>),
    Evidence(Box<evidence::EvidenceArgs>),
    Merge(merge::MergeArgs),
    #[command(subcommand)]
    Runtime(runtime::RuntimeCommand),
    Completions(completions::CompletionsArgs),
    Man(completions::ManArgs),
}

#[derive(Args, Clone, Copy)]
struct Verbosity {
    /// Show errors only
    #[arg(long, short, global = true, conflicts_with = "verbose", help_heading = None::<&str>)]
    quiet: bool,
    /// Explain what is going on
    #[arg(long, short, global = true, help_heading = None::<&str>)]
    verbose: bool,
}

/// How a command ended that could run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Answer {
    Yes,
    No,
}

/// What was asked for: the main command, or another by its name.
enum Request {
    Correct(Box<correct::CorrectArgs>),
    Other(Box<Command>),
}

const ABOUT: &str =
    "Corrects an ONNX classifier that was trained on wrong labels: same graph, same names, better weights";

/// The main command's arguments stand beside the names of the other commands, and exclude them.
fn command() -> clap::Command {
    let command = clap::Command::new("onnx-sap")
        .version(env!("CARGO_PKG_VERSION"))
        .args_conflicts_with_subcommands(true)
        .subcommand_negates_reqs(true)
        .arg_required_else_help(true)
        .after_help(options::EXAMPLES)
        .after_long_help(options::long_help());
    Command::augment_subcommands(Verbosity::augment_args(correct::CorrectArgs::augment_args(command)))
        .subcommand_required(false)
        // The groups of arguments have descriptions too, and the last one would stay.
        .about(ABOUT)
}

fn parse() -> Result<(Request, Verbosity), clap::Error> {
    let matches = command().try_get_matches()?;
    let verbosity = Verbosity::from_arg_matches(&matches)?;
    let request = match matches.subcommand() {
        Some(_) => Request::Other(Box::new(Command::from_arg_matches(&matches)?)),
        None => Request::Correct(Box::new(correct::CorrectArgs::from_arg_matches(&matches)?)),
    };
    Ok((request, verbosity))
}

/// Parses the command line, runs the command, and says how it ended.
pub fn main() -> ExitCode {
    let (request, verbosity) = match parse() {
        Ok(parsed) => parsed,
        Err(error) if error.kind() == ErrorKind::DisplayVersion => {
            Ui::new(false, false).result(&runtime::versions());
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            if let Some(ContextValue::String(text)) = error.get(ContextKind::Custom) {
                Ui::new(false, false).result(text);
                return ExitCode::SUCCESS;
            }
            // Help is no error; clap knows which stream it goes to.
            error.exit()
        }
    };
    let ui = Ui::new(verbosity.quiet, verbosity.verbose);
    let result = match request {
        Request::Correct(args) => correct::run(&args, &ui),
        Request::Other(other) => match *other {
            Command::Inspect(args) => inspect::run(&args, &ui),
            Command::Score(args) => score::run(&args, &ui),
            Command::Detect(args) => detect::run(&args, &ui),
            Command::Attribute(args) => attribute::run(&args, &ui),
            Command::Compare(args) => compare::run(&args, &ui),
            Command::Diff(args) => diff::run(&args, &ui),
            Command::Check(args) => check::run(&args, &ui),
            Command::Golden(command) => golden::run(&command, &ui),
            Command::Grad(args) => grad::run(&args, &ui),
            Command::Evidence(args) => evidence::run(&args, &ui),
            Command::Merge(args) => merge::run(&args, &ui),
            Command::Runtime(command) => runtime::run(&command, &ui),
            Command::Completions(args) => Ok(completions::run(&args, command(), &ui)),
            Command::Man(args) => completions::man(&args, command(), &ui),
        },
    };
    ui.close();
    match result {
        Ok(Answer::Yes) => ExitCode::SUCCESS,
        Ok(Answer::No) => ExitCode::from(1),
        Err(error) => {
            ui.error(&error);
            ExitCode::from(error.signal().map_or(2, signals::code))
        }
    }
}
