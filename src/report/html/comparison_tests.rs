//! The page of a comparison that was made up: everything is on it, and no name is a part of it.

use super::*;
use crate::engine::{EngineInfo, Passes};
use crate::evidence::Quality;
use crate::model::Model;
use crate::refine::Recipe;
use crate::report::{Accuracies, ForgetSetReport, ModelReport, RunResult, SCHEMA_VERSION, SetReport};
use crate::search::Verdict;
use std::collections::BTreeMap;
use std::path::Path;

const NASTY: &str = "<script>alert(1)</script>&\"'";

fn quality(accuracy: f64) -> Quality {
    Quality { accuracy, mean_loss: 0.5, samples: 60 }
}

fn accuracies(test: f64) -> Accuracies {
    Accuracies { test: quality(test), forget: Some(quality(0.125)), retain: Some(quality(0.875)) }
}

fn run(seed: u64, (test, seconds): (f64, f64)) -> RunReport {
    let ran = RanReport {
        verdict: Verdict::Better,
        unverified: None,
        original_stays: false,
        chosen: Recipe::unchanged(),
        trials: 7,
        validation: Some(quality(0.625)),
        accuracy: accuracies(test),
        seconds,
        passes: Passes { forward: 600, backward: 60 },
        params: BTreeMap::new(),
    };
    RunReport { seed, result: RunResult::Ran(Box::new(ran)) }
}

fn impossible() -> RunReport {
    RunReport { seed: 0, result: RunResult::Impossible { reason: NASTY.to_owned() } }
}

fn report(methods: Vec<(&'static str, Vec<RunReport>)>) -> ComparisonReport {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/weights-everywhere/conv2d.onnx");
    let set = |samples| SetReport { spec: NASTY.to_owned(), samples };
    ComparisonReport {
        schema_version: SCHEMA_VERSION,
        versions: BTreeMap::from([("onnx-sap", "0.0.0".to_owned())]),
        engine: EngineInfo {
            name: "tract",
            version: "0.0.0".to_owned(),
            provider: "tract".to_owned(),
            device: "cpu".to_owned(),
            library: None,
            free_memory: None,
        },
        model: ModelReport::of(&Model::open(&fixtures).unwrap()),
        data: set(120),
        test: set(60),
        validation: "perturbed images".to_owned(),
        forget: ForgetSetReport {
            count: 30,
            of: 120,
            by: ForgetBy::Losses { method: Some("sap"), separates: true },
            ids: Vec::new(),
        },
        original: accuracies(0.5),
        methods: methods.into_iter().map(|(method, runs)| MethodReport::of(method, runs, 120)).collect(),
    }
}

fn usual() -> ComparisonReport {
    report(vec![
        ("sap", vec![run(0, (0.75, 2.0)), run(1, (0.875, 3.0))]),
        ("finetune", vec![run(0, (0.8125, 90.0))]),
        ("influence", vec![impossible()]),
    ])
}

fn rendered(report: &ComparisonReport) -> String {
    let mut page = Vec::new();
    write(report, &format!("onnx-sap compare '{NASTY}'"), &mut page).unwrap();
    String::from_utf8(page).unwrap()
}

/// The part of a page that an element of that id holds, as far as the next figure.
fn part<'p>(page: &'p str, id: &str) -> &'p str {
    let from = page.find(&format!("id=\"{id}\"")).unwrap_or_else(|| panic!("no {id}"));
    page[from..].split("</figure>").next().unwrap()
}

#[test]
fn every_figure_and_section_is_there_once() {
    let page = rendered(&usual());
    for id in FIGURES {
        assert_eq!(page.matches(&format!("id=\"{id}\"")).count(), 1, "{id}");
    }
    for (id, _) in SECTIONS {
        assert!(page.contains(&format!("<section id=\"{id}\"")), "{id}");
    }
}

#[test]
fn a_method_has_a_row_with_its_means_and_a_point_with_its_name() {
    let page = rendered(&usual());
    let (rows, chart) = (part(&page, "fig-methods"), part(&page, "fig-cost"));
    for cell in ["81.2 % ± 8.8", "12.5 % ± 0.0", "2.5 ± 0.7", "5.0 ± 0.0", "+31.2 points", "90.0", "0.5"] {
        assert!(rows.contains(&format!(">{cell}<")), "{cell} in {rows}");
    }
    for (name, points) in [("sap", 1), ("finetune", 1), ("original", 1), ("influence", 0)] {
        assert_eq!(chart.matches(&format!("\n{name}\n")).count(), points, "{name} in {chart}");
    }
    assert!(
        page.contains("The most accurate is sap: 81.2 % of test labels, +31.2 points over the original&#39;s 50.0 %.")
            || page
                .contains("The most accurate is sap: 81.2 % of test labels, +31.2 points over the original's 50.0 %.")
    );
}

#[test]
fn what_cannot_be_had_says_why_and_has_no_numbers() {
    let page = rendered(&usual());
    let row = part(&page, "fig-methods").split("<tr>").find(|row| row.contains("influence")).unwrap();
    assert!(row.contains("cannot be had: &lt;script&gt;") && !row.contains('%'), "{row}");
    let page = rendered(&report(vec![("influence", vec![impossible()])]));
    assert!(part(&page, "fig-cost").contains("class=\"missing\""));
    assert!(page.contains("No method is more accurate on test data than the original"));
}

#[test]
fn names_are_never_a_part_of_the_page() {
    let page = rendered(&usual());
    assert!(!page.contains("<script") && page.contains("&lt;script&gt;"));
    for outside in ["http:", "https:", "src=\"/", "url(", "@import"] {
        assert!(!page.contains(outside), "{outside} in a page that stands alone");
    }
}

#[test]
fn words_in_the_chart_are_apart_and_within() {
    let mut places = [0.70, 0.705, 0.71, 0.99];
    spread(&mut places, 0.05, (0.6, 0.95));
    assert!(places.windows(2).all(|pair| pair[1] - pair[0] > 0.05 - 1e-12), "{places:?}");
    assert!(places.iter().all(|place| (0.6..=0.95).contains(place)), "{places:?}");
    let mut far = [0.1, 0.5, 0.9];
    spread(&mut far, 0.05, (0.0, 1.0));
    assert_eq!(far, [0.1, 0.5, 0.9], "what is apart stays");
}
