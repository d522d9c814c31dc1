//! What reaches a device whichever of two hub instances holds it, on PostgreSQL and RabbitMQ.

use crate::with_device;
use muster_engine::{
    c2d::{self, NewMessage},
    methods::{self, Invocation, MethodAnswer},
    precondition::IfMatch,
    twins_service,
};
use muster_model::{Caller, DeviceId, Scope, SystemScope, wire::twin::ServiceChange};
use muster_testkit::{Backend, Bootstrapped, TestApp};
use serde_json::{Value, json};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(20);

/// The service, which may do everything in the tenant.
pub(crate) async fn service(app: &TestApp, tenant: &Bootstrapped) -> Caller {
    let tx = app.app().engine().store().begin_system_read(&SystemScope).await.unwrap();
    let scope = &tenant.tenant.id_scope;
    let found = muster_store::tenants::find_by_id_scope(&tx, &SystemScope, scope).await.unwrap().unwrap();
    Caller::system(Scope { tenant: found.key }, found.id, "test")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_sent_finds_the_device_at_the_other_instance() {
    if !Backend::Servers.available("methods::what_is_sent_finds_the_device_at_the_other_instance") {
        return;
    }
    let (first, second) = TestApp::start_pair(&[]).await;
    let tenant = first.bootstrap("contoso").await;
    with_device(&tenant, "machine-1").await;
    let mut device = second.device(&tenant, "machine-1").await.unwrap();
    device.subscribe("$iothub/methods/POST/#").await.unwrap();
    let caller = service(&first, &tenant).await;
    let id = DeviceId::parse("machine-1").unwrap();
    let invocation = Invocation {
        address: &id.clone().into(),
        name: "reboot",
        payload: &json!({"delay": 1}),
        response_timeout: PATIENCE,
        connect_timeout: PATIENCE,
    };
    let called = methods::invoke(first.app().engine(), &caller, invocation);
    let (answer, ()) = tokio::join!(called, async {
        let (topic, payload) = device.message().await.unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&payload).unwrap(), json!({"delay": 1}));
        let rid = topic.strip_prefix("$iothub/methods/POST/reboot/?$rid=").unwrap();
        device.send(&format!("$iothub/methods/res/202/?$rid={rid}"), b"{\"done\":false}").await.unwrap();
    });
    assert_eq!(answer.unwrap(), MethodAnswer { status: 202, payload: json!({"done": false}) });

    // So do desired properties and messages.
    device.subscribe("$iothub/twin/PATCH/properties/desired/#").await.unwrap();
    device.subscribe("devices/machine-1/messages/devicebound/#").await.unwrap();
    let desired = ServiceChange { desired: json!({"target": 4}).as_object().cloned(), ..ServiceChange::default() };
    twins_service::change(first.app().engine(), &caller, &id.clone().into(), desired, &IfMatch::Any).await.unwrap();
    assert_eq!(device.message().await.unwrap().0, "$iothub/twin/PATCH/properties/desired/?$version=2");
    let message = NewMessage { payload: b"hello".to_vec(), ..NewMessage::default() };
    c2d::send(first.app().engine(), &caller, &id, message).await.unwrap();
    assert_eq!(&device.message().await.unwrap().1[..], b"hello");

    // The device goes over to the other instance and gets there what it has not acknowledged.
    let mut device = first.device(&tenant, "machine-1").await.unwrap();
    assert_eq!(&device.message().await.unwrap().1[..], b"hello");
    let (answer, ()) = tokio::join!(methods::invoke(second.app().engine(), &caller, invocation), async {
        let topic = device.message().await.unwrap().0;
        let rid = topic.strip_prefix("$iothub/methods/POST/reboot/?$rid=").unwrap();
        device.send(&format!("$iothub/methods/res/200/?$rid={rid}"), b"").await.unwrap();
    });
    assert_eq!(answer.unwrap().status, 200);
    second.stop().await;
    first.stop().await;
}
