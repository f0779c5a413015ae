//! Which samples a model was made to fit against its grain: by how much each one's loss is attributed to its input or to the last layer,
//! and which part of all of them that marks (after Jin et al., arXiv 2506.11615).

use super::{Inspection, Opinions};
use crate::autodiff::{CrossEntropy, GradientModel, Loss, Objective, Respect, Targets};
use crate::data::{Batch, DataSet, SampleId};
use crate::detect::{Mixture, Opinion};
use crate::engine::{Computes, Runnable};
use crate::error::Error;
use crate::evidence::{EvidenceError, Feed};
use crate::model::Link;
use crate::tensor::{ElementType, Tensor};
use ndarray::{Array1, ArrayView1};
use std::collections::BTreeMap;
use std::f64::consts::SQRT_2;

/// How probable it is of samples that their labels are right.
#[derive(Clone, Debug, PartialEq)]
pub struct Quality {
    /// The samples.
    pub samples: Vec<usize>,
    /// The probability of each, in their order.
    pub probabilities: Vec<f64>,
}

impl Quality {
    /// That of samples by their ids, all of which can be used.
    ///
    /// # Errors
    /// An id that is none of them, or stands twice.
    pub fn given(given: &[(SampleId, f64)], set: &dyn DataSet, usable: &[usize]) -> Result<Self, Error> {
        let mut wanted: BTreeMap<&SampleId, f64> = BTreeMap::new();
        for (id, probability) in given {
            if wanted.insert(id, *probability).is_some() {
                return Err(Error::Usage(format!("--quality names {id} twice")));
            }
        }
        let named = |&sample: &usize| Some((sample, wanted.remove(&set.id(sample))?));
        let (samples, probabilities) = usable.iter().filter_map(named).unzip();
        match wanted.keys().next() {
            None => Ok(Self { samples, probabilities }),
            Some(id) => Err(Error::Usage(format!("--quality names {id}, which is no sample that can be used"))),
        }
    }

    /// The samples that are likelier right than not.
    pub fn high(&self) -> Vec<usize> {
        let good = self.samples.iter().zip(&self.probabilities).filter(|(_, probability)| **probability > 0.5);
        good.map(|(sample, _)| *sample).collect()
    }
}

/// Samples by what their losses are attributed to.
#[derive(Clone, Debug)]
pub struct Partition {
    /// The probability that a sample belongs to the part of the smaller attributions.
    pub quality: Quality,
    /// The attributions, in the order of the samples.
    pub attributions: Vec<f64>,
    /// The mixture that tells.
    pub mixture: Mixture,
    /// What attributions were measured in: the name of an input, of the last layer's weight, or of the scores.
    pub measured_in: String,
}

impl Partition {
    /// Why it tells nothing, where it does not.
    pub fn doubt(&self) -> Option<String> {
        let Self { mixture, measured_in, .. } = self;
        (!mixture.has_two_humps()).then(|| {
            let distance = mixture.distance;
            format!(
                "attributions do not tell right labels from wrong ones (their mixture in {measured_in} is {distance:.1} deviations apart, 2 \
                 would do)"
            )
        })
    }
}

impl Inspection<'_> {
    /// Divides the samples by the logarithms of the norms of the gradients of their own losses. Of the norms that there are, in each input
    /// of floats, in a linear last layer and in the scores, those count whose mixture of two normal distributions is the most clearly
    /// one of two.
    ///
    /// # Errors
    /// What cannot be differentiated; those of data and engine.
    pub fn partition(&self) -> Result<Partition, Error> {
        let mut attributions = self.attributions()?;
        attributions.insert(self.classifier.head.value.clone(), in_scores(self.said));
        let mixtures = attributions.into_iter().map(|(name, logarithms)| {
            let mixture = Mixture::of(logarithms.iter().copied());
            (name, logarithms, mixture)
        });
        let clearest = mixtures.reduce(|best, next| if next.2.distance > best.2.distance { next } else { best });
        let (measured_in, attributions, mixture) = clearest.ok_or(EvidenceError::NoneUsable)?;
        let probabilities = attributions.iter().map(|&logarithm| 1.0 - mixture.upper(logarithm)).collect();
        let quality = Quality { samples: self.said.samples.clone(), probabilities };
        Ok(Partition { quality, attributions, mixture, measured_in })
    }

    /// The logarithms of the norms for each of the samples, by what they are in.
    fn attributions(&self) -> Result<BTreeMap<String, Vec<f64>>, Error> {
        let link = self.classifier.head.link.unwrap_or(Link::Softmax);
        let loss = Loss { link, targets: Targets::Labels, weighted: false, criterion: &CrossEntropy };
        let objective = Objective::Loss { scores: &self.classifier.head.value, loss, norms: true };
        // What is looked at is the norms, but a gradient has to be asked for: the one that they take in any case, where there is one.
        let of_floats = self.model.inputs().iter().any(|input| input.element.is_some_and(ElementType::is_float));
        let respect = if of_floats { Respect::Inputs } else { Respect::Weights };
        let made = GradientModel::of(self.model, self.engine, objective, &respect, &BTreeMap::new())?;
        let labels = made.ports.as_ref().map(|ports| ports.targets.clone()).unwrap_or_default();
        let mut session = self.engine.load(Runnable {
            bytes: made.bytes.into(),
            folder: self.model.folder(),
            computes: Computes::Gradients,
        })?;
        let wanted: Vec<&str> = made.norms.iter().map(|(_, output)| output.as_str()).collect();
        let mut found: BTreeMap<String, Vec<f64>> = made.norms.iter().map(|(of, _)| (of.clone(), Vec::new())).collect();
        let (samples, observer) = (&self.said.samples, self.observer);
        observer.begin("attributions", samples.len(), "samples");
        self.stream.for_each(samples, self.batch, |batch: Batch| {
            if let Some(signal) = observer.stopped() {
                return Err(Error::from(EvidenceError::Stopped(signal)));
            }
            let feed = Feed::new(self.classifier, &batch.inputs)?;
            let mut of_batch: Vec<i64> = batch.labels.iter().map(|&label| label as i64).collect();
            of_batch.resize(feed.size, 0);
            let of_batch = Tensor::Int64(Array1::from(of_batch).into_dyn());
            let mut inputs = feed.inputs();
            inputs.push((&labels, &of_batch));
            let norms = session.run(&inputs, &wanted)?;
            for ((of, _), norms) in made.norms.iter().zip(&norms) {
                let logarithms = norms.to_f64().into_iter().take(feed.samples).map(|norm| norm.max(1e-300).ln());
                found.entry(of.clone()).or_default().extend(logarithms);
            }
            observer.advance(feed.samples);
            Ok(())
        })?;
        observer.end();
        Ok(found)
    }
}

/// Of each sample how long the gradient `p − y` in its scores is, between 0 and √2, as the logarithm of `n / (√2 − n)`: right labels gather
/// on one side of 0, and wrong ones on the other.
fn in_scores(said: &Opinions) -> Vec<f64> {
    let of_sample = |(row, opinion): (ArrayView1<'_, f32>, &Opinion)| {
        let row = row.mapv(f64::from);
        let rest = |of: usize| row.iter().enumerate().filter(move |(class, _)| *class != of).map(|(_, other)| other);
        let label = opinion.label;
        // Which other class is the most probable makes no difference; 1 less its square would lose the digits of the square itself.
        let others = row.iter().enumerate().filter(|(class, _)| *class != label);
        let (top, most) = others.max_by(|a, b| a.1.total_cmp(b.1)).map_or((label, 0.0), |(class, &most)| (class, most));
        let wrong: f64 = rest(label).sum();
        let squares: f64 = rest(label).map(|other| other * other).sum();
        let norm = (wrong * wrong + squares).sqrt();
        // 2 less its square, each of the two parts for itself.
        let short = row[label] * (2.0 - row[label]) + rest(top).sum::<f64>() * (1.0 + most) - (squares - most * most);
        (norm * (SQRT_2 + norm)).max(1e-300).ln() - short.max(1e-300).ln()
    };
    said.probabilities.rows().into_iter().zip(&said.opinions).map(of_sample).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn attributions_to_scores_lie_on_either_side_of_nothing_by_whether_the_label_is_believed() {
        let opinion =
            |label| Opinion { label, predicted: 0, loss: 0.0, self_confidence: 0.0, margin: 0.0, likely: Vec::new() };
        let said = Opinions {
            samples: vec![0, 1, 2, 3],
            opinions: vec![opinion(0), opinion(1), opinion(1), opinion(1)],
            probabilities: array![[1.0, 1e-12], [1.0, 1e-12], [0.5, 0.5], [0.25, 0.75]],
        };
        let found = in_scores(&said);
        // By hand: the norm is √2 of the probability of the other class, whatever digits 1 less that has left.
        for (found, other) in found.iter().zip([1e-12, 1.0 - 1e-12, 0.5, 0.25_f64]) {
            let wanted = other.ln() - (-other).ln_1p();
            assert!((found - wanted).abs() < 1e-3, "{found} for {wanted}");
        }
    }
}
