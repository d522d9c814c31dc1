//! How requests find their handlers.

use crate::{
    ApiParts,
    error::ApiError,
    extract, live,
    middleware::{authenticate, context},
    routes,
    web::WebApp,
};
use actix_web::{
    middleware::{Compress, from_fn},
    web as actix,
};
use muster_engine::{Engine, EngineError, certificates};
use muster_model::Caller;
use muster_store::{StoreError, Tx};
use tokio::sync::OnceCell;

/// What every handler can reach.
pub(crate) struct Api {
    parts: ApiParts,
    web: WebApp,
    authority: OnceCell<String>,
}

/// The routes of the API and of the web app, for `App::new().configure(…)`. Reads the web app's files now, so that no
/// request waits for a disk.
pub fn configure(parts: ApiParts) -> impl Fn(&mut actix::ServiceConfig) + Clone + Send + 'static {
    let web = WebApp::load(parts.config.web_dir.as_deref());
    let api = actix::Data::new(Api { parts, web, authority: OnceCell::new() });
    move |service: &mut actix::ServiceConfig| {
        service.app_data(api.clone()).service(
            actix::scope("")
                .wrap(from_fn(context::with_context))
                .configure(routes::health::configure)
                .service(tenant_scope("/t/{tenant}/api"))
                .service(actix::scope("/api").configure(routes::session::configure).service(tenant_scope("")))
                .default_service(actix::to(crate::web::serve)),
        );
    }
}

/// Every resource of one tenant below `prefix`.
fn tenant_scope(prefix: &str) -> impl actix_web::dev::HttpServiceFactory + 'static {
    actix::scope(prefix)
        .wrap(from_fn(authenticate::authenticate))
        .configure(extract::limits)
        // The live stream stands before the compression, which would hold its events back.
        .configure(live::configure)
        .service(
            actix::scope("")
                .wrap(Compress::default())
                .configure(routes::configure)
                .default_service(actix::to(async || -> Result<&'static str, ApiError> { Err(ApiError::NoRoute) })),
        )
}

impl Api {
    /// The use cases.
    pub(crate) fn engine(&self) -> &Engine {
        &self.parts.engine
    }

    /// What the composition gave.
    pub(crate) fn parts(&self) -> &ApiParts {
        &self.parts
    }

    /// The web app's files.
    pub(crate) fn web(&self) -> &WebApp {
        &self.web
    }

    /// A transaction that reads the caller's tenant.
    pub(crate) async fn read(&self, caller: &Caller) -> Result<Tx, StoreError> {
        self.parts.engine.store().begin(&caller.scope).await
    }

    /// What devices must trust, PEM. It is the same for the life of the process.
    pub(crate) async fn authority(&self) -> Result<&str, EngineError> {
        let pem = async || certificates::hub_tls(&self.parts.engine).await.map(|tls| tls.ca_pem);
        self.authority.get_or_try_init(pem).await.map(String::as_str)
    }
}
