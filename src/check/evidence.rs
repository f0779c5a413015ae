//! What rules judge: two models, and what they gave on each engine.

use crate::difference::{Difference, TensorDifferences};
use crate::evidence::Scores;
use crate::golden::Environment;
use crate::tensor::NamedTensor;

/// What a check has found out.
pub struct Evidence {
    /// What differs between the files; nothing where the golden model is not there, only what it gave.
    pub files: Option<Files>,
    /// Where the golden outputs were recorded, where a record says so.
    pub recorded: Option<Environment>,
    /// Whether the candidate is the very model that was recorded; nothing where the record does not say.
    pub is_recorded_model: Option<bool>,
    /// By engine: its name, and what the models gave there, or why they could not be run.
    pub runs: Vec<(String, Result<Run, String>)>,
    /// The names of the classes, where the data carries them.
    pub class_names: Option<Vec<String>>,
}

/// What differs between two model files.
pub struct Files {
    /// Of the structure.
    pub structure: Vec<Difference>,
    /// Of the tensors.
    pub tensors: TensorDifferences,
    /// The names of all tensors of the golden model.
    pub names: Vec<String>,
}

/// What the models gave on an engine.
pub struct Run {
    /// On what they ran.
    pub environment: Environment,
    /// What they gave for golden inputs; nothing where no rule asks for it, or there are none.
    pub outputs: Option<Outputs>,
    /// On what predictions can be compared, the best first.
    pub bases: Vec<Basis>,
}

/// What models gave for golden inputs, test set by test set.
pub struct Outputs {
    /// As it was recorded.
    pub recorded: Option<Vec<Vec<NamedTensor>>>,
    /// What the golden model gives here.
    pub golden: Option<Vec<Vec<NamedTensor>>>,
    /// What the candidate gives here.
    pub candidate: Vec<Vec<NamedTensor>>,
}

impl Outputs {
    /// What the candidate is judged by: the golden model on this machine, else what was recorded of it.
    pub fn wanted(&self) -> Option<&[Vec<NamedTensor>]> {
        self.golden.as_deref().or(self.recorded.as_deref())
    }
}

/// Samples with labels, and what is predicted for them.
pub struct Basis {
    /// What they are, as messages say it.
    pub what: String,
    /// By the candidate.
    pub candidate: Scores,
    /// By the golden model, where that is known.
    pub golden: Option<Scores>,
}

impl Evidence {
    /// What a class is called: by its name, or by its number.
    pub fn class(&self, class: usize) -> String {
        let name = self.class_names.as_ref().and_then(|names| names.get(class).cloned());
        name.unwrap_or_else(|| class.to_string())
    }
}
