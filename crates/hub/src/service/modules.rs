//! Module identities.

use super::{Service, registry::AuthenticationBody, reply};
use crate::fault::Fault;
use actix_web::{
    HttpResponse,
    web::{self, Bytes, Path, ServiceConfig},
};
use muster_engine::{
    modules::{self, ModuleIdentity},
    policies::Right,
    precondition::IfMatch,
};
use serde::Deserialize;

pub(super) fn configure(config: &mut ServiceConfig) {
    config
        .route("/devices/{id}/modules", web::get().to(list_modules))
        .route("/devices/{id}/modules/{module}", web::get().to(get_module))
        .route("/devices/{id}/modules/{module}", web::put().to(put_module))
        .route("/devices/{id}/modules/{module}", web::delete().to(delete_module));
}

/// A module as clients write it; what they do not know of is ignored.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ModuleBody {
    device_id: Option<String>,
    module_id: Option<String>,
    managed_by: Option<String>,
    authentication: Option<AuthenticationBody>,
}

/// Longer texts are of no use.
const MAX_MANAGER_BYTES: usize = 128;

impl ModuleBody {
    pub(super) fn read(self, device: &str, module: &str) -> Result<ModuleIdentity, Fault> {
        let bad = |message: &str| Fault::new(400, 400_004, message);
        if self.device_id.is_some_and(|named| named != device) || self.module_id.is_some_and(|named| named != module) {
            return Err(bad("the body is of another module"));
        }
        if self.managed_by.as_ref().is_some_and(|manager| manager.len() > MAX_MANAGER_BYTES) {
            return Err(bad("managedBy is too long"));
        }
        let authentication = self.authentication.map(AuthenticationBody::read).transpose()?.flatten();
        Ok(ModuleIdentity { managed_by: self.managed_by, authentication })
    }
}

async fn list_modules(service: Service, id: Path<String>) -> HttpResponse {
    let list = async {
        let caller = service.may(Right::RegistryRead)?;
        Ok(HttpResponse::Ok().json(modules::list(service.engine(), &caller, &reply::device(&id)?).await?))
    };
    service.answer(list.await)
}

async fn get_module(service: Service, path: Path<(String, String)>) -> HttpResponse {
    let get = async {
        let caller = service.may(Right::RegistryRead)?;
        let (device, module) = reply::module(&path)?;
        Ok(reply::document(&modules::get(service.engine(), &caller, (&device, &module)).await?, "etag"))
    };
    service.answer(get.await)
}

/// Without `If-Match` the module is made (201), with it it is changed.
async fn put_module(service: Service, path: Path<(String, String)>, body: Bytes) -> HttpResponse {
    let put = async {
        let caller = service.may(Right::RegistryWrite)?;
        let (device, module) = reply::module(&path)?;
        let identity = reply::body::<ModuleBody>(&body)?.read(&path.0, &path.1)?;
        let (engine, address) = (service.engine(), (&device, &module));
        match service.if_match() {
            None => {
                let mut made = reply::document(&modules::create(engine, &caller, address, identity).await?, "etag");
                *made.status_mut() = actix_web::http::StatusCode::CREATED;
                Ok(made)
            }
            Some(condition) => {
                let changed = modules::update(engine, &caller, address, identity, &condition).await?;
                Ok(reply::document(&changed, "etag"))
            }
        }
    };
    service.answer(put.await)
}

async fn delete_module(service: Service, path: Path<(String, String)>) -> HttpResponse {
    let delete = async {
        let caller = service.may(Right::RegistryWrite)?;
        let (device, module) = reply::module(&path)?;
        let condition = service.if_match().unwrap_or(IfMatch::Any);
        modules::delete(service.engine(), &caller, (&device, &module), &condition).await?;
        Ok(HttpResponse::NoContent().finish())
    };
    service.answer(delete.await)
}
