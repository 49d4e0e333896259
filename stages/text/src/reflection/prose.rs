//! Words of a thought: whether some of them say something new about the same things.

use std::collections::HashSet;

use unicode_script::{Script, UnicodeScript};

/// Letters from which on a word is about something (`because` and `therefore` aside, which are few).
const LONG: usize = 5;
/// Words of a re-evaluation that works without sums.
const MIN_WORDS: usize = 20;
/// Things that were spoken of before.
const MIN_THINGS: usize = 3;

/// A word, or a character of Chinese or Japanese.
#[derive(Clone, Copy)]
pub(super) struct Word {
    /// Stands for the text in lower case.
    id: u64,
    is_long: bool,
    is_character: bool,
}

/// Returns the words of a text, of two letters or more.
pub(super) fn words(text: &str) -> Vec<Word> {
    let mut words = Vec::new();
    let (mut id, mut length) = (START, 0);
    for c in text.chars().chain([' ']) {
        let is_character = c >= '\u{2e80}' && matches!(c.script(), Script::Han | Script::Hiragana | Script::Katakana);
        if c.is_alphabetic() && !is_character {
            id = c.to_lowercase().fold(id, fold);
            length += 1;
            continue;
        }
        if length > 1 {
            words.push(Word { id, is_long: length >= LONG, is_character: false });
        }
        if is_character {
            words.push(Word { id: fold(START, c), is_long: false, is_character });
        }
        (id, length) = (START, 0);
    }
    words
}

const START: u64 = 0xcbf2_9ce4_8422_2325;

fn fold(hash: u64, c: char) -> u64 {
    (hash ^ u64::from(u32::from(c))).wrapping_mul(0x0100_0000_01b3)
}

/// What was said: in which order, and of which things.
#[derive(Default)]
pub(super) struct Said {
    orders: HashSet<[u64; 3]>,
    things: HashSet<[u64; 2]>,
}

impl Said {
    pub(super) fn add(&mut self, words: &[Word]) {
        self.orders.extend(orders(words));
        self.things.extend(things(words));
    }
}

/// How far words take what was said before.
#[derive(Default)]
pub(super) struct Progress {
    num_words: usize,
    num_characters: usize,
    num_orders: usize,
    new_orders: HashSet<[u64; 3]>,
    same_things: HashSet<[u64; 2]>,
}

impl Progress {
    pub(super) fn add(&mut self, words: &[Word], before: &Said) {
        let num_characters = words.iter().filter(|word| word.is_character).count();
        self.num_characters += num_characters;
        self.num_words += words.len() - num_characters;
        self.num_orders += orders(words).count();
        self.new_orders.extend(orders(words).filter(|order| !before.orders.contains(order)));
        self.same_things.extend(things(words).filter(|thing| before.things.contains(thing)));
    }

    /// Returns whether the words are 20 or more, three quarters of them in an order that is new, and speak of three
    /// things that were spoken of before.
    pub(super) fn is_work(&self) -> bool {
        // A word of Chinese has one and a half characters.
        self.num_words + self.num_characters * 2 / 3 >= MIN_WORDS
            && self.new_orders.len() * 4 >= self.num_orders * 3
            && self.same_things.len() >= MIN_THINGS
    }
}

fn orders(words: &[Word]) -> impl Iterator<Item = [u64; 3]> {
    words.windows(3).map(|three| [three[0].id, three[1].id, three[2].id])
}

/// Returns what words are about: long words, and pairs of characters.
fn things(words: &[Word]) -> impl Iterator<Item = [u64; 2]> {
    let long = words.iter().filter(|word| word.is_long).map(|word| [word.id, 0]);
    let pairs =
        words.windows(2).filter(|two| two.iter().all(|word| word.is_character)).map(|two| [two[0].id, two[1].id]);
    long.chain(pairs)
}
