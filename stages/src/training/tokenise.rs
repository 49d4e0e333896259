//! Samples to token rows, on all threads of the attempt.
//!
//! ```text
//! inputs ─ one row at a time ─▶ batches ─ tokenised side by side ─▶ in their order ─▶ a file (`artifacts/tokens.rs`)
//! ```
//! Memory holds three batches at most, whatever the number of rows: one is read while another is tokenised. The result
//! depends on neither batches nor threads. It is made again by an attempt that resumes.

use std::ops::ControlFlow;
use std::panic::resume_unwind;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Instant;

use engine::artifact::Samples;
use engine::diagnostic::{are, count};
use engine::stage::{Context, Input, Outcome, StageError};
use rayon::ThreadPoolBuilder;
use rayon::prelude::*;
use text::conversation::earlier;
use text::{Chat, Prompt};

use super::rows::Learn;
use crate::artifacts::{SampleRow, TokenRow, TokenRows, TokenWriter, each_sample};
use crate::chat::of_row;

/// Rows of a batch, and bytes of their texts: enough for many threads, little beside the rest of a stage.
const BATCH_ROWS: usize = 4_096;
const BATCH_BYTES: usize = 4 << 20;

/// Takes a row; breaks when no more is wanted.
pub(crate) type Take<'a> = dyn FnMut(SampleRow) -> ControlFlow<()> + 'a;

/// Reads the rows of every input into memory, one after the other. It is an error if there are none.
pub(crate) fn read_all(inputs: &[Input<Samples>]) -> Result<Vec<SampleRow>, StageError> {
    let mut rows = Vec::new();
    each_row(inputs, &mut |row| {
        rows.push(row);
        ControlFlow::Continue(())
    })?;
    Ok(rows)
}

/// Calls `take` with the rows of every input, one after the other, until it breaks. It is an error if there are none.
pub(crate) fn each_row(inputs: &[Input<Samples>], take: &mut Take<'_>) -> Result<(), StageError> {
    let mut is_empty = true;
    for input in inputs {
        let flow = each_sample(input, &mut |row| {
            is_empty = false;
            take(row)
        })?;
        if flow.is_break() {
            return Ok(());
        }
    }
    if is_empty {
        let names = inputs.iter().map(Input::name).collect::<Vec<_>>().join("`, `");
        return Err(StageError::new(format!("`{names}` holds no samples to learn from"))
            .with_help("look at the counts of the stage that made them: `r1flow show` tells what each filter took"));
    }
    Ok(())
}

/// What is tokenised, and how.
pub(crate) struct Tokenising {
    /// The key that names the samples.
    pub(crate) key: &'static str,
    pub(crate) learn: Learn,
    /// Tokens of the longest row that is kept.
    pub(crate) max_tokens: usize,
}

/// Tokenises the rows of every input, as [`tokenise`] does.
pub(crate) fn token_rows(
    ctx: &Context,
    chat: &Chat,
    inputs: &[Input<Samples>],
    keys: &Tokenising,
) -> Result<Option<TokenRows>, StageError> {
    tokenise(ctx, chat, keys, |take| each_row(inputs, take))
}

/// Returns the outcome of an attempt that was asked to stop before its first step.
pub(crate) fn stopped(ctx: &Context) -> Outcome {
    Outcome::Stopped(ctx.resume().map_or(0, |resume| resume.step))
}

/// Rows with their numbers.
type Batch = Vec<(usize, SampleRow)>;

/// Tokenises the rows that `read` hands over, with the loss on the completion. Rows that are too long are left out,
/// with a warning. Returns `None` if the engine asks for a stop meanwhile.
pub(crate) fn tokenise(
    ctx: &Context,
    chat: &Chat,
    keys: &Tokenising,
    read: impl FnOnce(&mut Take<'_>) -> Result<(), StageError>,
) -> Result<Option<TokenRows>, StageError> {
    let (begin, key) = (Instant::now(), keys.key);
    ctx.doing("tokenising", None);
    let threads = ctx.machine().threads;
    let pool = ThreadPoolBuilder::new().num_threads(threads).build()?;
    let encode = |batch: Batch| -> Vec<Result<Vec<TokenRow>, StageError>> {
        pool.install(|| batch.par_iter().map(|(index, row)| token_rows_of(chat, (keys, *index), row)).collect())
    };
    let (send, receive) = sync_channel(1);
    let writer =
        Writer { file: TokenWriter::create(ctx.dir(), &format!("{key}.ids"))?, keys, num_rows: 0, long: Vec::new() };
    let mut is_stopped = false;
    let (was_read, written) = std::thread::scope(|scope| {
        let writing = scope.spawn(move || writer.write_all(receive, encode));
        let mut batches = Batches::default();
        let was_read = read(&mut |row| {
            let Some(batch) = batches.push(row) else { return ControlFlow::Continue(()) };
            is_stopped = ctx.stop_requested();
            // The writer only leaves because of an error, which is returned below.
            if is_stopped || send.send(batch).is_err() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        let _ = send.send(batches.batch);
        drop(send);
        (was_read, writing.join().unwrap_or_else(|panic| resume_unwind(panic)))
    });
    // An error of the writer is about an earlier row.
    let writer = written?;
    was_read?;
    if is_stopped {
        return Ok(None);
    }
    writer.tell_long(ctx);
    let (num_rows, tokens, max_tokens) = (writer.num_rows, writer.file.num_tokens(), keys.max_tokens);
    let rows = writer.file.finish()?;
    if rows.len() == 0 {
        return Err(StageError::new(format!("no row of `{key}` is short enough for `max-tokens` = {max_tokens}")));
    }
    let seconds = begin.elapsed().as_secs_f64();
    let of = count(num_rows, "row");
    ctx.note(format!("`{key}` has {of} and {tokens} tokens; tokenised in {seconds:.1} s"));
    Ok(Some(rows))
}

/// Gathers rows to batches.
#[derive(Default)]
struct Batches {
    batch: Batch,
    bytes: usize,
    /// Rows of all batches.
    num_rows: usize,
}

impl Batches {
    /// Adds a row, and returns the batch that is full with it.
    fn push(&mut self, row: SampleRow) -> Option<Batch> {
        self.bytes += row.completion.len() + row.prompt.texts().iter().map(|text| text.len()).sum::<usize>();
        self.batch.push((self.num_rows, row));
        self.num_rows += 1;
        if self.batch.len() < BATCH_ROWS && self.bytes < BATCH_BYTES {
            return None;
        }
        self.bytes = 0;
        Some(std::mem::take(&mut self.batch))
    }
}

/// Writes token rows to their file.
struct Writer<'a> {
    file: TokenWriter,
    keys: &'a Tokenising,
    /// Rows of all batches.
    num_rows: usize,
    /// Rows that are too long.
    long: Vec<usize>,
}

impl Writer<'_> {
    fn write_all(
        mut self,
        batches: Receiver<Batch>,
        encode: impl Fn(Batch) -> Vec<Result<Vec<TokenRow>, StageError>>,
    ) -> Result<Self, StageError> {
        for batch in batches {
            for rows in encode(batch) {
                for row in rows? {
                    if row.ids.len() > self.keys.max_tokens {
                        self.long.push(self.num_rows);
                    } else {
                        self.file.push(&row)?;
                    }
                }
                self.num_rows += 1;
            }
        }
        Ok(self)
    }

    fn tell_long(&self, ctx: &Context) {
        let Some(first) = self.long.first() else { return };
        let (long, num_rows, Tokenising { key, max_tokens, .. }) = (self.long.len(), self.num_rows, self.keys);
        ctx.warn(format!(
            "{long} of {} of `{key}` {} longer than {max_tokens} tokens and left out, the first is row {first}: raise \
             `max-tokens` to keep them",
            count(num_rows, "row"),
            are(long)
        ));
    }
}

/// Returns the token rows of a sample: one, or one for each turn that is learnt.
pub(crate) fn token_rows_of(
    chat: &Chat,
    (keys, index): (&Tokenising, usize),
    row: &SampleRow,
) -> Result<Vec<TokenRow>, StageError> {
    let token_row = |prompt: &Prompt, completion: &str| -> Result<TokenRow, StageError> {
        let named = || format!("row {index} of `{}`", keys.key);
        let (ids, start) = of_row(chat.row_ids(prompt, completion), named)?;
        Ok(TokenRow { ids, start })
    };
    let mut rows = Vec::new();
    if keys.learn == Learn::All {
        for (prompt, completion) in earlier(&row.prompt) {
            rows.push(token_row(&prompt, &completion)?);
        }
    }
    rows.push(token_row(&row.prompt, &row.completion)?);
    Ok(rows)
}

#[cfg(test)]
mod tests;
