//! Sets of option letters, and what an answer chooses.

use std::fmt;

/// The last letter that an option can have.
const LAST: char = 'J';
/// How many options there can be.
const MAX: usize = 10;

/// A set of option letters, `A` to `J`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Letters(u16);

impl Letters {
    /// Returns the set of one letter of either case, or `None` if no option can have it.
    pub fn of(letter: char) -> Option<Self> {
        let upper = letter.to_ascii_uppercase();
        ('A'..=LAST).contains(&upper).then(|| Self(1 << (upper as u32 - 'A' as u32)))
    }

    /// Returns the letters of a word of different capital letters (`ABD`), or of one letter of either case.
    pub(super) fn of_word(word: &str) -> Option<Self> {
        let may_have_several = word.len() <= MAX && word.bytes().all(|byte| byte.is_ascii_uppercase());
        let mut chars = word.chars();
        let first = Self::of(chars.next()?)?;
        chars.try_fold(first, |set, letter| {
            Self::of(letter).filter(|&next| may_have_several && !set.overlaps(next)).map(|next| set.union(next))
        })
    }

    /// Returns the letters in alphabetical order.
    pub fn iter(self) -> impl Iterator<Item = char> {
        ('A'..=LAST).filter(move |&letter| Self::of(letter).is_some_and(|one| self.overlaps(one)))
    }

    /// Returns how many letters there are.
    pub fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Returns whether there is no letter.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(super) fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    fn overlaps(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    fn write(self, to: &mut fmt::Formatter<'_>, separator: &str) -> fmt::Result {
        self.iter().enumerate().try_for_each(|(at, letter)| {
            let before = if at == 0 { "" } else { separator };
            write!(to, "{before}{letter}")
        })
    }
}

/// Writes `B`, or `A, C`.
impl fmt::Display for Letters {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(to, ", ")
    }
}

/// What an answer chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Chosen {
    /// These options, all of them. One that states first `A` and then `B` chooses both.
    All(Letters),
    /// One of these options, left open ("A or B"). It equals no gold answer.
    OneOf(Letters),
}

impl Chosen {
    /// Returns the letters that are named.
    pub fn letters(self) -> Letters {
        match self {
            Self::All(letters) | Self::OneOf(letters) => letters,
        }
    }

    pub(super) fn new(letters: Letters, is_open: bool) -> Self {
        if is_open && letters.len() > 1 { Self::OneOf(letters) } else { Self::All(letters) }
    }

    /// Joins two statements. What one of them leaves open stays open.
    pub(super) fn join(self, other: Self) -> Self {
        let is_open = matches!(self, Self::OneOf(_)) || matches!(other, Self::OneOf(_));
        Self::new(self.letters().union(other.letters()), is_open)
    }
}

/// Writes `B`, `A, C`, or `A or C`.
impl fmt::Display for Chosen {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All(letters) => letters.write(to, ", "),
            Self::OneOf(letters) => letters.write(to, " or "),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        for (word, printed) in [("B", "B"), ("b", "B"), ("DBA", "A, B, D"), ("J", "J")] {
            let letters = Letters::of_word(word).map(|letters| letters.to_string());
            assert_eq!(letters.as_deref(), Some(printed), "{word}");
        }
        for word in ["", "K", "ABA", "Ab", "ab", "ABK", "é"] {
            assert_eq!(Letters::of_word(word), None, "{word}");
        }
    }

    #[test]
    fn joined_statements() {
        let [a, b] = ['A', 'B'].map(|letter| Letters::of(letter).expect("an option's letter"));
        let both = a.union(b);
        assert_eq!(Chosen::All(a).join(Chosen::All(b)), Chosen::All(both));
        assert_eq!(Chosen::OneOf(both).join(Chosen::All(b)), Chosen::OneOf(both));
        assert_eq!(Chosen::new(a, true), Chosen::All(a));
        assert_eq!(Chosen::OneOf(both).to_string(), "A or B");
    }
}
