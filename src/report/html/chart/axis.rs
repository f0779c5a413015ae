//! What a chart's axis shows: from where to where, and which places are named.

use crate::report::html::numbers::count;

/// Ticks that an axis has about.
const TICKS: f64 = 5.0;

/// An axis. Places on it are numbers; those of a logarithmic one are powers of ten.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::report::html) struct Axis {
    /// What is measured along it.
    pub(in crate::report::html) name: String,
    /// Where it begins and ends.
    pub(in crate::report::html) range: (f64, f64),
    /// Named places.
    pub(in crate::report::html) ticks: Vec<(f64, String)>,
}

impl Axis {
    /// From one number to another, with round ones in between.
    pub(in crate::report::html) fn linear(name: &str, (from, to): (f64, f64), label: impl Fn(f64) -> String) -> Self {
        let to = if to > from { to } else { from + 1.0 };
        let step = round_step((to - from) / TICKS);
        let first = (from / step - 1e-9).ceil() as i64;
        let last = (to / step + 1e-9).floor() as i64;
        let ticks = (first..=last).map(|at| at as f64 * step).map(|at| (at, label(at))).collect();
        Self { name: name.to_owned(), range: (from, to), ticks }
    }

    /// From one power of ten to another, with decades named, and some places between where there are few. `from` and `to` are
    /// exponents.
    pub(in crate::report::html) fn decades(name: &str, (from, to): (f64, f64)) -> Self {
        let to = if to > from { to } else { from + 1.0 };
        let step = ((to - from) / (TICKS + 1.0)).ceil().max(1.0) as i32;
        let (first, last) = ((from - 1e-9).ceil() as i32, (to + 1e-9).floor() as i32);
        let between: &[u32] = match to - from {
            decades if decades <= 1.5 => &[1, 2, 5],
            decades if decades <= 2.7 => &[1, 3],
            _ => &[1],
        };
        let decades = (first - 1..=last).filter(|decade| decade.rem_euclid(step) == 0);
        let places = decades.flat_map(|decade| between.iter().map(move |times| (*times, decade)));
        let place = |(times, decade)| (f64::from(times).log10() + f64::from(decade), power_of_ten(times, decade));
        let ticks = places.map(place).filter(|(at, _)| *at >= from - 1e-9 && *at <= to + 1e-9).collect();
        Self { name: name.to_owned(), range: (from, to), ticks }
    }

    /// With a place for each name: 0 for the first.
    pub(in crate::report::html) fn names(names: impl IntoIterator<Item = String>) -> Self {
        let ticks: Vec<(f64, String)> = names.into_iter().enumerate().map(|(at, name)| (at as f64, name)).collect();
        Self { name: String::new(), range: (-0.5, ticks.len() as f64 - 0.5), ticks }
    }
}

/// 1, 2 or 5 times a power of ten, at least as large.
fn round_step(step: f64) -> f64 {
    let decade = 10_f64.powf(step.log10().floor());
    let round = [1.0, 2.0, 5.0, 10.0].into_iter().find(|round| round * decade >= step * (1.0 - 1e-9));
    round.unwrap_or(10.0) * decade
}

/// So many times a power of ten: as a number where that is short, else as a power.
fn power_of_ten(times: u32, exponent: i32) -> String {
    match exponent {
        -3..=-1 => format!("{:.*}", exponent.unsigned_abs() as usize, f64::from(times) * 10_f64.powi(exponent)),
        0..=4 => count(times as usize * 10_usize.pow(exponent.unsigned_abs())),
        _ => {
            let digits: String = exponent.to_string().chars().map(superscript).collect();
            if times == 1 { format!("10{digits}") } else { format!("{times}·10{digits}") }
        }
    }
}

fn superscript(digit: char) -> char {
    match digit {
        '-' => '⁻',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        digit => digit.to_digit(10).and_then(|value| char::from_u32(0x2070 + value)).unwrap_or(digit),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|(_, label)| label.as_str()).collect()
    }

    #[test]
    fn ticks_are_round_and_within() {
        let axis = Axis::linear("", (0.62, 0.91), |at| format!("{:.0} %", 100.0 * at));
        assert_eq!(labels(&axis), ["70 %", "80 %", "90 %"]);
        assert_eq!(
            labels(&Axis::linear("", (0.0, 4100.0), |at| at.to_string())),
            ["0", "1000", "2000", "3000", "4000"]
        );
        assert_eq!(Axis::linear("", (3.0, 3.0), |at| at.to_string()).range, (3.0, 4.0));
    }

    #[test]
    fn decades_are_thinned_and_written_short() {
        assert_eq!(labels(&Axis::decades("", (-2.2, 3.1))), ["0.01", "0.1", "1", "10", "100", "1,000"]);
        assert_eq!(labels(&Axis::decades("", (-12.0, 0.0))), ["10⁻¹²", "10⁻¹⁰", "10⁻⁸", "10⁻⁶", "10⁻⁴", "0.01", "1"]);
        assert_eq!(labels(&Axis::decades("", (2.3, 4.2))), ["300", "1,000", "3,000", "10,000"]);
        assert_eq!(labels(&Axis::decades("", (4.9, 5.8))), ["10⁵", "2·10⁵", "5·10⁵"]);
    }

    #[test]
    fn a_name_has_its_place() {
        assert_eq!(Axis::names(["a".to_owned(), "b".to_owned()]).range, (-0.5, 1.5));
    }
}
