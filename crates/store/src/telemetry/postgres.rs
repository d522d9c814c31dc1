//! Telemetry's statements on PostgreSQL.
//!
//! A reader is ONE statement: once hot rows are compacted to chunks, both are read under one snapshot, or rows would
//! be lost or doubled between two (the compactor empties a leaf by TRUNCATE).

use crate::StoreError;
use sea_orm::{QueryResult, sqlx::Row};

/// $1 = device, $2 = from, $3 = to, $4 = width of a bucket, $5 = keys, $6 = tenant.
///
/// A number stands in `vals` where the shape has its key, or in `extra` where it has none (unmodelled, or a shape too
/// many).
pub(super) const HISTORY: &str = "
with wanted as (
    select value as key, ordinality - 1 as key_no from jsonb_array_elements_text($5::jsonb) with ordinality
), place as materialized (
    select shape.key as shape, wanted.key_no, element.ordinality::int4 as index
      from shape
     cross join jsonb_array_elements_text(shape.keys) with ordinality as element(key, ordinality)
      join wanted on wanted.key = element.key
     where shape.tenant = $6
), sample as (
    select place.key_no, tel_hot.ts, tel_hot.vals[place.index] as val
      from tel_hot join place on place.shape = tel_hot.shape
     where tel_hot.device = $1 and tel_hot.ts >= $2 and tel_hot.ts < $3
    union all
    select wanted.key_no, tel_hot.ts, other.member::text::float8
      from tel_hot
     cross join wanted
     cross join lateral (values (tel_hot.extra->'v'->wanted.key), (tel_hot.extra->'u'->wanted.key)) as other(member)
     where tel_hot.device = $1 and tel_hot.ts >= $2 and tel_hot.ts < $3
       and tel_hot.extra is not null and jsonb_typeof(other.member) = 'number'
)
select key_no, (ts - $2) / $4 as bucket, count(*) as count, min(val) as min, max(val) as max, avg(val) as avg,
       min(ts) as first_ts
  from sample where val is not null group by 1, 2 order by 1, 2";

/// $1 = devices.
pub(super) const LATEST: &str = "select device, seen_ms, doc from latest
    where device in (select value::int8 from jsonb_array_elements_text($1::jsonb))";

/// $1 = `[[device, seen, {key: [ts, value]}], …]`. Joined with `device`: one deleted meanwhile gets no row. Ordered,
/// so that workers do not lock each other out.
pub(super) const FLUSH_LATEST: &str = "
insert into latest (device, seen_ms, doc)
select device.key, (entry.value->>1)::int8, entry.value->2
  from jsonb_array_elements($1::jsonb) as entry join device on device.key = (entry.value->>0)::int8
 order by device.key
on conflict (device) do update set
    seen_ms = greatest(latest.seen_ms, excluded.seen_ms), doc = latest.doc || excluded.doc";

/// $1 = tenant, $2 = shapes.
pub(super) const SHAPES: &str = "select key, keys from shape
    where tenant = $1 and key in (select value::int4 from jsonb_array_elements_text($2::jsonb))";

/// The numbers of a row.
pub(super) fn vals(row: &QueryResult) -> Result<Vec<Option<f64>>, StoreError> {
    let row = row.try_as_pg_row().ok_or_else(|| StoreError::corrupt("telemetry", "not a row of PostgreSQL"))?;
    Ok(row.try_get("vals")?)
}
