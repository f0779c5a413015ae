//! What trains with losses against wrong labels, what averages, follows a teacher or dampens, against torch's in float64
//! (`fixtures/tuning/build.py`).

use crate::oracle::{npz, record, unpacked};
use crate::support::{model, repository};
use ndarray::{ArrayD, Axis, IxDyn, Slice};
use onnx_sap::autodiff::{Criterion, CrossEntropy, Loss, Targets, parameters};
use onnx_sap::data::{Preprocessing, Spec};
use onnx_sap::engine::ort::OrtEngine;
use onnx_sap::engine::{Device, runtime};
use onnx_sap::evidence::{Forward, Scores};
use onnx_sap::model::{Classifier, GraphIndex, Interface, Link, Model};
use onnx_sap::pipeline::Prepared;
use onnx_sap::progress::Silent;
use onnx_sap::tensor::{ElementType, NamedTensor, Tensor};
use onnx_sap::train::{
    Averaged, EarlyLearning, Generalized, HeldAgainst, Optimizer, Sgd, Symmetric, Taken, Teacher, Trainer, Training,
};
use onnx_sap::tune::{Dampen, Ground, Opinions, Tuning};
use std::collections::BTreeMap;
use std::path::Path;

const SAMPLES: usize = 16;

const STEPS: usize = 12;

/// Of a tensor's entries every n-th is stored, so that there are about so many.
const ENTRIES: usize = 200;

/// How far weights may be from torch's in float64, as a share of the norm of what is stored of them.
const TOLERANCE: f64 = 1e-4;

const SGD: Sgd = Sgd { momentum: 0.9, weight_decay: 1e-3, nesterov: false };

type Expected = BTreeMap<String, ArrayD<f64>>;

fn expected() -> Expected {
    npz::read(&repository("fixtures/tuning/expected.npz"))
}

fn onnx_runtime() -> OrtEngine {
    let library = runtime::locate(&Silent, true).expect("the tests need ONNX Runtime").path;
    OrtEngine::open(&library, Device::Cpu, Some(2)).unwrap()
}

fn images() -> ArrayD<f64> {
    let pixels = unpacked("fixtures/fashion-noisy/train-images-idx3-ubyte.gz", 16);
    let count = SAMPLES * STEPS;
    let values = pixels[..count * 784].iter().map(|&pixel| f64::from((f32::from(pixel) / 255.0 - 0.286) / 0.353));
    ArrayD::from_shape_vec(IxDyn(&[count, 1, 28, 28]), values.collect()).unwrap()
}

fn labels() -> ArrayD<f64> {
    let labels = unpacked("fixtures/fashion-noisy/train-labels-idx1-ubyte.gz", 8);
    let count = SAMPLES * STEPS;
    ArrayD::from_shape_vec(IxDyn(&[count]), labels[..count].iter().map(|&label| f64::from(label)).collect()).unwrap()
}

/// A batch of an array whose rows are samples.
fn batch(of: &ArrayD<f64>, step: usize, element: ElementType) -> Tensor {
    let range = step * SAMPLES..(step + 1) * SAMPLES;
    Tensor::from_f64(&of.slice_axis(Axis(0), Slice::from(range)).to_owned(), element)
}

/// The mlp, and what it says of the samples before it learns anything.
struct Subject {
    model: Model,
    engine: OrtEngine,
    said: ArrayD<f64>,
}

impl Subject {
    fn new() -> Self {
        let (model, engine) = (Model::open(&model("mlp")).unwrap(), onnx_runtime());
        let classifier = Classifier::of(&GraphIndex::new(&model).unwrap(), &Interface::default()).unwrap();
        let mut forward = Forward::load(&engine, &classifier, model.bytes(), model.folder()).unwrap();
        let tensor = Tensor::from_f64(&images(), ElementType::Float32);
        let said = forward.scores(&[NamedTensor { name: "input".into(), tensor }]).unwrap();
        Self { model, engine, said: said.rows.into_dyn() }
    }

    /// The probabilities at a temperature.
    fn probabilities(&self, temperature: f64) -> ArrayD<f64> {
        let mut found = self.said.mapv(|score| (score / temperature).exp());
        found.axis_iter_mut(Axis(0)).for_each(|mut row| row /= row.sum());
        found
    }

    fn trainer(&self, criterion: &dyn Criterion, optimizer: &dyn Optimizer) -> Trainer {
        let training = Training {
            scores: "logits",
            loss: Loss { link: Link::Softmax, targets: Targets::Labels, weighted: false, criterion },
            optimizer,
            most_norm: None,
            parameters: &parameters(&GraphIndex::new(&self.model).unwrap()),
            extents: &BTreeMap::new(),
        };
        Trainer::new(&self.model, &self.engine, &training).unwrap()
    }

    /// Takes every step, and gives the parameters and what was to be remembered.
    fn trained(
        mut trainer: Trainer,
        memory: Option<&ArrayD<f64>>,
        dials: impl Fn(usize) -> Vec<f64>,
    ) -> (Vec<NamedTensor>, Vec<Option<Tensor>>) {
        let (images, labels) = (images(), labels());
        let step = |step: usize| {
            let (inputs, targets) =
                (batch(&images, step, ElementType::Float32), batch(&labels, step, ElementType::Int64));
            let memory = memory.map(|memory| batch(memory, step, ElementType::Float32));
            let dials = dials(step);
            let held = HeldAgainst { memory: memory.as_ref(), dials: &dials, ..HeldAgainst::targets(&targets) };
            let Taken { remembered, .. } = trainer.step(&[("input", &inputs)], &held, 0.02).unwrap();
            remembered
        };
        let remembered = (0..STEPS).map(step).collect();
        (trainer.parameters().unwrap(), remembered)
    }
}

/// The largest distance of a parameter from what is stored of it, as a share of the norm of that.
fn distance(name: &str, found: &[NamedTensor], expected: &Expected) -> f64 {
    let of = |parameter: &NamedTensor| {
        let wanted = &expected[&format!("{name}/{}", parameter.name)];
        let values = parameter.tensor.to_f64();
        let stride = (values.len() / ENTRIES).max(1);
        let apart = values.iter().step_by(stride).zip(wanted).map(|(found, wanted)| (found - wanted).powi(2));
        (apart.sum::<f64>() / wanted.iter().map(|wanted| wanted.powi(2)).sum::<f64>()).sqrt()
    };
    assert!(found.len() > 5, "{name}: {} parameters", found.len());
    found.iter().map(of).fold(0.0, f64::max)
}

fn check(name: &str, found: &[NamedTensor], expected: &Expected) {
    let distance = distance(name, found, expected);
    record(&format!("{name}: weights are off by at most {distance:.1e}"));
    assert!(distance < TOLERANCE, "{name}: weights are off by {distance:.1e}");
}

#[test]
fn losses_against_wrong_labels_train_as_torchs_do() {
    let (subject, expected) = (Subject::new(), expected());
    let criteria: [(&str, &dyn Criterion); 3] =
        [("elr", &EarlyLearning::PUBLISHED), ("sce", &Symmetric::PUBLISHED), ("gce", &Generalized::PUBLISHED)];
    let memory = subject.probabilities(1.0);
    for (name, criterion) in criteria {
        let memory = criterion.remembers().then_some(&memory);
        let (found, remembered) = Subject::trained(subject.trainer(criterion, &SGD), memory, |_| Vec::new());
        check(name, &found, &expected);
        let Some(wanted) = expected.get(&format!("{name}/memory")) else { continue };
        // Later, what float32 has lost in the weights shows in what is said of single samples.
        for (step, remembered) in remembered.iter().enumerate().take(2) {
            let wanted = batch(wanted, step, ElementType::Float64).to_f64();
            let apart = (remembered.as_ref().unwrap().to_f64() - wanted).mapv(f64::abs);
            assert!(apart.iter().all(|&apart| apart < 1e-5), "{name}, step {step}: {apart}");
        }
    }
}

#[test]
fn a_teacher_is_left_and_followed_as_in_torch() {
    let (subject, expected) = (Subject::new(), expected());
    let criterion = Teacher { temperature: 4.0 };
    let teacher = subject.probabilities(4.0);
    let dials = |step: usize| if step.is_multiple_of(3) { vec![0.0, -1.0] } else { vec![0.99, 0.5] };
    let (found, _) = Subject::trained(subject.trainer(&criterion, &SGD), Some(&teacher), dials);
    check("teacher", &found, &expected);
}

#[test]
fn averages_of_weights_are_torchs() {
    let (subject, expected) = (Subject::new(), expected());
    let averaged = Averaged { of: &SGD, decay: 0.9 };
    let (found, _) = Subject::trained(subject.trainer(&CrossEntropy, &averaged), None, |_| Vec::new());
    check("averaged", &found, &expected);
    let (moved, _) = Subject::trained(subject.trainer(&CrossEntropy, &SGD), None, |_| Vec::new());
    assert!(distance("averaged", &moved, &expected) > 10.0 * TOLERANCE, "the average is something of its own");
}

#[test]
fn weights_are_dampened_as_in_torch() {
    let (subject, expected) = (Subject::new(), expected());
    let graph = GraphIndex::new(&subject.model).unwrap();
    let mut classifier = Classifier::of(&graph, &Interface::default()).unwrap();
    classifier.head.link = Some(Link::Softmax);
    let spec = Spec::parse(&crate::support::data("train"), Path::new(".")).unwrap();
    let data = Prepared::open(&spec, &Preprocessing::default(), &classifier, &Silent).unwrap();
    let samples: Vec<usize> = (0..SAMPLES * STEPS).collect();
    let model = &subject.model;
    let mut forward = Forward::load(&subject.engine, &classifier, model.bytes(), model.folder()).unwrap();
    let opinions = Opinions::of(&mut forward, &data.stream(None), (&samples, SAMPLES), &Silent).unwrap();
    let parameters = parameters(&graph);
    let mut ground = Ground {
        model,
        layers: &[],
        parameters: &parameters,
        classifier: &classifier,
        engine: &subject.engine,
        stream: data.stream(None),
        images: true,
        opinions: &opinions,
        before: &opinions,
        forget: &samples[..2 * SAMPLES],
        trusted: &[],
        judge: &mut |_| Ok(Scores::default()),
        seed: 0,
        observer: &Silent,
    };
    let dampen = Dampen { selections: vec![1.2], dampenings: vec![0.7], batch: Some(SAMPLES) };
    let tuned = dampen.tune(&mut ground).unwrap();
    assert_eq!(tuned.len(), 1);
    check("ssd", &tuned[0].parameters, &expected);
    ground.forget = &[];
    assert!(dampen.tune(&mut ground).unwrap().is_empty(), "nothing is to be forgotten");
}
