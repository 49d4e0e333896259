//! An output: its files, and a look into those that a person can read. What is damaged is told of, and the rest shown.

use std::io::Read;
use std::path::Path;

use anyhow::{Result, anyhow};
use serde_json::Value;
use store::{Digest, Member, Store};

use crate::arguments::Global;
use crate::exit::Status;
use crate::pieces::{Piece, Pieces};
use crate::ui::{self, Table, bytes};

/// The most of a safetensors header; the format's own limit.
const HEADER: u64 = 100_000_000;

/// Shows a tree of the store.
pub(super) fn show(global: &Global, store: &Store, digest: &Digest, rows: usize) -> Result<Status> {
    let tree = store.tree(digest)?;
    if global.json {
        ui::print_json(&tree)?;
        return Ok(Status::Done);
    }
    let mut table = Table::new(["file", "size", "digest"]);
    for member in &tree.members {
        table.push(vec![member.path.to_string(), bytes(member.size), member.digest.to_string()]);
    }
    ui::table(&table);
    // A teacher's logits may have thousands of shards, one like the other.
    let are_alike = tree.members.iter().any(|member| member.path == "logits.json");
    let is_shard = |member: &&Member| are_alike && member.path.ends_with(".safetensors");
    let first = tree.members.iter().find(is_shard);
    for member in tree.members.iter().filter(|member| !is_shard(member)).chain(first) {
        if let Err(error) = show_member(store, member, rows) {
            ui::note(&format!("`{}` cannot be shown: {error:#}", member.path));
        }
    }
    Ok(Status::Done)
}

fn show_member(store: &Store, member: &Member, rows: usize) -> Result<()> {
    let extension = Path::new(&member.path).extension().and_then(|extension| extension.to_str()).unwrap_or("");
    match (extension, member.path.as_str()) {
        ("jsonl", _) => show_rows(store, member, rows),
        (_, "report.json" | "config.json" | "logits.json") => {
            let mut lines = Pieces::of(store.open_checked(&member.digest)?);
            ui::line(&format!("\n{}", member.path));
            while let Some(piece) = lines.next()?.filter(|_| ui::has_reader()) {
                print(&piece);
            }
            Ok(())
        }
        ("safetensors", _) => show_tensors(store, member),
        _ => Ok(()),
    }
}

fn show_rows(store: &Store, member: &Member, rows: usize) -> Result<()> {
    let mut lines = Pieces::of(store.open_checked(&member.digest)?);
    let mut count = 0;
    while let Some(piece) = lines.next()? {
        count += usize::from(piece.is_last);
    }
    ui::line(&format!("\n{}: {}", member.path, ui::count(count, "row")));
    let mut lines = Pieces::of(store.open_checked(&member.digest)?);
    let mut shown = 0;
    while shown < rows && ui::has_reader() {
        let Some(piece) = lines.next()? else { break };
        print(&piece);
        shown += usize::from(piece.is_last);
    }
    Ok(())
}

/// Prints a line of data: its bytes as they are, but for a terminal.
fn print(piece: &Piece<'_>) {
    ui::data(piece.bytes);
    if piece.is_last {
        ui::raw("\n");
    }
}

/// Reads the header of a safetensors file: 8 bytes of length, then JSON of name → dtype, shape, offsets.
fn show_tensors(store: &Store, member: &Member) -> Result<()> {
    let mut file = store.open_checked(&member.digest)?;
    let header = header(&mut file).ok_or_else(|| anyhow!("it is no safetensors file"))?;
    let mut table = Table::new(["tensor", "dtype", "shape"]);
    let mut parameters: u128 = 0;
    for (name, tensor) in header.iter().filter(|(name, _)| *name != "__metadata__") {
        let shape: Vec<u64> = tensor["shape"].as_array().into_iter().flatten().filter_map(Value::as_u64).collect();
        let product = shape.iter().fold(1_u128, |product, size| product.saturating_mul(u128::from(*size)));
        parameters = parameters.saturating_add(product);
        table.push(vec![name.clone(), tensor["dtype"].as_str().unwrap_or("?").to_owned(), format!("{shape:?}")]);
    }
    ui::line(&format!("\n{}: {parameters} parameters", member.path));
    ui::table(&table);
    Ok(())
}

fn header(file: &mut impl Read) -> Option<serde_json::Map<String, Value>> {
    let mut length = [0; 8];
    file.read_exact(&mut length).ok()?;
    let length = u64::from_le_bytes(length);
    let mut header = Vec::new();
    file.take(length.min(HEADER)).read_to_end(&mut header).ok()?;
    serde_json::from_slice(&header).ok().filter(|_| length <= HEADER)
}
