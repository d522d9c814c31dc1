//! The files that a device has uploaded.

use leptos::prelude::*;
use leptos::task::spawn_local;
use muster_contract::file::DeviceFile;
use muster_model::{FileName, Permission};

use super::Known;
use crate::api::use_api;
use crate::components::dialog::Confirm;
use crate::components::icon::{Icon, icon};
use crate::components::states::{Blank, Skeleton, loaded};
use crate::components::time::exact;
use crate::components::toast::use_toasts;
use crate::format;
use crate::load::Loader;
use crate::session::use_rights;

/// What is listed at most; a device with more is looked at by the API.
const MOST: usize = 1_000;

/// The files of a device.
#[component]
pub fn FilesTab(
    /// The device and its template.
    known: Known,
) -> impl IntoView {
    let api = use_api();
    let rights = use_rights();
    let toasts = use_toasts();
    let device = StoredValue::new(known.device.id);
    let files = Loader::new(move || {
        let url = api.urls().files(&device.get_value());
        async move { api.get_all::<DeviceFile>(&url, MOST).await }
    });
    let chosen = RwSignal::new(None::<FileName>);
    let deleting = RwSignal::new(false);
    let busy = RwSignal::new(false);
    let question = Signal::derive(move || {
        let name = chosen.get().map(String::from).unwrap_or_default();
        format!("“{name}” is removed for good.")
    });
    let delete = Callback::new(move |()| {
        let Some(name) = chosen.get_untracked() else { return };
        busy.set(true);
        spawn_local(async move {
            match api.delete(&api.urls().file(&device.get_value(), &name)).await {
                Ok(()) => {
                    toasts.done(format!("{name} was deleted"));
                    deleting.try_set(false);
                    files.reload();
                }
                Err(error) => toasts.failed(&error),
            }
            busy.try_set(false);
        });
    });
    let may_delete = rights.may(Permission::DevicesDelete);
    let ask = Callback::new(move |name: FileName| {
        chosen.set(Some(name));
        deleting.set(true);
    });
    view! {
        {loaded(files, Skeleton::Rows, move |all| {
            if all.is_empty() {
                return empty();
            }
            let count = format::counted(all.len(), "file", "files");
            let rows = all.into_iter().map(|file| row(api.urls().file(&device.get_value(), &file.name), file, may_delete, ask));
            view! {
                <div class="card table-card">
                    <table class="table">
                        <thead>
                            <tr>
                                <th scope="col">"File"</th>
                                <th scope="col" class="end">"Size"</th>
                                <th scope="col">"Uploaded"</th>
                                <th scope="col" class="end">"Actions"</th>
                            </tr>
                        </thead>
                        <tbody>{rows.collect_view()}</tbody>
                    </table>
                    <div class="table-foot"><span>{count}</span></div>
                </div>
            }
            .into_any()
        })}
        <Confirm title="Delete this file?" text=question button="Delete" open=deleting busy confirm=delete />
    }
}

fn empty() -> AnyView {
    view! {
        <div class="card">
            <Blank
                mark=Icon::Upload
                title="No files yet"
                text="A device uploads with its SDK: get_storage_info_for_blob, then azure-storage-blob’s upload_blob, then notify_blob_upload_status. What it uploads appears here."
            />
        </div>
    }
    .into_any()
}

fn row(href: String, file: DeviceFile, may_delete: bool, ask: Callback<FileName>) -> impl IntoView {
    let name = file.name.to_string();
    let label = format!("Delete {name}");
    let size = format::bytes(file.size_bytes);
    view! {
        <tr>
            <td>
                <div class="cell-main">
                    <div>
                        // Not a page of the app: the browser keeps it as a file.
                        <a href=href rel="external" download="">{name}</a>
                        <div class="soft small">{file.content_type}</div>
                    </div>
                </div>
            </td>
            <td class="end number">{size}</td>
            <td>{exact(file.last_modified)}</td>
            <td class="end">
                {may_delete
                    .then(move || {
                        let name = file.name.clone();
                        view! {
                            <button class="icon-button" aria-label=label title="Delete" on:click=move |_| ask.run(name.clone())>
                                {icon(Icon::Trash)}
                            </button>
                        }
                    })}
            </td>
        </tr>
    }
}
