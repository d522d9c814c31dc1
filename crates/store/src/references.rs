//! Who names a template: rules and dashboards, each written by its own aggregate, and devices by their column.

use crate::{StoreError, Tx, convert};
use muster_model::{
    Scope, TemplateId,
    template::{Reference, Referrer, ReferrerKind},
};
use std::collections::{BTreeMap, BTreeSet};

/// More paths than this are not listed; a template has fewer capabilities, and what names them all is one.
const MAX_ROWS: i64 = 10_000;

/// What uses a template.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Uses {
    /// How many devices have it.
    pub devices: i64,
    /// What names it, with the paths of the capabilities that are named.
    pub referrers: BTreeMap<Referrer, BTreeSet<String>>,
}

impl Uses {
    /// Does nothing use it?
    pub fn is_empty(&self) -> bool {
        self.devices == 0 && self.referrers.is_empty()
    }
}

/// Writes what `referrer` names in place of what it named before.
pub(crate) async fn set(
    tx: &Tx,
    scope: &Scope,
    referrer: &Referrer,
    references: &BTreeSet<Reference>,
) -> Result<(), StoreError> {
    clear(tx, scope, referrer.kind, &referrer.id).await?;
    let pairs = references.iter().map(|reference| {
        let capability = reference.capability.clone().unwrap_or_default();
        serde_json::Value::from(vec![reference.template.to_string(), capability])
    });
    let from = if tx.is_postgres() {
        "select item->>0 as template, item->>1 as capability from jsonb_array_elements($5::jsonb) as item"
    } else {
        "select value->>0 as template, value->>1 as capability from json_each($5)"
    };
    let sql = format!(
        "insert into reference (tenant, kind, id, name, template, capability)
         select $1, $2, $3, $4, named.template, named.capability from ({from}) as named"
    );
    let values = [
        scope.tenant.0.into(),
        referrer.kind.name().into(),
        referrer.id.as_str().into(),
        referrer.name.as_str().into(),
        convert::json_list(pairs).into(),
    ];
    tx.execute(&sql, values).await?;
    Ok(())
}

/// Forgets what a referrer names.
pub(crate) async fn clear(tx: &Tx, scope: &Scope, kind: ReferrerKind, id: &str) -> Result<(), StoreError> {
    let sql = "delete from reference where tenant = $1 and kind = $2 and id = $3";
    tx.execute(sql, [scope.tenant.0.into(), kind.name().into(), id.into()]).await?;
    Ok(())
}

/// Everything that uses a template.
pub async fn of_template(tx: &Tx, scope: &Scope, template: &TemplateId) -> Result<Uses, StoreError> {
    let sql = "select 'device' as kind, '' as id, '' as name, '' as capability, count(*) as devices
                 from device where tenant = $1 and template = $2 and parent is null
               union all
               select * from (select kind, id, name, capability, 0 as devices
                                from reference where tenant = $1 and template = $2 limit $3) as named";
    let values = [scope.tenant.0.into(), template.as_str().into(), MAX_ROWS.into()];
    let mut uses = Uses::default();
    for row in tx.rows(sql, values).await? {
        let kind: String = row.try_get("", "kind")?;
        let Some(kind) = ReferrerKind::ALL.into_iter().find(|known| known.name() == kind) else {
            uses.devices += row.try_get::<i64>("", "devices")?;
            continue;
        };
        let referrer = Referrer { kind, id: row.try_get("", "id")?, name: row.try_get("", "name")? };
        let paths = uses.referrers.entry(referrer).or_default();
        let path: String = row.try_get("", "capability")?;
        if !path.is_empty() {
            paths.insert(path);
        }
    }
    Ok(uses)
}
