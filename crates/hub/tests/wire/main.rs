//! The hub over real sockets: an in-process engine on SQLite and the embedded bus, whose consumer is the test.

#![expect(clippy::expect_used, reason = "a test stops where something is not as it says")]

mod c2d;
mod client;
mod connecting;
mod hostile;
mod messages;
mod methods;
mod modules;
mod provisioning;
mod stopping;
mod subscriptions;
mod support;
mod throttling;
mod tls;
mod twin;
mod version5;
mod websocket;
