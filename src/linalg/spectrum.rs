//! The singular values of a matrix, and what they say of it as a whole.

use super::LinalgError;
use super::boundary::as_faer;
use faer::Side;
use ndarray::Array2;
use serde::Serialize;

/// What the singular values σ of a matrix say of it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spectrum {
    /// The largest σ: how much the matrix stretches a vector at most.
    pub norm: f64,
    /// The participation ratio `(Σσ²)² / Σσ⁴`: over how many directions its energy is spread; 0 for a matrix of zeros.
    pub effective_rank: f64,
}

impl Spectrum {
    /// Of a matrix, by the eigenvalues of `A Aᵀ` or `Aᵀ A`, whichever is smaller: small σ lose half of their digits, which
    /// neither number shows.
    ///
    /// # Errors
    /// [`LinalgError`] where the values are not finite, or the eigenvalues are not found.
    pub fn of(matrix: &Array2<f64>) -> Result<Self, LinalgError> {
        let matrix = as_faer(matrix);
        let gram =
            if matrix.nrows() <= matrix.ncols() { matrix * matrix.transpose() } else { matrix.transpose() * matrix };
        let energies = gram
            .self_adjoint_eigenvalues(Side::Lower)
            .map_err(|error| LinalgError::Failed { solver: "the eigenvalue solver", reason: format!("{error:?}") })?;
        if energies.iter().any(|energy| !energy.is_finite()) {
            return Err(LinalgError::NotFinite);
        }
        let (total, squares) = energies.iter().fold((0.0, 0.0), |(total, squares), energy| {
            let energy = energy.max(0.0);
            (total + energy, squares + energy * energy)
        });
        let largest = energies.iter().fold(0.0, |most: f64, energy| most.max(*energy));
        let effective_rank = if squares > 0.0 { total * total / squares } else { 0.0 };
        Ok(Self { norm: largest.sqrt(), effective_rank })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;
    use proptest::prelude::*;

    #[test]
    fn a_diagonal_matrix_shows_its_singular_values() {
        let spectrum = Spectrum::of(&array![[3.0, 0.0, 0.0], [0.0, -4.0, 0.0]]).unwrap();
        assert!((spectrum.norm - 4.0).abs() < 1e-12);
        assert!((spectrum.effective_rank - 25.0 * 25.0 / (81.0 + 256.0)).abs() < 1e-12);
        assert_eq!(Spectrum::of(&Array2::zeros((3, 2))).unwrap(), Spectrum { norm: 0.0, effective_rank: 0.0 });
    }

    proptest! {
        #[test]
        fn a_matrix_and_its_transpose_have_one_spectrum(values in prop::collection::vec(-1.0_f64..1.0, 15)) {
            let matrix = Array2::from_shape_vec((3, 5), values).unwrap();
            let transpose = matrix.t().as_standard_layout().to_owned();
            let (spectrum, same) = (Spectrum::of(&matrix).unwrap(), Spectrum::of(&transpose).unwrap());
            prop_assert!((spectrum.norm - same.norm).abs() < 1e-12);
            prop_assert!((spectrum.effective_rank - same.effective_rank).abs() < 1e-9);
            prop_assert!(spectrum.effective_rank <= 3.0 + 1e-9);
            let frobenius = matrix.iter().map(|value| value * value).sum::<f64>().sqrt();
            prop_assert!(spectrum.norm <= frobenius + 1e-12 && spectrum.norm >= frobenius / 3_f64.sqrt() - 1e-12);
        }
    }
}
