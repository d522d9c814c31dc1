//! Tenants are kept apart: by the scope, and on PostgreSQL by row-level security behind it.

use crate::{
    configurations::document,
    devices::rule,
    events::{event, failure},
    harness::{self, Db, at, id},
    ingest::{owner, row, shape},
    jobs::new_job,
};
use muster_model::{
    Role, Scope, SystemScope, UserId,
    c2d::{Feedback, Outcome},
    event::{FailureCode, Operation},
    job::Realm,
};
use muster_store::{
    Paging, StoreError, Tx, alerts, audit, authorities, c2d, command_runs, configurations, counters, dashboards,
    devices::{self, DeviceFilter},
    enrollment, events, failures, files, groups, health, hub_sessions, individual_enrollments, jobs, modules, outbox,
    registrations, rules,
    telemetry::{self, HistoryQuery, LatestValues},
    template_views, templates, tokens, twins, users,
};
use sea_orm::sqlx::{self, AssertSqlSafe, Connection, PgConnection, Row};
use serde_json::{Map, json};
use uuid::Uuid;

crate::on_both!(a_stranger_finds_nothing);

/// Puts something of everything into the first tenant.
async fn fill(db: &Db) -> muster_model::device::Device {
    let scope = &db.scope;
    let device = db.device("pump-1").await;
    let tx = db.store.begin_system(&SystemScope).await.expect("begins");
    let user =
        users::User { id: id("ada"), email: "ada@example.com".into(), display_name: "Ada".into(), created_at: at(0) };
    users::insert(&tx, &SystemScope, users::Credentials { user, password_hash: "x".into() }).await.expect("inserts");
    users::add_member(&tx, scope, &id("ada"), Role::Builder, at(0)).await.expect("adds");
    let latest = LatestValues { seen_ms: 1, ..Default::default() };
    telemetry::flush_latest(&tx, &SystemScope, &[(device.key, latest)]).await.expect("flushes");
    hub_sessions::renew_lease(&tx, &SystemScope, "hub-1", at(1000)).await.expect("registers");
    let session = hub_sessions::NewHubSession { tenant: scope.tenant, device: device.key, connected_at: at(0) };
    hub_sessions::open(&tx, &SystemScope, "hub-1", &[session]).await.expect("opens");
    events::append(&tx, scope, event("pump-1", 0, Operation::UpdateTwin));
    let failure = failure(db, "pump-1", FailureCode::WrongKey, 1, (0, 0));
    failures::add(&tx, &SystemScope, &[failure]).await.expect("adds");
    health::add(&tx, &SystemScope, &[((scope.tenant, "deviceDataUsage"), 1)].into()).await.expect("adds");
    health::sample(&tx, &SystemScope, at(0)).await.expect("samples");
    tx.commit().await.expect("commits");

    let tx = db.store.begin(scope).await.expect("begins");
    let token =
        tokens::ApiToken { id: id("token"), role: Role::Viewer, created_at: at(0), expires_at: None, last_used: None };
    tokens::insert(&tx, scope, token, &[1; 32]).await.expect("inserts");
    devices::set_credentials(&tx, scope, device.key, b"keys").await.expect("sets");
    let subscribed = hub_sessions::Subscribed { filters: vec!["a".into()], expiry_seconds: None };
    hub_sessions::save_subscriptions(&tx, scope, device.key, None, &subscribed).await.expect("saves");
    let template = templates::StoredTemplate {
        id: id("dtmi:muster:pump;1"),
        display_name: "Pump".into(),
        document: json!({}),
        published: true,
        draft: None,
        version: 1,
        created_at: at(0),
        updated_at: at(0),
    };
    templates::insert(&tx, scope, &template).await.expect("inserts");
    let publication = templates::Publication {
        template: template.id.clone(),
        version: 1,
        published_at: at(0),
        published_by: "Ada".into(),
        changes: Vec::new(),
    };
    templates::insert_publication(&tx, scope, &publication).await.expect("inserts");
    let view: muster_model::template::View =
        serde_json::from_value(json!({"id": "overview", "displayName": "Overview", "type": "view", "tiles": []}))
            .expect("a view");
    template_views::insert(&tx, scope, &template.id, &view).await.expect("inserts");
    let group = enrollment::EnrollmentGroup {
        id: id("group"),
        display_name: "Group".into(),
        enabled: true,
        kind: enrollment::EnrollmentKind::Iot,
        attestation: enrollment::Attestation::SymmetricKey { encrypted: vec![1] },
        settings: serde_json::Map::new(),
        created_at: at(0),
        updated_at: at(0),
        version: 1,
    };
    enrollment::insert(&tx, scope, &group).await.expect("inserts");
    let registration = registrations::Registration {
        id: id("pump-1"),
        device: device.id.clone(),
        group: None,
        payload: None,
        created_at: at(0),
        updated_at: at(0),
    };
    registrations::put(&tx, scope, &registration).await.expect("puts");
    rules::insert(&tx, scope, &rule(1, true), at(0)).await.expect("inserts");
    let job = new_job("job", 0);
    jobs::insert(&tx, scope, Realm::Hub, &job).await.expect("inserts");
    let devices = (&[id("pump-1")][..], None);
    jobs::add_devices(&tx, scope, (Realm::Hub, &job.id), devices, at(0)).await.expect("adds");
    configurations::insert(&tx, scope, (&id("wanted"), &document(1)), at(0)).await.expect("inserts");
    configurations::set_due(&tx, scope, at(0)).await.expect("sets");
    let enrollment = individual_enrollments::IndividualEnrollment {
        id: id("pump-2"),
        enabled: true,
        attestation: enrollment::Attestation::X509 { encrypted: vec![1] },
        settings: Map::new(),
        created_at: at(0),
        updated_at: at(0),
        version: 1,
    };
    individual_enrollments::insert(&tx, scope, &enrollment).await.expect("inserts");
    let authority = authorities::Authority {
        id: id("plant"),
        certificate: vec![1],
        verified: true,
        verification_code: None,
        created_at: at(0),
        version: 1,
    };
    authorities::insert(&tx, scope, &authority).await.expect("inserts");
    let message = c2d::NewMessage {
        message_id: "m".into(),
        feedback: Feedback::Full,
        bag: String::new(),
        payload: Vec::new(),
        enqueued_at: at(0),
        expires_at: at(1000),
    };
    c2d::insert(&tx, scope, device.key, message, 50).await.expect("inserts");
    let settled = [c2d::Settled { device: device.key, message_id: "n".into(), feedback: Feedback::Full }];
    c2d::insert_feedback(&tx, scope, &settled, Outcome::Success, at(0)).await.expect("inserts");
    let upload = files::Upload {
        id: muster_model::UploadId(Uuid::from_u128(1)),
        device: device.key,
        device_id: device.id.clone(),
        name: id("log.txt"),
        expires_at: at(1000),
    };
    assert!(files::insert_upload(&tx, scope, &upload, at(0), 10).await.expect("inserts"));
    files::insert_object(&tx, scope, device.key, Uuid::from_u128(2), at(1000)).await.expect("inserts");
    let file = files::File {
        name: id("log.txt"),
        id: Uuid::from_u128(3),
        size_bytes: 0,
        content_type: "text/plain".into(),
        created_at: at(0),
        modified_at: at(0),
    };
    files::put(&tx, scope, &upload, &file, &[Uuid::from_u128(2)]).await.expect("puts");
    let notice = files::Notice {
        device_id: "pump-1".into(),
        name: "log.txt".into(),
        size_bytes: 0,
        modified_at: at(0),
        at: at(0),
    };
    files::insert_notice(&tx, scope, &notice).await.expect("inserts");
    let dashboard = muster_model::dashboard::Dashboard {
        id: id("main"),
        display_name: "Main".into(),
        tiles: Vec::new(),
        favorite: false,
        version: 1,
    };
    dashboards::insert(&tx, scope, &dashboard).await.expect("inserts");
    let group = muster_model::group::DeviceGroup {
        id: id("all"),
        display_name: "All".into(),
        description: String::new(),
        filter: String::new(),
        automatic_of: None,
        version: 1,
        created_at: at(0),
        updated_at: at(0),
    };
    groups::insert(&tx, scope, &group, &Default::default()).await.expect("inserts");
    let run = muster_model::command::CommandRun {
        id: muster_model::CommandRunId(Uuid::from_u128(1)),
        command: "reboot".into(),
        asked_at: at(0),
        asked_by: "Ada".into(),
        request: None,
        state: muster_model::command::RunState::Running,
        reason: None,
        status: Some(202),
        response: None,
        fits: true,
        ended_at: None,
    };
    command_runs::insert(&tx, scope, device.key, &run).await.expect("inserts");
    let entry = audit::AuditEntry {
        id: Uuid::from_u128(1),
        at: at(0),
        actor: muster_model::Actor { kind: muster_model::ActorKind::System, id: "x".into(), name: "x".into() },
        action: "created".into(),
        kind: "device".into(),
        object: "pump-1".into(),
        details: Map::new(),
    };
    audit::insert(&tx, scope, entry).await.expect("inserts");
    tx.commit().await.expect("commits");
    ingest(db, &device).await;
    device
}

/// Telemetry, an alert, work, a rejected message and counts.
async fn ingest(db: &Db, device: &muster_model::device::Device) {
    let tenant = db.scope.tenant;
    let shape = shape(db, &["t"]).await;
    let epoch = owner(db).await;
    let mut tx = db.store.begin_ingest(1, epoch).await.expect("begins");
    tx.write_rows(&[row(device.key, shape, 1000, &[Some(1.0)])]).await.expect("writes");
    let alert = muster_model::alert::Alert {
        id: muster_model::AlertId(Uuid::from_u128(1)),
        rule: rule(1, true).id,
        rule_name: "Too hot".into(),
        device: device.key,
        device_id: device.id.clone(),
        device_name: "Pump".into(),
        severity: muster_model::rule::Severity::Warning,
        state: muster_model::alert::AlertState::Open,
        opened_at: at(0),
        cleared_at: None,
        acknowledged_by: None,
        acknowledged_at: None,
        values: Map::new(),
        reason: "hot".into(),
    };
    tx.open_alerts(&[(tenant, alert)]).await.expect("opens");
    let work = outbox::NewWork {
        id: muster_model::WorkId(Uuid::from_u128(1)),
        tenant,
        kind: "email".into(),
        payload: json!({}),
        due_at: at(0),
    };
    tx.insert_work(&[work], at(0)).await.expect("inserts");
    let rejected = counters::RejectedMessage {
        id: Uuid::from_u128(1),
        device: device.key,
        at: at(0),
        reason: "notJson".into(),
        bag: String::new(),
        payload: Vec::new(),
    };
    tx.write_rejected(&[(tenant, rejected)]).await.expect("writes");
    let counts = counters::Counts { received: 1, ..Default::default() };
    tx.add_counts(&[(tenant, counts)].into()).await.expect("adds");
    tx.commit().await.expect("commits");
}

fn not_found<T: std::fmt::Debug>(what: &str, result: Result<T, StoreError>) {
    assert!(matches!(result, Err(StoreError::NotFound { .. })), "{what}: {result:?}");
}

async fn a_stranger_finds_nothing(db: Db) {
    let device = fill(&db).await;
    let tx = db.store.begin(&db.scope).await.expect("begins");
    assert_eq!(how_much(&tx, &db.scope).await, [1; 12], "its own tenant sees it");
    drop(tx);

    let scope = &db.stranger;
    let tx = db.store.begin(scope).await.expect("begins");
    assert_eq!(how_much(&tx, scope).await, [0; 12]);
    not_found("device", devices::get(&tx, scope, &device.id).await);
    not_found("device", devices::update(&tx, scope, &device).await);
    not_found("device", devices::delete(&tx, scope, &device.id, at(1)).await);
    not_found("keys", devices::find_credentials(&tx, scope, device.key).await);
    not_found("keys", devices::set_credentials(&tx, scope, device.key, b"mine").await);
    not_found("twin", twins::get(&tx, scope, device.key).await);
    not_found("twin", twins::update(&tx, scope, device.key, &Default::default()).await);
    not_found("holder", hub_sessions::holder(&tx, scope, device.key, at(1)).await);
    not_found("subscriptions", hub_sessions::subscriptions(&tx, scope, device.key, None, at(1)).await);
    not_found("authority", authorities::get(&tx, scope, &id("plant")).await);
    not_found("job", jobs::get(&tx, scope, Realm::Hub, &id("job")).await);
    not_found("configuration", configurations::get(&tx, scope, &id("wanted")).await);
    not_found("module", modules::resolve(&tx, scope, &id("pump-1")).await);
    not_found("enrollment", individual_enrollments::get(&tx, scope, &id("pump-2")).await.map(drop));
    not_found("enrollment", individual_enrollments::delete(&tx, scope, &id("pump-2")).await);
    not_found("authority", authorities::delete(&tx, scope, &id("plant")).await);
    not_found("runs", command_runs::open(&tx, scope, device.key).await);
    not_found("runs", command_runs::list(&tx, scope, (device.key, "reboot"), Paging::first(9)).await);
    not_found("messages", c2d::count(&tx, scope, device.key).await);
    not_found("messages", c2d::purge(&tx, scope, device.key).await);
    let times = (at(1), at(2));
    assert!(c2d::lock_feedback(&tx, scope, Uuid::nil(), times, 9).await.expect("runs").is_empty());
    let upload = muster_model::UploadId(Uuid::from_u128(1));
    not_found("uploads", files::lock(&tx, scope, device.key).await);
    assert!(files::find_upload(&tx, scope, upload, at(1)).await.expect("runs").is_none());
    not_found("uploads", files::finish_upload(&tx, scope, device.key, upload, at(1)).await);
    not_found("uploads", files::insert_object(&tx, scope, device.key, Uuid::nil(), at(1)).await);
    not_found("files", files::get(&tx, scope, device.key, &id("log.txt")).await);
    not_found("files", files::list(&tx, scope, device.key, Paging::first(9)).await);
    not_found("files", files::parts(&tx, scope, device.key, Uuid::from_u128(3)).await);
    not_found("files", files::delete(&tx, scope, device.key, &id("log.txt"), at(1)).await);
    assert!(files::lock_notice(&tx, scope, Uuid::nil(), times).await.expect("runs").is_none());
    assert_eq!(files::usage(&tx, scope).await.expect("runs"), 0);
    not_found("member", users::get_member(&tx, scope, &id::<UserId>("ada")).await);
    not_found("member", users::remove_member(&tx, scope, &id::<UserId>("ada")).await);
    not_found("token", tokens::delete(&tx, scope, &id("token")).await);
    let template = id("dtmi:muster:pump;1");
    assert!(template_views::list(&tx, scope, &template).await.expect("lists").is_empty());
    not_found("view", template_views::get(&tx, scope, &template, &id("overview")).await);
    not_found("view", template_views::delete(&tx, scope, &template, &id("overview")).await);
    not_found("template", templates::delete(&tx, scope, &id("dtmi:muster:pump;1")).await);
    not_found("group", enrollment::delete(&tx, scope, &id("group")).await);
    not_found("rule", rules::get(&tx, scope, rule(1, true).id).await);
    not_found("rule", rules::update(&tx, scope, &rule(1, true), at(1)).await);
    not_found("rule", rules::delete(&tx, scope, rule(1, true).id).await);
    not_found("group", groups::get(&tx, scope, &id("all")).await);
    not_found("group", groups::delete(&tx, scope, &id("all")).await);
    not_found("dashboard", dashboards::delete(&tx, scope, &id("main")).await);
    let alert = muster_model::AlertId(Uuid::from_u128(1));
    not_found("alert", alerts::get(&tx, scope, alert).await);
    not_found("alert", alerts::acknowledge(&tx, scope, alert, "x", at(1)).await);
    not_found("alert", alerts::clear(&tx, scope, alert, at(1)).await);
    assert!(alerts::clear_of_rule(&tx, scope, rule(1, true).id, at(1)).await.expect("runs").is_empty());
    assert!(alerts::open_of_devices(&tx, scope, &[device.key]).await.expect("runs").is_empty());
    assert!(devices::list_by_keys(&tx, scope, &[device.key]).await.expect("runs").is_empty());
    assert!(twins::list_by_keys(&tx, scope, &[device.key]).await.expect("runs").is_empty());
    assert!(registrations::find(&tx, scope, &id("pump-1")).await.expect("runs").is_none());
    assert!(telemetry::latest(&tx, scope, &[device.key]).await.expect("runs").is_empty());
    not_found("raw", telemetry::raw(&tx, scope, device.key, i64::MAX, 10).await);
    let query = HistoryQuery { device: device.key, keys: vec!["t".into()], from_ms: 0, to_ms: 2000, buckets: 10 };
    not_found("history", telemetry::history(&tx, scope, &query).await);
    assert!(events::read(&tx, scope, -1, 9).await.expect("runs").is_empty());
    assert!(events::list(&tx, scope, None, Paging::first(9)).await.expect("runs").items.is_empty());
    assert_eq!(counters::get(&tx, scope).await.expect("reads"), counters::Counts::default());
}

/// How many things of each kind a tenant lists.
async fn how_much(tx: &Tx, scope: &Scope) -> [usize; 12] {
    [
        devices::list(tx, scope, &DeviceFilter::default(), Paging::first(9)).await.expect("lists").items.len(),
        users::list_members(tx, scope, Paging::first(9)).await.expect("lists").items.len(),
        tokens::list(tx, scope, Paging::first(9)).await.expect("lists").items.len(),
        templates::list(tx, scope, Paging::first(9)).await.expect("lists").items.len(),
        enrollment::list(tx, scope, Paging::first(9)).await.expect("lists").items.len(),
        rules::list(tx, scope, Paging::first(9)).await.expect("lists").items.len(),
        dashboards::list(tx, scope, Paging::first(9)).await.expect("lists").items.len(),
        groups::list(tx, scope, Paging::first(9)).await.expect("lists").items.len(),
        alerts::list(tx, scope, &Default::default(), Paging::first(9)).await.expect("lists").items.len(),
        audit::list(tx, scope, &Default::default(), Paging::first(9)).await.expect("lists").items.len(),
        outbox::list(tx, scope, outbox::WorkState::Pending, Paging::first(9)).await.expect("lists").items.len(),
        counters::list_rejected(tx, scope, None, Paging::first(9)).await.expect("lists").items.len(),
    ]
}

/// Raw SQL under the tenant's role sees its own rows and never another's; and what it may see is policed.
#[tokio::test]
async fn row_level_security_holds_on_postgres() {
    harness::on_postgres("isolation::row_level_security_holds_on_postgres", |db| async move {
        fill(&db).await;
        let mut connection = PgConnection::connect(&db.url).await.expect("connects");
        let sql = "select c.relname, c.relrowsecurity from pg_class c join pg_namespace n on n.oid = c.relnamespace
                    where n.nspname = current_schema() and c.relkind in ('r', 'p')
                      and (has_table_privilege('muster_tenant', c.oid, 'select')
                           or has_any_column_privilege('muster_tenant', c.oid, 'select')) order by 1";
        let tables = sqlx::query(sql).fetch_all(&mut connection).await.expect("runs");
        let mut policed = Vec::new();
        for table in tables {
            let (name, security): (String, bool) = (table.get("relname"), table.get("relrowsecurity"));
            assert!(security || name == "hub_instance", "{name} is open to every tenant");
            if security {
                policed.push(name);
            }
        }
        assert_eq!(policed.len(), 45, "{policed:?}");
        for name in &policed {
            let own = count(&mut connection, name, &db.scope).await;
            let foreign = count(&mut connection, name, &db.stranger).await;
            // Every tenant has itself, and its health.
            let expected = if matches!(name.as_str(), "tenant" | "health_sample") { (1, 1) } else { (1.max(own), 0) };
            assert_eq!((own, foreign), expected, "{name}");
        }
        refuses(&mut connection, &db.stranger, "select password_hash from \"user\"").await;
        refuses(&mut connection, &db.stranger, "select * from session").await;
        refuses(&mut connection, &db.stranger, "select * from secret").await;
        refuses(&mut connection, &db.stranger, "update audit set action = 'nothing'").await;
        let steal = format!("update tel_hot set device = device where device >> 32 = {}", db.scope.tenant);
        refuses(&mut connection, &db.stranger, &steal).await;
        let plant = format!("insert into dashboard values ({}, 'planted', '{{}}', 1)", db.scope.tenant);
        refuses(&mut connection, &db.stranger, &plant).await;
        connection.close().await.expect("closes");
    })
    .await;
}

async fn count(connection: &mut PgConnection, table: &str, scope: &Scope) -> i64 {
    let mut tx = as_tenant(connection, scope).await;
    let column = if table == "user" { "id" } else { "*" };
    let sql = format!("select count({column}) from \"{table}\"");
    sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut *tx).await.expect("counts")
}

async fn refuses(connection: &mut PgConnection, scope: &Scope, sql: &str) {
    let mut tx = as_tenant(connection, scope).await;
    let refused = sqlx::query(AssertSqlSafe(sql.to_owned())).execute(&mut *tx).await;
    let code = refused.as_ref().err().and_then(|error| error.as_database_error()).and_then(|error| error.code());
    assert_eq!(code.as_deref(), Some("42501"), "{sql}: {refused:?}");
}

async fn as_tenant<'a>(connection: &'a mut PgConnection, scope: &Scope) -> sqlx::Transaction<'a, sqlx::Postgres> {
    let mut tx = connection.begin().await.expect("begins");
    let sql = format!("set local role muster_tenant; set local muster.tenant = '{}'", scope.tenant);
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *tx).await.expect("takes the role");
    tx
}
