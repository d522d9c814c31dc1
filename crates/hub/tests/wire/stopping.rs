//! What happens to connections when the hub stops.

use crate::{client::Client, support::TestHub};
use muster_hub::HubConfig;
use std::time::Duration;

const EVENTS: &str = "devices/d-1/messages/events/";

#[tokio::test]
async fn a_stopping_hub_waits_for_acknowledgements() {
    let mut hub = TestHub::start_held_back().await;
    let login = hub.device("d-1").await;
    let (mut client, _) = Client::accepted(hub.address, login.connect()).await;
    let idle = hub.device("d-2").await;
    let (mut idle, _) = Client::accepted(hub.address, idle.connect()).await;
    client.publish(EVENTS, "x", 1).await;
    client.ping().await;
    let stopping = hub.stop();
    idle.closed().await;
    let mut bus = hub.consume().await;
    client.acked(1).await;
    client.closed().await;
    assert_eq!(bus.message().await.payload, "x");
    stopping.await;
    assert!(tokio::net::TcpStream::connect(hub.address).await.is_err());
}

#[tokio::test]
async fn a_stopping_hub_does_not_wait_for_ever() {
    let config = HubConfig { drain_timeout: Duration::from_millis(100), ..HubConfig::default() };
    let mut hub = TestHub::start_held_back_with(config).await;
    let login = hub.device("d-1").await;
    let (mut client, _) = Client::accepted(hub.address, login.connect()).await;
    client.publish(EVENTS, "x", 1).await;
    client.ping().await;
    hub.stop().await;
    client.closed().await;
}
