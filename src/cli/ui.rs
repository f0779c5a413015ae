//! The only file that prints: results on stdout, progress and messages on stderr.

#![expect(clippy::print_stderr, reason = "this is where printing belongs")]

use super::signals::Signals;
use crate::error::sentence;
use crate::progress::{Observer, Signal};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use std::error::Error;
use std::io::{IsTerminal, Write, stderr, stdout};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Where everything that a person sees goes through.
pub(super) struct Ui {
    quiet: bool,
    verbose: bool,
    bar: Mutex<Option<ProgressBar>>,
    signals: Signals,
}

impl Ui {
    pub(super) fn new(quiet: bool, verbose: bool) -> Self {
        Self { quiet, verbose, bar: Mutex::new(None), signals: Signals::listen() }
    }

    fn bar(&self) -> MutexGuard<'_, Option<ProgressBar>> {
        self.bar.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Prints what the command was asked for.
    #[expect(clippy::unused_self, reason = "whoever prints has been given the right to")]
    pub(super) fn result(&self, text: &str) {
        // That nobody reads it, as behind `| head`, is no failure of the command.
        let _ = stdout().lock().write_all(text.as_bytes());
    }

    /// Prints it as JSON.
    pub(super) fn json(&self, what: &impl serde::Serialize) -> Result<(), crate::error::Error> {
        let json = serde_json::to_string_pretty(what).map_err(|error| crate::error::Error::Usage(error.to_string()))?;
        self.result(&(json + "\n"));
        Ok(())
    }

    /// Prints a summary, which `--quiet` leaves out.
    pub(super) fn summary(&self, text: &str) {
        if !self.quiet {
            self.result(text);
        }
    }

    /// Prints an error and its causes on one line.
    pub(super) fn error(&self, error: &dyn Error) {
        self.line(&format!("error: {}", sentence(error)));
    }

    /// Prints a message, which `--quiet` leaves out.
    pub(super) fn say(&self, message: &str) {
        if !self.quiet {
            self.line(message);
        }
    }

    /// Prints the answer where it is no.
    pub(super) fn refusal(&self, reason: &str) {
        self.line(&format!("onnx-sap: {}", reason.replace(['\n', '\r'], " ")));
    }

    fn line(&self, text: &str) {
        match self.bar().as_ref() {
            Some(bar) if !bar.is_hidden() => bar.suspend(|| eprintln!("{text}")),
            _ => eprintln!("{text}"),
        }
    }

    /// Takes an unfinished progress bar off the screen.
    pub(super) fn close(&self) {
        if let Some(bar) = self.bar().take() {
            bar.finish_and_clear();
        }
    }
}

impl Observer for Ui {
    fn begin(&self, phase: &str, steps: usize, unit: &str) {
        if self.quiet || steps == 0 || !stderr().is_terminal() {
            return;
        }
        let template = format!("{{prefix:>15}} {{wide_bar}} {{pos}}/{{len}} {unit}  {{rate}}  {{eta}} left");
        let style = ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let style = style.with_key("rate", |state: &ProgressState, line: &mut dyn std::fmt::Write| {
            let rate = state.per_sec();
            let digits = if rate < 10.0 { 2 } else { 0 };
            let _ = write!(line, "{rate:.digits$}/s");
        });
        let bar = ProgressBar::with_draw_target(Some(steps as u64), ProgressDrawTarget::stderr());
        bar.set_style(style);
        bar.set_prefix(phase.to_owned());
        if let Some(old) = self.bar().replace(bar) {
            old.finish_and_clear();
        }
    }

    fn advance(&self, steps: usize) {
        if let Some(bar) = self.bar().as_ref() {
            let position = bar.position() + steps as u64;
            // A search can take more steps than were foreseen.
            if bar.length().is_some_and(|length| length < position) {
                bar.set_length(position);
            }
            bar.inc(steps as u64);
        }
    }

    fn end(&self) {
        self.close();
    }

    fn warn(&self, message: &str) {
        if !self.quiet {
            self.line(&format!("warning: {message}"));
        }
    }

    fn stopped(&self) -> Option<Signal> {
        self.signals.came()
    }

    fn note(&self, message: &str) {
        if self.verbose {
            self.line(message);
        }
    }
}

/// A table whose columns align, without rules: `right` says which columns hold numbers.
pub(super) fn table(header: &[&str], right: &[usize], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_header(header.to_vec());
    for row in rows {
        table.add_row(row);
    }
    for &column in right {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(comfy_table::CellAlignment::Right);
        }
    }
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    format!("{}\n", lines.join("\n"))
}

/// `64×3×7×7`.
pub(super) fn shape_text(shape: &[usize]) -> String {
    shape.iter().map(ToString::to_string).collect::<Vec<_>>().join("×")
}

/// `12.3 %`.
pub(super) fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}
