//! Edits of r1.toml and which stages each one reruns, with the real worker on a cut-down workflow.
//!
//! The table is published in `docs/guarantees.md`; this test checks that the page agrees with what happens.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use super::support::{Sandbox, events};

/// An edit, as a file that extends the workflow or as values for `--set`.
enum Edit {
    File(&'static str),
    Set(&'static [&'static str]),
}
use Edit::{File, Set};

const EDITS: [(&str, Edit); 30] = [
    ("nothing", Set(&[])),
    ("a checkpoint cadence, retries", Set(&["zero.run.checkpoint-steps=2", "zero.run.retries=3"])),
    ("batches of sampling", Set(&["defaults.generate.batch-size=3", "defaults.eval.batch-size=5"])),
    (
        "a stage of another name with the keys of `cold-start`",
        File(
            "[sft.warm-up]\nmodel = \"base.model\"\ndata = [\"zero-outputs.samples\", \"few-shot-outputs.samples\", \"inputs.human-refined\"]\nsteps = 4\nbatch-size = 32\nlr = 5e-4\nwarmup-steps = 5\ndecay-steps = 40\n",
        ),
    ),
    ("R1-Zero: `steps` 3 → 2", Set(&["zero.steps=2"])),
    ("R1-Zero: `steps` 3 → 5", Set(&["zero.steps=5"])),
    ("R1-Zero: weight of `format`", Set(&["zero.rewards.format=0.3"])),
    ("R1-Zero's outputs: another seed", Set(&["zero-outputs.seed=99"])),
    ("R1-Zero's outputs: another filter", Set(&["zero-outputs.keep=[\"readable\"]"])),
    ("few-shot outputs: `limit` 16 → 12", Set(&["few-shot-outputs.limit=12"])),
    ("few-shot outputs: another number of shots", Set(&["few-shot-outputs.shots=2"])),
    ("cold start: learning rate", Set(&["cold-start.lr=6e-4"])),
    ("cold start: `steps` 4 → 6", Set(&["cold-start.steps=6"])),
    ("reasoning RL: `steps` 3 → 4", Set(&["reasoning-rl.steps=4"])),
    ("reasoning RL: `reflection` rewarded", Set(&["reasoning-rl.rewards.reflection=0.1"])),
    ("rejection sampling: `limit` 32 → 48", Set(&["reasoning-data.limit=48"])),
    ("rejection sampling: another filter", Set(&["reasoning-data.keep=[\"unique\"]"])),
    ("SFT: `batch-size`", Set(&["generalist.batch-size=32"])),
    ("reward model `helpful`: `steps` 3 → 4", Set(&["helpful.steps=4"])),
    ("labels of `harmless`: more of them", Set(&["harmless-labels.count=32"])),
    ("alignment RL: weight of `helpful`, which begins at step 2", Set(&["alignment-rl.rewards.helpful.weight=0.5"])),
    (
        "alignment RL: `helpful` and `harmless` begin at step 3",
        Set(&["alignment-rl.rewards.helpful.from-step=3", "alignment-rl.rewards.harmless.from-step=3"]),
    ),
    ("alignment RL: more sums", Set(&["alignment-sums.count=24"])),
    ("distillation data: `limit` 32 → 40", Set(&["distillation-data.limit=40"])),
    ("distillation: `steps` 4 → 6", Set(&["student-distilled.steps=6"])),
    ("students by RL: learning rate", Set(&["student-rl.lr=1e-4"])),
    ("a third student", File("[pretrain.student]\neach.wide = { architecture = \"qwen2\", hidden-size = 64 }\n")),
    ("evaluation: two completions of each prompt", Set(&["defaults.eval.completions=2"])),
    ("evaluation: no greedy completion", Set(&["defaults.eval.greedy=false"])),
    ("held-out sums: more of them", Set(&["sums-test.count=24"])),
];

/// Runs an edit, and returns which stages ran and from which step, with one entry for a family.
fn ran(sandbox: &Sandbox, workflow: &Path, edit: &Edit) -> String {
    let (file, sets): (String, &[&str]) = match edit {
        Set(sets) => (workflow.display().to_string(), sets),
        File(text) => {
            sandbox.write("edited.toml", &format!("extends = {:?}\n{text}", workflow.display().to_string()));
            ("edited.toml".to_owned(), &[])
        }
    };
    let mut arguments = vec!["apply", &file, "--json"];
    arguments.extend(sets.iter().flat_map(|set| ["--set", *set]));
    let told = events(&sandbox.ok(&arguments));
    let mut stages: Vec<(String, Option<u64>, usize)> = Vec::new();
    let mut started: Vec<_> = told.iter().filter(|event| event["event"] == "started").collect();
    started.sort_by_key(|event| event["stage"].as_str().unwrap().to_owned());
    for event in started {
        let family = event["stage"].as_str().unwrap().split('/').next().unwrap().to_owned();
        let from = event["resumed_from"].as_u64();
        match stages.iter_mut().find(|(name, step, _)| *name == family && *step == from) {
            Some((_, _, count)) => *count += 1,
            None => stages.push((family, from, 1)),
        }
    }
    let cells = stages.into_iter().map(|(name, from, count)| {
        let count = if count > 1 { format!(" ×{count}") } else { String::new() };
        let from = from.map_or_else(String::new, |step| format!(" from step {step}"));
        format!("`{name}`{count}{from}")
    });
    let cells: Vec<String> = cells.collect();
    if cells.is_empty() { "nothing".to_owned() } else { cells.join(", ") }
}

#[test]
fn the_published_table_of_edits_is_what_happens() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    let workflow = repository.join("tests/workflows/r1/cut.toml");
    let sandbox = Sandbox::with_worker(PathBuf::from(env!("CARGO_BIN_EXE_r1flow-worker")));
    sandbox.ok(&["apply", &workflow.display().to_string()]);
    let mut table = "| edit | what runs |\n|---|---|\n".to_owned();
    for (name, edit) in &EDITS {
        let _ = writeln!(table, "| {name} | {} |", ran(&sandbox, &workflow, edit));
    }
    let page = repository.join("docs/guarantees.md");
    let text = fs_err::read_to_string(&page).unwrap();
    let (begin, end) = ("<!-- edits -->\n", "<!-- end of edits -->");
    let (before, rest) = text.split_once(begin).expect("the page has a place for the table");
    let (published, after) = rest.split_once(end).expect("the place has an end");
    if std::env::var_os("R1FLOW_BLESS").is_some() {
        fs_err::write(&page, format!("{before}{begin}{table}{end}{after}")).unwrap();
    } else {
        assert_eq!(published, table, "R1FLOW_BLESS=1 writes the table anew");
    }
}
