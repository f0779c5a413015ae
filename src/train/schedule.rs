//! How the learning rate goes over a training.

use std::f64::consts::PI;

/// The learning rate as a share of the largest.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Schedule {
    /// The same in every step.
    Constant,
    /// Down to 0 along half a cosine (Loshchilov and Hutter, "SGDR", 2017).
    #[default]
    Cosine,
    /// Up from a 25th along half a cosine over that share of the steps, then down to 0 along another (Smith and Topin,
    /// "Super-Convergence", 2019, as torch's `OneCycleLR` has it).
    OneCycle(f64),
}

impl Schedule {
    /// The share in a step, which counts from 0, of all.
    pub fn at(self, step: usize, all: usize) -> f64 {
        let done = step as f64 / all.max(1) as f64;
        let down = |done: f64| 0.5 * (1.0 + (PI * done).cos());
        match self {
            Self::Constant => 1.0,
            Self::Cosine => down(done),
            Self::OneCycle(rise) if done < rise => 1.0 - (1.0 - 1.0 / 25.0) * down(done / rise),
            Self::OneCycle(rise) => down((done - rise) / (1.0 - rise).max(f64::EPSILON)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_begin_and_end_where_they_should() {
        assert_eq!(Schedule::Constant.at(7, 10), 1.0);
        assert_eq!(Schedule::Cosine.at(0, 10), 1.0);
        assert!((Schedule::Cosine.at(5, 10) - 0.5).abs() < 1e-12);
        let cycle = Schedule::OneCycle(0.3);
        assert!((cycle.at(0, 100) - 0.04).abs() < 1e-12);
        assert!((cycle.at(30, 100) - 1.0).abs() < 1e-12);
        assert!(cycle.at(99, 100) < 1e-3);
    }
}
