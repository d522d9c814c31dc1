//! `/rules` (ours)

use super::templates::find_template;
use crate::{
    app::Api,
    error::ApiError,
    extract::{Authenticated, IfMatchHeader, Object, Paged},
};
use actix_web::{
    HttpResponse,
    web::{self, Data, Json, Path, ServiceConfig},
};
use muster_contract::{
    error::ErrorBody,
    page::Page,
    rule::{Rule, RuleInput, RulePatch},
};
use muster_engine::{rules as engine, templates::load};
use muster_model::{
    Caller, Permission, RuleId, TemplateId,
    rule::{self as model, sentence},
    template::Template,
};
use muster_store::{MAX_PAGE, Paging, Tx, rules, templates};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::{HashMap, HashSet};

/// The routes of rules.
pub(crate) fn configure(service: &mut ServiceConfig) {
    let rule = web::resource("/rules/{ruleId}").get(get_rule).put(put_rule).patch(patch_rule).delete(delete_rule);
    service.service(web::resource("/rules").get(list_rules)).service(rule);
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RulePath {
    rule_id: RuleId,
}

/// The tenant's rules, in the order of their ids
#[utoipa::path(get, path = "/api/rules", tag = "rules",
    responses((status = 200, body = Page<Rule>), (status = "default", body = ErrorBody)))]
pub(crate) async fn list_rules(
    api: Data<Api>,
    caller: Authenticated,
    paged: Paged,
) -> Result<Json<Page<Rule>>, ApiError> {
    caller.require(Permission::RulesView)?;
    let tx = api.read(&caller).await?;
    let page = rules::list(&tx, &caller.scope, paged.after()?).await?;
    let templates = templates_of(&tx, &caller, &page.items).await?;
    Ok(Json(paged.page(page, |rule| rule.id, |rule| wire(templates.get(&rule.template), rule))))
}

/// The templates that rules name, for their sentences: read together, however many rules there are.
async fn templates_of(
    tx: &Tx,
    caller: &Caller,
    rules: &[model::Rule],
) -> Result<HashMap<TemplateId, Template>, ApiError> {
    let wanted: HashSet<&TemplateId> = rules.iter().map(|rule| &rule.template).collect();
    if wanted.is_empty() {
        return Ok(HashMap::new());
    }
    let stored = templates::list(tx, &caller.scope, Paging::first(MAX_PAGE)).await?.items.into_iter();
    let loaded = stored.filter(|template| wanted.contains(&template.id)).map(load);
    Ok(loaded.map(|template| template.map(|template| (template.id.clone(), template))).collect::<Result<_, _>>()?)
}

/// A rule
#[utoipa::path(get, path = "/api/rules/{ruleId}", tag = "rules",
    responses((status = 200, body = Rule), (status = "default", body = ErrorBody)))]
pub(crate) async fn get_rule(
    api: Data<Api>,
    caller: Authenticated,
    path: Path<RulePath>,
) -> Result<Json<Rule>, ApiError> {
    caller.require(Permission::RulesView)?;
    let tx = api.read(&caller).await?;
    let rule = rules::get(&tx, &caller.scope, path.rule_id).await?;
    let template = find_template(&tx, &caller, Some(&rule.template)).await?;
    Ok(Json(wire(template.as_ref(), rule)))
}

/// Create a rule, or replace the one of this id
#[utoipa::path(put, path = "/api/rules/{ruleId}", tag = "rules", request_body = RuleInput,
    responses((status = 200, body = Rule), (status = "default", body = ErrorBody)))]
pub(crate) async fn put_rule(
    api: Data<Api>,
    caller: Authenticated,
    path: Path<RulePath>,
    condition: IfMatchHeader,
    body: Json<Object<RuleInput>>,
) -> Result<Json<Rule>, ApiError> {
    let body = body.into_inner().0;
    let condition = condition.or_body(body.etag.as_deref());
    let rule = body.into_rule(path.rule_id);
    let rule = engine::put(api.engine(), &caller, rule, &condition).await?;
    answer(&api, &caller, rule).await
}

/// Change a rule by a merge patch
#[utoipa::path(patch, path = "/api/rules/{ruleId}", tag = "rules", request_body = RulePatch,
    responses((status = 200, body = Rule), (status = "default", body = ErrorBody)))]
pub(crate) async fn patch_rule(
    api: Data<Api>,
    caller: Authenticated,
    path: Path<RulePath>,
    condition: IfMatchHeader,
    body: Json<Map<String, Value>>,
) -> Result<Json<Rule>, ApiError> {
    let condition = condition.or_body(body.get("etag").and_then(Value::as_str));
    let rule = engine::patch(api.engine(), &caller, path.rule_id, &body, &condition).await?;
    answer(&api, &caller, rule).await
}

/// Delete a rule; its open alerts are cleared
#[utoipa::path(delete, path = "/api/rules/{ruleId}", tag = "rules",
    responses((status = 204, description = "deleted"), (status = "default", body = ErrorBody)))]
pub(crate) async fn delete_rule(
    api: Data<Api>,
    caller: Authenticated,
    path: Path<RulePath>,
    condition: IfMatchHeader,
) -> Result<HttpResponse, ApiError> {
    engine::delete(api.engine(), &caller, path.rule_id, &condition.or_body(None)).await?;
    Ok(HttpResponse::NoContent().finish())
}

async fn answer(api: &Api, caller: &Caller, rule: model::Rule) -> Result<Json<Rule>, ApiError> {
    let tx = api.read(caller).await?;
    let template = find_template(&tx, caller, Some(&rule.template)).await?;
    Ok(Json(wire(template.as_ref(), rule)))
}

fn wire(template: Option<&Template>, rule: model::Rule) -> Rule {
    let sentence = sentence(&rule, template);
    Rule::new(rule, sentence)
}
