//! Digital twin model identifiers: `dtmi:segment:segment;version`.

use super::Version;

/// The longest DTMI that a model may use.
pub(super) const MAX_ID: usize = 2048;
/// The longest DTMI of an interface.
pub(super) const MAX_INTERFACE_ID: usize = 128;

/// Is the text a DTMI at all, whoever may use it?
pub fn is_dtmi(text: &str) -> bool {
    split(text).is_some_and(|(path, version)| path.split(':').all(segment) && version.is_none_or(is_version))
}

/// Is it one that a model may define: no system segments, no reserved prefix, a version where the language wants one?
pub(super) fn is_user_dtmi(text: &str, language: Version) -> bool {
    let reserved = ["dtmi:dtdl:", "dtmi:standard:"].iter().any(|prefix| text.starts_with(prefix));
    let user = |path: &str| path.split(':').all(|part| segment(part) && !part.starts_with('_'));
    !reserved
        && split(text).is_some_and(|(path, version)| {
            user(path)
                && match (version, language) {
                    (None, language) => language >= Version::V3,
                    (Some(version), Version::V2) => is_major(version),
                    (Some(version), Version::V3 | Version::V4) => is_version(version),
                }
        })
}

fn split(text: &str) -> Option<(&str, Option<&str>)> {
    let rest = text.strip_prefix("dtmi:")?;
    Some(rest.split_once(';').map_or((rest, None), |(path, version)| (path, Some(version))))
}

fn segment(part: &str) -> bool {
    let mut bytes = part.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && !part.ends_with('_')
}

fn is_version(text: &str) -> bool {
    match text.split_once('.') {
        None => is_major(text),
        Some((major, minor)) => is_major(major) && digits(minor, 6),
    }
}

fn is_major(text: &str) -> bool {
    digits(text, 9)
}

fn digits(text: &str, most: usize) -> bool {
    (1..=most).contains(&text.len()) && !text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_follow_their_version() {
        // Text, valid in version 2, valid in version 3.
        for (text, two, three) in [
            ("dtmi:foo:bar;7", true, true),
            ("dtmi:foo;1", true, true),
            ("dtmi:foo:bar;999999999", true, true),
            ("dtmi:foo:bar", false, true),
            ("dtmi:foo:bar;3.14", false, true),
            ("dtmi:foo:bar;3.141592", false, true),
            ("dtmi:foo:bar;3.1415926", false, false),
            ("dtmi:foo:bar;3.0", false, false),
            ("dtmi:foo:bar;1234567890", false, false),
            ("dtmi:foo:bar;01", false, false),
            ("dtmi:foo:bar;", false, false),
            ("dtmi:foo:bar_;1", false, false),
            ("dtmi:foo:_bar;1", false, false),
            ("dtmi:1seg;1", false, false),
            ("dtmi:foo::bar;1", false, false),
            ("dtmi:;1", false, false),
            ("urn:foo:bar:1", false, false),
            ("dtmi:dtdl:example;1", false, false),
            ("dtmi:standard:example;1", false, false),
            ("", false, false),
        ] {
            assert_eq!((is_user_dtmi(text, Version::V2), is_user_dtmi(text, Version::V3)), (two, three), "{text}");
        }
        assert!(is_dtmi("dtmi:dtdl:context;2") && is_dtmi("dtmi:foo:_bar;1") && !is_dtmi("dtmi:foo//bar"));
    }
}
