//! People: an account holds for the whole installation, a membership for one tenant.

use crate::{MAX_PAGE, Page, Paging, StoreError, Tx, convert};
use chrono::{DateTime, Utc};
use muster_model::{Role, Scope, SystemScope, TenantId, TenantKey, UserId};
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryResult, sea_query::Expr};

/// A person with an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The id.
    pub id: UserId,
    /// The e-mail address, lower case.
    pub email: String,
    /// The name shown to people.
    pub display_name: String,
    /// When the account was made.
    pub created_at: DateTime<Utc>,
}

/// An account with what proves it.
#[derive(Clone)]
pub struct Credentials {
    /// The person.
    pub user: User,
    /// The password as a PHC string.
    pub password_hash: String,
}

/// A person in a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The person.
    pub user: User,
    /// The role in this tenant.
    pub role: Role,
    /// Since when.
    pub added_at: DateTime<Utc>,
}

/// A tenant that a person belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// The tenant's number.
    pub tenant: TenantKey,
    /// The tenant's id.
    pub tenant_id: TenantId,
    /// The tenant's name.
    pub tenant_name: String,
    /// The role there.
    pub role: Role,
}

/// Makes an account. [`StoreError::Conflict`] where the id or the e-mail address is taken.
pub async fn insert(tx: &Tx, _: &SystemScope, new: Credentials) -> Result<(), StoreError> {
    let id = new.user.id.to_string();
    let row = row::ActiveModel {
        id: Set(id.clone()),
        email: Set(new.user.email.to_lowercase()),
        display_name: Set(new.user.display_name),
        password_hash: Set(new.password_hash),
        created_ms: Set(new.user.created_at.timestamp_millis()),
    };
    row::Entity::insert(row).exec_without_returning(&tx.db).await.map_err(StoreError::on_conflict("user", id))?;
    Ok(())
}

/// The account with this id.
pub async fn find(tx: &Tx, _: &SystemScope, id: &UserId) -> Result<Option<User>, StoreError> {
    let row = row::Entity::find_by_id(id.as_str()).one(&tx.db).await?;
    Ok(row.map(Credentials::try_from).transpose()?.map(|credentials| credentials.user))
}

/// The account with this e-mail address, in any case of its letters.
pub async fn find_by_email(tx: &Tx, _: &SystemScope, email: &str) -> Result<Option<Credentials>, StoreError> {
    let row = row::Entity::find().filter(row::Column::Email.eq(email.to_lowercase())).one(&tx.db).await?;
    row.map(Credentials::try_from).transpose()
}

/// Changes the password.
pub async fn set_password(tx: &Tx, _: &SystemScope, id: &UserId, password_hash: &str) -> Result<(), StoreError> {
    let update = row::Entity::update_many()
        .col_expr(row::Column::PasswordHash, Expr::value(password_hash))
        .filter(row::Column::Id.eq(id.as_str()));
    found(id, update.exec(&tx.db).await?.rows_affected)
}

/// The tenants a person belongs to, by tenant id; at most [`crate::MAX_PAGE`].
pub async fn memberships(tx: &Tx, _: &SystemScope, id: &UserId) -> Result<Vec<Membership>, StoreError> {
    let sql = "select tenant.key, tenant.id, tenant.name, membership.role
                 from membership join tenant on tenant.key = membership.tenant
                where membership.user_id = $1 order by tenant.id limit $2";
    let rows = tx.rows(sql, [id.as_str().into(), i64::from(MAX_PAGE).into()]).await?;
    rows.iter().map(membership).collect()
}

/// Adds a person to the tenant. [`StoreError::Conflict`] where they are in it.
pub async fn add_member(tx: &Tx, scope: &Scope, id: &UserId, role: Role, at: DateTime<Utc>) -> Result<(), StoreError> {
    let row = member::ActiveModel {
        tenant: Set(scope.tenant.0),
        user_id: Set(id.to_string()),
        role: Set(role.id()),
        added_ms: Set(at.timestamp_millis()),
    };
    member::Entity::insert(row).exec_without_returning(&tx.db).await.map_err(StoreError::on_conflict("member", id))?;
    Ok(())
}

/// The person in the tenant.
pub async fn get_member(tx: &Tx, scope: &Scope, id: &UserId) -> Result<Member, StoreError> {
    let sql = format!("{MEMBERS} and membership.user_id = $2");
    let row = tx.row(&sql, [scope.tenant.0.into(), id.as_str().into()]).await?;
    row.as_ref().map(member).transpose()?.ok_or_else(|| StoreError::not_found("user", id))
}

/// The people of the tenant in the order of their ids.
pub async fn list_members(tx: &Tx, scope: &Scope, paging: Paging<UserId>) -> Result<Page<Member>, StoreError> {
    let size = paging.size();
    let after = paging.after.map(String::from).unwrap_or_default();
    let sql = format!("{MEMBERS} and membership.user_id > $2 order by membership.user_id limit $3");
    let rows = tx.rows(&sql, [scope.tenant.0.into(), after.into(), (size as i64 + 1).into()]).await?;
    Page::from_rows(rows, size).try_map(|row| member(&row))
}

/// Changes a person's role.
pub async fn set_role(tx: &Tx, scope: &Scope, id: &UserId, role: Role) -> Result<(), StoreError> {
    let update = member::Entity::update_many()
        .col_expr(member::Column::Role, Expr::value(role.id()))
        .filter(member::Column::Tenant.eq(scope.tenant.0))
        .filter(member::Column::UserId.eq(id.as_str()));
    found(id, update.exec(&tx.db).await?.rows_affected)
}

/// Takes a person out of the tenant; the account stays.
pub async fn remove_member(tx: &Tx, scope: &Scope, id: &UserId) -> Result<(), StoreError> {
    let delete = member::Entity::delete_by_id((scope.tenant.0, id.to_string()));
    found(id, delete.exec(&tx.db).await?.rows_affected)
}

/// Members without what proves them: a tenant's transaction may not read password hashes.
const MEMBERS: &str = r#"select "user".id, "user".email, "user".display_name, "user".created_ms, membership.role, membership.added_ms
    from membership join "user" on "user".id = membership.user_id where membership.tenant = $1"#;

fn member(row: &QueryResult) -> Result<Member, StoreError> {
    Ok(Member {
        user: User {
            id: convert::id("user", row.try_get("", "id")?)?,
            email: row.try_get("", "email")?,
            display_name: row.try_get("", "display_name")?,
            created_at: convert::time(row.try_get("", "created_ms")?),
        },
        role: convert::role(row.try_get("", "role")?)?,
        added_at: convert::time(row.try_get("", "added_ms")?),
    })
}

fn membership(row: &QueryResult) -> Result<Membership, StoreError> {
    Ok(Membership {
        tenant: TenantKey(row.try_get("", "key")?),
        tenant_id: convert::id("tenant", row.try_get("", "id")?)?,
        tenant_name: row.try_get("", "name")?,
        role: convert::role(row.try_get("", "role")?)?,
    })
}

fn found(id: &UserId, rows: u64) -> Result<(), StoreError> {
    if rows == 0 { Err(StoreError::not_found("user", id)) } else { Ok(()) }
}

impl TryFrom<row::Model> for Credentials {
    type Error = StoreError;

    fn try_from(row: row::Model) -> Result<Self, StoreError> {
        let user = User {
            id: convert::id("user", row.id)?,
            email: row.email,
            display_name: row.display_name,
            created_at: convert::time(row.created_ms),
        };
        Ok(Self { user, password_hash: row.password_hash })
    }
}

mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "user")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: String,
        pub email: String,
        pub display_name: String,
        pub password_hash: String,
        pub created_ms: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

mod member {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "membership")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant: i32,
        #[sea_orm(primary_key, auto_increment = false)]
        pub user_id: String,
        pub role: Uuid,
        pub added_ms: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}
