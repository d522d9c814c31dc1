//! Pages: how long, after which key, and the address of the next one.

use super::query::Filters;
use crate::error::ApiError;
use actix_web::{FromRequest, HttpRequest, dev::Payload};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use muster_contract::page::Page;
use muster_store::{self as store, Paging};
use std::{
    fmt::Display,
    future::{Ready, ready},
    str::FromStr,
};

/// IoT Central's page, and its limit.
const DEFAULT_SIZE: u32 = 25;
const MAX_SIZE: u32 = 100;
/// Says how the rest is to be read; another spelling gets another letter.
const TOKEN_VERSION: &str = "k:";
/// The name of the query parameter that holds the token.
const TOKEN: &str = "$skiptoken";

/// Which page is asked for.
#[derive(Debug)]
pub(crate) struct Paged {
    after: Option<String>,
    size: u32,
    /// The address asked for, without the token; ends in `?` or `&`.
    address: String,
}

impl Paged {
    /// What the store is asked for.
    ///
    /// # Errors
    /// [`ApiError::Malformed`] where the token is not one of this list.
    pub(crate) fn after<K: FromStr>(&self) -> Result<Paging<K>, ApiError> {
        let after = self.after.as_deref().map(|key| key.parse().map_err(|_| bad_token())).transpose()?;
        Ok(Paging { after, limit: self.size })
    }

    /// The page as it is sent; `key` is what the next one starts after.
    pub(crate) fn page<T, U, K: Display>(
        &self,
        page: store::Page<T>,
        key: impl Fn(&T) -> K,
        convert: impl FnMut(T) -> U,
    ) -> Page<U> {
        let last = page.items.last().filter(|_| page.more).map(key);
        Page { next_link: last.map(|key| self.link(&key)), value: page.items.into_iter().map(convert).collect() }
    }

    /// A page whose next one starts after `next`, which need not be in it.
    pub(crate) fn page_after<T, U>(
        &self,
        items: Vec<T>,
        next: Option<impl Display>,
        convert: impl FnMut(T) -> U,
    ) -> Page<U> {
        Page { next_link: next.map(|key| self.link(&key)), value: items.into_iter().map(convert).collect() }
    }

    /// How many entries were asked for.
    pub(crate) fn size(&self) -> u32 {
        self.size
    }

    fn link(&self, key: &impl Display) -> String {
        let token = URL_SAFE_NO_PAD.encode(format!("{TOKEN_VERSION}{key}"));
        format!("{}%24skiptoken={token}", self.address)
    }
}

impl FromRequest for Paged {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        ready(Filters::from_request(request, payload).into_inner().and_then(|filters| read(request, &filters)))
    }
}

fn read(request: &HttpRequest, filters: &Filters) -> Result<Paged, ApiError> {
    for unsupported in ["filter", "$filter", "orderby", "$orderby", "expand"] {
        if filters.text(unsupported).is_some() {
            return Err(ApiError::malformed("notSupported", format!("'{unsupported}' is not supported here")));
        }
    }
    let size = match filters.get("maxpagesize")? {
        Some(size) => Some(size),
        None => filters.get("$top")?,
    };
    if size.is_some_and(|size| !(1..=MAX_SIZE).contains(&size)) {
        return Err(ApiError::malformed("invalidQuery", format!("'maxpagesize' must be 1 to {MAX_SIZE}")));
    }
    let after = filters.text(TOKEN).map(key_of).transpose()?;
    Ok(Paged { after, size: size.unwrap_or(DEFAULT_SIZE), address: address(request) })
}

fn key_of(token: &str) -> Result<String, ApiError> {
    let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| bad_token())?;
    let text = String::from_utf8(bytes).map_err(|_| bad_token())?;
    text.strip_prefix(TOKEN_VERSION).map(str::to_owned).ok_or_else(bad_token)
}

fn bad_token() -> ApiError {
    ApiError::malformed("invalidToken", "the address of the page is not one that was given out")
}

/// Absolute, as IoT Central's clients follow it as it is. The host is the one the caller used; nobody else sees it.
fn address(request: &HttpRequest) -> String {
    let connection = request.connection_info();
    let mut address = format!("{}://{}{}?", connection.scheme(), connection.host(), request.path());
    let kept = request
        .query_string()
        .split('&')
        .filter(|pair| !pair.is_empty() && !pair.starts_with("%24skiptoken=") && !pair.starts_with("$skiptoken="));
    for pair in kept {
        address.push_str(pair);
        address.push('&');
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;
    use muster_model::DeviceId;

    async fn paged(uri: &str) -> Result<Paged, ApiError> {
        let request = TestRequest::with_uri(uri).insert_header(("host", "localhost:8080")).to_http_request();
        Paged::extract(&request).await
    }

    fn ids(names: &[&str]) -> Vec<DeviceId> {
        names.iter().map(|name| DeviceId::parse(*name).unwrap()).collect()
    }

    #[actix_web::test]
    async fn a_link_leads_to_the_next_page_with_the_same_question() {
        let first = paged("/t/demo/api/devices?q=a%26b&maxpagesize=2").await.unwrap();
        let page = store::Page { items: ids(&["a", "b#%"]), more: true };
        let link = first.page(page, Clone::clone, |id| id).next_link.unwrap();
        assert!(link.starts_with("http://localhost:8080/t/demo/api/devices?q=a%26b&maxpagesize=2&%24skiptoken="));
        let second = paged(link.strip_prefix("http://localhost:8080").unwrap()).await.unwrap();
        let paging: Paging<DeviceId> = second.after().unwrap();
        assert_eq!(paging.after.unwrap().as_str(), "b#%");
        assert_eq!(paging.limit, 2);
        assert_eq!(second.address, first.address);
    }

    #[actix_web::test]
    async fn the_last_page_has_no_link() {
        let paged = paged("/api/devices").await.unwrap();
        assert_eq!(paged.size(), 25);
        let page = store::Page { items: ids(&["a"]), more: false };
        assert_eq!(paged.page(page, Clone::clone, |id| id).next_link, None);
    }

    #[actix_web::test]
    async fn nonsense_is_refused() {
        let other = URL_SAFE_NO_PAD.encode("z:a");
        for query in [
            "maxpagesize=0",
            "maxpagesize=101",
            "maxpagesize=x",
            "filter=a",
            "$skiptoken=%20",
            &format!("$skiptoken={other}"),
        ] {
            assert!(paged(&format!("/api/devices?{query}")).await.is_err(), "{query}");
        }
        let wrong_key = URL_SAFE_NO_PAD.encode("k:a/b");
        let paged = paged(&format!("/api/devices?$skiptoken={wrong_key}")).await.unwrap();
        assert!(paged.after::<DeviceId>().is_err());
    }
}
