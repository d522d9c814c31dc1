//! The socket under a connection, plain or TLS.
//!
//! lapin's own TLS would bring a second TLS stack and the old ciphers of PKCS#12; and without its TLS features it
//! takes `amqps://` for plain text, silently. So the socket is ours, over the TLS that the rest of Muster uses.

use super::address::Address;
use async_rs::{Runtime, Tokio, traits::Reactor, util::RuntimeParts};
use futures::{
    Stream,
    io::{AsyncRead, AsyncWrite},
};
use lapin::AsyncTcpStream;
use std::{
    io::{self, Read, Write},
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_util::{
    compat::{Compat, TokioAsyncReadCompatExt},
    either::Either,
    sync::{CancellationToken, WaitForCancellationFutureOwned},
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The runtime that lapin works with: tokio, with our socket.
pub(crate) fn runtime() -> Runtime<RuntimeParts<Tokio, Network>> {
    let tokio = Tokio::current();
    Runtime::new(RuntimeParts::new(tokio.clone(), Network(tokio)))
}

/// Opens the socket; it fails from the moment that `aborted` fires.
pub(crate) async fn connect(address: &Address, aborted: CancellationToken) -> io::Result<AsyncTcpStream<Socket>> {
    let opening = async {
        let authority = &address.uri.authority;
        let stream = TcpStream::connect((authority.host.as_str(), authority.port)).await?;
        stream.set_nodelay(true)?;
        Ok(match &address.tls {
            None => Either::Left(stream),
            Some((connector, name)) => Either::Right(connector.connect(name.clone(), stream).await?),
        })
    };
    let late = || io::Error::new(io::ErrorKind::TimedOut, "broker does not answer");
    let stream = tokio::time::timeout(CONNECT_TIMEOUT, opening).await.unwrap_or_else(|_| Err(late()))?;
    Ok(AsyncTcpStream::Plain(Socket { stream: stream.compat(), aborted: Box::pin(aborted.cancelled_owned()) }))
}

/// A socket that can be given up from outside.
pub(crate) struct Socket {
    stream: Compat<Either<TcpStream, TlsStream<TcpStream>>>,
    aborted: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        // lapin reads all the time, so this is where the abort is seen.
        if self.aborted.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buffer)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_close(cx)
    }
}

/// tokio's timers with our socket; lapin gets its sockets from [`connect`], never from here.
#[derive(Clone, Debug)]
pub(crate) struct Network(Tokio);

impl Reactor for Network {
    type TcpStream = Socket;
    type Sleep = <Tokio as Reactor>::Sleep;

    fn register<H: Read + Write + Send + 'static>(
        &self,
        _: H,
    ) -> io::Result<impl AsyncRead + AsyncWrite + Send + Unpin + 'static> {
        Err::<Socket, _>(io::ErrorKind::Unsupported.into())
    }

    fn sleep(&self, duration: Duration) -> Self::Sleep {
        self.0.sleep(duration)
    }

    fn interval(&self, duration: Duration) -> impl Stream<Item = Instant> + Send + 'static {
        self.0.interval(duration)
    }

    fn tcp_connect_addr(&self, _: SocketAddr) -> impl Future<Output = io::Result<Socket>> + Send + 'static {
        std::future::ready(Err(io::ErrorKind::Unsupported.into()))
    }
}
