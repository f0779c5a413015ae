//! `--max-memory`: how a run keeps below it. All sizes are estimates, made of the model and of one sample before hours are
//! spent; the same model, options and limit give the same division.

use super::job::Job;
use super::subject::Subject;
use super::{Measurement, TrustedChoice};
use crate::error::Error;
use crate::evidence::{Needs, Shard, Trusted};
use crate::layers::Layer;
use crate::model::Classifier;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The program with its engines, before a model is loaded.
const PROGRAM: u64 = 150_000_000;

/// How often a loaded model's weights are in memory: as it was read, in the engine, and as the engine rearranges them.
const LOADED: u64 = 3;

/// The same while a rewritten model is verified: the original, the rewritten one, and two engines that run it.
const VERIFIED: u64 = 7;

/// Samples that a rewritten model is verified on.
const VERIFIED_SAMPLES: u64 = super::export::VERIFIED_SAMPLES as u64;

/// How many times a moment is in memory while its layer is solved: as bytes, as what is read of them, and as sums; later as
/// a matrix and as the system that is factored.
const SOLVED: u64 = 3;

/// A size in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MemoryLimit(u64);

impl MemoryLimit {
    /// So many bytes.
    pub fn of(bytes: u64) -> Self {
        Self(bytes)
    }

    /// The number of bytes.
    pub fn bytes(self) -> u64 {
        self.0
    }
}

const UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
];

impl FromStr for MemoryLimit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("{text:?} is no size, as in 2GB, 1500MiB or a number of bytes");
        let text = text.trim();
        let lower = text.to_ascii_lowercase();
        let unit = UNITS.iter().find_map(|(unit, bytes)| {
            lower.strip_suffix(&unit.to_ascii_lowercase()).map(|number| (number.trim_end().to_owned(), *bytes))
        });
        let (number, bytes) = unit.unwrap_or((lower, 1));
        let plain = !number.is_empty() && number.chars().all(|digit| digit.is_ascii_digit() || digit == '.');
        let number: f64 = number.parse().ok().filter(|_| plain).ok_or_else(wrong)?;
        // Beyond 2⁵³ bytes, digits are lost that nobody has memory for.
        let size = (number * bytes as f64) as u64;
        if size == 0 { Err(wrong()) } else { Ok(Self(size)) }
    }
}

impl fmt::Display for MemoryLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}MB", self.0.div_ceil(1_000_000))
    }
}

/// How a run keeps below its limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// Beside which file moments are put aside, where there is no work folder.
    pub(super) out: PathBuf,
    /// Which distinct inputs of layers each pass measures.
    pub(super) passes: Vec<Vec<usize>>,
    /// How many layers are solved at the same time.
    pub(super) at_once: usize,
}

/// What a run takes, apart from what passes divide.
struct Demand<'a> {
    layers: &'a [Layer],
    needs: Needs,
    /// The model's weights.
    model: u64,
}

impl Subject<'_> {
    /// Divides the work so that it stays below the job's limit, where it has one.
    ///
    /// # Errors
    /// [`Error::Usage`] where the limit is too small, with what takes most and the least size that would do.
    pub(super) fn plan(
        &self,
        job: &Job,
        classifier: &Classifier,
        layers: &[Layer],
        threads: usize,
    ) -> Result<Option<Plan>, Error> {
        let Some(limit) = job.max_memory else { return Ok(None) };
        let (count, of_all) = match &job.trusted {
            TrustedChoice::Lowest { count, .. } => (self.data.trusted(*count), self.data.set.len()),
            TrustedChoice::Given(ids) => (ids.len(), ids.len()),
        };
        let one = Trusted { samples: self.data.first_usable()?.into_iter().collect(), ..Trusted::default() };
        let (shard, precision) = (Shard::WHOLE, job.precision());
        let measurement = Measurement { layers, trusted: &one, shard, rows: job.rows, precision, seed: job.seed };
        let needs = self.needs(classifier, &measurement, count.min(of_all))?;
        let rewritten: u64 = layers.iter().map(|layer| size_of::<f32>() as u64 * values(layer)).sum();
        let demand = Demand { layers, needs, model: rewritten.max(self.graph.model().bytes().len() as u64) };
        demand.plan(limit, threads, &job.output).map(Some)
    }
}

impl Demand<'_> {
    fn plan(&self, limit: MemoryLimit, threads: usize, out: &Path) -> Result<Plan, Error> {
        let (least, what) = self.least();
        if limit.0 < least {
            let (reason, least) = (what, MemoryLimit(least));
            return Err(Error::Usage(format!(
                "--max-memory {limit} is too little: {reason} takes about {least}; give {least} or more, or, where it is \
                 the batch that is large, a smaller --batch"
            )));
        }
        let passes = divide(&self.needs.sums, limit.0 - self.measuring());
        let one = self.largest().map_or(1, |layer| self.solving(layer)).max(1);
        let at_once = ((limit.0 - self.solved()) / one).clamp(1, threads.max(1) as u64) as usize;
        Ok(Plan { out: out.to_owned(), passes, at_once })
    }

    /// The least that would do, and what takes it.
    fn least(&self) -> (u64, String) {
        let named = |doing: &str, layer: usize| format!("{doing} the layer {} alone", self.layers[layer].weight.name);
        let measuring = (0..self.needs.sums.len()).map(|input| {
            let reader = (0..self.layers.len()).find(|&layer| self.needs.layers[layer].contains(&input));
            (self.measuring() + self.needs.sums[input], named("measuring", reader.unwrap_or(0)))
        });
        let solving = self.largest().map(|layer| (self.solved() + self.solving(layer), named("solving", layer)));
        let verifying = (self.verifying(), "verifying the rewritten model".to_owned());
        measuring.chain(solving).chain([verifying]).max_by_key(|(bytes, _)| *bytes).unwrap_or_default()
    }

    /// A pass, apart from its sums.
    fn measuring(&self) -> u64 {
        PROGRAM + LOADED * self.model + self.needs.batch
    }

    /// While layers are solved, apart from what these take: new weights are float64.
    fn solved(&self) -> u64 {
        PROGRAM + LOADED * self.model + 2 * self.model
    }

    fn solving(&self, layer: usize) -> u64 {
        let matrices: u64 = self.needs.layers[layer].iter().map(|&input| self.needs.matrices[input]).max().unwrap_or(0);
        SOLVED * (matrices + size_of::<f64>() as u64 * values(&self.layers[layer]))
    }

    fn verifying(&self) -> u64 {
        PROGRAM + VERIFIED * self.model + 2 * self.model + VERIFIED_SAMPLES * self.needs.sample
    }

    fn largest(&self) -> Option<usize> {
        (0..self.layers.len()).max_by_key(|&layer| self.solving(layer))
    }
}

fn values(layer: &Layer) -> u64 {
    layer.weight.dims.iter().map(|&extent| extent as u64).product()
}

/// Neighbouring inputs in passes, each of which has `room` for the sums of its own.
fn divide(sums: &[u64], room: u64) -> Vec<Vec<usize>> {
    let mut passes: Vec<Vec<usize>> = Vec::new();
    let mut taken = 0;
    for (input, &bytes) in sums.iter().enumerate() {
        match passes.last_mut() {
            Some(pass) if taken + bytes <= room => pass.push(input),
            _ => {
                passes.push(vec![input]);
                taken = 0;
            }
        }
        taken += bytes;
    }
    passes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_they_are_written() {
        for (text, bytes) in [
            ("2GB", 2_000_000_000),
            ("1500MiB", 1500 << 20),
            ("1.5 gib", 3 << 29),
            ("123456789", 123_456_789),
            ("64kB", 64_000),
            ("7b", 7),
        ] {
            assert_eq!(text.parse(), Ok(MemoryLimit(bytes)), "{text}");
        }
        for text in ["", "GB", "-2GB", "2 apples", "1e9", "inf", "nan", "0", "0.0001kB", "1..5GB"] {
            assert!(text.parse::<MemoryLimit>().is_err(), "{text}");
        }
        // What a message says is enough.
        assert_eq!(MemoryLimit(1_000_001).to_string(), "2MB");
    }

    #[test]
    fn passes_take_neighbours_as_long_as_there_is_room() {
        assert_eq!(divide(&[3, 3, 4, 10, 1, 1], 10), [vec![0, 1, 2], vec![3], vec![4, 5]]);
        assert_eq!(divide(&[1, 2, 3], 100), [vec![0, 1, 2]]);
        assert_eq!(divide(&[5, 5, 5], 5), [[0], [1], [2]]);
        assert_eq!(divide(&[], 5), Vec::<Vec<usize>>::new());
    }
}
