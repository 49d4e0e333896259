//! Objects as streams, for any size: checked, then read piece by piece.
//!
//! [`Store::read`] checks the bytes that it returns in memory. Here the bytes are checked first and read afterwards,
//! which is safe because an object is never written to once it has its name.

use crate::error::Result;
use crate::{Digest, Store};

impl Store {
    /// Opens an object for reading, after checking that its bytes match its name. Fails if it is damaged, and moves it
    /// to quarantine.
    pub fn open_checked(&self, digest: &Digest) -> Result<fs_err::File> {
        self.check_bytes(digest)?;
        Ok(fs_err::File::from_parts(self.open_object(digest)?, self.object_path(digest)))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;
    use crate::Error;

    #[test]
    fn only_whole_objects_are_opened() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let digest = store.put_bytes(b"whole").unwrap();
        let mut text = String::new();
        store.open_checked(&digest).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "whole");
        let path = store.object_path(&digest);
        fs_err::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
        fs_err::write(&path, b"hole!").unwrap();
        assert!(matches!(store.open_checked(&digest), Err(Error::Corrupt { .. })));
        assert!(!path.exists(), "it is moved aside");
    }
}
