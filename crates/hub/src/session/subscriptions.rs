//! What a device is subscribed to. It outlives the connection: SDKs do not subscribe again (`iot-hub-wire.md` §0.1).

use muster_engine::{
    Engine, EngineError,
    hub_auth::{self, DeviceSession, Subscribed},
};
use muster_model::{DeviceId, ModuleId, wire::topic::Subscription};
use rmqtt_codec::{types::QoS, v3::SubscribeReturnCode};

/// Filters that a device may hold.
const MAX_SUBSCRIPTIONS: usize = 5;

/// How long subscriptions are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Durability {
    /// With the connection (CleanSession 1).
    Connection,
    /// With the device (CleanSession 0): through reconnects, takeovers and restarts.
    Device,
}

/// The filters of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Subscriptions {
    durability: Durability,
    /// Seconds after the connection's end until they are forgotten; none = for ever.
    expiry_seconds: Option<u32>,
    held: Vec<Held>,
}

/// A filter that is held.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Held {
    subscription: Subscription,
    filter: Box<str>,
    qos: QoS,
}

/// Before a kept filter whose messages the device does not acknowledge; no filter begins so.
const UNACKNOWLEDGED: &str = "0 ";

impl Subscriptions {
    /// What the device subscribed to earlier; a clean session forgets it.
    pub(super) async fn restore(
        engine: &Engine,
        session: &DeviceSession,
        durability: Durability,
    ) -> Result<Self, EngineError> {
        let Subscribed { filters, expiry_seconds } = hub_auth::subscriptions(engine, session).await?;
        let mut subscriptions = Self { durability, expiry_seconds, held: Vec::new() };
        match durability {
            Durability::Device => {
                for kept in filters {
                    let (filter, qos) = match kept.strip_prefix(UNACKNOWLEDGED) {
                        Some(filter) => (filter, QoS::AtMostOnce),
                        None => (kept.as_str(), QoS::AtLeastOnce),
                    };
                    subscriptions.subscribe(filter, qos, &session.device_id, session.module.as_ref());
                }
            }
            Durability::Connection if filters.is_empty() => {}
            Durability::Connection => hub_auth::save_subscriptions(engine, session, &Subscribed::default()).await?,
        }
        Ok(subscriptions)
    }

    /// Keeps them so long after the connection's end from now on; 0 forgets them with it.
    pub(super) async fn keep_for(
        &mut self,
        engine: &Engine,
        session: &DeviceSession,
        expiry_seconds: Option<u32>,
    ) -> Result<(), EngineError> {
        if self.durability == Durability::Connection || self.expiry_seconds == expiry_seconds {
            return Ok(());
        }
        self.expiry_seconds = expiry_seconds;
        if expiry_seconds == Some(0) {
            self.held.clear();
        }
        self.save(engine, session).await
    }

    /// Keeps them for the next connection.
    pub(super) async fn save(&self, engine: &Engine, session: &DeviceSession) -> Result<(), EngineError> {
        match self.durability {
            Durability::Connection => Ok(()),
            Durability::Device => {
                let filters = self.held.iter().map(Held::kept).collect();
                let subscribed = Subscribed { filters, expiry_seconds: self.expiry_seconds };
                hub_auth::save_subscriptions(engine, session, &subscribed).await
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    pub(super) fn contains(&self, subscription: Subscription) -> bool {
        self.qos(subscription).is_some()
    }

    /// How messages of this kind are sent, where the device listens to them.
    pub(super) fn qos(&self, subscription: Subscription) -> Option<QoS> {
        let of_kind = self.held.iter().filter(|held| held.subscription == subscription);
        of_kind.map(|held| held.qos).max_by_key(|qos| qos.value())
    }

    /// Adds a filter and says what its SUBACK says.
    pub(super) fn subscribe(
        &mut self,
        filter: &str,
        qos: QoS,
        device: &DeviceId,
        module: Option<&ModuleId>,
    ) -> SubscribeReturnCode {
        let Ok(subscription) = Subscription::parse(filter, device, module) else {
            return SubscribeReturnCode::Failure;
        };
        let qos = qos.less_value(QoS::AtLeastOnce);
        let full = self.held.len() == MAX_SUBSCRIPTIONS;
        match self.held.iter_mut().find(|held| *held.filter == *filter) {
            Some(held) => held.qos = qos,
            None if full => return SubscribeReturnCode::Failure,
            None => self.held.push(Held { subscription, filter: filter.into(), qos }),
        }
        SubscribeReturnCode::Success(qos)
    }

    /// Takes a filter away.
    pub(super) fn unsubscribe(&mut self, filter: &str) {
        self.held.retain(|held| *held.filter != *filter);
    }
}

impl Held {
    /// As it is kept for the next connection.
    fn kept(&self) -> String {
        // All else is sent with QoS 0 anyway.
        let matters = matches!(self.subscription, Subscription::CloudToDevice | Subscription::ModuleInputs);
        match self.qos {
            QoS::AtMostOnce if matters => format!("{UNACKNOWLEDGED}{}", self.filter),
            _ => self.filter.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_filters_are_granted_up_to_the_limit() {
        let device = DeviceId::parse("d").expect("a device id");
        let mut subscriptions =
            Subscriptions { durability: Durability::Device, expiry_seconds: None, held: Vec::new() };
        let mut subscribe = |filter: &str, qos| subscriptions.subscribe(filter, qos, &device, None);
        for (filter, qos, granted) in [
            ("$iothub/twin/res/#", QoS::AtMostOnce, SubscribeReturnCode::Success(QoS::AtMostOnce)),
            ("$iothub/methods/POST/#", QoS::ExactlyOnce, SubscribeReturnCode::Success(QoS::AtLeastOnce)),
            ("#", QoS::AtLeastOnce, SubscribeReturnCode::Failure),
            ("devices/e/messages/devicebound/#", QoS::AtLeastOnce, SubscribeReturnCode::Failure),
            ("devices/d/messages/devicebound/#", QoS::AtLeastOnce, SubscribeReturnCode::Success(QoS::AtLeastOnce)),
            ("devices/d/messages/devicebound", QoS::AtLeastOnce, SubscribeReturnCode::Success(QoS::AtLeastOnce)),
            ("$iothub/twin/PATCH/properties/desired/#", QoS::AtMostOnce, SubscribeReturnCode::Success(QoS::AtMostOnce)),
            ("devices/d/messages/devicebound/", QoS::AtLeastOnce, SubscribeReturnCode::Failure),
            ("$iothub/twin/res/#", QoS::AtLeastOnce, SubscribeReturnCode::Success(QoS::AtLeastOnce)),
        ] {
            assert_eq!(subscribe(filter, qos), granted, "{filter}");
        }
        assert!(subscriptions.contains(Subscription::TwinResponses));
        subscriptions.unsubscribe("$iothub/twin/res/#");
        assert!(!subscriptions.contains(Subscription::TwinResponses));
    }
}
