//! Why a device may not connect, for the log and the operator; the device itself is told nothing of it.

use muster_model::event::FailureCode;

/// Why a device was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It looks for another hub.
    #[error("the username names another hub")]
    OtherHub,
    /// It names a module that there is not.
    #[error("the module is not known")]
    UnknownModule,
    /// It shows nothing.
    #[error("there is neither token nor certificate")]
    NoCredential,
    /// Its password is no token.
    #[error("the password is no token")]
    BadToken,
    /// Its token is too old.
    #[error("the token has expired")]
    TokenExpired,
    /// Its token is for something else.
    #[error("the token is for another device")]
    TokenForAnother,
    /// Its certificate is not the one.
    #[error("no device has this id and certificate")]
    WrongCertificate,
    /// Its token is signed with another key.
    #[error("no device has this id and key")]
    WrongKey,
    /// More than one device has what it shows.
    #[error("devices of several tenants have this id and credential")]
    Ambiguous,
    /// It may not connect.
    #[error("the device is blocked")]
    Blocked,
}

impl Refusal {
    /// What the device's history says; nothing where it is not the device's failure.
    pub(crate) fn code(self) -> Option<FailureCode> {
        Some(match self {
            Self::OtherHub | Self::Ambiguous => return None,
            Self::UnknownModule => FailureCode::UnknownModule,
            Self::NoCredential => FailureCode::NoCredential,
            Self::BadToken => FailureCode::BadToken,
            Self::TokenExpired => FailureCode::TokenExpired,
            Self::TokenForAnother => FailureCode::TokenForAnother,
            Self::WrongCertificate => FailureCode::WrongCertificate,
            Self::WrongKey => FailureCode::WrongKey,
            Self::Blocked => FailureCode::Blocked,
        })
    }
}
