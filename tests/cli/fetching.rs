//! A sandbox with a hub beside it.

use std::process::Command;

use serde_json::Value;

use super::fake_hub::FakeHub;
use super::support::{Output, Sandbox, events, stages};

/// A stage reads the rows of `org/rows`; no stage reads the model.
pub(crate) const WORKFLOW: &str = r#"[inputs]
rows = { samples = "hf:org/rows" }
base = { model = "hf:org/base@main" }

[join.copy]
data = ["inputs.rows"]
"#;
pub(crate) const ROWS: &str = "one\ntwo\n";
pub(crate) const SECRET: &str = "hf_secretOfSomebody";

pub(crate) struct Fetching {
    pub(crate) hub: FakeHub,
    pub(crate) sandbox: Sandbox,
}

impl Fetching {
    pub(crate) fn new(workflow: &str) -> Self {
        let hub = FakeHub::start();
        hub.commit("datasets/org/rows", &[("samples.jsonl", ROWS), ("LICENSE", "MIT"), ("load.py", "")]);
        let model = [
            ("config.json", "{}"),
            ("model.safetensors", "weights"),
            ("pytorch_model.bin", "pickle"),
            ("tokenizer.json", "{}"),
            ("onnx/model.safetensors", "twin"),
        ];
        hub.commit("models/org/base", &model);
        Self { hub, sandbox: Sandbox::new(workflow) }
    }

    /// Returns a command whose environment names the hub.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.sandbox.command(arguments);
        command.env("HF_ENDPOINT", self.hub.endpoint()).env("HF_HOME", self.sandbox.root().join("hf"));
        command
    }

    /// Runs a command; the hub's address, which differs from run to run, is replaced in its output.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.finish(self.command(arguments))
    }

    pub(crate) fn finish(&self, mut command: Command) -> Output {
        let Output { code, stdout, stderr } = self.sandbox.finish(&mut command);
        let text = |text: String| text.replace(&self.hub.endpoint(), "[HUB]");
        Output { code, stdout: text(stdout), stderr: text(stderr) }
    }

    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(output.code, Some(0), "{arguments:?}: {output}");
        output.stdout
    }

    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_slice(&self.command(arguments).arg("--json").output().unwrap().stdout).unwrap()
    }

    /// Returns the stages that an `apply` ran.
    pub(crate) fn applied(&self) -> Vec<String> {
        let events = events(&self.ok(&["apply", "toy.toml", "--json"]));
        stages(&events, "done").into_iter().map(str::to_owned).collect()
    }

    /// Returns the names in a folder of the sandbox, sorted.
    pub(crate) fn files(&self, folder: &str) -> Vec<String> {
        let mut names: Vec<String> =
            fs_err::read_dir(self.sandbox.root().join(folder)).unwrap().map(|entry| name(&entry.unwrap())).collect();
        names.sort();
        names
    }
}

fn name(entry: &fs_err::DirEntry) -> String {
    entry.file_name().to_string_lossy().into_owned()
}
