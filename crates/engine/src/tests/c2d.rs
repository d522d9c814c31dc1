//! Cloud-to-device messages: their time, and devices that fetch them one by one.

use super::{twins::session, *};
use crate::{
    EngineError,
    c2d::{self, NewMessage, SendError, Settle},
    hub_auth::DeviceSession,
};
use chrono::Duration;
use muster_model::c2d::{Envelope, Feedback, MAX_DELIVERIES, Outcome};
use uuid::Uuid;

fn message(id: &str) -> NewMessage {
    let envelope = Envelope { message_id: id.into(), feedback: Feedback::Full, ..Envelope::default() };
    NewMessage { envelope, payload: b"hello".to_vec() }
}

async fn told(home: &Home, tenant: &Tenant) -> Vec<(String, Outcome)> {
    let Some(batch) = c2d::receive_feedback(&home.engine, &tenant.admin).await.expect("received") else {
        return Vec::new();
    };
    c2d::complete_feedback(&home.engine, &tenant.admin, batch.token).await.expect("completed");
    batch.records.into_iter().map(|record| (record.message_id, record.outcome)).collect()
}

async fn take(home: &Home, session: &DeviceSession) -> Option<(Uuid, i32)> {
    let taken = c2d::take(&home.engine, session).await.expect("asked");
    taken.map(|(token, message)| (token, message.deliveries))
}

#[tokio::test]
async fn a_message_lives_as_long_as_its_sender_says() {
    let home = Home::new().await;
    let tenant = home.tenant("plant").await;
    let session = session(&home, &tenant, "pump-1").await;
    let (admin, id, now) = (&tenant.admin, device("pump-1"), home.engine.clock().now());
    let dated = |id: &str, minutes| {
        let mut message = message(id);
        message.envelope.expires_at = Some(now + Duration::minutes(minutes));
        message
    };
    c2d::send(&home.engine, admin, &id, message("hour")).await.expect("sent");
    c2d::send(&home.engine, admin, &id, dated("short", 5)).await.expect("sent");
    c2d::send(&home.engine, admin, &id, dated("long", 10_000)).await.expect("sent");
    let past = c2d::send(&home.engine, admin, &id, dated("past", 0)).await;
    assert!(matches!(past, Err(SendError::Refused(EngineError::Invalid { .. }))), "{past:?}");
    assert_eq!(c2d::waiting(&home.engine, &session, 10).await.expect("read").len(), 3);
    home.advance(Duration::minutes(5));
    assert_eq!(c2d::sweep(&home.engine).await.expect("swept"), 1);
    assert_eq!(told(&home, &tenant).await, [("short".to_owned(), Outcome::Expired)]);
    home.advance(Duration::minutes(55));
    assert_eq!(c2d::waiting(&home.engine, &session, 10).await.expect("read").len(), 1);
    home.advance(Duration::hours(47));
    assert_eq!(c2d::sweep(&home.engine).await.expect("swept"), 2, "no message waits longer than 48 hours");
    home.end().await;
}

#[tokio::test]
async fn a_device_settles_what_it_took() {
    let home = Home::new().await;
    let tenant = home.tenant("plant").await;
    let session = session(&home, &tenant, "pump-1").await;
    for id in ["m-1", "m-2", "m-3"] {
        c2d::send(&home.engine, &tenant.admin, &device("pump-1"), message(id)).await.expect("sent");
    }
    let settle = async |token, what| c2d::settle(&home.engine, &session, token, what).await;
    let (first, _) = take(&home, &session).await.expect("a message");
    let (second, _) = take(&home, &session).await.expect("a message");
    settle(first, Settle::Complete).await.expect("completed");
    settle(second, Settle::Reject).await.expect("rejected");
    let twice = settle(first, Settle::Complete).await;
    assert!(matches!(twice, Err(EngineError::PreconditionFailed { .. })), "{twice:?}");
    let heard = [("m-1".to_owned(), Outcome::Success), ("m-2".to_owned(), Outcome::Rejected)];
    assert_eq!(told(&home, &tenant).await, heard);

    let (late, _) = take(&home, &session).await.expect("a message");
    assert_eq!(take(&home, &session).await, None);
    home.advance(Duration::seconds(60));
    assert!(settle(late, Settle::Complete).await.is_err(), "its minute is over");
    for count in 0..MAX_DELIVERIES {
        let (token, deliveries) = take(&home, &session).await.expect("it comes again");
        assert_eq!(deliveries, count);
        settle(token, Settle::Abandon).await.expect("abandoned");
    }
    assert_eq!(take(&home, &session).await, None);
    assert_eq!(told(&home, &tenant).await, [("m-3".to_owned(), Outcome::DeliveryCountExceeded)]);
    home.end().await;
}
