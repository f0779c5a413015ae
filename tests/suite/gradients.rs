//! Gradients and training steps of whole models, against torch's in float64 (`fixtures/autodiff/build.py`).

use crate::net::Net;
use crate::oracle::{npz, record, unpacked};
use crate::support::{Bench, data, model, repository};
use ndarray::{ArrayD, Axis, IxDyn, Slice};
use onnx_sap::autodiff::{CrossEntropy, Loss, RULES, Targets, parameters};
use onnx_sap::data::{Preprocessing, Spec};
use onnx_sap::engine::ort::OrtEngine;
use onnx_sap::engine::tract::TractEngine;
use onnx_sap::engine::{Computes, Device, Engine, Runnable, runtime};
use onnx_sap::error::Error;
use onnx_sap::evidence::{BadLimit, Forward, predict};
use onnx_sap::model::{Classifier, GraphIndex, Interface, Link, Model};
use onnx_sap::partial::{Identity, WorkFolder};
use onnx_sap::pipeline::Prepared;
use onnx_sap::progress::Silent;
use onnx_sap::tensor::{ElementType, NamedTensor, Tensor};
use onnx_sap::train::{
    AdamW, Examples, Fitted, HeldAgainst, Kept, Lesson, Optimizer, Plan, Schedule, Sgd, Trainer, Training, fit, patches,
};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Samples of a batch.
const SAMPLES: usize = 16;

/// Of a gradient's entries every n-th is stored, so that there are about so many.
const ENTRIES: usize = 48;

/// How far an entry may be from torch's in float64, as a share of the norm of its tensor.
const TOLERANCE: f64 = 1e-5;

fn expected() -> BTreeMap<String, ArrayD<f64>> {
    npz::read(&repository("fixtures/autodiff/expected.npz"))
}

fn onnx_runtime() -> OrtEngine {
    let library = runtime::locate(&Silent, true).expect("the tests need ONNX Runtime").path;
    OrtEngine::open(&library, Device::Cpu, Some(2)).unwrap()
}

/// The first training images, as the reference models take them.
fn images(count: usize) -> Tensor {
    let pixels = unpacked("fixtures/fashion-noisy/train-images-idx3-ubyte.gz", 16);
    let values = pixels[..count * 784].iter().map(|&pixel| (f32::from(pixel) / 255.0 - 0.286) / 0.353).collect();
    Tensor::Float32(ArrayD::from_shape_vec(IxDyn(&[count, 1, 28, 28]), values).unwrap())
}

fn integers(values: &ArrayD<f64>) -> Tensor {
    Tensor::from_f64(values, ElementType::Int64)
}

/// A batch of an array that counts from 0.
fn batch(of: &ArrayD<f64>, index: usize) -> ArrayD<f64> {
    let range = index * SAMPLES..(index + 1) * SAMPLES;
    of.slice_axis(Axis(0), Slice::from(range)).to_owned()
}

/// A fixture and what it is fed.
struct Subject {
    name: &'static str,
    path: PathBuf,
    inputs: Vec<(&'static str, Tensor)>,
    labels: Tensor,
}

fn subjects(expected: &BTreeMap<String, ArrayD<f64>>) -> Vec<Subject> {
    let images = images(SAMPLES);
    let labels = integers(&batch(&expected["labels"], 0));
    let names = ["fashion-mlp", "fashion-lenet", "fashion-resnet", "fashion-vit"];
    let mut subjects: Vec<Subject> = names
        .into_iter()
        .map(|name| Subject {
            name,
            path: model(&name["fashion-".len()..]),
            inputs: vec![("input", images.clone())],
            labels: labels.clone(),
        })
        .collect();
    let text = |name: &str| integers(&expected[&format!("text/{name}")]);
    subjects.push(Subject {
        name: "tiny-text",
        path: repository("fixtures/autodiff/tiny-text.onnx"),
        inputs: vec![("input_ids", text("input_ids")), ("attention_mask", text("attention_mask"))],
        labels: text("labels"),
    });
    subjects
}

/// The largest difference from the entries that are stored, as a share of the norm of the whole.
fn distance(found: &ArrayD<f64>, entries: &ArrayD<f64>, norm: f64) -> f64 {
    let stride = (found.len() / ENTRIES).max(1);
    let apart = found.iter().step_by(stride).zip(entries).map(|(found, wanted)| (found - wanted).abs());
    apart.fold(0.0, f64::max) / norm
}

fn check_gradients(subject: &Subject, engine: &dyn Engine, file: &Path, expected: &BTreeMap<String, ArrayD<f64>>) {
    let prefix = format!("{}/gradient/", subject.name);
    let names: Vec<&str> = expected.keys().filter_map(|key| key.strip_prefix(&prefix)).collect();
    assert!(names.len() > 5, "{}", subject.name);
    let outputs: Vec<String> = names.iter().map(|name| format!("{name}_grad")).collect();
    let wanted: Vec<&str> = ["loss"].into_iter().chain(outputs.iter().map(String::as_str)).collect();
    let bytes = std::fs::read(file).unwrap().into();
    let mut session = engine.load(Runnable { bytes, folder: Path::new(""), computes: Computes::Gradients }).unwrap();
    let mut fed: Vec<(&str, &Tensor)> = subject.inputs.iter().map(|(name, tensor)| (*name, tensor)).collect();
    fed.push(("labels", &subject.labels));
    let found = session.run(&fed, &wanted).unwrap();
    let loss = expected[&format!("{}/loss", subject.name)].first().copied().unwrap();
    let of_loss = (found[0].to_f64().first().unwrap() - loss).abs() / loss;
    let norm = |name: &str| expected[&format!("{}/norm/{name}", subject.name)].first().copied().unwrap();
    let floor = 1e-3 * names.iter().map(|name| norm(name)).fold(0.0, f64::max);
    let mut worst: f64 = 0.0;
    for (name, found) in names.iter().zip(&found[1..]) {
        let entries = &expected[&format!("{prefix}{name}")];
        let distance = distance(&found.to_f64(), entries, norm(name).max(floor));
        assert!(distance <= TOLERANCE, "{}, {}: {name} is off by {distance:.1e}", subject.name, engine.info().name);
        worst = worst.max(distance);
    }
    assert!(of_loss <= TOLERANCE, "{}: the loss is off by {of_loss:.1e}", subject.name);
    record(&format!("{} on {}: at most {worst:.1e}, loss {of_loss:.1e}", subject.name, engine.info().name));
}

#[test]
fn gradients_of_whole_models_are_torchs_on_both_engines() {
    let expected = expected();
    let bench = Bench::new();
    let engines: [&dyn Engine; 2] = [&onnx_runtime(), &TractEngine::new()];
    for subject in subjects(&expected) {
        bench.run(&format!("grad {} g.onnx --wrt weights --force", subject.path.display())).expect(0);
        for engine in engines {
            check_gradients(&subject, engine, &bench.path("g.onnx"), &expected);
        }
    }
}

/// The losses of some steps from the stored weights on.
fn losses(name: &str, optimizer: &dyn Optimizer, rate: f32, expected: &BTreeMap<String, ArrayD<f64>>) -> Vec<f64> {
    let (model, engine) = (Model::open(&model(name)).unwrap(), onnx_runtime());
    let learnt = parameters(&GraphIndex::new(&model).unwrap());
    let training = Training {
        scores: "logits",
        loss: Loss { link: Link::Softmax, targets: Targets::Labels, weighted: false, criterion: &CrossEntropy },
        optimizer,
        most_norm: Some(1.0),
        parameters: &learnt,
        extents: &BTreeMap::new(),
    };
    let mut trainer = Trainer::new(&model, &engine, &training).unwrap();
    let steps = expected["labels"].len() / SAMPLES;
    let images = images(steps * SAMPLES).to_f64();
    let step = |index: usize| {
        let inputs = Tensor::from_f64(&batch(&images, index), ElementType::Float32);
        let labels = integers(&batch(&expected["labels"], index));
        // That training goes on after the parameters were looked at is part of what is tried.
        if index == 3 {
            assert_eq!(trainer.parameters().unwrap().len(), learnt.len());
        }
        trainer.step(&[("input", &inputs)], &HeldAgainst::targets(&labels), rate).unwrap().loss
    };
    (0..steps).map(step).collect()
}

#[test]
fn training_steps_are_torchs() {
    let expected = expected();
    let sgd = Sgd { momentum: 0.9, weight_decay: 1e-3, nesterov: true };
    // With the usual ε a first step is as long as any where a gradient is nothing but what float32 has lost of it: losses then depend on
    // the processor, by 1e-3 on the transformer.
    let adamw = AdamW { weight_decay: 0.05, epsilon: 1e-4, ..AdamW::default() };
    for name in ["mlp", "vit"] {
        let optimizers: [(&str, &dyn Optimizer, f32); 2] = [("sgd", &sgd, 0.02), ("adamw", &adamw, 1e-3)];
        for (method, optimizer, rate) in optimizers {
            let found = losses(name, optimizer, rate, &expected);
            let wanted = &expected[&format!("fashion-{name}/losses/{method}")];
            let apart = found.iter().zip(wanted).map(|(found, wanted)| (found - wanted).abs() / wanted);
            let worst = apart.fold(0.0, f64::max);
            record(&format!("{name}, {method}: losses of {} steps are off by at most {worst:.1e}", found.len()));
            assert!(worst < 1e-3, "{name}, {method}: off by {worst:.1e}: {found:?}, {wanted:?}");
        }
    }
}

/// `y = Hardmax(x W)`, whose slope is 0 or nothing.
fn without_a_rule() -> Net {
    Net::default()
        .input("x", ElementType::Float32, &["N", "2"])
        .floats("w", &[2, 2], &[1.0, 0.5, -0.5, 1.0])
        .node("MatMul", &["x", "w"], "z", vec![])
        .node("Hardmax", &["z"], "y", vec![])
        .output("y", ElementType::Float32, &["N", "2"])
}

#[test]
fn what_cannot_be_differentiated_is_named_and_nothing_is_written() {
    let bench = Bench::new();
    bench.put("hard.onnx", &without_a_rule().bytes());
    let ran = bench.run("grad hard.onnx g.onnx --wrt weights").expect(2);
    assert!(ran.stderr.contains("node node_y: Hardmax has no gradient rule"), "{}", ran.stderr);
    assert!(!bench.path("g.onnx").exists());
    let mlp = model("mlp");
    let ran = bench.run(&format!("grad {} g.onnx --wrt nothing-is-called-so", mlp.display())).expect(2);
    assert!(ran.stderr.contains("nothing-is-called-so"), "{}", ran.stderr);
    let ran = bench.run(&format!("grad {} {} --wrt weights", mlp.display(), mlp.display())).expect(2);
    assert!(ran.stderr.contains("both input and output"), "{}", ran.stderr);
}

#[test]
fn a_gradient_model_weighs_samples_takes_soft_targets_and_is_differentiated_again() {
    let bench = Bench::new();
    let small = Net::default()
        .input("x", ElementType::Float32, &["N", "2"])
        .floats("w", &[2, 2], &[1.0, 0.5, -0.5, 1.0])
        .node("MatMul", &["x", "w"], "z", vec![])
        .output("z", ElementType::Float32, &["N", "2"]);
    bench.put("small.onnx", &small.bytes());
    bench.run("grad small.onnx g.onnx --wrt inputs --against targets --sample-weights").expect(0);
    let engine = onnx_runtime();
    let of = |file: &str, wanted: &[&str]| {
        let bytes = std::fs::read(bench.path(file)).unwrap().into();
        let mut session =
            engine.load(Runnable { bytes, folder: Path::new(""), computes: Computes::Gradients }).unwrap();
        let tensor = |shape: &[usize], values: &[f32]| {
            Tensor::Float32(ArrayD::from_shape_vec(IxDyn(shape), values.to_vec()).unwrap())
        };
        let (x, targets) = (tensor(&[2, 2], &[0.5, -1.0, 2.0, 0.25]), tensor(&[2, 2], &[0.25, 0.75, 1.0, 0.0]));
        let weights = tensor(&[2], &[2.0, 0.0]);
        let found = session.run(&[("x", &x), ("targets", &targets), ("weights", &weights)], wanted).unwrap();
        found.iter().map(Tensor::to_f64).collect::<Vec<_>>()
    };
    let found = of("g.onnx", &["loss", "losses", "x_grad"]);
    // z = (1, −3/4), so p = 1/(1 + e^−1.75); the gradient in x is 2/2 (p − t) Wᵀ of the first sample, and 0 of the second.
    let p = 1.0 / (1.0 + (-1.75_f64).exp());
    assert!((found[0].first().unwrap() - found[1][0]).abs() < 1e-6, "2/2 of the first loss and nothing of the second");
    let slope = p - 0.25;
    for (at, wanted) in [slope - 0.5 * slope, -0.5 * slope - slope, 0.0, 0.0].into_iter().enumerate() {
        assert!((found[2].iter().nth(at).unwrap() - wanted).abs() < 1e-6, "{:?}", found[2]);
    }
    // Again: the gradient in W of the same loss, behind the nodes that were added before: xᵀ (p − t).
    bench.run("grad g.onnx h.onnx --of loss --wrt ^w$").expect(0);
    let found = of("h.onnx", &["w_grad"]).remove(0);
    for (found, wanted) in found.iter().zip([0.5 * slope, -0.5 * slope, -slope, slope]) {
        assert!((found - wanted).abs() < 1e-6, "{found} for {wanted}");
    }
    let ran = bench.run("grad small.onnx i.onnx --of z --wrt inputs").expect(2);
    assert!(ran.stderr.contains("z is not one floating-point number"), "{}", ran.stderr);
}

/// Of several samples at once what one sample at a time gives.
#[test]
fn norms_are_those_of_each_samples_own_gradient() {
    let (bench, engine, images) = (Bench::new(), onnx_runtime(), images(5).to_f64());
    let options = "--wrt ^(input|fc3.weight|fc3.bias)$ --norms";
    bench.run(&format!("grad {} g.onnx {options}", model("lenet").display())).expect(0);
    let bytes = std::fs::read(bench.path("g.onnx")).unwrap().into();
    let mut session = engine.load(Runnable { bytes, folder: Path::new(""), computes: Computes::Gradients }).unwrap();
    let mut run = |samples: std::ops::Range<usize>, wanted: &[&str]| {
        let labels: Vec<i64> = samples.clone().map(|sample| sample as i64).collect();
        let labels = Tensor::Int64(ArrayD::from_shape_vec(IxDyn(&[labels.len()]), labels).unwrap());
        let part = images.slice_axis(Axis(0), Slice::from(samples)).to_owned();
        let part = Tensor::from_f64(&part, ElementType::Float32);
        let found = session.run(&[("input", &part), ("labels", &labels)], wanted).unwrap();
        found.iter().map(Tensor::to_f64).collect::<Vec<_>>()
    };
    let all = run(0..5, &["input_grad_norms", "fc3.weight_grad_norms"]);
    for (sample, norms) in all[0].iter().zip(&all[1]).enumerate() {
        let one = run(sample..sample + 1, &["input_grad", "fc3.weight_grad", "fc3.bias_grad"]);
        let square = |at: usize| one[at].iter().map(|value| value * value).sum::<f64>();
        for (found, wanted) in [(norms.0, square(0).sqrt()), (norms.1, (square(1) + square(2)).sqrt())] {
            assert!((found - wanted).abs() <= 1e-5 * wanted, "sample {sample}: {found} for {wanted}");
        }
    }
}

const BEGIN: &str = "<!-- rules: generated from src/autodiff, checked by the test suite -->\n\n";
const END: &str = "\n<!-- end of rules -->\n";

#[test]
fn the_rules_of_the_docs_are_those_of_the_registry() {
    let mut wanted = String::from("| operators | gradients | not covered |\n| --- | --- | --- |\n");
    let cell = |text: &str| text.replace('|', "\\|");
    for rule in RULES {
        let names = rule.operators().join("`, `");
        let _ = writeln!(wanted, "| `{names}` | {} | {} |", cell(rule.equation()), cell(rule.limits()));
    }
    let path = repository("docs/autodiff.md");
    let docs = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = docs.split_once(BEGIN).expect("the docs have the mark before the rules");
    let (held, after) = rest.split_once(END).expect("the docs have the mark behind the rules");
    if std::env::var_os("UPDATE_README").is_some() {
        std::fs::write(&path, [before, BEGIN, &wanted, END, after].concat()).unwrap();
        return;
    }
    assert!(held == wanted, "write the table with `UPDATE_README=1 cargo test --test suite gradients`:\n{wanted}");
}

/// A training of the mlp on a thousand images, validated on the noisy validation set. `stop`: before which validation it is cut off.
fn fitted(work: Option<&WorkFolder>, stop: Option<usize>) -> Result<Fitted, Error> {
    let (model, engine) = (Model::open(&model("mlp"))?, onnx_runtime());
    let graph = GraphIndex::new(&model)?;
    let classifier = Classifier::of(&graph, &Interface::default())?;
    let open = |split: &str| {
        let spec = Spec::parse(&data(split), Path::new("."))?;
        Prepared::open(&spec, &Preprocessing::default(), &classifier, &Silent)
    };
    let (train, held_out) = (open("train")?, open("val")?);
    let training = Training {
        scores: "logits",
        loss: Loss { link: Link::Softmax, targets: Targets::Labels, weighted: false, criterion: &CrossEntropy },
        optimizer: &Sgd { momentum: 0.9, weight_decay: 5e-3, nesterov: false },
        most_norm: None,
        parameters: &parameters(&graph),
        extents: &BTreeMap::new(),
    };
    let mut trainer = Trainer::new(&model, &engine, &training)?;
    let mut validations = 0;
    let mut validate = |parameters: &[NamedTensor]| {
        if stop == Some(validations) {
            return Err(Error::Usage("stopped".into()));
        }
        validations += 1;
        let bytes = model.with_patches(&patches(&graph, parameters)?)?.into();
        let mut forward = Forward::load(&engine, &classifier, &bytes, model.folder())?;
        let samples: Vec<usize> = (0..500).collect();
        let batch = (samples.as_slice(), 100);
        let scores =
            predict(&mut forward, &held_out.stream(None), batch, BadLimit::default(), &Silent, &mut |_| false)?;
        Ok(scores.quality().accuracy)
    };
    let samples: Vec<usize> = (0..1030).collect();
    let examples = Examples {
        stream: train.stream(None),
        classifier: &classifier,
        lessons: vec![Lesson::of(&samples)],
        shifted: false,
        memory: None,
        mixing: None,
    };
    let identity = Identity::default().with("training", "of a test");
    let work = work.map(|folder| Kept { folder, identity: &identity });
    let plan = Plan { epochs: 4, batch: 50, rate: 0.01, schedule: Schedule::Cosine, seed: 5, patience: Some(3), work };
    fit(&mut trainer, &plan, examples, &mut validate, &Silent)
}

#[test]
fn training_is_the_same_for_a_seed_and_goes_on_where_it_was_cut_off() {
    let whole = fitted(None, None).unwrap();
    assert_eq!(whole.epochs.len(), 4);
    assert!(whole.epochs[3].loss < whole.epochs[0].loss, "{:?}", whole.epochs);
    assert_eq!(fitted(None, None).unwrap(), whole);
    let bench = Bench::new();
    let folder = WorkFolder::open(&bench.path("work")).unwrap();
    fitted(Some(&folder), Some(2)).expect_err("it is cut off after two epochs");
    assert_eq!(fitted(Some(&folder), None).unwrap(), whole);
}
