//! A run from its first event to its last.

use anyhow::Result;
use engine::options::Halt;
use engine::pools::GPUS;
use engine::schedule::Error;
use tokio::sync::watch;

use super::audience::{Audience, Speaker};
use super::signals::listen;
use crate::exit::Advice;
use crate::loading::no_stage;

/// Calls `run` and waits for its end, while signals are handled and events are shown.
pub(crate) fn to_end<T>(
    halt: watch::Sender<Halt>,
    audience: Audience,
    run: impl AsyncFnOnce(Speaker) -> T,
) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let speaker = audience.speaker();
    let done = runtime.block_on(async {
        let for_notes = speaker.clone();
        let interrupts = tokio::spawn(listen(halt, move |halt| for_notes.halting(halt)));
        let done = run(speaker).await;
        interrupts.abort();
        done
    });
    // Does not wait for a large file that is still being read: the user does not want that.
    runtime.shutdown_background();
    audience.end();
    Ok(done)
}

/// Returns the error with advice on what the user can do.
pub(crate) fn explained(error: Error) -> anyhow::Error {
    match error {
        Error::NoStage(error) => no_stage(error),
        Error::TooMuch(error) => {
            let help = match error.pool.as_str() {
                GPUS => "leave `--device` out to compute on the CPU, or lower `run.needs.gpus`; `r1flow doctor` says which GPUs \
                         were found, and `--pool gpus=N` how many there are"
                    .to_owned(),
                pool => format!("lower `run.needs.{pool}`, or say what there is: `--pool {pool}=N`"),
            };
            Advice::new(error.to_string(), help).into()
        }
        other => anyhow::Error::new(other).context("the run cannot go on"),
    }
}
