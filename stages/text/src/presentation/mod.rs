//! Presentation of a helpful answer: whether it wastes words, and whether its form can be read.
//!
//! Both rules take from 1 and add nothing: no word, list or heading that is added can raise a score, but for the words
//! that make a wasteful answer less so by saying something new. A short answer gets no more than a long one that is as
//! good. Neither sees whether an answer is right or complete, so they belong beside a reward that does.

mod conciseness;
mod structure;

#[cfg(test)]
mod tests;

use unicode_script::{Script, UnicodeScript};

pub use conciseness::conciseness;
pub use structure::structure;

/// A longer text is read up to here, in bytes.
const MAX_TEXT: usize = 1 << 17;

/// A word or a number, or a character of Chinese or Japanese.
#[derive(Clone, Copy)]
struct Word {
    /// Stands for the text in lower case.
    id: u64,
    /// What it counts for, in thirds of a word.
    thirds: usize,
}

fn words(text: &str) -> Vec<Word> {
    const START: u64 = 0xcbf2_9ce4_8422_2325;
    let fold = |hash: u64, c: char| (hash ^ u64::from(u32::from(c))).wrapping_mul(0x0100_0000_01b3);
    let mut words = Vec::new();
    let (mut id, mut is_within) = (START, false);
    for c in text.chars().chain([' ']) {
        let is_character = c >= '\u{2e80}' && matches!(c.script(), Script::Han | Script::Hiragana | Script::Katakana);
        if c.is_alphanumeric() && !is_character {
            id = c.to_lowercase().fold(id, fold);
            is_within = true;
            continue;
        }
        // An apostrophe goes on with a word: what follows it belongs to the same.
        if is_within && !matches!(c, '\'' | '’') {
            words.push(Word { id, thirds: 3 });
            (id, is_within) = (START, false);
        }
        if is_character {
            // A word of Chinese has one and a half characters.
            words.push(Word { id: fold(START, c), thirds: 2 });
        }
    }
    words
}

fn beginning(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_TEXT)]
}

fn size(words: &[Word]) -> usize {
    words.iter().map(|word| word.thirds).sum()
}

fn ratio(part: usize, of: usize) -> f64 {
    if of == 0 { 0.0 } else { part as f64 / of as f64 }
}
