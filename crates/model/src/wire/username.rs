//! The MQTT user name, which says who connects to what (`iot-hub-wire.md` §1).

use super::percent_decode;
use crate::{DeviceId, IdScope, InvalidId, ModuleId, RegistrationId};

/// A user name longer than this is refused unread.
pub const MAX_USERNAME_BYTES: usize = 8192;

/// The user name of a device or module at the hub: `{host}/{deviceId}[/{moduleId}]/?{query}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubUsername {
    /// The logical hub, in lower case. It may differ from the TCP host and from SNI.
    pub host: String,
    /// The device.
    pub device: DeviceId,
    /// The module, where one connects.
    pub module: Option<ModuleId>,
    /// The announced model (`model-id`).
    pub model_id: Option<String>,
    /// The client library (`DeviceClientType`), for diagnostics.
    pub client_type: Option<String>,
}

/// The user name of a device at the provisioning service: `{idScope}/registrations/{registrationId}/{query}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DpsUsername {
    /// Whose provisioning service.
    pub id_scope: IdScope,
    /// Who registers.
    pub registration: RegistrationId,
}

/// Why a user name can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UsernameError {
    /// It has not the form of one.
    #[error("user name has not the form {0}")]
    Form(&'static str),
    /// An id in it is not valid.
    #[error(transparent)]
    Id(#[from] InvalidId),
    /// It is too long.
    #[error("user name is longer than {MAX_USERNAME_BYTES} bytes")]
    TooLong,
}

impl HubUsername {
    /// Reads a user name. Ids are never percent-encoded and may hold `?`, so it is cut at its first slashes only.
    ///
    /// # Errors
    /// [`UsernameError`] where it is none.
    pub fn parse(text: &str) -> Result<Self, UsernameError> {
        const FORM: UsernameError = UsernameError::Form("{host}/{deviceId}[/{moduleId}]/?{query}");
        if text.len() > MAX_USERNAME_BYTES {
            return Err(UsernameError::TooLong);
        }
        let (host, rest) = text.split_once('/').ok_or(FORM)?;
        if host.is_empty() || !host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b)) {
            return Err(FORM);
        }
        let (device, rest) = rest.split_once('/').unwrap_or((rest, ""));
        let (module, query) = match query(rest) {
            Some(query) => (None, query),
            None => {
                let (module, rest) = rest.split_once('/').unwrap_or((rest, ""));
                (Some(ModuleId::parse(module)?), query(rest).ok_or(FORM)?)
            }
        };
        Ok(Self {
            host: host.to_ascii_lowercase(),
            device: DeviceId::parse(device)?,
            module,
            model_id: parameter(query, "model-id"),
            client_type: parameter(query, "DeviceClientType"),
        })
    }
}

impl DpsUsername {
    /// Reads a user name.
    ///
    /// # Errors
    /// [`UsernameError`] where it is none.
    pub fn parse(text: &str) -> Result<Self, UsernameError> {
        const FORM: UsernameError = UsernameError::Form("{idScope}/registrations/{registrationId}/{query}");
        if text.len() > MAX_USERNAME_BYTES {
            return Err(UsernameError::TooLong);
        }
        let mut segments = text.splitn(4, '/');
        let (scope, word, registration) = (segments.next(), segments.next(), segments.next());
        let (Some(scope), Some("registrations"), Some(registration)) = (scope, word, registration) else {
            return Err(FORM);
        };
        Ok(Self { id_scope: IdScope::parse(scope)?, registration: RegistrationId::parse(registration)? })
    }
}

/// The query where `rest` is one: nothing, `?…`, or the older form without `?`.
fn query(rest: &str) -> Option<&str> {
    match rest.strip_prefix('?') {
        Some(query) => Some(query),
        None => (rest.is_empty() || rest.starts_with("api-version=")).then_some(rest),
    }
}

fn parameter(query: &str, wanted: &str) -> Option<String> {
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find(|(name, _)| name.eq_ignore_ascii_case(wanted))
        .and_then(|(_, value)| percent_decode(value))
        .filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The user name, then host, device, module, model and client as they are read from it.
    type Case =
        (&'static str, &'static str, &'static str, Option<&'static str>, Option<&'static str>, Option<&'static str>);

    #[test]
    fn hub_user_names_of_all_sdks_are_read() {
        let cases: &[Case] = &[
            (
                "hub.local/d1/?api-version=2019-10-01&DeviceClientType=py-iot%2F2",
                "hub.local",
                "d1",
                None,
                None,
                Some("py-iot/2"),
            ),
            (
                "HUB.local/d1/?api-version=2020-09-30&DeviceClientType=c&model-id=dtmi%3Acom%3Aa%3B1",
                "hub.local",
                "d1",
                None,
                Some("dtmi:com:a;1"),
                Some("c"),
            ),
            (
                "h/d/?api-version=2021-04-12&model-id=dtmi:com:a;1&DeviceClientType=n",
                "h",
                "d",
                None,
                Some("dtmi:com:a;1"),
                Some("n"),
            ),
            ("h/d/m/?api-version=2019-10-01", "h", "d", Some("m"), None, None),
            ("h/d/api-version=2016-11-14", "h", "d", None, None, None),
            ("h/d/m/api-version=2016-11-14", "h", "d", Some("m"), None, None),
            ("h/d/m", "h", "d", Some("m"), None, None),
            ("h/d", "h", "d", None, None, None),
            ("h/d/", "h", "d", None, None, None),
            ("h/a?b=c%20/?x/y", "h", "a?b=c%20", None, None, None),
            ("h/d/?DeviceClientType=a/b", "h", "d", None, None, Some("a/b")),
        ];
        for (text, host, device, module, model_id, client_type) in cases {
            let read = HubUsername::parse(text).expect(text);
            assert_eq!(read.host, *host, "{text}");
            assert_eq!(read.device.as_str(), *device, "{text}");
            assert_eq!(read.module.as_ref().map(ModuleId::as_str), *module, "{text}");
            assert_eq!(read.model_id.as_deref(), *model_id, "{text}");
            assert_eq!(read.client_type.as_deref(), *client_type, "{text}");
        }
    }

    #[test]
    fn other_user_names_are_refused() {
        for text in ["", "h", "h/", "/d", "h//", "h/a b", "h/d/m/x", "ho st/d", &format!("h/{}", "d".repeat(129))] {
            assert!(HubUsername::parse(text).is_err(), "{text}");
        }
        assert_eq!(HubUsername::parse(&"h".repeat(MAX_USERNAME_BYTES + 1)), Err(UsernameError::TooLong));
    }

    #[test]
    fn provisioning_user_names_are_read() {
        for text in [
            "0ne1/registrations/sn-1/api-version=2019-03-31&ClientVersion=a%2Fb",
            "0ne1/registrations/sn-1",
            "0ne1/registrations/sn-1/?a",
        ] {
            let read = DpsUsername::parse(text).expect(text);
            assert_eq!((read.id_scope.as_str(), read.registration.as_str()), ("0ne1", "sn-1"), "{text}");
        }
        for text in
            ["", "0ne1", "0ne1/registrations", "0ne1/devices/sn-1", "0ne1/registrations/", "0-1/registrations/a"]
        {
            assert!(DpsUsername::parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in ".*") {
            let _ = HubUsername::parse(&text);
            let _ = DpsUsername::parse(&text);
        }

        #[test]
        fn every_device_id_comes_back(device in "[A-Za-z0-9:.+%_#*?!(),=@;$'-]{1,128}") {
            let read = HubUsername::parse(&format!("h/{device}/?api-version=1")).expect("a user name");
            prop_assert_eq!(read.device.as_str(), device);
        }
    }
}
