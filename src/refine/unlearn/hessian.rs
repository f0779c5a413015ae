//! The mean cross-entropy of a softmax as a function of the weights `V [classes, d]` of a linear layer: gradient and Hessian.
//!
//! ```text
//! ∇ = 1/n Σ (p − y) φᵀ        H V = 1/n Σ [p ∘ u − p (pᵀ u)] φᵀ,   u = V φ
//! ```
//!
//! (Böhning, "Multinomial logistic regression algorithm", 1992.)

use ndarray::{Array2, ArrayView2, Axis, s};
use rayon::prelude::*;

/// Rows that one thread multiplies at a time. Products are split into the same parts on every machine.
const ROWS: usize = 256;

/// The Hessian, as a map: it is of `(classes · d)²` numbers, which need not be formed.
#[derive(Debug)]
pub(super) struct SoftmaxHessian {
    /// φ, a row a sample.
    features: Array2<f64>,
    /// The same, a row a feature.
    by_feature: Array2<f64>,
    /// p, a row a sample.
    probabilities: Array2<f64>,
}

impl SoftmaxHessian {
    pub(super) fn new(features: Array2<f64>, probabilities: Array2<f64>) -> Self {
        let by_feature = features.t().as_standard_layout().to_owned();
        Self { features, by_feature, probabilities }
    }

    /// `[classes, d]` of its arguments.
    pub(super) fn dim(&self) -> (usize, usize) {
        (self.probabilities.ncols(), self.features.ncols())
    }

    /// `H V`.
    pub(super) fn product(&self, direction: &Array2<f64>) -> Array2<f64> {
        let mut weighted = multiply(&self.features.view(), &direction.t());
        weighted *= &self.probabilities;
        let means = weighted.sum_axis(Axis(1)).insert_axis(Axis(1));
        weighted -= &(&self.probabilities * &means);
        let product = multiply(&self.by_feature.view(), &weighted.view());
        product.t().as_standard_layout().to_owned() / self.features.nrows() as f64
    }

    /// Its mean eigenvalue: `1/(classes · d) · 1/n Σ Σ p (1 − p) |φ|²`.
    pub(super) fn mean_eigenvalue(&self) -> f64 {
        let (classes, d) = self.dim();
        let rows = self.features.rows().into_iter().zip(self.probabilities.rows());
        let trace: f64 = rows
            .map(|(feature, probability)| {
                let spread: f64 = probability.iter().map(|p| p * (1.0 - p)).sum();
                spread * feature.dot(&feature)
            })
            .sum();
        trace / (classes * d * self.features.nrows()) as f64
    }

    /// All of it, `[classes · d, classes · d]`, class by class.
    pub(super) fn dense(&self) -> Array2<f64> {
        let (classes, d) = self.dim();
        let pairs: Vec<(usize, usize)> = (0..classes).flat_map(|k| (0..=k).map(move |l| (k, l))).collect();
        let block = |&(k, l): &(usize, usize)| {
            let (p, q) = (self.probabilities.column(k), self.probabilities.column(l));
            let weights = if k == l { &p - &(&p * &p) } else { -(&p * &q) };
            let weighted = &self.features * &weights.insert_axis(Axis(1));
            self.by_feature.dot(&weighted) / self.features.nrows() as f64
        };
        let blocks: Vec<Array2<f64>> = pairs.par_iter().map(block).collect();
        let mut all = Array2::zeros((classes * d, classes * d));
        for ((k, l), block) in pairs.into_iter().zip(blocks) {
            all.slice_mut(s![k * d..(k + 1) * d, l * d..(l + 1) * d]).assign(&block);
            all.slice_mut(s![l * d..(l + 1) * d, k * d..(k + 1) * d]).assign(&block.t());
        }
        all
    }
}

/// `a · b`, in parts of rows of `a`.
fn multiply(a: &ArrayView2<'_, f64>, b: &ArrayView2<'_, f64>) -> Array2<f64> {
    let mut product = Array2::zeros((a.nrows(), b.ncols()));
    let parts: Vec<_> = product.axis_chunks_iter_mut(Axis(0), ROWS).zip(a.axis_chunks_iter(Axis(0), ROWS)).collect();
    parts.into_par_iter().for_each(|(mut part, rows)| part.assign(&rows.dot(b)));
    product
}

/// The softmax of logits, a row a sample.
pub(super) fn softmax(logits: &Array2<f64>) -> Array2<f64> {
    let mut probabilities = logits.clone();
    for mut row in probabilities.rows_mut() {
        let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        row.mapv_inplace(|logit| (logit - largest).exp());
        let total = row.sum();
        row /= total;
    }
    probabilities
}

/// `p − y`: the gradient of each sample's cross-entropy in its logits.
pub(super) fn errors(logits: &Array2<f64>, labels: &[usize]) -> Array2<f64> {
    let mut errors = softmax(logits);
    for (mut row, &label) in errors.rows_mut().into_iter().zip(labels) {
        // Without the difference that would lose the digits of a label that is all but certain.
        row[label] = -(0..row.len()).filter(|class| *class != label).map(|class| row[class]).sum::<f64>();
    }
    errors
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matrix(rows: usize, columns: usize) -> impl Strategy<Value = Array2<f64>> {
        let values = prop::collection::vec(-2.0..2.0_f64, rows * columns);
        values.prop_map(move |values| Array2::from_shape_vec((rows, columns), values).unwrap())
    }

    /// The mean cross-entropy of seven samples.
    fn loss(weight: &Array2<f64>, features: &Array2<f64>, labels: &[usize]) -> f64 {
        let probabilities = softmax(&features.dot(&weight.t()));
        let losses = labels.iter().enumerate().map(|(at, &label)| -probabilities[(at, label)].ln());
        losses.sum::<f64>() / labels.len() as f64
    }

    const LABELS: [usize; 7] = [0, 1, 2, 2, 1, 0, 1];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn gradient_and_hessian_are_the_slopes_of_the_loss(
            features in matrix(7, 4), weight in matrix(3, 4), direction in matrix(3, 4)
        ) {
            let logits = features.dot(&weight.t());
            let slope = errors(&logits, &LABELS).t().dot(&features) / 7.0;
            let hessian = SoftmaxHessian::new(features.clone(), softmax(&logits));
            let h = 1e-4;
            let along = |t: f64| loss(&(&weight + &(&direction * t)), &features, &LABELS);
            let first = (along(h) - along(-h)) / (2.0 * h);
            prop_assert!((first - (&slope * &direction).sum()).abs() < 1e-6);
            let second = (along(h) - 2.0 * along(0.0) + along(-h)) / (h * h);
            prop_assert!((second - (&hessian.product(&direction) * &direction).sum()).abs() < 1e-5);
        }

        #[test]
        fn the_map_and_the_matrix_are_the_same(features in matrix(9, 3), weight in matrix(4, 3), direction in matrix(4, 3)) {
            let hessian = SoftmaxHessian::new(features.clone(), softmax(&features.dot(&weight.t())));
            let dense = hessian.dense();
            let flat = direction.to_shape(12).unwrap();
            let (here, there) = (hessian.product(&direction), dense.dot(&flat));
            prop_assert!(here.iter().zip(&there).all(|(a, b)| (a - b).abs() < 1e-12));
            prop_assert!((dense.diag().mean().unwrap() - hessian.mean_eigenvalue()).abs() < 1e-12);
        }
    }

    #[test]
    fn an_error_that_is_almost_nothing_keeps_its_digits() {
        let errors = errors(&ndarray::array![[40.0, 0.0]], &[0]);
        assert!((errors[(0, 0)] / -(-40.0_f64).exp() - 1.0).abs() < 1e-12);
    }
}
