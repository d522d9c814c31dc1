//! Secrets at rest: sealed with XChaCha20-Poly1305 under the master key, bound to the place they belong to.
//!
//! A sealed secret is `version (1) · key fingerprint (4) · nonce (24) · ciphertext and tag`. The context is authenticated,
//! so a row's secret that is copied to another row does not open there.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use sha2::{Digest, Sha256};
use std::{fs, io, io::Write, path::Path};

const VERSION: u8 = 1;
const FINGERPRINT_BYTES: usize = 4;
const NONCE_BYTES: usize = 24;
const HEAD_BYTES: usize = 1 + FINGERPRINT_BYTES + NONCE_BYTES;
const KEY_BYTES: usize = 32;

/// Why a secret could not be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    /// The key file cannot be read or written.
    #[error("master key file '{path}' cannot be used")]
    File {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The key file holds something else.
    #[error("master key file '{path}' does not hold 32 bytes in base64")]
    Format {
        /// The file.
        path: String,
    },
    /// The system gives no random numbers.
    #[error("no random numbers: {0}")]
    Random(String),
    /// It was sealed with another master key.
    #[error("the secret was sealed with another master key")]
    OtherKey,
    /// It is not what was sealed, or not for this place.
    #[error("the secret was altered or belongs to another place")]
    Altered,
}

/// The key that all stored secrets are sealed with. Its `Debug` shows nothing.
#[derive(Clone)]
pub struct MasterKey {
    key: SecretSlice<u8>,
    fingerprint: [u8; FINGERPRINT_BYTES],
}

impl std::fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MasterKey(…)")
    }
}

impl MasterKey {
    /// The key of these bytes.
    pub fn from_bytes(bytes: [u8; KEY_BYTES]) -> Self {
        let digest = Sha256::digest(bytes);
        let mut fingerprint = [0; FINGERPRINT_BYTES];
        fingerprint.copy_from_slice(&digest[..FINGERPRINT_BYTES]);
        Self { key: SecretSlice::from(bytes.to_vec()), fingerprint }
    }

    /// A new key.
    ///
    /// # Errors
    /// [`SecretsError::Random`] where the system gives no random numbers.
    pub fn generate() -> Result<Self, SecretsError> {
        Ok(Self::from_bytes(random_bytes()?))
    }

    /// The key in the file at `path`.
    ///
    /// # Errors
    /// Where the file cannot be read or holds something else.
    pub fn load(path: &Path) -> Result<Self, SecretsError> {
        let text = fs::read_to_string(path).map(SecretString::from).map_err(|source| file_error(path, source))?;
        let bytes = BASE64.decode(text.expose_secret().trim()).ok();
        let bytes = bytes.and_then(|bytes| <[u8; KEY_BYTES]>::try_from(bytes).ok());
        bytes.map(Self::from_bytes).ok_or_else(|| SecretsError::Format { path: path.display().to_string() })
    }

    /// The key in the file at `path`; makes the file, readable by its owner alone, where it is absent.
    ///
    /// # Errors
    /// Where the file can neither be read nor made.
    pub fn load_or_create(path: &Path) -> Result<Self, SecretsError> {
        match create_new(path) {
            Ok(mut file) => {
                let key = Self::generate()?;
                let text = SecretString::from(BASE64.encode(key.key.expose_secret()));
                writeln!(file, "{}", text.expose_secret()).map_err(|source| file_error(path, source))?;
                file.sync_all().map_err(|source| file_error(path, source))?;
                Ok(key)
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Self::load(path),
            Err(source) => Err(file_error(path, source)),
        }
    }

    /// Seals `secret` for the place named by `context`, for example `device/3/pump-1`.
    ///
    /// # Errors
    /// [`SecretsError::Random`] where the system gives no random numbers.
    pub fn seal(&self, context: &str, secret: &[u8]) -> Result<Vec<u8>, SecretsError> {
        let nonce: [u8; NONCE_BYTES] = random_bytes()?;
        let payload = Payload { msg: secret, aad: context.as_bytes() };
        let ciphertext = self.cipher()?.encrypt(&XNonce::from(nonce), payload).map_err(|_| SecretsError::Altered)?;
        let mut sealed = Vec::with_capacity(HEAD_BYTES + ciphertext.len());
        sealed.push(VERSION);
        sealed.extend_from_slice(&self.fingerprint);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(&ciphertext);
        Ok(sealed)
    }

    /// Opens what [`MasterKey::seal`] made for the same context.
    ///
    /// # Errors
    /// [`SecretsError::OtherKey`] or [`SecretsError::Altered`].
    pub fn open(&self, context: &str, sealed: &[u8]) -> Result<SecretSlice<u8>, SecretsError> {
        let (head, ciphertext) = sealed.split_at_checked(HEAD_BYTES).ok_or(SecretsError::Altered)?;
        let (version, head) = head.split_at(1);
        let (fingerprint, nonce) = head.split_at(FINGERPRINT_BYTES);
        if version != [VERSION] {
            return Err(SecretsError::Altered);
        }
        if fingerprint != self.fingerprint {
            return Err(SecretsError::OtherKey);
        }
        let nonce = <[u8; NONCE_BYTES]>::try_from(nonce).map_err(|_| SecretsError::Altered)?;
        let payload = Payload { msg: ciphertext, aad: context.as_bytes() };
        let secret = self.cipher()?.decrypt(&XNonce::from(nonce), payload).map_err(|_| SecretsError::Altered)?;
        Ok(SecretSlice::from(secret))
    }

    fn cipher(&self) -> Result<XChaCha20Poly1305, SecretsError> {
        XChaCha20Poly1305::new_from_slice(self.key.expose_secret()).map_err(|_| SecretsError::Altered)
    }
}

/// Random bytes from the system, fit for keys.
///
/// # Errors
/// [`SecretsError::Random`] where the system gives none.
pub(crate) fn random_bytes<const LEN: usize>() -> Result<[u8; LEN], SecretsError> {
    use rand::TryRng;
    let mut bytes = [0; LEN];
    rand::rngs::SysRng.try_fill_bytes(&mut bytes).map_err(|error| SecretsError::Random(error.to_string()))?;
    Ok(bytes)
}

/// A new symmetric key as devices use it: 64 random bytes in base64.
///
/// # Errors
/// [`SecretsError::Random`] where the system gives no random numbers.
pub(crate) fn symmetric_key() -> Result<String, SecretsError> {
    Ok(BASE64.encode(random_bytes::<64>()?))
}

fn file_error(path: &Path, source: io::Error) -> SecretsError {
    SecretsError::File { path: path.display().to_string(), source }
}

#[cfg(unix)]
fn create_new(path: &Path) -> io::Result<fs::File> {
    use std::os::unix::fs::OpenOptionsExt;
    fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

#[cfg(not(unix))]
fn create_new(path: &Path) -> io::Result<fs::File> {
    fs::OpenOptions::new().write(true).create_new(true).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_opens_only_in_its_place_and_under_its_key() {
        let key = MasterKey::from_bytes([7; 32]);
        let sealed = key.seal("device/1/pump", b"secret").expect("sealed");
        assert!(!sealed.windows(6).any(|window| window == b"secret"));
        assert_eq!(key.open("device/1/pump", &sealed).expect("opened").expose_secret(), b"secret");
        assert!(matches!(key.open("device/2/pump", &sealed), Err(SecretsError::Altered)));
        let other = MasterKey::from_bytes([8; 32]);
        assert!(matches!(other.open("device/1/pump", &sealed), Err(SecretsError::OtherKey)));
        for index in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[index] ^= 1;
            assert!(key.open("device/1/pump", &altered).is_err(), "byte {index}");
        }
        assert!(matches!(key.open("device/1/pump", &sealed[..10]), Err(SecretsError::Altered)));
    }

    #[test]
    fn two_sealings_differ() {
        let key = MasterKey::from_bytes([7; 32]);
        assert_ne!(key.seal("a", b"same").expect("sealed"), key.seal("a", b"same").expect("sealed"));
    }

    #[test]
    fn the_key_file_is_made_once_and_private() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("master.key");
        let made = MasterKey::load_or_create(&path).expect("made");
        let again = MasterKey::load_or_create(&path).expect("read");
        let sealed = made.seal("x", b"y").expect("sealed");
        assert!(again.open("x", &sealed).is_ok());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(&path).expect("metadata").permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        fs::write(&path, "not a key").expect("written");
        assert!(matches!(MasterKey::load(&path), Err(SecretsError::Format { .. })));
        assert!(!format!("{made:?}").contains("key:"));
    }
}
