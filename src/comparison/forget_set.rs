//! Which training samples are to be forgotten. Settled once, so that all models are judged on the same ones.

use crate::data::{DataSet, SampleId};
use crate::detect::{Detection, Opinion};
use crate::error::Error;
use crate::evidence::{Prediction, Quality, Scores};
use crate::pipeline::samples_with;
use crate::report::{ForgetBy, ForgetSetReport};
use std::collections::BTreeSet;

/// The samples that are to be forgotten, and why those.
pub(super) struct ForgetSet {
    samples: BTreeSet<usize>,
    by: ForgetBy,
}

impl ForgetSet {
    /// The samples with these ids, among those that can be used.
    ///
    /// # Errors
    /// An id that is none of them.
    pub(super) fn given(ids: &[SampleId], set: &dyn DataSet, usable: &[usize]) -> Result<Self, Error> {
        Ok(Self { samples: samples_with(ids, set, usable)?, by: ForgetBy::Given })
    }

    /// As many of the highest losses of a model as labels are likely wrong, by what it says of the `samples`. `method`: what had
    /// corrected it.
    pub(super) fn by_losses(
        samples: &[usize],
        opinions: &[Opinion],
        classes: usize,
        method: Option<&'static str>,
    ) -> Self {
        let found = Detection::of(opinions, classes);
        let worst = Detection::highest_losses(opinions, found.noise_rate());
        let separates = found.separation.separates;
        Self { samples: worst.into_iter().map(|at| samples[at]).collect(), by: ForgetBy::Losses { method, separates } }
    }

    /// Why it says little, where it does.
    pub(super) fn doubt(&self) -> Option<String> {
        let ForgetBy::Losses { separates: false, .. } = self.by else { return None };
        let by = self.by.describe();
        Some(format!(
            "which samples are to be forgotten is settled {by}, which do not tell right labels from wrong ones: forget and retain \
             accuracy say little; name the samples with --forget-ids"
        ))
    }

    /// How well given labels are predicted: of samples that are to be forgotten, and of the others.
    pub(super) fn split(&self, training: &Scores) -> (Option<Quality>, Option<Quality>) {
        let judged = training.samples.iter().zip(&training.predictions);
        let (forget, retain): (Vec<_>, Vec<_>) = judged.partition(|(sample, _)| self.samples.contains(sample));
        let quality = |part: Vec<(&usize, &Prediction)>| {
            Quality::of(&part.into_iter().map(|(_, prediction)| *prediction).collect::<Vec<_>>()).judged()
        };
        (quality(forget), quality(retain))
    }

    /// For the report; `of` so many samples that can be used.
    pub(super) fn report(&self, of: usize, set: &dyn DataSet) -> ForgetSetReport {
        let ids = self.samples.iter().map(|&sample| set.id(sample)).collect();
        ForgetSetReport { count: self.samples.len(), of, by: self.by.clone(), ids }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Spec;
    use std::path::Path;

    /// 64 samples, whose ids are their numbers.
    fn set() -> Box<dyn DataSet> {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/weights-everywhere/data.npz");
        Spec::parse(&format!("npz:{}", fixtures.display()), Path::new(".")).unwrap().open().unwrap()
    }

    fn ids(ids: &[&str]) -> Vec<SampleId> {
        ids.iter().map(|id| SampleId((*id).to_owned())).collect()
    }

    /// Of samples from 10 on, each of class 0 of two, to which a model gives so much.
    fn opinions(probabilities: &[f64]) -> (Vec<usize>, Vec<Opinion>) {
        let opinion = |&probability: &f64| {
            let mut likely = vec![(0, probability), (1, 1.0 - probability)];
            likely.sort_by(|a, b| b.1.total_cmp(&a.1));
            let (loss, margin) = (-probability.ln(), 2.0 * probability - 1.0);
            Opinion { label: 0, predicted: likely[0].0, loss, self_confidence: probability, margin, likely }
        };
        ((10..10 + probabilities.len()).collect(), probabilities.iter().map(opinion).collect())
    }

    #[test]
    fn given_samples_are_taken_as_they_are_and_must_be_there() {
        let set = set();
        let usable: Vec<usize> = (0..60).collect();
        let given = ForgetSet::given(&ids(&["7", "3"]), set.as_ref(), &usable).unwrap();
        let report = given.report(60, set.as_ref());
        assert_eq!((report.count, report.of, report.by, report.ids), (2, 60, ForgetBy::Given, ids(&["3", "7"])));
        for missing in ["61", "nine"] {
            let refused = ForgetSet::given(&ids(&["7", missing]), set.as_ref(), &usable).err().unwrap().to_string();
            assert!(refused.contains(&format!("--forget-ids names {missing}")), "{refused}");
        }
    }

    #[test]
    fn as_many_of_the_highest_losses_as_labels_are_likely_wrong() {
        let right = (0..80).map(|at| 0.95 - 0.001 * f64::from(at));
        let wrong = (0..20).map(|at| 0.05 + 0.001 * f64::from(at));
        let (samples, opinions) = opinions(&right.chain(wrong).collect::<Vec<_>>());
        let found = ForgetSet::by_losses(&samples, &opinions, 2, Some("sap"));
        assert_eq!(found.samples.iter().copied().collect::<Vec<_>>(), (90..110).collect::<Vec<_>>());
        assert_eq!(found.doubt(), None);
    }

    #[test]
    fn losses_that_tell_nothing_are_doubted() {
        let (samples, opinions) = opinions(&[0.9; 40]);
        let doubt = ForgetSet::by_losses(&samples, &opinions, 2, None).doubt().unwrap();
        assert!(doubt.contains("losses of the original") && doubt.contains("--forget-ids"), "{doubt}");
    }

    #[test]
    fn every_sample_is_either_forgotten_or_retained() {
        let set = set();
        let prediction = |at: usize| Prediction { label: 0, predicted: at % 2, confidence: 1.0, loss: 1.0 };
        let training =
            Scores { samples: (0..10).collect(), predictions: (0..10).map(prediction).collect(), ..Scores::default() };
        let forget = ForgetSet::given(&ids(&["0", "1", "2"]), set.as_ref(), &training.samples).unwrap();
        let (forgotten, retained) = forget.split(&training);
        let of = |quality: Option<Quality>| quality.map(|quality| (quality.samples, quality.accuracy));
        assert_eq!((of(forgotten), of(retained)), (Some((3, 2.0 / 3.0)), Some((7, 3.0 / 7.0))));
        let nothing = ForgetSet::given(&[], set.as_ref(), &training.samples).unwrap();
        assert_eq!(nothing.split(&training).0, None);
    }
}
