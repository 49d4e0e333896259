//! Proves that clues have only one solution.
//!
//! Each value has a set of houses where it may be. Clues make the sets smaller until nothing changes; then a value with
//! the smallest set is tried in each of its houses.

use std::cell::Cell;

use super::clue::{Clue, Thing};
use crate::puzzles::Draw;
use crate::puzzles::stream::shuffle;

/// The house of every value.
#[derive(Clone, Debug)]
pub(super) struct Solution {
    pub(super) houses: usize,
    pub(super) attributes: usize,
    /// By attribute, then by value.
    places: Vec<usize>,
}

impl Solution {
    pub(super) fn draw(houses: usize, attributes: usize, draw: &mut dyn Draw) -> Self {
        let places = (0..attributes).flat_map(|_| {
            let mut places: Vec<usize> = (0..houses).collect();
            shuffle(draw, &mut places);
            places
        });
        Self { houses, attributes, places: places.collect() }
    }

    pub(super) fn things(&self) -> impl Iterator<Item = Thing> {
        let houses = self.houses;
        (0..self.attributes).flat_map(move |attribute| (0..houses).map(move |value| (attribute, value)))
    }

    /// Draws a value.
    pub(super) fn thing(&self, draw: &mut dyn Draw) -> Thing {
        (draw.below(self.attributes), draw.below(self.houses))
    }

    pub(super) fn house(&self, (attribute, value): Thing) -> usize {
        self.places[attribute * self.houses + value]
    }

    pub(super) fn value_at(&self, attribute: usize, house: usize) -> usize {
        (0..self.houses).find(|value| self.house((attribute, *value)) == house).expect("each house has a value")
    }
}

/// How many sets of houses may still be made smaller in search of solutions.
pub(super) struct Budget(Cell<usize>);

impl Budget {
    pub(super) fn new(steps: usize) -> Self {
        Self(Cell::new(steps))
    }

    /// Returns whether a step is left, and takes it.
    fn take(&self) -> bool {
        let left = self.0.get();
        self.0.set(left.saturating_sub(1));
        left > 0
    }
}

/// Returns whether the clues have no solution but this one, in which they are true; `None` if the budget is used up.
pub(super) fn is_unique(solution: &Solution, clues: &[Clue], budget: &Budget) -> Option<bool> {
    let all = (1_u8 << solution.houses) - 1;
    let grid = Grid { houses: solution.houses, values: solution.places.len(), clues, all, budget };
    grid.count([all; MAX_VALUES], 2).map(|count| count == 1)
}

/// A set of houses, one bit each.
type Houses = u8;

/// The most values: six houses with six attributes.
const MAX_VALUES: usize = 36;

struct Grid<'a> {
    houses: usize,
    values: usize,
    clues: &'a [Clue],
    all: Houses,
    budget: &'a Budget,
}

impl Grid<'_> {
    /// Counts solutions up to `most`; `None` if the budget is used up.
    fn count(&self, mut all: [Houses; MAX_VALUES], most: usize) -> Option<usize> {
        if !self.budget.take() {
            return None;
        }
        let sets = &mut all[..self.values];
        if !self.narrow(sets) {
            return Some(0);
        }
        let open = (0..sets.len()).filter(|at| sets[*at].count_ones() > 1);
        let Some(at) = open.min_by_key(|at| sets[*at].count_ones()) else { return Some(1) };
        let mut found = 0;
        for house in (0..self.houses).filter(|house| all[at] >> house & 1 == 1) {
            let mut tried = all;
            tried[at] = 1 << house;
            found += self.count(tried, most - found)?;
            if found >= most {
                break;
            }
        }
        Some(found)
    }

    /// Makes the sets smaller until nothing changes; false if one becomes empty.
    fn narrow(&self, sets: &mut [Houses]) -> bool {
        loop {
            let size = |sets: &[Houses]| sets.iter().map(|set| set.count_ones()).sum::<u32>();
            let before = size(sets);
            for clue in self.clues {
                self.apply(*clue, sets);
            }
            for attribute in sets.chunks_mut(self.houses) {
                differ(attribute);
            }
            if sets.contains(&0) {
                return false;
            }
            if before == size(sets) {
                return true;
            }
        }
    }

    fn apply(&self, clue: Clue, sets: &mut [Houses]) {
        let index = |(attribute, value): Thing| attribute * self.houses + value;
        let (one, two) = match clue {
            Clue::At(one, house) => {
                sets[index(one)] &= 1 << house;
                return;
            }
            Clue::NotAt(one, house) => {
                sets[index(one)] &= !(1 << house);
                return;
            }
            Clue::Same(one, two)
            | Clue::Differ(one, two)
            | Clue::Left(one, two)
            | Clue::Beside(one, two)
            | Clue::Before(one, two) => (index(one), index(two)),
        };
        let (here, there) = (sets[one], sets[two]);
        let is_single = |set: Houses| set.is_power_of_two();
        let (for_one, for_two) = match clue {
            Clue::Same(..) => (there, here),
            Clue::Differ(..) => {
                let without = |set| if is_single(set) { !set } else { self.all };
                (without(there), without(here))
            }
            Clue::Left(..) => (there >> 1, here << 1),
            Clue::Beside(..) => (there >> 1 | there << 1, here >> 1 | here << 1),
            // Below the highest bit of the one, above the lowest of the other.
            _ => ((1 << there.checked_ilog2().unwrap_or(0)) - 1, (here | here.wrapping_neg()) << 1),
        };
        sets[one] &= for_one & self.all;
        sets[two] &= for_two & self.all;
    }
}

/// Uses that the values of an attribute have different houses.
fn differ(sets: &mut [Houses]) {
    // Houses that are certain, that some value may have, and that several may have.
    let (mut taken, mut once, mut again): (Houses, Houses, Houses) = (0, 0, 0);
    for set in &mut *sets {
        if set.is_power_of_two() {
            *set &= !taken;
            taken |= *set;
        }
        again |= once & *set;
        once |= *set;
    }
    let lone = once & !again;
    for set in sets {
        if !set.is_power_of_two() {
            *set &= if *set & lone == 0 { !taken } else { lone };
        }
    }
}
