//! Clues: drawing true ones, and putting them into words.

use super::Words;
use super::solve::Solution;
use crate::puzzles::Draw;
use crate::puzzles::stream::{coin, pick};
use crate::puzzles::vocabulary::capitalised;

/// A value, by its attribute and its number there.
pub(super) type Thing = (usize, usize);

/// What a clue says of the houses of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Clue {
    Same(Thing, Thing),
    Differ(Thing, Thing),
    /// Directly to the left.
    Left(Thing, Thing),
    Beside(Thing, Thing),
    /// Somewhere to the left.
    Before(Thing, Thing),
    At(Thing, usize),
    NotAt(Thing, usize),
}

use Clue::{At, Before, Beside, Differ, Left, NotAt, Same};

impl Clue {
    /// Draws a clue that is true in the solution. One that says little is drawn again, once.
    pub(super) fn draw(solution: &Solution, draw: &mut dyn Draw) -> Self {
        let clue = Self::draw_any(solution, draw);
        let says_little = matches!(clue, Differ(..) | Before(..) | NotAt(..));
        if says_little && coin(draw) { Self::draw_any(solution, draw) } else { clue }
    }

    fn draw_any(solution: &Solution, draw: &mut dyn Draw) -> Self {
        let (one, two) = (solution.thing(draw), solution.thing(draw));
        let (here, there) = (solution.house(one), solution.house(two));
        let (left, right) = if here <= there { (one, two) } else { (two, one) };
        let other = draw.below(solution.houses);
        if one == two {
            return if other == here { At(one, here) } else { NotAt(one, other) };
        }
        match here.abs_diff(there) {
            0 => Same(one.min(two), one.max(two)),
            1 if draw.below(3) > 0 => {
                if coin(draw) {
                    Left(left, right)
                } else {
                    Beside(one.min(two), one.max(two))
                }
            }
            // That two values of an attribute differ goes without saying.
            _ if one.0 != two.0 && draw.below(3) == 0 => Differ(one.min(two), one.max(two)),
            _ => Before(left, right),
        }
    }

    /// Returns whether the clue says of a value where it is, or with which it goes.
    pub(super) fn is_direct(self) -> bool {
        matches!(self, Same(..) | At(..))
    }

    /// Returns the clue as a text that is equal for equal clues; `thing` spells a value.
    pub(super) fn spelt(self, thing: &dyn Fn(Thing) -> String) -> String {
        let ordered = |one: Thing, two: Thing| {
            let mut both = [thing(one), thing(two)];
            both.sort_unstable();
            both.join(" ")
        };
        match self {
            Same(one, two) => format!("same {}", ordered(one, two)),
            Differ(one, two) => format!("differ {}", ordered(one, two)),
            Beside(one, two) => format!("beside {}", ordered(one, two)),
            Left(one, two) => format!("left {} {}", thing(one), thing(two)),
            Before(one, two) => format!("before {} {}", thing(one), thing(two)),
            At(one, house) => format!("at {} {house}", thing(one)),
            NotAt(one, house) => format!("not at {} {house}", thing(one)),
        }
    }

    /// Returns the clue as a sentence.
    pub(super) fn words(self, words: &Words, draw: &mut dyn Draw) -> String {
        let who = |thing: Thing| words.who(thing);
        let sentence = match self {
            // What is said of someone comes second, so a name comes first.
            Same(one, two) => format!("{} {}", who(one), words.says(two)),
            Differ(one, two) => format!("{} {}", who(one), words.denies(two)),
            Left(one, two) => {
                if coin(draw) {
                    format!("{} lives directly to the left of {}", who(one), who(two))
                } else {
                    format!("{} lives directly to the right of {}", who(two), who(one))
                }
            }
            Beside(one, two) => {
                if coin(draw) {
                    format!("{} and {} live next to each other", who(one), who(two))
                } else {
                    format!("{} lives next door to {}", who(one), who(two))
                }
            }
            Before(one, two) => {
                if coin(draw) {
                    format!("{} lives somewhere to the left of {}", who(one), who(two))
                } else {
                    format!("{} lives somewhere to the right of {}", who(two), who(one))
                }
            }
            At(one, house) => format!("{} {} house {}", who(one), pick(draw, &["lives in", "is in"]), house + 1),
            NotAt(one, house) => format!("{} does not live in house {}", who(one), house + 1),
        };
        format!("{}.", capitalised(&sentence))
    }
}

impl Words {
    /// Returns what the question calls an attribute.
    pub(super) fn label(&self, attribute: usize) -> &'static str {
        attribute.checked_sub(1).map_or("name", |at| self.attributes[at].label)
    }

    fn value(&self, (attribute, value): Thing) -> &'static str {
        self.values[attribute][value]
    }

    fn who(&self, thing: Thing) -> String {
        if thing.0 == 0 { self.value(thing).to_owned() } else { format!("the person who {}", self.says(thing)) }
    }

    /// Returns what someone with the value does.
    pub(super) fn says(&self, thing: Thing) -> String {
        self.attributes[thing.0 - 1].says.replace("{}", self.value(thing))
    }

    fn denies(&self, thing: Thing) -> String {
        self.attributes[thing.0 - 1].denies.replace("{}", self.value(thing))
    }
}
