//! Direct methods that a connection has given to its device and that are not answered, whatever protocol it speaks.

use muster_engine::methods;
use muster_model::push::{MethodCall, MethodOutcome};
use std::collections::HashMap;

/// Methods that may be open on a connection; a device that has so many does not answer any.
const MAX_OPEN: usize = 128;

/// The open calls of one connection, by the request id that its device is given.
#[derive(Default)]
pub(crate) struct Calls {
    open: HashMap<String, MethodCall>,
}

impl Calls {
    /// Takes a call; its request id. A call beyond the bound comes back.
    pub(crate) fn open(&mut self, call: MethodCall, now_ms: i64) -> Result<String, MethodCall> {
        if self.open.len() >= MAX_OPEN {
            self.open.retain(|_, call| call.expires_ms > now_ms);
        }
        if self.open.len() >= MAX_OPEN {
            return Err(call);
        }
        let rid = call.request.simple().to_string();
        self.open.insert(rid.clone(), call);
        Ok(rid)
    }

    /// What the device answered, and to which call; nothing where nobody asked, or nobody waits any more.
    pub(crate) fn answered(&mut self, rid: &str, status: i64, payload: &[u8]) -> Option<(MethodCall, MethodOutcome)> {
        let call = self.open.remove(rid)?;
        if self.open.is_empty() {
            // An idle connection keeps nothing.
            self.open = HashMap::new();
        }
        Some((call, methods::outcome(status, payload)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn call(expires_ms: i64) -> MethodCall {
        MethodCall {
            request: Uuid::now_v7(),
            reply_to: "hub-1".into(),
            name: "reboot".into(),
            payload: "null".into(),
            expires_ms,
        }
    }

    #[test]
    fn an_answer_finds_its_call_once() {
        let mut calls = Calls::default();
        let rid = calls.open(call(10), 0).expect("room");
        assert_eq!(calls.answered("another", 200, b""), None);
        let (_, outcome) = calls.answered(&rid, -1, b"{}").expect("an open call");
        assert_eq!(outcome, MethodOutcome::Answered { status: -1, payload: "{}".into() });
        assert_eq!(calls.answered(&rid, 200, b""), None);
    }

    #[test]
    fn calls_that_are_over_make_room() {
        let mut calls = Calls::default();
        for _ in 0..MAX_OPEN {
            calls.open(call(10), 0).expect("room");
        }
        assert!(calls.open(call(20), 9).is_err());
        assert!(calls.open(call(20), 10).is_ok());
    }
}
