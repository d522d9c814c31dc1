//! The HTTPS listener: device endpoints, service endpoints and MQTT over WebSocket (`iot-hub-wire.md` §5, §6, §11).

use crate::{Hub, HubError, blob, device_http, dps_service, fault::Fault, service, tls::Peer, websocket};
use actix_tls::accept::rustls_0_23::TlsStream;
use actix_web::{
    App, HttpRequest, HttpResponse, HttpResponseBuilder, HttpServer,
    dev::{Extensions, Server},
    http::{StatusCode, header},
    rt::net::TcpStream,
    web::{self, Data, PayloadConfig},
};
use muster_model::wire::sas;
use rustls::{ServerConfig, pki_types::CertificateDer};
use serde_json::json;
use std::{any::Any, net::TcpListener, sync::Arc, time::Duration};
use tokio::{runtime::Handle, time::timeout};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

/// Time for the head of a request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an idle connection waits for its next request.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// The largest body; requests that know better say so themselves.
const MAX_BODY_BYTES: usize = 1024 * 1024;

/// Where MQTT connections that come over WebSocket run: they are the hub's, not a web worker's.
#[derive(Clone)]
pub(crate) struct Sessions {
    pub(crate) tasks: TaskTracker,
    pub(crate) runtime: Handle,
}

/// The certificates that a client has shown.
struct Chain(Vec<CertificateDer<'static>>);

/// Serves HTTPS in tasks of the hub until it stops and its WebSocket connections are drained.
pub(crate) fn start(
    hub: Arc<Hub>,
    listener: TcpListener,
    tls: ServerConfig,
    tasks: &TaskTracker,
) -> Result<(), HubError> {
    let sessions = Sessions { tasks: TaskTracker::new(), runtime: Handle::current() };
    let (state, state_sessions) = (Data::from(hub.clone()), Data::new(sessions.clone()));
    let handshake_timeout = hub.config.handshake_timeout;
    let server = HttpServer::new(move || {
        App::new()
            .app_data(state.clone())
            .app_data(state_sessions.clone())
            .app_data(PayloadConfig::new(MAX_BODY_BYTES))
            .configure(websocket::configure)
            .configure(blob::configure)
            .configure(dps_service::configure)
            .configure(service::configure)
            .configure(device_http::configure)
            .default_service(web::to(unknown))
    })
    .disable_signals()
    .client_request_timeout(REQUEST_TIMEOUT)
    .tls_handshake_timeout(handshake_timeout)
    .keep_alive(KEEP_ALIVE)
    .on_connect(keep_chain)
    .shutdown_timeout(hub.config.drain_timeout.as_secs())
    .listen_rustls_0_23(listener, tls)?
    .run();
    tasks.spawn(run(hub, server, sessions.tasks));
    Ok(())
}

async fn run(hub: Arc<Hub>, server: Server, sessions: TaskTracker) {
    let handle = server.handle();
    let serving = tokio::spawn(server);
    hub.stop.cancelled().await;
    hub.registry.stop();
    sessions.close();
    if timeout(hub.config.drain_timeout, sessions.wait()).await.is_err() {
        tracing::warn!(connections = sessions.len(), "connections over WebSocket were closed before they were drained");
    }
    handle.stop(false).await;
    match serving.await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::error!(%error, "the HTTPS listener failed"),
        Err(error) => tracing::error!(%error, "the HTTPS listener panicked"),
    }
}

fn keep_chain(connection: &dyn Any, extensions: &mut Extensions) {
    let Some(stream) = connection.downcast_ref::<TlsStream<TcpStream>>() else { return };
    let (_, tls) = stream.get_ref();
    let chain = tls.peer_certificates().unwrap_or_default().iter().map(|one| one.clone().into_owned()).collect();
    extensions.insert(Chain(chain));
}

/// Who asks, as far as the connection tells.
pub(crate) fn peer(request: &HttpRequest) -> Option<Peer> {
    let address = request.peer_addr()?.ip();
    let chain = request.conn_data::<Chain>().map(|chain| chain.0.clone()).unwrap_or_default();
    Some(Peer { address, chain, host: Some(sas::without_port(host(request)).to_owned()) })
}

/// The name that the request was sent to, with the port where there is one. HTTP/2 has it in the request's target.
pub(crate) fn host(request: &HttpRequest) -> &str {
    let header = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    header.or_else(|| request.uri().authority().map(|authority| authority.as_str())).unwrap_or_default()
}

async fn unknown(hub: Data<Hub>) -> HttpResponse {
    failure(&hub, &Fault::new(404, 404_000, "there is nothing at this address"))
}

/// An error as IoT Hub's registry tells it: the status with its real reason phrase, the code in a header, and both in
/// the body (`iot-hub-wire.md` §6). Microsoft's clients read the name before the semicolon.
pub(crate) fn failure(hub: &Hub, fault: &Fault) -> HttpResponse {
    let status = StatusCode::from_u16(fault.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let tracking = Uuid::now_v7().simple();
    tracing::debug!(status = fault.status, code = fault.code, tracking = %tracking, "an HTTPS request failed");
    let name = name(fault);
    let at = hub.engine.clock().now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    let body = json!({
        "Message": format!("ErrorCode:{name};{}", fault.message),
        "ExceptionMessage": format!("Tracking ID:{tracking}-TimeStamp:{at}"),
    });
    let mut response = HttpResponseBuilder::new(status);
    response.insert_header(("iothub-errorcode", name));
    if fault.status == 401 {
        response.insert_header((header::WWW_AUTHENTICATE, "SharedAccessSignature"));
    }
    if fault.status == 429 || fault.status == 503 {
        response.insert_header((header::RETRY_AFTER, "5"));
    }
    response.json(body)
}

/// The names of codes, as clients know them.
pub(crate) fn name(fault: &Fault) -> &'static str {
    match fault.code {
        400_004 => "ArgumentInvalid",
        400_027 => "ConnectionForcefullyClosedOnNewConnection",
        401_002 => "IotHubUnauthorizedAccess",
        401_003 => "IotHubUnauthorized",
        403_002 => "IotHubQuotaExceeded",
        403_004 => "DeviceMaximumQueueDepthExceeded",
        403_006 => "DeviceMaximumActiveFileUploadLimitExceeded",
        404_001 => "DeviceNotFound",
        404_002 => "JobNotFound",
        404_003 => "ConfigurationNotFound",
        404_010 => "ModuleNotFound",
        404_103 => "DeviceNotOnline",
        404_104 => "DeviceConnectionClosedRemotely",
        409_001 => "DeviceAlreadyExists",
        409_002 => "Conflict",
        409_301 => "ModuleAlreadyExistsOnDevice",
        412_001 => "DeviceMessageLockLost",
        412_002 => "PreconditionFailed",
        413_001 => "MessageTooLarge",
        429_001 => "ThrottlingException",
        503_005 => "ServiceUnavailable",
        504_101 => "GatewayTimeout",
        _ => match fault.status {
            400 => "BadRequest",
            401 => "IotHubUnauthorizedAccess",
            404 => "NotFound",
            405 => "MethodNotAllowed",
            _ => "ServerError",
        },
    }
}
