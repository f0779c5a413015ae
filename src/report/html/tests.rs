//! A page of a run that was made up: every number on it is one of the report, and nothing that a file or a class is called is
//! taken for a part of the page.

use super::*;
use crate::data::{Content, Preprocessing, SampleId, Transform};
use crate::detect::{Detection, Opinion};
use crate::engine::EngineInfo;
use crate::evidence::{Prediction, Quality, Scores};
use crate::layers::Entry;
use crate::linalg::{Alpha, SCALINGS};
use crate::refine::Recipe;
use crate::report::figures::{Figure, HeldOutFigure, Histogram, LabelsFigure, Role, Spectrum, Suspect, Thumbnail};
use crate::report::{
    CandidateReport, Chosen, DataReport, EngineReport, Held, LabelReport, LayerReport, LayerStatus, ModelReport,
    SCHEMA_VERSION, TrustedReport,
};
use crate::search::{Advantage, Verdict};
use crate::tensor::ElementType;
use ndarray::{ArrayD, IxDyn};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::PathBuf;

const NASTY: &str = "<script>alert(1)</script>&\"'";

fn scores(classes: usize, right: impl Fn(usize) -> bool) -> Scores {
    let prediction = |at: usize| {
        let label = at % classes;
        let predicted = if right(at) { label } else { (label + 1) % classes };
        Prediction { label, predicted, confidence: 0.5, loss: 0.1 }
    };
    Scores { predictions: (0..60).map(prediction).collect(), samples: (0..60).collect(), ..Scores::default() }
}

/// Labels of so many classes, every tenth of which the model does not believe.
fn labels(classes: usize) -> LabelsFigure {
    let opinion = |at: usize| {
        let (label, other) = (at % classes, (at + 1) % classes);
        let wrong = at.is_multiple_of(10);
        let (predicted, mine) = if wrong { (other, 0.05) } else { (label, 0.9) };
        let likely = vec![(predicted, 0.9), (if wrong { label } else { other }, 0.05)];
        Opinion { label, predicted, loss: -f64::ln(mine), self_confidence: mine, margin: 0.0, likely }
    };
    let opinions: Vec<Opinion> = (0..60).map(opinion).collect();
    let found = Detection::of(&opinions, classes);
    let image = image::GrayImage::from_fn(8, 8, |x, y| image::Luma([(x * y * 4) as u8]));
    let suspect = |at: usize| Suspect {
        id: SampleId(format!("{NASTY}/{at}.png")),
        given: opinions[at].label,
        suggested: opinions[at].predicted,
        loss: opinions[at].loss,
        thumbnail: Thumbnail::of(&image.clone().into()),
    };
    let set = crate::data::Spec::parse(&format!("npz:{}", fixture("data.npz").display()), Path::new("."))
        .unwrap()
        .open()
        .unwrap();
    LabelsFigure {
        quality: Quality { accuracy: 0.9, mean_loss: 0.4, samples: 60 },
        suspects: Detection::worst_first(&opinions).into_iter().filter(|at| found.is_issue[*at]).map(suspect).collect(),
        labels: LabelReport::of(set.as_ref(), classes, &opinions, &found),
    }
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/weights-everywhere").join(name)
}

fn figures(classes: usize) -> Figures {
    let names = (0..classes).map(|class| if class == 1 { NASTY.to_owned() } else { format!("class {class}") });
    let (before, after) = (scores(classes, |at| at % 3 > 0), scores(classes, |at| at % 10 > 0));
    let losses = |marked: f64| {
        Histogram::of((1..=60).map(|at| 10_f64.powf(f64::from(at) / 20.0 - 2.0)).map(|loss| (loss, loss < marked)))
    };
    let spectrum = Spectrum::of("fc.weight".to_owned(), Alpha::new(300.0), SCALINGS[0], &[vec![0.7, 0.2, 0.09, 0.01]]);
    Figures {
        command: format!("onnx-sap in.onnx out.onnx --data '{NASTY}'"),
        class_names: names.collect(),
        held_out: Figure::Shown(HeldOutFigure::of((Role::Test, "npz:test.npz".to_owned()), classes, &before, &after)),
        losses_before: Figure::Shown(losses(0.1)),
        losses_after: losses(0.5),
        labels: labels(classes),
        spectra: Figure::Shown(vec![spectrum.clone(), spectrum]),
    }
}

fn layer(at: usize) -> LayerReport {
    let rewritten = at < 2;
    let entry = Entry {
        weight: Some(format!("{NASTY}.{at}")),
        op: "Gemm".to_owned(),
        shape: Some(vec![10, 4]),
        dim: Some(4),
        reason: (!rewritten).then(|| "nothing meets it".to_owned()),
        ..Entry::default()
    };
    let status = if rewritten { LayerStatus::Rewritten } else { LayerStatus::Skipped };
    let (rows, effective_rank) = (rewritten.then_some(1234), rewritten.then_some(2.75));
    let (moment_loss, relative_change) = (None, rewritten.then_some(0.125 + at as f64 / 8.0));
    LayerReport { entry, status, rows, effective_rank, moment_loss, relative_change }
}

fn report() -> Report {
    let quality = |accuracy: f64, samples: usize| Quality { accuracy, mean_loss: 1.25, samples };
    let info = EngineInfo {
        name: "tract",
        version: "1.2.3".to_owned(),
        provider: "tract".to_owned(),
        device: "cpu".to_owned(),
        library: None,
        free_memory: None,
    };
    let model = ModelReport {
        path: PathBuf::from(format!("models/{}.onnx", NASTY.replace('/', ""))),
        sha256: "ab".repeat(32),
        opset: 20,
        opsets: BTreeMap::new(),
        ir_version: 8,
        bytes: 12_345,
        external: BTreeMap::new(),
        inputs: Vec::new(),
        outputs: Vec::new(),
    };
    let values = Content::Values(ArrayD::zeros(IxDyn(&[4])));
    let preprocessing =
        Transform::resolve(&Preprocessing::default(), ElementType::Float32, &[Some(4)], &values).unwrap();
    let recipe = |alpha: f64| Recipe::plain(Alpha::new(alpha).unwrap());
    let candidate = |(alpha, accuracy): (f64, f64)| CandidateReport {
        recipe: recipe(alpha),
        val_accuracy: Some(accuracy),
        val_loss: Some(1.5),
        val_samples: 40,
        complete: alpha < 5000.0,
    };
    Report {
        schema_version: SCHEMA_VERSION,
        versions: BTreeMap::from([("onnx-sap", "0.0.0".to_owned())]),
        engine: EngineReport { info, nodes_on_cpu: None },
        model,
        data: DataReport {
            spec: "npz:train.npz".to_owned(),
            samples: 60,
            classes: 3,
            class_names: None,
            sha256: "cd".repeat(32),
            preprocessing,
            further_inputs: BTreeMap::new(),
            quarantined: Vec::new(),
        },
        params: BTreeMap::from([("alpha", json!([300, 3000])), ("dry_run", json!(true)), ("val", json!(NASTY))]),
        scores: quality(0.99, 60),
        trusted: TrustedReport {
            count: 30,
            selection: "balanced".to_owned(),
            ids: Vec::new(),
            per_class: vec![10; 3],
            near_cut: Vec::new(),
        },
        unlabeled: None,
        forgotten: None,
        layers: (0..3).map(layer).collect(),
        candidates: [(300.0, 0.8), (3000.0, 0.75), (30_000.0, 0.6)].map(candidate).to_vec(),
        chosen: Chosen {
            recipe: recipe(300.0),
            verdict: Verdict::Better,
            advantage: Advantage { accuracy: 0.2, standard_error: 0.05 },
            runner_up: None,
        },
        before: Held { validation: Some(quality(0.6, 40)), test: Some(quality(40.0 / 60.0, 60)) },
        after: Held { validation: Some(quality(0.8, 40)), test: Some(quality(54.0 / 60.0, 60)) },
        held_out_quarantined: BTreeMap::new(),
        verify: None,
        output: None,
        seconds: BTreeMap::from([("load", 1.5), ("search", 2.25)]),
        moments_passes: 1,
        passes: crate::engine::Passes { forward: 740, backward: 0 },
        rounds: Vec::new(),
        peak_rss_bytes: Some(300 << 20),
        figures: None,
    }
}

fn rendered(report: &Report, figures: &Figures) -> String {
    let mut page = Vec::new();
    write(report, figures, &mut page).unwrap();
    String::from_utf8(page).unwrap()
}

/// The part of a page that an element of that id holds, as far as the next figure.
fn part<'p>(page: &'p str, id: &str) -> &'p str {
    let from = page.find(&format!("id=\"{id}\"")).unwrap_or_else(|| panic!("no {id}"));
    page[from..].split("</figure>").next().unwrap()
}

/// What a person reads: no tags, one line for each piece of text.
fn words(page: &str) -> Vec<String> {
    let body = &page[page.find("<body>").unwrap()..];
    let pieces = body.split('<').filter_map(|piece| piece.split_once('>')).map(|(_, text)| text.trim());
    pieces.filter(|text| !text.is_empty()).map(str::to_owned).collect()
}

#[test]
fn every_figure_is_there() {
    let page = rendered(&report(), &figures(3));
    for id in FIGURES {
        assert_eq!(page.matches(&format!("id=\"{id}\"")).count(), 1, "{id}");
    }
    assert_eq!(page.matches("class=\"missing\"").count(), 1, "only what was verified is missing");
    for (id, _) in SECTIONS {
        assert!(page.contains(&format!("<section id=\"{id}\"")), "{id}");
    }
}

#[test]
fn what_is_missing_says_why_in_its_place() {
    let mut figures = figures(3);
    figures.held_out = Figure::missing("No held-out <data>.");
    figures.losses_before = Figure::missing("Nobody scored.");
    figures.spectra = Figure::missing("No spectrum.");
    let mut report = report();
    report.before = Held { validation: None, test: None };
    report.after = report.before;
    report.candidates.iter_mut().for_each(|candidate| candidate.val_accuracy = None);
    let page = rendered(&report, &figures);
    for (id, reason) in [
        ("fig-accuracy", "No held-out &lt;data&gt;."),
        ("fig-classes", "No held-out &lt;data&gt;."),
        ("fig-confusion", "No held-out &lt;data&gt;."),
        ("fig-losses", "Nobody scored."),
        ("fig-spectra", "No spectrum."),
        ("fig-candidates", "Nothing was compared"),
        ("fig-verified", "nothing to verify"),
    ] {
        let part = part(&page, id);
        assert!(part.contains("class=\"missing\"") && part.contains(reason), "{id}: {part}");
    }
    assert!(part(&page, "fig-headline").contains("unknown"));
}

#[test]
fn names_are_never_a_part_of_the_page() {
    for classes in [3, 30] {
        let page = rendered(&report(), &figures(classes));
        assert!(!page.contains("<script") && !page.contains("alert(1)</"), "{classes} classes");
        assert!(page.contains("&lt;script&gt;"));
        for outside in ["http:", "https:", "src=\"/", "url(", "@import"] {
            assert!(!page.contains(outside), "{outside} in a page that stands alone");
        }
        assert!(page.contains("content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\""));
    }
}

#[test]
fn confusion_matrices_hold_the_counts_of_the_report() {
    let figures = figures(3);
    let page = rendered(&report(), &figures);
    let cells = |part: &str| -> Vec<usize> {
        let cells = part.split("<td").skip(1).filter_map(|cell| cell.split_once('>')?.1.split('<').next());
        cells.filter_map(|cell| cell.parse().ok()).collect()
    };
    let confusion = figures.held_out.shown().unwrap().confusion.as_ref().unwrap();
    let all: Vec<usize> = confusion.before.iter().chain(&confusion.after).flatten().copied().collect();
    assert_eq!(cells(part(&page, "fig-confusion")), all);
    assert_eq!(all.iter().sum::<usize>(), 120);
}

#[test]
fn the_headline_is_what_the_report_says() {
    let figures = figures(3);
    let page = rendered(&report(), &figures);
    let headline = words(&format!("<body>{}", part(&page, "fig-headline"))).join(" ");
    for number in [
        "66.7 %",
        "90.0 %",
        "+23.3 points on 60 samples",
        "labels likely wrong 6 10.0 % of 60",
        "rewritten 2 of 3 weights",
    ] {
        assert!(headline.contains(number), "{number} in {headline}");
    }
    assert_eq!(figures.labels.labels.issues, 6);
}

#[test]
fn matrices_of_many_classes_become_lists() {
    let page = rendered(&report(), &figures(30));
    assert!(!page.contains("class=\"matrix\""));
    for (id, says) in [("fig-confusion", "most frequent mistakes"), ("fig-transition", "taken for each other")] {
        assert!(part(&page, id).contains(says), "{id}");
    }
}

#[test]
fn the_verdict_tells_how_the_run_ended() {
    let mut report = report();
    report.chosen.verdict = Verdict::NotBetter;
    assert!(verdict::sentence(&report).starts_with("No correction beats the original. Nothing is written."));
    report.output = Some(crate::report::OutputReport { path: "out.onnx".into(), sha256: String::new(), compact: None });
    assert_eq!(verdict::sentence(&report), "No correction beats the original. The corrected model is written.");
    report.chosen.verdict = Verdict::Better;
    report.output = None;
    assert!(verdict::sentence(&report).ends_with("It failed its verification, and nothing is written."));
}

#[test]
fn a_person_reads() {
    let page = rendered(&report(), &figures(3));
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.add_filter(r"\d+\.\d+\.\d+", "[version]");
    settings.add_filter(r"\d+(,\d{3})*(\.\d+)?", "N");
    settings.bind(|| insta::assert_snapshot!("page", words(&page).join("\n")));
}
