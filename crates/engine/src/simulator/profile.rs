//! What the demonstration's devices send: a machine in a factory, an asset in a hospital, a room of an office.

use super::signal::{Seed, daylight, hour, rounded};
use muster_model::TemplateId;
use serde_json::{Map, Value, json};

/// The message of a device at a time, in milliseconds since 1970.
pub(super) type Sample = fn(Seed, i64) -> Map<String, Value>;

/// What the devices of the demonstration's template send; nothing for other templates.
pub(super) fn of(template: &TemplateId) -> Option<Sample> {
    match template.as_str() {
        "dtmi:muster:demo:machine;1" => Some(machine),
        "dtmi:muster:demo:asset;1" => Some(asset),
        "dtmi:muster:demo:room;1" => Some(room),
        _ => None,
    }
}

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 3_600_000;

/// Places on the hospital's campus that assets are carried between.
const PLACES: [(f64, f64); 6] = [
    (52.52640, 13.37620),
    (52.52570, 13.37810),
    (52.52480, 13.37700),
    (52.52515, 13.37935),
    (52.52690, 13.37890),
    (52.52555, 13.37560),
];

/// The message of a manufacturing machine.
fn machine(seed: Seed, at_ms: i64) -> Map<String, Value> {
    let fault = seed.fault(at_ms);
    let load = machine_load(seed, at_ms);
    let noise = |name: &str, period| seed.channel(name).noise(at_ms, period);
    let warm_up = 0.5 * (machine_load(seed, at_ms - 20 * MINUTE_MS) + load);
    let temperature = 31.0 + 31.0 * warm_up + 3.5 * noise("temperature", 11 * MINUTE_MS) + 32.0 * fault * load;
    let vibration = 0.4 + 1.9 * load + 0.4 * noise("vibration", MINUTE_MS / 2) * load + 7.0 * fault * load;
    let speed = 1_450.0 * load + 40.0 * noise("speed", 2 * MINUTE_MS) * load - 300.0 * fault * load;
    let power = 0.9 + 10.8 * load + 1.1 * noise("power", 4 * MINUTE_MS) * load + 3.0 * fault * load;
    let state = match (load > 0.2, fault > 0.5) {
        (true, true) => "fault",
        (true, false) => "running",
        (false, _) => "idle",
    };
    object(json!({
        "motorTemperature": rounded(temperature, 1),
        "vibration": rounded(vibration.max(0.0), 2),
        "spindleSpeed": rounded(speed.max(0.0), 0),
        "powerConsumption": rounded(power.max(0.0), 2),
        "partsProduced": parts_produced(seed, at_ms),
        "state": state,
    }))
}

/// 1 while it works, with pauses; one machine of three stands still at night.
fn machine_load(seed: Seed, at_ms: i64) -> f64 {
    let one_shift = seed.channel("shift").chance(0) < 1.0 / 3.0;
    if one_shift && !(6.0..22.0).contains(&hour(at_ms)) {
        return 0.0;
    }
    let pause = seed.channel("pause").noise(at_ms, 45 * MINUTE_MS);
    (0.9 + 0.6 * pause).clamp(0.35, 1.0)
}

/// Parts since midnight: one in 38 to 52 seconds.
fn parts_produced(seed: Seed, at_ms: i64) -> i64 {
    let seconds_each = 38 + (14.0 * seed.channel("parts").chance(0)) as i64;
    let from = if seed.channel("shift").chance(0) < 1.0 / 3.0 { 6 * HOUR_MS } else { 0 };
    let until = if from > 0 { 22 * HOUR_MS } else { 24 * HOUR_MS };
    let worked_ms = (at_ms.rem_euclid(24 * HOUR_MS)).clamp(from, until) - from;
    worked_ms / 1_000 / seconds_each
}

/// The message of an asset that is carried about a hospital.
fn asset(seed: Seed, at_ms: i64) -> Map<String, Value> {
    let (lat, lon) = position(seed, at_ms);
    let signal = -67.0 + 9.0 * seed.channel("signal").noise(at_ms, 7 * MINUTE_MS);
    let temperature = 21.5 + 1.2 * daylight(at_ms) + 0.6 * seed.channel("temperature").noise(at_ms, 25 * MINUTE_MS);
    object(json!({
        "location": { "lat": rounded(lat, 6), "lon": rounded(lon, 6), "alt": 34.0 },
        "batteryLevel": rounded(battery(seed, at_ms), 1),
        "signalStrength": rounded(signal, 0),
        "temperature": rounded(temperature, 1),
        "inUse": in_use(seed, at_ms),
    }))
}

/// It stays at a place for 25 minutes and is on its way in the last five of them.
fn position(seed: Seed, at_ms: i64) -> (f64, f64) {
    const STAY_MS: i64 = 25 * MINUTE_MS;
    const WAY_MS: f64 = 5.0 * MINUTE_MS as f64;
    let places = seed.channel("place");
    let place = |slot: i64| PLACES[((places.chance(slot) * PLACES.len() as f64) as usize).min(PLACES.len() - 1)];
    let slot = at_ms.div_euclid(STAY_MS);
    let left_ms = (STAY_MS - at_ms.rem_euclid(STAY_MS)) as f64;
    let way = 1.0 - (left_ms / WAY_MS).min(1.0);
    let ((from_lat, from_lon), (to_lat, to_lon)) = (place(slot), place(slot + 1));
    let jitter = |name: &str| 0.00004 * seed.channel(name).noise(at_ms, MINUTE_MS);
    (from_lat + (to_lat - from_lat) * way + jitter("lat"), from_lon + (to_lon - from_lon) * way + jitter("lon"))
}

/// 100 % down to 12 % in 30 hours, then two hours on the charger.
fn battery(seed: Seed, at_ms: i64) -> f64 {
    const USE_MS: f64 = 30.0 * HOUR_MS as f64;
    const CHARGE_MS: f64 = 2.0 * HOUR_MS as f64;
    let phase = seed.channel("battery").chance(0) * (USE_MS + CHARGE_MS);
    let at = (at_ms as f64 + phase).rem_euclid(USE_MS + CHARGE_MS);
    if at < USE_MS { 100.0 - 88.0 * at / USE_MS } else { 12.0 + 88.0 * (at - USE_MS) / CHARGE_MS }
}

fn in_use(seed: Seed, at_ms: i64) -> bool {
    let likely = 0.45 + 0.3 * daylight(at_ms);
    seed.channel("use").chance(at_ms.div_euclid(40 * MINUTE_MS)) < likely
}

/// The message of a room of an office.
fn room(seed: Seed, at_ms: i64) -> Map<String, Value> {
    let people = occupancy(seed, at_ms);
    // The air remembers the last 40 minutes.
    let breathed = (0..5).map(|step| occupancy(seed, at_ms - step * 8 * MINUTE_MS) as f64).sum::<f64>() / 5.0;
    let fault = seed.fault(at_ms);
    let noise = |name: &str, period| seed.channel(name).noise(at_ms, period);
    let co2 = 425.0 + 52.0 * breathed + 14.0 * noise("co2", 3 * MINUTE_MS) + 820.0 * fault;
    let temperature =
        20.8 + 1.1 * daylight(at_ms) + 0.12 * breathed + 0.3 * noise("temperature", 15 * MINUTE_MS) + 6.2 * fault;
    let humidity = 43.0 + 5.0 * noise("humidity", 50 * MINUTE_MS) + 0.5 * breathed;
    let light =
        if people > 0 { 410.0 } else { 0.0 } + 260.0 * daylight(at_ms).max(0.0) + 8.0 * noise("light", MINUTE_MS);
    object(json!({
        "temperature": rounded(temperature, 1),
        "humidity": rounded(humidity, 1),
        "co2": rounded(co2, 0),
        "occupancy": people,
        "illuminance": rounded(light.max(0.0), 0),
    }))
}

/// Meetings of 30 minutes in working hours.
fn occupancy(seed: Seed, at_ms: i64) -> i64 {
    let meetings = seed.channel("meeting");
    let slot = at_ms.div_euclid(30 * MINUTE_MS);
    let busy = if (7.0..19.0).contains(&hour(at_ms)) { 0.65 } else { 0.06 };
    if meetings.chance(slot) < busy { 1 + (7.0 * meetings.channel("people").chance(slot)) as i64 } else { 0 }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: i64 = 1_795_000_000_000;

    fn series(sample: fn(Seed, i64) -> Map<String, Value>, key: &str) -> Vec<f64> {
        let day = (0..24 * 60 * 3).map(|minute| START + minute * MINUTE_MS);
        ["a", "b", "c", "d"]
            .iter()
            .flat_map(|name| day.clone().map(|at| sample(Seed::of(name), at)[key].as_f64().expect(key)))
            .collect()
    }

    #[test]
    fn the_rules_of_the_demonstration_fire_but_not_all_the_time() {
        type Case = (&'static str, Vec<f64>, fn(f64) -> bool);
        let cases: [Case; 5] = [
            ("motorTemperature", series(machine, "motorTemperature"), |value| value > 80.0),
            ("vibration", series(machine, "vibration"), |value| value > 7.1),
            ("batteryLevel", series(asset, "batteryLevel"), |value| value < 20.0),
            ("co2", series(room, "co2"), |value| value > 1_000.0),
            ("temperature", series(room, "temperature"), |value| value > 26.0),
        ];
        for (name, values, fires) in cases {
            let share = values.iter().filter(|value| fires(**value)).count() as f64 / values.len() as f64;
            assert!((0.001..0.2).contains(&share), "{name}: {share}");
        }
    }

    #[test]
    fn values_stay_believable() {
        for (values, range) in [
            (series(machine, "motorTemperature"), 20.0..110.0),
            (series(machine, "spindleSpeed"), 0.0..1_600.0),
            (series(asset, "batteryLevel"), 10.0..100.1),
            (series(room, "humidity"), 30.0..60.0),
            (series(room, "occupancy"), 0.0..9.0),
        ] {
            assert!(values.iter().all(|value| range.contains(value)), "{range:?}");
        }
    }
}
