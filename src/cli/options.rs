//! Options that several commands share, and the parts of `--help` that come from the registries.

use crate::data::{Channels, DataError, ImageSize, InputLayout, Interpolation, Preprocessing, READERS, Resize, Spec};
use crate::engine::{Device, Engine, EngineName, choose};
use crate::error::Error;
use crate::evidence::BadLimit;
use crate::layers::{RULES, operator_names};
use crate::linalg::{SCALINGS, SOLVERS};
use crate::methods::{METHODS, PROJECTIONS};
use crate::model::{Assignment, Interface};
use crate::paths::same_file;
use crate::pipeline::{PRESETS, Runner};
use crate::progress::Observer;
use crate::refine::FITS;
use clap::{Args, ValueEnum};
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// What both kinds of help end with.
pub(super) const EXAMPLES: &str = "Examples:
  onnx-sap model.onnx better.onnx --data fashion-mnist:data/noisy --val fashion-mnist:data/noisy#val
  onnx-sap text.onnx better.onnx --data npz:train.npz --val npz:val.npz --input token_type_ids=0
  onnx-sap tabular.onnx better.onnx --data npz:train.npz --val npz:val.npz --logits probability
  onnx-sap detect better.onnx --data fashion-mnist:data/noisy -o issues.csv

Exit codes: 0 done; 1 it ran, and the answer is no (nothing is written); 2 it could not run; 130, 143 it was stopped.";

/// The end of the long help: every registry, and the examples.
pub(super) fn long_help() -> String {
    let mut text = String::new();
    let mut section = |title: &str, lines: Vec<(&str, &str)>| {
        let width = lines.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        let _ = writeln!(text, "{title}:");
        for (name, summary) in lines {
            let _ = writeln!(text, "  {name:width$}  {summary}");
        }
        text.push('\n');
    };
    section("Data sets (SPEC is NAME[:PATH][#SPLIT])", READERS.iter().map(|r| (r.name(), r.summary())).collect());
    section("Methods", METHODS.iter().map(|method| (method.name(), method.summary())).collect());
    section("Presets", PRESETS.iter().map(|preset| (preset.name, preset.summary)).collect());
    section("Heads that are computed anew", FITS.iter().map(|fit| (fit.name(), fit.summary())).collect());
    section("Projections", PROJECTIONS.iter().map(|of| (of.name(), of.summary())).collect());
    section("Scalings", SCALINGS.iter().map(|scaling| (scaling.name(), scaling.summary())).collect());
    section("Solvers", SOLVERS.iter().map(|solver| (solver.name(), solver.summary())).collect());
    let operators: Vec<(String, &str)> = RULES.iter().map(|rule| (operator_names(*rule), rule.summary())).collect();
    let operators = operators.iter().map(|(names, summary)| (names.as_str(), *summary)).collect();
    section("Operators whose weights are rewritten", operators);
    text + EXAMPLES
}

/// How a command shows what it found.
#[derive(Clone, Copy, ValueEnum)]
pub(super) enum Format {
    Text,
    Json,
}

/// Refuses outputs that would destroy a file which the command reads. `what` that file is, as in "the list of --forget-ids".
pub(super) fn refuse_losing(file: &Path, what: &str, outputs: &[&Path]) -> Result<(), Error> {
    let Some(lost) = outputs.iter().find(|output| same_file(output, file)) else { return Ok(()) };
    Err(Error::Usage(format!("{} is {what}; name another output", lost.display())))
}

/// A count of at least 1.
pub(super) fn positive(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|count| *count > 0).ok_or_else(|| "give a whole number of at least 1".to_owned())
}

/// A share that is neither nothing nor everything.
pub(super) fn positive_share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share: &f64| *share > 0.0 && *share < 1.0);
    share.ok_or_else(|| "give a number between 0 and 1".to_owned())
}

/// How the model is fed and read, where that is not certain.
#[derive(Args, Clone)]
#[command(next_help_heading = "Inputs and outputs")]
pub(super) struct InterfaceArgs {
    /// The value that holds the class scores: an output, or any value inside the graph; of a Softmax or Sigmoid it is the
    /// value before [default: the only output, or the only one of floats with two axes or more]
    #[arg(long, value_name = "NAME")]
    logits: Option<String>,
    /// Feed an input with a constant: a number, true, false, or a list, as in flag=true or weights=1,2,3; may be repeated
    #[arg(long = "input", value_name = "NAME=VALUE")]
    constants: Vec<Assignment>,
}

impl InterfaceArgs {
    pub(super) fn interface(&self) -> Interface {
        Interface { logits: self.logits.clone(), constants: self.constants.clone() }
    }
}

/// Where data lies and how it becomes inputs.
#[derive(Args, Clone)]
#[command(next_help_heading = "Data")]
pub(super) struct DataArgs {
    /// The noisy training set, as NAME[:PATH][#SPLIT]: `fashion-mnist:DIR`, `folder:DIR`, `npz:FILE`; `onnx-sap --help` lists all
    #[arg(long, value_name = "SPEC")]
    data: String,
    #[command(flatten)]
    preparation: PreparationArgs,
}

/// Where data is looked for, and how images become inputs.
#[derive(Args, Clone)]
#[command(next_help_heading = "Data")]
pub(super) struct PreparationArgs {
    /// Where a data set without a path is looked for
    #[arg(long, value_name = "DIR", env = "ONNX_SAP_DATA", default_value = "./data")]
    data_root: PathBuf,
    /// Size of the model's images: 224 or HEIGHTxWIDTH
    #[arg(long, value_name = "SIZE", help_heading = "Preprocessing")]
    size: Option<ImageSize>,
    /// Resize before the centre crop: none, 256 (shorter side), HEIGHTxWIDTH, or 256/224 (share of the image)
    #[arg(long, value_name = "RESIZE", help_heading = "Preprocessing")]
    resize: Option<Resize>,
    /// How resizing finds the colour between pixels: bilinear or bicubic, both with antialiasing [default: bilinear]
    #[arg(long, value_name = "FILTER", help_heading = "Preprocessing")]
    interpolation: Option<Interpolation>,
    /// Subtracted after scaling: one value, or one a channel
    #[arg(
        long,
        value_name = "A,B,C",
        value_delimiter = ',',
        allow_negative_numbers = true,
        help_heading = "Preprocessing"
    )]
    mean: Option<Vec<f32>>,
    /// Divided by at the end: one value, or one a channel
    #[arg(
        long,
        value_name = "A,B,C",
        value_delimiter = ',',
        allow_negative_numbers = true,
        help_heading = "Preprocessing"
    )]
    std: Option<Vec<f32>>,
    /// Multiplied with pixels of 0 to 255 [default: 1/255]
    #[arg(long, value_name = "X", allow_negative_numbers = true, help_heading = "Preprocessing")]
    scale: Option<f32>,
    /// Channels and their order: rgb, bgr or gray
    #[arg(long, value_name = "CHANNELS", help_heading = "Preprocessing")]
    channels: Option<Channels>,
    /// Where the channel axis is: nchw or nhwc
    #[arg(long, value_name = "LAYOUT", help_heading = "Preprocessing")]
    layout: Option<InputLayout>,
}

impl DataArgs {
    /// The training set.
    pub(super) fn data(&self) -> Result<Spec, DataError> {
        self.spec(&self.data)
    }

    /// Another set, looked for in the same place.
    pub(super) fn spec(&self, text: &str) -> Result<Spec, DataError> {
        self.preparation.spec(text)
    }

    pub(super) fn preprocessing(&self) -> Preprocessing {
        self.preparation.preprocessing()
    }
}

impl PreparationArgs {
    /// The set that is meant.
    pub(super) fn spec(&self, text: &str) -> Result<Spec, DataError> {
        Spec::parse(text, &self.data_root)
    }

    pub(super) fn preprocessing(&self) -> Preprocessing {
        Preprocessing {
            size: self.size,
            usual_size: None,
            resize: self.resize,
            interpolation: self.interpolation,
            mean: self.mean.clone(),
            std: self.std.clone(),
            scale: self.scale,
            channels: self.channels,
            layout: self.layout,
        }
    }
}

/// How a long run gets to its end.
#[derive(Args, Clone)]
#[command(next_help_heading = "Long runs")]
pub(super) struct LongRunArgs {
    /// Keep what is done in this folder: the same command goes on from there, however it was ended
    #[arg(long, value_name = "DIR")]
    pub(super) work: Option<PathBuf>,
    #[command(flatten)]
    pub(super) bad: MaxBad,
}

/// How many samples may be unusable.
#[derive(Args, Clone)]
#[command(next_help_heading = "Long runs")]
pub(super) struct MaxBad {
    /// How many samples may be unreadable, of the wrong size or without a label before it is an error: a share or a number
    #[arg(long, value_name = "N%|N", default_value_t = BadLimit::default())]
    pub(super) max_bad: BadLimit,
}

/// What runs the model.
#[derive(Args, Clone, Copy)]
#[command(next_help_heading = "Running")]
pub(super) struct EngineArgs {
    /// Where the model runs: auto, cpu, cuda or cuda:N
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    device: Device,
    /// What runs the model: auto, ort or tract
    #[arg(long, value_name = "ENGINE", default_value = "auto")]
    engine: EngineName,
    /// Threads [default: all cores]
    #[arg(long, value_name = "N", value_parser = positive)]
    threads: Option<usize>,
}

impl EngineArgs {
    /// The engine.
    pub(super) fn open(&self, observer: &dyn Observer) -> Result<Box<dyn Engine>, Error> {
        let choice = choose(self.engine, self.device, self.threads, observer)?;
        observer.note(&choice.why);
        Ok(choice.engine)
    }
}

/// What runs the model, and how many samples at once.
#[derive(Args, Clone)]
#[command(next_help_heading = "Running")]
pub(super) struct RunnerArgs {
    #[command(flatten)]
    engine: EngineArgs,
    /// Samples that run at once [default: by their size and the memory that they need]
    #[arg(long, value_name = "N", value_parser = positive)]
    batch: Option<usize>,
}

impl RunnerArgs {
    /// The runner, with the thread pool of this process sized for it.
    pub(super) fn runner(&self) -> Result<Runner, Error> {
        let EngineArgs { device, engine, threads } = self.engine;
        rayon::ThreadPoolBuilder::new()
            .num_threads(threads.unwrap_or(0))
            .build_global()
            .map_err(|error| Error::Usage(format!("no threads can be started: {error}")))?;
        Ok(Runner { engine, device, batch: self.batch, threads })
    }
}
