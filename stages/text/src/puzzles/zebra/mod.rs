//! Puzzle `zebra`: houses in a row, whose people differ in everything; who lives where and does what, by clues?
//!
//! The clues have exactly one solution, and without any one of them they would have several ([`solve`] proves both).
//! Half of the questions ask for everything, the others for one person.
//!
//! | difficulty | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10 |
//! |---|---|---|---|---|---|---|---|---|---|---|
//! | houses | 3 | 3 | 3 | 4 | 4 | 4 | 5 | 5 | 5 | 6 |
//! | attributes, the name included | 2 | 3 | 4 | 3 | 4 | 5 | 4 | 5 | 6 | 6 |
//!
//! Up to difficulty 4, clues name houses and say who does what directly; above it, mostly who lives beside whom.
//!
//! ```text
//! { "puzzle": "zebra", "houses": [["Ada", "red", "tea"], ["Ben", "blue", "milk"]] }
//! { "puzzle": "zebra", "value": "Ada", "others": ["Ben"] }
//! ```
//! `houses` holds the values of each house, from the left, and all must be given. `value` is the only right one of
//! itself and `others`. At most 12 houses, values, and others.

mod clue;
mod read;
mod solve;

use serde_json::{Value, json};

use super::answer::judge;
use super::identity;
use super::stream::{coin, pick, sample, shuffle};
use super::vocabulary::NAMES;
use super::{Draw, Problem, Puzzle, texts};
use crate::Verdict;
use clue::Clue;
use solve::{Budget, Solution, is_unique};

pub(super) const PUZZLE: Puzzle = Puzzle {
    name: "zebra",
    doc: "Houses in a row, whose people differ in everything: who lives where and does what, by clues?",
    draw,
    verify,
};

/// By difficulty: how many houses and attributes.
const LADDER: [(usize, usize); 10] = [(3, 2), (3, 3), (3, 4), (4, 3), (4, 4), (4, 5), (5, 4), (5, 5), (5, 6), (6, 6)];

/// The highest difficulty at which clues that say something directly are kept rather than left out.
const DIRECT: usize = 4;

/// How long the proofs for a problem may take, in steps of about a microsecond, and how often another one is drawn.
const STEPS: usize = 1_500;
const TRIES: usize = 100;

/// The most houses, values or others of an instance.
const MOST: usize = 12;

fn draw(difficulty: usize, draw: &mut dyn Draw) -> Option<Problem> {
    let (houses, attributes) = LADDER[difficulty - 1];
    let (solution, clues) = (0..TRIES).find_map(|_| {
        let solution = Solution::draw(houses, attributes, draw);
        clues(&solution, difficulty, draw).map(|clues| (solution, clues))
    })?;
    let identity = identity_of(&solution, &clues);
    let words = Words::draw(houses, attributes, draw);
    let asked = if coin(draw) { None } else { Some(asked(&solution, &clues, draw)) };
    let (answer, instance) = match asked {
        None => {
            let rows: Vec<Vec<&str>> = (0..houses).map(|house| words.of_house(&solution, house)).collect();
            let lines: Vec<String> = rows
                .iter()
                .enumerate()
                .map(|(house, row)| format!("House {}: {}", house + 1, row.join(", ")))
                .collect();
            (lines.join("\n"), json!({ "puzzle": "zebra", "houses": rows }))
        }
        Some(thing) => {
            let name = words.of_house(&solution, solution.house(thing))[0];
            let others: Vec<&str> = words.values[0].iter().copied().filter(|other| *other != name).collect();
            (name.to_owned(), json!({ "puzzle": "zebra", "value": name, "others": others }))
        }
    };
    Some(Problem { question: question(&words, &clues, asked, draw), answer, identity, instance })
}

/// Draws clues that have only this solution, none of which can be left out; `None` if the proofs take too long.
fn clues(solution: &Solution, difficulty: usize, draw: &mut dyn Draw) -> Option<Vec<Clue>> {
    let budget = Budget::new(STEPS);
    let (houses, attributes) = (solution.houses, solution.attributes);
    let mut clues: Vec<Clue> = Vec::new();
    let count = houses * attributes;
    for _ in 0..count * 3 {
        let clue = Clue::draw(solution, draw);
        if !clues.contains(&clue) {
            clues.push(clue);
        }
        if clues.len() >= count && clues.len().is_multiple_of(4) && is_unique(solution, &clues, &budget)? {
            break;
        }
    }
    if !is_unique(solution, &clues, &budget)? {
        // Together these say everything, so that something is always found.
        clues.extend(solution.things().map(|thing| Clue::At(thing, solution.house(thing))));
    }
    shuffle(draw, &mut clues);
    // What is tried first is left out more often.
    clues.sort_by_key(|clue| clue.is_direct() == (difficulty <= DIRECT));
    let mut at = 0;
    while at < clues.len() {
        let clue = clues.remove(at);
        if !is_unique(solution, &clues, &budget)? {
            clues.insert(at, clue);
            at += 1;
        }
    }
    shuffle(draw, &mut clues);
    Some(clues)
}

/// Chooses what the question asks about: something that no clue ties to a name directly, if there is such a thing.
fn asked(solution: &Solution, clues: &[Clue], draw: &mut dyn Draw) -> (usize, usize) {
    let mut things: Vec<(usize, usize)> = solution.things().filter(|(attribute, _)| *attribute > 0).collect();
    shuffle(draw, &mut things);
    let is_told = |thing: (usize, usize)| {
        clues.iter().any(
            |clue| matches!(clue, Clue::Same(one, two) if [*one, *two].contains(&thing) && (one.0 == 0 || two.0 == 0)),
        )
    };
    things.iter().copied().find(|thing| !is_told(*thing)).unwrap_or(things[0])
}

/// Returns the same text for problems that differ only in words and in the order of clues.
fn identity_of(solution: &Solution, clues: &[Clue]) -> String {
    let of = |colours: &[u64]| {
        let spelt = clues.iter().map(|clue| {
            clue.spelt(&|(attribute, value)| format!("{:x}@{}", colours[attribute], solution.house((attribute, value))))
        });
        identity::sorted(spelt.collect())
    };
    let colours = identity::colours(solution.attributes, |own, colours| {
        let mut colours = colours.to_vec();
        colours[own] ^= 1;
        of(&colours)
    });
    format!("zebra {} {} {:016x}", solution.houses, solution.attributes, identity::hash(&of(&colours)))
}

/// An attribute: its label, how it is said of someone and denied, and its values.
struct Attribute {
    label: &'static str,
    says: &'static str,
    denies: &'static str,
    values: &'static [&'static str],
}

const ATTRIBUTES: &[Attribute] = &[
    Attribute {
        label: "colour",
        says: "lives in the {} house",
        denies: "does not live in the {} house",
        values: &["red", "blue", "green", "yellow", "white", "purple", "black"],
    },
    Attribute {
        label: "drink",
        says: "drinks {}",
        denies: "does not drink {}",
        values: &["tea", "coffee", "milk", "juice", "cocoa", "water", "lemonade"],
    },
    Attribute {
        label: "pet",
        says: "keeps the {}",
        denies: "does not keep the {}",
        values: &["cat", "dog", "parrot", "horse", "rabbit", "turtle", "zebra"],
    },
    Attribute {
        label: "job",
        says: "works as the {}",
        denies: "does not work as the {}",
        values: &["baker", "doctor", "teacher", "painter", "pilot", "lawyer", "farmer"],
    },
    Attribute {
        label: "game",
        says: "plays {}",
        denies: "does not play {}",
        values: &["chess", "tennis", "golf", "poker", "hockey", "darts", "bingo"],
    },
    Attribute {
        label: "instrument",
        says: "owns the {}",
        denies: "does not own the {}",
        values: &["violin", "piano", "flute", "guitar", "drum", "harp", "trumpet"],
    },
];

/// The words of a question.
struct Words {
    /// All but the name, which is the first.
    attributes: Vec<&'static Attribute>,
    values: Vec<Vec<&'static str>>,
}

impl Words {
    fn draw(houses: usize, attributes: usize, draw: &mut dyn Draw) -> Self {
        let chosen: Vec<&Attribute> = sample(draw, &ATTRIBUTES.iter().collect::<Vec<_>>(), attributes - 1);
        let mut values = vec![sample(draw, NAMES, houses)];
        values.extend(chosen.iter().map(|attribute| sample(draw, attribute.values, houses)));
        Self { attributes: chosen, values }
    }

    fn of_house(&self, solution: &Solution, house: usize) -> Vec<&'static str> {
        (0..solution.attributes).map(|attribute| self.values[attribute][solution.value_at(attribute, house)]).collect()
    }
}

fn question(words: &Words, clues: &[Clue], asked: Option<(usize, usize)>, draw: &mut dyn Draw) -> String {
    let houses = words.values[0].len();
    let scene = pick(
        draw,
        &[
            "stand in a row, numbered from left to right. In each lives one person, and no two share a value below.",
            "form a street, with number 1 at the left end. One person lives in each, and has each value below alone.",
            "are numbered from 1 on the left. Everyone in them lives alone and differs from the others in all of this.",
        ],
    );
    let mut order: Vec<usize> = (0..words.values.len()).collect();
    shuffle(draw, &mut order[1..]);
    let attributes: Vec<String> = order
        .iter()
        .map(|attribute| {
            let mut values = words.values[*attribute].clone();
            shuffle(draw, &mut values);
            format!("- {}: {}", words.label(*attribute), values.join(", "))
        })
        .collect();
    let lines: Vec<String> =
        clues.iter().enumerate().map(|(at, clue)| format!("{}. {}", at + 1, clue.words(words, draw))).collect();
    let heading = pick(draw, &["Clues:", "What is known:", "These statements are true:"]);
    let asks = if let Some(thing) = asked { asks_one(words, thing, draw) } else { asks_all(words, draw) };
    format!("{houses} houses {scene}\n{}\n{heading}\n{}\n{asks}", attributes.join("\n"), lines.join("\n"))
}

fn asks_one(words: &Words, thing: (usize, usize), draw: &mut dyn Draw) -> String {
    let how = pick(
        draw,
        &["Answer with the name only.", "Give just the person's name as the answer.", "The answer must be one name."],
    );
    format!("Who {}? {how}", words.says(thing))
}

fn asks_all(words: &Words, draw: &mut dyn Draw) -> String {
    let labels: Vec<&str> = (0..words.values.len()).map(|attribute| words.label(attribute)).collect();
    let asks = pick(draw, &["Who lives where?", "Find everything about every house.", "Work out the whole street."]);
    let how = pick(
        draw,
        &[
            "Write the answer with one line for each house",
            "Give one line per house as the answer",
            "Answer with a line for every house",
        ],
    );
    format!("{asks} {how}, from house 1 on, in the form \"House 1: {}\".", labels.join(", "))
}

fn verify(instance: &Value, answer: &str) -> Option<Verdict> {
    if let Some(value) = instance.get("value") {
        let value = value.as_str().filter(|value| !value.is_empty() && value.len() <= 100)?;
        let mut options = vec![value];
        options.extend(texts(instance.get("others"), MOST)?);
        let options = read::Options::new(&options)?;
        return Some(judge(answer, |part| options.one(part), |at| at == 0));
    }
    let houses = instance.get("houses")?.as_array().filter(|houses| (2..=MOST).contains(&houses.len()))?;
    let rows: Vec<Vec<&str>> = houses.iter().map(|row| texts(Some(row), MOST)).collect::<Option<_>>()?;
    let width = rows[0].len();
    let options = read::Options::new(&rows.concat()).filter(|_| rows.iter().all(|row| row.len() == width))?;
    Some(judge(
        answer,
        |part| options.table(part, rows.len(), width),
        |table| table.into_iter().eq(0..rows.len() * width),
    ))
}

#[cfg(test)]
mod tests;
