//! The editor of a rule: a form that reads back as a sentence.

mod actions;

use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos_router::hooks::{use_navigate, use_params_map};
use muster_contract::rule::{Match, Rule, RuleInput, Severity};
use muster_contract::template::DeviceTemplate;
use muster_model::{Permission, RuleId};
use uuid::Uuid;

use super::shell::{set_shown, set_title};
use crate::api::{Api, ApiError, use_api};
use crate::components::conditions::{Conditions, Purpose};
use crate::components::dialog::Confirm;
use crate::components::fields::{SelectField, Switch, TextField};
use crate::components::icon::{Icon, icon};
use crate::components::states::{Blank, Skeleton, loaded};
use crate::components::toast::use_toasts;
use crate::load::Loader;
use crate::rule_draft::{Choice, Draft, DraftAction, DraftCondition, choices, operators, sentence};
use crate::session::use_rights;

const PURPOSE: Purpose = Purpose {
    title: "When",
    subject: "Telemetry",
    nothing: "This template has no telemetry that can be compared.",
    count: (1, 10),
    operators: |kind| operators(kind).to_vec(),
};

/// The editor, for a rule that exists or a new one.
#[component]
pub fn RulePage() -> impl IntoView {
    set_title("Rules");
    let api = use_api();
    let params = use_params_map();
    let address = Memo::new(move |_| params.with(|params| params.get("rule")).unwrap_or_default());
    let all = Loader::new(move || load(api, address.get()));
    loaded(all, Skeleton::Block, |(rule, templates)| {
        if templates.is_empty() {
            let page = use_api().page("templates");
            return view! {
                <div class="card">
                    <Blank mark=Icon::Layers title="A rule needs a device template" text="Import one first; then its telemetry can be compared.">
                        <a class="button" href=page>"Device templates"</a>
                    </Blank>
                </div>
            }
            .into_any();
        }
        view! { <Editor rule templates /> }.into_any()
    })
}

async fn load(api: Api, address: String) -> Result<(Option<Rule>, Vec<DeviceTemplate>), ApiError> {
    let rule = match address.as_str() {
        "new" => None,
        id => {
            let id: RuleId = id.parse().map_err(|_| ApiError::NotFound("There is no such rule.".to_owned()))?;
            Some(api.get::<Rule>(&api.urls().rule(id)).await?)
        }
    };
    let templates = api.get_all::<DeviceTemplate>(&api.urls().templates(), 1_000).await?;
    Ok((rule, templates))
}

/// The parts of the rule that is being written, each its own signal so that typing redraws little.
#[derive(Clone, Copy)]
struct Form {
    display_name: RwSignal<String>,
    enabled: RwSignal<bool>,
    template: RwSignal<String>,
    matching: RwSignal<Match>,
    conditions: RwSignal<Vec<DraftCondition>>,
    severity: RwSignal<Severity>,
    actions: RwSignal<Vec<DraftAction>>,
}

impl Form {
    fn of(draft: Draft) -> Self {
        Self {
            display_name: RwSignal::new(draft.display_name),
            enabled: RwSignal::new(draft.enabled),
            template: RwSignal::new(draft.template),
            matching: RwSignal::new(draft.matching),
            conditions: RwSignal::new(draft.conditions),
            severity: RwSignal::new(draft.severity),
            actions: RwSignal::new(draft.actions),
        }
    }

    fn draft(self) -> Draft {
        Draft {
            display_name: self.display_name.get(),
            enabled: self.enabled.get(),
            template: self.template.get(),
            matching: self.matching.get(),
            conditions: self.conditions.get(),
            severity: self.severity.get(),
            actions: self.actions.get(),
        }
    }
}

#[component]
fn Editor(rule: Option<Rule>, templates: Vec<DeviceTemplate>) -> impl IntoView {
    let api = use_api();
    let toasts = use_toasts();
    let navigate = use_navigate();
    let may_manage = use_rights().may(Permission::RulesManage);
    let name = rule.as_ref().map_or_else(|| "New rule".to_owned(), |rule| rule.display_name.clone());
    set_shown(&name);
    let id = rule.as_ref().map(|rule| rule.id);
    let etag = rule.as_ref().map(|rule| rule.etag.clone());
    let form = Form::of(match &rule {
        Some(rule) => Draft::of(&input_of(rule)),
        None => {
            Draft { template: templates.first().map(|first| first.id.to_string()).unwrap_or_default(), ..Draft::new() }
        }
    });
    let options: Vec<(String, String)> =
        templates.iter().map(|template| (template.id.to_string(), template.display_name.clone())).collect();
    let templates = StoredValue::new(templates);
    let offered = Memo::new(move |_| {
        let id = form.template.get();
        templates.with_value(|all| all.iter().find(|one| one.id.as_str() == id).map(choices).unwrap_or_default())
    });
    let draft = Memo::new(move |_| form.draft());
    let finished = Memo::new(move |_| offered.with(|offered| draft.get().finish(offered)));
    let busy = RwSignal::new(false);
    let problem = RwSignal::new(None::<ApiError>);
    let tried = RwSignal::new(false);
    let save = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        tried.set(true);
        let Ok(mut input) = finished.get_untracked() else { return };
        input.etag.clone_from(&etag);
        let target = id.unwrap_or_else(|| RuleId(Uuid::now_v7()));
        busy.set(true);
        problem.set(None);
        let navigate = navigate.clone();
        spawn_local(async move {
            match api.put::<Rule>(&api.urls().rule(target), &input).await {
                Ok(rule) => {
                    toasts.done(format!("The rule {} was saved", rule.display_name));
                    navigate(&api.page("rules"), Default::default());
                }
                Err(error) => {
                    problem.try_set(Some(error));
                    busy.try_set(false);
                }
            }
        });
    };
    let said = move || match (tried.get(), finished.get(), problem.get()) {
        (true, Err(text), _) => Some(vec![text]),
        (_, _, Some(error)) => Some(words(&error)),
        _ => None,
    };
    view! {
        <div class="page-head">
            <div class="crumbs grow">
                <a href=api.page("rules")>"Rules"</a>
                <span aria-hidden="true">"/"</span>
                <h2 class="ellipsis">{name.clone()}</h2>
            </div>
            {id.filter(|_| may_manage).map(|id| view! { <DeleteButton id name /> })}
        </div>
        <form class="card rule-form" on:submit=save>
            <section>
                <div class="two-columns">
                    <TextField label="Name" value=form.display_name required=true />
                    <SelectField label="For every device of the template" value=form.template options=Signal::stored(options) />
                </div>
                <Switch label="Enabled" on=form.enabled change=Callback::new(move |on| form.enabled.set(on)) />
            </section>
            <Conditions purpose=PURPOSE matching=form.matching conditions=form.conditions offered=Signal::derive(move || offered.get()) />
            <SeverityChoice severity=form.severity />
            <actions::Actions actions=form.actions />
            <section>
                <h3>"Reads as"</h3>
                <p class="sentence" aria-live="polite">{move || reads_as(&draft.get(), &offered.get(), templates)}</p>
            </section>
            <section>
                {move || {
                    said()
                        .map(|texts| {
                            let items = texts.into_iter().map(|text| view! { <li>{text}</li> }).collect_view();
                            view! {
                                <div class="notice field" data-tone="bad" role="alert">
                                    {icon(Icon::Alert)} <ul>{items}</ul>
                                </div>
                            }
                        })
                }}
                <div class="row">
                    <button type="submit" class="button" data-kind="primary" disabled=move || busy.get() || !may_manage>
                        "Save rule"
                    </button>
                    <a class="button" href=api.page("rules")>"Cancel"</a>
                </div>
            </section>
        </form>
    }
}

fn input_of(rule: &Rule) -> RuleInput {
    RuleInput {
        display_name: rule.display_name.clone(),
        enabled: rule.enabled,
        template: rule.template.clone(),
        matching: rule.matching,
        conditions: rule.conditions.clone(),
        severity: rule.severity,
        actions: rule.actions.clone(),
        etag: Some(rule.etag.clone()),
    }
}

fn reads_as(draft: &Draft, offered: &[Choice], templates: StoredValue<Vec<DeviceTemplate>>) -> String {
    let id = &draft.template;
    let name = templates.with_value(|all| {
        all.iter().find(|template| template.id.as_str() == id).map(|template| template.display_name.clone())
    });
    sentence(draft, offered, name.as_deref().unwrap_or("device"))
}

fn words(error: &ApiError) -> Vec<String> {
    match error {
        ApiError::Invalid { problems, .. } if !problems.is_empty() => {
            problems.iter().map(|problem| crate::api::sentence(&problem.message)).collect()
        }
        other => vec![other.to_string()],
    }
}

#[component]
fn SeverityChoice(severity: RwSignal<Severity>) -> impl IntoView {
    let each = [
        (Severity::Information, "Information", "good to know"),
        (Severity::Warning, "Warning", "should be looked at"),
        (Severity::Critical, "Critical", "must be acted on"),
    ];
    let radios = each.into_iter().map(|(value, name, help)| {
        view! {
            <label>
                <input
                    type="radio"
                    name="severity"
                    prop:checked=move || severity.get() == value
                    on:change=move |_| severity.set(value)
                />
                {name}
                <span class="soft small">{help}</span>
            </label>
        }
    });
    view! {
        <section>
            <h3 id="severity-title">"The alert is"</h3>
            <div class="choice" role="radiogroup" aria-labelledby="severity-title">{radios.collect_view()}</div>
        </section>
    }
}

#[component]
fn DeleteButton(id: RuleId, name: String) -> impl IntoView {
    let api = use_api();
    let toasts = use_toasts();
    let navigate = use_navigate();
    let open = RwSignal::new(false);
    let busy = RwSignal::new(false);
    let question = format!("“{name}” stops watching at once. Alerts that it opened are kept.");
    let confirm = Callback::new(move |()| {
        busy.set(true);
        let (navigate, name) = (navigate.clone(), name.clone());
        spawn_local(async move {
            match api.delete(&api.urls().rule(id)).await {
                Ok(()) => {
                    toasts.done(format!("The rule {name} was deleted"));
                    navigate(&api.page("rules"), Default::default());
                }
                Err(error) => {
                    toasts.failed(&error);
                    busy.try_set(false);
                }
            }
        });
    });
    view! {
        <button class="button" on:click=move |_| open.set(true)>
            {icon(Icon::Trash)}
            "Delete"
        </button>
        <Confirm title="Delete this rule?" text=question button="Delete" open busy confirm />
    }
}
