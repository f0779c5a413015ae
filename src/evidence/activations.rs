//! What each output of layers is on each sample: its mean over positions, in float64.

use super::EvidenceError;
use super::channels::reduced;
use super::feed::Feed;
use crate::data::{Batch, Stream};
use crate::engine::{Computes, Engine, Runnable};
use crate::layers::{Output, OutputAxis};
use crate::model::fragment::int;
use crate::model::{Additions, Classifier, Fragment, GraphIndex, MAIN, Model};
use crate::progress::Observer;
use crate::tensor::ElementType;
use ndarray::{Array2, Axis, s};

/// The means of the outputs of each layer, `[samples, outputs]`, as steps of whatever phase the observer is in. The samples can all be
/// used.
///
/// # Errors
/// Those of data and engine; an interruption.
pub fn activations(
    model: &Model,
    outputs: &[&Output],
    (engine, classifier): (&dyn Engine, &Classifier),
    stream: &Stream<'_>,
    (samples, batch): (&[usize], usize),
    observer: &dyn Observer,
) -> Result<Vec<Array2<f64>>, EvidenceError> {
    let graph = GraphIndex::new(model)?;
    let mut additions = Additions::new(&graph);
    let opset = model.opset();
    let names: Vec<String> = outputs.iter().map(|output| means(additions.to(MAIN), output, opset)).collect();
    for name in &names {
        additions.to(MAIN).output(name, ElementType::Float64);
    }
    let wanted: Vec<&str> = names.iter().map(String::as_str).collect();
    let bytes = additions.into_bytes()?.into();
    let mut session = engine.load(Runnable { bytes, folder: model.folder(), computes: Computes::Outputs })?;
    let mut found: Vec<Array2<f64>> = outputs.iter().map(|output| Array2::zeros((0, output.outputs))).collect();
    stream.for_each(samples, batch, |batch: Batch| {
        if let Some(signal) = observer.stopped() {
            return Err(EvidenceError::Stopped(signal));
        }
        let feed = Feed::new(classifier, &batch.inputs)?;
        let values = session.run(&feed.inputs(), &wanted)?;
        for ((rows, tensor), output) in found.iter_mut().zip(&values).zip(outputs) {
            let values = tensor.to_f64();
            let wrong = || EvidenceError::Logits {
                output: output.value.name.clone(),
                found: values.shape().to_vec(),
                samples: feed.size,
            };
            let of_batch = values.to_shape((feed.size, output.outputs)).map_err(|_| wrong())?;
            rows.append(Axis(0), of_batch.slice(s![..feed.samples, ..])).map_err(|_| wrong())?;
        }
        observer.advance(feed.samples);
        Ok(())
    })?;
    Ok(found)
}

/// Adds the nodes, and returns the value that holds the means.
fn means(fragment: &mut Fragment, output: &Output, opset: i64) -> String {
    let outputs = output.outputs as i64;
    let (shape, positions): (&[i64], i64) = match output.axis {
        OutputAxis::Channels => (&[0, outputs, -1], 2),
        OutputAxis::Features => (&[0, -1, outputs], 1),
    };
    let double = fragment.node("Cast", &[&output.value.name], vec![int("to", i64::from(ElementType::Float64.onnx()))]);
    let shape = fragment.integers(shape);
    let rows = fragment.node("Reshape", &[&double, &shape], vec![]);
    reduced(fragment, &rows, &[positions], opset)
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
        let found =
            |batch| activations(&model, &outputs, (&engine, &classifier), &stream, (&samples, batch), &Silent).unwrap();
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
}
