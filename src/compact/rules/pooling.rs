//! Operators that bring positions together, and leave channels apart.

use crate::compact::channels::{Along, Crossing, Followed, Goes, Obstacle};

/// Pools over positions.
pub(super) const POOLS: &[&str] =
    &["AveragePool", "GlobalAveragePool", "GlobalMaxPool", "LpPool", "GlobalLpPool", "MaxPool"];

/// Reductions that give 0 of zeros.
pub(super) const REDUCTIONS: &[&str] = &["ReduceL1", "ReduceL2", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum"];

pub(super) fn pool(crossing: &mut Crossing<'_, '_>) -> Result<Goes, Obstacle> {
    let followed = crossing.only()?;
    match followed.along {
        Along::Second { .. } => Ok(Goes::On(followed)),
        Along::Last | Along::Blocks => Err(crossing.refused("pools channels")),
    }
}

pub(super) fn reduce(crossing: &mut Crossing<'_, '_>) -> Result<Goes, Obstacle> {
    let followed = crossing.only()?;
    let Along::Second { rank } = followed.along else {
        return Err(crossing.refused("reduces an unknown number of axes"));
    };
    let node = crossing.node();
    let listed = node.ints("axes").map(<[i64]>::to_vec);
    let axes = listed.or_else(|| crossing.graph.integers(crossing.at, 1));
    let Some(axes) = axes.filter(|axes| !axes.is_empty()) else { return Err(crossing.refused("reduces all axes")) };
    let axes: Vec<i64> = axes.iter().map(|&axis| if axis < 0 { axis + rank as i64 } else { axis }).collect();
    if axes.iter().any(|&axis| axis < 2) {
        return Err(crossing.refused("reduces over channels or samples"));
    }
    let rank = if node.int("keepdims", 1) == 0 { rank - axes.len() } else { rank };
    Ok(Goes::On(Followed { along: along(rank), ..followed }))
}

/// The second axis of so many.
pub(super) fn along(rank: usize) -> Along {
    if rank == 2 { Along::Last } else { Along::Second { rank } }
}
