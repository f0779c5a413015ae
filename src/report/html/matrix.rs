//! Matrices as tables whose cells are the darker, the larger they are.

use super::numbers;
use maud::{Markup, html};

/// Tables of more classes are hard to read even where they fit.
pub(super) const MOST_CLASSES: usize = 20;

/// A matrix.
pub(super) struct Matrix<'a> {
    /// What its rows are.
    pub(super) rows: &'a str,
    /// What its columns are.
    pub(super) columns: &'a str,
    /// What each class is called.
    pub(super) names: &'a [String],
    /// For each cell how dark it is, from 0 to 1, and what stands in it.
    pub(super) cells: Vec<Vec<(f64, String)>>,
}

/// From here on words have the colour of the page.
const DARK: f64 = 0.72;

impl Matrix<'_> {
    /// Of counts, the darker, the larger their share of the row.
    pub(super) fn of_counts<'a>(
        rows: &'a str,
        columns: &'a str,
        names: &'a [String],
        counts: &[Vec<usize>],
    ) -> Matrix<'a> {
        let row = |row: &Vec<usize>| {
            let all = row.iter().sum();
            row.iter().map(|&count| (numbers::share(count, all), numbers::count(count))).collect()
        };
        Matrix { rows, columns, names, cells: counts.iter().map(row).collect() }
    }

    /// The table.
    pub(super) fn draw(&self) -> Markup {
        html! {
            div.scroll tabindex="0" {
                table.matrix {
                    caption { (self.rows) " ↓ " (self.columns) " →" }
                    thead {
                        tr {
                            td {}
                            @for name in self.names { th scope="col" title=(name) { span { (name) } } }
                        }
                    }
                    tbody {
                        @for (at, (name, row)) in self.names.iter().zip(&self.cells).enumerate() {
                            tr {
                                th scope="row" title=(name) { (name) }
                                @for (column, (share, words)) in row.iter().enumerate() { (cell(at == column, *share, words)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn cell(diagonal: bool, share: f64, words: &str) -> Markup {
    // Few are seen, too: the root brings small shares out.
    let strength = if share.is_finite() { share.clamp(0.0, 1.0).sqrt() } else { 0.0 };
    let class = match (diagonal, strength > DARK) {
        (true, true) => "right dark",
        (true, false) => "right",
        (false, true) => "dark",
        (false, false) => "",
    };
    html! { td class=(class) style=(format!("--shade:{strength:.3}")) { (words) } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_hold_their_counts_and_names_are_escaped() {
        let names = ["<b>".to_owned(), "b".to_owned()];
        let table = Matrix::of_counts("label", "predicted", &names, &[vec![1200, 0], vec![3, 1]]).draw().into_string();
        assert!(table.contains("title=\"&lt;b&gt;\"") && !table.contains("<b>"), "{table}");
        for cell in ["right dark\" style=\"--shade:1.000\">1,200<", "\"dark\" style=\"--shade:0.866\">3<", ">1<"] {
            assert!(table.contains(cell), "{cell} in {table}");
        }
    }
}
