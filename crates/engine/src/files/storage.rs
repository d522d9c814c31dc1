//! Where the bytes are: a folder, or a bucket that speaks S3.

use crate::EngineError;
use bytes::Bytes;
use futures::{Stream, TryStreamExt};
use muster_model::TenantKey;
use object_store::{
    ObjectStore, ObjectStoreExt,
    aws::{AmazonS3Builder, AmazonS3ConfigKey},
    buffered::BufWriter,
    local::LocalFileSystem,
    memory::InMemory,
    path::Path,
};
use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};
use std::{fs, io, path::Path as FilePath, sync::Arc};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;

/// Objects that are written at one time; each holds up to two parts in memory.
const MAX_WRITERS: usize = 32;
/// What is written to a folder at once.
const FOLDER_PART_BYTES: usize = 1 << 20;
/// What is sent to a bucket at once; S3 takes no less than 5 MiB.
const BUCKET_PART_BYTES: usize = 8 << 20;

/// What the operator configured (`files.…`).
#[derive(Debug, Clone)]
pub struct FilesConfig {
    /// The path of a folder, `file:///folder`, `s3://bucket/prefix?endpoint=…`, or `memory:///` for tests.
    pub url: SecretString,
    /// The largest file.
    pub max_file_bytes: u64,
    /// What all files of a tenant may hold together.
    pub tenant_bytes: u64,
}

/// The object storage. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Files {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    part_bytes: usize,
    writers: Arc<Semaphore>,
    pub(super) max_file_bytes: u64,
    pub(super) tenant_bytes: u64,
}

impl Files {
    /// Opens the storage; a folder is made where there is none.
    pub(crate) fn open(config: &FilesConfig) -> Result<Self, EngineError> {
        let url = config.url.expose_secret();
        // The address may hold credentials: it is not told.
        let bad = |reason: &str| EngineError::invalid("files.url", format!("files.url {reason}"));
        let url = if FilePath::new(url).is_absolute() { Url::from_file_path(url).ok() } else { Url::parse(url).ok() };
        let url = url.ok_or_else(|| bad("is not an address"))?;
        let (store, prefix, part_bytes): (Arc<dyn ObjectStore>, _, _) = match url.scheme() {
            "file" => {
                let folder = url.to_file_path().map_err(|()| bad("is not the path of a folder"))?;
                fs::create_dir_all(&folder).map_err(|error| EngineError::unavailable("the folder of files", error))?;
                let store = LocalFileSystem::new_with_prefix(folder).map_err(unavailable)?;
                (Arc::new(store.with_fsync(true)), Path::default(), FOLDER_PART_BYTES)
            }
            "s3" => {
                let prefix = Path::from_url_path(url.path()).map_err(|_| bad("has a prefix that is no path"))?;
                (Arc::new(bucket(url, bad)?), prefix, BUCKET_PART_BYTES)
            }
            "memory" => (Arc::new(InMemory::new()), Path::default(), FOLDER_PART_BYTES),
            _ => return Err(bad("begins with file:// or s3://")),
        };
        let FilesConfig { max_file_bytes, tenant_bytes, .. } = *config;
        Ok(Self {
            store,
            prefix,
            part_bytes,
            writers: Arc::new(Semaphore::new(MAX_WRITERS)),
            max_file_bytes,
            tenant_bytes,
        })
    }

    /// Whether the storage answers: a missing bucket or a wrong key shows.
    pub(super) async fn look(&self) -> Result<(), object_store::Error> {
        self.store.list(Some(&self.prefix)).try_next().await.map(|_| ())
    }

    /// A place among those who write, if there is one.
    pub(super) fn writer_place(&self) -> Option<OwnedSemaphorePermit> {
        self.writers.clone().try_acquire_owned().ok()
    }

    /// Writes a new object, which is there once the writer is shut down.
    pub(super) fn writer(&self, tenant: TenantKey, object: Uuid) -> BufWriter {
        let writer = BufWriter::with_capacity(self.store.clone(), self.place(tenant, object), self.part_bytes);
        writer.with_max_concurrency(1)
    }

    /// An object's bytes.
    pub(super) async fn read(
        &self,
        tenant: TenantKey,
        object: Uuid,
    ) -> io::Result<impl Stream<Item = io::Result<Bytes>> + use<>> {
        let found = self.store.get(&self.place(tenant, object)).await.map_err(io::Error::other)?;
        Ok(found.into_stream().map_err(io::Error::other))
    }

    /// Removes an object; one that is not there is as good as removed.
    pub(super) async fn remove(&self, tenant: TenantKey, object: Uuid) -> Result<(), object_store::Error> {
        match self.store.delete(&self.place(tenant, object)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn place(&self, tenant: TenantKey, object: Uuid) -> Path {
        self.prefix.clone().join(tenant.to_string()).join(object.simple().to_string())
    }
}

/// The bucket: what the address does not say in its query (`endpoint`, `region`, `allow_http` …) comes from `AWS_…`
/// variables of the environment.
fn bucket(mut url: Url, bad: impl Fn(&str) -> EngineError) -> Result<impl ObjectStore, EngineError> {
    let options: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    url.set_query(None);
    let mut builder = AmazonS3Builder::from_env().with_url(url);
    for (name, value) in options {
        let key: AmazonS3ConfigKey = name.parse().map_err(|_| bad("has an option in its query that is not known"))?;
        builder = builder.with_config(key, value);
    }
    builder.build().map_err(unavailable)
}

pub(super) fn unavailable(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> EngineError {
    EngineError::unavailable("the file storage", error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;

    fn config(url: &str) -> FilesConfig {
        FilesConfig { url: url.into(), max_file_bytes: 1, tenant_bytes: 1 }
    }

    #[tokio::test]
    async fn objects_are_whole_or_not_there() {
        let folder = tempfile::tempdir().expect("a folder");
        let files = Files::open(&config(&format!("{}/a %20#new", folder.path().display()))).expect("opens");
        let (tenant, object) = (TenantKey(7), Uuid::from_u128(1));
        let bytes: Vec<u8> = (0..3 * FOLDER_PART_BYTES).map(|index| index as u8).collect();
        let mut writer = files.writer(tenant, object);
        writer.put(Bytes::from(bytes.clone())).await.expect("writes");
        assert!(files.read(tenant, object).await.is_err(), "not before it is whole");
        writer.shutdown().await.expect("ends");
        let read: Vec<Bytes> = files.read(tenant, object).await.expect("opens").try_collect().await.expect("reads");
        assert!(read.concat() == bytes);
        assert!(files.read(TenantKey(8), object).await.is_err());
        for _ in 0..2 {
            files.remove(tenant, object).await.expect("removed");
        }
        assert!(files.read(tenant, object).await.is_err());
    }

    #[test]
    fn addresses_say_what_is_wrong_and_no_secret() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        for bad in ["", "nonsense", "ftp://x/y", "file://elsewhere/x", "s3://bucket?secret_word=hunter2"] {
            let error = Files::open(&config(bad)).err().expect(bad);
            assert!(
                matches!(error, EngineError::Invalid { .. }) && !error.to_string().contains("hunter2"),
                "{error:?}"
            );
        }
        let good = "s3://bucket/some/prefix?endpoint=http://127.0.0.1:1&allow_http=true&region=x";
        let files = Files::open(&config(good)).expect("opens");
        let place = files.place(TenantKey(7), Uuid::from_u128(1)).to_string();
        assert_eq!(place, "some/prefix/7/00000000000000000000000000000001");
    }
}
