//! Every rule on every engine: the second moments that `evidence/` collects through an instrumented model, and the
//! matrix that `layers/` makes of a weight, against rows that are gathered here index by index from the definition.

mod case;
mod cases;

use case::{Case, Outputs, SAMPLES};
use cases::{cases, conv, window};
use ndarray::{ArrayD, Axis};
use onnx_sap::data::{Content, DataError, DataSet, Preprocessing, Route, SampleId, Stream};
use onnx_sap::engine::{Computes, Device, Engine, EngineName, Runnable, choose};
use onnx_sap::evidence::{Inputs, Moments, NoKeeper, Pass, Precision, RowLimit, Shard, collect};
use onnx_sap::layers::{Layer, Ledger, RULES, Selection};
use onnx_sap::model::{Classifier, GraphIndex, Interface, Model};
use onnx_sap::progress::Silent;
use onnx_sap::tensor::{ElementType, Tensor};
use std::collections::BTreeSet;

/// The samples of a case, as data.
struct Held(ArrayD<f64>);

impl DataSet for Held {
    fn len(&self) -> usize {
        self.0.shape()[0]
    }

    fn class_names(&self) -> Option<&[String]> {
        None
    }

    fn id(&self, index: usize) -> SampleId {
        SampleId(index.to_string())
    }

    fn label(&self, _: usize) -> usize {
        0
    }

    fn content(&self, index: usize) -> Result<Content, DataError> {
        Ok(Content::Values(self.0.index_axis(Axis(0), index).mapv(|value| value as f32)))
    }
}

fn engines() -> Vec<Box<dyn Engine>> {
    let engine = |name| choose(name, Device::Cpu, None, &Silent).unwrap().engine;
    vec![engine(EngineName::Ort), engine(EngineName::Tract)]
}

/// ONNX Runtime's CPU provider has no kernel for convolutions of float64; tract runs them, but not the operators that
/// ONNX Runtime makes of others. tract 0.23.9 computes something else where the equation of an Einsum has an ellipsis.
fn is_missing(case: &Case, engine: &dyn Engine) -> bool {
    match engine.info().name {
        "onnxruntime" => case.op == "Conv" && case.element == ElementType::Float64,
        _ => case.domain() == "com.microsoft" || case.name == "einsum with an ellipsis",
    }
}

/// A case as the library sees it.
struct Opened<'a> {
    graph: &'a GraphIndex<'a>,
    layers: &'a [Layer],
    classifier: &'a Classifier,
    stream: Stream<'a>,
}

fn open(case: &Case, work: impl FnOnce(&Opened<'_>)) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("case.onnx");
    std::fs::write(&path, case.model()).unwrap();
    let model = Model::open(&path).unwrap();
    let graph = GraphIndex::new(&model).unwrap();
    let ledger = Ledger::survey(&graph, &Selection::default()).unwrap();
    assert_eq!(ledger.layers.len(), 1, "{}: {:?}", case.name, ledger.skipped);
    let classifier = Classifier::of(&graph, &Interface::default()).unwrap();
    let set = Held(case.x());
    let input = &classifier.data[0];
    let input = (input.name.as_str(), input.element, input.sample.as_slice());
    let routes = [Route::resolve(input, &Preprocessing::default(), 0, &set.content(0).unwrap()).unwrap()];
    let stream = Stream { set: &set, routes: &routes, perturbation: None };
    work(&Opened { graph: &graph, layers: &ledger.layers, classifier: &classifier, stream });
}

impl Opened<'_> {
    fn moments(&self, engine: &dyn Engine, rows: RowLimit, seed: u64, batch: Option<usize>) -> Moments<'static> {
        let samples: Vec<usize> = (0..SAMPLES).collect();
        let (shard, inputs, precision) = (Shard::WHOLE, Inputs::All, Precision::Float64);
        let pass = Pass { stream: self.stream, samples: &samples, shard, rows, seed, precision, batch, inputs };
        let sums = collect(engine, self.graph, self.classifier, self.layers, &pass, &mut NoKeeper, &Silent).unwrap();
        Moments::of(self.layers, sums).unwrap()
    }
}

/// The rows times the weight's matrix are what the engine computes.
fn check_matrix(case: &Case, opened: &Opened<'_>, engine: &dyn Engine) {
    let layer = &opened.layers[0];
    let rows = case.rows();
    let matrices = layer.matrix.matrices(&opened.graph.model().values(&layer.weight).unwrap());
    let model = opened.graph.model();
    let mut session = engine
        .load(Runnable { bytes: model.bytes().clone(), folder: model.folder(), computes: Computes::Outputs })
        .unwrap();
    let x = Tensor::from_f32(&case.x().mapv(|value| value as f32), case.element);
    let y: Vec<f64> = session.run(&[("x", &x)], &["y"]).unwrap().remove(0).to_f64().iter().copied().collect();
    let (count, outputs, per_sample) = (rows[0].nrows(), matrices[0].nrows(), rows[0].nrows() / SAMPLES);
    for (group, (rows, matrix)) in rows.iter().zip(&matrices).enumerate() {
        for ((row, output), &wanted) in rows.dot(&matrix.t()).indexed_iter() {
            let at = match case.outputs {
                Outputs::Last => row * outputs + output,
                Outputs::First => output * count + row,
                Outputs::Stack => {
                    let before = (row / per_sample * matrices.len() + group) * per_sample + row % per_sample;
                    before * outputs + output
                }
                Outputs::Spread { kernel } => {
                    let (sample, position) = (row / per_sample, row % per_sample);
                    let channel = (sample * matrices.len() + group) * (outputs / kernel) + output / kernel;
                    (channel * per_sample + position) * kernel + output % kernel
                }
                Outputs::Unseen => continue,
                Outputs::Second => {
                    let map = (row / per_sample) * matrices.len() * outputs + group * outputs + output;
                    map * per_sample + row % per_sample
                }
            };
            let tolerance = 16.0 * case.element.epsilon() * (1.0 + wanted.abs());
            let label = format!("{} on {}", case.name, engine.info().name);
            assert!((y[at] - wanted).abs() <= tolerance, "{label}: y[{at}] = {}, not {wanted}", y[at]);
        }
    }
}

/// The moment is the sum over the rows, whatever the batch size is.
fn check_moment(case: &Case, opened: &Opened<'_>, engine: &dyn Engine) {
    let rows = case.rows();
    for batch in [None, Some(1), Some(2)] {
        let moments = opened.moments(engine, RowLimit::All, 0, batch);
        let label = format!("{} on {}", case.name, engine.info().name);
        assert_eq!(moments.rows(0), rows[0].nrows(), "{label}");
        for (sum, rows) in moments.sums(0).unwrap().iter().zip(&rows) {
            let wanted = rows.t().dot(rows);
            let difference = (sum - &wanted).iter().fold(0.0, |most: f64, difference| most.max(difference.abs()));
            assert!(difference <= 1e-12 * wanted.diag().sum(), "{label}: the moment is off by {difference}");
        }
    }
}

#[test]
fn moments_and_matrices_are_those_of_the_definition_on_every_engine() {
    for engine in engines() {
        for case in cases().iter().filter(|case| !is_missing(case, engine.as_ref())) {
            open(case, |opened| {
                check_matrix(case, opened, engine.as_ref());
                check_moment(case, opened, engine.as_ref());
            });
        }
    }
}

#[test]
fn every_rule_has_a_case() {
    let tried: BTreeSet<&str> = cases().iter().map(|case| case.op).collect();
    let rules: BTreeSet<&str> =
        RULES.iter().flat_map(|rule| rule.operators()).map(|operator| operator.op_type).collect();
    assert_eq!(tried, rules);
}

#[test]
fn drawn_rows_are_the_same_on_every_engine_and_at_every_batch_size() {
    let case = conv("conv", &[3, 6, 5], &[4, 3, 3, 2], window(1, &[1, 1], &[1, 1], &[0, 0], &[0, 0]));
    open(&case, |opened| {
        let engines = engines();
        let drawn = |engine: &dyn Engine, seed, batch| {
            let moments = opened.moments(engine, RowLimit::AtMost(17), seed, batch);
            assert_eq!(moments.rows(0), 17);
            moments.sums(0).unwrap().remove(0)
        };
        let first = drawn(engines[0].as_ref(), 1, None);
        for engine in &engines {
            for batch in [None, Some(1), Some(3)] {
                let again = drawn(engine.as_ref(), 1, batch);
                assert!((&again - &first).iter().all(|difference| difference.abs() < 1e-12 * first.diag().sum()));
            }
        }
        assert!((drawn(engines[0].as_ref(), 2, None) - first).iter().any(|difference| difference.abs() > 1e-3));
    });
}
