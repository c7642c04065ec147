//! Events and logs as server-sent events: streams that a client takes up again where it stopped.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::{Stream, stream};
use http::HeaderMap;
use serde::Serialize;
use serde_json::json;

use super::Ops;
use super::reply::{Name, Reply, Wrong};
use crate::feed::{self, LogEntry, Read, Reader};
use crate::outcome::Refusal;

/// How often a silent stream shows that it lives.
const ALIVE: Duration = Duration::from_secs(15);

/// An entry of a feed, as it is sent.
trait Entry: Serialize {
    /// Returns its number, and the name of its event.
    fn head(&self) -> (u64, &'static str);
}

impl Entry for feed::Event {
    fn head(&self) -> (u64, &'static str) {
        (self.number, "event")
    }
}

impl Entry for LogEntry {
    fn head(&self) -> (u64, &'static str) {
        (self.number, "log")
    }
}

/// Streams what happens to modules: from the event after `Last-Event-ID`, or from the oldest one
/// that is kept.
pub(super) async fn events(State(ops): State<Ops>, headers: HeaderMap) -> Reply {
    let reader = ops.modules.events().after(last(&headers)?);
    Ok(sse(&ops, reader))
}

/// Streams the lines that a module's guests write, as [`events`] does.
pub(super) async fn logs(State(ops): State<Ops>, Name(module): Name, headers: HeaderMap) -> Reply {
    let logs = ops.modules.logs(&module);
    let logs = logs.ok_or_else(|| Wrong::from(Refusal::UnknownModule).about(&module))?;
    Ok(sse(&ops, logs.after(last(&headers)?)))
}

/// Returns the number of the last entry that the client has.
fn last(headers: &HeaderMap) -> Result<u64, Refusal> {
    let Some(value) = headers.get("last-event-id") else { return Ok(0) };
    let number = value.to_str().ok().and_then(|text| text.parse().ok());
    number.ok_or(Refusal::BadHeader("Last-Event-ID", "is no number of this stream".into()))
}

fn sse<T: Entry + Send + Sync + 'static>(ops: &Ops, reader: Reader<T>) -> axum::response::Response {
    let alive = KeepAlive::new().interval(ALIVE);
    Sse::new(entries(ops, reader)).keep_alive(alive).into_response()
}

fn entries<T: Entry + Send + Sync + 'static>(
    ops: &Ops,
    reader: Reader<T>,
) -> impl Stream<Item = Result<Event, Infallible>> + use<T> {
    stream::unfold((reader, ops.stop.subscribe()), async |(mut reader, mut stop)| {
        let read = tokio::select! {
            read = reader.next() => read,
            // The server ends, and its last connections have to.
            _ = stop.wait_for(|stop| *stop) => return None,
        };
        let event = match read {
            Read::Entry(entry) => {
                let (number, name) = entry.head();
                let data = serde_json::to_string(&*entry).unwrap_or_default();
                Event::default().id(number.to_string()).event(name).data(data)
            }
            Read::Missed(count) => {
                Event::default().event("missed").data(json!({"missed": count}).to_string())
            }
        };
        Some((Ok(event), (reader, stop)))
    })
}
