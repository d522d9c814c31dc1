//! A gate in front of a server that the product needs, which a test may shut.

use std::net::SocketAddr;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
};

/// Passes connections on to a server, as long as it is open.
#[derive(Debug)]
pub struct Gate {
    address: SocketAddr,
    open: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Gate {
    /// A shut gate in front of `server` (`HOST:PORT`).
    pub async fn before(server: &str) -> Self {
        Self::at("127.0.0.1:0", server).await
    }

    /// A shut gate at this address.
    pub async fn at(address: &str, server: &str) -> Self {
        let listener = TcpListener::bind(address).await.expect("the address can be had");
        let address = listener.local_addr().expect("an address");
        let (open, state) = watch::channel(false);
        let task = tokio::spawn(run(listener, server.to_owned(), state));
        Self { address, open, task }
    }

    /// Where it is entered.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lets connections through.
    pub fn open(&self) {
        self.open.send_replace(true);
    }

    /// Cuts the connections that there are, and every new one.
    pub fn shut(&self) {
        self.open.send_replace(false);
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn run(listener: TcpListener, server: String, state: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        if *state.borrow() {
            connections.spawn(pass(client, server.clone(), state.clone()));
        }
    }
}

async fn pass(mut client: TcpStream, server: String, mut state: watch::Receiver<bool>) {
    let Ok(mut server) = TcpStream::connect(server).await else { return };
    tokio::select! {
        _ = copy_bidirectional(&mut client, &mut server) => {}
        _ = state.wait_for(|open| !open) => {}
    }
}
