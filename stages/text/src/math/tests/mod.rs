//! Tables of cases for the checker, and real problem sets if they are on this machine.

use std::path::PathBuf;

mod meaning;
mod mutations;

use super::*;
use crate::Verdict::{AnswerUnparsed, Correct, GoldUnparsed, Wrong};

fn check(verdict: Verdict, cases: &[(&str, &str)]) {
    for (gold, answer) in cases {
        assert_eq!(verify(gold, answer), verdict, "gold {gold:?}, answer {answer:?}");
    }
}

#[test]
fn numbers() {
    check(
        Correct,
        &[
            ("18", "18"),
            ("145.0", "145"),
            ("18", "18.0"),
            ("18", "18."),
            ("18", "+18"),
            ("-3", "-3"),
            ("-3", "−3"),
            ("0.5", ".5"),
            ("0.5", "1/2"),
            ("1/2", "2/4"),
            ("1/2", "50/100"),
            ("1 1/2", "3/2"),
            ("1.5", "1 1/2"),
            ("7425000", "7,425,000"),
            ("1,000", "1000"),
            ("28", "28%"),
            ("28\\%", "28 %"),
            ("1500", "1.5e3"),
            ("1500", "1.5 \\times 10^{3}"),
            ("0.0015", "1.5\\cdot10^{-3}"),
            ("120", "$120"),
            ("120", "\\$120"),
            ("12.50", "€12.5"),
            ("-\\frac{1}{2}", "-0.5"),
            ("\\frac{1}{2}", "0.5"),
            ("\\dfrac{3}{4}", "3/4"),
            ("\\frac12", "1/2"),
            ("\\frac{1}2", "1/2"),
            ("2\\frac{1}{2}", "2.5"),
            ("0.1", "1/10"),
            ("12345678901234567890123456789", "12,345,678,901,234,567,890,123,456,789"),
        ],
    );
    check(
        Wrong,
        &[
            ("18", "17"),
            ("18", "-18"),
            ("18", "180"),
            ("18", "1.8"),
            ("0.3333", "1/3"),
            ("1/2", "2/1"),
            ("1000", "1,00"),
            ("12345678901234567890123456789", "12345678901234567890123456788"),
            ("28", "0.28"),
            ("2\\frac{1}{2}", "2"),
        ],
    );
}

#[test]
fn units_and_dress() {
    check(
        Correct,
        &[
            ("9", "9 apples"),
            ("18", "18 dollars"),
            ("18", "$18 dollars"),
            ("5", "5 km"),
            ("45", "45 cm^2"),
            ("60", "60 km/h"),
            ("90", "90^\\circ"),
            ("90", "90°"),
            ("5", "5\\text{ meters}"),
            ("5", "5 \\mathrm{~m}"),
            ("12", "x = 12"),
            ("12", "$x=12$"),
            ("12", "\\(12\\)"),
            ("1/2", "1/2 cup"),
            ("9", "9个"),
        ],
    );
}

#[test]
fn extraction() {
    check(
        Correct,
        &[
            ("18", "She sells 9 * 2 = $<<9*2=18>>18 every day.\n#### 18"),
            ("18", "#### 18\n"),
            ("5", "so \\boxed{5}"),
            ("5", "first \\boxed{4}, then \\boxed{5}."),
            ("\\frac{1}{2}", "\\boxed{\\frac{1}{2}}"),
            ("3", "\\boxed{x = 3}"),
            ("7", "the answer is 7"),
            ("7", "The final answer is: 7."),
            ("7", "Answer: 7"),
            ("7", "The answer is 3. No, the answer is 7"),
            ("7", "5+2=7"),
            ("7", "maybe 7"),
            ("7", "there are 3 cats and 4 dogs, so 7"),
            ("1200", "we need 1,200 of them"),
            ("-4", "it is -4 degrees"),
            ("2.5", "about 2.5 of them."),
            ("3/4", "he ate 3/4 of it"),
            ("10", "the answer is 10 apples"),
            ("\\boxed{12}", "12"),
            ("Natalia sold 48+24 = <<48+24=72>>72 clips.\n#### 72", "72"),
        ],
    );
    check(
        Wrong,
        &[("4", "first 4, then 5"), ("4", "\\boxed{4} \\boxed{5}"), ("5", "x\\boxed{6} 5"), ("18", "18 or 19")],
    );
}

#[test]
fn structures_and_symbols() {
    check(
        Correct,
        &[
            ("(1, 2)", "(1,2)"),
            ("(1, 2)", "\\left( 1, 2 \\right)"),
            ("(0.5, 3)", "(1/2, 3)"),
            ("[0, 1)", "[0,1)"),
            ("3\\sqrt{2}", "3 \\sqrt{2}"),
            ("3\\sqrt{2}", "3\\sqrt2"),
            ("2\\pi", "2 \\pi"),
            ("2π", "2\\pi"),
            ("x^2+1", "$x^2 + 1$"),
            ("x", "x"),
            ("((1,2),3)", "((1, 2), 3)"),
            ("\\frac{\\sqrt{3}}{2}", "\\dfrac{\\sqrt{3}}{2}"),
        ],
    );
    check(
        Wrong,
        &[
            ("(1, 2)", "(2, 1)"),
            ("(1, 2)", "(1, 2, 3)"),
            ("[0, 1)", "(0, 1)"),
            ("3\\sqrt{2}", "3\\sqrt{3}"),
            ("x+1", "x-1"),
            ("2\\pi", "\\boxed{2}"),
        ],
    );
}

#[test]
fn what_is_not_understood_is_never_correct() {
    check(
        GoldUnparsed,
        &[("", "7"), ("?", "?"), ("n/a", "n/a"), ("\\frac{1", "1"), ("x = ", "x"), ("\\boxed{}", "7"), ("5 4.6", "5")],
    );
    check(
        AnswerUnparsed,
        &[("7", ""), ("7", "seven"), ("7", "i do not know"), ("7", "\\boxed{}"), ("7", "#### "), ("7", "...")],
    );
}

#[test]
fn hostile_input_costs_nothing() {
    let nines = "9".repeat(100_000);
    assert_ne!(verify("7", &nines), Correct);
    assert_ne!(verify("7", "1e999999999"), Correct);
    assert_ne!(verify("7", "9^9^9^9"), Correct);
    assert_ne!(verify("7", &"\\frac{1}{".repeat(5_000)), Correct);
    assert_ne!(verify("7", &"\\boxed{".repeat(5_000)), Correct);
    assert_ne!(verify("7", &"(".repeat(10_000)), Correct);
    assert_ne!(verify("7", "1/0"), Correct);
    for mark in ["°", "%", "^\\circ", " m°"] {
        let many = |count| format!("20{}", mark.repeat(count));
        assert_ne!(verify(&many(60), &many(61)), Correct, "{mark}: comparisons must not branch at every level");
    }
    assert_eq!(verify("7", &format!("{}#### 7", "é".repeat(100_000))), Correct);
}

fn problem_set(name: &str) -> Option<Vec<serde_json::Value>> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data").join(name);
    let text = fs_err::read_to_string(path).ok()?;
    Some(text.lines().map(|line| serde_json::from_str(line).expect("a problem set is JSON lines")).collect())
}

#[test]
fn every_gsm8k_solution_earns_its_own_gold() {
    let Some(rows) = problem_set("gsm8k-test.jsonl") else {
        eprintln_skip("gsm8k-test.jsonl");
        return;
    };
    for row in rows {
        let solution = row["answer"].as_str().unwrap();
        let (_, gold) = solution.rsplit_once("####").unwrap();
        assert_eq!(verify(gold, solution), Correct, "{solution}");
        // `70,0009` is not even a number.
        assert_ne!(verify(gold, &format!("<answer>{gold}9</answer>")), Correct, "{gold}");
    }
}

#[test]
fn real_golds_equal_themselves() {
    for (name, field) in [
        ("svamp.jsonl", "Answer"),
        ("mawps-singleop.jsonl", "target"),
        ("aime24.jsonl", "answer"),
        ("amc23.jsonl", "answer"),
        ("cmath.jsonl", "answer"),
    ] {
        let Some(rows) = problem_set(name) else {
            eprintln_skip(name);
            continue;
        };
        for row in rows {
            let gold = row[field].as_str().map_or_else(|| row[field].to_string(), str::to_owned);
            assert_eq!(verify(&gold, &gold), Correct, "{name}: {gold}");
        }
    }
}

#[expect(clippy::print_stderr, reason = "a test that skips says so")]
fn eprintln_skip(name: &str) {
    eprintln!("skipped: {name} is not at hand");
}
