//! The resources, one file each.

pub(crate) mod alerts;
pub(crate) mod commands;
pub(crate) mod dashboards;
pub(crate) mod device_groups;
pub(crate) mod device_telemetry;
pub(crate) mod devices;
pub(crate) mod enrollment_groups;
pub(crate) mod events;
pub(crate) mod files;
pub(crate) mod health;
pub(crate) mod health_series;
pub(crate) mod history;
pub(crate) mod hub;
pub(crate) mod messages;
pub(crate) mod properties;
pub(crate) mod rules;
pub(crate) mod search;
pub(crate) mod session;
pub(crate) mod template_life;
pub(crate) mod template_migrations;
pub(crate) mod template_views;
pub(crate) mod templates;
pub(crate) mod tenant;
pub(crate) mod tokens;
pub(crate) mod traffic;
pub(crate) mod users;

use actix_web::web::ServiceConfig;

/// Every resource of a tenant.
pub(crate) fn configure(service: &mut ServiceConfig) {
    alerts::configure(service);
    commands::configure(service);
    dashboards::configure(service);
    device_groups::configure(service);
    device_telemetry::configure(service);
    devices::configure(service);
    enrollment_groups::configure(service);
    events::configure(service);
    health_series::configure(service);
    files::configure(service);
    history::configure(service);
    hub::configure(service);
    messages::configure(service);
    properties::configure(service);
    rules::configure(service);
    search::configure(service);
    template_life::configure(service);
    template_migrations::configure(service);
    template_views::configure(service);
    templates::configure(service);
    tenant::configure(service);
    tokens::configure(service);
    traffic::configure(service);
    users::configure(service);
}
