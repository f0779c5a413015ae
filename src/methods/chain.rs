//! Methods one after the other: each goes on from what the one before has made.

use super::{About, LayerMethod, Method};
use crate::tune::{Competing, TuneOptions, Tuning};

/// Methods in the order in which they work. Where several go on with gradients, they begin with the same and compete; no others do the
/// same kind of work.
pub(super) struct Chain {
    /// Their names, with a plus between them.
    pub(super) name: &'static str,
    pub(super) summary: &'static str,
    pub(super) about: About,
    pub(super) links: &'static [&'static dyn Method],
}

impl Method for Chain {
    fn name(&self) -> &'static str {
        self.name
    }

    fn summary(&self) -> &'static str {
        self.summary
    }

    fn about(&self) -> About {
        self.about
    }

    fn of_layers(&self) -> Option<&'static dyn LayerMethod> {
        self.links.iter().find_map(|link| link.of_layers())
    }

    fn forgets(&self) -> bool {
        self.links.iter().any(|link| link.forgets())
    }

    fn takes_forget_set(&self) -> bool {
        self.links.iter().any(|link| link.takes_forget_set())
    }

    fn tuning(&self, options: &TuneOptions) -> Option<Box<dyn Tuning>> {
        let mut tunings: Vec<_> = self.links.iter().filter_map(|link| link.tuning(options)).collect();
        if tunings.len() > 1 { Some(Box::new(Competing(tunings))) } else { tunings.pop() }
    }

    fn tune_options(&self) -> &'static [&'static str] {
        self.links.iter().map(|link| link.tune_options()).find(|options| !options.is_empty()).unwrap_or_default()
    }
}
