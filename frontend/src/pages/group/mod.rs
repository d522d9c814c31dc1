//! The editor of a device group, with the devices that are in it.

mod members;

use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos_router::hooks::{use_navigate, use_params_map};
use muster_contract::group::DeviceGroup;
use muster_contract::rule::Match;
use muster_contract::template::DeviceTemplate;
use muster_model::{DeviceGroupId, Permission};
use uuid::Uuid;

use super::shell::{set_shown, set_title};
use crate::api::{Api, ApiError, use_api};
use crate::components::conditions::{Conditions, Purpose};
use crate::components::dialog::Confirm;
use crate::components::fields::{SelectField, TextField};
use crate::components::icon::{Icon, icon};
use crate::components::states::{Blank, Skeleton, loaded, problem_notice};
use crate::components::toast::use_toasts;
use crate::group_draft::{GroupDraft, Question, group_choices, group_operators};
use crate::load::Loader;
use crate::rule_draft::{Choice, DraftCondition};
use crate::session::use_rights;

const PURPOSE: Purpose = Purpose {
    title: "For which",
    subject: "Property",
    nothing: "Choose a device template first.",
    count: (0, 100),
    operators: group_operators,
};

/// The editor, for a group that exists or a new one.
#[component]
pub fn GroupPage() -> impl IntoView {
    set_title("Device groups");
    let api = use_api();
    let params = use_params_map();
    let address = Memo::new(move |_| params.with(|params| params.get("group")).unwrap_or_default());
    let all = Loader::new(move || load(api, address.get()));
    loaded(all, Skeleton::Block, |(group, templates)| {
        if templates.is_empty() && group.is_none() {
            let page = use_api().page("templates");
            return view! {
                <div class="card">
                    <Blank mark=Icon::Layers title="A group needs a device template" text="Import one first; then its properties can be asked for.">
                        <a class="button" href=page>"Device templates"</a>
                    </Blank>
                </div>
            }
            .into_any();
        }
        view! { <Editor group templates /> }.into_any()
    })
}

async fn load(api: Api, address: String) -> Result<(Option<DeviceGroup>, Vec<DeviceTemplate>), ApiError> {
    let group = match address.as_str() {
        "new" => None,
        id => {
            let id: DeviceGroupId =
                id.parse().map_err(|_| ApiError::NotFound("There is no such device group.".to_owned()))?;
            Some(api.get::<DeviceGroup>(&api.urls().group(&id)).await?)
        }
    };
    let templates = api.get_all::<DeviceTemplate>(&api.urls().templates(), 1_000).await?;
    Ok((group, templates.into_iter().filter(|template| template.published).collect()))
}

/// The parts of the group that is being written, each its own signal so that typing redraws little.
#[derive(Clone, Copy)]
struct Form {
    display_name: RwSignal<String>,
    description: RwSignal<String>,
    template: RwSignal<String>,
    matching: RwSignal<Match>,
    conditions: RwSignal<Vec<DraftCondition>>,
    /// The query itself, where no form can show it.
    text: RwSignal<Option<String>>,
}

impl Form {
    fn of(draft: GroupDraft) -> Self {
        let (template, matching, conditions, text) = match draft.question {
            Question::Form { template, matching, conditions } => (template, matching, conditions, None),
            Question::Text(text) => (String::new(), Match::All, Vec::new(), Some(text)),
        };
        Self {
            display_name: RwSignal::new(draft.display_name),
            description: RwSignal::new(draft.description),
            template: RwSignal::new(template),
            matching: RwSignal::new(matching),
            conditions: RwSignal::new(conditions),
            text: RwSignal::new(text),
        }
    }

    fn question(self) -> Question {
        match self.text.get() {
            Some(text) => Question::Text(text),
            None => Question::Form {
                template: self.template.get(),
                matching: self.matching.get(),
                conditions: self.conditions.get(),
            },
        }
    }

    fn draft(self) -> GroupDraft {
        let (display_name, description) = (self.display_name.get(), self.description.get());
        GroupDraft { display_name, description, question: self.question() }
    }
}

#[component]
fn Editor(group: Option<DeviceGroup>, templates: Vec<DeviceTemplate>) -> impl IntoView {
    let api = use_api();
    let toasts = use_toasts();
    let navigate = use_navigate();
    let may_manage = use_rights().may(Permission::GroupsManage);
    let name = group.as_ref().map_or_else(|| "New group".to_owned(), |group| group.display_name.clone());
    set_shown(&name);
    let id = group.as_ref().map(|group| group.id.clone());
    let etag = group.as_ref().map(|group| group.etag.clone());
    let first = templates.first().map(|first| first.id.to_string()).unwrap_or_default();
    let form = Form::of(group.as_ref().map_or_else(|| GroupDraft::new(first), GroupDraft::of));
    let options: Vec<(String, String)> =
        templates.iter().map(|template| (template.id.to_string(), template.display_name.clone())).collect();
    let offered: Memo<Vec<Choice>> = Memo::new(move |_| {
        let id = form.template.get();
        templates.iter().find(|one| one.id.as_str() == id).map(group_choices).unwrap_or_default()
    });
    let filter = Memo::new(move |_| offered.with(|offered| form.question().filter(offered)));
    let busy = RwSignal::new(false);
    let wrong = RwSignal::new(None::<String>);
    let problem = RwSignal::new(None::<ApiError>);
    let target = id.clone();
    let save = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        problem.set(None);
        let finished = offered.with_untracked(|offered| untrack(|| form.draft()).finish(offered));
        wrong.set(finished.as_ref().err().cloned());
        let Ok(mut input) = finished else { return };
        input.etag.clone_from(&etag);
        let Some(target) = target.clone().or_else(|| DeviceGroupId::parse(Uuid::now_v7().to_string()).ok()) else {
            return;
        };
        busy.set(true);
        let navigate = navigate.clone();
        spawn_local(async move {
            match api.put::<DeviceGroup>(&api.urls().group(&target), &input).await {
                Ok(group) => {
                    toasts.done(format!("The device group {} was saved", group.display_name));
                    navigate(&api.page("groups"), Default::default());
                }
                Err(error) => {
                    problem.try_set(Some(error));
                    busy.try_set(false);
                }
            }
        });
    };
    view! {
        <div class="page-head">
            <div class="crumbs grow">
                <a href=api.page("groups")>"Device groups"</a>
                <span aria-hidden="true">"/"</span>
                <h2 class="ellipsis">{name.clone()}</h2>
            </div>
            {id.filter(|_| may_manage).map(|id| view! { <DeleteButton id name /> })}
        </div>
        <div class="stack">
            <form class="card rule-form" on:submit=save>
                <section>
                    <div class="two-columns">
                        <TextField label="Name" value=form.display_name required=true />
                        <TextField label="Description" value=form.description />
                    </div>
                </section>
                {move || match form.text.with(Option::is_some) {
                    true => view! { <QueryText text=form.text /> }.into_any(),
                    false => {
                        let offered = Signal::derive(move || offered.get());
                        view! {
                            <section>
                                <SelectField label="Devices of the template" value=form.template options=Signal::stored(options.clone()) />
                            </section>
                            <Conditions purpose=PURPOSE matching=form.matching conditions=form.conditions offered />
                        }
                            .into_any()
                    }
                }}
                <section>
                    <div role="alert">
                        {move || wrong.get().map(|text| view! { <div class="notice field" data-tone="bad">{icon(Icon::Alert)} {text}</div> })}
                        {problem_notice(problem)}
                    </div>
                    <div class="row">
                        <button type="submit" class="button" data-kind="primary" disabled=move || busy.get() || !may_manage>
                            "Save group"
                        </button>
                        <a class="button" href=api.page("groups")>"Cancel"</a>
                    </div>
                </section>
            </form>
            <members::Members filter />
        </div>
    }
}

/// The query itself, where it says more than a form can show.
#[component]
fn QueryText(text: RwSignal<Option<String>>) -> impl IntoView {
    view! {
        <section>
            <div class="field">
                <label for="group-query">"Query"</label>
                <textarea
                    id="group-query"
                    class="input code"
                    spellcheck="false"
                    autocomplete="off"
                    prop:value=move || text.get()
                    on:input:target=move |event| text.set(Some(event.target().value()))
                ></textarea>
                <p class="help">
                    "This group asks for more than a form can show. For example: SELECT * FROM devices WHERE $template = \"dtmi:…\" AND NOT level > 3"
                </p>
            </div>
        </section>
    }
}

#[component]
fn DeleteButton(id: DeviceGroupId, name: String) -> impl IntoView {
    let api = use_api();
    let toasts = use_toasts();
    let navigate = use_navigate();
    let (open, busy) = (RwSignal::new(false), RwSignal::new(false));
    let question = format!("“{name}” is no longer there to be chosen. Its devices stay as they are.");
    let confirm = Callback::new(move |()| {
        busy.set(true);
        let (navigate, name, url) = (navigate.clone(), name.clone(), api.urls().group(&id));
        spawn_local(async move {
            match api.delete(&url).await {
                Ok(()) => {
                    toasts.done(format!("The device group {name} was deleted"));
                    navigate(&api.page("groups"), Default::default());
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
        <Confirm title="Delete this device group?" text=question button="Delete" open busy confirm />
    }
}
