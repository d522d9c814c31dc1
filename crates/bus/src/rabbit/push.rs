//! Pushes to one instance: sent with a confirm and told at once when the instance is not there.

use super::{board::Board, call, link::Link, names, unavailable};
use crate::{BusError, InstanceId, backoff::Backoff, shared::Shared};
use bytes::Bytes;
use futures::{
    StreamExt,
    future::{BoxFuture, FutureExt},
    stream::FuturesUnordered,
};
use lapin::{
    BasicProperties, Channel, Confirmation,
    options::{BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions},
    types::FieldTable,
};
use std::{sync::Arc, time::Duration};
use tokio::sync::{mpsc, oneshot};

/// How long a push may take before its caller is told that it failed.
const PUSH_TIMEOUT: Duration = Duration::from_secs(10);
/// Pushes on their way, and received pushes that wait to be read.
const WAITING: usize = 64;
const PREFETCH: u16 = 64;
const PART: &str = "pushes";

/// A push on its way.
struct Outgoing {
    to: InstanceId,
    body: Bytes,
    outcome: oneshot::Sender<Result<(), BusError>>,
}

/// The sending side.
pub(crate) struct Pusher {
    outgoing: mpsc::Sender<Outgoing>,
}

impl Pusher {
    pub(crate) fn start(shared: &Arc<Shared>, link: Link) -> Self {
        let (outgoing, incoming) = mpsc::channel(WAITING);
        let stop = shared.stop.clone();
        let sending = send(shared.clone(), link, incoming);
        shared.tasks.spawn(async move {
            tokio::select! {
                () = sending => {}
                () = stop.cancelled() => {}
            }
        });
        Self { outgoing }
    }

    pub(crate) async fn push(&self, to: &InstanceId, body: Bytes) -> Result<(), BusError> {
        let (sender, outcome) = oneshot::channel();
        let pushing = async {
            let push = Outgoing { to: to.clone(), body, outcome: sender };
            self.outgoing.send(push).await.map_err(|_| BusError::Closed)?;
            outcome.await.map_err(|_| BusError::Closed)?
        };
        let pushed = tokio::time::timeout(PUSH_TIMEOUT, pushing).await;
        pushed.unwrap_or_else(|_| Err(unavailable("push to an instance", "no confirm within 10 s")))
    }
}

type Confirms = FuturesUnordered<BoxFuture<'static, ()>>;

async fn send(shared: Arc<Shared>, link: Link, mut incoming: mpsc::Receiver<Outgoing>) {
    let mut channel: Option<Channel> = None;
    let mut confirms = Confirms::new();
    loop {
        let push = tokio::select! {
            push = incoming.recv() => push,
            Some(()) = confirms.next() => continue,
        };
        let Some(push) = push else { return };
        // Its caller has given up: sending it now would be a surprise.
        if push.outcome.is_closed() {
            continue;
        }
        match publish(&shared, &link, &mut channel, &push).await {
            Ok(confirm) => confirms.push(confirm.map(|outcome| settle(push, outcome)).boxed()),
            Err(error) => drop(push.outcome.send(Err(error))),
        }
    }
}

async fn publish(
    shared: &Shared,
    link: &Link,
    channel: &mut Option<Channel>,
    push: &Outgoing,
) -> Result<lapin::PublisherConfirm, BusError> {
    let open = match channel.take().filter(|channel| channel.status().connected()) {
        Some(open) => open,
        None => {
            let opening = tokio::time::timeout(PUSH_TIMEOUT, link.channel()).await;
            let open = opening.unwrap_or_else(|_| Err(unavailable("push to an instance", "broker is away")))?;
            call("ask for confirms", open.confirm_select(ConfirmSelectOptions::default())).await?;
            open
        }
    };
    let options = BasicPublishOptions { mandatory: true, immediate: false };
    let queue = names::push(shared, &push.to);
    let publishing = open.basic_publish("".into(), queue, options, &push.body, BasicProperties::default());
    let confirm = call("push to an instance", publishing).await?;
    *channel = Some(open);
    Ok(confirm)
}

fn settle(push: Outgoing, outcome: lapin::Result<Confirmation>) {
    let result = match outcome {
        Ok(Confirmation::Ack(None)) => Ok(()),
        Ok(Confirmation::Ack(Some(_))) => Err(BusError::NoInstance(push.to)),
        Ok(Confirmation::Nack(_)) => Err(BusError::Full(push.to)),
        Ok(Confirmation::NotRequested) => Err(unavailable("push to an instance", "channel gives no confirms")),
        Err(error) => Err(unavailable("push to an instance", error)),
    };
    // A caller that no longer waits is none of our business.
    let _ = push.outcome.send(result);
}

/// Starts to receive this instance's pushes; `ready` resolves when its queue is there.
pub(crate) fn receive(
    shared: &Arc<Shared>,
    link: Link,
    board: Arc<Board>,
) -> (mpsc::Receiver<Bytes>, oneshot::Receiver<()>, mpsc::WeakSender<Bytes>) {
    let (sender, receiver) = mpsc::channel(WAITING);
    let (ready, is_ready) = oneshot::channel();
    let weak = sender.downgrade();
    let stop = shared.stop.clone();
    let receiving = keep_receiving(shared.clone(), link, board, sender.clone(), ready);
    shared.tasks.spawn(async move {
        tokio::select! {
            () = receiving => {}
            () = sender.closed() => {}
            () = stop.cancelled() => {}
        }
    });
    (receiver, is_ready, weak)
}

async fn keep_receiving(
    shared: Arc<Shared>,
    link: Link,
    board: Arc<Board>,
    sender: mpsc::Sender<Bytes>,
    ready: oneshot::Sender<()>,
) {
    let mut ready = Some(ready);
    let mut backoff = Backoff::default();
    loop {
        match subscribe(&shared, &link).await {
            Ok((channel, mut messages)) => {
                board.works(PART);
                backoff.reset();
                if let Some(ready) = ready.take() {
                    let _ = ready.send(());
                }
                while let Some(message) = super::next(&channel, &mut messages).await {
                    let acker = message.acker;
                    if sender.send(message.data.into()).await.is_err() {
                        return;
                    }
                    if acker.ack(BasicAckOptions::default()).await.is_err() {
                        break;
                    }
                }
                board.waits(PART, "connection lost".into());
            }
            Err(error) => board.waits(PART, super::reason(&error)),
        }
        backoff.pause().await;
    }
}

async fn subscribe(shared: &Shared, link: &Link) -> Result<(Channel, lapin::Consumer), BusError> {
    let channel = link.channel().await?;
    let queue = names::push(shared, &shared.instance);
    names::declare_push(&channel, &queue).await?;
    call("set the prefetch", channel.basic_qos(PREFETCH, BasicQosOptions::default())).await?;
    let consuming = channel.basic_consume(queue, "".into(), BasicConsumeOptions::default(), FieldTable::default());
    let messages = call("receive pushes", consuming).await?;
    Ok((channel, messages))
}
