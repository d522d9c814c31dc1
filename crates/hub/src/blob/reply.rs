//! Answers as clients of Azure Storage read them: everything in headers, and errors as XML.

use actix_web::{
    HttpRequest, HttpResponse, HttpResponseBuilder,
    http::{Method, StatusCode, header},
};
use muster_engine::{
    EngineError,
    files::{self, BlobError, Checksum, Condition, File},
};
use uuid::Uuid;

/// What is said where the client names no version.
const VERSION: &str = "2025-01-05";
/// A longer id of a client is not sent back.
const MAX_CLIENT_ID_BYTES: usize = 1024;

/// Why a request is not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    status: u16,
    /// As Azure Storage names it.
    pub(super) code: &'static str,
    message: String,
}

impl Refusal {
    pub(super) fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    pub(super) fn unauthorized() -> Self {
        Self::new(
            403,
            "AuthenticationFailed",
            "the signature in the address is not valid for this blob, or has expired",
        )
    }
}

impl From<BlobError> for Refusal {
    fn from(error: BlobError) -> Self {
        let message = error.to_string();
        match error {
            BlobError::Unauthorized { reason } => {
                tracing::debug!(reason, "an upload was refused");
                Self::unauthorized()
            }
            BlobError::Condition(Condition::Absent) => Self::new(409, "BlobAlreadyExists", message),
            BlobError::Condition(_) => Self::new(412, "ConditionNotMet", message),
            BlobError::TooLarge { .. } => Self::new(413, "RequestBodyTooLarge", message),
            // Clients try 5xx again, which would not help.
            BlobError::NoSpace => Self::new(403, "TenantStorageQuotaExceeded", message),
            BlobError::TooManyBlocks => Self::new(409, "BlockCountExceedsLimit", message),
            BlobError::BlockList => Self::new(400, "InvalidBlockList", message),
            BlobError::Damaged(Checksum::Md5) => Self::new(400, "Md5Mismatch", message),
            BlobError::Damaged(Checksum::Crc64) => Self::new(400, "Crc64Mismatch", message),
            BlobError::Busy => Self::new(503, "ServerBusy", message),
            BlobError::Failed(EngineError::NotFound { .. }) => Self::new(404, "BlobNotFound", message),
            BlobError::Failed(error @ EngineError::Unavailable { .. }) => {
                tracing::warn!(error = error.with_cause(), "an upload failed, its device will try again");
                Self::new(503, "ServerBusy", message)
            }
            BlobError::Failed(error) => {
                tracing::error!(%error, "an upload failed");
                Self::new(500, "InternalError", "internal error")
            }
        }
    }
}

/// What was sent is written; `file` where it is the whole blob.
pub(super) fn written(request: &HttpRequest, file: Option<&File>) -> HttpResponse {
    let mut reply = reply(request, StatusCode::CREATED);
    if let Some(file) = file {
        let modified = file.modified_at.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
        reply
            .insert_header((header::ETAG, format!("\"{}\"", files::etag(file))))
            .insert_header((header::LAST_MODIFIED, modified));
    }
    // All that was sent was checked against it.
    for name in ["content-md5", "x-ms-content-crc64"] {
        if let Some(value) = request.headers().get(name) {
            reply.insert_header((name, value));
        }
    }
    reply.finish()
}

/// What was not done, and why.
pub(super) fn refused(request: &HttpRequest, refusal: &Refusal) -> HttpResponse {
    let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut reply = reply(request, status);
    reply.insert_header(("x-ms-error-code", refusal.code));
    // What is left of the body would be read as the next request.
    reply.force_close();
    if request.method() == Method::HEAD {
        return reply.finish();
    }
    let message = quick_xml::escape::escape(refusal.message.as_str());
    reply.content_type("application/xml").body(format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>{}</Code><Message>{message}</Message></Error>",
        refusal.code
    ))
}

fn reply(request: &HttpRequest, status: StatusCode) -> HttpResponseBuilder {
    let sent = |name: &str| request.headers().get(name).filter(|value| value.len() <= MAX_CLIENT_ID_BYTES).cloned();
    let mut reply = HttpResponse::build(status);
    reply.insert_header(("x-ms-request-id", Uuid::now_v7().to_string()));
    match sent("x-ms-version") {
        Some(version) => reply.insert_header(("x-ms-version", version)),
        None => reply.insert_header(("x-ms-version", VERSION)),
    };
    if let Some(id) = sent("x-ms-client-request-id") {
        reply.insert_header(("x-ms-client-request-id", id));
    }
    reply
}
