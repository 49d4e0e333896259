//! Inputs from a hub: `fetch`, and how the other commands treat inputs that are fetched or missing.

use std::process::Command;

use super::fetching::{Fetching, ROWS, SECRET, WORKFLOW};

#[test]
fn only_apply_and_fetch_ask_the_hub() {
    let it = Fetching::new(WORKFLOW);
    let checked = it.run(&["check", "toy.toml"]);
    assert!(
        checked.code == Some(0)
            && checked.stderr.contains("note: `inputs.rows` is not fetched, so it was not looked at"),
        "{checked}"
    );
    assert!(checked.stderr.contains("`r1flow fetch toy.toml` fetches it"), "{checked}");
    assert!(!checked.stderr.contains("inputs.base"), "no stage reads it: {checked}");
    insta::assert_snapshot!(it.run(&["plan", "toy.toml"]), @r"
    exit code 0
    ── stdout
    dirty  copy  has not run yet, `hf:org/rows@main` is not fetched yet  [cost unknown]
    toy: 1 to run, 0 only if what they need changes; time unknown
    input  base  hf:org/base@main, not fetched yet
    input  rows  hf:org/rows@main, not fetched yet
    ── stderr
    `r1flow fetch toy.toml` downloads what is not here, and so does `apply`
    ");
    assert_eq!(it.hub.asked(), [""; 0]);
    // An input that no stage reads is not fetched.
    assert_eq!(it.applied(), ["copy"]);
    assert!(!it.run(&["check", "toy.toml"]).stderr.contains("not fetched"));
    assert!(it.hub.asked().iter().all(|path| path.contains("org/rows")));
    insta::assert_snapshot!(it.ok(&["plan", "toy.toml"]), @r"
    fresh  copy
    toy: everything is fresh, nothing would run
    input  base  hf:org/base@main, not fetched yet
    input  rows  hf:org/rows@main at 1111111111111111111111111111111111111111
    ");
    insta::assert_snapshot!(it.ok(&["status"]), @"
    toy [RUN]: done, [TIME]
      rows: hf:org/rows@main at 1111111111111111111111111111111111111111
    stage  state  step  time   left
    copy   done         [TIME]
    ");
    insta::assert_snapshot!(it.ok(&["show", "inputs.rows"]), @r"
    rows is hf:org/rows@main at 1111111111111111111111111111111111111111
      in the newest run that read it, [RUN] of workflow toy
    ");
    assert!(it.ok(&["show", "copy.samples"]).contains("one"));
    assert_eq!(it.hub.asked(), [""; 0]);
}

#[test]
fn fetch_brings_what_a_stage_can_read() {
    let it = Fetching::new(WORKFLOW);
    insta::assert_snapshot!(it.run(&["fetch", "toy.toml"]), @r"
    exit code 0
    ── stdout
    input  id                commit        files  size
    base   hf:org/base@main  111111111111  3      11 B  new
    rows   hf:org/rows@main  111111111111  1      8 B   new
    ── stderr
    fetching hf:org/base@main at 111111111111: 3 files, 11 B
      config.json  2 B
      model.safetensors  7 B
    fetching hf:org/rows@main at 111111111111: 1 file, 8 B
      samples.jsonl  8 B
    ");
    let told = it.json(&["fetch", "toy.toml"]);
    let files = |input: &str| it.files(told["inputs"][input]["path"].as_str().unwrap());
    assert_eq!(files("base"), ["config.json", "model.safetensors", "tokenizer.json"]);
    assert_eq!(files("rows"), ["samples.jsonl"]);
    // Other programs find the files, too.
    let commit = told["inputs"]["base"]["commit"].as_str().unwrap();
    let cached = it.sandbox.root().join("hf/hub/models--org--base");
    assert_eq!(fs_err::read_to_string(cached.join("refs/main")).unwrap(), commit);
    let weights = cached.join("snapshots").join(commit).join("model.safetensors");
    assert!(fs_err::read_link(&weights).unwrap().starts_with("../../blobs"));
    assert_eq!(fs_err::read_to_string(weights).unwrap(), "weights");
    // A second fetch only queries the branches.
    it.hub.asked();
    it.ok(&["fetch", "toy.toml"]);
    assert!(it.hub.asked().iter().all(|path| path.starts_with("/api/")));
}

#[test]
fn a_branch_moves_when_fetch_says_so() {
    let it = Fetching::new(WORKFLOW);
    assert_eq!(it.applied(), ["copy"]);
    it.hub.commit("datasets/org/rows", &[("samples.jsonl", "three\n")]);
    it.hub.asked();
    assert_eq!(it.applied(), [""; 0]);
    assert_eq!(it.hub.asked(), [""; 0]);
    assert!(it.ok(&["fetch", "toy.toml"]).contains("moved from"));
    assert_eq!(it.applied(), ["copy"]);
    // Content decides: another commit with the same rows is no reason to run.
    it.hub.commit("datasets/org/rows", &[("samples.jsonl", "three\n"), ("README.md", "# More words")]);
    it.hub.asked();
    assert!(it.ok(&["fetch", "toy.toml"]).contains("moved from"));
    let asked = it.hub.asked();
    let is_known = |path: &String| path.starts_with("/api/") || path.ends_with("/README.md");
    assert!(asked.iter().all(is_known), "its bytes are there: {asked:?}");
    assert_eq!(it.applied(), [""; 0]);
}

#[test]
fn a_commit_is_asked_for_once() {
    let it = Fetching::new("");
    let commit = it.hub.commit("datasets/org/rows", &[("part/samples.jsonl", ROWS), ("samples.jsonl", "other\n")]);
    let workflow = format!(
        "[inputs]\nrows = {{ samples = \"hf:org/rows@{commit}/part\" }}\n[join.copy]\ndata = [\"inputs.rows\"]\n"
    );
    it.sandbox.write("toy.toml", &workflow);
    it.ok(&["fetch", "toy.toml"]);
    assert_eq!(it.hub.asked().len(), 2);
    it.ok(&["fetch", "toy.toml"]);
    assert_eq!(it.applied(), ["copy"]);
    assert_eq!(it.hub.asked(), [""; 0]);
    assert!(it.ok(&["show", "copy.samples"]).contains("one"));
    // Files that the cache lost are fetched again.
    fs_err::remove_dir_all(it.sandbox.root().join("hf")).unwrap();
    assert!(it.ok(&["plan", "toy.toml"]).contains("is not fetched yet"));
    assert_eq!(it.applied(), [""; 0]);
    assert_eq!(it.hub.asked().len(), 2);
}

#[test]
fn offline_takes_what_the_cache_has() {
    let it = Fetching::new(WORKFLOW);
    let offline = |arguments: &[&str]| {
        let mut command = it.command(arguments);
        command.env("HF_HUB_OFFLINE", "1");
        it.finish(command)
    };
    insta::assert_snapshot!(offline(&["apply", "toy.toml"]), @r#"
    exit code 2
    ── stderr
    error: hf:org/rows@main is not whole in `[DIR]/hf/hub`, and HF_HUB_OFFLINE forbids to ask the hub
     --> toy.toml:2:20
      |
    2 | rows = { samples = "hf:org/rows" }
      |                    ^^^^^^^^^^^^^ not fetched
      |
      = help: fetch it where there is a network, and copy the cache; or unset HF_HUB_OFFLINE
    "#);
    it.ok(&["fetch", "toy.toml"]);
    it.hub.asked();
    // A store that has never used a hub, with a cache that another program has filled.
    let output = offline(&["apply", "toy.toml", "--store", "other"]);
    assert_eq!(output.code, Some(0), "{output}");
    assert_eq!(offline(&["fetch", "toy.toml", "--store", "other"]).code, Some(0));
    assert_eq!(it.hub.asked(), [""; 0]);
    // A model without all its files does not count.
    let snapshot = it.json(&["fetch", "toy.toml"])["inputs"]["base"]["commit"].as_str().unwrap().to_owned();
    let weights = format!("hf/hub/models--org--base/snapshots/{snapshot}/model.safetensors");
    fs_err::remove_file(it.sandbox.root().join(weights)).unwrap();
    let output = offline(&["fetch", "toy.toml", "--store", "third"]);
    assert_eq!(output.code, Some(2));
    assert!(output.stderr.contains("hf:org/base@main is not whole in"), "{output}");
}

#[test]
fn what_is_not_there_is_told_with_its_place() {
    let it = Fetching::new(
        "[inputs]\na = { samples = \"hf:org/nothing\" }\nb = { samples = \"hf:org/rows@v9\" }\n\
         c = { model = \"hf:org/pickled\" }\nd = { samples = \"hf:org/base@main/onnx\" }\ne = { samples = \"hf:org/words\" }\n",
    );
    it.hub.commit("models/org/pickled", &[("config.json", "{}"), ("pytorch_model.bin", "pickle")]);
    it.hub.commit("datasets/org/words", &[("load.py", "import os")]);
    insta::assert_snapshot!(it.run(&["fetch", "toy.toml"]), @r#"
    exit code 2
    ── stderr
    error: there is no data set `org/nothing` at [HUB]
     --> toy.toml:2:17
      |
    2 | a = { samples = "hf:org/nothing" }
      |                 ^^^^^^^^^^^^^^^^ not on the hub
      |
      = help: look at the name's spelling; the key says whether it is a model or data

    error: the data set `org/rows` has no revision `v9`
     --> toy.toml:3:17
      |
    3 | b = { samples = "hf:org/rows@v9" }
      |                 ^^^^^^^^^^^^^^^^ no such revision
      |
      = help: name a branch, a tag, or all 40 digits of a commit

    error: hf:org/pickled@main is no model that can be read: its weights are pickles (`pytorch_model.bin`), which are never loaded
     --> toy.toml:4:15
      |
    4 | c = { model = "hf:org/pickled" }
      |               ^^^^^^^^^^^^^^^^ no safetensors model
      |
      = help: choose a revision with `config.json` and safetensors; some have one under `@refs/pr/…`

    error: there is no data set `org/base` at [HUB]
     --> toy.toml:5:17
      |
    5 | d = { samples = "hf:org/base@main/onnx" }
      |                 ^^^^^^^^^^^^^^^^^^^^^^^ not on the hub
      |
      = help: look at the name's spelling; the key says whether it is a model or data

    error: hf:org/words@main has no data that can be read
     --> toy.toml:6:17
      |
    6 | e = { samples = "hf:org/words" }
      |                 ^^^^^^^^^^^^^^ no data files
      |
      = help: JSON, CSV, TSV, Parquet and Arrow are read; the hub may have a Parquet copy at `@refs/convert/parquet`
    "#);
    assert_eq!(it.json(&["fetch", "toy.toml"])["mistakes"][0]["line"], 2);
}

#[test]
fn a_token_is_sent_to_the_hub_and_nowhere_else() {
    let it = Fetching::new(WORKFLOW);
    it.hub.state().token = Some(SECRET.to_owned());
    insta::assert_snapshot!(it.run(&["apply", "toy.toml"]), @r#"
    exit code 2
    ── stderr
    error: the hub requires a token for `org/rows`
     --> toy.toml:2:20
      |
    2 | rows = { samples = "hf:org/rows" }
      |                    ^^^^^^^^^^^^^ gated, private, or not there
      |
      = help: put one of yours into HF_TOKEN, accept the licence at [HUB]/datasets/org/rows, and check the spelling: the hub also hides what is not there
    "#);
    let asked = |variable: &str, value: &str| {
        let mut command = it.command(&["fetch", "toy.toml", "-vv"]);
        command.env(variable, value).env("R1FLOW_LOG", "trace");
        it.finish(command)
    };
    let refused = asked("HF_TOKEN", "hf_anotherOne");
    assert!(refused.code == Some(2) && refused.stderr.contains("to the owner of this token"), "{refused}");
    assert!(!refused.to_string().contains("hf_anotherOne"));
    let broken = asked("HF_TOKEN", "hf_\u{1}secret");
    assert!(broken.stderr.contains("characters that no token has") && !broken.stderr.contains("secret"), "{broken}");
    // The hub redirects requests for files to another host, which gets no token.
    it.hub.state().redirect = Some(format!("http://localhost:{}", it.hub.port()));
    it.hub.asked();
    let output = asked("HF_TOKEN", SECRET);
    assert_eq!(output.code, Some(0), "{output}");
    let requests = it.hub.state().requests.clone();
    let (elsewhere, here): (Vec<_>, Vec<_>) =
        requests.iter().partition(|request| request.host.starts_with("localhost"));
    assert!(here.len() == 5 && here.iter().all(|request| request.token.as_deref() == Some(SECRET)), "{here:?}");
    assert!(elsewhere.len() == 3 && elsewhere.iter().all(|request| request.token.is_none()), "{elsewhere:?}");
    assert!(!output.to_string().contains(SECRET), "{output}");
    // Nor is the token in the columns of a dump of bytes.
    let columns: String = output.stderr.lines().filter_map(|line| line.rsplit("  ").next()).collect();
    assert!(output.stderr.contains("DEBUG") && !columns.contains(SECRET), "{output}");
    let store = Command::new("grep").args(["-r", SECRET, ".r1flow", "hf"]).current_dir(it.sandbox.root()).output();
    assert_eq!(String::from_utf8(store.unwrap().stdout).unwrap(), "");
    // The token may be in a file, as for Hugging Face's own programs.
    it.sandbox.write("token", &format!("{SECRET}\n"));
    assert_eq!(asked("HF_TOKEN_PATH", "token").code, Some(0));
}

#[test]
fn a_broken_connection_is_taken_up_again() {
    let it = Fetching::new(WORKFLOW);
    let blobs = "hf/hub/datasets--org--rows/blobs";
    let long = "a row of many\n".repeat(80);
    it.hub.commit("datasets/org/rows", &[("samples.jsonl", &long)]);
    it.hub.state().cut = Some(400);
    // Each answer brings 400 bytes more; the listing is shorter than that.
    assert_eq!(it.applied(), ["copy"]);
    let ranges: Vec<_> = it.hub.state().requests.iter().filter_map(|request| request.range.clone()).collect();
    assert_eq!(ranges, ["bytes=400-", "bytes=800-"]);
    // An answer without new bytes ends the fetch, and the partial file stays for the next try.
    let other = long.replace("row", "word");
    it.hub.commit("datasets/org/rows", &[("samples.jsonl", &other)]);
    it.hub.state().ignores_range = true;
    let output = it.run(&["fetch", "toy.toml"]);
    assert_eq!(output.code, Some(2));
    assert!(output.stderr.contains("the connection broke while `samples.jsonl` came"), "{output}");
    assert_eq!(it.files(blobs).iter().filter(|name| name.ends_with(".r1flow")).count(), 1);
    it.hub.state().hides_length = true;
    let output = it.run(&["fetch", "toy.toml"]);
    assert!(output.stderr.contains("`samples.jsonl` ends after 400 B of 1.2 KiB"), "{output}");
    assert_eq!(it.applied(), [""; 0], "the branch has not moved");
    // A whole answer to a request for a part replaces the partial file.
    it.hub.state().cut = None;
    it.ok(&["fetch", "toy.toml"]);
    assert_eq!(it.files(blobs).iter().filter(|name| name.ends_with(".r1flow")).count(), 0);
    assert_eq!(it.applied(), ["copy"]);
    assert!(it.ok(&["show", "copy.samples", "--rows", "200"]).contains(&other));
}

#[test]
fn bytes_that_changed_on_the_way_are_not_kept() {
    let it = Fetching::new(WORKFLOW);
    for file in ["config.json", "model.safetensors"] {
        it.hub.state().spoils = Some(file);
        let output = it.run(&["fetch", "toy.toml"]);
        assert_eq!(output.code, Some(2));
        assert!(output.stderr.contains(&format!("`{file}` came with other bytes than the hub has")), "{output}");
    }
    it.hub.state().spoils = None;
    let told = it.json(&["fetch", "toy.toml"]);
    let base = std::path::Path::new(told["inputs"]["base"]["path"].as_str().unwrap());
    assert_eq!(fs_err::read_to_string(base.join("model.safetensors")).unwrap(), "weights");
}

#[test]
fn a_plan_to_follow_needs_content() {
    let it = Fetching::new(WORKFLOW);
    insta::assert_snapshot!(it.run(&["plan", "toy.toml", "-o", "night.json"]), @r"
    exit code 2
    ── stderr
    error: input `rows`, `hf:org/rows@main`, is not fetched yet, and a plan that `apply` can follow rests on content: run `r1flow fetch toy.toml` first
    ");
    it.ok(&["fetch", "toy.toml"]);
    it.ok(&["plan", "toy.toml", "-o", "night.json"]);
    it.ok(&["apply", "night.json"]);
}

#[test]
fn nobody_answers() {
    let it = Fetching::new(WORKFLOW);
    let mut command = it.command(&["fetch", "toy.toml"]);
    // A port that was free a moment ago.
    let address = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
    command.env("HF_ENDPOINT", format!("http://{address}"));
    let output = it.finish(command);
    assert_eq!(output.code, Some(2));
    assert!(output.stderr.contains("cannot be reached: io: Connection refused"), "{output}");
    assert!(output.stderr.contains("HF_HUB_OFFLINE=1 takes what the cache has"), "{output}");
}
