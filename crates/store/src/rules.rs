//! Rules, as documents.

use crate::{MAX_PAGE, Page, Paging, StoreError, Tx, convert, references};
use chrono::{DateTime, Utc};
use muster_model::{
    RuleId, Scope, TemplateId,
    rule::Rule,
    template::{Referrer, ReferrerKind},
};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect, sea_query::Expr,
};

/// Stores a new rule at version 1. [`StoreError::Conflict`] where the id is taken.
pub async fn insert(tx: &Tx, scope: &Scope, rule: &Rule, now: DateTime<Utc>) -> Result<(), StoreError> {
    let row = row::ActiveModel {
        id: Set(rule.id.0),
        tenant: Set(scope.tenant.0),
        template: Set(rule.template.to_string()),
        enabled: Set(rule.enabled),
        document: Set(convert::write_document("rule", rule)?),
        version: Set(1),
        created_ms: Set(now.timestamp_millis()),
        updated_ms: Set(now.timestamp_millis()),
    };
    let inserted = row::Entity::insert(row).exec_without_returning(&tx.db).await;
    inserted.map_err(StoreError::on_conflict("rule", rule.id))?;
    references::set(tx, scope, &Referrer::rule(rule.id, &rule.display_name), &rule.references()).await
}

/// The rule.
pub async fn get(tx: &Tx, scope: &Scope, id: RuleId) -> Result<Rule, StoreError> {
    let row = row::Entity::find_by_id(id.0).filter(row::Column::Tenant.eq(scope.tenant.0)).one(&tx.db).await?;
    rule(row.ok_or_else(|| StoreError::not_found("rule", id))?)
}

/// The tenant's rules in the order of their ids.
pub async fn list(tx: &Tx, scope: &Scope, paging: Paging<RuleId>) -> Result<Page<Rule>, StoreError> {
    let size = paging.size();
    let query = row::Entity::find().filter(row::Column::Tenant.eq(scope.tenant.0));
    let mut query = query.order_by_asc(row::Column::Id).limit(size + 1);
    if let Some(after) = paging.after {
        query = query.filter(row::Column::Id.gt(after.0));
    }
    Page::from_rows(query.all(&tx.db).await?, size).try_map(rule)
}

/// The enabled rules of a template; at most [`crate::MAX_PAGE`].
pub async fn list_enabled(tx: &Tx, scope: &Scope, template: &TemplateId) -> Result<Vec<Rule>, StoreError> {
    let query = row::Entity::find()
        .filter(row::Column::Tenant.eq(scope.tenant.0))
        .filter(row::Column::Template.eq(template.as_str()))
        .filter(row::Column::Enabled.eq(true))
        .order_by_asc(row::Column::Id)
        .limit(u64::from(MAX_PAGE));
    query.all(&tx.db).await?.into_iter().map(rule).collect()
}

/// The enabled rules that earlier versions of a template have; at most [`crate::MAX_PAGE`].
pub async fn list_enabled_before(tx: &Tx, scope: &Scope, template: &TemplateId) -> Result<Vec<Rule>, StoreError> {
    let family = template.family();
    // Every other version is `family;n`, or the family itself.
    let query = row::Entity::find()
        .filter(row::Column::Tenant.eq(scope.tenant.0))
        .filter(
            Condition::any().add(row::Column::Template.eq(family)).add(
                Condition::all()
                    .add(row::Column::Template.gt(format!("{family};")))
                    .add(row::Column::Template.lt(format!("{family}<"))),
            ),
        )
        .filter(row::Column::Enabled.eq(true))
        .order_by_asc(row::Column::Id)
        .limit(u64::from(MAX_PAGE));
    let rules: Vec<Rule> = query.all(&tx.db).await?.into_iter().map(rule).collect::<Result<_, _>>()?;
    Ok(rules.into_iter().filter(|rule| rule.template.number() < template.number()).collect())
}

/// Writes the rule; returns the new version. [`StoreError::Stale`] where the stored version is not `rule.version`.
pub async fn update(tx: &Tx, scope: &Scope, rule: &Rule, now: DateTime<Utc>) -> Result<i64, StoreError> {
    let update = row::Entity::update_many()
        .col_expr(row::Column::Template, Expr::value(rule.template.as_str()))
        .col_expr(row::Column::Enabled, Expr::value(rule.enabled))
        .col_expr(row::Column::Document, Expr::value(convert::write_document("rule", rule)?))
        .col_expr(row::Column::UpdatedMs, Expr::value(now.timestamp_millis()))
        .col_expr(row::Column::Version, Expr::value(rule.version + 1))
        .filter(row::Column::Tenant.eq(scope.tenant.0))
        .filter(row::Column::Id.eq(rule.id.0))
        .filter(row::Column::Version.eq(rule.version));
    if update.exec(&tx.db).await?.rows_affected == 0 {
        get(tx, scope, rule.id).await?;
        return Err(StoreError::stale("rule", rule.id));
    }
    references::set(tx, scope, &Referrer::rule(rule.id, &rule.display_name), &rule.references()).await?;
    Ok(rule.version + 1)
}

/// Removes a rule. Its alerts stay; [`crate::alerts::clear_of_rule`] clears the open ones.
pub async fn delete(tx: &Tx, scope: &Scope, id: RuleId) -> Result<(), StoreError> {
    references::clear(tx, scope, ReferrerKind::Rule, &id.to_string()).await?;
    let delete = row::Entity::delete_by_id(id.0).filter(row::Column::Tenant.eq(scope.tenant.0));
    match delete.exec(&tx.db).await?.rows_affected {
        0 => Err(StoreError::not_found("rule", id)),
        _ => Ok(()),
    }
}

/// The rule of a row; what the columns say holds over what the document says.
fn rule(row: row::Model) -> Result<Rule, StoreError> {
    let rule: Rule = convert::read_document("rule", row.document)?;
    Ok(Rule { id: RuleId(row.id), version: row.version, ..rule })
}

mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "rule")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub tenant: i32,
        pub template: String,
        pub enabled: bool,
        pub document: Json,
        pub version: i64,
        pub created_ms: i64,
        pub updated_ms: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}
