//! Hubs of their own for tenants (`hub.tenant_hosts`).

use crate::{
    on_both,
    service::{Https, NEVER},
};
use muster_engine::policies::Policy;
use muster_model::wire::sas;
use muster_testkit::{Backend, Bootstrapped, Device, DeviceError, TestApp, eventually};
use reqwest::Method;
use serde_json::json;

on_both! {
    devices_of_one_id_and_key_reach_each_their_own_hub
    services_are_known_at_their_own_hub_only
}

const SHARED_KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// The product with two tenants, each with a device `pump-1` of the same key.
async fn two_tenants(backend: Backend) -> (TestApp, [Bootstrapped; 2]) {
    let app = TestApp::start(backend, &[("hub.tenant_hosts", "true")]).await;
    let tenants = [app.bootstrap("contoso").await, app.bootstrap("fabrikam").await];
    for tenant in &tenants {
        in_certificate(&app, tenant).await;
        let body = json!({
            "deviceId": "pump-1",
            "authentication": {"type": "sas", "symmetricKey": {"primaryKey": SHARED_KEY, "secondaryKey": SHARED_KEY}},
        });
        Https::service(&app, tenant, Policy::IotHubOwner).call(Method::PUT, "/devices/pump-1", body).await.ok();
    }
    (app, tenants)
}

async fn in_certificate(app: &TestApp, tenant: &Bootstrapped) {
    let service = Https::service(app, tenant, Policy::IotHubOwner);
    eventually("the tenant's host is in the certificate", async || {
        service.request(Method::GET, "/statistics/devices").send().await.ok()
    })
    .await;
}

/// Connects `pump-1` with a user name of one host and a token for another.
async fn connect(app: &TestApp, host: &str, token_host: &str) -> Result<Device, DeviceError> {
    let token = sas::sign(&format!("{token_host}/devices/pump-1"), SHARED_KEY, NEVER, None).unwrap();
    let address = app.app().addresses().mqtt.unwrap();
    Device::connect(address, "pump-1", &format!("{host}/pump-1/?api-version=2021-04-12"), &token).await
}

async fn connection_state(app: &TestApp, tenant: &Bootstrapped) -> String {
    let twin = Https::service(app, tenant, Policy::IotHubOwner).get("/devices/pump-1").await.ok();
    twin["connectionState"].as_str().unwrap().to_owned()
}

async fn devices_of_one_id_and_key_reach_each_their_own_hub(backend: Backend) {
    let (app, [contoso, fabrikam]) = two_tenants(backend).await;
    let (one, other) = (contoso.tenant.hub_host.as_str(), fabrikam.tenant.hub_host.as_str());
    assert_eq!((one, other), ("contoso.localhost", "fabrikam.localhost"));
    let first = connect(&app, one, one).await.unwrap();
    assert_eq!(connection_state(&app, &contoso).await, "Connected");
    assert_eq!(connection_state(&app, &fabrikam).await, "Disconnected");
    let _second = connect(&app, "FABRIKAM.localhost", other).await.unwrap();
    assert_eq!(connection_state(&app, &fabrikam).await, "Connected");
    assert_eq!(connection_state(&app, &contoso).await, "Connected", "neither takes the other's place");
    drop(first);
    for (host, token_host) in [
        ("localhost", "localhost"),
        ("nobody.localhost", "nobody.localhost"),
        ("contoso.localhost.example", "contoso.localhost.example"),
        ("a.contoso.localhost", "a.contoso.localhost"),
        (one, other),
        (one, "localhost"),
    ] {
        let refused = connect(&app, host, token_host).await;
        assert!(matches!(refused, Err(DeviceError::Refused(_))), "{host} {token_host}: {refused:?}");
    }
    // A device that only the other tenant has.
    let body = json!({ "deviceId": "pump-2", "authentication": {"type": "sas", "symmetricKey": {}} });
    let owner = Https::service(&app, &fabrikam, Policy::IotHubOwner);
    let made = owner.call(Method::PUT, "/devices/pump-2", body).await.ok();
    let key = made["authentication"]["symmetricKey"]["primaryKey"].as_str().unwrap().to_owned();
    let http =
        |host: &str| Https::at(&app, host, sas::sign(&format!("{host}/devices/pump-2"), &key, NEVER, None).unwrap());
    let send =
        async |host: &str| http(host).call(Method::POST, "/devices/pump-2/messages/events", json!({})).await.status;
    assert_eq!((send(other).await, send(one).await, send("localhost").await), (204, 401, 401));
    let wanted = json!({ "blobName": "log.txt" });
    let granted = http(other).call(Method::POST, "/devices/pump-2/files", wanted).await.ok();
    let port = app.app().addresses().hub_https.unwrap().port();
    assert_eq!(granted["hostName"], format!("{other}:{port}"));
    let part = |name: &str| granted[name].as_str().unwrap().to_owned();
    let path = format!("/{}/{}{}", part("containerName"), part("blobName"), part("sasToken"));
    let put = async |host: &str| {
        let blob = http(host).request(Method::PUT, &path).header("x-ms-blob-type", "BlockBlob").body("text");
        blob.send().await.unwrap().status().as_u16()
    };
    assert_eq!(put(one).await, 403);
    assert_eq!(put(other).await, 201);
    app.stop().await;
}

async fn services_are_known_at_their_own_hub_only(backend: Backend) {
    let (app, [contoso, fabrikam]) = two_tenants(backend).await;
    let (one, other) = (contoso.tenant.hub_host.as_str(), fabrikam.tenant.hub_host.as_str());
    let told = contoso.admin.get("/api/tenant").await.ok();
    assert_eq!(told["hubHost"], one);
    let credentials = contoso.admin.get("/api/devices/pump-1/credentials").await.ok();
    assert_eq!(credentials["symmetricKey"]["primaryKey"], SHARED_KEY);
    for (policy, text) in &contoso.tenant.connection_strings {
        assert!(text.starts_with(&format!("HostName={one};")), "{policy}: {text}");
    }
    let key = |tenant: &Bootstrapped, policy: Policy| {
        let text = tenant.tenant.connection_strings[policy.name()].clone();
        text.split_once("SharedAccessKey=").unwrap().1.to_owned()
    };
    let owner = key(&contoso, Policy::IotHubOwner);
    for (host, token_host, status) in
        [(one, one, 200), (other, other, 401), (one, other, 401), ("localhost", "localhost", 401)]
    {
        let token = sas::sign(token_host, &owner, NEVER, Some("iothubowner")).unwrap();
        assert_eq!(Https::at(&app, host, token).get("/devices/pump-1").await.status, status, "{host} {token_host}");
    }
    // The provisioning service has one name for all, and the tenants' own.
    let owner = key(&contoso, Policy::ProvisioningServiceOwner);
    for (host, status) in [(one, 200), ("localhost", 200), (other, 401)] {
        let token = sas::sign(host, &owner, NEVER, Some("provisioningserviceowner")).unwrap();
        let groups = Https::at(&app, host, token).get("/enrollmentGroups/SAS-IoT-Devices?api-version=2021-10-01").await;
        assert_eq!(groups.status, status, "{host}: {}", groups.text);
    }
    let scope = &contoso.tenant.id_scope;
    let key = sas::derive_key(&contoso.tenant.keys.primary_key, "pump-9").unwrap();
    let token = sas::sign(&format!("{scope}/registrations/pump-9"), &key, NEVER, Some("registration")).unwrap();
    let path = format!("/{scope}/registrations/pump-9/register?api-version=2021-06-01");
    let body = json!({ "registrationId": "pump-9" });
    let registered = Https::at(&app, "localhost", token).call(Method::PUT, &path, body).await.ok();
    assert_eq!(registered["registrationState"]["assignedHub"], one, "{registered}");
    app.stop().await;
}
