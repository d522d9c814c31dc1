//! The one layer between pages and the server: addresses, requests, errors.

use leptos::prelude::*;
use muster_contract::error::{ErrorBody, Problem};
use muster_contract::page::Page;
use muster_contract::urls::TenantUrls;
use muster_contract::{CSRF_HEADER, urls};
use muster_model::TenantId;
use serde::Serialize;
use serde::de::DeserializeOwned;
use wasm_bindgen::JsCast;
use wasm_bindgen_futures::JsFuture;

use crate::session::Session;

/// Why a request brought nothing. The text is for people.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ApiError {
    /// The session is over.
    #[error("You are signed out.")]
    SignedOut,
    /// The person may not do this.
    #[error("You may not do this: {0}")]
    Forbidden(String),
    /// There is no such thing.
    #[error("{0}")]
    NotFound(String),
    /// Somebody else changed it, or it is in use.
    #[error("{0}")]
    Conflict(String),
    /// What was sent is wrong.
    #[error("{message}")]
    Invalid {
        /// One sentence.
        message: String,
        /// Each single problem.
        problems: Vec<Problem>,
    },
    /// Too many requests.
    #[error("That was too often. Please wait a moment and try again.")]
    Throttled,
    /// The server failed.
    #[error("The server could not answer ({status}). {message}")]
    Server {
        /// The HTTP status.
        status: u16,
        /// What it said, and the id of the request.
        message: String,
    },
    /// No answer came.
    #[error("The server cannot be reached. Check the connection and try again.")]
    Unreachable,
    /// An answer came that this app does not understand.
    #[error("The answer was not understood ({0}). Reload the page: the server may be newer.")]
    Unreadable(String),
}

/// The API of the tenant that the page is in.
#[derive(Clone, Copy)]
pub struct Api {
    session: Session,
    urls: StoredValue<TenantUrls>,
    tenant: StoredValue<TenantId>,
}

/// The API of the tenant that the page is in.
pub fn use_api() -> Api {
    expect_context()
}

impl Api {
    /// The API of `tenant`, for whoever is signed in.
    pub fn new(session: Session, tenant: TenantId) -> Self {
        Self { session, urls: StoredValue::new(TenantUrls::new(&tenant)), tenant: StoredValue::new(tenant) }
    }

    /// The addresses of the API.
    pub fn urls(&self) -> TenantUrls {
        self.urls.get_value()
    }

    /// The address of a page of the app, for example `devices`.
    pub fn page(&self, path: &str) -> String {
        self.tenant.with_value(|tenant| format!("/t/{tenant}/{path}"))
    }

    /// Reads.
    pub async fn get<T: DeserializeOwned>(&self, url: &str) -> Result<T, ApiError> {
        self.read("GET", url, None).await
    }

    /// Reads a list from its first page to its last, up to `most` entries.
    pub async fn get_all<T: DeserializeOwned>(&self, url: &str, most: usize) -> Result<Vec<T>, ApiError> {
        let mut page: Page<T> = self.get(url).await?;
        let mut all = std::mem::take(&mut page.value);
        while let Some(next) = page.next_link.take().filter(|_| all.len() < most) {
            page = self.get(&local_address(&next)).await?;
            all.append(&mut page.value);
        }
        all.truncate(most);
        Ok(all)
    }

    /// Creates or replaces.
    pub async fn put<T: DeserializeOwned>(&self, url: &str, body: &impl Serialize) -> Result<T, ApiError> {
        self.read("PUT", url, Some(json(body)?)).await
    }

    /// Changes in part.
    pub async fn patch<T: DeserializeOwned>(&self, url: &str, body: &impl Serialize) -> Result<T, ApiError> {
        self.read("PATCH", url, Some(json(body)?)).await
    }

    /// Sends a text that is JSON already, so that the server's lines and columns are those of the text.
    pub async fn post_text<T: DeserializeOwned>(&self, url: &str, text: String) -> Result<T, ApiError> {
        self.read("POST", url, Some(text)).await
    }

    /// Saves a text that is JSON already, over what has this etag.
    pub async fn put_text<T: DeserializeOwned>(&self, url: &str, text: String, etag: &str) -> Result<T, ApiError> {
        let answer = request("PUT", url, Body { text: Some(text), etag: Some(etag) }, &self.session.csrf()).await;
        parse(&self.checked(answer)?)
    }

    /// Asks for an action that needs a few words.
    pub async fn post_json<T: DeserializeOwned>(&self, url: &str, body: &impl Serialize) -> Result<T, ApiError> {
        self.read("POST", url, Some(json(body)?)).await
    }

    /// Asks for an action that needs no more words.
    pub async fn post<T: DeserializeOwned>(&self, url: &str) -> Result<T, ApiError> {
        self.read("POST", url, None).await
    }

    /// Deletes.
    pub async fn delete(&self, url: &str) -> Result<(), ApiError> {
        self.send("DELETE", url, None).await.map(|_| ())
    }

    async fn read<T: DeserializeOwned>(&self, method: &str, url: &str, body: Option<String>) -> Result<T, ApiError> {
        parse(&self.send(method, url, body).await?)
    }

    async fn send(&self, method: &str, url: &str, body: Option<String>) -> Result<String, ApiError> {
        self.checked(request(method, url, Body { text: body, etag: None }, &self.session.csrf()).await)
    }

    fn checked(&self, answer: Result<String, ApiError>) -> Result<String, ApiError> {
        if answer == Err(ApiError::SignedOut) {
            self.session.forget();
        }
        answer
    }
}

/// Sends a request about the session itself.
pub async fn session_request(method: &str, body: Option<String>, csrf: &str) -> Result<String, ApiError> {
    request(method, urls::SESSION, Body { text: body, etag: None }, csrf).await
}

/// Reads a JSON answer.
pub fn parse<T: DeserializeOwned>(text: &str) -> Result<T, ApiError> {
    // An answer without a body (204) reads as `null`.
    let text = if text.is_empty() { "null" } else { text };
    serde_json::from_str(text).map_err(|error| ApiError::Unreadable(error.to_string()))
}

/// Writes a JSON body.
pub fn json(body: &impl Serialize) -> Result<String, ApiError> {
    serde_json::to_string(body).map_err(|error| ApiError::Unreadable(error.to_string()))
}

/// The next page's address without its host: behind a proxy the server may know itself by another name.
pub fn local_address(link: &str) -> String {
    let after_scheme = link.split_once("://").map_or(link, |(_, rest)| rest);
    match (after_scheme.len() == link.len(), after_scheme.find('/')) {
        (false, Some(slash)) => after_scheme[slash..].to_owned(),
        _ => link.to_owned(),
    }
}

const TIMEOUT_MS: u32 = 30_000;

/// What a request carries.
struct Body<'a> {
    text: Option<String>,
    /// What it is meant to replace.
    etag: Option<&'a str>,
}

async fn request(method: &str, url: &str, body: Body<'_>, csrf: &str) -> Result<String, ApiError> {
    let response = fetch(method, url, body, csrf).await.map_err(|_| ApiError::Unreachable)?;
    let text = match response.text() {
        Ok(text) => JsFuture::from(text).await.map_err(|_| ApiError::Unreachable)?.as_string().unwrap_or_default(),
        Err(_) => String::new(),
    };
    if response.ok() { Ok(text) } else { Err(refusal(response.status(), &text)) }
}

async fn fetch(
    method: &str,
    url: &str,
    body: Body<'_>,
    csrf: &str,
) -> Result<web_sys::Response, wasm_bindgen::JsValue> {
    let headers = web_sys::Headers::new()?;
    headers.set("accept", "application/json")?;
    if method != "GET" {
        headers.set(CSRF_HEADER, csrf)?;
    }
    if body.text.is_some() {
        headers.set("content-type", "application/json")?;
    }
    if let Some(etag) = body.etag {
        headers.set("if-match", &format!("\"{etag}\""))?;
    }
    let init = web_sys::RequestInit::new();
    init.set_method(method);
    init.set_headers(&headers);
    init.set_signal(Some(&web_sys::AbortSignal::timeout_with_u32(TIMEOUT_MS)));
    if let Some(body) = body.text {
        init.set_body(&body.into());
    }
    JsFuture::from(window().fetch_with_str_and_init(url, &init)).await?.dyn_into()
}

/// What a status of 400 or more means.
fn refusal(status: u16, text: &str) -> ApiError {
    let body = serde_json::from_str::<ErrorBody>(text).ok().map(|body| body.error);
    let request_id = body.as_ref().and_then(|error| error.request_id.clone());
    let (message, problems) = body.map(|error| (sentence(&error.message), error.details)).unwrap_or_default();
    match status {
        401 => ApiError::SignedOut,
        403 => ApiError::Forbidden(message),
        404 => ApiError::NotFound(if message.is_empty() { "This does not exist.".to_owned() } else { message }),
        409 | 412 => ApiError::Conflict(message),
        400..=499 if status != 429 => {
            let message = if message.is_empty() { format!("The request was refused ({status}).") } else { message };
            ApiError::Invalid { message, problems }
        }
        429 => ApiError::Throttled,
        _ => {
            let message = request_id.map_or(message, |id| format!("Please give this number when you report it: {id}"));
            ApiError::Server { status, message }
        }
    }
}

/// A log-style message as a sentence: it begins large and ends with a full stop.
pub fn sentence(message: &str) -> String {
    let message = message.trim();
    let mut letters = message.chars();
    let Some(first) = letters.next() else { return String::new() };
    let end = if message.ends_with(['.', '!', '?']) { "" } else { "." };
    format!("{}{}{end}", first.to_uppercase(), letters.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_become_errors_with_the_servers_words() {
        let body = r#"{"error":{"code":"X","message":"name is taken","requestId":"r1","details":[
            {"code":"badName","message":"no","pointer":"/contents/0/name","line":3,"column":9}]}}"#;
        assert_eq!(refusal(401, body), ApiError::SignedOut);
        assert_eq!(refusal(409, body), ApiError::Conflict("Name is taken.".to_owned()));
        assert!(
            matches!(refusal(422, body), ApiError::Invalid { problems, .. } if problems[0].line == Some(3) && problems.len() == 1)
        );
        assert_eq!(refusal(429, ""), ApiError::Throttled);
        assert!(refusal(500, body).to_string().contains("r1"));
        assert_eq!(refusal(404, "<html>"), ApiError::NotFound("This does not exist.".to_owned()));
    }

    #[test]
    fn an_empty_answer_reads_as_nothing() {
        assert_eq!(parse::<Option<u8>>(""), Ok(None));
        assert!(matches!(parse::<u8>("x"), Err(ApiError::Unreadable(_))));
    }

    #[test]
    fn next_links_lose_their_host() {
        for (link, expected) in [
            ("https://iot.example:8443/t/a/api/devices?x=1", "/t/a/api/devices?x=1"),
            ("/t/a/api/devices?x=1", "/t/a/api/devices?x=1"),
            ("/api/devices?u=http://b", "/api/devices?u=http://b"),
        ] {
            assert_eq!(local_address(link), expected);
        }
    }

    #[test]
    fn messages_read_as_sentences() {
        assert_eq!(sentence("device 'a' is unknown"), "Device 'a' is unknown.");
        assert_eq!(sentence("Really?"), "Really?");
        assert_eq!(sentence(" "), "");
    }
}
