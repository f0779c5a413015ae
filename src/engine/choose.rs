//! Which engine runs on which device, and why: the one place where `--engine` and `--device` are decided.
//!
//! What is named explicitly is had or is an error; only `auto` may fall back, and it says so.

use super::{Engine, EngineError, ort::OrtEngine, runtime, tract::TractEngine};
use crate::progress::Observer;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// The engines that can be asked for, in the order that help shows.
pub const ENGINES: &[EngineName] = &[EngineName::Auto, EngineName::Ort, EngineName::Tract];

/// The forms that `--device` takes, in the order that help shows.
pub const DEVICES: &[&str] = &["auto", "cpu", "cuda", "cuda:N"];

/// What runs the model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EngineName {
    /// ONNX Runtime where it can be had, else tract.
    #[default]
    Auto,
    /// ONNX Runtime.
    Ort,
    /// tract.
    Tract,
}

/// Where the model runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Device {
    /// The first CUDA device where one works, else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// The CUDA device of this number.
    Cuda(u32),
}

/// An engine, and the reason why it was chosen.
pub struct Choice {
    /// What runs the model.
    pub engine: Box<dyn Engine>,
    /// One line for `runtime status` and the log.
    pub why: String,
}

/// Opens the engine that the options ask for. ONNX Runtime is fetched once where it is wanted and not there.
///
/// # Errors
/// [`EngineError::Unavailable`] for an engine and [`EngineError::Device`] for a device that was named and cannot be had.
pub fn choose(
    name: EngineName,
    device: Device,
    threads: Option<usize>,
    observer: &dyn Observer,
) -> Result<Choice, EngineError> {
    match name {
        EngineName::Tract => tract(device, "asked for by `--engine tract`".into()),
        EngineName::Ort => onnx_runtime(device, threads, observer),
        EngineName::Auto => match onnx_runtime(device, threads, observer) {
            Err(EngineError::Unavailable { reason, .. }) if may_fall_back(device) => {
                observer.warn(&format!("tract runs the model, more slowly: onnxruntime is not available: {reason}"));
                tract(device, format!("onnxruntime is not available: {reason}"))
            }
            other => other,
        },
    }
}

/// Not where the user named a library or a device that only ONNX Runtime has.
pub(crate) fn may_fall_back(device: Device) -> bool {
    !matches!(device, Device::Cuda(_)) && !runtime::named()
}

fn tract(device: Device, why: String) -> Result<Choice, EngineError> {
    if let Device::Cuda(_) = device {
        return Err(EngineError::Device {
            device: device.to_string(),
            reason: "tract runs on the CPU only".into(),
            advice: "use `--engine ort`, or `--device cpu`",
        });
    }
    Ok(Choice { engine: Box::new(TractEngine::new()), why })
}

fn onnx_runtime(device: Device, threads: Option<usize>, observer: &dyn Observer) -> Result<Choice, EngineError> {
    let located = locate(device, observer)?;
    let found = format!("ONNX Runtime {} found {}", located.version, located.source.explain());
    let open = |device| OrtEngine::open(&located.path, device, threads);
    match device {
        Device::Auto if located.cuda_provider().is_some() => match open(Device::Cuda(0)) {
            Ok(engine) => Ok(choice(engine, format!("{found}, and a CUDA device works"))),
            Err(error @ EngineError::Device { .. }) => {
                observer.note(&format!("running on the CPU: {error}"));
                Ok(choice(open(Device::Cpu)?, format!("{found}; CUDA does not work: {error}")))
            }
            Err(error) => Err(error),
        },
        Device::Auto => Ok(choice(open(Device::Cpu)?, format!("{found}, a build for the CPU"))),
        Device::Cpu | Device::Cuda(_) => Ok(choice(open(device)?, format!("{found}; device {device} was asked for"))),
    }
}

/// For a CUDA device the build for the CPU, which is what would be fetched, is of no use.
fn locate(device: Device, observer: &dyn Observer) -> Result<runtime::Located, EngineError> {
    let explicit = matches!(device, Device::Cuda(_));
    runtime::locate_for(device, observer, !explicit).map_err(|error| match error {
        EngineError::Unavailable { reason, .. } if explicit && !runtime::named() => EngineError::Device {
            device: device.to_string(),
            reason,
            advice: "run `onnx-sap runtime install --cuda`, or use `--device cpu`",
        },
        other => other,
    })
}

fn choice(engine: OrtEngine, why: String) -> Choice {
    Choice { engine: Box::new(engine), why }
}

impl fmt::Display for EngineName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Ort => "ort",
            Self::Tract => "tract",
        })
    }
}

impl FromStr for EngineName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known: Vec<String> = ENGINES.iter().map(ToString::to_string).collect();
        let found = ENGINES.iter().find(|engine| engine.to_string() == text).copied();
        found.ok_or_else(|| format!("no engine is called `{text}`; there are {}", known.join(", ")))
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(number) => write!(f, "cuda:{number}"),
        }
    }
}

impl FromStr for Device {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => return Ok(Self::Auto),
            "cpu" => return Ok(Self::Cpu),
            "cuda" => return Ok(Self::Cuda(0)),
            _ => {}
        }
        let number = text.strip_prefix("cuda:").filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
        // ONNX Runtime numbers devices with an i32.
        let number = number.and_then(|digits| digits.parse::<i32>().ok());
        number
            .map(|number| Self::Cuda(number.unsigned_abs()))
            .ok_or_else(|| format!("no device is called `{text}`; there are {}", DEVICES.join(", ")))
    }
}

impl Serialize for EngineName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for EngineName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl Serialize for Device {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
