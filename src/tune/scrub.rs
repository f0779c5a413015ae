//! SCRUB (Kurmanji et al., "Towards Unbounded Machine Unlearning", `NeurIPS` 2023): away from what the model said of samples that are
//! to be forgotten, and along with it on the others.

use super::{Ground, Tuned, Tuning, training};
use crate::error::Error;
use crate::train::{Examples, Lesson, Memory, Plan, Schedule, Sgd, Teacher, Trainer};
use ndarray::{Array2, Axis};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// In each of the first epochs steps that maximise `KL(model before ‖ model)` on the forgotten samples, then in every epoch steps that
/// minimise `γ CE + α KL` on the others.
#[derive(Clone, Copy, Debug)]
pub struct Scrub {
    /// The learning rate; nothing where it is searched for.
    pub rate: Option<f64>,
    /// All epochs.
    pub epochs: usize,
    /// Those that maximise.
    pub away: usize,
    /// γ.
    pub of_labels: f64,
    /// α.
    pub of_teacher: f64,
    /// The temperature of the divergence.
    pub temperature: f64,
    /// The weight decay.
    pub weight_decay: f64,
    /// Samples of a step, where they were given.
    pub batch: Option<usize>,
}

/// Rates that are tried: about that of the authors' code.
const RATES: [f64; 3] = [5e-4, 2e-3, 8e-3];

impl Tuning for Scrub {
    fn tune(&self, ground: &mut Ground<'_>) -> Result<Vec<Tuned>, Error> {
        let forget: BTreeSet<usize> = ground.forget.iter().copied().collect();
        let samples = &ground.opinions.samples;
        let retain: Vec<usize> = samples.iter().copied().filter(|sample| !forget.contains(sample)).collect();
        if forget.is_empty() || retain.is_empty() {
            ground.observer.warn(
                "nothing is to be forgotten, or nothing to be kept, so nothing is scrubbed; name samples with --forget-ids or a share \
                 with --forget-fraction",
            );
            return Ok(Vec::new());
        }
        let optimizer = Sgd { momentum: super::MOMENTUM, weight_decay: self.weight_decay, nesterov: false };
        let criterion = Teacher { temperature: self.temperature };
        let mut trainer = ground.trainer(&criterion, &optimizer)?;
        let mut tried = Vec::new();
        for rate in super::given_or(self.rate, &RATES) {
            tried.extend(self.with(rate, ground, &mut trainer, &retain)?);
        }
        if tried.is_empty() {
            ground.observer.warn("every training diverges, so the model stays as it was; give a smaller --lr");
        }
        Ok(tried)
    }

    fn params(&self) -> Vec<(&'static str, Value)> {
        vec![
            ("lr", self.rate.map_or_else(|| json!("auto"), |rate| json!(rate))),
            ("epochs", json!(self.epochs)),
            ("away", json!(self.away)),
            ("of_labels", json!(self.of_labels)),
            ("of_teacher", json!(self.of_teacher)),
            ("temperature", json!(self.temperature)),
            ("weight_decay", json!(self.weight_decay)),
            ("train_batch", json!(self.batch)),
        ]
    }
}

impl Scrub {
    /// The method that it is.
    pub const NAME: &str = "scrub";

    fn with(
        &self,
        rate: f64,
        ground: &mut Ground<'_>,
        trainer: &mut Trainer,
        retain: &[usize],
    ) -> Result<Option<Tuned>, Error> {
        let plan = Plan {
            epochs: self.epochs,
            batch: ground.batch(self.batch),
            rate,
            schedule: Schedule::Cosine,
            seed: ground.seed,
            patience: None,
            work: None,
        };
        let teacher = cooled(&ground.before.probabilities, self.temperature);
        let away = Lesson { samples: ground.forget, dials: vec![0.0, -1.0], epochs: Some(self.away) };
        let along = Lesson { samples: retain, dials: vec![self.of_labels, self.of_teacher], epochs: None };
        let examples = Examples {
            stream: ground.stream,
            classifier: ground.classifier,
            lessons: vec![away, along],
            shifted: false,
            memory: Some(Memory::new(&ground.before.samples, teacher)),
            mixing: None,
        };
        training::judged(ground, trainer, (&plan, examples), (Self::NAME, vec![("lr", rate)]))
    }
}

/// Probabilities at another temperature: the softmax of their logarithms divided by it.
fn cooled(probabilities: &Array2<f32>, temperature: f64) -> Array2<f32> {
    let mut found = probabilities.mapv(|probability| f64::from(probability).powf(1.0 / temperature));
    for mut row in found.axis_iter_mut(Axis(0)) {
        let sum = row.sum().max(f64::MIN_POSITIVE);
        row /= sum;
    }
    found.mapv(|probability| probability as f32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn a_higher_temperature_brings_probabilities_together() {
        let found = cooled(&array![[0.8, 0.2], [1.0, 0.0]], 2.0);
        assert!((found[[0, 0]] - 2.0 / 3.0).abs() < 1e-6, "{found}");
        assert_eq!(found.row(1).to_vec(), [1.0, 0.0]);
    }
}
