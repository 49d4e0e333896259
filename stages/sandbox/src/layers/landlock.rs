//! Landlock: a program opens, makes and runs only what lies below the folders that it was given.
//!
//! It needs neither root nor namespaces. The kernel's version decides how much of it there is: files since 5.13, TCP
//! since 6.7, abstract sockets and signals since 6.12. It does not hide that a file exists: `stat` is not restricted.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, PathBeneath, Ruleset, RulesetAttr, RulesetCreatedAttr, Scope,
};
use rustix::fs::{FileType, Mode, OFlags};

/// The newest version that is asked for; an older kernel takes what it knows.
const NEWEST: ABI = ABI::V10;
/// The version with scopes for signals and abstract sockets.
pub(crate) const WITH_SCOPES: i32 = 6;

/// What programs may reach, opened once.
#[derive(Debug, Default)]
pub(crate) struct Reachable {
    rules: Vec<(OwnedFd, BitFlags<AccessFs>)>,
}

impl Reachable {
    /// Lets programs read and execute what lies below a path. A path that does not exist is left out.
    pub(crate) fn read(&mut self, path: &Path) -> io::Result<()> {
        self.add(path, AccessFs::from_read(NEWEST))
    }

    /// Lets programs read and write one file, such as `/dev/null`.
    pub(crate) fn write(&mut self, path: &Path) -> io::Result<()> {
        self.add(path, AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::Truncate)
    }

    fn add(&mut self, path: &Path, access: BitFlags<AccessFs>) -> io::Result<()> {
        let opened = rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
        let file = match opened {
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::ACCESS) => return Ok(()),
            opened => opened?,
        };
        let is_folder = FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode) == FileType::Directory;
        self.rules.push((file, if is_folder { access } else { access & AccessFs::from_file(NEWEST) }));
        Ok(())
    }
}

/// Returns the version of landlock that the kernel has, 0 for none.
pub(crate) fn version() -> i32 {
    // SAFETY: with this flag the call reads no memory and only returns a number.
    let version = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<u8>(), 0, 1) };
    version.max(0) as i32
}

/// Restricts this process for good to what is reachable, and to its own folder, which it may change.
pub(crate) fn restrict(reachable: &Reachable, own: &[BorrowedFd], network: bool) -> io::Result<()> {
    let failed = |error: landlock::RulesetError| io::Error::other(error.to_string());
    let mut ruleset = Ruleset::default().handle_access(AccessFs::from_all(NEWEST)).map_err(failed)?;
    ruleset = ruleset.scope(Scope::from_all(NEWEST)).map_err(failed)?;
    if !network {
        ruleset = ruleset.handle_access(AccessNet::from_all(NEWEST)).map_err(failed)?;
    }
    let mut ruleset = ruleset.create().map_err(failed)?;
    for (file, access) in &reachable.rules {
        ruleset = ruleset.add_rule(PathBeneath::new(file.as_fd(), *access)).map_err(failed)?;
    }
    let devices = AccessFs::MakeChar | AccessFs::MakeBlock | AccessFs::IoctlDev;
    for folder in own {
        ruleset = ruleset.add_rule(PathBeneath::new(folder, AccessFs::from_all(NEWEST) & !devices)).map_err(failed)?;
    }
    ruleset.restrict_self().map_err(failed)?;
    Ok(())
}
