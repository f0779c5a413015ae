//! ONNX Runtime as an engine, on the CPU or on a CUDA device.
//!
//! ONNX Runtime is one per process: the library, once loaded, stays, and it has one environment. `LOADED` holds both,
//! the crate's one piece of global state, because the thing it stands for is global itself. Any number of engines and
//! sessions share it; a second library in the same process is refused.

mod bound;
mod library;
mod placement;
mod values;

pub(super) use library::{Refusal, version};

use super::names::{self, one_line};
use super::{Carried, Computes, Device, Engine, EngineError, EngineInfo, Runnable, Session, Shown, runtime};
use crate::panics;
use crate::tensor::Tensor;
use ::ort::environment::Environment;
use ::ort::ep::{self, ExecutionProvider, ExecutionProviderDispatch};
use ::ort::logging::LogLevel;
use ::ort::session::{OutputSelector, RunOptions, Session as OrtSession, builder::SessionBuilder};
use ::ort::value::DynValue;
use bound::Bound;
use bytes::Bytes;
use placement::Watch;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;

const NAME: &str = "onnxruntime";
const INSTALL: &str = "run `onnx-sap runtime install`, or use `--engine tract`";
const INSTALL_CUDA: &str = "run `onnx-sap runtime install --cuda`, or use `--device cpu`";
const INSTALL_LIBRARIES: &str = "install what is missing (`onnx-sap runtime status` lists it), or use `--device cpu`";

/// Graph optimisations of ONNX Runtime 1.31.1 that are at fault: the first ends the process on some models with attention
/// in float16; the second removes a Transpose before a Gemm even where its output was asked for, which then does not come.
const FAULTY_OPTIMISERS: [&str; 2] =
    ["optimization.disable_specified_optimizers", "MatmulTransposeFusion;GemmTransposeFusion"];

/// Keeps DequantizeLinear what ONNX defines: fused with what follows, ONNX Runtime also rounds the activations, and only
/// where nothing else reads the values between, so that a model whose activations are observed would compute other scores.
const QUANTISED_AS_DEFINED: [&str; 2] = ["session.disable_quant_qdq", "1"];

/// Where ONNX Runtime looks for external data when a model comes from memory.
const EXTERNAL_DATA_FOLDER: &str = "session.model_external_initializers_file_folder_path";

/// `y = Identity(x)` on one float: opening a device means running this on it, since a provider that is registered may
/// still find no device.
const TRIAL: &[u8] = b"\x08\x08\x3a\x3b\x0a\x10\x0a\x01x\x12\x01y\x22\x08Identity\x12\x05trial\
\x5a\x0f\x0a\x01x\x12\x0a\x0a\x08\x08\x01\x12\x04\x0a\x02\x08\x01\
\x62\x0f\x0a\x01y\x12\x0a\x0a\x08\x08\x01\x12\x04\x0a\x02\x08\x01\x42\x02\x10\x0d";

static LOADED: Mutex<Option<Loaded>> = Mutex::new(None);

/// What this process runs, once a library was loaded.
#[derive(Clone)]
struct Loaded {
    environment: Environment,
    library: PathBuf,
    version: String,
}

/// ONNX Runtime on one device.
pub struct OrtEngine {
    environment: Environment,
    device: Option<u32>,
    threads: usize,
    info: EngineInfo,
}

impl OrtEngine {
    /// Loads the shared library (or takes it, where this process has loaded it before) and makes sure of the device;
    /// [`Device::Auto`] counts as the CPU here. `threads`: all cores where not given.
    ///
    /// # Errors
    /// [`EngineError::Unavailable`] for a library that cannot be used, [`EngineError::Device`] for such a device.
    pub fn open(library: &Path, device: Device, threads: Option<usize>) -> Result<Self, EngineError> {
        let loaded =
            panics::catch(|| load_library(library)).unwrap_or_else(|panic| Err(unavailable(library, panic)))?;
        let cuda = match device {
            Device::Auto | Device::Cpu => None,
            Device::Cuda(number) => Some(number),
        };
        let threads = threads.or_else(|| thread::available_parallelism().ok().map(usize::from)).unwrap_or(1);
        let info = describe(&loaded, cuda);
        let engine = Self { environment: loaded.environment, device: cuda, threads, info };
        engine.prove_device(device)?;
        Ok(engine)
    }

    /// Loads a one-node model on a CUDA device, so that what is missing shows now and with the right words.
    fn prove_device(&self, device: Device) -> Result<(), EngineError> {
        if self.device.is_none() {
            return Ok(());
        }
        let refuse = |reason, advice| EngineError::Device { device: device.to_string(), reason, advice };
        let library = self.info.library.as_deref().unwrap_or(Path::new(""));
        if !panics::catch(ep::CUDA::is_available).is_ok_and(|available| available.unwrap_or(false)) {
            return Err(refuse(format!("{} was built without CUDA", library.display()), INSTALL_CUDA));
        }
        runtime::preload_cuda(library, |path| {
            drop(::ort::util::preload_dylib(path));
        });
        match self.load(Runnable {
            bytes: Bytes::from_static(TRIAL),
            folder: Path::new("."),
            computes: Computes::Outputs,
        }) {
            Err(EngineError::Unsupported { reason, .. }) => {
                let missing = runtime::missing_for_cuda(library);
                let missing = if missing.is_empty() { missing } else { format!("; not found: {missing}") };
                Err(refuse(format!("{reason}{missing}"), INSTALL_LIBRARIES))
            }
            other => other.map(drop),
        }
    }

    fn builder(&self, folder: &Path) -> Result<SessionBuilder, String> {
        let text = |error: ::ort::Error<SessionBuilder>| error.to_string();
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let folder = folder.to_str().ok_or_else(|| format!("the path {} is not Unicode", folder.display()))?;
        OrtSession::builder(&self.environment)
            .map_err(|error| error.to_string())?
            .with_log_level(LogLevel::Fatal)
            .map_err(text)?
            .with_deterministic_compute(true)
            .map_err(text)?
            // One block for everything that a run needs would come on top of what the first run has taken.
            .with_memory_pattern(false)
            .map_err(text)?
            .with_intra_threads(self.threads)
            .map_err(text)?
            .with_config_entry(EXTERNAL_DATA_FOLDER, folder)
            .map_err(text)?
            .with_config_entry(FAULTY_OPTIMISERS[0], FAULTY_OPTIMISERS[1])
            .map_err(text)?
            .with_config_entry(QUANTISED_AS_DEFINED[0], QUANTISED_AS_DEFINED[1])
            .map_err(text)?
            .with_execution_providers(providers(self.device))
            .map_err(text)
    }
}

impl Engine for OrtEngine {
    fn info(&self) -> &EngineInfo {
        &self.info
    }

    fn load(&self, model: Runnable<'_>) -> Result<Box<dyn Session>, EngineError> {
        let watch = self.device.and_then(|_| Watch::new());
        let work = || {
            let mut builder = self.builder(model.folder)?;
            if let Some(watch) = &watch {
                builder = builder.with_profiling(watch.prefix()).map_err(|error| error.to_string())?;
            }
            builder.commit_from_memory(&model.bytes).map_err(|error| error.to_string())
        };
        match panics::catch(work).unwrap_or_else(Err) {
            Ok(session) => Ok(Box::new(Running { session, bound: Bound::nothing(self.device), watch, on_cpu: None })),
            Err(reason) => Err(EngineError::Unsupported { engine: NAME, reason: plain(&reason) }),
        }
    }
}

/// A model in ONNX Runtime.
struct Running {
    session: OrtSession,
    bound: Bound,
    /// Until the first run of a session on a device.
    watch: Option<Watch>,
    /// What the watch has seen.
    on_cpu: Option<BTreeMap<String, usize>>,
}

impl Session for Running {
    fn run(&mut self, inputs: &[(&str, &Tensor)], wanted: &[&str]) -> Result<Vec<Tensor>, EngineError> {
        self.run_and(inputs, wanted, |named| {
            let copy = |(name, value): &(&str, &DynValue)| {
                values::output(value).map_err(|reason| format!("output `{name}`: {reason}"))
            };
            named.iter().map(copy).collect()
        })
    }

    fn show(
        &mut self,
        inputs: &[(&str, &Tensor)],
        wanted: &[&str],
        look: &mut dyn FnMut(&[Shown<'_>]),
    ) -> Result<(), EngineError> {
        self.run_and(inputs, wanted, |named| {
            let mut shown = Vec::with_capacity(named.len());
            for (name, value) in named {
                shown.push(values::shown(value).map_err(|reason| format!("output `{name}`: {reason}"))?);
            }
            look(&shown);
            Ok(())
        })
    }

    fn carry(&mut self, carried: Vec<Carried>) {
        self.bound.carry(carried);
    }

    fn on_cpu(&self) -> Option<&BTreeMap<String, usize>> {
        self.on_cpu.as_ref()
    }

    fn take_carried(&mut self) -> Result<Vec<Tensor>, EngineError> {
        panics::catch(|| self.bound.take()).unwrap_or_else(Err).map_err(failed)
    }
}

impl Running {
    /// Runs, and does something with the outputs, named, in order.
    fn run_and<R: Default>(
        &mut self,
        inputs: &[(&str, &Tensor)],
        wanted: &[&str],
        then: impl FnOnce(&[(&str, &DynValue)]) -> Result<R, String>,
    ) -> Result<R, EngineError> {
        let takes = self.session.inputs().iter().map(::ort::value::Outlet::name);
        let takes = takes.filter(|name| !self.bound.feeds(name));
        let gives = self.session.outputs().iter().map(::ort::value::Outlet::name);
        names::check(NAME, takes, gives, inputs, wanted)?;
        let Self { session, bound, watch, on_cpu } = self;
        if wanted.is_empty() && bound.is_empty() {
            return Ok(R::default());
        }
        let work = || {
            if bound.is_empty() { run(session, inputs, wanted, then) } else { bound.run(session, inputs, wanted, then) }
        };
        let result = panics::catch(work).unwrap_or_else(Err).map_err(failed)?;
        if let Some(watch) = watch.take() {
            *on_cpu = panics::catch(|| watch.read(session)).ok().flatten();
        }
        Ok(result)
    }
}

fn run<R>(
    session: &mut OrtSession,
    inputs: &[(&str, &Tensor)],
    wanted: &[&str],
    then: impl FnOnce(&[(&str, &DynValue)]) -> Result<R, String>,
) -> Result<R, String> {
    let mut fed = Vec::with_capacity(inputs.len());
    for (name, tensor) in inputs {
        fed.push((*name, values::input(tensor).map_err(|error| format!("input `{name}`: {error}"))?));
    }
    let options = RunOptions::new().map_err(|error| error.to_string())?.with_outputs(selector(wanted));
    let outputs = session.run_with_options(fed, &options).map_err(|error| error.to_string())?;
    then(&bound::named(&outputs, wanted)?)
}

#[expect(clippy::needless_pass_by_value, reason = "it stands in map_err")]
fn failed(reason: String) -> EngineError {
    EngineError::Run { engine: NAME, reason: plain(&reason) }
}

/// Selects exactly the wanted outputs, each once, so that nothing else is copied back.
fn selector(wanted: &[&str]) -> OutputSelector {
    let mut selector = OutputSelector::no_default();
    for (position, name) in wanted.iter().enumerate() {
        if !wanted[..position].contains(name) {
            selector = selector.with(*name);
        }
    }
    selector
}

/// CUDA without TensorFloat-32: second moments need every bit of a float32 (see the design's note on precision). The CPU with
/// its own allocator, which keeps memory from run to run: otherwise outputs are fresh pages each time, and what is written
/// there costs twice (`docs/performance.md`).
fn providers(device: Option<u32>) -> Vec<ExecutionProviderDispatch> {
    let cpu = ep::CPU::default().with_arena_allocator(true).build();
    match device {
        Some(number) => {
            let cuda = ep::CUDA::default().with_device_id(number as i32).with_tf32(false);
            vec![cuda.build().error_on_failure(), cpu]
        }
        None => vec![cpu],
    }
}

fn describe(loaded: &Loaded, device: Option<u32>) -> EngineInfo {
    let free_memory = device.and_then(runtime::free_memory_of_cuda);
    let (provider, device) = match device {
        Some(number) => (ep::CUDA::NAME, Device::Cuda(number)),
        None => (ep::CPU::NAME, Device::Cpu),
    };
    EngineInfo {
        name: NAME,
        version: loaded.version.clone(),
        provider: provider.into(),
        device: device.to_string(),
        library: Some(loaded.library.clone()),
        free_memory,
    }
}

/// The library that this process runs, as it was named when it was loaded.
pub(super) fn loaded() -> Option<PathBuf> {
    LOADED.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(|loaded| loaded.library.clone())
}

fn load_library(library: &Path) -> Result<Loaded, EngineError> {
    let mut slot = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(loaded) = slot.as_ref() {
        if loaded.library == library {
            return Ok(loaded.clone());
        }
        return Err(unavailable(library, format!("this process already runs {}", loaded.library.display())));
    }
    let version = library::version(library).map_err(|refusal| unavailable(library, refusal.to_string()))?;
    let builder = ::ort::init_from(library).map_err(|error| unavailable(library, error.to_string()))?;
    let environment = builder
        .with_name(env!("CARGO_PKG_NAME"))
        .with_telemetry(false)
        .build()
        .map_err(|error| unavailable(library, error.to_string()))?;
    environment.set_log_level(LogLevel::Fatal);
    Ok(slot.insert(Loaded { environment, library: library.to_path_buf(), version }).clone())
}

/// ONNX Runtime's message on one line, without the place in its source code (file, line and signature) before it.
fn plain(message: &str) -> String {
    let line = one_line(message);
    if let Some(cause) = line.rsplit_once("[ONNXRuntimeError] : ").and_then(|(_, coded)| coded.splitn(3, " : ").nth(2))
    {
        return cause.into();
    }
    let number = |place: &str| place.rsplit_once(':').is_some_and(|(_, number)| number.parse::<u32>().is_ok());
    let signature = line.split_once(' ').filter(|(place, _)| number(place)).map(|(_, signature)| signature);
    let cause = signature.and_then(after_parentheses).filter(|cause| !cause.is_empty());
    cause.map_or_else(|| line.clone(), ToString::to_string)
}

/// What follows the first pair of parentheses, which may hold others.
fn after_parentheses(text: &str) -> Option<&str> {
    let mut depth = 0;
    for (position, character) in text.char_indices() {
        match character {
            '(' => depth += 1,
            ')' if depth == 1 => return Some(text[position + 1..].trim_start()),
            ')' => depth -= 1,
            _ => {}
        }
    }
    None
}

fn unavailable(library: &Path, reason: impl AsRef<str>) -> EngineError {
    let (name, reason) = (library.display().to_string(), one_line(reason.as_ref()));
    let reason = if reason.contains(&name) { reason } else { format!("{name}: {reason}") };
    EngineError::Unavailable { engine: NAME, reason, advice: INSTALL }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_lose_the_source_code() {
        let message = "/src/a.cc:20 Provider& Get() [ONNXRuntimeError] : 1 : FAIL : no library\nx : y";
        assert_eq!(plain(message), "no library x : y");
        assert_eq!(plain("/src/b.cc:256 Model::Model(f(int) const&, x) Unsupported (14)"), "Unsupported (14)");
        assert_eq!(plain("/src/b.cc:256 ) ("), "/src/b.cc:256 ) (");
        assert_eq!(plain("as it is"), "as it is");
    }

    /// A device is judged by this model, so it must be one.
    #[test]
    fn the_trial_model_loads() {
        let library = runtime::locate(&crate::progress::Silent, true).expect("the tests need ONNX Runtime");
        let engine = OrtEngine::open(&library.path, Device::Cpu, Some(1)).expect("it opens");
        let mut session = engine
            .load(Runnable { bytes: Bytes::from_static(TRIAL), folder: Path::new("."), computes: Computes::Outputs })
            .expect("it loads");
        let x = Tensor::zeros(&[1]);
        assert_eq!(session.run(&[("x", &x)], &["y"]).expect("it runs"), [x]);
    }
}
