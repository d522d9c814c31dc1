//! Sign-in with e-mail and password, and the browser's session that follows.

use super::throttle;
use crate::{Engine, EngineError, secrets::random_bytes};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Duration, Utc};
use muster_model::{Actor, ActorKind, Caller, Role, Scope, SystemScope, TenantId};
use muster_store::{sessions, users};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use std::net::IpAddr;

/// A session ends when it was not used for so long.
const IDLE: Duration = Duration::days(7);
/// Its use is noted at most this often.
const TOUCH_EVERY: Duration = Duration::minutes(5);
/// Longer tokens are not ours.
const MAX_TOKEN_BYTES: usize = 128;
const MAX_USER_AGENT_CHARS: usize = 256;

/// An attempt to sign in.
#[derive(Debug)]
pub struct SignIn {
    /// The e-mail address, in any case.
    pub email: String,
    /// The password.
    pub password: SecretString,
    /// Where the attempt comes from, behind trusted proxies.
    pub peer: IpAddr,
    /// What the browser calls itself.
    pub user_agent: String,
}

/// A session has begun.
#[derive(Debug)]
pub struct SignedIn {
    /// For the session cookie; only its hash is stored.
    pub session_token: SecretString,
    /// When the session ends by itself, unless it is used.
    pub expires_at: DateTime<Utc>,
    /// Who it is and where they may go.
    pub account: Account,
}

/// A person, over all their tenants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The e-mail address.
    pub email: String,
    /// The name shown to people.
    pub display_name: String,
    /// Their tenants, by id.
    pub tenancies: Vec<Tenancy>,
}

/// A person's place in a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenancy {
    /// The tenant.
    pub tenant: TenantId,
    /// The tenant's name.
    pub tenant_name: String,
    /// The person's role there.
    pub role: Role,
}

/// Signs a person in.
///
/// # Errors
/// [`EngineError::Unauthenticated`] for an unknown account and for a wrong password alike, after the same time;
/// [`EngineError::TooMany`] after too many failures of the account or from the address.
pub async fn sign_in(engine: &Engine, attempt: SignIn) -> Result<SignedIn, EngineError> {
    let email = attempt.email.trim();
    throttle::attempt(engine, email, attempt.peer).await?;
    let credentials = {
        let tx = engine.store().begin_system_read(&SystemScope).await?;
        users::find_by_email(&tx, &SystemScope, email).await?
    };
    let (user, stored) = credentials.map(|found| (found.user, found.password_hash)).unzip();
    let matches = engine.passwords().verify(&attempt.password, stored).await?;
    let Some(user) = user.filter(|_| matches) else {
        throttle::failed(engine, email, attempt.peer).await?;
        tracing::info!(peer = %attempt.peer, "sign-in failed");
        return Err(EngineError::Unauthenticated);
    };
    throttle::succeeded(engine, email, attempt.peer).await?;
    begin(engine, user, &attempt.user_agent).await
}

async fn begin(engine: &Engine, user: users::User, user_agent: &str) -> Result<SignedIn, EngineError> {
    let now = engine.clock().now();
    let token = SecretString::from(URL_SAFE_NO_PAD.encode(random_bytes::<32>()?));
    let expires_at = now + IDLE;
    let session = sessions::Session {
        token_hash: hash(token.expose_secret()),
        user: user.id.clone(),
        created_at: now,
        expires_at,
        last_seen: now,
        user_agent: user_agent.chars().take(MAX_USER_AGENT_CHARS).collect(),
    };
    let tx = engine.store().begin_system(&SystemScope).await?;
    sessions::insert(&tx, &SystemScope, session).await?;
    let memberships = users::memberships(&tx, &SystemScope, &user.id).await?;
    tx.commit().await?;
    Ok(SignedIn { session_token: token, expires_at, account: account(user, memberships) })
}

/// Who a session's browser is in a tenant.
///
/// # Errors
/// [`EngineError::Unauthenticated`] for a session that is unknown or over, [`EngineError::NotFound`] for a tenant that
/// the person does not belong to, whether there is one or not.
pub async fn session(engine: &Engine, token: &str, tenant: &TenantId) -> Result<Caller, EngineError> {
    let (user, memberships) = person(engine, token).await?;
    let membership = memberships.into_iter().find(|membership| membership.tenant_id == *tenant);
    let membership = membership.ok_or_else(|| EngineError::not_found("tenant", tenant))?;
    Ok(Caller {
        scope: Scope { tenant: membership.tenant },
        tenant: membership.tenant_id,
        actor: Actor { kind: ActorKind::User, id: user.id.into(), name: user.email },
        permissions: membership.role.permissions(),
    })
}

/// Who a session's browser is, and where they may go.
///
/// # Errors
/// [`EngineError::Unauthenticated`] for a session that is unknown or over.
pub async fn tenants_of(engine: &Engine, token: &str) -> Result<Account, EngineError> {
    let (user, memberships) = person(engine, token).await?;
    Ok(account(user, memberships))
}

/// Ends a session; ending it twice is no error.
///
/// # Errors
/// [`EngineError::Unavailable`] where the database does not answer.
pub async fn sign_out(engine: &Engine, token: &str) -> Result<(), EngineError> {
    let tx = engine.store().begin_system(&SystemScope).await?;
    sessions::delete(&tx, &SystemScope, &hash(token)).await?;
    Ok(tx.commit().await?)
}

async fn person(engine: &Engine, token: &str) -> Result<(users::User, Vec<users::Membership>), EngineError> {
    if token.is_empty() || token.len() > MAX_TOKEN_BYTES {
        return Err(EngineError::Unauthenticated);
    }
    let (now, token_hash) = (engine.clock().now(), hash(token));
    let tx = engine.store().begin_system_read(&SystemScope).await?;
    let session = sessions::find(&tx, &SystemScope, &token_hash, now).await?;
    let session = session.ok_or(EngineError::Unauthenticated)?;
    let user = users::find(&tx, &SystemScope, &session.user).await?.ok_or(EngineError::Unauthenticated)?;
    let memberships = users::memberships(&tx, &SystemScope, &session.user).await?;
    drop(tx);
    if now - session.last_seen >= TOUCH_EVERY {
        let tx = engine.store().begin_system(&SystemScope).await?;
        sessions::touch(&tx, &SystemScope, &token_hash, now, now + IDLE).await?;
        tx.commit().await?;
    }
    Ok((user, memberships))
}

fn account(user: users::User, memberships: Vec<users::Membership>) -> Account {
    let tenancies = memberships.into_iter().map(|membership| Tenancy {
        tenant: membership.tenant_id,
        tenant_name: membership.tenant_name,
        role: membership.role,
    });
    Account { email: user.email, display_name: user.display_name, tenancies: tenancies.collect() }
}

/// The token is 256 random bits, so a plain hash cannot be turned back.
fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}
