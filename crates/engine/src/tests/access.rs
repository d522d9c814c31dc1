//! Bootstrap, sign-in, sessions and API tokens.

use super::*;
use crate::{
    EngineError,
    identity::{
        SignIn, api_token, session, sign_in, sign_out, tenants_of,
        tokens::{self, NewToken},
    },
};
use muster_model::{Permission, Role, TokenId};
use muster_store::{audit, users};

fn attempt(email: &str, password: &str) -> SignIn {
    let peer = std::net::IpAddr::from([192, 0, 2, 1]);
    SignIn { email: email.into(), password: password.into(), peer, user_agent: "test".into() }
}

#[tokio::test]
async fn bootstrap_makes_a_tenant_once() {
    let home = Home::new().await;
    let first = home.tenant("plant").await;
    let again = tenants::bootstrap(&home.engine, wanted("plant")).await.expect("found");
    assert!(again.api_token.is_none());
    assert_eq!(again.id_scope, first.made.id_scope);
    assert_eq!(again.keys, first.made.keys);
    assert_eq!(again.enrollment_group.as_str(), "SAS-IoT-Devices");
    assert_eq!(again.hub_host, HOST);
    let scope = &first.admin.scope;
    let tx = home.engine.store().begin_read(scope).await.expect("a transaction");
    let members = users::list_members(&tx, scope, muster_store::Paging::first(10)).await.expect("members");
    assert_eq!(members.items.len(), 1);
    assert_eq!(members.items[0].user.email, "admin@plant.example");
    let log = audit::list(&tx, scope, &Default::default(), muster_store::Paging::first(100)).await.expect("a log");
    let kinds: Vec<_> = log.items.iter().map(|entry| entry.kind.as_str()).collect();
    for kind in ["tenant", "user", "enrollmentGroup", "apiToken"] {
        assert!(kinds.contains(&kind), "{kind}: {kinds:?}");
    }
    drop(tx);
    home.end().await;
}

#[tokio::test]
async fn bootstrap_refuses_what_nobody_could_use() {
    let home = Home::new().await;
    for (name, email, password) in
        [("", "a@b.example", PASSWORD), ("Plant", "nobody", PASSWORD), ("Plant", "a@b.example", "short")]
    {
        let wanted = Bootstrap {
            name: name.into(),
            admin_email: email.into(),
            admin_password: password.into(),
            ..wanted("plant")
        };
        let refused = tenants::bootstrap(&home.engine, wanted).await;
        assert!(matches!(refused, Err(EngineError::Invalid { .. })), "{name} {email} {password}");
    }
    home.end().await;
}

#[tokio::test]
async fn a_session_leads_into_the_tenants_of_its_person_only() {
    let home = Home::new().await;
    home.tenant("plant").await;
    home.tenant("other").await;
    let signed_in = sign_in(&home.engine, attempt(" Admin@Plant.example ", PASSWORD)).await.expect("signed in");
    assert_eq!(signed_in.account.tenancies.len(), 1);
    let token = signed_in.session_token.expose_secret();
    let plant = TenantId::parse("plant").expect("an id");
    let caller = session(&home.engine, token, &plant).await.expect("a caller");
    assert_eq!(caller.actor.name, "admin@plant.example");
    assert!(caller.require(Permission::TenantManage).is_ok());
    for tenant in ["other", "nowhere"] {
        let tenant = TenantId::parse(tenant).expect("an id");
        let refused = session(&home.engine, token, &tenant).await;
        assert!(matches!(refused, Err(EngineError::NotFound { .. })), "{tenant}");
    }
    assert_eq!(tenants_of(&home.engine, token).await.expect("an account"), signed_in.account);

    sign_out(&home.engine, token).await.expect("signed out");
    for token in [token, "", "forged", &"x".repeat(4_096)] {
        assert!(matches!(session(&home.engine, token, &plant).await, Err(EngineError::Unauthenticated)));
    }
    home.end().await;
}

#[tokio::test]
async fn a_session_ends_when_it_is_not_used() {
    let home = Home::new().await;
    home.tenant("plant").await;
    let signed_in = sign_in(&home.engine, attempt("admin@plant.example", PASSWORD)).await.expect("signed in");
    let token = signed_in.session_token.expose_secret();
    home.advance(Duration::days(6));
    tenants_of(&home.engine, token).await.expect("used");
    home.advance(Duration::days(6));
    tenants_of(&home.engine, token).await.expect("used again");
    home.advance(Duration::days(8));
    assert!(matches!(tenants_of(&home.engine, token).await, Err(EngineError::Unauthenticated)));
    home.end().await;
}

#[tokio::test]
async fn wrong_passwords_and_unknown_accounts_look_alike_and_are_slowed() {
    let home = Home::new().await;
    home.tenant("plant").await;
    for email in ["admin@plant.example", "nobody@plant.example"] {
        for _ in 0..10 {
            let refused = sign_in(&home.engine, attempt(email, "wrong password")).await;
            assert!(matches!(refused, Err(EngineError::Unauthenticated)), "{email}");
        }
        let refused = sign_in(&home.engine, attempt(email, PASSWORD)).await;
        assert!(matches!(refused, Err(EngineError::TooMany { .. })), "{email}: even the right one has to wait");
    }
    home.advance(Duration::minutes(6));
    sign_in(&home.engine, attempt("admin@plant.example", PASSWORD)).await.expect("free again");
    home.end().await;
}

#[tokio::test]
async fn a_token_is_refused_when_edited_expired_or_revoked() {
    let home = Home::new().await;
    let tenant = home.tenant("plant").await;
    let expires_at = Some(home.engine.clock().now() + Duration::hours(1));
    let id = TokenId::parse("ci").expect("an id");
    let new = NewToken { id: id.clone(), role: Role::Viewer, expires_at };
    let made = tokens::create(&home.engine, &tenant.admin, new.clone()).await.expect("a token");
    let text = made.text.expose_secret();
    assert!(!format!("{made:?}").contains(&text[30..60]), "no secret in Debug");
    let caller = api_token(&home.engine, text).await.expect("a caller");
    assert_eq!(caller.tenant.as_str(), "plant");
    assert!(caller.require(Permission::DevicesView).is_ok());
    assert!(caller.require(Permission::DevicesUpdate).is_err());

    let edited = [
        text.replace("sr=plant", "sr=other"),
        text.replace("skn=ci", "skn=bootstrap"),
        text.replace("se=1", "se=2"),
        text.replace("sig=", "sig=AAAA"),
        "SharedAccessSignature sr=plant&sig=&skn=ci&se=1".into(),
        "Bearer x".into(),
        String::new(),
    ];
    for text in edited {
        assert!(matches!(api_token(&home.engine, &text).await, Err(EngineError::Unauthenticated)), "{text}");
    }
    assert!(matches!(tokens::create(&home.engine, &tenant.admin, new).await, Err(EngineError::Conflict { .. })));
    let more = NewToken { id: TokenId::parse("more").expect("an id"), role: Role::Administrator, expires_at: None };
    assert!(matches!(tokens::create(&home.engine, &caller, more).await, Err(EngineError::Denied(_))));

    home.advance(Duration::hours(2));
    assert!(matches!(api_token(&home.engine, text).await, Err(EngineError::Unauthenticated)), "expired");
    let admin = tenant.made.api_token.expect("a token");
    tokens::delete(&home.engine, &tenant.admin, &TokenId::parse("bootstrap").expect("an id")).await.expect("deleted");
    assert!(matches!(api_token(&home.engine, admin.expose_secret()).await, Err(EngineError::Unauthenticated)));
    home.end().await;
}
