//! Which labels of a set are likely wrong, and how many.

use super::{ConfidentJoint, Opinion, Separation};

/// What is found in a set of samples.
#[derive(Clone, Debug)]
pub struct Detection {
    /// Whether losses tell right labels from wrong ones.
    pub separation: Separation,
    /// Which classes are labelled as which.
    pub joint: ConfidentJoint,
    /// For each sample, whether its label is likely wrong.
    pub is_issue: Vec<bool>,
}

impl Detection {
    /// From what a model says of samples of so many classes, of which there is one at least.
    ///
    /// A label is likely wrong where the model predicts another class and, if losses separate, where it is likelier than not one
    /// of the wrong ones by its loss.
    pub fn of(opinions: &[Opinion], classes: usize) -> Self {
        let separation = Separation::of(opinions.iter().map(|opinion| opinion.loss));
        let is_wrong = |opinion: &Opinion| !separation.separates || separation.wrong(opinion.loss) > 0.5;
        let is_issue = opinions.iter().map(|opinion| opinion.predicted != opinion.label && is_wrong(opinion)).collect();
        Self { separation, joint: ConfidentJoint::of(opinions, classes), is_issue }
    }

    /// The number of labels that are likely wrong.
    pub fn issues(&self) -> usize {
        self.is_issue.iter().filter(|is_issue| **is_issue).count()
    }

    /// The share of labels that are wrong, by the losses where they separate, else by the confident joint, which then finds too
    /// few.
    pub fn noise_rate(&self) -> f64 {
        if self.separation.separates { self.separation.wrong_share } else { self.joint.noise_rate() }
    }

    /// The positions of the samples of the highest losses, this share of all, the highest first.
    pub fn highest_losses(opinions: &[Opinion], share: f64) -> Vec<usize> {
        let mut order = Self::worst_first(opinions);
        order.truncate((share * opinions.len() as f64).round() as usize);
        order
    }

    /// The positions of the samples, those whose labels are likeliest wrong first.
    pub fn worst_first(opinions: &[Opinion]) -> Vec<usize> {
        let mut order: Vec<usize> = (0..opinions.len()).collect();
        order.sort_by(|&a, &b| opinions[b].loss.total_cmp(&opinions[a].loss).then(a.cmp(&b)));
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sample of class 0 of two, to which the model gives so much.
    fn opinion(probability: f64) -> Opinion {
        let mut likely = vec![(0, probability), (1, 1.0 - probability)];
        likely.sort_by(|a, b| b.1.total_cmp(&a.1));
        let (loss, margin) = (-probability.ln(), 2.0 * probability - 1.0);
        Opinion { label: 0, predicted: likely[0].0, loss, self_confidence: probability, margin, likely }
    }

    #[test]
    fn labels_that_the_model_does_not_believe_are_issues() {
        let believed = (0..80).map(|at| opinion(0.95 - 0.001 * f64::from(at)));
        let doubted = (0..20).map(|at| opinion(0.05 + 0.001 * f64::from(at)));
        let opinions: Vec<Opinion> = believed.chain(doubted).collect();
        let found = Detection::of(&opinions, 2);
        assert!(found.separation.separates);
        assert_eq!((found.issues(), found.is_issue[0], found.is_issue[80]), (20, false, true));
        assert!((found.noise_rate() - 0.2).abs() < 0.01);
        assert_eq!(Detection::worst_first(&opinions)[..2], [80, 81]);
        assert_eq!(Detection::highest_losses(&opinions, 0.03), [80, 81, 82]);
    }
}
