//! Places in a text, as a browser's text area counts them. Pure.

/// Start and end of a line (counted from 1) in UTF-16 units, without its line break.
pub fn line_span(text: &str, line: u32) -> (u32, u32) {
    let units = |text: &str| u32::try_from(text.encode_utf16().count()).unwrap_or(u32::MAX);
    let mut start = 0_u32;
    for (number, content) in (1..).zip(text.split('\n')) {
        if number == line {
            return (start, start + units(content));
        }
        start = start.saturating_add(units(content)).saturating_add(1);
    }
    let end = units(text);
    (end, end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_found_in_utf16_units() {
        let text = "a\nbé😀\nlast";
        for (line, expected) in [(1, (0, 1)), (2, (2, 6)), (3, (7, 11)), (9, (11, 11))] {
            assert_eq!(line_span(text, line), expected);
        }
    }
}
