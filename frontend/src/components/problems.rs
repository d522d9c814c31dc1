//! What is wrong with a text in a text area, and where.

use leptos::html;
use leptos::prelude::*;
use muster_contract::error::Problem;

use super::icon::{Icon, icon};
use crate::api::{ApiError, sentence};
use crate::text_place::line_span;

/// What is wrong with a text, each problem with a way to its line.
pub fn problems(
    what: &'static str,
    error: &ApiError,
    area: NodeRef<html::Textarea>,
    text: RwSignal<String>,
) -> AnyView {
    let (message, problems) = match error {
        ApiError::Invalid { message, problems } => (message.clone(), problems.clone()),
        other => (other.to_string(), Vec::new()),
    };
    let items = problems.into_iter().map(|problem| draw(problem, area, text));
    view! {
        <div class="notice" data-tone="bad">
            {icon(Icon::Alert)}
            <div>
                <strong>{what} " "</strong>
                {message}
            </div>
        </div>
        <ol class="problems field">{items.collect_view()}</ol>
    }
    .into_any()
}

fn draw(problem: Problem, area: NodeRef<html::Textarea>, text: RwSignal<String>) -> AnyView {
    let pointer = problem.pointer.filter(|pointer| !pointer.is_empty());
    let place = problem.line.map(|line| {
        let column = problem.column.map(|column| format!(", column {column}")).unwrap_or_default();
        let show = move |_| select_line(area, &text.get_untracked(), line);
        view! {
            <button type="button" class="where" on:click=show>
                {format!("Line {line}{column}")}
            </button>
        }
    });
    view! {
        <li>
            {sentence(&problem.message)}
            <div class="row">
                {place}
                {pointer.map(|pointer| view! { <span class="where">{pointer}</span> })}
            </div>
        </li>
    }
    .into_any()
}

/// Marks a line of the text and brings it into view.
pub fn select_line(area: NodeRef<html::Textarea>, text: &str, line: u32) {
    const LINE_PX: i32 = 19;
    let Some(area) = area.get_untracked() else { return };
    let (start, end) = line_span(text, line);
    let _ = area.focus();
    let _ = area.set_selection_range(start, end);
    let above = i32::try_from(line).unwrap_or(i32::MAX).saturating_sub(4);
    area.set_scroll_top(above.max(0).saturating_mul(LINE_PX));
}
