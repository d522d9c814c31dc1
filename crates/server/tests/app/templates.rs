//! Device templates over the API: import, errors in place, use.

use crate::{MACHINE, machine, on_both, with_device};
use muster_testkit::{Backend, TestApp};
use serde_json::json;

on_both! {
    a_template_goes_in_and_out_unchanged
    errors_name_the_place
    a_template_in_use_is_not_deleted
}

async fn a_template_goes_in_and_out_unchanged(backend: Backend) {
    let app = TestApp::start(backend, &[]).await;
    let tenant = app.bootstrap("contoso").await;
    tenant.admin.put(&format!("/api/deviceTemplates/{MACHINE}"), machine()).await.ok();
    let read = tenant.admin.get(&format!("/api/deviceTemplates/{MACHINE}")).await.ok();
    assert_eq!(read["capabilityModel"], machine()["capabilityModel"]);
    assert_eq!(read["@id"], MACHINE);
    let keys: Vec<_> = read["capabilities"].as_array().unwrap().iter().map(|c| c["key"].as_str().unwrap()).collect();
    assert!(keys.contains(&"temperature") && keys.contains(&"target"), "{keys:?}");
    let list = tenant.admin.get("/api/deviceTemplates").await.ok();
    assert_eq!(list["value"].as_array().unwrap().len(), 1);
    app.stop().await;
}

async fn errors_name_the_place(backend: Backend) {
    let app = TestApp::start(backend, &[]).await;
    let tenant = app.bootstrap("contoso").await;
    let mut broken = machine();
    broken["capabilityModel"]["contents"][0].as_object_mut().unwrap().remove("schema");
    broken["capabilityModel"]["contents"][1]["name"] = json!("1bad name");
    let reply = tenant.admin.put(&format!("/api/deviceTemplates/{MACHINE}"), broken).await;
    assert_eq!(reply.status, 422, "{}", reply.text);
    let details = reply.json["error"]["details"].as_array().unwrap();
    assert!(details.len() >= 2, "both errors at once: {}", reply.text);
    assert!(
        details.iter().all(|detail| detail["message"].is_string() && detail["pointer"].is_string()),
        "{}",
        reply.text
    );
    app.stop().await;
}

async fn a_template_in_use_is_not_deleted(backend: Backend) {
    let app = TestApp::start(backend, &[]).await;
    let tenant = app.bootstrap("contoso").await;
    with_device(&tenant, "machine-1").await;
    let path = format!("/api/deviceTemplates/{MACHINE}");
    let reply = tenant.admin.delete(&path).await;
    assert_eq!(reply.status, 409, "{}", reply.text);
    assert_eq!(tenant.admin.delete("/api/devices/machine-1").await.status, 204);
    assert_eq!(tenant.admin.delete(&path).await.status, 204);
    app.stop().await;
}
