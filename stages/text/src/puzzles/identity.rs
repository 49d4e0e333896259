//! Identities of problems whose parts have arbitrary names.
//!
//! Colour refinement: every part (a person, a variable, an attribute) gets a colour from what is said of it, in which
//! other parts appear by their colours. Renaming and reordering change no colour.

/// Returns a hash of a text that no release changes: 64-bit FNV-1a.
pub(super) fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Returns the colour of each of `count` parts. `describe` says everything about a part, given the colours so far.
pub(super) fn colours(count: usize, describe: impl Fn(usize, &[u64]) -> String) -> Vec<u64> {
    let mut colours = vec![0; count];
    // As many rounds as parts: by then a difference anywhere has reached every part.
    for _ in 0..count {
        colours = (0..count).map(|part| hash(&describe(part, &colours))).collect();
    }
    colours
}

/// Returns the sorted texts, joined.
pub(super) fn sorted(mut texts: Vec<String>) -> String {
    texts.sort_unstable();
    texts.join(";")
}
