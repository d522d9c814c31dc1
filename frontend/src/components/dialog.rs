//! Dialogs, on the browser's own `<dialog>`: it traps focus, makes the page behind inert, closes on Escape and gives
//! focus back.

use leptos::html;
use leptos::prelude::*;

use super::icon::{Icon, icon};

/// A dialog that is shown while `open` holds.
#[component]
pub fn Dialog(
    /// What stands at its top; also its name for screen readers.
    #[prop(into)]
    title: String,
    /// Whether it is shown; it sets this to `false` when it is closed.
    open: RwSignal<bool>,
    /// Room for more than a short form?
    #[prop(optional)]
    wide: bool,
    /// What it holds; made anew each time it opens.
    children: ChildrenFn,
) -> impl IntoView {
    let title = StoredValue::new(title);
    let children = StoredValue::new(children);
    move || {
        open.get().then(|| {
            view! {
                <Frame title=title.get_value() open wide>
                    {children.with_value(|children| children())}
                </Frame>
            }
        })
    }
}

#[component]
fn Frame(title: String, open: RwSignal<bool>, wide: bool, children: Children) -> impl IntoView {
    let dialog = NodeRef::<html::Dialog>::new();
    let opener = StoredValue::new_local(document().active_element());
    Effect::new(move |_| {
        if let Some(dialog) = dialog.get() {
            // Fails only for a dialog that is open already or not in the page.
            let _ = dialog.show_modal();
        }
    });
    on_cleanup(move || {
        use wasm_bindgen::JsCast;
        // Taken out of the page while open, a dialog gives no focus back.
        let opener = opener.try_get_value().flatten();
        if let Some(opener) = opener.and_then(|element| element.dyn_into::<web_sys::HtmlElement>().ok()) {
            let _ = opener.focus();
        }
    });
    let name = title.clone();
    let close = move || match dialog.get_untracked() {
        Some(dialog) => dialog.close(),
        None => open.set(false),
    };
    // A press on the backdrop is a press on the dialog element itself, outside its content.
    let press = move |event: leptos::ev::MouseEvent| {
        if event.target() == event.current_target() {
            close();
        }
    };
    view! {
        <dialog class="dialog" class:wide=wide node_ref=dialog aria-label=name on:close=move |_| open.set(false) on:mousedown=press>
            <div class="dialog-head">
                <h2>{title}</h2>
                <button type="button" class="icon-button" aria-label="Close" on:click=move |_| close()>
                    {icon(Icon::Close)}
                </button>
            </div>
            <div class="dialog-body">{children()}</div>
        </dialog>
    }
}

/// Asks before something is done that cannot be undone.
#[component]
pub fn Confirm(
    /// The question.
    #[prop(into)]
    title: String,
    /// What will happen.
    #[prop(into)]
    text: Signal<String>,
    /// What the button says, for example `Delete`.
    #[prop(into)]
    button: String,
    /// Whether it is shown.
    open: RwSignal<bool>,
    /// Is it being done?
    busy: RwSignal<bool>,
    /// Does it.
    confirm: Callback<()>,
) -> impl IntoView {
    let button = StoredValue::new(button);
    view! {
        <Dialog title open>
            <p>{move || text.get()}</p>
            <div class="dialog-foot">
                <button type="button" class="button" autofocus on:click=move |_| open.set(false)>
                    "Cancel"
                </button>
                <button
                    type="button"
                    class="button"
                    data-kind="danger"
                    disabled=move || busy.get()
                    on:click=move |_| confirm.run(())
                >
                    {button.get_value()}
                </button>
            </div>
        </Dialog>
    }
}
