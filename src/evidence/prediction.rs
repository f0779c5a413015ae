//! The loss of a sample: the cross-entropy of its label, in float64 and computed from scores, so that it keeps telling
//! samples apart where probabilities are rounded to 1.

use crate::model::Link;
use ndarray::ArrayView1;
use serde::Serialize;

/// What the model says of one sample.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Prediction {
    /// The sample's (possibly wrong) label.
    pub label: usize,
    /// The class of the largest score; of several equal ones the first.
    pub predicted: usize,
    /// The probability of that class.
    pub confidence: f64,
    /// The cross-entropy of the label, in nats.
    pub loss: f64,
}

/// The smallest probability that float32 holds: an even smaller one, rounded to 0, counts as this.
const LEAST_PROBABILITY: f64 = 1.0 / (1_u64 << 63) as f64 / (1_u64 << 63) as f64 / (1_u64 << 23) as f64;

impl Prediction {
    /// From one sample's scores, of which there are enough for its label.
    pub fn of(scores: &ArrayView1<'_, f64>, link: Link, label: usize) -> Self {
        match link {
            Link::Softmax => Self::of_logits(scores, label),
            Link::Identity => {
                Self::of_logits(&scores.mapv(|probability| probability.max(LEAST_PROBABILITY).ln()).view(), label)
            }
            Link::Sigmoid if scores.len() == 1 => Self::of_one_against_another(scores[0], label),
            Link::Sigmoid => Self::of_one_against_the_rest(scores, label),
        }
    }

    /// `loss = log Σ exp(zⱼ) − z_label`, shifted by the largest logit so that nothing overflows.
    fn of_logits(logits: &ArrayView1<'_, f64>, label: usize) -> Self {
        let (predicted, largest) = largest(logits);
        let total: f64 = logits.iter().map(|logit| (logit - largest).exp()).sum();
        Self { label, predicted, confidence: 1.0 / total, loss: total.ln() - (logits[label] - largest) }
    }

    /// Of the logit of class 1 against class 0: the softmax of (0, z).
    fn of_one_against_another(logit: f64, label: usize) -> Self {
        let predicted = usize::from(logit > 0.0);
        let loss = softplus(if label == 1 { -logit } else { logit });
        Self { label, predicted, confidence: sigmoid(logit.abs()), loss }
    }

    /// The binary cross-entropy with a one-hot label, `Σⱼ softplus(zⱼ) − z_label`, without the difference that would
    /// lose the digits of a small loss.
    fn of_one_against_the_rest(logits: &ArrayView1<'_, f64>, label: usize) -> Self {
        let (predicted, largest) = largest(logits);
        let signed = |(class, &logit): (usize, &f64)| softplus(if class == label { -logit } else { logit });
        Self { label, predicted, confidence: sigmoid(largest), loss: logits.iter().enumerate().map(signed).sum() }
    }
}

/// The probability of every class. Of one score those of class 0 and 1; of several sigmoids each is its own, and they need
/// not sum to 1.
pub fn probabilities(scores: &ArrayView1<'_, f64>, link: Link) -> Vec<f64> {
    match link {
        Link::Softmax => {
            let (_, largest) = largest(scores);
            let total: f64 = scores.iter().map(|logit| (logit - largest).exp()).sum();
            scores.iter().map(|logit| (logit - largest).exp() / total).collect()
        }
        Link::Identity => scores.to_vec(),
        Link::Sigmoid if scores.len() == 1 => vec![sigmoid(-scores[0]), sigmoid(scores[0])],
        Link::Sigmoid => scores.iter().map(|&logit| sigmoid(logit)).collect(),
    }
}

fn largest(logits: &ArrayView1<'_, f64>) -> (usize, f64) {
    let first = (0, f64::NEG_INFINITY);
    logits.iter().enumerate().fold(first, |best, (class, &logit)| if logit > best.1 { (class, logit) } else { best })
}

/// `log(1 + exp(x))`, which overflows for no x.
fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

fn sigmoid(x: f64) -> f64 {
    let small = (-x.abs()).exp();
    if x >= 0.0 { 1.0 / (1.0 + small) } else { small / (1.0 + small) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array1, array};

    fn of(scores: &Array1<f64>, link: Link, label: usize) -> Prediction {
        Prediction::of(&scores.view(), link, label)
    }

    #[test]
    fn the_loss_is_the_cross_entropy_of_the_softmax() {
        let prediction = of(&array![0.0, 3.0_f64.ln()], Link::Softmax, 0);
        assert!((prediction.loss - 4.0_f64.ln()).abs() < 1e-15);
        assert_eq!(prediction.predicted, 1);
        assert!((prediction.confidence - 0.75).abs() < 1e-15);
    }

    #[test]
    fn probabilities_are_those_that_losses_and_confidences_come_from() {
        for (scores, link) in [
            (array![0.3, -1.2, 2.0], Link::Softmax),
            (array![0.1, 0.2, 0.7], Link::Identity),
            (array![0.4], Link::Sigmoid),
            (array![1e6, -1e6], Link::Softmax),
        ] {
            let probabilities = probabilities(&scores.view(), link);
            assert!((probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            for (label, probability) in probabilities.iter().enumerate() {
                let prediction = of(&scores, link, label);
                assert!(((-prediction.loss).exp() - probability).abs() < 1e-12, "{prediction:?}");
                assert!((probabilities[prediction.predicted] - prediction.confidence).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn huge_logits_do_not_overflow() {
        assert_eq!(of(&array![1e6, 0.0], Link::Softmax, 1).loss, 1e6);
        for label in [0, 1] {
            let wrong = of(&array![1e6], Link::Sigmoid, label);
            assert_eq!((wrong.predicted, wrong.loss, wrong.confidence), (1, if label == 1 { 0.0 } else { 1e6 }, 1.0));
        }
        assert_eq!(of(&array![1e6, -1e6, 1e6], Link::Sigmoid, 1).loss, 3e6);
        assert_eq!(of(&array![-1e6, -2e6], Link::Sigmoid, 1).confidence, 0.0);
    }

    #[test]
    fn of_equal_scores_the_first_class_wins() {
        assert_eq!(of(&array![1.0, 1.0, 1.0], Link::Softmax, 2).predicted, 0);
        assert_eq!(of(&array![1.0, 1.0, 1.0], Link::Sigmoid, 2).predicted, 0);
        assert_eq!(of(&array![0.0], Link::Sigmoid, 0).predicted, 0);
    }

    #[test]
    fn one_score_is_the_softmax_of_itself_and_0() {
        for score in [-3.0, -0.1, 0.0, 0.4, 20.0] {
            for label in [0, 1] {
                let (one, two) =
                    (of(&array![score], Link::Sigmoid, label), of(&array![0.0, score], Link::Softmax, label));
                assert!((one.loss - two.loss).abs() < 1e-14 && (one.confidence - two.confidence).abs() < 1e-15);
                assert_eq!(one.predicted, two.predicted);
            }
        }
    }

    #[test]
    fn several_sigmoids_give_the_binary_cross_entropy_with_the_one_hot_label() {
        let scores = array![0.3, -1.2, 2.0];
        let p = scores.mapv(|score: f64| 1.0 / (1.0 + (-score).exp()));
        let expected = -((1.0 - p[0]).ln() + p[1].ln() + (1.0 - p[2]).ln());
        let prediction = of(&scores, Link::Sigmoid, 1);
        assert!((prediction.loss - expected).abs() < 1e-14);
        assert_eq!(prediction.predicted, 2);
        assert!((prediction.confidence - p[2]).abs() < 1e-15);
        // A difference of sums of 40 would leave nothing of it.
        let small = of(&array![40.0, -40.0], Link::Sigmoid, 0).loss;
        assert!((small / (2.0 * (-40.0_f64).exp()) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn probabilities_give_the_loss_of_their_logarithms_and_none_is_infinite() {
        let prediction = of(&array![0.25, 0.75], Link::Identity, 0);
        assert!((prediction.loss - 4.0_f64.ln()).abs() < 1e-15 && (prediction.confidence - 0.75).abs() < 1e-15);
        let certain = of(&array![1.0, 0.0], Link::Identity, 1);
        assert!((certain.loss - -f64::from(f32::from_bits(1)).ln()).abs() < 1e-9, "{}", certain.loss);
    }
}
