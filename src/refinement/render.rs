//! Writes rows as text for a person.

use std::fmt::Write;

use store::Digest;

use super::samples::{Part, Row};
use crate::ui;

/// Returns the file for a person; `name` is what the samples are called.
pub(crate) fn render(samples: &Digest, name: &str, rows: &[Row]) -> String {
    let delimiter = delimiter(rows);
    let (count, counted) = (rows.len(), ui::count(rows.len(), "row"));
    let mut text = format!(
        "# {counted} of `{name}` for a person to refine.\n\
         # In the first line of each row write `accept` or `drop` in the place of `todo`; what stays `todo` is left for later.\n\
         # Edit the text below `{delimiter} completion` as you like. The other parts are for reading, and must stay as they are.\n\
         # Lines that begin with `{delimiter}` separate the parts: keep them, and begin no line of your own so.\n\
         # When you are done: r1flow refine --back THIS-FILE --to refined.jsonl\n\
         {delimiter} samples {samples}, {counted}  \n",
        name = name.escape_debug(),
    );
    for (index, row) in rows.iter().enumerate() {
        let number = row.number;
        let _ = writeln!(text, "\n{delimiter} {} of {count}, row {number}: todo", index + 1);
        for Part { title, text: body } in row.parts() {
            let _ = writeln!(text, "{delimiter} {title}\n{body}");
        }
        let _ = writeln!(text, "{delimiter} completion\n{}\n{delimiter} end of row {number}", row.completion());
    }
    let _ = writeln!(text, "\n{delimiter} end of {counted}");
    text
}

/// Returns a delimiter that occurs in no text of the rows.
fn delimiter(rows: &[Row]) -> String {
    let has = |row: &Row, delimiter: &str| {
        row.completion().contains(delimiter) || row.parts().iter().any(|part| part.text.contains(delimiter))
    };
    let all = std::iter::once("@@@".to_owned()).chain((1_u64..).map(|number| format!("@@@{number}")));
    let mut free = all.filter(|delimiter| !rows.iter().any(|row| has(row, delimiter)));
    free.next().expect("rows have fewer texts than there are numbers")
}
