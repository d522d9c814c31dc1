//! Signing in. It takes the place of any page, so that the address a person wanted is where they arrive.

use leptos::prelude::*;
use leptos::task::spawn_local;
use muster_contract::session::SignIn;

use crate::api::ApiError;
use crate::components::fields::TextField;
use crate::components::icon::{Icon, brand_mark, icon};
use crate::session::use_session;

/// The sign-in form.
#[component]
pub fn SignInPage() -> impl IntoView {
    let session = use_session();
    let email = RwSignal::new(String::new());
    let password = RwSignal::new(String::new());
    let busy = RwSignal::new(false);
    let problem = RwSignal::new(None::<String>);
    document().set_title("Sign in · Muster");
    let submit = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        if busy.get_untracked() {
            return;
        }
        busy.set(true);
        problem.set(None);
        spawn_local(async move {
            let sign_in = SignIn { email: email.get_untracked().trim().to_owned(), password: password.get_untracked() };
            if let Err(error) = session.sign_in(sign_in).await {
                password.set(String::new());
                problem.set(Some(words(&error)));
            }
            busy.set(false);
        });
    };
    view! {
        <div class="gate">
            <aside class="gate-art">
                <span class="brand">{brand_mark()} "Muster"</span>
                <div>
                    <h2>"Your devices, at a glance."</h2>
                    <p>"Connect, watch and manage devices. Live charts, rules that read like sentences, alerts that reach you in time."</p>
                </div>
                <svg class="wave" viewBox="0 0 600 120" preserveAspectRatio="none" aria-hidden="true">
                    <path
                        d="M0 80C40 76 60 40 100 44S160 96 200 88 260 24 300 30 360 92 400 84 470 36 500 40 560 74 600 52"
                        fill="none"
                        stroke="#6f94ff"
                        stroke-width="2.5"
                        vector-effect="non-scaling-stroke"
                    ></path>
                    <path
                        d="M0 100C50 96 80 78 120 82S200 104 240 98 320 66 360 72 440 100 480 94 560 80 600 84"
                        fill="none"
                        stroke="#2fb9a8"
                        stroke-width="2.5"
                        vector-effect="non-scaling-stroke"
                    ></path>
                </svg>
            </aside>
            <main class="gate-form">
                <form on:submit=submit>
                    <h1>"Sign in"</h1>
                    <p>"With the e-mail address and password of your account."</p>
                    {move || {
                        problem
                            .get()
                            .map(|text| {
                                view! { <div class="notice" data-tone="bad" role="alert">{icon(Icon::Alert)} <div>{text}</div></div> }
                            })
                    }}
                    <TextField label="E-mail address" value=email kind="email" autocomplete="username" required=true first=true />
                    <TextField label="Password" value=password kind="password" autocomplete="current-password" required=true />
                    <button type="submit" class="button" data-kind="primary" disabled=move || busy.get()>
                        {move || if busy.get() { "Signing in …" } else { "Sign in" }}
                    </button>
                </form>
            </main>
        </div>
    }
}

fn words(error: &ApiError) -> String {
    match error {
        ApiError::SignedOut => "The e-mail address or the password is wrong.".to_owned(),
        other => other.to_string(),
    }
}
