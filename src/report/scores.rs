//! The scores of samples as rows of a table.

use super::table::{Cell, Column, Kind, Record};
use crate::data::DataSet;
use crate::evidence::{Prediction, Scores};

/// One sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The sample's stable name.
    pub id: String,
    /// Its (possibly wrong) label.
    pub label: usize,
    /// The class that the model predicts.
    pub predicted: usize,
    /// The probability of that class.
    pub confidence: f64,
    /// The cross-entropy of the label, in nats.
    pub loss: f64,
}

impl Record for Row {
    const COLUMNS: &'static [Column] = &[
        Column { name: "id", kind: Kind::Text },
        Column { name: "label", kind: Kind::Count },
        Column { name: "predicted", kind: Kind::Count },
        Column { name: "confidence", kind: Kind::Number },
        Column { name: "loss", kind: Kind::Number },
    ];

    fn cells(self) -> Vec<Cell> {
        let Self { id, label, predicted, confidence, loss } = self;
        let (label, predicted) = (Cell::Count(label), Cell::Count(predicted));
        vec![Cell::Text(id), label, predicted, Cell::Number(confidence), Cell::Number(loss)]
    }
}

/// One row for each sample, in the set's order.
pub fn rows(scores: &Scores, set: &dyn DataSet) -> impl Iterator<Item = Row> {
    let row = move |(&index, &prediction): (&usize, &Prediction)| {
        let Prediction { label, predicted, confidence, loss } = prediction;
        Row { id: set.id(index).0, label, predicted, confidence, loss }
    };
    scores.samples.iter().zip(&scores.predictions).map(row)
}

/// What a Parquet file says of itself, and its rows.
///
/// # Errors
/// Those of the library that reads it; columns that are not those of scores.
#[cfg(feature = "parquet")]
pub(crate) fn decode(bytes: Vec<u8>) -> Result<(Option<String>, Vec<Row>), Box<dyn std::error::Error>> {
    use parquet::record::RowAccessor;
    super::table::parquet::decode(bytes, |row| {
        Ok(Row {
            id: row.get_string(0)?.clone(),
            label: usize::try_from(row.get_long(1)?)?,
            predicted: usize::try_from(row.get_long(2)?)?,
            confidence: row.get_double(3)?,
            loss: row.get_double(4)?,
        })
    })
}

#[cfg(all(test, feature = "parquet"))]
mod tests {
    use super::super::table::{format, write};
    use super::*;

    #[test]
    fn what_was_written_is_read_back() {
        let row = |id: &str, loss: f64| Row { id: id.into(), label: 3, predicted: 1, confidence: 0.75, loss };
        let rows = vec![row("a, \"b\".png", 0.1 + 0.2), row("ü.png", 1e-17)];
        let mut bytes = Vec::new();
        write(format("scores", &"scores.parquet".parse().unwrap()).unwrap(), rows.clone(), "about", &mut bytes)
            .unwrap();
        assert_eq!(decode(bytes).unwrap(), (Some("about".to_owned()), rows));
    }
}
