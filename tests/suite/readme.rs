//! What the README says of the registries is what they say.

use crate::support::repository;
use onnx_sap::layers::{RULES, operator_names};
use std::fmt::Write;

const BEGIN: &str = "<!-- operators: generated from src/layers, checked by the test suite -->\n\n";
const END: &str = "\n<!-- end of operators -->\n";

/// Set to anything, the tests write what they would otherwise miss.
const UPDATE: &str = "UPDATE_README";

/// The operators whose weights are rewritten, one line a rule.
fn operators() -> String {
    let mut table = String::from("| operators | of them |\n| --- | --- |\n");
    for rule in RULES {
        let names = operator_names(*rule).replace(", ", "`, `");
        let _ = writeln!(table, "| `{names}` | {} |", rule.summary());
    }
    table
}

#[test]
fn the_operators_of_the_readme_are_those_of_the_registry() {
    let path = repository("README.md");
    let readme = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = readme.split_once(BEGIN).expect("the README has the mark before the operators");
    let (held, after) = rest.split_once(END).expect("the README has the mark behind the operators");
    let wanted = operators();
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(&path, [before, BEGIN, &wanted, END, after].concat()).unwrap();
        return;
    }
    let advice = format!("write it with `{UPDATE}=1 cargo test --test suite readme`");
    assert!(held == wanted, "the README's table of operators must be\n\n{wanted}\n{advice}");
}
