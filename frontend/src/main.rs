//! The web app of Muster, rendered in the browser.
//!
//! Pages fetch and arrange, components take values and signals and never fetch, and there is one layer to the server
//! ([`api`]). What can be computed without a browser stands in modules of its own and is tested natively.

mod api;
mod app;
mod components;
mod format;
mod freshness;
mod geo;
mod group_draft;
mod layout;
mod live;
mod load;
mod markdown;
mod outline;
mod pages;
mod property_form;
mod reading;
mod rule_draft;
mod series;
mod session;
mod snippet;
mod table;
mod text_place;
mod theme;
mod thresholds;
mod tile_data;
mod tile_draft;
mod time;

fn main() {
    #[cfg(all(target_family = "wasm", target_os = "unknown"))]
    console_error_panic_hook::set_once();
    if let Some(boot) = leptos::prelude::document().get_element_by_id("boot") {
        boot.remove();
    }
    leptos::mount::mount_to_body(app::App);
}
