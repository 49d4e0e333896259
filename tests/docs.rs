//! The Markdown files: each relative link leads to a file of the repository and to a heading of it, and the table of
//! contents of the site (`docs/SUMMARY.md`) has each page.
//!
//! Links to other sites are not followed. Anchors are GitHub's; `make docs` checks those of the site.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use regex::Regex;

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn every_link_leads_somewhere() {
    let (broken, count) = broken(repository());
    assert!(broken.is_empty(), "{broken:#?}");
    assert!(count > 100, "{count} links");
}

#[test]
fn a_broken_link_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs_err::write(folder.path().join(name), text).unwrap();
    fs_err::create_dir_all(folder.path().join("docs/target")).unwrap();
    write(".gitignore", "/docs/target\n");
    write("docs/target/made.md", "[not ours](nowhere.md)");
    write("LICENSE", "");
    write(
        "README.md",
        "# A `key`, or b_c?\n\n## Same\n\n```toml\n# Code\n```\n\n## Same\n\n[one\nline](docs/a.md#ah-oh)",
    );
    let good = "# Ah: oh\n[a](../README.md#a-key-or-b_c) [b](#ah-oh) [c](../LICENSE) [d](../README.md#same-1) \
        <!-- [e](later.md) --> [f](https://example.org/g.md)";
    write("docs/a.md", good);
    assert_eq!(broken(folder.path()), (Vec::new(), 5));

    let bad = "[a](b.md), [b](#oh), [c](../LICENSE#mit), [d](../README.md#code), [e](../README.md#same-2 \"title\")\n\n\
        [f]: ../docs\n[g]: c.md\n<a href=\"d.md\">h</a> [i](../../outside)";
    write("docs/a.md", bad);
    let links = ["b.md", "#oh", "../LICENSE#mit", "../README.md#code", "../README.md#same-2", "c.md", "d.md"];
    let expected: Vec<String> = links.iter().map(|link| format!("docs/a.md: `{link}`")).collect();
    let outside = "docs/a.md: `../../outside`".to_owned();
    let in_readme = "README.md: `docs/a.md#ah-oh`".to_owned();
    assert_eq!(broken(folder.path()).0, [vec![in_readme], expected, vec![outside]].concat());
}

#[test]
fn the_table_of_contents_has_every_page_and_the_cookbook_every_recipe() {
    for (list, folder, extension) in [("docs/SUMMARY.md", "docs", "md"), ("docs/cookbook.md", "docs/cookbook", "toml")]
    {
        let list = repository().join(list);
        let text = fs_err::read_to_string(&list).unwrap();
        let listed: BTreeSet<PathBuf> = links(&text).iter().map(|link| list.with_file_name(link)).collect();
        let mut pages = files(&repository().join(folder), extension, &[]);
        pages.retain(|page| *page != list && !listed.contains(page));
        assert!(pages.is_empty(), "{} lacks {pages:#?}", list.display());
    }
}

/// Returns the links of a folder's Markdown files that lead nowhere, and the number of all relative links.
fn broken(root: &Path) -> (Vec<String>, usize) {
    let ignored = fs_err::read_to_string(root.join(".gitignore")).unwrap();
    let ignored: Vec<PathBuf> =
        ignored.lines().chain(["/.git"]).map(|line| root.join(line.trim_start_matches('/'))).collect();
    let (mut broken, mut count) = (Vec::new(), 0);
    for file in files(root, "md", &ignored) {
        let text = fs_err::read_to_string(&file).unwrap();
        for link in links(&text).into_iter().filter(|link| !link.contains(':')) {
            count += 1;
            if !leads_somewhere(root, &file, &link) {
                broken.push(format!("{}: `{link}`", file.strip_prefix(root).unwrap().display()));
            }
        }
    }
    (broken, count)
}

fn leads_somewhere(root: &Path, file: &Path, link: &str) -> bool {
    let (path, anchor) = link.split_once('#').map_or((link, None), |(path, anchor)| (path, Some(anchor)));
    let target = if path.is_empty() { file.to_owned() } else { file.with_file_name(path) };
    // Both without links and `..`: a path that leaves the repository leads nowhere.
    let (Ok(root), Ok(target)) = (fs_err::canonicalize(root), fs_err::canonicalize(target)) else { return false };
    let has = |anchor: &str| {
        target.extension().is_some_and(|extension| extension == "md")
            && anchors(&fs_err::read_to_string(&target).unwrap()).contains(anchor)
    };
    target.starts_with(root) && anchor.is_none_or(has)
}

/// Returns the targets of links: `[text](target)`, `[name]: target` and `<a href="target">`.
fn links(text: &str) -> Vec<String> {
    let link = Regex::new(r#"(?m)\]\(([^)\s]+)[^)]*\)|^\[[^\]]+\]:\s*(\S+)|\b(?:href|src)="([^"]+)""#).unwrap();
    let prose = prose(text);
    let targets = link.captures_iter(&prose).map(|found| found.iter().skip(1).flatten().next().unwrap().as_str());
    targets.map(str::to_owned).collect()
}

/// Returns the anchors of a page's headings as GitHub makes them: letters, digits, `-` and `_` remain, blanks become
/// `-`, and a heading that was there before gets a number.
fn anchors(text: &str) -> BTreeSet<String> {
    let heading = Regex::new(r"(?m)^#{1,6} +(.*)$").unwrap();
    let mut anchors = BTreeSet::new();
    for found in heading.captures_iter(&prose(text)) {
        let kept = found[1].trim().to_lowercase().replace(' ', "-");
        let kept: String = kept.chars().filter(|at| at.is_alphanumeric() || matches!(at, '-' | '_')).collect();
        let numbered = (1..).map(|number| format!("{kept}-{number}"));
        let free = std::iter::once(kept.clone()).chain(numbered).find(|anchor| !anchors.contains(anchor));
        anchors.extend(free);
    }
    anchors
}

/// Returns a text without blocks of code and without comments.
fn prose(text: &str) -> String {
    let left_out = Regex::new(r"(?ms)^ *```.*?^ *```|<!--.*?-->").unwrap();
    left_out.replace_all(text, "").into_owned()
}

fn files(folder: &Path, extension: &str, ignored: &[PathBuf]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let paths = fs_err::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    for path in paths.filter(|path| !ignored.contains(path)) {
        if path.is_dir() {
            found.extend(files(&path, extension, ignored));
        } else if path.extension().is_some_and(|end| end == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}
