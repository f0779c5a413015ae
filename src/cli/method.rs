//! `--method NAME`, and `--method list`, which says what there is to know before one is chosen.

use crate::evidence::TrustScore;
use crate::linalg::SCALINGS;
use crate::methods::{self, METHODS, Method, PROJECTIONS};
use clap::builder::{PossibleValue, TypedValueParser};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command, Error};
use std::ffi::OsStr;
use std::fmt::Write;

/// The name that stands for none of them.
const LIST: &str = "list";

/// Reads the name of a method.
#[derive(Clone)]
pub(super) struct MethodParser;

impl TypedValueParser for MethodParser {
    type Value = &'static dyn Method;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<Self::Value, Error> {
        let name = value.to_string_lossy();
        if name == LIST {
            // Nothing else is asked of a command line that asks for this: it is shown in the place of what it would do.
            let mut shown = Error::new(ErrorKind::DisplayHelp);
            shown.insert(ContextKind::Custom, ContextValue::String(list()));
            return Err(shown);
        }
        methods::method(&name).ok_or_else(|| {
            let mut error = Error::new(ErrorKind::InvalidValue).with_cmd(command);
            if let Some(arg) = arg {
                error.insert(ContextKind::InvalidArg, ContextValue::String(arg.to_string()));
            }
            error.insert(ContextKind::InvalidValue, ContextValue::String(name.into_owned()));
            let known = METHODS.iter().map(|method| method.name().to_owned()).chain([LIST.to_owned()]);
            error.insert(ContextKind::ValidValue, ContextValue::Strings(known.collect()));
            error
        })
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let names = METHODS.iter().map(|method| PossibleValue::new(method.name()));
        Some(Box::new(names.chain([PossibleValue::new(LIST)])))
    }
}

/// The options that vary what it computes.
fn variants(method: &dyn Method) -> Option<String> {
    method.of_layers()?;
    let scalings: Vec<&str> = SCALINGS.iter().map(|of| of.name()).collect();
    let scores = TrustScore::NAMES.join("|");
    let mut text = format!("--score {scores}, --scaling {}", scalings.join("|"));
    if !method.forgets() {
        let projections: Vec<&str> = PROJECTIONS.iter().map(|of| of.name()).collect();
        let _ = write!(text, ", --projection {}, --rounds N", projections.join("|"));
    }
    Some(text)
}

/// Every method, and what there is to know of it.
fn list() -> String {
    let mut text = String::new();
    for method in METHODS {
        let about = method.about();
        let _ = writeln!(text, "{}", method.name());
        let facts = [
            ("is", method.summary()),
            ("needs", about.needs),
            ("costs", about.costs),
            ("changes", about.changes),
            ("source", about.source),
        ];
        for (name, fact) in facts {
            let _ = writeln!(text, "  {name:<8} {fact}");
        }
        if let Some(variants) = variants(*method) {
            let _ = writeln!(text, "  {:<8} {variants}", "variants");
        }
        text.push('\n');
    }
    text.truncate(text.trim_end().len());
    text + "\n"
}
