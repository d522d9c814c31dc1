//! Who asks, in which tenant, and what they may do.

use crate::{TenantId, TenantKey};
use serde::{Deserialize, Serialize};
use std::fmt;
use uuid::{Uuid, uuid};

/// The tenant whose data a function may touch. Everything outside is "not found".
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Scope {
    /// The tenant.
    pub tenant: TenantKey,
}

/// The right to the few reads that come before a tenant is known: sign-in by e-mail, host to tenant, device credential.
#[derive(Debug, Clone, Copy)]
pub struct SystemScope;

/// What a person, a token or the system may do (IoT Central's matrix; `iot-central.md` §3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Permission {
    /// See device templates.
    TemplatesView,
    /// Create, change and publish device templates.
    TemplatesManage,
    /// See devices, their properties and telemetry.
    DevicesView,
    /// Change devices and their properties.
    DevicesUpdate,
    /// Create devices.
    DevicesCreate,
    /// Delete devices.
    DevicesDelete,
    /// Run commands.
    DevicesCommand,
    /// See raw messages.
    DevicesRawData,
    /// See device keys, enrollment groups and connection strings.
    ConnectivityView,
    /// Change enrollment groups and device keys.
    ConnectivityManage,
    /// See rules and alerts.
    RulesView,
    /// Create, change and delete rules.
    RulesManage,
    /// Acknowledge, clear and comment alerts.
    AlertsUpdate,
    /// See dashboards.
    DashboardsView,
    /// Create, change and delete dashboards.
    DashboardsManage,
    /// See device groups.
    GroupsView,
    /// Create, change and delete device groups.
    GroupsManage,
    /// See API tokens.
    TokensView,
    /// Create and delete API tokens.
    TokensManage,
    /// See users and roles.
    UsersView,
    /// Add, change and remove users.
    UsersManage,
    /// See the audit log.
    AuditView,
    /// See the tenant's settings and usage.
    TenantView,
    /// Change the tenant's settings.
    TenantManage,
}

impl Permission {
    /// Every permission, in the order of their numbers.
    pub const ALL: [Self; 24] = [
        Self::TemplatesView,
        Self::TemplatesManage,
        Self::DevicesView,
        Self::DevicesUpdate,
        Self::DevicesCreate,
        Self::DevicesDelete,
        Self::DevicesCommand,
        Self::DevicesRawData,
        Self::ConnectivityView,
        Self::ConnectivityManage,
        Self::RulesView,
        Self::RulesManage,
        Self::AlertsUpdate,
        Self::DashboardsView,
        Self::DashboardsManage,
        Self::GroupsView,
        Self::GroupsManage,
        Self::TokensView,
        Self::TokensManage,
        Self::UsersView,
        Self::UsersManage,
        Self::AuditView,
        Self::TenantView,
        Self::TenantManage,
    ];
}

/// A set of permissions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Permissions(u64);

impl Permissions {
    /// The set of `permissions`.
    pub fn of(permissions: &[Permission]) -> Self {
        Self(permissions.iter().fold(0, |bits, &permission| bits | 1 << permission as u8))
    }

    /// Whether `permission` is in the set.
    pub fn contains(self, permission: Permission) -> bool {
        self.0 & (1 << permission as u8) != 0
    }

    /// Both sets together.
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// The built-in roles; their ids are IoT Central's and the same in every tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = BuiltInRole))]
#[serde(rename_all = "camelCase")]
pub enum Role {
    /// Everything.
    Administrator,
    /// Everything but people, tokens and tenant settings.
    Builder,
    /// Devices, dashboards and alerts.
    Operator,
    /// Read only.
    Viewer,
}

impl Role {
    /// Every built-in role.
    pub const ALL: [Self; 4] = [Self::Administrator, Self::Builder, Self::Operator, Self::Viewer];

    /// The role's fixed id.
    pub fn id(self) -> Uuid {
        match self {
            Self::Administrator => uuid!("ca310b8d-2f4a-44e0-a36e-957c202cd8d4"),
            Self::Builder => uuid!("344138e9-8de4-4497-8c54-5237e96d6aaf"),
            Self::Operator => uuid!("ae2c9854-393b-4f97-8c42-479d70ce626e"),
            Self::Viewer => uuid!("84cc62c1-dabe-49d3-b16e-8b291232b285"),
        }
    }

    /// The role with this id.
    pub fn from_id(id: Uuid) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.id() == id)
    }

    /// The name shown to people.
    pub fn display_name(self) -> &'static str {
        match self {
            Self::Administrator => "App Administrator",
            Self::Builder => "App Builder",
            Self::Operator => "App Operator",
            Self::Viewer => "Viewer",
        }
    }

    /// What the role may do.
    pub fn permissions(self) -> Permissions {
        use Permission as P;
        let viewer = [P::TemplatesView, P::DevicesView, P::RulesView, P::DashboardsView, P::GroupsView];
        let operator = [
            P::DevicesUpdate,
            P::DevicesCreate,
            P::DevicesDelete,
            P::DevicesCommand,
            P::DevicesRawData,
            P::ConnectivityView,
            P::AlertsUpdate,
            P::DashboardsManage,
            P::TenantView,
        ];
        let builder = [P::TemplatesManage, P::RulesManage, P::ConnectivityManage, P::GroupsManage];
        let viewer = Permissions::of(&viewer);
        let operator = viewer.union(Permissions::of(&operator));
        match self {
            Self::Viewer => viewer,
            Self::Operator => operator,
            Self::Builder => operator.union(Permissions::of(&builder)),
            Self::Administrator => Permissions::of(&P::ALL),
        }
    }
}

/// What kind of actor stands behind a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ActorKind {
    /// A signed-in person.
    User,
    /// An API token.
    ApiToken,
    /// A device, through the hub.
    Device,
    /// Muster itself: command line, simulator, jobs.
    System,
}

/// Who did it, for the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// The kind of actor.
    pub kind: ActorKind,
    /// The actor's id in the tenant.
    pub id: String,
    /// The name shown to people: an e-mail address, a token's or a device's name.
    pub name: String,
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// Who asks, in which tenant, with which permissions.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The tenant's data.
    pub scope: Scope,
    /// The tenant's id in addresses.
    pub tenant: TenantId,
    /// Who it is.
    pub actor: Actor,
    /// What they may do.
    pub permissions: Permissions,
}

/// The caller lacks a permission.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("permission {permission:?} is missing")]
pub struct Denied {
    /// The permission that was asked for.
    pub permission: Permission,
}

impl Caller {
    /// Muster itself acting in a tenant, with every permission.
    pub fn system(scope: Scope, tenant: TenantId, name: &str) -> Self {
        Self {
            scope,
            tenant,
            actor: Actor { kind: ActorKind::System, id: name.to_owned(), name: name.to_owned() },
            permissions: Permissions::of(&Permission::ALL),
        }
    }

    /// Refuses unless the caller has `permission`.
    ///
    /// # Errors
    /// [`Denied`] with the missing permission.
    pub fn require(&self, permission: Permission) -> Result<(), Denied> {
        if self.permissions.contains(permission) { Ok(()) } else { Err(Denied { permission }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_widen_from_viewer_to_administrator() {
        let admin = Role::Administrator.permissions();
        for permission in Permission::ALL {
            assert!(admin.contains(permission), "{permission:?}");
        }
        assert!(!Role::Viewer.permissions().contains(Permission::DevicesUpdate));
        assert!(!Role::Operator.permissions().contains(Permission::TemplatesManage));
        assert!(!Role::Builder.permissions().contains(Permission::UsersManage));
        for role in Role::ALL {
            assert_eq!(Role::from_id(role.id()), Some(role));
        }
    }
}
