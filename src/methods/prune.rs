//! Pruning neurons that answer to noise, by itself or after a projection. The mathematics is in `tune/prune.rs`.

use super::chain::Chain;
use super::sap::Sap;
use super::{About, Method};
use crate::tune::{Prune, TuneOptions, Tuning, given_or};

pub(super) struct Pruning;

const SHARES: [f64; 4] = [0.01, 0.02, 0.05, 0.1];

const RATES: [f64; 2] = [0.02, 0.006];

impl Method for Pruning {
    fn name(&self) -> &'static str {
        Prune::NAME
    }

    fn summary(&self) -> &'static str {
        "neurons that answer to noise are pruned, and what is left learns from samples of high quality"
    }

    fn about(&self) -> About {
        About {
            needs: "held-out data (labels may be noisy), gradients of every operator, and attributions that tell right labels from wrong",
            costs: "a pass with gradients and one that keeps activations, then two trainings of up to ten epochs",
            changes: "every weight and bias; those of pruned neurons become 0",
            source: "Jin et al., Machine Unlearning for Robust DNNs, arXiv 2506.11615",
        }
    }

    fn tune_options(&self) -> &'static [&'static str] {
        &[
            "--start",
            "--quality",
            "--neurons",
            "--prune",
            "--lr",
            "--epochs",
            "--weight-decay",
            "--shift",
            "--train-batch",
        ]
    }

    fn tuning(&self, options: &TuneOptions) -> Option<Box<dyn Tuning>> {
        Some(Box::new(Prune {
            quality: options.quality.clone(),
            neurons: options.neurons.clone(),
            shares: given_or(options.prune, &SHARES),
            rates: given_or(options.rate, &RATES),
            epochs: options.epochs.unwrap_or(10),
            weight_decay: options.weight_decay.unwrap_or(1e-3),
            shifted: options.shifted.unwrap_or(true),
            batch: options.batch,
        }))
    }
}

/// Layers are projected first; the gradients of that tell which labels are wrong.
pub(super) const AFTER_SAP: Chain = Chain {
    name: "sap+prune",
    summary: "sap, and what it gives is pruned as with prune, where validation says that it helps",
    about: About {
        needs: "what sap and prune need",
        costs: "what sap and prune cost",
        changes: "what prune changes",
        source: "arXiv 2403.08618, and the sources of prune",
    },
    links: &[&Sap, &Pruning],
};
