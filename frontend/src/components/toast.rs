//! Short notices in the corner: what worked and what did not.

use std::time::Duration;

use leptos::prelude::*;

use super::icon::{Icon, icon};
use crate::api::ApiError;

/// How a notice is coloured and announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tone {
    Good,
    Bad,
}

#[derive(Clone, Debug, PartialEq)]
struct Toast {
    number: u64,
    tone: Tone,
    text: String,
}

/// The notices that are shown.
#[derive(Clone, Copy)]
pub struct Toasts {
    list: RwSignal<Vec<Toast>>,
    number: StoredValue<u64>,
}

/// Makes room for notices. Call once.
pub fn provide_toasts() {
    provide_context(Toasts { list: RwSignal::new(Vec::new()), number: StoredValue::new(0) });
}

/// The notices of the page.
pub fn use_toasts() -> Toasts {
    expect_context()
}

impl Toasts {
    /// Says that something worked.
    pub fn done(self, text: impl Into<String>) {
        self.push(Tone::Good, text.into(), Duration::from_secs(5));
    }

    /// Says that something did not work, and why. A session that ended shows itself.
    pub fn failed(self, error: &ApiError) {
        if *error != ApiError::SignedOut {
            self.push(Tone::Bad, error.to_string(), Duration::from_secs(12));
        }
    }

    fn push(self, tone: Tone, text: String, shown_for: Duration) {
        let number = self.number.get_value() + 1;
        self.number.set_value(number);
        self.list.update(|list| {
            list.push(Toast { number, tone, text });
            // More than four cover the page.
            let surplus = list.len().saturating_sub(4);
            list.drain(..surplus);
        });
        set_timeout(move || self.dismiss(number), shown_for);
    }

    fn dismiss(self, number: u64) {
        self.list.try_update(|list| list.retain(|toast| toast.number != number));
    }
}

/// Draws the notices.
#[component]
pub fn ToastArea() -> impl IntoView {
    let toasts = use_toasts();
    view! {
        <div class="toasts" role="status" aria-live="polite">
            <For each=move || toasts.list.get() key=|toast| toast.number let:toast>
                {
                    let number = toast.number;
                    let (tone, mark) = match toast.tone {
                        Tone::Good => ("good", Icon::Check),
                        Tone::Bad => ("bad", Icon::Alert),
                    };
                    view! {
                        <div class="toast" data-tone=tone>
                            {icon(mark)} <p>{toast.text}</p>
                            <button class="icon-button" aria-label="Dismiss" on:click=move |_| toasts.dismiss(number)>
                                {icon(Icon::Close)}
                            </button>
                        </div>
                    }
                }
            </For>
        </div>
    }
}
