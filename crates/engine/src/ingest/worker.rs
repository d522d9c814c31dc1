//! The worker: batches become stored telemetry, alerts and outgoing work, in one transaction, and only then are
//! acknowledged.
//!
//! A batch that comes again is skipped by its entry in the ledger. A worker that lost its partition is refused at
//! commit by the partition's epoch, and what it had in mind is forgotten.

use super::{
    alarm,
    fleet::{Fleet, Kind},
};
use crate::{
    Engine, EngineError,
    events::{Outgoing, failures},
    live::LiveEvent,
    notices::Listener,
    notify::{self, WebhookContext, Work, webhook_body},
};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use metrics::{counter, histogram};
use muster_bus::{BusError, Consumer, Delivery};
use muster_model::{
    BatchId, DeviceKey, Scope, ShapeKey, TenantKey, WorkId,
    alert::{Alert, AlertState},
    batch::{self, Batch, Inbound},
    rule::{Action, Rule},
    telemetry::{self, Decoded, Limits, Reject},
    wire::bag::Bag,
};
use muster_store::{
    AlertClear, FeedBatch, StoreError, TelemetryRow,
    counters::{Counts, RejectedMessage},
    outbox::NewWork,
    tenants, twins,
};
use rand::RngExt;
use serde_json::{Map, Value};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

/// Batches of one transaction. Larger transactions cost less per message; these are 8,192 messages at most.
const BATCHES_AT_ONCE: usize = 16;
/// How often last known values are written.
const FLUSH_EVERY: Duration = Duration::from_secs(1);
const MAX_BACKOFF: Duration = Duration::from_secs(10);

/// Starts the worker's tasks: a consumer for each partition, the writer of last known values, the sender of outgoing
/// work, the runner of jobs, the one that applies configurations, the simulator and the one that removes what is old.
pub fn start(engine: &Engine, stop: &CancellationToken, tasks: &TaskTracker) {
    let consumers = TaskTracker::new();
    for partition in 0..engine.partitions() {
        tasks.spawn(consumers.track_future(consume(engine.clone(), partition, stop.clone())));
    }
    consumers.close();
    tasks.spawn(flush_latest(engine.clone(), stop.clone(), consumers));
    tasks.spawn(notify::run(engine.clone(), stop.clone()));
    tasks.spawn(crate::configurations::run(engine.clone(), stop.clone()));
    tasks.spawn(crate::jobs::run(engine.clone(), stop.clone()));
    tasks.spawn(crate::simulator::run(engine.clone(), stop.clone()));
    tasks.spawn(crate::housekeeping::run(engine.clone(), stop.clone()));
}

async fn flush_latest(engine: Engine, stop: CancellationToken, consumers: TaskTracker) {
    let mut every = tokio::time::interval(FLUSH_EVERY);
    while !stop.is_cancelled() {
        tokio::select! {
            () = stop.cancelled() => {}
            _ = every.tick() => flush(&engine).await,
        }
    }
    consumers.wait().await;
    flush(&engine).await;
}

async fn flush(engine: &Engine) {
    if let Err(error) = engine.latest().flush(engine.store()).await {
        tracing::warn!(%error, "last known values could not be written, trying again");
    }
}

/// Consumes one partition until `stop`, over every failure.
async fn consume(engine: Engine, partition: u16, stop: CancellationToken) {
    let mut failures = 0;
    while !stop.is_cancelled() {
        let Err(error) = own(&engine, partition, &stop, &mut failures).await else { return };
        failures += 1;
        let wait = backoff(failures);
        tracing::warn!(partition, error = %Chain(&error), wait_ms = wait.as_millis() as u64, "ingest of a partition was interrupted");
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
    }
}

fn backoff(failures: u32) -> Duration {
    let base = Duration::from_millis(100).saturating_mul(1 << failures.min(10)).min(MAX_BACKOFF);
    base.mul_f64(rand::rng().random_range(0.5..1.0))
}

/// Owns a partition from the first batch it is given until it fails or is to stop.
async fn own(engine: &Engine, partition: u16, stop: &CancellationToken, failures: &mut u32) -> Result<(), WorkerError> {
    let mut consumer = engine.bus().consume(partition).await?;
    let mut notices = engine.notices().listen();
    let mut owner: Option<Owner> = None;
    loop {
        let deliveries = tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            notice = next_notice(&mut notices) => {
                if let (Some(owner), Some(notice)) = (&mut owner, notice) {
                    owner.fleet.hear(&notice);
                }
                continue;
            }
            deliveries = consumer.next(BATCHES_AT_ONCE) => deliveries?,
        };
        // A partition is given to one consumer at a time; taking it over begins with its first batch.
        let owner = match &mut owner {
            Some(owner) => owner,
            None => owner.insert(Owner::claim(engine, partition).await?),
        };
        let stored = owner.store(&deliveries).await;
        settle(&mut consumer, deliveries, stored).await?;
        *failures = 0;
    }
}

async fn next_notice(notices: &mut Listener) -> Option<crate::notices::Notice> {
    match notices.next().await {
        Some(notice) => Some(notice),
        None => std::future::pending().await,
    }
}

async fn settle(
    consumer: &mut Consumer,
    deliveries: Vec<Delivery>,
    stored: Result<(), WorkerError>,
) -> Result<(), WorkerError> {
    match stored {
        Ok(()) => Ok(consumer.ack(deliveries).await?),
        Err(error) => {
            consumer.nack(deliveries).await?;
            Err(error)
        }
    }
}

/// Why ingest was interrupted. The batches are given back and come again.
#[derive(Debug, thiserror::Error)]
enum WorkerError {
    #[error("the bus failed")]
    Bus(#[from] BusError),
    #[error("the database failed")]
    Store(#[from] StoreError),
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// An error with its causes in one line.
struct Chain<'a>(&'a dyn std::error::Error);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

/// The owner of a partition.
struct Owner {
    engine: Engine,
    partition: u16,
    epoch: i64,
    fleet: Fleet,
}

/// A message that was read, or why it was not.
struct Read {
    message: Inbound,
    ts_ms: i64,
    result: Result<Decoded, Reject>,
    kind: Option<Arc<Kind>>,
    shape: Option<ShapeKey>,
}

/// A batch, as far as it could be read.
enum Content {
    Messages { reads: Vec<Read>, feed: Vec<FeedBatch> },
    Unreadable { received: Vec<(TenantKey, u32)>, body: Bytes },
}

/// What a transaction writes.
#[derive(Default)]
struct Writes {
    rows: Vec<TelemetryRow>,
    rejected: Vec<(TenantKey, RejectedMessage)>,
    opened: Vec<(TenantKey, Alert, Arc<Rule>)>,
    cleared: Vec<AlertClear>,
    work: Vec<NewWork>,
    feed: Vec<FeedBatch>,
    bytes: BTreeMap<TenantKey, i64>,
    counts: BTreeMap<TenantKey, Counts>,
    live: HashMap<TenantKey, Vec<LiveEvent>>,
}

impl Owner {
    async fn claim(engine: &Engine, partition: u16) -> Result<Self, WorkerError> {
        let epoch = engine.store().claim_partition(partition, &engine.instance().0).await?;
        tracing::info!(partition, epoch, "this worker owns a partition");
        Ok(Self { engine: engine.clone(), partition, epoch, fleet: Fleet::default() })
    }

    /// Stores batches: all of them, once, or none.
    async fn store(&mut self, deliveries: &[Delivery]) -> Result<(), WorkerError> {
        let started = std::time::Instant::now();
        let mut batches = Vec::with_capacity(deliveries.len());
        for delivery in deliveries {
            let content = match batch::decode(delivery.body.clone()) {
                Ok(batch) => self.read(batch).await?,
                Err(error) => unreadable(delivery, &error),
            };
            batches.push((BatchId(delivery.id), content));
        }
        let touched: Vec<_> = batches.iter().flat_map(|(_, content)| senders(content)).collect();
        let result = self.write(batches).await;
        if result.is_err() {
            self.fleet.forget(touched.into_iter());
        }
        histogram!("muster_ingest_transaction_seconds").record(started.elapsed());
        result
    }

    /// Reads a batch by the templates of its devices, and packs what is also wanted as events.
    async fn read(&mut self, batch: Batch) -> Result<Content, WorkerError> {
        let senders: HashSet<_> = batch.messages.iter().map(|message| (message.tenant, message.device)).collect();
        self.fleet.meet(self.engine.store(), &senders).await?;
        let mut outgoing = Outgoing::default();
        for message in &batch.messages {
            if self.fleet.has_feed(self.engine.store(), message.tenant).await? {
                outgoing.push(message);
            }
        }
        let feed = outgoing.pack(self.engine.clock().now_ms()).await?;
        let mut reads = Vec::with_capacity(batch.messages.len());
        for message in batch.messages {
            let kind = self.fleet.get(message.device).map(|known| Arc::clone(&known.kind));
            let (ts_ms, result) = decode(&message, kind.as_deref());
            let mut read = Read { message, ts_ms, result, kind, shape: None };
            self.place(&mut read).await?;
            reads.push(read);
        }
        Ok(Content::Messages { reads, feed })
    }

    /// Finds the shape of a message's numbers. Where its tenant has too many shapes, the numbers go beside the rest.
    async fn place(&mut self, read: &mut Read) -> Result<(), WorkerError> {
        let (Ok(decoded), Some(kind)) = (&mut read.result, &read.kind) else { return Ok(()) };
        read.shape = match (&decoded.keys_untyped, kind.shape) {
            (Some(keys), _) => self.fleet.shape(self.engine.store(), read.message.tenant, keys).await?,
            (None, shape) => shape,
        };
        if read.shape.is_none() {
            let keys = decoded.keys_untyped.take().unwrap_or_default();
            let numbers = keys.into_iter().zip(std::mem::take(&mut decoded.vals));
            let numbers = numbers.filter_map(|(key, value)| Some((key, Value::from(value?))));
            let extra = decoded.extra.get_or_insert_default();
            if let Value::Object(unmodelled) = extra.entry("u").or_insert_with(|| Value::Object(Map::new())) {
                unmodelled.extend(numbers);
            }
            decoded.keys_untyped = Some(Vec::new());
            read.shape = self.fleet.shape(self.engine.store(), read.message.tenant, &[]).await?;
        }
        Ok(())
    }

    async fn write(&mut self, batches: Vec<(BatchId, Content)>) -> Result<(), WorkerError> {
        let mut writes = Writes::default();
        let ids: Vec<_> = batches.iter().map(|(id, _)| *id).collect();
        let now = self.engine.clock().now();
        let mut tx = self.engine.store().begin_ingest(self.partition, self.epoch).await?;
        let mut fresh = tx.claim(&ids).await?;
        // A batch may stand here twice: its confirm was lost with the broker, and it was sent again.
        for (_, content) in batches.into_iter().filter(|(id, _)| fresh.remove(id)) {
            match content {
                Content::Messages { reads, feed } => {
                    reads.into_iter().for_each(|read| self.take(read, now, &mut writes));
                    writes.feed.extend(feed);
                }
                Content::Unreadable { received, body } => dead_letter(&received, &body, now, &mut writes)?,
            }
        }
        tx.write_rows(&writes.rows).await?;
        tx.write_rejected(&writes.rejected).await?;
        let alerts: Vec<_> = writes.opened.iter().map(|(tenant, alert, _)| (*tenant, alert.clone())).collect();
        let opened = tx.open_alerts(&alerts).await?;
        let cleared = tx.clear_alerts(&writes.cleared).await?;
        writes.opened.retain(|(_, alert, _)| opened.contains(&alert.id));
        writes.work.extend(self.work(&writes.opened, now).await?);
        tx.insert_work(&writes.work, now).await?;
        tx.add_counts(&writes.counts).await?;
        // Last, as it locks the numbers of the tenants' events.
        tx.append_telemetry(&writes.feed).await?;
        tx.commit().await?;
        for (tenant, bytes) in &writes.bytes {
            failures::count(&self.engine, *tenant, "deviceDataUsage", *bytes);
        }

        counter!("muster_ingest_stored_messages").increment(writes.rows.len() as u64);
        counter!("muster_ingest_rejected_messages").increment(writes.rejected.len() as u64);
        self.tell_alerts(&mut writes, &cleared);
        for (tenant, events) in writes.live {
            self.engine.live().publish(tenant, events).await;
        }
        Ok(())
    }

    /// Takes a message that is new into what is written.
    fn take(&mut self, read: Read, now: DateTime<Utc>, writes: &mut Writes) {
        let Read { message, ts_ms, result, kind, shape } = read;
        let counts = writes.counts.entry(message.tenant).or_default();
        counts.received += 1;
        *writes.bytes.entry(message.tenant).or_default() += message.payload.len() as i64;
        let (decoded, kind, shape) = match (result, kind, shape) {
            (Ok(decoded), Some(kind), Some(shape)) => (decoded, kind, shape),
            (result, _, _) => {
                let reason = result.err().map_or("unknownDevice", |reject| reject.code());
                *counts.rejected.entry(reason.to_owned()).or_default() += 1;
                writes.rejected.push((message.tenant, rejected(message, reason)));
                return;
            }
        };
        counts.stored += 1;
        if let Some(known) = self.fleet.get_mut(message.device) {
            let changes = alarm::evaluate(known, decoded.values(&kind.layout), now);
            let device = message.device;
            writes.cleared.extend(changes.cleared.into_iter().map(|rule| AlertClear { rule, device, at: now }));
            writes.opened.extend(changes.opened.into_iter().map(|(alert, rule)| (message.tenant, alert, rule)));
            let values = decoded.values(&kind.layout).map(|(key, value)| (key.to_owned(), value));
            self.engine.latest().note(message.device, message.enqueued_ms, ts_ms, values);
            if self.engine.live().wanted(message.tenant) {
                let values = decoded.values(&kind.layout).map(|(key, value)| (key.to_owned(), value)).collect();
                let event = LiveEvent::Telemetry { device: known.device.id.clone(), timestamp_ms: ts_ms, values };
                writes.live.entry(message.tenant).or_default().push(event);
            }
        }
        let extra = decoded.extra.map(|extra| Value::Object(extra).to_string());
        writes.rows.push(TelemetryRow { device: message.device, ts_ms, shape, vals: decoded.vals, extra });
    }

    /// The outgoing work of alerts that really opened.
    async fn work(
        &self,
        opened: &[(TenantKey, Alert, Arc<Rule>)],
        now: DateTime<Utc>,
    ) -> Result<Vec<NewWork>, WorkerError> {
        let mut work = Vec::new();
        for (tenant, alert, rule) in opened {
            let Some(known) = self.fleet.get(alert.device) else { continue };
            let Some(template) = &known.kind.template else { continue };
            if rule.actions.is_empty() {
                continue;
            }
            let scope = Scope { tenant: *tenant };
            let tx = self.engine.store().begin_read(&scope).await?;
            let of_tenant = tenants::get(&tx, &scope).await?;
            let twin = twins::get(&tx, &scope, alert.device).await?;
            drop(tx);
            let public_url = &self.engine.config().public_url;
            let link = match public_url.as_str() {
                "" => String::new(),
                url => format!("{url}/t/{}/devices/{}", of_tenant.id, alert.device_id),
            };
            let mut all = alarm::mails(alert, rule, template, link);
            for action in &rule.actions {
                let Action::Webhook { display_name, url } = action else { continue };
                let context = WebhookContext {
                    at: alert.opened_at,
                    tenant: &of_tenant.id,
                    tenant_name: &of_tenant.name,
                    host: public_url.split_once("://").map_or("", |(_, host)| host),
                    rule: rule.id,
                    rule_name: &rule.display_name,
                    action_name: display_name,
                    url,
                    device: &known.device,
                    twin: &twin,
                    values: &alert.values,
                };
                all.push((WorkId(Uuid::now_v7()), Work::Webhook { url: url.clone(), body: webhook_body(&context) }));
            }
            for (id, item) in all {
                work.push(new_work(id, *tenant, &item, now)?);
            }
        }
        Ok(work)
    }

    fn tell_alerts(&self, writes: &mut Writes, cleared: &[muster_store::alerts::OpenAlert]) {
        for (tenant, alert, _) in &writes.opened {
            writes.live.entry(*tenant).or_default().push(LiveEvent::Alert {
                id: alert.id,
                device: alert.device_id.clone(),
                rule_name: alert.rule_name.clone(),
                severity: alert.severity,
                state: AlertState::Open,
            });
        }
        for open in cleared {
            let Some(known) = self.fleet.get(open.device) else { continue };
            let Some(rule) = known.kind.rules.iter().find(|rule| rule.id == open.rule) else { continue };
            writes.live.entry(known.tenant).or_default().push(LiveEvent::Alert {
                id: open.id,
                device: known.device.id.clone(),
                rule_name: rule.display_name.clone(),
                severity: rule.severity,
                state: AlertState::Cleared,
            });
        }
    }
}

fn senders(content: &Content) -> Vec<DeviceKey> {
    match content {
        Content::Messages { reads, .. } => reads.iter().map(|read| read.message.device).collect(),
        Content::Unreadable { .. } => Vec::new(),
    }
}

fn unreadable(delivery: &Delivery, error: &batch::BatchError) -> Content {
    tracing::error!(batch.id = %delivery.id, %error, "a batch cannot be read and is kept as dead-lettered");
    counter!("muster_ingest_unreadable_batches").increment(1);
    Content::Unreadable {
        received: batch::header(delivery.body.clone()).unwrap_or_default(),
        body: delivery.body.clone(),
    }
}

/// Keeps a batch that is no batch with the first tenant that its header names, as work that nobody can do, and counts
/// its messages with each.
fn dead_letter(
    received: &[(TenantKey, u32)],
    body: &Bytes,
    now: DateTime<Utc>,
    writes: &mut Writes,
) -> Result<(), EngineError> {
    for (tenant, messages) in received {
        let counts = writes.counts.entry(*tenant).or_default();
        counts.received += i64::from(*messages);
        counts.dead_lettered += i64::from(*messages);
    }
    if let Some((tenant, _)) = received.first() {
        let work = Work::UnreadableBatch { body: BASE64.encode(body) };
        writes.work.push(new_work(WorkId(Uuid::now_v7()), *tenant, &work, now)?);
    }
    Ok(())
}

fn new_work(id: WorkId, tenant: TenantKey, work: &Work, now: DateTime<Utc>) -> Result<NewWork, EngineError> {
    let payload = serde_json::to_value(work).map_err(|error| EngineError::corrupt("outgoing work", id, error))?;
    Ok(NewWork { id, tenant, kind: work.kind().to_owned(), payload, due_at: now })
}

/// Reads a message; its time is the device's own where it gives one.
fn decode(message: &Inbound, kind: Option<&Kind>) -> (i64, Result<Decoded, Reject>) {
    let bag = match Bag::parse(&message.bag) {
        Ok(bag) => bag,
        Err(error) => return (message.enqueued_ms, Err(Reject::Properties(error))),
    };
    let ts_ms = bag.creation_time().map_or(message.enqueued_ms, |time| time.timestamp_millis());
    let untyped = telemetry::Layout::untyped();
    let layout = kind.map_or(&untyped, |kind| &kind.layout);
    (ts_ms, telemetry::decode(&message.payload, &bag, layout, &Limits::default()))
}

fn rejected(message: Inbound, reason: &str) -> RejectedMessage {
    RejectedMessage {
        id: Uuid::now_v7(),
        device: message.device,
        at: DateTime::from_timestamp_millis(message.enqueued_ms).unwrap_or_default(),
        reason: reason.to_owned(),
        bag: message.bag,
        payload: Bytes::into(message.payload),
    }
}
