//! Shards that make up a whole: each of them once, all of one run.

use super::{Identity, PartialError};
use crate::evidence::Shard;

/// A file that a shard has written.
pub(super) trait Part {
    /// What messages call it.
    fn path(&self) -> &str;
    /// Which part it is.
    fn shard(&self) -> Shard;
    /// What it depends on.
    fn identity(&self) -> &Identity;
}

/// The way out for parts of several runs.
pub(super) const ONE_RUN: &str = "give the shards of one run only, or make it again";

/// How many missing shards a message names.
const SHOWN: usize = 20;

/// The parts in the order of their shards.
///
/// # Errors
/// [`PartialError::Shards`] where one is missing or given twice, [`PartialError::Foreign`] where one belongs to another run.
pub(super) fn in_order<P: Part>(mut parts: Vec<P>) -> Result<Vec<P>, PartialError> {
    let Some(first) = parts.first() else { return Err(nothing()) };
    let count = first.shard().count();
    for part in &parts {
        if part.shard().count() != count {
            let reason =
                format!("{} is shard {}, and {} is shard {}", first.path(), first.shard(), part.path(), part.shard());
            return Err(refuse(reason, "give the shards of one run only"));
        }
        first.identity().check(part.path(), part.identity(), ONE_RUN)?;
    }
    parts.sort_by_key(|part| part.shard().index());
    if let Some([a, b]) = parts.array_windows().find(|[a, b]| a.shard() == b.shard()) {
        let reason = format!("{} and {} are both shard {}", a.path(), b.path(), a.shard());
        return Err(refuse(reason, "give each shard once"));
    }
    let there: Vec<usize> = parts.iter().map(|part| part.shard().index()).collect();
    let missing: Vec<usize> = (0..count).filter(|index| there.binary_search(index).is_err()).collect();
    if missing.is_empty() {
        return Ok(parts);
    }
    let names: Vec<String> = missing.iter().take(SHOWN).map(|index| format!("{index}/{count}")).collect();
    let more = if missing.len() > SHOWN { ", …" } else { "" };
    let reason = format!("{} of {count} shards are missing: {}{more}", missing.len(), names.join(", "));
    Err(refuse(reason, "run these, and merge again"))
}

pub(super) fn nothing() -> PartialError {
    refuse("there is nothing to merge".to_owned(), "name the files that the shards have written")
}

fn refuse(reason: String, advice: &str) -> PartialError {
    PartialError::Shards { reason, advice: advice.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Stub(String, Shard, Identity);

    impl Part for Stub {
        fn path(&self) -> &str {
            &self.0
        }

        fn shard(&self) -> Shard {
            self.1
        }

        fn identity(&self) -> &Identity {
            &self.2
        }
    }

    fn parts(shards: &[(usize, usize)]) -> Vec<Stub> {
        let part = |(name, &(index, count)): (usize, &(usize, usize))| {
            Stub(format!("part-{name}"), Shard::new(index, count).unwrap(), Identity::default().with("model", "abc"))
        };
        shards.iter().enumerate().map(part).collect()
    }

    fn refusal(parts: Vec<Stub>) -> String {
        in_order(parts).unwrap_err().to_string()
    }

    #[test]
    fn shards_come_in_any_order_and_each_once() {
        let sorted = in_order(parts(&[(2, 3), (0, 3), (1, 3)])).unwrap();
        assert_eq!(sorted.iter().map(|part| part.1.index()).collect::<Vec<_>>(), [0, 1, 2]);
        assert!(refusal(parts(&[(2, 3), (0, 3)])).contains("1 of 3 shards are missing: 1/3"));
        assert!(refusal(parts(&[(0, 2), (1, 2), (0, 2)])).contains("part-0 and part-2 are both shard 0/2"));
        assert!(refusal(parts(&[(0, 2), (1, 3)])).contains("part-1 is shard 1/3"));
        assert!(refusal(parts(&[(999, 1000)])).contains("999 of 1000 shards are missing"));
        assert!(refusal(Vec::new()).contains("nothing to merge"));
        let mut foreign = parts(&[(0, 2), (1, 2)]);
        foreign[1].2 = Identity::default().with("model", "abd");
        assert!(refusal(foreign).contains("part-1 belongs to another run: its model is abd"));
    }
}
