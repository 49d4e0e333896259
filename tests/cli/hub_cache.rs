//! Files in the hub's cache and in the store's folders for it that are damaged, replaced, behind links, or without a
//! folder to go to.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::fetching::{Fetching, ROWS, WORKFLOW};
use super::support::Output;

/// Changes a file's first byte, but not its length or modification time.
fn spoil(path: &Path) {
    let modified = path.metadata().unwrap().modified().unwrap();
    let mut bytes = fs_err::read(path).unwrap();
    bytes[0] ^= 1;
    fs_err::write(path, bytes).unwrap();
    std::fs::File::options().write(true).open(path).unwrap().set_modified(modified).unwrap();
}

fn blob(it: &Fetching) -> PathBuf {
    let blobs = it.sandbox.root().join("hf/hub/datasets--org--rows/blobs");
    fs_err::read_dir(blobs).unwrap().next().unwrap().unwrap().path()
}

fn offline(it: &Fetching, arguments: &[&str]) -> Output {
    let mut command = it.command(arguments);
    command.env("HF_HUB_OFFLINE", "1");
    it.finish(command)
}

#[test]
fn a_file_of_other_bytes_than_its_name_says_is_not_used() {
    let it = Fetching::new(WORKFLOW);
    it.ok(&["fetch", "toy.toml"]);
    it.hub.asked();
    spoil(&blob(&it));
    let plan = it.run(&["plan", "toy.toml"]);
    assert!(plan.stdout.contains("`hf:org/rows@main` is not fetched yet"), "{plan}");
    assert!(plan.stderr.contains("has other bytes than the hub, and counts as not fetched"), "{plan}");
    for store in [".r1flow", "other"] {
        let output = offline(&it, &["apply", "toy.toml", "--store", store]);
        assert_eq!(output.code, Some(2), "{output}");
        assert!(output.stderr.contains("has other bytes than its name says"), "{output}");
        assert!(output.stderr.contains("unset HF_HUB_OFFLINE"), "{output}");
    }
    assert_eq!(it.hub.asked(), [""; 0]);
    assert_eq!(it.applied(), ["copy"]);
    assert_eq!(it.hub.asked().len(), 2, "a listing and the file");
    assert_eq!(fs_err::read_to_string(blob(&it)).unwrap(), ROWS);
    assert!(it.ok(&["show", "copy.samples"]).contains("one"));
    // Another store uses the right file from the cache.
    it.ok(&["fetch", "toy.toml", "--store", "other"]);
    assert!(it.hub.asked().iter().all(|path| path.starts_with("/api/")));
}

#[test]
fn another_program_s_half_file_is_fetched_again() {
    let it = Fetching::new(WORKFLOW);
    it.ok(&["fetch", "toy.toml"]);
    let blob = blob(&it);
    // Zeros with the right length, as left by a download that reserves its space first.
    fs_err::write(&blob, "\0".repeat(ROWS.len())).unwrap();
    it.hub.asked();
    let output = it.run(&["fetch", "toy.toml", "--store", "other"]);
    assert_eq!(output.code, Some(0), "{output}");
    assert!(output.stderr.contains("has other bytes than the hub: it is fetched again"), "{output}");
    assert_eq!(fs_err::read_to_string(&blob).unwrap(), ROWS);
    assert_eq!(it.hub.asked().iter().filter(|path| path.contains("/resolve/")).count(), 1);
}

#[test]
fn a_cache_without_links_is_used_and_the_user_is_told() {
    let it = Fetching::new(WORKFLOW);
    it.ok(&["fetch", "toy.toml"]);
    let repo = it.sandbox.root().join("hf/hub/datasets--org--rows");
    let pointer = repo.join("snapshots").join("1".repeat(40)).join("samples.jsonl");
    fs_err::rename(blob(&it), &pointer).unwrap();
    let output = offline(&it, &["apply", "toy.toml", "--store", "other"]);
    assert_eq!(output.code, Some(0), "{output}");
    assert!(output.stderr.contains("1 file of hf:org/rows@main in the cache cannot be checked"), "{output}");
    // Online, the hub says which bytes are right.
    let online = it.run(&["apply", "toy.toml", "--store", "third"]);
    assert!(online.code == Some(0) && !online.stderr.contains("cannot be checked"), "{online}");
    spoil(&pointer);
    let online = it.run(&["fetch", "toy.toml", "--store", "fourth"]);
    assert!(online.code == Some(0) && online.stderr.contains("it is fetched again"), "{online}");
    assert_eq!(fs_err::read_to_string(&pointer).unwrap(), ROWS);
}

#[test]
fn a_store_without_a_list_of_what_was_checked_is_checked_by_names() {
    let it = Fetching::new(WORKFLOW);
    assert_eq!(it.applied(), ["copy"]);
    let list = it.sandbox.root().join(".r1flow/hub/datasets--org--rows/checked").join("1".repeat(40));
    let whole = fs_err::read_to_string(&list).unwrap();
    for text in ["", "r1flow checked 1\n", &whole[..whole.len() - 1]] {
        fs_err::write(&list, text).unwrap();
        it.ok(&["apply", "toy.toml"]);
    }
    fs_err::remove_file(&list).unwrap();
    it.hub.asked();
    assert!(it.ok(&["plan", "toy.toml"]).contains("everything is fresh"));
    assert_eq!(it.hub.asked(), [""; 0]);
    fs_err::remove_file(&list).unwrap();
    spoil(&blob(&it));
    assert!(it.ok(&["plan", "toy.toml"]).contains("is not fetched yet"));
}

#[test]
fn a_reference_that_is_no_commit_is_none() {
    let it = Fetching::new(WORKFLOW);
    assert_eq!(it.applied(), ["copy"]);
    let ours = it.sandbox.root().join(".r1flow/hub/datasets--org--rows/refs/main");
    let shared = it.sandbox.root().join("hf/hub/datasets--org--rows/refs/main");
    let outside = format!("../../../../{}", "x".repeat(28));
    fs_err::create_dir_all(it.sandbox.root().join(&outside)).ok();
    for bytes in [&b""[..], b"\xff\xfe", b"main", outside.as_bytes(), &[b'1'; 39], &vec![b'1'; 1 << 20]] {
        fs_err::write(&ours, bytes).unwrap();
        assert!(it.ok(&["plan", "toy.toml"]).contains("is not fetched yet"), "{bytes:?}");
        fs_err::write(&shared, bytes).unwrap();
        let output = offline(&it, &["fetch", "toy.toml", "--store", "other"]);
        assert!(output.code == Some(2) && output.stderr.contains("is not whole in"), "{output}");
        assert_eq!(it.applied(), [""; 0]);
        for file in [&ours, &shared] {
            assert_eq!(fs_err::read_to_string(file).unwrap(), "1".repeat(40));
        }
    }
}

#[test]
fn a_link_in_the_place_of_a_folder_of_the_store_is_not_followed() {
    let it = Fetching::new(WORKFLOW);
    let root = it.sandbox.root();
    let repo = root.join(".r1flow/hub/datasets--org--rows");
    for place in [repo.clone(), repo.join("refs"), repo.join("snapshots"), repo.join("checked")] {
        it.ok(&["fetch", "toy.toml"]);
        let outside = root.join("outside");
        fs_err::rename(&place, &outside).unwrap();
        symlink(&outside, &place).unwrap();
        let before = tree(&outside);
        it.hub.commit("datasets/org/rows", &[("samples.jsonl", ROWS), ("load.py", place.to_str().unwrap())]);
        let output = it.run(&["fetch", "toy.toml"]);
        assert_eq!(output.code, Some(2), "{output}");
        assert!(output.stderr.contains("is a link or a file where a folder of the store should be"), "{output}");
        assert_eq!(tree(&outside), before);
        fs_err::remove_file(&place).unwrap();
        fs_err::rename(&outside, &place).unwrap();
    }
    // The folder `hub` itself may be a link, to a disk with more space.
    fs_err::rename(root.join(".r1flow/hub"), root.join("roomy")).unwrap();
    symlink("../roomy", root.join(".r1flow/hub")).unwrap();
    it.ok(&["fetch", "toy.toml"]);
    assert_eq!(it.applied(), ["copy"]);
}

/// Returns all paths below a folder, with the targets of links.
fn tree(folder: &Path) -> Vec<(PathBuf, Option<PathBuf>)> {
    let mut found = Vec::new();
    for entry in fs_err::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        found.push((path.clone(), std::fs::read_link(&path).ok()));
        if path.symlink_metadata().unwrap().is_dir() {
            found.extend(tree(&path));
        }
    }
    found.sort();
    found
}

#[test]
fn a_snapshot_that_has_changed_makes_room_and_is_not_lost() {
    let it = Fetching::new(WORKFLOW);
    let told = it.json(&["fetch", "toy.toml"]);
    let snapshot = PathBuf::from(told["inputs"]["rows"]["path"].as_str().unwrap());
    fs_err::write(snapshot.join("mine.jsonl"), "mine").unwrap();
    assert!(it.ok(&["plan", "toy.toml"]).contains("is not fetched yet"));
    assert_eq!(it.applied(), ["copy"]);
    assert_eq!(it.files(snapshot.to_str().unwrap()), ["samples.jsonl"]);
    let snapshots = snapshot.parent().unwrap();
    let old = it
        .files(snapshots.to_str().unwrap())
        .into_iter()
        .find(|name| name.rsplit_once('.').is_some_and(|(_, end)| end == "old"))
        .unwrap();
    assert_eq!(fs_err::read_to_string(snapshots.join(old).join("mine.jsonl")).unwrap(), "mine");
}

#[test]
fn without_a_home_nothing_is_kept_and_nothing_shared_is_trusted() {
    let it = Fetching::new("[write.a]\n");
    let shared = it.sandbox.root().join("shared");
    fs_err::create_dir_all(shared.join("huggingface")).unwrap();
    fs_err::write(shared.join("huggingface/token"), "hf_planted").unwrap();
    let homeless = |arguments: &[&str], empty: Option<&str>| {
        let mut command = it.command(arguments);
        command.env("TMPDIR", &shared).env_remove("HF_HOME");
        for variable in ["HOME", "XDG_CACHE_HOME"] {
            match empty {
                Some(value) => command.env(variable, value),
                None => command.env_remove(variable),
            };
        }
        it.finish(command)
    };
    // A relative path does not count, either.
    for value in [None, Some(""), Some("shared")] {
        assert_eq!(homeless(&["kinds"], value).code, Some(0));
        assert_eq!(homeless(&["apply", "toy.toml"], value).code, Some(0));
        let doctor = homeless(&["doctor"], value);
        assert!(doctor.stdout.contains("no token; no cache: set HF_HOME to have one"), "{doctor}");
    }
    it.sandbox.write("hub.toml", "[inputs]\nrows = { samples = \"hf:org/rows\" }\n");
    let output = homeless(&["fetch", "hub.toml"], None);
    assert_eq!(output.code, Some(2), "{output}");
    assert!(output.stderr.contains("neither HF_HOME nor HOME is set"), "{output}");
    assert!(output.stderr.contains("set HF_HOME to a folder of yours"), "{output}");
    assert_eq!(it.hub.asked(), [""; 0]);
    assert_eq!(it.files("shared"), ["huggingface"]);
    assert_eq!(it.files("shared/huggingface"), ["token"]);
    // One variable is enough.
    let mut command = it.command(&["fetch", "hub.toml"]);
    command.env_remove("HOME").env_remove("XDG_CACHE_HOME").env("HF_HUB_CACHE", "mine").env_remove("HF_HOME");
    assert_eq!(it.finish(command).code, Some(0));
}
