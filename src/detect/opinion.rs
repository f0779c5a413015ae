//! What a model says of one sample and its label.

use crate::evidence::{Prediction, probabilities};
use crate::model::Link;
use ndarray::ArrayView1;

/// Classes of a sample that are kept: of more than five that are equally probable none is probable.
const LIKELY: usize = 5;

/// What a model says of one sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Opinion {
    /// The sample's (possibly wrong) label.
    pub label: usize,
    /// The most probable class.
    pub predicted: usize,
    /// The cross-entropy of the label, in nats.
    pub loss: f64,
    /// The probability of the label.
    pub self_confidence: f64,
    /// That less the probability of the most probable other class.
    pub margin: f64,
    /// The most probable classes with their probabilities, the most probable first.
    pub likely: Vec<(usize, f64)>,
}

impl Opinion {
    /// From one sample's class scores and the prediction that was made of them.
    pub fn of(prediction: &Prediction, scores: &ArrayView1<'_, f64>, link: Link) -> Self {
        let Prediction { label, predicted, loss, .. } = *prediction;
        let mut likely: Vec<(usize, f64)> = probabilities(scores, link).into_iter().enumerate().collect();
        let self_confidence = likely[label].1;
        let other = likely.iter().filter(|(class, _)| *class != label).map(|(_, probability)| *probability);
        let margin = self_confidence - other.fold(0.0, f64::max);
        likely.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        likely.truncate(LIKELY);
        Self { label, predicted, loss, self_confidence, margin, likely }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn the_margin_is_that_to_the_most_probable_other_class() {
        let scores = array![0.1, 0.6, 0.05, 0.25];
        let of = |label| {
            let prediction = Prediction::of(&scores.view(), Link::Identity, label);
            Opinion::of(&prediction, &scores.view(), Link::Identity)
        };
        assert_eq!((of(1).margin, of(3).margin), (0.6 - 0.25, 0.25 - 0.6));
        assert_eq!((of(3).predicted, of(3).self_confidence), (1, 0.25));
        assert_eq!(of(0).likely, [(1, 0.6), (3, 0.25), (0, 0.1), (2, 0.05)]);
    }

    #[test]
    fn of_many_classes_the_most_probable_are_kept() {
        let scores = ndarray::Array1::from_shape_fn(100, |class| f64::from((class as i32 * 37) % 100));
        let prediction = Prediction::of(&scores.view(), Link::Softmax, 0);
        let likely = Opinion::of(&prediction, &scores.view(), Link::Softmax).likely;
        assert_eq!(likely.len(), 5);
        assert!(likely.windows(2).all(|pair| pair[0].1 > pair[1].1));
        assert_eq!(likely[0].0, prediction.predicted);
    }
}
