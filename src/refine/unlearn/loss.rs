//! What a network was trained to make small, as a function of its scores: the losses of `evidence/prediction.rs`, whose first and
//! second derivatives are known.
//!
//! ```text
//! softmax:  ∇ = p − y        ∇² = diag(p) − p pᵀ        (Böhning 1992)
//! sigmoid:  ∇ = p − y        ∇² = diag(p ∘ (1 − p))     of each score by itself; y is one-hot, of a single score the label
//! ```

use crate::model::Link;
use ndarray::{Array1, Array2, Axis};

/// The cross-entropy of a label, by how scores become probabilities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// That of a softmax over the scores.
    Softmax,
    /// The sum of the binary cross-entropies of a sigmoid of each score.
    Sigmoid,
}

impl Loss {
    /// That of scores with a link; nothing where they are no logits. Scores whose link is not known yet are taken for logits.
    pub fn of(link: Option<Link>) -> Option<Self> {
        match link {
            None | Some(Link::Softmax) => Some(Self::Softmax),
            Some(Link::Sigmoid) => Some(Self::Sigmoid),
            Some(Link::Identity) => None,
        }
    }

    /// How the scores become probabilities.
    pub fn link(self) -> Link {
        match self {
            Self::Softmax => Link::Softmax,
            Self::Sigmoid => Link::Sigmoid,
        }
    }

    /// `p − y`, `[samples, scores]`: the gradient of each sample's loss in its scores.
    pub(super) fn errors(self, logits: &Array2<f64>, labels: &[usize]) -> Array2<f64> {
        match self {
            Self::Softmax => softmax_errors(logits, labels),
            Self::Sigmoid => {
                let single = logits.ncols() == 1;
                // σ(z) − 1 = −σ(−z), which keeps the digits of a label that is all but certain.
                let error = |((sample, score), &logit): ((usize, usize), &f64)| {
                    let labelled = if single { labels[sample] == 1 } else { labels[sample] == score };
                    if labelled { -sigmoid(-logit) } else { sigmoid(logit) }
                };
                let errors = logits.indexed_iter().map(error).collect();
                Array2::from_shape_vec(logits.dim(), errors).expect("as many numbers")
            }
        }
    }

    /// The second derivatives of each sample's loss in its scores; they do not depend on labels.
    pub(super) fn curvature(self, logits: &Array2<f64>) -> Curvature {
        match self {
            Self::Softmax => Curvature::Softmax(softmax(logits)),
            Self::Sigmoid => Curvature::Sigmoid(logits.mapv(|logit| sigmoid(logit) * sigmoid(-logit))),
        }
    }
}

/// A matrix `[scores, scores]` for each sample.
#[derive(Debug)]
pub(super) enum Curvature {
    /// `diag(p) − p pᵀ`, of the probabilities p, a row a sample.
    Softmax(Array2<f64>),
    /// `diag(w)` of `w = p ∘ (1 − p)`, a row a sample.
    Sigmoid(Array2<f64>),
}

impl Curvature {
    /// The number of scores.
    pub(super) fn scores(&self) -> usize {
        let (Self::Softmax(rows) | Self::Sigmoid(rows)) = self;
        rows.ncols()
    }

    /// Whether the same added to all scores changes no loss: then every matrix maps it to 0.
    pub(super) fn ignores_what_scores_share(&self) -> bool {
        matches!(self, Self::Softmax(_))
    }

    /// Multiplies a row for each sample by the sample's matrix.
    pub(super) fn apply(&self, rows: &mut Array2<f64>) {
        match self {
            Self::Softmax(probabilities) => {
                *rows *= probabilities;
                let means = rows.sum_axis(Axis(1)).insert_axis(Axis(1));
                *rows -= &(probabilities * &means);
            }
            Self::Sigmoid(weights) => *rows *= weights,
        }
    }

    /// Its entry at `(k, l)` of each sample; nothing where that is 0 of all.
    pub(super) fn entry(&self, k: usize, l: usize) -> Option<Array1<f64>> {
        match self {
            Self::Softmax(probabilities) => {
                let (p, q) = (probabilities.column(k), probabilities.column(l));
                Some(if k == l { &p - &(&p * &p) } else { -(&p * &q) })
            }
            Self::Sigmoid(weights) => (k == l).then(|| weights.column(k).to_owned()),
        }
    }

    /// The sum of its diagonal, for each sample.
    pub(super) fn trace(&self) -> Array1<f64> {
        match self {
            Self::Softmax(probabilities) => probabilities.map_axis(Axis(1), |p| p.iter().map(|p| p * (1.0 - p)).sum()),
            Self::Sigmoid(weights) => weights.sum_axis(Axis(1)),
        }
    }
}

/// The softmax of logits, a row a sample.
fn softmax(logits: &Array2<f64>) -> Array2<f64> {
    let mut probabilities = logits.clone();
    for mut row in probabilities.rows_mut() {
        let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        row.mapv_inplace(|logit| (logit - largest).exp());
        let total = row.sum();
        row /= total;
    }
    probabilities
}

fn softmax_errors(logits: &Array2<f64>, labels: &[usize]) -> Array2<f64> {
    let mut errors = softmax(logits);
    for (mut row, &label) in errors.rows_mut().into_iter().zip(labels) {
        // Without the difference that would lose the digits of a label that is all but certain.
        row[label] = -(0..row.len()).filter(|class| *class != label).map(|class| row[class]).sum::<f64>();
    }
    errors
}

fn sigmoid(x: f64) -> f64 {
    let small = (-x.abs()).exp();
    if x >= 0.0 { 1.0 / (1.0 + small) } else { small / (1.0 + small) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn an_error_that_is_almost_nothing_keeps_its_digits() {
        let smallest = (-40.0_f64).exp();
        for (loss, logits) in [
            (Loss::Softmax, array![[40.0, 0.0]]),
            (Loss::Sigmoid, array![[40.0, -40.0]]),
            (Loss::Sigmoid, array![[-40.0]]),
        ] {
            let errors = loss.errors(&logits, &[0]);
            assert!((errors[(0, 0)].abs() / smallest - 1.0).abs() < 1e-12, "{loss:?}: {errors}");
        }
    }

    /// The softmax of (0, z) is the sigmoid of z.
    #[test]
    fn one_score_has_the_derivatives_of_the_second_of_two() {
        let (one, two) = (array![[0.7], [-2.0]], array![[0.0, 0.7], [0.0, -2.0]]);
        let labels = [0, 1];
        let apart = |a: ndarray::ArrayView1<'_, f64>, b: ndarray::ArrayView1<'_, f64>| {
            a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-15)
        };
        assert!(apart(Loss::Sigmoid.errors(&one, &labels).column(0), Loss::Softmax.errors(&two, &labels).column(1)));
        let entry = |loss: Loss, logits, at| loss.curvature(logits).entry(at, at).unwrap();
        assert!(apart(entry(Loss::Sigmoid, &one, 0).view(), entry(Loss::Softmax, &two, 1).view()));
    }
}
