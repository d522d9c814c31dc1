//! Files that devices upload: grants, the objects that hold bytes, the files made of them, and the notices of them.
//!
//! The bytes themselves are elsewhere. An object is written down here first and forgotten last; see the migration.

use crate::{MAX_PAGE, Page, Paging, StoreError, Tx, convert, keys};
use chrono::{DateTime, Utc};
use muster_model::{
    DeviceId, DeviceKey, FileName, Scope, SystemScope, TenantKey, UploadId,
    files::{BlockId, MAX_BLOCKS},
};
use sea_orm::QueryResult;
use uuid::Uuid;

/// An upload that a device was granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// Its id.
    pub id: UploadId,
    /// Its device.
    pub device: DeviceKey,
    /// The device's id.
    pub device_id: DeviceId,
    /// What the file will be called.
    pub name: FileName,
    /// When the grant ends.
    pub expires_at: DateTime<Utc>,
}

impl Upload {
    /// The device's tenant as a scope.
    pub fn scope(&self) -> Scope {
        Scope { tenant: keys::tenant_of(self.device) }
    }
}

/// An object that holds a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// The object.
    pub object: Uuid,
    /// What the device calls it.
    pub id: BlockId,
    /// How long it is.
    pub size_bytes: u64,
    /// Is it part of the file as it stands, and not of the upload?
    pub committed: bool,
}

/// A file of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its name.
    pub name: FileName,
    /// New with each version of its bytes.
    pub id: Uuid,
    /// How long it is.
    pub size_bytes: u64,
    /// What the device says is in it.
    pub content_type: String,
    /// When a file of this name was first there.
    pub created_at: DateTime<Utc>,
    /// When these bytes came.
    pub modified_at: DateTime<Utc>,
}

/// Bytes that nobody needs any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Doomed {
    /// Whose they are.
    pub tenant: TenantKey,
    /// The object.
    pub object: Uuid,
}

/// A finished upload that services hear of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// The device's id.
    pub device_id: String,
    /// The file.
    pub name: String,
    /// How long it is.
    pub size_bytes: u64,
    /// When its bytes came.
    pub modified_at: DateTime<Utc>,
    /// When the device said that it has finished.
    pub at: DateTime<Utc>,
}

/// Waits until nobody else changes the device's uploads and files in a transaction; they cannot until this one ends.
pub async fn lock(tx: &Tx, scope: &Scope, device: DeviceKey) -> Result<(), StoreError> {
    let lock = if tx.is_postgres() { "for no key update" } else { "" };
    let sql = format!("select key from device where key = $1 {lock}");
    let row = tx.row(&sql, [keys::in_scope(scope, device)?.into()]).await?;
    row.map(drop).ok_or_else(|| StoreError::not_found("device", device))
}

/// Grants an upload; `false` where the device has `limit` open ones already. Under [`lock`].
pub async fn insert_upload(
    tx: &Tx,
    scope: &Scope,
    upload: &Upload,
    now: DateTime<Utc>,
    limit: u32,
) -> Result<bool, StoreError> {
    let device = keys::in_scope(scope, upload.device)?;
    let sql = "select count(*) as uploads from file_upload where device = $1 and expires_ms > $2";
    let row = tx.row(sql, [device.into(), now.timestamp_millis().into()]).await?;
    let open: i64 = row.ok_or_else(|| StoreError::corrupt("upload", "no count came back"))?.try_get("", "uploads")?;
    if open >= i64::from(limit) {
        return Ok(false);
    }
    let sql = "insert into file_upload (id, device, name, created_ms, expires_ms) values ($1, $2, $3, $4, $5)";
    let values = [
        upload.id.0.into(),
        device.into(),
        upload.name.as_str().into(),
        now.timestamp_millis().into(),
        upload.expires_at.timestamp_millis().into(),
    ];
    tx.execute(sql, values).await?;
    Ok(true)
}

/// The upload, while its grant lasts and its device may connect.
pub async fn find_upload(
    tx: &Tx,
    scope: &Scope,
    id: UploadId,
    now: DateTime<Utc>,
) -> Result<Option<Upload>, StoreError> {
    let sql = "select file_upload.id, file_upload.device, device.id as device_id, file_upload.name, expires_ms
                 from file_upload join device on device.key = file_upload.device
                where file_upload.id = $1 and expires_ms > $2 and device.tenant = $3 and device.enabled";
    let row = tx.row(sql, [id.0.into(), now.timestamp_millis().into(), scope.tenant.0.into()]).await?;
    row.as_ref().map(upload).transpose()
}

/// Ends an upload of the device; its file's name. Its blocks that no list has named are doomed.
pub async fn finish_upload(
    tx: &Tx,
    scope: &Scope,
    device: DeviceKey,
    id: UploadId,
    now: DateTime<Utc>,
) -> Result<FileName, StoreError> {
    let device = keys::in_scope(scope, device)?;
    let row =
        tx.row("delete from file_upload where device = $1 and id = $2 returning name", [device.into(), id.0.into()]);
    let row = row.await?.ok_or_else(|| StoreError::not_found("upload", id))?;
    let sql = "update file_object set doomed_ms = $3, upload = null where device = $1 and upload = $2";
    tx.execute(sql, [device.into(), id.0.into(), now.timestamp_millis().into()]).await?;
    convert::id("file name", row.try_get("", "name")?)
}

/// Writes down an object that is about to be written, for a device; it is doomed unless it is used before `until`.
pub async fn insert_object(
    tx: &Tx,
    scope: &Scope,
    device: DeviceKey,
    object: Uuid,
    until: DateTime<Utc>,
) -> Result<(), StoreError> {
    let sql = "insert into file_object (id, device, size_bytes, doomed_ms) values ($1, $2, 0, $3)";
    let values = [object.into(), keys::in_scope(scope, device)?.into(), until.timestamp_millis().into()];
    tx.execute(sql, values).await.map(drop)
}

/// Bytes in all objects of the tenant.
pub async fn usage(tx: &Tx, scope: &Scope) -> Result<u64, StoreError> {
    let first = i64::from(scope.tenant.0) << 32;
    let sql = "select cast(coalesce(sum(size_bytes), 0) as bigint) as bytes from file_object
                where device >= $1 and device < $2";
    let row = tx.row(sql, [first.into(), (first + (1 << 32)).into()]).await?;
    let row = row.ok_or_else(|| StoreError::corrupt("object", "no sum came back"))?;
    Ok(row.try_get::<i64>("", "bytes")? as u64)
}

/// How many blocks an upload has, and the bytes in them.
pub async fn staged(tx: &Tx, scope: &Scope, device: DeviceKey, id: UploadId) -> Result<(u64, u64), StoreError> {
    let sql = "select count(*) as blocks, cast(coalesce(sum(size_bytes), 0) as bigint) as bytes from file_object
                where device = $1 and upload = $2";
    let row = tx.row(sql, [keys::in_scope(scope, device)?.into(), id.0.into()]).await?;
    let row = row.ok_or_else(|| StoreError::corrupt("block", "no count came back"))?;
    Ok((row.try_get::<i64>("", "blocks")? as u64, row.try_get::<i64>("", "bytes")? as u64))
}

/// Makes an object a block of the upload, in place of an earlier one of that id. Under [`lock`].
pub async fn stage(
    tx: &Tx,
    scope: &Scope,
    upload: &Upload,
    block: &Block,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let device = keys::in_scope(scope, upload.device)?;
    let sql =
        "update file_object set doomed_ms = $4, upload = null where device = $1 and upload = $2 and block_id = $3";
    let earlier = [device.into(), upload.id.0.into(), block.id.as_str().into(), now.timestamp_millis().into()];
    tx.execute(sql, earlier).await?;
    let sql = "update file_object set upload = $3, block_id = $4, size_bytes = $5 where device = $1 and id = $2";
    let values = [
        device.into(),
        block.object.into(),
        upload.id.0.into(),
        block.id.as_str().into(),
        (block.size_bytes as i64).into(),
    ];
    if tx.execute(sql, values).await? == 0 { Err(StoreError::not_found("object", block.object)) } else { Ok(()) }
}

/// The blocks of the upload and, where the file stands already, those that it was made of; at most [`MAX_BLOCKS`] of
/// each, in no order.
pub async fn blocks(tx: &Tx, scope: &Scope, upload: &Upload) -> Result<Vec<Block>, StoreError> {
    let device = keys::in_scope(scope, upload.device)?;
    let file = find(tx, scope, upload.device, &upload.name).await?.map(|file| file.id);
    let sql = "select id, block_id, size_bytes, file is not null as committed from file_object
                where device = $1 and block_id is not null and (upload = $2 or file = $3) limit $4";
    let values = [device.into(), upload.id.0.into(), file.unwrap_or_default().into(), (2 * MAX_BLOCKS as i64).into()];
    tx.rows(sql, values).await?.iter().map(block).collect()
}

/// Makes the objects, in this order, the bytes of the file, in place of those that it had; what the upload has not
/// used is doomed. Under [`lock`].
pub async fn put(tx: &Tx, scope: &Scope, upload: &Upload, file: &File, objects: &[Uuid]) -> Result<(), StoreError> {
    let device = keys::in_scope(scope, upload.device)?;
    let now = file.modified_at.timestamp_millis();
    if let Some(before) = find(tx, scope, upload.device, &file.name).await? {
        let sql = "update file_object set doomed_ms = $3, file = null where device = $1 and file = $2";
        tx.execute(sql, [device.into(), before.id.into(), now.into()]).await?;
    }
    let sql = "insert into device_file (device, name, id, size_bytes, content_type, created_ms, modified_ms)
               values ($1, $2, $3, $4, $5, $6, $6) on conflict (device, name) do update set
               id = excluded.id, size_bytes = excluded.size_bytes, content_type = excluded.content_type,
               modified_ms = excluded.modified_ms";
    let values = [
        device.into(),
        file.name.as_str().into(),
        file.id.into(),
        (file.size_bytes as i64).into(),
        file.content_type.as_str().into(),
        now.into(),
    ];
    tx.execute(sql, values).await?;
    let entries = if tx.is_postgres() {
        "select value::uuid as id, (ordinality - 1)::int4 as place
           from jsonb_array_elements_text($3::jsonb) with ordinality"
    } else {
        "select unhex(replace(value, '-', '')) as id, key as place from json_each($3)"
    };
    let sql = format!(
        "update file_object set file = $2, position = entry.place, upload = null, doomed_ms = null
           from ({entries}) as entry where file_object.id = entry.id and device = $1"
    );
    let list = convert::json_list(objects.iter().map(Uuid::to_string));
    if tx.execute(&sql, [device.into(), file.id.into(), list.into()]).await? != objects.len() as u64 {
        return Err(StoreError::not_found("object", "of the file"));
    }
    let sql = "update file_object set doomed_ms = $3, upload = null where device = $1 and upload = $2";
    tx.execute(sql, [device.into(), upload.id.0.into(), now.into()]).await.map(drop)
}

/// Says how long an object has become that is about to be used.
pub async fn set_size(
    tx: &Tx,
    scope: &Scope,
    device: DeviceKey,
    object: Uuid,
    size_bytes: u64,
) -> Result<(), StoreError> {
    let sql = "update file_object set size_bytes = $3 where device = $1 and id = $2";
    let values = [keys::in_scope(scope, device)?.into(), object.into(), (size_bytes as i64).into()];
    if tx.execute(sql, values).await? == 0 { Err(StoreError::not_found("object", object)) } else { Ok(()) }
}

/// Dooms an object that is not used after all.
pub async fn doom(
    tx: &Tx,
    scope: &Scope,
    device: DeviceKey,
    object: Uuid,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let sql = "update file_object set doomed_ms = $3 where device = $1 and id = $2 and file is null";
    let values = [keys::in_scope(scope, device)?.into(), object.into(), now.timestamp_millis().into()];
    tx.execute(sql, values).await.map(drop)
}

/// The file of this name, if there is one.
pub async fn find(tx: &Tx, scope: &Scope, device: DeviceKey, name: &FileName) -> Result<Option<File>, StoreError> {
    let sql = format!("{FILES} and name = $2");
    let row = tx.row(&sql, [keys::in_scope(scope, device)?.into(), name.as_str().into()]).await?;
    row.as_ref().map(file).transpose()
}

/// The file of this name.
pub async fn get(tx: &Tx, scope: &Scope, device: DeviceKey, name: &FileName) -> Result<File, StoreError> {
    find(tx, scope, device, name).await?.ok_or_else(|| StoreError::not_found("file", name))
}

/// The device's files in the order of their names.
pub async fn list(
    tx: &Tx,
    scope: &Scope,
    device: DeviceKey,
    paging: Paging<FileName>,
) -> Result<Page<File>, StoreError> {
    let size = paging.size();
    let after = paging.after.map(String::from).unwrap_or_default();
    let sql = format!("{FILES} and name > $2 order by name limit $3");
    let values = [keys::in_scope(scope, device)?.into(), after.into(), (size as i64 + 1).into()];
    Page::from_rows(tx.rows(&sql, values).await?, size).try_map(|row| file(&row))
}

/// The objects that a file is made of, with their lengths, in order.
pub async fn parts(tx: &Tx, scope: &Scope, device: DeviceKey, id: Uuid) -> Result<Vec<(Uuid, u64)>, StoreError> {
    let sql = "select id, size_bytes from file_object where device = $1 and file = $2 order by position limit $3";
    let values = [keys::in_scope(scope, device)?.into(), id.into(), (MAX_BLOCKS as i64).into()];
    let part = |row: &QueryResult| Ok((row.try_get("", "id")?, row.try_get::<i64>("", "size_bytes")? as u64));
    tx.rows(sql, values).await?.iter().map(part).collect()
}

/// Removes a file; its bytes are doomed.
pub async fn delete(
    tx: &Tx,
    scope: &Scope,
    device: DeviceKey,
    name: &FileName,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let device = keys::in_scope(scope, device)?;
    let sql = "delete from device_file where device = $1 and name = $2 returning id";
    let row = tx.row(sql, [device.into(), name.as_str().into()]).await?;
    let row = row.ok_or_else(|| StoreError::not_found("file", name))?;
    let sql = "update file_object set doomed_ms = $3, file = null where device = $1 and file = $2";
    let values = [device.into(), row.try_get::<Uuid>("", "id")?.into(), now.timestamp_millis().into()];
    tx.execute(sql, values).await.map(drop)
}

/// Dooms every byte of a device that is about to be deleted.
pub(crate) async fn doom_all(tx: &Tx, device: DeviceKey, now: DateTime<Utc>) -> Result<(), StoreError> {
    let sql = "update file_object set doomed_ms = $2, file = null, upload = null where device = $1";
    tx.execute(sql, [device.0.into(), now.timestamp_millis().into()]).await.map(drop)
}

/// Objects of all tenants that nobody needs any more, at most [`MAX_PAGE`].
pub async fn doomed(tx: &Tx, _: &SystemScope, now: DateTime<Utc>) -> Result<Vec<Doomed>, StoreError> {
    let sql = "select id, device from file_object where doomed_ms <= $1 order by doomed_ms limit $2";
    let rows = tx.rows(sql, [now.timestamp_millis().into(), i64::from(MAX_PAGE).into()]).await?;
    let doomed = |row: &QueryResult| {
        let device = DeviceKey(row.try_get("", "device")?);
        Ok(Doomed { tenant: keys::tenant_of(device), object: row.try_get("", "id")? })
    };
    rows.iter().map(doomed).collect()
}

/// Forgets objects whose bytes are gone.
pub async fn forget(tx: &Tx, _: &SystemScope, objects: &[Uuid], now: DateTime<Utc>) -> Result<(), StoreError> {
    let list = if tx.is_postgres() {
        "select value::uuid from jsonb_array_elements_text($1::jsonb)"
    } else {
        "select unhex(replace(value, '-', '')) from json_each($1)"
    };
    let sql = format!("delete from file_object where id in ({list}) and doomed_ms <= $2");
    let objects = convert::json_list(objects.iter().map(Uuid::to_string));
    tx.execute(&sql, [objects.into(), now.timestamp_millis().into()]).await.map(drop)
}

/// Removes uploads of all tenants whose grants have ended, at most [`MAX_PAGE`]; how many.
pub async fn purge_uploads(tx: &Tx, _: &SystemScope, now: DateTime<Utc>) -> Result<u64, StoreError> {
    let sql = "delete from file_upload where id in
                (select id from file_upload where expires_ms <= $1 order by expires_ms limit $2)";
    tx.execute(sql, [now.timestamp_millis().into(), i64::from(MAX_PAGE).into()]).await
}

/// Lets services hear of a finished upload.
pub async fn insert_notice(tx: &Tx, scope: &Scope, notice: &Notice) -> Result<(), StoreError> {
    let sql = "insert into file_notice (tenant, id, device_id, name, size_bytes, modified_ms, at_ms)
               values ($1, $2, $3, $4, $5, $6, $7)";
    let values = [
        scope.tenant.0.into(),
        Uuid::now_v7().into(),
        notice.device_id.as_str().into(),
        notice.name.as_str().into(),
        (notice.size_bytes as i64).into(),
        notice.modified_at.timestamp_millis().into(),
        notice.at.timestamp_millis().into(),
    ];
    tx.execute(sql, values).await.map(drop)
}

/// Takes the oldest notice that nobody has taken: it is the taker's until `until`, by `token`.
pub async fn lock_notice(
    tx: &Tx,
    scope: &Scope,
    token: Uuid,
    (now, until): (DateTime<Utc>, DateTime<Utc>),
) -> Result<Option<Notice>, StoreError> {
    let skip = if tx.is_postgres() { "for update skip locked" } else { "" };
    let sql = format!(
        "update file_notice set lock_token = $2, locked_until_ms = $4 where tenant = $1 and id =
            (select id from file_notice where tenant = $1 and (locked_until_ms is null or locked_until_ms <= $3)
              order by id limit 1 {skip})
         returning device_id, name, size_bytes, modified_ms, at_ms"
    );
    let values = [scope.tenant.0.into(), token.into(), now.timestamp_millis().into(), until.timestamp_millis().into()];
    tx.row(&sql, values).await?.as_ref().map(notice).transpose()
}

/// Removes the notice that was taken with this token and is still its taker's; how many.
pub async fn delete_notice(tx: &Tx, scope: &Scope, token: Uuid, now: DateTime<Utc>) -> Result<u64, StoreError> {
    let sql = "delete from file_notice where tenant = $1 and lock_token = $2 and locked_until_ms > $3";
    tx.execute(sql, [scope.tenant.0.into(), token.into(), now.timestamp_millis().into()]).await
}

/// Gives the notice back that was taken with this token; how many.
pub async fn unlock_notice(tx: &Tx, scope: &Scope, token: Uuid, now: DateTime<Utc>) -> Result<u64, StoreError> {
    let sql = "update file_notice set lock_token = null, locked_until_ms = null
                where tenant = $1 and lock_token = $2 and locked_until_ms > $3";
    tx.execute(sql, [scope.tenant.0.into(), token.into(), now.timestamp_millis().into()]).await
}

/// Removes notices from before `before` that nobody wanted, at most [`MAX_PAGE`]; how many.
pub async fn purge_notices(tx: &Tx, _: &SystemScope, before: DateTime<Utc>) -> Result<u64, StoreError> {
    let sql = "delete from file_notice where (tenant, id) in
                (select tenant, id from file_notice where at_ms < $1 order by at_ms limit $2)";
    tx.execute(sql, [before.timestamp_millis().into(), i64::from(MAX_PAGE).into()]).await
}

const FILES: &str =
    "select name, id, size_bytes, content_type, created_ms, modified_ms from device_file where device = $1";

fn upload(row: &QueryResult) -> Result<Upload, StoreError> {
    Ok(Upload {
        id: UploadId(row.try_get("", "id")?),
        device: DeviceKey(row.try_get("", "device")?),
        device_id: convert::id("device id", row.try_get("", "device_id")?)?,
        name: convert::id("file name", row.try_get("", "name")?)?,
        expires_at: convert::time(row.try_get("", "expires_ms")?),
    })
}

fn block(row: &QueryResult) -> Result<Block, StoreError> {
    let id: String = row.try_get("", "block_id")?;
    Ok(Block {
        object: row.try_get("", "id")?,
        id: BlockId::parse(&id).ok_or_else(|| StoreError::corrupt("block", &id))?,
        size_bytes: row.try_get::<i64>("", "size_bytes")? as u64,
        committed: row.try_get("", "committed")?,
    })
}

fn file(row: &QueryResult) -> Result<File, StoreError> {
    Ok(File {
        name: convert::id("file name", row.try_get("", "name")?)?,
        id: row.try_get("", "id")?,
        size_bytes: row.try_get::<i64>("", "size_bytes")? as u64,
        content_type: row.try_get("", "content_type")?,
        created_at: convert::time(row.try_get("", "created_ms")?),
        modified_at: convert::time(row.try_get("", "modified_ms")?),
    })
}

fn notice(row: &QueryResult) -> Result<Notice, StoreError> {
    Ok(Notice {
        device_id: row.try_get("", "device_id")?,
        name: row.try_get("", "name")?,
        size_bytes: row.try_get::<i64>("", "size_bytes")? as u64,
        modified_at: convert::time(row.try_get("", "modified_ms")?),
        at: convert::time(row.try_get("", "at_ms")?),
    })
}
