//! A map of positions, drawn without any outside server: graticule, scale, markers.

use leptos::html;
use leptos::prelude::*;

use super::chart::element_size;
use super::icon::{Icon, icon};
use crate::geo::{Place, View};

/// A device on the map.
#[derive(Clone, Debug, PartialEq)]
pub struct Marker {
    /// What it is called.
    pub name: String,
    /// Where a click leads.
    pub href: String,
    /// Where it is.
    pub place: Place,
    /// Is its position fresh?
    pub fresh: bool,
}

/// A map that shows all markers until the person moves it.
#[component]
pub fn MapView(
    /// What it shows, for screen readers.
    #[prop(into)]
    label: String,
    /// The devices.
    #[prop(into)]
    markers: Signal<Vec<Marker>>,
) -> impl IntoView {
    let element = NodeRef::<html::Div>::new();
    let size = element_size(element);
    let chosen = RwSignal::new(None::<View>);
    let view = Memo::new(move |_| {
        let (width, height) = size.get();
        let places: Vec<Place> = markers.with(|markers| markers.iter().map(|marker| marker.place).collect());
        chosen.get().unwrap_or_else(|| View::fit(&places, f64::from(width), f64::from(height)))
    });
    let hand = StoredValue::new(None::<(i32, i32)>);
    let press = move |event: web_sys::PointerEvent| hand.set_value(Some((event.client_x(), event.client_y())));
    let drag = move |event: web_sys::PointerEvent| {
        let here = (event.client_x(), event.client_y());
        if let Some((x, y)) = hand.get_value() {
            chosen.set(Some(view.get_untracked().moved(f64::from(here.0 - x), f64::from(here.1 - y))));
            hand.set_value(Some(here));
        }
    };
    let release = move |_: web_sys::PointerEvent| hand.set_value(None);
    let zoom = move |factor: f64| chosen.set(Some(view.get_untracked().zoomed(factor)));
    let fresh =
        move |wanted: bool| markers.with(|markers| markers.iter().filter(|marker| marker.fresh == wanted).count());
    view! {
        <div
            class="map"
            node_ref=element
            on:pointerdown=press
            on:pointermove=drag
            on:pointerup=release
            on:pointerleave=release
        >
            <svg role="group" aria-label=label>
                {move || (size.get().0 > 0).then(|| graticule(&view.get(), size.get()))}
                {move || markers.get().iter().map(|marker| mark(marker, &view.get())).collect_view()}
                {move || markers.get().iter().map(|marker| name(marker, &view.get())).collect_view()}
            </svg>
            <div class="map-legend">
                <span>
                    <span class="dot" data-tone="good"></span>
                    {move || format!("{} reporting", fresh(true))}
                </span>
                <span>
                    <span class="dot"></span>
                    {move || format!("{} silent", fresh(false))}
                </span>
            </div>
            <div class="map-buttons">
                <button type="button" class="icon-button" aria-label="Zoom in" on:click=move |_| zoom(2.0)>
                    {icon(Icon::Plus)}
                </button>
                <button type="button" class="icon-button" aria-label="Zoom out" on:click=move |_| zoom(0.5)>
                    {icon(Icon::Minus)}
                </button>
                <button type="button" class="icon-button" aria-label="Show all devices" on:click=move |_| chosen.set(None)>
                    {icon(Icon::Pin)}
                </button>
            </div>
        </div>
    }
}

fn graticule(view: &View, (width, height): (u32, u32)) -> AnyView {
    let (meridians, parallels) = view.graticule();
    let (label, length) = view.scale_bar();
    let (right, bottom) = (f64::from(width) - 14.0, f64::from(height) - 16.0);
    let meridians = meridians.into_iter().map(|line| {
        view! {
            <line class="meridian" x1=line.at_px x2=line.at_px y1="0" y2="100%"></line>
            <text x=line.at_px + 4.0 y="14">{line.label}</text>
        }
    });
    let parallels = parallels.into_iter().map(|line| {
        view! {
            <line class="meridian" x1="0" x2="100%" y1=line.at_px y2=line.at_px></line>
            <text x="6" y=line.at_px - 4.0>{line.label}</text>
        }
    });
    view! {
        {meridians.collect_view()}
        {parallels.collect_view()}
        <path
            d=format!("M{} {}v5h{length}v-5", right - length, bottom)
            fill="none"
            stroke="currentColor"
            stroke-width="1.5"
        ></path>
        <text x=right - length / 2.0 y=bottom text-anchor="middle">{label}</text>
    }
    .into_any()
}

fn mark(marker: &Marker, view: &View) -> AnyView {
    let (x, y) = view.pixel(marker.place);
    let tone = if marker.fresh { "good" } else { "quiet" };
    // Inside `<g>` a link is an SVG link; alone it would be taken for an HTML one, which SVG does not draw.
    view! {
        <g>
            <a href=marker.href.clone() aria-label=marker.name.clone()>
                <circle class="halo" data-tone=tone cx=x cy=y r="17"></circle>
                <circle class="mark" data-tone=tone cx=x cy=y r="8"></circle>
            </a>
        </g>
    }
    .into_any()
}

/// Names stand above all marks, so that none is covered by a neighbour.
fn name(marker: &Marker, view: &View) -> AnyView {
    let (x, y) = view.pixel(marker.place);
    view! {
        <text class="name" x=x y=y + 30.0 text-anchor="middle" aria-hidden="true">
            {marker.name.clone()}
        </text>
    }
    .into_any()
}
