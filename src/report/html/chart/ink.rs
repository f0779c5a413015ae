//! What charts are drawn with. A chart is drawn once and seen by day and by night: so it is drawn in colours that stand for
//! variables of the style sheet, which are put in their place in the end.

use plotters::style::RGBColor;

/// A colour by what it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::report::html) enum Ink {
    /// Words and numbers.
    Text,
    /// Axes and grids.
    Line,
    /// What there is besides.
    Other,
    /// The original, and labels that are likely wrong.
    Before,
    /// The corrected model, and what is trusted.
    After,
    /// The page itself, for what lies on other marks.
    Paper,
}

impl Ink {
    const ALL: [Self; 6] = [Self::Text, Self::Line, Self::Other, Self::Before, Self::After, Self::Paper];

    /// The variable of the style sheet.
    pub(in crate::report::html) fn variable(self) -> &'static str {
        match self {
            Self::Text => "--text",
            Self::Line => "--line",
            Self::Other => "--other",
            Self::Before => "--before",
            Self::After => "--after",
            Self::Paper => "--paper",
        }
    }

    /// The colour that stands for it while it is drawn.
    pub(super) fn stand_in(self) -> RGBColor {
        RGBColor(1, 2, self as u8 + 1)
    }
}

/// The drawing with every colour that stands for a variable replaced by it. Only whole attributes are: text cannot look like one,
/// since quotes in it are escaped.
pub(super) fn resolved(svg: &str) -> String {
    Ink::ALL.into_iter().fold(svg.to_owned(), |svg, ink| {
        let RGBColor(red, green, blue) = ink.stand_in();
        svg.replace(&format!("=\"#{red:02X}{green:02X}{blue:02X}\""), &format!("=\"var({})\"", ink.variable()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_ink_is_a_variable_of_the_style_sheet_by_day_and_by_night() {
        let sheet = include_str!("../style.css");
        for ink in Ink::ALL {
            assert_eq!(sheet.matches(&format!("{}:", ink.variable())).count(), 3, "{ink:?}: light, dark, printed");
        }
    }

    #[test]
    fn attributes_are_replaced_and_words_are_not() {
        let drawn = "<line stroke=\"#010204\"/><text>#010204 =&quot;#010204&quot;</text>";
        assert_eq!(resolved(drawn), "<line stroke=\"var(--before)\"/><text>#010204 =&quot;#010204&quot;</text>");
    }
}
