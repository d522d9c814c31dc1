//! Did a request come from our own pages? (OWASP: fetch metadata first, the origin where a browser sends none)

use actix_web::http::header::{self, HeaderMap, HeaderName};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Whether the headers may belong to a request made by a page of this site. `public_url` is the address people use;
/// behind a proxy the `Host` may be another.
pub(crate) fn is_same_site(headers: &HeaderMap, public_url: &str) -> bool {
    if let Some(site) = text(headers, &SEC_FETCH_SITE) {
        return site == "same-origin" || site == "none";
    }
    let Some(origin) = text(headers, &header::ORIGIN) else {
        // No browser sends a change without either; what is left are programs, which have no cookies to be misused.
        return true;
    };
    let host = text(headers, &header::HOST);
    let authority = authority(origin);
    authority.is_some() && (authority == host || authority == self::authority(public_url))
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// `https://host:port/…` → `host:port`
fn authority(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    rest.split('/').next().filter(|authority| !authority.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::HeaderValue;

    #[test]
    fn only_our_own_pages_pass() {
        let cases: [(&[(&str, &str)], bool); 10] = [
            (&[], true),
            (&[("sec-fetch-site", "same-origin")], true),
            (&[("sec-fetch-site", "none")], true),
            (&[("sec-fetch-site", "same-site")], false),
            (&[("sec-fetch-site", "cross-site"), ("origin", "https://muster.example")], false),
            (&[("origin", "https://muster.example"), ("host", "10.0.0.1:8080")], true),
            (&[("origin", "http://localhost:8080"), ("host", "localhost:8080")], true),
            (&[("origin", "https://evil.example"), ("host", "muster.example")], false),
            (&[("origin", "null"), ("host", "muster.example")], false),
            (&[("origin", "https://muster.example.evil"), ("host", "muster.example")], false),
        ];
        for (pairs, expected) in cases {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
            }
            assert_eq!(is_same_site(&headers, "https://muster.example"), expected, "{pairs:?}");
        }
    }
}
