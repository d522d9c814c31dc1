//! CONNECT: who is it, and may it (`iot-hub-wire.md` §1)?

use super::{
    end::End,
    subscriptions::{Durability, Subscriptions},
    will::Will,
    wire::Wire,
};
use crate::{
    Hub,
    limits::{Kind, Share},
    metering,
    tls::Peer,
};
use muster_engine::{
    EngineError,
    events::failures,
    hub_auth::{self, ConnectRefused, DeviceSession},
    provisioning::{self, DpsConnect, DpsRefused, DpsSession},
};
use muster_model::{
    Address,
    event::FailureCode,
    wire::username::{DpsUsername, HubUsername},
};
use rmqtt_codec::{
    error::DecodeError,
    types::MQTT_LEVEL_311,
    v3::{Connect, ConnectAck, ConnectAckReason, Packet},
};
use std::time::Duration;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};

/// A client is dropped after this time of silence, whatever keep-alive it asked for.
const MAX_SILENCE: Duration = Duration::from_secs(1767);
/// Time to find out who a device is; then it is told to try again.
const AUTHENTICATION_TIMEOUT: Duration = Duration::from_secs(15);

/// A client that may stay. Its CONNACK is not sent yet.
pub(super) enum Accepted {
    /// A device or module at the hub.
    Device(Box<DeviceLogin>),
    /// A device at the provisioning service.
    Provisioning(Box<ProvisioningLogin>),
}

/// A device or module that has proven who it is.
pub(super) struct DeviceLogin {
    pub(super) session: DeviceSession,
    pub(super) share: Share,
    pub(super) subscriptions: Subscriptions,
    pub(super) silence: Duration,
    pub(super) will: Option<Will>,
}

/// A device that wants to be registered and has proven that it may.
pub(super) struct ProvisioningLogin {
    pub(super) session: DpsSession,
    pub(super) silence: Duration,
}

/// Reads the CONNECT and decides. Refusals are answered here.
pub(super) async fn accept<S>(hub: &Hub, wire: &mut Wire<S>, peer: Peer) -> Result<Accepted, End>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let first = timeout(hub.config.connect_timeout, first_packet(wire)).await.map_err(|_| End::NoConnect)?;
    let decision = match first {
        Ok(Packet::Connect(connect)) => match timeout(AUTHENTICATION_TIMEOUT, decide(hub, *connect, peer)).await {
            Ok(decision) => decision,
            Err(_) => Err(refused(ConnectAckReason::ServiceUnavailable, "authentication took too long")),
        },
        Ok(_) => return Err(End::Forbidden("packet before CONNECT")),
        Err(End::Malformed(DecodeError::UnsupportedProtocolLevel)) => {
            Err(refused(ConnectAckReason::UnacceptableProtocolVersion, "protocol level is not 4"))
        }
        Err(End::Malformed(DecodeError::InvalidClientId)) => {
            Err(refused(ConnectAckReason::IdentifierRejected, "client id is empty"))
        }
        Err(end) => return Err(end),
    };
    let decision = match decision {
        Ok(Accepted::Device(login)) if wire.starts_clean() => begin_anew(hub, login).await,
        other => other,
    };
    let decision = match decision {
        Ok(Accepted::Device(login)) => keep_session(hub, login, wire.session_expiry()).await,
        other => other,
    };
    match decision {
        Ok(accepted) => {
            wire.accept_messages();
            Ok(accepted)
        }
        Err(end) => Err(refuse(wire, end).await),
    }
}

/// Forgets what was kept for the device and keeps what is to come: only MQTT 5 can ask for both.
async fn begin_anew(hub: &Hub, mut login: Box<DeviceLogin>) -> Result<Accepted, End> {
    for durability in [Durability::Connection, Durability::Device] {
        let restored = Subscriptions::restore(&hub.engine, &login.session, durability).await;
        login.subscriptions =
            restored.map_err(|error| refused(ConnectAckReason::ServiceUnavailable, error.to_string()))?;
    }
    Ok(Accepted::Device(login))
}

/// Notes how long the session is to be kept, where it was kept for another time before.
async fn keep_session(hub: &Hub, mut login: Box<DeviceLogin>, expiry_seconds: Option<u32>) -> Result<Accepted, End> {
    let kept = login.subscriptions.keep_for(&hub.engine, &login.session, expiry_seconds).await;
    kept.map_err(|error| refused(ConnectAckReason::ServiceUnavailable, error.to_string()))?;
    Ok(Accepted::Device(login))
}

/// Tells a client that it is refused, if that is the end, and returns the end.
pub(super) async fn refuse<S>(wire: &mut Wire<S>, end: End) -> End
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    match &end {
        End::Refused(code, _) => acknowledge(wire, *code, false).await.err().unwrap_or(end),
        _ => end,
    }
}

/// Sends the CONNACK.
pub(super) async fn acknowledge<S>(
    wire: &mut Wire<S>,
    return_code: ConnectAckReason,
    session_present: bool,
) -> Result<(), End>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    metering::count_connect(return_code.into());
    wire.put(Packet::ConnectAck(ConnectAck { return_code, session_present }))?;
    wire.flush().await
}

async fn first_packet<S>(wire: &mut Wire<S>) -> Result<Packet, End>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        if let Some(packet) = wire.decode()? {
            return Ok(packet);
        }
        wire.fill().await?;
        if !wire.may_be_connect() {
            return Err(End::Forbidden("packet before CONNECT"));
        }
    }
}

async fn decide(hub: &Hub, connect: Connect, peer: Peer) -> Result<Accepted, End> {
    if connect.protocol.level() != MQTT_LEVEL_311 {
        return Err(refused(ConnectAckReason::UnacceptableProtocolVersion, "protocol level is not 4"));
    }
    let Some(username) = connect.username.as_deref() else {
        return Err(refused(ConnectAckReason::NotAuthorized, "no user name"));
    };
    let password = match connect.password.as_deref().map(std::str::from_utf8) {
        None => None,
        Some(Ok(password)) => Some(password),
        Some(Err(_)) => return Err(refused(ConnectAckReason::NotAuthorized, "password is not UTF-8")),
    };
    // A device may be called `registrations`; the host tells its user name from that of the provisioning service.
    let to_this_hub = username.split('/').next().is_some_and(|host| hub.engine.config().is_hub(host));
    match DpsUsername::parse(username) {
        Ok(username) if !to_this_hub => register(hub, &connect, username, password, peer).await,
        _ => {
            let username = HubUsername::parse(username)
                .map_err(|error| refused(ConnectAckReason::NotAuthorized, error.to_string()))?;
            log_in(hub, &connect, username, password, peer).await
        }
    }
}

async fn log_in(
    hub: &Hub,
    connect: &Connect,
    username: HubUsername,
    password: Option<&str>,
    peer: Peer,
) -> Result<Accepted, End> {
    let HubUsername { host, device, module, model_id, client_type } = username;
    let address = Address { device: device.clone(), module: module.clone() };
    if *connect.client_id != *address.to_string() {
        return Err(refused(ConnectAckReason::IdentifierRejected, "client id is not the identity in the user name"));
    }
    // Over WebSocket the request has named a hub already, unless it came through a gateway.
    if peer.host.as_deref().is_some_and(|asked| hub.engine.config().is_hub(asked) && !asked.eq_ignore_ascii_case(&host))
    {
        return Err(refused(ConnectAckReason::NotAuthorized, "the request and the user name are of different hubs"));
    }
    let will = connect.last_will.as_ref().map(|will| Will::parse(will, &address)).transpose()?;
    let claim = hub_auth::Connect {
        host: &host,
        device: &device,
        module: module.as_ref(),
        password,
        model_id: model_id.as_deref(),
        client_type: client_type.as_deref(),
        peer: peer.address,
        chain: &peer.chain,
    };
    let session = hub_auth::authenticate(&hub.engine, claim).await.map_err(turn_down)?;
    let share = hub.limits.of_device(session.tenant, session.source);
    if let Err(throttled) = share.pass(Kind::Connects, 1).await {
        failures::note(&hub.engine, session.tenant, &session.device_id, FailureCode::Throttled);
        return Err(refused(ConnectAckReason::ServiceUnavailable, throttled.to_string()));
    }
    let durability = if connect.clean_session { Durability::Connection } else { Durability::Device };
    let subscriptions = Subscriptions::restore(&hub.engine, &session, durability)
        .await
        .map_err(|error| refused(ConnectAckReason::ServiceUnavailable, error.to_string()))?;
    let silence = silence(connect.keep_alive);
    Ok(Accepted::Device(Box::new(DeviceLogin { session, share, subscriptions, silence, will })))
}

async fn register(
    hub: &Hub,
    connect: &Connect,
    username: DpsUsername,
    password: Option<&str>,
    peer: Peer,
) -> Result<Accepted, End> {
    if *connect.client_id != *username.registration.as_str() {
        return Err(refused(ConnectAckReason::IdentifierRejected, "client id is not the registration id"));
    }
    let DpsUsername { id_scope, registration } = &username;
    let claim = DpsConnect { id_scope, registration, password, chain: &peer.chain };
    let session = provisioning::authenticate(&hub.engine, claim).await.map_err(|refusal| match &refusal {
        DpsRefused::BadCredential { .. } | DpsRefused::BadRequest { .. } => {
            refused(ConnectAckReason::NotAuthorized, refusal.to_string())
        }
        DpsRefused::Unavailable(error) => unavailable(error),
    })?;
    let share = hub.limits.of_tenant(session.scope.tenant);
    let passed = share.pass(Kind::Connects, 1).await;
    passed.map_err(|throttled| refused(ConnectAckReason::ServiceUnavailable, throttled.to_string()))?;
    Ok(Accepted::Provisioning(Box::new(ProvisioningLogin { session, silence: silence(connect.keep_alive) })))
}

/// How long a client may be silent.
fn silence(keep_alive_seconds: u16) -> Duration {
    match keep_alive_seconds {
        0 => MAX_SILENCE,
        seconds => Duration::from_secs(seconds.into()).mul_f64(1.5).min(MAX_SILENCE),
    }
}

pub(super) fn turn_down(refusal: ConnectRefused) -> End {
    match &refusal {
        ConnectRefused::BadCredential { .. } => refused(ConnectAckReason::NotAuthorized, refusal.to_string()),
        ConnectRefused::Unavailable(error) => unavailable(error),
    }
}

fn unavailable(error: &EngineError) -> End {
    tracing::warn!(%error, "a device could not be checked, it is told to try again");
    refused(ConnectAckReason::ServiceUnavailable, error.to_string())
}

fn refused(code: ConnectAckReason, reason: impl Into<String>) -> End {
    End::Refused(code, reason.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncWriteExt, duplex};

    #[tokio::test]
    async fn a_connect_may_come_in_pieces() {
        for connect in [
            &b"\x10\x0f\x00\x04MQTT\x04\x02\x00\x3c\x00\x03d-1"[..],
            b"\x10\x10\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x03d-1",
        ] {
            for piece in 1..=connect.len() {
                let (mut client, io) = duplex(piece);
                let mut wire = Wire::new(io);
                let (sent, packet) = tokio::join!(client.write_all(connect), first_packet(&mut wire));
                sent.unwrap();
                let Ok(Packet::Connect(packet)) = packet else { panic!("{packet:?} in pieces of {piece}") };
                assert_eq!(packet.client_id, "d-1");
            }
        }
    }

    #[test]
    fn silence_is_half_more_than_the_keep_alive_and_bounded() {
        for (keep_alive, seconds) in
            [(60, 90.0), (1, 1.5), (0, 1767.0), (1177, 1765.5), (1740, 1767.0), (65535, 1767.0)]
        {
            assert_eq!(silence(keep_alive).as_secs_f64(), seconds, "{keep_alive}");
        }
    }
}
