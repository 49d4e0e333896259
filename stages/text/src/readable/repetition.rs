//! Repetition: loops of words, stale words, and endless runs of anything.

use std::collections::HashMap;

use super::tokens::{Kind, Token};

/// How often something must come in a row to be a loop.
const TIMES: usize = 4;
/// Longest period of a loop of words.
const MAX_WORDS: usize = 32;
/// Least length of a loop of characters of Chinese or Japanese: a laugh has four.
const MIN_CHARACTERS: usize = 16;

/// Words and numbers that are looked for as one.
const SEQUENCE: usize = 5;
/// Least words among them, so that formulas do not count.
const MIN_WORDS: usize = 2;
/// Fewer sequences say nothing of a text.
const MIN_SEQUENCES: usize = 40;
/// Sequences of a stretch.
const STRETCH: usize = 120;

/// Longest period of an endless run, and its least length, in characters.
const MAX_PERIOD: usize = 64;
const ENDLESS: usize = 800;

/// Returns whether a piece of up to 64 characters is repeated over 800 characters.
///
/// Whatever is periodic over so many has a block of 192 bytes at some multiple of 64 that equals the bytes a period
/// later, which is quick to see. From such a block on the run is measured.
pub(super) fn has_endless_run(text: &str) -> bool {
    const STEP: usize = 64;
    // No character has more than 4 bytes.
    const BLOCK: usize = 3 * MAX_PERIOD;
    let bytes = text.as_bytes();
    let mut at = 0;
    while at + BLOCK < bytes.len() {
        let block = &bytes[at..at + BLOCK];
        let periods = 1..=BLOCK.min(bytes.len() - BLOCK - at);
        let period = periods.into_iter().find(|period| *block == bytes[at + period..at + period + BLOCK]);
        if let Some(period) = period {
            let same = |(one, two): &(&u8, &u8)| one == two;
            let ahead = bytes[at..].iter().zip(&bytes[at + period..]).take_while(same).count() + period;
            let behind = bytes[..at].iter().rev().zip(bytes[..at + period].iter().rev()).take_while(same).count();
            let is_start = |byte: &&u8| **byte & 0xc0 != 0x80;
            let num_chars = |bytes: &[u8]| bytes.iter().filter(is_start).count();
            let run = &bytes[at - behind..at + ahead];
            if num_chars(run) >= ENDLESS && num_chars(&run[..period]) <= MAX_PERIOD {
                return true;
            }
            at += (ahead - BLOCK) / STEP * STEP;
        }
        at += STEP;
    }
    false
}

/// Returns whether words come four times in a row.
pub(super) fn has_loop(tokens: &[Token]) -> bool {
    (1..=MAX_WORDS.min(tokens.len() / TIMES)).any(|period| {
        let mut run = 0;
        tokens.iter().zip(&tokens[period..]).enumerate().any(|(at, (one, two))| {
            run = if one.id == two.id { run + 1 } else { 0 };
            run >= (TIMES - 1) * period && {
                let start = at + 1 - run;
                is_of_words(&tokens[start..start + period], run + period)
            }
        })
    })
}

/// Returns whether a period that is repeated over `length` tokens makes a loop of words, not a sum or a chain.
fn is_of_words(period: &[Token], length: usize) -> bool {
    let has = |kind: Kind| period.iter().any(|token| token.kind == kind);
    has(Kind::Word) && !has(Kind::Joint) || has(Kind::Character) && !has(Kind::Word) && length >= MIN_CHARACTERS
}

/// Returns whether what is said was mostly said before: half of a stretch at least twice, or three fifths of the text
/// once (an answer that says again what the thought said has a half).
pub(super) fn has_stale_words(tokens: &[Token]) -> bool {
    let mut times: HashMap<u64, u32> = HashMap::new();
    let (mut stale, mut all) = (Vec::new(), 0);
    for sequence in tokens.windows(SEQUENCE) {
        let num_words = sequence.iter().filter(|token| token.is_word()).count();
        if num_words < MIN_WORDS || sequence.iter().any(|token| token.kind == Kind::Edge) {
            continue;
        }
        let id = sequence
            .iter()
            .fold(0_u64, |all, token| (all.rotate_left(5) ^ token.id).wrapping_mul(0x517c_c1b7_2722_0a95));
        let before = times.entry(id).or_default();
        stale.push(*before >= 2);
        *before += 1;
        all += 1;
    }
    let is_stale_stretch = {
        let mut in_stretch = 0;
        stale.iter().enumerate().any(|(at, is_stale)| {
            in_stretch += usize::from(*is_stale);
            in_stretch -= usize::from(at >= STRETCH && stale[at - STRETCH]);
            at + 1 >= STRETCH && in_stretch * 2 > STRETCH
        })
    };
    is_stale_stretch || all >= MIN_SEQUENCES && (all - times.len()) * 5 > all * 3
}
