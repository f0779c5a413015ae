//! Workflow commands of GitHub Actions, which it shows as annotations of a commit.
//!
//! Source: "Workflow commands for GitHub Actions", the escapes as its toolkit has them.

use super::{CheckReport, Format};
use crate::check::{Finding, Status, Verdict};
use crate::error::Error;
use std::fmt::Write;

/// See the head of this file.
pub(super) struct GitHub;

impl Format for GitHub {
    fn name(&self) -> &'static str {
        "github"
    }

    fn extension(&self) -> Option<&'static str> {
        None
    }

    fn render(&self, report: &CheckReport) -> Result<String, Error> {
        let file = property(&report.candidate.path.display().to_string());
        let mut text = String::new();
        for finding in &report.findings {
            let command = match finding.status {
                Status::Pass => continue,
                Status::Noted => "notice",
                Status::NotChecked | Status::Fail => "error",
            };
            let title = property(&title(finding));
            let _ = writeln!(text, "::{command} file={file},title={title}::{}", message(&finding.message));
        }
        if report.verdict == Verdict::Pass {
            let passed = report.findings.iter().filter(|finding| finding.status == Status::Pass).count();
            let _ = writeln!(text, "::notice file={file},title=onnx-sap check::{passed} checks passed");
        }
        Ok(text)
    }
}

fn title(finding: &Finding) -> String {
    let engine = finding.engine.as_ref().map_or_else(String::new, |engine| format!(" [{engine}]"));
    let unchecked = if finding.status == Status::NotChecked { ", not checked" } else { "" };
    format!("onnx-sap check: {} {}{engine}{unchecked}", finding.rule, finding.subject)
}

/// A text behind `::`. Control characters would end the line or colour the log.
fn message(text: &str) -> String {
    let text: String = text.chars().filter(|character| *character == '\n' || !character.is_control()).collect();
    text.replace('%', "%25").replace('\n', "%0A")
}

/// A text before `::`.
fn property(text: &str) -> String {
    message(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::super::tests::example;
    use super::*;

    #[test]
    fn a_finding_is_one_line_whatever_it_says() {
        let text = GitHub.render(&example()).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert!(lines[0].starts_with("::error file=models/a%2Cb%3Ac.onnx,title=onnx-sap check%3A outputs "), "{text}");
        assert!(lines[0].ends_with("::50 %25 <\"&'>[31m%0Aof ::error"), "{text}");
        assert!(lines[1].contains("not checked::no labels") && lines[2].starts_with("::notice "), "{text}");
    }
}
