//! A value on an arc between its least and largest.

use leptos::prelude::*;

/// How far along the arc a value stands, 0 to 1.
pub fn share(value: f64, low: f64, high: f64) -> f64 {
    if high > low && value.is_finite() { ((value - low) / (high - low)).clamp(0.0, 1.0) } else { 0.0 }
}

/// The arc of a gauge around a value.
#[component]
pub fn Gauge(
    /// How far along, 0 to 1.
    #[prop(into)]
    share: Signal<f64>,
    /// The value.
    children: Children,
) -> impl IntoView {
    view! {
        <div class="gauge">
            <svg viewBox="0 0 200 112" aria-hidden="true">
                <path d=arc(1.0) fill="none" stroke="var(--quiet-tint)" stroke-width="15" stroke-linecap="round"></path>
                <path
                    d=move || arc(share.get().max(0.004))
                    fill="none"
                    stroke="var(--accent)"
                    stroke-width="15"
                    stroke-linecap="round"
                ></path>
            </svg>
            {children()}
        </div>
    }
}

/// The path of a half circle's first part.
fn arc(share: f64) -> String {
    const RADIUS: f64 = 88.0;
    let angle = std::f64::consts::PI * (1.0 - share);
    let (x, y) = (100.0 + RADIUS * angle.cos(), 100.0 - RADIUS * angle.sin());
    format!("M12 100A{RADIUS} {RADIUS} 0 0 1 {x:.2} {y:.2}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_stays_on_the_arc() {
        for (value, expected) in [(2.0, 0.0), (3.5, 0.5), (9.0, 1.0), (-1.0, 0.0), (f64::NAN, 0.0)] {
            assert_eq!(share(value, 2.0, 5.0), expected);
        }
        assert_eq!(share(1.0, 5.0, 5.0), 0.0);
    }

    #[test]
    fn the_arc_runs_from_left_to_right() {
        assert_eq!(arc(1.0), "M12 100A88 88 0 0 1 188.00 100.00");
        assert!(arc(0.5).ends_with("100.00 12.00"));
    }
}
