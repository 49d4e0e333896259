//! Reads values in an answer: one of several, or a table of all.

use crate::puzzles::answer::{Reading, only, words};

/// The values that an answer may hold, by number.
pub(super) struct Options(Vec<Vec<String>>);

/// A value in a text, or the number of a house.
#[derive(Clone, Copy, PartialEq)]
enum Word {
    Value(usize),
    House(usize),
}

/// Words that leave open what is meant.
const OPEN: [&str; 6] = ["or", "not", "isn", "doesn", "neither", "unless"];

impl Options {
    /// `None` if two values are the same.
    pub(super) fn new(values: &[&str]) -> Option<Self> {
        let spelt: Vec<Vec<String>> = values.iter().map(|value| lower(value)).collect();
        let is_clear = spelt.iter().enumerate().all(|(at, value)| !value.is_empty() && !spelt[..at].contains(value));
        is_clear.then_some(Self(spelt))
    }

    /// Reads a part that should name one value.
    pub(super) fn one(&self, part: &str) -> Reading<usize> {
        let lower = part.to_lowercase();
        let found = self.words(&lower).into_iter().filter_map(|(at, word)| match word {
            Word::Value(value) => Some((at, value)),
            Word::House(_) => None,
        });
        let found: Vec<(usize, usize)> = found.collect();
        let has_or = words(&lower).iter().any(|(_, word)| *word == "or");
        if has_or && !found.is_empty() { Reading::Several } else { only(&lower, found) }
    }

    /// Reads a part that should hold all values: by house, or by attribute in the order of houses. Returns the values
    /// by house, in each the order of the values' numbers.
    pub(super) fn table(&self, part: &str, houses: usize, width: usize) -> Reading<Vec<usize>> {
        let lower = part.to_lowercase();
        let found: Vec<Word> = self.words(&lower).into_iter().map(|(_, word)| word).collect();
        let values: Vec<usize> =
            found.iter().filter_map(|word| if let Word::Value(value) = word { Some(*value) } else { None }).collect();
        if values.is_empty() {
            return Reading::Nothing;
        }
        if values.len() != self.0.len() || words(&lower).iter().any(|(_, word)| OPEN.contains(word)) {
            return if values.len() > self.0.len() { Reading::Several } else { Reading::Part };
        }
        // The number of a value is house * width + attribute.
        let by_house = values.chunks(width).all(|row| is_each_once(row.iter().map(|value| value % width), width));
        let by_attribute = values.chunks(houses).all(|row| row.iter().all(|value| value % width == row[0] % width));
        let Some(order) = order(&found, houses, if by_house { width } else { 0 }) else { return Reading::Part };
        let mut table: Vec<Vec<usize>> = vec![Vec::new(); houses];
        for (at, value) in values.into_iter().enumerate() {
            let row = if by_house { at / width } else { at % houses };
            table[order[row]].push(value);
        }
        if !by_house && !by_attribute {
            return Reading::Part;
        }
        for row in &mut table {
            row.sort_unstable_by_key(|value| value % width);
        }
        Reading::One(table.concat())
    }

    /// Returns the values and houses in a text, and where they stand.
    fn words(&self, lower: &str) -> Vec<(usize, Word)> {
        let all = words(lower);
        let mut found = Vec::new();
        let mut at = 0;
        while at < all.len() {
            let is_here = |value: &&Vec<String>| {
                value.len() <= all.len() - at && value.iter().zip(&all[at..]).all(|(word, (_, other))| word == other)
            };
            let value = self.0.iter().filter(is_here).max_by_key(|value| value.len());
            if let Some(value) = value {
                let number = self.0.iter().position(|other| other == value).expect("it is one of them");
                found.push((all[at].0, Word::Value(number)));
                at += value.len();
                continue;
            }
            let house = all[at].1.trim_start_matches("house").trim_start_matches('#').parse::<usize>();
            const ORDINALS: [&str; 6] = ["first", "second", "third", "fourth", "fifth", "sixth"];
            let ordinal = ORDINALS.iter().position(|ordinal| *ordinal == all[at].1).map(|place| place + 1);
            found.extend(house.ok().or(ordinal).map(|house| (all[at].0, Word::House(house))));
            at += 1;
        }
        found
    }
}

/// Returns the house of each row, from 0, as the numbers in a text say; the order of the rows if there are none. `None`
/// if the numbers make no sense.
fn order(found: &[Word], houses: usize, width: usize) -> Option<Vec<usize>> {
    let mut numbers: Vec<(usize, usize)> = Vec::new();
    let mut values = 0;
    for word in found {
        match word {
            Word::Value(_) => values += 1,
            // "1. House 1:" says it twice.
            Word::House(number) if numbers.last() == Some(&(values, *number)) => {}
            Word::House(number) => numbers.push((values, *number)),
        }
    }
    let order: Vec<usize> = numbers.iter().map(|(_, number)| number.wrapping_sub(1)).collect();
    let is_order = is_each_once(order.iter().copied(), houses);
    if numbers.is_empty() {
        return Some((0..houses).collect());
    }
    let is_head = numbers.iter().all(|(place, _)| *place == 0);
    let is_by_row = numbers.iter().enumerate().all(|(row, (place, _))| *place == row * width);
    (is_order && (is_head || width > 0 && is_by_row)).then_some(order)
}

fn is_each_once(numbers: impl Iterator<Item = usize>, count: usize) -> bool {
    let mut numbers: Vec<usize> = numbers.collect();
    numbers.sort_unstable();
    numbers.into_iter().eq(0..count)
}

fn lower(value: &str) -> Vec<String> {
    let lower = value.to_lowercase();
    words(&lower).into_iter().map(|(_, word)| word.to_owned()).collect()
}
