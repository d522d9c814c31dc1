//! Writing a blob: in one piece, or block by block and then the list of them. What a request brings becomes an object
//! while it comes; the file is there, whole, when the database says so.

use super::storage::unavailable;
use crate::{Engine, EngineError};
use bytes::Bytes;
use chrono::Duration;
use crc_fast::CrcAlgorithm;
use md5::{Digest, Md5};
use muster_model::{
    Scope,
    files::{BlockId, BlockPlace, MAX_BLOCK_BYTES, MAX_BLOCKS},
};
use muster_store::{
    StoreError, Tx,
    files::{self, Block, File, Upload},
};
use object_store::buffered::BufWriter;
use std::collections::{HashMap, HashSet};
use tokio::{io::AsyncWriteExt, sync::OwnedSemaphorePermit};
use uuid::Uuid;

/// How long after its grant an object may still be in use: requests that began in time, and clocks that differ.
const MARGIN: Duration = Duration::minutes(10);
/// Content types are for people; longer ones are cut.
const MAX_TYPE_CHARS: usize = 128;

/// Why a blob is not written.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// No grant for this blob: the client is told no more than that.
    #[error("upload refused: {reason}")]
    Unauthorized {
        /// Why, for the log.
        reason: &'static str,
    },
    /// A file of this name is there, or is not the one that the client knows.
    #[error("the blob is not as the request wants it")]
    Condition(Condition),
    /// Longer than a blob or a block may be.
    #[error("a blob or a block is larger than {limit} bytes")]
    TooLarge {
        /// How long it may be.
        limit: u64,
    },
    /// The tenant's files hold as much as they may.
    #[error("the tenant has no space left for files")]
    NoSpace,
    /// More blocks than a blob may have.
    #[error("a blob has at most {MAX_BLOCKS} blocks")]
    TooManyBlocks,
    /// The list names a block that is not there, or one twice.
    #[error("the block list names a block that is not there, or one twice")]
    BlockList,
    /// The bytes are not those that were sent.
    #[error("the {0} of the body is another one")]
    Damaged(Checksum),
    /// Too much is written at this time.
    #[error("too many uploads at one time, try again")]
    Busy,
    /// As with every use case.
    #[error(transparent)]
    Failed(#[from] EngineError),
}

impl From<StoreError> for BlobError {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}

/// How a body is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checksum {
    /// `Content-MD5`.
    Md5,
    /// `x-ms-content-crc64`.
    Crc64,
}

impl std::fmt::Display for Checksum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if *self == Self::Md5 { "MD5" } else { "CRC64" })
    }
}

/// The checksums that came with a body.
#[derive(Debug, Clone, Copy, Default)]
pub struct Checks {
    /// `Content-MD5`.
    pub md5: Option<[u8; 16]>,
    /// `x-ms-content-crc64`, the lowest byte first.
    pub crc64: Option<[u8; 8]>,
}

impl Checks {
    /// Checks a body that is there as a whole.
    ///
    /// # Errors
    /// [`BlobError::Damaged`].
    pub fn verify(self, body: &[u8]) -> Result<(), BlobError> {
        let mut sums = Sums::new(self);
        sums.update(body);
        sums.damage().map_or(Ok(()), |damage| Err(BlobError::Damaged(damage)))
    }
}

/// Checksums that are asked for, of what has come so far.
struct Sums {
    sent: Checks,
    md5: Option<Md5>,
    crc64: Option<crc_fast::Digest>,
}

impl Sums {
    fn new(sent: Checks) -> Self {
        let crc64 = sent.crc64.map(|_| crc_fast::Digest::new(CrcAlgorithm::Crc64Nvme));
        Self { sent, md5: sent.md5.map(|_| Md5::new()), crc64 }
    }

    fn update(&mut self, bytes: &[u8]) {
        if let Some(md5) = &mut self.md5 {
            md5.update(bytes);
        }
        if let Some(crc64) = &mut self.crc64 {
            crc64.update(bytes);
        }
    }

    /// Which of them is not the one that was sent.
    fn damage(self) -> Option<Checksum> {
        let md5 = self.md5.map(|md5| <[u8; 16]>::from(md5.finalize()));
        let crc64 = self.crc64.map(|crc64| crc64.finalize().to_le_bytes());
        if md5 != self.sent.md5 {
            return Some(Checksum::Md5);
        }
        (crc64 != self.sent.crc64).then_some(Checksum::Crc64)
    }
}

/// What must be true of the file that stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Condition {
    /// Nothing.
    #[default]
    Any,
    /// There is none.
    Absent,
    /// It is the one with this etag.
    Is(String),
}

impl Condition {
    fn check(&self, standing: Option<&File>) -> Result<(), BlobError> {
        let holds = match self {
            Self::Any => true,
            Self::Absent => standing.is_none(),
            Self::Is(etag) => standing.is_some_and(|file| super::etag(file) == *etag),
        };
        if holds { Ok(()) } else { Err(BlobError::Condition(self.clone())) }
    }
}

/// A body on its way to the storage.
pub struct Writing {
    upload: Upload,
    scope: Scope,
    object: Uuid,
    writer: BufWriter,
    size_bytes: u64,
    limit: u64,
    sums: Sums,
    _place: OwnedSemaphorePermit,
}

impl std::fmt::Debug for Writing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writing")
            .field("upload", &self.upload)
            .field("size_bytes", &self.size_bytes)
            .finish_non_exhaustive()
    }
}

/// What a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece {
    /// A file.
    Whole,
    /// A block of one.
    Block,
}

/// Begins to write a body, of which `declared` bytes are announced.
///
/// # Errors
/// [`BlobError::TooLarge`], [`BlobError::NoSpace`], [`BlobError::Busy`], [`BlobError::Failed`].
pub async fn begin(
    engine: &Engine,
    upload: Upload,
    piece: Piece,
    declared: Option<u64>,
    checks: Checks,
) -> Result<Writing, BlobError> {
    let storage = engine.files();
    let limit = match piece {
        Piece::Whole => storage.max_file_bytes,
        Piece::Block => storage.max_file_bytes.min(MAX_BLOCK_BYTES),
    };
    let declared = declared.unwrap_or_default();
    if declared > limit {
        return Err(BlobError::TooLarge { limit });
    }
    let place = storage.writer_place().ok_or(BlobError::Busy)?;
    let (scope, object) = (upload.scope(), Uuid::now_v7());
    let tx = engine.store().begin(&scope).await?;
    has_space(&tx, engine, &scope, declared).await?;
    files::insert_object(&tx, &scope, upload.device, object, upload.expires_at + MARGIN).await?;
    tx.commit().await?;
    Ok(Writing {
        writer: storage.writer(scope.tenant, object),
        size_bytes: 0,
        limit,
        sums: Sums::new(checks),
        upload,
        scope,
        object,
        _place: place,
    })
}

impl Writing {
    /// Writes the next bytes; waits until the storage takes them.
    ///
    /// # Errors
    /// [`BlobError::TooLarge`], [`BlobError::Failed`]; then [`Writing::abort`].
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), BlobError> {
        self.size_bytes += bytes.len() as u64;
        if self.size_bytes > self.limit {
            return Err(BlobError::TooLarge { limit: self.limit });
        }
        self.sums.update(&bytes);
        Ok(self.writer.put(bytes).await.map_err(unavailable)?)
    }

    /// Gives the body up.
    pub async fn abort(mut self, engine: &Engine) {
        if let Err(error) = self.writer.abort().await {
            tracing::debug!(%error, "an upload could not be aborted in the storage");
        }
        discard(engine, &self.scope, &self.upload, self.object).await;
    }

    /// The object, once it is whole and as it was sent.
    async fn finish(mut self, engine: &Engine) -> Result<Written, BlobError> {
        let sums = std::mem::replace(&mut self.sums, Sums::new(Checks::default()));
        if let Some(damage) = sums.damage() {
            self.abort(engine).await;
            return Err(BlobError::Damaged(damage));
        }
        if let Err(error) = self.writer.shutdown().await {
            discard(engine, &self.scope, &self.upload, self.object).await;
            return Err(unavailable(error).into());
        }
        let Self { upload, scope, object, size_bytes, .. } = self;
        Ok(Written { upload, scope, object, size_bytes })
    }
}

/// An object that is whole.
struct Written {
    upload: Upload,
    scope: Scope,
    object: Uuid,
    size_bytes: u64,
}

/// Makes a body that was written whole the file.
///
/// # Errors
/// [`BlobError`]; the file stands as it was then.
pub async fn put(
    engine: &Engine,
    writing: Writing,
    content_type: &str,
    condition: &Condition,
) -> Result<File, BlobError> {
    let written = writing.finish(engine).await?;
    let done = async {
        let Written { upload, scope, object, size_bytes } = &written;
        let tx = locked(engine, scope, upload).await?;
        has_space(&tx, engine, scope, *size_bytes).await?;
        files::set_size(&tx, scope, upload.device, *object, *size_bytes).await?;
        replace(tx, engine, upload, New { objects: &[*object], size_bytes: *size_bytes, content_type, condition }).await
    };
    let done = done.await;
    if done.is_err() {
        discard(engine, &written.scope, &written.upload, written.object).await;
    }
    done
}

/// Makes a body that was written whole a block of its upload.
///
/// # Errors
/// [`BlobError`].
pub async fn stage(engine: &Engine, writing: Writing, id: BlockId) -> Result<(), BlobError> {
    let written = writing.finish(engine).await?;
    let done = async {
        let Written { upload, scope, object, size_bytes } = &written;
        let tx = locked(engine, scope, upload).await?;
        let (blocks, bytes) = files::staged(&tx, scope, upload.device, upload.id).await?;
        if blocks >= MAX_BLOCKS as u64 {
            return Err(BlobError::TooManyBlocks);
        }
        let limit = engine.files().max_file_bytes;
        if bytes + size_bytes > limit {
            return Err(BlobError::TooLarge { limit });
        }
        has_space(&tx, engine, scope, *size_bytes).await?;
        let block = Block { object: *object, id, size_bytes: *size_bytes, committed: false };
        files::stage(&tx, scope, upload, &block, engine.clock().now()).await?;
        Ok(tx.commit().await?)
    };
    let done: Result<(), BlobError> = done.await;
    if done.is_err() {
        discard(engine, &written.scope, &written.upload, written.object).await;
    }
    done
}

/// Makes the blocks of this list the file.
///
/// # Errors
/// [`BlobError`]; the file stands as it was then.
pub async fn commit(
    engine: &Engine,
    upload: &Upload,
    list: &[(BlockPlace, BlockId)],
    content_type: &str,
    condition: &Condition,
) -> Result<File, BlobError> {
    if list.len() > MAX_BLOCKS {
        return Err(BlobError::TooManyBlocks);
    }
    let scope = upload.scope();
    let tx = locked(engine, &scope, upload).await?;
    let blocks = files::blocks(&tx, &scope, upload).await?;
    let chosen = chosen(&blocks, list).ok_or(BlobError::BlockList)?;
    let size_bytes = chosen.iter().map(|block| block.size_bytes).sum();
    let limit = engine.files().max_file_bytes;
    if size_bytes > limit {
        return Err(BlobError::TooLarge { limit });
    }
    let objects: Vec<Uuid> = chosen.iter().map(|block| block.object).collect();
    replace(tx, engine, upload, New { objects: &objects, size_bytes, content_type, condition }).await
}

/// The blocks that the list names, in its order; `None` where one is not there or named twice.
fn chosen<'a>(blocks: &'a [Block], list: &[(BlockPlace, BlockId)]) -> Option<Vec<&'a Block>> {
    let of = |committed| -> HashMap<&BlockId, &Block> {
        blocks.iter().filter(|block| block.committed == committed).map(|block| (&block.id, block)).collect()
    };
    let (staged, standing) = (of(false), of(true));
    let mut used = HashSet::new();
    let find = |(place, id): &(BlockPlace, BlockId)| {
        let found = match place {
            BlockPlace::Latest => staged.get(id).or_else(|| standing.get(id)),
            BlockPlace::Uncommitted => staged.get(id),
            BlockPlace::Committed => standing.get(id),
        };
        found.copied().filter(|block| used.insert(block.object))
    };
    list.iter().map(find).collect()
}

/// A file's next bytes.
struct New<'a> {
    objects: &'a [Uuid],
    size_bytes: u64,
    content_type: &'a str,
    condition: &'a Condition,
}

async fn replace(tx: Tx, engine: &Engine, upload: &Upload, new: New<'_>) -> Result<File, BlobError> {
    let scope = upload.scope();
    let standing = files::find(&tx, &scope, upload.device, &upload.name).await?;
    new.condition.check(standing.as_ref())?;
    let now = engine.clock().now();
    let file = File {
        name: upload.name.clone(),
        id: Uuid::new_v4(),
        size_bytes: new.size_bytes,
        content_type: new.content_type.chars().filter(|c| !c.is_control()).take(MAX_TYPE_CHARS).collect(),
        created_at: standing.map_or(now, |file| file.created_at),
        modified_at: now,
    };
    files::put(&tx, &scope, upload, &file, new.objects).await?;
    tx.commit().await?;
    Ok(file)
}

/// A transaction in which nobody else changes the device's files, if the grant still lasts.
async fn locked(engine: &Engine, scope: &Scope, upload: &Upload) -> Result<Tx, BlobError> {
    let tx = engine.store().begin(scope).await?;
    files::lock(&tx, scope, upload.device).await?;
    match files::find_upload(&tx, scope, upload.id, engine.clock().now()).await? {
        Some(_) => Ok(tx),
        None => Err(BlobError::Unauthorized { reason: "the grant ended while the body came" }),
    }
}

async fn has_space(tx: &Tx, engine: &Engine, scope: &Scope, more: u64) -> Result<(), BlobError> {
    let used = files::usage(tx, scope).await?;
    if used.saturating_add(more) > engine.files().tenant_bytes { Err(BlobError::NoSpace) } else { Ok(()) }
}

/// Dooms an object that is not used; where that fails it is doomed by its own time.
async fn discard(engine: &Engine, scope: &Scope, upload: &Upload, object: Uuid) {
    let doom = async {
        let tx = engine.store().begin(scope).await?;
        files::doom(&tx, scope, upload.device, object, engine.clock().now()).await?;
        tx.commit().await
    };
    if let Err(error) = doom.await {
        tracing::debug!(%error, "an object of a failed upload waits for its time");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(number: u128, id: &str, committed: bool) -> Block {
        Block { object: Uuid::from_u128(number), id: id_of(id), size_bytes: 1, committed }
    }

    fn id_of(text: &str) -> BlockId {
        BlockId::parse(text).expect("a block id")
    }

    #[test]
    fn a_list_finds_its_blocks() {
        use BlockPlace::{Committed, Latest, Uncommitted};
        let blocks = [block(1, "AAAA", false), block(2, "AAAA", true), block(3, "BBBB", true), block(4, "CCCC", false)];
        let find = |list: &[(BlockPlace, &str)]| {
            let list: Vec<_> = list.iter().map(|(place, id)| (*place, id_of(id))).collect();
            chosen(&blocks, &list).map(|found| found.iter().map(|block| block.object.as_u128()).collect::<Vec<_>>())
        };
        assert_eq!(find(&[]), Some(vec![]));
        assert_eq!(find(&[(Latest, "BBBB"), (Latest, "AAAA"), (Committed, "AAAA")]), Some(vec![3, 1, 2]));
        assert_eq!(find(&[(Uncommitted, "CCCC")]), Some(vec![4]));
        assert_eq!(find(&[(Uncommitted, "BBBB")]), None);
        assert_eq!(find(&[(Committed, "CCCC")]), None);
        assert_eq!(find(&[(Latest, "CCCC"), (Uncommitted, "CCCC")]), None, "twice");
        assert_eq!(find(&[(Latest, "DDDD")]), None);
    }
}
