//! Around every request: its id, its time limit, what is counted and logged, the error's body, protective headers.

use super::security;
use crate::{app::Api, error::ApiError};
use actix_web::{
    Error, HttpMessage,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    error::InternalError,
    http::{
        Method, StatusCode,
        header::{HeaderName, HeaderValue},
    },
    middleware::Next,
    web::Data,
};
use std::{error::Error as StdError, time::Duration};
use tokio::time::Instant;
use tracing::Instrument;
use uuid::Uuid;

/// How long an answer may take. A live stream is answered at once and flows on.
const TIME_LIMIT: Duration = Duration::from_secs(30);
/// A command waits for its device: half a minute until it connects, and as long until it answers.
const COMMAND_TIME_LIMIT: Duration = Duration::from_secs(75);

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A request's name in the log and in error bodies.
#[derive(Debug, Clone)]
struct RequestId(Uuid);

/// Wraps the whole application.
pub(crate) async fn with_context(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let Some(api) = request.app_data::<Data<Api>>().cloned() else {
        return Err(ApiError::NoRoute.into());
    };
    let id = RequestId(Uuid::new_v4());
    request.extensions_mut().insert(id.clone());
    let method = request.method().clone();
    let is_api = is_api(request.path());
    let span = tracing::info_span!("request", request.id = %id.0, http.method = %method, http.path = request.path());
    let started = Instant::now();
    let is_command = method == Method::POST && request.path().contains("/commands/");
    let limit = if is_command { COMMAND_TIME_LIMIT } else { TIME_LIMIT };
    let answer = tokio::time::timeout(limit, next.call(request).instrument(span.clone())).await;
    let answer = answer.unwrap_or_else(|_| Err(ApiError::TimedOut.into()));
    let _entered = span.enter();
    let (route, answer) = match answer {
        Ok(response) => {
            let route = response.request().match_pattern().unwrap_or_else(|| "web".to_owned());
            (route, Ok(finish(&api, &id, is_api, response.map_into_boxed_body())))
        }
        Err(error) => ("unknown".to_owned(), Err(refuse(&api, &id, error))),
    };
    let status = match &answer {
        Ok(response) => response.status(),
        Err(error) => error.as_response_error().status_code(),
    };
    count(&method, route, status, started.elapsed());
    answer
}

fn count(method: &Method, route: String, status: StatusCode, elapsed: Duration) {
    let labels = [("method", label(method).to_owned()), ("route", route), ("status", status.as_u16().to_string())];
    metrics::counter!("muster_http_requests_total", &labels).increment(1);
    metrics::histogram!("muster_http_request_seconds", &labels[..2]).record(elapsed.as_secs_f64());
    tracing::debug!(http.status = status.as_u16(), elapsed_ms = elapsed.as_millis() as u64, "answered");
}

/// Gives an error its body and every reply its headers.
fn finish(api: &Api, id: &RequestId, is_api: bool, response: ServiceResponse) -> ServiceResponse {
    let status = response.status();
    let known = response.response().error().and_then(|error| error.as_error::<ApiError>());
    let reply = match known {
        Some(error) => Some(describe(api, id, error)),
        // The framework's own refusals have no body, or one in plain text.
        None if is_api && (status.is_client_error() || status.is_server_error()) => {
            let error = match status.as_u16() {
                404 => ApiError::NoRoute,
                405 => ApiError::Method,
                _ => ApiError::Framework(status),
            };
            Some(describe(api, id, &error))
        }
        None => None,
    };
    let mut response = match reply {
        Some(reply) => response.into_response(reply),
        None => response,
    };
    dress(api, id, response.headers_mut());
    response
}

/// An error that lost its request on the way: the reply has to travel inside it.
fn refuse(api: &Api, id: &RequestId, error: Error) -> Error {
    let mut reply = match error.as_error::<ApiError>() {
        Some(known) => describe(api, id, known),
        None => describe(api, id, &ApiError::Framework(error.as_response_error().status_code())),
    };
    dress(api, id, reply.headers_mut());
    InternalError::from_response(error, reply).into()
}

fn describe(api: &Api, id: &RequestId, error: &ApiError) -> actix_web::HttpResponse {
    let (status, code) = error.kind();
    if status == StatusCode::SERVICE_UNAVAILABLE {
        // Something outside is away, and will be back: nothing here is broken.
        tracing::warn!(error = %causes(error), code, "a request could not be served");
    } else if status.is_server_error() {
        tracing::error!(error = %causes(error), code, "a request failed");
    } else {
        tracing::debug!(%error, code, "a request was refused");
    }
    error.reply(Some(id.0.to_string()), Some(api.engine().clock().now()))
}

fn dress(api: &Api, id: &RequestId, headers: &mut actix_web::http::header::HeaderMap) {
    security::protect(headers, api.parts().config.secure_cookies);
    if let Ok(value) = HeaderValue::from_str(&id.0.to_string()) {
        headers.insert(REQUEST_ID, value);
    }
}

/// A method as a label: what a stranger makes up must not become a time series.
fn label(method: &Method) -> &str {
    let known = [Method::GET, Method::HEAD, Method::PUT, Method::POST, Method::PATCH, Method::DELETE];
    if known.contains(method) { method.as_str() } else { "other" }
}

/// Whether the path belongs to the API, whose errors always have a body of their own.
fn is_api(path: &str) -> bool {
    let path = match path.strip_prefix("/t/").and_then(|rest| rest.split_once('/')) {
        Some((_, rest)) => rest,
        None => path.trim_start_matches('/'),
    };
    path == "api" || path.starts_with("api/")
}

fn causes(error: &ApiError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        text.push_str(": ");
        text.push_str(&source.to_string());
        cause = source.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_api_is_told_from_the_web_app() {
        for path in ["/api", "/api/devices", "/t/demo/api", "/t/demo/api/devices"] {
            assert!(is_api(path), "{path}");
        }
        for path in ["/", "/apis", "/t/demo", "/t/demo/devices", "/t/api", "/assets/api.js", "/t/demo/x/api"] {
            assert!(!is_api(path), "{path}");
        }
    }
}
