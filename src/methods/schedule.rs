//! In which order layers are worked on, where there are few and they differ much.

use rayon::iter::{ParallelBridge, ParallelIterator};

/// Does `work` for the items `0..costs.len()`, the costliest first, each by the first thread that is free: the longest
/// processing time rule (Graham 1969), never more than 4/3 of the best schedule. Results come in the items' own order;
/// each is one thread's, and does not depend on how many there are.
///
/// # Errors
/// One of `work`'s.
pub fn costliest_first<T: Send, E: Send>(
    costs: &[f64],
    work: impl Fn(usize) -> Result<T, E> + Sync,
) -> Result<Vec<T>, E> {
    let mut order: Vec<usize> = (0..costs.len()).collect();
    order.sort_by(|&a, &b| costs[b].total_cmp(&costs[a]).then(a.cmp(&b)));
    // A bridge hands items out one by one, in this order; a parallel slice would be cut in two first.
    let done = order.into_iter().par_bridge().map(|index| work(index).map(|result| (index, result)));
    let mut done: Vec<(usize, T)> = done.collect::<Result<_, E>>()?;
    done.sort_by_key(|(index, _)| *index);
    Ok(done.into_iter().map(|(_, result)| result).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_items() {
        let costs = [1.0, 9.0, 4.0, 9.0];
        assert_eq!(costliest_first(&costs, Ok::<_, ()>), Ok(vec![0, 1, 2, 3]));
        assert_eq!(costliest_first(&costs, |index| if index == 2 { Err(index) } else { Ok(()) }), Err(2));
    }

    #[test]
    fn one_thread_takes_the_costliest_first() {
        let seen = std::sync::Mutex::new(Vec::new());
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        let note = |index| {
            seen.lock().unwrap().push(index);
            Ok::<_, ()>(())
        };
        pool.install(|| costliest_first(&[1.0, 9.0, 4.0], note)).unwrap();
        assert_eq!(*seen.lock().unwrap(), [1, 2, 0]);
    }
}
