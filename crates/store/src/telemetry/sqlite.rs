//! Telemetry's statements on SQLite.

use crate::StoreError;
use sea_orm::QueryResult;

/// $1 = device, $2 = from, $3 = to, $4 = width of a bucket, $5 = keys, $6 = tenant.
///
/// A number stands in `vals` where the shape has its key, or in `extra` where it has none (unmodelled, or a shape too
/// many). `cross join` keeps the order: the device's rows by their index, then the few places.
pub(super) const HISTORY: &str = "
with wanted as materialized (
    select key as key_no, value as name from json_each($5)
), place as materialized (
    select shape.key as shape, wanted.key_no, '$[' || element.key || ']' as path
      from shape cross join json_each(shape.keys) as element join wanted on wanted.name = element.value
     where shape.tenant = $6
), sample as (
    select place.key_no, tel_hot.ts, json_extract(tel_hot.vals, place.path) as val
      from tel_hot cross join place
     where place.shape = tel_hot.shape and tel_hot.device = $1 and tel_hot.ts >= $2 and tel_hot.ts < $3
    union all
    select wanted.key_no, tel_hot.ts, member.value
      from tel_hot cross join json_each(tel_hot.extra, '$.v') as member cross join wanted
     where tel_hot.device = $1 and tel_hot.ts >= $2 and tel_hot.ts < $3
       and wanted.name = member.key and member.type in ('integer', 'real')
    union all
    select wanted.key_no, tel_hot.ts, member.value
      from tel_hot cross join json_each(tel_hot.extra, '$.u') as member cross join wanted
     where tel_hot.device = $1 and tel_hot.ts >= $2 and tel_hot.ts < $3
       and wanted.name = member.key and member.type in ('integer', 'real')
)
select key_no, (ts - $2) / $4 as bucket, count(*) as count, cast(min(val) as real) as min,
       cast(max(val) as real) as max, avg(val) as avg, min(ts) as first_ts
  from sample where val is not null group by 1, 2 order by 1, 2";

/// $1 = devices.
pub(super) const LATEST: &str =
    "select device, seen_ms, doc from latest where device in (select value from json_each($1))";

/// $1 = `[[device, seen, {key: [ts, value]}], …]`. Joined with `device`: one deleted meanwhile gets no row.
/// `json_patch` replaces a key's array whole and never sees a null in place of one.
pub(super) const FLUSH_LATEST: &str = "
insert into latest (device, seen_ms, doc)
select device.key, entry.value->>1, entry.value->2
  from json_each($1) as entry join device on device.key = entry.value->>0 where true
on conflict (device) do update set
    seen_ms = max(latest.seen_ms, excluded.seen_ms), doc = json_patch(latest.doc, excluded.doc)";

/// $1 = tenant, $2 = shapes.
pub(super) const SHAPES: &str =
    "select key, keys from shape where tenant = $1 and key in (select value from json_each($2))";

/// The numbers of a row. Read here and not by a JSON parser: this one gives back every bit that was stored.
pub(super) fn vals(row: &QueryResult) -> Result<Vec<Option<f64>>, StoreError> {
    let text: String = row.try_get("", "vals")?;
    let inner = text.trim_start_matches('[').trim_end_matches(']');
    if inner.is_empty() {
        return Ok(Vec::new());
    }
    let val = |text: &str| match text.trim() {
        "null" => Ok(None),
        number => number.parse().map(Some).map_err(|error| StoreError::corrupt("telemetry", error)),
    };
    inner.split(',').map(val).collect()
}
