//! Devices on Microsoft's SDKs for Python and Node, unmodified: they provision themselves, send, and hear what they are
//! told, by key and by certificate, over MQTT and over WebSocket. On servers the service speaks through another
//! instance than the one that holds the device.

use crate::{MACHINE, machine, methods::service, on_both};
use muster_engine::{
    Engine,
    authentication::{self, Authentication, X509},
    authorities::{self, Verification},
    c2d::{self, NewMessage},
    dps_enrollments::{self, Put, Subject},
    methods::{self, Invocation},
    precondition::IfMatch,
    twins_service as twins,
};
use muster_model::{
    Caller, DeviceId,
    c2d::{Envelope, Feedback, Outcome},
    wire::{sas, twin::ServiceChange},
};
use muster_testkit::{Backend, Bootstrapped, TestApp, eventually, skip};
use rcgen::{BasicConstraints, Certificate, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use serde_json::json;
use std::{ffi::OsString, path::Path, process::Stdio, time::Duration};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
    time::timeout,
};

on_both! {
    python_devices_live_their_lives
    node_devices_live_their_lives
}

const PATIENCE: Duration = Duration::from_secs(120);
const MESSAGES: i64 = 100;

async fn python_devices_live_their_lives(backend: Backend) {
    devices_live_their_lives(backend, "python", "MUSTER_TEST_PYTHON", "python/device.py").await;
}

async fn node_devices_live_their_lives(backend: Backend) {
    devices_live_their_lives(backend, "node", "MUSTER_TEST_NODE", "node/device.mjs").await;
}

/// By what a device proves who it is.
#[derive(Debug, Clone, Copy)]
enum Credential {
    /// The key that it derives from its enrollment group's; it provisions itself.
    GroupKey,
    /// A certificate of its enrollment group's authority; it provisions itself.
    GroupCertificate,
    /// A certificate that the hub knows by its thumbprint.
    OwnCertificate,
    /// A certificate of an authority that the hub trusts.
    AuthoritysCertificate,
}

/// A device of each kind, one after the other.
async fn devices_live_their_lives(backend: Backend, language: &str, program: &str, script: &str) {
    let name = format!("sdk_devices::{language}_devices_live_their_lives");
    let Some(program) = std::env::var_os(program) else { return skip(&name, &format!("no {program}")) };
    let (app, other) = match backend {
        Backend::Embedded => (TestApp::start_for_sdks(backend, &name, &[]).await, None),
        Backend::Servers => TestApp::start_pair_for_sdks(&name).await.unzip(),
    };
    let Some(app) = app else { return };
    let tenant = app.bootstrap("contoso").await;
    tenant.admin.put(&format!("/api/deviceTemplates/{MACHINE}"), machine()).await.ok();
    let caller = service(&app, &tenant).await;
    let authority = Authority::enrolled(app.app().engine(), &caller).await;
    let run = Run { program, script, app: &app, speaker: other.as_ref().unwrap_or(&app).app().engine(), caller };
    let mut count = 0;
    for (credential, transport) in [
        (Credential::GroupKey, "mqtt"),
        (Credential::GroupKey, "websockets"),
        (Credential::GroupCertificate, "mqtt"),
        (Credential::GroupCertificate, "websockets"),
        (Credential::OwnCertificate, "mqtt"),
        (Credential::AuthoritysCertificate, "websockets"),
    ] {
        let id = format!("{language}-{credential:?}-{transport}").to_lowercase();
        let mut arguments = run.arguments(credential, &authority, &tenant, &id).await;
        arguments.extend((transport == "websockets").then(|| "--websockets".to_owned()));
        run.device(&id, &arguments).await;
        count += MESSAGES;
        messages_are_stored(&tenant, &id, count).await;
    }
    for app in [Some(app), other].into_iter().flatten() {
        app.stop().await;
    }
}

async fn messages_are_stored(tenant: &Bootstrapped, id: &str, in_all: i64) {
    eventually("the messages", || async {
        (tenant.admin.get("/api/ledger").await.ok()["stored"] == in_all).then_some(())
    })
    .await;
    let last = format!("/api/devices/{id}/telemetry/temperature");
    eventually("the last value", || async {
        (tenant.admin.get(&last).await.ok()["value"].as_f64() == Some(99.0)).then_some(())
    })
    .await;
    let files = tenant.admin.get(&format!("/api/devices/{id}/files")).await.ok();
    assert_eq!(files["value"][0]["name"], "log.txt", "{id}: {files}");
    let known = tenant.admin.get(&format!("/api/devices/{id}")).await.ok();
    assert_eq!((&known["template"], &known["provisioned"]), (&json!(MACHINE), &json!(true)), "{id}");
}

/// Lets devices run.
struct Run<'a> {
    program: OsString,
    script: &'a str,
    app: &'a TestApp,
    /// Through which the service speaks.
    speaker: &'a Engine,
    caller: Caller,
}

impl Run<'_> {
    /// Lets the device in, and says how the script proves who it is.
    async fn arguments(
        &self,
        credential: Credential,
        authority: &Authority,
        tenant: &Bootstrapped,
        id: &str,
    ) -> Vec<String> {
        let (engine, folder) = (self.app.app().engine(), self.app.folder());
        let provisions_itself = ["--id-scope".to_owned(), tenant.tenant.id_scope.to_string()];
        let (certificate, key, x509) = match credential {
            Credential::GroupKey => {
                let key = sas::derive_key(&tenant.tenant.keys.primary_key, id).unwrap();
                return [&provisions_itself[..], &["--key".to_owned(), key]].concat();
            }
            Credential::GroupCertificate => {
                let (certificate, key) = authority.issue(id);
                return [&provisions_itself[..], &files(folder, id, &certificate, &key)].concat();
            }
            Credential::OwnCertificate => {
                let key = KeyPair::generate().unwrap();
                let certificate = named("anything").self_signed(&key).unwrap();
                let primary = Some(authorities::thumbprint(certificate.der()));
                (certificate, key, X509::SelfSigned { primary, secondary: None })
            }
            Credential::AuthoritysCertificate => {
                let (certificate, key) = authority.issue(id);
                (certificate, key, X509::CertificateAuthority)
            }
        };
        tenant.admin.put(&format!("/api/devices/{id}"), json!({ "template": MACHINE })).await.ok();
        let method = Authentication::X509(x509);
        authentication::set(engine, &self.caller, &id.parse().unwrap(), method).await.unwrap();
        files(folder, id, &certificate, &key).to_vec()
    }

    async fn device(&self, id: &str, arguments: &[String]) {
        let host = &self.app.app().engine().config().hub_host;
        let ca = self.app.folder().join("tls/ca.pem");
        let mut command = Command::new(&self.program);
        command.arg(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../e2e")).join(self.script));
        command.args(["--host", host, "--device", id, "--messages", &MESSAGES.to_string()]);
        // Node's provisioning client takes the authority from its environment only.
        match self.script.ends_with(".py") {
            true => command.arg("--ca").arg(ca),
            false => command.env("NODE_EXTRA_CA_CERTS", ca),
        };
        let mut child = command.args(arguments).stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        for round in 0..2 {
            let said = timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap();
            assert_eq!(said.as_deref(), Some("ready"), "{id} in round {round}");
            self.speak(&id.parse().unwrap(), round).await;
        }
        let said = timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap();
        assert_eq!(said.as_deref(), Some("ok"), "{id}");
        assert!(timeout(PATIENCE, child.wait()).await.unwrap().unwrap().success(), "{id}");
    }

    /// A message, a change of desired properties and a method.
    async fn speak(&self, id: &DeviceId, round: i32) {
        let (engine, caller) = (self.speaker, &self.caller);
        let envelope = Envelope {
            message_id: format!("m-{round}"),
            feedback: Feedback::Full,
            content_type: Some("application/json".into()),
            properties: vec![("color".into(), Some("dark red".into()))],
            ..Envelope::default()
        };
        let message = NewMessage { envelope, payload: br#"{"hello":"world"}"#.to_vec() };
        c2d::send(engine, caller, id, message).await.unwrap();
        let desired = json!({"target": 20}).as_object().cloned();
        let change = ServiceChange { desired, ..ServiceChange::default() };
        twins::change(engine, caller, &id.clone().into(), change, &IfMatch::Any).await.unwrap();
        let invocation = Invocation {
            address: &id.clone().into(),
            name: "thermostat1*reboot",
            payload: &json!({"delay": round}),
            response_timeout: PATIENCE,
            connect_timeout: PATIENCE,
        };
        let answer = methods::invoke(engine, caller, invocation).await.unwrap();
        assert_eq!(answer.status, 207);
        assert_eq!(answer.payload, json!({"name": "thermostat1*reboot", "payload": {"delay": round}}));
        let heard = eventually("the feedback", || async { c2d::receive_feedback(engine, caller).await.unwrap() }).await;
        c2d::complete_feedback(engine, caller, heard.token).await.unwrap();
        assert_eq!(heard.records[0].outcome, Outcome::Success);
    }
}

/// A maker's authority, whose certificates the hub and an enrollment group let in.
struct Authority {
    certificate: Certificate,
    key: KeyPair,
}

impl Authority {
    async fn enrolled(engine: &Engine, caller: &Caller) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = named("Plant");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        let signing = json!({ "primary": { "certificate": certificate.pem() } });
        let group = json!({ "attestation": { "type": "x509", "x509": { "signingCertificates": signing } } });
        let subject = Subject::Group("plant".parse().unwrap());
        dps_enrollments::put(engine, caller, subject, &group, &Put::Create).await.unwrap();
        let (id, verified) = ("plant".parse().unwrap(), Verification::OnUpload);
        authorities::upload(engine, caller, id, &certificate.pem(), verified).await.unwrap();
        Self { certificate, key }
    }

    fn issue(&self, id: &str) -> (Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let issuer = Issuer::from_ca_cert_der(self.certificate.der(), &self.key).unwrap();
        (named(id).signed_by(&key, &issuer).unwrap(), key)
    }
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

/// Writes a device's certificate and key; the arguments that name them.
fn files(folder: &Path, id: &str, certificate: &Certificate, key: &KeyPair) -> [String; 4] {
    let [certificate, key] = [("certificate", certificate.pem()), ("key", key.serialize_pem())].map(|(kind, text)| {
        let path = folder.join(format!("{id}.{kind}.pem"));
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    });
    ["--certificate".into(), certificate, "--private-key".into(), key]
}
