//! Finds keys that several tables share with the same description, so that the reference describes them once.

use std::collections::BTreeMap;

use engine::diagnostic::quoted;

use super::kinds::KeyRow;

/// How many tables must share keys before the keys get a section.
const TABLES: usize = 3;
/// How many keys these tables must share.
const KEYS: usize = 3;

/// Keys that the same tables share.
#[derive(Debug)]
pub(super) struct Shared<'a> {
    /// Kind and table, in the reference's order.
    tables: Vec<(&'a str, &'a str)>,
    /// One table's row for each key, in the reference's order.
    pub(super) keys: Vec<&'a KeyRow>,
}

/// Returns the keys that tables of kinds share.
pub(super) fn shared<'a>(kinds: impl Iterator<Item = (&'a str, &'a [KeyRow])>) -> Vec<Shared<'a>> {
    let mut said: Vec<(&KeyRow, Vec<(&str, &str)>)> = Vec::new();
    let mut by_key: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (kind, rows) in kinds {
        for row in rows {
            let table = (kind, row.table.as_str());
            let known = by_key.entry(&row.key).or_default();
            if let Some(at) = known.iter().find(|at| said[**at].0.says_the_same(row)) {
                said[*at].1.push(table);
            } else {
                known.push(said.len());
                said.push((row, vec![table]));
            }
        }
    }
    let mut groups: Vec<Shared> = Vec::new();
    for (row, tables) in said.into_iter().filter(|(_, tables)| tables.len() >= TABLES) {
        match groups.iter_mut().find(|group| group.tables == tables) {
            Some(group) => group.keys.push(row),
            None => groups.push(Shared { tables, keys: vec![row] }),
        }
    }
    groups.retain(|group| group.keys.len() >= KEYS);
    groups
}

impl Shared<'_> {
    /// Returns whether a row of a kind is one of these keys.
    pub(super) fn has(&self, kind: &str, row: &KeyRow) -> bool {
        self.tables.contains(&(kind, row.table.as_str())) && self.keys.iter().any(|key| key.says_the_same(row))
    }

    /// Returns the heading of the keys' section.
    pub(super) fn title(&self) -> String {
        let (_, first) = self.tables[0];
        let parent = first.rsplit_once('.').map_or("", |(parent, _)| parent);
        if self.tables.iter().all(|(_, table)| table.is_empty()) {
            let kinds: Vec<&str> = self.tables.iter().map(|(kind, _)| *kind).collect();
            format!("Keys of {}", quoted(&kinds))
        } else if self.tables.iter().all(|(_, table)| *table == first) {
            format!("Keys of `{first}`")
        } else if !parent.is_empty() && self.tables.iter().all(|(_, table)| table.starts_with(&format!("{parent}."))) {
            format!("Keys of the tables in `{parent}`")
        } else {
            let tables: Vec<String> = self.tables.iter().map(|(kind, table)| format!("{kind}.{table}")).collect();
            format!("Keys of {}", quoted(&tables))
        }
    }

    /// Returns the anchor that Markdown gives to the heading.
    pub(super) fn anchor(&self) -> String {
        let kept = |c: char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
        self.title().to_lowercase().chars().filter(|c| kept(*c)).collect::<String>().replace(' ', "-")
    }

    /// Returns the beginning of a sentence about a kind's tables that have these keys, if there are any.
    pub(super) fn tables_of(&self, kind: &str) -> Option<String> {
        let tables: Vec<&str> = self.tables.iter().filter(|(of, _)| *of == kind).map(|(_, table)| *table).collect();
        match tables.as_slice() {
            [] => None,
            [""] => Some("It also takes".to_owned()),
            [table] => Some(format!("`{table}` takes")),
            tables => Some(format!("Each of {} takes", quoted(tables))),
        }
    }
}
