//! Numbers as people read them.

/// `12,345`.
pub(super) fn count(number: usize) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> = digits.as_bytes().rchunks(3).rev().filter_map(|group| str::from_utf8(group).ok()).collect();
    groups.join(",")
}

/// `75.2 %`, as the command line shows it.
pub(super) fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

/// `75 %` or `75.5 %`: as short as a place on an axis is named.
pub(super) fn percent_tick(at: f64) -> String {
    let text = format!("{:.1}", 100.0 * at);
    format!("{} %", text.strip_suffix(".0").unwrap_or(&text))
}

/// `+9.5`: the difference of two shares, in points.
pub(super) fn points(difference: f64) -> String {
    let text = format!("{:+.1}", 100.0 * difference);
    // A difference that is rounded away has no sign; the others have one that is as wide as a plus.
    if text == "+0.0" || text == "-0.0" { "0.0".to_owned() } else { text.replace('-', "−") }
}

/// With so many digits after the point; nothing where there is no number.
pub(super) fn decimal(number: Option<f64>, digits: usize) -> String {
    number.map_or(String::new(), |number| format!("{number:.digits$}"))
}

/// `64×3×7×7`.
pub(super) fn shape(extents: &[usize]) -> String {
    extents.iter().map(ToString::to_string).collect::<Vec<_>>().join("×")
}

/// The share of one count in another; 0 of none.
pub(super) fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// One or many of something.
pub(super) fn counted(number: usize, one: &str, many: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_whole_ones_exact() {
        assert_eq!([0, 999, 1000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!((percent(0.75249), percent(1.0)), ("75.2 %".to_owned(), "100.0 %".to_owned()));
        assert_eq!([0.095, -0.0101, -0.0001].map(points), ["+9.5", "−1.0", "0.0"]);
        assert_eq!((decimal(Some(0.12345), 3), decimal(None, 3)), ("0.123".to_owned(), String::new()));
        assert_eq!((share(1, 4), share(0, 0)), (0.25, 0.0));
        assert_eq!([1, 2].map(|number| counted(number, "layer", "layers")), ["1 layer", "2 layers"]);
    }
}
