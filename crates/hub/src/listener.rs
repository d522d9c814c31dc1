//! Accepts connections, within the limits, until the hub stops; then waits for them.

use crate::{Hub, metering, pace::Pace, session, tls::Peer};
use std::{io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::OwnedSemaphorePermit,
    task::{JoinError, JoinSet},
    time::{Instant, sleep, timeout},
};
use tokio_rustls::TlsAcceptor;

/// The pause after a failed accept: mostly the process is short of file handles, and a loop would not help.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What a listener's connections start with.
pub(crate) enum Transport {
    /// MQTT at once.
    Plain,
    /// A TLS handshake.
    Tls(TlsAcceptor),
}

/// Serves a listener until the hub stops and its connections are drained, or the time for that is over.
pub(crate) async fn run(hub: Arc<Hub>, listener: TcpListener, transport: Transport) {
    let mut connections = JoinSet::new();
    let mut pace = Pace::new(hub.config.connects_per_second, Instant::now());
    loop {
        tokio::select! {
            () = hub.stop.cancelled() => break,
            Some(ended) = connections.join_next(), if !connections.is_empty() => log_panic(ended),
            accepted = accept(&listener, &mut pace) => {
                pace.take();
                match accepted {
                    Ok((socket, peer)) => admit(&hub, &transport, socket, peer, &mut connections),
                    Err(error) => {
                        tracing::warn!(%error, "a connection could not be accepted");
                        sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
        }
    }
    drop(listener);
    hub.registry.stop();
    let drained = async {
        while let Some(ended) = connections.join_next().await {
            log_panic(ended);
        }
    };
    if timeout(hub.config.drain_timeout, drained).await.is_err() {
        tracing::warn!(connections = connections.len(), "connections were closed before they were drained");
        connections.shutdown().await;
    }
}

async fn accept(listener: &TcpListener, pace: &mut Pace) -> io::Result<(TcpStream, SocketAddr)> {
    let wait = pace.wait(Instant::now());
    if !wait.is_zero() {
        sleep(wait).await;
    }
    listener.accept().await
}

fn admit(hub: &Arc<Hub>, transport: &Transport, socket: TcpStream, peer: SocketAddr, connections: &mut JoinSet<()>) {
    let Ok(place) = hub.places.clone().try_acquire_owned() else {
        metering::count_turned_away("full");
        return;
    };
    // Acknowledgements are small and must not wait for company; a socket that refuses this works all the same.
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(%error, "a socket keeps its delay");
    }
    let hub = hub.clone();
    match transport {
        Transport::Plain => connections.spawn(serve_plain(hub, socket, peer, place)),
        Transport::Tls(acceptor) => connections.spawn(serve_tls(hub, acceptor.clone(), socket, peer, place)),
    };
}

async fn serve_plain(hub: Arc<Hub>, socket: TcpStream, peer: SocketAddr, place: OwnedSemaphorePermit) {
    let _open = (hub.meters.connection(), place);
    session::serve(hub, socket, Peer::plain(peer.ip())).await;
}

async fn serve_tls(
    hub: Arc<Hub>,
    acceptor: TlsAcceptor,
    socket: TcpStream,
    peer: SocketAddr,
    place: OwnedSemaphorePermit,
) {
    let _open = (hub.meters.connection(), place);
    match timeout(hub.config.handshake_timeout, acceptor.accept(socket)).await {
        Ok(Ok(stream)) => {
            let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
            let chain = chain.iter().map(|certificate| certificate.clone().into_owned()).collect();
            session::serve(hub, stream, Peer { address: peer.ip(), chain, host: None }).await;
        }
        Ok(Err(error)) => {
            tracing::debug!(peer = %peer.ip(), %error, "a TLS handshake failed");
            metering::count_turned_away("handshake");
        }
        Err(_) => metering::count_turned_away("handshakeTimeout"),
    }
}

fn log_panic(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "a connection's task panicked");
    }
}
