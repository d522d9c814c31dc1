//! The connection of a device or module after its CONNECT was accepted.

use super::{
    connect::{self, DeviceLogin},
    end::End,
    packets::Packets,
    requests::{Answer, Asker, Request, Requests},
    subscriptions::Subscriptions,
    uplink::{Unconfirmed, Uplink},
    will::Will,
    wire::Wire,
};
use crate::{
    Hub,
    calls::Calls,
    downlink::Downlink,
    limits::{Kind, Share},
    mailbox::{Close, Mail, Mailbox},
    telemetry, twin,
};
use bytes::Bytes;
use muster_engine::{
    c2d::Message,
    events::failures,
    hub_auth::{self, DeviceSession},
    methods,
};
use muster_model::{
    push::{MethodCall, MethodOutcome},
    wire::{
        sas,
        topic::{self, DeviceTopic, Subscription},
    },
};
use rmqtt_codec::{
    types::{Publish, QoS},
    v3::{ConnectAckReason, Packet},
};
use std::{convert::Infallible, pin::pin, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, sleep_until, timeout},
};

/// Time for the last messages of a connection that has ended to get into the ingress.
const FINISH_TIMEOUT: Duration = Duration::from_secs(10);

/// Serves the device until the connection ends, and says why it did.
pub(super) async fn serve<S>(hub: &Hub, wire: &mut Wire<S>, login: DeviceLogin) -> End
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let DeviceLogin { mut session, share, subscriptions, silence, will } = login;
    if let Err(refusal) = hub_auth::opened(&hub.engine, &mut session).await {
        return connect::refuse(wire, connect::turn_down(refusal)).await;
    }
    let mailbox = Arc::new(Mailbox::default());
    let session = Arc::new(session);
    let registered = hub.registry.enter(&session, mailbox.clone());
    let mut connection = Connection {
        hub,
        uplink: Uplink::new(hub.engine.ingress().clone(), session.partition, mailbox.clone()),
        requests: Requests::new(Asker { engine: hub.engine.clone(), session: session.clone(), share: share.clone() }),
        downlink: Downlink::new(hub.engine.clone(), session.clone()),
        sent: Packets::default(),
        expires: expiry(hub, &session),
        session,
        wire,
        mailbox,
        subscriptions,
        share,
        rests_until: None,
        calls: Calls::default(),
        silence,
        heard: Instant::now(),
        draining: false,
    };
    let end = connection.run().await;
    if let Some(code) = end.failure() {
        failures::note(&hub.engine, connection.session.tenant, &connection.session.device_id, code);
    }
    connection.finish(&end, will).await;
    drop(registered);
    hub_auth::closed(&hub.engine, &connection.session).await;
    end
}

struct Connection<'a, S> {
    hub: &'a Hub,
    wire: &'a mut Wire<S>,
    session: Arc<DeviceSession>,
    mailbox: Arc<Mailbox>,
    subscriptions: Subscriptions,
    share: Share,
    /// The device has sent too much: no more is read before.
    rests_until: Option<Instant>,
    uplink: Uplink,
    requests: Requests,
    calls: Calls,
    downlink: Downlink,
    /// Messages that the device has not acknowledged.
    sent: Packets,
    /// The device is gone when it says nothing for so long.
    silence: Duration,
    heard: Instant,
    expires: Option<Instant>,
    /// The hub stops: no more is read.
    draining: bool,
}

/// What a connection waits for.
enum Event {
    Mail(Mail),
    Read(Result<(), End>),
    Answer(Answer),
    Messages(Vec<Message>),
    Forwarded,
    Tick,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<'_, S> {
    async fn run(&mut self) -> End {
        match self.serve().await {
            Ok(never) => match never {},
            Err(end) => end,
        }
    }

    async fn serve(&mut self) -> Result<Infallible, End> {
        connect::acknowledge(self.wire, ConnectAckReason::ConnectionAccepted, !self.subscriptions.is_empty()).await?;
        // One timer for the whole connection: it is looked at when it fires, not moved with each packet.
        if self.subscriptions.contains(Subscription::CloudToDevice) {
            self.downlink.look();
        }
        let mut tick = pin!(sleep_until(self.deadline()));
        loop {
            let rested = self.rests_until;
            let heard_out = self.work()?;
            if self.rests_until != rested {
                tick.as_mut().reset(self.deadline());
            }
            self.wire.flush().await?;
            if self.draining && self.uplink.is_idle() && self.requests.is_idle() {
                return Err(End::Stopping);
            }
            let event = tokio::select! {
                biased;
                mail = self.mailbox.take() => Event::Mail(mail),
                answer = self.requests.next(&self.subscriptions) => Event::Answer(answer),
                messages = self.downlink.next(), if !self.draining => Event::Messages(messages),
                read = self.wire.fill(), if heard_out && !self.draining => Event::Read(read),
                forwarded = self.uplink.turn() => { forwarded?; Event::Forwarded }
                () = &mut tick => Event::Tick,
            };
            match event {
                Event::Mail(mail) => self.open(mail)?,
                Event::Answer(answer) => self.answer(answer)?,
                Event::Messages(messages) => self.put_messages(messages)?,
                Event::Read(read) => {
                    read?;
                    self.heard = Instant::now();
                }
                Event::Forwarded => {}
                Event::Tick => {
                    self.check_time(heard_out)?;
                    self.rests_until = self.rests_until.filter(|until| Instant::now() < *until);
                    tick.as_mut().reset(self.deadline());
                }
            }
        }
    }

    /// Handles what has arrived, as far as the bounds allow; says whether all of it was handled.
    fn work(&mut self) -> Result<bool, End> {
        let now_ms = self.hub.engine.clock().now_ms();
        loop {
            let heard_out = self.take_packets(now_ms)?;
            self.uplink.forward()?;
            self.put_acks()?;
            // Forwarding may have made room for more of what has arrived.
            if heard_out || self.draining || self.rests_until.is_some() || !self.uplink.has_room() {
                return Ok(heard_out);
            }
        }
    }

    fn take_packets(&mut self, now_ms: i64) -> Result<bool, End> {
        while !self.draining && self.rests_until.is_none() && self.uplink.has_room() {
            match self.wire.decode()? {
                Some(packet) => self.packet(packet, now_ms)?,
                None => return Ok(true),
            }
        }
        Ok(false)
    }

    fn packet(&mut self, packet: Packet, now_ms: i64) -> Result<(), End> {
        match packet {
            Packet::Publish(publish) => self.publish(*publish, now_ms),
            Packet::PingRequest => self.wire.put(Packet::PingResponse),
            Packet::Subscribe { packet_id, topic_filters } => {
                let filters = topic_filters.into_iter().map(|(filter, qos)| (filter.to_string(), qos)).collect();
                self.ask(Request::Subscribe { packet: packet_id, filters })
            }
            Packet::Unsubscribe { packet_id, topic_filters } => {
                let filters = topic_filters.into_iter().map(|filter| filter.to_string()).collect();
                self.ask(Request::Unsubscribe { packet: packet_id, filters })
            }
            Packet::Disconnect => Err(End::Goodbye),
            Packet::PublishAck { packet_id } => {
                if let Some(sequence) = self.sent.acknowledged(packet_id) {
                    self.downlink.delivered(sequence);
                }
                Ok(())
            }
            Packet::Connect(_) => Err(End::Forbidden("second CONNECT")),
            _ => Err(End::Forbidden("packet that devices do not send")),
        }
    }

    fn publish(&mut self, publish: Publish, now_ms: i64) -> Result<(), End> {
        let Publish { qos, retain, topic, packet_id, payload, .. } = publish;
        if qos == QoS::ExactlyOnce {
            return Err(End::Forbidden("QoS 2"));
        }
        match DeviceTopic::parse(&topic, &self.session.device_id, self.session.module.as_ref())? {
            DeviceTopic::Telemetry { mut bag, .. } => {
                if retain {
                    bag = telemetry::with_property(&bag, "mqtt-retain", "true");
                }
                if telemetry::too_large(&bag, &payload) {
                    return Err(End::Forbidden("message over the size limit"));
                }
                let now = Instant::now();
                let wait = self.share.take(Kind::Messages, 1, now).map_err(End::Throttled)?;
                if !wait.is_zero() {
                    self.rests_until = Some(now + wait);
                }
                self.hub.meters.received.increment(1);
                self.uplink.accept(telemetry::inbound(&self.session, bag, payload, now_ms), packet_id);
                Ok(())
            }
            DeviceTopic::TwinGet { rid } => {
                self.uplink.owe(packet_id);
                self.ask(Request::TwinGet { rid })
            }
            DeviceTopic::TwinReported { rid } => {
                self.uplink.owe(packet_id);
                self.ask(Request::TwinReported { rid, patch: payload })
            }
            DeviceTopic::MethodResponse { status, rid } => {
                self.uplink.owe(packet_id);
                // A late answer, and one that nobody asked for, is dropped.
                if let Some((call, outcome)) = self.calls.answered(&rid, status, &payload) {
                    self.outcome(&call, outcome);
                }
                Ok(())
            }
        }
    }

    fn ask(&mut self, request: Request) -> Result<(), End> {
        match self.requests.push(request) {
            Ok(()) => Ok(()),
            Err(answer) => self.answer(answer),
        }
    }

    fn answer(&mut self, answer: Answer) -> Result<(), End> {
        match answer {
            Answer::Twin { rid, answer } => {
                if self.subscriptions.contains(Subscription::TwinResponses) {
                    let topic = topic::twin_response(answer.status, &rid, answer.version);
                    self.wire.put_message(topic, answer.body)?;
                }
                Ok(())
            }
            Answer::Subscribed { packet, codes, now } => {
                self.subscriptions = now;
                if self.subscriptions.contains(Subscription::CloudToDevice) {
                    self.downlink.look();
                }
                self.wire.put(Packet::SubscribeAck { packet_id: packet, status: codes })
            }
            Answer::Unsubscribed { packet, now } => {
                self.subscriptions = now;
                self.wire.put(Packet::UnsubscribeAck { packet_id: packet })
            }
            Answer::End(end) => Err(end),
        }
    }

    fn open(&mut self, mail: Mail) -> Result<(), End> {
        let Mail { confirms, desired, calls, messages, close } = mail;
        if messages && self.subscriptions.contains(Subscription::CloudToDevice) {
            self.downlink.look();
        }
        let confirmed = self.uplink.confirm(confirms);
        for desired in desired {
            if self.subscriptions.contains(Subscription::DesiredProperties) {
                self.wire.put_message(topic::desired_topic(desired.version), twin::desired_body(desired))?;
            }
        }
        for call in calls {
            self.call(call)?;
        }
        match (confirmed, close) {
            (Err(Unconfirmed), _) => Err(End::Unconfirmed),
            (Ok(()), Some(Close::Stopping)) => {
                self.draining = true;
                self.uplink.abandon();
                Ok(())
            }
            (Ok(()), Some(close)) => Err(close.into()),
            (Ok(()), None) => Ok(()),
        }
    }

    /// Gives cloud-to-device messages to the device; with QoS 0 it has them as soon as they are written.
    fn put_messages(&mut self, messages: Vec<Message>) -> Result<(), End> {
        for Message { sequence, bag, payload, .. } in messages {
            let Some(qos) = self.subscriptions.qos(Subscription::CloudToDevice) else { continue };
            let topic = topic::devicebound(&self.session.device_id, &bag);
            match qos {
                QoS::AtMostOnce => {
                    self.wire.put_message(topic, payload.into())?;
                    self.downlink.delivered(sequence);
                }
                _ => {
                    let packet = self.sent.sent(sequence);
                    self.wire.put_tracked_message(topic, payload.into(), packet)?;
                }
            }
        }
        Ok(())
    }

    /// Gives a direct method to the device, if it listens to them.
    fn call(&mut self, call: MethodCall) -> Result<(), End> {
        if !self.subscriptions.contains(Subscription::Methods) {
            self.outcome(&call, MethodOutcome::Unreachable);
            return Ok(());
        }
        let (name, payload) = (call.name.clone(), Bytes::from(call.payload.clone()));
        match self.calls.open(call, self.hub.engine.clock().now_ms()) {
            Ok(rid) => self.wire.put_message(topic::method_topic(&name, &rid)?, payload),
            Err(call) => {
                self.outcome(&call, MethodOutcome::Unreachable);
                Ok(())
            }
        }
    }

    fn outcome(&self, call: &MethodCall, outcome: MethodOutcome) {
        methods::answer(&self.hub.engine, (self.session.tenant, self.session.device), call, outcome);
    }

    fn put_acks(&mut self) -> Result<(), End> {
        let mut count = 0;
        while let Some(packet) = self.uplink.next_due() {
            self.wire.put_ack(packet)?;
            count += 1;
        }
        if count > 0 {
            self.hub.meters.acknowledged.increment(count);
        }
        Ok(())
    }

    fn deadline(&self) -> Instant {
        let silent = self.heard + self.silence;
        [self.expires, self.rests_until].into_iter().flatten().fold(silent, Instant::min)
    }

    /// The timer has fired; while we do not read, silence is our own doing.
    fn check_time(&mut self, reading: bool) -> Result<(), End> {
        let now = Instant::now();
        if self.expires.is_some_and(|expires| now >= expires) {
            return Err(End::Expired);
        }
        if !reading || self.draining {
            self.heard = now;
        } else if now >= self.heard + self.silence {
            return Err(End::Silent);
        }
        Ok(())
    }

    /// What is still to be said when the connection has ended: what is owed, messages read before the end, the will.
    async fn finish(&mut self, end: &End, will: Option<Will>) {
        if matches!(end, End::Unconfirmed | End::Stopping | End::TakenOver | End::Service(_)) {
            // Acknowledgements of messages that are safe spare the device sending them again.
            let flushed = match self.put_acks() {
                Ok(()) => self.wire.flush().await,
                Err(end) => Err(end),
            };
            if let Err(end) = flushed {
                tracing::debug!(reason = %end, "last acknowledgements were not taken");
            }
        }
        if let Some(Will { bag, payload }) = will
            && !matches!(end, End::Goodbye | End::Stopping)
        {
            let now_ms = self.hub.engine.clock().now_ms();
            self.uplink.accept(telemetry::inbound(&self.session, bag, payload, now_ms), None);
        }
        // The client may have said with its goodbye that it wants to be kept for another time.
        let kept = self.subscriptions.keep_for(&self.hub.engine, &self.session, self.wire.session_expiry());
        if matches!(end, End::Goodbye)
            && let Ok(Err(error)) = timeout(FINISH_TIMEOUT, kept).await
        {
            tracing::debug!(%error, "a session is kept for another time than its client wants");
        }
        if let Ok(Err(error)) = timeout(FINISH_TIMEOUT, self.downlink.finish()).await {
            tracing::debug!(%error, "the last messages that a device took will come again");
        }
        match timeout(FINISH_TIMEOUT, self.uplink.finish()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "last messages of a connection were not taken"),
            Err(_) => {
                tracing::warn!(device.id = %self.session.device_id, "ingest did not take a device's last messages")
            }
        }
    }
}

/// When the token's time is over. A token that was taken in its grace lives until the end of it.
fn expiry(hub: &Hub, session: &DeviceSession) -> Option<Instant> {
    let left = session.expires_at? - hub.engine.clock().now();
    let left = left
        .to_std()
        .unwrap_or_else(|_| (left + chrono::Duration::seconds(sas::GRACE_SECONDS)).to_std().unwrap_or_default());
    Instant::now().checked_add(left)
}
