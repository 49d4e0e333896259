//! Language consistency: the share of a text's words that are in the target language (R1 v2, Eq. 7).
//!
//! Mathematics and code do not count as words. Each word is judged by its script (a Chinese word in an English thought
//! counts against it). Languages of the same script are told apart by a classifier, and only in sentences that are long
//! enough for it.

use std::sync::LazyLock;

use regex::Regex;
use unicode_script::{Script, UnicodeScript};

/// Shorter sentences count as in the target language, because the classifier is unreliable on them.
const MIN_WORDS_TO_CLASSIFY: usize = 8;

static NO_WORDS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?s)```.*?```|`[^`]*`|\$[^$]*\$|\\[a-zA-Z]+|</?[a-z]+>|https?://\S+").expect("a constant pattern")
});

/// Returns the share of words of `text` in the language `target` (ISO 639-1), from 0 to 1; 1 if it has no words.
pub fn consistency(text: &str, target: &str) -> f64 {
    let text = NO_WORDS.replace_all(text, " ");
    let (mut in_target, mut all) = (0_usize, 0_usize);
    for sentence in text.split(['.', '!', '?', '\n', '。', '！', '？']) {
        let words = words(sentence);
        let of_script = words.iter().filter(|script| is_script_of(target, **script)).count();
        all += words.len();
        if !is_another_language(sentence, of_script, target) {
            in_target += of_script;
        }
    }
    if all == 0 { 1.0 } else { in_target as f64 / all as f64 }
}

/// Returns the script of each word. Each Han or kana character is a word. A single letter of another script is a
/// variable and does not count.
fn words(sentence: &str) -> Vec<Script> {
    let mut words = Vec::new();
    let mut run: Option<(Script, usize)> = None;
    for c in sentence.chars().chain([' ']) {
        let script = if c.is_alphabetic() { Some(c.script()) } else { None };
        if let Some((of, length)) = run
            && script != Some(of)
            && c != '\''
        {
            if length > 1 {
                words.push(of);
            }
            run = None;
        }
        match script {
            Some(Script::Han | Script::Hiragana | Script::Katakana) => words.push(c.script()),
            Some(script) => run = Some((script, run.map_or(1, |(_, length)| length + 1))),
            None => {}
        }
    }
    words
}

fn is_script_of(target: &str, script: Script) -> bool {
    match target {
        "zh" => script == Script::Han,
        "ja" => matches!(script, Script::Han | Script::Hiragana | Script::Katakana),
        "ko" => script == Script::Hangul,
        "ru" | "uk" | "bg" | "sr" => script == Script::Cyrillic,
        "ar" | "fa" | "ur" => script == Script::Arabic,
        "he" => script == Script::Hebrew,
        "el" => script == Script::Greek,
        "hi" | "mr" => script == Script::Devanagari,
        "th" => script == Script::Thai,
        _ => script == Script::Latin,
    }
}

fn is_another_language(sentence: &str, num_words: usize, target: &str) -> bool {
    num_words >= MIN_WORDS_TO_CLASSIFY
        && lang_code(target).is_some_and(|target| {
            let found = whichlang::detect_language(sentence);
            found != target && is_script_of(iso(found), script_sample(sentence))
        })
}

/// Returns the script of the first word, for comparing languages of the same script only.
fn script_sample(sentence: &str) -> Script {
    sentence.chars().find(|c| c.is_alphabetic()).map_or(Script::Common, |c| c.script())
}

const LANGUAGES: [(&str, whichlang::Lang); 16] = [
    ("ar", whichlang::Lang::Ara),
    ("zh", whichlang::Lang::Cmn),
    ("de", whichlang::Lang::Deu),
    ("en", whichlang::Lang::Eng),
    ("fr", whichlang::Lang::Fra),
    ("hi", whichlang::Lang::Hin),
    ("it", whichlang::Lang::Ita),
    ("ja", whichlang::Lang::Jpn),
    ("ko", whichlang::Lang::Kor),
    ("nl", whichlang::Lang::Nld),
    ("pt", whichlang::Lang::Por),
    ("ru", whichlang::Lang::Rus),
    ("es", whichlang::Lang::Spa),
    ("sv", whichlang::Lang::Swe),
    ("tr", whichlang::Lang::Tur),
    ("vi", whichlang::Lang::Vie),
];

fn lang_code(iso: &str) -> Option<whichlang::Lang> {
    LANGUAGES.iter().find(|(code, _)| *code == iso).map(|(_, lang)| *lang)
}

fn iso(lang: whichlang::Lang) -> &'static str {
    LANGUAGES.iter().find(|(_, known)| *known == lang).map_or("en", |(code, _)| code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_texts() {
        for (text, target, expected) in [
            ("8-8=0,+1=1", "en", 1.0),
            ("8-8得0,+1得1", "en", 0.0),
            ("8-8得0,+1得1", "zh", 1.0),
            ("", "en", 1.0),
            ("let x be 3, then x + y = 5", "en", 1.0),
            ("We add the two numbers and then we check the result once more.", "en", 1.0),
            ("Nous ajoutons les deux nombres et nous vérifions encore une fois le résultat.", "en", 0.0),
            ("Nous ajoutons les deux nombres et nous vérifions encore une fois le résultat.", "fr", 1.0),
            ("先把两个数加起来", "zh", 1.0),
            ("$\\alpha = \\frac{1}{2}$ `let x = 3;`", "zh", 1.0),
        ] {
            assert!(
                (consistency(text, target) - expected).abs() < 1e-9,
                "{text:?} {target}: {}",
                consistency(text, target)
            );
        }
    }

    #[test]
    fn mixed_texts_lie_between() {
        let mixed = consistency("first add them 然后再检查一下", "en");
        assert!(mixed > 0.2 && mixed < 0.5, "{mixed}");
    }
}
