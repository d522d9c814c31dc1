//! The colours of a chart, light and dark.

/// An opaque colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Color {
    /// Red, 0 to 255.
    pub red: u8,
    /// Green, 0 to 255.
    pub green: u8,
    /// Blue, 0 to 255.
    pub blue: u8,
}

impl Color {
    /// A colour from `0xRRGGBB`.
    pub const fn hex(value: u32) -> Self {
        let [_, red, green, blue] = value.to_be_bytes();
        Self { red, green, blue }
    }

    /// The colour as `#rrggbb`.
    pub fn css(self) -> String {
        format!("#{:02x}{:02x}{:02x}", self.red, self.green, self.blue)
    }
}

/// Which background the chart stands on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Theme {
    /// Dark strokes on a white card.
    #[default]
    Light,
    /// Light strokes on a dark card.
    Dark,
}

impl Theme {
    /// The colour of axis labels and of the legend.
    pub const fn text(self) -> Color {
        match self {
            Theme::Light => Color::hex(0x566179),
            Theme::Dark => Color::hex(0xA3ADC2),
        }
    }

    /// The colour of the horizontal grid lines.
    pub const fn grid(self) -> Color {
        match self {
            Theme::Light => Color::hex(0xE3E7EF),
            Theme::Dark => Color::hex(0x2A3242),
        }
    }

    /// The colour of the card that the chart stands on.
    pub const fn card(self) -> Color {
        match self {
            Theme::Light => Color::hex(0xFFFFFF),
            Theme::Dark => Color::hex(0x151A24),
        }
    }

    /// The colour of a threshold line and its label.
    pub const fn threshold(self) -> Color {
        match self {
            Theme::Light => Color::hex(0xC92A3A),
            Theme::Dark => Color::hex(0xFF7B84),
        }
    }
}

const LIGHT: [Color; 8] = [
    Color::hex(0x3B6CF6),
    Color::hex(0x0E9F8E),
    Color::hex(0xE8862B),
    Color::hex(0xA259E6),
    Color::hex(0xD93D7A),
    Color::hex(0x6B8E23),
    Color::hex(0x0891B2),
    Color::hex(0x9A6B3F),
];

const DARK: [Color; 8] = [
    Color::hex(0x5B86FF),
    Color::hex(0x22B8A6),
    Color::hex(0xF09A45),
    Color::hex(0xB575F2),
    Color::hex(0xF0649A),
    Color::hex(0x9BBF4A),
    Color::hex(0x38BDDD),
    Color::hex(0xC79A6B),
];

/// The colour of the series with this index; it repeats after eight.
pub fn series_color(theme: Theme, index: usize) -> Color {
    let palette = match theme {
        Theme::Light => &LIGHT,
        Theme::Dark => &DARK,
    };
    palette[index % palette.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_colour_reads_as_css() {
        assert_eq!(Color::hex(0x3B6CF6).css(), "#3b6cf6");
        assert_eq!(Color::hex(0x00000F).css(), "#00000f");
    }

    #[test]
    fn series_colours_repeat_after_the_palette() {
        assert_eq!(series_color(Theme::Light, 0), series_color(Theme::Light, 8));
        assert_ne!(series_color(Theme::Light, 0), series_color(Theme::Light, 1));
    }
}
