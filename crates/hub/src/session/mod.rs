//! One MQTT connection, from its first byte to its end (`iot-hub-wire.md` §1, §2, §3).

mod connect;
mod device;
mod end;
mod packets;
mod provisioning;
mod requests;
mod subscriptions;
mod uplink;
mod version5;
mod will;
mod wire;

use crate::{Hub, metering, tls::Peer};
use connect::Accepted;
use end::End;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use wire::Wire;

/// Serves a connection until it ends.
pub(crate) async fn serve<S>(hub: Arc<Hub>, io: S, peer: Peer)
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let mut wire = Wire::new(io);
    let address = peer.address;
    let end = match hub.stop.run_until_cancelled(Box::pin(connect::accept(&hub, &mut wire, peer))).await {
        None => End::Stopping,
        Some(Err(end)) => end,
        Some(Ok(Accepted::Device(login))) => device::serve(&hub, &mut wire, *login).await,
        Some(Ok(Accepted::Provisioning(login))) => {
            let served = Box::pin(provisioning::serve(&hub, &mut wire, *login));
            hub.stop.run_until_cancelled(served).await.unwrap_or(End::Stopping)
        }
    };
    metering::count_end(end.label());
    tracing::debug!(peer = %address, reason = %end, "connection ended");
    wire.say_goodbye(&end).await;
    wire.shutdown().await;
}
