//! What every section of the page is built from.

use super::chart::Ink;
use crate::report::figures::Figure;
use maud::{Markup, html};

/// A part of the page under a heading, with what it tells in a sentence.
pub(super) fn section(id: &str, title: &str, lead: &Markup, body: &Markup) -> Markup {
    html! {
        section id=(id) {
            h2 { (title) }
            p.lead { (lead) }
            (body)
        }
    }
}

/// A figure with its title, what its marks mean, and how to read it.
pub(super) fn figure(id: &str, title: &str, legend: &Markup, body: &Markup, caption: &Markup) -> Markup {
    html! {
        figure id=(id) {
            h3 { (title) }
            (legend)
            (body)
            figcaption { (caption) }
        }
    }
}

/// What the marks of a chart mean.
pub(super) fn legend(entries: &[(Ink, &str)]) -> Markup {
    html! {
        ul.legend {
            @for (ink, meaning) in entries {
                li { span.swatch style=(format!("background:var({})", ink.variable())) {} (meaning) }
            }
        }
    }
}

/// A figure that may be missing: then the reason stands in its place.
pub(super) fn shown<T>(id: &str, title: &str, figure: &Figure<T>, draw: impl FnOnce(&T) -> Markup) -> Markup {
    match figure {
        Figure::Shown(data) => draw(data),
        Figure::Missing { missing: reason } => missing(id, title, reason),
    }
}

/// Why there is no figure.
pub(super) fn missing(id: &str, title: &str, reason: &str) -> Markup {
    html! {
        figure id=(id) {
            h3 { (title) }
            p.missing { (reason) }
        }
    }
}

/// A table that scrolls by itself where it is wider than the page. Columns of `right` hold numbers.
pub(super) fn table(header: &[&str], right: &[usize], rows: &[Vec<Markup>]) -> Markup {
    let class = |column: usize| right.contains(&column).then_some("number");
    html! {
        div.scroll tabindex="0" {
            table {
                thead { tr { @for (at, name) in header.iter().enumerate() { th class=[class(at)] scope="col" { (name) } } } }
                tbody {
                    @for row in rows {
                        tr { @for (at, cell) in row.iter().enumerate() { td class=[class(at)] { (cell) } } }
                    }
                }
            }
        }
    }
}

/// Words as part of a page.
pub(super) fn text(words: impl AsRef<str>) -> Markup {
    html! { (words.as_ref()) }
}

/// Facts, each with its name.
pub(super) fn facts(facts: &[(&str, Markup)]) -> Markup {
    html! { dl.facts { @for (name, value) in facts { div { dt { (name) } dd { (value) } } } } }
}
