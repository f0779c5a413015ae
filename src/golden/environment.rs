//! On what a model ran: what may be the cause where the same model gives something else.

use crate::engine::EngineInfo;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A machine and the software on it. Nothing that tells one of two equal machines from the other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    /// The operating system, such as `linux`.
    pub os: String,
    /// The architecture, such as `x86_64`.
    pub architecture: String,
    /// The processor's own name, where the system tells.
    pub processor: Option<String>,
    /// The version of this program.
    pub onnx_sap: String,
    /// The engine: `onnxruntime` or `tract`.
    pub engine: String,
    /// Its version.
    pub engine_version: String,
    /// Its execution provider.
    pub provider: String,
    /// `cpu` or `cuda:N`.
    pub device: String,
}

impl Environment {
    /// This machine, with that engine.
    pub fn here(engine: &EngineInfo) -> Self {
        Self {
            os: std::env::consts::OS.to_owned(),
            architecture: std::env::consts::ARCH.to_owned(),
            processor: processor(),
            onnx_sap: env!("CARGO_PKG_VERSION").to_owned(),
            engine: engine.name.to_owned(),
            engine_version: engine.version.clone(),
            provider: engine.provider.clone(),
            device: engine.device.clone(),
        }
    }

    /// What of another environment differs from this one: its name, here, and there.
    pub fn differences(&self, other: &Self) -> Vec<(&'static str, String, String)> {
        let known = |processor: &Option<String>| processor.clone().unwrap_or_else(|| "unknown".to_owned());
        [
            ("system", self.os.clone(), other.os.clone()),
            ("architecture", self.architecture.clone(), other.architecture.clone()),
            ("processor", known(&self.processor), known(&other.processor)),
            ("engine", self.engine.clone(), other.engine.clone()),
            ("engine's version", self.engine_version.clone(), other.engine_version.clone()),
            ("provider", self.provider.clone(), other.provider.clone()),
            ("device", self.device.clone(), other.device.clone()),
        ]
        .into_iter()
        .filter(|(_, here, there)| here != there)
        .collect()
    }
}

impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { os, architecture, engine, engine_version, provider, device, .. } = self;
        write!(f, "{engine} {engine_version}, {provider} on {device}, {os} {architecture}")?;
        self.processor.iter().try_for_each(|processor| write!(f, ", {processor}"))
    }
}

/// The name of the first processor, on Linux.
fn processor() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment() -> Environment {
        Environment {
            os: "linux".into(),
            architecture: "x86_64".into(),
            processor: None,
            onnx_sap: "0".into(),
            engine: "tract".into(),
            engine_version: "1".into(),
            provider: "tract".into(),
            device: "cpu".into(),
        }
    }

    #[test]
    fn what_differs_is_named() {
        let (here, mut there) = (environment(), environment());
        assert_eq!(here.differences(&there), []);
        there.engine_version = "2".into();
        there.processor = Some("other".into());
        let names: Vec<_> = here.differences(&there).into_iter().map(|(name, ..)| name).collect();
        assert_eq!(names, ["processor", "engine's version"]);
    }
}
