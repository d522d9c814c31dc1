//! Who is signed in, and what they may do in the tenant of the page.

use leptos::prelude::*;
use leptos::task::spawn_local;
use muster_contract::session::{Membership, SessionInfo, SignIn};
use muster_model::access::Permissions;
use muster_model::{Permission, TenantId};

use crate::api::{ApiError, json, parse, session_request};

/// Where signing in stands.
#[derive(Clone, Debug, PartialEq)]
pub enum SessionState {
    /// The server has not answered yet.
    Unknown,
    /// Nobody is signed in.
    SignedOut,
    /// Somebody is.
    SignedIn(SessionInfo),
    /// The server gave no usable answer.
    Failed(ApiError),
}

/// The session of this browser.
#[derive(Clone, Copy)]
pub struct Session {
    /// Where signing in stands.
    pub state: RwSignal<SessionState>,
}

/// Asks the server who is signed in. Call once.
pub fn provide_session() -> Session {
    let session = Session { state: RwSignal::new(SessionState::Unknown) };
    provide_context(session);
    session.refresh();
    session
}

/// The session of this browser.
pub fn use_session() -> Session {
    expect_context()
}

impl Session {
    /// Asks the server again who is signed in.
    pub fn refresh(self) {
        spawn_local(async move {
            let answer = session_request("GET", None, "").await;
            self.state.set(match answer.and_then(|text| parse::<SessionInfo>(&text)) {
                Ok(info) => SessionState::SignedIn(info),
                Err(ApiError::SignedOut) => SessionState::SignedOut,
                Err(error) => SessionState::Failed(error),
            });
        });
    }

    /// Signs in.
    pub async fn sign_in(self, sign_in: SignIn) -> Result<(), ApiError> {
        let text = session_request("POST", Some(json(&sign_in)?), "1").await?;
        self.state.set(SessionState::SignedIn(parse(&text)?));
        Ok(())
    }

    /// Signs out; when the server cannot be told, the person stays signed in and is told so.
    pub async fn sign_out(self) -> Result<(), ApiError> {
        match session_request("DELETE", None, &self.csrf()).await {
            Ok(_) | Err(ApiError::SignedOut) => {
                self.forget();
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// The session is over: the sign-in form takes the page's place, at the same address.
    pub fn forget(self) {
        self.state.try_set(SessionState::SignedOut);
    }

    /// Proves to the server that a change comes from this page.
    pub fn csrf(self) -> String {
        self.state.with_untracked(|state| match state {
            SessionState::SignedIn(info) => info.csrf.clone(),
            SessionState::Unknown | SessionState::SignedOut | SessionState::Failed(_) => String::new(),
        })
    }

    /// What is known about the person who is signed in, as of now.
    pub fn info(self) -> Option<SessionInfo> {
        self.state.with_untracked(|state| match state {
            SessionState::SignedIn(info) => Some(info.clone()),
            SessionState::Unknown | SessionState::SignedOut | SessionState::Failed(_) => None,
        })
    }
}

/// What the person may do in the tenant of the page. Buttons that would be refused are not shown.
#[derive(Clone, Copy)]
pub struct Rights(Permissions);

impl Rights {
    /// The rights that come with a membership.
    pub fn of(membership: &Membership) -> Self {
        Self(membership.role.permissions())
    }

    /// Whether the person may.
    pub fn may(self, permission: Permission) -> bool {
        self.0.contains(permission)
    }
}

/// What the person may do in the tenant of the page.
pub fn use_rights() -> Rights {
    expect_context()
}

/// The membership in a tenant, if the person belongs to it.
pub fn membership_of(info: &SessionInfo, tenant: &TenantId) -> Option<Membership> {
    info.tenants.iter().find(|membership| membership.id == *tenant).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_contract::session::SessionUser;
    use muster_model::Role;

    #[test]
    fn rights_follow_the_role_in_the_pages_tenant() {
        let of = |id: &str, role| Membership { id: TenantId::parse(id).unwrap(), display_name: id.to_owned(), role };
        let info = SessionInfo {
            user: SessionUser { email: "a@b.example".to_owned(), display_name: "Ada".to_owned() },
            tenants: vec![of("demo", Role::Administrator), of("other", Role::Viewer)],
            csrf: "t".to_owned(),
        };
        let rights = |id: &str| Rights::of(&membership_of(&info, &TenantId::parse(id).unwrap()).unwrap());
        assert!(rights("demo").may(Permission::RulesManage));
        assert!(!rights("other").may(Permission::RulesManage));
        assert_eq!(membership_of(&info, &TenantId::parse("third").unwrap()), None);
    }
}
