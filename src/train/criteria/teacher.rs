//! Following a teacher, or moving away from it (Kurmanji et al., "Towards Unbounded Machine Unlearning", `NeurIPS` 2023; Hinton et al.,
//! "Distilling the Knowledge in a Neural Network", 2015).

use crate::autodiff::{Criterion, Emit, Judged, Scored, negative_sum};
use crate::model::Link;
use crate::model::fragment::int;

/// `a CE + b KL(teacher ‖ model)`, where a and b may differ from step to step. What is remembered of each sample is what the teacher
/// says of it, at the same temperature; as the entropy of that is no matter of the model, the divergence is written as the
/// cross-entropy times T², which has its gradient.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Teacher {
    /// T: scores are divided by it.
    pub temperature: f64,
}

impl Criterion for Teacher {
    fn remembers(&self) -> bool {
        true
    }

    fn dials(&self) -> usize {
        2
    }

    fn judge(&self, scored: &Scored, emit: &mut Emit<'_>) -> Judged {
        let cross_entropy = scored.cross_entropy(emit);
        let (Some(teacher), [of_labels, of_teacher]) = (&scored.memory, &scored.dials[..]) else {
            return Judged { losses: cross_entropy, memory: None };
        };
        let rows = match scored.link {
            Link::Softmax => scored.rows.clone(),
            Link::Identity | Link::Sigmoid => {
                let probabilities = scored.probabilities(emit);
                let least = emit.number(f64::from(f32::MIN_POSITIVE), probabilities.element);
                let positive = emit.node("Max", &[&probabilities, &least], vec![]);
                emit.unary("Log", &positive)
            }
        };
        let cooled = emit.scaled(&rows, 1.0 / self.temperature);
        let logarithms = emit.node("LogSoftmax", &[&cooled], vec![int("axis", 1)]);
        let divergence = negative_sum(teacher, &logarithms, emit);
        let divergence = emit.scaled(&divergence, self.temperature * self.temperature);
        let labels = emit.mul(&cross_entropy, of_labels);
        let teacher = emit.mul(&divergence, of_teacher);
        Judged { losses: emit.add(&labels, &teacher), memory: None }
    }
}
