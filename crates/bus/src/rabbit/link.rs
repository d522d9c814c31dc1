//! One connection to the broker that is made again whenever it breaks.
//!
//! There are two: a broker in need of memory stops reading from connections that publish, and acknowledgements
//! must still get through then, or the queues could never drain.

use super::{address::Address, board::Board, call, socket};
use crate::{BusError, backoff::Backoff, shared::Shared};
use futures::StreamExt;
use lapin::{Channel, Connection, ConnectionProperties, Event};
use std::{io, sync::Arc, time::Duration};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// A broker that starts listens before it answers; it is better asked again than waited for.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
const CLOSE_TIMEOUT: Duration = Duration::from_secs(3);
/// How often a connection is looked at, besides its own reports.
const WATCH_EVERY: Duration = Duration::from_secs(1);

/// A handle of the connection; clones share it.
#[derive(Clone)]
pub(crate) struct Link {
    current: watch::Receiver<Option<Arc<Connection>>>,
}

impl Link {
    /// Starts to connect, and keeps connecting until the bus stops.
    pub(crate) fn start(name: &'static str, address: Address, board: Arc<Board>, shared: &Shared) -> Self {
        board.waits(name, "connecting".into());
        let (sender, current) = watch::channel(None);
        let keeper = Keeper { name, title: format!("muster {} {name}", shared.instance), address, board, sender };
        let stop = shared.stop.clone();
        shared.tasks.spawn(async move {
            tokio::select! {
                () = keeper.run() => {}
                () = stop.cancelled() => {}
            }
        });
        Self { current }
    }

    /// A channel on the connection; waits until there is one.
    pub(crate) async fn channel(&self) -> Result<Channel, BusError> {
        let connection = self.current.clone().wait_for(Option::is_some).await.map_err(|_| BusError::Closed)?.clone();
        let connection = connection.ok_or(BusError::Closed)?;
        call("open a channel", connection.create_channel()).await
    }

    /// Whether the broker refuses to read from this connection for now.
    pub(crate) fn blocked(&self) -> bool {
        self.current.borrow().as_ref().is_some_and(|connection| connection.status().blocked())
    }

    /// Closes the connection in good order; what is confirmed already stays so.
    pub(crate) async fn close(&self) {
        let connection = self.current.borrow().clone();
        if let Some(connection) = connection {
            // Failing is fine: the connection is gone then.
            let _ = tokio::time::timeout(CLOSE_TIMEOUT, connection.close(200, "closed".into())).await;
        }
    }
}

struct Keeper {
    name: &'static str,
    title: String,
    address: Address,
    board: Arc<Board>,
    sender: watch::Sender<Option<Arc<Connection>>>,
}

impl Keeper {
    async fn run(self) {
        let mut backoff = Backoff::default();
        loop {
            match self.connect().await {
                Ok(connection) => {
                    backoff.reset();
                    self.board.works(self.name);
                    metrics::counter!("muster_bus_connections_total", "link" => self.name).increment(1);
                    let connection = Arc::new(connection);
                    self.sender.send_replace(Some(connection.clone()));
                    let reason = self.watch(&connection).await;
                    self.sender.send_replace(None);
                    self.board.waits(self.name, reason);
                }
                Err(error) => self.board.waits(self.name, error.to_string()),
            }
            backoff.pause().await;
        }
    }

    async fn connect(&self) -> Result<Connection, lapin::Error> {
        let properties = ConnectionProperties::default().with_connection_name(self.title.clone().into());
        let abort = CancellationToken::new();
        let (address, aborted) = (self.address.clone(), abort.clone());
        let connecting = Connection::connector(
            self.address.uri.clone(),
            socket::runtime(),
            async move |_, _| Ok(socket::connect(&address, aborted.clone()).await?),
            properties,
        );
        let connected = tokio::time::timeout(HANDSHAKE_TIMEOUT, connecting).await;
        connected.unwrap_or_else(|_| {
            // A broker that accepts and says nothing: without this, its socket and thread would stay for ever.
            abort.cancel();
            Err(io::Error::new(io::ErrorKind::TimedOut, "broker accepts connections but does not answer").into())
        })
    }

    /// Returns why the connection ended.
    async fn watch(&self, connection: &Connection) -> String {
        let mut events = Box::pin(connection.events_listener());
        let mut tick = tokio::time::interval(WATCH_EVERY);
        loop {
            let event = tokio::select! {
                event = events.next() => event,
                _ = tick.tick() => None,
            };
            match event {
                Some(Event::ConnectionBlocked(reason)) => {
                    self.board.waits(self.name, format!("broker takes no messages for now: {reason}"));
                }
                Some(Event::ConnectionUnblocked) => self.board.works(self.name),
                Some(Event::Error(error)) if !connection.status().connected() => return error.to_string(),
                _ if !connection.status().connected() => return "connection closed".into(),
                _ => {}
            }
        }
    }
}
