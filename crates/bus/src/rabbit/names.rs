//! Queues and exchanges: what they are called and how they are declared.
//!
//! Arguments of a durable queue can not change later: a broker refuses to declare it differently.

use super::{call, link::Link};
use crate::{BusError, InstanceId, Topic, shared::Shared};
use lapin::{
    Channel, ExchangeKind, Queue,
    options::{ExchangeDeclareOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable, ShortString},
};
use std::time::Duration;

/// Pushes that wait at the broker for one instance; more are refused to their sender.
const MAX_PUSHES: i32 = 1024;
/// Fan-out entries that wait at the broker for one subscriber; the oldest are dropped.
const MAX_FAN_OUT: i32 = 4096;
/// A quorum queue drops a message after so many returns. None may be dropped, but "no limit" can not be said alike to
/// all versions of RabbitMQ (4 has a limit of 20 by default).
const DELIVERY_LIMIT: i32 = 1_000_000_000;
/// A broker that crashes right after a quorum queue was made forgets the queue's data, confirmed or not, as it writes
/// its registry of queues (`names.dets`) half a second late. So nothing is published to a queue that may be new.
const REGISTERED_AFTER: Duration = Duration::from_secs(2);

pub(crate) fn ingest(shared: &Shared, partition: u16) -> ShortString {
    format!("{}.ingest.{partition}", shared.namespace).into()
}

pub(crate) fn push(shared: &Shared, instance: &InstanceId) -> ShortString {
    format!("{}.push.{instance}", shared.namespace).into()
}

pub(crate) fn fan_out(shared: &Shared, topic: Topic) -> ShortString {
    format!("{}.{}", shared.namespace, topic.name()).into()
}

/// The queue of a partition: replicated, on disk, one consumer at a time.
pub(crate) async fn declare_ingest(channel: &Channel, queue: &ShortString) -> Result<Queue, BusError> {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    arguments.insert("x-single-active-consumer".into(), AMQPValue::Boolean(true));
    arguments.insert("x-delivery-limit".into(), AMQPValue::LongInt(DELIVERY_LIMIT));
    let options = QueueDeclareOptions { durable: true, ..Default::default() };
    call("declare an ingest queue", channel.queue_declare(queue.clone(), options, arguments)).await
}

/// Makes the queues of all partitions and resolves when they are safe to publish to. Whether they are new can not be
/// asked: another process may have made them a moment ago.
pub(crate) async fn prepare_ingest(link: &Link, shared: &Shared) -> Result<(), BusError> {
    let channel = link.channel().await?;
    for partition in 0..shared.partitions {
        declare_ingest(&channel, &ingest(shared, partition)).await?;
    }
    tokio::time::sleep(REGISTERED_AFTER).await;
    // Failing is fine: the connection is gone then, and the queues are there.
    let _ = call("close a channel", channel.close(200, "done".into())).await;
    Ok(())
}

/// A channel to publish to the queue of a partition, which is made again if it was lost.
pub(crate) async fn open_ingest(link: &Link, queue: &ShortString) -> Result<Channel, BusError> {
    let channel = link.channel().await?;
    let options = QueueDeclareOptions { passive: true, ..Default::default() };
    let looking = channel.queue_declare(queue.clone(), options, FieldTable::default());
    if call("look for an ingest queue", looking).await.is_ok() {
        declare_ingest(&channel, queue).await?;
        return Ok(channel);
    }
    // The broker has closed the first one over the missing queue.
    let channel = link.channel().await?;
    declare_ingest(&channel, queue).await?;
    tokio::time::sleep(REGISTERED_AFTER).await;
    Ok(channel)
}

/// The queue of an instance: it lives while the instance receives, and refuses what does not fit.
pub(crate) async fn declare_push(channel: &Channel, queue: &ShortString) -> Result<Queue, BusError> {
    let mut arguments = FieldTable::default();
    arguments.insert("x-max-length".into(), AMQPValue::LongInt(MAX_PUSHES));
    arguments.insert("x-overflow".into(), AMQPValue::LongString("reject-publish".into()));
    let options = QueueDeclareOptions { exclusive: true, auto_delete: true, ..Default::default() };
    call("declare a push queue", channel.queue_declare(queue.clone(), options, arguments)).await
}

/// The exchange of a fan-out.
pub(crate) async fn declare_fan_out(channel: &Channel, exchange: &ShortString) -> Result<(), BusError> {
    let options = ExchangeDeclareOptions { durable: true, ..Default::default() };
    let declaring = channel.exchange_declare(exchange.clone(), ExchangeKind::Fanout, options, FieldTable::default());
    call("declare a fan-out", declaring).await
}

/// The queue of one subscriber: it lives with its connection and drops its oldest entries.
pub(crate) async fn declare_subscriber(channel: &Channel) -> Result<Queue, BusError> {
    let mut arguments = FieldTable::default();
    arguments.insert("x-max-length".into(), AMQPValue::LongInt(MAX_FAN_OUT));
    let options = QueueDeclareOptions { exclusive: true, auto_delete: true, ..Default::default() };
    call("declare a subscription", channel.queue_declare("".into(), options, arguments)).await
}
