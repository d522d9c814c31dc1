//! Light, dark or as the system says.

use leptos::prelude::*;
use muster_charts::Theme;
use wasm_bindgen::JsCast;
use wasm_bindgen::closure::Closure;

/// What the person chose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ThemeChoice {
    /// Always light.
    Light,
    /// Always dark.
    Dark,
    /// As the system says.
    #[default]
    System,
}

impl ThemeChoice {
    /// Every choice, in the order of the menu.
    pub const ALL: [Self; 3] = [Self::Light, Self::Dark, Self::System];

    /// The name shown to people.
    pub fn label(self) -> &'static str {
        match self {
            Self::Light => "Light",
            Self::Dark => "Dark",
            Self::System => "System",
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Light => "light",
            Self::Dark => "dark",
            Self::System => "system",
        }
    }

    fn from_word(word: &str) -> Self {
        Self::ALL.into_iter().find(|choice| choice.word() == word).unwrap_or_default()
    }

    /// The theme that this choice means on a system that is dark or not.
    pub fn resolve(self, system: Theme) -> Theme {
        match self {
            Self::Light => Theme::Light,
            Self::Dark => Theme::Dark,
            Self::System => system,
        }
    }
}

/// The choice and the theme that follows from it.
#[derive(Clone, Copy)]
pub struct ThemeState {
    /// What the person chose; changing it is remembered on this machine.
    pub choice: RwSignal<ThemeChoice>,
    /// What is drawn.
    pub theme: Memo<Theme>,
}

const STORAGE_KEY: &str = "muster.theme";

/// Reads the choice, follows the system and marks the page. Call once.
pub fn provide_theme() {
    let stored = storage().and_then(|storage| storage.get_item(STORAGE_KEY).ok().flatten());
    let choice = RwSignal::new(stored.map(|word| ThemeChoice::from_word(&word)).unwrap_or_default());
    let system = RwSignal::new(Theme::Light);
    follow_system(system);
    Effect::new(move |_| {
        let choice = choice.get();
        if let Some(storage) = storage() {
            // Without storage (private window) the choice lasts as long as the page.
            let _ = storage.set_item(STORAGE_KEY, choice.word());
        }
        if let Some(root) = document().document_element() {
            let _ = match choice {
                ThemeChoice::System => root.remove_attribute("data-theme"),
                ThemeChoice::Light | ThemeChoice::Dark => root.set_attribute("data-theme", choice.word()),
            };
        }
    });
    provide_context(ThemeState { choice, theme: Memo::new(move |_| choice.get().resolve(system.get())) });
}

/// The theme of the page.
pub fn use_theme() -> ThemeState {
    expect_context()
}

fn follow_system(system: RwSignal<Theme>) {
    let Ok(Some(query)) = window().match_media("(prefers-color-scheme: dark)") else { return };
    let theme_of = |dark: bool| if dark { Theme::Dark } else { Theme::Light };
    system.set(theme_of(query.matches()));
    let changed = Closure::<dyn Fn(web_sys::MediaQueryListEvent)>::new(move |event: web_sys::MediaQueryListEvent| {
        system.try_set(theme_of(event.matches()));
    });
    query.set_onchange(Some(changed.as_ref().unchecked_ref()));
    // The page follows the system for as long as it lives.
    changed.forget();
    std::mem::forget(query);
}

fn storage() -> Option<web_sys::Storage> {
    window().local_storage().ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_read_back_and_strange_ones_mean_system() {
        for choice in ThemeChoice::ALL {
            assert_eq!(ThemeChoice::from_word(choice.word()), choice);
        }
        assert_eq!(ThemeChoice::from_word("sepia"), ThemeChoice::System);
    }

    #[test]
    fn the_system_decides_only_when_asked() {
        assert_eq!(ThemeChoice::System.resolve(Theme::Dark), Theme::Dark);
        assert_eq!(ThemeChoice::Light.resolve(Theme::Dark), Theme::Light);
    }
}
