//! The query parameter `api-version`.

use crate::error::ApiError;
use muster_contract::API_VERSION;

/// What IoT Central has published. All get the same surface: the newest is a superset of the others.
const KNOWN: [&str; 8] = [
    "1.0",
    "1.1-preview",
    "1.2-preview",
    "2022-05-31",
    "2022-06-30-preview",
    API_VERSION,
    "2022-10-31-preview",
    "preview",
];

/// Refuses a version that nobody published; our own pages send none.
///
/// # Errors
/// [`ApiError::ApiVersion`].
pub(crate) fn check(query: &str) -> Result<(), ApiError> {
    let mut sent = query.split('&').filter_map(|pair| pair.strip_prefix("api-version="));
    match sent.find(|version| !KNOWN.contains(version)) {
        Some(unknown) => Err(ApiError::ApiVersion(unknown.chars().take(64).collect())),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_versions_and_none_are_accepted() {
        for query in ["", "q=a", "api-version=2022-07-31", "a=b&api-version=1.0&c=d"] {
            assert!(check(query).is_ok(), "{query}");
        }
        for query in ["api-version=", "api-version=2031-01-01", "a=b&api-version=x"] {
            assert!(check(query).is_err(), "{query}");
        }
    }
}
