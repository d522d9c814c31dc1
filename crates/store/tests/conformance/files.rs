//! Uploads, their blocks, and the files made of them.

use crate::harness::{Db, at, id};
use muster_model::{FileName, SystemScope, UploadId, device::Device, files::BlockId};
use muster_store::{
    Paging, StoreError, devices,
    files::{self, Block, Doomed, File, Notice, Upload},
};
use uuid::Uuid;

crate::on_both!(
    uploads_are_open_up_to_a_limit_and_their_time,
    blocks_become_a_file_and_the_rest_is_doomed,
    a_file_is_replaced_listed_and_deleted,
    the_bytes_of_a_deleted_device_are_doomed,
    notices_are_received_once_unless_given_back,
);

fn upload(device: &Device, number: u128, name: &str) -> Upload {
    Upload {
        id: UploadId(Uuid::from_u128(number)),
        device: device.key,
        device_id: device.id.clone(),
        name: id(name),
        expires_at: at(100),
    }
}

fn block(number: u128, id: &str, size_bytes: u64) -> Block {
    let id = BlockId::parse(id).expect("a block id");
    Block { object: Uuid::from_u128(number), id, size_bytes, committed: false }
}

fn file(upload: &Upload, number: u128, size_bytes: u64, modified: i64) -> File {
    File {
        name: upload.name.clone(),
        id: Uuid::from_u128(number),
        size_bytes,
        content_type: "text/plain".into(),
        created_at: at(modified),
        modified_at: at(modified),
    }
}

async fn open(db: &Db, upload: &Upload) -> bool {
    let tx = db.store.begin(&db.scope).await.expect("begins");
    files::lock(&tx, &db.scope, upload.device).await.expect("locks");
    let inserted = files::insert_upload(&tx, &db.scope, upload, at(0), 2).await.expect("inserts");
    tx.commit().await.expect("commits");
    inserted
}

async fn stage(db: &Db, upload: &Upload, block: &Block) {
    let tx = db.store.begin(&db.scope).await.expect("begins");
    files::insert_object(&tx, &db.scope, upload.device, block.object, at(200)).await.expect("inserts");
    files::stage(&tx, &db.scope, upload, block, at(1)).await.expect("stages");
    tx.commit().await.expect("commits");
}

async fn put(db: &Db, upload: &Upload, file: &File, objects: &[u128]) -> Result<(), StoreError> {
    let objects: Vec<Uuid> = objects.iter().copied().map(Uuid::from_u128).collect();
    let tx = db.store.begin(&db.scope).await.expect("begins");
    files::put(&tx, &db.scope, upload, file, &objects).await?;
    tx.commit().await
}

async fn doomed(db: &Db, now: i64) -> Vec<u128> {
    let tx = db.store.begin_system(&SystemScope).await.expect("begins");
    let found = files::doomed(&tx, &SystemScope, at(now)).await.expect("lists");
    assert!(found.iter().all(|Doomed { tenant, .. }| *tenant == db.scope.tenant));
    let mut found: Vec<u128> = found.iter().map(|one| one.object.as_u128()).collect();
    found.sort_unstable();
    found
}

async fn uploads_are_open_up_to_a_limit_and_their_time(db: Db) {
    let device = db.device("pump-1").await;
    let first = upload(&device, 1, "a/b.txt");
    assert!(open(&db, &first).await && open(&db, &upload(&device, 2, "b")).await);
    assert!(!open(&db, &upload(&device, 3, "c")).await, "two are open");
    let tx = db.store.begin(&db.scope).await.expect("begins");
    let find = async |id, now| files::find_upload(&tx, &db.scope, id, at(now)).await.expect("runs");
    assert_eq!(find(first.id, 99).await.as_ref(), Some(&first));
    assert_eq!(find(first.id, 100).await, None, "at its time it is over");
    assert_eq!(find(UploadId(Uuid::nil()), 1).await, None);
    let late = upload(&device, 4, "d");
    assert!(files::insert_upload(&tx, &db.scope, &late, at(100), 2).await.expect("inserts"), "the others are over");
    let name = files::finish_upload(&tx, &db.scope, device.key, first.id, at(5)).await.expect("finishes");
    assert_eq!(name, first.name);
    let twice = files::finish_upload(&tx, &db.scope, device.key, first.id, at(5)).await;
    assert!(matches!(twice, Err(StoreError::NotFound { .. })));
    tx.commit().await.expect("commits");

    let mut blocked = device.clone();
    blocked.enabled = false;
    let tx = db.store.begin(&db.scope).await.expect("begins");
    devices::update(&tx, &db.scope, &blocked).await.expect("updates");
    let second = UploadId(Uuid::from_u128(2));
    assert_eq!(files::find_upload(&tx, &db.scope, second, at(1)).await.expect("runs"), None, "it is blocked");
    tx.commit().await.expect("commits");
    let tx = db.store.begin_system(&SystemScope).await.expect("begins");
    assert_eq!(files::purge_uploads(&tx, &SystemScope, at(99)).await.expect("purges"), 0);
    assert_eq!(files::purge_uploads(&tx, &SystemScope, at(100)).await.expect("purges"), 2);
}

async fn blocks_become_a_file_and_the_rest_is_doomed(db: Db) {
    let device = db.device("pump-1").await;
    let first = upload(&device, 1, "log.txt");
    open(&db, &first).await;
    for (number, id, size) in [(10, "AAAA", 5), (11, "BBBB", 7), (12, "CCCC", 9), (13, "AAAA", 6)] {
        stage(&db, &first, &block(number, id, size)).await;
    }
    let tx = db.store.begin(&db.scope).await.expect("begins");
    assert_eq!(files::staged(&tx, &db.scope, device.key, first.id).await.expect("counts"), (3, 22));
    assert_eq!(files::usage(&tx, &db.scope).await.expect("sums"), 27, "what is doomed still takes space");
    let mut blocks = files::blocks(&tx, &db.scope, &first).await.expect("lists");
    blocks.sort_by_key(|block| block.object);
    assert_eq!(blocks, [block(11, "BBBB", 7), block(12, "CCCC", 9), block(13, "AAAA", 6)]);
    drop(tx);
    assert_eq!(doomed(&db, 1).await, [10], "its id was used again");
    let missing = put(&db, &first, &file(&first, 100, 13, 2), &[13, 99]).await;
    assert!(matches!(missing, Err(StoreError::NotFound { .. })), "{missing:?}");

    put(&db, &first, &file(&first, 100, 13, 2), &[13, 11]).await.expect("puts");
    assert_eq!(doomed(&db, 2).await, [10, 12]);
    assert_eq!(doomed(&db, 1000).await, [10, 12], "what a file is made of stays");
    let tx = db.store.begin(&db.scope).await.expect("begins");
    let parts = files::parts(&tx, &db.scope, device.key, Uuid::from_u128(100)).await.expect("lists");
    assert_eq!(parts, [(Uuid::from_u128(13), 6), (Uuid::from_u128(11), 7)]);
    let blocks = files::blocks(&tx, &db.scope, &first).await.expect("lists");
    assert!(blocks.len() == 2 && blocks.iter().all(|block| block.committed), "{blocks:?}");
    drop(tx);

    let tx = db.store.begin_system(&SystemScope).await.expect("begins");
    let gone: Vec<Uuid> = [10, 12, 13].into_iter().map(Uuid::from_u128).collect();
    files::forget(&tx, &SystemScope, &gone, at(1000)).await.expect("forgets");
    tx.commit().await.expect("commits");
    let tx = db.store.begin(&db.scope).await.expect("begins");
    assert_eq!(files::usage(&tx, &db.scope).await.expect("sums"), 13, "what is in use is not forgotten");
}

async fn a_file_is_replaced_listed_and_deleted(db: Db) {
    let device = db.device("pump-1").await;
    let (first, second) = (upload(&device, 1, "b/log.txt"), upload(&device, 2, "a.txt"));
    open(&db, &first).await;
    open(&db, &second).await;
    for (number, upload, size) in [(10, &first, 5), (11, &first, 7), (12, &second, 9)] {
        let tx = db.store.begin(&db.scope).await.expect("begins");
        let object = Uuid::from_u128(number);
        files::insert_object(&tx, &db.scope, device.key, object, at(200)).await.expect("inserts");
        files::set_size(&tx, &db.scope, device.key, object, size).await.expect("sets");
        tx.commit().await.expect("commits");
        let file = file(upload, number + 100, size, number as i64);
        put(&db, upload, &file, &[number]).await.expect("puts");
    }
    assert_eq!(doomed(&db, 50).await, [10], "it was replaced");
    let tx = db.store.begin(&db.scope).await.expect("begins");
    let page = files::list(&tx, &db.scope, device.key, Paging::first(1)).await.expect("lists");
    assert_eq!((page.items[0].name.as_str(), page.more), ("a.txt", true));
    let after = Paging::after(page.items[0].name.clone(), 1);
    let page = files::list(&tx, &db.scope, device.key, after).await.expect("lists");
    let expected = File { created_at: at(10), ..file(&first, 111, 7, 11) };
    assert_eq!((page.items.as_slice(), page.more), (&[expected][..], false));
    files::doom(&tx, &db.scope, device.key, Uuid::from_u128(11), at(20)).await.expect("runs");
    files::delete(&tx, &db.scope, device.key, &second.name, at(20)).await.expect("deletes");
    let twice = files::delete(&tx, &db.scope, device.key, &second.name, at(20)).await;
    assert!(matches!(twice, Err(StoreError::NotFound { .. })));
    tx.commit().await.expect("commits");
    assert_eq!(doomed(&db, 50).await, [10, 12], "a file in use cannot be doomed");
}

async fn the_bytes_of_a_deleted_device_are_doomed(db: Db) {
    let device = db.device("pump-1").await;
    let upload = upload(&device, 1, "a");
    open(&db, &upload).await;
    stage(&db, &upload, &block(10, "AAAA", 5)).await;
    put(&db, &upload, &file(&upload, 100, 5, 1), &[10]).await.expect("puts");
    stage(&db, &upload, &block(11, "AAAA", 5)).await;
    let tx = db.store.begin(&db.scope).await.expect("begins");
    devices::delete(&tx, &db.scope, &device.id, at(3)).await.expect("deletes");
    assert!(matches!(files::lock(&tx, &db.scope, device.key).await, Err(StoreError::NotFound { .. })));
    tx.commit().await.expect("commits");
    assert_eq!(doomed(&db, 3).await, [10, 11]);
    let again = db.device("pump-1").await;
    let tx = db.store.begin(&db.scope).await.expect("begins");
    assert_eq!(files::find(&tx, &db.scope, again.key, &id::<FileName>("a")).await.expect("runs"), None);
}

async fn notices_are_received_once_unless_given_back(db: Db) {
    let notice = |name: &str, seconds| Notice {
        device_id: "pump-1".into(),
        name: name.into(),
        size_bytes: 1 << 40,
        modified_at: at(seconds),
        at: at(seconds),
    };
    let tx = db.store.begin(&db.scope).await.expect("begins");
    for (name, seconds) in [("a", 0), ("b", 1)] {
        files::insert_notice(&tx, &db.scope, &notice(name, seconds)).await.expect("inserts");
    }
    let (first, second) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let take =
        async |token, from| files::lock_notice(&tx, &db.scope, token, (at(from), at(from + 10))).await.expect("runs");
    assert_eq!(take(first, 2).await, Some(notice("a", 0)));
    assert_eq!(take(second, 2).await, Some(notice("b", 1)));
    assert_eq!(take(Uuid::from_u128(3), 3).await, None);
    assert_eq!(files::unlock_notice(&tx, &db.scope, first, at(4)).await.expect("runs"), 1);
    assert_eq!(files::delete_notice(&tx, &db.scope, first, at(4)).await.expect("runs"), 0);
    assert_eq!(files::delete_notice(&tx, &db.scope, second, at(12)).await.expect("runs"), 0, "its time is over");
    assert_eq!(take(first, 12).await, Some(notice("a", 0)));
    assert_eq!(files::delete_notice(&tx, &db.scope, first, at(13)).await.expect("runs"), 1);
    tx.commit().await.expect("commits");
    let tx = db.store.begin_system(&SystemScope).await.expect("begins");
    assert_eq!(files::purge_notices(&tx, &SystemScope, at(1)).await.expect("runs"), 0);
    assert_eq!(files::purge_notices(&tx, &SystemScope, at(2)).await.expect("runs"), 1);
}
