//! `onnx-sap grad`: a model with gradients among its outputs.

use super::Answer;
use super::options::{EngineArgs, InterfaceArgs};
use super::ui::{Ui, table};
use crate::autodiff::{CrossEntropy, GradientModel, Loss, Objective, Respect, Targets};
use crate::engine::{Computes, Runnable};
use crate::error::Error;
use crate::model::{Classifier, GraphIndex, Link, Model, ModelError, write_atomically};
use crate::paths::parent;
use crate::progress::Observer;
use bytes::Bytes;
use clap::{Args, ValueEnum};
use regex::Regex;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::str::FromStr;

/// Write a model that gives the loss of its samples and gradients of it, in standard operators
///
/// The new model has the inputs and outputs of the old one, and besides: an input `labels` (int64, a class for each sample), an
/// output `losses` (the cross-entropy of each sample), an output `loss` (their mean), and for each NAME that gradients are
/// taken with respect to an output `NAME_grad` of the same shape. It runs wherever the old one runs, and can be differentiated again.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct GradArgs {
    /// The model
    #[arg(value_name = "IN.onnx")]
    input: PathBuf,
    /// The model with gradients
    #[arg(value_name = "OUT.onnx")]
    output: PathBuf,
    /// With respect to what: `weights` (all that can be learnt), `inputs`, or the names that a regular expression matches
    #[arg(long, value_name = "WHAT")]
    wrt: RespectArg,
    /// Differentiate this value of the model, one number, in the place of a cross-entropy
    #[arg(long, value_name = "VALUE", conflicts_with_all = ["against", "sample_weights", "norms", "logits"])]
    of: Option<String>,
    /// What samples are held against: `labels`, or `targets` with a probability of each class
    #[arg(long, value_enum, default_value_t = Against::Labels)]
    against: Against,
    /// Add an input `weights`: the loss is then the mean of losses times weights
    #[arg(long)]
    sample_weights: bool,
    /// Add the norms of the gradients of each sample's own loss: an output `NAME_grad_norms` for each input of floats, and one for the
    /// weight (and bias) of a linear last layer
    #[arg(long)]
    norms: bool,
    /// The extent of an open axis, by its name in the model, where the model does not take any; may be repeated
    #[arg(long = "extent", value_name = "AXIS=N")]
    extents: Vec<ExtentArg>,
    /// Replace OUT.onnx if it exists
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    interface: InterfaceArgs,
    #[command(flatten)]
    engine: EngineArgs,
}

const EXAMPLES: &str = "Examples:
  onnx-sap grad model.onnx gradients.onnx --wrt weights
  onnx-sap grad model.onnx saliency.onnx --wrt inputs
  onnx-sap grad model.onnx last.onnx --wrt '^fc\\.' --against targets";

#[derive(Clone, Copy, ValueEnum)]
enum Against {
    Labels,
    Targets,
}

#[derive(Clone)]
struct RespectArg(Respect);

impl FromStr for RespectArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "weights" => Ok(Self(Respect::Weights)),
            "inputs" => Ok(Self(Respect::Inputs)),
            _ => {
                let pattern = Regex::new(text).map_err(|error| error.to_string())?;
                Ok(Self(Respect::Named(pattern)))
            }
        }
    }
}

#[derive(Clone)]
struct ExtentArg {
    axis: String,
    extent: usize,
}

impl FromStr for ExtentArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let extent = text
            .split_once('=')
            .and_then(|(axis, extent)| Some((axis, extent.parse().ok().filter(|extent| *extent > 0)?)));
        let (axis, extent) =
            extent.ok_or_else(|| "give an axis and a whole number of at least 1, as in height=224".to_owned())?;
        Ok(Self { axis: axis.to_owned(), extent })
    }
}

pub(super) fn run(args: &GradArgs, ui: &Ui) -> Result<Answer, Error> {
    let model = Model::open(&args.input)?;
    check_output(args, &model)?;
    let engine = args.engine.open(ui)?;
    let head;
    let objective = if let Some(value) = &args.of {
        Objective::Value(value)
    } else {
        head = Classifier::of(&GraphIndex::new(&model)?, &args.interface.interface())?.head;
        let loss = args.loss(head.link.unwrap_or(Link::Softmax));
        Objective::Loss { scores: &head.value, loss, norms: args.norms }
    };
    let extents: BTreeMap<String, usize> = args.extents.iter().map(|of| (of.axis.clone(), of.extent)).collect();
    let made = GradientModel::of(&model, engine.as_ref(), objective, &args.wrt.0, &extents)?;
    if !made.unused.is_empty() {
        ui.warn(&format!("nothing that is differentiated depends on {}", made.unused.join(", ")));
    }
    // What no engine can load is not written.
    let bytes = Bytes::from(made.bytes.clone());
    engine.load(Runnable { bytes, folder: model.folder(), computes: Computes::Gradients })?;
    write_atomically(&args.output, |file| file.write_all(&made.bytes))?;
    ui.summary(&text(args, &made));
    Ok(Answer::Yes)
}

impl GradArgs {
    fn loss(&self, link: Link) -> Loss<'static> {
        let targets = match self.against {
            Against::Labels => Targets::Labels,
            Against::Targets => Targets::Probabilities,
        };
        Loss { link, targets, weighted: self.sample_weights, criterion: &CrossEntropy }
    }
}

/// External data is found beside the model alone.
fn check_output(args: &GradArgs, model: &Model) -> Result<(), Error> {
    model.check_output(&args.output, args.force)?;
    let beside = parent(&args.output).canonicalize().ok() == parent(model.path()).canonicalize().ok();
    if !beside && !model.external_files().is_empty() {
        let folder = parent(model.path()).display().to_string();
        let reason =
            format!("the weights of {} lie in files beside it; name an output in {folder}", model.path().display());
        return Err(ModelError::Graph(reason).into());
    }
    Ok(())
}

fn text(args: &GradArgs, made: &GradientModel) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "{} gives besides what {} gives:", args.output.display(), args.input.display());
    let row = |output: &str, what: String| vec![output.to_owned(), what];
    let mut rows = Vec::new();
    if let Some(ports) = &made.ports {
        let fed: Vec<&str> = std::iter::once(&*ports.targets).chain(ports.weights.as_deref()).collect();
        let of = format!("the mean loss of samples; takes {} as well", fed.join(" and "));
        rows.extend([row(&ports.loss, of), row(&ports.losses, "the loss of each sample".to_owned())]);
    }
    rows.extend(made.gradients.iter().map(|(name, output)| row(output, format!("the gradient in {name}"))));
    rows.extend(
        made.norms
            .iter()
            .map(|(name, output)| row(output, format!("the norm of each sample's own gradient in {name}"))),
    );
    text + &table(&["output", "is"], &[], rows)
}
