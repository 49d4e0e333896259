//! A busy engine: long work delays nothing else, and a stage that cannot start yet waits.

use std::fs::File;
use std::sync::atomic::{AtomicUsize, Ordering};

use engine::event::Event;
use engine::exec::{EXECUTORS, Executor, Launch, Session};
use engine::history;
use engine::options::{Halt, Options};
use engine::schedule::{Error, apply};
use engine::workflow::Workflow;
use tokio::sync::watch;

use super::support::{CHAIN, Sandbox, sorted};

/// Three stages beside each other: a long one, a short one, and one that starts when the short one has ended.
const BESIDE: &str = "
[write.a]
[count.long]
data             = [\"a.samples\"]
steps            = 100_000
wait             = 5
checkpoint-steps = 1_000_000
[count.short]
data             = [\"a.samples\"]
salt             = 1
[count.starts]
data             = [\"a.samples\"]
salt             = 2
";

#[test]
fn while_a_stage_is_laid_out_the_others_are_listened_to_and_the_user_is_heard() {
    let sandbox = Sandbox::new();
    let workflow = sandbox.workflow(BESIDE, &[]);
    let (mut held, mut steps, mut lock) = (false, 0, None);
    let summary = sandbox.apply_with(
        &workflow,
        |_| {},
        |event, halt| match event {
            // Behaves like a large file on a slow disk: a checkpoint is not laid out during a collection.
            Event::Done { stage, .. } if stage == "short" => {
                let file = File::options().append(true).open(sandbox.store.root().join("locks/collection")).unwrap();
                file.lock().unwrap();
                (lock, held) = (Some(file), true);
            }
            Event::Started { stage, .. } if stage == "starts" => panic!("it is not laid out yet"),
            Event::Progress { stage, .. } if stage == "long" && held => {
                steps += 1;
                if steps == 20 {
                    halt.send(Halt::Kill).unwrap();
                }
            }
            Event::RunFinished { .. } => lock = None,
            _ => {}
        },
    );
    assert!(steps >= 20, "{steps}");
    assert_eq!(sorted(&summary.left), ["long", "starts"]);
}

/// An executor that has no file descriptor for the second start.
struct Starved {
    starts: AtomicUsize,
}

static STARVED: Starved = Starved { starts: AtomicUsize::new(0) };

impl Executor for Starved {
    fn start(&self, launch: &Launch<'_>) -> std::io::Result<Session> {
        match self.starts.fetch_add(1, Ordering::SeqCst) {
            1 => Err(std::io::Error::from_raw_os_error(libc::EMFILE)),
            _ => EXECUTORS[0].1.start(launch),
        }
    }
}

#[test]
fn a_start_without_file_descriptors_waits_for_another_stage_to_end() {
    let sandbox = Sandbox::new();
    let workflow = sandbox.workflow("[write.a]\ntext = \"1\"\n[write.b]\ntext = \"2\"\n[write.c]\ntext = \"3\"\n", &[]);
    let mut notes = Vec::new();
    let summary = sandbox.apply_with(
        &workflow,
        |options| options.executor = &STARVED,
        |event, _| {
            if let Event::Note { message, .. } = event {
                notes.push(message.clone());
            }
        },
    );
    assert_eq!((sorted(&summary.ran), summary.failed.len()), (vec!["a", "b", "c"], 0));
    assert!(notes.len() == 1 && notes[0].contains("waits until another stage ends"), "{notes:?}");
}

#[test]
fn what_is_refused_or_given_up_before_it_begins_leaves_no_run() {
    let sandbox = Sandbox::new();
    let workflow = sandbox.workflow(CHAIN, &["a.run.needs={ cores = 9 }"]);
    let (sender, halt) = watch::channel(Halt::Run);
    let mut options = sandbox.options(halt);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let applied =
        |workflow: &Workflow, options: &Options| runtime.block_on(apply(workflow, &sandbox.store, options, |_| {}));
    assert!(matches!(applied(&workflow, &options), Err(Error::TooMuch(_))));
    assert!(history::list(&sandbox.store).unwrap().is_empty());

    let workflow = sandbox.workflow(CHAIN, &[]);
    options.selection.until = vec!["b".to_owned()];
    sender.send(Halt::Stop).unwrap();
    let summary = applied(&workflow, &options).unwrap();
    // If the inputs were hashed before the stop was seen, a run has begun, with no stage in it.
    assert_eq!(sorted(&summary.left), ["a", "b"]);
    assert!(summary.ran.is_empty() && summary.failed.is_empty());
}
