//! Tests of zebra puzzles.

use super::*;
use crate::puzzles::tests::Stream;

#[test]
fn tables_as_they_are_written() {
    let instance = json!({ "puzzle": "zebra", "houses": [["Ada", "red", "tea"], ["Ben", "blue", "milk"]] });
    for (answer, verdict) in [
        ("House 1: Ada, red, tea\nHouse 2: Ben, blue, milk", Verdict::Correct),
        ("House 2: Ben, blue, milk\nHouse 1: Ada, red, tea", Verdict::Correct),
        ("**House 1:** tea, Ada, red\n**House 2:** Ben, milk, blue", Verdict::Correct),
        ("1. Ada, Red, Tea\n2. Ben, Blue, Milk", Verdict::Correct),
        ("1. House 1: Ada, red, tea\n2. House 2: Ben, blue, milk", Verdict::Correct),
        (
            "| House | Name | Colour | Drink |\n|---|---|---|---|\n| 1 | Ada | red | tea |\n| 2 | Ben | blue | milk |",
            Verdict::Correct,
        ),
        (
            "| | House 1 | House 2 |\n|---|---|---|\n| - | Ada | Ben |\n| - | red | blue |\n| - | tea | milk |",
            Verdict::Correct,
        ),
        ("Names: Ada, Ben. Colours: red, blue. Drinks: tea, milk.", Verdict::Correct),
        ("[[\"Ada\", \"red\", \"tea\"], [\"Ben\", \"blue\", \"milk\"]]", Verdict::Correct),
        (
            "Ben cannot be first.\n\nThe answer is:\n\nHouse 1: Ada, red, tea\n\nHouse 2: Ben, blue, milk",
            Verdict::Correct,
        ),
        ("\\boxed{\\begin{array}{c}1: Ada, red, tea\\\\2: Ben, blue, milk\\end{array}}", Verdict::Correct),
        ("In the first house, Ada, red, tea; in the second house, Ben, blue, milk", Verdict::Correct),
        ("House 1: Ben, blue, milk\nHouse 2: Ada, red, tea", Verdict::Wrong),
        ("House 1: Ada, red, milk\nHouse 2: Ben, blue, tea", Verdict::Wrong),
        ("House 1: Ada, red, tea\nHouse 2: Ben, blue", Verdict::Wrong),
        (
            "House 1: Ada, red, tea\nHouse 2: Ben, blue, milk\nor\nHouse 2: Ada, red, tea\nHouse 1: Ben, blue, milk",
            Verdict::Wrong,
        ),
        ("House 1: Ada, red, tea or milk\nHouse 2: Ben, blue, milk", Verdict::Wrong),
        ("I do not know", Verdict::AnswerUnparsed),
    ] {
        assert_eq!(verify(&instance, answer), Some(verdict), "{answer:?}");
    }
}

#[test]
fn names_as_they_are_written() {
    let instance = json!({ "puzzle": "zebra", "value": "Ada", "others": ["Ben", "Mary Ann"] });
    for (answer, verdict) in [
        ("Ada", Verdict::Correct),
        ("ada.", Verdict::Correct),
        ("**Ada** drinks tea.", Verdict::Correct),
        ("Ben is in house 2, so the answer is \\boxed{\\text{Ada}}", Verdict::Correct),
        ("It is not Ben but Ada", Verdict::Correct),
        ("Ben", Verdict::Wrong),
        ("Mary Ann", Verdict::Wrong),
        ("Ada or Ben", Verdict::Wrong),
        ("Ada, Ben, Mary Ann", Verdict::Wrong),
        ("Answer: Ada\nAnswer: Ben", Verdict::Wrong),
        ("not Ada", Verdict::Wrong),
        ("probably Ada", Verdict::Wrong),
        ("Ada\nBen", Verdict::Wrong),
        ("Carl", Verdict::AnswerUnparsed),
    ] {
        assert_eq!(verify(&instance, answer), Some(verdict), "{answer:?}");
    }
}

/// Counts solutions by trying every arrangement, apart from [`solve`].
fn count_by_trying(solution: &Solution, clues: &[Clue]) -> usize {
    let orders = orders(solution.houses);
    let mut count = 0;
    let mut chosen = vec![0; solution.attributes];
    'all: loop {
        let house = |(attribute, value): (usize, usize)| orders[chosen[attribute]][value];
        count += usize::from(clues.iter().all(|clue| match *clue {
            Clue::Same(one, two) => house(one) == house(two),
            Clue::Differ(one, two) => house(one) != house(two),
            Clue::Left(one, two) => house(one) + 1 == house(two),
            Clue::Beside(one, two) => house(one).abs_diff(house(two)) == 1,
            Clue::Before(one, two) => house(one) < house(two),
            Clue::At(one, at) => house(one) == at,
            Clue::NotAt(one, at) => house(one) != at,
        }));
        for order in &mut chosen {
            *order += 1;
            if *order < orders.len() {
                continue 'all;
            }
            *order = 0;
        }
        return count;
    }
}

fn orders(count: usize) -> Vec<Vec<usize>> {
    if count == 0 {
        return vec![Vec::new()];
    }
    let insert = |order: Vec<usize>| {
        (0..count).map(move |at| {
            let mut order = order.clone();
            order.insert(at, count - 1);
            order
        })
    };
    orders(count - 1).into_iter().flat_map(insert).collect()
}

#[test]
fn clues_are_unique_and_minimal() {
    let mut stream = Stream(7);
    for round in 0..60 {
        let (houses, attributes) = LADDER[round % 4];
        let solution = Solution::draw(houses, attributes, &mut stream);
        let mut clues = clues(&solution, 1 + round % 10, &mut stream).unwrap();
        assert_eq!(count_by_trying(&solution, &clues), 1);
        for at in 0..clues.len() {
            let clue = clues.remove(at);
            assert!(count_by_trying(&solution, &clues) > 1, "{clue:?} can be left out");
            clues.insert(at, clue);
        }
    }
}
