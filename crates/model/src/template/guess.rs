//! What a number means, by its name and its range.

/// Words of names, the semantic type, and the unit: without further words, or with one of the words behind it.
struct Meaning {
    words: &'static [&'static str],
    semantic_type: &'static str,
    /// The unit where nothing else is said, and the range in which that is likely.
    usual: Option<(&'static str, (f64, f64))>,
    /// Units by a word of the name.
    said: &'static [(&'static str, &'static str)],
    /// Units by the range of the values.
    by_range: &'static [(&'static str, (f64, f64))],
}

const ANY: (f64, f64) = (f64::NEG_INFINITY, f64::INFINITY);

const MEANINGS: &[Meaning] = &[
    Meaning {
        words: &["temperature", "temp", "temperatur"],
        semantic_type: "Temperature",
        usual: Some(("degreeCelsius", (-100.0, 180.0))),
        said: &[("f", "degreeFahrenheit"), ("fahrenheit", "degreeFahrenheit"), ("k", "kelvin"), ("kelvin", "kelvin")],
        by_range: &[("kelvin", (200.0, 400.0))],
    },
    Meaning {
        words: &["humidity", "rh", "hum", "moisture"],
        semantic_type: "RelativeHumidity",
        usual: Some(("percent", (0.0, 100.0))),
        said: &[],
        by_range: &[],
    },
    Meaning {
        words: &["pressure", "press"],
        semantic_type: "Pressure",
        usual: None,
        said: &[("bar", "bar"), ("mbar", "millibar"), ("hpa", "millibar"), ("kpa", "kilopascal"), ("pa", "pascal")],
        by_range: &[("millibar", (300.0, 1_200.0)), ("pascal", (30_000.0, 120_000.0))],
    },
    Meaning {
        words: &["voltage", "volt", "volts"],
        semantic_type: "Voltage",
        usual: Some(("volt", ANY)),
        said: &[("mv", "millivolt"), ("kv", "kilovolt")],
        by_range: &[],
    },
    Meaning {
        words: &["current", "amps", "ampere", "amperes"],
        semantic_type: "Current",
        usual: Some(("ampere", ANY)),
        said: &[("ma", "milliampere")],
        by_range: &[],
    },
    Meaning {
        words: &["power", "watt", "watts"],
        semantic_type: "Power",
        usual: Some(("watt", ANY)),
        said: &[("kw", "kilowatt"), ("mw", "megawatt")],
        by_range: &[],
    },
    Meaning {
        words: &["energy", "consumption"],
        semantic_type: "Energy",
        usual: Some(("kilowattHour", ANY)),
        said: &[("kwh", "kilowattHour"), ("j", "joule"), ("kj", "kilojoule")],
        by_range: &[],
    },
    Meaning {
        words: &["speed", "velocity"],
        semantic_type: "Velocity",
        usual: None,
        said: &[
            ("kmh", "kilometrePerHour"),
            ("kph", "kilometrePerHour"),
            ("mph", "milePerHour"),
            ("mps", "metrePerSecond"),
            ("ms", "metrePerSecond"),
        ],
        by_range: &[],
    },
    Meaning {
        words: &["frequency", "freq"],
        semantic_type: "Frequency",
        usual: Some(("hertz", ANY)),
        said: &[("khz", "kilohertz"), ("mhz", "megahertz")],
        by_range: &[],
    },
    Meaning {
        words: &["illuminance", "lux", "light", "brightness"],
        semantic_type: "Illuminance",
        usual: Some(("lux", (0.0, 200_000.0))),
        said: &[],
        by_range: &[],
    },
    Meaning {
        words: &["noise", "loudness", "db", "dba"],
        semantic_type: "SoundPressure",
        usual: Some(("decibel", (0.0, 200.0))),
        said: &[],
        by_range: &[],
    },
    Meaning {
        words: &["distance", "altitude", "depth"],
        semantic_type: "Distance",
        usual: Some(("metre", ANY)),
        said: &[("mm", "millimetre"), ("cm", "centimetre"), ("km", "kilometre"), ("ft", "foot")],
        by_range: &[],
    },
    Meaning {
        words: &["weight", "mass"],
        semantic_type: "Mass",
        usual: Some(("kilogram", ANY)),
        said: &[("g", "gram"), ("t", "tonne")],
        by_range: &[],
    },
    Meaning {
        words: &["torque"],
        semantic_type: "Torque",
        usual: Some(("newtonMetre", ANY)),
        said: &[],
        by_range: &[],
    },
    Meaning {
        words: &["volume"],
        semantic_type: "Volume",
        usual: None,
        said: &[("l", "litre"), ("ml", "millilitre"), ("m3", "cubicMetre")],
        by_range: &[],
    },
];

/// The semantic type and the unit of a number, where its name says one and its range does not speak against it.
pub(super) fn meaning(name: &str, (least, largest): (f64, f64)) -> Option<(&'static str, &'static str)> {
    let words = words(name);
    let has = |wanted: &str| words.iter().any(|word| word == wanted);
    let meaning = MEANINGS.iter().find(|meaning| meaning.words.iter().any(|word| has(word)))?;
    let within = |(from, to): (f64, f64)| least >= from && largest <= to;
    let said = meaning.said.iter().find(|(word, _)| has(word)).map(|(_, unit)| *unit);
    let usual = || meaning.usual.filter(|(_, range)| within(*range)).map(|(unit, _)| unit);
    let by_range = || meaning.by_range.iter().find(|(_, range)| within(*range)).map(|(unit, _)| *unit);
    let unit = said.or_else(usual).or_else(by_range)?;
    Some((meaning.semantic_type, unit))
}

/// The words of a name, in small letters: `motor`, `speed` of `motorSpeed`, `motor_speed` or `Motor speed`.
pub(super) fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut before = ' ';
    for letter in name.chars() {
        if !letter.is_alphanumeric() {
            before = ' ';
            continue;
        }
        let begins = before == ' ' || letter.is_uppercase() && before.is_lowercase();
        match words.last_mut() {
            Some(word) if !begins => word.extend(letter.to_lowercase()),
            _ => words.push(letter.to_lowercase().collect()),
        }
        before = letter;
    }
    words
}

/// `P3DT4H`, `PT0.5S`: a duration of ISO 8601.
pub(super) fn is_duration(text: &str) -> bool {
    let Some(rest) = text.strip_prefix('P') else { return false };
    let (date, time) = rest.split_once('T').map_or((rest, None), |(date, time)| (date, Some(time)));
    let parts = |text: &str, units: &str| {
        let mut units = units.chars();
        let mut digits = 0;
        text.chars().all(|letter| match letter {
            '0'..='9' | '.' => {
                digits += 1;
                true
            }
            unit => std::mem::take(&mut digits) > 0 && units.any(|known| known == unit),
        }) && digits == 0
    };
    let filled = !date.is_empty() || time.is_some();
    filled && parts(date, "YMWD") && time.is_none_or(|time| !time.is_empty() && parts(time, "HMS"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtdl::{Version, units};

    #[test]
    fn every_unit_is_one_of_its_semantic_type() {
        for meaning in MEANINGS {
            let of = units::unit_type(meaning.semantic_type, Version::V2).expect(meaning.semantic_type);
            let known: Vec<_> = units::units(of, Version::V2).collect();
            let usual = meaning.usual.iter().map(|(unit, _)| unit);
            let said = meaning.said.iter().map(|(_, unit)| unit);
            for unit in usual.chain(said).chain(meaning.by_range.iter().map(|(unit, _)| unit)) {
                assert!(known.contains(unit), "{} {unit}", meaning.semantic_type);
            }
        }
    }

    #[test]
    fn names_and_ranges_say_what_a_number_means() {
        let cases = [
            ("temperature", (20.0, 25.0), Some(("Temperature", "degreeCelsius"))),
            ("motorTemp", (-10.0, 95.0), Some(("Temperature", "degreeCelsius"))),
            ("temp_f", (60.0, 90.0), Some(("Temperature", "degreeFahrenheit"))),
            ("temperature", (290.0, 300.0), Some(("Temperature", "kelvin"))),
            ("temperature", (2_000.0, 3_000.0), None),
            ("rh", (0.0, 100.0), Some(("RelativeHumidity", "percent"))),
            ("pressure", (990.0, 1_020.0), Some(("Pressure", "millibar"))),
            ("pressure", (1.0, 2.0), None),
            ("attempts", (1.0, 2.0), None),
            ("template", (1.0, 2.0), None),
        ];
        for (name, range, expected) in cases {
            assert_eq!(meaning(name, range), expected, "{name}");
        }
    }

    #[test]
    fn names_are_split_where_people_would() {
        for (name, expected) in [
            ("motorSpeed", vec!["motor", "speed"]),
            ("motor_speed_2", vec!["motor", "speed", "2"]),
            ("RPM", vec!["rpm"]),
            ("", vec![]),
        ] {
            assert_eq!(words(name), expected, "{name}");
        }
    }

    #[test]
    fn durations_are_told_from_words() {
        for text in ["P3D", "PT4H", "P1Y2M3DT4H5M6S", "PT0.5S", "P2W"] {
            assert!(is_duration(text), "{text}");
        }
        for text in ["", "P", "PT", "Pump", "P3", "3D", "PDT1H", "PT5D"] {
            assert!(!is_duration(text), "{text}");
        }
    }
}
