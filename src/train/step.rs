//! A step of training as one graph: parameters and what the optimiser keeps go in and come out.

use super::optimizers::{Optimizer, Step};
use crate::autodiff::{
    AutodiffError, Differentiated, Emit, Known, Loss, LossPorts, Value, Wanted, differentiate, leading_to, with_loss,
};
use crate::engine::{Carried, Engine, First};
use crate::model::{GraphIndex, MAIN, Model, inlined};
use crate::tensor::{ElementType, Tensor};
use std::collections::BTreeMap;

/// What is trained, and how.
pub struct Training<'a> {
    /// The value that holds the class scores.
    pub scores: &'a str,
    /// What is made small.
    pub loss: Loss<'a>,
    /// How parameters follow their gradients.
    pub optimizer: &'a dyn Optimizer,
    /// The norm of all gradients together beyond which they are scaled down to it.
    pub most_norm: Option<f64>,
    /// The stored tensors that are trained.
    pub parameters: &'a [String],
    /// Extents of open axes by their symbols.
    pub extents: &'a BTreeMap<String, usize>,
}

/// A step of training as a graph.
pub struct TrainingStep {
    /// The serialised model. Its external data is where the original's is.
    pub bytes: Vec<u8>,
    /// What is fed and given out for the loss.
    pub ports: LossPorts,
    /// The input of the learning rate, a float32 without axes.
    pub rate: String,
    /// What goes from step to step: first the parameters, in their order, then what the optimiser keeps, and the number of steps.
    pub carried: Vec<Carried>,
    /// The parameters that the loss depends on, which are those that are carried.
    pub parameters: Vec<String>,
    /// How many values of its own the optimiser keeps of each.
    pub kept: usize,
    /// Which of these must be added to a parameter to give the one that counts, if one does.
    pub lag: Option<usize>,
}

impl TrainingStep {
    /// That of a model.
    ///
    /// # Errors
    /// [`AutodiffError`].
    pub fn of(model: &Model, engine: &dyn Engine, training: &Training<'_>) -> Result<Self, AutodiffError> {
        let again = |bytes| Model::decode(model.path(), model.folder().to_path_buf(), bytes);
        let plain = again(inlined(model.bytes(), model.folder())?)?;
        let (bytes, ports) =
            with_loss(&GraphIndex::new(&plain)?, engine, training.scores, training.loss, training.extents)?;
        let with_loss = again(bytes.into())?;
        let graph = GraphIndex::new(&with_loss)?;
        let leads = leading_to(&graph, &ports.loss);
        let parameters: Vec<String> =
            training.parameters.iter().filter(|name| leads.contains(name.as_str())).cloned().collect();
        let held: Vec<String> = ports.remembered.iter().cloned().collect();
        let extents = training.extents;
        let wanted = Wanted { target: &ports.loss, summed: false, wrt: &parameters, held: &held, extents };
        let Differentiated { mut emit, gradients, known } = differentiate(&graph, engine, &wanted)?;
        let gradients = match training.most_norm {
            Some(most) => clipped(gradients, most, &mut emit),
            None => gradients,
        };
        let learnt: Vec<&Known> = parameters.iter().filter_map(|name| known.get(name)).collect();
        let mut writer = Writer { graph: &graph, emit, carried: Vec::new() };
        let rate = writer.write(&learnt, gradients, training.optimizer)?;
        let carried = writer.carried;
        let bytes = writer.emit.into_additions().into_bytes()?;
        let (kept, lag) = (training.optimizer.kept(), training.optimizer.lag());
        Ok(Self { bytes, ports, rate, carried, parameters, kept, lag })
    }
}

/// Gradients whose norm, all together, is at most that.
fn clipped(gradients: Vec<Value>, most: f64, emit: &mut Emit<'_>) -> Vec<Value> {
    let squares = gradients.iter().map(|gradient| {
        let row = emit.reshape(gradient, &[-1]);
        let square = emit.mul(&row, &row);
        let sum = emit.sum(&square, &[0], false);
        emit.cast(&sum, ElementType::Float32)
    });
    let squares: Vec<Value> = squares.collect();
    let Some(sum) = squares.into_iter().reduce(|sum, next| emit.add(&sum, &next)) else { return gradients };
    let norm = emit.unary("Sqrt", &sum);
    // As torch's clip_grad_norm_ has it.
    let norm = emit.shifted(&norm, 1e-6);
    let most = emit.number(most, ElementType::Float32);
    let factor = emit.div(&most, &norm);
    let one = emit.number(1.0, ElementType::Float32);
    let factor = emit.node("Min", &[&factor, &one], vec![]);
    let scale = |gradient: &Value| {
        let factor = emit.cast(&factor, gradient.element);
        emit.mul(gradient, &factor)
    };
    gradients.iter().map(scale).collect()
}

struct Writer<'g> {
    graph: &'g GraphIndex<'g>,
    emit: Emit<'g>,
    carried: Vec<Carried>,
}

impl Writer<'_> {
    /// Writes the updates, and returns the name of the learning rate.
    fn write(
        &mut self,
        parameters: &[&Known],
        gradients: Vec<Value>,
        optimizer: &dyn Optimizer,
    ) -> Result<String, AutodiffError> {
        let rate = self.number();
        let before = self.number();
        let count = self.emit.shifted(&before, 1.0);
        let mut kept = Vec::new();
        for (parameter, gradient) in parameters.iter().zip(gradients) {
            let element = parameter.value.element;
            let shape = parameter.shape.fixed().unwrap_or_default();
            let own: Vec<Value> = (0..optimizer.kept()).map(|_| self.input(element, shape.len())).collect();
            let [rate, count] = [&rate, &count].map(|number| self.emit.cast(number, element));
            let step = Step { parameter, gradient, kept: own.clone(), rate, count };
            let updated = optimizer.update(&step, &mut self.emit);
            self.train(parameter, &shape, &updated.parameter)?;
            let zeros = || First::Zeros(element, shape.clone());
            kept.extend(own.into_iter().zip(updated.kept).map(|(own, new)| (own, new, zeros())));
        }
        kept.push((before, count, First::Zeros(ElementType::Float32, vec![])));
        for (old, new, first) in kept {
            self.emit.output(&new.name);
            self.carried.push(Carried { input: old.name, output: new.name, first });
        }
        Ok(rate.name)
    }

    /// Lets a stored tensor be fed, its stored values in the first step.
    fn train(&mut self, parameter: &Known, shape: &[usize], new: &Value) -> Result<(), AutodiffError> {
        let name = &parameter.value.name;
        let constant = self.graph.constant(name);
        let values = constant.map(|constant| self.graph.model().values(constant)).transpose()?;
        let values = values
            .ok_or_else(|| AutodiffError::Target(format!("{name} is no stored tensor, so it cannot be trained")))?;
        self.emit.additions().feed_stored(name, shape, parameter.value.element);
        self.emit.output(&new.name);
        let first = First::Values(Tensor::from_f64(&values, parameter.value.element));
        self.carried.push(Carried { input: name.clone(), output: new.name.clone(), first });
        Ok(())
    }

    fn number(&mut self) -> Value {
        self.input(ElementType::Float32, 0)
    }

    fn input(&mut self, element: ElementType, rank: usize) -> Value {
        Value { name: self.emit.additions().to(MAIN).input(element, rank), element }
    }
}
