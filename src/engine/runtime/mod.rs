//! Finds ONNX Runtime's shared library on this machine, and fetches it once where there is none.
//!
//! The order is [`Source`]'s. What the user names is used or is an error; everything else is tried in turn, and a
//! library counts only once it was loaded and told a version that this build can use.

mod cuda;
mod places;
mod wheel;

pub use cuda::{ComesWith, CudaLibrary, cuda_libraries};
pub use wheel::VERSION;

pub(super) use cuda::{free_memory as free_memory_of_cuda, missing as missing_for_cuda, preload as preload_cuda};

use super::{Device, EngineError, ort};
use crate::progress::Observer;
use places::Places;
use serde::Serialize;
use std::path::{Path, PathBuf};

const NAME: &str = "onnxruntime";
const ADVICE: &str = "run `onnx-sap runtime install`, set ORT_DYLIB_PATH to an ONNX Runtime library, or use \
                      `--engine tract`";

/// Where a library comes from, in the order in which the places are searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// The environment variable `ORT_DYLIB_PATH`.
    Environment,
    /// The folder of the executable.
    Executable,
    /// The user's cache, with what `runtime install --cuda` fetched.
    CudaCache,
    /// The user's cache, with what was fetched for the CPU.
    Cache,
    /// Wherever the system's loader finds the bare file name.
    Loader,
    /// The package `onnxruntime` of the active Python environment.
    Python,
}

impl Source {
    /// Every source, in the order of the search.
    pub const ALL: [Self; 6] =
        [Self::Environment, Self::Executable, Self::CudaCache, Self::Cache, Self::Loader, Self::Python];

    /// What follows "found".
    pub const fn explain(self) -> &'static str {
        match self {
            Self::Environment => "through ORT_DYLIB_PATH",
            Self::Executable => "beside the executable",
            Self::CudaCache => "in the cache (CUDA build)",
            Self::Cache => "in the cache",
            Self::Loader => "on the loader's path",
            Self::Python => "in the Python environment",
        }
    }
}

/// One place that was searched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Candidate {
    /// Which place.
    pub source: Source,
    /// The library, or the folder or name that was looked for; nothing where the place itself does not exist.
    pub path: Option<PathBuf>,
    /// What came of it.
    pub outcome: Outcome,
}

/// What a search found in one place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "is")]
pub enum Outcome {
    /// A library that this build can use.
    Usable {
        /// The version it reports.
        version: String,
    },
    /// A library that cannot be used.
    Unusable {
        /// The loader's reason, or a version that is too old.
        reason: String,
    },
    /// Nothing.
    Absent,
}

/// A library that can be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Located {
    /// Where it was found.
    pub source: Source,
    /// The library.
    pub path: PathBuf,
    /// The version it reports.
    pub version: String,
}

impl Located {
    /// The CUDA provider that must lie beside the library, where it does.
    pub fn cuda_provider(&self) -> Option<PathBuf> {
        cuda::provider_beside(&self.path)
    }
}

/// Looks into every place, for `runtime status`.
pub fn search() -> Vec<Candidate> {
    let places = Places::from_environment();
    Source::ALL.into_iter().map(|source| examine(&places, source)).collect()
}

/// The first library that can be used; where there is none and `may_fetch`, it is fetched.
///
/// # Errors
/// [`EngineError::Unavailable`], with what was found where.
pub fn locate(observer: &dyn Observer, may_fetch: bool) -> Result<Located, EngineError> {
    locate_for(Device::Cpu, observer, may_fetch)
}

/// As [`locate`]; where a CUDA device was asked for, a library with its CUDA provider beside it goes first.
pub(super) fn locate_for(device: Device, observer: &dyn Observer, may_fetch: bool) -> Result<Located, EngineError> {
    locate_in(&Places::from_environment(), device, observer, may_fetch)
}

fn locate_in(
    places: &Places,
    device: Device,
    observer: &dyn Observer,
    may_fetch: bool,
) -> Result<Located, EngineError> {
    let mut first = None;
    let mut unusable = Vec::new();
    for source in Source::ALL {
        let candidate = examine(places, source);
        match (candidate.outcome, candidate.path) {
            (Outcome::Usable { version }, Some(path)) => {
                let located = Located { source, path, version };
                let good = !matches!(device, Device::Cuda(_)) || located.cuda_provider().is_some();
                if good || source == Source::Environment {
                    return Ok(located);
                }
                first.get_or_insert(located);
            }
            (Outcome::Unusable { reason }, _) => {
                if source == Source::Environment {
                    return Err(unavailable(
                        format!("ORT_DYLIB_PATH is of no use: {reason}"),
                        "correct or unset the variable",
                    ));
                }
                unusable.push(reason);
            }
            _ => {}
        }
    }
    if let Some(located) = first {
        return Ok(located);
    }
    fetch(places, observer, may_fetch, unusable)
}

fn fetch(
    places: &Places,
    observer: &dyn Observer,
    may_fetch: bool,
    mut reasons: Vec<String>,
) -> Result<Located, EngineError> {
    let mut advice = ADVICE;
    if may_fetch {
        match wheel::install(places, false, observer) {
            Ok(path) => {
                let version = ort::version(&path).map_err(|refusal| unavailable(refusal.to_string(), ADVICE))?;
                return Ok(Located { source: Source::Cache, path, version });
            }
            Err(EngineError::Unavailable { reason, advice: other, .. }) => {
                advice = other;
                reasons.retain(|known| !reason.contains(known.as_str()));
                reasons.push(reason);
            }
            Err(other) => return Err(other),
        }
    }
    reasons.insert(0, "no ONNX Runtime library was found that can be used".into());
    Err(unavailable(reasons.join("; "), advice))
}

/// Fetches the pinned ONNX Runtime into the user's cache, the build for CUDA where `cuda`. Does nothing where it is
/// there already. Returns the library.
///
/// # Errors
/// [`EngineError::Unavailable`] where no wheel is pinned for this machine, fetching is forbidden, or pip fails.
pub fn install(cuda: bool, observer: &dyn Observer) -> Result<PathBuf, EngineError> {
    wheel::install(&Places::from_environment(), cuda, observer)
}

/// Whether `ONNX_SAP_OFFLINE` forbids fetching: set to anything but the empty string or 0.
pub fn offline() -> bool {
    Places::from_environment().offline
}

/// Whether the user named a library, so that going on without it would be wrong.
pub(super) fn named() -> bool {
    Places::from_environment().named.is_some()
}

fn examine(places: &Places, source: Source) -> Candidate {
    let absent = |path| Candidate { source, path, outcome: Outcome::Absent };
    match source {
        Source::Environment => places.named.clone().map_or_else(|| absent(None), |path| tried(source, path)),
        Source::Loader if places.ask_loader => loader(),
        Source::Loader => absent(None),
        Source::Executable => in_folder(source, places.executable_folder.clone()),
        Source::CudaCache => in_folder(source, places.cache_folder(true)),
        Source::Cache => in_folder(source, places.cache_folder(false)),
        Source::Python => in_folder(source, places.python_package()),
    }
}

fn in_folder(source: Source, folder: Option<PathBuf>) -> Candidate {
    match folder.as_deref().and_then(places::library_in) {
        Some(path) => tried(source, path),
        None => Candidate { source, path: folder, outcome: Outcome::Absent },
    }
}

/// The loader may know the library under its plain name, or only under that of its interface's version. That it does
/// not know a name is the normal case; an old version that came with the system is worth telling. What this process has loaded, the
/// loader finds under its plain name wherever it lies, so that it only counts where that was how it was found.
fn loader() -> Candidate {
    let mut found = None;
    let loaded = ort::loaded();
    for name in places::LOADER_NAMES {
        let path = PathBuf::from(name);
        if loaded.as_ref().is_some_and(|loaded| *loaded != path) {
            continue;
        }
        match ort::version(&path) {
            Ok(_) => return tried(Source::Loader, path),
            Err(ort::Refusal::Wrong(_)) => found = Some(tried(Source::Loader, path)),
            Err(ort::Refusal::NotLoaded(_)) => {}
        }
    }
    let name = places::LOADER_NAMES.first().map(PathBuf::from);
    found.unwrap_or(Candidate { source: Source::Loader, path: name, outcome: Outcome::Absent })
}

fn tried(source: Source, path: PathBuf) -> Candidate {
    let outcome = match ort::version(&path) {
        Ok(version) => Outcome::Usable { version },
        Err(refusal) => Outcome::Unusable { reason: refusal.to_string() },
    };
    Candidate { source, path: Some(path), outcome }
}

fn unavailable(reason: String, advice: &'static str) -> EngineError {
    EngineError::Unavailable { engine: NAME, reason, advice }
}

/// The folder that a library lies in, where its path names one.
fn folder_of(library: &Path) -> Option<&Path> {
    library.parent().filter(|folder| !folder.as_os_str().is_empty())
}

#[cfg(test)]
mod tests;
