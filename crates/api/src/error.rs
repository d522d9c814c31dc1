//! The one place where an error becomes a status, a stable code and IoT Central's error body.

use actix_web::{
    HttpResponse, HttpResponseBuilder, ResponseError,
    http::{StatusCode, header},
};
use chrono::{DateTime, Utc};
use muster_contract::error::{ErrorBody, ErrorDetails, Problem};
use muster_engine::{
    EngineError, c2d::SendError, commands::CommandError, live::TooManyListeners, methods::InvokeError,
};
use muster_model::{Denied, InvalidId};
use muster_store::StoreError;
use std::fmt;

/// Why a request was not answered as asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    /// A use case refused or failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The body, a query parameter or an id in the address cannot be read.
    #[error("{}", .0.message)]
    Malformed(Box<Problem>),
    /// The body is too long.
    #[error("the body is longer than {limit_bytes} bytes")]
    TooLarge {
        /// How long it may be.
        limit_bytes: usize,
    },
    /// The body is not JSON by its header.
    #[error("the body's content type must be application/json")]
    MediaType,
    /// Nothing stands at this address.
    #[error("there is no such resource")]
    NoRoute,
    /// The resource does not know the method.
    #[error("the resource does not support this method")]
    Method,
    /// A change with a cookie that did not come from our own page.
    #[error("the request did not come from a page of this site, or its page is out of date: reload it")]
    CrossSite,
    /// The address does not say which tenant is meant.
    #[error("the address names no tenant: use /t/{{tenant}}/api")]
    TenantRequired,
    /// A version that nobody published.
    #[error("api-version '{0}' is not known")]
    ApiVersion(String),
    /// It took too long.
    #[error("the request took too long")]
    TimedOut,
    /// A command that was not run.
    #[error(transparent)]
    Command(Box<CommandError>),
    /// The process serves as many live streams as it can.
    #[error(transparent)]
    TooManyListeners(#[from] TooManyListeners),
    /// The framework refused the request.
    #[error("{}", .0.canonical_reason().unwrap_or("the request was refused"))]
    Framework(StatusCode),
}

impl ApiError {
    /// A place in the request that cannot be read.
    pub(crate) fn malformed(code: &str, message: impl Into<String>) -> Self {
        let message = message.into();
        Self::Malformed(Box::new(Problem { code: code.to_owned(), message, pointer: None, line: None, column: None }))
    }

    /// There is no `kind` with this id in the caller's tenant.
    pub(crate) fn not_found(kind: &'static str, id: impl fmt::Display) -> Self {
        Self::Engine(EngineError::not_found(kind, id))
    }

    /// The status and the stable code.
    pub(crate) fn kind(&self) -> (StatusCode, &'static str) {
        match self {
            Self::Engine(error) => engine_kind(error),
            Self::Malformed(_) => (StatusCode::BAD_REQUEST, "Malformed"),
            Self::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "BodyTooLarge"),
            Self::MediaType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "UnsupportedMediaType"),
            Self::NoRoute => (StatusCode::NOT_FOUND, "NotFound"),
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed"),
            Self::CrossSite => (StatusCode::FORBIDDEN, "CrossSiteRequest"),
            Self::TenantRequired => (StatusCode::BAD_REQUEST, "TenantRequired"),
            Self::ApiVersion(_) => (StatusCode::BAD_REQUEST, "UnsupportedApiVersion"),
            Self::TimedOut => (StatusCode::SERVICE_UNAVAILABLE, "Timeout"),
            Self::Command(error) => command_kind(error),
            Self::TooManyListeners(_) => (StatusCode::SERVICE_UNAVAILABLE, "TooManyStreams"),
            Self::Framework(status) if status.is_client_error() => (*status, "BadRequest"),
            Self::Framework(status) => (*status, "InternalError"),
        }
    }

    /// The whole reply. `request_id` names the request in the log.
    pub(crate) fn reply(&self, request_id: Option<String>, now: Option<DateTime<Utc>>) -> HttpResponse {
        let (status, code) = self.kind();
        let mut reply = HttpResponseBuilder::new(status);
        if status == StatusCode::UNAUTHORIZED {
            reply.insert_header((header::WWW_AUTHENTICATE, "SharedAccessSignature"));
        }
        if let Some(seconds) = self.retry_after_seconds() {
            reply.insert_header((header::RETRY_AFTER, seconds));
        }
        let details = ErrorDetails {
            code: code.to_owned(),
            message: self.public_message(status),
            request_id,
            time: now.map(|now| now.format("%a, %d %b %Y %H:%M:%S GMT").to_string()),
            details: self.problems(),
        };
        reply.json(ErrorBody { error: details })
    }

    /// What stands in the reply: why a 5xx happened is for the log only.
    fn public_message(&self, status: StatusCode) -> String {
        if let Self::Engine(EngineError::Store(refused @ StoreError::Nul(_))) = self {
            return refused.to_string();
        }
        if status == StatusCode::INTERNAL_SERVER_ERROR {
            return "something went wrong on our side; the request id names it in the server's log".to_owned();
        }
        self.to_string()
    }

    fn retry_after_seconds(&self) -> Option<u64> {
        match self {
            Self::Engine(EngineError::TooMany { retry_after }) => Some(retry_after.as_secs().max(1)),
            Self::Engine(EngineError::Unavailable { .. }) | Self::TimedOut | Self::TooManyListeners(_) => Some(2),
            _ => None,
        }
    }

    fn problems(&self) -> Vec<Problem> {
        match self {
            Self::Engine(EngineError::Invalid { problems } | EngineError::Blocked { problems, .. }) => {
                problems.iter().map(wire_problem).collect()
            }
            Self::Malformed(problem) => vec![(**problem).clone()],
            _ => Vec::new(),
        }
    }
}

impl From<CommandError> for ApiError {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::Invoke(InvokeError::Refused(error)) | CommandError::Send(SendError::Refused(error)) => {
                error.into()
            }
            error => Self::Command(Box::new(error)),
        }
    }
}

fn command_kind(error: &CommandError) -> (StatusCode, &'static str) {
    match error {
        CommandError::Invoke(InvokeError::NotOnline { .. }) => (StatusCode::CONFLICT, "DeviceNotOnline"),
        CommandError::Invoke(InvokeError::TimedOut { .. }) => (StatusCode::GATEWAY_TIMEOUT, "DeviceTimeout"),
        CommandError::Invoke(InvokeError::Unreadable) => (StatusCode::BAD_GATEWAY, "DeviceAnswerUnreadable"),
        CommandError::Invoke(InvokeError::TooLarge) | CommandError::Send(SendError::TooLarge) => {
            (StatusCode::PAYLOAD_TOO_LARGE, "BodyTooLarge")
        }
        CommandError::Send(SendError::QueueFull) => (StatusCode::TOO_MANY_REQUESTS, "QueueFull"),
        CommandError::Invoke(InvokeError::Refused(error)) | CommandError::Send(SendError::Refused(error)) => {
            engine_kind(error)
        }
    }
}

fn engine_kind(error: &EngineError) -> (StatusCode, &'static str) {
    match error {
        EngineError::NotFound { .. } => (StatusCode::NOT_FOUND, "NotFound"),
        EngineError::Conflict { .. } | EngineError::Blocked { .. } => (StatusCode::CONFLICT, "Conflict"),
        EngineError::Invalid { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "InvalidBody"),
        EngineError::Denied(_) => (StatusCode::FORBIDDEN, "Forbidden"),
        EngineError::PreconditionFailed { .. } => (StatusCode::PRECONDITION_FAILED, "PreconditionFailed"),
        EngineError::Unauthenticated => (StatusCode::UNAUTHORIZED, "Unauthorized"),
        EngineError::TooMany { .. } => (StatusCode::TOO_MANY_REQUESTS, "TooManyRequests"),
        EngineError::Unavailable { .. } => (StatusCode::SERVICE_UNAVAILABLE, "Unavailable"),
        EngineError::Store(StoreError::Nul(_)) => (StatusCode::UNPROCESSABLE_ENTITY, "InvalidBody"),
        EngineError::Secret(_) | EngineError::Certificate(_) | EngineError::Store(_) | EngineError::Corrupt { .. } => {
            (StatusCode::INTERNAL_SERVER_ERROR, "InternalError")
        }
    }
}

fn wire_problem(problem: &muster_engine::Problem) -> Problem {
    Problem {
        code: problem.code.clone(),
        message: problem.message.clone(),
        pointer: problem.pointer.clone(),
        line: problem.line,
        column: problem.column,
    }
}

impl From<Denied> for ApiError {
    fn from(denied: Denied) -> Self {
        Self::Engine(EngineError::Denied(denied))
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        Self::Engine(error.into())
    }
}

impl From<InvalidId> for ApiError {
    fn from(error: InvalidId) -> Self {
        Self::malformed("invalidId", error.to_string())
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.kind().0
    }

    /// Without the request's id and time, which [`crate::middleware::context`] puts in.
    fn error_response(&self) -> HttpResponse {
        self.reply(None, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::body::to_bytes;
    use muster_model::Permission;
    use std::time::Duration;

    fn cases() -> Vec<(ApiError, u16, &'static str)> {
        let retry_after = Duration::from_millis(61_500);
        let secret = || Box::<dyn std::error::Error + Send + Sync>::from("postgres://user:hunter2@db");
        vec![
            (ApiError::not_found("device", "a"), 404, "NotFound"),
            (EngineError::conflict("device template", "a", "is used by 3 devices").into(), 409, "Conflict"),
            (EngineError::invalid("displayNameTooLong", "too long").into(), 422, "InvalidBody"),
            (EngineError::denied(Permission::DevicesView).into(), 403, "Forbidden"),
            (EngineError::PreconditionFailed { kind: "rule", id: "a".into() }.into(), 412, "PreconditionFailed"),
            (EngineError::Unauthenticated.into(), 401, "Unauthorized"),
            (EngineError::TooMany { retry_after }.into(), 429, "TooManyRequests"),
            (EngineError::unavailable("the database", secret()).into(), 503, "Unavailable"),
            (EngineError::corrupt("rule", "a", secret()).into(), 500, "InternalError"),
            (StoreError::NotFound { kind: "rule", id: "a".into() }.into(), 404, "NotFound"),
            (StoreError::Conflict { kind: "rule", id: "a".into() }.into(), 409, "Conflict"),
            (StoreError::Stale { kind: "rule", id: "a".into() }.into(), 412, "PreconditionFailed"),
            (StoreError::SchemaBehind.into(), 503, "Unavailable"),
            (StoreError::Fenced { partition: 1 }.into(), 500, "InternalError"),
            (StoreError::Address("hunter2".into()).into(), 500, "InternalError"),
            (StoreError::Corrupt { kind: "rule", reason: "hunter2".into() }.into(), 500, "InternalError"),
            (ApiError::malformed("notJson", "line 1"), 400, "Malformed"),
            (ApiError::TooLarge { limit_bytes: 1 }, 413, "BodyTooLarge"),
            (ApiError::MediaType, 415, "UnsupportedMediaType"),
            (ApiError::NoRoute, 404, "NotFound"),
            (ApiError::Method, 405, "MethodNotAllowed"),
            (ApiError::CrossSite, 403, "CrossSiteRequest"),
            (ApiError::TenantRequired, 400, "TenantRequired"),
            (ApiError::ApiVersion("9".into()), 400, "UnsupportedApiVersion"),
            (ApiError::TimedOut, 503, "Timeout"),
            (TooManyListeners.into(), 503, "TooManyStreams"),
            (ApiError::Framework(StatusCode::BAD_REQUEST), 400, "BadRequest"),
            (ApiError::Framework(StatusCode::BAD_GATEWAY), 502, "InternalError"),
        ]
    }

    #[actix_web::test]
    async fn every_error_has_its_status_and_code_and_no_secret() {
        for (error, status, code) in cases() {
            let reply = error.reply(Some("r1".into()), DateTime::from_timestamp(0, 0));
            assert_eq!(reply.status().as_u16(), status, "{error:?}");
            let text = String::from_utf8(to_bytes(reply.into_body()).await.unwrap().to_vec()).unwrap();
            let body: ErrorBody = serde_json::from_str(&text).unwrap();
            assert_eq!(body.error.code, code, "{error:?}");
            assert_eq!(body.error.request_id.as_deref(), Some("r1"));
            assert_eq!(body.error.time.as_deref(), Some("Thu, 01 Jan 1970 00:00:00 GMT"));
            assert!(!text.contains("hunter2"), "{text}");
        }
    }

    #[test]
    fn waiting_is_said_in_whole_seconds() {
        let error = ApiError::from(EngineError::TooMany { retry_after: Duration::from_millis(1_500) });
        assert_eq!(error.error_response().headers().get("retry-after").unwrap(), "1");
        assert!(ApiError::NoRoute.error_response().headers().get("retry-after").is_none());
    }
}
