//! How a method goes on with gradients, for those that do.

use super::options::{positive, refuse_losing};
use crate::error::Error;
use crate::methods::Method;
use crate::pipeline::TuningChoice;
use crate::refine::Start;
use crate::report::stages::{read_neurons, read_quality};
use crate::train::{CRITERIA, criterion};
use crate::tune::{LearnFrom, TuneOptions};
use clap::Args;
use clap::builder::PossibleValuesParser;
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[derive(Args, Clone)]
#[command(next_help_heading = "Training (methods that go on learning)")]
pub(super) struct TuneArgs {
    /// Begin with the weights that were corrected before, or with those of the original [default: corrected]
    #[arg(long, value_name = "corrected|original")]
    start: Option<Start>,
    /// The loss [default: ce]
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(CRITERIA.iter().map(|named| named.name)))]
    loss: Option<String>,
    /// The samples: trusted, agreed (whose label the corrected model predicts), or all [default: all; with ce
    /// agreed, or trusted where nothing was corrected before]
    #[arg(long, value_name = "trusted|agreed|all")]
    learn_from: Option<LearnFrom>,
    /// The learning rate: auto tries several and takes the best on validation data [default: auto]
    #[arg(long, value_name = "auto|X", value_parser = auto_or_positive)]
    lr: Option<AutoOr>,
    /// How often every sample is seen at most; after pruning it may be 0 [default: 10]
    #[arg(long, value_name = "N")]
    epochs: Option<usize>,
    /// The weight decay [default: 0.001]
    #[arg(long, value_name = "X", value_parser = not_negative)]
    weight_decay: Option<f64>,
    /// The most that the norm of a step's gradients, all together, may be; longer ones are shortened to it [default: 1]
    #[arg(long, value_name = "X", value_parser = positive_number)]
    clip: Option<f64>,
    /// Keep an average of the weights, of which so much stays in a step, and give that out
    #[arg(long, value_name = "X", value_parser = super::options::positive_share)]
    ema: Option<f64>,
    /// Learn from mixtures of samples and of their labels: shares are drawn from Beta(X, X), 1 in ELR+
    #[arg(long, value_name = "X", value_parser = positive_number)]
    mixup: Option<f64>,
    /// Shift images, every time in another way: yes or no [default: yes]
    #[arg(long, value_name = "yes|no", value_parser = yes_or_no)]
    shift: Option<bool>,
    /// The quality of samples, of which only these are looked at: a table as `onnx-sap attribute -o FILE.csv` writes it [default: by
    /// attributions]
    #[arg(long, value_name = "FILE")]
    quality: Option<PathBuf>,
    /// The neurons to prune first, as `onnx-sap attribute --neurons FILE.csv` writes them [default: by a regression of the quality]
    #[arg(long, value_name = "FILE")]
    neurons: Option<PathBuf>,
    /// The share of hidden neurons that is pruned: auto or a number [default: auto]
    #[arg(long, value_name = "auto|P", value_parser = auto_or_share)]
    prune: Option<AutoOr>,
    /// How much more an entry must matter for what is forgotten than for all samples to be dampened: auto or a number [default: auto]
    #[arg(long, value_name = "auto|X", value_parser = auto_or_positive)]
    ssd_alpha: Option<AutoOr>,
    /// How little is left of what is dampened: auto or a number [default: auto]
    #[arg(long, value_name = "auto|X", value_parser = auto_or_positive)]
    ssd_lambda: Option<AutoOr>,
    /// Epochs of scrub that move away from what is forgotten [default: 2]
    #[arg(long, value_name = "N", value_parser = positive)]
    away: Option<usize>,
    /// Samples of a step [default: 128]
    #[arg(long, value_name = "N", value_parser = positive)]
    train_batch: Option<usize>,
}

#[derive(Clone, Copy, Debug)]
struct AutoOr(Option<f64>);

fn auto_or_positive(text: &str) -> Result<AutoOr, String> {
    if text == "auto" {
        return Ok(AutoOr(None));
    }
    let value = positive_number(text).map_err(|_| "give auto or a number above 0".to_owned())?;
    Ok(AutoOr(Some(value)))
}

fn auto_or_share(text: &str) -> Result<AutoOr, String> {
    if text == "auto" {
        Ok(AutoOr(None))
    } else {
        super::options::positive_share(text).map(|share| AutoOr(Some(share)))
    }
}

fn positive_number(text: &str) -> Result<f64, String> {
    let value = text.parse().ok().filter(|value: &f64| value.is_finite() && *value > 0.0);
    value.ok_or_else(|| "give a number above 0".to_owned())
}

fn not_negative(text: &str) -> Result<f64, String> {
    let value = text.parse().ok().filter(|value: &f64| value.is_finite() && *value >= 0.0);
    value.ok_or_else(|| "give a number of at least 0".to_owned())
}

fn yes_or_no(text: &str) -> Result<bool, String> {
    match text {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err("give yes or no".to_owned()),
    }
}

impl TuneArgs {
    /// Refuses options that none of the methods makes use of.
    pub(super) fn refuse_idle(&self, methods: &[&'static dyn Method]) -> Result<(), Error> {
        let given = [
            ("--start", self.start.is_some()),
            ("--loss", self.loss.is_some()),
            ("--learn-from", self.learn_from.is_some()),
            ("--lr", self.lr.is_some()),
            ("--epochs", self.epochs.is_some()),
            ("--weight-decay", self.weight_decay.is_some()),
            ("--clip", self.clip.is_some()),
            ("--ema", self.ema.is_some()),
            ("--mixup", self.mixup.is_some()),
            ("--shift", self.shift.is_some()),
            ("--quality", self.quality.is_some()),
            ("--neurons", self.neurons.is_some()),
            ("--prune", self.prune.is_some()),
            ("--ssd-alpha", self.ssd_alpha.is_some()),
            ("--ssd-lambda", self.ssd_lambda.is_some()),
            ("--away", self.away.is_some()),
            ("--train-batch", self.train_batch.is_some()),
        ];
        let is_used = |option: &str| methods.iter().any(|method| method.tune_options().contains(&option));
        given.iter().find(|(option, given)| *given && !is_used(option)).map_or(Ok(()), |(option, _)| {
            let names: Vec<&str> = methods.iter().map(|method| method.name()).collect();
            let what = if methods.len() == 1 { "method" } else { "methods" };
            let makes = if methods.len() == 1 { "makes" } else { "make" };
            let names = names.join(" and ");
            Err(Error::Usage(format!("the {what} {names} {makes} no use of {option}; see --method list")))
        })
    }

    /// What goes on with gradients, where the method does; it must be able to. None of the `outputs` may be one of the files that it
    /// reads.
    pub(super) fn tuning(&self, method: &dyn Method, outputs: &[&Path]) -> Result<Option<TuningChoice>, Error> {
        let given = |value: Option<AutoOr>| value.and_then(|AutoOr(value)| value);
        for (option, file) in [("--quality", &self.quality), ("--neurons", &self.neurons)] {
            if let Some(file) = file {
                refuse_losing(file, &format!("the table of {option}"), outputs)?;
            }
        }
        if self.epochs == Some(0) && !method.tune_options().contains(&"--prune") {
            let name = method.name();
            return Err(Error::Usage(format!("the method {name} does nothing in no epochs; give --epochs 1 or more")));
        }
        let options = TuneOptions {
            criterion: self.loss.as_deref().and_then(criterion),
            from: self.learn_from,
            rate: given(self.lr),
            epochs: self.epochs,
            weight_decay: self.weight_decay,
            clip: self.clip,
            averaging: self.ema,
            mixup: self.mixup,
            shifted: self.shift,
            quality: self.quality.as_deref().map(read_quality).transpose()?,
            neurons: self.neurons.as_deref().map(read_neurons).transpose()?,
            prune: given(self.prune),
            selection: given(self.ssd_alpha),
            dampening: given(self.ssd_lambda),
            away: self.away,
            batch: self.train_batch,
        };
        let start = self.start.unwrap_or_default();
        let choice = |tuning| TuningChoice { tuning: Arc::from(tuning), start, optional: false };
        Ok(method.tuning(&options).map(choice))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::methods::METHODS;
    use clap::Command;
    use std::collections::BTreeSet;

    #[test]
    fn methods_make_use_of_options_that_there_are_and_each_option_of_one() {
        let command = TuneArgs::augment_args(Command::new("tune"));
        let known: BTreeSet<String> =
            command.get_arguments().filter_map(|of| Some(format!("--{}", of.get_long()?))).collect();
        let used: BTreeSet<String> =
            METHODS.iter().flat_map(|method| method.tune_options()).map(ToString::to_string).collect();
        assert_eq!(used, known);
    }
}
