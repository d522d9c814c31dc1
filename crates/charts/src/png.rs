//! A chart as a picture, for e-mail.

use std::sync::{Arc, LazyLock};

use resvg::tiny_skia::{Color, Pixmap, Transform};
use resvg::usvg::{Options, Tree, fontdb};

use crate::Theme;

/// Why an SVG could not become a picture.
#[derive(Debug, thiserror::Error)]
pub enum PngError {
    /// The text is not an SVG that can be drawn.
    #[error("cannot read the drawing")]
    Drawing(#[from] resvg::usvg::Error),
    /// The picture would have no pixels, or too many.
    #[error("a picture of {width_px} by {height_px} pixels cannot be made")]
    Size {
        /// Width asked for.
        width_px: u32,
        /// Height asked for.
        height_px: u32,
    },
    /// The pixels could not be written as PNG.
    #[error("cannot write the picture: {reason}")]
    Encoding {
        /// What the encoder said.
        reason: String,
    },
}

/// A subset (Latin, Greek, Cyrillic, signs) of Inter; its licence stands beside it.
static FONT: &[u8] = include_bytes!("../assets/Inter-Regular.otf");

/// Reading the typeface takes longer than drawing, so it is read once.
static FONTS: LazyLock<Arc<fontdb::Database>> = LazyLock::new(|| {
    let mut fonts = fontdb::Database::new();
    fonts.load_font_data(FONT.to_vec());
    Arc::new(fonts)
});

const LARGEST_PX: u32 = 8_192;

/// Renders a chart on the card colour of its theme; `scale` 2.0 makes a picture for fine screens.
///
/// This takes some milliseconds of CPU: call it off the async threads.
pub fn render_png(svg: &str, theme: Theme, scale: f32) -> Result<Vec<u8>, PngError> {
    let options = Options { font_family: "Inter".to_owned(), fontdb: FONTS.clone(), ..Options::default() };
    let tree = Tree::from_str(svg, &options)?;
    let width_px = (tree.size().width() * scale).round() as u32;
    let height_px = (tree.size().height() * scale).round() as u32;
    let fits = width_px <= LARGEST_PX && height_px <= LARGEST_PX;
    let pixmap = fits.then(|| Pixmap::new(width_px, height_px)).flatten();
    let mut pixmap = pixmap.ok_or(PngError::Size { width_px, height_px })?;
    let card = theme.card();
    pixmap.fill(Color::from_rgba8(card.red, card.green, card.blue, u8::MAX));
    resvg::render(&tree, Transform::from_scale(scale, scale), &mut pixmap.as_mut());
    pixmap.encode_png().map_err(|error| PngError::Encoding { reason: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Fill, Legend, LineChart, Series, line_chart, series_color};

    fn chart(theme: Theme) -> LineChart {
        LineChart {
            width_px: 600,
            height_px: 260,
            theme,
            unit: "°C".to_owned(),
            utc_offset_s: 0,
            range_ms: Some((0, 3_600_000)),
            gap_ms: None,
            series: vec![Series {
                name: "Boiler".to_owned(),
                color: series_color(theme, 0),
                points: (0..60).map(|minute| (minute * 60_000, Some(f64::from(minute as i32)))).collect(),
            }],
            threshold: None,
            legend: Legend::Shown,
            fill: Fill::Tint,
        }
    }

    /// Counts pixels that differ from the card, in a rectangle given in unscaled pixels.
    fn inked(png: &[u8], theme: Theme, x: std::ops::Range<u32>, y: std::ops::Range<u32>) -> usize {
        let pixmap = Pixmap::decode_png(png).unwrap();
        let card = theme.card();
        let places = y.flat_map(|row| x.clone().map(move |column| (column, row)));
        let pixels = places.filter_map(|(column, row)| pixmap.pixel(column, row));
        pixels.filter(|pixel| (pixel.red(), pixel.green(), pixel.blue()) != (card.red, card.green, card.blue)).count()
    }

    #[test]
    fn labels_are_visible_in_the_picture() {
        for theme in [Theme::Light, Theme::Dark] {
            let spec = chart(theme);
            let bounds = spec.plot().bounds;
            let png = render_png(&line_chart(&spec), theme, 1.0).unwrap();
            let left = inked(&png, theme, 0..bounds.left as u32 - 4, 40..234);
            let below = inked(&png, theme, 30..580, bounds.bottom as u32 + 4..258);
            let legend = inked(&png, theme, 24..70, 2..22);
            assert!(left > 60 && below > 60 && legend > 60, "{left} {below} {legend}");
        }
    }

    #[test]
    fn scale_multiplies_the_size() {
        let png = render_png(&line_chart(&chart(Theme::Light)), Theme::Light, 2.0).unwrap();
        let pixmap = Pixmap::decode_png(&png).unwrap();
        assert_eq!((pixmap.width(), pixmap.height()), (1_200, 520));
    }

    #[test]
    fn bad_drawings_and_sizes_are_refused() {
        assert!(matches!(render_png("no svg", Theme::Light, 1.0), Err(PngError::Drawing(_))));
        let svg = line_chart(&chart(Theme::Light));
        for scale in [0.0, 1_000.0, -1.0] {
            assert!(matches!(render_png(&svg, Theme::Light, scale), Err(PngError::Size { .. })));
        }
    }
}
