//! In which order layers are worked on, where there are few and they differ much.

use rayon::iter::{IndexedParallelIterator, IntoParallelIterator, ParallelIterator};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Does `work` for the items `0..costs.len()`, `at_once` of them at most at any time, the costliest first, each by the
/// first thread that is free: the longest processing time rule (Graham 1969), never more than 4/3 of the best schedule.
/// Results come in the items' own order; each is one thread's, and does not depend on how many there are.
///
/// # Errors
/// One of `work`'s.
pub fn costliest_first<T: Send, E: Send>(
    costs: &[f64],
    at_once: usize,
    work: impl Fn(usize) -> Result<T, E> + Sync,
) -> Result<Vec<T>, E> {
    let mut order: Vec<usize> = (0..costs.len()).collect();
    order.sort_by(|&a, &b| costs[b].total_cmp(&costs[a]).then(a.cmp(&b)));
    let next = AtomicUsize::new(0);
    let work_on = |_| {
        let mut done = Vec::new();
        while let Some(&index) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
            match work(index) {
                Ok(result) => done.push((index, result)),
                Err(error) => {
                    // Nobody begins another item.
                    next.store(order.len(), Ordering::Relaxed);
                    return Err(error);
                }
            }
        }
        Ok(done)
    };
    let done: Vec<Vec<(usize, T)>> =
        (0..at_once.max(1)).into_par_iter().with_max_len(1).map(work_on).collect::<Result<_, E>>()?;
    let mut done: Vec<(usize, T)> = done.into_iter().flatten().collect();
    done.sort_by_key(|(index, _)| *index);
    Ok(done.into_iter().map(|(_, result)| result).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_items() {
        let costs = [1.0, 9.0, 4.0, 9.0];
        for at_once in [0, 1, 3, 20] {
            assert_eq!(costliest_first(&costs, at_once, Ok::<_, ()>), Ok(vec![0, 1, 2, 3]));
            let failing = |index| if index == 2 { Err(index) } else { Ok(()) };
            assert_eq!(costliest_first(&costs, at_once, failing), Err(2));
        }
    }

    #[test]
    fn no_more_than_asked_for_are_worked_on_at_once() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(8).build().unwrap();
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let work = |_| {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            std::thread::sleep(std::time::Duration::from_millis(2));
            now.fetch_sub(1, Ordering::SeqCst);
            Ok::<_, ()>(())
        };
        for at_once in [1, 3] {
            most.store(0, Ordering::SeqCst);
            pool.install(|| costliest_first(&[1.0; 40], at_once, work)).unwrap();
            assert_eq!(most.load(Ordering::SeqCst), at_once);
        }
    }

    #[test]
    fn one_thread_takes_the_costliest_first() {
        let seen = std::sync::Mutex::new(Vec::new());
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        let note = |index| {
            seen.lock().unwrap().push(index);
            Ok::<_, ()>(())
        };
        pool.install(|| costliest_first(&[1.0, 9.0, 4.0], 1, note)).unwrap();
        assert_eq!(*seen.lock().unwrap(), [1, 2, 0]);
    }
}
