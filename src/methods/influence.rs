//! Forgetting samples in the last layer, by itself or after a projection. The mathematics is in `refine/unlearn`.

use super::chain::Chain;
use super::sap::Sap;
use super::{About, Method};

/// The last layer of the original forgets.
pub(super) struct Influence;

const SOURCE: &str =
    "Koh and Liang, ICML 2017 (influence); Peste et al., SSSE, 2021 (newton); Sugiura et al., DEIM 2024 (on labels)";

impl Method for Influence {
    fn name(&self) -> &'static str {
        "influence"
    }

    fn summary(&self) -> &'static str {
        "samples of high loss are unlearned in the last layer, by influence functions or a Newton step"
    }

    fn about(&self) -> About {
        About {
            needs: "a linear last layer under a softmax or sigmoids, and an idea of how many labels are wrong: by their losses, or given",
            costs: "a pass that keeps the features of the training samples, and one solve; no moments",
            changes: "the weights of the last layer, with --with-bias its bias, too",
            source: SOURCE,
        }
    }

    fn forgets(&self) -> bool {
        true
    }
}

/// Layers are projected first; then the last layer of that forgets, where validation says that it helps.
pub(super) const AFTER_SAP: Chain = Chain {
    name: "sap+influence",
    summary: "sap, whose last layer then forgets as with influence, where validation says that it helps",
    about: About {
        needs: "what sap and influence need",
        costs: "what sap costs, and up to four times what influence costs: the losses are those of corrected models",
        changes: "what sap changes",
        source: "arXiv 2403.08618, and the sources of influence",
    },
    links: &[&Sap, &Influence],
};
