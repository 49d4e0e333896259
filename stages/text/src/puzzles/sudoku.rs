//! Puzzle `sudoku`: a grid of four rows with some digits, to be filled so that each row, column and box has 1 to 4.
//!
//! Every problem has exactly one solution, found by trying. Verification goes by the rules: any grid that obeys them
//! and keeps the given digits is right.
//!
//! | difficulty | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10 |
//! |---|---|---|---|---|---|---|---|---|---|---|
//! | empty cells | 4 | 5 | 6 | 7 | 8 | 9 | 9 | 10 | 11 | 12 |
//!
//! From difficulty 7 the digits are left out where no row, column or box alone tells what is missing, if possible.
//!
//! ```text
//! { "puzzle": "sudoku", "rows": ["2__3", "__1_", "1_3_", "3_21"] }
//! ```

use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Value, json};

use super::answer::{Reading, judge};
use super::stream::{pick, shuffle};
use super::{Draw, Problem, Puzzle, texts};
use crate::Verdict;

pub(super) const PUZZLE: Puzzle = Puzzle {
    name: "sudoku",
    doc: "A grid of four rows with some digits, to be filled so that rows, columns and boxes have 1 to 4.",
    draw,
    verify,
};

/// By difficulty: how many cells are empty.
const EMPTY: [usize; 10] = [4, 5, 6, 7, 8, 9, 9, 10, 11, 12];

/// From this difficulty on, the hardest of several problems is taken.
const HARD: usize = 7;

/// How often digits are left out in another order.
const TRIES: usize = 40;

/// The digits by row, 0 for an empty cell.
type Grid = [u8; 16];

fn draw(difficulty: usize, draw: &mut dyn Draw) -> Option<Problem> {
    let wanted = EMPTY[difficulty - 1];
    let mut best: Option<(usize, Grid, Grid)> = None;
    for _ in 0..TRIES {
        let solution = filled(draw);
        let given = emptied(solution, wanted, draw);
        let rank = empty(&given) * 16 + if difficulty >= HARD { 16 - lone_gaps(&given) } else { 0 };
        if best.as_ref().is_none_or(|(other, ..)| *other < rank) {
            best = Some((rank, given, solution));
        }
        let is_enough = empty(&given) == wanted && (difficulty < HARD || lone_gaps(&given) == 0);
        if is_enough {
            break;
        }
    }
    let (_, given, solution) = best?;
    let rows: Vec<String> = given.chunks(4).map(|row| spelt(row, "", '_')).collect();
    Some(Problem {
        question: question(&given, draw),
        answer: solution.chunks(4).map(|row| spelt(row, " ", '_')).collect::<Vec<_>>().join("\n"),
        identity: format!("sudoku {}", canonical(&given)),
        instance: json!({ "puzzle": "sudoku", "rows": rows }),
    })
}

fn question(given: &Grid, draw: &mut dyn Draw) -> String {
    let blank = pick(draw, &['_', '.', '0']);
    let (gap, bar) = pick(draw, &[(" ", ""), (" ", "| "), (" ", "")]);
    let rows: Vec<String> = given
        .chunks(4)
        .map(|row| format!("{bar}{}{}", spelt(row, gap, blank), if bar.is_empty() { "" } else { " |" }))
        .collect();
    let grid = rows.join("\n");
    let rules = pick(
        draw,
        &[
            "Every row, every column and every 2x2 box must contain each of the digits 1 to 4 exactly once.",
            "Put 1, 2, 3 and 4 in the empty cells so that no row, column or 2x2 box in a corner repeats a digit.",
            "Fill it so that each row, column and quarter (two rows by two columns) holds 1, 2, 3 and 4.",
        ],
    );
    let task = pick(draw, &["Solve this 4x4 Sudoku.", "Here is a small Sudoku.", "Complete the 4x4 grid below."]);
    let how = pick(
        draw,
        &[
            "Answer with the whole grid: four lines of four digits, with spaces between them.",
            "Write the filled grid as the answer, one row on a line, digits separated by spaces.",
            "The answer must be all four rows, each on its own line, like \"a b c d\" with digits in place of letters.",
        ],
    );
    format!("{task} {rules} Empty cells are shown as {blank}\n\n{grid}\n\n{how}")
}

fn spelt(row: &[u8], gap: &str, blank: char) -> String {
    let cell = |digit: &u8| if *digit == 0 { blank.to_string() } else { digit.to_string() };
    row.iter().map(cell).collect::<Vec<_>>().join(gap)
}

fn empty(grid: &Grid) -> usize {
    (0..16).filter(|cell| grid[*cell] == 0).count()
}

/// Returns whether two cells must differ.
fn are_tied(one: usize, two: usize) -> bool {
    let box_of = |cell: usize| (cell / 8, cell % 4 / 2);
    one != two && (one / 4 == two / 4 || one % 4 == two % 4 || box_of(one) == box_of(two))
}

/// Returns whether a digit can stand in a cell.
fn fits(grid: &Grid, cell: usize, digit: u8) -> bool {
    (0..16).all(|other| grid[other] != digit || !are_tied(cell, other))
}

/// Draws a filled grid.
fn filled(draw: &mut dyn Draw) -> Grid {
    let mut grid = [0; 16];
    let mut orders = [[1_u8, 2, 3, 4]; 16];
    for order in &mut orders {
        shuffle(draw, order);
    }
    let is_filled = fill(&mut grid, 0, &orders);
    debug_assert!(is_filled, "there are filled grids, and all orders are tried");
    grid
}

fn fill(grid: &mut Grid, cell: usize, orders: &[[u8; 4]; 16]) -> bool {
    if cell == 16 {
        return true;
    }
    for digit in orders[cell] {
        if fits(grid, cell, digit) {
            grid[cell] = digit;
            if fill(grid, cell + 1, orders) {
                return true;
            }
            grid[cell] = 0;
        }
    }
    false
}

/// Leaves digits out in a random order, as long as there is one solution, until so many cells are empty.
fn emptied(solution: Grid, wanted: usize, draw: &mut dyn Draw) -> Grid {
    let mut grid = solution;
    let mut cells: Vec<usize> = (0..16).collect();
    shuffle(draw, &mut cells);
    for cell in cells {
        if empty(&grid) == wanted {
            break;
        }
        let digit = std::mem::take(&mut grid[cell]);
        if count(&mut grid, 2) > 1 {
            grid[cell] = digit;
        }
    }
    grid
}

/// Counts solutions up to `most`.
fn count(grid: &mut Grid, most: usize) -> usize {
    let Some(cell) = grid.iter().position(|digit| *digit == 0) else { return 1 };
    let mut found = 0;
    for digit in 1..=4 {
        if found < most && fits(grid, cell, digit) {
            grid[cell] = digit;
            found += count(grid, most - found);
            grid[cell] = 0;
        }
    }
    found
}

/// Returns how many rows, columns and boxes lack only one digit.
fn lone_gaps(grid: &Grid) -> usize {
    let units = (0..4).flat_map(|at| {
        let (corner, row, column) = (at / 2 * 8 + at % 2 * 2, at * 4, at);
        [
            [row, row + 1, row + 2, row + 3],
            [column, column + 4, column + 8, column + 12],
            [corner, corner + 1, corner + 4, corner + 5],
        ]
    });
    units.filter(|unit| unit.iter().filter(|cell| grid[**cell] == 0).count() == 1).count()
}

/// Returns the same text for grids that differ only in the names of digits. Turning a grid over makes another problem:
/// apart from that there are only 13 with twelve empty cells, too few for two splits.
fn canonical(grid: &Grid) -> String {
    let mut names = [0_u8; 5];
    let mut next = 0;
    let cells = grid.iter().map(|digit| {
        let name = &mut names[usize::from(*digit)];
        if *digit != 0 && *name == 0 {
            next += 1;
            *name = next;
        }
        char::from(b'0' + *name)
    });
    cells.collect()
}

fn verify(instance: &Value, answer: &str) -> Option<Verdict> {
    let rows = texts(instance.get("rows"), 4)?;
    let cells: Vec<u8> = rows.iter().flat_map(|row| row.bytes()).map(cell).collect::<Option<_>>()?;
    let given: Grid = cells.try_into().ok().filter(|_| rows.iter().all(|row| row.len() == 4))?;
    let is_sound = (0..16).all(|cell| given[cell] == 0 || fits(&without(given, cell), cell, given[cell]));
    is_sound.then(|| judge(answer, read, |grid| is_solution(&grid, &given)))
}

fn cell(byte: u8) -> Option<u8> {
    match byte {
        b'_' | b'.' | b'0' => Some(0),
        b'1'..=b'4' => Some(byte - b'0'),
        _ => None,
    }
}

fn without(mut grid: Grid, cell: usize) -> Grid {
    grid[cell] = 0;
    grid
}

fn is_solution(grid: &Grid, given: &Grid) -> bool {
    (0..16).all(|cell| {
        let keeps = given[cell] == 0 || given[cell] == grid[cell];
        keeps && grid[cell] != 0 && fits(&without(*grid, cell), cell, grid[cell])
    })
}

static HEAD: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)^\s*(?:[|>]\s*)?(?:(?:row|line|r)\s*\d\s*[:.)|=-]?|\d\s*[:.)])").expect("a constant pattern")
});

/// Reads a grid: four lines with four digits each, or sixteen digits.
fn read(part: &str) -> Reading<Grid> {
    let lines = part.lines().map(|line| digits(&HEAD.replace(line, "")));
    // A line with an empty cell repeats the question.
    let rows: Vec<Vec<u8>> = lines.filter(|row| row.len() == 4 && !row.contains(&0)).take(100).collect();
    let mut all = rows.concat();
    if rows.len() < 4 {
        all = digits(
            &part.to_lowercase().replace("row 1", "").replace("row 2", "").replace("row 3", "").replace("row 4", ""),
        );
        if all.len() < 16 || all.contains(&0) || all.len() > 400 {
            return if rows.is_empty() { Reading::Nothing } else { Reading::Part };
        }
    }
    let mut grids = all.chunks(16);
    let first: Option<Grid> = grids.next().and_then(|grid| grid.try_into().ok());
    match first {
        Some(grid) if grids.all(|other| other == grid) => Reading::One(grid),
        Some(_) => Reading::Several,
        None => Reading::Part,
    }
}

/// Returns the cells of a text; what is longer than the digits 1 to 4 of a grid is none.
fn digits(text: &str) -> Vec<u8> {
    let words = text.split(|c: char| c.is_whitespace() || ",;|[](){}/+-—–─│┃┼:".contains(c));
    let is_row = |word: &&str| matches!(word.len(), 1..=4 | 16) && word.bytes().all(|byte| cell(byte).is_some());
    words
        .filter(|word| !word.is_empty())
        .map(|word| word.trim_end_matches('.'))
        .filter(is_row)
        .flat_map(str::bytes)
        .filter_map(cell)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROWS: [&str; 4] = ["2__3", "__1_", "1_3_", "3_21"];

    #[test]
    fn answers_as_they_are_written() {
        let instance = json!({ "puzzle": "sudoku", "rows": ROWS });
        for (answer, verdict) in [
            ("2 1 4 3\n4 3 1 2\n1 2 3 4\n3 4 2 1", Verdict::Correct),
            ("2143\n4312\n1234\n3421", Verdict::Correct),
            ("2,1,4,3\n4,3,1,2\n1,2,3,4\n3,4,2,1", Verdict::Correct),
            ("[[2,1,4,3],[4,3,1,2],[1,2,3,4],[3,4,2,1]]", Verdict::Correct),
            (
                "| 2 | 1 | 4 | 3 |\n|---|---|---|---|\n| 4 | 3 | 1 | 2 |\n| 1 | 2 | 3 | 4 |\n| 3 | 4 | 2 | 1 |",
                Verdict::Correct,
            ),
            ("2 1 | 4 3\n4 3 | 1 2\n----+----\n1 2 | 3 4\n3 4 | 2 1", Verdict::Correct),
            ("Row 1: 2 1 4 3\nRow 2: 4 3 1 2\nRow 3: 1 2 3 4\nRow 4: 3 4 2 1", Verdict::Correct),
            ("1. 2 1 4 3\n2. 4 3 1 2\n3. 1 2 3 4\n4. 3 4 2 1", Verdict::Correct),
            (
                "The puzzle\n2 _ _ 3\n_ _ 1 _\n1 _ 3 _\n3 _ 2 1\nbecomes\n```\n2 1 4 3\n4 3 1 2\n1 2 3 4\n3 4 2 1\n```",
                Verdict::Correct,
            ),
            (
                "\\boxed{\\begin{matrix}2 & 1 & 4 & 3\\\\4 & 3 & 1 & 2\\\\1&2&3&4\\\\3&4&2&1\\end{matrix}}",
                Verdict::Correct,
            ),
            ("The answer is 2143 4312 1234 3421.", Verdict::Correct),
            ("**Answer:**\n\n2 1 4 3\n4 3 1 2\n1 2 3 4\n3 4 2 1\n\nEach row has all digits.", Verdict::Correct),
            ("2 1 4 3\n4 3 1 2\n1 2 3 4\n3 4 1 2", Verdict::Wrong),
            ("1 2 3 4\n3 4 1 2\n2 1 4 3\n4 3 2 1", Verdict::Wrong),
            ("2 1 4 3\n4 3 1 2\n1 2 3 4", Verdict::Wrong),
            ("2 1 4 3\n4 3 1 2\n1 2 3 4\n3 4 2 1\nor\n2 1 4 3\n4 3 1 2\n1 2 3 4\n3 4 1 2", Verdict::Wrong),
            ("2 _ _ 3\n_ _ 1 _\n1 _ 3 _\n3 _ 2 1", Verdict::AnswerUnparsed),
        ] {
            assert_eq!(verify(&instance, answer), Some(verdict), "{answer:?}");
        }
        // With two solutions, both are right.
        let open = json!({ "puzzle": "sudoku", "rows": ["____", "____", "____", "____"] });
        assert_eq!(verify(&open, "2 1 4 3\n4 3 1 2\n1 2 3 4\n3 4 2 1"), Some(Verdict::Correct));
        assert_eq!(verify(&json!({ "puzzle": "sudoku", "rows": ["11__", "____", "____", "____"] }), "1"), None);
    }

    #[test]
    fn solutions_are_counted_and_forms_recognised() {
        assert_eq!(count(&mut [0; 16], 1000), 288);
        let grid: Grid = ROWS.concat().bytes().map(|byte| cell(byte).unwrap()).collect::<Vec<_>>().try_into().unwrap();
        assert_eq!(count(&mut grid.clone(), 2), 1);
        let renamed = grid.map(|digit| [0, 3, 1, 4, 2][usize::from(digit)]);
        assert_eq!((canonical(&grid), canonical(&renamed)), ("1002003030202013".to_owned(), canonical(&grid)));
        let mut other = grid;
        other[0] = 0;
        assert_ne!(canonical(&grid), canonical(&other));
    }
}
