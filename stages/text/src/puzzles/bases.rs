//! Puzzle `bases`: a number written in one base, to be written in another.
//!
//! | difficulty | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10 |
//! |---|---|---|---|---|---|---|---|---|---|---|
//! | bits of the number, at most | 5 | 7 | 8 | 10 | 12 | 15 | 18 | 22 | 27 | 32 |
//! | bases | 2, 10 | 2, 8, 10 | 2, 8, 10, 16 | to 10 | to 12 | to 16 | to 16 | to 20 | to 36 | to 36 |
//!
//! ```text
//! { "puzzle": "bases", "digits": "115", "from": 11, "to": 15 }
//! ```
//! `digits` is the number in base `from`; it fits 64 bits.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Value, json};

use super::answer::{Reading, judge};
use super::stream::{between, pick};
use super::{Draw, Problem, Puzzle};
use crate::Verdict;

pub(super) const PUZZLE: Puzzle = Puzzle {
    name: "bases",
    doc: "A number written in one base, from 2 to 36, to be written in another.",
    draw: |difficulty, stream| Some(draw(difficulty, stream)),
    verify,
};

/// By difficulty: the most bits of the number, and the largest base if any base up to it may occur.
const LADDER: [(u32, Option<u32>); 10] = [
    (5, None),
    (7, None),
    (8, None),
    (10, Some(10)),
    (12, Some(12)),
    (15, Some(16)),
    (18, Some(16)),
    (22, Some(20)),
    (27, Some(36)),
    (32, Some(36)),
];

/// The bases of the lowest difficulties: two of them at 1, three at 2, four at 3.
const KNOWN: [u32; 4] = [2, 10, 8, 16];

fn draw(difficulty: usize, draw: &mut dyn Draw) -> Problem {
    let (bits, largest) = LADDER[difficulty - 1];
    let bases: Vec<u32> = largest.map_or_else(|| KNOWN[..=difficulty].to_vec(), |largest| (2..=largest).collect());
    let from = pick(draw, &bases);
    let others: Vec<u32> = bases.into_iter().filter(|base| *base != from).collect();
    let to = pick(draw, &others);
    // The upper half of the range has the full number of bits.
    let value = between(draw, 1 << (bits - 2), (1 << bits) - 1) as u64;
    let (digits, answer) = (spelt(value, from), spelt(value, to));
    Problem {
        question: question(&digits, from, to, draw),
        answer,
        identity: format!("bases {digits} {from} {to}"),
        instance: json!({ "puzzle": "bases", "digits": digits, "from": from, "to": to }),
    }
}

fn question(digits: &str, from: u32, to: u32, draw: &mut dyn Draw) -> String {
    let known = |base: u32| match base {
        2 => Some("binary"),
        8 => Some("octal"),
        10 => Some("decimal"),
        16 => Some("hexadecimal"),
        _ => None,
    };
    let task = match draw.below(4) {
        0 => format!("Convert the base-{from} number {digits} to base {to}."),
        1 => format!("What is {digits} (base {from}) in base {to}?"),
        2 => format!("A number is written {digits} in base {from}. How is it written in base {to}?"),
        _ => match (known(from), known(to)) {
            (Some(from), Some(to)) => format!("Write the {from} number {digits} in {to}."),
            _ => format!("Rewrite {digits}, which is in base {from}, as a number in base {to}."),
        },
    };
    let letters = if from.max(to) > 10 { " The letters a, b, c and so on are the digits from ten on." } else { "" };
    let how = pick(
        draw,
        &[
            "Answer with the digits only, without a prefix or the base.",
            "Give just the digits as the answer.",
            "The answer must be the digits alone.",
        ],
    );
    format!("{task}{letters} {how}")
}

/// Returns a number's digits in a base from 2 to 36.
fn spelt(mut value: u64, base: u32) -> String {
    let mut digits = Vec::new();
    loop {
        let digit = (value % u64::from(base)) as u32;
        digits.push(char::from_digit(digit, base).expect("a remainder is a digit"));
        value /= u64::from(base);
        if value == 0 {
            return digits.into_iter().rev().collect();
        }
    }
}

fn verify(instance: &Value, answer: &str) -> Option<Verdict> {
    let base = |key: &str| instance.get(key)?.as_u64().filter(|base| (2..=36).contains(base)).map(|base| base as u32);
    let (from, to) = (base("from")?, base("to")?);
    let digits = instance.get("digits")?.as_str().filter(|digits| digits.len() <= 64 && !digits.starts_with('+'))?;
    let value = u64::from_str_radix(digits, from).ok()?;
    let reader = Reader { from, to, value };
    Some(judge(answer, |part| reader.read(part), |found| found == value))
}

/// The most numerals that are read in a part.
const MAX_NUMERALS: usize = 500;

/// A run of letters and digits, with the base that is written behind it.
static NUMERAL: LazyLock<Regex> = LazyLock::new(|| {
    let below = r"\s*_\s*\{?\s*(?P<below>\d{1,2})";
    let named = r"\s*\(?\s*(?:in\s+)?base[\s-]*(?P<named>\d{1,2})";
    let minus = r"(?P<minus>(?:^|[\s(=])[-−]\s*)?";
    Regex::new(&format!(r"(?i){minus}(?P<digits>[0-9a-z]+)\)?(?:{below}|(?P<small>[₀-₉]{{1,2}})|{named})?"))
        .expect("a constant pattern")
});

struct Reader {
    from: u32,
    to: u32,
    value: u64,
}

impl Reader {
    /// Reads a part that should hold one number in the base.
    fn read(&self, part: &str) -> Reading<u64> {
        if let Some(value) = self.alone(part) {
            return Reading::One(value);
        }
        let (mut found, mut has_other) = (None, false);
        let mut follows_base = false;
        for numeral in NUMERAL.captures_iter(part).take(MAX_NUMERALS) {
            let digits = numeral["digits"].to_lowercase();
            let is_base = std::mem::replace(&mut follows_base, digits == "base");
            let base = base_of(&numeral);
            // Words are numerals too in large bases, so that only those with a figure count, or with the base behind.
            let has_base = base == Some(self.to) && self.to <= 16 && self.value_of(&digits).is_some();
            if is_base || !has_base && !digits.contains(|c: char| c.is_ascii_digit()) {
                continue;
            }
            if self.is_aside(&digits, base) {
                has_other = true;
                continue;
            }
            // What is no number in the base is a wrong one.
            let value = self.value_of(&digits).filter(|_| numeral.name("minus").is_none()).unwrap_or(u64::MAX);
            if found.replace(value).is_some_and(|other| other != value) {
                return Reading::Several;
            }
        }
        match found {
            Some(value) => Reading::One(value),
            None if has_other => Reading::Part,
            None => Reading::Nothing,
        }
    }

    /// Returns whether digits are not the answer: they are in another base, or repeat the question.
    fn is_aside(&self, digits: &str, base: Option<u32>) -> bool {
        let is_source = u64::from_str_radix(digits, self.from) == Ok(self.value);
        match base {
            Some(base) => base != self.to,
            None => is_source && self.value_of(digits) != Some(self.value),
        }
    }

    /// Reads a part that is a number and nothing else. Digits may stand in groups of three or four, with a prefix and
    /// with the base behind them.
    fn alone(&self, part: &str) -> Option<u64> {
        let part = part.trim().trim_end_matches(['.', ',', ';', '!']).trim();
        let part = part.trim_matches(['"', '\'', '(', ')', '{', '}']).trim().to_lowercase();
        let part = part.strip_suffix(&format!("base {}", self.to)).unwrap_or(&part).trim().trim_end_matches('(').trim();
        let part = part.strip_suffix(" in").unwrap_or(part).trim();
        let groups: Vec<&str> = part.split([' ', '_', ',']).collect();
        let size = groups.get(1).map_or(0, |group| group.len());
        let is_grouped = groups.len() == 1
            || matches!(size, 3 | 4) && groups[1..].iter().all(|group| group.len() == size) && groups[0].len() <= size;
        let has_letters_only = |text: &str| !text.contains(|c: char| c.is_ascii_digit());
        // Several words are prose.
        let is_prose = groups.len() > 1 && groups.iter().any(|group| has_letters_only(group));
        let digits = groups.concat();
        let is_numeral = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let is_answer = !matches!(digits.as_str(), "base" | "unknown" | "none" | "answer");
        (is_grouped && is_numeral && !is_prose && is_answer).then(|| self.value_of(&digits)).flatten()
    }

    /// Returns the value of digits in the base that is asked for.
    fn value_of(&self, digits: &str) -> Option<u64> {
        let plain = u64::from_str_radix(digits, self.to).ok();
        let prefix = match self.to {
            2 => "0b",
            8 => "0o",
            16 => "0x",
            _ => return plain,
        };
        plain.or_else(|| u64::from_str_radix(digits.strip_prefix(prefix)?, self.to).ok())
    }
}

/// Returns the base that is written behind a numeral.
fn base_of(numeral: &regex::Captures<'_>) -> Option<u32> {
    let named = ["below", "named"].iter().find_map(|name| numeral.name(name)?.as_str().parse().ok());
    let digit = |c: char| c as u32 - '₀' as u32;
    named.or_else(|| Some(numeral.name("small")?.as_str().chars().fold(0, |base, c| base * 10 + digit(c))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_as_they_are_written() {
        let instance =
            |digits: &str, from: u32, to: u32| json!({ "puzzle": "bases", "digits": digits, "from": from, "to": to });
        let (small, binary) = (instance("115", 11, 15), instance("213", 10, 2));
        let (hex, letters) = (instance("44032", 10, 16), instance("579", 10, 36));
        for (instance, answer, verdict) in [
            (&small, "92", Verdict::Correct),
            (&small, "**92**", Verdict::Correct),
            (&small, "\\boxed{92_{15}}", Verdict::Correct),
            (&small, "92₁₅", Verdict::Correct),
            (&small, "(92)_{15}", Verdict::Correct),
            (&small, "92 (base 15)", Verdict::Correct),
            (&small, "115 in base 11 is 92 in base 15.", Verdict::Correct),
            (&small, "115_{11} = 137_{10} = 92_{15}", Verdict::Correct),
            (&small, "The answer is 92.", Verdict::Correct),
            (&small, "0092", Verdict::Correct),
            (&small, "29", Verdict::Wrong),
            (&small, "-92", Verdict::Wrong),
            (&small, "92.5", Verdict::Wrong),
            (&small, "92 or 93", Verdict::Wrong),
            (&small, "92, 93", Verdict::Wrong),
            (&small, "115", Verdict::Wrong),
            (&small, "9z2", Verdict::Wrong),
            (&small, "", Verdict::AnswerUnparsed),
            (&binary, "11010101", Verdict::Correct),
            (&binary, "0b11010101", Verdict::Correct),
            (&binary, "1101 0101", Verdict::Correct),
            (&binary, "1101_0101", Verdict::Correct),
            (&binary, "213 in binary is 11010101", Verdict::Correct),
            (&binary, "$213_{10} = 11010101_2$", Verdict::Correct),
            (&binary, "11010100", Verdict::Wrong),
            (&binary, "213", Verdict::Wrong),
            (&hex, "AC00", Verdict::Correct),
            (&hex, "0xAC00", Verdict::Correct),
            (&hex, "the answer is `0xac00`", Verdict::Correct),
            (&hex, "AC0", Verdict::Wrong),
            (&instance("64222", 10, 16), "The answer is FADE in base 16.", Verdict::Correct),
            (&instance("64222", 10, 16), "So 64222 is fade in base 16", Verdict::Correct),
            (&letters, "g3", Verdict::Correct),
            (&instance("12", 10, 16), "\\boxed{\\text{C}}", Verdict::Correct),
            (&instance("12", 10, 16), "Answer: c", Verdict::Correct),
            (&instance("12", 10, 16), "d", Verdict::Wrong),
        ] {
            assert_eq!(verify(instance, answer), Some(verdict), "{answer:?}");
        }
    }
}
