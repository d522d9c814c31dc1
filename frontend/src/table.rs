//! Sorting and filtering of lists that are shown as tables. Pure.

use muster_contract::device::Device;
use muster_model::device::DeviceStatus;
use std::cmp::Ordering;

/// A column of the device table by which it can be sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceColumn {
    /// The name.
    Name,
    /// The template's name.
    Template,
    /// The status.
    Status,
    /// When it was last heard of.
    LastSeen,
}

/// Which way a table is sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Smallest first.
    Up,
    /// Largest first.
    Down,
}

impl Direction {
    /// The other way.
    pub fn turned(self) -> Self {
        match self {
            Direction::Up => Direction::Down,
            Direction::Down => Direction::Up,
        }
    }

    /// As `aria-sort` says it.
    pub fn aria(self) -> &'static str {
        match self {
            Direction::Up => "ascending",
            Direction::Down => "descending",
        }
    }
}

/// Sorts devices; those that are equal stand by name. `template_name` gives the name that is shown.
pub fn sort_devices(
    devices: &mut [Device],
    column: DeviceColumn,
    direction: Direction,
    template_name: impl Fn(&Device) -> String,
) {
    let name = |device: &Device| device.display_name.to_lowercase();
    let rank = |device: &Device| match device.status {
        DeviceStatus::Blocked => 0,
        DeviceStatus::WaitingForApproval => 1,
        DeviceStatus::Registered => 2,
        DeviceStatus::Provisioned => 3,
    };
    devices.sort_by(|one, other| {
        let order = match column {
            DeviceColumn::Name => Ordering::Equal,
            DeviceColumn::Template => template_name(one).to_lowercase().cmp(&template_name(other).to_lowercase()),
            DeviceColumn::Status => rank(one).cmp(&rank(other)),
            // Never seen stands before long ago.
            DeviceColumn::LastSeen => one.last_seen.cmp(&other.last_seen),
        };
        let order = order.then_with(|| name(one).cmp(&name(other)));
        match direction {
            Direction::Up => order,
            Direction::Down => order.reverse(),
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn device(name: &str, status: &str, seen: Option<&str>) -> Device {
        serde_json::from_value(json!({
            "id": name, "etag": "1", "displayName": name, "enabled": true, "provisioned": true, "simulated": false,
            "status": status, "connectionState": "connected", "lastSeen": seen, "createdAt": "2026-01-01T00:00:00Z"
        }))
        .unwrap()
    }

    #[test]
    fn devices_are_sorted_by_each_column() {
        let devices = [
            device("b", "provisioned", None),
            device("A", "blocked", Some("2026-11-22T10:00:00Z")),
            device("c", "registered", Some("2026-11-21T10:00:00Z")),
        ];
        for (column, direction, expected) in [
            (DeviceColumn::Name, Direction::Up, ["A", "b", "c"]),
            (DeviceColumn::Name, Direction::Down, ["c", "b", "A"]),
            (DeviceColumn::Status, Direction::Up, ["A", "c", "b"]),
            (DeviceColumn::LastSeen, Direction::Down, ["A", "c", "b"]),
            (DeviceColumn::Template, Direction::Up, ["A", "b", "c"]),
        ] {
            let mut sorted = devices.to_vec();
            sort_devices(&mut sorted, column, direction, |_| String::new());
            let names: Vec<&str> = sorted.iter().map(|device| device.display_name.as_str()).collect();
            assert_eq!(names, expected, "{column:?} {direction:?}");
        }
    }
}
