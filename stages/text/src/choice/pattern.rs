//! The notation of the patterns around a letter, and the windows of text that they read.

use regex::Regex;

/// How much of a text is read on each side of a letter, in bytes.
const WINDOW: usize = 120;

/// Words that may stand between a cue and the letter: "the answer is *clearly option* B".
const FILLER: &str = r"(?:
    [\s,:]* (?: the|that|either|both|only|clearly|indeed|actually|simply|just|therefore|thus|hence|so|then|definitely
        |certainly|surely|obviously|most|likely|probably|possibly|perhaps|maybe|also|again|now|still|in_fact|of_course
        |(?:correct|right|best|final)_(?:answer|option|choice|one)s?|it's|it_is|options?|choices?|letters?|answers?
        |statements?|alternatives?|numbers?|items?|a_|lettre|lettera|letra|la|le|l'|les|die|der|das|opción|opcion|opção
        |opzione|alternativa|вариант|đáp_án|选项|選項|选|選 )
)* [\s,:]*";

/// The same without commas and colons, which end a negation.
const CLOSE: &str = r"(?:
    \s* (?: the|either|both|be|been|options?|choices?|answers?|letters?|statements?|necessarily|actually|la|le|l'|die
        |der|das|opción|вариант|选项|選項|选|選 )
)* \s*";

/// What an answer is called.
const NOUN: &str = r"(?: answers?|ans|option|choice|selection|pick|alternative|solution|statement|letter|conclusion
    |response|(?:correct|right|true|best|final|my|our)_(?:options|choices|statements|alternatives|ones?)
    |réponses?|reponses?|choix|antwort|antworten|lösung|respuestas?|opción|opcion|correcta|respostas?|alternativa|letra
    |opção|rispost[ae]|opzione|ответы?|вариант|antwoord|odpowied[źz]|svar|svaret|jawaban|đáp_án|cevap )";

/// What joins it to the letter.
const VERB: &str = r"(?: is|are|was|were|be|being|becomes|remains|reads|est|sont|serait|ist|sind|lautet|wäre|es|son
    |sería|são|sono|adalah )";

/// Words between "is" and "correct".
const ADVERB: &str = r"(?: (?: the|also|both|all|most|only|indeed|clearly|definitely|certainly|therefore|thus|hence|then
    |actually|obviously|probably|likely|really|completely|entirely|absolutely|my|our|your )_ )*";

/// Compiles a pattern that ignores case. Blanks in it mean nothing, `_` is white space, and `\b` looks at ASCII only.
pub(super) fn pattern(text: &str) -> Regex {
    let parts = [("FILLER", FILLER), ("CLOSE", CLOSE), ("NOUN", NOUN), ("ADVERB", ADVERB), ("VERB", VERB)];
    let whole = parts.iter().fold(text.to_owned(), |text, (name, part)| text.replace(name, part));
    let whole = whole.replace('_', r"\s+").replace(r"\b", r"(?-u:\b)");
    Regex::new(&format!("(?ix){whole}")).expect("a constant pattern")
}

/// Declares patterns as statics.
macro_rules! patterns {
    ($($(#[$doc:meta])* $name:ident = $text:expr;)*) => {
        $(
            $(#[$doc])*
            static $name: std::sync::LazyLock<regex::Regex> =
                std::sync::LazyLock::new(|| $crate::choice::pattern::pattern($text));
        )*
    };
}
pub(super) use patterns;

/// Returns the text just before a place.
pub(super) fn before(text: &str, at: usize) -> &str {
    &text[text.floor_char_boundary(at.saturating_sub(WINDOW))..at]
}

/// Returns the text just after a place.
pub(super) fn after(text: &str, at: usize) -> &str {
    &text[at..text.floor_char_boundary(at.saturating_add(WINDOW))]
}
