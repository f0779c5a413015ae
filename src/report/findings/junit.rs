//! The XML of `JUnit`, which CI servers show as tests: a test case a finding. What could not be checked is an error.

use super::{CheckReport, Format};
use crate::check::{Finding, Status};
use crate::error::Error;
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

/// See the head of this file.
pub(super) struct JUnit;

impl Format for JUnit {
    fn name(&self) -> &'static str {
        "junit"
    }

    fn extension(&self) -> Option<&'static str> {
        Some("xml")
    }

    fn render(&self, report: &CheckReport) -> Result<String, Error> {
        let mut suite = TestSuite::new(report.candidate.path.display().to_string());
        suite.add_test_cases(report.findings.iter().map(test_case));
        let mut all = Report::new("onnx-sap check");
        all.add_test_suite(suite);
        let text = all.to_string().map_err(|error| Error::Usage(error.to_string()))?;
        Ok(text.trim_end().to_owned() + "\n")
    }
}

fn test_case(finding: &Finding) -> TestCase {
    let kind = match finding.status {
        Status::Pass | Status::Noted => None,
        Status::Fail => Some(NonSuccessKind::Failure),
        Status::NotChecked => Some(NonSuccessKind::Error),
    };
    let mut status = kind.map_or_else(TestCaseStatus::success, TestCaseStatus::non_success);
    status.set_message(finding.message.as_str());
    if kind.is_some() {
        status.set_type(finding.rule);
    }
    let engine = finding.engine.as_ref().map(|engine| format!("[{engine}]"));
    let parts = [Some(finding.rule), Some(finding.subject.as_str()).filter(|part| !part.is_empty()), engine.as_deref()];
    let name: Vec<&str> = parts.into_iter().flatten().collect();
    let mut case = TestCase::new(name.join(" "), status);
    case.set_classname("onnx-sap.check");
    if kind.is_none() {
        case.set_system_out(finding.message.as_str());
    }
    case
}

#[cfg(test)]
mod tests {
    use super::super::tests::example;
    use super::*;

    #[test]
    fn failures_and_what_was_not_checked_are_counted() {
        let text = JUnit.render(&example()).unwrap();
        assert!(
            text.contains(r#"tests="4""#) && text.contains(r#"failures="1""#) && text.contains(r#"errors="1""#),
            "{text}"
        );
        assert!(text.contains("&lt;") && !text.contains("<\""), "{text}");
    }
}
