//! Modules as resources: read, deploy, promote, roll back, drain, remove.

use std::sync::Arc;

use axum::extract::{Query, Request, State};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, Uri, header};
use serde::Deserialize;
use serde_json::json;

use super::reply::{self, Name, Reply, Wrong};
use super::{Ops, etag};
use crate::deployment::{Deploy, Refused};
use crate::desired::Digest;
use crate::http::body;
use crate::http::connection::Watch;
use crate::outcome::Refusal;
use crate::settings::Settings;

/// The most bytes of an upload. The limit of the module's own settings may be lower.
const UPLOAD: u64 = 64 << 20;
/// The most bytes of a document.
const DOCUMENT: u64 = 256 << 10;
/// The most bytes of a note.
const NOTE: usize = 1024;

/// Lists all modules.
pub(super) async fn list(State(ops): State<Ops>) -> Reply {
    reply::json(&json!({"modules": ops.modules.list()}))
}

/// Describes a module, with its revision as the entity tag.
pub(super) async fn one(State(ops): State<Ops>, Name(module): Name) -> Reply {
    status(&ops, &module, StatusCode::OK)
}

fn status(ops: &Ops, module: &str, code: StatusCode) -> Reply {
    let found = ops.modules.status(module);
    let status = found.ok_or_else(|| Wrong::from(Refusal::UnknownModule).about(module))?;
    let mut response = reply::json(&status)?;
    *response.status_mut() = code;
    response.headers_mut().insert(header::ETAG, etag::of(status.revision));
    Ok(response)
}

/// What an operator says about a deploy, in the query.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    /// The share of calls that a canary gets, in percent.
    share: Option<u8>,
    /// What the bytes have to hash to.
    digest: Option<Digest>,
    note: Option<String>,
    /// What the version runs with. It has no form in a query.
    settings: Option<Settings>,
}

impl Wish {
    /// # Errors
    /// A parameter is unknown, stands there twice, or has no value of its kind.
    fn read(uri: &Uri) -> Result<Self, Refusal> {
        // The text of the error would quote the query.
        let Query(wish) = Query::<Self>::try_from_uri(uri).map_err(|_| {
            Refusal::BadQuery("it takes share (1 to 99), digest (sha256:...) and note, each once".into())
        })?;
        wish.check().map_err(|text| Refusal::BadQuery(text.into()))
    }

    /// Reads a document of these members.
    ///
    /// # Errors
    /// As those of [`read`](Self::read).
    fn parse(document: &[u8]) -> Result<Self, Refusal> {
        let wish: Self =
            serde_json::from_slice(document).map_err(|error| Refusal::BadBody(error.to_string().into()))?;
        wish.check().map_err(|text| Refusal::BadBody(text.into()))
    }

    fn check(self) -> Result<Self, &'static str> {
        if self.share.is_some_and(|share| !(1..=99).contains(&share)) {
            return Err("share is not from 1 to 99 percent");
        }
        if self.note.as_ref().is_some_and(|note| note.len() > NOTE || note.chars().any(char::is_control)) {
            return Err("note is over 1,024 bytes, or has control characters");
        }
        Ok(self)
    }

    fn deploy(self, bytes: Bytes) -> Deploy {
        let mut deploy = Deploy::new(bytes);
        (deploy.share, deploy.digest, deploy.note) = (self.share, self.digest, self.note);
        deploy.settings = self.settings;
        deploy
    }
}

/// Deploys the bytes of the body: for all calls, or as a canary with `?share=`.
pub(super) async fn deploy(State(ops): State<Ops>, Name(module): Name, request: Request) -> Reply {
    let connection = request.extensions().get::<Arc<Watch>>().cloned();
    let (wish, expected, bytes) = match read(&ops, &module, request).await {
        Ok(read) => read,
        Err(refusal) => {
            // The body may still be on its way.
            if let Some(connection) = connection {
                connection.leave_unread();
            }
            return Err(Wrong::from(refusal).about(&module));
        }
    };
    let done = ops.modules.deploy(&module, wish.deploy(bytes), expected).await;
    let code = if expected == Some(0) { StatusCode::CREATED } else { StatusCode::OK };
    after(&ops, &module, done, code)
}

/// Checks what can be checked before the body is read, and reads it.
async fn read(ops: &Ops, module: &str, request: Request) -> Result<(Wish, Option<u64>, Bytes), Refusal> {
    let wish = Wish::read(request.uri())?;
    let expected = etag::expected(request.headers())?;
    let revision = ops.modules.status(module).map_or(0, |status| status.revision);
    // Again checked when the change is made. Here it saves an upload that would be for nothing.
    if expected.map_or(revision == 0, |expected| expected != revision) {
        return Err(Refusal::RevisionWrong { revision });
    }
    let bounds = body::Bounds { bytes: UPLOAD, time: ops.patience };
    let bytes = body::read(request.into_body(), bounds).await?;
    Ok((wish, expected, bytes))
}

/// Answers a change with the state after it.
fn after(ops: &Ops, module: &str, done: Result<u64, Refused>, code: StatusCode) -> Reply {
    done.map_err(|refused| Wrong::from(refused).about(module))?;
    status(ops, module, code)
}

/// Serves a version that the server has already with other settings. The body is a JSON object with
/// `settings`, and with `digest`, `share` and `note` as in a deploy.
pub(super) async fn put(State(ops): State<Ops>, Name(module): Name, request: Request) -> Reply {
    let connection = request.extensions().get::<Arc<Watch>>().cloned();
    let about = |wrong: Wrong| wrong.about(&module);
    let expected = etag::expected(request.headers());
    let bounds = body::Bounds { bytes: DOCUMENT, time: ops.patience };
    let document = match expected {
        Ok(_) => body::read(request.into_body(), bounds).await,
        Err(ref refusal) => Err(refusal.clone()),
    };
    if let (Err(_), Some(connection)) = (&document, connection) {
        connection.leave_unread();
    }
    let wish =
        document.and_then(|document| Wish::parse(&document)).map_err(|refusal| about(refusal.into()))?;
    let expected = expected.map_err(|refusal| about(refusal.into()))?;
    let bytes = ops.modules.bytes(&module, wish.digest).await.map_err(|refused| about(refused.into()))?;
    let done = ops.modules.deploy(&module, wish.deploy(bytes), expected).await;
    after(&ops, &module, done, StatusCode::OK)
}

/// Makes the canary the version that serves.
pub(super) async fn promote(State(ops): State<Ops>, Name(module): Name, headers: HeaderMap) -> Reply {
    let done = ops.modules.promote(&module, etag::expected(&headers)?).await;
    after(&ops, &module, done, StatusCode::OK)
}

/// Ends the canary, or goes back to the version before.
pub(super) async fn rollback(State(ops): State<Ops>, Name(module): Name, headers: HeaderMap) -> Reply {
    let done = ops.modules.rollback(&module, etag::expected(&headers)?).await;
    after(&ops, &module, done, StatusCode::OK)
}

/// Ends the calls of a module.
pub(super) async fn drain(State(ops): State<Ops>, Name(module): Name, headers: HeaderMap) -> Reply {
    let done = ops.modules.drain(&module, etag::expected(&headers)?).await;
    after(&ops, &module, done, StatusCode::OK)
}

/// Tries quarantined versions again.
pub(super) async fn retry(State(ops): State<Ops>, Name(module): Name, headers: HeaderMap) -> Reply {
    let done = ops.modules.retry(&module, etag::expected(&headers)?).await;
    after(&ops, &module, done, StatusCode::OK)
}

/// Removes a module.
pub(super) async fn remove(State(ops): State<Ops>, Name(module): Name, headers: HeaderMap) -> Reply {
    let done = ops.modules.remove(&module, etag::expected(&headers)?).await;
    done.map_err(|refused| Wrong::from(refused).about(&module))?;
    let mut response = axum::response::Response::default();
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
}
