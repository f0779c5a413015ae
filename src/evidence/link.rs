//! What class scores are where the graph does not say it: probabilities give themselves away.

use super::{ClassScores, EvidenceError};
use crate::model::Link;
use crate::progress::Observer;

/// How scores become probabilities, judged by those of the first samples.
///
/// # Errors
/// [`EvidenceError::Unclear`] where the value is called a probability, and each score may be one, but no row of them is
/// a distribution over classes.
pub(super) fn of(value: &str, scores: &ClassScores, observer: &dyn Observer) -> Result<Link, EvidenceError> {
    if !scores.rows.iter().all(|score| (0.0..=1.0).contains(score)) {
        return Ok(Link::Softmax);
    }
    // A sum of probabilities is off by no more than each of them, relatively.
    let tolerance = (2.0 * scores.element.epsilon()).max(1e-5);
    if scores.rows.rows().into_iter().all(|row| (row.sum() - 1.0).abs() <= tolerance) {
        observer.warn(&format!(
            "{value} holds probabilities: every row sums to 1; losses are taken from their logarithms, which cannot \
             tell samples apart where a probability is rounded to 1; better name the value before with --logits NAME"
        ));
        return Ok(Link::Identity);
    }
    if value.to_ascii_lowercase().contains("prob") {
        return Err(EvidenceError::Unclear { output: value.to_owned() });
    }
    Ok(Link::Softmax)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;
    use crate::tensor::ElementType;
    use ndarray::{Array2, array};

    fn judged(value: &str, rows: Array2<f64>) -> Result<Link, EvidenceError> {
        of(value, &ClassScores { rows, element: ElementType::Float32 }, &Silent)
    }

    #[test]
    fn only_rows_that_are_all_distributions_are_probabilities() {
        assert_eq!(judged("y", array![[0.25, 0.75], [1.0, 0.0]]).unwrap(), Link::Identity);
        assert_eq!(judged("y", array![[0.25, 0.75], [0.5, 0.4]]).unwrap(), Link::Softmax);
        assert_eq!(judged("y", array![[0.25, 0.75], [1.5, -0.5]]).unwrap(), Link::Softmax);
        assert_eq!(judged("probabilities", array![[3.0, -2.0]]).unwrap(), Link::Softmax);
        assert_eq!(judged("y", array![[f64::NAN, 1.0]]).unwrap(), Link::Softmax);
    }

    #[test]
    fn what_is_called_a_probability_and_is_no_distribution_is_refused() {
        let message = judged("output_Probability", array![[0.9, 0.8]]).unwrap_err().to_string();
        assert!(message.contains("output_Probability") && message.contains("--logits"), "{message}");
    }
}
