//! The order of starting.

use std::fmt;
use std::io;
use std::path::PathBuf;

use metrics_exporter_prometheus::PrometheusHandle;

use crate::config::Config;
use crate::deployment::{Modules, Seams};
use crate::grants;
use crate::http::{Servers, Sockets, StartError};
use crate::lock::StateLock;

/// A server that was started.
#[derive(Debug)]
#[non_exhaustive]
pub struct Started {
    /// The two ports.
    pub servers: Servers,
    /// The modules.
    pub modules: Modules,
    /// The folder of the state is this server's alone.
    pub(crate) lock: StateLock,
}

/// Why a server was not started.
#[derive(Debug)]
#[non_exhaustive]
pub enum NotStarted {
    /// Another server uses the folder of the state, or the folder cannot be written.
    State(PathBuf, io::Error),
    /// A port cannot be opened.
    Ports(StartError),
    /// The system does not tell the address of a port.
    Address(io::Error),
}

impl fmt::Display for NotStarted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::State(folder, _) => {
                write!(
                    f,
                    "cannot use {} for the state (choose another folder with server.state)",
                    folder.display()
                )
            }
            Self::Ports(error) => error.fmt(f),
            Self::Address(_) => f.write_str("the system does not tell the address of a port"),
        }
    }
}

impl std::error::Error for NotStarted {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::State(_, error) | Self::Address(error) => Some(error),
            Self::Ports(error) => error.source(),
        }
    }
}

/// Starts a server. Logs are on, and `metrics` renders what the process's recorder keeps.
///
/// It returns before the modules are ready: the ports answer, `/readyz` names the modules that are
/// being prepared, and calls of those are refused as retryable.
/// [`settled`](Modules::settled) waits for them.
///
/// # Errors
/// [`NotStarted`]. Nothing is left running.
pub async fn start(config: &Config, metrics: Option<PrometheusHandle>) -> Result<Started, NotStarted> {
    let state = &config.server.state;
    let of_state = |error| NotStarted::State(state.clone(), error);
    let lock = StateLock::take(state).map_err(of_state)?;
    // A port in use is told before anything is compiled. Clients that come now wait.
    let sockets = Sockets::listen(config).await.map_err(NotStarted::Ports)?;
    let seams = Seams { handler: Some(grants::handlers(config)) };
    let modules = Modules::start(config, seams).await.map_err(of_state)?;
    let servers = Servers::start(sockets, config, modules.clone(), metrics).map_err(NotStarted::Address)?;
    Ok(Started { servers, modules, lock })
}
