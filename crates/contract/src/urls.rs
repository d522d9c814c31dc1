//! Addresses of the API, for the browser: always below `/t/{tenant}/api`, so that two tabs may hold two tenants.

use muster_model::{
    AlertId, DashboardId, DeviceGroupId, DeviceId, FileName, JobId, RuleId, TemplateId, TenantId, TokenId, ViewId,
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::fmt::Display;

/// Signing in (`POST`), who is signed in (`GET`), signing out (`DELETE`).
pub const SESSION: &str = "/api/session";

/// What may stand in a path segment or a query value as it is (RFC 3986, unreserved).
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The API of one tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantUrls {
    base: String,
}

impl TenantUrls {
    /// The addresses of `tenant`.
    pub fn new(tenant: &TenantId) -> Self {
        Self { base: format!("/t/{tenant}/api") }
    }

    /// The tenant itself.
    pub fn tenant(&self) -> String {
        self.join("tenant")
    }

    /// The policies by which services prove themselves, with their keys.
    pub fn policies(&self) -> String {
        self.join("policies")
    }

    /// Where one key of a policy is replaced.
    pub fn regenerate_policy_key(&self, policy: &str) -> String {
        self.join(&format!("policies/{}/regenerateKey", escape(policy)))
    }

    /// The tenant's health from a time on, in intervals like `PT5M`.
    pub fn health_series(&self, from_ms: i64, interval: &str) -> String {
        self.join(&Query::new("health/series").with("from", from_ms).with("interval", interval).finish())
    }

    /// What happened to devices and what went wrong with them, newest first.
    pub fn events(&self) -> String {
        self.join("events")
    }

    /// How many of what there is; devices only of `template` where one is given.
    pub fn statistics(&self, template: Option<&TemplateId>) -> String {
        self.join(&Query::new("statistics").with_some("template", template).finish())
    }

    /// The ledger of messages.
    pub fn ledger(&self) -> String {
        self.join("ledger")
    }

    /// Everything whose name or id holds `text`.
    pub fn search(&self, text: &str) -> String {
        self.join(&Query::new("search").with("q", text).finish())
    }

    /// The live stream; `devices` empty = of all.
    pub fn live(&self, devices: &[DeviceId]) -> String {
        self.join(&Query::new("live").with_list("devices", devices).finish())
    }

    /// A page of devices.
    pub fn devices(&self, list: &DeviceList) -> String {
        let query = Query::new("devices")
            .with_some("template", list.template.as_ref())
            .with_some("q", list.search.as_ref())
            .with_some("maxpagesize", list.page_size);
        self.join(&query.finish())
    }

    /// A device.
    pub fn device(&self, device: &DeviceId) -> String {
        self.join(&format!("devices/{}", escape(device)))
    }

    /// A part of a device: `credentials`, `properties`, `rejected`.
    fn device_part(&self, device: &DeviceId, part: &str) -> String {
        format!("{}/{part}", self.device(device))
    }

    /// A device's keys.
    pub fn credentials(&self, device: &DeviceId) -> String {
        self.device_part(device, "credentials")
    }

    /// A device's properties.
    pub fn properties(&self, device: &DeviceId) -> String {
        self.device_part(device, "properties")
    }

    /// The newest messages of a device, or those before a time given by `nextLink`.
    pub fn messages(&self, device: &DeviceId) -> String {
        self.device_part(device, "messages")
    }

    /// The newest messages of a device that were not understood.
    pub fn rejected(&self, device: &DeviceId) -> String {
        self.device_part(device, "rejected")
    }

    /// What happened to a device, and what went wrong with it, newest first.
    pub fn device_events(&self, device: &DeviceId) -> String {
        self.device_part(device, "events")
    }

    /// Where a command of a device, or of its component, is run and its runs are listed.
    pub fn command(&self, device: &DeviceId, component: Option<&str>, name: &str) -> String {
        let component = component.map(|component| format!("components/{}/", escape(component))).unwrap_or_default();
        self.device_part(device, &format!("{component}commands/{}", escape(name)))
    }

    /// The files that a device has uploaded.
    pub fn files(&self, device: &DeviceId) -> String {
        self.device_part(device, "files")
    }

    /// A file of a device.
    pub fn file(&self, device: &DeviceId, name: &FileName) -> String {
        let name: Vec<String> = name.as_str().split('/').map(escape).collect();
        format!("{}/{}", self.files(device), name.join("/"))
    }

    /// The telemetry of devices over time.
    pub fn history(&self, history: &HistoryQuery) -> String {
        let query = Query::new("telemetry-history")
            .with_some("template", history.template.as_ref())
            .with_list("devices", &history.devices)
            .with_list("keys", &history.keys)
            .with("from", history.from_ms)
            .with("to", history.to_ms)
            .with("buckets", history.buckets);
        self.join(&query.finish())
    }

    /// The last known values of devices; `devices` empty = of all of the template.
    pub fn latest(&self, template: Option<&TemplateId>, devices: &[DeviceId], keys: &[String]) -> String {
        let query = Query::new("telemetry-latest")
            .with_some("template", template)
            .with_list("devices", devices)
            .with_list("keys", keys);
        self.join(&query.finish())
    }

    /// The list of device groups.
    pub fn groups(&self) -> String {
        self.join("deviceGroups")
    }

    /// A device group.
    pub fn group(&self, group: &DeviceGroupId) -> String {
        self.join(&format!("deviceGroups/{group}"))
    }

    /// The devices that a group of a query would have.
    pub fn group_preview(&self, most: u32) -> String {
        self.join(&format!("deviceGroupPreview?maxpagesize={most}"))
    }

    /// The list of device templates.
    pub fn templates(&self) -> String {
        self.join("deviceTemplates")
    }

    /// A device template.
    pub fn template(&self, template: &TemplateId) -> String {
        self.join(&format!("deviceTemplates/{}", escape(template)))
    }

    /// A part of a device template: `draft`, `publish`, `versions`, `impact`, `migrate`.
    fn template_part(&self, template: &TemplateId, part: &str) -> String {
        format!("{}/{part}", self.template(template))
    }

    /// A device template's draft (`GET`, `PUT`, `DELETE`).
    pub fn template_draft(&self, template: &TemplateId) -> String {
        self.template_part(template, "draft")
    }

    /// `POST`: the draft is what devices have from now on.
    pub fn publish_template(&self, template: &TemplateId) -> String {
        self.template_part(template, "publish")
    }

    /// The versions of a device template (`GET`); the next one is made by `POST`.
    pub fn template_versions(&self, template: &TemplateId) -> String {
        self.template_part(template, "versions")
    }

    /// What a document that is `POST`ed would change; by `GET`, what a delete would.
    pub fn template_impact(&self, template: &TemplateId) -> String {
        self.template_part(template, "impact")
    }

    /// `POST`: devices move to another template.
    pub fn migrate_devices(&self, template: &TemplateId) -> String {
        self.template_part(template, "migrate")
    }

    /// The moves of devices from a template.
    pub fn migrations(&self, template: &TemplateId) -> String {
        self.template_part(template, "migrations")
    }

    /// What became of each device of a move.
    pub fn migrated_devices(&self, template: &TemplateId, migration: &JobId) -> String {
        format!("{}/{}/devices", self.migrations(template), escape(migration))
    }

    /// `POST`: the devices of a move go back.
    pub fn undo_migration(&self, template: &TemplateId, migration: &JobId) -> String {
        format!("{}/{}/undo", self.migrations(template), escape(migration))
    }

    /// The views of a device template; `POST` makes the default ones.
    pub fn template_views(&self, template: &TemplateId) -> String {
        format!("{}/views", self.template(template))
    }

    /// A view of a device template.
    pub fn template_view(&self, template: &TemplateId, view: &ViewId) -> String {
        format!("{}/{view}", self.template_views(template))
    }

    /// Where a document is `POST`ed that names its own id: a DTDL file or an exported template.
    pub fn import_template(&self) -> String {
        self.templates()
    }

    /// Templates for common kinds of sensors, to be imported.
    pub fn template_catalogue(&self) -> String {
        self.join("templateCatalogue")
    }

    /// A template guessed from what a device has sent.
    pub fn template_proposal(&self, device: &DeviceId) -> String {
        self.device_part(device, "templateProposal")
    }

    /// What a device sent that its template does not know.
    pub fn unmodeled_of_device(&self, device: &DeviceId) -> String {
        self.device_part(device, "unmodeled")
    }

    /// What the devices of a template sent that it does not know.
    pub fn unmodeled_of_template(&self, template: &TemplateId) -> String {
        format!("{}/unmodeled", self.template(template))
    }

    /// The list of rules.
    pub fn rules(&self) -> String {
        self.join("rules")
    }

    /// A rule.
    pub fn rule(&self, rule: RuleId) -> String {
        self.join(&format!("rules/{rule}"))
    }

    /// A page of alerts, newest first; `device` only of one.
    pub fn alerts(&self, device: Option<&DeviceId>) -> String {
        self.join(&Query::new("alerts").with_some("device", device).finish())
    }

    /// `POST`: somebody has looked at the alert.
    pub fn acknowledge_alert(&self, alert: AlertId) -> String {
        self.join(&format!("alerts/{alert}/acknowledge"))
    }

    /// `POST`: the alert is over.
    pub fn clear_alert(&self, alert: AlertId) -> String {
        self.join(&format!("alerts/{alert}/clear"))
    }

    /// The list of dashboards.
    pub fn dashboards(&self) -> String {
        self.join("dashboards")
    }

    /// A dashboard.
    pub fn dashboard(&self, dashboard: &DashboardId) -> String {
        self.join(&format!("dashboards/{}", escape(dashboard)))
    }

    /// The list of API tokens.
    pub fn tokens(&self) -> String {
        self.join("apiTokens")
    }

    /// An API token.
    pub fn token(&self, token: &TokenId) -> String {
        self.join(&format!("apiTokens/{}", escape(token)))
    }

    /// The list of enrollment groups.
    pub fn enrollment_groups(&self) -> String {
        self.join("enrollmentGroups")
    }

    /// The list of users.
    pub fn users(&self) -> String {
        self.join("users")
    }

    fn join(&self, path: &str) -> String {
        format!("{}/{path}", self.base)
    }
}

/// Which devices [`TenantUrls::devices`] lists.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeviceList {
    /// Only of this template.
    pub template: Option<TemplateId>,
    /// Only those whose name or id holds this.
    pub search: Option<String>,
    /// 1 to 100; 25 where absent.
    pub page_size: Option<u32>,
}

/// What [`TenantUrls::history`] asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryQuery {
    /// The template of the devices; needed where `devices` is empty.
    pub template: Option<TemplateId>,
    /// The devices; empty = of all of the template (at most 20 are given).
    pub devices: Vec<DeviceId>,
    /// Telemetry keys; empty = all numeric ones of a single device.
    pub keys: Vec<String>,
    /// The start, in milliseconds since 1970.
    pub from_ms: i64,
    /// The end, in milliseconds since 1970.
    pub to_ms: i64,
    /// How many buckets, 1 to 2000.
    pub buckets: u32,
}

struct Query {
    text: String,
    separator: char,
}

impl Query {
    fn new(path: &str) -> Self {
        Self { text: path.to_owned(), separator: '?' }
    }

    fn with(mut self, name: &str, value: impl Display) -> Self {
        self.text.push(self.separator);
        self.text.push_str(name);
        self.text.push('=');
        self.text.push_str(&escape(value));
        self.separator = '&';
        self
    }

    fn with_some(self, name: &str, value: Option<impl Display>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// The name once for each value: ids and keys may hold commas.
    fn with_list<T: Display>(self, name: &str, values: &[T]) -> Self {
        values.iter().fold(self, |query, value| query.with(name, value))
    }

    fn finish(self) -> String {
        self.text
    }
}

fn escape(value: impl Display) -> String {
    utf8_percent_encode(&value.to_string(), ESCAPED).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_escaped() {
        let urls = TenantUrls::new(&TenantId::parse("demo").unwrap());
        let device = DeviceId::parse("a#b?c%d,e").unwrap();
        assert_eq!(urls.properties(&device), "/t/demo/api/devices/a%23b%3Fc%25d%2Ce/properties");
        let file = FileName::parse("logs/a #1.txt").unwrap();
        assert_eq!(urls.file(&DeviceId::parse("d").unwrap(), &file), "/t/demo/api/devices/d/files/logs/a%20%231.txt");
        assert_eq!(urls.live(&[]), "/t/demo/api/live");
        assert_eq!(
            urls.live(&[device.clone(), device]),
            "/t/demo/api/live?devices=a%23b%3Fc%25d%2Ce&devices=a%23b%3Fc%25d%2Ce"
        );
        assert_eq!(urls.search("a b&c"), "/t/demo/api/search?q=a%20b%26c");
    }

    #[test]
    fn lists_leave_out_what_is_not_asked_for() {
        let urls = TenantUrls::new(&TenantId::parse("demo").unwrap());
        assert_eq!(urls.devices(&DeviceList::default()), "/t/demo/api/devices");
        let list = DeviceList { search: Some("ward".into()), page_size: Some(50), template: None };
        assert_eq!(urls.devices(&list), "/t/demo/api/devices?q=ward&maxpagesize=50");
    }
}
