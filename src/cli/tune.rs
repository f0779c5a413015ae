//! How a method goes on with gradients, for those that do.

use super::options::positive;
use crate::error::Error;
use crate::methods::Method;
use crate::refine::Start;
use crate::train::{CRITERIA, criterion};
use crate::tune::{LearnFrom, TuneOptions, Tuning};
use clap::Args;
use clap::builder::PossibleValuesParser;

#[derive(Args, Clone)]
#[command(next_help_heading = "Training (methods that go on learning)")]
pub(super) struct TuneArgs {
    /// Begin with the weights that were corrected before, or with those of the original [default: corrected]
    #[arg(long, value_name = "corrected|original")]
    start: Option<Start>,
    /// The loss [default: elr]
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(CRITERIA.iter().map(|named| named.name)))]
    loss: Option<String>,
    /// The samples: trusted, agreed (whose label the corrected model predicts), or all [default: all]
    #[arg(long, value_name = "trusted|agreed|all")]
    learn_from: Option<LearnFrom>,
    /// The learning rate: auto finds one by short trainings and validation data [default: auto]
    #[arg(long, value_name = "auto|X", value_parser = rate)]
    lr: Option<Rate>,
    /// How often every sample is seen at most [default: 10]
    #[arg(long, value_name = "N", value_parser = positive)]
    epochs: Option<usize>,
    /// The weight decay [default: 0.001]
    #[arg(long, value_name = "X", value_parser = not_negative)]
    weight_decay: Option<f64>,
    /// Keep an average of the weights, of which so much stays in a step, and give that out
    #[arg(long, value_name = "X", value_parser = super::options::positive_share)]
    ema: Option<f64>,
    /// Shift images, every time in another way: yes or no [default: yes]
    #[arg(long, value_name = "yes|no", value_parser = yes_or_no)]
    shift: Option<bool>,
    /// Samples of a step [default: 128]
    #[arg(long, value_name = "N", value_parser = positive)]
    train_batch: Option<usize>,
}

#[derive(Clone, Copy, Debug)]
enum Rate {
    Auto,
    Given(f64),
}

fn rate(text: &str) -> Result<Rate, String> {
    if text == "auto" {
        return Ok(Rate::Auto);
    }
    let value = text.parse().ok().filter(|value: &f64| value.is_finite() && *value > 0.0);
    value.map(Rate::Given).ok_or_else(|| "give auto or a number above 0".to_owned())
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
    /// What goes on with gradients, where the method does, and where it begins.
    pub(super) fn tuning(&self, method: &dyn Method) -> Result<(Option<Box<dyn Tuning>>, Start), Error> {
        let options = TuneOptions {
            criterion: self.loss.as_deref().and_then(criterion),
            from: self.learn_from,
            rate: match self.lr {
                Some(Rate::Given(rate)) => Some(rate),
                Some(Rate::Auto) | None => None,
            },
            epochs: self.epochs,
            weight_decay: self.weight_decay,
            averaging: self.ema,
            shifted: self.shift,
            batch: self.train_batch,
        };
        let tuning = method.tuning(&options);
        let given = [
            ("--start", self.start.is_some()),
            ("--loss", self.loss.is_some()),
            ("--learn-from", self.learn_from.is_some()),
            ("--lr", self.lr.is_some()),
            ("--epochs", self.epochs.is_some()),
            ("--weight-decay", self.weight_decay.is_some()),
            ("--ema", self.ema.is_some()),
            ("--shift", self.shift.is_some()),
            ("--train-batch", self.train_batch.is_some()),
        ];
        match given.iter().find(|(_, given)| *given) {
            Some((option, _)) if tuning.is_none() => Err(Error::Usage(format!(
                "{option} is for methods that go on learning, and {} does not; see --method list",
                method.name()
            ))),
            _ => Ok((tuning, self.start.unwrap_or_default())),
        }
    }
}
