//! Why the hub can not serve.

use muster_engine::EngineError;

/// An error of the hub as a whole; what goes wrong with one connection ends that connection.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// The engine does not give what the hub needs.
    #[error("hub can not start")]
    Engine(#[from] EngineError),
    /// A certificate or its key can not be used.
    #[error("certificate can not be used")]
    Certificate(#[from] rustls::Error),
    /// A listener can not be used.
    #[error("hub can not listen")]
    Listen(#[from] std::io::Error),
}
