//! `r1flow verify --all`: every stored byte, whatever workflow it belongs to.

use anyhow::Result;
use engine::history;
use store::{Audit, Damage, Store};

use super::{Status, print_json};
use crate::options::Global;
use crate::ui::{self, Style, count};

pub(super) fn run(global: &Global, store: &Store) -> Result<Status> {
    let mut audit = store.audit(|_| ())?;
    for id in history::list(store)? {
        let read = history::read(store, &id);
        audit.entries += read.entries.len();
        if read.spoilt > 0 {
            let what = format!("{} torn or altered", count(read.spoilt, "line"));
            audit.damaged.push(Damage { path: ["runs", &id, "events.jsonl"].iter().collect(), what });
        }
    }
    if global.json {
        print_json(&audit)?;
    } else {
        print(&audit);
    }
    Ok(if audit.damaged.is_empty() { Status::Done } else { Status::StageFailed })
}

fn print(audit: &Audit) {
    for damage in &audit.damaged {
        ui::line(&format!("{} {}: {}", ui::styled("damaged", Style::Bad), damage.path.display(), damage.what));
    }
    for stage in &audit.stages {
        ui::line(&format!("{} {stage}", ui::styled("runs again", Style::Warn)));
    }
    let (objects, entries) = (count(audit.objects, "object"), count(audit.entries, "reference"));
    ui::line(&format!("{objects}, {}, {entries}, {} damaged", ui::bytes(audit.bytes), audit.damaged.len()));
}
