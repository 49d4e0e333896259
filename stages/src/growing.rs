//! Rows of an output that are written as they come, so that `r1flow show` has them before the stage is done.
//!
//! A checkpoint holds them in compressed parts. A part never changes, so consecutive checkpoints share it in the store.
//! Small parts are joined now and then: over a whole run each row is written about log₂(number of checkpoints) times.
//!
//! ```text
//! CHECKPOINT/rollouts-parts/0.jsonl.zst, 1.jsonl.zst, …   each at least twice as large as the next
//! ```

use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use engine::stage::{Context, StageError};
use serde::Serialize;

/// Level of compression: text shrinks to a fourth or so, faster than a disk takes it.
const LEVEL: i32 = 3;

/// The rows so far. At the end the file becomes the output's.
pub(crate) struct GrowingRows {
    name: String,
    file: fs_err::File,
    path: PathBuf,
    output: PathBuf,
    /// Where parts are made.
    folder: PathBuf,
    /// Compressed rows, oldest first. Frames of zstd may follow one another, so parts are joined by joining their bytes.
    parts: Vec<PathBuf>,
    made: usize,
    /// Bytes of the file whose rows are in parts.
    in_parts: u64,
}

impl GrowingRows {
    /// Begins the rows of output `name`, without any.
    pub(crate) fn create(ctx: &Context, name: &str) -> Result<Self, StageError> {
        let path = ctx.growing(name);
        if let Some(folder) = path.parent() {
            fs_err::create_dir_all(folder)?;
        }
        Ok(Self {
            name: name.to_owned(),
            file: fs_err::File::create(&path)?,
            path,
            output: ctx.output(name),
            folder: ctx.dir().join(format!("{name}-parts")),
            parts: Vec::new(),
            made: 0,
            in_parts: 0,
        })
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

    /// Writes all rows into a checkpoint.
    pub(crate) fn save(&mut self, checkpoint: &Path) -> Result<(), StageError> {
        let mut rows = fs_err::File::open(&self.path)?;
        rows.seek(SeekFrom::Start(self.in_parts))?;
        let mut part = zstd::Encoder::new(Vec::new(), LEVEL)?;
        let new = std::io::copy(&mut rows, &mut part)?;
        if new > 0 {
            self.add_part(part.finish()?)?;
            self.in_parts += new;
        }
        let folder = checkpoint.join(format!("{}-parts", self.name));
        fs_err::create_dir_all(&folder)?;
        for (number, part) in self.parts.iter().enumerate() {
            fs_err::copy(part, folder.join(format!("{number}.jsonl.zst")))?;
        }
        Ok(())
    }

    /// Begins anew with the rows of a checkpoint.
    pub(crate) fn restore(&mut self, checkpoint: &Path) -> Result<(), StageError> {
        let folder = checkpoint.join(format!("{}-parts", self.name));
        self.file = fs_err::File::create(&self.path)?;
        (self.parts, self.in_parts) = (Vec::new(), 0);
        for number in 0.. {
            let part = folder.join(format!("{number}.jsonl.zst"));
            if !part.exists() {
                break;
            }
            let mut rows = zstd::Decoder::new(fs_err::File::open(&part)?)?;
            self.in_parts += std::io::copy(&mut rows, &mut self.file)?;
            self.parts.push(part);
        }
        Ok(())
    }

    /// Makes the output, a folder with the rows in the file `name`.
    pub(crate) fn finish(self, name: impl AsRef<Path>) -> Result<(), StageError> {
        let Self { file, path, output, .. } = self;
        drop(file);
        fs_err::create_dir_all(&output)?;
        let output = output.join(name);
        // The run's folder may lie on another file system.
        if fs_err::rename(&path, &output).is_err() {
            fs_err::copy(&path, &output)?;
        }
        Ok(())
    }

    /// Adds a part; joins it with those before it that are not twice as large, so that there are few.
    fn add_part(&mut self, mut part: Vec<u8>) -> Result<(), StageError> {
        while let Some(before) = self.parts.last()
            && fs_err::metadata(before)?.len() < 2 * part.len() as u64
        {
            let mut joined = Vec::new();
            fs_err::File::open(before)?.read_to_end(&mut joined)?;
            joined.extend(part);
            part = joined;
            self.parts.pop();
        }
        fs_err::create_dir_all(&self.folder)?;
        let path = self.folder.join(format!("{}.zst", self.made));
        self.made += 1;
        fs_err::write(&path, part)?;
        self.parts.push(path);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kinds::sft::Sft;
    use crate::testing::Attempt;

    #[test]
    fn checkpoints_share_their_parts_and_hold_all_rows() {
        let dir = tempfile::tempdir().unwrap();
        let begin = |name: &str| {
            GrowingRows::create(&Attempt::context_of::<Sft>(&dir.path().join(name), 1), "rollouts").unwrap()
        };
        let mut rows = begin("one");
        let row =
            |number: u64| json!({ "number": number, "text": blake3::hash(&number.to_le_bytes()).to_hex().as_str() });
        let checkpoint = |number: u64| dir.path().join(format!("checkpoint-{number}"));
        for number in 0..40 {
            rows.append(&[row(number)]).unwrap();
            rows.save(&checkpoint(number)).unwrap();
        }
        let parts = |number: u64| {
            let folder = fs_err::read_dir(checkpoint(number).join("rollouts-parts")).unwrap();
            folder.map(|part| fs_err::read(part.unwrap().path()).unwrap()).collect::<Vec<_>>()
        };
        let (before, after) = (parts(38), parts(39));
        assert!(after.len() <= 6, "{}", after.len());
        let new: usize = after.iter().filter(|part| !before.contains(part)).map(Vec::len).sum();
        let all: usize = after.iter().map(Vec::len).sum();
        assert!(new * 4 < all, "a checkpoint costs {new} bytes of {all}");

        let mut resumed = begin("two");
        resumed.append(&[row(1_000)]).unwrap();
        resumed.restore(&checkpoint(20)).unwrap();
        resumed.append(&[row(21)]).unwrap();
        resumed.save(&checkpoint(100)).unwrap();
        let mut again = begin("three");
        again.restore(&checkpoint(100)).unwrap();
        let expected: String = (0..22).map(|number| row(number).to_string() + "\n").collect();
        assert_eq!(fs_err::read_to_string(&resumed.path).unwrap(), expected);
        assert_eq!(fs_err::read_to_string(&again.path).unwrap(), expected);
    }
}
