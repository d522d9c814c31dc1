//! The live stream: one for each tab, narrowed to what the page shows.

use std::sync::Arc;
use std::time::Duration;

use leptos::prelude::*;
use muster_contract::live::LiveEvent;
use muster_model::DeviceId;
use wasm_bindgen::JsCast;
use wasm_bindgen::closure::Closure;

use crate::api::Api;

/// Whether what is shown is kept fresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LiveState {
    /// The stream is being opened for the first time.
    Connecting,
    /// Events arrive as they happen.
    Live,
    /// The stream broke and is being opened again.
    Reconnecting,
}

/// Whose events the page wants.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Interest {
    /// Of every device.
    #[default]
    All,
    /// Of these devices.
    Devices(Vec<DeviceId>),
}

type Listener = Arc<dyn Fn(&LiveEvent)>;

/// The stream and who listens to it.
#[derive(Clone, Copy)]
pub struct Live {
    /// Whether it is open.
    pub state: RwSignal<LiveState>,
    interest: RwSignal<Interest>,
    listeners: StoredValue<Vec<(u64, Listener)>, LocalStorage>,
    number: StoredValue<u64>,
}

/// Opens the stream for the tenant of the page, and again when the page's interest changes. Call once a tenant.
pub fn provide_live(api: Api) -> Live {
    let live = Live {
        state: RwSignal::new(LiveState::Connecting),
        interest: RwSignal::new(Interest::All),
        listeners: StoredValue::new_local(Vec::new()),
        number: StoredValue::new(0),
    };
    provide_context(live);
    let stream = StoredValue::new_local(None::<Stream>);
    let wanted = Memo::new(move |_| live.interest.get());
    let attempt = RwSignal::new(0_u32);
    Effect::new(move |_| {
        let devices = match wanted.get() {
            Interest::All => Vec::new(),
            Interest::Devices(devices) => devices,
        };
        attempt.track();
        stream.set_value(Some(Stream::open(&api.urls().live(&devices), live, attempt)));
    });
    on_cleanup(move || {
        stream.try_set_value(None);
    });
    live
}

/// The live stream of the tenant of the page.
pub fn use_live() -> Live {
    expect_context()
}

impl Live {
    /// Calls back for each event for as long as the component that asks is shown.
    pub fn listen(self, listener: impl Fn(&LiveEvent) + 'static) {
        let number = self.number.get_value() + 1;
        self.number.set_value(number);
        self.listeners.update_value(|listeners| listeners.push((number, Arc::new(listener))));
        on_cleanup(move || {
            self.listeners.try_update_value(|listeners| listeners.retain(|(of, _)| *of != number));
        });
    }

    /// Narrows the stream to these devices for as long as the component that asks is shown.
    pub fn narrow(self, devices: Vec<DeviceId>) {
        self.interest.set(Interest::Devices(devices));
        on_cleanup(move || {
            self.interest.try_set(Interest::All);
        });
    }

    fn tell(self, event: &LiveEvent) {
        // A listener may come or go while it is called, so the list is copied first.
        let listeners = self.listeners.try_with_value(Clone::clone).unwrap_or_default();
        for (_, listener) in listeners {
            listener(event);
        }
    }
}

/// An open stream; dropping it closes it.
struct Stream {
    source: Option<web_sys::EventSource>,
    _on_open: Closure<dyn Fn()>,
    _on_message: Closure<dyn Fn(web_sys::MessageEvent)>,
    _on_error: Closure<dyn Fn()>,
}

impl Stream {
    fn open(url: &str, live: Live, attempt: RwSignal<u32>) -> Self {
        let source = web_sys::EventSource::new(url).ok();
        let on_open = Closure::<dyn Fn()>::new(move || {
            let before = live.state.try_get_untracked();
            live.state.try_set(LiveState::Live);
            if before == Some(LiveState::Reconnecting) {
                // Nobody knows what was missed in between.
                live.tell(&LiveEvent::Reload);
            }
        });
        let on_message = Closure::<dyn Fn(web_sys::MessageEvent)>::new(move |message: web_sys::MessageEvent| {
            if let Some(event) = message.data().as_string().and_then(|text| read_event(&text)) {
                live.tell(&event);
            }
        });
        let on_error = {
            let source = source.clone();
            Closure::<dyn Fn()>::new(move || {
                live.state.try_set(LiveState::Reconnecting);
                let closed = source.as_ref().is_some_and(|source| source.ready_state() == web_sys::EventSource::CLOSED);
                if closed {
                    // After an HTTP error the browser gives up; we do not.
                    set_timeout(
                        move || {
                            attempt.try_update(|attempt| *attempt += 1);
                        },
                        RETRY_AFTER,
                    );
                }
            })
        };
        if let Some(source) = &source {
            source.set_onopen(Some(on_open.as_ref().unchecked_ref()));
            source.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
            source.set_onerror(Some(on_error.as_ref().unchecked_ref()));
        }
        Self { source, _on_open: on_open, _on_message: on_message, _on_error: on_error }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if let Some(source) = &self.source {
            source.set_onopen(None);
            source.set_onmessage(None);
            source.set_onerror(None);
            source.close();
        }
    }
}

const RETRY_AFTER: Duration = Duration::from_secs(5);

/// An event that a newer server sends and this app does not know is skipped.
fn read_event(text: &str) -> Option<LiveEvent> {
    serde_json::from_str(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_events_are_read_and_strange_ones_skipped() {
        let text = r#"{"type":"telemetry","device":"press-1","timestamp":"2026-11-22T10:00:00Z","values":{"t":1.5}}"#;
        assert!(
            matches!(read_event(text), Some(LiveEvent::Telemetry { values, .. }) if values.get("t") == Some(&1.5.into()))
        );
        assert_eq!(read_event(r#"{"type":"reload"}"#), Some(LiveEvent::Reload));
        assert_eq!(read_event(r#"{"type":"somethingNew"}"#), None);
        assert_eq!(read_event("no json"), None);
    }
}
