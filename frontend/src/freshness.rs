//! When a value is too old to be trusted without a mark. Pure.

/// Values older than this are drawn as stale.
pub const STALE_AFTER_MS: i64 = 15 * 60_000;

/// Whether a value is too old to be taken for the present.
pub fn is_stale(at_ms: i64, now_ms: i64) -> bool {
    now_ms.saturating_sub(at_ms) > STALE_AFTER_MS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_of_an_hour_is_the_limit() {
        assert!(!is_stale(0, STALE_AFTER_MS));
        assert!(is_stale(0, STALE_AFTER_MS + 1));
        assert!(!is_stale(10, 0));
    }
}
