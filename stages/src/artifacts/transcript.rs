//! `turn-marks`: conversations that are written as one text, with a mark before each turn.
//!
//! ```text
//! \n\nHuman: 2+2?\n\nAssistant: 4      HH-RLHF, Nectar
//! ### Human: 2+2?### Assistant: 4      Guanaco
//! ```

use text::Message;

/// The marks before a user's turn and before an assistant's.
pub(super) type Marks = [String; 2];

/// The roles of the marks.
const ROLES: [&str; 2] = ["user", "assistant"];

/// Returns the turns of a text; `None` if it does not begin with a mark. White space around a turn, and an assistant's
/// last turn without text, are left out.
pub(super) fn turns(text: &str, marks: &Marks) -> Result<Option<Vec<Message>>, String> {
    let text = text.trim_start();
    // The white space of a mark is often missing at the beginning of a text.
    let Some(first) = (0..ROLES.len()).find(|which| text.starts_with(marks[*which].trim_start())) else {
        return Ok(None);
    };
    let mut turns = Vec::new();
    let (mut which, mut rest) = (first, &text[marks[first].trim_start().len()..]);
    loop {
        let next = (0..ROLES.len()).filter_map(|which| Some((rest.find(&marks[which])?, which))).min();
        let (turn, after) = match next {
            Some((at, next)) => (&rest[..at], Some((next, &rest[at + marks[next].len()..]))),
            None => (rest, None),
        };
        turns.push(Message::new(ROLES[which], turn.trim()));
        let Some((next, after)) = after else { break };
        (which, rest) = (next, after);
    }
    let is_empty = |turn: &Message| turn.text().is_none_or(|text| text.is_empty());
    turns.pop_if(|turn| turn.role == ROLES[1] && is_empty(turn));
    match turns.iter().position(is_empty) {
        Some(index) => Err(format!("turn {} is empty", index + 1)),
        None => Ok(Some(turns)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, marks: [&str; 2]) -> Result<Option<Vec<String>>, String> {
        let turns = turns(text, &marks.map(str::to_owned))?;
        Ok(turns.map(|turns| turns.iter().map(|turn| format!("{}: {}", turn.role, turn.text().unwrap())).collect()))
    }

    #[test]
    fn a_text_is_split_at_its_marks() {
        let hh = ["\n\nHuman:", "\n\nAssistant:"];
        let some = |turns: &[&str]| Ok(Some(turns.iter().map(|turn| (*turn).to_owned()).collect()));
        let table = [
            ("\n\nHuman: a\n\nAssistant: b", hh, some(&["user: a", "assistant: b"])),
            ("Human: a\n\nAssistant: b", hh, some(&["user: a", "assistant: b"])),
            ("\n\nHuman: a\n\nAssistant: ", hh, some(&["user: a"])),
            ("\n\nHuman: a\nb\n\nc\n\nAssistant: Human: d", hh, some(&["user: a\nb\n\nc", "assistant: Human: d"])),
            ("\n\nHuman: a\n\nHuman: b\n\nAssistant: c", hh, some(&["user: a", "user: b", "assistant: c"])),
            ("### Human: a### Assistant: b", ["### Human:", "### Assistant:"], some(&["user: a", "assistant: b"])),
            ("What is 2+2?\n\nHuman: a", hh, Ok(None)),
            ("", hh, Ok(None)),
            ("\n\nHuman: \n\nAssistant: b", hh, Err("turn 1 is empty".to_owned())),
            ("\n\nHuman: a\n\nAssistant: \n\nHuman: b", hh, Err("turn 2 is empty".to_owned())),
        ];
        for (text, marks, expected) in table {
            assert_eq!(read(text, marks), expected, "{text:?}");
        }
    }
}
