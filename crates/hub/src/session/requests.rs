//! Requests that need the database, answered one after another while the connection goes on.

use super::{end::End, subscriptions::Subscriptions};
use crate::{
    fault::Fault,
    limits::{Kind, Share},
    twin::{self, TwinAnswer},
};
use bytes::Bytes;
use muster_engine::{Engine, events::failures, hub_auth::DeviceSession};
use muster_model::event::FailureCode;
use rmqtt_codec::{types::QoS, v3::SubscribeReturnCode};
use std::{collections::VecDeque, future::Future, num::NonZeroU16, pin::Pin, sync::Arc, time::Duration};
use tokio::time::timeout;

/// Requests that may wait for a connection.
const MAX_QUEUE: usize = 32;
/// Time to keep a changed set of subscriptions; SDKs give a SUBACK 10 s.
const SAVE_TIMEOUT: Duration = Duration::from_secs(8);

/// Who asks.
#[derive(Clone)]
pub(super) struct Asker {
    pub(super) engine: Engine,
    pub(super) session: Arc<DeviceSession>,
    pub(super) share: Share,
}

impl Asker {
    /// The answer to a request that is one too many.
    fn refuse(&self) -> TwinAnswer {
        failures::note(&self.engine, self.session.tenant, &self.session.device_id, FailureCode::Throttled);
        twin::failed(&self.engine, &Fault::throttled())
    }
}

/// What is asked.
pub(super) enum Request {
    TwinGet { rid: String },
    TwinReported { rid: String, patch: Bytes },
    Subscribe { packet: NonZeroU16, filters: Vec<(String, QoS)> },
    Unsubscribe { packet: NonZeroU16, filters: Vec<String> },
}

/// What is to be done on the connection.
pub(super) enum Answer {
    Twin { rid: String, answer: TwinAnswer },
    Subscribed { packet: NonZeroU16, codes: Vec<SubscribeReturnCode>, now: Subscriptions },
    Unsubscribed { packet: NonZeroU16, now: Subscriptions },
    End(End),
}

/// The requests of one connection, in order.
pub(super) struct Requests {
    asker: Asker,
    queue: VecDeque<Request>,
    active: Option<Pin<Box<dyn Future<Output = Answer> + Send>>>,
}

impl Requests {
    pub(super) fn new(asker: Asker) -> Self {
        Self { asker, queue: VecDeque::new(), active: None }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.active.is_none()
    }

    /// Takes a request. Beyond the bound a twin request is answered at once, and subscriptions end the connection.
    pub(super) fn push(&mut self, request: Request) -> Result<(), Answer> {
        if self.queue.len() < MAX_QUEUE {
            self.queue.push_back(request);
            return Ok(());
        }
        match request {
            Request::TwinGet { rid } | Request::TwinReported { rid, .. } => {
                Err(Answer::Twin { rid, answer: self.asker.refuse() })
            }
            Request::Subscribe { .. } | Request::Unsubscribe { .. } => {
                Err(Answer::End(End::Forbidden("too many subscription changes at once")))
            }
        }
    }

    /// The next answer; never resolves while nothing is asked. May be dropped and asked again.
    pub(super) async fn next(&mut self, subscriptions: &Subscriptions) -> Answer {
        if self.active.is_none() {
            match self.queue.pop_front() {
                Some(request) => self.active = Some(self.start(request, subscriptions)),
                None => return std::future::pending().await,
            }
        }
        let Some(active) = &mut self.active else { return std::future::pending().await };
        let answer = active.await;
        self.active = None;
        answer
    }

    fn start(&self, request: Request, subscriptions: &Subscriptions) -> Pin<Box<dyn Future<Output = Answer> + Send>> {
        let asker = self.asker.clone();
        match request {
            Request::TwinGet { rid } => Box::pin(async move {
                let answer = twin::get(&asker.engine, &asker.session).await;
                Answer::Twin { rid, answer }
            }),
            Request::TwinReported { rid, patch } => Box::pin(async move {
                let answer = match asker.share.pass(Kind::TwinWrites, 1).await {
                    Ok(()) => twin::report(&asker.engine, &asker.session, &patch).await,
                    Err(_) => asker.refuse(),
                };
                Answer::Twin { rid, answer }
            }),
            Request::Subscribe { packet, filters } => {
                let mut now = subscriptions.clone();
                let (device, module) = (&asker.session.device_id, asker.session.module.as_ref());
                let codes = filters.iter().map(|(filter, qos)| now.subscribe(filter, *qos, device, module)).collect();
                Box::pin(async move {
                    match save(&asker, &now).await {
                        Ok(()) => Answer::Subscribed { packet, codes, now },
                        Err(end) => Answer::End(end),
                    }
                })
            }
            Request::Unsubscribe { packet, filters } => {
                let mut now = subscriptions.clone();
                for filter in filters {
                    now.unsubscribe(&filter);
                }
                Box::pin(async move {
                    match save(&asker, &now).await {
                        Ok(()) => Answer::Unsubscribed { packet, now },
                        Err(end) => Answer::End(end),
                    }
                })
            }
        }
    }
}

/// SDKs ignore the code in a SUBACK, so the only answer that makes them try again is the end of the connection.
async fn save(asker: &Asker, now: &Subscriptions) -> Result<(), End> {
    match timeout(SAVE_TIMEOUT, now.save(&asker.engine, &asker.session)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(End::Subscriptions(error.to_string())),
        Err(_) => Err(End::Subscriptions("the database did not answer in time".into())),
    }
}
