//! `openapi.json`: written from the handlers, committed, and checked against the code.

use crate::{live, routes};
use utoipa::{
    Modify, OpenApi,
    openapi::{
        Info, License, RefOr, Required, Response,
        path::{Operation, Parameter, ParameterBuilder, ParameterIn, PathItem},
        schema::{ObjectBuilder, Type},
        security::{ApiKey, ApiKeyValue, SecurityRequirement, SecurityScheme},
    },
};

#[derive(OpenApi)]
#[openapi(
    paths(
        routes::session::create_session,
        routes::session::get_session,
        routes::session::delete_session,
        routes::tenant::get_tenant,
        routes::tenant::patch_tenant,
        routes::tenant::get_statistics,
        routes::tenant::get_ledger,
        routes::hub::list_policies,
        routes::hub::regenerate_policy_key,
        routes::hub::list_certificate_authorities,
        routes::hub::put_certificate_authority,
        routes::hub::delete_certificate_authority,
        routes::hub::generate_verification_code,
        routes::hub::verify_certificate_authority,
        routes::search::search,
        live::stream_live,
        routes::devices::list_devices,
        routes::devices::get_device,
        routes::devices::put_device,
        routes::devices::patch_device,
        routes::devices::delete_device,
        routes::devices::get_device_credentials,
        routes::commands::run_command,
        routes::commands::list_command_runs,
        routes::commands::run_component_command,
        routes::commands::list_component_command_runs,
        routes::properties::get_properties,
        routes::properties::replace_properties,
        routes::properties::update_properties,
        routes::properties::get_component_properties,
        routes::properties::replace_component_properties,
        routes::properties::update_component_properties,
        routes::device_telemetry::get_telemetry_value,
        routes::device_telemetry::get_component_telemetry_value,
        routes::device_telemetry::list_latest_values,
        routes::history::get_telemetry_history,
        routes::history::get_device_telemetry_history,
        routes::events::list_events,
        routes::events::list_device_events,
        routes::health_series::get_health_series,
        routes::messages::list_device_messages,
        routes::messages::list_rejected_messages,
        routes::files::list_device_files,
        routes::files::get_device_file,
        routes::files::delete_device_file,
        routes::templates::list_device_templates,
        routes::templates::get_device_template,
        routes::templates::get_template_catalogue,
        routes::templates::put_device_template,
        routes::templates::import_device_template,
        routes::templates::patch_device_template,
        routes::templates::delete_device_template,
        routes::template_views::list_template_views,
        routes::template_views::generate_template_views,
        routes::template_views::get_template_view,
        routes::template_views::put_template_view,
        routes::template_views::delete_template_view,
        routes::template_life::get_template_draft,
        routes::template_life::put_template_draft,
        routes::template_life::delete_template_draft,
        routes::template_life::publish_template,
        routes::template_life::list_template_versions,
        routes::template_life::create_template_version,
        routes::template_life::get_template_impact,
        routes::template_life::assess_template_impact,
        routes::template_migrations::migrate_devices,
        routes::template_migrations::list_migrations,
        routes::template_migrations::get_migration,
        routes::template_migrations::list_migrated_devices,
        routes::template_migrations::cancel_migration,
        routes::template_migrations::undo_migration,
        routes::traffic::propose_template,
        routes::traffic::list_unmodeled_of_device,
        routes::traffic::list_unmodeled_of_template,
        routes::rules::list_rules,
        routes::rules::get_rule,
        routes::rules::put_rule,
        routes::rules::patch_rule,
        routes::rules::delete_rule,
        routes::alerts::list_alerts,
        routes::alerts::get_alert,
        routes::alerts::acknowledge_alert,
        routes::alerts::clear_alert,
        routes::device_groups::list_device_groups,
        routes::device_groups::get_device_group,
        routes::device_groups::put_device_group,
        routes::device_groups::patch_device_group,
        routes::device_groups::delete_device_group,
        routes::device_groups::list_device_group_devices,
        routes::device_groups::preview_device_group,
        routes::dashboards::list_dashboards,
        routes::dashboards::get_dashboard,
        routes::dashboards::put_dashboard,
        routes::dashboards::patch_dashboard,
        routes::dashboards::delete_dashboard,
        routes::tokens::list_api_tokens,
        routes::tokens::get_api_token,
        routes::tokens::create_api_token,
        routes::tokens::delete_api_token,
        routes::enrollment_groups::list_enrollment_groups,
        routes::enrollment_groups::get_enrollment_group,
        routes::users::list_users,
        routes::users::get_user,
        routes::users::list_roles,
        routes::users::get_role,
        routes::health::get_liveness,
        routes::health::get_readiness,
        routes::health::get_metrics,
        routes::health::get_authority,
    ),
    modifiers(&Common)
)]
struct Document;

const DESCRIPTION: &str = "Azure IoT Central's REST API, and resources of our own along its conventions.\n\n\
    Every path below `/api` but `/api/session` also stands below `/t/{tenant}/api`, where a browser's session cookie \
    names the person and the path names the tenant. Below `/api` the tenant is the API token's.";

/// Lists that come in one page.
const WHOLE_LISTS: [&str; 6] = [
    "list_roles",
    "list_latest_values",
    "list_policies",
    "list_certificate_authorities",
    "list_template_versions",
    "list_migrations",
];

/// The name of the security scheme for API tokens.
const TOKEN: &str = "apiToken";
/// The name of the security scheme for sessions.
const SESSION: &str = "session";

/// The description of the API, pretty JSON.
///
/// # Errors
/// Only where the description cannot be written as JSON, which a test rules out.
pub fn openapi() -> Result<String, serde_json::Error> {
    Document::openapi().to_pretty_json()
}

/// What all operations have in common.
struct Common;

impl Modify for Common {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        document.info = Info::new("Muster", env!("CARGO_PKG_VERSION"));
        document.info.description = Some(DESCRIPTION.to_owned());
        document.info.license = Some(License::new("Apache-2.0"));
        let components = document.components.get_or_insert_default();
        let token = ApiKeyValue::with_description("Authorization", "`SharedAccessSignature sr=…&sig=…&skn=…&se=…`");
        components.add_security_scheme(TOKEN, SecurityScheme::ApiKey(ApiKey::Header(token)));
        let session = ApiKeyValue::with_description(
            "muster_session",
            "set by signing in; a change also needs the header `x-muster-csrf` with the session's value",
        );
        components.add_security_scheme(SESSION, SecurityScheme::ApiKey(ApiKey::Cookie(session)));
        for (path, item) in &mut document.paths.paths {
            complete(path, item);
        }
    }
}

fn complete(path: &str, item: &mut PathItem) {
    let PathItem { get, put, post, patch, delete, .. } = item;
    for (reads, operation) in [(true, get), (false, put), (false, post), (false, patch), (false, delete)] {
        let Some(operation) = operation else { continue };
        operation.responses.responses.iter_mut().for_each(|(status, response)| describe(status, response));
        let parameters = operation.parameters.get_or_insert_default();
        parameters.splice(0..0, path_parameters(path));
        if !path.starts_with("/api/") || path == "/api/session" {
            continue;
        }
        let of_page = reads && is_list(operation);
        let parameters = operation.parameters.get_or_insert_default();
        parameters.push(text("api-version", ParameterIn::Query, Required::False));
        if of_page {
            parameters.push(text("maxpagesize", ParameterIn::Query, Required::False));
        }
        let security = [TOKEN, SESSION].map(|scheme| SecurityRequirement::new(scheme, Vec::<String>::new()));
        operation.security = Some(security.into());
    }
}

fn is_list(operation: &Operation) -> bool {
    operation.operation_id.as_deref().is_some_and(|id| id.starts_with("list_") && !WHOLE_LISTS.contains(&id))
}

/// Every response needs a description; most say all by their schema.
fn describe(status: &str, response: &mut RefOr<Response>) {
    if let RefOr::T(response) = response
        && response.description.is_empty()
    {
        response.description = if status == "default" { "an error" } else { "done" }.to_owned();
    }
}

/// `{deviceId}` → the parameter of that name.
fn path_parameters(path: &str) -> Vec<RefOr<Parameter>> {
    let names = path.split('{').skip(1).filter_map(|rest| rest.split('}').next());
    names.map(|name| text(name, ParameterIn::Path, Required::True)).collect()
}

fn text(name: &str, place: ParameterIn, required: Required) -> RefOr<Parameter> {
    let schema = ObjectBuilder::new().schema_type(Type::String);
    ParameterBuilder::new().name(name).parameter_in(place).required(required).schema(Some(schema)).build().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn the_description_is_complete() {
        let document: Value = serde_json::from_str(&openapi().unwrap()).unwrap();
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                let place = format!("{method} {path}");
                assert!(operation["summary"].is_string() && operation["operationId"].is_string(), "{place}");
                for (status, response) in operation["responses"].as_object().unwrap() {
                    assert!(response["description"].is_string(), "{place} {status}");
                }
                let named = operation["parameters"].as_array().into_iter().flatten().filter(|one| one["in"] == "path");
                assert_eq!(named.count(), path.matches('{').count(), "{place}");
            }
        }
        assert!(document["components"]["schemas"]["BuiltInRole"].is_object(), "the two kinds of role are told apart");
    }

    #[test]
    fn the_committed_description_is_this_one() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../openapi.json");
        let committed = std::fs::read_to_string(file).unwrap();
        let ours = openapi().unwrap();
        let same = ours.lines().zip(committed.lines()).take_while(|(ours, committed)| ours == committed).count();
        let place = same + 1;
        assert!(ours.trim_end() == committed.trim_end(), "line {place} differs: cargo run -- openapi > openapi.json");
    }

    #[test]
    fn fields_are_named_as_they_are_sent() {
        let document: Value = serde_json::from_str(&openapi().unwrap()).unwrap();
        let mut places = vec![&document["components"]["schemas"]];
        while let Some(place) = places.pop() {
            for name in place["properties"].as_object().into_iter().flat_map(|fields| fields.keys()) {
                assert!(!name.contains('_'), "{name} in {place}");
            }
            match place {
                Value::Object(members) => places.extend(members.values()),
                Value::Array(items) => places.extend(items),
                _ => {}
            }
        }
    }
}
