//! Which device asks: by its token or its certificate, as with MQTT.

use crate::{Hub, fault::Fault, https};
use actix_web::{HttpRequest, http::header::AUTHORIZATION};
use muster_engine::hub_auth::{self, Connect, ConnectRefused, DeviceSession};
use muster_model::{DeviceId, wire::sas};

/// The session of the device that asks under this id. It holds no connection.
pub(super) async fn device(hub: &Hub, request: &HttpRequest, id: &str) -> Result<DeviceSession, Fault> {
    let unauthorized = || Fault::new(401, 401_003, "the device's token or certificate is not valid");
    let text = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
    let device = DeviceId::parse(id).map_err(|error| Fault::new(400, 400_004, error.to_string()))?;
    let peer = https::peer(request).ok_or_else(unauthorized)?;
    let claim = Connect {
        host: sas::without_port(https::host(request)),
        device: &device,
        module: None,
        password: text(AUTHORIZATION),
        model_id: None,
        client_type: None,
        peer: peer.address,
        chain: &peer.chain,
    };
    hub_auth::authenticate(&hub.engine, claim).await.map_err(|refused| match refused {
        ConnectRefused::BadCredential { reason } => {
            tracing::debug!(device.id = %device, %reason, "a device was refused over HTTPS");
            unauthorized()
        }
        ConnectRefused::Unavailable(error) => error.into(),
    })
}
