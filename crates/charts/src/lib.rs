//! One drawing of a chart for the browser, e-mails and pictures.
//!
//! A chart is described by plain data ([`LineChart`], [`Sparkline`]) and comes out as an SVG text. Shapes are drawn at
//! ten times the wanted size in whole numbers and shown through a `viewBox`, so lines are smooth and text stays crisp.
//! The [`Plot`] that placed the points is handed out too, so an overlay (crosshair, tooltip, zoom) agrees with the drawing
//! to the pixel.
//!
//! It reads no clock, no files and no system fonts. With the feature `png`, `render_png` turns such an SVG into a
//! picture with the embedded typeface.
//!
//! Invariants: every function accepts any input, also empty series, equal values and values that are not numbers;
//! what cannot be drawn is a gap. The SVG holds no script, no `style` attribute and no outside reference.

mod line;
#[cfg(feature = "png")]
mod png;
mod scale;
mod sparkline;
mod svg;
mod theme;
mod ticks;

pub use line::{Fill, Legend, LineChart, Series, Threshold, line_chart};
#[cfg(feature = "png")]
pub use png::{PngError, render_png};
pub use scale::{Bounds, Plot};
pub use sparkline::{Sparkline, sparkline};
pub use theme::{Color, Theme, series_color};
pub use ticks::{TimeTick, ValueTicks, format_tick, time_ticks, value_ticks};
