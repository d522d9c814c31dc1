//! The list of rules.

use leptos::prelude::*;
use leptos::task::spawn_local;
use muster_contract::rule::{Action, Rule, RulePatch};
use muster_contract::template::DeviceTemplate;
use muster_model::{Permission, TemplateId};
use std::collections::BTreeMap;

use super::shell::set_title;
use crate::api::{Api, ApiError, use_api};
use crate::components::fields::Switch;
use crate::components::icon::{Icon, icon};
use crate::components::pill::severity_pill;
use crate::components::states::{Blank, Skeleton, loaded};
use crate::components::toast::use_toasts;
use crate::format;
use crate::load::Loader;
use crate::session::use_rights;

type Names = BTreeMap<TemplateId, String>;

/// The list of rules.
#[component]
pub fn RulesPage() -> impl IntoView {
    set_title("Rules");
    let api = use_api();
    let may_manage = use_rights().may(Permission::RulesManage);
    let rules = Loader::new(move || load(api));
    let new = move || {
        may_manage.then(|| {
            view! {
                <a class="button" data-kind="primary" href=api.page("rules/new")>
                    {icon(Icon::Plus)}
                    "New rule"
                </a>
            }
        })
    };
    view! {
        <div class="page-head">
            <h2>"All rules"</h2>
            {move || rules.value().map(|(all, _)| view! { <span class="count">{all.len()}</span> })}
            <span class="grow"></span>
            {new()}
        </div>
        {loaded(
            rules,
            Skeleton::Rows,
            move |(all, names)| {
                if all.is_empty() {
                    return view! {
                        <div class="card">
                            <Blank
                                mark=Icon::Rule
                                title="No rules yet"
                                text="A rule is a sentence: when Temperature is above 30 °C, open an alert and e-mail the team."
                            >
                                {new()}
                            </Blank>
                        </div>
                    }
                        .into_any();
                }
                let rows = all.into_iter().map(|rule| view! { <Row name=name_of(&names, &rule) rule rules may_manage /> });
                view! {
                    <div class="card table-card">
                        <table class="table">
                            <thead>
                                <tr>
                                    <th scope="col">"Rule"</th>
                                    <th scope="col">"Severity"</th>
                                    <th scope="col">"Actions"</th>
                                    <th scope="col" class="end">"Enabled"</th>
                                </tr>
                            </thead>
                            <tbody>{rows.collect_view()}</tbody>
                        </table>
                    </div>
                }
                    .into_any()
            },
        )}
    }
}

async fn load(api: Api) -> Result<(Vec<Rule>, Names), ApiError> {
    let rules = api.get_all::<Rule>(&api.urls().rules(), 1_000).await?;
    let templates = api.get_all::<DeviceTemplate>(&api.urls().templates(), 1_000).await?;
    Ok((rules, templates.into_iter().map(|template| (template.id, template.display_name)).collect()))
}

fn name_of(names: &Names, rule: &Rule) -> String {
    names.get(&rule.template).cloned().unwrap_or_else(|| rule.template.to_string())
}

#[component]
fn Row(rule: Rule, name: String, rules: Loader<(Vec<Rule>, Names)>, may_manage: bool) -> impl IntoView {
    let api = use_api();
    let toasts = use_toasts();
    let busy = RwSignal::new(false);
    let enabled = RwSignal::new(rule.enabled);
    let id = rule.id;
    let change = Callback::new(move |on: bool| {
        busy.set(true);
        enabled.set(on);
        spawn_local(async move {
            let patch = RulePatch { enabled: Some(on), ..RulePatch::default() };
            match api.patch::<Rule>(&api.urls().rule(id), &patch).await {
                Ok(rule) => {
                    toasts.done(format!("{} is {}", rule.display_name, if rule.enabled { "on" } else { "off" }))
                }
                Err(error) => {
                    toasts.failed(&error);
                    enabled.try_set(!on);
                    rules.reload();
                }
            }
            busy.try_set(false);
        });
    });
    view! {
        <tr>
            <td>
                <div class="cell-main">
                    <div>
                        <a href=api.page(&format!("rules/{id}"))>{rule.display_name.clone()}</a>
                        <div class="soft small">{format!("When {} · {name}", rule.sentence)}</div>
                    </div>
                </div>
            </td>
            <td data-label="Severity">{severity_pill(rule.severity)}</td>
            <td data-label="Actions" class="soft">{action_words(&rule.actions)}</td>
            <td data-label="Enabled" class="end">
                <Switch
                    label=format!("{} is enabled", rule.display_name)
                    hide_label=true
                    on=enabled
                    change
                    disabled=Signal::derive(move || busy.get() || !may_manage)
                />
            </td>
        </tr>
    }
}

fn action_words(actions: &[Action]) -> String {
    let emails = actions.iter().filter(|action| matches!(action, Action::Email { .. })).count();
    let webhooks = actions.len() - emails;
    let parts = [(emails, "e-mail", "e-mails"), (webhooks, "webhook", "webhooks")];
    let parts = parts.into_iter().filter(|(count, ..)| *count > 0);
    let parts: Vec<String> = parts.map(|(count, one, many)| format::counted(count, one, many)).collect();
    if parts.is_empty() { "Alert only".to_owned() } else { parts.join(", ") }
}
