//! Links in what a worker hands over: the store moves files, and must never move what a link leads to.
//!
//! A link to a file becomes a copy of it. Anything else is refused with its path: a link to a folder, for the files there are
//! not the attempt's, and a link that leads nowhere.

use std::path::Path;

use super::Failure;

/// Makes every link in a folder a file of its own. Blocks the thread.
pub(super) fn resolve_links(folder: &Path) -> Result<(), Failure> {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs_err::read_dir(folder)? {
            let entry = entry?;
            let (path, sort) = (entry.path(), entry.file_type()?);
            if sort.is_dir() {
                folders.push(path);
            } else if sort.is_symlink() {
                resolve(&path)?;
            }
        }
    }
    Ok(())
}

fn resolve(link: &Path) -> Result<(), Failure> {
    let refuse = |reason: &str| Failure {
        help: Some("let the stage write a file, or a folder of its own, in its place".to_owned()),
        ..Failure::new(format!("`{}` cannot be stored: {reason}", link.display()))
    };
    match std::fs::metadata(link) {
        Ok(found) if found.is_file() => {
            let copy = link.with_added_extension("r1flow-copy");
            fs_err::copy(link, &copy)?;
            Ok(fs_err::rename(copy, link)?)
        }
        Ok(found) if found.is_dir() => Err(refuse("it is a link to a folder")),
        Ok(_) => Err(refuse("it is a link to what is neither a file nor a folder")),
        Err(error) => Err(refuse(&format!("it is a link that leads nowhere ({error})"))),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_link_to_a_file_becomes_one_and_any_other_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (made, other) = (dir.path().join("made"), dir.path().join("other"));
        fs_err::create_dir_all(made.join("deep")).unwrap();
        fs_err::create_dir(&other).unwrap();
        fs_err::write(other.join("file"), "theirs").unwrap();
        symlink(other.join("file"), made.join("deep/link")).unwrap();
        resolve_links(&made).unwrap();
        assert!(fs_err::symlink_metadata(made.join("deep/link")).unwrap().is_file());
        assert_eq!(fs_err::read_to_string(made.join("deep/link")).unwrap(), "theirs");
        assert_eq!(fs_err::read_to_string(other.join("file")).unwrap(), "theirs");
        assert_eq!(fs_err::read_dir(made.join("deep")).unwrap().count(), 1);

        for (name, target) in
            [("folder", other.as_path()), ("self", Path::new(".")), ("gone", Path::new("/nowhere/at/all"))]
        {
            symlink(target, made.join(name)).unwrap();
            let failure = resolve_links(&made).unwrap_err();
            assert!(failure.message.contains(&format!("/made/{name}` cannot be stored")), "{}", failure.message);
            fs_err::remove_file(made.join(name)).unwrap();
        }
    }
}
