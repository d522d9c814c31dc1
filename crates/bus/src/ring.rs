//! A bounded buffer that forgets its oldest entry when full, in front of a channel.

use bytes::Bytes;
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::{Notify, mpsc};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Entries that wait in the channel itself; the rest waits in the ring, where it can be dropped.
const CHANNEL: usize = 16;

/// The writing end. A slow reader loses the oldest entries, never the writer's time.
pub(crate) struct Ring {
    inner: Arc<Inner>,
    reader_gone: CancellationToken,
    name: &'static str,
}

struct Inner {
    entries: Mutex<VecDeque<Bytes>>,
    added: Notify,
    capacity: usize,
}

impl Ring {
    /// A ring and the channel that it feeds until the reader is dropped or `stop` fires.
    pub(crate) fn new(
        name: &'static str,
        capacity: usize,
        stop: CancellationToken,
        tasks: &TaskTracker,
    ) -> (Self, mpsc::Receiver<Bytes>) {
        let (sender, receiver) = mpsc::channel(CHANNEL);
        let inner = Arc::new(Inner { entries: Mutex::default(), added: Notify::new(), capacity });
        let reader_gone = CancellationToken::new();
        tasks.spawn(forward(inner.clone(), sender, stop, reader_gone.clone()));
        (Self { inner, reader_gone, name }, receiver)
    }

    /// Adds an entry, dropping the oldest if need be. `false` when nobody reads any more.
    pub(crate) fn push(&self, body: Bytes) -> bool {
        if self.reader_gone.is_cancelled() {
            return false;
        }
        let mut entries = self.inner.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= self.inner.capacity {
            entries.pop_front();
            metrics::counter!("muster_bus_dropped_total", "topic" => self.name).increment(1);
        }
        entries.push_back(body);
        drop(entries);
        self.inner.added.notify_one();
        true
    }

    /// Resolves when nobody reads any more.
    pub(crate) async fn unread(&self) {
        self.reader_gone.cancelled().await;
    }
}

async fn forward(inner: Arc<Inner>, sender: mpsc::Sender<Bytes>, stop: CancellationToken, gone: CancellationToken) {
    let _gone = gone.drop_guard();
    loop {
        let next = inner.entries.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let step = async {
            match next {
                Some(body) => sender.send(body).await.is_ok(),
                None => {
                    inner.added.notified().await;
                    true
                }
            }
        };
        tokio::select! {
            alive = step => if !alive { return },
            () = sender.closed() => return,
            () = stop.cancelled() => return,
        }
    }
}
