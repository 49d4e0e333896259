//! The confidence that an answer states in itself.

use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::unquoted;

/// What words for confidence stand for, in quarters: a model that would claim more can say a number.
const LEVELS: [(f64, &[&str]); 5] = [
    (0.1, &["very low", "很低", "极低", "sehr gering", "sehr niedrig", "très faible", "muy baja"]),
    (0.25, &["low", "低", "较低", "gering", "niedrig", "faible", "basse", "baja", "низкая"]),
    (0.5, &["medium", "moderate", "中", "中等", "一般", "mittel", "moyenne", "media", "moderada", "средняя"]),
    (0.75, &["high", "高", "较高", "hoch", "élevée", "haute", "alta", "высокая"]),
    (0.9, &["very high", "很高", "极高", "sehr hoch", "très élevée", "muy alta"]),
];

/// A number between 0 and 1, in one of the ways of writing it; see [`value`].
const VALUE: &str = concat!(
    r"(?:(?P<from>\d{1,3})\s*(?:-|–|to|到|至)\s*)?(?P<percent>\d{1,3}(?:[.,]\d{1,4})?)\s*",
    r"(?:%|％|percent|per cent|prozent|pour cent|por ciento)",
    r"|(?P<part>\d{1,3}(?:\.\d{1,4})?)\s*(?:/|out of|von|sur|de|／)\s*(?P<of>100|10|5)(?-u:\b)",
    r"|(?P<decimal>[01]?\.\d{1,6}|[01])(?:[^\d%./]|\.(?:\D|$)|$)",
);

/// `Confidence: 80%`, `置信度：0.8`, `confidence is high`.
static LABELLED: LazyLock<Regex> = LazyLock::new(|| {
    let label = [
        r"(?-u:\b)(?:confidence|certainty|konfidenz|zuversicht|confiance|confianza|confiança)(?-u:\b)",
        r"(?: level| score| rating)?(?: (?:in|for) (?:this|my|the) answer)?",
        "|置信度|置信水平|信心(?:程度|指数|度)?|把握(?:程度|度)|确信度|確信度|自信度|可信度|уверенность|신뢰도|확신도",
    ];
    let joints = r"(?:\s|\*|_|:|：|=|≈|~|\(|（|is|of|about|around|ist|est|es|为|是|约|大约)*";
    let before = r"(?P<before>[\p{L}]*\s?[\p{L}]*\s?)";
    pattern(&format!("{before}(?:{}){joints}(?:{VALUE}|(?P<level>{}))", label.concat(), levels()))
});

/// `I am 80% sure`, `(90% confident)`, `with 80% confidence`.
static SURE: LazyLock<Regex> = LazyLock::new(|| {
    let before = [
        r"^|[(\[（,;:.!?\n—–-]\s*",
        r"|(?-u:\b)(?:i|we)(?:'m|’m|'re|’re| am| are| feel| would say i(?:'m|’m| am))? (?:still |now |also )?",
        r"|(?-u:\b)with ",
    ];
    let about = r"(?:(?:only|about|around|roughly|approximately|at least|over|nearly|almost|~|≈|a)\s*)*";
    let sure = r"\s*(?:sure|certain|confident|positive|confidence|certainty)(?-u:\b)(?P<after>(?:\s[\p{L}]+)?)";
    pattern(&format!("(?:{}){about}(?:{VALUE}){sure}", before.concat()))
});

/// `high confidence`.
static LEVEL: LazyLock<Regex> = LazyLock::new(|| {
    let before = r"(?P<before>(?-u:\b)(?:not|no|without|his|her|their|your) (?:a |very )?)?";
    let level = r"(?-u:\b)(?P<level>very low|low|medium|moderate|very high|high)[ -]confidence(?-u:\b)";
    pattern(&format!(r"{before}{level}(?P<after>(?:\s[\p{{L}}]+)?)"))
});

/// `80% chance that my answer is right`, `the probability that this answer is correct is 0.8`.
static CHANCE: LazyLock<Regex> = LazyLock::new(|| {
    let right = r"(?:that |of )?(?:(?:my|this|the) answer (?:is|being|to be)|i am|i'm|i’m) (?:correct|right)";
    let second = VALUE.replace("(?P<", "(?P<second_");
    let one = format!(r"(?:{VALUE})\s*(?:chance|probability|likely|likelihood) {right}");
    pattern(&format!(r"{one}|(?-u:\b)(?:chance|probability|likelihood) {right}(?:\s|:|=|is)*(?:{second})"))
});

/// `zu 80 % sicher`, `sûr à 80 %`, `80% seguro`.
static EUROPEAN: LazyLock<Regex> = LazyLock::new(|| {
    let before = r"(?P<before>(?:nicht |pas |no )?)(?:(?:bin|mir|zu|estoy|un|al|à|suis|sûre?|certaine?)\s)+";
    pattern(&format!(r"{before}(?:{VALUE})\s*(?:ig )?(?:sicher|segur[oa]|sûre?|certaine?)?"))
});

/// `80%的把握`, `八成把握`, `百分之八十的把握`, `百分百确定`.
static CHINESE: LazyLock<Regex> = LazyLock::new(|| {
    let numbers = [
        r"(?P<percent>\d{1,3}(?:\.\d+)?)\s*[%％]",
        "(?P<tenths>[一二三四五六七八九十]{1,2})成(?:以上|左右|多)?",
        r"百分之(?P<words>[一二三四五六七八九十百\d]{1,4})",
        "(?P<full>百分百|十足)",
    ];
    let sure = "(?:把握|信心|确定|確定|肯定|确信|確信|自信)";
    pattern(&format!(r"(?P<before>[没沒不无]?有?)(?:{})\s*(?:的|地)?\s*{sure}", numbers.join("|")))
});

fn pattern(pattern: &str) -> Regex {
    Regex::new(&format!("(?i){pattern}")).expect("a constant pattern")
}

/// Returns the confidence that an answer states in itself, from 0 to 1; the last one if it states several. `None` if it
/// states none, or none that is between 0 and 1.
///
/// Words stand for 0.1 (very low), 0.25 (low), 0.5 (medium), 0.75 (high) and 0.9 (very high). A percentage that is the
/// answer, or that is about a confidence interval or the sureness of others, is none.
pub fn stated_confidence(answer: &str) -> Option<f64> {
    let answer = unquoted(answer);
    let found = [
        last(&LABELLED, &answer, labelled),
        last(&SURE, &answer, sure),
        last(&LEVEL, &answer, level),
        last(&CHANCE, &answer, chance),
        last(&EUROPEAN, &answer, european),
        last(&CHINESE, &answer, chinese),
    ];
    found.into_iter().flatten().max_by_key(|(start, _)| *start).map(|(_, value)| value)
}

/// Returns the last confidence that is stated in one way, and where.
fn last(pattern: &Regex, answer: &str, read: fn(&Captures<'_>) -> Option<f64>) -> Option<(usize, f64)> {
    let stated = pattern.captures_iter(answer).filter_map(|found| Some((found.get(0)?.start(), read(&found)?)));
    stated.filter(|(_, value)| (0.0..=1.0).contains(value)).last()
}

/// Returns the number of a match of [`VALUE`].
fn value(found: &Captures<'_>, prefix: &str) -> Option<f64> {
    let number = |name: &str| found.name(&format!("{prefix}{name}"))?.as_str().replace(',', ".").parse::<f64>().ok();
    if let Some(percent) = number("percent") {
        let from = number("from").unwrap_or(percent);
        return Some(f64::midpoint(from, percent) / 100.0);
    }
    number("part").zip(number("of")).map(|(part, of)| part / of).or_else(|| number("decimal"))
}

fn labelled(found: &Captures<'_>) -> Option<f64> {
    // `at a confidence level of 95%` is of a statistic.
    let before = found.name("before").map_or("", |before| before.as_str()).to_lowercase();
    let is_statistic = ["at a ", "at the ", "with a "].iter().any(|of| before.ends_with(of))
        && found[0].to_lowercase().contains("level");
    value(found, "").or_else(|| level_of(found)).filter(|_| !is_statistic && !is_denied(&before))
}

fn sure(found: &Captures<'_>) -> Option<f64> {
    value(found, "").filter(|_| !is_interval(found))
}

fn level(found: &Captures<'_>) -> Option<f64> {
    level_of(found).filter(|_| !is_interval(found) && found.name("before").is_none())
}

fn chance(found: &Captures<'_>) -> Option<f64> {
    value(found, "").or_else(|| value(found, "second_"))
}

fn european(found: &Captures<'_>) -> Option<f64> {
    let words = found[0].to_lowercase();
    let is_sure = ["sicher", "segur", "sûr", "certain"].iter().any(|sure| words.contains(sure));
    value(found, "").filter(|_| is_sure && found["before"].is_empty())
}

fn chinese(found: &Captures<'_>) -> Option<f64> {
    if !found["before"].trim_end_matches('有').is_empty() {
        return None;
    }
    let name = |name: &str| found.name(name).map(|part| part.as_str());
    if let Some(percent) = name("percent") {
        return percent.parse::<f64>().ok().map(|percent| percent / 100.0);
    }
    if let Some(tenths) = name("tenths") {
        let digits: Vec<f64> = tenths.chars().filter_map(digit).collect();
        // `八九成` is between eight and nine.
        return Some(digits.iter().sum::<f64>() / digits.len() as f64 / 10.0);
    }
    name("words").map_or(Some(1.0), |words| hundredth(words).map(|percent| percent / 100.0))
}

fn digit(c: char) -> Option<f64> {
    "零一二三四五六七八九十".chars().position(|digit| digit == c).map(|digit| digit as f64)
}

/// Returns the number, up to 100, that Chinese numerals or digits are.
fn hundredth(words: &str) -> Option<f64> {
    if words == "百" || words == "一百" {
        return Some(100.0);
    }
    let Some((tens, ones)) = words.split_once('十') else {
        return words
            .parse()
            .ok()
            .or_else(|| words.chars().next().filter(|_| words.chars().nth(1).is_none()).and_then(digit));
    };
    let of = |part: &str, empty: f64| part.chars().next().map_or(Some(empty), digit);
    Some(of(tens, 1.0)? * 10.0 + of(ones, 0.0)?)
}

fn level_of(found: &Captures<'_>) -> Option<f64> {
    let word = found.name("level")?.as_str().to_lowercase();
    LEVELS.iter().find(|(_, words)| words.contains(&word.as_str())).map(|(value, _)| *value)
}

/// Returns the pattern of the words of [`LEVELS`], longest first.
fn levels() -> String {
    let mut words: Vec<&str> = LEVELS.iter().flat_map(|(_, words)| words.iter().copied()).collect();
    words.sort_unstable_by_key(|word| std::cmp::Reverse(word.len()));
    words.join("|")
}

fn is_interval(found: &Captures<'_>) -> bool {
    let after = found.name("after").map_or("", |after| after.as_str()).to_lowercase();
    ["interval", "level", "region", "band", "bound", "limit"].iter().any(|of| after.contains(of))
}

fn is_denied(before: &str) -> bool {
    before
        .split_whitespace()
        .any(|word| matches!(word, "not" | "no" | "don't" | "without" | "lack" | "his" | "her" | "their" | "your"))
}
