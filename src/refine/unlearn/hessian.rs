//! The mean loss as a function of the weights `V [scores, d]` of a linear layer: its Hessian, from the second derivatives `Cᵢ` of
//! each sample's loss in its scores.
//!
//! ```text
//! H = 1/n Σ Cᵢ ⊗ φᵢ φᵢᵀ        H V = 1/n Σ (Cᵢ V φᵢ) φᵢᵀ
//! ```

use super::loss::Curvature;
use ndarray::{Array1, Array2, ArrayView2, Axis, s};
use rayon::prelude::*;

/// Rows that one thread multiplies at a time. Products are split into the same parts on every machine.
const ROWS: usize = 256;

/// Samples that are weighted at a time.
const SAMPLES: usize = 4096;

/// The Hessian, as a map: it is of `(scores · d)²` numbers, which need not be formed.
#[derive(Debug)]
pub(super) struct Hessian {
    /// φ, a row a sample.
    features: Array2<f64>,
    /// The same, a row a feature.
    by_feature: Array2<f64>,
    /// C, a matrix a sample.
    curvature: Curvature,
}

impl Hessian {
    pub(super) fn new(features: Array2<f64>, curvature: Curvature) -> Self {
        let by_feature = features.t().as_standard_layout().to_owned();
        Self { features, by_feature, curvature }
    }

    /// `[scores, d]` of its arguments.
    pub(super) fn dim(&self) -> (usize, usize) {
        (self.curvature.scores(), self.features.ncols())
    }

    /// Whether it maps what is the same for all scores to 0.
    pub(super) fn ignores_what_scores_share(&self) -> bool {
        self.curvature.ignores_what_scores_share()
    }

    /// `H V`.
    pub(super) fn product(&self, direction: &Array2<f64>) -> Array2<f64> {
        let mut weighted = multiply(&self.features.view(), &direction.t());
        self.curvature.apply(&mut weighted);
        let product = multiply(&self.by_feature.view(), &weighted.view());
        product.t().as_standard_layout().to_owned() / self.features.nrows() as f64
    }

    /// Its mean eigenvalue: `1/(scores · d) · 1/n Σ tr(C) |φ|²`.
    pub(super) fn mean_eigenvalue(&self) -> f64 {
        let (scores, d) = self.dim();
        let samples = self.features.rows().into_iter().zip(self.curvature.trace());
        let trace: f64 = samples.map(|(feature, trace)| trace * feature.dot(&feature)).sum();
        trace / (scores * d * self.features.nrows()) as f64
    }

    /// What belongs to the weights of two scores, `[d, d]`; nothing where that is 0.
    fn block(&self, k: usize, l: usize) -> Option<Array2<f64>> {
        self.curvature.entry(k, l).map(|weights| self.moment(&weights))
    }

    /// What belongs to the weights of one score, `[d, d]`.
    pub(super) fn diagonal_block(&self, score: usize) -> Array2<f64> {
        let d = self.features.ncols();
        self.block(score, score).unwrap_or_else(|| Array2::zeros((d, d)))
    }

    /// The mean over samples of what stands for each score on the diagonal of C.
    pub(super) fn mean_curvatures(&self) -> Array1<f64> {
        let mean = |score| self.curvature.entry(score, score).and_then(|entries| entries.mean()).unwrap_or(0.0);
        (0..self.curvature.scores()).map(mean).collect()
    }

    /// Its diagonal, `[scores, d]`.
    pub(super) fn diagonal(&self) -> Array2<f64> {
        let (scores, d) = self.dim();
        let squares = &self.features * &self.features;
        let mut diagonal = Array2::zeros((scores, d));
        for (score, mut row) in diagonal.rows_mut().into_iter().enumerate() {
            if let Some(weights) = self.curvature.entry(score, score) {
                row.assign(&(weights.dot(&squares) / self.features.nrows() as f64));
            }
        }
        diagonal
    }

    /// The sum of the diagonal blocks, `[d, d]`.
    pub(super) fn partial_trace(&self) -> Array2<f64> {
        self.moment(&self.curvature.trace())
    }

    /// `1/n Σ w φφᵀ`. By one thread.
    fn moment(&self, weights: &Array1<f64>) -> Array2<f64> {
        let d = self.features.ncols();
        let mut sum = Array2::zeros((d, d));
        let parts = self.features.axis_chunks_iter(Axis(0), SAMPLES).zip(weights.axis_chunks_iter(Axis(0), SAMPLES));
        for (features, weights) in parts {
            sum += &features.t().dot(&(&features * &weights.insert_axis(Axis(1))));
        }
        sum / self.features.nrows() as f64
    }

    /// All of it, `[scores · d, scores · d]`, score by score.
    pub(super) fn dense(&self) -> Array2<f64> {
        let (scores, d) = self.dim();
        let pairs: Vec<(usize, usize)> = (0..scores).flat_map(|k| (0..=k).map(move |l| (k, l))).collect();
        let blocks: Vec<Option<Array2<f64>>> = pairs.par_iter().map(|&(k, l)| self.block(k, l)).collect();
        let mut all = Array2::zeros((scores * d, scores * d));
        for ((k, l), block) in pairs.into_iter().zip(blocks) {
            let Some(block) = block else { continue };
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::Prediction;
    use crate::refine::Loss;
    use proptest::prelude::*;

    fn matrix(rows: usize, columns: usize) -> impl Strategy<Value = Array2<f64>> {
        let values = prop::collection::vec(-2.0..2.0_f64, rows * columns);
        values.prop_map(move |values| Array2::from_shape_vec((rows, columns), values).unwrap())
    }

    /// The mean of the losses that are reported.
    fn mean_loss(loss: Loss, weight: &Array2<f64>, features: &Array2<f64>, labels: &[usize]) -> f64 {
        let logits = features.dot(&weight.t());
        let of = |(row, &label)| Prediction::of(&row, loss.link(), label).loss;
        logits.rows().into_iter().zip(labels).map(of).sum::<f64>() / labels.len() as f64
    }

    const LABELS: [usize; 7] = [0, 1, 2, 2, 1, 0, 1];

    /// A softmax, one score, several scores: how many, and what their labels are.
    fn kind() -> impl Strategy<Value = (Loss, usize, [usize; 7])> {
        let binary = LABELS.map(|label| label.min(1));
        prop_oneof![
            Just((Loss::Softmax, 3, LABELS)),
            Just((Loss::Sigmoid, 1, binary)),
            Just((Loss::Sigmoid, 3, LABELS)),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]

        #[test]
        fn gradient_and_hessian_are_the_slopes_of_the_loss(
            (loss, scores, labels) in kind(), features in matrix(7, 4), weight in matrix(3, 4), direction in matrix(3, 4)
        ) {
            let [weight, direction] = [weight, direction].map(|all| all.slice(s![..scores, ..]).to_owned());
            let logits = features.dot(&weight.t());
            let slope = loss.errors(&logits, &labels).t().dot(&features) / 7.0;
            let hessian = Hessian::new(features.clone(), loss.curvature(&logits));
            let h = 1e-4;
            let along = |t: f64| mean_loss(loss, &(&weight + &(&direction * t)), &features, &labels);
            let first = (along(h) - along(-h)) / (2.0 * h);
            prop_assert!((first - (&slope * &direction).sum()).abs() < 1e-6);
            let second = (along(h) - 2.0 * along(0.0) + along(-h)) / (h * h);
            prop_assert!((second - (&hessian.product(&direction) * &direction).sum()).abs() < 1e-5);
        }

        #[test]
        fn the_map_and_the_matrix_are_the_same(
            (loss, scores, _) in kind(), features in matrix(9, 4), weight in matrix(3, 4), direction in matrix(3, 4)
        ) {
            let [weight, direction] = [weight, direction].map(|all| all.slice(s![..scores, ..]).to_owned());
            let hessian = Hessian::new(features.clone(), loss.curvature(&features.dot(&weight.t())));
            let dense = hessian.dense();
            let flat = direction.to_shape(scores * 4).unwrap();
            let (here, there) = (hessian.product(&direction), dense.dot(&flat));
            prop_assert!(here.iter().zip(&there).all(|(a, b)| (a - b).abs() < 1e-12));
            prop_assert!((dense.diag().mean().unwrap() - hessian.mean_eigenvalue()).abs() < 1e-12);
            let blocks = (0..scores).map(|score| hessian.diagonal_block(score));
            let sum = blocks.fold(Array2::<f64>::zeros((4, 4)), |sum, block| sum + block);
            prop_assert!((sum - hessian.partial_trace()).iter().all(|apart| apart.abs() < 1e-12));
            let blocks: Vec<_> = (0..scores).map(|score| hessian.diagonal_block(score)).collect();
            let diagonal = hessian.diagonal();
            for (block, row) in blocks.iter().zip(diagonal.rows()) {
                prop_assert!(block.diag().iter().zip(row).all(|(a, b)| (a - b).abs() < 1e-12));
            }
        }
    }
}
