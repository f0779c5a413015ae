//! SCRUB, by itself or after a projection. The mathematics is in `tune/scrub.rs` and `train/criteria/teacher.rs`.

use super::chain::Chain;
use super::sap::Sap;
use super::{About, Method};
use crate::tune::{Scrub, TuneOptions, Tuning};

pub(super) struct Scrubbing;

impl Method for Scrubbing {
    fn name(&self) -> &'static str {
        Scrub::NAME
    }

    fn summary(&self) -> &'static str {
        "SCRUB: away from what the model said of samples of high loss, and along with it on the others"
    }

    fn about(&self) -> About {
        About {
            needs: "held-out data (labels may be noisy), an idea of which labels are wrong, and gradients of every operator",
            costs: "three trainings of five epochs, or one where --lr is given",
            changes: "every weight and bias; with --include and its like the weights of those layers",
            source: "Kurmanji et al., Towards Unbounded Machine Unlearning, NeurIPS 2023",
        }
    }

    fn takes_forget_set(&self) -> bool {
        true
    }

    fn tune_options(&self) -> &'static [&'static str] {
        &["--start", "--lr", "--epochs", "--away", "--weight-decay", "--train-batch"]
    }

    /// What is left open is as in its authors' code.
    fn tuning(&self, options: &TuneOptions) -> Option<Box<dyn Tuning>> {
        Some(Box::new(Scrub {
            rate: options.rate,
            epochs: options.epochs.unwrap_or(5),
            away: options.away.unwrap_or(2),
            of_labels: 0.99,
            of_teacher: 0.001,
            temperature: 4.0,
            weight_decay: options.weight_decay.unwrap_or(5e-4),
            batch: options.batch,
        }))
    }
}

/// Layers are projected first; the losses of that tell which labels are wrong.
pub(super) const AFTER_SAP: Chain = Chain {
    name: "sap+scrub",
    summary: "sap, and what it gives is scrubbed, where validation says that it helps",
    about: About {
        needs: "what sap and scrub need",
        costs: "what sap and scrub cost",
        changes: "what scrub changes",
        source: "arXiv 2403.08618, and the sources of scrub",
    },
    links: &[&Sap, &Scrubbing],
};
