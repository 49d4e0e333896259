//! Language consistency: the share of a text's words that are in the target language (R1 v2, Eq. 7).
//!
//! | not a word | because |
//! |---|---|
//! | mathematics and code, fenced or not, addresses | they are the same in every language ([`prose`]) |
//! | variables, units, functions (`x`, `AB²`, `cm`, `log`) | likewise ([`words`]) |
//! | a Latin name in a text of another script | it has no other spelling |
//!
//! What remains is judged by script first. Languages of one script are told apart by their commonest words and by the
//! letters that only some have, stretch by stretch ([`stretches`]), so a sentence of two words is judged where one of
//! them is common, and a language may change within a line. What cannot be told counts as the target's.

mod lists;
mod prose;
mod stretches;
mod target;
mod words;

#[cfg(test)]
mod tests;

use unicode_script::Script;

use lists::LANGUAGES;
use target::Target;
use words::Word;

/// Chinese characters in a text without kana from which on it is not Japanese.
const MIN_HAN_WITHOUT_KANA: usize = 8;

/// Characters that Chinese text is full of and Japanese text does not have.
const CHINESE_ONLY: &str = "们這这吗嗎呢么麼你您她它很吧啊哪怎说为对从让给过时样应该关则两个几边长门问题间见现证总级积线\
    员钱课计认记讨论试请读谁负质费车转轮较达运进远连选错随难页项顺须额风飞马验鱼鸡鸟图仅价优传众内";

/// Returns the share of words of `text` in the language `target` (ISO 639-1), from 0 to 1; 1 if it has no words.
pub fn consistency(text: &str, target: &str) -> f64 {
    let target = Target::of(target);
    let prose = prose::prose(text);
    let words = words::words(&prose);
    let (mut inside, mut outside) = (0, 0);
    for (is_in_target, weight) in in_target(&words, &target).into_iter().zip(weights(&words, &target)) {
        *(if is_in_target { &mut inside } else { &mut outside }) += u64::from(weight);
    }
    if inside + outside == 0 { 1.0 } else { inside as f64 / (inside + outside) as f64 }
}

/// Returns which words are in the target language.
fn in_target(words: &[Word<'_>], target: &Target) -> Vec<bool> {
    let is_candidate = |word: &Word<'_>| target.scripts.contains(&word.script);
    if target.scripts.contains(&Script::Han) {
        let are_target = sentences_in_target(words, target);
        return words.iter().map(|word| is_candidate(word) && are_target[word.sentence]).collect();
    }
    let candidates: Vec<&Word<'_>> = words.iter().filter(|word| is_candidate(word)).collect();
    let mut told = stretches::in_target(&candidates, target).into_iter();
    words.iter().map(|word| is_candidate(word) && told.next().unwrap_or(true)).collect()
}

/// Returns which sentences are in the target, Chinese or Japanese: those with kana are Japanese, those without are what
/// their characters and the rest of the text say.
fn sentences_in_target(words: &[Word<'_>], target: &Target) -> Vec<bool> {
    #[derive(Clone, Copy, Default)]
    struct Count {
        han: usize,
        kana: usize,
        chinese: usize,
    }
    let mut counts = vec![Count::default(); num_sentences(words)];
    for word in words {
        let count = &mut counts[word.sentence];
        match word.script {
            Script::Han => count.han += 1,
            Script::Hiragana | Script::Katakana => count.kana += 1,
            _ => continue,
        }
        count.chinese += usize::from(CHINESE_ONLY.contains(word.text));
    }
    let han: usize = counts.iter().map(|count| count.han).sum();
    let has_kana = counts.iter().any(|count| count.kana > 0);
    let wants_kana = target.scripts.contains(&Script::Hiragana);
    let is_in_target = |count: &Count| {
        if !wants_kana {
            count.kana * 5 <= count.han + count.kana
        } else if count.kana > 0 {
            true
        } else {
            count.chinese == 0 && (has_kana || han < MIN_HAN_WITHOUT_KANA)
        }
    };
    counts.iter().map(is_in_target).collect()
}

/// Returns what each word counts for. In a text of another script, Latin names count nothing, and terms and identifiers
/// half, as a person would as soon leave them as put another word.
fn weights(words: &[Word<'_>], target: &Target) -> Vec<u32> {
    let mut weights: Vec<u32> = words.iter().map(|word| word.weight).collect();
    if target.scripts.contains(&Script::Latin) {
        return weights;
    }
    let mut has_target = vec![false; num_sentences(words)];
    for word in words {
        has_target[word.sentence] |= target.scripts.contains(&word.script);
    }
    let mut at = 0;
    for run in words.chunk_by(|_, next| next.script == Script::Latin && next.continues) {
        // The word before a Latin run may be of another script.
        let (start, end) = (at + usize::from(run[0].script != Script::Latin), at + run.len());
        at = end;
        if start < end {
            let (part, of) = share(&words[start..end], has_target[run[0].sentence]);
            weights[start..end].iter_mut().for_each(|weight| *weight = *weight * part / of);
        }
    }
    weights
}

/// Returns the share of its weight that a run of Latin words counts for, as a fraction.
fn share(run: &[Word<'_>], within_target: bool) -> (u32, u32) {
    /// Longest term.
    const TERM: usize = 3;
    let is_common = |word: &&Word<'_>| {
        let is_of_names = matches!(word.text, "of" | "the" | "and" | "de" | "la" | "van" | "von");
        !is_of_names && stretches::is_common(word.text)
    };
    let num_common = run.iter().filter(is_common).count();
    let is_short = |word: &Word<'_>| word.text.len() <= 3;
    let is_acronym = |word: &Word<'_>| is_short(word) && word.text.chars().all(char::is_uppercase);
    let is_name = run.iter().any(|word| word.is_capital) && run.iter().all(|word| word.is_capital || is_short(word));
    let is_prose = if run.len() == 1 { num_common > 0 } else { num_common * 2 > run.len() };
    match run {
        [word] if is_acronym(word) => (0, 1),
        _ if is_name && !is_prose => (0, 1),
        _ if within_target && num_common == 0 && run.len() <= TERM => (1, 2),
        _ => (1, 1),
    }
}

fn num_sentences(words: &[Word<'_>]) -> usize {
    words.last().map_or(0, |word| word.sentence + 1)
}
