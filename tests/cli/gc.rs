//! How disk space is freed: checkpoints while a stage runs, and `r1flow gc`.

use super::support::{CHAIN, Sandbox, events, stages};

/// Returns the number of objects in the store.
fn objects(sandbox: &Sandbox) -> usize {
    let folders = fs_err::read_dir(sandbox.root().join(".r1flow/objects")).unwrap();
    folders.map(|folder| fs_err::read_dir(folder.unwrap().path()).unwrap().count()).sum()
}

#[test]
fn more_steps_take_no_more_disk() {
    let count = |steps: &str| {
        let sandbox = Sandbox::new(CHAIN);
        sandbox.ok(&["apply", "toy.toml", "--until", "c", "--set", steps]);
        objects(&sandbox)
    };
    assert_eq!(count("c.steps=4"), count("c.steps=40"));
}

#[test]
fn results_of_earlier_edits_go_where_the_user_says_what_is_of_use() {
    let sandbox = Sandbox::new(CHAIN);
    sandbox.ok(&["apply", "toy.toml", "--set", "a.text=past", "--set", "c.salt=7"]);
    let with_sets = ["--set", "a.text=past", "--set", "c.salt=7"];
    let was = sandbox.digest_with("c", "model", &with_sets);
    let gc = ["gc", "--only", "toy.toml"];
    let refused = sandbox.run(&gc);
    assert!(refused.code == Some(2) && refused.stderr.contains("3 stages of `toy.toml` are not fresh"), "{refused}");
    sandbox.ok(&["apply", "toy.toml"]);
    let clean = Sandbox::new(CHAIN);
    clean.ok(&["apply", "toy.toml"]);

    let dry = sandbox.json(&[&gc[..], &["--dry-run"]].concat());
    assert_eq!(sandbox.json(&gc), dry);
    assert_eq!(
        (&dry["records"], &dry["checkpoints"]),
        (&3.into(), &2.into()),
        "a, b and c, and the checkpoints of c: {dry}"
    );
    // Logs and curves are kept; here they are the same as in the clean store.
    assert_eq!(objects(&sandbox), objects(&clean));
    sandbox.ok(&["verify", "toy.toml"]);
    assert!(sandbox.ok(&["plan", "toy.toml"]).contains("everything is fresh"));
    let told = events(&sandbox.ok(&["apply", "toy.toml", "--set", "c.steps=6", "--until", "c", "--json"]));
    assert_eq!(stages(&told, "started"), ["c"], "it goes on from its checkpoint");
    assert_eq!(told.iter().find(|event| event["event"] == "started").unwrap()["resumed_from"], 4);

    // Taking the edit back now repeats its work, with the same result.
    let told = sandbox.ok(&["apply", "toy.toml", "--set", "a.text=past", "--set", "c.salt=7", "--json"]);
    // The output of b has the same bytes as that of a, so b is fresh once a has run.
    assert_eq!(stages(&events(&told), "started"), ["a", "c"]);
    assert_eq!(sandbox.digest_with("c", "model", &with_sets), was);
}

#[test]
fn only_what_nothing_needs_goes() {
    let sandbox = Sandbox::new(CHAIN);
    assert!(sandbox.run(&["gc"]).stderr.contains("there is no store"));
    sandbox.ok(&["apply", "toy.toml"]);
    sandbox.ok(&["apply", "toy.toml", "--set", "c.salt=7"]);
    assert_eq!(sandbox.ok(&["gc"]), "removed 0 checkpoints, 0 objects, 0 B\n");
    // Removes the older checkpoint of each of the two training runs: its state, manifest and curve.
    let before = objects(&sandbox);
    let dry = sandbox.json(&["gc", "--dry-run", "--keep-checkpoints", "1"]);
    assert_eq!((&dry["checkpoints"], objects(&sandbox)), (&2.into(), before));
    assert_eq!(sandbox.json(&["gc", "--keep-checkpoints", "1"]), dry);
    assert_eq!(objects(&sandbox), before - dry["objects"].as_u64().unwrap() as usize);
    assert!(dry["objects"].as_u64().unwrap() >= 4, "{dry}");

    // All results are kept, also those of the edit, and training resumes where it stopped.
    for sets in [&[][..], &["--set", "c.salt=7"]] {
        assert!(sandbox.ok(&[&["plan", "toy.toml"], sets].concat()).contains("everything is fresh"));
        sandbox.ok(&[&["verify", "toy.toml"], sets].concat());
    }
    let told = events(&sandbox.ok(&["apply", "toy.toml", "--set", "c.steps=6", "--json"]));
    assert_eq!(stages(&told, "started"), ["c"]);
    let started = told.iter().find(|event| event["event"] == "started").unwrap();
    assert_eq!(started["resumed_from"], 4, "{started}");
    assert!(sandbox.run(&["gc", "--keep-checkpoints", "0"]).code == Some(2), "there must be one to go on from");
}

#[test]
fn the_disk_is_told_by_stage_and_each_object_once() {
    let sandbox =
        Sandbox::new("[write.a]\ntext = \"twelve bytes\"\n[write.b]\ntext = \"TWELVE BYTES\"\nlower = true\n");
    sandbox.ok(&["apply", "toy.toml", "--jobs", "1"]);
    sandbox.ok(&["apply", "toy.toml", "--set", "a.text=more than twelve"]);
    let disk = sandbox.json(&["status", "--disk"]);
    let of = |name: &str| {
        let stage = disk["stages"].as_array().unwrap().iter().find(|stage| stage["stage"] == name).unwrap();
        (stage["results"].as_u64().unwrap(), stage["bytes"].as_u64().unwrap())
    };
    let (a, b) = (of("a"), of("b"));
    assert_eq!((a.0, a.1 + b.1), (2, 12 + 16), "{disk}");
    assert_eq!(disk["others"].as_u64().unwrap() + a.1 + b.1, disk["bytes"].as_u64().unwrap());
    let shown = sandbox.ok(&["status", "--disk"]);
    assert!(shown.starts_with("stage ") && shown.contains("checkpoints, rows, logs"), "{shown}");
}
