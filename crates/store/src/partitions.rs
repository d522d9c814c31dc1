//! Partitions of the ingest queue and who owns them.
//!
//! The epoch of a partition is its fence: taking it over raises the epoch, and [`crate::IngestTx`] begins only
//! under the epoch that is current.

use crate::{Store, StoreError, Tx, convert};
use muster_model::SystemScope;
use serde_json::Value as Json;

impl Store {
    /// Fixes the number of partitions at the first start, and returns the number that stands, whatever was wanted.
    pub async fn fix_partitions(&self, wanted: u16) -> Result<u16, StoreError> {
        let tx = self.begin_system(&SystemScope).await?;
        let sql = "insert into setting (name, value) values ('partitions', $1) on conflict (name) do nothing";
        tx.execute(sql, [Json::from(wanted).into()]).await?;
        let count = read(&tx).await?.ok_or_else(|| StoreError::corrupt("setting", "partitions are not set"))?;
        let numbers = convert::json_list(0..count);
        let sql = if tx.is_postgres() {
            "insert into partition (number, epoch) select value::int2, 0 from jsonb_array_elements_text($1::jsonb)
         on conflict (number) do nothing"
        } else {
            "insert into partition (number, epoch) select value, 0 from json_each($1) where true on conflict (number) do nothing"
        };
        tx.execute(sql, [numbers.into()]).await?;
        tx.commit().await?;
        Ok(count)
    }

    /// The number of partitions; `None` before the first start.
    pub async fn partitions(&self) -> Result<Option<u16>, StoreError> {
        read(&self.begin_system_read(&SystemScope).await?).await
    }

    /// Takes a partition over; the epoch returned is the right to write it until somebody else does the same.
    pub async fn claim_partition(&self, partition: u16, owner: &str) -> Result<i64, StoreError> {
        let tx = self.begin_system(&SystemScope).await?;
        let sql = "update partition set owner = $2, epoch = epoch + 1 where number = $1 returning epoch";
        let row = tx.row(sql, [i32::from(partition).into(), owner.into()]).await?;
        let row = row.ok_or_else(|| StoreError::not_found("partition", partition))?;
        let epoch = row.try_get("", "epoch")?;
        tx.commit().await?;
        Ok(epoch)
    }
}

async fn read(tx: &Tx) -> Result<Option<u16>, StoreError> {
    let Some(row) = tx.row("select value from setting where name = 'partitions'", []).await? else {
        return Ok(None);
    };
    convert::read_document("setting", row.try_get("", "value")?).map(Some)
}
