//! Going on to learn, with losses that hold wrong labels back.

use super::chain::Chain;
use super::sap::Sap;
use super::{About, Method};
use crate::train::CRITERIA;
use crate::tune::{FineTune, LearnFrom, TuneOptions, Tuning};

pub(super) struct Finetune;

/// More epochs have gained nothing on the reference models.
const EPOCHS: usize = 10;

const WEIGHT_DECAY: f64 = 1e-3;

impl Method for Finetune {
    fn name(&self) -> &'static str {
        "finetune"
    }

    fn summary(&self) -> &'static str {
        "the model goes on learning, by default with early-learning regularisation"
    }

    fn about(&self) -> About {
        About {
            needs: "held-out data (labels may be noisy), and gradients of every operator: `onnx-sap grad` says whether there are",
            costs: "trainings: by default four of two epochs to find a learning rate, then one of up to ten",
            changes: "every weight and bias; with --include and its like the weights of those layers",
            source: "Liu et al., Early-Learning Regularization Prevents Memorization of Noisy Labels, NeurIPS 2020",
        }
    }

    fn tune_options(&self) -> &'static [&'static str] {
        &[
            "--start",
            "--loss",
            "--learn-from",
            "--lr",
            "--epochs",
            "--weight-decay",
            "--ema",
            "--mixup",
            "--shift",
            "--train-batch",
        ]
    }

    fn tuning(&self, options: &TuneOptions) -> Option<Box<dyn Tuning>> {
        Some(Box::new(FineTune {
            criterion: options.criterion.unwrap_or(&CRITERIA[0]),
            from: options.from.unwrap_or(LearnFrom::All),
            rate: options.rate,
            epochs: options.epochs.unwrap_or(EPOCHS),
            weight_decay: options.weight_decay.unwrap_or(WEIGHT_DECAY),
            averaging: options.averaging,
            mixup: options.mixup,
            shifted: options.shifted.unwrap_or(true),
            batch: options.batch,
        }))
    }
}

/// Layers are projected first, and what that gives goes on learning.
pub(super) const AFTER_SAP: Chain = Chain {
    name: "sap+finetune",
    summary: "sap, and what it gives goes on learning, where validation says that it helps",
    about: About {
        needs: "what sap and finetune need",
        costs: "what sap costs, and the trainings of finetune",
        changes: "what finetune changes",
        source: "arXiv 2403.08618, and the sources of finetune",
    },
    links: &[&Sap, &Finetune],
};
