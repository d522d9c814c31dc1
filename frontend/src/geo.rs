//! Positions on a map without an outside tile server: projection, view and graticule. Pure.

use std::f64::consts::PI;
use std::fmt;

/// A place on Earth in degrees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Place {
    /// Degrees north.
    pub latitude: f64,
    /// Degrees east.
    pub longitude: f64,
}

impl Place {
    /// A place, unless the numbers are no place on Earth.
    pub fn new(latitude: f64, longitude: f64) -> Option<Self> {
        let valid = (-90.0..=90.0).contains(&latitude) && (-180.0..=180.0).contains(&longitude);
        valid.then_some(Self { latitude, longitude })
    }

    /// On the unit square of the Mercator projection: x to the east, y to the south.
    fn project(self) -> (f64, f64) {
        let latitude = self.latitude.clamp(-MOST_NORTH, MOST_NORTH).to_radians();
        let y = 0.5 - (PI / 4.0 + latitude / 2.0).tan().ln() / (2.0 * PI);
        (self.longitude / 360.0 + 0.5, y)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let north = if self.latitude < 0.0 { 'S' } else { 'N' };
        let east = if self.longitude < 0.0 { 'W' } else { 'E' };
        write!(formatter, "{:.5}° {north}, {:.5}° {east}", self.latitude.abs(), self.longitude.abs())
    }
}

/// The Mercator projection is cut here, where the world becomes a square.
const MOST_NORTH: f64 = 85.051_128;

/// Closer than this (a street), the graticule carries no information.
const LARGEST_SCALE: f64 = 256.0 * 524_288.0;
const SMALLEST_SCALE: f64 = 256.0;

/// The part of the world that is shown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct View {
    /// The middle, on the unit square.
    center: (f64, f64),
    /// Pixels for the whole unit square.
    scale: f64,
    /// The picture.
    width_px: f64,
    height_px: f64,
}

/// A line of the graticule.
#[derive(Clone, Debug, PartialEq)]
pub struct GridLine {
    /// Where it stands: x of a meridian, y of a parallel.
    pub at_px: f64,
    /// Its degrees, as `8.6° E`.
    pub label: String,
}

impl View {
    /// Shows all places with some room around them; the whole world where there are none.
    pub fn fit(places: &[Place], width_px: f64, height_px: f64) -> Self {
        let (width_px, height_px) = (width_px.max(1.0), height_px.max(1.0));
        let projected: Vec<(f64, f64)> = places.iter().map(|place| place.project()).collect();
        let ends = |axis: fn(&(f64, f64)) -> f64| {
            let values = || projected.iter().map(axis);
            values().reduce(f64::min).zip(values().reduce(f64::max))
        };
        let world = ((0.0, 1.0), (0.15, 0.75));
        let ((left, right), (top, bottom)) = ends(|point| point.0).zip(ends(|point| point.1)).unwrap_or(world);
        let room = |px: f64| (px - 110.0).max(px * 0.4);
        // A single place is shown as a block of houses, not as a dot on an empty street.
        let span = |span: f64| span.max(6e-6);
        let scale = (room(width_px) / span(right - left)).min(room(height_px) / span(bottom - top));
        Self {
            center: ((left + right) / 2.0, (top + bottom) / 2.0),
            scale: scale.clamp(SMALLEST_SCALE, LARGEST_SCALE),
            width_px,
            height_px,
        }
    }

    /// The pixel of a place.
    pub fn pixel(&self, place: Place) -> (f64, f64) {
        let (x, y) = place.project();
        let across = |value: f64, center: f64, size: f64| (value - center) * self.scale + size / 2.0;
        (across(x, self.center.0, self.width_px), across(y, self.center.1, self.height_px))
    }

    /// The same middle, larger or smaller.
    pub fn zoomed(self, factor: f64) -> Self {
        Self { scale: (self.scale * factor).clamp(SMALLEST_SCALE, LARGEST_SCALE), ..self }
    }

    /// Moved by pixels, as a hand moves paper.
    pub fn moved(self, x_px: f64, y_px: f64) -> Self {
        let (x, y) = self.center;
        let center = ((x - x_px / self.scale).clamp(0.0, 1.0), (y - y_px / self.scale).clamp(0.0, 1.0));
        Self { center, ..self }
    }

    /// Meridians and parallels on round degrees, some of each.
    pub fn graticule(&self) -> (Vec<GridLine>, Vec<GridLine>) {
        let half = (self.width_px / 2.0 / self.scale, self.height_px / 2.0 / self.scale);
        let (west, east) = ((self.center.0 - half.0 - 0.5) * 360.0, (self.center.0 + half.0 - 0.5) * 360.0);
        let (north, south) = (latitude(self.center.1 - half.1), latitude(self.center.1 + half.1));
        let step = round_degrees((east - west) * 130.0 / self.width_px);
        let meridians = multiples(west.max(-180.0), east.min(180.0), step).map(|longitude| GridLine {
            at_px: self.pixel(Place { latitude: 0.0, longitude }).0,
            label: degrees(longitude, step, ["E", "W"]),
        });
        let parallels = multiples(south, north, step).map(|latitude| GridLine {
            at_px: self.pixel(Place { latitude, longitude: 0.0 }).1,
            label: degrees(latitude, step, ["N", "S"]),
        });
        (meridians.collect(), parallels.collect())
    }

    /// A round distance and how many pixels it takes in the middle of the view.
    pub fn scale_bar(&self) -> (String, f64) {
        const EQUATOR_M: f64 = 40_075_017.0;
        let metres_per_px = EQUATOR_M / self.scale * latitude(self.center.1).to_radians().cos();
        let metres = round_below(metres_per_px * 120.0);
        let label = if metres >= 1_000.0 { format!("{} km", metres / 1_000.0) } else { format!("{metres} m") };
        (label, metres / metres_per_px)
    }
}

/// The latitude of a y on the unit square.
fn latitude(y: f64) -> f64 {
    (2.0 * ((0.5 - y.clamp(0.0, 1.0)) * 2.0 * PI).exp().atan() - PI / 2.0).to_degrees()
}

fn round_degrees(at_least: f64) -> f64 {
    const STEPS: [f64; 17] =
        [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 45.0];
    STEPS.into_iter().find(|step| *step >= at_least).unwrap_or(60.0)
}

/// The largest of 1, 2, 5 times a power of ten that is not above this.
fn round_below(value: f64) -> f64 {
    let power = 10f64.powf(value.max(1.0).log10().floor());
    [5.0, 2.0].into_iter().map(|factor| factor * power).find(|round| *round <= value).unwrap_or(power)
}

fn multiples(from: f64, to: f64, step: f64) -> impl Iterator<Item = f64> {
    let first = (from / step).ceil() as i64;
    let last = (to / step).floor() as i64;
    (first..=last).take(60).map(move |index| index as f64 * step)
}

fn degrees(value: f64, step: f64, [positive, negative]: [&str; 2]) -> String {
    let decimals = (-step.log10().floor()).clamp(0.0, 4.0) as usize;
    let side = if value.abs() < step / 2.0 {
        ""
    } else if value > 0.0 {
        positive
    } else {
        negative
    };
    format!("{:.decimals$}° {side}", value.abs()).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(latitude: f64, longitude: f64) -> Place {
        Place::new(latitude, longitude).unwrap()
    }

    #[test]
    fn only_places_on_earth_are_places() {
        assert!(Place::new(52.5, 13.4).is_some());
        assert_eq!(place(52.5, -13.4).to_string(), "52.50000° N, 13.40000° W");
        for (latitude, longitude) in [(91.0, 0.0), (0.0, 181.0), (f64::NAN, 0.0)] {
            assert_eq!(Place::new(latitude, longitude), None);
        }
    }

    #[test]
    fn all_places_are_inside_the_fitted_view() {
        let cases: [&[Place]; 3] = [
            &[place(52.5, 13.4), place(52.6, 13.3)],
            &[place(-33.9, 151.2), place(40.7, -74.0), place(90.0, 0.0)],
            &[place(48.1, 11.6)],
        ];
        for places in cases {
            let view = View::fit(places, 800.0, 300.0);
            for place in places {
                let (x, y) = view.pixel(*place);
                assert!((0.0..=800.0).contains(&x) && (0.0..=300.0).contains(&y), "{place:?} at {x},{y}");
            }
        }
    }

    #[test]
    fn north_is_up_and_east_is_right() {
        let view = View::fit(&[place(50.0, 8.0), place(51.0, 9.0)], 400.0, 400.0);
        let (south_west, north_east) = (view.pixel(place(50.0, 8.0)), view.pixel(place(51.0, 9.0)));
        assert!(south_west.0 < north_east.0 && south_west.1 > north_east.1);
    }

    #[test]
    fn zooming_keeps_the_middle_and_moving_follows_the_hand() {
        let berlin = place(52.5, 13.4);
        let view = View::fit(&[berlin], 400.0, 200.0);
        let (x, y) = view.zoomed(4.0).pixel(berlin);
        assert!((x - 200.0).abs() < 1e-6 && (y - 100.0).abs() < 1e-6);
        let (x, y) = view.moved(30.0, -10.0).pixel(berlin);
        assert!((x - 230.0).abs() < 1e-6 && (y - 90.0).abs() < 1e-6);
    }

    #[test]
    fn the_graticule_has_some_round_lines() {
        let (meridians, parallels) = View::fit(&[place(52.4, 13.2), place(52.6, 13.6)], 900.0, 260.0).graticule();
        assert!((3..=14).contains(&meridians.len()), "{meridians:?}");
        assert!((1..=8).contains(&parallels.len()), "{parallels:?}");
        assert!(meridians[0].label.ends_with("° E") && parallels[0].label.ends_with("° N"));
        assert_eq!(degrees(0.0, 10.0, ["E", "W"]), "0°");
        assert_eq!(degrees(-70.5, 0.5, ["E", "W"]), "70.5° W");
    }

    #[test]
    fn the_scale_bar_is_a_round_distance() {
        let (label, px) = View::fit(&[place(52.4, 13.2), place(52.6, 13.6)], 900.0, 260.0).scale_bar();
        assert!(label == "5 km" || label == "10 km", "{label}");
        assert!((40.0..=121.0).contains(&px));
    }
}
