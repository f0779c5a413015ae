//! What several runs gave as one number and how far they are apart.

use serde::Serialize;

/// A mean, and the standard deviation around it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Statistic {
    /// The mean.
    pub mean: f64,
    /// The standard deviation of the sample (of n − 1); nothing of one number.
    pub sd: Option<f64>,
}

impl Statistic {
    /// Of numbers, where there are any.
    pub fn of(numbers: impl IntoIterator<Item = f64>) -> Option<Self> {
        let numbers: Vec<f64> = numbers.into_iter().collect();
        if numbers.is_empty() {
            return None;
        }
        let count = numbers.len() as f64;
        let mean = numbers.iter().sum::<f64>() / count;
        let squares: f64 = numbers.iter().map(|number| (number - mean).powi(2)).sum();
        Some(Self { mean, sd: (numbers.len() > 1).then(|| (squares / (count - 1.0)).sqrt()) })
    }
}

impl Statistic {
    /// `84.9 % ± 0.4`: of shares, with the deviation in points.
    pub fn percent(&self) -> String {
        format!("{:.1} %{}", 100.0 * self.mean, self.deviation(100.0))
    }

    /// `12.4 ± 0.3`; 0 as it is.
    pub fn decimal(&self) -> String {
        if self.mean == 0.0 { "0".to_owned() } else { format!("{:.1}{}", self.mean, self.deviation(1.0)) }
    }

    fn deviation(&self, unit: f64) -> String {
        self.sd.map_or_else(String::new, |sd| format!(" ± {:.1}", unit * sd))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_number_has_a_mean_and_no_deviation() {
        assert_eq!(Statistic::of([0.75]), Some(Statistic { mean: 0.75, sd: None }));
        assert_eq!(Statistic::of([]), None);
    }

    #[test]
    fn a_deviation_is_shown_where_there_is_one() {
        let [one, several] = [None, Some(0.004)].map(|sd| Statistic { mean: 0.849, sd });
        assert_eq!((one.percent(), several.percent()), ("84.9 %".to_owned(), "84.9 % ± 0.4".to_owned()));
        let number = |mean, sd| Statistic { mean, sd }.decimal();
        assert_eq!(
            [number(12.35, None), number(12.44, Some(0.3)), number(0.0, Some(0.0))],
            ["12.3", "12.4 ± 0.3", "0"]
        );
    }

    #[test]
    fn the_deviation_is_that_of_a_sample() {
        let of = Statistic::of([2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]);
        let Some(Statistic { mean, sd: Some(sd) }) = of else { unreachable!("{of:?}") };
        assert_eq!(mean, 5.0);
        assert!((sd * sd - 32.0 / 7.0).abs() < 1e-12, "{sd}");
        assert_eq!(Statistic::of([3.0, 3.0]), Some(Statistic { mean: 3.0, sd: Some(0.0) }));
    }
}
