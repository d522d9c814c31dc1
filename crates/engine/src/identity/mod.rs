//! Who asks: sign-in, sessions, API tokens.

mod passwords;
mod sessions;
mod throttle;
pub mod tokens;

pub use sessions::{Account, SignIn, SignedIn, Tenancy, session, sign_in, sign_out, tenants_of};
pub use tokens::api_token;

pub(crate) use passwords::{Passwords, check_new};
