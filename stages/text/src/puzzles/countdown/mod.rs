//! Puzzle `countdown`: numbers and a target; find an expression that gives the target.
//!
//! Any expression that gives the target is right. Each number may be used at most once, or must be used exactly once
//! where the question asks for all of them. A number is never made by writing digits one behind another.
//!
//! | difficulty | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10 |
//! |---|---|---|---|---|---|---|---|---|---|---|
//! | numbers | 3 | 3 | 4 | 4 | 5 | 5 | 6 | 6 | 7 | 8 |
//! | the largest number | 10 | 20 | 20 | 30 | 40 | 50 | 60 | 75 | 99 | 99 |
//! | the largest target | 50 | 100 | 150 | 200 | 300 | 400 | 500 | 700 | 900 | 999 |
//!
//! ```text
//! { "puzzle": "countdown", "numbers": [3, 5, 2], "target": 16, "all": true }
//! ```
//! `all` says that every number must be used. Numbers and target are whole, at most [`MOST`]; at most 16 numbers.

mod expression;

use num_bigint::BigInt;
use num_rational::BigRational;
use serde_json::{Value, json};

use super::answer::judge;
use super::stream::{between, coin, pick, shuffle};
use super::vocabulary::list;
use super::{Draw, Problem, Puzzle};
use crate::Verdict;

pub(super) const PUZZLE: Puzzle = Puzzle {
    name: "countdown",
    doc: "Numbers and a target: an expression of the numbers that gives the target.",
    draw,
    verify,
};

/// By difficulty: how many numbers, the largest one, the largest target.
const LADDER: [(usize, usize, i64); 10] = [
    (3, 10, 50),
    (3, 20, 100),
    (4, 20, 150),
    (4, 30, 200),
    (5, 40, 300),
    (5, 50, 400),
    (6, 60, 500),
    (6, 75, 700),
    (7, 99, 900),
    (8, 99, 999),
];

/// The largest number of an instance.
const MOST: i64 = 1_000_000_000;

/// How often numbers are drawn until an expression of them gives a target within bounds.
const TRIES: usize = 200;

fn draw(difficulty: usize, draw: &mut dyn Draw) -> Option<Problem> {
    let (count, largest, most) = LADDER[difficulty - 1];
    let (mut numbers, target, solution) = (0..TRIES).find_map(|_| {
        let numbers: Vec<i64> = (0..count).map(|_| between(draw, 1, largest) as i64).collect();
        let (target, solution) = expression_of(&numbers, draw)?;
        let is_target = (1..=most).contains(&target) && !numbers.contains(&target);
        is_target.then_some((numbers, target, solution))
    })?;
    let all = coin(draw);
    shuffle(draw, &mut numbers);
    let question = question(&numbers, target, all, draw);
    let mut sorted = numbers.clone();
    sorted.sort_unstable();
    Some(Problem {
        question,
        answer: solution,
        identity: format!("countdown {sorted:?} {target}"),
        instance: json!({ "puzzle": "countdown", "numbers": numbers, "target": target, "all": all }),
    })
}

fn question(numbers: &[i64], target: i64, all: bool, draw: &mut dyn Draw) -> String {
    let numbers: Vec<String> = numbers.iter().map(ToString::to_string).collect();
    let (and, comma) = (list(&numbers), numbers.join(", "));
    let task = match draw.below(4) {
        0 => format!("Using the numbers {and}, write an expression that equals {target}."),
        1 => format!("Numbers: {comma}\nTarget: {target}\nCombine the numbers so that the result is the target."),
        2 => format!("How can {target} be made from {and}?"),
        _ => format!("Find an arithmetic expression with the value {target}. You are given these numbers: {comma}."),
    };
    let uses = if all {
        pick(draw, &["Use every number exactly once.", "Each of the numbers must be used, and only once."])
    } else {
        pick(draw, &["Use each number at most once.", "You need not use all numbers, and none more than once."])
    };
    let rules = pick(
        draw,
        &[
            "You may use +, -, *, / and parentheses; do not put digits together to make new numbers.",
            "Only +, -, *, / and parentheses are allowed, and numbers may not be joined to longer ones.",
        ],
    );
    let form = pick(
        draw,
        &[
            "Give one expression as the answer, such as (1 + 2) * 3.",
            "The answer must be a single expression, for example 7 * (4 - 2).",
        ],
    );
    format!("{task} {uses} {rules} {form}")
}

/// A part of an expression that is being drawn: its value, its text, and whether it is a sum or a product.
struct Drawn {
    value: i64,
    text: String,
    sign: char,
}

impl Drawn {
    /// Returns the text as an operand. Sums need parentheses beside `*` and `/`, and what is behind `-` or `/` does.
    fn operand(&self, sign: char, is_right: bool) -> String {
        let is_sum = matches!(self.sign, '+' | '-');
        let needs_parentheses = match sign {
            '+' => false,
            '-' => is_right && is_sum,
            '*' => is_sum || is_right && self.sign == '/',
            _ => is_sum || is_right && self.sign != ' ',
        };
        if needs_parentheses { format!("({})", self.text) } else { self.text.clone() }
    }
}

/// Draws an expression of all numbers whose steps are all whole and not negative.
fn expression_of(numbers: &[i64], draw: &mut dyn Draw) -> Option<(i64, String)> {
    let mut parts: Vec<Drawn> =
        numbers.iter().map(|number| Drawn { value: *number, text: number.to_string(), sign: ' ' }).collect();
    while parts.len() > 1 {
        let one = parts.swap_remove(draw.below(parts.len()));
        let other = parts.swap_remove(draw.below(parts.len()));
        let (left, right) = if one.value >= other.value { (one, other) } else { (other, one) };
        let divides = right.value > 1 && left.value % right.value == 0;
        // A division is rarely possible, so it is taken more often where it is.
        let sign = if divides && coin(draw) { '/' } else { pick(draw, &['+', '-', '*']) };
        let value = match sign {
            '+' => left.value.checked_add(right.value)?,
            '-' => left.value - right.value,
            '*' => left.value.checked_mul(right.value)?,
            _ => left.value / right.value,
        };
        let text = format!("{} {sign} {}", left.operand(sign, false), right.operand(sign, true));
        parts.push(Drawn { value, text, sign });
    }
    parts.pop().map(|all| (all.value, all.text))
}

fn verify(instance: &Value, answer: &str) -> Option<Verdict> {
    let numbers = instance.get("numbers")?.as_array().filter(|numbers| (1..=16).contains(&numbers.len()))?;
    let numbers: Vec<i64> = numbers.iter().map(whole).collect::<Option<_>>()?;
    let target = BigRational::from(BigInt::from(whole(instance.get("target")?)?));
    let all = instance.get("all")?.as_bool()?;
    Some(judge(answer, expression::read, |found| found.value == target && uses_rightly(&found.numbers, numbers, all)))
}

fn whole(value: &Value) -> Option<i64> {
    value.as_i64().filter(|number| (-MOST..=MOST).contains(number))
}

/// Returns whether an expression's numbers are among those given.
fn uses_rightly(used: &[i64], mut given: Vec<i64>, all: bool) -> bool {
    let are_given = used.iter().all(|number| {
        let at = given.iter().position(|given| given == number);
        at.map(|at| given.swap_remove(at)).is_some()
    });
    are_given && (given.is_empty() || !all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_as_they_are_written() {
        let instance = json!({ "puzzle": "countdown", "numbers": [3, 5, 2, 1], "target": 16, "all": false });
        for (answer, verdict) in [
            ("(3+5)*2", Verdict::Correct),
            ("(3 + 5) * 2 = 16", Verdict::Correct),
            ("16 = 2(3+5)", Verdict::Correct),
            ("**(3+5)×2**", Verdict::Correct),
            ("$2 \\times (3 + 5) = 16$", Verdict::Correct),
            ("So the answer is \\boxed{\\left(3+5\\right) \\cdot 2}.", Verdict::Correct),
            ("\\[\\boxed{\\frac{3+5}{1} \\times 2}\\]", Verdict::Correct),
            ("3 + 5 is 8, and doubled that is 16.\n\nAnswer: (3 + 5) x 2", Verdict::Correct),
            ("(3+5)*2 = 8*2 = 16", Verdict::Correct),
            ("(5 − −3) ÷ 1 × 2", Verdict::Correct),
            ("The answer is (3+5)*2, which equals 16.", Verdict::Correct),
            ("`(3+5)*2`", Verdict::Correct),
            ("3+5 = 8\n8*2 = 16\nAnswer: (3+5)*2", Verdict::Correct),
            ("(3+5)*2/1/1", Verdict::Wrong),
            ("(3+5)*2 = 15", Verdict::Wrong),
            ("(3+5)*2+0", Verdict::Wrong),
            ("16", Verdict::Wrong),
            ("15+1", Verdict::Wrong),
            ("(3+5)*2 or 2*(5+3)", Verdict::Wrong),
            ("Answer: 5*3+1\nOr: (3+5)*2", Verdict::Wrong),
            ("\\boxed{5*3+1} \\boxed{(3+5)*2}", Verdict::Wrong),
            ("3*5+2-1/(2-2)", Verdict::Wrong),
            ("(3+5)*2.", Verdict::Correct),
            ("1.0*(3+5)*2", Verdict::Correct),
            ("1.5*(3+5)*2", Verdict::AnswerUnparsed),
            ("- (3+5)*2", Verdict::Correct),
            ("2^(3+1)", Verdict::AnswerUnparsed),
            ("(3+5*2", Verdict::AnswerUnparsed),
            ("I do not know.", Verdict::AnswerUnparsed),
            ("", Verdict::AnswerUnparsed),
        ] {
            assert_eq!(verify(&instance, answer), Some(verdict), "{answer:?}");
        }
        let all = json!({ "puzzle": "countdown", "numbers": [3, 5, 2, 1], "target": 16, "all": true });
        assert_eq!(verify(&all, "(3+5)*2"), Some(Verdict::Wrong));
        assert_eq!(verify(&all, "(3+5)*2*1"), Some(Verdict::Correct));
        let thirds = json!({ "puzzle": "countdown", "numbers": [8, 3, 8, 3], "target": 24, "all": true });
        assert_eq!(verify(&thirds, "8/(3-8/3)"), Some(Verdict::Correct));
    }
}
