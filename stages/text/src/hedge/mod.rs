//! Hedges: whether an answer says that it may be wrong, and how sure it says it is.
//!
//! A hedge is about the answer. What is within a quotation, what is said of chances ("the probability that it might be
//! red") and ways to write something ("may be written as") is none.

mod confidence;

#[cfg(test)]
mod tests;

use std::sync::LazyLock;

use regex::Regex;

pub use confidence::stated_confidence;

/// A short answer that ends in a question mark asks whether it is right.
const MAX_WORDS_OF_QUESTION: usize = 6;

/// What hedges wherever it stands, in the languages with spaces: whole words.
#[rustfmt::skip]
const HEDGES: &[&str] = &[
    "maybe", "perhaps", "presumably", "probably", "unsure", "uncertain", "doubtful", "i doubt",
    "i (?:would |do |honestly |personally )?(?:think|guess|suppose|suspect|imagine|reckon|believe)",
    "i(?:'d|’d| would) (?:say|guess)", "my (?:best )?guess", "(?:best|educated|wild|rough) guess", "just a guess",
    "(?:not|n't|n’t|hardly) (?:(?:quite|entirely|completely|fully|totally|really|very|so|too|absolutely|at all|100%) )?\
    (?:sure|certain|confident|positive)",
    "not [0-9]{1,3}% (?:sure|certain|confident)", "can(?:'t|’t|not) (?:be sure|say for sure|tell for sure)",
    "(?:could|might|may) (?:well )?be (?:wrong|mistaken|off|incorrect|in error)", "if i(?:'m| am) not mistaken",
    "if i (?:recall|remember)", "as far as i (?:know|can tell|can see|remember)", "hard to (?:say|tell)",
    "seems? (?:to be|like|that|right|correct)", "appears? to be", "(?:it is|it's|it’s) (?:quite |very )?possible that",
    "grain of salt", "low confidence",
    "vielleicht", "möglicherweise", "wahrscheinlich", "vermutlich", "womöglich", "eventuell",
    "ich (?:glaube|denke|vermute|schätze|nehme an)", "(?:glaube|denke|vermute|schätze) ich",
    "nicht (?:ganz |so |völlig |sehr |wirklich )?sicher", "unsicher", "könnten? (?:auch |es )?(?:[^ .]+ )?sein",
    "probablement", "vraisemblablement", "sans doute", "je (?:pense|crois|suppose|dirais)", "il me semble",
    "pourrait être", "sauf erreur", "pas (?:tout à fait |très |vraiment |complètement )?(?:sûre|certaine?)",
    "quiz[aá]s", "tal vez", "probablemente", "posiblemente", "a lo mejor", "(?:creo|pienso|supongo|diría|imagino) que",
    "me parece", "parece (?:ser|que)", "no (?:estoy|está) (?:muy |del todo |completamente |totalmente )?segur[oa]",
    "podría ser", "puede que", "talvez", "provavelmente", "acho que", "não tenho certeza", "forse", "probabilmente",
    "(?:credo|penso) che", "non sono sicur[oa]",
];

static WORDS: LazyLock<Regex> = LazyLock::new(|| {
    // A letter with an accent has no edge to its right that is quick to find.
    let accented = r"peut-[êe]tre|quizá|pas (?:tout à fait |très )?sûr(?:[^\p{L}]|$)";
    pattern(&format!(r"(?-u:\b)(?:{})(?:[^\p{{L}}]|$)|{accented}", HEDGES.join("|")))
});

/// What hedges in the languages without spaces or with endings.
static PARTS: LazyLock<Regex> = LazyLock::new(|| {
    let parts = [
        "也许|也許|或许|或許|说不定|說不定|恐怕|大概(?:[^念]|$)|好像|似乎|貌似|估计(?:是|为|答案|有|在)|我猜|猜测|猜測",
        "我觉得|我覺得|我认为|我認為|我想(?:是|答案|应)",
        "不(?:太|是很|完全|十分|能|敢)?(?:确定|確定|肯定)(?:[^性度原关]|$)|没(?:有|什么|啥)?(?:十足的?)?把握|沒(?:有)?把握",
        "拿不准|说不准|有可能(?:是|为|等于)",
        r"(?:^|[^不所种的个以])可能(?:是|为|為|等于|不|会|會|就|在|对|错|還|还|只|有误|[\s\d]|$)",
        "たぶん|多分|おそらく|かもしれ|と思[いうわ]|気がする|아마|것 같|일지도|확실하지 않|확실치",
        "наверн|возможно(?:[^сй]|$)|вероятно(?:[^с]|$)|может быть|я думаю|кажется|не уверен|не совсем уверен",
    ];
    pattern(&parts.join("|"))
});

/// What hedges where it is about the answer: a modal with its subject and what follows, and `likely`, `possibly`.
static MODAL: LazyLock<Regex> = LazyLock::new(|| {
    let parts = [
        r"(?P<subject>[\p{L}0-9]*)[\s*]*(?-u:\b)",
        "(?:(?P<modal>might|may|could) (?:well |also |just |possibly )?be|(?P<likely>likely)|(?P<possibly>possibly))",
        r"(?-u:\b)[\s*:]*(?P<next>[\p{L}0-9$(\\]*)",
    ];
    pattern(&parts.concat())
});

/// What a sentence about chances has.
static CHANCES: LazyLock<Regex> = LazyLock::new(|| {
    let words = r"(?-u:\b)(?:chances?|odds|likelihood)(?-u:\b)";
    pattern(&format!("probabilit|probabilidad|wahrscheinlichkeit|вероятност|概率|机率|機率|几率|可能性|{words}"))
});

fn pattern(pattern: &str) -> Regex {
    Regex::new(&format!("(?i){pattern}")).expect("a constant pattern")
}

/// Returns whether an answer says that it may be wrong.
pub fn is_hedged(answer: &str) -> bool {
    let answer = unquoted(answer);
    // The shortest hedge has 5 bytes.
    let sentences = answer.split_inclusive(['.', '!', '?', '\n', '。', '！', '？', ';', '；']);
    is_question(&answer) || sentences.filter(|sentence| sentence.len() >= 5).any(is_hedge)
}

fn is_question(answer: &str) -> bool {
    let answer = answer.trim();
    answer.ends_with(['?', '？']) && answer.split_whitespace().count() <= MAX_WORDS_OF_QUESTION
        || answer.contains("(?)")
}

fn is_hedge(sentence: &str) -> bool {
    let about_chances = || CHANCES.is_match(sentence);
    WORDS.find(sentence).is_some_and(|found| !is_advice(&sentence[found.end()..]))
        || PARTS.is_match(sentence) && !about_chances()
        || MODAL.captures_iter(sentence).any(|found| is_modal_hedge(&found)) && !about_chances()
}

/// Returns whether a hedge is about how something is best done: `perhaps the simplest way is …`.
fn is_advice(after: &str) -> bool {
    const ADVICE: [&str; 8] =
        ["the simplest", "the easiest", "the best", "the most", "easier", "simpler", "better", "more"];
    let after = after.trim_start_matches(|c: char| !c.is_alphabetic());
    ADVICE.iter().any(|advice| after.starts_with(advice))
}

fn is_modal_hedge(found: &regex::Captures<'_>) -> bool {
    const SUBJECTS: [&str; 14] = [
        "", "it", "this", "that", "which", "one", "answer", "result", "solution", "value", "choice", "option", "total",
        "number",
    ];
    const OTHER: [&str; 14] = [
        "any",
        "seen",
        "found",
        "shown",
        "done",
        "given",
        "taken",
        "made",
        "drawn",
        "chosen",
        "thought",
        "negative",
        "positive",
        "arbitrary",
    ];
    let word = |name: &str| found.name(name).map(|word| word.as_str().to_lowercase());
    let (subject, next) = (word("subject").unwrap_or_default(), word("next").unwrap_or_default());
    if found.name("modal").is_some() {
        let is_value = next.starts_with(|c: char| c.is_ascii_digit() || "$(\\".contains(c)) || next.len() == 1;
        let is_way =
            next.len() > 3 && (next.ends_with("ed") || next.ends_with("tten")) || OTHER.contains(&next.as_str());
        return !is_way && (is_value || SUBJECTS.contains(&subject.as_str()));
    }
    if found.name("possibly").is_some() {
        return !["not", "cannot", "can", "t", "could"].contains(&subject.as_str());
    }
    let is_compared = ["equally", "more", "less", "as", "how", "least", "all"].contains(&subject.as_str());
    let is_noun = [
        "outcome", "outcomes", "event", "events", "value", "values", "case", "cases", "scenario", "result", "results",
        "sum",
    ];
    !is_compared && !is_noun.contains(&next.as_str())
}

/// Returns a text without what is in quotation marks, code or formulas. An apostrophe opens no quotation.
fn unquoted(text: &str) -> String {
    const QUOTES: [(char, char); 8] =
        [('"', '"'), ('“', '”'), ('„', '“'), ('«', '»'), ('「', '」'), ('『', '』'), ('‘', '’'), ('`', '`')];
    let mut kept = String::with_capacity(text.len());
    let mut closing: Option<(char, usize)> = None;
    for (at, c) in text.char_indices() {
        match closing {
            // A quotation that does not end in its paragraph was none.
            Some((_, start)) if c == '\n' => {
                kept.push_str(&text[start..=at]);
                closing = None;
            }
            Some((close, _)) if c == close => closing = None,
            Some(_) => {}
            None => match QUOTES.iter().find(|(open, _)| *open == c) {
                Some((_, close)) => closing = Some((*close, at)),
                None => kept.push(c),
            },
        }
    }
    if let Some((_, start)) = closing {
        kept.push_str(&text[start..]);
    }
    kept
}
