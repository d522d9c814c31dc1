//! Device messages on their way into the store: [`ingress`] gathers and sends them, the worker stores them, evaluates
//! rules on their values and tells whoever looks.

mod alarm;
mod fleet;
pub mod ingress;
mod latest;
mod worker;

pub use ingress::{Ack, AckSink, Ingress, IngressError, Refused, Slot};
pub use latest::Latest;
pub use worker::start as start_worker;
