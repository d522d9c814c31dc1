//! The session's cookie.

use actix_web::{
    HttpRequest,
    cookie::{Cookie, SameSite, time::Duration},
};
use secrecy::{ExposeSecret, SecretString};

const NAME: &str = "muster_session";

/// How long a browser keeps the cookie: as long as it can be told to. The session itself ends by what the server knows:
/// a while after its last use.
const KEPT: Duration = Duration::days(400);

/// The token in the session's cookie.
pub(crate) fn session_cookie(request: &HttpRequest) -> Option<SecretString> {
    request.cookie(NAME).map(|cookie| cookie.value().into())
}

/// The cookie of a session that has begun. Scripts cannot read it; other sites' pages cannot send it with a change.
pub(crate) fn new_session_cookie(token: &SecretString, secure: bool) -> Cookie<'static> {
    let mut cookie = bare(token.expose_secret().to_owned(), secure);
    cookie.set_max_age(KEPT);
    cookie
}

/// Takes the cookie out of the browser.
pub(crate) fn ended_session_cookie(secure: bool) -> Cookie<'static> {
    let mut cookie = bare(String::new(), secure);
    cookie.make_removal();
    cookie
}

fn bare(value: String, secure: bool) -> Cookie<'static> {
    Cookie::build(NAME, value).path("/").http_only(true).same_site(SameSite::Lax).secure(secure).finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cookie_is_out_of_reach_of_scripts_and_other_sites() {
        let text = new_session_cookie(&"abc".into(), true).to_string();
        for part in ["muster_session=abc", "HttpOnly", "SameSite=Lax", "Secure", "Path=/", "Max-Age=34560000"] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(!new_session_cookie(&"abc".into(), false).to_string().contains("Secure"));
        assert!(ended_session_cookie(false).to_string().contains("Max-Age=0"));
    }
}
