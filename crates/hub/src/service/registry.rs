//! Device identities, one by one, and how many there are.

use super::{Service, reply};
use crate::fault::Fault;
use actix_web::{
    HttpResponse,
    web::{self, Bytes, Path, Query, ServiceConfig},
};
use muster_engine::{
    authentication::{Authentication, X509},
    devices,
    policies::Right,
    precondition::IfMatch,
    registry_service::{self as registry, Identity},
};
use muster_model::device::SymmetricKeys;
use serde::Deserialize;
use serde_json::json;

/// Identities in one answer.
const MAX_LISTED: u32 = 1000;

pub(super) fn configure(config: &mut ServiceConfig) {
    config
        .route("/devices", web::get().to(list_devices))
        // As Node's SDK asks for all.
        .route("/devices/", web::get().to(list_devices))
        .route("/devices/{id}", web::get().to(get_device))
        .route("/devices/{id}", web::put().to(put_device))
        .route("/devices/{id}", web::delete().to(delete_device))
        .route("/statistics/devices", web::get().to(count_devices))
        .route("/statistics/service", web::get().to(count_connections));
}

/// An identity as clients write it; what they do not know of is ignored.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct IdentityBody {
    device_id: Option<String>,
    status: Option<String>,
    status_reason: Option<String>,
    authentication: Option<AuthenticationBody>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct AuthenticationBody {
    r#type: Option<String>,
    symmetric_key: Option<KeysBody>,
    x509_thumbprint: Option<ThumbprintsBody>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct KeysBody {
    primary_key: Option<String>,
    secondary_key: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ThumbprintsBody {
    primary_thumbprint: Option<String>,
    secondary_thumbprint: Option<String>,
}

impl IdentityBody {
    pub(super) fn read(self, id: &str) -> Result<Identity, Fault> {
        let bad = |message: &str| Fault::new(400, 400_004, message);
        if self.device_id.is_some_and(|named| named != id) {
            return Err(bad("the body is of another device"));
        }
        let enabled = match self.status.as_deref() {
            None => None,
            Some(status) if status.eq_ignore_ascii_case("enabled") => Some(true),
            Some(status) if status.eq_ignore_ascii_case("disabled") => Some(false),
            Some(_) => return Err(bad("status is enabled or disabled")),
        };
        let authentication = self.authentication.map(AuthenticationBody::read).transpose()?.flatten();
        Ok(Identity { enabled, status_reason: self.status_reason, authentication })
    }
}

impl AuthenticationBody {
    /// How the device is to prove who it is; nothing where that stays, or is to be made.
    pub(super) fn read(self) -> Result<Option<Authentication>, Fault> {
        let bad = |message: &str| Fault::new(400, 400_004, message);
        let keys = self.symmetric_key.unwrap_or_default();
        let given = |text: Option<String>| text.filter(|text| !text.is_empty());
        match self.r#type.as_deref().unwrap_or("sas").to_ascii_lowercase().as_str() {
            "sas" | "none" => match (given(keys.primary_key), given(keys.secondary_key)) {
                (None, None) => Ok(None),
                (Some(primary_key), Some(secondary_key)) => {
                    Ok(Some(Authentication::Sas(SymmetricKeys { primary_key, secondary_key })))
                }
                _ => Err(bad("a device has both keys or neither")),
            },
            "selfsigned" => {
                let thumbprints = self.x509_thumbprint.unwrap_or_default();
                let primary = given(thumbprints.primary_thumbprint);
                let secondary = given(thumbprints.secondary_thumbprint);
                Ok(Some(Authentication::X509(X509::SelfSigned { primary, secondary })))
            }
            "certificateauthority" => Ok(Some(Authentication::X509(X509::CertificateAuthority))),
            _ => Err(bad("authentication is sas, selfSigned or certificateAuthority")),
        }
    }
}

#[derive(Debug, Deserialize)]
struct Top {
    top: Option<u32>,
}

async fn list_devices(service: Service, top: Query<Top>) -> HttpResponse {
    let list = async {
        let caller = service.may(Right::RegistryRead)?;
        let top = top.top.unwrap_or(MAX_LISTED).min(MAX_LISTED);
        Ok(HttpResponse::Ok().json(registry::list(service.engine(), &caller, top).await?))
    };
    service.answer(list.await)
}

async fn get_device(service: Service, id: Path<String>) -> HttpResponse {
    let get = async {
        let caller = service.may(Right::RegistryRead)?;
        let identity = registry::get(service.engine(), &caller, &reply::device(&id)?).await?;
        Ok(reply::document(&identity, "etag"))
    };
    service.answer(get.await)
}

/// Without `If-Match` the device is made, with it it is changed.
async fn put_device(service: Service, id: Path<String>, body: Bytes) -> HttpResponse {
    let put = async {
        let caller = service.may(Right::RegistryWrite)?;
        let device = reply::device(&id)?;
        let identity = reply::body::<IdentityBody>(&body)?.read(&id)?;
        let identity = match service.if_match() {
            None => registry::create(service.engine(), &caller, &device, identity).await?,
            Some(condition) => registry::update(service.engine(), &caller, &device, identity, &condition).await?,
        };
        Ok(reply::document(&identity, "etag"))
    };
    service.answer(put.await)
}

async fn delete_device(service: Service, id: Path<String>) -> HttpResponse {
    let delete = async {
        let caller = service.may(Right::RegistryWrite)?;
        let condition = service.if_match().unwrap_or(IfMatch::Any);
        devices::delete(service.engine(), &caller, &reply::device(&id)?, &condition).await?;
        Ok(HttpResponse::NoContent().finish())
    };
    service.answer(delete.await)
}

async fn count_devices(service: Service) -> HttpResponse {
    let count = async {
        let caller = service.may(Right::RegistryRead)?;
        let counts = registry::statistics(service.engine(), &caller).await?;
        Ok(HttpResponse::Ok().json(json!({
            "totalDeviceCount": counts.total,
            "enabledDeviceCount": counts.enabled,
            "disabledDeviceCount": counts.total - counts.enabled,
        })))
    };
    service.answer(count.await)
}

async fn count_connections(service: Service) -> HttpResponse {
    let count = async {
        let caller = service.may(Right::ServiceConnect)?;
        let counts = registry::statistics(service.engine(), &caller).await?;
        Ok(HttpResponse::Ok().json(json!({"connectedDeviceCount": counts.connected})))
    };
    service.answer(count.await)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn read(body: Value) -> Result<Identity, Fault> {
        serde_json::from_value::<IdentityBody>(body).expect("a body").read("d")
    }

    #[test]
    fn identities_are_read_as_clients_write_them() {
        let body = json!({
            "deviceId": "d", "status": "enabled", "capabilities": {"iotEdge": false},
            "authentication": {"type": "sas", "symmetricKey": {}},
        });
        let identity = read(body).expect("an identity");
        assert_eq!((identity.enabled, identity.authentication), (Some(true), None), "keys are to be made");
        let keys = json!({"authentication": {"symmetricKey": {"primaryKey": "a", "secondaryKey": "b"}}});
        let keys = read(keys).expect("an identity").authentication;
        assert!(matches!(keys, Some(Authentication::Sas(keys)) if keys.primary_key == "a"));
        let body = json!({"authentication": {"type": "selfSigned", "x509Thumbprint": {"primaryThumbprint": "AA"}}});
        let authentication = read(body).expect("an identity").authentication;
        let expected = Authentication::X509(X509::SelfSigned { primary: Some("AA".into()), secondary: None });
        assert_eq!(authentication, Some(expected));
        for bad in [
            json!({"deviceId": "e"}),
            json!({"status": "broken"}),
            json!({"authentication": {"type": "tpm"}}),
            json!({"authentication": {"symmetricKey": {"primaryKey": "a"}}}),
        ] {
            assert_eq!(read(bad).err().map(|fault| fault.code), Some(400_004));
        }
    }
}
