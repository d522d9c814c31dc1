//! Changes made with a cookie must come from a page of ours that knows its session.

use crate::{error::ApiError, middleware::cross_site::is_same_site};
use actix_web::{HttpRequest, http::Method};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use muster_contract::CSRF_HEADER;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// Keeps this value apart from the hash under which the session is stored.
const LABEL: &[u8] = b"muster csrf 1\0";

/// What the page sends back in the header [`CSRF_HEADER`]. It follows from the session's token (256 random bits), so
/// nothing is stored and it ends with the session.
pub(crate) fn token(session: &SecretString) -> String {
    let mut hash = Sha256::new();
    hash.update(LABEL);
    hash.update(session.expose_secret().as_bytes());
    URL_SAFE_NO_PAD.encode(hash.finalize())
}

/// Refuses a change that did not come from a page of ours, or not from one of this session.
///
/// # Errors
/// [`ApiError::CrossSite`].
pub(crate) fn check(request: &HttpRequest, session: &SecretString, public_url: &str) -> Result<(), ApiError> {
    if !changes(request.method()) {
        return Ok(());
    }
    check_site(request, public_url)?;
    let sent = request.headers().get(CSRF_HEADER).map(|value| value.as_bytes()).unwrap_or_default();
    if bool::from(token(session).as_bytes().ct_eq(sent)) { Ok(()) } else { Err(ApiError::CrossSite) }
}

/// Refuses what did not come from a page of ours; all that can be asked before there is a session.
///
/// # Errors
/// [`ApiError::CrossSite`].
pub(crate) fn check_site(request: &HttpRequest, public_url: &str) -> Result<(), ApiError> {
    if is_same_site(request.headers(), public_url) { Ok(()) } else { Err(ApiError::CrossSite) }
}

fn changes(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    #[test]
    fn only_the_sessions_own_header_lets_a_change_pass() {
        let session = SecretString::from("s1");
        let request = |method: Method, header: Option<String>| {
            let request = TestRequest::default().method(method);
            match header {
                Some(value) => request.insert_header((CSRF_HEADER, value)),
                None => request,
            }
            .to_http_request()
        };
        let check = |request: HttpRequest| check(&request, &session, "http://localhost").is_ok();
        assert!(check(request(Method::GET, None)));
        assert!(!check(request(Method::PUT, None)));
        assert!(!check(request(Method::PUT, Some(token(&"s2".into())))));
        assert!(!check(request(Method::DELETE, Some("s1".into()))));
        assert!(check(request(Method::PUT, Some(token(&session)))));
    }

    #[test]
    fn another_site_does_not_pass_even_with_the_header() {
        let session = SecretString::from("s1");
        let request = TestRequest::put()
            .insert_header((CSRF_HEADER, token(&session)))
            .insert_header(("sec-fetch-site", "cross-site"))
            .to_http_request();
        assert!(check(&request, &session, "http://localhost").is_err());
    }
}
