//! Selective synaptic dampening, by itself or after a projection. The mathematics is in `tune/dampen.rs`.

use super::chain::Chain;
use super::sap::Sap;
use super::{About, Method};
use crate::tune::{Dampen, TuneOptions, Tuning, given_or};

pub(super) struct Dampening;

/// Around the 10 of its authors, who say that it depends on the network.
const SELECTIONS: [f64; 5] = [1.0, 3.0, 10.0, 30.0, 100.0];

/// Up to the 1 of its authors.
const DAMPENINGS: [f64; 2] = [1.0, 0.3];

const SOURCE: &str =
    "Foster et al., Fast Machine Unlearning Without Retraining Through Selective Synaptic Dampening, AAAI 2024";

impl Method for Dampening {
    fn name(&self) -> &'static str {
        Dampen::NAME
    }

    fn summary(&self) -> &'static str {
        "selective synaptic dampening: entries that matter most for samples of high loss become smaller"
    }

    fn about(&self) -> About {
        About {
            needs: "held-out data (labels may be noisy), an idea of which labels are wrong, and gradients of every operator",
            costs: "a pass with gradients over all samples and one over those that are forgotten; a validation for each setting",
            changes: "every weight and bias; with --include and its like the weights of those layers",
            source: SOURCE,
        }
    }

    fn takes_forget_set(&self) -> bool {
        true
    }

    fn tune_options(&self) -> &'static [&'static str] {
        &["--start", "--ssd-alpha", "--ssd-lambda", "--train-batch"]
    }

    fn tuning(&self, options: &TuneOptions) -> Option<Box<dyn Tuning>> {
        Some(Box::new(Dampen {
            selections: given_or(options.selection, &SELECTIONS),
            dampenings: given_or(options.dampening, &DAMPENINGS),
            batch: options.batch,
        }))
    }
}

/// Layers are projected first; the losses of that tell which labels are wrong.
pub(super) const AFTER_SAP: Chain = Chain {
    name: "sap+ssd",
    summary: "sap, and what it gives is dampened as with ssd, where validation says that it helps",
    about: About {
        needs: "what sap and ssd need",
        costs: "what sap and ssd cost",
        changes: "what ssd changes",
        source: "arXiv 2403.08618, and the sources of ssd",
    },
    links: &[&Sap, &Dampening],
};
