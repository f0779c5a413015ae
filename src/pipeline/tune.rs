//! What goes on from the chosen correction with gradients: its model is made, tuned, and what comes of it is held against it.

use super::decide::Decision;
use super::held_out::HeldOut;
use super::job::TuningChoice;
use super::subject::Subject;
use super::trials::Trials;
use crate::data::Perturbation;
use crate::error::Error;
use crate::evidence::Scores;
use crate::layers::Selection;
use crate::model::{GraphIndex, Model, WeightPatch, hexadecimal};
use crate::partial::Identity;
use crate::progress::Observer;
use crate::refine::{Recipe, Start, TuningRecipe};
use crate::report::ForgottenReport;
use crate::search::{Bar, Candidate, Outcomes, Search};
use crate::tensor::NamedTensor;
use crate::train::patches;
use crate::tune::{Ground, Opinions, TuningWork};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;

impl Decision<'_> {
    /// Tunes the chosen correction, chooses anew, and tells what the chosen one has forgotten, where it has. `original`: which validation
    /// labels the original predicts.
    ///
    /// # Errors
    /// What cannot be differentiated; those of data and engine; nothing to judge by.
    pub(super) fn tune(
        &self,
        asked: &TuningChoice,
        (found, original): (&mut Search, &Outcomes),
        trials: &mut Trials<'_>,
        held_out: &HeldOut<'_>,
        observer: &dyn Observer,
    ) -> Result<Option<ForgottenReport>, Error> {
        let Self { job, subject: Subject { graph, engine, data, work, .. }, classifier, layers, choice, .. } = *self;
        if held_out.is_missing() && asked.optional {
            return Ok(None);
        }
        if held_out.is_missing() {
            let method = job.method.name();
            return Err(Error::Usage(format!(
                "the method {method} needs data to compare models on; give held-out data with --val SPEC"
            )));
        }
        let corrected = found.chosen().recipe.clone();
        let batches = (choice.usable.as_slice(), data.batch(job.runner.batch));
        let opinions = trials
            .with(&corrected, observer, |forward| Opinions::of(forward, &data.stream(None), batches, observer))?;
        let forgets = job.method.takes_forget_set() && !job.method.forgets();
        let forget = if forgets { job.forget.samples(&opinions, data.set.as_ref())? } else { Vec::new() };
        let start = match asked.start {
            Start::Corrected => corrected.clone(),
            Start::Original => Recipe::unchanged(),
        };
        let before = (start != corrected)
            .then(|| {
                trials.with(&start, observer, |forward| Opinions::of(forward, &data.stream(None), batches, observer))
            })
            .transpose()?;
        let base = trials.patches_of(&start, observer)?;
        let made = trials.make(&base)?;
        let model = Model::decode(graph.model().path(), made.folder.clone(), made.bytes.clone())?;
        let parameters = self.tunable(&GraphIndex::new(&model)?, &base)?;
        let validation = format!("{}, {}", held_out.describe(), found.chosen().validation.accuracy);
        let identity = self.tuning(asked, (&model, &forget), validation)?;
        let samples = held_out.validation_samples();
        let mut judge = |parameters: &[NamedTensor]| -> Result<Scores, Error> {
            let patches = self.tuned(&base, parameters)?;
            let mut candidate = trials.load(&patches)?;
            observer.begin("validation", samples, "samples");
            let scores = held_out.validate(&mut candidate.forward, observer);
            observer.end();
            scores
        };
        let mut ground = Ground {
            model: &model,
            layers,
            parameters: &parameters,
            classifier,
            engine,
            stream: data.stream(None),
            images: Perturbation::check(&data.routes).is_ok(),
            opinions: &opinions,
            before: before.as_ref().unwrap_or(&opinions),
            forget: &forget,
            trusted: &choice.trusted.samples,
            judge: &mut judge,
            work: work.map(|folder| TuningWork { folder, identity, begun: 0 }),
            seed: job.seed,
            observer,
        };
        let tried = asked.tuning.tune(&mut ground)?;
        let mut candidates = Vec::new();
        for tuned in tried {
            let recipe = TuningRecipe { method: tuned.by, start: asked.start, settings: tuned.settings };
            let recipe = Recipe { tuning: Some(recipe), ..corrected.clone() };
            candidates.push(Candidate::of(recipe.clone(), &tuned.scores));
            trials.keep(recipe, self.tuned(&base, &tuned.parameters)?);
        }
        let bar = if asked.tuning.helps_as_a_rule() { Bar::Better { original } } else { Bar::ClearlyBetter };
        found.tuned(candidates, bar, job.force);
        trials.lap("tune");
        let chosen = forgets && found.chosen().recipe.tuning.is_some();
        let ids = || forget.iter().map(|&sample| data.set.id(sample)).collect();
        let (of, by) = (opinions.samples.len(), job.forget.settled_by());
        Ok(chosen.then(|| ForgottenReport { count: forget.len(), of, by, ids: ids() }))
    }

    /// Everything that decides what comes of a tuning. `validation`: the data, and how the correction does on it.
    fn tuning(
        &self,
        asked: &TuningChoice,
        (model, forget): (&Model, &[usize]),
        validation: String,
    ) -> Result<Identity, Error> {
        let Self { job, subject, classifier, choice, .. } = self;
        let params = asked.tuning.params().into_iter().map(|(name, value)| format!("{name} {value}"));
        let samples = Sha256::digest(format!("{forget:?} {:?}", choice.trusted.samples));
        Ok(subject
            .scoring(classifier)?
            .with("method", job.method.name())
            .with("start", asked.start.to_string())
            .with("options", params.collect::<Vec<_>>().join(", "))
            .with("begins", model.sha256())
            .with("samples", hexadecimal(&samples))
            .with("validation", validation))
    }

    /// The stored tensors that may change: all that can be learnt, or the weights of the layers that were chosen. Those that were
    /// divided between layers in correcting them stay.
    fn tunable(&self, corrected: &GraphIndex<'_>, base: &[WeightPatch]) -> Result<Vec<String>, Error> {
        let divided: BTreeSet<&str> =
            base.iter().filter(|patch| !patch.copies.is_empty()).map(|patch| &*patch.constant.name).collect();
        let weights: BTreeSet<&str> = self.layers.iter().map(|layer| &*layer.weight.name).collect();
        let Selection { include, exclude, skip_first, skip_head, .. } = &self.job.selection;
        let all = include.is_empty() && exclude.is_empty() && !skip_first && !skip_head;
        let mut found = crate::autodiff::parameters(corrected);
        found.retain(|name| {
            self.subject.graph.constant(name).is_some()
                && !divided.contains(name.as_str())
                && (all || weights.contains(name.as_str()))
        });
        if found.is_empty() {
            return Err(Error::Usage("nothing of the model can be learnt: it stores no floats of its own".to_owned()));
        }
        Ok(found)
    }

    /// The correction with tuned parameters in the place of its own: the weights of layers first, in their order.
    fn tuned(&self, base: &[WeightPatch], parameters: &[NamedTensor]) -> Result<Vec<WeightPatch>, Error> {
        let mut all = base.to_vec();
        for patch in patches(self.subject.graph, parameters)? {
            match all.iter_mut().find(|of| of.constant.name == patch.constant.name) {
                Some(of) => of.values = patch.values,
                None => all.push(patch),
            }
        }
        Ok(all)
    }
}
