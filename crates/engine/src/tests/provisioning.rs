//! Devices come through the provisioning service.

use super::{devices::new, *};
use crate::{
    EngineError,
    devices::{self, DevicePatch},
    hub_auth::{self, Connect},
    precondition::IfMatch,
    provisioning::{self, DpsConnect, DpsRefused, DpsSession, Outcome, Registration},
    templates,
};
use muster_model::{IdScope, RegistrationId, Scope, device::SymmetricKeys};
use muster_store::{devices as stored, enrollment, templates as rows, twins};
use serde_json::json;

/// The documented example of a group key and of what it derives for an id.
const GROUP_KEY: &str = "8isrFI1sGsIlvvFSSFRiMfCNzv21fjbE/+ah/lSh3lF8e2YG1Te7w1KpZhJFFXJrqYKi9yegxkqIChbqOS9Egw==";
const DEVICE_ID: &str = "sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6";
const DEVICE_KEY: &str = "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc=";

async fn authenticate(home: &Home, scope: &IdScope, id: &str, key: &str) -> Result<DpsSession, DpsRefused> {
    let expiry = home.engine.clock().now().timestamp() + 600;
    let token = sas::sign(&format!("{scope}/registrations/{id}"), key, expiry, Some("registration")).expect("signed");
    let registration = RegistrationId::parse(id).expect("an id");
    let connect = DpsConnect { id_scope: scope, registration: &registration, password: Some(&token), chain: &[] };
    provisioning::authenticate(&home.engine, connect).await
}

async fn set_group(home: &Home, scope: &Scope, keys: SymmetricKeys, enabled: bool) {
    let tx = home.engine.store().begin(scope).await.expect("a transaction");
    let id = provisioning::DEFAULT_GROUP.parse().expect("an id");
    let mut group = enrollment::get(&tx, scope, &id).await.expect("a group");
    group.attestation = provisioning::seal_group_keys(&home.engine, scope, &id, &keys).expect("sealed");
    group.enabled = enabled;
    enrollment::update(&tx, scope, &group).await.expect("updated");
    tx.commit().await.expect("committed");
}

fn assigned(registration: &Registration) -> bool {
    matches!(registration.outcome, Outcome::Assigned { .. })
}

#[tokio::test]
async fn an_unknown_device_registers_itself_and_connects() {
    let home = Home::new().await;
    let Tenant { admin, made } = home.tenant("plant").await;
    let keys = SymmetricKeys { primary_key: GROUP_KEY.into(), secondary_key: made.keys.secondary_key.clone() };
    set_group(&home, &admin.scope, keys, true).await;
    let session = authenticate(&home, &made.id_scope, DEVICE_ID, DEVICE_KEY).await.expect("authenticated");
    assert_eq!(provisioning::status(&home.engine, &session, None).await.expect("asked"), None);
    let registration = provisioning::register(&home.engine, &session, Some(&json!(null))).await.expect("registered");
    let document = registration.document();
    assert_eq!(document["status"], "assigned");
    let state = &document["registrationState"];
    assert_eq!(state["assignedHub"], HOST);
    assert_eq!(state["deviceId"], DEVICE_ID);
    assert_eq!(state["registrationId"], DEVICE_ID);
    assert_eq!(state["substatus"], "initialAssignment");
    assert_eq!(state["symmetricKey"]["enrollmentGroupId"], "SAS-IoT-Devices");

    let id = device(DEVICE_ID);
    let token = hub_token(&home, DEVICE_ID, DEVICE_KEY);
    let connect = Connect {
        host: HOST,
        device: &id,
        module: None,
        password: Some(&token),
        model_id: None,
        client_type: None,
        peer: std::net::IpAddr::from([192, 0, 2, 1]),
        chain: &[],
    };
    hub_auth::authenticate(&home.engine, connect).await.expect("connected");

    home.advance(Duration::minutes(5));
    let again = provisioning::register(&home.engine, &session, None).await.expect("registered again");
    let Outcome::Assigned { created_at, updated_at, .. } = again.outcome else { panic!("it is assigned") };
    assert_eq!(updated_at - created_at, Duration::minutes(5));
    assert!(
        provisioning::status(&home.engine, &session, None).await.expect("asked").is_some_and(|found| assigned(&found))
    );
    home.end().await;
}

#[tokio::test]
async fn strangers_are_refused() {
    let home = Home::new().await;
    let (plant, other) = (home.tenant("plant").await, home.tenant("other").await);
    let key = sas::derive_key(&plant.made.keys.primary_key, "a").expect("derived");
    authenticate(&home, &plant.made.id_scope, "a", &key).await.expect("authenticated");
    let nowhere = IdScope::parse("0neNOWHERE").expect("a scope");
    for (scope, id) in [(&other.made.id_scope, "a"), (&nowhere, "a"), (&plant.made.id_scope, "b")] {
        let refused = authenticate(&home, scope, id, &key).await;
        assert!(matches!(refused, Err(DpsRefused::BadCredential { .. })), "{scope} {id}");
    }
    home.advance(Duration::hours(1));
    let registration = RegistrationId::parse("a").expect("an id");
    for password in [None, Some(""), Some("SharedAccessSignature sr=a&sig=YQ%3D%3D&se=1")] {
        let connect = DpsConnect { id_scope: &plant.made.id_scope, registration: &registration, password, chain: &[] };
        let refused = provisioning::authenticate(&home.engine, connect).await;
        assert!(matches!(refused, Err(DpsRefused::BadCredential { .. })), "{password:?}");
    }
    home.end().await;
}

#[tokio::test]
async fn a_disabled_group_and_a_blocked_device_get_no_hub() {
    let home = Home::new().await;
    let Tenant { admin, made } = home.tenant("plant").await;
    let key = sas::derive_key(&made.keys.secondary_key, "a").expect("derived");
    let session = authenticate(&home, &made.id_scope, "a", &key).await.expect("authenticated");
    assert!(assigned(&provisioning::register(&home.engine, &session, None).await.expect("registered")));
    let block = DevicePatch { enabled: Some(false), ..DevicePatch::default() };
    devices::update(&home.engine, &admin, &device("a"), block, &IfMatch::Any).await.expect("blocked");
    let blocked = provisioning::register(&home.engine, &session, None).await.expect("answered").document();
    assert_eq!(blocked["status"], "failed");
    assert_eq!(blocked["registrationState"]["errorCode"], 400_209);

    set_group(&home, &admin.scope, made.keys.clone(), false).await;
    let session = authenticate(&home, &made.id_scope, "a", &key).await.expect("authenticated");
    let disabled = provisioning::register(&home.engine, &session, None).await.expect("answered").document();
    assert_eq!(disabled["status"], "disabled");
    home.end().await;
}

#[tokio::test]
async fn keys_of_its_own_override_the_group() {
    let home = Home::new().await;
    let Tenant { admin, made } = home.tenant("plant").await;
    devices::create(&home.engine, &admin, new("a")).await.expect("a device");
    let derived = sas::derive_key(&made.keys.primary_key, "a").expect("derived");
    authenticate(&home, &made.id_scope, "a", &derived).await.expect("a device of the group");
    let own = provisioning::random_keys().expect("keys");
    devices::set_keys(&home.engine, &admin, &device("a"), own.clone()).await.expect("set");
    assert!(authenticate(&home, &made.id_scope, "a", &derived).await.is_err());
    let session = authenticate(&home, &made.id_scope, "a", &own.primary_key).await.expect("authenticated");
    let registration = provisioning::register(&home.engine, &session, None).await.expect("registered");
    assert!(matches!(registration.outcome, Outcome::Assigned { group: None, .. }));
    let bad = SymmetricKeys { primary_key: "short".into(), secondary_key: own.secondary_key };
    let refused = devices::set_keys(&home.engine, &admin, &device("a"), bad).await;
    assert!(matches!(refused, Err(EngineError::Invalid { .. })));
    home.end().await;
}

#[tokio::test]
async fn the_model_of_a_device_gives_it_its_template() {
    let home = Home::new().await;
    let Tenant { admin, made } = home.tenant("plant").await;
    let text = include_str!("../demo/documents/room.json");
    let template = templates::import(&home.engine, &admin, text).await.expect("a template");
    let scope = &admin.scope;
    for (id, payload, expected) in [
        ("by-model", json!({"modelId": "dtmi:muster:demo:roomModel;1"}), true),
        ("by-template", json!({"modelId": "dtmi:muster:demo:room;1"}), true),
        ("by-old-name", json!({"iotcModelId": "dtmi:muster:demo:roomModel;1"}), true),
        ("unknown", json!({"modelId": "dtmi:none:other;1"}), false),
        ("strange", json!({"modelId": 7}), false),
    ] {
        let key = sas::derive_key(&made.keys.primary_key, id).expect("derived");
        let session = authenticate(&home, &made.id_scope, id, &key).await.expect("authenticated");
        provisioning::register(&home.engine, &session, Some(&payload)).await.expect("registered");
        let tx = home.engine.store().begin_read(scope).await.expect("a transaction");
        let found = stored::get(&tx, scope, &device(id)).await.expect("a device");
        assert_eq!(found.template, expected.then(|| template.id.clone()), "{id}");
        assert!(found.provisioned);
        let model = twins::get(&tx, scope, found.key).await.expect("a twin").model_id;
        assert_eq!(model.as_deref(), payload["modelId"].as_str().or(payload["iotcModelId"].as_str()), "{id}");
    }
    let known = json!({"modelId": "dtmi:muster:catalogue:Climate;1"});
    for id in ["of-the-catalogue", "another"] {
        let key = sas::derive_key(&made.keys.primary_key, id).expect("derived");
        let session = authenticate(&home, &made.id_scope, id, &key).await.expect("authenticated");
        provisioning::register(&home.engine, &session, Some(&known)).await.expect("registered");
        let tx = home.engine.store().begin_read(scope).await.expect("a transaction");
        let found = stored::get(&tx, scope, &device(id)).await.expect("a device").template.expect("a template");
        let template = rows::get(&tx, scope, &found).await.expect("is the tenant's");
        assert!(template.published && template.version == 1 && template.display_name == "Climate sensor");
    }
    let large = json!({"modelId": "x".repeat(20_000)});
    let key = sas::derive_key(&made.keys.primary_key, "large").expect("derived");
    let session = authenticate(&home, &made.id_scope, "large", &key).await.expect("authenticated");
    let refused = provisioning::register(&home.engine, &session, Some(&large)).await;
    assert!(matches!(refused, Err(DpsRefused::BadRequest { .. })));
    home.end().await;
}
