//! The same work on many rows, on several threads.

use std::num::NonZero;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Mutex, PoisonError};
use std::thread;

/// Rows for which a thread of their own is worth its start.
const WORTHWHILE: usize = 16;

/// Returns `work` of each row, in the order of the rows, done on at most `threads` threads.
pub(crate) fn map<R: Sync, T: Send>(rows: &[R], threads: usize, work: impl Fn(&R) -> T + Sync) -> Vec<T> {
    let each = rows.len().div_ceil(threads.max(1)).max(WORTHWHILE);
    let each = NonZero::new(each).expect("at least one row");
    if rows.len() <= each.get() {
        return rows.iter().map(work).collect();
    }
    let work = &work;
    thread::scope(|scope| {
        let parts = rows.chunks(each.get()).map(|part| scope.spawn(move || part.iter().map(work).collect::<Vec<T>>()));
        let parts: Vec<_> = parts.collect();
        parts.into_iter().flat_map(|part| part.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
    })
}

/// Returns `work` of each row, in the order of the rows. Each of `threads` threads takes the next row when it has done
/// one: for work that takes long, and not the same time for each row.
pub(crate) fn map_one_by_one<R: Sync, T: Send>(rows: &[R], threads: usize, work: impl Fn(&R) -> T + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let (next, work) = (&next, &work);
    let one_thread = move || {
        let mut done = Vec::new();
        while let index = next.fetch_add(1, Ordering::Relaxed)
            && let Some(row) = rows.get(index)
        {
            done.push((index, work(row)));
        }
        done
    };
    let mut all: Vec<(usize, T)> = thread::scope(|scope| {
        let threads: Vec<_> = (0..threads.clamp(1, rows.len().max(1))).map(|_| scope.spawn(one_thread)).collect();
        threads.into_iter().flat_map(|one| one.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
    });
    all.sort_by_key(|(index, _)| *index);
    all.into_iter().map(|(_, done)| done).collect()
}

/// Calls `go_on` with a function that takes rows, and does `work` of each row meanwhile, on so many other threads.
/// Returns when all of it is done.
pub(crate) fn meanwhile<R: Send, T>(
    threads: usize,
    work: impl Fn(R) + Sync,
    go_on: impl FnOnce(&mut dyn FnMut(R)) -> T,
) -> T {
    let (sender, rows) = channel();
    let (rows, work) = (Mutex::new(rows), &work);
    let next = || rows.lock().unwrap_or_else(PoisonError::into_inner).recv();
    let one_thread = || std::iter::from_fn(|| next().ok()).for_each(work);
    thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(one_thread);
        }
        // The threads end when it has been dropped, after the last row, or by a panic.
        let sender = sender;
        go_on(&mut |row| sender.send(row).expect("the threads take rows until it is dropped"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_that_of_the_rows_on_any_number_of_threads() {
        let rows: Vec<usize> = (0..1_000).collect();
        let squares: Vec<usize> = rows.iter().map(|row| row * row).collect();
        for threads in [0, 1, 2, 7, 64, 2_000] {
            assert_eq!(map(&rows, threads, |row| row * row), squares, "{threads}");
            assert_eq!(map_one_by_one(&rows, threads, |row| row * row), squares, "{threads}");
        }
        assert_eq!(map(&[] as &[usize], 4, |row| *row), Vec::<usize>::new());
    }

    #[test]
    fn what_is_given_meanwhile_is_done_before_the_giver_goes_on_and_all_of_it_before_the_end() {
        for threads in [0, 1, 3] {
            let sum = AtomicUsize::new(0);
            let (told, heard) = channel();
            let work = |row: usize| {
                sum.fetch_add(row, Ordering::Relaxed);
                let _ = told.send(row);
            };
            let first = meanwhile(threads, work, |give| {
                give(7);
                let first = heard.recv_timeout(std::time::Duration::from_mins(1));
                (0..100).for_each(give);
                first
            });
            assert_eq!((first, sum.into_inner()), (Ok(7), 4_957), "{threads}");
        }
    }

    #[test]
    fn a_panic_is_the_caller_s() {
        let rows: Vec<usize> = (0..100).collect();
        let panicked = std::panic::catch_unwind(|| map(&rows, 4, |row| assert!(*row < 77)));
        assert!(panicked.is_err());
    }
}
