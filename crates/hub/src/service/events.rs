//! What happens, as services read it without AMQP: telemetry, connections, devices made and deleted, twins changed. Ours:
//! IoT Hub has an event hub for it.

use super::Service;
use crate::fault::Fault;
use actix_web::{
    HttpResponse,
    web::{self, Query, ServiceConfig},
};
use muster_engine::{
    events::feed::{self, Wanted},
    policies::Right,
};
use serde::Deserialize;
use std::{collections::HashMap, time::Duration};

/// Events in an answer where the caller does not say.
const DEFAULT_EVENTS: u32 = 100;

pub(super) fn configure(config: &mut ServiceConfig) {
    config.route("/{path:(?i:messages/events)}", web::get().to(read_events));
}

/// The parameters as they came: what is wrong with one is told in the hub's words.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
struct Parameters(HashMap<String, String>);

async fn read_events(service: Service, query: Result<Query<Parameters>, actix_web::Error>) -> HttpResponse {
    let read = async {
        let caller = service.may(Right::ServiceConnect)?;
        let query = query.map_err(|error| Fault::new(400, 400_004, error.to_string()))?;
        let events = feed::read(service.engine(), &caller, query.wanted()?).await?;
        Ok(HttpResponse::Ok().json(events))
    };
    service.answer(read.await)
}

impl Parameters {
    fn wanted(&self) -> Result<Wanted, Fault> {
        Ok(Wanted {
            after: self.number("after", -1, -1..=i64::MAX)?,
            max: self.number("max", DEFAULT_EVENTS, 1..=feed::MAX_EVENTS)?,
            wait: Duration::from_secs(self.number("wait", 0, 0..=feed::MAX_WAIT.as_secs())?),
        })
    }

    fn number<T: std::str::FromStr + PartialOrd + std::fmt::Display>(
        &self,
        name: &str,
        default: T,
        allowed: std::ops::RangeInclusive<T>,
    ) -> Result<T, Fault> {
        let Some(text) = self.0.get(name) else { return Ok(default) };
        text.parse().ok().filter(|number| allowed.contains(number)).ok_or_else(|| {
            Fault::new(400, 400_004, format!("{name} is a number from {} to {}", allowed.start(), allowed.end()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(parameters: &[(&str, &str)]) -> Option<(i64, u32, u64)> {
        let parameters = parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let wanted = Parameters(parameters.collect()).wanted().ok()?;
        Some((wanted.after, wanted.max, wanted.wait.as_secs()))
    }

    #[test]
    fn parameters_have_defaults_and_limits() {
        assert_eq!(wanted(&[]), Some((-1, 100, 0)));
        assert_eq!(
            wanted(&[("after", "7"), ("max", "1000"), ("wait", "60"), ("api-version", "x")]),
            Some((7, 1000, 60))
        );
        for bad in [("after", "-2"), ("after", "x"), ("max", "0"), ("max", "1001"), ("wait", "61"), ("wait", "-1")] {
            assert_eq!(wanted(&[bad]), None, "{bad:?}");
        }
    }
}
