//! Puzzle `knights`: knights always tell the truth and knaves always lie; who is what, by what they say?
//!
//! Every problem has exactly one solution, found by trying all assignments. Someone who speaks twice makes two
//! statements of the same kind.
//!
//! | difficulty | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10 |
//! |---|---|---|---|---|---|---|---|---|---|---|
//! | people | 2 | 2 | 3 | 3 | 4 | 4 | 5 | 6 | 6 | 7 |
//! | operators in a statement, at most | 1 | 2 | 1 | 2 | 2 | 3 | 3 | 3 | 4 | 4 |
//!
//! ```text
//! { "puzzle": "knights", "terms": ["knight", "knave"], "people": [["Ada", true], ["Ben", false]] }
//! ```
//! `terms` are the words for those who tell the truth and for those who lie; `people` says who is of the first kind.
//! At most 32 people.

mod read;
mod statement;

use serde_json::{Value, json};

use super::answer::judge;
use super::formula::{Formula, Table, everything};
use super::identity;
use super::stream::{pick, sample, shuffle};
use super::vocabulary::{NAMES, list};
use super::{Draw, Problem, Puzzle};
use crate::Verdict;

pub(super) const PUZZLE: Puzzle = Puzzle {
    name: "knights",
    doc: "Knights tell the truth and knaves lie: who is what, by what they say?",
    draw,
    verify,
};

/// By difficulty: how many people, and the most operators of a statement.
const LADDER: [(usize, usize); 10] = [(2, 1), (2, 2), (3, 1), (3, 2), (4, 2), (4, 3), (5, 3), (6, 3), (6, 4), (7, 4)];

/// How often all statements are drawn anew.
const TRIES: usize = 50;

/// The most statements beyond one for each person, after which they are drawn anew.
const MAX_MORE: usize = 3;

/// The words for the two kinds.
const TERMS: [[&str; 2]; 5] =
    [["knight", "knave"], ["knight", "knave"], ["saint", "sinner"], ["hero", "villain"], ["sage", "fool"]];

/// What someone says.
#[derive(Clone, Debug)]
struct Statement {
    speaker: usize,
    says: Formula,
}

impl Statement {
    /// Returns the assignments under which the speaker may say it: true of knights, false of knaves.
    fn table(&self, people: usize) -> Table {
        !(Formula::Atom(self.speaker).table(people) ^ self.says.table(people)) & everything(people)
    }
}

fn draw(difficulty: usize, draw: &mut dyn Draw) -> Option<Problem> {
    let (people, operators) = LADDER[difficulty - 1];
    let (solution, mut statements) = (0..TRIES).find_map(|_| {
        let solution = draw.below(1 << people);
        statements_with(solution, people, operators, draw).map(|statements| (solution, statements))
    })?;
    shuffle(draw, &mut statements);
    let identity = identity_of(people, &statements);
    let names = sample(draw, NAMES, people);
    let terms = pick(draw, &TERMS);
    let kinds: Vec<(&str, bool)> =
        names.iter().enumerate().map(|(at, name)| (*name, solution >> at & 1 == 1)).collect();
    let answer: Vec<String> =
        kinds.iter().map(|(name, kind)| format!("{name} is a {}", terms[usize::from(!kind)])).collect();
    Some(Problem {
        question: question(&names, terms, &statements, draw),
        answer: answer.join(", "),
        identity,
        instance: json!({ "puzzle": "knights", "terms": terms, "people": kinds }),
    })
}

/// Draws statements that have only this solution; `None` if the draws leave others.
fn statements_with(solution: usize, people: usize, operators: usize, draw: &mut dyn Draw) -> Option<Vec<Statement>> {
    let mut left = everything(people);
    let mut statements: Vec<Statement> = Vec::new();
    let mut speakers: Vec<usize> = (0..people).collect();
    shuffle(draw, &mut speakers);
    for at in 0..people + MAX_MORE {
        if at >= people && left.is_power_of_two() {
            break;
        }
        let speaker = speakers[at % people];
        let statement = statement::draw(speaker, solution, people, operators, draw)?;
        left &= statement.table(people);
        statements.push(statement);
    }
    (left == 1 << solution).then_some(statements)
}

/// Returns the same text for problems that differ only in names and order.
fn identity_of(people: usize, statements: &[Statement]) -> String {
    let shape = |statement: &Statement, colours: &[u64], own: Option<usize>| {
        statement.says.shape(&|atom| if own == Some(atom) { "self".to_owned() } else { format!("{:x}", colours[atom]) })
    };
    let colours = identity::colours(people, |person, colours| {
        let said = statements.iter().map(|statement| {
            let is_speaker = statement.speaker == person;
            let is_meant = statement.says.mentions(person);
            let speaker = colours[statement.speaker];
            format!("{is_speaker}{is_meant}{speaker:x}:{}", shape(statement, colours, Some(person)))
        });
        identity::sorted(said.collect())
    });
    let said = statements
        .iter()
        .map(|statement| format!("{:x}:{}", colours[statement.speaker], shape(statement, &colours, None)));
    format!("knights {people} {:016x}", identity::hash(&identity::sorted(said.collect())))
}

fn question(names: &[&str], terms: [&str; 2], statements: &[Statement], draw: &mut dyn Draw) -> String {
    let [knight, knave] = terms;
    let [knights, knaves] = terms.map(statement::plural);
    let who = list(names);
    let scene = match draw.below(4) {
        0 => format!(
            "On an island live {knights}, who always tell the truth, and {knaves}, who always lie. You meet {who}."
        ),
        1 => format!(
            "Everyone here is either a {knight} or a {knave}. A {knight} says only true things, a {knave} \
             only false ones. The people are {who}."
        ),
        2 => format!(
            "{who} are each a {knight} or a {knave}. What a {knight} says is true, and what a {knave} says is false."
        ),
        _ => {
            format!("Consider {who}. Each of them is a {knight} (never lies) or a {knave} (never says anything true).")
        }
    };
    let form = draw.below(3);
    let said: Vec<String> = statements
        .iter()
        .map(|statement| {
            let (speaker, says) = (names[statement.speaker], statement::words(statement, names, terms));
            match form {
                0 => format!("{speaker} says: \"{says}\""),
                1 => format!("- {speaker}: {says}"),
                _ => format!("\"{says}\", says {speaker}."),
            }
        })
        .collect();
    let asks = pick(draw, &["Who is what?", "What is each of them?", "Find out of which kind everyone is."]);
    let example = format!("X is a {knight}, Y is a {knave}");
    let how = match draw.below(3) {
        0 => format!("Write the answer as a list that names everyone, in the form \"{example}\"."),
        1 => format!("Answer for every person in this form: {example}."),
        _ => format!("Name every person in the answer, as in \"{example}\" and so on."),
    };
    format!("{scene}\n{}\n{asks} {how}", said.join("\n"))
}

fn verify(instance: &Value, answer: &str) -> Option<Verdict> {
    let terms: [&str; 2] = super::texts(instance.get("terms"), 2)?.try_into().ok()?;
    let people = instance.get("people")?.as_array().filter(|people| (1..=32).contains(&people.len()))?;
    let people: Vec<(&str, bool)> = people.iter().map(person).collect::<Option<_>>()?;
    let names: Vec<&str> = people.iter().map(|(name, _)| *name).collect();
    let reader = read::Reader::new(&names, terms)?;
    Some(judge(answer, |part| reader.read(part), |kinds| kinds.iter().eq(people.iter().map(|(_, kind)| kind))))
}

fn person(value: &Value) -> Option<(&str, bool)> {
    let [name, kind] = value.as_array()?.as_slice() else { return None };
    Some((name.as_str().filter(|name| name.len() <= 100)?, kind.as_bool()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_as_they_are_written() {
        let instance = json!({ "puzzle": "knights", "terms": ["knight", "knave"],
            "people": [["Ada", true], ["Ben", false], ["Cid", true]] });
        for (answer, verdict) in [
            ("Ada is a knight, Ben is a knave, Cid is a knight", Verdict::Correct),
            ("Cid is a knight, and Ada is a knight. Ben is a knave.", Verdict::Correct),
            ("**Ada** is a *knight*, **Ben** is a *knave*, **Cid** is a *knight*", Verdict::Correct),
            ("ada: Knight\nben: Knave\ncid: Knight", Verdict::Correct),
            ("So the answer is: Ada and Cid are knights, and Ben is a knave.", Verdict::Correct),
            ("Knights: Ada, Cid\nKnaves: Ben", Verdict::Correct),
            ("The knights are Ada and Cid; the only knave is Ben.", Verdict::Correct),
            ("\\boxed{\\text{Ada is a knight, Ben is a knave, Cid is a knight}}", Verdict::Correct),
            ("\\boxed{Ada: knight} \\boxed{Ben: knave} \\boxed{Cid: knight}", Verdict::Correct),
            ("| Person | Kind |\n|---|---|\n| Ada | knight |\n| Ben | knave |\n| Cid | knight |", Verdict::Correct),
            ("Ada (knight), Ben (knave), Cid (knight)", Verdict::Correct),
            ("Ben lies about it.\n\nAnswer:\nAda = knight\nBen = knave\nCid = knight", Verdict::Correct),
            ("Both Ada and Cid are knights while Ben is a knave", Verdict::Correct),
            ("Ada is a knight, Ben is a knight, Cid is a knight", Verdict::Wrong),
            ("Ada is a knight, Ben is a knave", Verdict::Wrong),
            ("Ada is a knight, Ben is a knave, Cid is a knight or a knave", Verdict::Wrong),
            ("Ada is a knight, Ben is a knave, Cid is a knight. Or: Ben is a knight.", Verdict::Wrong),
            ("Ada is a knight, Ben is a knave, Cid is a knight, Ben is a knight", Verdict::Wrong),
            ("Ada is a knight, Ben is not a knight, Cid is a knight", Verdict::Wrong),
            ("Maybe Ada is a knight, Ben is a knave, Cid is a knight", Verdict::Wrong),
            (
                "Ada is a knight, Ben is a knave, Cid is a knight\nAda is a knave, Ben is a knave, Cid is a knight",
                Verdict::Wrong,
            ),
            (
                "The answer is: Ada is a knight. Ben is a knave. Cid is a knight. If Ben were a knight, Cid would lie.",
                Verdict::Correct,
            ),
            ("Answer: Ada is a knight. Ben is a knave. Cid is a knight. Actually, Ben is a knight.", Verdict::Wrong),
            ("I cannot tell.", Verdict::AnswerUnparsed),
        ] {
            assert_eq!(verify(&instance, answer), Some(verdict), "{answer:?}");
        }
    }

    #[test]
    fn statements_leave_one_solution() {
        let statement = |speaker, says| Statement { speaker, says };
        let not = |person| Formula::Not(Box::new(Formula::Atom(person)));
        // Ada says that Ben is a knave; Ben says that both are knaves.
        let both = Formula::And(Box::new(not(0)), Box::new(not(1)));
        let tables = [statement(0, not(1)), statement(1, both)].map(|statement| statement.table(2));
        assert_eq!(tables[0] & tables[1], 1 << 0b01);
    }
}
