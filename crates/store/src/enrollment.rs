//! Enrollment groups: a key from which the keys of many devices are derived, or an authority that signs their
//! certificates.

use crate::{Page, Paging, StoreError, Tx, convert};
use chrono::{DateTime, Utc};
use muster_model::{EnrollmentGroupId, Scope};
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use serde_json::{Map, Value};

/// An enrollment group.
#[derive(Clone)]
pub struct EnrollmentGroup {
    /// Its id.
    pub id: EnrollmentGroupId,
    /// The name shown to people.
    pub display_name: String,
    /// May devices enroll with it?
    pub enabled: bool,
    /// What its devices are.
    pub kind: EnrollmentKind,
    /// How they prove themselves.
    pub attestation: Attestation,
    /// What else was asked for, a document of the engine's.
    pub settings: Map<String, Value>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was changed last.
    pub updated_at: DateTime<Utc>,
    /// Raised with each change; its hex is the etag.
    pub version: i64,
}

/// What the devices of a group are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EnrollmentKind {
    /// Devices.
    Iot,
    /// Edge gateways.
    IotEdge,
}

/// How devices prove themselves.
#[derive(Clone, PartialEq, Eq)]
pub enum Attestation {
    /// By these keys, or in a group by keys derived from them.
    SymmetricKey {
        /// Both keys, encrypted.
        encrypted: Vec<u8>,
    },
    /// By certificates.
    X509 {
        /// Which ones, encrypted.
        encrypted: Vec<u8>,
    },
}

impl Attestation {
    /// Its columns: the kind, and what is encrypted.
    pub(crate) fn columns(&self) -> (&'static str, &[u8]) {
        match self {
            Self::SymmetricKey { encrypted } => ("symmetricKey", encrypted),
            Self::X509 { encrypted } => ("x509", encrypted),
        }
    }

    /// What the columns hold.
    pub(crate) fn from_columns(kind: &str, encrypted: Vec<u8>) -> Result<Self, StoreError> {
        match kind {
            "symmetricKey" => Ok(Self::SymmetricKey { encrypted }),
            "x509" => Ok(Self::X509 { encrypted }),
            other => Err(StoreError::corrupt("enrollment", format!("attestation '{other}' is not known"))),
        }
    }
}

/// Makes a group. [`StoreError::Conflict`] where the id is taken.
pub async fn insert(tx: &Tx, scope: &Scope, group: &EnrollmentGroup) -> Result<(), StoreError> {
    let inserted = row::Entity::insert(model(scope, group, 1)).exec_without_returning(&tx.db).await;
    inserted.map_err(StoreError::on_conflict("enrollment group", &group.id))?;
    Ok(())
}

/// The group.
pub async fn get(tx: &Tx, scope: &Scope, id: &EnrollmentGroupId) -> Result<EnrollmentGroup, StoreError> {
    find(tx, scope, id).await?.ok_or_else(|| StoreError::not_found("enrollment group", id))
}

/// The group, if there is one.
pub async fn find(tx: &Tx, scope: &Scope, id: &EnrollmentGroupId) -> Result<Option<EnrollmentGroup>, StoreError> {
    let row = row::Entity::find_by_id((scope.tenant.0, id.to_string())).one(&tx.db).await?;
    row.map(EnrollmentGroup::try_from).transpose()
}

/// The tenant's groups in the order of their ids.
pub async fn list(
    tx: &Tx,
    scope: &Scope,
    paging: Paging<EnrollmentGroupId>,
) -> Result<Page<EnrollmentGroup>, StoreError> {
    let size = paging.size();
    let query = row::Entity::find().filter(row::Column::Tenant.eq(scope.tenant.0));
    let mut query = query.order_by_asc(row::Column::Id).limit(size + 1);
    if let Some(after) = paging.after {
        query = query.filter(row::Column::Id.gt(after.as_str()));
    }
    Page::from_rows(query.all(&tx.db).await?, size).try_map(EnrollmentGroup::try_from)
}

/// Writes name, enabled, kind, attestation and settings; returns the new version. [`StoreError::Stale`] where the stored
/// version is not `group.version`.
pub async fn update(tx: &Tx, scope: &Scope, group: &EnrollmentGroup) -> Result<i64, StoreError> {
    let update = row::Entity::update_many()
        .set(model(scope, group, group.version + 1))
        .filter(row::Column::Tenant.eq(scope.tenant.0))
        .filter(row::Column::Id.eq(group.id.as_str()))
        .filter(row::Column::Version.eq(group.version));
    if update.exec(&tx.db).await?.rows_affected == 0 {
        get(tx, scope, &group.id).await?;
        return Err(StoreError::stale("enrollment group", &group.id));
    }
    Ok(group.version + 1)
}

/// Removes a group.
pub async fn delete(tx: &Tx, scope: &Scope, id: &EnrollmentGroupId) -> Result<(), StoreError> {
    match row::Entity::delete_by_id((scope.tenant.0, id.to_string())).exec(&tx.db).await?.rows_affected {
        0 => Err(StoreError::not_found("enrollment group", id)),
        _ => Ok(()),
    }
}

fn model(scope: &Scope, group: &EnrollmentGroup, version: i64) -> row::ActiveModel {
    let kind = match group.kind {
        EnrollmentKind::Iot => "iot",
        EnrollmentKind::IotEdge => "iotEdge",
    };
    let (attestation, encrypted) = group.attestation.columns();
    row::ActiveModel {
        tenant: Set(scope.tenant.0),
        id: Set(group.id.to_string()),
        display_name: Set(group.display_name.clone()),
        enabled: Set(group.enabled),
        kind: Set(kind.to_owned()),
        attestation: Set(attestation.to_owned()),
        encrypted: Set(encrypted.to_vec()),
        settings: Set(Value::Object(group.settings.clone())),
        updated_ms: Set(Some(group.updated_at.timestamp_millis())),
        version: Set(version),
        created_ms: Set(group.created_at.timestamp_millis()),
    }
}

impl TryFrom<row::Model> for EnrollmentGroup {
    type Error = StoreError;

    fn try_from(row: row::Model) -> Result<Self, StoreError> {
        Ok(Self {
            id: convert::id("enrollment group", row.id)?,
            display_name: row.display_name,
            enabled: row.enabled,
            kind: match row.kind.as_str() {
                "iot" => EnrollmentKind::Iot,
                "iotEdge" => EnrollmentKind::IotEdge,
                other => return Err(StoreError::corrupt("enrollment group", format!("kind '{other}' is not known"))),
            },
            attestation: Attestation::from_columns(&row.attestation, row.encrypted)?,
            settings: convert::object("enrollment group", row.settings)?,
            created_at: convert::time(row.created_ms),
            updated_at: convert::time(row.updated_ms.unwrap_or(row.created_ms)),
            version: row.version,
        })
    }
}

mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "enrollment_group")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant: i32,
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: String,
        pub display_name: String,
        pub enabled: bool,
        pub kind: String,
        pub attestation: String,
        pub encrypted: Vec<u8>,
        pub settings: Json,
        pub version: i64,
        pub created_ms: i64,
        pub updated_ms: Option<i64>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}
