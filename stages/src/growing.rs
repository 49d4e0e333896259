//! Rows of an output that are written as they come, so that `r1flow show` has them before the stage is done.

use std::io::Write;
use std::path::{Path, PathBuf};

use engine::stage::{Context, StageError};
use serde::Serialize;

/// The rows so far. At the end the file becomes the output's.
pub(crate) struct GrowingRows {
    file: fs_err::File,
    path: PathBuf,
    output: PathBuf,
}

impl GrowingRows {
    /// Begins the rows of output `name`, without any.
    pub(crate) fn create(ctx: &Context, name: &str) -> Result<Self, StageError> {
        let path = ctx.growing(name);
        if let Some(folder) = path.parent() {
            fs_err::create_dir_all(folder)?;
        }
        Ok(Self { file: fs_err::File::create(&path)?, path, output: ctx.output(name) })
    }

    /// Appends rows, one object on each line. Readers see all of them or none, apart from the last line.
    pub(crate) fn append<T: Serialize>(&mut self, rows: &[T]) -> Result<(), StageError> {
        let mut lines = Vec::new();
        for row in rows {
            serde_json::to_writer(&mut lines, row)?;
            lines.push(b'\n');
        }
        Ok(self.file.write_all(&lines)?)
    }

    /// Makes the output, a folder with the rows in the file `name`.
    pub(crate) fn finish(self, name: impl AsRef<Path>) -> Result<(), StageError> {
        let Self { file, path, output } = self;
        drop(file);
        fs_err::create_dir_all(&output)?;
        let output = output.join(name);
        // The run's folder may lie on another file system.
        if fs_err::rename(&path, &output).is_err() {
            fs_err::copy(&path, &output)?;
        }
        Ok(())
    }
}
