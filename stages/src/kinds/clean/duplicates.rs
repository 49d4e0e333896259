//! Near-duplicates among rows.

use std::borrow::Cow;
use std::collections::HashMap;

use rayon::prelude::*;
use text::overlap::{MinHash, jaccard, shingles};

use super::Row;

/// Rows whose bands are in memory at a time.
const CHUNK: usize = 1 << 14;

/// Returns the rows that are near-duplicates, each with the first row that it is near to. Only rows in `kept` are
/// looked at, and a row is near to rows that are kept themselves.
pub(super) fn find(rows: &[Row<'_>], kept: &[bool], threshold: f64) -> Vec<(usize, usize)> {
    let hash = MinHash::new(threshold);
    let mut found = Vec::new();
    let mut known: HashMap<u64, Vec<u32>> = HashMap::new();
    let looked_at: Vec<usize> = (0..rows.len()).filter(|index| kept[*index]).collect();
    for chunk in looked_at.chunks(CHUNK) {
        let bands: Vec<Vec<u64>> = chunk.par_iter().map(|index| hash.bands(&shingles(&text(&rows[*index])))).collect();
        for (index, bands) in chunk.iter().zip(bands) {
            let mut candidates: Vec<u32> = bands.iter().filter_map(|band| known.get(band)).flatten().copied().collect();
            candidates.sort_unstable();
            candidates.dedup();
            let own = if candidates.is_empty() { Vec::new() } else { shingles(&text(&rows[*index])) };
            let is_near = |first: &&u32| jaccard(&own, &shingles(&text(&rows[**first as usize]))) >= threshold;
            if let Some(first) = candidates.iter().find(is_near) {
                found.push((*index, *first as usize));
                continue;
            }
            for band in bands {
                known.entry(band).or_default().push(*index as u32);
            }
        }
    }
    found
}

/// Returns what is compared of a row.
fn text<'a>(row: &'a Row<'_>) -> Cow<'a, str> {
    let turns = row.prompt.texts();
    match (turns.as_slice(), row.completion) {
        ([only], None) => Cow::Owned(only.to_string()),
        _ => Cow::Owned(turns.iter().map(AsRef::as_ref).chain(row.completion).collect::<Vec<&str>>().join("\n")),
    }
}
