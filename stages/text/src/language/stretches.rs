//! Stretches: which parts of a text are in which of several languages of one script.
//!
//! Each word costs something in each language: nothing where it is one of the language's commonest words, much where it
//! is one of another's. Going over from a language to another costs something as well, less at the end of a sentence.
//! The text is explained in the cheapest way (a Viterbi path); of explanations that cost the same, the one in the
//! target language holds.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::LazyLock;

use super::LANGUAGES;
use super::target::Target;
use super::words::Word;

/// What a word costs in a language, where it is a common word of others only.
const OF_OTHERS: u32 = 12;
/// Where it has letters that only others have. Less, because borrowed words keep their letters.
const LETTERS_OF_OTHERS: u32 = 8;
/// Where nothing is known of it, in the target and in another language: what is rare is no reason to leave the target.
const UNKNOWN: u32 = 4;
const UNKNOWN_ELSEWHERE: u32 = 5;
/// What any word costs in a target that is not listed.
const UNLISTED: u32 = 3;
/// What it costs to change the language between sentences and within one.
const CHANGE: u32 = 12;
const CHANGE_WITHIN: u32 = 36;

/// A word of others within a stretch of the target counts as theirs from this length on. Shorter ones are parts of
/// names and of Latin phrases (`de`, `van`, `et`).
const MIN_LONE: usize = 5;

/// Common word → the set of languages that have it.
static COMMON: LazyLock<HashMap<&'static str, u64>> = LazyLock::new(|| {
    let mut common = HashMap::new();
    for (index, language) in LANGUAGES.iter().enumerate() {
        for word in language.words.split_whitespace() {
            *common.entry(word).or_default() |= 1 << index;
        }
    }
    common
});

/// Letter → the set of languages whose words have it.
static LETTERS: LazyLock<HashMap<char, u64>> = LazyLock::new(|| {
    let mut letters = HashMap::new();
    for (index, language) in LANGUAGES.iter().enumerate() {
        for letter in language.letters.chars() {
            *letters.entry(letter).or_default() |= 1 << index;
        }
    }
    letters
});

/// What a word says of its language.
#[derive(Clone, Copy)]
enum Evidence {
    /// Nothing at all: a name, a single letter.
    None,
    /// Nothing, as it is in no list.
    Unknown,
    /// It is common in these languages.
    Common(u64),
    /// Only these have all of its letters.
    Letters(u64),
}

/// Returns whether a word is a common word of some language.
pub(super) fn is_common(word: &str) -> bool {
    let lower = lower(word);
    COMMON.contains_key(&*lower) || clitic(&lower).is_some()
}

/// Returns which of `words`, all of the target's scripts, are in the target language.
pub(super) fn in_target(words: &[&Word<'_>], target: &Target) -> Vec<bool> {
    let evidence = evidence(words);
    let path = path(words, &evidence, &states(target));
    let is_lone = |evidence: &Evidence, word: &Word<'_>| {
        let is_of_others = matches!(evidence, Evidence::Common(of) if of & target.languages == 0);
        target.languages != 0 && is_of_others && !word.is_capital && word.text.chars().count() >= MIN_LONE
    };
    let both = path.iter().zip(evidence.iter().zip(words));
    both.map(|(state, (evidence, word))| *state == 0 && !is_lone(evidence, word)).collect()
}

/// Returns the sets of languages that a stretch may be in: the target's first, then each other of its scripts. The set
/// of a target that is not listed is empty.
fn states(target: &Target) -> Vec<u64> {
    let others = LANGUAGES
        .iter()
        .enumerate()
        .filter(|(index, language)| target.scripts.contains(&language.script) && target.languages & 1 << index == 0);
    std::iter::once(target.languages).chain(others.map(|(index, _)| 1 << index)).collect()
}

/// Returns the state of each word on the cheapest path.
fn path(words: &[&Word<'_>], evidence: &[Evidence], states: &[u64]) -> Vec<usize> {
    let mut costs = vec![0_u32; states.len()];
    // For each word, the state to come from and the set of states for which that is cheaper than to stay.
    let mut steps: Vec<(usize, u64)> = Vec::with_capacity(words.len());
    let mut opens = false;
    for (word, evidence) in words.iter().zip(evidence) {
        opens |= word.opens;
        if matches!(evidence, Evidence::None) {
            steps.push((0, 0));
            continue;
        }
        let best = cheapest(&costs);
        // Costs are kept small: only their differences matter.
        let (least, change) = (costs[best], if std::mem::take(&mut opens) { CHANGE } else { CHANGE_WITHIN });
        let mut changed = 0;
        let (of, inside, outside) = prices(*evidence);
        let in_target = costs[0] - least;
        for (index, (cost, state)) in costs.iter_mut().zip(states).enumerate() {
            let stay = *cost - least;
            changed |= u64::from(stay > change) << index;
            *cost = stay.min(change) + if of & state == 0 { outside } else { inside };
        }
        costs[0] = in_target.min(change) + price_in_target(*evidence, states[0]);
        steps.push((best, changed));
    }
    let mut state = cheapest(&costs);
    let mut path = vec![state; words.len()];
    for (index, (from, changed)) in steps.iter().enumerate().rev() {
        path[index] = state;
        if changed & 1 << state != 0 {
            state = *from;
        }
    }
    path
}

/// Returns the first of the cheapest states.
fn cheapest(costs: &[u32]) -> usize {
    let least = costs.iter().copied().min();
    costs.iter().position(|cost| Some(*cost) == least).unwrap_or(0)
}

/// Returns the languages that a word is of, and what it costs in those and in others, none being the target.
fn prices(evidence: Evidence) -> (u64, u32, u32) {
    match evidence {
        Evidence::Common(of) => (of, 0, OF_OTHERS),
        Evidence::Letters(of) => (of, UNKNOWN_ELSEWHERE, LETTERS_OF_OTHERS),
        Evidence::None | Evidence::Unknown => (0, UNKNOWN_ELSEWHERE, UNKNOWN_ELSEWHERE),
    }
}

fn price_in_target(evidence: Evidence, target: u64) -> u32 {
    let (of, inside, outside) = prices(evidence);
    match evidence {
        _ if target == 0 => UNLISTED,
        Evidence::Common(_) | Evidence::Letters(_) if of & target == 0 => outside,
        Evidence::Common(_) => inside,
        _ => UNKNOWN,
    }
}

/// Returns what each word says. A capital within a sentence makes a name, which says nothing, unless all words of the
/// sentence have one.
fn evidence(words: &[&Word<'_>]) -> Vec<Evidence> {
    const MIN_SHOUTED: usize = 4;
    let mut evidence = Vec::with_capacity(words.len());
    for sentence in words.chunk_by(|one, two| one.sentence == two.sentence) {
        let is_shouted = sentence.len() >= MIN_SHOUTED && sentence.iter().all(|word| word.is_capital);
        let is_name = |word: &Word<'_>| word.is_capital && !word.opens && !is_shouted;
        evidence.extend(sentence.iter().map(|word| match of_word(word.text) {
            _ if is_name(word) => Evidence::None,
            // A name may open a sentence.
            Evidence::Letters(_) if word.is_capital => Evidence::None,
            evidence => evidence,
        }));
    }
    evidence
}

fn of_word(word: &str) -> Evidence {
    let lower = lower(word);
    if let Some(of) = COMMON.get(&*lower) {
        return Evidence::Common(*of);
    }
    if let Some(of) = clitic(&lower) {
        return Evidence::Common(of);
    }
    if lower.chars().nth(1).is_none() {
        return Evidence::None;
    }
    let foreign = lower.chars().filter(|c| !c.is_ascii() && c.is_alphabetic());
    let of = foreign.filter_map(|c| LETTERS.get(&c)).fold(u64::MAX, |all, of| all & of);
    if of == 0 || of == u64::MAX { Evidence::Unknown } else { Evidence::Letters(of) }
}

/// Returns a word as it is listed: in lower case, with a straight apostrophe.
fn lower(word: &str) -> Cow<'_, str> {
    if word.bytes().all(|b| b.is_ascii_lowercase()) {
        return Cow::Borrowed(word);
    }
    Cow::Owned(word.to_lowercase().replace('’', "'"))
}

/// Returns the languages of a word with an apostrophe (`she'll`, `l'eau`, `dell'anno`).
fn clitic(word: &str) -> Option<u64> {
    let (head, tail) = word.split_once('\'')?;
    let set = |codes: &[&str]| -> u64 {
        let of = LANGUAGES.iter().enumerate().filter(|(_, language)| codes.contains(&language.code));
        of.map(|(index, _)| 1 << index).sum()
    };
    match (head, tail) {
        (_, "s" | "t" | "re" | "ve" | "ll" | "m" | "d") => Some(set(&["en"])),
        ("dell" | "nell" | "all" | "dall" | "sull" | "quest" | "quell" | "un", _) => Some(set(&["it"])),
        ("l" | "d" | "n" | "s" | "m" | "t" | "c", _) => Some(set(&["fr", "it", "ca"])),
        ("j" | "qu" | "jusqu" | "lorsqu" | "puisqu", _) => Some(set(&["fr"])),
        _ => None,
    }
}
