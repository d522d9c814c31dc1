//! What devices do over HTTPS: send telemetry, fetch their messages one by one, upload files (`iot-hub-wire.md` §5). Every
//! `api-version` is answered alike.

mod caller;
mod events;
mod files;
mod messages;

use actix_web::web::ServiceConfig;

/// The routes.
pub(crate) fn configure(config: &mut ServiceConfig) {
    events::configure(config);
    files::configure(config);
    messages::configure(config);
}
