//! What `onnx-sap compare` finds, as data: the original and what each method made of it, judged on the same samples.

use super::{ModelReport, Statistic};
use crate::data::SampleId;
use crate::engine::{EngineInfo, Passes};
use crate::evidence::Quality;
use crate::refine::Recipe;
use crate::search::Verdict;
use serde::Serialize;
use std::collections::BTreeMap;

/// The methods on one model.
#[derive(Clone, Debug, Serialize)]
pub struct ComparisonReport {
    /// [`SCHEMA_VERSION`](super::SCHEMA_VERSION).
    pub schema_version: u32,
    /// Of this program and the library that computed.
    pub versions: BTreeMap<&'static str, String>,
    /// What ran the models that are judged.
    pub engine: EngineInfo,
    /// The original.
    pub model: ModelReport,
    /// The training data.
    pub data: SetReport,
    /// On what models are judged.
    pub test: SetReport,
    /// On what candidates were compared, as the first run calls it.
    pub validation: String,
    /// The training samples that are to be forgotten.
    pub forget: ForgetSetReport,
    /// The original.
    pub original: Accuracies,
    /// Every method, in the order that was asked for.
    pub methods: Vec<MethodReport>,
}

/// A data set.
#[derive(Clone, Debug, Serialize)]
pub struct SetReport {
    /// As it was named.
    pub spec: String,
    /// The number of its samples.
    pub samples: usize,
}

/// Which training samples are to be forgotten. The others are to be retained.
#[derive(Clone, Debug, Serialize)]
pub struct ForgetSetReport {
    /// How many.
    pub count: usize,
    /// Of how many that can be used.
    pub of: usize,
    /// What settled which.
    #[serde(flatten)]
    pub by: ForgetBy,
    /// Their ids, in the order of the set.
    pub ids: Vec<SampleId>,
}

/// What settled which samples are to be forgotten.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "by", rename_all = "snake_case")]
pub enum ForgetBy {
    /// The user.
    Given,
    /// The losses of a model.
    Losses {
        /// The method that had corrected it; nothing of the original.
        method: Option<&'static str>,
        /// Whether they tell right labels from wrong ones.
        separates: bool,
    },
}

/// A model on the samples that all models are judged on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Accuracies {
    /// On the test data.
    pub test: Quality,
    /// On the training samples that are to be forgotten, by their given labels; nothing where there are none.
    pub forget: Option<Quality>,
    /// On the other training samples; nothing where there are none.
    pub retain: Option<Quality>,
}

/// A method.
#[derive(Clone, Debug, Serialize)]
pub struct MethodReport {
    /// Its name.
    pub method: &'static str,
    /// Over the runs that could be had; nothing where none could.
    pub mean: Option<MeanReport>,
    /// Each seed.
    pub runs: Vec<RunReport>,
}

/// The runs of a method together.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct MeanReport {
    /// Accuracy on the test data.
    pub test: Statistic,
    /// On the samples that are to be forgotten.
    pub forget: Option<Statistic>,
    /// On the samples that are to be retained.
    pub retain: Option<Statistic>,
    /// The seconds of a run.
    pub seconds: Statistic,
    /// Forward passes, in passes over the training set.
    pub forward: Statistic,
    /// Backward passes, likewise.
    pub backward: Statistic,
}

/// A method with one seed.
#[derive(Clone, Debug, Serialize)]
pub struct RunReport {
    /// The seed.
    pub seed: u64,
    /// What came of it.
    #[serde(flatten)]
    pub result: RunResult,
}

/// What came of a run.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum RunResult {
    /// It ran.
    Ran(Box<RanReport>),
    /// The method cannot be had here.
    Impossible {
        /// Why.
        reason: String,
    },
}

/// A run that came to its end.
#[derive(Clone, Debug, Serialize)]
pub struct RanReport {
    /// The chosen candidate against the original, on validation data.
    pub verdict: Verdict,
    /// Why the candidate must not be used, though it was chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unverified: Option<String>,
    /// Whether the original stays, so that its accuracies are those of the run.
    pub original_stays: bool,
    /// What the chosen candidate is made of.
    pub chosen: Recipe,
    /// How many candidates were tried.
    pub trials: usize,
    /// The chosen candidate on validation data, where there is any.
    pub validation: Option<Quality>,
    /// The model that comes out.
    pub accuracy: Accuracies,
    /// What the run took.
    pub seconds: f64,
    /// The samples that went through the network meanwhile.
    pub passes: Passes,
    /// Every resolved option.
    pub params: BTreeMap<&'static str, serde_json::Value>,
}

impl ForgetBy {
    /// In words, as the end of a sentence.
    pub fn describe(&self) -> String {
        match self {
            Self::Given => "as given".to_owned(),
            Self::Losses { method: Some(method), .. } => format!("by the losses of {method}'s model"),
            Self::Losses { method: None, .. } => "by the losses of the original".to_owned(),
        }
    }
}

impl MethodReport {
    /// Of its runs, over a training set of so many samples.
    pub fn of(method: &'static str, runs: Vec<RunReport>, samples: usize) -> Self {
        let mean = MeanReport::of(&runs.iter().filter_map(RunReport::ran).collect::<Vec<_>>(), samples);
        Self { method, mean, runs }
    }

    /// Why it cannot be had, where none of its runs could.
    pub fn impossible(&self) -> Option<&str> {
        let reason = self.runs.iter().find_map(RunReport::impossible);
        reason.filter(|_| self.mean.is_none())
    }
}

impl MeanReport {
    fn of(runs: &[&RanReport], samples: usize) -> Option<Self> {
        let over = |number: &dyn Fn(&RanReport) -> f64| Statistic::of(runs.iter().map(|run| number(run)));
        let of_part = |part: fn(&Accuracies) -> Option<Quality>| {
            Statistic::of(runs.iter().filter_map(|run| part(&run.accuracy)).map(|quality| quality.accuracy))
        };
        let in_passes = |fed: u64| fed as f64 / samples.max(1) as f64;
        Some(Self {
            test: over(&|run| run.accuracy.test.accuracy)?,
            forget: of_part(|accuracy| accuracy.forget),
            retain: of_part(|accuracy| accuracy.retain),
            seconds: over(&|run| run.seconds)?,
            forward: over(&|run| in_passes(run.passes.forward))?,
            backward: over(&|run| in_passes(run.passes.backward))?,
        })
    }
}

impl RunReport {
    /// What it gave, where it came to its end.
    pub fn ran(&self) -> Option<&RanReport> {
        match &self.result {
            RunResult::Ran(ran) => Some(ran),
            RunResult::Impossible { .. } => None,
        }
    }

    /// Why it could not be had.
    pub fn impossible(&self) -> Option<&str> {
        match &self.result {
            RunResult::Ran(_) => None,
            RunResult::Impossible { reason } => Some(reason),
        }
    }
}

impl RanReport {
    /// What came of it, in words.
    pub fn verdict(&self) -> String {
        match (self.verdict, &self.unverified) {
            (_, Some(reason)) => format!("verification failed, the original stays: {reason}"),
            (Verdict::Better, None) => "better".to_owned(),
            (Verdict::NotBetter, None) => "not better, the original stays".to_owned(),
            (Verdict::AsGiven, None) => "applied as given".to_owned(),
            (Verdict::Unjudged, None) => "applied unjudged".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quality(accuracy: f64) -> Quality {
        Quality { accuracy, mean_loss: 1.0, samples: 10 }
    }

    fn run(seed: u64, test: f64, forward: u64) -> RunReport {
        let ran = RanReport {
            verdict: Verdict::Better,
            unverified: None,
            original_stays: false,
            chosen: Recipe::unchanged(),
            trials: 3,
            validation: None,
            accuracy: Accuracies { test: quality(test), forget: None, retain: Some(quality(0.9)) },
            seconds: 2.0,
            passes: Passes { forward, backward: 0 },
            params: BTreeMap::new(),
        };
        RunReport { seed, result: RunResult::Ran(Box::new(ran)) }
    }

    fn impossible(seed: u64) -> RunReport {
        RunReport { seed, result: RunResult::Impossible { reason: "no linear last layer".to_owned() } }
    }

    #[test]
    fn the_mean_is_that_of_the_runs_that_could_be_had() {
        let report = MethodReport::of("sap", vec![run(0, 0.5, 100), impossible(1), run(2, 0.75, 300)], 50);
        let mean = report.mean.unwrap();
        assert_eq!((mean.test.mean, mean.forward.mean, mean.backward.mean), (0.625, 4.0, 0.0));
        assert_eq!((mean.forget, mean.retain.unwrap().sd), (None, Some(0.0)));
        assert_eq!(report.impossible(), None);
    }

    #[test]
    fn a_method_without_any_run_says_why() {
        let report = MethodReport::of("influence", vec![impossible(0), impossible(1)], 50);
        assert!(report.mean.is_none());
        assert_eq!(report.impossible(), Some("no linear last layer"));
    }
}
