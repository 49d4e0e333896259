//! Prints an output: its files, rows of data sets, the tensors of a model.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;

use anyhow::{Result, anyhow};
use engine::diagnostic::quoted;
use serde_json::Value;
use store::{Digest, Member, Source, Store};

use super::{Args, short_digest};
use crate::arguments::Global;
use crate::exit::{Advice, Status};
use crate::pieces::{Piece, Pieces};
use crate::results::{Growing, origins};
use crate::ui::{self, Table, bytes, count};
use crate::views::output::{Tensor, Tensors, tensors};
use crate::views::rows::{self, Condition, Wanted};

/// Rows that are printed unless the user says how many.
const ROWS: usize = 3;

/// Shows a tree of the store.
pub(super) fn show_output(
    global: &Global,
    store: &Store,
    (digest, source): (&Digest, Option<&Source>),
    args: &Args,
) -> Result<Status> {
    let tree = store.tree(digest)?;
    let rows_alone = !args.conditions.is_empty() || args.random.is_some() || args.rows.is_some() || args.failed;
    if global.json && rows_alone {
        for member in tree.members.iter().filter(|member| member.path.ends_with(".jsonl")) {
            let open = || Ok(store.open_checked(&member.digest)?);
            print_rows(open, &find_rows(open, args)?)?;
        }
        return Ok(Status::Done);
    }
    if global.json {
        ui::print_json(&tree)?;
        return Ok(Status::Done);
    }
    let mut table = Table::new(["file", "size", "digest"]);
    for member in &tree.members {
        table.push(vec![member.path.to_string(), bytes(member.size), short_digest(&member.digest)]);
    }
    ui::table(&table);
    // A teacher's logits may have thousands of similar shards, so only the first is shown.
    let are_alike = tree.members.iter().any(|member| member.path == "logits.json");
    let is_shard = |member: &&Member| are_alike && member.path.ends_with(".safetensors");
    let first = tree.members.iter().find(is_shard);
    for member in tree.members.iter().filter(|member| !is_shard(member)).chain(first) {
        if let Err(error) = show_member((global, store, source), member, args) {
            // What was asked for is wrong, not the member.
            if error.is::<Advice>() {
                return Err(error);
            }
            ui::note(&format!("`{}` cannot be shown: {error:#}", member.path));
        }
    }
    Ok(Status::Done)
}

/// Shows the rows so far of an output that is not complete.
pub(super) fn show_growing(global: &Global, growing: &Growing, args: &Args) -> Result<Status> {
    let open = || Ok(outside::open(&growing.file)?);
    let found = find_rows(open, args)?;
    if !global.json {
        ui::line(&format!("{} so far, in run {}{}", count(found.rows, "row"), growing.run, of_which(&found)));
    }
    print_rows(open, &found)?;
    Ok(Status::Done)
}

fn show_member(
    (global, store, source): (&Global, &Store, Option<&Source>),
    member: &Member,
    args: &Args,
) -> Result<()> {
    let extension = Path::new(&member.path).extension().and_then(|extension| extension.to_str()).unwrap_or("");
    match (extension, member.path.as_str()) {
        ("jsonl", _) => {
            let digests = show_rows(store, member, args)?;
            for (digest, name) in origins(global, store, source, &digests)? {
                ui::note(&format!("source {digest} is `{name}`"));
            }
            Ok(())
        }
        (_, "report.json" | "config.json" | "logits.json") => {
            let mut lines = Pieces::of(store.open_checked(&member.digest)?);
            ui::line(&format!("\n{}", member.path));
            while let Some(piece) = lines.next()?.filter(|_| ui::has_reader()) {
                print_piece(&piece);
            }
            Ok(())
        }
        ("safetensors", _) => show_tensors(store, member),
        _ => Ok(()),
    }
}

/// Prints rows, and returns the digests by which they say where they come from.
fn show_rows(store: &Store, member: &Member, args: &Args) -> Result<BTreeSet<String>> {
    let open = || Ok(store.open_checked(&member.digest)?);
    let found = find_rows(open, args)?;
    ui::line(&format!("\n{}: {}{}", member.path, count(found.rows, "row"), of_which(&found)));
    print_rows(open, &found)
}

/// Returns how many rows meet the conditions, if not all do.
fn of_which(found: &rows::Found) -> String {
    if found.fitting == found.rows { String::new() } else { format!(", {} matching", found.fitting) }
}

/// Finds the rows that the arguments ask for in the file that `open` opens.
fn find_rows<R: Read>(open: impl Fn() -> Result<R>, args: &Args) -> Result<rows::Found> {
    let failed = args.failed.then(|| Condition::is("correct", Value::Bool(false)));
    let conditions = args.conditions.iter().cloned().chain(failed).collect();
    let most = args.random.or(args.rows).unwrap_or(ROWS);
    let wanted = Wanted { conditions, most, seed: args.random.map(|_| args.seed) };
    let found = rows::find(open()?, &wanted)?;
    if let Some(absent) = found.absent.first() {
        let fields: Vec<&String> = found.fields.iter().collect();
        let help = format!("they have {}", quoted(&fields));
        return Err(Advice::new(format!("no row has the field `{absent}`"), help).into());
    }
    Ok(found)
}

/// Prints the rows that are wanted, and returns the values of their field `source`.
fn print_rows<R: Read>(open: impl Fn() -> Result<R>, found: &rows::Found) -> Result<BTreeSet<String>> {
    let mut lines = Pieces::of(open()?);
    let (mut index, mut shown) = (0, 0);
    let (mut row, mut sources) = (Vec::new(), BTreeSet::new());
    while shown < found.wanted.len() && ui::has_reader() {
        let Some(piece) = lines.next()? else { break };
        let is_wanted = found.wanted.contains(&index);
        if is_wanted {
            print_piece(&piece);
            row.extend_from_slice(piece.bytes);
        }
        if piece.is_last {
            (index, shown) = (index + 1, shown + usize::from(is_wanted));
            let parsed: Value = serde_json::from_slice(&std::mem::take(&mut row)).unwrap_or_default();
            sources.extend(parsed["source"].as_str().map(str::to_owned));
        }
    }
    Ok(sources)
}

/// Prints a line of data: its bytes unchanged, except on a terminal.
fn print_piece(piece: &Piece<'_>) {
    ui::data(piece.bytes);
    if piece.is_last {
        ui::raw("\n");
    }
}

fn show_tensors(store: &Store, member: &Member) -> Result<()> {
    let mut file = store.open_checked(&member.digest)?;
    let Tensors { parameters, tensors } = tensors(&mut file).ok_or_else(|| anyhow!("it is no safetensors file"))?;
    let mut table = Table::new(["tensor", "dtype", "shape"]);
    for Tensor { name, dtype, shape } in tensors {
        table.push(vec![name, dtype, format!("{shape:?}")]);
    }
    ui::line(&format!("\n{}: {parameters} parameters", member.path));
    ui::table(&table);
    Ok(())
}
