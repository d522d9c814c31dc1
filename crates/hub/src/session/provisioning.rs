//! The connection of a device to the provisioning service: it asks to be registered and leaves (`iot-hub-wire.md` §3).

use super::{
    connect::{self, ProvisioningLogin},
    end::End,
    wire::Wire,
};
use crate::{
    Hub,
    fault::Fault,
    provisioning::{self, DpsAnswer},
};
use bytes::Bytes;
use muster_engine::{Engine, provisioning::DpsSession};
use muster_model::wire::topic::{self, DpsTopic, PROVISIONING_FILTER};
use rmqtt_codec::{
    types::{Publish, QoS},
    v3::{ConnectAckReason, Packet, SubscribeReturnCode},
};
use std::{convert::Infallible, future::Future, pin::Pin, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, sleep_until},
};

/// Serves the device until the connection ends, and says why it did.
pub(super) async fn serve<S>(hub: &Hub, wire: &mut Wire<S>, login: ProvisioningLogin) -> End
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let ProvisioningLogin { session, silence } = login;
    let engine = hub.engine.clone();
    let mut connection =
        Connection { engine, wire, session: Arc::new(session), silence, subscribed: false, active: None };
    match connection.run().await {
        Ok(never) => match never {},
        Err(end) => end,
    }
}

struct Connection<'a, S> {
    engine: Engine,
    wire: &'a mut Wire<S>,
    session: Arc<DpsSession>,
    silence: Duration,
    subscribed: bool,
    /// The request that is being answered; there is one at a time.
    active: Option<Active>,
}

type Active = Pin<Box<dyn Future<Output = (String, DpsAnswer)> + Send>>;

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<'_, S> {
    async fn run(&mut self) -> Result<Infallible, End> {
        connect::acknowledge(self.wire, ConnectAckReason::ConnectionAccepted, false).await?;
        let mut heard = Instant::now();
        loop {
            while let Some(packet) = self.wire.decode()? {
                self.packet(packet)?;
            }
            self.wire.flush().await?;
            tokio::select! {
                (rid, answer) = done(&mut self.active) => {
                    self.active = None;
                    self.answer(&rid, answer)?;
                }
                read = self.wire.fill() => {
                    read?;
                    heard = Instant::now();
                }
                () = sleep_until(heard + self.silence) => return Err(End::Silent),
            }
        }
    }

    fn packet(&mut self, packet: Packet) -> Result<(), End> {
        match packet {
            Packet::Publish(publish) => self.publish(*publish),
            Packet::PingRequest => self.wire.put(Packet::PingResponse),
            Packet::Subscribe { packet_id, topic_filters } => {
                let status = topic_filters.iter().map(|(filter, qos)| self.subscribe(filter, *qos)).collect();
                self.wire.put(Packet::SubscribeAck { packet_id, status })
            }
            Packet::Unsubscribe { packet_id, topic_filters } => {
                if topic_filters.iter().any(|filter| *filter == *PROVISIONING_FILTER) {
                    self.subscribed = false;
                }
                self.wire.put(Packet::UnsubscribeAck { packet_id })
            }
            Packet::Disconnect => Err(End::Goodbye),
            Packet::Connect(_) => Err(End::Forbidden("second CONNECT")),
            _ => Err(End::Forbidden("packet that devices do not send")),
        }
    }

    fn subscribe(&mut self, filter: &str, qos: QoS) -> SubscribeReturnCode {
        if filter != PROVISIONING_FILTER {
            return SubscribeReturnCode::Failure;
        }
        self.subscribed = true;
        SubscribeReturnCode::Success(qos.less_value(QoS::AtLeastOnce))
    }

    fn publish(&mut self, publish: Publish) -> Result<(), End> {
        let Publish { qos, topic, packet_id, payload, .. } = publish;
        if qos == QoS::ExactlyOnce {
            return Err(End::Forbidden("QoS 2"));
        }
        let request = DpsTopic::parse(&topic)?;
        if let Some(packet_id) = packet_id {
            self.wire.put_ack(packet_id)?;
        }
        if self.active.is_some() {
            let (DpsTopic::DpsRegister { rid } | DpsTopic::DpsStatus { rid, .. }) = request;
            return self.answer(&rid, provisioning::failed(&self.engine, &Fault::throttled()));
        }
        self.active = Some(self.start(request, payload));
        Ok(())
    }

    fn start(&self, request: DpsTopic, body: Bytes) -> Active {
        let (engine, session) = (self.engine.clone(), self.session.clone());
        match request {
            DpsTopic::DpsRegister { rid } => Box::pin(async move {
                let answer = provisioning::register(&engine, &session, &body).await;
                (rid, answer)
            }),
            DpsTopic::DpsStatus { rid, operation_id } => Box::pin(async move {
                let answer = provisioning::status(&engine, &session, Some(&operation_id)).await;
                (rid, answer)
            }),
        }
    }

    fn answer(&mut self, rid: &str, answer: DpsAnswer) -> Result<(), End> {
        if self.subscribed {
            let topic = topic::dps_response(answer.status, rid, answer.retry_after);
            self.wire.put_message(topic, answer.body)?;
        }
        Ok(())
    }
}

/// Resolves with the answer; never without a request.
async fn done(active: &mut Option<Active>) -> (String, DpsAnswer) {
    match active {
        Some(active) => active.await,
        None => std::future::pending().await,
    }
}
