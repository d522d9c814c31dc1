//! Enrollments, managed by Microsoft's Python client of the provisioning service.

use crate::on_both;
use muster_testkit::{Backend, TestApp, skip};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use std::{path::PathBuf, process::Output, time::Duration};
use tokio::{process::Command, time::timeout};

on_both! {
    enrollments_are_managed_and_used
}

/// The SDK waits up to a minute for an answer before it gives up.
const PATIENCE: Duration = Duration::from_secs(120);

/// The interpreter with the SDK.
fn python(name: &str) -> Option<PathBuf> {
    let found = std::env::var_os("MUSTER_TEST_PYTHON").map(PathBuf::from);
    if found.is_none() {
        skip(name, "no MUSTER_TEST_PYTHON");
    }
    found
}

/// Lets a script run with these arguments.
async fn run(python: &PathBuf, app: &TestApp, script: &str, arguments: &[&str]) {
    let script = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../e2e/python")).join(script);
    let ca = app.folder().join("tls/ca.pem");
    let mut command = Command::new(python);
    command
        .env("REQUESTS_CA_BUNDLE", &ca)
        .arg(script)
        .args(["--host", &app.app().engine().config().hub_host])
        .arg("--ca")
        .arg(ca);
    let output: Output = timeout(PATIENCE, command.args(arguments).kill_on_drop(true).output()).await.unwrap().unwrap();
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.trim().ends_with("ok"), "{arguments:?}: {said}\n{errors}");
}

async fn enrollments_are_managed_and_used(backend: Backend) {
    let name = "sdk::enrollments_are_managed_and_used";
    let Some(python) = python(name) else { return };
    let Some(app) = TestApp::start_for_sdks(backend, name, &[]).await else { return };
    let tenant = app.bootstrap("contoso").await;
    let params = |name: &str| {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params
    };
    let (root_key, own_key, issued_key) =
        (KeyPair::generate().unwrap(), KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let mut root = params("Plant");
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = root.self_signed(&root_key).unwrap();
    let own = params("py-own").self_signed(&own_key).unwrap();
    let issuer = Issuer::from_ca_cert_der(root.der(), &root_key).unwrap();
    let issued = params("py-issued").signed_by(&issued_key, &issuer).unwrap();
    let file = |name: &str, text: String| {
        let path = app.folder().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let scope = tenant.tenant.id_scope.to_string();
    let arguments = [
        ("--connection-string", tenant.tenant.connection_strings["provisioningserviceowner"].clone()),
        ("--id-scope", scope),
        ("--certificate", file("own.pem", own.pem())),
        ("--private-key", file("own.key", own_key.serialize_pem())),
        ("--root", file("root.pem", root.pem())),
        ("--issued", file("issued.pem", issued.pem())),
        ("--issued-key", file("issued.key", issued_key.serialize_pem())),
    ];
    let arguments: Vec<&str> = arguments.iter().flat_map(|(name, value)| [*name, value.as_str()]).collect();
    run(&python, &app, "enrollments.py", &arguments).await;
    let twin = tenant.admin.get("/api/devices/renamed").await.ok();
    assert_eq!(twin["id"], "renamed");
    app.stop().await;
}
