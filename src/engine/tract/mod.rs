//! tract as an engine: pure Rust, always there, CPU only, on one thread.
//!
//! tract plans for concrete shapes, so a session keeps the parsed model and optimises it once for each set of input
//! shapes and wanted outputs; the last `KEPT_PLANS` plans stay. A graph that tract cannot plan is therefore
//! `Unsupported` either when it is loaded or when it first runs. tract may panic on odd graphs: that is an error too.

mod gemm;
mod values;
mod weights;

use super::names::{self, one_line};
use super::{Carried, Device, Engine, EngineError, EngineInfo, Runnable, Session};
use crate::model::inlined;
use crate::panics;
use crate::tensor::Tensor;
use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use tract_onnx::pb::ModelProto;
use tract_onnx::tract_hir::infer::Factoid;
use tract_onnx::tract_hir::internal::{
    DimLike, InferenceFact, InferenceModel, InferenceModelExt, IntoRunnable, OutletId, TVec, TractError, TractResult,
    TypedRunnableModel,
};
use tract_onnx::tract_hir::ops::unimpl::UnimplementedOp;
use weights::Weights;

const NAME: &str = "tract";

/// The version in this crate's lock file; tract does not export its own.
const VERSION: &str = "0.23.9";

/// One for the batches of full size, one for the last, smaller batch.
const KEPT_PLANS: usize = 2;

/// The domains that tract's operators are of.
const DOMAINS: &[&str] = &["", "ai.onnx", "ai.onnx.ml", "com.microsoft"];

/// tract on the CPU.
pub struct TractEngine {
    info: EngineInfo,
}

impl TractEngine {
    /// An engine that needs nothing from the machine.
    pub fn new() -> Self {
        let info = EngineInfo {
            name: NAME,
            version: VERSION.into(),
            provider: NAME.into(),
            device: Device::Cpu.to_string(),
            library: None,
            free_memory: None,
        };
        Self { info }
    }
}

impl Default for TractEngine {
    fn default() -> Self {
        Self::new()
    }
}

impl Engine for TractEngine {
    fn info(&self) -> &EngineInfo {
        &self.info
    }

    fn load(&self, model: Runnable<'_>) -> Result<Box<dyn Session>, EngineError> {
        match panics::catch(|| Running::parse(&model)).unwrap_or_else(Err) {
            Ok(running) => Ok(Box::new(running)),
            Err(reason) => Err(unsupported(reason)),
        }
    }
}

/// A parsed model and the plans made from it so far, the newest last.
struct Running {
    model: InferenceModel,
    inputs: Vec<Input>,
    outputs: Vec<(String, OutletId)>,
    plans: VecDeque<Plan>,
    /// What goes from run to run, and its present values.
    carried: Vec<(Carried, Tensor)>,
}

/// An input of the model, as the model declares it.
struct Input {
    name: String,
    declared: InferenceFact,
}

/// A model that is optimised for one set of input shapes and wanted outputs.
struct Plan {
    shapes: Vec<Vec<usize>>,
    wanted: Vec<OutletId>,
    runnable: Arc<TypedRunnableModel>,
}

/// A plan and what it is run with.
struct Ready<'t> {
    plan: Arc<TypedRunnableModel>,
    /// In the model's order of inputs.
    tensors: Vec<&'t Tensor>,
    /// What the plan gives, each once and sorted.
    outlets: Vec<OutletId>,
}

impl Running {
    fn parse(model: &Runnable<'_>) -> Result<Self, String> {
        // tract knows no functions.
        let bytes = inlined(&model.bytes, model.folder).map_err(|error| error.to_string())?;
        let weights = Weights::of(&bytes, model.folder)?;
        let outline = weights.outline().map_err(|error| error.to_string())?;
        let proto: ModelProto =
            prost::Message::decode(outline.as_slice()).map_err(|error| format!("no ONNX model: {error}"))?;
        refuse_unknown_domains(&proto)?;
        // Exporters leave symbolic and stale shapes there, which contradict the concrete shape of a batch.
        let mut onnx = tract_onnx::onnx().with_ignore_output_shapes(true).with_ignore_value_info(true);
        onnx.op_register.insert("Gemm", gemm::build);
        onnx.provider = Arc::new(weights);
        let folder = folder_name(model.folder)?;
        let parsed = onnx.with_ignore_output_types(true).parse(&proto, Some(folder)).map_err(chain)?;
        if let Some(name) = parsed.unresolved_inputs.first() {
            return Err(format!("nothing in the graph gives `{name}`"));
        }
        let parsed_model = parsed.model;
        refuse_unknown_ops(&parsed_model)?;
        let inputs = declared_inputs(&parsed_model).map_err(chain)?;
        let graph = proto.graph.as_ref().ok_or("the model has no graph")?;
        let outlet = |name: &String| parsed.outlets_by_name.get(name).map(|outlet| (name.clone(), *outlet));
        let outputs = graph.output.iter().filter_map(|output| outlet(&output.name)).collect();
        Ok(Self { model: parsed_model, inputs, outputs, plans: VecDeque::new(), carried: Vec::new() })
    }

    /// The tensors in the model's order of inputs, each checked against what the model declares.
    fn in_order<'a>(&self, fed: &[(&str, &'a Tensor)]) -> Result<Vec<&'a Tensor>, String> {
        let find = |input: &Input| {
            let (_, tensor) = fed.iter().find(|(name, _)| *name == input.name).ok_or("an input is not fed")?;
            input.check(tensor)?;
            Ok(*tensor)
        };
        self.inputs.iter().map(find).collect()
    }

    /// The plan for these shapes and outputs, made now if it is not at hand.
    fn plan(&mut self, tensors: &[&Tensor], wanted: &[OutletId]) -> Result<Arc<TypedRunnableModel>, String> {
        let shapes: Vec<Vec<usize>> = tensors.iter().map(|tensor| tensor.shape().to_vec()).collect();
        if let Some(plan) = self.plans.iter().find(|plan| plan.shapes == shapes && plan.wanted == wanted) {
            return Ok(Arc::clone(&plan.runnable));
        }
        let runnable = self.optimise(tensors, wanted)?;
        if self.plans.len() == KEPT_PLANS {
            self.plans.pop_front();
        }
        self.plans.push_back(Plan { shapes, wanted: wanted.to_vec(), runnable: Arc::clone(&runnable) });
        Ok(runnable)
    }

    fn check_names(&self, inputs: &[(&str, &Tensor)], wanted: &[&str]) -> Result<(), EngineError> {
        let takes = self.inputs.iter().map(|input| input.name.as_str());
        let gives = self.outputs.iter().map(|(name, _)| name.as_str());
        names::check(NAME, takes, gives, inputs, wanted)
    }

    /// What is ready to run for those inputs and wanted outputs.
    fn ready<'t>(&mut self, inputs: &[(&str, &'t Tensor)], wanted: &[&str]) -> Result<Ready<'t>, EngineError> {
        let tensors = self.in_order(inputs).map_err(failed)?;
        let mut outlets = self.outlets(wanted);
        outlets.sort_unstable();
        outlets.dedup();
        let plan = panics::catch(|| self.plan(&tensors, &outlets)).unwrap_or_else(Err).map_err(unsupported)?;
        Ok(Ready { plan, tensors, outlets })
    }

    /// Runs once, and puts the new values in the place of those that were carried.
    fn run_carrying(
        &mut self,
        carried: &mut [(Carried, Tensor)],
        inputs: &[(&str, &Tensor)],
        wanted: &[&str],
    ) -> Result<Vec<Tensor>, EngineError> {
        let fed: Vec<_> = carried.iter().map(|(carried, value)| (carried.input.as_str(), value)).collect();
        let asked: Vec<_> = carried.iter().map(|(carried, _)| carried.output.as_str()).collect();
        let mut outputs = self.run_once(&[inputs, &fed].concat(), &[wanted, &asked].concat())?;
        let values = outputs.split_off(wanted.len());
        carried.iter_mut().zip(values).for_each(|((_, value), new)| *value = new);
        Ok(outputs)
    }

    fn run_once(&mut self, inputs: &[(&str, &Tensor)], wanted: &[&str]) -> Result<Vec<Tensor>, EngineError> {
        self.check_names(inputs, wanted)?;
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let Ready { plan, tensors, outlets } = self.ready(inputs, wanted)?;
        let results = panics::catch(|| run(&plan, &tensors)).unwrap_or_else(Err).map_err(failed)?;
        let result = |outlet: OutletId| outlets.binary_search(&outlet).ok().and_then(|at| results.get(at)).cloned();
        self.outlets(wanted)
            .into_iter()
            .map(|outlet| result(outlet).ok_or_else(|| failed("an output did not come back".into())))
            .collect()
    }

    fn optimise(&self, tensors: &[&Tensor], wanted: &[OutletId]) -> Result<Arc<TypedRunnableModel>, String> {
        let mut model = self.model.clone();
        for (position, tensor) in tensors.iter().enumerate() {
            let element = values::datum_type(tensor.element_type())?;
            model.set_input_fact(position, InferenceFact::dt_shape(element, tensor.shape())).map_err(chain)?;
        }
        model.select_output_outlets(wanted).map_err(chain)?;
        model.into_optimized().and_then(IntoRunnable::into_runnable).map_err(chain)
    }

    fn outlets(&self, wanted: &[&str]) -> Vec<OutletId> {
        let find = |name: &&str| self.outputs.iter().find(|(known, _)| known == name).map(|(_, outlet)| *outlet);
        wanted.iter().filter_map(find).collect()
    }
}

impl Session for Running {
    fn prepare(&mut self, inputs: &[(&str, &Tensor)], wanted: &[&str]) -> Result<(), EngineError> {
        self.check_names(inputs, wanted)?;
        if wanted.is_empty() { Ok(()) } else { self.ready(inputs, wanted).map(drop) }
    }

    fn run(&mut self, inputs: &[(&str, &Tensor)], wanted: &[&str]) -> Result<Vec<Tensor>, EngineError> {
        let mut carried = std::mem::take(&mut self.carried);
        let result = self.run_carrying(&mut carried, inputs, wanted);
        self.carried = carried;
        result
    }

    fn carry(&mut self, carried: Vec<Carried>) {
        self.carried = carried
            .into_iter()
            .map(|carried| {
                let first = carried.first.tensor();
                (carried, first)
            })
            .collect();
    }

    fn take_carried(&mut self) -> Result<Vec<Tensor>, EngineError> {
        Ok(self.carried.iter_mut().map(|(carried, value)| std::mem::replace(value, carried.first.tensor())).collect())
    }
}

impl Input {
    /// Refuses a tensor of another type or shape than declared; a symbolic extent takes anything.
    fn check(&self, tensor: &Tensor) -> Result<(), String> {
        let declared_type = self.declared.datum_type.concretize();
        let shape = &self.declared.shape;
        let fits = |(declared, actual): (&tract_onnx::tract_hir::infer::DimFact, &usize)| {
            declared.concretize().and_then(|extent| extent.to_usize().ok()).is_none_or(|extent| extent == *actual)
        };
        let same_type = declared_type.is_none_or(|declared| values::datum_type(tensor.element_type()) == Ok(declared));
        let same_rank = shape.is_open() || shape.dims().count() == tensor.shape().len();
        if same_type && same_rank && shape.dims().zip(tensor.shape()).all(fits) {
            return Ok(());
        }
        Err(format!(
            "input `{}` takes {}, and got {} {:?}",
            self.name,
            self.declared.format_dt_shape(),
            tensor.element_type(),
            tensor.shape()
        ))
    }
}

fn declared_inputs(model: &InferenceModel) -> TractResult<Vec<Input>> {
    let input = |outlet: &OutletId| {
        let declared = model.outlet_fact(*outlet)?.clone();
        Ok(Input { name: model.node(outlet.node).name.clone(), declared })
    };
    model.input_outlets()?.iter().map(input).collect()
}

/// tract looks an operator up by its name alone, and would take one of another domain for the standard one.
fn refuse_unknown_domains(model: &ModelProto) -> Result<(), String> {
    let nodes = model.graph.iter().flat_map(|graph| &graph.node);
    let unknown = nodes.into_iter().find(|node| !DOMAINS.contains(&node.domain.as_str()));
    unknown.map_or(Ok(()), |node| Err(format!("tract lacks {}.{} (node `{}`)", node.domain, node.op_type, node.name)))
}

/// Names every operator that tract lacks, before anything is computed.
fn refuse_unknown_ops(model: &InferenceModel) -> Result<(), String> {
    let lacking: Vec<String> = model
        .nodes()
        .iter()
        .filter(|node| node.op_is::<UnimplementedOp>())
        .map(|node| format!("{} (node `{}`)", node.op.name(), node.name))
        .collect();
    if lacking.is_empty() { Ok(()) } else { Err(format!("tract lacks {}", lacking.join(", "))) }
}

fn run(plan: &Arc<TypedRunnableModel>, tensors: &[&Tensor]) -> Result<Vec<Tensor>, String> {
    let inputs: TVec<_> = tensors.iter().map(|tensor| values::input(tensor)).collect::<Result<_, String>>()?;
    let outputs = plan.run(inputs).map_err(chain)?;
    outputs.iter().map(|output| values::output(output)).collect()
}

fn folder_name(folder: &Path) -> Result<&str, String> {
    folder.to_str().ok_or_else(|| format!("the path {} is not Unicode", folder.display()))
}

/// tract's error with everything that led to it.
#[expect(clippy::needless_pass_by_value, reason = "it stands in map_err")]
fn chain(error: TractError) -> String {
    let causes: Vec<String> = error.chain().map(ToString::to_string).collect();
    causes.join(": ")
}

fn unsupported(reason: String) -> EngineError {
    EngineError::Unsupported { engine: NAME, reason: one_line(reason) }
}

fn failed(reason: String) -> EngineError {
    EngineError::Run { engine: NAME, reason: one_line(reason) }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_version_is_that_of_the_lock_file() {
        let locked = format!("name = \"tract-onnx\"\nversion = \"{}\"", super::VERSION);
        assert!(include_str!("../../../Cargo.lock").contains(&locked));
    }
}
