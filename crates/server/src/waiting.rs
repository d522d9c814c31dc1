//! What a process answers while the database or the broker is not there yet: alive, not ready, and why.

use actix_web::{App, HttpResponse, HttpServer, dev::ServerHandle, web};
use serde_json::json;
use std::{
    io,
    net::TcpListener,
    sync::{Arc, Mutex, PoisonError},
};

/// The reason why the process is not ready.
#[derive(Clone, Debug, Default)]
pub struct Reason(Arc<Mutex<String>>);

impl Reason {
    /// Says what is waited for.
    pub fn set(&self, text: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = text;
    }

    fn get(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Answers `/health/live` with 200 and everything else with 503 and the reason, until it is stopped.
///
/// # Errors
/// Where the listener cannot be used.
pub fn serve(listener: TcpListener, reason: Reason) -> io::Result<ServerHandle> {
    let server = HttpServer::new(move || {
        let reason = reason.clone();
        App::new()
            .route("/health/live", web::get().to(|| async { HttpResponse::Ok().json(json!({ "status": "live" })) }))
            .default_service(web::to(move || {
                let body = json!({ "error": { "code": "Unavailable", "message": reason.get() }, "status": "waiting" });
                async move { HttpResponse::ServiceUnavailable().insert_header(("retry-after", "2")).json(body) }
            }))
    })
    .workers(1)
    .disable_signals()
    .listen(listener)?
    .run();
    let handle = server.handle();
    tokio::spawn(server);
    Ok(handle)
}
