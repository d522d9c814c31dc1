//! Conditions, of a rule or of a device group.

use leptos::prelude::*;
use muster_contract::rule::{Match, Operator};

use crate::components::fields::Select;
use crate::components::icon::{Icon, icon};
use crate::components::segments::Segments;
use crate::rule_draft::{Choice, ChoiceKind, DraftCondition, operator_from, operator_word, operator_words};

/// What conditions are for.
#[derive(Clone, Copy)]
pub struct Purpose {
    /// The heading.
    pub title: &'static str,
    /// What is compared, for screen readers.
    pub subject: &'static str,
    /// What is said where nothing can be compared.
    pub nothing: &'static str,
    /// How many there are at least and at most.
    pub count: (usize, usize),
    /// The comparisons for values of a kind.
    pub operators: Operators,
}

/// The comparisons for values of a kind.
pub type Operators = fn(&ChoiceKind) -> Vec<Operator>;

/// Conditions.
#[component]
pub fn Conditions(
    /// What they are for.
    purpose: Purpose,
    /// How they are joined.
    matching: RwSignal<Match>,
    /// The conditions.
    conditions: RwSignal<Vec<DraftCondition>>,
    /// What can be compared.
    offered: Signal<Vec<Choice>>,
) -> impl IntoView {
    let add = move |_| {
        conditions.update(|all| {
            let number = all.iter().map(|condition| condition.number + 1).max().unwrap_or(0);
            all.push(DraftCondition::new(number));
        });
    };
    view! {
        <section>
            <div class="row spread field">
                <h3>{purpose.title}</h3>
                <Show when=move || conditions.with(|all| all.len() > 1)>
                    <Segments
                        label="How conditions are joined"
                        value=matching
                        options=vec![(Match::All, "all hold"), (Match::Any, "any holds")]
                    />
                </Show>
            </div>
            <Show when=move || offered.with(Vec::is_empty)>
                <p class="soft">{purpose.nothing}</p>
            </Show>
            <For each=move || conditions.get() key=|condition| condition.number let:condition>
                <ConditionRow number=condition.number conditions offered purpose />
            </For>
            <div class="row field">
                <button
                    type="button"
                    class="button small"
                    disabled=move || conditions.with(|all| all.len() >= purpose.count.1)
                    on:click=add
                >
                    {icon(Icon::Plus)}
                    "Add a condition"
                </button>
            </div>
        </section>
    }
}

#[component]
fn ConditionRow(
    number: u64,
    conditions: RwSignal<Vec<DraftCondition>>,
    offered: Signal<Vec<Choice>>,
    purpose: Purpose,
) -> impl IntoView {
    let current = move || conditions.with(|all| all.iter().find(|condition| condition.number == number).cloned());
    let start = untrack(current).unwrap_or_else(|| DraftCondition::new(number));
    let telemetry = RwSignal::new(start.telemetry);
    let operator = RwSignal::new(operator_word(start.operator));
    let value = RwSignal::new(start.value);
    let choice =
        Memo::new(move |_| offered.with(|offered| offered.iter().find(|one| one.key == telemetry.get()).cloned()));
    fit_to_choice(choice, telemetry, (operator, purpose.operators), value, offered);
    // The row owns its fields; the rule follows them.
    Effect::new(move |_| {
        let (telemetry, operator, value) = (telemetry.get(), operator_from(&operator.get()), value.get());
        conditions.update(|all| {
            if let Some(condition) = all.iter_mut().find(|condition| condition.number == number) {
                *condition = DraftCondition { number, telemetry, operator, value };
            }
        });
    });
    let names = Signal::derive(move || {
        let each = offered.get().into_iter().map(|choice| {
            let unit = if choice.unit.is_empty() { String::new() } else { format!(" ({})", choice.unit) };
            (choice.key, format!("{}{unit}", choice.name))
        });
        std::iter::once((String::new(), "Choose …".to_owned())).chain(each).collect::<Vec<_>>()
    });
    let comparisons = Signal::derive(move || {
        let kind = choice.get().map_or(ChoiceKind::Number, |choice| choice.kind);
        let operators = (purpose.operators)(&kind).into_iter();
        operators.map(|one| (operator_word(one), operator_words(one).to_owned())).collect::<Vec<_>>()
    });
    let remove = move |_| conditions.update(|all| all.retain(|condition| condition.number != number));
    view! {
        <div class="condition">
            <Select name=purpose.subject value=telemetry options=names />
            <Select name="Comparison" value=operator options=comparisons />
            {move || value_field(choice.get(), value)}
            <button
                type="button"
                class="icon-button"
                aria-label="Remove this condition"
                disabled=move || conditions.with(|all| all.len() <= purpose.count.0)
                on:click=remove
            >
                {icon(Icon::Trash)}
            </button>
        </div>
    }
}

/// Another telemetry may not know the operator or the value: they are set to ones that it knows.
fn fit_to_choice(
    choice: Memo<Option<Choice>>,
    telemetry: RwSignal<String>,
    (operator, operators): (RwSignal<String>, Operators),
    value: RwSignal<String>,
    offered: Signal<Vec<Choice>>,
) {
    Effect::new(move |_| {
        let Some(choice) = choice.get() else {
            // Another template does not have this telemetry.
            if offered.with(|offered| !offered.is_empty()) && !telemetry.get_untracked().is_empty() {
                telemetry.set(String::new());
            }
            return;
        };
        let known = operators(&choice.kind);
        if !known.contains(&operator_from(&operator.get_untracked()))
            && let Some(first) = known.first()
        {
            operator.set(operator_word(*first));
        }
        let text = value.get_untracked();
        match &choice.kind {
            ChoiceKind::Boolean if text != "true" && text != "false" => value.set("true".to_owned()),
            ChoiceKind::States(states) => {
                let quoted = serde_json::Value::from(text.as_str()).to_string();
                let same = states.iter().find(|(json, _)| *json == text || *json == quoted).or_else(|| states.first());
                if let Some((json, _)) = same.filter(|(json, _)| *json != text) {
                    value.set(json.clone());
                }
            }
            ChoiceKind::Boolean | ChoiceKind::Number | ChoiceKind::Text => {}
        }
    });
}

fn value_field(choice: Option<Choice>, value: RwSignal<String>) -> AnyView {
    let select = |options: Vec<(String, String)>| {
        view! { <Select name="Value" value options=Signal::stored(options) /> }.into_any()
    };
    match choice.map(|choice| choice.kind) {
        Some(ChoiceKind::Boolean) => {
            select(vec![("true".to_owned(), "yes".to_owned()), ("false".to_owned(), "no".to_owned())])
        }
        Some(ChoiceKind::States(states)) => select(states),
        kind => {
            let mode = if matches!(kind, Some(ChoiceKind::Text)) { "text" } else { "decimal" };
            view! {
                <input
                    class="input"
                    aria-label="Value"
                    placeholder="Value"
                    inputmode=mode
                    autocomplete="off"
                    prop:value=move || value.get()
                    on:input:target=move |event| value.set(event.target().value())
                />
            }
            .into_any()
        }
    }
}
