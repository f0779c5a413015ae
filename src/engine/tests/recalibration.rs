//! Statistics of outputs, and recalibration by them: on every engine, on networks whose projection lost energy.

use super::engines;
use crate::data::{Preprocessing, Spec};
use crate::engine::Engine;
use crate::evidence::{Channels, Observation, Observed, Target};
use crate::layers::{Layer, Ledger, Selection, Shift};
use crate::model::{Classifier, GraphIndex, Interface, Model, WeightPatch};
use crate::pipeline::Prepared;
use crate::progress::Silent;
use crate::refine::Recalibration;
use std::path::Path;

const SAMPLES: usize = 48;

/// A model, and the layers whose outputs can be observed but for the last, which gives the class scores.
struct Subject {
    model: Model,
    classifier: Classifier,
    ledger: Ledger,
    data: Prepared,
}

impl Subject {
    fn open(model: &str, data: &str) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let model = Model::open(&root.join(model)).unwrap();
        let graph = GraphIndex::new(&model).unwrap();
        let classifier = Classifier::of(&graph, &Interface::default()).unwrap();
        let ledger = Ledger::survey(&graph, &Selection::default()).unwrap();
        let (reader, path) = data.split_once(':').unwrap();
        let spec = Spec::parse(&format!("{reader}:{}", root.join(path).display()), root).unwrap();
        let data = Prepared::open(&spec, &Preprocessing::default(), &classifier, &Silent).unwrap();
        drop(graph);
        Self { model, classifier, ledger, data }
    }

    fn layers(&self) -> Vec<(usize, &Layer)> {
        let scores = &self.classifier.head.value;
        let observed = |layer: &Layer| layer.output.as_ref().is_some_and(|output| output.value.name != *scores);
        self.ledger.layers.iter().enumerate().filter(|(_, layer)| observed(layer)).collect()
    }

    /// The statistics of those layers in `model`, all samples in one batch.
    fn observe<'t>(
        &self,
        engine: &dyn Engine,
        model: &Model,
        mut target: impl FnMut(usize) -> Option<Target<'t>>,
    ) -> Vec<Channels> {
        let samples: Vec<usize> = (0..SAMPLES).collect();
        let observation = Observation {
            engine,
            classifier: &self.classifier,
            stream: self.data.stream(None),
            samples: &samples,
            batch: SAMPLES,
        };
        let layers = self.layers();
        let observed = |(at, (_, layer)): (usize, &(usize, &'_ Layer))| {
            let (output, element) =
                (self.ledger.layers[self.layers()[at].0].output.as_ref().unwrap(), layer.sites[0].element);
            Observed { output, element, target: target(at) }
        };
        let observed: Vec<Observed<'_>> = layers.iter().enumerate().map(observed).collect();
        observation.of(model, &observed, &Silent).unwrap()
    }

    fn patched(&self, patches: &[WeightPatch]) -> Model {
        let bytes = self.model.with_patches(patches).unwrap().into();
        Model::decode(self.model.path(), self.model.folder().to_path_buf(), bytes).unwrap()
    }

    /// Every weight, with its outputs scaled unevenly, as a projection does.
    fn weakened(&self) -> Vec<WeightPatch> {
        let weaken = |layer: &Layer| {
            let mut matrices = layer.matrix.matrices(&self.model.values(&layer.weight).unwrap());
            for (out, mut row) in matrices.iter_mut().flat_map(|matrix| matrix.rows_mut()).enumerate() {
                row *= 0.4 + 0.1 * (out % 5) as f64;
            }
            let values = layer.matrix.tensor(&matrices, &layer.weight.dims);
            WeightPatch { constant: layer.weight.clone(), values, copies: layer.copies.clone() }
        };
        self.ledger.layers.iter().map(weaken).collect()
    }
}

fn largest_difference(a: &Channels, b: &Channels) -> f64 {
    let scale = b.deviation.iter().fold(1e-3, |most: f64, value| most.max(*value));
    let differences = (&a.mean - &b.mean).into_iter().chain(&a.deviation - &b.deviation);
    differences.fold(0.0, |most: f64, difference| most.max(difference.abs())) / scale
}

const FASHION: &str = "fashion-mnist:fixtures/fashion-noisy#val";
const NPZ: &str = "npz:fixtures/weights-everywhere/data.npz";

/// Where biases can be moved, all layers get back what they had, whatever lies between them; in one pass.
#[test]
fn recalibrated_layers_have_the_mean_and_the_deviation_of_the_original() {
    for (file, data) in [
        ("models/fashion-lenet.onnx", FASHION),
        ("models/fashion-resnet.onnx", FASHION),
        ("models/fashion-vit.onnx", FASHION),
        ("fixtures/weights-everywhere/conv1d.onnx", NPZ),
        ("fixtures/weights-everywhere/float16.onnx", NPZ),
    ] {
        let subject = Subject::open(file, data);
        for engine in engines() {
            let name = engine.info().name;
            let engine = engine.as_ref();
            let original = subject.observe(engine, &subject.model, |_| None);
            let mut patches = subject.weakened();
            let weakened = subject.patched(&patches);
            let before = subject.observe(engine, &weakened, |_| None);
            let recalibrations: Vec<Recalibration<'_>> = subject
                .layers()
                .into_iter()
                .zip(&original)
                .filter_map(|(layer, original)| Recalibration::of(&subject.model, layer, original.clone()).unwrap())
                .collect();
            let found = subject.observe(engine, &weakened, |at| Some(recalibrations[at].target()));
            for (recalibration, found) in recalibrations.iter().zip(&found) {
                recalibration.apply(&subject.model, found, &mut patches).unwrap();
            }
            let after = subject.observe(engine, &subject.patched(&patches), |_| None);
            let half = file.contains("float16");
            for ((layer, original), (before, after)) in
                subject.layers().iter().zip(&original).zip(before.iter().zip(&after))
            {
                let weight = &layer.1.weight.name;
                assert!(largest_difference(before, original) > 0.2, "{file}, {name}, {weight}: nothing to do");
                if matches!(layer.1.output.as_ref().unwrap().shift, Shift::Bias(_)) {
                    let difference = largest_difference(after, original);
                    assert!(difference < if half { 2e-2 } else { 1e-4 }, "{file}, {name}, {weight}: {difference}");
                }
            }
        }
    }
}

/// A BatchNormalization gets the statistics of what it reads, so that its outputs are of mean β and deviation γ.
#[test]
fn a_normalization_gets_the_statistics_of_what_it_reads() {
    let subject = Subject::open("fixtures/weights-everywhere/opset7-ir3.onnx", NPZ);
    let layers = subject.layers();
    let Shift::Normalization(normalization) = &layers[0].1.output.as_ref().unwrap().shift else {
        unreachable!("the convolution is followed by a normalization")
    };
    for engine in engines() {
        let engine = engine.as_ref();
        let mut patches = subject.weakened();
        let weakened = subject.patched(&patches);
        let read = subject.observe(engine, &weakened, |_| None);
        let recalibration = Recalibration::of(&subject.model, layers[0], read[0].clone()).unwrap().unwrap();
        let found = subject.observe(engine, &weakened, |_| Some(recalibration.target()));
        recalibration.apply(&subject.model, &found[0], &mut patches).unwrap();
        let new = subject.patched(&patches);
        let difference = |constant, wanted: ndarray::Array1<f64>| {
            let values = new.values(constant).unwrap();
            values.iter().zip(&wanted).map(|(a, b)| (a - b).abs() / (1.0 + b.abs())).fold(0.0, f64::max)
        };
        assert!(difference(&normalization.mean, read[0].mean.clone()) < 1e-6);
        assert!(difference(&normalization.variance, &read[0].deviation * &read[0].deviation) < 1e-6);
    }
}
