//! Which inputs are worked on at the same time: as many as there is room for.

use std::ops::Range;

/// What those may take together: 256 MiB, of which several large inputs or all of a small model's fit in.
pub(super) const ROOM: usize = 1 << 28;

/// Cuts things that take `room` bytes each into runs that take no more than [`ROOM`] together, or are one thing.
pub(super) fn side_by_side(room: &[usize]) -> impl Iterator<Item = Range<usize>> {
    let mut begin = 0;
    std::iter::from_fn(move || {
        let (first, others) = room.get(begin..)?.split_first()?;
        let mut taken = *first;
        let fits = |room: &&usize| {
            taken = taken.saturating_add(**room);
            taken <= ROOM
        };
        let run = begin..begin + 1 + others.iter().take_while(fits).count();
        begin = run.end;
        Some(run)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_fill_the_room_and_nothing_is_left_out() {
        let runs = |room: &[usize]| side_by_side(room).collect::<Vec<_>>();
        assert_eq!(runs(&[]), Vec::<Range<usize>>::new());
        assert_eq!(runs(&[0, 1, ROOM - 1, 1, ROOM, 2 * ROOM, 3]), [0..3, 3..4, 4..5, 5..6, 6..7]);
        assert_eq!(runs(&[usize::MAX, usize::MAX]), [0..1, 1..2]);
        assert_eq!(runs(&[1; 100]).len(), 1);
    }
}
