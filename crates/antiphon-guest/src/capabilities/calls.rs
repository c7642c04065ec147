//! Host calls of capabilities.

use alloc::vec::Vec;
use core::time::Duration;

use antiphon_codec::{Codec, MessagePack};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Refused;
use crate::imports::{self, Target};

/// Makes a host call with a MessagePack map, and reads the map that it is answered with.
///
/// A field of the answer that is not known here is skipped, so a newer host may answer more.
pub(super) fn call<Q: Serialize, A: DeserializeOwned>(target: Target<'_>, request: &Q) -> Result<A, Refused> {
    let mut payload = Vec::new();
    MessagePack.encode_into(request, &mut payload).map_err(|error| Refused::not_asked(&error))?;
    let answered = imports::host_call(target, &payload);
    let answer = imports::host_answer(answered);
    if !answered {
        return Err(Refused::by_host(&answer));
    }
    MessagePack.decode(&answer).map_err(|error| Refused::not_understood(&error))
}

/// Returns a time in whole milliseconds, at least 1: the host takes 0 for a mistake.
pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1)
}
