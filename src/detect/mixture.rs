//! A mixture of two normal distributions of any numbers.

use super::separation::{Hump, fit_values};

/// Two normal distributions, fitted to numbers by expectation maximisation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mixture {
    humps: [Hump; 2],
    /// Ashman's D: the distance of the means in (root mean square) deviations.
    pub distance: f64,
}

impl Mixture {
    /// Of numbers between −20 and 20, of which there is one at least; those beyond count as the nearest of these.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let humps = fit_values(values);
        Self { humps, distance: Hump::distance(&humps) }
    }

    /// Whether there are two humps (Ashman, Bird and Zepf 1994).
    pub fn has_two_humps(&self) -> bool {
        self.distance > 2.0
    }

    /// The probability that a number is one of the upper distribution.
    pub fn upper(&self, value: f64) -> f64 {
        Hump::upper(&self.humps, value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_heaps_of_numbers_are_told_apart() {
        // Sums of three numbers that are as likely as each other, which are all but normal.
        let heap =
            |middle: f64| (0..1000).map(move |at| middle + 0.1 * f64::from(at % 10 + at / 10 % 10 + at / 100) - 1.35);
        let mixture = Mixture::of(heap(-3.0).chain(heap(2.0)));
        assert!(mixture.has_two_humps(), "{mixture:?}");
        assert!(mixture.upper(-2.5) < 0.01 && mixture.upper(1.5) > 0.99, "{mixture:?}");
        assert!(!Mixture::of(heap(1.0)).has_two_humps());
    }
}
