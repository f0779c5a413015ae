//! What trains with losses against wrong labels, what averages, mixes, follows a teacher, dampens or prunes, against torch's in float64
//! (`fixtures/tuning/build.py`).

use crate::oracle::{npz, record, unpacked};
use crate::support::{model, repository};
use ndarray::{ArrayD, Axis, IxDyn, Slice};
use onnx_sap::autodiff::{Criterion, CrossEntropy, Loss, Targets, parameters};
use onnx_sap::data::{Preprocessing, Spec};
use onnx_sap::engine::ort::OrtEngine;
use onnx_sap::engine::{Device, runtime};
use onnx_sap::evidence::{Forward, Prediction, Scores};
use onnx_sap::layers::{Layer, Ledger, Selection};
use onnx_sap::model::{Classifier, GraphIndex, Interface, Link, Model};
use onnx_sap::pipeline::Prepared;
use onnx_sap::progress::Silent;
use onnx_sap::tensor::{ElementType, NamedTensor, Tensor};
use onnx_sap::train::{
    Averaged, EarlyLearning, Generalized, HeldAgainst, Masked, Optimizer, Sgd, Symmetric, Taken, Teacher, Trainer,
    Training,
};
use onnx_sap::tune::{Dampen, Ground, HiddenLayer, Inspection, Opinions, Prune, Quality, Tuned, Tuning};
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
        self.trainer_against(Targets::Labels, criterion, optimizer)
    }

    fn trainer_against(&self, targets: Targets, criterion: &dyn Criterion, optimizer: &dyn Optimizer) -> Trainer {
        let training = Training {
            scores: "logits",
            loss: Loss { link: Link::Softmax, targets, weighted: false, criterion },
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

/// The mlp with its data, and what it says of them.
struct Fed {
    subject: Subject,
    classifier: Classifier,
    data: Prepared,
    said: Opinions,
}

impl Fed {
    fn new() -> Self {
        let subject = Subject::new();
        let mut classifier = Classifier::of(&GraphIndex::new(&subject.model).unwrap(), &Interface::default()).unwrap();
        classifier.head.link = Some(Link::Softmax);
        let spec = Spec::parse(&crate::support::data("train"), Path::new(".")).unwrap();
        let data = Prepared::open(&spec, &Preprocessing::default(), &classifier, &Silent).unwrap();
        let samples: Vec<usize> = (0..SAMPLES * STEPS).collect();
        let model = &subject.model;
        let mut forward = Forward::load(&subject.engine, &classifier, model.bytes(), model.folder()).unwrap();
        let said = Opinions::of(&mut forward, &data.stream(None), (&samples, SAMPLES), &Silent).unwrap();
        Self { subject, classifier, data, said }
    }

    /// What a tuning that forgets these samples finds.
    fn tuned(&self, layers: &[Layer], forget: &[usize], tuning: &dyn Tuning) -> Vec<Tuned> {
        let model = &self.subject.model;
        let mut ground = Ground {
            model,
            layers,
            parameters: &parameters(&GraphIndex::new(model).unwrap()),
            classifier: &self.classifier,
            engine: &self.subject.engine,
            stream: self.data.stream(None),
            images: true,
            opinions: &self.said,
            before: &self.said,
            forget,
            trusted: &[],
            judge: &mut |_| Ok(said_rightly()),
            work: None,
            seed: 0,
            observer: &Silent,
        };
        tuning.tune(&mut ground).unwrap()
    }
}

/// What a judge says who is content with everything.
fn said_rightly() -> Scores {
    let prediction = Prediction { label: 0, predicted: 0, confidence: 1.0, loss: 0.0 };
    Scores { samples: vec![0], predictions: vec![prediction], ..Scores::default() }
}

#[test]
fn weights_are_dampened_as_in_torch() {
    let fed = Fed::new();
    let forget = &fed.said.samples[..2 * SAMPLES];
    let dampen = Dampen { selections: vec![1.2], dampenings: vec![0.7], batch: Some(SAMPLES) };
    let tuned = fed.tuned(&[], forget, &dampen);
    assert_eq!(tuned.len(), 1);
    check("ssd", &tuned[0].parameters, &expected());
    assert!(fed.tuned(&[], &[], &dampen).is_empty(), "nothing is to be forgotten");
}

/// Its authors move what is remembered by what the model says of samples as they are, so in a step of mixtures it stays.
#[test]
fn mixtures_are_learnt_from_as_in_torch() {
    let (subject, expected) = (Subject::new(), expected());
    let mixed = |rows: &ArrayD<f64>| {
        let partners: Vec<usize> = (0..SAMPLES).map(|sample| (sample + 3) % SAMPLES).collect();
        rows * 0.7 + rows.select(Axis(0), &partners) * 0.3
    };
    let mut trainer = subject.trainer_against(Targets::Probabilities, &EarlyLearning::HELD, &SGD);
    let (images, labels, memory) = (images(), labels(), subject.probabilities(1.0));
    for step in 0..STEPS {
        let of =
            |rows| Tensor::from_f64(&mixed(&batch(rows, step, ElementType::Float64).to_f64()), ElementType::Float32);
        let labels = batch(&labels, step, ElementType::Int64).to_f64();
        let hard =
            ArrayD::from_shape_fn(IxDyn(&[SAMPLES, 10]), |at| f64::from(u8::from(labels[at[0]] == at[1] as f64)));
        let targets = Tensor::from_f64(&mixed(&hard), ElementType::Float32);
        let (inputs, memory) = (of(&images), of(&memory));
        let held = HeldAgainst { memory: Some(&memory), ..HeldAgainst::targets(&targets) };
        let Taken { remembered, .. } = trainer.step(&[("input", &inputs)], &held, 0.02).unwrap();
        assert_eq!(remembered.as_ref(), Some(&memory), "no mixture moves it");
    }
    check("mixed", &trainer.parameters().unwrap(), &expected);
}

/// Every stage of pruning takes what torch and numpy found in the one before, so that each is held against them by itself.
#[test]
fn every_stage_of_pruning_is_numpys() {
    let (fed, expected) = (Fed::new(), expected());
    let Fed { subject, classifier, data, said } = &fed;
    let graph = GraphIndex::new(&subject.model).unwrap();
    let ledger = Ledger::survey(&graph, &Selection::default()).unwrap();
    let parameters = parameters(&graph);
    let inspection = Inspection {
        model: &subject.model,
        classifier,
        engine: &subject.engine,
        stream: data.stream(None),
        said,
        hidden: HiddenLayer::of(&ledger.layers, &parameters, classifier),
        batch: SAMPLES,
        observer: &Silent,
    };
    let apart = |found: &[f64], wanted: &ArrayD<f64>| {
        assert_eq!(found.len(), wanted.len());
        found.iter().zip(wanted).map(|(found, wanted)| (found - wanted).abs()).fold(0.0, f64::max)
    };

    let found = inspection.partition().unwrap();
    let of = &found.measured_in;
    let attributions = apart(&found.attributions, &expected[&format!("attributions/{of}")]);
    let quality = apart(&found.quality.probabilities, &expected[&format!("quality/{of}")]);
    record(&format!("prune: attributions in {of} are off by {attributions:.1e}, qualities by {quality:.1e}"));
    // Where a model is as sure as float32 can say, little is left of what a gradient is computed from.
    assert!(attributions < 1e-4, "attributions in {of} are off by {attributions:.1e}");
    // The tool fits to bins of 0.01.
    assert!(quality < 1e-3, "qualities are off by {quality:.1e}");

    let given =
        Quality { samples: said.samples.clone(), probabilities: expected["quality/logits"].iter().copied().collect() };
    let neurons = inspection.neurons(&given).unwrap();
    for (layer, hidden) in inspection.hidden.iter().enumerate() {
        let mut of_layer: Vec<_> = neurons.iter().filter(|neuron| neuron.layer == layer).collect();
        of_layer.sort_by_key(|neuron| neuron.output);
        let sensitivities: Vec<f64> = of_layer.iter().map(|neuron| neuron.sensitivity).collect();
        let weight = &hidden.layer.weight.name;
        let apart = apart(&sensitivities, &expected[&format!("sensitivity/{weight}")]);
        record(&format!("prune: sensitivities to {weight} are off by {apart:.1e}"));
        assert!(apart < 1e-5, "{weight}: sensitivities are off by {apart:.1e}");
    }

    let ids = given.samples.iter().map(|&sample| data.set.id(sample)).zip(given.probabilities.iter().copied());
    let prune = Prune {
        quality: Some(ids.collect()),
        neurons: Some(neurons.iter().map(|&neuron| inspection.name(neuron)).collect()),
        shares: vec![0.05],
        rates: Vec::new(),
        epochs: 0,
        weight_decay: 1e-3,
        shifted: false,
        batch: Some(SAMPLES),
    };
    let tuned = fed.tuned(&ledger.layers, &[], &prune);
    let [Tuned { parameters: pruned, .. }] = tuned.as_slice() else { panic!("{tuned:?}") };
    let changed: Vec<&str> = pruned.iter().map(|parameter| parameter.name.as_str()).collect();
    assert_eq!(changed, ["fc1.bias", "fc1.weight", "fc2.bias", "fc2.weight"]);
    for parameter in pruned {
        let wanted = &expected[&format!("pruned/{}", parameter.name)];
        let values = parameter.tensor.to_f64();
        let stride = (values.len() / ENTRIES).max(1);
        let kept: Vec<f64> = values.iter().copied().step_by(stride).collect();
        assert!(apart(&kept, wanted) < 1e-7, "{} is pruned elsewhere", parameter.name);
    }

    let masks = pruned.iter().map(|NamedTensor { name, tensor }| {
        let values = tensor.to_f64();
        (name.clone(), values.mapv(|value| f64::from(u8::from(value != 0.0))))
    });
    let masks = masks.collect();
    let mut trainer = subject.trainer(&CrossEntropy, &Masked { of: &SGD, masks: &masks });
    trainer.begin_with(pruned);
    let (found, _) = Subject::trained(trainer, None, |_| Vec::new());
    check("pruned and trained", &found, &expected);
}
