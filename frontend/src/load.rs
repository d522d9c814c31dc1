//! Loading: every page's data is one of three states, and all three are drawn.

use std::future::Future;

use leptos::prelude::*;
use leptos::task::spawn_local;

use crate::api::ApiError;

/// Where a request stands.
#[derive(Clone, Debug, PartialEq)]
pub enum Load<T> {
    /// On its way for the first time.
    Loading,
    /// Here; kept while a newer answer is on its way.
    Ready(T),
    /// Refused or lost.
    Failed(ApiError),
}

/// A request that runs again when a signal read by it changes, or when it is told to.
pub struct Loader<T: Send + Sync + 'static> {
    /// Where it stands.
    pub state: RwSignal<Load<T>>,
    version: RwSignal<u64>,
}

impl<T: Send + Sync + 'static> Clone for Loader<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: Send + Sync + 'static> Copy for Loader<T> {}

impl<T: Clone + Send + Sync + 'static> Loader<T> {
    /// Starts the request. An answer that was overtaken by a later request is dropped.
    pub fn new<Answer>(request: impl Fn() -> Answer + 'static) -> Self
    where
        Answer: Future<Output = Result<T, ApiError>> + 'static,
    {
        let state = RwSignal::new(Load::Loading);
        let version = RwSignal::new(0_u64);
        let started = StoredValue::new(0_u64);
        Effect::new(move |_| {
            version.track();
            let answer = request();
            let number = started.get_value() + 1;
            started.set_value(number);
            spawn_local(async move {
                let answer = answer.await;
                if started.try_get_value() == Some(number) {
                    state.try_set(match answer {
                        Ok(value) => Load::Ready(value),
                        Err(error) => Load::Failed(error),
                    });
                }
            });
        });
        Self { state, version }
    }

    /// Asks again; what is shown stays until the answer is here.
    pub fn reload(&self) {
        self.version.try_update(|version| *version += 1);
    }

    /// Asks again and shows that it is loading.
    pub fn retry(&self) {
        self.state.try_set(Load::Loading);
        self.reload();
    }

    /// The value, once it is here.
    pub fn value(&self) -> Option<T> {
        self.state.with(|state| match state {
            Load::Ready(value) => Some(value.clone()),
            Load::Loading | Load::Failed(_) => None,
        })
    }

    /// Changes the value in place, for example after a change was saved.
    pub fn change(&self, change: impl FnOnce(&mut T)) {
        self.state.try_update(|state| {
            if let Load::Ready(value) = state {
                change(value);
            }
        });
    }
}
