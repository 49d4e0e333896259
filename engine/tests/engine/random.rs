//! Random workflows under random edits: only what the plan allowed runs, and every output equals that of a fresh store.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use engine::plan::{Plan, RowStatus, plan};
use engine::select::Selection;

use super::support::{Applied, Sandbox};

/// A small generator, so that a failure can be run again by its number.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        // Steele and Vigna's splitmix64.
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) % bound as u64) as usize
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

#[derive(Clone, Debug)]
struct Stage {
    name: usize,
    kind: &'static str,
    /// Indices of the stages that it reads.
    data: Vec<usize>,
    keys: BTreeMap<&'static str, String>,
}

/// Stages in topological order.
#[derive(Clone, Debug)]
struct Draft(Vec<Stage>);

impl Draft {
    fn random(random: &mut Random) -> Self {
        let mut draft = Self(Vec::new());
        for _ in 0..3 + random.below(6) {
            draft.grow(random);
        }
        draft
    }

    fn grow(&mut self, random: &mut Random) {
        let sources: Vec<usize> = (0..self.0.len()).filter(|at| self.0[*at].kind != "count").collect();
        let kind =
            if sources.is_empty() { "write" } else { ["write", "join", "draw", "count", "count"][random.below(5)] };
        let mut data = Vec::new();
        if kind != "write" {
            for _ in 0..=random.below(2) {
                data.push(sources[random.below(sources.len())]);
            }
        }
        let name = self.0.iter().map(|stage| stage.name + 1).max().unwrap_or(0);
        let mut stage = Stage { name, kind, data, keys: BTreeMap::new() };
        for _ in 0..2 {
            stage.change(random);
        }
        self.0.push(stage);
    }

    fn edit(&mut self, random: &mut Random) {
        let at = random.below(self.0.len());
        match random.below(10) {
            0 => self.grow(random),
            1 => {
                let name = self.0.iter().map(|stage| stage.name + 1).max().unwrap_or(0);
                self.0[at].name = name;
            }
            2 if !self.0.iter().any(|stage| stage.data.contains(&at)) && self.0.len() > 1 => {
                self.0.remove(at);
                for stage in &mut self.0 {
                    stage.data.iter_mut().filter(|place| **place > at).for_each(|place| *place -= 1);
                }
            }
            3 if !self.0[at].data.is_empty() => {
                let sources: Vec<usize> = (0..at).filter(|place| self.0[*place].kind != "count").collect();
                let place = random.below(self.0[at].data.len());
                self.0[at].data[place] = sources[random.below(sources.len())];
            }
            _ => self.0[at].change(random),
        }
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for Stage { name, kind, data, keys } in &self.0 {
            let _ = writeln!(text, "[{kind}.s{name}]");
            if *kind != "write" {
                let data: Vec<String> = data.iter().map(|at| format!("\"s{}.samples\"", self.0[*at].name)).collect();
                let _ = writeln!(text, "data = [{}]", data.join(", "));
            }
            for (key, value) in keys {
                let _ = writeln!(text, "{key} = {value}");
            }
        }
        text
    }
}

impl Stage {
    /// Gives a key a value, perhaps the one that it has. There are few values, so that the same actions come up again.
    fn change(&mut self, random: &mut Random) {
        let (key, value) = match (self.kind, random.below(4)) {
            ("write" | "join", 0) => ("lower", random.chance(50).to_string()),
            ("write", 1) => ("loudness", random.below(9).to_string()),
            ("write", _) => {
                ("text", format!("{:?}", ["One", "one", "two\nthree\n", "two\nfour\nthree\n"][random.below(4)]))
            }
            ("join", _) => ("separator", format!("{:?}", ["", "-", "\n"][random.below(3)])),
            ("draw", 0) => ("salt", random.below(2).to_string()),
            ("draw", _) => ("even", random.chance(50).to_string()),
            (_, 0) => ("salt", random.below(2).to_string()),
            (_, 1) => {
                let (salt, from) = (1 + random.below(2), random.below(7));
                ("later", format!("{{ salt = {salt}, from-step = {from} }}"))
            }
            (_, _) => ("steps", (1 + random.below(8)).to_string()),
        };
        self.keys.insert(key, value);
    }
}

fn check_run(plan: &Plan, summary: &Applied, context: &str) {
    assert!(summary.failed.is_empty() && summary.left.is_empty(), "{:?} {context}", summary.failed);
    let ran: BTreeSet<&str> = summary.ran.iter().map(String::as_str).collect();
    for row in &plan.rows {
        let (stage, record) = (row.stage.as_str(), &summary.records[&row.stage]);
        // Another stage with the same action may have run first.
        let by_another = || {
            summary.ran.iter().any(|other| other != stage && summary.records[other].fingerprint == record.fingerprint)
        };
        match row.status {
            RowStatus::Fresh => assert!(!ran.contains(stage), "`{stage}` was fresh, and ran; {context}"),
            RowStatus::Dirty => assert!(ran.contains(stage) || by_another(), "`{stage}` was dirty; {context}"),
            RowStatus::Extend { from, to } if ran.contains(stage) => {
                let left = to.unwrap() - from;
                // A stage that runs in the same apply may have got further by then.
                assert!(record.steps <= left, "`{stage}` ran {} of {left} steps; {context}", record.steps);
            }
            RowStatus::Extend { .. } => assert!(by_another(), "`{stage}` was to go on; {context}"),
            RowStatus::Maybe => {}
        }
    }
    let planned: BTreeSet<&str> = plan.rows.iter().map(|row| row.stage.as_str()).collect();
    assert!(ran.is_subset(&planned), "{ran:?}; {context}");
}

fn outputs(summary: &Applied) -> BTreeMap<String, String> {
    let all = summary.records.iter().flat_map(|(stage, record)| {
        record.outputs.iter().map(move |(output, made)| (format!("{stage}.{output}"), made.digest.to_string()))
    });
    all.collect()
}

#[test]
fn what_ran_is_what_was_planned_and_bytes_are_those_of_a_fresh_store() {
    const WORKFLOWS: u64 = 6;
    const EDITS: usize = 7;
    let (mut stages, mut ran) = (0, 0);
    for seed in 0..WORKFLOWS {
        let mut random = Random(seed);
        let mut draft = Draft::random(&mut random);
        let sandbox = Sandbox::new();
        for edit in 0..EDITS {
            let text = draft.text();
            let context = format!("seed {seed}, edit {edit}:\n{text}");
            let workflow = sandbox.workflow(&text, &[]);
            let planned = plan(&workflow, &sandbox.store, &Selection::default()).unwrap();
            let summary = sandbox.apply(&text, &[]);
            check_run(&planned, &summary, &context);
            assert_eq!(outputs(&summary), outputs(&Sandbox::new().apply(&text, &[])), "{context}");
            let after = plan(&workflow, &sandbox.store, &Selection::default()).unwrap();
            assert!(after.is_fresh(), "{context}");
            stages += planned.rows.len();
            ran += summary.ran.len();
            for _ in 0..=random.below(2) {
                draft.edit(&mut random);
            }
        }
    }
    assert!(stages > 150 && ran < stages * 2 / 3, "of {stages} stages {ran} ran: the edits are worth something");
}
