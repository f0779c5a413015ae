//! The README's table of operators is that of the registry.

use crate::support::repository;
use onnx_sap::layers::RULES;
use std::fmt::Write;

const BEGIN: &str = "<!-- operators: from src/layers, checked by the tests -->\n";
const END: &str = "<!-- /operators -->";

/// `Conv`, or `FusedConv (com.microsoft)`.
fn table() -> String {
    let mut table = String::from("\n| operators | what is projected |\n| --- | --- |\n");
    for rule in RULES {
        let name = |operator: &onnx_sap::layers::Operator| match operator.domain {
            "" => operator.op_type.to_owned(),
            domain => format!("{} ({domain})", operator.op_type),
        };
        let names: Vec<String> = rule.operators().iter().map(name).collect();
        let _ = writeln!(table, "| {} | {} |", names.join(", "), rule.summary());
    }
    table + "\n"
}

/// `UPDATE_README=1 cargo test` writes the table that this test wants.
#[test]
fn the_table_of_operators_is_that_of_the_registry() {
    let path = repository("README.md");
    let readme = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = readme.split_once(BEGIN).expect("the README has a place for the table");
    let (found, after) = rest.split_once(END).expect("the place has an end");
    if std::env::var_os("UPDATE_README").is_some() {
        return std::fs::write(&path, format!("{before}{BEGIN}{}{END}{after}", table())).unwrap();
    }
    assert_eq!(found, table(), "run it with UPDATE_README=1");
}
