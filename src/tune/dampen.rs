//! Selective synaptic dampening (Foster et al., "Fast Machine Unlearning Without Retraining Through Selective Synaptic Dampening",
//! AAAI 2024): entries of parameters that matter more for samples to be forgotten than for the others become smaller.

use super::{Ground, Tuned, Tuning};
use crate::autodiff::CrossEntropy;
use crate::error::Error;
use crate::tensor::{NamedTensor, Tensor};
use crate::train::{Examples, Lesson, Squares, Trainer, pass};
use ndarray::{ArrayD, Zip};
use serde_json::{Value, json};

/// Dampening: an entry w with importance `f` for the samples that are forgotten and `d` for all becomes `w · min(λ d / f, 1)`
/// where `f > α d`. Importance is the mean over batches of the squared gradient of a batch's mean loss, as in its authors' code: with
/// batches of one sample the diagonal of the empirical Fisher matrix.
#[derive(Clone, Debug)]
pub struct Dampen {
    /// The values of α that are tried.
    pub selections: Vec<f64>,
    /// The values of λ that are tried.
    pub dampenings: Vec<f64>,
    /// Samples of a batch, where they were given.
    pub batch: Option<usize>,
}

impl Tuning for Dampen {
    fn tune(&self, ground: &mut Ground<'_>) -> Result<Vec<Tuned>, Error> {
        if ground.forget.is_empty() {
            ground.observer.warn("nothing is to be forgotten, so nothing is dampened; name samples with --forget-ids or a share with --forget-fraction");
            return Ok(Vec::new());
        }
        let mut trainer = ground.trainer(&CrossEntropy, &Squares)?;
        let all = ground.opinions.samples.clone();
        let of_all = self.importances(ground, &mut trainer, &all)?;
        let of_forgotten = self.importances(ground, &mut trainer, ground.forget)?;
        trainer.start_anew();
        let weights = trainer.parameters()?;
        let mut tried = Vec::new();
        for &selection in &self.selections {
            for &dampening in &self.dampenings {
                let dampened = |((weight, all), forgotten): ((&NamedTensor, &ArrayD<f64>), &ArrayD<f64>)| {
                    let values = dampened(&weight.tensor.to_f64(), (forgotten, all), (selection, dampening));
                    let tensor = Tensor::from_f64(&values, weight.tensor.element_type());
                    NamedTensor { name: weight.name.clone(), tensor }
                };
                let parameters: Vec<_> = weights.iter().zip(&of_all).zip(&of_forgotten).map(dampened).collect();
                let scores = ground.judge(&parameters)?;
                tried.push(Tuned {
                    by: Self::NAME,
                    settings: vec![("α", selection), ("λ", dampening)],
                    parameters,
                    scores,
                });
            }
        }
        Ok(tried)
    }

    fn params(&self) -> Vec<(&'static str, Value)> {
        vec![
            ("ssd_alpha", json!(self.selections)),
            ("ssd_lambda", json!(self.dampenings)),
            ("train_batch", json!(self.batch)),
        ]
    }
}

impl Dampen {
    /// The method that it is.
    pub const NAME: &str = "ssd";

    /// How much each entry of each parameter matters for samples.
    fn importances(
        &self,
        ground: &Ground<'_>,
        trainer: &mut Trainer,
        samples: &[usize],
    ) -> Result<Vec<ArrayD<f64>>, Error> {
        let examples = Examples {
            stream: ground.stream,
            classifier: ground.classifier,
            lessons: vec![Lesson::of(samples)],
            shifted: false,
            memory: None,
            mixing: None,
        };
        trainer.start_anew();
        let steps = pass(trainer, &examples, ground.batch(self.batch), ground.observer)?;
        let sums = trainer.kept(0)?;
        Ok(sums.iter().map(|sum| sum.tensor.to_f64() / steps as f64).collect())
    }
}

/// A parameter whose entries are dampened, by their importances for forgotten and all samples, and by α and λ.
fn dampened(
    weights: &ArrayD<f64>,
    (forgotten, all): (&ArrayD<f64>, &ArrayD<f64>),
    (selection, dampening): (f64, f64),
) -> ArrayD<f64> {
    let mut found = weights.clone();
    Zip::from(&mut found).and(forgotten).and(all).for_each(|weight, &forgotten, &all| {
        if forgotten > selection * all {
            *weight *= (dampening * all / forgotten).min(1.0);
        }
    });
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn what_matters_more_for_the_forgotten_shrinks_and_nothing_grows() {
        let weights = array![1.0, 2.0, -4.0, 8.0].into_dyn();
        let (forgotten, all) = (array![1.0, 8.0, 8.0, 0.0].into_dyn(), array![1.0, 1.0, 4.0, 1.0].into_dyn());
        let found = |selection, dampening| dampened(&weights, (&forgotten, &all), (selection, dampening));
        assert_eq!(found(1.0, 1.0), array![1.0, 0.25, -2.0, 8.0].into_dyn());
        assert_eq!(found(4.0, 2.0), array![1.0, 0.5, -4.0, 8.0].into_dyn());
        assert_eq!(found(1.0, 100.0), weights);
    }
}
