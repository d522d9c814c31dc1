//! The browser's clock and zone.

use std::time::Duration;

use leptos::prelude::*;

/// The time now in milliseconds, moved on each second while the page lives.
#[derive(Clone, Copy)]
pub struct Now(pub RwSignal<i64>);

/// Starts the ticking. Call once.
pub fn provide_now() {
    let now = RwSignal::new(now_ms());
    provide_context(Now(now));
    let ticking = set_interval_with_handle(
        move || {
            now.try_set(now_ms());
        },
        Duration::from_secs(1),
    );
    if let Ok(ticking) = ticking {
        on_cleanup(move || ticking.clear());
    }
}

/// The ticking time.
pub fn use_now() -> RwSignal<i64> {
    expect_context::<Now>().0
}

/// The time now in milliseconds since 1970.
pub fn now_ms() -> i64 {
    js_sys::Date::now() as i64
}

/// Seconds east of UTC in the reader's zone at a moment.
pub fn utc_offset_s(at_ms: i64) -> i32 {
    let date = js_sys::Date::new(&wasm_bindgen::JsValue::from_f64(at_ms as f64));
    -(date.get_timezone_offset() as i32) * 60
}

/// A moment as the reader's zone and language of this app show it.
pub fn moment(at_ms: i64) -> String {
    crate::format::moment(at_ms, now_ms(), utc_offset_s(at_ms))
}
