//! Mutated golds and answers: nothing panics, the same pair gets the same verdict, and whether a gold answer parses
//! does not depend on the answer. With `R1FLOW_FUZZ_SECONDS=3600` at compile time it goes on for so long.

use std::time::{Duration, Instant};

use super::super::{Tolerance, canonical, explain, verify};
use crate::Verdict::GoldUnparsed;

const PAIRS: usize = 1_000;

const CORPUS: [&str; 32] = [
    "The answer is **9**.",
    "\\boxed{\\frac{1}{2}}",
    "so \\boxed{(1, 3)} or \\boxed{[0, 1)}",
    "#### 1,080",
    "x^2 - 1 = (x-1)(x+1)",
    "\\begin{pmatrix} 1 & 2 \\\\ 3 & 4 \\end{pmatrix}",
    "$2\\sqrt{3} + \\pi$",
    "-3 < x \\le 5",
    "\\{x \\mid x > 3\\}",
    "(-\\infty, 2) \\cup [5, \\infty)",
    "10{,}000",
    "5 km and 300 m",
    "\\$5.50",
    "33.\\overline{3}\\%",
    "1 \\pm \\sqrt{2}",
    "\\sum_{n=0}^{\\infty} \\frac{x^n}{n!}",
    "\\log_2 8 = 3",
    "\\sin 30^{\\circ}",
    "2 + 3i",
    "1101_2",
    "3:45 pm",
    "答案是9元。",
    "Ответ: 12,5",
    "No, wait. The answer is 7, not 5.",
    "\\text{June 20}",
    "y = -\\frac{1}{2}x + 3",
    "\\binom{10}{3}",
    "5!",
    "1.5 \\times 10^{-3}",
    "A = 4, B = 5",
    "\\sqrt[3]{x^2 y}",
    "１２½²",
];

const BITS: [&str; 40] = [
    "\\frac",
    "{",
    "}",
    "\\boxed{",
    "^",
    "_",
    "9",
    "é",
    "个",
    "\\begin{pmatrix}",
    "\\end{pmatrix}",
    "&",
    "\\\\",
    "|",
    "\\sqrt[",
    "\\sum_{k=1}^{999}",
    " or ",
    " not ",
    "=",
    "<",
    ",",
    ";",
    "(",
    ")",
    "[",
    "]",
    "\\{",
    "!",
    "%",
    "°",
    "**",
    "####",
    "the answer is ",
    "\\text{",
    "x",
    "-",
    "1e999",
    "\\pm",
    "€",
    "\n",
];

/// A stream of numbers (xorshift).
struct Draws(u64);

impl Draws {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).unwrap()
    }

    fn text(&mut self) -> String {
        let mut text = CORPUS[self.below(CORPUS.len())].to_owned();
        for _ in 0..self.below(8) {
            let at = self.below(text.len() + 1);
            let at = text.floor_char_boundary(at);
            match self.below(5) {
                0 => text.insert_str(at, BITS[self.below(BITS.len())]),
                1 => text.truncate(at),
                2 => text.insert_str(at, CORPUS[self.below(CORPUS.len())]),
                3 => text.insert_str(at, &BITS[self.below(BITS.len())].repeat(1 + self.below(60))),
                _ => text = text.split_off(at) + &text,
            }
        }
        text
    }
}

#[test]
fn mutated_pairs_are_judged_the_same_again() {
    let seconds = option_env!("R1FLOW_FUZZ_SECONDS").and_then(|seconds| seconds.parse().ok());
    let end = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let mut draws = Draws(0x9e37_79b9_7f4a_7c15);
    let mut pairs = 0;
    while end.map_or(pairs < PAIRS, |end| Instant::now() < end) {
        let (gold, answer) = (draws.text(), draws.text());
        let verdict = verify(&gold, &answer);
        assert_eq!(verdict, verify(&gold, &answer), "{gold:?} {answer:?}");
        assert_eq!(verdict == GoldUnparsed, verify(&gold, &gold) == GoldUnparsed, "{gold:?} {answer:?}");
        assert_eq!(canonical(&answer), canonical(&answer), "{answer:?}");
        let explained = explain(&gold, &answer, Some(Tolerance::Figures(3)));
        assert!(verdict == GoldUnparsed || explained.found.is_some() || !explained.place.is_empty(), "{answer:?}");
        pairs += 1;
    }
}
