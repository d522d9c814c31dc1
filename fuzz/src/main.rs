//! One program for all targets: `MUSTER_FUZZ` names the one to run. `cargo xtask fuzz NAME` builds and starts it.

#![no_main]

mod targets;

use libfuzzer_sys::fuzz_target;
use std::sync::OnceLock;

static TARGET: OnceLock<fn(&[u8])> = OnceLock::new();

fuzz_target!(
    init: {
        let name = std::env::var("MUSTER_FUZZ").unwrap_or_default();
        let Some((_, run)) = targets::TARGETS.iter().find(|(known, _)| *known == name) else {
            panic!("MUSTER_FUZZ names no target: '{name}'");
        };
        TARGET.get_or_init(|| *run);
    },
    |data: &[u8]| {
        if let Some(run) = TARGET.get() {
            run(data);
        }
    }
);
