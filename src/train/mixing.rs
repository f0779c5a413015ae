//! Learning from mixtures of samples (Zhang et al., "mixup: Beyond Empirical Risk Minimization", ICLR 2018), as early-learning
//! regularisation plus does it (Liu et al., `NeurIPS` 2020, and its authors' code): each sample of a step is mixed with another one of
//! it, of which it keeps the larger part.

use super::memory::Memory;
use crate::error::Error;
use crate::tensor::{ElementType, NamedTensor, Tensor};
use ndarray::{Array2, ArrayD, Axis};
use rand::Rng;
use rand::distr::Distribution;
use rand::seq::SliceRandom;
use rand_distr::Beta;

/// How the samples of every step are mixed.
pub struct Mixing<'a> {
    /// What shares are drawn from: both parameters of it are the same.
    pub shares: Beta<f64>,
    /// How many scores a sample has.
    pub scores: usize,
    /// What moves what is remembered, which no step does: none shows a sample as it is.
    pub follow: Option<Follow<'a>>,
}

/// What is remembered follows, after every epoch, what the model says of the samples as they are.
pub struct Follow<'a> {
    /// How much of what was remembered stays.
    pub momentum: f64,
    /// What the model says with some parameters.
    pub says: Box<Says<'a>>,
}

/// Samples, and how probable a model finds their classes with these parameters: `[samples, classes]`.
pub type Says<'a> = dyn FnMut(&[NamedTensor]) -> Result<(Vec<usize>, Array2<f32>), Error> + 'a;

impl Mixing<'_> {
    /// For one step.
    pub(super) fn draw(&self, samples: usize, random: &mut impl Rng) -> Mixture {
        let share = self.shares.sample(random);
        let mut partners: Vec<usize> = (0..samples).collect();
        partners.shuffle(random);
        Mixture { share: share.max(1.0 - share), partners }
    }
}

impl Follow<'_> {
    pub(super) fn after(&mut self, parameters: &[NamedTensor], memory: &mut Memory) -> Result<(), Error> {
        let (samples, said) = (self.says)(parameters)?;
        memory.follow(&samples, &said, self.momentum);
        Ok(())
    }
}

/// Which samples of a step are mixed, and how.
pub(super) struct Mixture {
    /// How much of each is its own.
    share: f64,
    /// With whom each is mixed.
    partners: Vec<usize>,
}

impl Mixture {
    /// The inputs of a step, mixed.
    ///
    /// # Errors
    /// An input of integers, which have nothing between them.
    pub(super) fn inputs(&self, inputs: &[NamedTensor]) -> Result<Vec<NamedTensor>, Error> {
        let mixed = |NamedTensor { name, tensor }: &NamedTensor| {
            if !tensor.element_type().is_float() {
                return Err(Error::Usage(format!(
                    "the input {name} holds {}, which cannot be mixed; leave out --mixup",
                    tensor.element_type()
                )));
            }
            Ok(NamedTensor { name: name.clone(), tensor: self.rows(tensor) })
        };
        inputs.iter().map(mixed).collect()
    }

    /// What they are held against: a probability of each score's class, for labels.
    pub(super) fn targets(&self, labels: &[usize], scores: usize, element: ElementType) -> Tensor {
        let of = |(sample, class): (usize, usize)| {
            let given = if scores == 1 { labels[sample] == 1 } else { labels[sample] == class };
            f64::from(u8::from(given))
        };
        let hard = Array2::from_shape_fn((labels.len(), scores), of).into_dyn();
        Tensor::from_f64(&self.mixed(&hard), element)
    }

    /// Any tensor of a row for each sample, mixed.
    pub(super) fn rows(&self, rows: &Tensor) -> Tensor {
        Tensor::from_f64(&self.mixed(&rows.to_f64()), rows.element_type())
    }

    fn mixed(&self, rows: &ArrayD<f64>) -> ArrayD<f64> {
        rows * self.share + rows.select(Axis(0), &self.partners) * (1.0 - self.share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    fn mixture() -> Mixture {
        Mixture { share: 0.75, partners: vec![1, 2, 0] }
    }

    #[test]
    fn a_sample_keeps_the_larger_share_of_itself_and_every_one_is_mixed_in_once() {
        let mixing = Mixing { shares: Beta::new(1.0, 1.0).unwrap(), scores: 2, follow: None };
        let mut random = ChaCha8Rng::seed_from_u64(3);
        let shares: Vec<f64> = (0..50)
            .map(|_| {
                let Mixture { share, mut partners } = mixing.draw(4, &mut random);
                partners.sort_unstable();
                assert_eq!(partners, [0, 1, 2, 3]);
                share
            })
            .collect();
        assert!(shares.iter().all(|share| (0.5..=1.0).contains(share)), "{shares:?}");
        let apart = shares.iter().copied().fold(0.0, f64::max) - shares.iter().copied().fold(1.0, f64::min);
        assert!(apart > 0.3, "{shares:?}");
    }

    #[test]
    fn inputs_and_targets_are_mixed_alike() {
        let mixture = mixture();
        let input = Tensor::from_f64(&array![[0.0], [4.0], [8.0]].into_dyn(), ElementType::Float32);
        let mixed = mixture.inputs(&[NamedTensor { name: "x".into(), tensor: input }]).unwrap();
        assert_eq!(mixed[0].tensor.to_f64(), array![[1.0], [5.0], [6.0]].into_dyn());
        assert_eq!(mixed[0].tensor.element_type(), ElementType::Float32);
        let targets = mixture.targets(&[1, 0, 1], 2, ElementType::Float64).to_f64();
        assert_eq!(targets, array![[0.25, 0.75], [0.75, 0.25], [0.0, 1.0]].into_dyn());
        let of_one_score = mixture.targets(&[1, 0, 1], 1, ElementType::Float64).to_f64();
        assert_eq!(of_one_score, array![[0.75], [0.25], [1.0]].into_dyn());
    }

    #[test]
    fn integers_are_refused_by_the_name_of_their_input() {
        let tensor = Tensor::from_f64(&array![[1.0], [2.0], [3.0]].into_dyn(), ElementType::Int64);
        let refused = mixture().inputs(&[NamedTensor { name: "tokens".into(), tensor }]).unwrap_err().to_string();
        assert!(refused.contains("tokens") && refused.contains("--mixup"), "{refused}");
    }
}
