//! The demonstration: a tenant with machines of a factory, assets of a hospital and rooms of an office, all simulated.

use crate::{
    Engine, EngineError, Problem, dashboards,
    devices::{self, Insert, NewDevice},
    events,
    notices::NoticeKind,
    precondition::IfMatch,
    provisioning, rules, templates,
    tenants::{self, Bootstrap},
};
use muster_model::{
    Caller, DeviceId, RuleId, SystemScope, TemplateId, TenantId,
    dashboard::Dashboard,
    rule::{Condition, Match, Operator, Rule, Severity},
    template::Template,
    wire::twin,
};
use muster_store::{Tx, tenants as stored, twins};
use secrecy::SecretString;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use std::fmt;
use uuid::Uuid;

const TENANT: &str = "demo";
const EMAIL: &str = "admin@demo.local";
/// Known to everybody: the demonstration listens on loopback and holds nothing worth hiding.
const PASSWORD: &str = "muster-demo";

const TEMPLATES: [&str; 3] =
    [include_str!("documents/machine.json"), include_str!("documents/asset.json"), include_str!("documents/room.json")];
const DASHBOARDS: [&str; 3] = [
    include_str!("documents/dashboard-factory.json"),
    include_str!("documents/dashboard-hospital.json"),
    include_str!("documents/dashboard-office.json"),
];
const DEVICES: &str = include_str!("documents/devices.json");
const RULES: &str = include_str!("documents/rules.json");

/// How to look at the demonstration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Demo {
    /// The tenant.
    pub tenant: &'static str,
    /// Whom to sign in as.
    pub email: &'static str,
    /// With which password.
    pub password: &'static str,
}

impl fmt::Display for Demo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tenant {}, user {}, password {}", self.tenant, self.email, self.password)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DemoDevice {
    id: DeviceId,
    display_name: String,
    template: TemplateId,
    tags: Map<String, Value>,
    reported: Map<String, Value>,
}

#[derive(Deserialize)]
struct DemoRule {
    name: String,
    template: TemplateId,
    telemetry: String,
    operator: Operator,
    value: Value,
    severity: Severity,
}

/// Makes the demonstration's tenant whole, or leaves the one that there is as it is. The simulator then plays its
/// devices, and gives each a past when it first does.
///
/// # Errors
/// [`EngineError::Unavailable`].
pub async fn seed(engine: &Engine) -> Result<Demo, EngineError> {
    let demo = Demo { tenant: TENANT, email: EMAIL, password: PASSWORD };
    let wanted = Bootstrap {
        tenant: TenantId::parse(TENANT)?,
        name: "Muster demonstration".into(),
        admin_email: EMAIL.into(),
        admin_password: SecretString::from(PASSWORD),
    };
    if exists(engine, &wanted.tenant).await? {
        return Ok(demo);
    }
    let password_hash = tenants::check(engine, &wanted).await?;
    let tx = engine.store().begin_system(&SystemScope).await?;
    let made = match tenants::make(&tx, engine, &wanted, password_hash).await {
        Ok(made) => made,
        // Another process was faster.
        Err(EngineError::Conflict { .. }) => return Ok(demo),
        Err(error) => return Err(error),
    };
    furnish(&tx, engine, &made.caller).await?;
    tx.commit().await?;
    engine.notify(made.caller.scope.tenant, NoticeKind::Tenant, TENANT).await;
    tracing::info!(tenant.id = TENANT, "the demonstration was made");
    Ok(demo)
}

async fn exists(engine: &Engine, tenant: &TenantId) -> Result<bool, EngineError> {
    let tx = engine.store().begin_system_read(&SystemScope).await?;
    Ok(stored::find_by_id(&tx, &SystemScope, tenant).await?.is_some())
}

async fn furnish(tx: &Tx, engine: &Engine, caller: &Caller) -> Result<(), EngineError> {
    for text in TEMPLATES {
        let template = Template::import_text(text, None)
            .map_err(|problems| EngineError::Invalid { problems: problems.into_iter().map(Problem::from).collect() })?;
        templates::write(tx, engine, caller, &template, &IfMatch::Any).await?;
    }
    for device in read::<Vec<DemoDevice>>(DEVICES)? {
        add_device(tx, engine, caller, device).await?;
    }
    for text in DASHBOARDS {
        let mut dashboard: Dashboard = read(text)?;
        dashboards::complete(&mut dashboard)?;
        dashboards::write(tx, engine, caller, &dashboard, &IfMatch::Any).await?;
    }
    for rule in read::<Vec<DemoRule>>(RULES)? {
        rules::write(tx, engine, caller, rule.into(), None).await?;
    }
    Ok(())
}

async fn add_device(tx: &Tx, engine: &Engine, caller: &Caller, demo: DemoDevice) -> Result<(), EngineError> {
    let keys = provisioning::keys_of_new(tx, engine, &caller.scope, &demo.id).await?;
    let new = NewDevice {
        id: demo.id,
        display_name: Some(demo.display_name),
        template: Some(demo.template),
        enabled: true,
        simulated: true,
    };
    let device = devices::insert(tx, engine, caller, Insert { new, keys, provisioned: true }).await?;
    let mut twin = twins::lock(tx, &caller.scope, device.key).await?;
    twin::patch_reported(&mut twin, &demo.reported, engine.clock().now())?;
    twin::patch_tags(&mut twin, &demo.tags)?;
    twins::update(tx, &caller.scope, device.key, &twin).await?;
    events::created(tx, engine, &caller.scope, &device).await
}

impl From<DemoRule> for Rule {
    fn from(demo: DemoRule) -> Self {
        let condition = Condition { telemetry: demo.telemetry, operator: demo.operator, value: demo.value };
        Self {
            id: RuleId(Uuid::now_v7()),
            display_name: demo.name,
            enabled: true,
            template: demo.template,
            matching: Match::All,
            conditions: vec![condition],
            severity: demo.severity,
            actions: Vec::new(),
            version: 1,
        }
    }
}

/// The documents are part of the program; a test reads them all.
fn read<T: DeserializeOwned>(text: &str) -> Result<T, EngineError> {
    serde_json::from_str(text).map_err(|error| EngineError::corrupt("demonstration document", TENANT, error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_model::rule::validate;

    #[test]
    fn the_documents_are_valid_and_fit_each_other() {
        let templates: Vec<Template> = TEMPLATES
            .iter()
            .map(|text| Template::import_text(text, None).unwrap_or_else(|problems| panic!("{problems:?}")))
            .collect();
        let of = |id: &TemplateId| templates.iter().find(|template| template.id == *id).expect("a template");
        for rule in read::<Vec<DemoRule>>(RULES).expect("rules") {
            let rule = Rule::from(rule);
            validate(&rule, of(&rule.template)).expect("a valid rule");
        }
        for device in read::<Vec<DemoDevice>>(DEVICES).expect("devices") {
            let template = of(&device.template);
            for name in device.tags.keys().chain(device.reported.keys()) {
                assert!(template.capability(name).is_some(), "{} has no {name}", template.id);
            }
        }
        for text in DASHBOARDS {
            let mut dashboard: Dashboard = read(text).expect("a dashboard");
            dashboards::complete(&mut dashboard).expect("a valid dashboard");
        }
    }
}
