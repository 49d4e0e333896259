//! What the program of a reward of your own needs in its jail: its interpreter, with what its links lead to, and the
//! paths that it may read.

use std::path::{Path, PathBuf};

use engine::stage::StageError;

/// Where an interpreter without a slash is looked for.
const FOLDERS: [&str; 3] = ["/usr/local/bin", "/usr/bin", "/bin"];
/// The most links that are followed.
const LINKS: usize = 40;

/// Refuses an interpreter or a path of `reads` that is not there, or not in the jail.
pub(super) fn check(python: Option<&Path>, reads: &[PathBuf]) -> Result<(), StageError> {
    for path in reads {
        if path.is_relative() {
            let message = format!("`{}` in `reads` is not a whole path", path.display());
            return Err(StageError::new(message).with_help("write it from `/` on; `~` and variables are not replaced"));
        }
        if let Err(error) = fs_err::metadata(path) {
            let message = format!("`{}` in `reads` cannot be read: {}", path.display(), reason(&error));
            return Err(StageError::new(message).with_help("name a file or folder that is there, or leave it out"));
        }
    }
    let Some(python) = python else {
        return in_system(Path::new("python3")).map(drop).ok_or_else(|| {
            StageError::new(format!("there is no `python3` in {}", listed()))
                .with_help("install it, or name an interpreter: `python = \"/…/bin/python\"`")
        });
    };
    if python.components().count() == 1 && !python.has_root() {
        return in_system(python).map(drop).ok_or_else(|| {
            StageError::new(format!("`python` is `{}`, which is not in {}", python.display(), listed()))
                .with_help("write the whole path of an interpreter, such as `/home/me/venv/bin/python`")
        });
    }
    if python.is_relative() {
        let message = format!("`python` is `{}`, which is not a whole path", python.display());
        return Err(StageError::new(message).with_help("write it from `/` on; `~` and variables are not replaced"));
    }
    reaches(python, reads)
}

/// Refuses an interpreter that is not there, or that is or links to a file outside of the jail.
fn reaches(python: &Path, reads: &[PathBuf]) -> Result<(), StageError> {
    let mut at = python.to_owned();
    for _ in 0..LINKS {
        let link = fs_err::symlink_metadata(&at)
            .and_then(|about| if about.is_symlink() { fs_err::read_link(&at).map(Some) } else { Ok(None) });
        let link = link.map_err(|error| {
            let message = format!("`python` is `{}`: {}", python.display(), told(&at, python, &error));
            StageError::new(message)
                .with_help("name an interpreter that is there, such as a virtual environment's `bin/python`")
        })?;
        if !is_in_jail(&at, reads) {
            let folder = installation(&at);
            let which = if at == python {
                "which is not in `reads`".to_owned()
            } else {
                format!("a link to `{}`, which is not in `reads`", at.display())
            };
            let all = reads.iter().map(PathBuf::as_path).chain([folder]);
            let all = all.map(|path| format!("\"{}\"", path.display())).collect::<Vec<_>>().join(", ");
            return Err(StageError::new(format!("`python` is `{}`, {which}", python.display()))
                .with_help(format!("a program sees only the system's files and those of `reads`: `reads = [{all}]`")));
        }
        match link {
            Some(target) => at = at.parent().unwrap_or(Path::new("/")).join(target),
            None => return Ok(()),
        }
    }
    Err(StageError::new(format!("`python` is `{}`, whose links lead nowhere", python.display())))
}

/// Returns whether a program in the jail sees a path.
fn is_in_jail(path: &Path, reads: &[PathBuf]) -> bool {
    // `/venv/bin/../lib` is below `/venv/lib`.
    let path = path
        .parent()
        .and_then(|parent| fs_err::canonicalize(parent).ok())
        .map_or_else(|| path.to_owned(), |parent| parent.join(path.file_name().unwrap_or_default()));
    let is_below =
        |read: &PathBuf| path.starts_with(read) || fs_err::canonicalize(read).is_ok_and(|read| path.starts_with(read));
    sandbox::is_of_system(&path) || reads.iter().any(is_below)
}

/// Returns the folder of an installation: that of `bin/python3`, or the file itself.
fn installation(python: &Path) -> &Path {
    let bin = python.parent().filter(|folder| folder.file_name().is_some_and(|name| name == "bin"));
    bin.and_then(Path::parent).filter(|folder| folder.parent().is_some()).unwrap_or(python)
}

fn in_system(name: &Path) -> Option<PathBuf> {
    FOLDERS.iter().map(|folder| Path::new(folder).join(name)).find(|path| path.exists())
}

fn listed() -> String {
    let [first, second, third] = FOLDERS;
    format!("{first}, {second} or {third}")
}

fn told(at: &Path, python: &Path, error: &std::io::Error) -> String {
    if at == python { reason(error) } else { format!("its link leads to `{}`: {}", at.display(), reason(error)) }
}

/// Returns an error's reason in the words of the system, without the path that is named already.
fn reason(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "it is not there".to_owned(),
        std::io::ErrorKind::PermissionDenied => "you may not read it".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn refusal(python: Option<&Path>, reads: &[PathBuf]) -> Option<String> {
        check(python, reads).err().map(|error| format!("{} / {}", error.message, error.help.unwrap_or_default()))
    }

    #[test]
    fn a_virtual_environment_needs_the_folder_that_its_interpreter_links_to() {
        let folder = tempfile::tempdir().unwrap();
        let root = fs_err::canonicalize(folder.path()).unwrap();
        for part in ["venv/bin", "pyenv/3.12/bin"] {
            fs_err::create_dir_all(root.join(part)).unwrap();
        }
        let real = root.join("pyenv/3.12/bin/python3.12");
        fs_err::write(&real, "").unwrap();
        symlink("python3.12", root.join("pyenv/3.12/bin/python3")).unwrap();
        symlink(root.join("pyenv/3.12/bin/python3"), root.join("venv/bin/python3")).unwrap();
        symlink("python3", root.join("venv/bin/python")).unwrap();
        let (python, venv) = (root.join("venv/bin/python"), root.join("venv"));
        let told = refusal(Some(&python), std::slice::from_ref(&venv)).unwrap();
        let (link, installation) = (root.join("pyenv/3.12/bin/python3"), root.join("pyenv/3.12"));
        assert!(told.contains(&format!("a link to `{}`, which is not in `reads`", link.display())), "{told}");
        assert!(
            told.contains(&format!("`reads = [\"{}\", \"{}\"]`", venv.display(), installation.display())),
            "{told}"
        );
        assert_eq!(refusal(Some(&python), &[venv.clone(), installation]), None);
        let told = refusal(Some(&python), &[]).unwrap();
        assert!(told.contains(&format!("`python` is `{}`, which is not in `reads`", python.display())), "{told}");
        fs_err::rename(&real, root.join("elsewhere")).unwrap();
        let told = refusal(Some(&python), &[venv, root.join("pyenv")]).unwrap();
        assert!(told.contains(&format!("its link leads to `{}`: it is not there", real.display())), "{told}");
    }

    #[test]
    fn what_is_not_there_is_refused() {
        let nowhere = [PathBuf::from("/nowhere-at-all")];
        for (python, reads, expected) in [
            (Some("nopython"), &[][..], "`python` is `nopython`, which is not in /usr/local/bin, /usr/bin or /bin"),
            (Some("venv/bin/python"), &[], "`python` is `venv/bin/python`, which is not a whole path"),
            (Some("/nowhere-at-all/bin/python"), &[], "`python` is `/nowhere-at-all/bin/python`: it is not there"),
            (None, &nowhere, "`/nowhere-at-all` in `reads` cannot be read: it is not there"),
            (None, &[PathBuf::from("data")], "`data` in `reads` is not a whole path"),
        ] {
            let told = refusal(python.map(Path::new), reads).unwrap();
            assert!(told.starts_with(expected), "{told}");
        }
    }
}
