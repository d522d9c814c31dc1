//! The simulator: devices that are no devices, for the first five minutes and for demonstrations.
//!
//! A simulated device takes the way of a real one from the hub on: a session that holds it (so only one instance plays
//! it, and it shows as connected), messages through the ingress, desired properties that it acknowledges.

mod fleet;
mod generic;
mod history;
mod profile;
mod signal;

use crate::{Engine, notices::NoticeKind};
use fleet::Fleet;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// How often devices are looked for that nobody plays; changes are heard of at once.
const LOOK_EVERY: Duration = Duration::from_secs(20);
/// How often it is looked whose message is due.
const TICK: Duration = Duration::from_millis(500);

/// Plays the simulated devices that no other instance plays, until `stop`.
pub async fn run(engine: Engine, stop: CancellationToken) {
    let Some(mut pushes) = engine.local_pushes().take_simulator() else { return };
    let mut listener = engine.notices().listen();
    let mut fleet = Fleet::new(engine, stop.clone());
    let (mut look, mut tick) = (interval(LOOK_EVERY), interval(TICK));
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            _ = look.tick() => fleet.look().await,
            _ = tick.tick() => fleet.play().await,
            Some(notice) = listener.next() => match notice.kind {
                NoticeKind::Device | NoticeKind::Tenant | NoticeKind::Template | NoticeKind::All => {
                    fleet.forget_templates(&notice);
                    // Many changes come together: they are looked at once, a little later.
                    look.reset_after(TICK);
                }
                _ => {}
            },
            Some(push) = pushes.recv() => fleet.receive(push).await,
        }
    }
    fleet.release_all().await;
}
