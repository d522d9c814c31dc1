//! The service API over HTTPS: what back-end services do with the hub, under a policy's token
//! (`iot-hub-wire.md` §6). Every `api-version` is answered alike.

mod bulk;
mod caller;
mod configurations;
mod digital_twins;
mod events;
mod files;
mod jobs;
pub(crate) mod lock;
mod messages;
mod methods;
mod modules;
mod query;
mod registry;
mod reply;
mod twins;

pub(crate) use caller::Service;
pub(crate) use reply::body;

use actix_web::web::ServiceConfig;

/// The routes.
pub(crate) fn configure(config: &mut ServiceConfig) {
    query::configure(config);
    bulk::configure(config);
    registry::configure(config);
    twins::configure(config);
    methods::configure(config);
    modules::configure(config);
    configurations::configure(config);
    digital_twins::configure(config);
    jobs::configure(config);
    messages::configure(config);
    events::configure(config);
    files::configure(config);
}
