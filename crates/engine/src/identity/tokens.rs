//! API tokens, in the text form of IoT Central:
//! `SharedAccessSignature sr={tenant}&sig={256 random bits}&skn={token id}&se={expiry, milliseconds}`.
//!
//! The signature is no signature but a secret: only its SHA-256 is stored. What the text says besides must be what is
//! stored, so an edited token is refused.

use crate::{Engine, EngineError, audit, notices::NoticeKind, secrets::random_bytes};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use chrono::{DateTime, Duration, DurationRound, Utc};
use muster_model::{Actor, ActorKind, Caller, Permission, Role, Scope, SystemScope, TokenId, wire::sas};
use muster_store::{Page, Paging, tokens};
use secrecy::SecretString;
use serde_json::{Map, json};
use sha2::{Digest, Sha256};

pub use muster_store::tokens::ApiToken;

/// How long a token holds where nothing is said.
pub const DEFAULT_VALIDITY: Duration = Duration::days(365);
/// A token's use is noted at most this often.
const TOUCH_EVERY: Duration = Duration::minutes(1);

/// A token to be made.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// Its id.
    pub id: TokenId,
    /// What it may do; no more than its maker.
    pub role: Role,
    /// Until when it holds; a year where absent.
    pub expires_at: Option<DateTime<Utc>>,
}

/// A token and, this once, its text.
#[derive(Debug)]
pub struct CreatedToken {
    /// The token.
    pub token: ApiToken,
    /// What is put into the `Authorization` header.
    pub text: SecretString,
}

/// Makes a token.
///
/// # Errors
/// [`EngineError::Conflict`] where the id is taken, [`EngineError::Denied`] where the role may more than the caller.
pub async fn create(engine: &Engine, caller: &Caller, new: NewToken) -> Result<CreatedToken, EngineError> {
    caller.require(Permission::TokensManage)?;
    if caller.permissions.union(new.role.permissions()) != caller.permissions {
        return Err(EngineError::denied(Permission::TokensManage));
    }
    let now = engine.clock().now();
    if new.expires_at.is_some_and(|expires_at| expires_at <= now) {
        return Err(EngineError::invalid("expiry", "the expiry of an API token lies in the past"));
    }
    let made = make(new, caller, now)?;
    let tx = engine.store().begin(&caller.scope).await?;
    insert(&tx, engine, caller, &made).await?;
    tx.commit().await?;
    Ok(made.created)
}

/// A token that is not stored yet.
pub(crate) struct Made {
    pub(crate) created: CreatedToken,
    hash: [u8; 32],
}

pub(crate) fn make(new: NewToken, caller: &Caller, now: DateTime<Utc>) -> Result<Made, EngineError> {
    let expires_at = new.expires_at.unwrap_or(now + DEFAULT_VALIDITY);
    // The text says milliseconds; what is stored must be the same.
    let expires_at = expires_at.duration_trunc(Duration::milliseconds(1)).unwrap_or(expires_at);
    let secret = random_bytes::<32>()?;
    let signature = BASE64.encode(secret).replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
    let text = format!(
        "SharedAccessSignature sr={}&sig={signature}&skn={}&se={}",
        caller.tenant,
        new.id,
        expires_at.timestamp_millis()
    );
    let token = ApiToken { id: new.id, role: new.role, created_at: now, expires_at: Some(expires_at), last_used: None };
    Ok(Made { created: CreatedToken { token, text: text.into() }, hash: Sha256::digest(secret).into() })
}

pub(crate) async fn insert(
    tx: &muster_store::Tx,
    engine: &Engine,
    caller: &Caller,
    made: &Made,
) -> Result<(), EngineError> {
    let token = &made.created.token;
    tokens::insert(tx, &caller.scope, token.clone(), &made.hash).await?;
    let details = Map::from_iter([("role".to_owned(), json!(token.role))]);
    audit::record(tx, engine, caller, audit::Entry::new("created", "apiToken", &token.id).with(details)).await
}

/// The tenant's tokens in the order of their ids.
///
/// # Errors
/// [`EngineError::Denied`].
pub async fn list(engine: &Engine, caller: &Caller, paging: Paging<TokenId>) -> Result<Page<ApiToken>, EngineError> {
    caller.require(Permission::TokensView)?;
    let tx = engine.store().begin_read(&caller.scope).await?;
    Ok(tokens::list(&tx, &caller.scope, paging).await?)
}

/// The token.
///
/// # Errors
/// [`EngineError::NotFound`], [`EngineError::Denied`].
pub async fn get(engine: &Engine, caller: &Caller, id: &TokenId) -> Result<ApiToken, EngineError> {
    caller.require(Permission::TokensView)?;
    let tx = engine.store().begin_read(&caller.scope).await?;
    Ok(tokens::get(&tx, &caller.scope, id).await?)
}

/// Revokes a token.
///
/// # Errors
/// [`EngineError::NotFound`], [`EngineError::Denied`].
pub async fn delete(engine: &Engine, caller: &Caller, id: &TokenId) -> Result<(), EngineError> {
    caller.require(Permission::TokensManage)?;
    let tx = engine.store().begin(&caller.scope).await?;
    tokens::delete(&tx, &caller.scope, id).await?;
    audit::record(&tx, engine, caller, audit::Entry::new("deleted", "apiToken", id)).await?;
    tx.commit().await?;
    engine.notify(caller.scope.tenant, NoticeKind::Access, id).await;
    Ok(())
}

/// Who shows this token.
///
/// # Errors
/// [`EngineError::Unauthenticated`] for a token that is unknown, altered, expired or revoked.
pub async fn api_token(engine: &Engine, text: &str) -> Result<Caller, EngineError> {
    let shown = sas::Token::parse(text).map_err(|_| EngineError::Unauthenticated)?;
    let (now, hash) = (engine.clock().now(), Sha256::digest(&shown.sig).into());
    let tx = engine.store().begin_system_read(&SystemScope).await?;
    let owner = tokens::find_by_hash(&tx, &SystemScope, &hash).await?.ok_or(EngineError::Unauthenticated)?;
    drop(tx);
    let token = owner.token;
    let said = shown.sr == owner.tenant_id.as_str()
        && shown.skn.as_deref() == Some(token.id.as_str())
        && token.expires_at.is_none_or(|expires_at| expires_at.timestamp_millis() == shown.se && expires_at > now);
    if !said {
        return Err(EngineError::Unauthenticated);
    }
    if token.last_used.is_none_or(|last_used| now - last_used >= TOUCH_EVERY) {
        let tx = engine.store().begin_system(&SystemScope).await?;
        tokens::touch(&tx, &SystemScope, &hash, now).await?;
        tx.commit().await?;
    }
    Ok(Caller {
        scope: Scope { tenant: owner.tenant },
        tenant: owner.tenant_id,
        actor: Actor { kind: ActorKind::ApiToken, id: token.id.to_string(), name: token.id.into() },
        permissions: token.role.permissions(),
    })
}
