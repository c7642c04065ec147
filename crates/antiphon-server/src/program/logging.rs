//! The program's own log, on standard error.

use std::io;

use antiphon_server::config::{LogFormat, Telemetry};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer, Registry, fmt, reload};

/// Changes what is logged.
pub(crate) struct Logging(reload::Handle<Targets, Registry>);

impl Logging {
    /// Begins to log.
    pub(crate) fn start(telemetry: &Telemetry) -> Self {
        let (filter, handle) = reload::Layer::new(filter(telemetry));
        let lines = fmt::layer().with_writer(io::stderr).with_ansi(false);
        let lines = match telemetry.log_format {
            LogFormat::Text => lines.boxed(),
            LogFormat::Json => lines.json().flatten_event(true).boxed(),
        };
        // A subscriber that is set already is that of a test.
        let _ = tracing_subscriber::registry().with(filter).with(lines).try_init();
        Self(handle)
    }

    /// Logs what a new configuration says.
    pub(crate) fn change(&self, telemetry: &Telemetry) {
        if let Err(error) = self.0.reload(filter(telemetry)) {
            tracing::warn!(%error, "the level of the log cannot be changed");
        }
    }
}

/// The configuration was checked, so its filter is one.
fn filter(telemetry: &Telemetry) -> Targets {
    telemetry.log.parse().unwrap_or_default()
}
