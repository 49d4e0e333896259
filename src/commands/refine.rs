//! `r1flow refine`: writes rows of samples to a text file for a person, and makes an input of what the person has
//! accepted or edited.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use engine::diagnostic::Sources;
use engine::workflow::Loaded;
use serde_json::json;
use store::{Digest, Store};

use crate::arguments::{Global, NameArgs};
use crate::diagnostic;
use crate::exit::{Advice, Status};
use crate::loading::find_store;
use crate::refinement::{
    Chosen, Counts, FILE_BYTES, Refined, Row, RowsFile, Samples, compare, parse, render, too_large,
};
use crate::results::{Invocation, Look, output, typed_file};
use crate::ui::{self, count};

#[derive(Debug, clap::Args)]
#[command(
    override_usage = "r1flow refine [OPTIONS] <WHAT> --to <FILE>\n       r1flow refine --back <ROWS> --to <FILE>"
)]
pub(crate) struct Args {
    /// The samples: `stage.output`, or `b3:…`.
    #[arg(value_name = "WHAT", required_unless_present = "back")]
    what: Option<String>,
    /// The file to make: rows for a person or, with `--back`, JSON lines for a samples input.
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// Read the file that a person has edited.
    #[arg(long, value_name = "ROWS", conflicts_with_all = ["what", "limit", "seed", "workflow", "sets", "device"])]
    back: Option<PathBuf>,
    /// Write only this many rows, drawn at random.
    #[arg(long, value_name = "N")]
    limit: Option<NonZeroUsize>,
    /// Seed of that draw.
    #[arg(long, value_name = "S", default_value_t = 0, requires = "limit")]
    seed: u64,
    #[command(flatten)]
    names: NameArgs,
}

pub(crate) fn run(global: &Global, args: &Args) -> Result<Status> {
    let store = find_store(global)?;
    if args.to.symlink_metadata().is_ok() {
        let help = "it may have edited rows: name another file with `--to`, or move it away";
        return Err(Advice::new(format!("`{}` already exists", args.to.display()), help).into());
    }
    match (&args.what, &args.back) {
        (_, Some(rows)) => read_back(global, &store, rows, &args.to),
        (Some(what), None) => write(global, &store, what, args),
        (None, None) => bail!("name samples, or a file with `--back`"),
    }
}

/// Writes rows for a person.
fn write(global: &Global, store: &Store, what: &str, args: &Args) -> Result<Status> {
    let limit = args.limit.map_or_else(String::new, |limit| format!(" --limit {limit} --seed {}", args.seed));
    let tail = format!(" --to {}{limit}", typed_file(&args.to));
    let asked = Invocation { command: "refine", what, tail: &tail };
    let look = Look { global, store, args: &args.names, asked };
    let digest = output(&look, what)?;
    let Some(samples) = Samples::find(store, &digest)? else {
        let help = "name an output of type samples; `r1flow show STAGE` lists a stage's outputs";
        return Err(Advice::new(format!("`{what}` is no output of samples"), help).into());
    };
    let Chosen { rows, of } = samples.draw(args.limit.map(NonZeroUsize::get), args.seed)?;
    if rows.is_empty() {
        bail!("`{what}` has no rows");
    }
    let text = render(&digest, what, &rows);
    if text.len() as u64 > FILE_BYTES {
        return Err(too_large());
    }
    store.export_bytes(text.as_bytes(), &args.to)?;
    if global.json {
        ui::print_json(&json!({ "samples": digest, "file": args.to, "rows": rows.len(), "of": of }))?;
        return Ok(Status::Done);
    }
    ui::line(&format!("{}: {} of {of}", args.to.display(), count(rows.len(), "row")));
    let back = typed_file(&args.to);
    ui::note(&format!("edit it, then `r1flow refine --back {back} --to refined.jsonl` makes an input of it"));
    Ok(Status::Done)
}

/// Makes an input of the rows that a person has accepted or edited.
fn read_back(global: &Global, store: &Store, rows: &Path, to: &Path) -> Result<Status> {
    let text = outside::read_text(rows, FILE_BYTES, "refine fewer rows at a time")?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let mut loaded = Loaded { workflow: None, draft: None, diagnostics: Vec::new(), sources: Sources::default() };
    let source = loaded.sources.add(rows, text.to_owned());
    let parsed = parse(text, source, &mut loaded.diagnostics);
    let refined = parsed.map(|file| {
        let samples = samples_of(global, store, &file, rows)?;
        Ok::<_, anyhow::Error>((file.samples, compare(&file, source, &samples, &mut loaded.diagnostics)))
    });
    let refined = refined.transpose()?;
    let Some((samples, refined)) = refined.filter(|_| loaded.diagnostics.is_empty()) else {
        loaded.diagnostics.sort_by(|one, two| one.span.cmp(&two.span));
        diagnostic::show(global, &loaded);
        return Ok(Status::Refused);
    };
    let Counts { accepted, edited, .. } = refined.counts;
    if accepted + edited > 0 {
        store.export_bytes(refined.lines.as_bytes(), to)?;
    }
    print(global, &samples, &refined, to)?;
    if accepted + edited > 0 {
        return Ok(Status::Done);
    }
    ui::error(
        "no row is accepted, so nothing is written",
        Some("write `accept` in the first line of each row to keep"),
    );
    Ok(Status::Refused)
}

/// Returns the rows of the store that a file was made of.
fn samples_of(global: &Global, store: &Store, file: &RowsFile<'_>, rows: &Path) -> Result<BTreeMap<usize, Row>> {
    let digest = file.samples;
    let path = rows.display();
    if !store.has(&digest) {
        let message =
            format!("the samples of `{path}`, {digest}, are not in the store at `{}`", global.store.display());
        let help =
            "name the store that they came from with `--store`; if they were removed, `r1flow apply` makes them again";
        return Err(Advice::new(message, help).into());
    }
    let samples = Samples::find(store, &digest)?.with_context(|| format!("`{path}`: {digest} has no samples"))?;
    let numbers: BTreeSet<usize> = file.rows.iter().map(|row| row.number).collect();
    Ok(samples.rows(&numbers)?.into_iter().map(|row| (row.number, row)).collect())
}

fn print(global: &Global, samples: &Digest, refined: &Refined, to: &Path) -> Result<()> {
    let Refined { counts, edited_todo, restored, .. } = refined;
    let Counts { accepted, edited, dropped, todo } = *counts;
    let written = accepted + edited;
    if global.json {
        let file = (written > 0).then_some(to);
        let told = json!({ "samples": samples, "file": file, "rows": written, "accepted": accepted, "edited": edited,
            "dropped": dropped, "todo": todo });
        ui::print_json(&told)?;
    } else {
        if written > 0 {
            ui::line(&format!("{}: {}", to.display(), count(written, "row")));
        }
        ui::line(&format!("{accepted} accepted, {edited} edited, {dropped} dropped, {todo} left at `todo`"));
    }
    if !edited_todo.is_empty() {
        let numbers: Vec<String> = edited_todo.iter().map(ToString::to_string).collect();
        ui::note(&format!("edited but still `todo`, and so left out: row {}", numbers.join(", ")));
    }
    if *restored > 0 {
        let rows = count(*restored, "row");
        ui::note(&format!(
            "an editor has changed the ends of lines in {rows}, and nothing else: they are accepted as the samples have them"
        ));
    }
    Ok(())
}
