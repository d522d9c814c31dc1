//! The grant of one upload, as the query of the blob's address carries it: a shared access signature in the form of
//! Azure Storage's (`iot-hub-wire.md` §5). `si` names the upload, so that a grant ends with it.

use super::{
    percent_decode, percent_encode,
    sas::{self, BASE64, SasError},
};
use crate::UploadId;
use base64::Engine as _;
use chrono::{DateTime, SecondsFormat, Utc};
use hmac::Mac;
use std::fmt;

/// A longer query is refused unread.
pub const MAX_QUERY_BYTES: usize = 4096;

/// The version that grants are signed as.
const VERSION: &str = "2025-01-05";
/// A blob and nothing around it.
const RESOURCE: &str = "b";
/// To write, and nothing else.
const PERMISSIONS: &str = "w";

/// A grant that was read, and not checked yet. Its `Debug` shows no signature.
#[derive(Clone, PartialEq, Eq)]
pub struct Claim {
    /// The upload that it is for.
    pub upload: UploadId,
    /// When it ends.
    pub expires_at: DateTime<Utc>,
    /// What it allows, a letter each.
    pub permissions: String,
    expiry: String,
    version: String,
    resource: String,
    signature: Vec<u8>,
}

impl Claim {
    /// Reads the grant out of a query; parameters of the request itself may stand anywhere among its fields.
    ///
    /// # Errors
    /// [`SasError`] where the query holds no grant.
    pub fn parse(query: &str) -> Result<Self, SasError> {
        if query.len() > MAX_QUERY_BYTES {
            return Err(SasError::NotToken);
        }
        let field = |name: &'static str| {
            let mut values = query.split('&').filter_map(|pair| pair.split_once('=')).filter(|(key, _)| *key == name);
            match (values.next(), values.next()) {
                (Some((_, value)), None) => percent_decode(value).ok_or(SasError::Malformed(name)),
                (Some(_), Some(_)) => Err(SasError::Repeated(name)),
                (None, _) => Err(SasError::Missing(name)),
            }
        };
        let expiry = field("se")?;
        let expires_at = DateTime::parse_from_rfc3339(&expiry).map_err(|_| SasError::Malformed("se"))?.to_utc();
        Ok(Self {
            upload: field("si")?.parse().map_err(|_| SasError::Malformed("si"))?,
            expires_at,
            permissions: field("sp")?,
            expiry,
            version: field("sv")?,
            resource: field("sr")?,
            signature: BASE64.decode(field("sig")?).map_err(|_| SasError::Malformed("sig"))?,
        })
    }

    /// Was it signed with this key for this blob? Compares in constant time.
    pub fn verify(&self, key_b64: &str, container: &str, blob: &str) -> bool {
        let mac = sas::hmac(key_b64, &self.text(container, blob));
        mac.is_ok_and(|mac| mac.verify_slice(&self.signature).is_ok())
    }

    /// Is its time over?
    pub fn expired(&self, now: DateTime<Utc>) -> bool {
        now >= self.expires_at
    }

    /// Does it allow to write?
    pub fn writes(&self) -> bool {
        self.permissions.contains('w')
    }

    /// What is signed. No field can hold a line break but the blob's name, which comes last.
    fn text(&self, container: &str, blob: &str) -> String {
        let Self { upload, permissions, expiry, version, resource, .. } = self;
        format!("{permissions}\n{expiry}\n{upload}\n{version}\n{resource}\n{container}\n{blob}")
    }
}

impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claim")
            .field("upload", &self.upload)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// The query that lets its holder write the blob until `expires_at`, with the `?` before it.
///
/// # Errors
/// [`SasError::Key`] where the key can't be read.
pub fn sign(
    key_b64: &str,
    (container, blob): (&str, &str),
    upload: UploadId,
    expires_at: DateTime<Utc>,
) -> Result<String, SasError> {
    let expiry = expires_at.to_rfc3339_opts(SecondsFormat::Secs, true);
    let claim = Claim {
        upload,
        expires_at,
        permissions: PERMISSIONS.to_owned(),
        expiry,
        version: VERSION.to_owned(),
        resource: RESOURCE.to_owned(),
        signature: Vec::new(),
    };
    let signature = sas::hmac(key_b64, &claim.text(container, blob))?.finalize().into_bytes();
    Ok(format!(
        "?sv={VERSION}&sr={RESOURCE}&si={upload}&sig={}&se={}&sp={PERMISSIONS}",
        percent_encode(&BASE64.encode(signature)),
        percent_encode(&claim.expiry)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use uuid::Uuid;

    const KEY: &str = "18RQk/hOPJR9EbsJlk2j8WA6vWaj/yi+oaYg7zmxfQNdOyMSu+SJ8O7TSlZhDJCYmn4rzEiVKIzNiVAWjLxrGA==";
    const BLOB: (&str, &str) = ("files-demo", "pump-1/dir/a b.txt");

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_795_305_600 + seconds, 0).expect("a time")
    }

    fn signed() -> String {
        let query = sign(KEY, BLOB, UploadId(Uuid::from_u128(7)), at(3600)).expect("a key");
        query.strip_prefix('?').expect("a query").to_owned()
    }

    #[test]
    fn a_grant_is_for_one_blob_and_its_time() {
        let query = signed();
        for text in [query.clone(), format!("comp=block&{query}&blockid=AA=="), query.replace("&se=", "&x=&se=")] {
            let claim = Claim::parse(&text).expect("a grant");
            assert!(claim.verify(KEY, BLOB.0, BLOB.1) && claim.writes(), "{text}");
            assert!(!claim.expired(at(3599)) && claim.expired(at(3600)));
            for (container, blob) in [("files-other", BLOB.1), (BLOB.0, "pump-1/dir/b.txt"), (BLOB.0, "pump-1/dir/")] {
                assert!(!claim.verify(KEY, container, blob), "{container} {blob}");
            }
            assert!(!claim.verify("c2hvcnQ=", BLOB.0, BLOB.1));
        }
    }

    #[test]
    fn what_was_altered_is_not_signed() {
        let query = signed();
        for (from, to) in [
            ("sp=w", "sp=rwd"),
            ("se=2026", "se=2027"),
            ("sr=b", "sr=c"),
            ("sv=2025", "sv=2024"),
            ("si=00000000", "si=00000001"),
        ] {
            let altered = query.replace(from, to);
            assert_ne!(altered, query, "{from}");
            assert!(!Claim::parse(&altered).expect("a grant").verify(KEY, BLOB.0, BLOB.1), "{altered}");
        }
        for (bad, error) in [
            (String::new(), SasError::Missing("se")),
            (query.replace("sp=w", "sp"), SasError::Missing("sp")),
            (format!("{query}&se=2099-01-01T00:00:00Z"), SasError::Repeated("se")),
            (query.replace("sig=", "sig=*"), SasError::Malformed("sig")),
            (query.replace("si=", "si=x"), SasError::Malformed("si")),
            (query.replace("se=", "se=x"), SasError::Malformed("se")),
            (format!("{query}&a={}", "x".repeat(MAX_QUERY_BYTES)), SasError::NotToken),
        ] {
            assert_eq!(Claim::parse(&bad), Err(error), "{bad}");
        }
        assert!(!format!("{:?}", Claim::parse(&query)).contains("sig"));
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in ".*") {
            let _ = Claim::parse(&text);
            let _ = Claim::parse(&format!("si={}&sp=w&sv=1&sr=b&sig=AA&se={text}", Uuid::nil()));
        }
    }
}
