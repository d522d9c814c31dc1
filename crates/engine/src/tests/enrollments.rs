//! Enrollments, of one device and of groups, by key and by certificate.

use super::*;
use crate::{
    EngineError,
    authorities::{self, Verification},
    devices::{self, DevicePatch},
    dps_enrollments::{self, Put, Subject},
    hub_auth::{self, Connect},
    precondition::IfMatch,
    provisioning::{self, DpsConnect, DpsRefused, DpsSession},
};
use muster_model::{EnrollmentGroupId, RegistrationId};
use muster_store::{devices as stored, twins};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::CertificateDer;
use serde_json::{Value, json};

struct Certificate {
    pem: String,
    der: CertificateDer<'static>,
    key: KeyPair,
}

fn params(name: &str, authority: bool) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).expect("parameters");
    params.distinguished_name.push(DnType::CommonName, name);
    if authority {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    }
    params
}

fn own(name: &str, authority: bool) -> Certificate {
    let key = KeyPair::generate().expect("a key");
    let made = params(name, authority).self_signed(&key).expect("a certificate");
    Certificate { pem: made.pem(), der: made.der().clone(), key }
}

fn issue(by: &Certificate, name: &str, authority: bool) -> Certificate {
    let issuer = Issuer::from_ca_cert_pem(&by.pem, &by.key).expect("an issuer");
    let key = KeyPair::generate().expect("a key");
    let made = params(name, authority).signed_by(&key, &issuer).expect("a certificate");
    Certificate { pem: made.pem(), der: made.der().clone(), key }
}

fn individual(id: &str) -> Subject {
    Subject::Individual(RegistrationId::parse(id).expect("an id"))
}

fn group(id: &str) -> Subject {
    Subject::Group(EnrollmentGroupId::parse(id).expect("an id"))
}

async fn put(home: &Home, tenant: &Tenant, subject: Subject, document: Value) -> Result<Value, EngineError> {
    let put = Put::Update(IfMatch::Any);
    dps_enrollments::put(&home.engine, &tenant.admin, subject, &document, &put).await
}

async fn by_key(home: &Home, tenant: &Tenant, id: &str, key: &str) -> Result<DpsSession, DpsRefused> {
    let (scope, registration) = (&tenant.made.id_scope, RegistrationId::parse(id).expect("an id"));
    let expiry = home.engine.clock().now().timestamp() + 600;
    let token = sas::sign(&format!("{scope}/registrations/{id}"), key, expiry, None).expect("signed");
    let connect = DpsConnect { id_scope: scope, registration: &registration, password: Some(&token), chain: &[] };
    provisioning::authenticate(&home.engine, connect).await
}

async fn by_chain(home: &Home, tenant: &Tenant, id: &str, shown: &[&Certificate]) -> Result<DpsSession, DpsRefused> {
    let registration = RegistrationId::parse(id).expect("an id");
    let chain: Vec<_> = shown.iter().map(|one| one.der.clone()).collect();
    let connect =
        DpsConnect { id_scope: &tenant.made.id_scope, registration: &registration, password: None, chain: &chain };
    provisioning::authenticate(&home.engine, connect).await
}

async fn register(home: &Home, session: &DpsSession) -> Value {
    provisioning::register(&home.engine, session, None).await.expect("answered").document()
}

async fn twin(home: &Home, tenant: &Tenant, id: &str) -> muster_model::device::Twin {
    let scope = &tenant.admin.scope;
    let tx = home.engine.store().begin_read(scope).await.expect("a transaction");
    let key = stored::get(&tx, scope, &device(id)).await.expect("a device").key;
    twins::get(&tx, scope, key).await.expect("a twin")
}

#[tokio::test]
async fn an_individual_enrollment_says_all_of_its_device() {
    let home = Home::new().await;
    let tenant = home.tenant("plant").await;
    let wanted = json!({
        "registrationId": "sn-1", "deviceId": "pump-1", "attestation": { "type": "symmetricKey" },
        "initialTwin": { "tags": { "site": "north" }, "properties": { "desired": { "target": 20 } } },
        "reprovisionPolicy": { "updateHubAssignment": true, "migrateDeviceData": false }, "unknown": 1,
    });
    let made = put(&home, &tenant, individual("SN-1"), wanted.clone()).await.expect("made");
    let key = made["attestation"]["symmetricKey"]["primaryKey"].as_str().expect("a key").to_owned();
    assert_eq!((&made["registrationId"], &made["etag"]), (&json!("sn-1"), &json!("1")));
    assert!(made.get("unknown").is_none());
    let shown = dps_enrollments::get(&home.engine, &tenant.admin, &individual("sn-1")).await.expect("found");
    assert_eq!(shown["attestation"], json!({ "type": "symmetricKey" }), "keys are not shown");
    let again = dps_enrollments::attestation(&home.engine, &tenant.admin, &individual("sn-1")).await.expect("found");
    assert_eq!(again["symmetricKey"]["primaryKey"], json!(key));
    let taken = dps_enrollments::put(&home.engine, &tenant.admin, individual("sn-1"), &wanted, &Put::Create).await;
    assert!(matches!(taken, Err(EngineError::Conflict { .. })));
    let stale = Put::Update(IfMatch::parse(Some("\"7\"")));
    let stale = dps_enrollments::put(&home.engine, &tenant.admin, individual("sn-1"), &wanted, &stale).await;
    assert!(matches!(stale, Err(EngineError::PreconditionFailed { .. })));

    let group_key = sas::derive_key(&tenant.made.keys.primary_key, "sn-1").expect("derived");
    assert!(by_key(&home, &tenant, "sn-1", &group_key).await.is_err(), "its own enrollment comes first");
    let session = by_key(&home, &tenant, "sn-1", &key).await.expect("authenticated");
    let document = register(&home, &session).await;
    assert_eq!(document["registrationState"]["deviceId"], "pump-1");
    let first = twin(&home, &tenant, "pump-1").await;
    assert_eq!((&first.tags["site"], &first.desired["target"]), (&json!("north"), &json!(20)));

    let document = register(&home, &session).await;
    assert_eq!(document["registrationState"]["substatus"], "deviceDataReset");
    assert!(twin(&home, &tenant, "pump-1").await.version > first.version);

    let disabled = json!({ "attestation": { "type": "symmetricKey" }, "provisioningStatus": "disabled" });
    let kept = put(&home, &tenant, individual("sn-1"), disabled).await.expect("changed");
    assert_eq!(kept["attestation"]["symmetricKey"]["primaryKey"], json!(key), "keys that are not given stay");
    let session = by_key(&home, &tenant, "sn-1", &key).await.expect("authenticated");
    assert_eq!(register(&home, &session).await["status"], "disabled");
    dps_enrollments::delete(&home.engine, &tenant.admin, &individual("sn-1"), &IfMatch::Any).await.expect("deleted");
    home.end().await;
}

#[tokio::test]
async fn certificates_register_their_devices_which_then_connect_by_them() {
    let home = Home::new().await;
    let (tenant, other) = (home.tenant("plant").await, home.tenant("other").await);
    let (root, stranger) = (own("Root", true), own("Stranger", true));
    let middle = issue(&root, "Middle", true);
    let single = own("single", false);
    let x509 = |members: Value| json!({ "attestation": { "type": "x509", "x509": members } });
    let enrollment = x509(json!({ "clientCertificates": { "primary": { "certificate": single.pem } } }));
    put(&home, &tenant, individual("single"), enrollment).await.expect("made");
    let by_middle = x509(json!({ "signingCertificates": { "primary": { "certificate": middle.pem } } }));
    let made = put(&home, &tenant, group("line"), by_middle).await.expect("made");
    let info = &made["attestation"]["x509"]["signingCertificates"]["primary"]["info"];
    assert_eq!(info["subjectName"], "CN=Middle", "{made}");
    let kept = put(&home, &tenant, group("line"), made.clone()).await.expect("what was read is written back");
    assert_eq!(kept["attestation"], made["attestation"]);

    let leaf = issue(&middle, "deep", false);
    let (by_root, foreign) = (issue(&root, "direct", false), issue(&stranger, "deep", false));
    for (id, shown, good) in [
        ("single", vec![&single], true),
        ("deep", vec![&leaf], true),
        ("deep", vec![&leaf, &middle], true),
        ("deep", vec![&foreign], false),
        ("other", vec![&leaf], false),
        ("direct", vec![&by_root], false),
        ("single", vec![&leaf], false),
        ("single", vec![], false),
    ] {
        assert_eq!(by_chain(&home, &tenant, id, &shown).await.is_ok(), good, "{id}");
        assert!(by_chain(&home, &other, id, &shown).await.is_err(), "{id} in another tenant");
    }
    let ca = authorities::upload(
        &home.engine,
        &tenant.admin,
        "root".parse().expect("an id"),
        &root.pem,
        Verification::OnUpload,
    );
    ca.await.expect("uploaded");
    let referring = x509(json!({ "caReferences": { "primary": "root" } }));
    put(&home, &tenant, group("by-reference"), referring).await.expect("made");
    by_chain(&home, &tenant, "direct", &[&by_root]).await.expect("the uploaded root has signed it");

    for (id, certificate) in [("single", &single), ("deep", &leaf)] {
        let session = by_chain(&home, &tenant, id, &[certificate]).await.expect("authenticated");
        let document = register(&home, &session).await;
        assert_eq!(document["status"], "assigned", "{document}");
        let (device, peer) = (device(id), std::net::IpAddr::from([192, 0, 2, 1]));
        let connect = |chain| Connect {
            host: HOST,
            device: &device,
            module: None,
            password: None,
            model_id: None,
            client_type: None,
            peer,
            chain,
        };
        let chain = [certificate.der.clone()];
        hub_auth::authenticate(&home.engine, connect(&chain)).await.expect("connected");
        assert!(hub_auth::authenticate(&home.engine, connect(&[])).await.is_err());
    }
    let id = EnrollmentGroupId::parse("line").expect("an id");
    let paging = muster_store::Paging::first(10);
    let page = provisioning::list_registrations(&home.engine, &tenant.admin, &id, paging).await.expect("a page");
    assert_eq!(page.items[0]["registrationId"], "deep");
    home.end().await;
}

#[tokio::test]
async fn a_group_may_want_its_devices_approved() {
    let home = Home::new().await;
    let tenant = home.tenant("plant").await;
    let wanted = json!({ "attestation": { "type": "symmetricKey" }, "autoApprove": false });
    let made = put(&home, &tenant, group("guests"), wanted).await.expect("made");
    let key = made["attestation"]["symmetricKey"]["secondaryKey"].as_str().expect("a key");
    let key = sas::derive_key(key, "guest-1").expect("derived");
    let session = by_key(&home, &tenant, "guest-1", &key).await.expect("authenticated");
    for _ in 0..2 {
        let document = register(&home, &session).await;
        assert_eq!(document["registrationState"]["errorMessage"], "the device waits for approval", "{document}");
    }
    let approve = DevicePatch { enabled: Some(true), ..DevicePatch::default() };
    devices::update(&home.engine, &tenant.admin, &device("guest-1"), approve, &IfMatch::Any).await.expect("approved");
    assert_eq!(register(&home, &session).await["status"], "assigned");
    home.end().await;
}

#[tokio::test]
async fn documents_that_mean_nothing_are_refused() {
    let home = Home::new().await;
    let tenant = home.tenant("plant").await;
    let leaf = own("leaf", false);
    for document in [
        json!([]),
        json!({}),
        json!({ "attestation": { "type": "tpm" } }),
        json!({ "attestation": { "type": "symmetricKey", "symmetricKey": { "primaryKey": "short" } } }),
        json!({ "attestation": { "type": "symmetricKey" }, "provisioningStatus": "perhaps" }),
        json!({ "attestation": { "type": "symmetricKey" }, "deviceId": "a b" }),
        json!({ "attestation": { "type": "symmetricKey" }, "initialTwin": { "tags": [] } }),
        json!({ "attestation": { "type": "symmetricKey" }, "initialTwin": { "tags": { "a": "x".repeat(9_000) } } }),
        json!({ "attestation": { "type": "x509", "x509": {} } }),
        json!({ "attestation": { "type": "x509", "x509": { "caReferences": { "primary": "none" } } } }),
        json!({ "attestation": { "type": "x509",
            "x509": { "signingCertificates": { "primary": { "certificate": leaf.pem } } } } }),
    ] {
        let refused = put(&home, &tenant, group("g"), document.clone()).await;
        assert!(matches!(refused, Err(EngineError::Invalid { .. })), "{document}");
    }
    let missing = dps_enrollments::get(&home.engine, &tenant.admin, &group("g")).await;
    assert!(matches!(missing, Err(EngineError::NotFound { .. })));
    home.end().await;
}
