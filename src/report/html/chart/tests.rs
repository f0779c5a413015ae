//! What the library makes of charts.

use super::*;

fn chart(marks: Vec<Mark>) -> Chart {
    Chart {
        label: "a <chart>".to_owned(),
        x: Axis::linear("time & tide", (0.0, 10.0), |at| format!("{at}")),
        y: Axis::names(["<script>&\"".to_owned(), "a name that is far too long".to_owned()]),
        width: WIDTH,
        height: 200,
        marks,
    }
}

#[test]
fn words_are_escaped_and_shortened() {
    let svg = draw(&chart(vec![Mark::Word((5.0, 0.0), "1 < 2".to_owned(), Ink::Text)])).into_string();
    assert!(svg.contains("&lt;script&gt;&amp;&quot;") && !svg.contains("<script"), "{svg}");
    assert!(svg.contains("a name that i…") && svg.contains("time &amp; tide") && svg.contains("1 &lt; 2"));
    assert!(svg.contains("aria-label=\"a &lt;chart&gt;\""));
}

#[test]
fn every_mark_is_drawn_in_variables() {
    let points = vec![(1.0, 0.0), (3.0, 0.5), (9.0, 1.0)];
    let svg = draw(&chart(vec![
        Mark::Area(points.clone(), Ink::After),
        Mark::Bar((1.0, 0.0), (2.0, 0.7), Ink::Other),
        Mark::Line(points, Ink::After),
        Mark::Dashes((0.0, 0.0), (10.0, 1.0), Ink::Before),
        Mark::Dot((4.0, 0.3), Ink::Before),
        Mark::Ring((5.0, 0.3), Ink::After),
        Mark::Label((5.0, 0.3), "here".to_owned(), Ink::Text),
    ]))
    .into_string();
    for element in ["<polygon", "<rect", "<polyline", "<circle", "<text"] {
        assert!(svg.contains(element), "{element} in {svg}");
    }
    assert!(!svg.contains("=\"#"), "a colour that does not follow the page: {svg}");
    assert!(!svg.contains("NaN") && svg.ends_with("</svg>"));
}

#[test]
fn what_cannot_be_drawn_is_empty_and_no_panic() {
    for bad in [f64::NAN, f64::INFINITY] {
        let mut chart = chart(vec![Mark::Dot((bad, bad), Ink::After)]);
        chart.x.range = (bad, bad);
        assert!(draw(&chart).into_string().ends_with("</svg>"));
    }
}
