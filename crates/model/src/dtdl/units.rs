//! The standard semantic types and units, as facts: which unit measures what, and how it is written.

use super::Version;

/// A unit: its name, the symbol shown to people, and the first version of the language that has it.
struct Unit(&'static str, &'static str, Version);

/// A semantic type: its name, the unit type that measures it, and the first version that has it.
struct Quantity(&'static str, &'static str, Version);

/// The symbol of a unit, for example `°C` for `degreeCelsius`.
pub fn symbol(unit: &str) -> Option<&'static str> {
    UNITS.iter().flat_map(|(_, units)| *units).find(|known| known.0 == unit).map(|known| known.1)
}

/// The unit type that measures a semantic type, where this version of the language has it.
pub fn unit_type(semantic_type: &str, version: Version) -> Option<&'static str> {
    QUANTITIES.iter().find(|known| known.0 == semantic_type && known.2 <= version).map(|known| known.1)
}

/// The names of the semantic types in this version.
pub fn semantic_types(version: Version) -> impl Iterator<Item = &'static str> {
    QUANTITIES.iter().filter(move |known| known.2 <= version).map(|known| known.0)
}

/// The names of the unit types.
pub fn unit_types() -> impl Iterator<Item = &'static str> {
    UNITS.iter().map(|(unit_type, _)| *unit_type)
}

/// Is it a unit type?
pub fn is_unit_type(name: &str) -> bool {
    UNITS.iter().any(|(unit_type, _)| *unit_type == name)
}

/// The names of a unit type's units.
pub fn units(unit_type: &str, version: Version) -> impl Iterator<Item = &'static str> {
    let units = UNITS.iter().filter(move |(name, _)| *name == unit_type).flat_map(|(_, units)| *units);
    units.filter(move |unit| unit.2 <= version).map(|unit| unit.0)
}

use Version::{V2, V3};

const QUANTITIES: &[Quantity] = &[
    Quantity("Acceleration", "AccelerationUnit", V2),
    Quantity("Angle", "AngleUnit", V2),
    Quantity("AngularAcceleration", "AngularAccelerationUnit", V2),
    Quantity("AngularVelocity", "AngularVelocityUnit", V2),
    Quantity("ApparentEnergy", "ApparentEnergyUnit", V3),
    Quantity("ApparentPower", "ApparentPowerUnit", V3),
    Quantity("Area", "AreaUnit", V2),
    Quantity("Capacitance", "CapacitanceUnit", V2),
    Quantity("Concentration", "Unitless", V3),
    Quantity("Current", "CurrentUnit", V2),
    Quantity("DataRate", "DataRateUnit", V2),
    Quantity("DataSize", "DataSizeUnit", V2),
    Quantity("Density", "DensityUnit", V2),
    Quantity("Distance", "LengthUnit", V2),
    Quantity("ElectricCharge", "ChargeUnit", V2),
    Quantity("Energy", "EnergyUnit", V2),
    Quantity("EnergyRate", "PowerUnit", V3),
    Quantity("Force", "ForceUnit", V2),
    Quantity("Frequency", "FrequencyUnit", V2),
    Quantity("Humidity", "DensityUnit", V2),
    Quantity("Illuminance", "IlluminanceUnit", V2),
    Quantity("Inductance", "InductanceUnit", V2),
    Quantity("IonizingRadiationDose", "IonizingRadiationDoseUnit", V3),
    Quantity("Irradiance", "IrradianceUnit", V3),
    Quantity("Latitude", "AngleUnit", V2),
    Quantity("Length", "LengthUnit", V2),
    Quantity("Longitude", "AngleUnit", V2),
    Quantity("Luminance", "LuminanceUnit", V2),
    Quantity("Luminosity", "PowerUnit", V2),
    Quantity("LuminousFlux", "LuminousFluxUnit", V2),
    Quantity("LuminousIntensity", "LuminousIntensityUnit", V2),
    Quantity("MagneticFlux", "MagneticFluxUnit", V2),
    Quantity("MagneticInduction", "MagneticInductionUnit", V2),
    Quantity("Mass", "MassUnit", V2),
    Quantity("MassFlowRate", "MassFlowRateUnit", V2),
    Quantity("Power", "PowerUnit", V2),
    Quantity("Pressure", "PressureUnit", V2),
    Quantity("Radioactivity", "RadioactivityUnit", V3),
    Quantity("ReactiveEnergy", "ReactiveEnergyUnit", V3),
    Quantity("ReactivePower", "ReactivePowerUnit", V3),
    Quantity("RelativeDensity", "Unitless", V3),
    Quantity("RelativeHumidity", "Unitless", V2),
    Quantity("Resistance", "ResistanceUnit", V2),
    Quantity("SoundPressure", "SoundPressureUnit", V2),
    Quantity("Temperature", "TemperatureUnit", V2),
    Quantity("Thrust", "ForceUnit", V2),
    Quantity("TimeSpan", "TimeUnit", V2),
    Quantity("Torque", "TorqueUnit", V2),
    Quantity("Velocity", "VelocityUnit", V2),
    Quantity("Voltage", "VoltageUnit", V2),
    Quantity("Volume", "VolumeUnit", V2),
    Quantity("VolumeFlowRate", "VolumeFlowRateUnit", V2),
];

const UNITS: &[(&str, &[Unit])] = &[
    (
        "AccelerationUnit",
        &[
            Unit("centimetrePerSecondSquared", "cm/s²", V2),
            Unit("gForce", "g", V2),
            Unit("metrePerSecondSquared", "m/s²", V2),
        ],
    ),
    (
        "AngleUnit",
        &[
            Unit("degreeOfArc", "°", V2),
            Unit("minuteOfArc", "′", V2),
            Unit("radian", "rad", V2),
            Unit("secondOfArc", "″", V2),
            Unit("turn", "turn", V2),
        ],
    ),
    ("AngularAccelerationUnit", &[Unit("radianPerSecondSquared", "rad/s²", V2)]),
    (
        "AngularVelocityUnit",
        &[
            Unit("degreePerSecond", "°/s", V2),
            Unit("radianPerSecond", "rad/s", V2),
            Unit("revolutionPerMinute", "rpm", V2),
            Unit("revolutionPerSecond", "rps", V2),
        ],
    ),
    (
        "ApparentEnergyUnit",
        &[
            Unit("gigavoltAmpereHour", "GVAh", V3),
            Unit("kilovoltAmpereHour", "kVAh", V3),
            Unit("megavoltAmpereHour", "MVAh", V3),
            Unit("voltAmpereHour", "VAh", V3),
        ],
    ),
    (
        "ApparentPowerUnit",
        &[
            Unit("gigavoltAmpere", "GVA", V3),
            Unit("kilovoltAmpere", "kVA", V3),
            Unit("megavoltAmpere", "MVA", V3),
            Unit("millivoltAmpere", "mVA", V3),
            Unit("voltAmpere", "VA", V3),
        ],
    ),
    (
        "AreaUnit",
        &[
            Unit("acre", "ac", V2),
            Unit("hectare", "ha", V2),
            Unit("squareCentimetre", "cm²", V2),
            Unit("squareFoot", "ft²", V2),
            Unit("squareInch", "in²", V2),
            Unit("squareKilometre", "km²", V2),
            Unit("squareMetre", "m²", V2),
            Unit("squareMillimetre", "mm²", V2),
        ],
    ),
    (
        "CapacitanceUnit",
        &[
            Unit("farad", "F", V2),
            Unit("microfarad", "µF", V2),
            Unit("millifarad", "mF", V2),
            Unit("nanofarad", "nF", V2),
            Unit("picofarad", "pF", V2),
        ],
    ),
    ("ChargeUnit", &[Unit("ampereHour", "Ah", V3), Unit("coulomb", "C", V2), Unit("milliampereHour", "mAh", V3)]),
    (
        "CurrentUnit",
        &[
            Unit("ampere", "A", V2),
            Unit("kiloampere", "kA", V3),
            Unit("microampere", "µA", V2),
            Unit("milliampere", "mA", V2),
        ],
    ),
    (
        "DataRateUnit",
        &[
            Unit("bitPerSecond", "bit/s", V2),
            Unit("bytePerSecond", "B/s", V2),
            Unit("exbibitPerSecond", "Eibit/s", V2),
            Unit("exbibytePerSecond", "EiB/s", V2),
            Unit("gibibitPerSecond", "Gibit/s", V2),
            Unit("gibibytePerSecond", "GiB/s", V2),
            Unit("kibibitPerSecond", "Kibit/s", V2),
            Unit("kibibytePerSecond", "KiB/s", V2),
            Unit("mebibitPerSecond", "Mibit/s", V2),
            Unit("mebibytePerSecond", "MiB/s", V2),
            Unit("tebibitPerSecond", "Tibit/s", V2),
            Unit("tebibytePerSecond", "TiB/s", V2),
            Unit("yobibitPerSecond", "Yibit/s", V2),
            Unit("yobibytePerSecond", "YiB/s", V2),
            Unit("zebibitPerSecond", "Zibit/s", V2),
            Unit("zebibytePerSecond", "ZiB/s", V2),
        ],
    ),
    (
        "DataSizeUnit",
        &[
            Unit("bit", "bit", V2),
            Unit("byte", "B", V2),
            Unit("exbibit", "Eibit", V2),
            Unit("exbibyte", "EiB", V2),
            Unit("gibibit", "Gibit", V2),
            Unit("gibibyte", "GiB", V2),
            Unit("kibibit", "Kibit", V2),
            Unit("kibibyte", "KiB", V2),
            Unit("mebibit", "Mibit", V2),
            Unit("mebibyte", "MiB", V2),
            Unit("tebibit", "Tibit", V2),
            Unit("tebibyte", "TiB", V2),
            Unit("yobibit", "Yibit", V2),
            Unit("yobibyte", "YiB", V2),
            Unit("zebibit", "Zibit", V2),
            Unit("zebibyte", "ZiB", V2),
        ],
    ),
    (
        "DensityUnit",
        &[
            Unit("gramPerCubicMetre", "g/m³", V2),
            Unit("kilogramPerCubicMetre", "kg/m³", V2),
            Unit("microgramPerCubicMetre", "µg/m³", V3),
            Unit("milligramPerCubicMetre", "mg/m³", V3),
        ],
    ),
    (
        "EnergyUnit",
        &[
            Unit("britishThermalUnit", "BTU", V3),
            Unit("electronvolt", "eV", V2),
            Unit("gigajoule", "GJ", V2),
            Unit("gigawattHour", "GWh", V3),
            Unit("joule", "J", V2),
            Unit("kiloBritishThermalUnit", "kBTU", V3),
            Unit("kilojoule", "kJ", V2),
            Unit("kilowattHour", "kWh", V2),
            Unit("megaelectronvolt", "MeV", V2),
            Unit("megajoule", "MJ", V2),
            Unit("megawattHour", "MWh", V3),
            Unit("milliwattHour", "mWh", V3),
            Unit("terawattHour", "TWh", V3),
            Unit("wattHour", "Wh", V3),
        ],
    ),
    (
        "ForceUnit",
        &[Unit("newton", "N", V2), Unit("ounce", "ozf", V2), Unit("pound", "lbf", V2), Unit("ton", "tonf", V2)],
    ),
    (
        "FrequencyUnit",
        &[
            Unit("gigahertz", "GHz", V2),
            Unit("hertz", "Hz", V2),
            Unit("kilohertz", "kHz", V2),
            Unit("megahertz", "MHz", V2),
            Unit("millihertz", "mHz", V3),
        ],
    ),
    ("IlluminanceUnit", &[Unit("footcandle", "fc", V2), Unit("lux", "lx", V2)]),
    ("InductanceUnit", &[Unit("henry", "H", V2), Unit("microhenry", "µH", V2), Unit("millihenry", "mH", V2)]),
    (
        "IonizingRadiationDoseUnit",
        &[
            Unit("gray", "Gy", V3),
            Unit("microgray", "µGy", V3),
            Unit("microsievert", "µSv", V3),
            Unit("milligray", "mGy", V3),
            Unit("millisievert", "mSv", V3),
            Unit("sievert", "Sv", V3),
        ],
    ),
    ("IrradianceUnit", &[Unit("wattPerSquareMetre", "W/m²", V3)]),
    (
        "LengthUnit",
        &[
            Unit("astronomicalUnit", "au", V2),
            Unit("centimetre", "cm", V2),
            Unit("foot", "ft", V2),
            Unit("inch", "in", V2),
            Unit("kilometre", "km", V2),
            Unit("metre", "m", V2),
            Unit("micrometre", "µm", V2),
            Unit("mile", "mi", V2),
            Unit("millimetre", "mm", V2),
            Unit("nanometre", "nm", V2),
            Unit("nauticalMile", "nmi", V2),
        ],
    ),
    ("LuminanceUnit", &[Unit("candelaPerSquareMetre", "cd/m²", V2)]),
    ("LuminousFluxUnit", &[Unit("lumen", "lm", V2)]),
    ("LuminousIntensityUnit", &[Unit("candela", "cd", V2)]),
    ("MagneticFluxUnit", &[Unit("maxwell", "Mx", V2), Unit("weber", "Wb", V2)]),
    ("MagneticInductionUnit", &[Unit("gauss", "G", V3), Unit("tesla", "T", V2)]),
    (
        "MassFlowRateUnit",
        &[
            Unit("gramPerHour", "g/h", V2),
            Unit("gramPerSecond", "g/s", V2),
            Unit("kilogramPerHour", "kg/h", V2),
            Unit("kilogramPerSecond", "kg/s", V2),
            Unit("massPoundPerHour", "lb/h", V3),
        ],
    ),
    (
        "MassUnit",
        &[
            Unit("gram", "g", V2),
            Unit("kilogram", "kg", V2),
            Unit("massPound", "lb", V3),
            Unit("microgram", "µg", V2),
            Unit("milligram", "mg", V2),
            Unit("slug", "slug", V2),
            Unit("tonne", "t", V2),
        ],
    ),
    (
        "PowerUnit",
        &[
            Unit("britishThermalUnitPerHour", "BTU/h", V3),
            Unit("gigajoulePerHour", "GJ/h", V3),
            Unit("gigawatt", "GW", V2),
            Unit("horsepower", "hp", V2),
            Unit("joulePerHour", "J/h", V3),
            Unit("joulePerSecond", "J/s", V3),
            Unit("kiloBritishThermalUnitPerHour", "kBTU/h", V3),
            Unit("kilojoulePerHour", "kJ/h", V3),
            Unit("kilojoulePerSecond", "kJ/s", V3),
            Unit("kilowatt", "kW", V2),
            Unit("kilowattHourPerYear", "kWh/a", V2),
            Unit("megajoulePerHour", "MJ/h", V3),
            Unit("megawatt", "MW", V2),
            Unit("microwatt", "µW", V2),
            Unit("milliwatt", "mW", V2),
            Unit("tonOfRefrigeration", "TR", V3),
            Unit("watt", "W", V2),
        ],
    ),
    (
        "PressureUnit",
        &[
            Unit("bar", "bar", V2),
            Unit("decapascal", "daPa", V3),
            Unit("hectopascal", "hPa", V3),
            Unit("inchesOfMercury", "inHg", V2),
            Unit("inchesOfWater", "inH₂O", V2),
            Unit("kilopascal", "kPa", V2),
            Unit("millibar", "mbar", V2),
            Unit("millimetresOfMercury", "mmHg", V2),
            Unit("pascal", "Pa", V2),
            Unit("poundPerSquareInch", "psi", V2),
        ],
    ),
    (
        "RadioactivityUnit",
        &[
            Unit("becquerel", "Bq", V3),
            Unit("gigabecquerel", "GBq", V3),
            Unit("kilobecquerel", "kBq", V3),
            Unit("megabecquerel", "MBq", V3),
        ],
    ),
    (
        "ReactiveEnergyUnit",
        &[
            Unit("gigavoltAmpereReactiveHour", "Gvarh", V3),
            Unit("kilovoltAmpereReactiveHour", "kvarh", V3),
            Unit("megavoltAmpereReactiveHour", "Mvarh", V3),
            Unit("voltAmpereReactiveHour", "varh", V3),
        ],
    ),
    (
        "ReactivePowerUnit",
        &[
            Unit("gigavoltAmpereReactive", "Gvar", V3),
            Unit("kilovoltAmpereReactive", "kvar", V3),
            Unit("megavoltAmpereReactive", "Mvar", V3),
            Unit("millivoltAmpereReactive", "mvar", V3),
            Unit("voltAmpereReactive", "var", V3),
        ],
    ),
    (
        "ResistanceUnit",
        &[Unit("kiloohm", "kΩ", V2), Unit("megaohm", "MΩ", V2), Unit("milliohm", "mΩ", V2), Unit("ohm", "Ω", V2)],
    ),
    ("SoundPressureUnit", &[Unit("bel", "B", V2), Unit("decibel", "dB", V2)]),
    (
        "TemperatureUnit",
        &[Unit("degreeCelsius", "°C", V2), Unit("degreeFahrenheit", "°F", V2), Unit("kelvin", "K", V2)],
    ),
    (
        "TimeUnit",
        &[
            Unit("day", "d", V2),
            Unit("hour", "h", V2),
            Unit("microsecond", "µs", V2),
            Unit("millisecond", "ms", V2),
            Unit("minute", "min", V2),
            Unit("nanosecond", "ns", V2),
            Unit("second", "s", V2),
            Unit("year", "a", V2),
        ],
    ),
    ("TorqueUnit", &[Unit("newtonMetre", "N·m", V2)]),
    (
        "Unitless",
        &[
            Unit("partsPerBillion", "ppb", V3),
            Unit("partsPerMillion", "ppm", V3),
            Unit("partsPerQuadrillion", "ppq", V3),
            Unit("partsPerTrillion", "ppt", V3),
            Unit("percent", "%", V2),
            Unit("unity", "", V2),
        ],
    ),
    (
        "VelocityUnit",
        &[
            Unit("centimetrePerSecond", "cm/s", V2),
            Unit("kilometrePerHour", "km/h", V2),
            Unit("kilometrePerSecond", "km/s", V2),
            Unit("knot", "kn", V2),
            Unit("metrePerHour", "m/h", V2),
            Unit("metrePerSecond", "m/s", V2),
            Unit("milePerHour", "mph", V2),
            Unit("milePerSecond", "mi/s", V2),
        ],
    ),
    (
        "VoltageUnit",
        &[
            Unit("kilovolt", "kV", V2),
            Unit("megavolt", "MV", V2),
            Unit("microvolt", "µV", V2),
            Unit("millivolt", "mV", V2),
            Unit("volt", "V", V2),
        ],
    ),
    (
        "VolumeFlowRateUnit",
        &[
            Unit("cubicFootPerMinute", "ft³/min", V3),
            Unit("cubicMetrePerHour", "m³/h", V3),
            Unit("cubicMetrePerMinute", "m³/min", V3),
            Unit("cubicMetrePerSecond", "m³/s", V3),
            Unit("gallonPerHour", "gal/h", V3),
            Unit("gallonPerMinute", "gal/min", V3),
            Unit("litrePerHour", "l/h", V2),
            Unit("litrePerMinute", "l/min", V3),
            Unit("litrePerSecond", "l/s", V2),
            Unit("millilitrePerHour", "ml/h", V2),
            Unit("millilitrePerMinute", "ml/min", V3),
            Unit("millilitrePerSecond", "ml/s", V2),
        ],
    ),
    (
        "VolumeUnit",
        &[
            Unit("cubicCentimetre", "cm³", V2),
            Unit("cubicFoot", "ft³", V2),
            Unit("cubicInch", "in³", V2),
            Unit("cubicMetre", "m³", V2),
            Unit("fluidOunce", "fl oz", V2),
            Unit("gallon", "gal", V2),
            Unit("litre", "l", V2),
            Unit("millilitre", "ml", V2),
        ],
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_found_by_what_they_measure() {
        assert_eq!(symbol("degreeCelsius"), Some("°C"));
        assert_eq!(symbol("unity"), Some(""));
        assert_eq!(symbol("furlong"), None);
        assert_eq!(unit_type("Distance", V2), Some("LengthUnit"));
        assert_eq!((unit_type("Irradiance", V2), unit_type("Irradiance", V3)), (None, Some("IrradianceUnit")));
        assert!(units("TemperatureUnit", V2).eq(["degreeCelsius", "degreeFahrenheit", "kelvin"]));
        for quantity in QUANTITIES {
            assert!(is_unit_type(quantity.1), "{}", quantity.0);
            assert!(units(quantity.1, quantity.2).next().is_some(), "{}", quantity.0);
        }
    }
}
