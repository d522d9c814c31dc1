//! Somebody who calls the REST API.

use serde_json::Value;
use std::time::Duration;

/// A caller of the API with an identity of its own. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    base: String,
    token: Option<String>,
    http: reqwest::Client,
}

/// An answer of the API.
#[derive(Debug)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: reqwest::header::HeaderMap,
    /// The body as JSON; `null` where there is none.
    pub json: Value,
    /// The body as text.
    pub text: String,
}

impl Reply {
    /// The body of a 2xx answer.
    ///
    /// # Panics
    /// Where the answer is another one; the message shows it.
    pub fn ok(self) -> Value {
        assert!((200..300).contains(&self.status), "expected success, got {}: {}", self.status, self.text);
        self.json
    }

    /// The stable code of an error answer.
    pub fn code(&self) -> &str {
        self.json.pointer("/error/code").and_then(Value::as_str).unwrap_or_default()
    }
}

impl Client {
    /// A caller of the API at `base` (`http://host:port`) with an API token, or with none.
    pub fn new(base: String, token: Option<String>) -> Self {
        // Whichever part of a test comes first installs it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http =
            reqwest::Client::builder().timeout(Duration::from_secs(30)).no_proxy().build().expect("an HTTP client");
        Self { base, token, http }
    }

    /// GET.
    pub async fn get(&self, path: &str) -> Reply {
        self.send(self.http.get(self.url(path))).await
    }

    /// PUT with a JSON body.
    pub async fn put(&self, path: &str, body: Value) -> Reply {
        self.send(self.http.put(self.url(path)).json(&body)).await
    }

    /// PATCH with a JSON merge patch.
    pub async fn patch(&self, path: &str, body: Value) -> Reply {
        self.send(self.http.patch(self.url(path)).json(&body)).await
    }

    /// POST with a JSON body.
    pub async fn post(&self, path: &str, body: Value) -> Reply {
        self.send(self.http.post(self.url(path)).json(&body)).await
    }

    /// POST without a body.
    pub async fn post_empty(&self, path: &str) -> Reply {
        self.send(self.http.post(self.url(path))).await
    }

    /// DELETE.
    pub async fn delete(&self, path: &str) -> Reply {
        self.send(self.http.delete(self.url(path))).await
    }

    /// Any request, with the caller's identity.
    pub async fn send(&self, request: reqwest::RequestBuilder) -> Reply {
        let request = match &self.token {
            Some(token) => request.header("authorization", token),
            None => request,
        };
        let response = request.send().await.expect("the server answers");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.expect("a whole answer");
        Reply { status, headers, json: serde_json::from_str(&text).unwrap_or(Value::Null), text }
    }

    /// The plain HTTP client, for requests that [`Client::send`] then carries out.
    pub fn http(&self) -> &reqwest::Client {
        &self.http
    }

    /// The absolute address of `path`.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }
}
