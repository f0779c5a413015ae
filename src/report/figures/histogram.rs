//! How losses are distributed, and those of some samples among them.
//!
//! Losses of a network that has memorised its labels lie decades apart, so bins are eighths of a decade. Their edges are the same
//! for every set, so that two of them can be laid side by side.

use serde::Serialize;

const BINS_IN_A_DECADE: f64 = 8.0;

/// In bins from 1: smaller losses are as good as none, and larger ones do not occur but by a few.
const LEAST: i32 = -48;
const LARGEST: i32 = 16;

/// Counts of samples by their loss.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Histogram {
    /// Where bins end, in nats: one more than there are bins. The first and the last bin hold what lies beyond, too.
    pub edges: Vec<f64>,
    /// How many samples each bin holds.
    pub counts: Vec<usize>,
    /// How many of those are marked.
    pub marked: Vec<usize>,
}

impl Histogram {
    /// Of losses, each with whether its sample is marked.
    pub fn of(losses: impl IntoIterator<Item = (f64, bool)>) -> Self {
        let bins = (LARGEST - LEAST) as usize;
        let (mut counts, mut marked) = (vec![0; bins], vec![0; bins]);
        for (loss, is_marked) in losses {
            // The logarithm of 0 is the smallest of all, and one that is no number counts as large.
            let place = (loss.log10() * BINS_IN_A_DECADE).floor();
            let place = if place.is_nan() { LARGEST - 1 } else { (place as i32).clamp(LEAST, LARGEST - 1) };
            let bin = (place - LEAST) as usize;
            counts[bin] += 1;
            marked[bin] += usize::from(is_marked);
        }
        let first = counts.iter().position(|count| *count > 0).unwrap_or(0);
        let last = counts.iter().rposition(|count| *count > 0).map_or(first, |last| last + 1);
        let edge = |bin: usize| 10_f64.powf((bin as f64 + f64::from(LEAST)) / BINS_IN_A_DECADE);
        Self {
            edges: (first..=last).map(edge).collect(),
            counts: counts[first..last].to_vec(),
            marked: marked[first..last].to_vec(),
        }
    }

    /// The number of samples.
    pub fn samples(&self) -> usize {
        self.counts.iter().sum()
    }

    /// The number of those that are marked.
    pub fn marked_samples(&self) -> usize {
        self.marked.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_loss_is_in_a_bin_that_holds_it() {
        let losses = [0.01, 0.0101, 0.5, 3.0];
        let histogram = Histogram::of(losses.map(|loss| (loss, loss < 0.1)));
        assert_eq!((histogram.samples(), histogram.marked_samples()), (4, 2));
        assert_eq!(histogram.edges.len(), histogram.counts.len() + 1);
        for loss in losses {
            let bin = histogram.edges.windows(2).position(|edges| edges[0] <= loss * 1.000_001 && loss < edges[1]);
            assert!(histogram.counts[bin.unwrap()] > 0, "{loss}");
        }
        assert!((histogram.edges[0] - 0.01).abs() < 1e-12, "what is empty at both ends is left out");
    }

    #[test]
    fn losses_beyond_the_ends_count_too() {
        let histogram = Histogram::of([0.0, 1e-300, 1e9, f64::INFINITY, f64::NAN].map(|loss| (loss, false)));
        assert_eq!(histogram.samples(), 5);
        assert_eq!((histogram.counts[0], histogram.counts.last()), (2, Some(&3)));
        assert_eq!(Histogram::of([]).samples(), 0);
    }
}
