//! Tests of the workflow language on small files: `tests/workflows/{valid,invalid}` and texts made here.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use super::*;
use crate::kind::KindList;
use crate::kind::Kinds;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/workflows").join(name)
}

fn kinds() -> Kinds {
    let list: KindList = serde_json::from_str(&fs_err::read_to_string(folder("kinds.json")).unwrap()).unwrap();
    Kinds::parse(list).unwrap()
}

fn files(name: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs_err::read_dir(folder(name)).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    files
}

/// Renders diagnostics as lines without paths of this machine.
fn rendered(loaded: &Loaded) -> String {
    let here = fs_err::canonicalize(folder("")).unwrap();
    let mut text = String::new();
    for diagnostic in &loaded.diagnostics {
        let source = loaded.sources.get(diagnostic.span.source);
        let before = &source.text[..diagnostic.span.range().start];
        let (line, column) =
            (before.matches('\n').count() + 1, before.chars().rev().take_while(|c| *c != '\n').count() + 1);
        let pointed: String = source.text[diagnostic.span.range()].lines().next().unwrap_or("").to_owned();
        let name = source.name.file_name().unwrap().to_string_lossy();
        let _ = writeln!(text, "{name}:{line}:{column}: {}", diagnostic.message);
        let _ = writeln!(text, "  {pointed}  <- {}", diagnostic.label);
        if let Some(help) = &diagnostic.help {
            let _ = writeln!(text, "  help: {}", help.replace(&format!("{}/", here.display()), ""));
        }
    }
    text
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a variable asks for new records")]
fn every_invalid_workflow_is_refused_as_recorded() {
    let kinds = kinds();
    let files = files("invalid");
    assert!(files.len() >= 30, "only {} fixtures", files.len());
    for file in files {
        let loaded = load(&file, &[], &kinds).unwrap();
        assert!(loaded.workflow.is_none() && !loaded.diagnostics.is_empty(), "{} is taken", file.display());
        let expected = file.with_extension("stderr");
        let found = rendered(&loaded);
        if std::env::var_os("R1FLOW_BLESS").is_some() {
            fs_err::write(&expected, &found).unwrap();
        }
        assert_eq!(fs_err::read_to_string(&expected).unwrap(), found, "{}", file.display());
    }
}

#[test]
fn a_text_is_a_reference_only_if_it_names_an_input() {
    let loaded = load(&folder("valid/texts.toml"), &[], &kinds()).unwrap();
    let workflow = loaded.workflow.unwrap();
    let references = |name: &str| {
        let stage = workflow.graph.node_weights().find(|stage| stage.name.0 == name).unwrap();
        stage.references.iter().filter(|reference| reference.pointer == "/chat-template").count()
    };
    assert_eq!((references("file"), references("written")), (1, 0));
}

#[test]
fn every_valid_workflow_is_taken() {
    let kinds = kinds();
    for file in files("valid") {
        let loaded = load(&file, &[], &kinds).unwrap();
        assert!(loaded.workflow.is_some(), "{}: {}", file.display(), rendered(&loaded));
    }
}

fn stage<'a>(workflow: &'a Workflow, name: &str) -> &'a StageDecl {
    workflow.graph.node_weights().find(|stage| stage.name.0 == name).unwrap()
}

fn well(file: &str, sets: &[&str]) -> Workflow {
    let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
    let loaded = load(&folder("valid").join(file), &sets, &kinds()).unwrap();
    let problems = rendered(&loaded);
    loaded.workflow.unwrap_or_else(|| panic!("{problems}"))
}

#[test]
fn one_seed_is_that_of_every_stage_that_gives_none() {
    let seeds = |sets: &[&str]| {
        let workflow = well("every-layer.toml", sets);
        ["sums", "zero/small", "zero/large"].map(|name| {
            let stage = stage(&workflow, name);
            (stage.config.get("seed").cloned(), stage.origin("seed"))
        })
    };
    let given = |seed: i64, origin| (Some(seed.into()), Some(origin));
    let of_workflow = given(5, Origin::Workflow);
    let [sums, small, large] = seeds(&["seed=5", "zero/large.seed=7"]);
    // A kind without the key does not get it.
    assert_eq!((sums, small, large), ((None, None), of_workflow, given(7, Origin::Set)));
    let [_, small, _] = seeds(&["seed=5", "defaults.grpo.seed=6"]);
    assert_eq!(small, given(6, Origin::Defaults));
    // A wrong value is one mistake, however many stages have it.
    let loaded = load(&folder("valid").join("every-layer.toml"), &["seed=1.5".to_owned()], &kinds()).unwrap();
    let problems = rendered(&loaded);
    assert_eq!(problems.matches("`seed` takes").count(), 1, "{problems}");
}

#[test]
fn layers_come_in_order_and_are_remembered() {
    let workflow = well("every-layer.toml", &["zero/large.seed=7", "zero.batch-size=8"]);
    assert_eq!(workflow.name, "layers");
    let (small, large) = (stage(&workflow, "zero/small"), stage(&workflow, "zero/large"));
    let of = |stage: &StageDecl, key: &str| (stage.config[key].clone(), stage.origin(key));
    assert_eq!(of(small, "group-size"), (4.into(), Some(Origin::Defaults)));
    assert_eq!(of(small, "lr"), (1e-3.into(), Some(Origin::Each)));
    assert_eq!(of(large, "lr"), (3e-4.into(), Some(Origin::Defaults)));
    assert_eq!(of(small, "steps"), (400.into(), Some(Origin::Stage)));
    assert_eq!(of(large, "steps"), (600.into(), Some(Origin::Each)));
    assert_eq!(of(large, "seed"), (7.into(), Some(Origin::Set)));
    assert_eq!(of(small, "seed"), (0.into(), None));
    assert_eq!(of(small, "batch-size"), (8.into(), Some(Origin::Set)));
    assert_eq!(
        *small.roles,
        BTreeMap::from([("batch-size".to_owned(), Role::Neutral), ("steps".to_owned(), Role::Extent)])
    );
    assert_eq!(small.run.timeout, Some(Duration::from_hours(48)));
    assert_eq!(small.run.checkpoint_every, Some(Duration::from_mins(90)));
    assert_eq!(stage(&workflow, "sums").config["count"], 20, "the file stands on top of what it extends");
}

#[test]
fn references_point_where_they_say() {
    let workflow = well("every-layer.toml", &[]);
    let small = stage(&workflow, "zero/small");
    let targets: Vec<_> =
        small.references.iter().map(|reference| (reference.pointer.as_str(), &reference.target)).collect();
    let sums = Target::Output { stage: StageName("sums".to_owned()), output: "prompts".to_owned() };
    assert_eq!(
        targets,
        [
            ("/model", &Target::Input("base".to_owned())),
            ("/prompts/0", &Target::Input("math".to_owned())),
            ("/prompts/1", &sums)
        ]
    );
    assert_eq!(workflow.inputs["math"].import["limit"], 1);
    for edge in workflow.graph.raw_edges() {
        assert!(edge.source() < edge.target(), "nodes are in topological order");
    }
}

#[test]
fn each_follows_inputs_and_every_variant() {
    let workflow = well("follows-a-family.toml", &[]);
    let names: Vec<&str> = workflow.graph.node_weights().map(|stage| stage.name.0.as_str()).collect();
    assert_eq!(names, ["scores/base", "zero/a", "scores/zero/a", "zero/b", "scores/zero/b"]);
    assert_eq!(stage(&workflow, "scores/zero/b").config["model"], "zero/b.model");
    assert_eq!(stage(&workflow, "scores/base").config["model"], "inputs.base");
}

#[test]
fn a_key_without_use_has_no_default() {
    let workflow = well("keys-by-method.toml", &[]);
    let temperature = |name: &str| stage(&workflow, name).config.get("temperature").cloned();
    assert_eq!(temperature("student/text"), None);
    assert_eq!(temperature("student/logits"), Some(1.0.into()));
    assert_eq!(temperature("student/on-policy"), Some(2.0.into()));
}

#[test]
fn what_is_not_written_is_there_by_default() {
    let workflow = well("defaults.toml", &[]);
    let of = |name: &str, key: &str| stage(&workflow, name).config.get(key).cloned();
    assert_eq!(of("samples", "few-shot"), Some(Value::Null), "none is said");
    assert_eq!(of("sums", "style"), Some("clean".into()), "by `task`");
    assert_eq!(of("sums", "slips"), None, "it is for another style");
    assert_eq!(of("chat", "style"), Some("messy".into()));
    assert_eq!(of("chat", "slips"), Some(0.1.into()), "which is the one by default here");
    let weight = serde_json::json!({ "weight": 0.5, "on": [], "from-step": 0 });
    let rewards = serde_json::json!({ "accuracy": weight, "format": weight });
    assert_eq!(of("zero", "rewards"), Some(rewards), "a weight is a table with nothing else in it");
}

#[test]
fn a_default_that_is_omitted_is_omitted_where_it_is_written() {
    let plain = well("defaults.toml", &[]);
    let config = |workflow: &Workflow, name: &str| stage(workflow, name).config.clone();
    assert_eq!(config(&plain, "student").get("blend"), None);
    for sets in [
        ["student.blend=0", "zero.rewards.format.sharpness=1"],
        ["student.blend=0.0", "zero.rewards.format.sharpness=1.0"],
    ] {
        let written = well("defaults.toml", &sets);
        for name in ["student", "zero"] {
            assert_eq!(config(&written, name), config(&plain, name), "{sets:?}");
        }
    }
    let other = well("defaults.toml", &["student.blend=3", "zero.rewards.format.sharpness=2"]);
    assert_eq!(config(&other, "student")["blend"], 3);
    assert_eq!(config(&other, "zero")["rewards"]["format"]["sharpness"], 2);
    assert_eq!(config(&other, "zero")["rewards"]["accuracy"].get("sharpness"), None);
}

#[test]
fn a_short_form_merges_like_the_table_that_it_is() {
    let reward = |sets: &[&str]| stage(&well("defaults.toml", sets), "zero").config["rewards"]["accuracy"].clone();
    let later = reward(&["zero.rewards.accuracy.from-step=5"]);
    assert_eq!(later, serde_json::json!({ "weight": 0.5, "on": [], "from-step": 5 }), "the weight of the file stays");
    assert_eq!(reward(&["zero.rewards.accuracy.from-step=5", "zero.rewards.accuracy=0.5"]), later);
    assert_eq!(reward(&["zero.rewards.accuracy.weight=0.25"]), reward(&["zero.rewards.accuracy=0.25"]));
}

#[test]
fn import_keys_with_their_defaults_are_left_out() {
    let import = |sets: &[&str]| well("every-layer.toml", sets).inputs["math"].import.clone();
    assert_eq!(import(&["inputs.math.skip=0", "inputs.math.fields={}"]), import(&[]));
    assert_ne!(import(&["inputs.math.skip=1"]), import(&[]));
}

#[test]
fn a_list_is_checked_against_the_type_that_its_items_fit() {
    let checked = |condition: &str| {
        let set = format!("inputs.math.where={{ x = {condition} }}");
        load(&folder("valid/every-layer.toml"), &[set], &kinds()).unwrap()
    };
    for good in ["true", "'a'", "[0.1, 0.9]", "['a', 'b']", "['a', 1, true]", "[1, 2, 3]"] {
        let loaded = checked(good);
        assert!(loaded.workflow.is_some(), "{good}: {}", rendered(&loaded));
    }
    for (bad, expected) in [("[]", "`x` takes"), ("{ y = 1 }", "`x` takes"), ("[[1]]", "`x` takes")] {
        let told = rendered(&checked(bad));
        assert!(told.contains(expected), "{bad}: {told}");
    }
}

#[test]
fn import_keys_that_only_refuse_are_no_part_of_an_action() {
    let plain = well("every-layer.toml", &[]).inputs["math"].clone();
    let raised = well("every-layer.toml", &["inputs.math.row-mib=32"]).inputs["math"].clone();
    assert_eq!(raised.import, plain.import);
    assert_eq!((raised.neutral["row-mib"].clone(), plain.neutral.len()), (32.into(), 0));
}

#[test]
fn a_key_that_reads_a_file_beside_the_data_makes_it_part_of_the_input() {
    let reads = |sets: &[&str]| well("every-layer.toml", sets).inputs["math"].reads.clone();
    assert_eq!(reads(&[]), [""; 0]);
    assert_eq!(reads(&["inputs.math.config=main"]), ["README.md"]);
}

#[test]
fn set_is_checked_like_a_file() {
    let check = |set: &str| rendered(&load(&folder("valid/every-layer.toml"), &[set.to_owned()], &kinds()).unwrap());
    let misspelt = "--set:1:6: unknown key `stesp` in grpo stage `zero/small`\n  stesp  <- not a key of grpo stages\n  help: did you mean `steps`?\n";
    assert_eq!(check("zero.stesp=3"), misspelt);
    let unknown =
        "--set:1:1: `--set` names `zro`, which is no stage\n  zro  <- no such stage\n  help: did you mean `zero`?\n";
    assert_eq!(check("zro.steps=3"), unknown);
    assert!(check("zero.steps=many").contains("`steps` takes a whole number"));
    assert!(check("zero.steps").contains("has no value"));
    assert!(check("inputs.base.model=nowhere").contains("`nowhere` is not there"));
}

#[test]
fn a_thousand_stages_load() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("many.toml");
    let mut text = String::new();
    for at in 0..1_000 {
        let _ = writeln!(text, "[tasks.t{at}]\ncount = {}", at + 1);
    }
    fs_err::write(&file, text).unwrap();
    let workflow = load(&file, &[], &kinds()).unwrap().workflow.unwrap();
    assert_eq!(workflow.graph.node_count(), 1_000);
    assert_eq!(stage(&workflow, "t999").config["count"], 1_000);
}

#[test]
fn a_name_is_no_longer_than_a_files_may_be() {
    let kinds = kinds();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("w.toml");
    let long = "n".repeat(crate::limits::STAGE_NAME);
    let refused = |text: String| {
        fs_err::write(&file, text).unwrap();
        let loaded = load(&file, &[], &kinds).unwrap();
        loaded.diagnostics.iter().map(|one| (one.message.clone(), one.span.range().len())).collect::<Vec<_>>()
    };
    assert_eq!(refused(format!("[tasks.{long}]\ncount = 1\n")), []);
    let told = format!("the name `{}…` has {} bytes", &long[..40], long.len() + 1);
    assert_eq!(refused(format!("[tasks.{long}n]\ncount = 1\n")), [(told.clone(), long.len() + 1)]);
    // The whole name of a variant counts.
    let family = &long[..long.len() - 2];
    assert_eq!(refused(format!("[tasks.{family}]\ncount = 1\n[tasks.{family}.each.n]\n")), []);
    assert_eq!(
        refused(format!("[tasks.{family}]\ncount = 1\n[tasks.{family}.each.nn]\n")),
        [(told.clone(), family.len())]
    );
    // So does the name of an input that `each` follows.
    let input = format!("[inputs]\n{family} = {{ samples = \"w.toml\" }}\n");
    let follows = |name: &str| format!("{input}[tasks.{name}]\ncount = 1\neach = [\"inputs.{family}\"]\n");
    assert_eq!(refused(follows("n")), []);
    assert_eq!(refused(follows("nn")), [(told.replace(&long[..40], &format!("nn/{}", &long[..37])), 2)]);
}

#[test]
fn the_folder_for_tensorboard_is_relative_to_where_it_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let root = fs_err::canonicalize(dir.path()).unwrap();
    fs_err::create_dir(root.join("sub")).unwrap();
    let text =
        "run = { tensorboard = \"logs\", retries = 1 }\n[tasks.a]\n[tasks.b]\nrun = { tensorboard = \"../own\" }\n";
    fs_err::write(root.join("sub/base.toml"), text).unwrap();
    let file = root.join("w.toml");
    fs_err::write(&file, "extends = \"sub/base.toml\"\n[tasks.c]\nrun = { tensorboard = \"/far/logs\" }\n").unwrap();
    let folder = |sets: &[String], name: &str| {
        let workflow = load(&file, sets, &kinds()).unwrap().workflow.unwrap();
        stage(&workflow, name).run.tensorboard.clone().unwrap()
    };
    assert_eq!(folder(&[], "a"), root.join("sub/logs"));
    assert_eq!(folder(&[], "b"), root.join("sub/../own"));
    assert_eq!(folder(&[], "c"), Path::new("/far/logs"));
    let set = ["a.run.tensorboard=\"here\"".to_owned()];
    assert_eq!(folder(&set, "a"), std::path::absolute("here").unwrap());
}

#[test]
fn an_each_of_each_that_makes_too_many_stages_is_one_mistake() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("many.toml");
    let mut text = String::from("[tasks.a.each]\n");
    for at in 0..400 {
        let _ = writeln!(text, "v{at} = {{ seed = {at} }}");
    }
    let follow = vec!["\"a\""; 300].join(", ");
    let _ = writeln!(text, "[generate.b]\nmodel = \"inputs.m\"\nprompts = [\"each.prompts\"]\neach = [{follow}]");
    let _ = writeln!(text, "[generate.c]\nmodel = \"inputs.m\"\nprompts = [\"each.prompts\"]\neach = [{follow}]");
    fs_err::write(&file, text).unwrap();
    let loaded = load(&file, &[], &kinds()).unwrap();
    assert!(loaded.workflow.is_none());
    let full = loaded.diagnostics.iter().filter(|diagnostic| diagnostic.message.contains("more than 100000 stages"));
    assert_eq!(full.count(), 1);
}
