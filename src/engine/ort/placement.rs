//! Which nodes run on the CPU though the session is one of a device. ONNX Runtime gives to the CPU what a provider has no kernel
//! for, and says so only in the profile of a run: that of the first one is read.

use ort::ep::{self, ExecutionProvider};
use ort::session::Session;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use tempfile::TempDir;

/// A profile that a session writes until it is read.
pub(super) struct Watch(TempDir);

/// An event of a profile. Others than runs of nodes lack a provider.
#[derive(Deserialize)]
struct Event {
    #[serde(default)]
    args: Arguments,
}

#[derive(Default, Deserialize)]
struct Arguments {
    provider: Option<String>,
    op_name: Option<String>,
}

impl Watch {
    /// Nothing where there is no room for a profile.
    pub(super) fn new() -> Option<Self> {
        tempfile::tempdir().ok().map(Self)
    }

    /// What the file's name begins with.
    pub(super) fn prefix(&self) -> PathBuf {
        self.0.path().join("profile")
    }

    /// How many nodes of each operator ran on the CPU, in one run since the session began; nothing where the profile cannot be
    /// read.
    pub(super) fn read(self, session: &mut Session) -> Option<BTreeMap<String, usize>> {
        let written = PathBuf::from(session.end_profiling().ok()?);
        on_cpu(&fs::read_to_string(self.0.path().join(written.file_name()?)).ok()?)
    }
}

fn on_cpu(profile: &str) -> Option<BTreeMap<String, usize>> {
    let events: Vec<Event> = serde_json::from_str(profile).ok()?;
    let mut counts = BTreeMap::new();
    for arguments in events.into_iter().map(|event| event.args) {
        if arguments.provider.as_deref() == Some(ep::CPU::NAME)
            && let Some(operator) = arguments.op_name
        {
            *counts.entry(operator).or_default() += 1;
        }
    }
    Some(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nodes_of_the_cpu_are_counted_by_operator() {
        let profile = r#"[
            {"cat": "Session", "name": "model_loading_array", "args": {}},
            {"cat": "Node", "name": "a_kernel_time", "args": {"op_name": "Conv", "provider": "CUDAExecutionProvider"}},
            {"cat": "Node", "name": "b_kernel_time", "args": {"op_name": "Shape", "provider": "CPUExecutionProvider"}},
            {"cat": "Node", "name": "c_kernel_time", "args": {"op_name": "Shape", "provider": "CPUExecutionProvider"}}
        ]"#;
        assert_eq!(on_cpu(profile), Some(BTreeMap::from([("Shape".to_owned(), 2)])));
        assert_eq!(on_cpu("[]"), Some(BTreeMap::new()));
        assert_eq!(on_cpu("cut off"), None);
    }
}
