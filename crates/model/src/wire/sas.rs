//! Shared access signatures (`iot-hub-wire.md` §1, §3): parsing, checking, signing, deriving keys.

use super::{percent_decode, percent_encode};
use crate::{DeviceId, IdScope, ModuleId, RegistrationId};
use base64::{
    Engine as _,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt;

/// A token longer than this is refused unread.
pub const MAX_TOKEN_BYTES: usize = 4096;
/// How long a token is still taken after its expiry: clocks of devices drift.
pub const GRACE_SECONDS: i64 = 300;

const SCHEME: &str = "SharedAccessSignature ";
pub(super) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// A signature that was read, and not checked yet. Its `Debug` shows no signature.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// The resource as it was sent: the signature covers exactly this text.
    pub sr: String,
    /// The signature, decoded.
    pub sig: Vec<u8>,
    /// When it expires, in seconds since 1970.
    pub se: i64,
    /// The policy's name; device keys have none.
    pub skn: Option<String>,
}

/// Why text is no token, or why nothing can be signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SasError {
    /// Not of the form `SharedAccessSignature k=v&…`, or too long.
    #[error("not a shared access signature")]
    NotToken,
    /// A field is absent.
    #[error("field '{0}' of the shared access signature is missing")]
    Missing(&'static str),
    /// A field is there twice.
    #[error("field '{0}' of the shared access signature is repeated")]
    Repeated(&'static str),
    /// A field can't be read.
    #[error("field '{0}' of the shared access signature can't be read")]
    Malformed(&'static str),
    /// A key is not base64 of 16 to 64 bytes.
    #[error("key is not base64 of 16 to 64 bytes")]
    Key,
}

impl Token {
    /// Reads a token; its fields may come in any order, unknown ones are passed over.
    ///
    /// # Errors
    /// [`SasError`] where the text is no token.
    pub fn parse(text: &str) -> Result<Self, SasError> {
        let fields = text
            .get(..SCHEME.len())
            .filter(|scheme| text.len() <= MAX_TOKEN_BYTES && scheme.eq_ignore_ascii_case(SCHEME))
            .and_then(|_| text.get(SCHEME.len()..))
            .ok_or(SasError::NotToken)?;
        let (mut sr, mut sig, mut se, mut skn) = (None, None, None, None);
        for field in fields.trim().split('&') {
            let (name, value) = field.split_once('=').ok_or(SasError::NotToken)?;
            match name {
                "sr" => once(&mut sr, "sr", value)?,
                "sig" => once(&mut sig, "sig", value)?,
                "se" => once(&mut se, "se", value)?,
                "skn" => once(&mut skn, "skn", value)?,
                _ => {}
            }
        }
        let sig = percent_decode(sig.ok_or(SasError::Missing("sig"))?).ok_or(SasError::Malformed("sig"))?;
        Ok(Self {
            sr: sr.ok_or(SasError::Missing("sr"))?.to_owned(),
            sig: BASE64.decode(sig).map_err(|_| SasError::Malformed("sig"))?,
            se: expiry(se.ok_or(SasError::Missing("se"))?)?,
            skn: match skn.map(percent_decode) {
                Some(Some(name)) if !name.is_empty() => Some(name),
                Some(None) => return Err(SasError::Malformed("skn")),
                _ => None,
            },
        })
    }

    /// Was it signed with this key? Compares in constant time; a key that can't be read signs nothing.
    pub fn verify(&self, key_b64: &str) -> bool {
        hmac(key_b64, &format!("{}\n{}", self.sr, self.se)).is_ok_and(|mac| mac.verify_slice(&self.sig).is_ok())
    }

    /// Is it past its expiry and the grace?
    pub fn expired(&self, now: DateTime<Utc>) -> bool {
        now.timestamp() > self.se.saturating_add(GRACE_SECONDS)
    }

    /// When it expires; `None` where that is beyond the calendar.
    pub fn expires_at(&self) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp(self.se, 0)
    }

    /// Is the device inside the token's resource (`host`, `host/devices` or `host/devices/{id}`)?
    pub fn covers_device(&self, host: &str, device: &DeviceId) -> bool {
        self.covers(&[host, "devices", device.as_str()])
    }

    /// Is the module inside the token's resource?
    pub fn covers_module(&self, host: &str, device: &DeviceId, module: &ModuleId) -> bool {
        self.covers(&[host, "devices", device.as_str(), "modules", module.as_str()])
    }

    /// Is the token for this hub as a whole? A client that reaches the hub at another port may name the port.
    pub fn covers_hub(&self, host: &str) -> bool {
        let is_hub = |sr: &str| without_port(sr.trim_end_matches('/')).eq_ignore_ascii_case(host);
        is_hub(&self.sr) || percent_decode(&self.sr).is_some_and(|sr| is_hub(&sr))
    }

    /// Is the registration inside the token's resource?
    pub fn covers_registration(&self, id_scope: &IdScope, registration: &RegistrationId) -> bool {
        self.covers(&[id_scope.as_str(), "registrations", registration.as_str()])
    }

    /// Is the token's resource a prefix of `path`, segment by segment? The raw text counts too: an id may hold a `%`
    /// that the client did not encode. Case does not matter; the key decides who it is.
    fn covers(&self, path: &[&str]) -> bool {
        let within = |sr: &str| {
            let mut count = 0;
            sr.trim_end_matches('/').split('/').all(|segment| {
                count += 1;
                path.get(count - 1).is_some_and(|wanted| wanted.eq_ignore_ascii_case(segment))
            })
        };
        within(&self.sr) || percent_decode(&self.sr).is_some_and(|sr| within(&sr))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("sr", &self.sr)
            .field("se", &self.se)
            .field("skn", &self.skn)
            .finish_non_exhaustive()
    }
}

/// A host without the port behind it.
pub fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        // An IPv6 address has more colons; with a port it stands in brackets.
        Some((name, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => {
            match name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
                Some(address) => address,
                None if name.contains(':') => host,
                None => name,
            }
        }
        _ => host,
    }
}

/// A token for `uri` (not encoded), valid until `se` seconds since 1970.
///
/// # Errors
/// [`SasError::Key`] where the key can't be read.
pub fn sign(uri: &str, key_b64: &str, se: i64, skn: Option<&str>) -> Result<String, SasError> {
    let sr = percent_encode(uri);
    let sig = hmac(key_b64, &format!("{sr}\n{se}"))?.finalize().into_bytes();
    let mut token = format!("{SCHEME}sr={sr}&sig={}&se={se}", percent_encode(&BASE64.encode(sig)));
    if let Some(skn) = skn {
        token.push_str("&skn=");
        token.push_str(&percent_encode(skn));
    }
    Ok(token)
}

/// A device's key, derived from its enrollment group's key and the registration id as the device writes it.
///
/// # Errors
/// [`SasError::Key`] where the group's key can't be read.
pub fn derive_key(group_key_b64: &str, registration_id: &str) -> Result<String, SasError> {
    Ok(BASE64.encode(hmac(group_key_b64, registration_id)?.finalize().into_bytes()))
}

/// Checks a key given from outside.
///
/// # Errors
/// [`SasError::Key`] unless it is base64 of 16 to 64 bytes.
pub fn check_key(key_b64: &str) -> Result<(), SasError> {
    decode_key(key_b64).map(drop)
}

pub(super) fn hmac(key_b64: &str, text: &str) -> Result<Hmac<Sha256>, SasError> {
    let mut mac = Hmac::<Sha256>::new_from_slice(&decode_key(key_b64)?).map_err(|_| SasError::Key)?;
    mac.update(text.as_bytes());
    Ok(mac)
}

fn decode_key(key_b64: &str) -> Result<Vec<u8>, SasError> {
    let key = BASE64.decode(key_b64.trim()).map_err(|_| SasError::Key)?;
    if (16..=64).contains(&key.len()) { Ok(key) } else { Err(SasError::Key) }
}

/// The signature covers the digits as they were sent, so only their plain form is read.
fn expiry(text: &str) -> Result<i64, SasError> {
    let se: i64 = text.parse().map_err(|_| SasError::Malformed("se"))?;
    if se >= 0 && se.to_string() == text { Ok(se) } else { Err(SasError::Malformed("se")) }
}

fn once<'a>(slot: &mut Option<&'a str>, name: &'static str, value: &'a str) -> Result<(), SasError> {
    if slot.replace(value).is_some() { Err(SasError::Repeated(name)) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEY: &str = "18RQk/hOPJR9EbsJlk2j8WA6vWaj/yi+oaYg7zmxfQNdOyMSu+SJ8O7TSlZhDJCYmn4rzEiVKIzNiVAWjLxrGA==";
    const GROUP_KEY: &str = "8isrFI1sGsIlvvFSSFRiMfCNzv21fjbE/+ah/lSh3lF8e2YG1Te7w1KpZhJFFXJrqYKi9yegxkqIChbqOS9Egw==";

    fn device(id: &str) -> DeviceId {
        DeviceId::parse(id).expect("a device id")
    }

    fn token(sr: &str) -> Token {
        Token { sr: sr.into(), sig: vec![0; 32], se: 1, skn: None }
    }

    #[test]
    fn the_documented_signature_is_reproduced() {
        let signed = sign("MyExampleHub.azure-devices.net/devices/my-symkey-device", KEY, 1_663_119_026, None);
        let expected = "SharedAccessSignature sr=MyExampleHub.azure-devices.net%2Fdevices%2Fmy-symkey-device\
                        &sig=f%2BwW8XOKeJOtiPc9Iwjc4OpExvPM7NlhM9qxN2a1aAM%3D&se=1663119026";
        assert_eq!(signed.as_deref(), Ok(expected));
        let token = Token::parse(expected).expect("a token");
        assert!(token.verify(KEY));
        assert!(!token.verify(GROUP_KEY));
        assert!(!token.verify(""));
        assert!(token.covers_device("myexamplehub.azure-devices.net", &device("my-symkey-device")));
    }

    #[test]
    fn the_documented_device_key_is_derived() {
        let key = derive_key(GROUP_KEY, "sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6");
        assert_eq!(key.as_deref(), Ok("Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc="));
        assert_eq!(derive_key("c2hvcnQ=", "a"), Err(SasError::Key));
    }

    #[test]
    fn fields_come_in_any_order_and_form() {
        for text in [
            "SharedAccessSignature sr=h&sig=AAAA&se=1",
            "SharedAccessSignature se=1&sig=AAAA&sr=h",
            "sharedaccesssignature skn=&sig=AAAA&sr=h&se=1&new=1",
        ] {
            let token = Token::parse(text).expect(text);
            assert_eq!((token.sr.as_str(), token.se, token.skn), ("h", 1, None), "{text}");
        }
        assert_eq!(
            Token::parse("SharedAccessSignature skn=a%20b&sr=h&sig=AA&se=1").expect("a token").skn.as_deref(),
            Some("a b")
        );
    }

    #[test]
    fn bad_tokens_say_why() {
        for (text, error) in [
            ("", SasError::NotToken),
            ("SharedAccessSignature ", SasError::NotToken),
            ("SharedAccessSignature sr", SasError::NotToken),
            ("Bearer sr=h&sig=AAAA&se=1", SasError::NotToken),
            ("SharedAccessSignature sig=AAAA&se=1", SasError::Missing("sr")),
            ("SharedAccessSignature sr=h&se=1", SasError::Missing("sig")),
            ("SharedAccessSignature sr=h&sig=AAAA", SasError::Missing("se")),
            ("SharedAccessSignature sr=h&sr=h&sig=AAAA&se=1", SasError::Repeated("sr")),
            ("SharedAccessSignature sr=h&sig=A*&se=1", SasError::Malformed("sig")),
            ("SharedAccessSignature sr=h&sig=AAAA&se=01", SasError::Malformed("se")),
            ("SharedAccessSignature sr=h&sig=AAAA&se=+1", SasError::Malformed("se")),
            ("SharedAccessSignature sr=h&sig=AAAA&se=-1", SasError::Malformed("se")),
            ("SharedAccessSignature sr=h&sig=AAAA&se=99999999999999999999", SasError::Malformed("se")),
        ] {
            assert_eq!(Token::parse(text), Err(error), "{text}");
        }
        let long = format!("SharedAccessSignature sr={}&sig=AAAA&se=1", "h".repeat(MAX_TOKEN_BYTES));
        assert_eq!(Token::parse(&long), Err(SasError::NotToken));
    }

    #[test]
    fn a_hub_token_names_the_hub_alone() {
        for sr in ["hub.local", "HUB.local", "hub.local/", "hub.local:8443", "hub.local%3A8443"] {
            assert!(token(sr).covers_hub("hub.local"), "{sr}");
        }
        for sr in ["", "hub", "hub.local/devices", "hub.local:", "hub.local:x", "other.local"] {
            assert!(!token(sr).covers_hub("hub.local"), "{sr}");
        }
        for (host, name) in
            [("a:1", "a"), ("a", "a"), ("::1", "::1"), ("[::1]:443", "::1"), ("2001:db8::7", "2001:db8::7")]
        {
            assert_eq!(without_port(host), name);
        }
    }

    #[test]
    fn a_resource_covers_whole_segments_only() {
        let id = device("dev-1");
        for sr in [
            "hub.local",
            "HUB.local/devices",
            "hub.local%2Fdevices%2Fdev-1",
            "hub.local%2fdevices%2fDEV-1",
            "hub.local/",
        ] {
            assert!(token(sr).covers_device("hub.local", &id), "{sr}");
        }
        for sr in [
            "",
            "hub",
            "hub.local/dev",
            "hub.local/devices/dev",
            "hub.local/devices/dev-1/modules/m",
            "other/devices/dev-1",
        ] {
            assert!(!token(sr).covers_device("hub.local", &id), "{sr}");
        }
        assert!(token("hub.local/devices/a%b").covers_device("hub.local", &device("a%b")));
        assert!(token("hub.local/devices/a%2541").covers_device("hub.local", &device("a%41")));
        let module = ModuleId::parse("m").expect("a module id");
        assert!(token("hub.local/devices/dev-1/modules/m").covers_module("hub.local", &id, &module));
        let scope = IdScope::parse("0ne0001").expect("an id scope");
        let registration = RegistrationId::parse("sn-1").expect("a registration id");
        assert!(token("0ne0001%2Fregistrations%2Fsn-1").covers_registration(&scope, &registration));
        assert!(!token("0ne0001%2Fregistrations%2Fsn-2").covers_registration(&scope, &registration));
    }

    #[test]
    fn expiry_has_a_grace() {
        let at = |seconds| DateTime::from_timestamp(seconds, 0).expect("a time");
        assert!(!token("h").expired(at(301)));
        assert!(token("h").expired(at(302)));
        assert!(!Token { se: i64::MAX, ..token("h") }.expired(at(302)));
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in ".*") {
            let _ = Token::parse(&text);
            let _ = Token::parse(&format!("{SCHEME}{text}"));
        }

        #[test]
        fn what_is_signed_is_verified(uri in "[a-z.]{1,20}(/[ -~]{1,20}){0,3}", se in 0..i64::MAX, skn in proptest::option::of("[a-z ]{1,9}")) {
            let token = Token::parse(&sign(&uri, KEY, se, skn.as_deref()).expect("a key")).expect("a token");
            prop_assert!(token.verify(KEY));
            prop_assert_eq!(token.skn, skn);
        }
    }
}
