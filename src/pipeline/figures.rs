//! What a page shows beyond what a run measures anyway: the chosen candidate runs once more over the training data, and where
//! there is no test data also over the validation data.

use super::choose::Choice;
use super::held_out::HeldOut;
use super::job::{Job, Page};
use super::prepared::Prepared;
use super::variant::Variant;
use crate::data::Content;
use crate::detect::{Detection, Opinion};
use crate::error::Error;
use crate::evidence::{Forward, Scores, predict_showing};
use crate::layers::Layer;
use crate::methods::{LayerFacts, Strengths};
use crate::progress::Observer;
use crate::report::LabelReport;
use crate::report::figures::{
    Figure, Figures, HeldOutFigure, Histogram, LabelsFigure, Role, Spectrum, Suspect, Thumbnail, WORST,
};

/// What figures are made from.
pub(super) struct Gathering<'a> {
    pub(super) job: &'a Job,
    pub(super) data: &'a Prepared,
    pub(super) held_out: &'a HeldOut<'a>,
    pub(super) choice: &'a Choice,
    pub(super) layers: &'a [Layer],
    pub(super) facts: &'a [LayerFacts],
    /// How strongly the chosen candidate corrects each layer.
    pub(super) strengths: Strengths,
    /// The original on the validation data.
    pub(super) validation: &'a Scores,
    /// The original and the chosen candidate on the test data, where there is any.
    pub(super) test: Option<(&'a Scores, &'a Scores)>,
}

/// The training labels as the chosen candidate sees them.
struct Training {
    scores: Scores,
    /// One of each sample that could be used.
    opinions: Vec<Opinion>,
    found: Detection,
}

impl Gathering<'_> {
    /// Runs the chosen candidate, and gathers the figures of a page.
    ///
    /// # Errors
    /// Those of data and engine; an interruption.
    pub(super) fn figures(
        &self,
        page: &Page,
        forward: &mut Forward,
        observer: &dyn Observer,
    ) -> Result<Figures, Error> {
        let classes = self.choice.scores.meaning.classes;
        let on_validation = self.test.is_none() && !self.held_out.is_missing();
        let validation_samples = if on_validation { self.held_out.validation_samples() } else { 0 };
        observer.begin("figures", self.data.set.len() + validation_samples, "samples");
        let validated = if on_validation { Some(self.held_out.validate(forward, observer)?) } else { None };
        let training = self.training(classes, forward, observer)?;
        observer.end();
        let names = self.data.set.class_names().unwrap_or_default();
        let name = |class: usize| names.get(class).cloned().unwrap_or_else(|| class.to_string());
        let losses = training.opinions.iter().map(|opinion| opinion.loss).zip(training.found.is_issue.iter().copied());
        Ok(Figures {
            command: page.command.clone(),
            class_names: (0..classes).map(name).collect(),
            held_out: self.on_held_out(classes, validated.as_ref()),
            losses_before: self.losses_before(),
            losses_after: Histogram::of(losses),
            labels: self.labels(classes, &training),
            spectra: self.spectra(),
        })
    }

    fn training(&self, classes: usize, forward: &mut Forward, observer: &dyn Observer) -> Result<Training, Error> {
        let Self { job, data, .. } = *self;
        let mut opinions = Vec::new();
        let scores = predict_showing(
            forward,
            &data.stream(None),
            (&data.all(), data.batch(job.runner.batch)),
            job.limit,
            observer,
            &mut |_| false,
            &mut |prediction, row, link| opinions.push(Opinion::of(prediction, row, link)),
        )?;
        let found = Detection::of(&opinions, classes);
        Ok(Training { scores, opinions, found })
    }

    /// `validated`: the chosen candidate on the validation data, where that is shown.
    fn on_held_out(&self, classes: usize, validated: Option<&Scores>) -> Figure<HeldOutFigure> {
        if let Some(((before, after), data)) = self.test.zip(self.held_out.describe_test()) {
            return Figure::Shown(HeldOutFigure::of((Role::Test, data), classes, before, after));
        }
        match validated {
            Some(after) => {
                let data = (Role::Validation, self.held_out.describe());
                Figure::Shown(HeldOutFigure::of(data, classes, self.validation, after))
            }
            None => Figure::missing(
                "There is no held-out data, and on its own training samples a model tells nothing of its accuracy. Give some \
                 with --val or --test.",
            ),
        }
    }

    fn losses_before(&self) -> Figure<Histogram> {
        let losses = self.choice.losses.clone();
        losses.map_or_else(
            || {
                Figure::missing(
                    "The original was not run over the training data, since its evidence was given with --evidence. Without \
                     that option its losses are shown here.",
                )
            },
            Figure::Shown,
        )
    }

    fn labels(&self, classes: usize, training: &Training) -> LabelsFigure {
        let Training { scores, opinions, found } = training;
        let set = self.data.set.as_ref();
        let suspect = |at: usize| {
            let (index, opinion) = (scores.samples[at], &opinions[at]);
            let thumbnail = match set.content(index) {
                Ok(Content::Image(image)) => Thumbnail::of(&image),
                // What was read a moment ago and cannot be read now is a row without a picture.
                Ok(Content::Values(_) | Content::Integers(_)) | Err(_) => None,
            };
            let (given, suggested, loss) = (opinion.label, opinion.predicted, opinion.loss);
            Suspect { id: set.id(index), given, suggested, loss, thumbnail }
        };
        let worst = Detection::worst_first(opinions).into_iter().filter(|at| found.is_issue[*at]);
        LabelsFigure {
            quality: scores.quality(),
            labels: LabelReport::of(set, classes, opinions, found),
            suspects: worst.take(WORST).map(suspect).collect(),
        }
    }

    fn spectra(&self) -> Figure<Vec<Spectrum>> {
        let Variant { scaling, projection, .. } = self.job.variant;
        if projection.forgets() {
            let name = projection.name();
            return Figure::missing(format!(
                "With --projection {name}, two spaces decide what is kept of a direction."
            ));
        }
        let spectrum = |(index, (layer, facts)): (usize, (&Layer, &LayerFacts))| {
            let energies = facts.energies.as_deref()?;
            Some(Spectrum::of(layer.weight.name.clone(), self.strengths.of(index), scaling, energies))
        };
        let all: Option<Vec<Spectrum>> = self.layers.iter().zip(self.facts).enumerate().map(spectrum).collect();
        let method = self.job.method.name();
        let none = || Figure::missing(format!("The method {method} does not look at the energies of layers' inputs."));
        all.map_or_else(none, Figure::Shown)
    }
}
