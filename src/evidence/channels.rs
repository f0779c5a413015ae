//! Mean and deviation of every output of layers, over all samples and positions, in float64.
//!
//! The engine computes them, by nodes that are added to the graph. Those of a corrected model are taken front to back in one
//! pass: nodes between a layer and its readers give each batch the mean and the deviation that recalibration is about to
//! give it, so that the layers behind see what they will see.

use super::EvidenceError;
use super::feed::Feed;
use crate::data::{Batch, Stream};
use crate::engine::{Computes, Engine, Runnable};
use crate::layers::{Output, OutputAxis};
use crate::model::fragment::{int, ints};
use crate::model::{Additions, Classifier, Fragment, GraphIndex, MAIN, Model};
use crate::progress::Observer;
use crate::tensor::ElementType;
use ndarray::Array1;

/// What the outputs of a layer are like.
#[derive(Clone, Debug, PartialEq)]
pub struct Channels {
    /// The mean of each.
    pub mean: Array1<f64>,
    /// The standard deviation of each.
    pub deviation: Array1<f64>,
}

/// A layer whose outputs are observed.
pub struct Observed<'a> {
    /// Where they are.
    pub output: &'a Output,
    /// The element type of that value.
    pub element: ElementType,
    /// What they are brought to before anything reads them.
    pub target: Option<Target<'a>>,
}

/// What outputs are brought to: `z ← s (z − mean z) + mean`, `s` the ratio of the deviations.
pub struct Target<'a> {
    /// Mean and deviation.
    pub channels: &'a Channels,
    /// Whether the mean moves, too; otherwise `z ← s z`.
    pub moves: bool,
    /// The least and the largest ratio, where it is limited.
    pub limits: Option<(f64, f64)>,
}

/// What observes a model.
pub struct Observation<'a> {
    /// What runs it.
    pub engine: &'a dyn Engine,
    /// How it is fed.
    pub classifier: &'a Classifier,
    /// The samples, and how many of them at once.
    pub stream: Stream<'a>,
    /// Their indices, a multiple of the batch size.
    pub samples: &'a [usize],
    /// How many run at once.
    pub batch: usize,
}

impl Observation<'_> {
    /// The statistics of every layer, in order.
    ///
    /// # Errors
    /// Those of data and engine; an interruption.
    pub fn of(
        &self,
        model: &Model,
        layers: &[Observed<'_>],
        observer: &dyn Observer,
    ) -> Result<Vec<Channels>, EvidenceError> {
        let graph = GraphIndex::new(model)?;
        let mut additions = Additions::new(&graph);
        let opset = model.opset();
        let names: Vec<[String; 2]> = layers.iter().map(|layer| layer.watch(&mut additions, opset)).collect();
        let wanted: Vec<&str> = names.iter().flatten().map(String::as_str).collect();
        let bytes = additions.into_bytes()?.into();
        let mut session = self.engine.load(Runnable { bytes, folder: model.folder(), computes: Computes::Outputs })?;
        let mut sums: Vec<Pool> = layers.iter().map(|layer| Pool::new(layer.output.outputs)).collect();
        self.stream.for_each(self.samples, self.batch, |batch: Batch| {
            if let Some(signal) = observer.stopped() {
                return Err(EvidenceError::Stopped(signal));
            }
            let feed = Feed::new(self.classifier, &batch.inputs)?;
            let found = session.run(&feed.inputs(), &wanted)?;
            for (pool, of_layer) in sums.iter_mut().zip(found.chunks(2)) {
                pool.add(feed.samples as f64, &of_layer[0].to_f64(), &of_layer[1].to_f64());
            }
            observer.advance(feed.samples);
            Ok(())
        })?;
        Ok(sums.into_iter().map(Pool::finish).collect())
    }
}

impl Observed<'_> {
    /// Adds the nodes, and returns the outputs that hold mean and variance of a batch.
    fn watch(&self, additions: &mut Additions<'_>, opset: i64) -> [String; 2] {
        let mut names = None;
        let (output, element) = (self.output, self.element);
        let mut nodes = |fragment: &mut Fragment, value: &str| {
            let statistics = Statistics::of(fragment, value, output, opset);
            names = Some([statistics.mean.clone(), statistics.variance.clone()]);
            match &self.target {
                Some(target) => statistics.brought_to(fragment, value, target, element),
                None => value.to_owned(),
            }
        };
        if self.target.is_some() {
            additions.interpose(output.node, nodes);
        } else {
            nodes(additions.to(MAIN), &output.value.name);
        }
        let names = names.unwrap_or_default();
        for name in &names {
            additions.to(MAIN).output(name, ElementType::Float64);
        }
        names
    }
}

/// Names of values inside the graph that hold the statistics of a batch, float64, each `[1, outputs, 1]` or `[1, outputs]`.
struct Statistics {
    outputs: usize,
    axis: OutputAxis,
    centred: String,
    mean: String,
    variance: String,
}

impl Statistics {
    fn of(fragment: &mut Fragment, value: &str, output: &Output, opset: i64) -> Self {
        let (outputs, axis) = (output.outputs, output.axis);
        let (shape, reduced_axes): (&[i64], &[i64]) = match axis {
            OutputAxis::Channels => (&[0, outputs as i64, -1], &[0, 2]),
            OutputAxis::Features => (&[-1, outputs as i64], &[0]),
        };
        let double = fragment.node("Cast", &[value], vec![int("to", i64::from(ElementType::Float64.onnx()))]);
        let shape = fragment.integers(shape);
        let rows = fragment.node("Reshape", &[&double, &shape], vec![]);
        let mean = reduced(fragment, &rows, reduced_axes, opset);
        let centred = fragment.node("Sub", &[&rows, &mean], vec![]);
        let squares = fragment.node("Mul", &[&centred, &centred], vec![]);
        let variance = reduced(fragment, &squares, reduced_axes, opset);
        Self { outputs, axis, centred, mean, variance }
    }

    /// The value with the statistics of the target.
    fn brought_to(&self, fragment: &mut Fragment, value: &str, target: &Target<'_>, element: ElementType) -> String {
        let dims = match self.axis {
            OutputAxis::Channels => vec![1, self.outputs, 1],
            OutputAxis::Features => vec![1, self.outputs],
        };
        let same = |fragment: &mut Fragment, value: f64| fragment.numbers(&dims, vec![value; self.outputs]);
        let deviation = fragment.numbers(&dims, target.channels.deviation.iter().copied());
        let least = same(fragment, LEAST_DEVIATION * LEAST_DEVIATION);
        let found = fragment.node("Add", &[&self.variance, &least], vec![]);
        let found = fragment.node("Sqrt", &[&found], vec![]);
        let mut ratio = fragment.node("Div", &[&deviation, &found], vec![]);
        if let Some((least, most)) = target.limits {
            let (least, most) = (same(fragment, least), same(fragment, most));
            let above = fragment.node("Max", &[&ratio, &least], vec![]);
            ratio = fragment.node("Min", &[&above, &most], vec![]);
        }
        let scaled = fragment.node("Mul", &[&self.centred, &ratio], vec![]);
        let mean = if target.moves {
            fragment.numbers(&dims, target.channels.mean.iter().copied())
        } else {
            fragment.node("Mul", &[&self.mean, &ratio], vec![])
        };
        let moved = fragment.node("Add", &[&scaled, &mean], vec![]);
        let shape = fragment.node("Shape", &[value], vec![]);
        let shaped = fragment.node("Reshape", &[&moved, &shape], vec![]);
        fragment.node("Cast", &[&shaped], vec![int("to", i64::from(element.onnx()))])
    }
}

/// What a deviation is divided by at least.
pub const LEAST_DEVIATION: f64 = 1e-12;

/// The mean over axes, which stay with extent 1. Since opset 18 the axes are an input.
pub(super) fn reduced(fragment: &mut Fragment, value: &str, axes: &[i64], opset: i64) -> String {
    if opset < 18 {
        return fragment.node("ReduceMean", &[value], vec![ints("axes", axes.iter().copied())]);
    }
    let axes = fragment.integers(axes);
    fragment.node("ReduceMean", &[value, &axes], vec![])
}

/// Statistics of batches put together.
struct Pool {
    weight: f64,
    mean: Array1<f64>,
    square: Array1<f64>,
}

impl Pool {
    fn new(outputs: usize) -> Self {
        Self { weight: 0.0, mean: Array1::zeros(outputs), square: Array1::zeros(outputs) }
    }

    fn add(&mut self, weight: f64, mean: &ndarray::ArrayD<f64>, variance: &ndarray::ArrayD<f64>) {
        self.weight += weight;
        for (((sum, square), mean), variance) in self.mean.iter_mut().zip(&mut self.square).zip(mean).zip(variance) {
            *sum += weight * mean;
            *square += weight * (variance + mean * mean);
        }
    }

    fn finish(self) -> Channels {
        let mean = self.mean / self.weight;
        let variance = self.square / self.weight - &mean * &mean;
        Channels { mean, deviation: variance.mapv(|variance| variance.max(0.0).sqrt()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn batches_pool_to_the_statistics_of_all_samples() {
        let mut pool = Pool::new(1);
        // 1, 3 and 5, 5, 8, 10: means 2 and 7, variances 1 and 4.5.
        pool.add(2.0, &array![2.0].into_dyn(), &array![1.0].into_dyn());
        pool.add(4.0, &array![[7.0]].into_dyn(), &array![[4.5]].into_dyn());
        let found = pool.finish();
        let all = array![1.0, 3.0, 5.0, 5.0, 8.0, 10.0];
        assert!((found.mean[0] - all.mean().unwrap()).abs() < 1e-12);
        assert!((found.deviation[0] - all.std(0.0)).abs() < 1e-12);
    }
}
