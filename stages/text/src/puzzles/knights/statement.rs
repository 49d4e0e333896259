//! What knights and knaves say: drawing, and putting into words.

use super::Statement;
use crate::puzzles::Draw;
use crate::puzzles::formula::{Formula, everything};
use crate::puzzles::stream::{Pool, coin, pick};
use crate::puzzles::vocabulary::capitalised;

use Formula::{And, Atom, Exactly, If, Iff, Not, Or};

/// How often a statement is drawn until it fits its speaker and says something.
const TRIES: usize = 40;

/// Draws a statement that its speaker may make in the solution. `None` if the draws give none.
pub(super) fn draw(
    speaker: usize,
    solution: usize,
    people: usize,
    operators: usize,
    draw: &mut dyn Draw,
) -> Option<Statement> {
    (0..TRIES).find_map(|_| {
        let says = formula(&mut Pool::new(people), people, operators, draw);
        let table = says.table(people);
        let says_something = table != 0 && table != everything(people);
        let statement = Statement { speaker, says };
        let table = statement.table(people);
        (says_something && table >> solution & 1 == 1 && table != everything(people)).then_some(statement)
    })
}

/// Draws what someone could say of people of the pool with at most so many operators.
fn formula(pool: &mut Pool, people: usize, operators: usize, draw: &mut dyn Draw) -> Formula {
    if operators == 0 {
        let about = Atom(pool.draw(draw));
        return if coin(draw) { about } else { about.denied() };
    }
    if people > 2 && draw.below(6) == 0 {
        return Exactly(draw.below(people + 1));
    }
    if operators == 1 && draw.below(3) == 0 {
        return formula(pool, people, 0, draw);
    }
    let left = draw.below(operators);
    let right = operators - 1 - left;
    let (left, right) = (formula(pool, people, left, draw), formula(pool, people, right, draw));
    let pair = pick(draw, &[And, Or, If, Iff]);
    let said = pair(Box::new(left), Box::new(right));
    if draw.below(8) == 0 { said.denied() } else { said }
}

/// Returns a statement in its speaker's words, with a capital and without a full stop.
pub(super) fn words(statement: &Statement, names: &[&str], terms: [&str; 2]) -> String {
    capitalised(&Words { speaker: statement.speaker, names, terms }.of(&statement.says, false))
}

/// Returns the plural of a word for a kind.
pub(super) fn plural(term: &str) -> String {
    if term.ends_with('o') { format!("{term}es") } else { format!("{term}s") }
}

struct Words<'a> {
    speaker: usize,
    names: &'a [&'a str],
    terms: [&'a str; 2],
}

impl Words<'_> {
    /// Puts a formula into words. Inside another one, what has two sides stands in parentheses.
    fn of(&self, formula: &Formula, is_inside: bool) -> String {
        let pair = |text: String| if is_inside { format!("({text})") } else { text };
        let side = |formula: &Formula| self.of(formula, true);
        match formula {
            Atom(person) => self.kind(*person, 0),
            Not(inner) => match &**inner {
                Atom(person) => self.kind(*person, 1),
                other => pair(format!("it is not true that {}", side(other))),
            },
            And(left, right) => pair(format!("{} and {}", side(left), side(right))),
            Or(left, right) => pair(format!("{} or {}", side(left), side(right))),
            If(left, right) => pair(format!("if {}, then {}", side(left), side(right))),
            Iff(left, right) => pair(format!("{} if and only if {}", side(left), side(right))),
            Exactly(0) => format!("none of us is a {}", self.terms[0]),
            Exactly(1) => format!("exactly one of us is a {}", self.terms[0]),
            Exactly(number) if *number == self.names.len() => format!("all of us are {}", plural(self.terms[0])),
            Exactly(number) => format!("exactly {number} of us are {}", plural(self.terms[0])),
        }
    }

    fn kind(&self, person: usize, term: usize) -> String {
        let subject = if person == self.speaker { "I am" } else { &format!("{} is", self.names[person]) };
        format!("{subject} a {}", self.terms[term])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_in_words() {
        let boxed = |formula: Formula| Box::new(formula);
        let not = Not(boxed(Atom(1)));
        for (says, words_of) in [
            (not.clone(), "Ben is a sinner"),
            (If(boxed(Atom(0)), boxed(Exactly(2))), "If I am a saint, then all of us are saints"),
            (
                And(boxed(Or(boxed(not), boxed(Atom(1)))), boxed(Exactly(1))),
                "(Ben is a sinner or Ben is a saint) and exactly one of us is a saint",
            ),
            (
                Not(boxed(Iff(boxed(Atom(0)), boxed(Atom(1))))),
                "It is not true that (I am a saint if and only if Ben is a saint)",
            ),
            (
                Iff(boxed(Not(boxed(Iff(boxed(Atom(0)), boxed(Atom(1)))))), boxed(Atom(0))),
                "(It is not true that (I am a saint if and only if Ben is a saint)) if and only if I am a saint",
            ),
            (Exactly(0), "None of us is a saint"),
        ] {
            let statement = Statement { speaker: 0, says };
            assert_eq!(words(&statement, &["Ada", "Ben"], ["saint", "sinner"]), words_of);
        }
    }
}
