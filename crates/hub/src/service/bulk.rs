//! Many identities at once.

use super::{Service, registry::IdentityBody, reply, twins::TwinBody};
use crate::{fault::Fault, https};
use actix_web::{
    HttpResponse,
    web::{self, Bytes, ServiceConfig},
};
use muster_engine::{
    Engine, devices, policies::Right, precondition::IfMatch, registry_service as registry, twins_service as twins,
};
use muster_model::Caller;
use serde::Deserialize;
use serde_json::{Value, json};

/// Identities in one request.
const MAX_ITEMS: usize = 100;

pub(super) fn configure(config: &mut ServiceConfig) {
    config.route("/devices", web::post().to(change_devices));
}

/// What is to be done with one identity.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Item {
    id: String,
    #[serde(default)]
    module_id: Option<String>,
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
            let (id, mode) = (item.id.clone(), item.import_mode.clone().unwrap_or_default());
            if let Err(fault) = change_one(service.engine(), &caller, item).await {
                errors.push(error(&id, &mode, &fault));
            }
        }
        let status = if errors.is_empty() { 200 } else { 400 };
        let body = json!({"isSuccessful": errors.is_empty(), "errors": errors, "warnings": []});
        let status = actix_web::http::StatusCode::from_u16(status).unwrap_or_default();
        Ok(HttpResponse::build(status).json(body))
    };
    service.answer(change.await)
}

async fn change_one(engine: &Engine, caller: &Caller, item: Item) -> Result<(), Fault> {
    if item.module_id.is_some_and(|module| !module.is_empty()) {
        return Err(Fault::new(404, 404_010, "there are no modules here"));
    }
    let id = reply::device(&item.id)?;
    let condition = IfMatch::from_body(item.e_tag.as_deref());
    let twin_condition = IfMatch::from_body(item.twin_etag.as_deref());
    let identity = item.identity.read(&item.id)?;
    let twin = item.twin.merge();
    let mode = item.import_mode.unwrap_or_else(|| "create".into()).to_ascii_lowercase();
    match mode.as_str() {
        "create" => {
            registry::create(engine, caller, &id, identity).await?;
            if twin.tags.is_some() || twin.desired.is_some() {
                twins::change(engine, caller, &id, twin, &IfMatch::Any).await?;
            }
        }
        "update" => drop(registry::update(engine, caller, &id, identity, &IfMatch::Any).await?),
        "updateifmatchetag" => drop(registry::update(engine, caller, &id, identity, &condition).await?),
        "delete" => devices::delete(engine, caller, &id, &IfMatch::Any).await?,
        "deleteifmatchetag" => devices::delete(engine, caller, &id, &condition).await?,
        "updatetwin" => drop(twins::change(engine, caller, &id, twin, &IfMatch::Any).await?),
        "updatetwinifmatchetag" => drop(twins::change(engine, caller, &id, twin, &twin_condition).await?),
        _ => return Err(Fault::new(400, 400_004, "the import mode is not known")),
    }
    Ok(())
}

fn error(id: &str, mode: &str, fault: &Fault) -> Value {
    json!({
        "deviceId": id,
        "errorCode": https::name(fault),
        "errorStatus": fault.message,
        "moduleId": null,
        "operation": mode,
    })
}
