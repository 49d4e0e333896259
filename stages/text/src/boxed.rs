//! The last box of a LaTeX text.

/// Returns the contents of the last `\boxed{…}` or `\fbox{…}`, with braces matched.
pub fn boxed(text: &str) -> Option<&str> {
    let start = [r"\boxed{", r"\fbox{"].iter().filter_map(|mark| Some(text.rfind(mark)? + mark.len())).max()?;
    let mut depth = 1;
    for (at, byte) in text.bytes().enumerate().skip(start) {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(text[start..at].trim());
        }
    }
    None
}
