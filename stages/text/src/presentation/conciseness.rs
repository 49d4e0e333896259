//! Conciseness: the share of an answer's words that say something, and whether they are within a budget.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use regex::Regex;

use super::{Word, beginning, ratio, size, words};

/// Least words of a sentence that is compared by its three-word sequences.
const MIN_COMPARED: usize = 5;
/// How often a sentence of fewer words may come.
const MAX_TIMES: usize = 2;

/// What is nothing but politeness: openings, closings, talk of oneself.
#[rustfmt::skip]
const FILLERS: &[&str] = &[
    "sure(?: thing)?", "certainly", "of course", "absolutely", "definitely", "no problem", "gladly", "okay", "ok",
    "(?:that(?:'s|’s| is) |what )?(?:an? )?(?:really |very )?(?:great|good|excellent|interesting|wonderful) question",
    "(?:i(?:'d|’d| would| am|'m|’m) (?:be )?)?(?:more than )?(?:happy|glad|delighted) to \
    (?:help|assist|explain|answer)[^.!?]*",
    "thanks?(?: you)?(?: so much| very much)? for [^.!?]*",
    "let me (?:explain|help you|walk you|break (?:it|this|that) down)[^.!?]*",
    "let(?:'s|’s| us) (?:dive in|break (?:it|this|that) down|take a look|get started)[^.!?]*",
    "(?:here(?:'s|’s| is| are)|below (?:is|are)) (?:the|your|my|an?|some) (?:\\w+ )?\
    (?:answer|explanation|breakdown|overview|response|summary|list|guide|solution)s?[^.!?]{0,60}",
    "as an? (?:ai|language model|assistant)[^.!?]*", "(?:i|we) (?:really )?hope (?:this|that|it|you)[^.!?]*",
    "(?:please )?(?:let me know|feel free|don't hesitate|do not hesitate)[^.!?]*",
    "if you (?:have|need|want|would like) (?:any|more|further|help|me to)[^.!?]*", "is there anything else[^.!?]*",
    "have a (?:great|nice|good) day", "good luck", "happy (?:coding|learning)",
    "好的", "当然(?:可以)?", "没问题", "(?:这是(?:一个|个)?)?(?:很|非常)?好的?问题", "很高兴[^。！？]*", "希望(?:这|以上|对)[^。！？]*",
    "如果(?:你|您)(?:还|有)[^。！？]*", "以下是[^。！？]{0,20}", "作为一个?(?:ai|人工智能|语言模型)[^。！？]*",
    "gerne", "natürlich", "selbstverständlich", "gute frage", "ich hoffe[^.!?]*", "bien sûr", "avec plaisir",
    "bonne question", "j'espère[^.!?]*", "claro(?: que sí)?", "por supuesto", "buena pregunta", "espero que[^.!?]*",
];

/// Words that put off what a sentence says.
#[rustfmt::skip]
const PADDINGS: &[&str] = &[
    "it(?:'s|’s| is) (?:also )?(?:important|worth|essential|crucial|interesting) \
    (?:to (?:note|remember|mention|understand|keep in mind)|noting|mentioning|remembering) that",
    "please note that", "needless to say",
    "as (?:i |we )?(?:mentioned|said|stated|noted|discussed) (?:before|above|earlier)",
    "as previously (?:mentioned|said|stated|noted|discussed)", "to (?:summarize|sum up)", "at the end of the day",
    "it goes without saying that", "the fact of the matter is that", "for all intents and purposes",
    "due to the fact that", "when it comes to",
];

static FILLER: LazyLock<Regex> = LazyLock::new(|| {
    let filler = FILLERS.join("|");
    pattern(&format!(r"^[\s*_#>-]*(?:(?:{filler})[\s,.!?:;…，。！？：*_—-]*)+$"))
});

static PADDING: LazyLock<Regex> = LazyLock::new(|| {
    let chinese = "值得注意的是|需要注意的是|众所周知|总而言之|综上所述|总的来说";
    pattern(&format!(r"(?-u:\b)(?:{})(?-u:\b)|{chinese}", PADDINGS.join("|")))
});

fn pattern(pattern: &str) -> Regex {
    Regex::new(&format!("(?i){pattern}")).expect("a constant pattern")
}

/// Returns how concise an answer is, from 0 to 1: the share of its words that are no waste, times the budget's part.
///
/// *Waste* are sentences of politeness (`Sure!`, `I hope this helps`), phrases that put off what is said (`it is
/// important to note that`), and sentences of five words or more that mostly repeat the question or the answer so far:
/// half of their three-word sequences were there. Shorter sentences may come twice.
///
/// The budget's part is 1 for an answer of up to `budget` words, and falls to 0 at twice as many. A budget of 0 is
/// none. Below it, length has no effect: a stub earns what a full answer does if neither wastes words, and an answer
/// without any word that counts earns 0. Padding lowers the share, whatever it is made of.
pub fn conciseness(answer: &str, question: &str, budget: usize) -> f64 {
    let mut said: HashSet<[u64; 3]> = sequences(&words(beginning(question))).collect();
    let mut short: HashMap<u64, usize> = HashMap::new();
    let (mut useful, mut all) = (0, 0);
    for sentence in sentences(beginning(answer)) {
        let words = words(sentence);
        all += size(&words);
        if FILLER.is_match(sentence) {
            continue;
        }
        let is_waste = if words.len() < MIN_COMPARED {
            let times = short.entry(words.iter().fold(0, |all: u64, word| all.rotate_left(7) ^ word.id)).or_default();
            *times += 1;
            *times > MAX_TIMES
        } else {
            let num_said = sequences(&words).filter(|sequence| said.contains(sequence)).count();
            num_said * 2 >= sequences(&words).count()
        };
        said.extend(sequences(&words));
        if !is_waste {
            let padding: usize = PADDING.find_iter(sentence).map(|found| size(&super::words(found.as_str()))).sum();
            useful += size(&words).saturating_sub(padding);
        }
    }
    let within = match budget * 3 {
        0 => 1.0,
        budget => (2.0 - all as f64 / budget as f64).clamp(0.0, 1.0),
    };
    ratio(useful, all) * within
}

fn sequences(words: &[Word]) -> impl Iterator<Item = [u64; 3]> {
    words.windows(3).map(|three| [three[0].id, three[1].id, three[2].id])
}

/// Returns the sentences of a text; a line ends one.
fn sentences(text: &str) -> impl Iterator<Item = &str> {
    let ends = |before: char, c: char, next: char| match c {
        '\n' | '!' | '?' | '。' | '！' | '？' => true,
        '.' => next.is_whitespace() && !before.is_ascii_digit(),
        _ => false,
    };
    let mut rest = text;
    std::iter::from_fn(move || {
        let mut before = ' ';
        let mut chars = rest.char_indices().peekable();
        let mut end = rest.len();
        while let Some((at, c)) = chars.next() {
            if ends(before, c, chars.peek().map_or(' ', |(_, next)| *next)) {
                end = at + c.len_utf8();
                break;
            }
            before = c;
        }
        let (sentence, after) = rest.split_at(end);
        rest = after;
        (!sentence.is_empty()).then_some(sentence)
    })
}
