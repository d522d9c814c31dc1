//! Many identities at once: devices, modules and their twins.

use super::{Service, registry::IdentityBody, reply, twins::TwinBody};
use crate::{fault::Fault, https};
use actix_web::{
    HttpResponse,
    web::{self, Bytes, ServiceConfig},
};
use muster_engine::{
    Engine,
    authentication::{self, Key},
    devices,
    modules::{self, ModuleIdentity},
    policies::Right,
    precondition::IfMatch,
    registry_service as registry, twins_service as twins,
};
use muster_model::{Address, Caller};
use serde::Deserialize;
use serde_json::{Value, json};

/// Identities in one request, devices and modules.
const MAX_ITEMS: usize = 100;

pub(super) fn configure(config: &mut ServiceConfig) {
    config
        .route("/devices", web::post().to(change_devices))
        .route("/devices/keys/regenerate", web::post().to(regenerate_keys));
}

/// What is to be done with one identity.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Item {
    id: String,
    #[serde(default)]
    module_id: Option<String>,
    #[serde(default)]
    managed_by: Option<String>,
    #[serde(default)]
    e_tag: Option<String>,
    #[serde(default, rename = "twinETag")]
    twin_etag: Option<String>,
    #[serde(default)]
    import_mode: Option<String>,
    #[serde(flatten)]
    identity: IdentityBody,
    #[serde(flatten)]
    twin: TwinBody,
}

async fn change_devices(service: Service, body: Bytes) -> HttpResponse {
    let change = async {
        let caller = service.may(Right::RegistryWrite)?;
        let items: Vec<Item> = reply::body(&body)?;
        if items.len() > MAX_ITEMS {
            return Err(Fault::new(400, 400_004, format!("at most {MAX_ITEMS} devices are changed at once")));
        }
        let mut errors = Vec::new();
        for item in items {
            let of = (item.id.clone(), item.module_id.clone(), item.import_mode.clone());
            if let Err(fault) = change_one(service.engine(), &caller, item).await {
                errors.push(error(of, &fault));
            }
        }
        let status = if errors.is_empty() { 200 } else { 400 };
        let body = json!({"isSuccessful": errors.is_empty(), "errors": errors, "warnings": []});
        let status = actix_web::http::StatusCode::from_u16(status).unwrap_or_default();
        Ok(HttpResponse::build(status).json(body))
    };
    service.answer(change.await)
}

/// Keys that are to be made anew.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Regeneration {
    policy_key: String,
    devices: Vec<Rotated>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rotated {
    id: String,
    #[serde(default)]
    module_id: Option<String>,
    #[serde(default)]
    etag: Option<String>,
}

async fn regenerate_keys(service: Service, body: Bytes) -> HttpResponse {
    let regenerate = async {
        let caller = service.may(Right::RegistryWrite)?;
        let Regeneration { policy_key, devices } = reply::body(&body)?;
        let key = match policy_key.as_str() {
            "primaryKey" => Key::Primary,
            "secondaryKey" => Key::Secondary,
            _ => return Err(Fault::new(400, 400_004, "policyKey is primaryKey or secondaryKey")),
        };
        if devices.len() > MAX_ITEMS {
            return Err(Fault::new(400, 400_004, format!("at most {MAX_ITEMS} devices are changed at once")));
        }
        let (mut rotated, mut errors) = (Vec::new(), Vec::new());
        for Rotated { id, module_id, etag } in devices {
            let made = async {
                let condition = IfMatch::from_body(etag.as_deref());
                let address = address(&id, module_id.as_ref())?;
                Ok(authentication::regenerate(service.engine(), &caller, &address, (key, &condition)).await?)
            };
            match made.await {
                Ok(keys) => rotated.push(json!({
                    "id": id, "moduleId": module_id,
                    "primaryKey": keys.primary_key, "secondaryKey": keys.secondary_key,
                })),
                Err(fault) => errors.push(error((id, module_id, Some("regenerateKeys".into())), &fault)),
            }
        }
        Ok(HttpResponse::Ok().json(json!({"policyKey": policy_key, "errors": errors, "rotatedKeys": rotated})))
    };
    service.answer(regenerate.await)
}

fn address(device: &str, module: Option<&String>) -> Result<Address, Fault> {
    match module.filter(|module| !module.is_empty()) {
        None => Ok(reply::device(device)?.into()),
        Some(module) => Ok(reply::module(&(device.to_owned(), module.clone()))?.into()),
    }
}

async fn change_one(engine: &Engine, caller: &Caller, item: Item) -> Result<(), Fault> {
    let address = address(&item.id, item.module_id.as_ref())?;
    let condition = IfMatch::from_body(item.e_tag.as_deref());
    let identity = item.identity.read(&item.id)?;
    let twin = item.twin.merge();
    let mode = item.import_mode.unwrap_or_else(|| "create".into()).to_ascii_lowercase();
    let condition = if mode.ends_with("ifmatchetag") { condition } else { IfMatch::Any };
    let own = ModuleIdentity { managed_by: item.managed_by, authentication: identity.authentication.clone() };
    match (mode.trim_end_matches("ifmatchetag"), &address.module) {
        ("create", module) if !mode.ends_with("ifmatchetag") => {
            match module {
                None => registry::create(engine, caller, &address.device, identity).await?,
                Some(module) => modules::create(engine, caller, (&address.device, module), own).await?,
            };
            if twin.tags.is_some() || twin.desired.is_some() {
                twins::change(engine, caller, &address, twin, &IfMatch::Any).await?;
            }
        }
        ("update", None) => drop(registry::update(engine, caller, &address.device, identity, &condition).await?),
        ("update", Some(module)) => {
            modules::update(engine, caller, (&address.device, module), own, &condition).await?;
        }
        ("delete", None) => devices::delete(engine, caller, &address.device, &condition).await?,
        ("delete", Some(module)) => modules::delete(engine, caller, (&address.device, module), &condition).await?,
        ("updatetwin", _) => {
            let condition = match mode.as_str() {
                "updatetwin" => IfMatch::Any,
                _ => IfMatch::from_body(item.twin_etag.as_deref()),
            };
            twins::change(engine, caller, &address, twin, &condition).await?;
        }
        _ => return Err(Fault::new(400, 400_004, "the import mode is not known")),
    }
    Ok(())
}

fn error((id, module, mode): (String, Option<String>, Option<String>), fault: &Fault) -> Value {
    json!({
        "deviceId": id,
        "errorCode": https::name(fault),
        "errorStatus": fault.message,
        "moduleId": module,
        "operation": mode.unwrap_or_default(),
    })
}
