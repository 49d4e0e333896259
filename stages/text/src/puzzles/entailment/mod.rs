//! Puzzle `entailment`: premises and a conclusion of propositional logic; does the conclusion follow?
//!
//! Half of the answers are yes. In both halves the conclusion is drawn first, and the premises are drawn so that
//! something follows from them: the conclusion where the answer is yes, something else where it is no. So neither
//! premises nor conclusion look different. The premises never contradict each other. From difficulty 3 on, a conclusion
//! that follows needs several of them.
//!
//! | difficulty | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10 |
//! |---|---|---|---|---|---|---|---|---|---|---|
//! | statements that occur, at most | 2 | 3 | 3 | 4 | 4 | 5 | 5 | 6 | 6 | 7 |
//! | premises | 2 | 2 | 3 | 3 | 4 | 4 | 5 | 5 | 6 | 7 |
//! | operators in a premise, at most | 1 | 1 | 1 | 2 | 2 | 2 | 3 | 3 | 3 | 3 |
//!
//! ```text
//! { "puzzle": "entailment", "premises": ["(P → Q)", "P"], "conclusion": "Q" }
//! ```
//! Formulas are as [`formula::parse`] reads them. At most 7 letters, and 32 premises. Verification computes the answer.

mod words;

use serde_json::{Value, json};

use super::answer::{judge, yes_or_no};
use super::formula::{self, Formula, Table, everything};
use super::identity;
use super::stream::{Pool, coin, pick};
use super::{Draw, Problem, Puzzle};
use crate::Verdict;
use words::Words;

use Formula::{And, Atom, If, Iff, Or};

pub(super) const PUZZLE: Puzzle = Puzzle {
    name: "entailment",
    doc: "Premises and a conclusion of propositional logic: does the conclusion follow?",
    draw,
    verify,
};

/// By difficulty: how many atoms and premises, and the most operators of a premise.
const LADDER: [(usize, usize, usize); 10] =
    [(2, 2, 1), (3, 2, 1), (3, 3, 1), (4, 3, 2), (4, 4, 2), (5, 4, 2), (5, 5, 3), (6, 5, 3), (6, 6, 3), (7, 7, 3)];

/// From this difficulty on, no single premise has the conclusion.
const SEVERAL: usize = 3;

/// How often premises are drawn for a conclusion, and how many are compared for each place.
const TRIES: usize = 300;
const CHOICES: usize = 4;

/// The most premises of an instance.
const MOST: usize = 32;

fn draw(difficulty: usize, draw: &mut dyn Draw) -> Option<Problem> {
    let (atoms, count, operators) = LADDER[difficulty - 1];
    let follows = coin(draw);
    let (premises, conclusion) = (0..TRIES).find_map(|_| {
        let conclusion = contingent(atoms, operators.min(2), draw);
        let hidden = if follows { conclusion.clone() } else { contingent(atoms, operators.min(2), draw) };
        let premises = premises_for(&hidden, atoms, count, operators, draw)?;
        let table = conclusion.table(atoms);
        let is_told = premises.iter().any(|premise| premise.table(atoms) & !table == 0);
        let is_good =
            entails(&premises, &conclusion, atoms) == follows && !(follows && is_told && difficulty >= SEVERAL);
        (is_good && !premises.contains(&conclusion)).then_some((premises, conclusion))
    })?;
    let letters: Vec<String> = ('P'..).take(atoms).map(String::from).collect();
    let signs = |formula: &Formula| formula.signs(&|atom| letters[atom].clone());
    Some(Problem {
        question: question(&premises, &conclusion, atoms, draw),
        answer: if follows { "yes" } else { "no" }.to_owned(),
        identity: identity_of(&premises, &conclusion, atoms),
        instance: json!({
            "puzzle": "entailment",
            "premises": premises.iter().map(signs).collect::<Vec<_>>(),
            "conclusion": signs(&conclusion),
        }),
    })
}

fn entails(premises: &[Formula], conclusion: &Formula, atoms: usize) -> bool {
    models(premises, atoms) & !conclusion.table(atoms) == 0
}

/// Returns where all formulas are true.
fn models(formulas: &[Formula], atoms: usize) -> Table {
    formulas.iter().fold(everything(atoms), |all, formula| all & formula.table(atoms))
}

/// Draws premises that do not contradict each other, and that the conclusion follows from; `None` if the draws fail.
fn premises_for(
    conclusion: &Formula,
    atoms: usize,
    count: usize,
    operators: usize,
    draw: &mut dyn Draw,
) -> Option<Vec<Formula>> {
    let denied = !conclusion.table(atoms);
    let mut left = everything(atoms);
    let mut premises: Vec<Formula> = Vec::new();
    for _ in 0..count {
        let choices: Vec<Formula> = (0..CHOICES).map(|_| contingent(atoms, operators, draw)).collect();
        let useful = choices.into_iter().filter(|choice| left & choice.table(atoms) != 0 && !premises.contains(choice));
        // The one that leaves the fewest cases in which the conclusion is false.
        let best = useful.min_by_key(|choice| (left & choice.table(atoms) & denied).count_ones())?;
        left &= best.table(atoms);
        premises.push(best);
    }
    (left & denied == 0).then_some(premises)
}

/// Draws a formula that is neither always true nor always false.
fn contingent(atoms: usize, operators: usize, draw: &mut dyn Draw) -> Formula {
    let count = draw.below(operators + 1);
    let drawn = formula_with(&mut Pool::new(atoms), count, draw);
    let table = drawn.table(atoms);
    if table == 0 || table == everything(atoms) { Atom(draw.below(atoms)) } else { drawn }
}

fn formula_with(pool: &mut Pool, operators: usize, draw: &mut dyn Draw) -> Formula {
    if operators == 0 {
        let atom = Atom(pool.draw(draw));
        return if coin(draw) { atom } else { atom.denied() };
    }
    let left = draw.below(operators);
    let sides = (formula_with(pool, left, draw), formula_with(pool, operators - 1 - left, draw));
    let pair = pick(draw, &[And, Or, Or, If, If, If, Iff]);
    let formula = pair(Box::new(sides.0), Box::new(sides.1));
    if draw.below(8) == 0 { formula.denied() } else { formula }
}

/// Returns the same text for problems that differ only in what the atoms are called and in order.
fn identity_of(premises: &[Formula], conclusion: &Formula, atoms: usize) -> String {
    let all = |spell: &dyn Fn(usize) -> String| {
        let premises = premises.iter().map(|premise| premise.shape(spell)).collect();
        format!("{}:{}", identity::sorted(premises), conclusion.shape(spell))
    };
    let colours = identity::colours(atoms, |own, colours| {
        all(&|atom| if atom == own { "self".to_owned() } else { format!("{:x}", colours[atom]) })
    });
    format!("entailment {:016x}", identity::hash(&all(&|atom| format!("{:x}", colours[atom]))))
}

fn question(premises: &[Formula], conclusion: &Formula, atoms: usize, draw: &mut dyn Draw) -> String {
    let words = Words::draw(atoms, draw);
    let premises: Vec<String> = premises.iter().map(|premise| words.sentence(premise)).collect();
    let lines = |mark: fn(usize) -> String| {
        let lines = premises.iter().enumerate().map(|(at, premise)| format!("{} {premise}", mark(at + 1)));
        lines.collect::<Vec<_>>().join("\n")
    };
    let numbered = || lines(|number| format!("{number}."));
    let conclusion = words.sentence(conclusion);
    let note = words.note();
    let how = pick(
        draw,
        &[
            "Answer yes or no.",
            "The answer must be \"yes\" or \"no\".",
            "Give one word as the answer: yes if it follows, no if it does not.",
        ],
    );
    match draw.below(4) {
        0 => format!(
            "Premises:\n{}\nConclusion:\n{conclusion}\nDoes the conclusion follow from the premises? {note}{how}",
            numbered()
        ),
        1 => format!(
            "Suppose that all of these are true:\n{}\nMust this be true, too?\n{conclusion}\n{note}{how}",
            numbered()
        ),
        2 => format!("Is the argument valid?\n{}\nTherefore: {conclusion}\n{note}{how}", lines(|_| "-".to_owned())),
        _ => format!("It is known:\n{}\nDo these facts entail the following?\n{conclusion}\n{note}{how}", numbered()),
    }
}

fn verify(instance: &Value, answer: &str) -> Option<Verdict> {
    let mut names = Vec::new();
    let premises = instance.get("premises")?.as_array().filter(|premises| premises.len() <= MOST)?;
    let premises: Vec<Formula> =
        premises.iter().map(|premise| formula::parse(premise.as_str()?, &mut names)).collect::<Option<_>>()?;
    let conclusion = formula::parse(instance.get("conclusion")?.as_str()?, &mut names)?;
    let right = entails(&premises, &conclusion, names.len());
    let yes = ["conclusion follows", "it follows", "does follow", "is entailed", "argument is valid", "must be true"];
    let no = ["not follow", "n't follow", "n’t follow", "not entailed", "not valid", "invalid", "need not be true"];
    Some(judge(answer, |part| yes_or_no(part, &yes, &no), |follows| follows == right))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_as_they_are_written() {
        let instance = |premises: [&str; 2], conclusion: &str| {
            let puzzle = "entailment";
            json!({ "puzzle": puzzle, "premises": premises, "conclusion": conclusion })
        };
        let (valid, invalid) = (instance(["(P → Q)", "P"], "Q"), instance(["P → Q", "Q"], "P"));
        for (answer, is_yes) in [
            ("yes", Some(true)),
            ("**Yes**", Some(true)),
            ("Yes, it follows: there is no case in which it fails.", Some(true)),
            ("The answer is \\boxed{\\text{No}}.", Some(false)),
            ("No. P may be false.", Some(false)),
            ("no it does not", Some(false)),
            ("The conclusion follows, for there is no case in which it fails.", Some(true)),
            ("No counterexample exists, so the conclusion follows.", Some(true)),
            ("The conclusion does not follow.", Some(false)),
            ("Thus the conclusion follows from the premises.", Some(true)),
            ("By modus ponens, Q must hold.\n\nAnswer: Yes", Some(true)),
            ("true", Some(true)),
        ] {
            let expected = |gold: bool| is_yes.map(|yes| if yes == gold { Verdict::Correct } else { Verdict::Wrong });
            assert_eq!(verify(&valid, answer), expected(true), "{answer:?}");
            assert_eq!(verify(&invalid, answer), expected(false), "{answer:?}");
        }
        for answer in [
            "yes or no",
            "Yes. No.",
            "yes/no",
            "maybe yes",
            "Answer: yes\nAnswer: no",
            "not yes",
            "Yes, or no",
            "yes and no",
            "Yes / No",
            "yes but no",
            "no or yes",
            "no yes no",
            "no yes",
        ] {
            assert_eq!(verify(&valid, answer), Some(Verdict::Wrong), "{answer:?}");
            assert_eq!(verify(&invalid, answer), Some(Verdict::Wrong), "{answer:?}");
        }
        assert_eq!(verify(&valid, "It depends"), Some(Verdict::AnswerUnparsed));
    }
}
