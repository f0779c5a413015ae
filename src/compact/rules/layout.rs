//! Operators that lay entries out in another way.

use super::pooling::along;
use crate::compact::channels::{Along, Crossing, Followed, Goes, Obstacle};

pub(super) fn flatten(crossing: &mut Crossing<'_, '_>) -> Result<Goes, Obstacle> {
    let followed = crossing.only()?;
    if crossing.node().int("axis", 1) != 1 {
        return Err(crossing.refused("flattens something else than samples"));
    }
    match followed.along {
        Along::Second { .. } => Ok(Goes::On(Followed { along: Along::Blocks, ..followed })),
        Along::Blocks => Ok(Goes::On(followed)),
        Along::Last => Err(crossing.refused("flattens an unknown number of axes")),
    }
}

/// To samples and all that they have, which is what Flatten does.
pub(super) fn reshape(crossing: &mut Crossing<'_, '_>) -> Result<Goes, Obstacle> {
    let followed = crossing.only()?;
    let literal = crossing.node().int("allowzero", 0) != 0;
    let shape = crossing.graph.integers(crossing.at, 1).filter(|shape| !literal || !shape.contains(&0));
    let Some(shape) = shape else { return Err(crossing.refused("has a shape that is computed")) };
    match (followed.along, shape.as_slice()) {
        (Along::Second { .. }, [0 | 1.., -1]) => Ok(Goes::On(Followed { along: Along::Blocks, ..followed })),
        (Along::Second { .. }, &[samples, entries]) if entries > 0 => {
            let channels = crossing.channels as i64;
            if entries % channels != 0 {
                return Err(crossing.refused("divides channels"));
            }
            let operand = crossing.graph.operand(crossing.at, 1);
            let constant = operand
                .map(|operand| operand.constant.clone())
                .filter(|constant| crossing.graph.uses(&constant.place).len() == 1 && constant.dims == [2]);
            let Some(constant) = constant else {
                return Err(crossing.refused("has a shape that is read elsewhere, too"));
            };
            let left = entries / channels * (channels - crossing.gone.len() as i64);
            crossing.cuts.shapes.insert(constant.name.clone(), (constant, vec![samples, left]));
            Ok(Goes::On(Followed { along: Along::Blocks, ..followed }))
        }
        _ => Err(crossing.refused("lays out something else than samples and all that they have")),
    }
}

/// Positions of which there is one.
pub(super) fn squeeze(crossing: &mut Crossing<'_, '_>) -> Result<Goes, Obstacle> {
    let followed = crossing.only()?;
    let listed = crossing.node().ints("axes").map(<[i64]>::to_vec);
    let axes = listed.or_else(|| crossing.graph.integers(crossing.at, 1));
    let (Along::Second { rank }, Some(axes)) = (followed.along, axes) else {
        return Err(crossing.refused("leaves out an unknown number of axes"));
    };
    let behind = |axis: &i64| (if *axis < 0 { axis + rank as i64 } else { *axis }) >= 2;
    if !axes.iter().all(behind) {
        return Err(crossing.refused("leaves out other axes than positions"));
    }
    Ok(Goes::On(Followed { along: along(rank - axes.len()), ..followed }))
}
