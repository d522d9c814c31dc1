//! Where a time and a value stand on the picture.

/// The inner rectangle of a chart, in pixels from the top left corner of the picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    /// Left edge.
    pub left: f64,
    /// Top edge.
    pub top: f64,
    /// Right edge.
    pub right: f64,
    /// Bottom edge.
    pub bottom: f64,
}

impl Bounds {
    /// Width in pixels, never below one.
    pub fn width(&self) -> f64 {
        (self.right - self.left).max(1.0)
    }

    /// Height in pixels, never below one.
    pub fn height(&self) -> f64 {
        (self.bottom - self.top).max(1.0)
    }
}

/// The mapping between data and pixels that a chart was drawn with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plot {
    /// The rectangle that holds the lines.
    pub bounds: Bounds,
    /// Time at the left edge, in milliseconds since 1970.
    pub from_ms: i64,
    /// Time at the right edge, in milliseconds since 1970; always after `from_ms`.
    pub to_ms: i64,
    /// Value at the bottom edge.
    pub low: f64,
    /// Value at the top edge; always above `low`.
    pub high: f64,
}

impl Plot {
    /// The horizontal pixel of a time.
    pub fn x_to_px(&self, at_ms: i64) -> f64 {
        let span = self.to_ms.saturating_sub(self.from_ms).max(1) as f64;
        let share = at_ms.saturating_sub(self.from_ms) as f64 / span;
        self.bounds.left + share * self.bounds.width()
    }

    /// The time under a horizontal pixel, kept inside the plot.
    pub fn px_to_x(&self, px: f64) -> i64 {
        let share = ((px - self.bounds.left) / self.bounds.width()).clamp(0.0, 1.0);
        let span = self.to_ms.saturating_sub(self.from_ms).max(1) as f64;
        self.from_ms.saturating_add((share * span).round() as i64)
    }

    /// The vertical pixel of a value.
    pub fn y_to_px(&self, value: f64) -> f64 {
        let share = (value - self.low) / (self.high - self.low);
        self.bounds.bottom - share * self.bounds.height()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot() -> Plot {
        Plot {
            bounds: Bounds { left: 40.0, top: 10.0, right: 240.0, bottom: 110.0 },
            from_ms: 1_000,
            to_ms: 3_000,
            low: -10.0,
            high: 10.0,
        }
    }

    #[test]
    fn data_and_pixels_agree_both_ways() {
        let plot = plot();
        for (at_ms, px) in [(1_000, 40.0), (2_000, 140.0), (3_000, 240.0)] {
            assert_eq!(plot.x_to_px(at_ms), px);
            assert_eq!(plot.px_to_x(px), at_ms);
        }
        for (value, px) in [(-10.0, 110.0), (0.0, 60.0), (10.0, 10.0)] {
            assert_eq!(plot.y_to_px(value), px);
        }
    }

    #[test]
    fn pixels_outside_are_kept_inside_the_plot() {
        assert_eq!(plot().px_to_x(-500.0), 1_000);
        assert_eq!(plot().px_to_x(9_999.0), 3_000);
    }
}
