//! What the repository ships, with the real worker: workflows pass `check`, generated files are up to date, and the
//! TOML in the documentation parses.

use std::path::Path;

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn toml_in_the_documentation_parses() {
    for (file, at_least) in [
        ("README.md", 1),
        ("docs/workflow-language.md", 4),
        ("docs/prompts.md", 5),
        ("docs/tuning-grpo.md", 1),
        ("docs/from-trl.md", 1),
        ("docs/from-verl.md", 1),
        ("docs/own-worker.md", 2),
        ("docs/sharing.md", 1),
    ] {
        let text = fs_err::read_to_string(repository().join(file)).unwrap();
        let blocks: Vec<&str> = text.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
        let with_tables: Vec<&&str> = blocks.iter().filter(|block| block.starts_with('[')).collect();
        assert!(with_tables.len() >= at_least, "{file}: {} blocks", with_tables.len());
        for block in with_tables {
            if let Err(error) = block.parse::<toml::Table>() {
                panic!("{file}: {error}\n{block}");
            }
        }
    }
}

#[cfg(feature = "worker")]
mod with_the_real_worker {
    use std::collections::BTreeMap;
    use std::path::PathBuf;

    use super::super::support::Sandbox;
    use super::*;

    fn sandbox() -> Sandbox {
        Sandbox::with_worker(PathBuf::from(env!("CARGO_BIN_EXE_r1flow-worker")))
    }

    fn shipped() -> Vec<PathBuf> {
        let cookbook = fs_err::read_dir(repository().join("docs/cookbook")).unwrap();
        let mut files: Vec<PathBuf> = cookbook.map(|entry| entry.unwrap().path()).collect();
        files.retain(|file| file.extension().is_some_and(|extension| extension == "toml"));
        files.retain(|file| !file.ends_with(WITH_DATA[1]));
        assert!(files.len() >= 6, "{files:?}");
        files.push(repository().join("workflows/r1.toml"));
        files.sort();
        files
    }

    /// Those that name files which a reader has to make.
    const WITH_DATA: [&str; 2] = ["workflows/word-problems.toml", "docs/cookbook/judges.toml"];

    #[test]
    fn every_workflow_that_needs_no_download_passes_check() {
        let sandbox = sandbox();
        for file in shipped() {
            let output = sandbox.run(&["check", file.to_str().unwrap()]);
            assert!(output.code == Some(0) && output.stdout.ends_with("no mistakes\n"), "{}: {output}", file.display());
        }
    }

    #[test]
    fn other_workflows_pass_check_once_their_data_is_there() {
        for name in WITH_DATA {
            let sandbox = sandbox();
            let text = fs_err::read_to_string(repository().join(name)).unwrap();
            sandbox.write("copy.toml", &text);
            let told: serde_json::Value =
                serde_json::from_str(&sandbox.run(&["check", "copy.toml", "--json"]).stdout).unwrap();
            // The fields of GSM8K, SVAMP and MAWPS beside those of this project.
            let rows = fs_err::read_to_string(repository().join("tests/workflows/golden/rows.jsonl")).unwrap();
            let rows =
                rows.replace('{', r#"{"input": "1+1=", "target": 2, "Body": "1+", "Question": "1=", "Answer": 2, "#);
            for mistake in told["mistakes"].as_array().unwrap() {
                let place = mistake["help"].as_str().unwrap().strip_prefix("looked for `[DIR]/").unwrap();
                let place = sandbox.root().join(place.split_once('`').unwrap().0);
                fs_err::create_dir_all(place.parent().unwrap()).unwrap();
                fs_err::write(&place, rows.repeat(2_000)).unwrap();
            }
            sandbox.ok(&["check", "copy.toml"]);
        }
    }

    #[test]
    fn generated_files_are_up_to_date() {
        let sandbox = sandbox();
        let path = |file: &str| repository().join(file).display().to_string();
        let (schema, kinds, cli) = (path("workflows/schema.json"), path("docs/kinds.md"), path("docs/cli.md"));
        let output = sandbox.run(&["schema", "--write", &schema, "--reference", &kinds, "--cli", &cli, "--check"]);
        assert_eq!(output.code, Some(0), "{output}");
    }

    /// A release never changes fingerprints silently. If this fails after a change to a kind, raise the kind's
    /// `VERSION` with a line of history, and record the new fingerprints with `R1FLOW_BLESS=1`.
    #[test]
    fn fingerprints_are_those_on_record() {
        let golden = repository().join("tests/workflows/golden");
        let plan = sandbox().json(&["plan", golden.join("workflow.toml").to_str().unwrap()]);
        let found: BTreeMap<&str, &str> = plan["rows"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| (row["kind"].as_str().unwrap(), row["fingerprint"].as_str().unwrap()))
            .collect();
        let kinds = sandbox().json(&["kinds"]);
        assert_eq!(found.len(), kinds.as_array().unwrap().len(), "every kind is pinned");
        let record = golden.join("fingerprints.json");
        if std::env::var_os("R1FLOW_BLESS").is_some() {
            fs_err::write(&record, serde_json::to_string_pretty(&found).unwrap() + "\n").unwrap();
        }
        let text = fs_err::read_to_string(&record).unwrap();
        let recorded: BTreeMap<&str, &str> = serde_json::from_str(&text).unwrap();
        assert_eq!(found, recorded);
    }
}
