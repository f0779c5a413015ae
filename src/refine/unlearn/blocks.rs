//! What conjugate gradients are told of a Hessian beforehand: its blocks on the diagonal, one for the weights of each score (block
//! Jacobi). They hold nearly all that makes it ill-conditioned: how much the features differ in size and how they correlate, seen by
//! the samples that each score is unsure of.

use super::failed;
use super::hessian::Hessian;
use crate::linalg::{PositiveDefinite, SymmetricEigen};
use crate::refine::HeadError;
use ndarray::{Array1, Array2, Axis, concatenate};
use rayon::prelude::*;

/// Numbers in blocks up to which each score has its own: 320 MB, and as much again while they are solved with.
const OWN: usize = 40_000_000;

/// Numbers in one block beyond which only its diagonal is taken: finding eigenvectors takes time with the cube of the features.
const SHARED: usize = 70_000_000;

/// The diagonal blocks of a Hessian.
pub(super) enum Blocks {
    /// One a score.
    Own(Vec<Array2<f64>>),
    /// Their sum, and the share of it that stands for each score's.
    Shared { sum: SymmetricEigen, shares: Array1<f64> },
    /// Their diagonals alone, `[scores, d]`.
    Diagonals(Array2<f64>),
}

/// Blocks with something added to their diagonals, ready to be solved with.
pub(super) enum Factored<'b> {
    Own(Vec<PositiveDefinite>),
    Shared { sum: &'b SymmetricEigen, shares: &'b Array1<f64>, added: f64 },
    Diagonals { diagonals: &'b Array2<f64>, added: f64 },
}

impl Blocks {
    /// Those of a Hessian.
    ///
    /// # Errors
    /// [`HeadError`] where eigenvectors are not found.
    pub(super) fn of(hessian: &Hessian) -> Result<Self, HeadError> {
        let (scores, d) = hessian.dim();
        match d * d {
            block if scores * block <= OWN => Ok(Self::own(hessian)),
            block if block <= SHARED => Self::shared(hessian),
            _ => Ok(Self::diagonals(hessian)),
        }
    }

    pub(super) fn own(hessian: &Hessian) -> Self {
        Self::Own((0..hessian.dim().0).into_par_iter().map(|score| hessian.diagonal_block(score)).collect())
    }

    pub(super) fn shared(hessian: &Hessian) -> Result<Self, HeadError> {
        let sum = SymmetricEigen::of(&hessian.partial_trace()).map_err(|error| failed(&error.to_string()))?;
        let weights = hessian.mean_curvatures();
        // A score that is sure of every sample has no block.
        let shares = (&weights / weights.sum()).mapv(|share| share.max(f64::EPSILON));
        Ok(Self::Shared { sum, shares })
    }

    pub(super) fn diagonals(hessian: &Hessian) -> Self {
        Self::Diagonals(hessian.diagonal())
    }

    /// Ready to be solved with, when so much is added to their diagonals, which is more than nothing.
    ///
    /// # Errors
    /// [`HeadError`] where that leaves one that is not positive definite.
    pub(super) fn with(&self, added: f64) -> Result<Factored<'_>, HeadError> {
        match self {
            Self::Own(blocks) => {
                let factored = blocks.par_iter().map(|block| {
                    let mut block = block.clone();
                    block.diag_mut().mapv_inplace(|value| value + added);
                    PositiveDefinite::of(block).map_err(|reason| failed(&reason))
                });
                factored.collect::<Result<_, _>>().map(Factored::Own)
            }
            Self::Shared { sum, shares } => Ok(Factored::Shared { sum, shares, added }),
            Self::Diagonals(diagonals) => Ok(Factored::Diagonals { diagonals, added }),
        }
    }
}

impl Factored<'_> {
    /// The solution for each score's row of `right`, `[scores, d]`.
    pub(super) fn solve(&self, right: &Array2<f64>) -> Array2<f64> {
        match self {
            Self::Own(blocks) => {
                let rows: Vec<Array2<f64>> = blocks
                    .par_iter()
                    .enumerate()
                    .map(|(score, block)| block.solve_rows(right.row(score).to_owned().insert_axis(Axis(0))))
                    .collect();
                let rows: Vec<_> = rows.iter().map(|row| row.view()).collect();
                concatenate(Axis(0), &rows).expect("rows of one width")
            }
            Self::Shared { sum, shares, added } => {
                // (s A + a I)⁻¹ = (A + a/s I)⁻¹ / s
                sum.solve_rows(right, |score| added / shares[score]) / shares.view().insert_axis(Axis(1))
            }
            Self::Diagonals { diagonals, added } => right / &(*diagonals + *added),
        }
    }
}
