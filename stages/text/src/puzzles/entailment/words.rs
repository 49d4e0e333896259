//! Formulas in English or in signs.

use crate::puzzles::Draw;
use crate::puzzles::formula::Formula;
use crate::puzzles::stream::{pick, sample};
use crate::puzzles::vocabulary::capitalised;

use Formula::{And, Atom, Exactly, If, Iff, Not, Or};

/// Sentences, and their denials.
const SENTENCES: &[[&str; 2]] = &[
    ["the lamp is on", "the lamp is not on"],
    ["it rains", "it does not rain"],
    ["the door is open", "the door is not open"],
    ["the train is late", "the train is not late"],
    ["Ada is at home", "Ada is not at home"],
    ["Ben plays the piano", "Ben does not play the piano"],
    ["the soup is hot", "the soup is not hot"],
    ["the shop has bread", "the shop has no bread"],
    ["Clara wins the race", "Clara does not win the race"],
    ["the dog barks", "the dog does not bark"],
    ["the bridge is closed", "the bridge is not closed"],
    ["the pump runs", "the pump does not run"],
    ["the garden is wet", "the garden is not wet"],
    ["David knows the code", "David does not know the code"],
    ["the clock is right", "the clock is not right"],
    ["the river is frozen", "the river is not frozen"],
    ["Emma has a ticket", "Emma has no ticket"],
    ["the music is loud", "the music is not loud"],
];

/// How the formulas of a question are put into words.
pub(super) enum Words {
    /// Sentences for the atoms.
    English(Vec<[&'static str; 2]>),
    /// Letters, and signs between them.
    Signs(Vec<&'static str>),
}

impl Words {
    pub(super) fn draw(atoms: usize, draw: &mut dyn Draw) -> Self {
        if draw.below(3) == 0 {
            let letters: &[&str] = pick(
                draw,
                &[
                    ["P", "Q", "R", "S", "T", "U", "V"].as_slice(),
                    ["A", "B", "C", "D", "E", "F", "G"].as_slice(),
                    ["p", "q", "r", "s", "t", "u", "v"].as_slice(),
                ],
            );
            return Self::Signs(sample(draw, &letters[..atoms], atoms));
        }
        Self::English(sample(draw, SENTENCES, atoms))
    }

    /// Returns what must be explained, with a space behind it.
    pub(super) fn note(&self) -> &'static str {
        match self {
            Self::English(_) => "\"Or\" means one or the other or both. ",
            Self::Signs(_) => "(¬ is not, ∧ and, ∨ or, → if ... then, ↔ if and only if.) ",
        }
    }

    /// Returns a formula as a sentence.
    pub(super) fn sentence(&self, formula: &Formula) -> String {
        match self {
            Self::English(sentences) => format!("{}.", capitalised(&english(formula, sentences, false))),
            Self::Signs(letters) => {
                let signs = formula.signs(&|atom| letters[atom].to_owned());
                signs
                    .strip_prefix('(')
                    .and_then(|inner| inner.strip_suffix(')'))
                    .filter(|_| !matches!(formula, Not(_)))
                    .map_or_else(|| signs.clone(), str::to_owned)
            }
        }
    }
}

/// Puts a formula into words. Inside another one, what has two sides stands in parentheses.
fn english(formula: &Formula, sentences: &[[&str; 2]], is_inside: bool) -> String {
    let side = |formula: &Formula| english(formula, sentences, true);
    let pair = |text: String| if is_inside { format!("({text})") } else { text };
    match formula {
        Atom(atom) => sentences[*atom][0].to_owned(),
        Not(inner) => match &**inner {
            Atom(atom) => sentences[*atom][1].to_owned(),
            other => pair(format!("it is not the case that {}", side(other))),
        },
        And(left, right) => pair(format!("{} and {}", side(left), side(right))),
        Or(left, right) => pair(format!("{} or {}", side(left), side(right))),
        If(left, right) => pair(format!("if {}, then {}", side(left), side(right))),
        Iff(left, right) => pair(format!("{} if and only if {}", side(left), side(right))),
        Exactly(number) => format!("exactly {number} of these are true"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_in_words_and_signs() {
        let boxed = |formula: Formula| Box::new(formula);
        let both = And(boxed(Atom(0)), boxed(Not(boxed(Atom(1)))));
        let english = Words::English(vec![SENTENCES[0], SENTENCES[1]]);
        let signs = Words::Signs(vec!["P", "Q"]);
        for (formula, words, in_signs) in [
            (Atom(1), "It rains.", "Q"),
            (both.clone(), "The lamp is on and it does not rain.", "P ∧ ¬Q"),
            (Not(boxed(both.clone())), "It is not the case that (the lamp is on and it does not rain).", "¬(P ∧ ¬Q)"),
            (
                If(boxed(both), boxed(Atom(1))),
                "If (the lamp is on and it does not rain), then it rains.",
                "(P ∧ ¬Q) → Q",
            ),
            (
                Or(boxed(If(boxed(Atom(0)), boxed(Atom(1)))), boxed(Iff(boxed(Atom(0)), boxed(Atom(1))))),
                "(If the lamp is on, then it rains) or (the lamp is on if and only if it rains).",
                "(P → Q) ∨ (P ↔ Q)",
            ),
        ] {
            assert_eq!((english.sentence(&formula).as_str(), signs.sentence(&formula).as_str()), (words, in_signs));
        }
    }
}
