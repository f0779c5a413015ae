//! What each output of layers is on each sample: its mean over positions, in float64.

use super::EvidenceError;
use super::channels::reduced;
use super::feed::Feed;
use crate::data::{Batch, Stream};
use crate::engine::{Computes, Engine, Runnable, Session};
use crate::layers::{Output, OutputAxis};
use crate::model::fragment::int;
use crate::model::{Additions, Classifier, Fragment, GraphIndex, MAIN, Model};
use crate::progress::Observer;
use crate::tensor::ElementType;
use ndarray::{Array2, Axis, s};

/// Sizes of the batches that tell along which axis samples lie: two, as an axis of another meaning may be as long as one of them.
const PROBES: [usize; 2] = [2, 3];

/// The means of the outputs of each layer, `[samples, outputs]`, as steps of whatever phase the observer is in; nothing of a layer no axis
/// of whose outputs is that of the samples. The samples can all be used.
///
/// # Errors
/// Those of data and engine; an interruption.
pub fn activations(
    model: &Model,
    outputs: &[&Output],
    runs: (&dyn Engine, &Classifier),
    stream: &Stream<'_>,
    (samples, batch): (&[usize], usize),
    observer: &dyn Observer,
) -> Result<Vec<Option<Array2<f64>>>, EvidenceError> {
    let layouts = layouts(model, outputs, runs, stream, samples)?;
    let mut found: Vec<Option<Array2<f64>>> = vec![None; outputs.len()];
    let told: Vec<(usize, &Output, &Layout)> =
        layouts.iter().enumerate().filter_map(|(at, layout)| Some((at, outputs[at], layout.as_ref()?))).collect();
    if told.is_empty() {
        return Ok(found);
    }
    for &(at, output, _) in &told {
        found[at] = Some(Array2::zeros((0, output.outputs)));
    }
    let (engine, classifier) = runs;
    let add = |fragment: &mut Fragment| {
        told.iter().map(|(_, output, layout)| means(fragment, output, layout, model.opset())).collect()
    };
    let (mut session, names) = with_nodes(model, engine, ElementType::Float64, add)?;
    let wanted: Vec<&str> = names.iter().map(String::as_str).collect();
    stream.for_each(samples, batch, |batch: Batch| {
        if let Some(signal) = observer.stopped() {
            return Err(EvidenceError::Stopped(signal));
        }
        let feed = Feed::new(classifier, &batch.inputs)?;
        let values = session.run(&feed.inputs(), &wanted)?;
        for (tensor, &(at, output, _)) in values.iter().zip(&told) {
            let values = tensor.to_f64();
            let wrong = || EvidenceError::Activations {
                value: output.value.name.clone(),
                found: values.shape().to_vec(),
                samples: feed.size,
            };
            let of_batch = values.to_shape((feed.size, output.outputs)).map_err(|_| wrong())?;
            let rows = found[at].as_mut().map(|rows| rows.append(Axis(0), of_batch.slice(s![..feed.samples, ..])));
            rows.transpose().map_err(|_| wrong())?;
        }
        observer.advance(feed.samples);
        Ok(())
    })?;
    Ok(found)
}

/// A session that gives values of nodes behind the model, and their names.
fn with_nodes(
    model: &Model,
    engine: &dyn Engine,
    element: ElementType,
    add: impl FnOnce(&mut Fragment) -> Vec<String>,
) -> Result<(Box<dyn Session>, Vec<String>), EvidenceError> {
    let graph = GraphIndex::new(model)?;
    let mut additions = Additions::new(&graph);
    let names = add(additions.to(MAIN));
    for name in &names {
        additions.to(MAIN).output(name, element);
    }
    let bytes = additions.into_bytes()?.into();
    Ok((engine.load(Runnable { bytes, folder: model.folder(), computes: Computes::Outputs })?, names))
}

/// How the outputs of a layer lie in their value.
#[derive(Debug)]
struct Layout {
    /// The axis on which samples lie.
    samples: usize,
    /// The axis on which the outputs do.
    outputs: usize,
    /// How many axes there are.
    rank: usize,
}

impl Layout {
    /// What the shapes of a value tell, each with the number of samples that it was computed for; nothing where no axis has that extent in
    /// all of them, or several have.
    fn of(shapes: &[(Vec<usize>, usize)], axis: OutputAxis) -> Option<Self> {
        let (shape, size) = shapes.first()?;
        let rank = shape.len();
        let (outputs, before) = match axis {
            OutputAxis::Channels => (1, 1),
            OutputAxis::Features => (rank.checked_sub(1)?, rank - 1),
        };
        let is_of_samples = |at: &usize| shapes.iter().all(|(shape, size)| shape.get(*at) == Some(size));
        let mut found = (0..before).filter(is_of_samples);
        let samples = found.next()?;
        // Of axes of a single entry any will do.
        (*size == 1 || found.next().is_none()).then_some(Self { samples, outputs, rank })
    }

    /// The axes that are neither.
    fn positions(&self) -> Vec<i64> {
        let is_position = |axis: &usize| *axis != self.samples && *axis != self.outputs;
        (0..self.rank).filter(is_position).map(|axis| axis as i64).collect()
    }
}

/// How the outputs of each layer lie, by batches of several sizes: transformers are exported with the samples on the second axis, too.
fn layouts(
    model: &Model,
    outputs: &[&Output],
    (engine, classifier): (&dyn Engine, &Classifier),
    stream: &Stream<'_>,
    samples: &[usize],
) -> Result<Vec<Option<Layout>>, EvidenceError> {
    let add = |fragment: &mut Fragment| {
        outputs.iter().map(|output| fragment.node("Shape", &[&output.value.name], vec![])).collect()
    };
    let (mut session, names) = with_nodes(model, engine, ElementType::Int64, add)?;
    let wanted: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut shapes: Vec<Vec<(Vec<usize>, usize)>> = vec![Vec::new(); outputs.len()];
    for probe in PROBES {
        stream.for_each(&samples[..probe.min(samples.len())], probe, |batch: Batch| {
            let feed = Feed::new(classifier, &batch.inputs)?;
            for (of_output, shape) in shapes.iter_mut().zip(session.run(&feed.inputs(), &wanted)?) {
                let shape = shape.to_f64().iter().map(|extent| *extent as usize).collect();
                of_output.push((shape, feed.size));
            }
            Ok::<(), EvidenceError>(())
        })?;
    }
    Ok(shapes.iter().zip(outputs).map(|(shapes, output)| Layout::of(shapes, output.axis)).collect())
}

/// Adds the nodes, and returns the value that holds the means.
fn means(fragment: &mut Fragment, output: &Output, layout: &Layout, opset: i64) -> String {
    let double = fragment.node("Cast", &[&output.value.name], vec![int("to", i64::from(ElementType::Float64.onnx()))]);
    let positions = layout.positions();
    if positions.is_empty() { double } else { reduced(fragment, &double, &positions, opset) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Preprocessing, Spec};
    use crate::engine::tract::TractEngine;
    use crate::evidence::{Observation, Observed};
    use crate::layers::{Ledger, Selection};
    use crate::model::Interface;
    use crate::pipeline::Prepared;
    use crate::progress::Silent;
    use std::path::Path;

    /// Over all samples they have the means that recalibration finds in batches.
    #[test]
    fn the_means_of_samples_are_those_of_all_of_them_whatever_the_batch() {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/weights-everywhere");
        let model = Model::open(&fixtures.join("conv2d.onnx")).unwrap();
        let graph = GraphIndex::new(&model).unwrap();
        let classifier = Classifier::of(&graph, &Interface::default()).unwrap();
        let ledger = Ledger::survey(&graph, &Selection::default()).unwrap();
        let layers: Vec<_> = ledger.layers.iter().filter_map(|layer| Some((layer, layer.output.as_ref()?))).collect();
        assert!(layers.len() > 1, "a convolution and the last layer");
        let outputs: Vec<&Output> = layers.iter().map(|(_, output)| *output).collect();
        let spec = Spec::parse(&format!("npz:{}", fixtures.join("data.npz").display()), &fixtures).unwrap();
        let data = Prepared::open(&spec, &Preprocessing::default(), &classifier, &Silent).unwrap();
        let (engine, samples) = (TractEngine::new(), data.all());
        let stream = data.stream(None);
        let found = |batch| {
            let runs = (&engine as &dyn Engine, &classifier);
            let found = activations(&model, &outputs, runs, &stream, (&samples, batch), &Silent).unwrap();
            found.into_iter().map(Option::unwrap).collect::<Vec<_>>()
        };
        let observed: Vec<Observed<'_>> = layers
            .iter()
            .map(|(layer, output)| Observed { output, element: layer.sites[0].element, target: None })
            .collect();
        let observation =
            Observation { engine: &engine, classifier: &classifier, stream, samples: &samples, batch: samples.len() };
        let means = observation.of(&model, &observed, &Silent).unwrap();
        for ((rows, of_fives), channels) in found(samples.len()).iter().zip(found(5)).zip(&means) {
            assert_eq!(rows.nrows(), samples.len());
            assert!((rows - &of_fives).iter().all(|apart| apart.abs() < 1e-6));
            let mean = rows.mean_axis(Axis(0)).unwrap();
            assert!((mean - &channels.mean).iter().all(|apart| apart.abs() < 1e-6));
        }
    }

    /// Queries, keys and values have shape `[tokens, samples, outputs]`, and what projects the result `[tokens · samples, outputs]`.
    #[test]
    fn samples_are_told_apart_on_whatever_axis_they_lie() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let model = Model::open(&root.join("models/fashion-vit.onnx")).unwrap();
        let graph = GraphIndex::new(&model).unwrap();
        let classifier = Classifier::of(&graph, &Interface::default()).unwrap();
        let ledger = Ledger::survey(&graph, &Selection::default()).unwrap();
        let outputs: Vec<&Output> = ledger.layers.iter().filter_map(|layer| layer.output.as_ref()).collect();
        let spec = Spec::parse("fashion-mnist:fixtures/fashion-noisy", root).unwrap();
        let data = Prepared::open(&spec, &Preprocessing::default(), &classifier, &Silent).unwrap();
        let (engine, samples) = (TractEngine::new(), [3, 1, 4, 15]);
        let stream = data.stream(None);
        let found = |batch| {
            let runs = (&engine as &dyn Engine, &classifier);
            activations(&model, &outputs, runs, &stream, (&samples, batch), &Silent).unwrap()
        };
        let (at_once, singly) = (found(4), found(1));
        let told: Vec<bool> = at_once.iter().map(Option::is_some).collect();
        let of_block = [true, false, true, true];
        let expected = [&[true][..], &of_block, &of_block, &of_block, &of_block, &[true]].concat();
        assert_eq!(told, expected, "the four projections behind attention are not told apart");
        for (at_once, singly) in at_once.iter().flatten().zip(singly.iter().flatten()) {
            assert_eq!(at_once.nrows(), samples.len());
            assert!((at_once - singly).iter().all(|apart| apart.abs() < 1e-4));
            let varies = |row: usize| (&at_once.row(0) - &at_once.row(row)).iter().any(|apart| apart.abs() > 1e-3);
            assert!((1..4).all(varies), "samples differ");
        }
    }

    #[test]
    fn what_lies_on_no_axis_of_samples_is_not_taken_for_samples() {
        let found = |shapes: &[(&[usize], usize)], axis| {
            let shapes: Vec<_> = shapes.iter().map(|(shape, size)| (shape.to_vec(), *size)).collect();
            Layout::of(&shapes, axis).map(|layout| (layout.samples, layout.positions()))
        };
        let features = OutputAxis::Features;
        assert_eq!(found(&[(&[17, 2, 16], 2), (&[17, 3, 16], 3)], features), Some((1, vec![0])), "tokens first");
        assert_eq!(found(&[(&[2, 2, 16], 2), (&[3, 2, 16], 3)], features), Some((0, vec![1])), "two tokens");
        assert_eq!(found(&[(&[8, 49, 16], 2), (&[12, 49, 16], 3)], features), None, "windows");
        assert_eq!(found(&[(&[4, 4, 16], 4), (&[4, 4, 16], 4)], features), None, "a fixed batch of as many");
        assert_eq!(found(&[(&[1, 1, 16], 1)], features), Some((0, vec![1])), "either will do");
        assert_eq!(found(&[(&[2, 16, 7, 7], 2)], OutputAxis::Channels), Some((0, vec![2, 3])));
    }
}
