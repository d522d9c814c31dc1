//! Queries whose parameters may come more than once.

use crate::error::ApiError;
use actix_web::{FromRequest, HttpRequest, dev::Payload, web::Query};
use chrono::DateTime;
use std::{
    future::{Ready, ready},
    str::FromStr,
};

/// More parameters than any page of ours sends.
const MAX_PARAMETERS: usize = 200;

/// The parameters of a query.
#[derive(Debug)]
pub(crate) struct Filters(Vec<(String, String)>);

impl Filters {
    /// The parameter, where it is there and not empty.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, value)| key == name && !value.is_empty()).map(|(_, value)| value.as_str())
    }

    /// The parameter as a `T`.
    ///
    /// # Errors
    /// [`ApiError::Malformed`] with what is wrong with it.
    pub(crate) fn get<T: FromStr<Err: std::fmt::Display>>(&self, name: &str) -> Result<Option<T>, ApiError> {
        self.text(name).map(|text| parse(name, text)).transpose()
    }

    /// Every value of the parameter, at most `limit`.
    ///
    /// # Errors
    /// [`ApiError::Malformed`] where one cannot be read or there are too many.
    pub(crate) fn list<T: FromStr<Err: std::fmt::Display>>(
        &self,
        name: &str,
        limit: usize,
    ) -> Result<Vec<T>, ApiError> {
        let values: Vec<&String> = self.0.iter().filter(|(key, _)| key == name).map(|(_, value)| value).collect();
        if values.len() > limit {
            return Err(ApiError::malformed("tooMany", format!("'{name}' may be given {limit} times at most")));
        }
        values.into_iter().map(|value| parse(name, value)).collect()
    }
}

fn parse<T: FromStr<Err: std::fmt::Display>>(name: &str, text: &str) -> Result<T, ApiError> {
    text.parse().map_err(|error| ApiError::malformed("invalidQuery", format!("'{name}': {error}")))
}

/// A time in a query: milliseconds since 1970, or RFC 3339.
///
/// # Errors
/// [`ApiError::Malformed`].
pub(crate) fn instant_ms(filters: &Filters, name: &str) -> Result<Option<i64>, ApiError> {
    let Some(text) = filters.text(name) else { return Ok(None) };
    let read = text.parse().ok().filter(|&ms| DateTime::from_timestamp_millis(ms).is_some());
    let read = read.or_else(|| DateTime::parse_from_rfc3339(text).ok().map(|time| time.timestamp_millis()));
    read.map(Some).ok_or_else(|| {
        ApiError::malformed("invalidQuery", format!("'{name}': expected milliseconds since 1970 or an RFC 3339 time"))
    })
}

impl FromRequest for Filters {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let read = Query::<Vec<(String, String)>>::from_query(request.query_string());
        ready(match read {
            Ok(query) if query.len() <= MAX_PARAMETERS => Ok(Self(query.into_inner())),
            Ok(_) => Err(ApiError::malformed("tooMany", "the query has too many parameters")),
            Err(error) => Err(ApiError::malformed("invalidQuery", error.to_string())),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;
    use muster_model::DeviceId;

    async fn filters(query: &str) -> Filters {
        let request = TestRequest::with_uri(&format!("/?{query}")).to_http_request();
        Filters::extract(&request).await.unwrap()
    }

    #[actix_web::test]
    async fn parameters_may_come_more_than_once() {
        let query = filters("devices=a%2Cb&devices=c&q=&buckets=x").await;
        let devices: Vec<DeviceId> = query.list("devices", 2).unwrap();
        assert_eq!(devices.iter().map(DeviceId::as_str).collect::<Vec<_>>(), ["a,b", "c"]);
        assert!(query.list::<DeviceId>("devices", 1).is_err());
        assert!(query.text("q").is_none());
        assert!(query.get::<u32>("buckets").is_err());
        assert_eq!(query.get::<u32>("absent").unwrap(), None);
    }

    #[actix_web::test]
    async fn times_are_read_in_both_spellings() {
        let query = filters("from=1000&to=1970-01-01T00%3A00%3A02Z&bad=yesterday").await;
        assert_eq!(instant_ms(&query, "from").unwrap(), Some(1000));
        assert_eq!(instant_ms(&query, "to").unwrap(), Some(2000));
        assert!(instant_ms(&query, "bad").is_err());
    }
}
