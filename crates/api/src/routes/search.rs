//! `/search` (ours)

use crate::{
    app::Api,
    error::ApiError,
    extract::{Authenticated, Filters},
};
use actix_web::web::{self, Data, Json, ServiceConfig};
use muster_contract::{
    error::ErrorBody,
    page::Page,
    search::{SearchKind, SearchResult},
};
use muster_model::{Caller, Permission};
use muster_store::{
    MAX_PAGE, Paging, StoreError, Tx, dashboards,
    devices::{self, DeviceFilter},
    rules, templates,
};

/// Results of each kind; who looks for more opens the list of that kind.
const PER_KIND: usize = 8;
const MAX_CHARS: usize = 128;

/// The one route.
pub(crate) fn configure(service: &mut ServiceConfig) {
    service.service(web::resource("/search").get(search));
}

/// Everything whose name or id holds a text; at most 8 of each kind
#[utoipa::path(get, path = "/api/search", tag = "tenant",
    params(("q" = String, Query, description = "the text, in any case of its letters")),
    responses((status = 200, body = Page<SearchResult>), (status = "default", body = ErrorBody)))]
pub(crate) async fn search(
    api: Data<Api>,
    caller: Authenticated,
    filters: Filters,
) -> Result<Json<Page<SearchResult>>, ApiError> {
    let text: String = filters.text("q").unwrap_or_default().trim().chars().take(MAX_CHARS).collect();
    if text.is_empty() {
        return Ok(Json(Page::whole(Vec::new())));
    }
    let tx = api.read(&caller).await?;
    let mut found = find_devices(&tx, &caller, &text).await?;
    found.extend(find_documents(&tx, &caller, &text.to_lowercase()).await?);
    Ok(Json(Page::whole(found)))
}

async fn find_devices(tx: &Tx, caller: &Caller, text: &str) -> Result<Vec<SearchResult>, StoreError> {
    if caller.require(Permission::DevicesView).is_err() {
        return Ok(Vec::new());
    }
    let filter = DeviceFilter { search: Some(text.to_owned()), ..DeviceFilter::default() };
    let page = devices::list(tx, &caller.scope, &filter, Paging::first(PER_KIND as u32)).await?;
    Ok(page.items.into_iter().map(|device| result(SearchKind::Device, &device.id, device.display_name)).collect())
}

/// Templates, rules and dashboards are few: their first thousand are looked through here.
async fn find_documents(tx: &Tx, caller: &Caller, text: &str) -> Result<Vec<SearchResult>, StoreError> {
    let mut found = Vec::new();
    if caller.require(Permission::TemplatesView).is_ok() {
        let all = templates::list(tx, &caller.scope, Paging::first(MAX_PAGE)).await?.items.into_iter();
        let all = all.map(|template| result(SearchKind::Template, &template.id, template.display_name));
        found.extend(matching(all, text));
    }
    if caller.require(Permission::DashboardsView).is_ok() {
        let all = dashboards::list(tx, &caller.scope, Paging::first(MAX_PAGE)).await?.items.into_iter();
        let all = all.map(|dashboard| result(SearchKind::Dashboard, &dashboard.id, dashboard.display_name));
        found.extend(matching(all, text));
    }
    if caller.require(Permission::RulesView).is_ok() {
        let all = rules::list(tx, &caller.scope, Paging::first(MAX_PAGE)).await?.items.into_iter();
        let all = all.map(|rule| result(SearchKind::Rule, &rule.id, rule.display_name));
        found.extend(matching(all, text));
    }
    Ok(found)
}

fn result(kind: SearchKind, id: &impl ToString, display_name: String) -> SearchResult {
    let id = id.to_string();
    SearchResult { kind, hint: id.clone(), id, display_name }
}

fn matching(all: impl Iterator<Item = SearchResult>, text: &str) -> impl Iterator<Item = SearchResult> {
    let holds = move |name: &str| name.to_lowercase().contains(text);
    all.filter(move |result| holds(&result.display_name) || holds(&result.id)).take(PER_KIND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_ids_match_in_any_case_up_to_the_limit() {
        let all =
            |count: usize| (0..count).map(|index| result(SearchKind::Rule, &index, format!("Überhitzung {index}")));
        assert_eq!(matching(all(20), "überhitzung").count(), PER_KIND);
        assert_eq!(matching(all(20), "19").count(), 1);
        assert_eq!(matching(all(20), "none").count(), 0);
    }
}
