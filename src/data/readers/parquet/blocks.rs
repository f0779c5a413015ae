//! The images of a few blocks of rows, so that samples in ascending order cost each page about one decoding, whichever
//! threads ask for them.

use super::table::Table;
use parquet::data_type::ByteArray;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// A block has about as many bytes: several pages of the usual size, so that those it shares with its neighbours count
/// little.
const BLOCK_BYTES: u64 = 8 << 20;

/// A batch that begins in one block and ends in the next, and one ahead of it.
const MOST_BLOCKS: usize = 4;

/// A table, a group of its rows, and a block of that.
type Place = (usize, usize, usize);
type Block = Arc<Vec<Option<ByteArray>>>;

/// The blocks that were asked for last.
#[derive(Default)]
pub(super) struct Blocks(Mutex<VecDeque<(Place, Block)>>);

impl Blocks {
    /// The image in a row of `table`, which is at `position` of the set.
    pub(super) fn image(&self, position: usize, table: &Table, row: u32) -> Result<ByteArray, String> {
        let (group, row) = in_group(table, row as usize)?;
        let size = block_rows(table, group);
        let block = self.block((position, group, row / size), table, size)?;
        block.get(row % size).cloned().flatten().ok_or_else(|| "it has no image".to_owned())
    }

    /// Threads that want the same block wait for the first of them to read it.
    fn block(&self, place: Place, table: &Table, size: usize) -> Result<Block, String> {
        let mut blocks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, block)) = blocks.iter().find(|(other, _)| *other == place) {
            return Ok(Arc::clone(block));
        }
        let (_, group, number) = place;
        let rows = table.groups().get(group).map_or(0, |group| group.num_rows() as usize);
        let start = number * size;
        let chunks = table.chunks().map_err(|error| error.to_string())?;
        let block = Arc::new(table.read_images(&chunks, group, start, size.min(rows.saturating_sub(start)))?);
        if blocks.len() == MOST_BLOCKS {
            blocks.pop_front();
        }
        blocks.push_back((place, Arc::clone(&block)));
        Ok(block)
    }
}

/// The group that holds a row of the table, and which of its rows that is.
fn in_group(table: &Table, mut row: usize) -> Result<(usize, usize), String> {
    for (position, group) in table.groups().iter().enumerate() {
        let rows = group.num_rows() as usize;
        if row < rows {
            return Ok((position, row));
        }
        row -= rows;
    }
    Err("it is in no group of rows".to_owned())
}

/// The rows of a block: those that have about [`BLOCK_BYTES`] of images.
fn block_rows(table: &Table, group: usize) -> usize {
    let rows = table.groups().get(group).map_or(1, |group| group.num_rows() as u64).max(1);
    let image = (table.image_bytes(group) / rows).max(1);
    (BLOCK_BYTES / image).clamp(1, 1 << 16) as usize
}
