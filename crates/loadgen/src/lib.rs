//! Devices by the thousand, over MQTT 3.1.1: a load generator with a latency histogram and a JSON report.
//!
//! It speaks to any broker, so that ours can be compared with others under the same load; given the key of an
//! enrollment group, its devices provision themselves as real ones do. It measures from outside and knows nothing
//! about the server.

mod connection;
mod device;
mod endpoint;
mod fleet;
mod methods;
mod payload;
mod provision;
mod reconnect;
mod report;
mod simulate;

pub use endpoint::Endpoint;
pub use fleet::{Activity, DeviceLogin, Fleet, LoadConfig, Quality, churn, run};
pub use methods::Service;
pub use payload::Payload;
pub use provision::{Group, provision, provisioned};
pub use report::LoadReport;
pub use simulate::{SimulateArgs, simulate};
