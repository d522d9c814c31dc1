//! Drawing on plotters' SVG backend at ten times the wanted size.

use plotters::backend::{DrawingBackend, SVGBackend};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{IntoFont, RGBAColor, ShapeStyle, TextStyle};

use crate::Color;

/// Whole-number coordinates for each pixel.
const FINE: f64 = 10.0;

/// plotters divides font sizes by this before writing them; multiplied here, the size is the one asked for.
const FONT_SIZE_FACTOR: f64 = 1.24;

/// Coordinates are kept within this many pixels, so that ten times as many fit whole numbers.
const FARTHEST_PX: f64 = 100_000.0;

/// The typeface named in the SVG; the browser and the PNG renderer both carry it.
const FONT_FAMILY: &str = "Inter";

/// How a text stands at its point, horizontally.
#[derive(Clone, Copy)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

/// How a line is drawn.
#[derive(Clone, Copy)]
pub(crate) struct Stroke {
    pub color: Color,
    pub width_px: f64,
}

/// How a text is drawn.
#[derive(Clone, Copy)]
pub(crate) struct Lettering {
    pub size_px: f64,
    pub color: Color,
    pub anchor: Anchor,
}

/// A picture that is being drawn; sizes and places are in pixels.
pub(crate) struct Canvas<'a> {
    backend: SVGBackend<'a>,
}

/// Draws a picture of this size and returns its SVG text.
pub(crate) fn draw(width_px: u32, height_px: u32, paint: impl FnOnce(&mut Canvas<'_>)) -> String {
    // A picture wider than this is a mistake; the limit keeps ten times its size inside whole numbers.
    let (width_px, height_px) = (width_px.clamp(1, 10_000), height_px.clamp(1, 10_000));
    let mut text = String::new();
    {
        let size = (width_px * FINE as u32, height_px * FINE as u32);
        let mut canvas = Canvas { backend: SVGBackend::with_string(&mut text, size) };
        paint(&mut canvas);
    }
    let body = text.split_once('>').map_or("", |(_, body)| body);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width_px}\" height=\"{height_px}\" viewBox=\"0 0 {} {}\" stroke-linejoin=\"round\" stroke-linecap=\"round\">{body}",
        width_px * FINE as u32,
        height_px * FINE as u32,
    )
}

impl Canvas<'_> {
    pub(crate) fn line(&mut self, points: &[(f64, f64)], stroke: Stroke) {
        let style = shape(stroke.color, 1.0, stroke.width_px);
        // Writing to a string cannot fail, so the backend's results carry nothing.
        let _ = self.backend.draw_path(points.iter().map(|point| fine(*point)), &style);
    }

    /// A horizontal line in dashes.
    pub(crate) fn dashed_line(&mut self, left: f64, right: f64, y: f64, stroke: Stroke) {
        let mut x = left;
        while x < right {
            self.line(&[(x, y), ((x + 4.0).min(right), y)], stroke);
            x += 9.0;
        }
    }

    pub(crate) fn area(&mut self, points: &[(f64, f64)], color: Color, alpha: f64) {
        let style = shape(color, alpha, 0.0);
        let _ = self.backend.fill_polygon(points.iter().map(|point| fine(*point)), &style);
    }

    pub(crate) fn dot(&mut self, center: (f64, f64), radius_px: f64, color: Color) {
        let style = shape(color, 1.0, 0.0).filled();
        let radius = (radius_px * FINE) as u32;
        let _ = self.backend.draw_circle(fine(center), radius, &style, true);
    }

    pub(crate) fn rectangle(&mut self, corner: (f64, f64), opposite: (f64, f64), color: Color) {
        let style = shape(color, 1.0, 0.0).filled();
        let _ = self.backend.draw_rect(fine(corner), fine(opposite), &style, true);
    }

    /// A text whose middle line runs through the point.
    pub(crate) fn text(&mut self, text: &str, at: (f64, f64), lettering: Lettering) {
        let Lettering { size_px, color, anchor } = lettering;
        let horizontal = match anchor {
            Anchor::Start => HPos::Left,
            Anchor::Middle => HPos::Center,
            Anchor::End => HPos::Right,
        };
        let color = rgba(color, 1.0);
        let style = TextStyle::from((FONT_FAMILY, size_px * FINE * FONT_SIZE_FACTOR).into_font())
            .color(&color)
            .pos(Pos::new(horizontal, VPos::Center));
        // Half an ex (the backend's idea of the middle) is below the middle of figures by this much.
        let at = fine((at.0, at.1 + size_px * 0.08));
        let _ = self.backend.draw_text(text, &style, at);
    }
}

/// About how wide a text will be: nothing here measures fonts, so margins are chosen generously.
pub(crate) fn text_width_px(text: &str, size_px: f64) -> f64 {
    let narrow = |c: char| matches!(c, '.' | ',' | ':' | ' ' | 'i' | 'l' | 'I' | '-' | '\'' | '|');
    let widths = text.chars().map(|c| if narrow(c) { 0.32 } else { 0.62 });
    widths.sum::<f64>() * size_px
}

fn shape(color: Color, alpha: f64, width_px: f64) -> ShapeStyle {
    ShapeStyle { color: rgba(color, alpha), filled: false, stroke_width: (width_px * FINE).round() as u32 }
}

fn rgba(color: Color, alpha: f64) -> RGBAColor {
    RGBAColor(color.red, color.green, color.blue, alpha)
}

fn fine((x, y): (f64, f64)) -> (i32, i32) {
    let whole = |px: f64| (px.clamp(-FARTHEST_PX, FARTHEST_PX) * FINE).round() as i32;
    (whole(x), whole(y))
}
