//! The app's own line icons.

use leptos::prelude::*;

/// Which icon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Icon {
    Alert,
    Bell,
    Check,
    ChevronDown,
    ChevronUp,
    Close,
    Copy,
    Dashboard,
    Device,
    Down,
    Edit,
    Eye,
    Grid,
    Grow,
    Info,
    Layers,
    Left,
    Menu,
    Minus,
    Moon,
    Pin,
    Plus,
    Pulse,
    Refresh,
    Right,
    Rule,
    Screen,
    Search,
    Settings,
    Shrink,
    SignOut,
    Star,
    Sun,
    Trash,
    Up,
    Upload,
}

impl Icon {
    /// The shapes of the icon on a square of 24.
    fn shapes(self) -> &'static str {
        match self {
            Icon::Alert => r#"<path d="M12 4 2.8 19.5h18.4zM12 10v4.5M12 17.2v.1"/>"#,
            Icon::Bell => r#"<path d="M5 17h14c-1.6-1.6-2-3-2-6.5a5 5 0 0 0-10 0C7 14 6.6 15.4 5 17zM10 20.5h4"/>"#,
            Icon::Check => r#"<path d="m5 12.5 4.5 4.5L19 7.5"/>"#,
            Icon::ChevronDown => r#"<path d="m6 9.5 6 6 6-6"/>"#,
            Icon::ChevronUp => r#"<path d="m6 14.5 6-6 6 6"/>"#,
            Icon::Close => r#"<path d="M6 6l12 12M18 6 6 18"/>"#,
            Icon::Copy => {
                r#"<rect x="9" y="9" width="11" height="11" rx="2"/><path d="M5.5 15H5a1 1 0 0 1-1-1V5a1 1 0 0 1 1-1h9a1 1 0 0 1 1 1v.5"/>"#
            }
            Icon::Dashboard => {
                r#"<rect x="3.5" y="3.5" width="7" height="9" rx="1.2"/><rect x="13.5" y="3.5" width="7" height="5" rx="1.2"/><rect x="13.5" y="11.5" width="7" height="9" rx="1.2"/><rect x="3.5" y="15.5" width="7" height="5" rx="1.2"/>"#
            }
            Icon::Device => {
                r#"<rect x="6" y="6" width="12" height="12" rx="2"/><rect x="10" y="10" width="4" height="4" rx=".8"/><path d="M9 3v3M15 3v3M9 18v3M15 18v3M3 9h3M3 15h3M18 9h3M18 15h3"/>"#
            }
            Icon::Down => r#"<path d="M12 5v14M6 13l6 6 6-6"/>"#,
            Icon::Edit => r#"<path d="M4 20h4L19.5 8.5l-4-4L4 16zM13 7l4 4"/>"#,
            Icon::Eye => {
                r#"<path d="M2.5 12S6 5.5 12 5.5 21.5 12 21.5 12 18 18.5 12 18.5 2.5 12 2.5 12z"/><circle cx="12" cy="12" r="2.8"/>"#
            }
            Icon::Grid => r#"<path d="M4 4h6.5v6.5H4zM13.5 4H20v6.5h-6.5zM4 13.5h6.5V20H4zM13.5 13.5H20V20h-6.5z"/>"#,
            Icon::Grow => r#"<path d="M4 12h16M15 7l5 5-5 5"/>"#,
            Icon::Info => r#"<circle cx="12" cy="12" r="9"/><path d="M12 11v5.5M12 7.5v.1"/>"#,
            Icon::Layers => {
                r#"<path d="m12 3.5 9 4.7-9 4.7-9-4.7zM3.5 12.3 12 16.7l8.5-4.4M3.5 16.3l8.5 4.4 8.5-4.4"/>"#
            }
            Icon::Left => r#"<path d="M19 12H5M11 6l-6 6 6 6"/>"#,
            Icon::Menu => r#"<path d="M4 7h16M4 12h16M4 17h16"/>"#,
            Icon::Minus => r#"<path d="M5 12h14"/>"#,
            Icon::Moon => r#"<path d="M20 14.5A8.5 8.5 0 0 1 9.5 4a8.5 8.5 0 1 0 10.5 10.5z"/>"#,
            Icon::Pin => {
                r#"<path d="M12 21s-6.5-6-6.5-11a6.5 6.5 0 0 1 13 0c0 5-6.5 11-6.5 11z"/><circle cx="12" cy="10" r="2.3"/>"#
            }
            Icon::Plus => r#"<path d="M12 5v14M5 12h14"/>"#,
            Icon::Pulse => r#"<path d="M3 12h4l2.5-7 5 14 2.5-7h4"/>"#,
            Icon::Refresh => r#"<path d="M19.5 12a7.5 7.5 0 1 1-2.2-5.3M19.5 4v4h-4"/>"#,
            Icon::Right => r#"<path d="M5 12h14M13 6l6 6-6 6"/>"#,
            Icon::Rule => r#"<path d="M13 2.5 5 13.5h6l-1 8 8.5-11.5H12z"/>"#,
            Icon::Screen => r#"<rect x="3" y="4.5" width="18" height="12" rx="2"/><path d="M9 20h6M12 16.5V20"/>"#,
            Icon::Search => r#"<circle cx="11" cy="11" r="6.5"/><path d="m16 16 4.5 4.5"/>"#,
            Icon::Settings => {
                r#"<path d="M4 7h9M17 7h3M4 17h3M11 17h9"/><circle cx="15" cy="7" r="2"/><circle cx="9" cy="17" r="2"/>"#
            }
            Icon::Shrink => r#"<path d="M20 12H4M9 7l-5 5 5 5"/>"#,
            Icon::SignOut => {
                r#"<path d="M10 4H6a1.5 1.5 0 0 0-1.5 1.5v13A1.5 1.5 0 0 0 6 20h4M10 12h10.5M16.5 8l4 4-4 4"/>"#
            }
            Icon::Star => r#"<path d="m12 3.5 2.6 5.4 5.9.8-4.3 4.1 1 5.9-5.2-2.8-5.2 2.8 1-5.9L3.5 9.7l5.9-.8z"/>"#,
            Icon::Sun => {
                r#"<circle cx="12" cy="12" r="4"/><path d="M12 2.5v2M12 19.5v2M2.5 12h2M19.5 12h2M5.3 5.3l1.4 1.4M17.3 17.3l1.4 1.4M5.3 18.7l1.4-1.4M17.3 6.7l1.4-1.4"/>"#
            }
            Icon::Trash => r#"<path d="M4.5 7h15M9.5 7V4.5h5V7M6.5 7l1 13h9l1-13M10 11v5M14 11v5"/>"#,
            Icon::Up => r#"<path d="M12 19V5M6 11l6-6 6 6"/>"#,
            Icon::Upload => r#"<path d="M12 16V4M7 9l5-5 5 5M4.5 16v3a1 1 0 0 0 1 1h13a1 1 0 0 0 1-1v-3"/>"#,
        }
    }
}

/// Draws an icon; it is hidden from screen readers, so the control that holds it needs a name of its own.
pub fn icon(icon: Icon) -> AnyView {
    view! { <svg class="icon" viewBox="0 0 24 24" aria-hidden="true" inner_html=icon.shapes()></svg> }.into_any()
}

/// The mark of Muster: a pulse on a rounded square.
pub fn brand_mark() -> AnyView {
    view! {
        <svg
            class="brand-mark"
            viewBox="0 0 32 32"
            aria-hidden="true"
            inner_html=r##"<rect width="32" height="32" rx="9" fill="#3b6cf6"/><path d="M6 17.5h4.5l3-9 5 15 3-9 1.2 3H26" fill="none" stroke="#fff" stroke-width="2.4" stroke-linecap="round" stroke-linejoin="round"/>"##
        ></svg>
    }
    .into_any()
}
