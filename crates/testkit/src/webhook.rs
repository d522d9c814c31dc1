//! An HTTP server that keeps what is POSTed to it.

use serde_json::Value;
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU16, Ordering},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// Takes every webhook call on a port of its own.
#[derive(Debug, Clone)]
pub struct WebhookSink {
    url: String,
    calls: Arc<Mutex<Vec<Value>>>,
    status: Arc<AtomicU16>,
}

impl WebhookSink {
    /// Starts listening; answers 200.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/hook", listener.local_addr().expect("an address"));
        let sink = Self { url, calls: Arc::default(), status: Arc::new(AtomicU16::new(200)) };
        let kept = sink.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(kept.clone().take(socket));
            }
        });
        sink
    }

    /// Where to POST.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Answers with `status` from now on.
    pub fn answer(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    /// Every body so far.
    pub fn calls(&self) -> Vec<Value> {
        self.calls.lock().expect("not poisoned").clone()
    }

    async fn take(self, mut socket: TcpStream) -> std::io::Result<()> {
        let mut bytes = Vec::new();
        loop {
            let mut buffer = [0; 8192];
            let read = socket.read(&mut buffer).await?;
            bytes.extend_from_slice(&buffer[..read]);
            if read == 0 || body(&bytes).is_some() {
                break;
            }
        }
        if let Some(body) = body(&bytes) {
            self.calls.lock().expect("not poisoned").push(serde_json::from_slice(body).unwrap_or(Value::Null));
        }
        let status = self.status.load(Ordering::SeqCst);
        let answer = format!("HTTP/1.1 {status} Sink\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        socket.write_all(answer.as_bytes()).await
    }
}

/// The body, once it is whole.
fn body(request: &[u8]) -> Option<&[u8]> {
    let end = request.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&request[..end]).ok()?.to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok())?;
    request.get(end..end + length)
}
