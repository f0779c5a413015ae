//! Going on to learn: from labels that are likely right, or from all of them with a loss that holds wrong ones back.

use super::chain::Chain;
use super::sap::Sap;
use super::{About, Method};
use crate::train::{NamedCriterion, criterion};
use crate::tune::{FineTune, LearnFrom, TuneOptions, Tuning};

/// A way to go on learning.
pub(super) struct Finetune {
    name: &'static str,
    summary: &'static str,
    source: &'static str,
    /// The loss where none is asked for, by its name.
    loss: &'static str,
    /// What is learnt from with a loss that wrong labels mislead.
    likely_right: LearnFrom,
    options: &'static [&'static str],
}

/// The first chooses the loss; the others are those of a method whose loss it is.
const OPTIONS: &[&str] = &[
    "--loss",
    "--start",
    "--learn-from",
    "--lr",
    "--epochs",
    "--weight-decay",
    "--clip",
    "--ema",
    "--mixup",
    "--shift",
    "--train-batch",
];

/// With the cross-entropy, from the samples of the lowest losses.
pub(super) const FINETUNE: Finetune = Finetune {
    name: "finetune",
    summary: "the model goes on learning from samples whose labels are likely right",
    source: "the baseline of arXiv 2403.08618; losses have their sources in docs/tuning.md",
    loss: "ce",
    likely_right: LearnFrom::Trusted,
    options: OPTIONS,
};

/// The same, where a corrected model tells which labels are likely right.
const FINETUNE_CORRECTED: Finetune = Finetune { likely_right: LearnFrom::Agreed, ..FINETUNE };

/// With early-learning regularisation, from all samples.
pub(super) const ELR: Finetune = Finetune {
    name: "elr",
    summary: "the model goes on learning from all samples, with early-learning regularisation",
    source: "Liu et al., Early-Learning Regularization Prevents Memorization of Noisy Labels, NeurIPS 2020",
    loss: "elr",
    options: OPTIONS.split_at(1).1,
    ..FINETUNE
};

/// More epochs have gained nothing on the reference models.
const EPOCHS: usize = 10;

const WEIGHT_DECAY: f64 = 1e-3;

const CLIP: f64 = 1.0;

impl Finetune {
    /// What is learnt from with this loss, where nobody has said.
    fn from(&self, criterion: &NamedCriterion) -> LearnFrom {
        if criterion.bears_wrong_labels { LearnFrom::All } else { self.likely_right }
    }
}

impl Method for Finetune {
    fn name(&self) -> &'static str {
        self.name
    }

    fn summary(&self) -> &'static str {
        self.summary
    }

    fn about(&self) -> About {
        About {
            needs: "held-out data (labels may be noisy), and gradients of every operator: `onnx-sap grad` says whether there are",
            costs: "trainings of up to ten epochs: by default two with different learning rates, and up to two more where neither helps",
            changes: "every weight and bias; with --include and its like the weights of those layers",
            source: self.source,
        }
    }

    fn tune_options(&self) -> &'static [&'static str] {
        self.options
    }

    fn tuning(&self, options: &TuneOptions) -> Option<Box<dyn Tuning>> {
        let given = options.criterion.filter(|_| self.options.contains(&"--loss"));
        let criterion = given.or_else(|| criterion(self.loss))?;
        Some(Box::new(FineTune {
            name: self.name,
            criterion,
            from: options.from.unwrap_or_else(|| self.from(criterion)),
            rate: options.rate,
            epochs: options.epochs.unwrap_or(EPOCHS),
            weight_decay: options.weight_decay.unwrap_or(WEIGHT_DECAY),
            clip: options.clip.unwrap_or(CLIP),
            averaging: options.averaging,
            mixup: options.mixup,
            shifted: options.shifted.unwrap_or(true),
            batch: options.batch,
        }))
    }
}

/// Layers are projected first, and what that gives goes on learning.
pub(super) const FINETUNE_AFTER_SAP: Chain = Chain {
    name: "sap+finetune",
    summary: "sap, and what it gives goes on learning from labels that it predicts, where validation says that it helps",
    about: About {
        needs: "what sap and finetune need",
        costs: "what sap costs, and the trainings of finetune",
        changes: "what finetune changes",
        source: "arXiv 2403.08618, and the sources of finetune",
    },
    links: &[&Sap, &FINETUNE_CORRECTED],
};

/// The same with early-learning regularisation, whose targets are what the corrected model says.
pub(super) const ELR_AFTER_SAP: Chain = Chain {
    name: "sap+elr",
    summary: "sap, and what it gives goes on learning as with elr, where validation says that it helps",
    about: About {
        needs: "what sap and elr need",
        costs: "what sap costs, and the trainings of elr",
        changes: "what elr changes",
        source: "arXiv 2403.08618, and the source of elr",
    },
    links: &[&Sap, &ELR],
};

/// Both of them from what the projection gives.
pub(super) const LEARN_AFTER_SAP: Chain = Chain {
    name: "sap+learn",
    summary: "sap, and what it gives goes on learning as with elr and as with finetune: validation says which helps, if either does",
    about: About {
        needs: "what sap and finetune need",
        costs: "what sap costs, and the trainings of elr and of finetune",
        changes: "what finetune changes",
        source: "arXiv 2403.08618, and the sources of elr and finetune",
    },
    links: &[&Sap, &ELR, &FINETUNE_CORRECTED],
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::methods::METHODS;

    /// The loss, and what is learnt from with it.
    fn asked(method: &str, loss: Option<&str>) -> (String, String) {
        let method = METHODS.iter().find(|of| of.name() == method).unwrap();
        let options = TuneOptions { criterion: loss.and_then(criterion), ..TuneOptions::default() };
        let params = method.tuning(&options).unwrap().params();
        let of = |name: &str| params.iter().find(|(of, _)| *of == name).unwrap().1.as_str().unwrap().to_owned();
        (of("loss"), of("learn_from"))
    }

    #[test]
    fn where_both_are_tried_each_has_its_own_loss_and_samples() {
        let params = LEARN_AFTER_SAP.tuning(&TuneOptions::default()).unwrap().params();
        let of = |name: &str| &params.iter().find(|(of, _)| *of == name).unwrap().1;
        assert_eq!(*of("loss"), serde_json::json!(["elr", "ce"]));
        assert_eq!(*of("learn_from"), serde_json::json!(["all", "agreed"]));
        assert_eq!(*of("epochs"), EPOCHS);
    }

    #[test]
    fn losses_that_wrong_labels_mislead_are_spared_them() {
        for (method, loss, wanted) in [
            ("finetune", None, ("ce", "trusted")),
            ("sap+finetune", None, ("ce", "agreed")),
            ("sap+finetune", Some("gce"), ("gce", "all")),
            ("finetune", Some("elr"), ("elr", "all")),
            ("elr", None, ("elr", "all")),
            ("sap+elr", None, ("elr", "all")),
        ] {
            let (loss, from) = asked(method, loss);
            assert_eq!((loss.as_str(), from.as_str()), wanted, "{method}");
        }
    }
}
