//! What PostgreSQL's `jsonb` cannot hold.

use std::borrow::Cow;

/// The escape of U+0000 in JSON.
const NUL: &str = "\\u0000";

/// The JSON text with U+FFFD in place of U+0000, which PostgreSQL cannot store. A device may send it, and must not
/// stop a batch by it.
pub(crate) fn without_nul(json: &str) -> Cow<'_, str> {
    if !json.contains(NUL) {
        return Cow::Borrowed(json);
    }
    let mut out = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        out.push_str(before);
        // An escape is two bytes long at least; `\\` must be taken whole, so that what follows it is no escape.
        let length = if escape.starts_with(NUL) { NUL.len() } else { 2 };
        match escape.get(..length) {
            Some(NUL) => out.push('\u{fffd}'),
            Some(other) => out.push_str(other),
            None => break,
        }
        rest = &escape[length..];
    }
    out.push_str(rest);
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::without_nul;

    #[test]
    fn only_escaped_nul_is_replaced() {
        for (json, expected) in [
            (r#"{"a":"b"}"#, r#"{"a":"b"}"#),
            (r#"["\u0000"]"#, "[\"\u{fffd}\"]"),
            (r#"["\\u0000"]"#, r#"["\\u0000"]"#),
            (r#"["\\\u0000x\n"]"#, "[\"\\\\\u{fffd}x\\n\"]"),
            (r#"["ä\u0000\u0000"]"#, "[\"ä\u{fffd}\u{fffd}\"]"),
        ] {
            assert_eq!(without_nul(json), expected, "{json}");
        }
    }
}
