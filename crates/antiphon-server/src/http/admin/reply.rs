//! What the routes answer: JSON, or a problem document.

use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::response::IntoResponse;
use http::request::Parts;
use http::{HeaderValue, Response, header};
use serde::Serialize;

use crate::deployment::Refused;
use crate::http::path;
use crate::outcome::{About, Problem, Refusal};

/// What a route answers.
pub(super) type Reply = Result<Response<Body>, Wrong>;

/// A problem document. Boxed, so that answers stay small.
#[derive(Debug)]
pub(super) struct Wrong(Box<Problem>);

/// The code of the problem that an answer holds, for the log.
#[derive(Clone, Copy, Debug)]
pub(super) struct Code(pub(super) &'static str);

impl Wrong {
    /// Names the module that the problem is about.
    pub(super) fn about(mut self, module: &str) -> Self {
        self.0.module = Some(module.to_owned());
        self
    }
}

impl From<Refusal> for Wrong {
    fn from(refusal: Refusal) -> Self {
        Self(Box::new(Problem::of_refusal(&refusal, About::default())))
    }
}

impl From<Refused> for Wrong {
    fn from(refused: Refused) -> Self {
        let text = refused.to_string();
        let refusal = match refused {
            Refused::UnknownModule => Refusal::UnknownModule,
            Refused::Conflict { revision } => Refusal::RevisionWrong { revision },
            Refused::Name(_) => Refusal::BadName(text),
            Refused::Share(_) => Refusal::BadQuery(text.into()),
            Refused::Invalid(error) | Refused::ReplaceFailed(error) => {
                return Self(Box::new(Problem::of_error(&error, About::default())));
            }
            Refused::NothingToPromote | Refused::NothingToRollBack | Refused::Overtaken => {
                Refusal::Conflict(text.into())
            }
            Refused::Ending => Refusal::Stopping,
            Refused::NoVersion => Refusal::UnknownVersion,
            Refused::Storage(error) => {
                tracing::error!(%error, "an operator's change is not kept on disk");
                Refusal::Internal(text.into())
            }
        };
        refusal.into()
    }
}

impl IntoResponse for Wrong {
    fn into_response(self) -> Response<Body> {
        let code = Code(self.0.code);
        let mut response = self.0.into_response(Body::from);
        // The router knows the methods of a path, and names them itself.
        if response.headers().get(header::ALLOW).is_some_and(HeaderValue::is_empty) {
            response.headers_mut().remove(header::ALLOW);
        }
        response.extensions_mut().insert(code);
        response
    }
}

/// The name of a module in a path.
pub(super) struct Name(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Name {
    type Rejection = Wrong;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Wrong> {
        // The router's own decoder lets malformed codes through. The name is the third segment.
        let name = parts.uri.path().split('/').nth(3).unwrap_or_default();
        Ok(Self(path::decode(name)?.into_owned()))
    }
}

/// Answers with JSON.
///
/// # Errors
/// The value cannot be written, which is a fault of this build.
pub(super) fn json(value: &impl Serialize) -> Reply {
    let text = serde_json::to_vec(value).map_err(|error| Refusal::Internal(error.to_string().into()))?;
    let mut response = Response::new(Body::from(text));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}
