//! What puzzles draw from the caller's stream, made of [`Draw::below`].

use super::Draw;

/// Returns a number from `low` to `high`, both included.
pub(super) fn between(draw: &mut dyn Draw, low: usize, high: usize) -> usize {
    low + draw.below(high - low + 1)
}

/// Returns true half of the time.
pub(super) fn coin(draw: &mut dyn Draw) -> bool {
    draw.below(2) == 0
}

/// Returns one of `choices`, uniformly.
pub(super) fn pick<T: Copy>(draw: &mut dyn Draw, choices: &[T]) -> T {
    choices[draw.below(choices.len())]
}

/// Puts the items in a random order.
pub(super) fn shuffle<T>(draw: &mut dyn Draw, items: &mut [T]) {
    for last in (1..items.len()).rev() {
        items.swap(last, draw.below(last + 1));
    }
}

/// Numbers below a bound, all of which come before any comes again.
pub(super) struct Pool {
    bound: usize,
    left: Vec<usize>,
}

impl Pool {
    pub(super) fn new(bound: usize) -> Self {
        Self { bound, left: Vec::new() }
    }

    /// Draws a number.
    pub(super) fn draw(&mut self, draw: &mut dyn Draw) -> usize {
        if self.left.is_empty() {
            self.left = (0..self.bound).collect();
        }
        self.left.swap_remove(draw.below(self.left.len()))
    }
}

/// Returns `count` of `choices` in a random order, each at most once.
pub(super) fn sample<T: Copy>(draw: &mut dyn Draw, choices: &[T], count: usize) -> Vec<T> {
    let mut choices = choices.to_vec();
    shuffle(draw, &mut choices);
    choices.truncate(count);
    choices
}
