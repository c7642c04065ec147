//! Log lines of guests, with a level and fields.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use antiphon::{Bytes, HostCall};
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize};

use crate::gate::{Rate, ServeAtOnce};
use crate::routes::no_operation;
use crate::wire::{Done, read};
use crate::{Backends, CallInfo, Code, Fault, LoggingGrant, text};

/// The longest message, and the longest fields of one line in JSON, in bytes.
const LONGEST: usize = 8 << 10;
const MOST_FIELDS: usize = 32;

/// How serious a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Every step.
    Trace,
    /// What helps to find a fault.
    Debug,
    /// What an operator wants to see.
    Info,
    /// What may become a fault.
    Warn,
    /// A fault.
    Error,
}

impl Level {
    /// Returns the level's name in lower case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// One line that a guest logged. Control characters in the message and the fields are escaped, and
/// their lengths are bounded.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct GuestLine<'a> {
    /// How serious it is.
    pub level: Level,
    /// The message, at most 8 KiB.
    pub message: &'a str,
    /// The fields as a JSON object of scalars, at most 8 KiB; empty if there are none.
    pub fields: &'a str,
    /// The host that runs the guest.
    pub host_id: u64,
    /// Whose call it is, as the embedder said; empty if the call's context does not say.
    pub call: &'a CallInfo,
}

/// The function that gets the lines of guests instead of `tracing`.
pub(crate) type Sink = Arc<dyn Fn(GuestLine<'_>) + Send + Sync>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Log<'a> {
    level: Level,
    #[serde(borrow)]
    message: Cow<'a, str>,
    #[serde(borrow, default)]
    fields: Option<BTreeMap<Cow<'a, str>, Scalar<'a>>>,
}

/// A field's value.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Scalar<'a> {
    Null,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(Cow<'a, str>),
}

impl<'de: 'a, 'a> Deserialize<'de> for Scalar<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;

        impl<'de> Visitor<'de> for Read {
            type Value = Scalar<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text, a number, a boolean or null")
            }

            fn visit_unit<E>(self) -> Result<Scalar<'de>, E> {
                Ok(Scalar::Null)
            }

            fn visit_bool<E>(self, value: bool) -> Result<Scalar<'de>, E> {
                Ok(Scalar::Bool(value))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Scalar<'de>, E> {
                Ok(Scalar::Unsigned(value))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Scalar<'de>, E> {
                Ok(Scalar::Signed(value))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Scalar<'de>, E> {
                Ok(Scalar::Float(value))
            }

            fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Scalar<'de>, E> {
                Ok(Scalar::Text(Cow::Borrowed(value)))
            }

            fn visit_str<E: de::Error>(self, value: &str) -> Result<Scalar<'de>, E> {
                Ok(Scalar::Text(Cow::Owned(value.into())))
            }
        }

        deserializer.deserialize_any(Read)
    }
}

/// Serves the namespace `logging`.
pub(crate) struct Logging {
    least: Level,
    rate: Rate,
    dropped: AtomicU64,
    sink: Option<Sink>,
}

impl Logging {
    pub(crate) fn new(grant: &LoggingGrant, backends: &Backends) -> Self {
        Self {
            least: grant.level,
            rate: Rate::new(grant.max_lines_per_second),
            dropped: AtomicU64::new(0),
            sink: backends.log.clone(),
        }
    }
}

impl ServeAtOnce for Logging {
    fn serve(&self, call: HostCall<'_>) -> Result<Bytes, Fault> {
        if call.operation != "log" {
            return Err(no_operation(&call, "log"));
        }
        let (Log { level, message, fields }, format) = read(call.payload)?;
        let fields = match fields {
            Some(fields) if !fields.is_empty() => encode(&fields)?,
            _ => String::new(),
        };
        if level >= self.least {
            if self.rate.admits(Instant::now()) {
                let nobody = CallInfo::default();
                let info = call.context().get::<CallInfo>().unwrap_or(&nobody);
                let host_id = call.host_id();
                let dropped = self.dropped.swap(0, Ordering::Relaxed);
                if dropped > 0 {
                    let message = format!("{dropped} log lines over max_lines_per_second were dropped");
                    let line =
                        GuestLine { level: Level::Warn, message: &message, fields: "", host_id, call: info };
                    self.emit(line);
                }
                let message = text::line(&message, LONGEST);
                self.emit(GuestLine { level, message: &message, fields: &fields, host_id, call: info });
            } else {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
        format.write(&Done {})
    }
}

fn encode(fields: &BTreeMap<Cow<'_, str>, Scalar<'_>>) -> Result<String, Fault> {
    if fields.len() > MOST_FIELDS {
        let text = format!("a line has at most {MOST_FIELDS} fields; this one has {}", fields.len());
        return Err(Fault::new(Code::TooLarge, text));
    }
    let encoded = serde_json::to_string(fields).map_err(|error| Fault::invalid(error.to_string()))?;
    let encoded = text::json(&encoded);
    if encoded.len() > LONGEST {
        let text = format!(
            "the fields of a line have at most {LONGEST} bytes in JSON, these have {}",
            encoded.len()
        );
        return Err(Fault::new(Code::TooLarge, text));
    }
    Ok(encoded)
}

impl Logging {
    fn emit(&self, line: GuestLine<'_>) {
        if let Some(sink) = &self.sink {
            return sink(line);
        }
        let GuestLine { level, message, fields, host_id, call } = line;
        let [module, operation, trace, fields] = [&*call.module, &*call.operation, &*call.trace, fields]
            .map(|text| (!text.is_empty()).then_some(text));
        macro_rules! event {
            ($level:ident) => {
                tracing::$level!(target: "antiphon::guest", host = host_id, module, operation, trace, fields, "{message}")
            };
        }
        match level {
            Level::Trace => event!(trace),
            Level::Debug => event!(debug),
            Level::Info => event!(info),
            Level::Warn => event!(warn),
            Level::Error => event!(error),
        }
    }
}
