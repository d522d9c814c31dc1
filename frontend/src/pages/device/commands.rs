//! The commands of a device: run one, see what came of it and of those before.

use leptos::prelude::*;
use leptos::task::spawn_local;
use muster_contract::command::{CommandInput, DeviceCommand, RunState};
use muster_contract::live::LiveEvent;
use muster_contract::page::Page;
use muster_contract::template::{Capability, CapabilityKind};
use muster_model::{DeviceId, Permission};
use serde_json::Value;

use super::Known;
use crate::api::use_api;
use crate::components::fields::{Select, TextField, fresh_id};
use crate::components::icon::{Icon, icon};
use crate::components::pill::pill;
use crate::components::states::{Blank, Skeleton, loaded};
use crate::components::time::exact;
use crate::components::toast::use_toasts;
use crate::live::use_live;
use crate::load::Loader;
use crate::property_form::Input;
use crate::session::use_rights;

/// Runs of a command that are shown.
const SHOWN: usize = 10;

/// A command that can be run.
#[derive(Clone, Debug, PartialEq)]
struct Offered {
    device: DeviceId,
    component: Option<String>,
    name: String,
    /// What its parameter is; none where it takes none.
    input: Option<Input>,
    unit: String,
    durable: bool,
}

impl Offered {
    fn of(device: &DeviceId, command: &Capability) -> Self {
        Self {
            device: device.clone(),
            component: command.component.clone(),
            name: command.name.clone(),
            input: command.parameter.then(|| Input::of(command)),
            unit: command.unit.clone().unwrap_or_default(),
            durable: command.durable,
        }
    }
}

/// The commands of a device.
#[component]
pub fn CommandsTab(
    /// The device and its template.
    known: Known,
    /// The keys of those that are shown; all where absent.
    #[prop(optional)]
    only: Option<Vec<String>>,
) -> impl IntoView {
    let device = known.device.id;
    let Some(template) = known.template else { return view! { <Free device /> }.into_any() };
    let commands = template.capabilities.into_iter().filter(|one| one.kind == CapabilityKind::Command);
    let commands = commands.filter(|one| only.as_ref().is_none_or(|only| only.contains(&one.key)));
    let cards: Vec<_> = commands
        .map(|command| {
            let offered = Offered::of(&device, &command);
            view! { <Card title=command.display_name description=command.description offered /> }
        })
        .collect();
    if cards.is_empty() {
        let text = "The device’s template has no commands. They are added in the template’s editor.";
        return view! { <div class="card"><Blank mark=Icon::Right title="No commands" text /></div> }.into_any();
    }
    view! { <div class="stack">{cards}</div> }.into_any()
}

/// A device without a template is asked by any name.
#[component]
fn Free(device: DeviceId) -> impl IntoView {
    let (name, chosen) = (RwSignal::new(String::new()), RwSignal::new(String::new()));
    let choose = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        chosen.set(name.get_untracked().trim().to_owned());
    };
    view! {
        <div class="stack">
            <form class="card" on:submit=choose>
                <div class="card-body">
                    <TextField
                        label="Command"
                        value=name
                        required=true
                        help="The device has no template, so any name goes; a component’s command is component*name."
                    />
                    <button type="submit" class="button">"Choose"</button>
                </div>
            </form>
            {move || {
                let name = chosen.get();
                (!name.is_empty())
                    .then(|| {
                        let input = Some(Input::Json);
                        let (title, unit) = (name.clone(), String::new());
                        let offered = Offered { device: device.clone(), component: None, name, input, unit, durable: false };
                        view! { <Card title description=String::new() offered /> }
                    })
            }}
        </div>
    }
}

#[component]
fn Card(title: String, description: String, offered: Offered) -> impl IntoView {
    let api = use_api();
    let toasts = use_toasts();
    let may_run = use_rights().may(Permission::DevicesCommand);
    let url = api.urls().command(&offered.device, offered.component.as_deref(), &offered.name);
    let asked = url.clone();
    let runs = Loader::new(move || {
        let url = format!("{asked}?maxpagesize={SHOWN}");
        async move { api.get::<Page<DeviceCommand>>(&url).await }
    });
    let watched = offered.device.clone();
    use_live().listen(move |event| match event {
        LiveEvent::Properties { device } if *device == watched => runs.reload(),
        LiveEvent::Reload => runs.reload(),
        _ => {}
    });
    let text = RwSignal::new(start(offered.input.as_ref()));
    let busy = RwSignal::new(false);
    let problem = RwSignal::new(None::<String>);
    let (input, name) = (offered.input.clone(), title.clone());
    let run = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        let request = match request(input.as_ref(), &text.get_untracked()) {
            Ok(request) => request,
            Err(words) => return problem.set(Some(format!("The parameter {words}."))),
        };
        busy.set(true);
        problem.set(None);
        let (url, name) = (url.clone(), name.clone());
        spawn_local(async move {
            let asked = CommandInput { request, ..CommandInput::default() };
            match api.post_json::<DeviceCommand>(&url, &asked).await {
                Ok(run) => toasts.done(format!("{name}: {}", word(&run))),
                Err(error) => _ = problem.try_set(Some(error.to_string())),
            }
            busy.try_set(false);
            runs.reload();
        });
    };
    let component = offered.component.clone().map(|component| pill("quiet", component));
    let waits = offered.durable.then(|| pill("info", "Waits for a device that is away"));
    let label = format!("Run {title}");
    view! {
        <section class="card">
            <div class="card-head">
                <div>
                    <h3 class="row wrap">{title} {component} {waits}</h3>
                    {(!description.is_empty()).then(|| view! { <p>{description}</p> })}
                </div>
            </div>
            <form class="card-body" on:submit=run>
                {offered.input.clone().map(|input| parameter(input, &offered.unit, text))}
                <div class="row">
                    <button
                        type="submit"
                        class="button"
                        data-kind="primary"
                        aria-label=label
                        disabled=move || busy.get() || !may_run
                    >
                        {move || if busy.get() { "Waiting for the device …" } else { "Run" }}
                    </button>
                    <span role="alert" class="problem">{move || problem.get()}</span>
                </div>
            </form>
            {loaded(
                runs,
                Skeleton::Rows,
                |page| {
                    if page.value.is_empty() {
                        return view! { <p class="card-body soft">"It was not run yet."</p> }.into_any();
                    }
                    let runs = page.value.into_iter().map(past).collect_view();
                    view! { <ol class="publications">{runs}</ol> }.into_any()
                },
            )}
        </section>
    }
}

/// What a field for a parameter starts with: a choice must be one of its options.
fn start(input: Option<&Input>) -> String {
    match input {
        Some(Input::Boolean) => "true".to_owned(),
        Some(Input::States(states)) => states.first().map(|state| state.value.to_string()).unwrap_or_default(),
        _ => String::new(),
    }
}

/// The parameter that a text means; none where nothing is typed that could be left out.
fn request(input: Option<&Input>, text: &str) -> Result<Option<Value>, String> {
    match input {
        None => Ok(None),
        Some(Input::Json) if text.trim().is_empty() => Ok(None),
        Some(input) => input.parse(text).map(Some),
    }
}

fn parameter(input: Input, unit: &str, text: RwSignal<String>) -> AnyView {
    let id = fresh_id();
    let unit = if unit.is_empty() { String::new() } else { format!(" ({unit})") };
    let options = match &input {
        Input::Boolean => Some(vec![("true".to_owned(), "yes".to_owned()), ("false".to_owned(), "no".to_owned())]),
        Input::States(states) => {
            Some(states.iter().map(|state| (state.value.to_string(), state.display_name.clone())).collect())
        }
        Input::Number | Input::Text | Input::Json => None,
    };
    let field = match options {
        Some(options) => view! { <Select id=id.clone() value=text options=Signal::stored(options) /> }.into_any(),
        None => {
            let mode = if input == Input::Number { "decimal" } else { "text" };
            view! {
                <input
                    id=id.clone()
                    class="input"
                    inputmode=mode
                    autocomplete="off"
                    prop:value=move || text.get()
                    on:input:target=move |event| text.set(event.target().value())
                />
            }
            .into_any()
        }
    };
    let help = (input == Input::Json).then(|| view! { <p class="help">"As JSON."</p> });
    view! { <div class="field"><label for=id>{format!("Parameter{unit}")}</label> {field} {help}</div> }.into_any()
}

/// One run.
fn past(run: DeviceCommand) -> AnyView {
    let tone = match run.state {
        RunState::Completed if run.response_code.is_some_and(|code| code >= 400) => "bad",
        RunState::Completed | RunState::Delivered => "good",
        RunState::Failed => "bad",
        RunState::Sent | RunState::Queued | RunState::Running => "warn",
    };
    let unfit = (!run.fits).then(|| pill("warn", "Not what the template says"));
    let shown = |value: &Option<Value>| value.as_ref().map(Value::to_string);
    let request = shown(&run.request).map(|request| view! { <span class="mono">{request}</span> });
    let response = shown(&run.response).map(|answer| view! { {icon(Icon::Right)} <span class="mono">{answer}</span> });
    let reason = run.reason.clone().map(|reason| view! { <p class="soft small">{crate::api::sentence(&reason)}</p> });
    view! {
        <li>
            <div class="row wrap">{pill(tone, word(&run))} {unfit} {request} {response}</div>
            {reason}
            <p class="soft small">{exact(run.asked_at)} " by " {run.asked_by}</p>
        </li>
    }
    .into_any()
}

/// Where a run stands, in words.
fn word(run: &DeviceCommand) -> String {
    let code = run.response_code.map(|code| format!(" ({code})")).unwrap_or_default();
    match run.state {
        RunState::Sent => "Waiting for the answer".to_owned(),
        RunState::Queued => "Waits for the device".to_owned(),
        RunState::Running => "The device works on it".to_owned(),
        RunState::Completed => format!("Answered{code}"),
        RunState::Delivered => "The device has it".to_owned(),
        RunState::Failed => "Failed".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_parameter_is_what_its_text_means() {
        assert_eq!(request(None, "ignored"), Ok(None));
        assert_eq!(request(Some(&Input::Number), "21,5"), Ok(Some(json!(21.5))));
        assert_eq!(request(Some(&Input::Json), " "), Ok(None));
        assert_eq!(request(Some(&Input::Json), "{\"a\":1}"), Ok(Some(json!({"a": 1}))));
        assert!(request(Some(&Input::Number), "warm").is_err());
        assert_eq!(start(Some(&Input::Boolean)), "true");
    }
}
