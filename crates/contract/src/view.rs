//! Views of device templates (ours).

use muster_model::{ViewId, template as model};
use serde::{Deserialize, Serialize};

pub use muster_model::template::{FormSection, ViewContent, ViewTile, ViewTileKind};

/// A view: how one device of a template is shown, or a form for its properties.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct TemplateView {
    /// Its id in its template.
    pub id: ViewId,
    /// Changes with each change of the view.
    pub etag: String,
    /// The name shown to people.
    pub display_name: String,
    /// Where it stands among the others.
    pub order: u32,
    /// What it shows.
    #[serde(flatten)]
    pub content: ViewContent,
}

impl From<model::View> for TemplateView {
    fn from(view: model::View) -> Self {
        let model::View { id, display_name, order, content, version } = view;
        Self { id, etag: format!("{version:x}"), display_name, order, content }
    }
}

/// `PUT /api/deviceTemplates/{id}/views/{viewId}`. Read-only fields of [`TemplateView`] may be sent and are ignored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct TemplateViewInput {
    /// The name shown to people.
    pub display_name: String,
    /// Where it stands among the others.
    #[serde(default)]
    pub order: u32,
    /// What it shows.
    #[serde(flatten)]
    pub content: ViewContent,
    /// The etag the caller saw; another one is refused with 412.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
}

impl TemplateViewInput {
    /// The view with this id; its version is the store's to give.
    pub fn into_view(self, id: ViewId) -> model::View {
        let Self { display_name, order, content, etag: _ } = self;
        model::View { id, display_name, order, content, version: 0 }
    }
}
