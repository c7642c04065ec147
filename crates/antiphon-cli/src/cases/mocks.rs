//! The host calls that a case answers, and what became of them.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use antiphon::{Bytes, HostCall, HostCallError, HostHandler};
use serde::Deserialize;

use crate::args::Pattern;
use crate::lock::lock;
use crate::payload::{Payload, Unfit};

/// The most refused host calls of a case that are kept.
const REFUSED: usize = 10;
/// The most characters of a payload that are kept of a refused host call.
const SHOWN: usize = 300;

/// A host call that the case answers.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Mock {
    /// `BINDING/NAMESPACE/OPERATION`, as in `--host-call`.
    call: Pattern,
    /// The payload that the guest must send; any payload if absent.
    pub(super) payload: Option<Payload>,
    pub(super) answer: Option<Payload>,
    error: Option<String>,
}

/// Answers host calls as the case says.
#[derive(Clone, Debug)]
pub(crate) struct Mocks(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    loaded: Vec<Loaded>,
    /// The form in which payloads are shown.
    form: Payload,
    refused: Mutex<Vec<Refused>>,
}

#[derive(Debug)]
struct Loaded {
    call: Pattern,
    payload: Option<(Payload, Vec<u8>)>,
    answer: Result<Bytes, String>,
    used: AtomicBool,
}

/// A host call that no answer matched.
#[derive(Clone, Debug)]
struct Refused {
    call: String,
    payload: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "host call {} refused; its payload: {}", self.call, self.payload)
    }
}

impl Mock {
    fn load(&self) -> Result<Loaded, Unfit> {
        let answer = match (&self.answer, &self.error) {
            (Some(answer), None) => Ok(answer.bytes()?.into()),
            (None, Some(error)) => Err(error.clone()),
            _ => return Err(Unfit("a [[case.host]] needs an answer or an error, not both".to_owned())),
        };
        let with_bytes = |payload: &Payload| Ok((payload.clone(), payload.bytes()?));
        let payload = self.payload.as_ref().map(with_bytes).transpose()?;
        Ok(Loaded { call: self.call.clone(), payload, answer, used: AtomicBool::new(false) })
    }
}

impl Mocks {
    /// Prepares the answers. A refused payload is shown in the form of the payload that was
    /// expected, or in `form`.
    pub(super) fn load(mocks: &[Mock], form: &Payload) -> Result<Self, Unfit> {
        let loaded = mocks.iter().map(Mock::load).collect::<Result<_, _>>()?;
        Ok(Self(Arc::new(Inner { loaded, form: form.clone(), refused: Mutex::default() })))
    }

    /// Names the answers that no host call used.
    pub(super) fn unused(&self) -> Vec<String> {
        let unused = self.0.loaded.iter().filter(|mock| !mock.used.load(Ordering::Relaxed));
        unused.map(|mock| format!("no host call used the answer to {}", mock.call)).collect()
    }

    /// Describes the host calls that were refused.
    pub(super) fn refused(&self) -> Vec<String> {
        lock(&self.0.refused).iter().map(Refused::to_string).collect()
    }
}

impl HostHandler for Mocks {
    fn handle(&self, call: HostCall<'_>) -> Result<Bytes, HostCallError> {
        let HostCall { binding, namespace, operation, payload, .. } = call;
        let mut expected = None;
        for mock in self.0.loaded.iter().filter(|mock| mock.call.matches([binding, namespace, operation])) {
            if mock.payload.as_ref().is_none_or(|(_, expected)| expected == payload) {
                mock.used.store(true, Ordering::Relaxed);
                return mock.answer.clone().map_err(HostCallError::new);
            }
            expected = expected.or(mock.payload.as_ref().map(|(form, _)| form));
        }
        let call = format!("{binding}/{namespace}/{operation}");
        let text = format!("host call {call} refused: no [[case.host]] matches it and its payload");
        let mut refused = lock(&self.0.refused);
        if refused.len() < REFUSED {
            let payload = expected.unwrap_or(&self.0.form).alike(payload).line(SHOWN);
            refused.push(Refused { call, payload });
        }
        Err(HostCallError::new(text))
    }
}
