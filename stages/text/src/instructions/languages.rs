//! The language of a whole answer.
//!
//! Two thirds of the letters must be in the language's script. That decides where one language has the script. Among
//! several, the language is the one for which the most words speak, by being a function word of it or by having one of
//! its letters. Where that leaves several and a classifier of 16 languages finds one of these, it is that one. A text in
//! which nothing speaks for any is left to the classifier. Where the instruction is about the case of letters, it is
//! enough for English that hardly a word speaks for another language instead: headlines and names often have no function
//! word.
//!
//! The published code asks langdetect, which needs a model of 55 languages and draws at random on short texts. A
//! language that is in neither table here cannot be told: the gold answer that asks for it is refused.

use std::collections::HashMap;
use std::sync::LazyLock;

use unicode_script::{Script, UnicodeScript};

use super::function_words::LANGUAGES;

/// Languages that have a script to themselves, among those that can be told. Japanese has Chinese characters as well.
const BY_SCRIPT: [(&str, Script); 13] = [
    ("bn", Script::Bengali),
    ("el", Script::Greek),
    ("gu", Script::Gujarati),
    ("he", Script::Hebrew),
    ("ja", Script::Hiragana),
    ("kn", Script::Kannada),
    ("ko", Script::Hangul),
    ("ml", Script::Malayalam),
    ("pa", Script::Gurmukhi),
    ("ta", Script::Tamil),
    ("te", Script::Telugu),
    ("th", Script::Thai),
    ("zh", Script::Han),
];

/// Of a longer text, only so many bytes are looked at for the words: more than 32,768 tokens.
const MAX_TO_READ: usize = 200_000;

/// The languages for which a word or a letter speaks, as bits by their place in the table.
#[derive(Default)]
struct SpeaksFor {
    words: HashMap<&'static str, u32>,
    letters: HashMap<char, u32>,
}

static SPEAKS_FOR: LazyLock<SpeaksFor> = LazyLock::new(|| {
    let mut all = SpeaksFor::default();
    for (place, language) in LANGUAGES.iter().enumerate() {
        for word in language.words.split_whitespace() {
            *all.words.entry(word).or_insert(0) |= 1 << place;
        }
        for letter in language.letters.chars() {
            *all.letters.entry(letter).or_insert(0) |= 1 << place;
        }
    }
    all
});

/// Says whether a text is in the language `code` (ISO 639-1; `zh-cn` counts as `zh`).
pub(super) fn is_in(text: &str, code: &str) -> Result<bool, String> {
    let short = code.split('-').next().unwrap_or_default();
    if let Some((_, script)) = BY_SCRIPT.iter().find(|(known, _)| *known == short) {
        return Ok(is_mostly(*script, text));
    }
    let language = LANGUAGES.iter().find(|language| language.code == short);
    let language = language.ok_or_else(|| format!("texts in the language `{code}` cannot be told from others"))?;
    if !is_mostly(language.script, text) {
        return Ok(false);
    }
    let (counts, _) = speaking_for(text, language.script);
    let most = counts.iter().map(|(_, count)| *count).max();
    let leading: Vec<_> = counts.iter().filter(|(_, count)| Some(*count) == most).map(|(code, _)| *code).collect();
    let is_it = |found| found == short || !leading.contains(&found);
    Ok(leading.contains(&short) && classified(text).is_none_or(is_it))
}

/// Says whether a text is in the script of English and hardly a word in it speaks for another language instead.
pub(super) fn may_be_english(text: &str) -> bool {
    if !is_mostly(Script::Latin, text) {
        return false;
    }
    let (counts, num_words) = speaking_for(text, Script::Latin);
    let english = counts.iter().find(|(code, _)| *code == "en").map_or(0, |(_, count)| *count);
    counts.iter().all(|(_, count)| *count <= english + 1 + num_words / 10)
}

/// Says whether two thirds of the letters are in the script.
fn is_mostly(script: Script, text: &str) -> bool {
    let (mut ours, mut kana, mut all) = (0_usize, 0_usize, 0_usize);
    for c in text.chars().filter(|c| c.is_alphabetic()) {
        let found = if c.is_ascii() { Script::Latin } else { c.script() };
        all += 1;
        kana += usize::from(matches!(found, Script::Hiragana | Script::Katakana));
        ours += usize::from(found == script || script == Script::Hiragana && found != Script::Latin);
    }
    let is_mostly = all > 0 && 3 * ours >= 2 * all;
    match script {
        Script::Hiragana => is_mostly && 10 * kana >= all,
        Script::Han => is_mostly && 20 * kana < all,
        _ => is_mostly,
    }
}

/// Returns the languages of the script with the number of words that speak for each, and the number of all words.
fn speaking_for(text: &str, script: Script) -> (Vec<(&'static str, usize)>, usize) {
    let SpeaksFor { words, letters } = &*SPEAKS_FOR;
    let (mut counts, mut num_words) = ([0_usize; LANGUAGES.len()], 0);
    let text = beginning(text).to_lowercase();
    for word in text.split(|c| !is_of_word(c)).filter(|word| !word.is_empty()) {
        let of_word = words.get(word).copied().unwrap_or(0);
        let of_letters = word.chars().filter(|c| !c.is_ascii()).filter_map(|c| letters.get(&c));
        let mut languages = of_letters.fold(of_word, |all, one| all | one);
        while languages != 0 {
            counts[languages.trailing_zeros() as usize] += 1;
            languages &= languages - 1;
        }
        num_words += 1;
    }
    let counts = LANGUAGES.iter().zip(counts).filter(|(language, _)| language.script == script);
    (counts.map(|(language, count)| (language.code, count)).collect(), num_words)
}

/// Says whether a character is a part of words: a letter, or one of the two signs of Devanagari that change a letter.
/// The zero-width sign between the parts of a Persian word is not one.
fn is_of_word(c: char) -> bool {
    c.is_alphabetic() || matches!(c, '\u{93c}' | '\u{94d}')
}

/// Returns what the classifier takes the text for.
fn classified(text: &str) -> Option<&'static str> {
    let found = Some(whichlang::detect_language(beginning(text)));
    LANGUAGES.iter().find(|language| language.classified == found).map(|language| language.code)
}

fn beginning(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_TO_READ)]
}
