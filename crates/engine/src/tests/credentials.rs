//! Policies, certificates and their authorities.

use super::{devices::new, *};
use crate::{
    EngineError,
    authentication::{self, Authentication, X509},
    authorities::{self, Verification},
    devices,
    hub_auth::{self, Connect, ConnectRefused, DeviceSession},
    policies::{self, Policy, PolicyRefused, Right},
    x509,
};
use muster_model::{AuthorityId, DeviceId};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::CertificateDer;

struct Certificate {
    pem: String,
    der: CertificateDer<'static>,
    key: KeyPair,
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).expect("parameters");
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn root(name: &str) -> Certificate {
    let (mut params, key) = (params(name), KeyPair::generate().expect("a key"));
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let made = params.self_signed(&key).expect("a certificate");
    Certificate { pem: made.pem(), der: made.der().clone(), key }
}

fn issue(by: &Certificate, name: &str) -> Certificate {
    let issuer = Issuer::from_ca_cert_pem(&by.pem, &by.key).expect("an issuer");
    let key = KeyPair::generate().expect("a key");
    let made = params(name).signed_by(&key, &issuer).expect("a certificate");
    Certificate { pem: made.pem(), der: made.der().clone(), key }
}

async fn connect(
    home: &Home,
    id: &DeviceId,
    password: Option<&str>,
    chain: &[CertificateDer<'static>],
) -> Result<DeviceSession, ConnectRefused> {
    let peer = std::net::IpAddr::from([192, 0, 2, 1]);
    let connect =
        Connect { host: HOST, device: id, module: None, password, model_id: None, client_type: None, peer, chain };
    hub_auth::authenticate(&home.engine, connect).await
}

fn authority(id: &str) -> AuthorityId {
    AuthorityId::parse(id).expect("an id")
}

fn service_token(home: &Home, policy: Policy, key: &str) -> String {
    let expiry = home.engine.clock().now().timestamp() + 3_600;
    sas::sign(HOST, key, expiry, Some(policy.name())).expect("signed")
}

#[tokio::test]
async fn services_prove_which_policy_they_hold() {
    let home = Home::new().await;
    let (plant, other) = (home.tenant("plant").await, home.tenant("other").await);
    let keys = policies::keys(&home.engine, &plant.admin).await.expect("keys");
    assert_eq!(keys.len(), 6);
    for (policy, keys) in &keys {
        for key in [&keys.primary_key, &keys.secondary_key] {
            let token = service_token(&home, *policy, key);
            let caller = policies::authenticate(&home.engine, "HUB.test:8443", &token).await.expect("let in");
            assert_eq!((caller.policy, &caller.scope), (*policy, &plant.admin.scope));
        }
        let text = &plant.made.connection_strings[policy.name()];
        assert_eq!(*text, policies::connection_string(&home.engine, &plant.made.tenant, *policy, &keys.primary_key));
    }
    assert_ne!(plant.made.connection_strings, other.made.connection_strings);
    assert!(!format!("{:?}", plant.made).contains("SharedAccessKey"));
    let service = &keys[&Policy::Service].primary_key;
    let good = service_token(&home, Policy::Service, service);
    let device_key = plant.made.keys.primary_key.clone();
    for (host, header) in [
        ("elsewhere", good.as_str()),
        (HOST, "Bearer x"),
        (HOST, ""),
        (HOST, &service_token(&home, Policy::IotHubOwner, service)),
        (HOST, &service_token(&home, Policy::Service, &device_key)),
        (HOST, &hub_token(&home, "a", service)),
        (HOST, &sas::sign("other", service, 4_000_000_000, Some("service")).expect("signed")),
        (HOST, &sas::sign(HOST, service, 4_000_000_000, Some("none")).expect("signed")),
        (HOST, &sas::sign(HOST, service, 4_000_000_000, None).expect("signed")),
    ] {
        let refused = policies::authenticate(&home.engine, host, header).await;
        assert!(matches!(refused, Err(PolicyRefused::BadCredential { .. })), "{host} {header}");
    }
    home.advance(Duration::hours(2));
    assert!(policies::authenticate(&home.engine, HOST, &good).await.is_err(), "expired");
    assert!(Policy::Service.grants(Right::ServiceConnect) && !Policy::Service.grants(Right::RegistryRead));
    assert!(!Policy::IotHubOwner.grants(Right::Provisioning));
    home.end().await;
}

#[tokio::test]
async fn the_device_policy_stands_in_for_any_device() {
    let home = Home::new().await;
    let (plant, other) = (home.tenant("plant").await, home.tenant("other").await);
    let id = device("pump-1");
    devices::create(&home.engine, &plant.admin, new("pump-1")).await.expect("a device");
    let (own, foreign) = (
        policies::keys(&home.engine, &plant.admin).await.expect("keys"),
        policies::keys(&home.engine, &other.admin).await.expect("keys"),
    );
    for (keys, policy, accepted) in [
        (&own, Policy::Device, true),
        (&own, Policy::IotHubOwner, true),
        (&own, Policy::Service, false),
        (&own, Policy::RegistryReadWrite, false),
        (&foreign, Policy::Device, false),
    ] {
        let token = service_token(&home, policy, &keys[&policy].primary_key);
        assert_eq!(connect(&home, &id, Some(&token), &[]).await.is_ok(), accepted, "{policy}");
    }
    let viewer = muster_model::Caller { permissions: muster_model::Role::Builder.permissions(), ..plant.admin.clone() };
    assert!(matches!(policies::keys(&home.engine, &viewer).await, Err(EngineError::Denied(_))));
    home.end().await;
}

#[tokio::test]
async fn a_thumbprint_is_as_good_as_a_key() {
    let home = Home::new().await;
    let plant = home.tenant("plant").await;
    let id = device("pump-1");
    devices::create(&home.engine, &plant.admin, new("pump-1")).await.expect("a device");
    let (first, second, stranger) = (root("first"), root("second"), root("stranger"));
    assert!(connect(&home, &id, None, std::slice::from_ref(&first.der)).await.is_err(), "it has keys still");
    let x509 = X509::SelfSigned {
        primary: Some(x509::thumbprint(&first.der).to_lowercase()),
        secondary: Some(x509::thumbprint(&second.der)),
    };
    authentication::set(&home.engine, &plant.admin, &id, Authentication::X509(x509)).await.expect("set");
    let session = connect(&home, &id, None, std::slice::from_ref(&first.der)).await.expect("connected");
    assert_eq!(session.expires_at, None);
    assert!(connect(&home, &id, Some("a password"), std::slice::from_ref(&second.der)).await.is_ok());
    assert!(connect(&home, &id, None, std::slice::from_ref(&stranger.der)).await.is_err());
    assert!(connect(&home, &id, None, &[stranger.der.clone(), first.der.clone()]).await.is_err(), "not its own");
    assert!(connect(&home, &id, None, &[]).await.is_err());
    let shown = authentication::get(&home.engine, &plant.admin, &id).await.expect("known");
    assert_eq!(shown.kind(), "selfSigned");
    for bad in [None, Some(String::new()), Some("abc".into())] {
        let x509 = X509::SelfSigned { primary: bad, secondary: None };
        let refused = authentication::set(&home.engine, &plant.admin, &id, Authentication::X509(x509)).await;
        assert!(matches!(refused, Err(EngineError::Invalid { .. })));
    }
    home.end().await;
}

#[tokio::test]
async fn a_verified_authority_lets_its_devices_in() {
    let home = Home::new().await;
    let (plant, other) = (home.tenant("plant").await, home.tenant("other").await);
    let (engine, admin) = (&home.engine, &plant.admin);
    let id = device("pump-1");
    devices::create(engine, admin, new("pump-1")).await.expect("a device");
    let set = authentication::set(engine, admin, &id, Authentication::X509(X509::CertificateAuthority));
    set.await.expect("set");
    let (ca, stranger) = (root("CA"), root("Stranger"));
    let leaf = issue(&ca, "pump-1");
    let chain = [leaf.der.clone()];
    let uploaded = authorities::upload(engine, admin, authority("ca"), &ca.pem, Verification::Pending).await;
    assert!(!uploaded.expect("uploaded").verified);
    let foreign = authorities::upload(engine, &other.admin, authority("ca"), &ca.pem, Verification::OnUpload).await;
    foreign.expect("uploaded");
    assert!(connect(&home, &id, None, &chain).await.is_err(), "only another tenant has verified it");
    let given = authorities::verification_code(engine, admin, &authority("ca")).await.expect("a code");
    let code = given.verification_code.expect("a code");
    for (by, name) in [(&ca, "other"), (&stranger, code.as_str())] {
        let refused = authorities::verify(engine, admin, &authority("ca"), &issue(by, name).pem).await;
        assert!(matches!(refused, Err(EngineError::Invalid { .. })), "{name}");
    }
    authorities::verify(engine, admin, &authority("ca"), &issue(&ca, &code).pem).await.expect("verified");
    connect(&home, &id, None, &chain).await.expect("connected");
    for wrong in [issue(&ca, "pump-2"), issue(&stranger, "pump-1")] {
        assert!(connect(&home, &id, None, &[wrong.der]).await.is_err());
    }
    authorities::delete(engine, admin, &authority("ca")).await.expect("deleted");
    assert!(connect(&home, &id, None, &chain).await.is_err(), "nobody vouches for it any more");
    for no_authority in [leaf.pem.as_str(), "nonsense"] {
        let refused = authorities::upload(engine, admin, authority("x"), no_authority, Verification::OnUpload).await;
        assert!(matches!(refused, Err(EngineError::Invalid { .. })));
    }
    home.end().await;
}
