//! Whether losses tell right labels from wrong ones: two normal distributions fitted to them by expectation maximisation
//! (Dempster, Laird and Rubin 1977), as Arazo et al. (arXiv 1904.11238) and Li et al. (arXiv 2002.07394) do.
//!
//! Not to the losses L themselves, which crowd at 0, but to `ln(e^L − 1)`, the logarithm of the odds against the label. There
//! a model that was corrected shows two humps on either side of 0. One that has memorised its labels gives even wrong ones
//! much: its upper hump, if it has two, lies below 0.

use serde::Serialize;

/// Two normal distributions of the odds against labels.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Separation {
    /// The share of the upper one: of wrong labels, where they separate.
    pub wrong_share: f64,
    /// The means, as logarithms of the odds against the label.
    pub means: (f64, f64),
    /// The standard deviations.
    pub deviations: (f64, f64),
    /// Ashman's D: the distance of the means in (root mean square) deviations. Above 2 there are two humps (Ashman, Bird and
    /// Zepf 1994).
    pub distance: f64,
    /// Whether that is above 2, and labels of the upper one are less probable than not.
    pub separates: bool,
}

/// The largest odds that count: beyond, they are rounding.
const LARGEST: f64 = 20.0;

/// So many bins between −20 and 20: their width is far below any deviation, and the time to fit does not depend on the samples.
const BINS: usize = 4000;

/// No deviation is smaller: one of a single bin would draw all to itself.
const LEAST_DEVIATION: f64 = 0.1;

const STEPS: usize = 1000;

/// `ln(e^L − 1)`, the logarithm of the odds against a label of the loss L.
pub(super) fn odds_against(loss: f64) -> f64 {
    // For large L that is L, and its exponential overflows.
    let odds = if loss > 30.0 { loss } else { loss.exp_m1().ln() };
    odds.clamp(-LARGEST, LARGEST)
}

/// A normal distribution with its share.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Hump {
    share: f64,
    mean: f64,
    deviation: f64,
}

impl Hump {
    fn density(&self, at: f64) -> f64 {
        let z = (at - self.mean) / self.deviation;
        self.share * (-0.5 * z * z).exp() / self.deviation
    }
}

impl Hump {
    /// Ashman's D of two.
    pub(super) fn distance([lower, upper]: &[Self; 2]) -> f64 {
        let spread = f64::midpoint(lower.deviation.powi(2), upper.deviation.powi(2)).sqrt();
        (upper.mean - lower.mean) / spread
    }

    /// The probability that a number is one of the upper.
    pub(super) fn upper([lower, upper]: &[Self; 2], at: f64) -> f64 {
        // Far from both, the nearer one; the wider one's tail must not take what lies on the other side.
        if at <= lower.mean {
            return 0.0;
        }
        if at >= upper.mean {
            return 1.0;
        }
        let (below, above) = (lower.density(at), upper.density(at));
        if below + above > 0.0 { above / (below + above) } else { 0.5 }
    }
}

/// Two humps of numbers, the lower first.
pub(super) fn fit_values(values: impl IntoIterator<Item = f64>) -> [Hump; 2] {
    let mut bins = vec![0.0; BINS];
    for value in values {
        let position = (value.clamp(-LARGEST, LARGEST) + LARGEST) / (2.0 * LARGEST) * BINS as f64;
        bins[(position as usize).min(BINS - 1)] += 1.0;
    }
    fit(&bins)
}

impl Separation {
    /// Of losses, of which there is one at least.
    pub fn of(losses: impl IntoIterator<Item = f64>) -> Self {
        let humps = fit_values(losses.into_iter().map(odds_against));
        let distance = Hump::distance(&humps);
        let [lower, upper] = humps;
        Self {
            wrong_share: upper.share,
            means: (lower.mean, upper.mean),
            deviations: (lower.deviation, upper.deviation),
            distance,
            separates: distance > 2.0 && upper.mean > 0.0,
        }
    }

    /// The probability that a label of that loss is one of the upper distribution.
    pub fn wrong(&self, loss: f64) -> f64 {
        let lower = Hump { share: 1.0 - self.wrong_share, mean: self.means.0, deviation: self.deviations.0 };
        let upper = Hump { share: self.wrong_share, mean: self.means.1, deviation: self.deviations.1 };
        Hump::upper(&[lower, upper], odds_against(loss))
    }
}

/// The middle of a bin.
fn middle(bin: usize) -> f64 {
    (bin as f64 + 0.5) * 2.0 * LARGEST / BINS as f64 - LARGEST
}

/// Two humps, the lower first, from the quartile and the ninth decile on.
fn fit(bins: &[f64]) -> [Hump; 2] {
    let all: f64 = bins.iter().sum::<f64>().max(1.0);
    let quantile = |share: f64| {
        let mut below = 0.0;
        let bin = bins.iter().position(|count| {
            below += count;
            below >= share * all
        });
        middle(bin.unwrap_or(0))
    };
    let deviation = moments(bins, |_| 1.0).map_or(1.0, |(_, _, deviation)| deviation);
    let mut humps =
        [Hump { share: 0.75, mean: quantile(0.25), deviation }, Hump { share: 0.25, mean: quantile(0.9), deviation }];
    for _ in 0..STEPS {
        let before = humps;
        humps = [0, 1].map(|which| {
            let responsibility = |at: f64| {
                let [lower, upper] = before.map(|hump| hump.density(at));
                let sum = lower + upper;
                if sum > 0.0 { [lower, upper][which] / sum } else { 0.0 }
            };
            match moments(bins, responsibility) {
                Some((weight, mean, deviation)) => Hump { share: weight / all, mean, deviation },
                None => Hump { share: 0.0, ..before[which] },
            }
        });
        let change = |(a, b): (&Hump, &Hump)| (a.mean - b.mean).abs() + (a.share - b.share).abs();
        if humps.iter().zip(&before).map(change).sum::<f64>() < 1e-9 {
            break;
        }
    }
    if humps[0].mean > humps[1].mean {
        humps.swap(0, 1);
    }
    humps
}

/// Weight, mean and deviation of what lies in the bins, each with a weight by its place; nothing where nothing has one.
fn moments(bins: &[f64], weight: impl Fn(f64) -> f64) -> Option<(f64, f64, f64)> {
    let (mut total, mut first, mut second) = (0.0, 0.0, 0.0);
    for (bin, count) in bins.iter().enumerate().filter(|(_, count)| **count > 0.0) {
        let at = middle(bin);
        let weight = count * weight(at);
        total += weight;
        first += weight * at;
        second += weight * at * at;
    }
    let mean = first / total;
    let variance = (second / total - mean * mean).max(0.0);
    (total > 0.0).then_some((total, mean, variance.sqrt().max(LEAST_DEVIATION)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Losses whose odds are normal: quantiles of the normal distribution, by the logistic one that is close to it.
    fn hump(mean: f64, deviation: f64, count: usize) -> impl Iterator<Item = f64> {
        (0..count).map(move |at| {
            let share = (at as f64 + 0.5) / count as f64;
            let odds = mean + deviation * (share / (1.0 - share)).ln() * 3_f64.sqrt() / std::f64::consts::PI;
            odds.exp().ln_1p()
        })
    }

    #[test]
    fn two_humps_are_told_apart_and_the_upper_ones_share_is_found() {
        let found = Separation::of(hump(-2.0, 0.7, 7500).chain(hump(2.0, 0.7, 2500)));
        assert!(found.separates, "{found:?}");
        assert!((found.wrong_share - 0.25).abs() < 0.02, "{found:?}");
        assert!((found.means.0 + 2.0).abs() < 0.1 && (found.means.1 - 2.0).abs() < 0.1, "{found:?}");
        let wrong = |odds: f64| found.wrong(odds.exp().ln_1p());
        assert!(wrong(-2.0) < 0.01 && wrong(2.0) > 0.99);
    }

    #[test]
    fn where_even_the_upper_hump_believes_its_labels_nothing_separates() {
        let memorised = Separation::of(hump(-9.0, 1.0, 7500).chain(hump(-4.0, 1.0, 2500)));
        assert!(memorised.distance > 2.0 && !memorised.separates, "{memorised:?}");
        let one = Separation::of(hump(0.5, 2.0, 10_000));
        assert!(!one.separates, "{one:?}");
    }

    #[test]
    fn odds_are_those_of_the_label() {
        for probability in [0.001_f64, 0.3, 0.5, 0.9] {
            let expected = ((1.0 - probability) / probability).ln();
            assert!((odds_against(-probability.ln()) - expected).abs() < 1e-9);
        }
        assert_eq!((odds_against(0.0), odds_against(1e300)), (-LARGEST, LARGEST));
    }

    proptest! {
        #[test]
        fn whatever_the_losses_shares_are_shares_and_a_greater_loss_is_no_better_sign(
            losses in prop::collection::vec(0.0..50.0_f64, 1..200),
            pair in (0.0..50.0_f64, 0.0..5.0_f64),
        ) {
            let found = Separation::of(losses);
            prop_assert!((0.0..=1.0).contains(&found.wrong_share));
            prop_assert!(found.means.0 <= found.means.1);
            let (less, more) = (found.wrong(pair.0), found.wrong(pair.0 + pair.1));
            prop_assert!(0.0 <= less && less <= more && more <= 1.0, "{less} {more}");
        }
    }
}
