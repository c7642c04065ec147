//! `serve`: from the configuration to the end of the process.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use antiphon_server::config::{Config, Loaded, load};
use antiphon_server::drain::drain;
use antiphon_server::meters;
use antiphon_server::reload::{Live, Reloaded};
use antiphon_server::start::{Started, start};
use tokio::runtime::Runtime;
use tokio::sync::Mutex;

use super::args::ServeArgs;
use super::config::sources;
use super::failure::Failure;
use super::logging::Logging;
use super::terminal::{escaped, write};

mod banner;
mod signals;

use signals::{Signal, Signals};

/// How often the files of the configuration are looked at.
const LOOK: Duration = Duration::from_millis(500);

pub(crate) fn run(runtime: &Runtime, args: ServeArgs) -> Result<ExitCode, Failure> {
    let mut named = args.sources;
    named.modules = args.place.or(named.modules);
    let sources = sources(&named);
    let loaded = load(&sources)?;
    check_modules(&loaded)?;
    let logging = Logging::start(&loaded.config.telemetry);
    loaded.warnings.iter().for_each(|text| tracing::warn!("{text}"));
    use_the_machine();
    let recorder = meters::recorder().map_err(|error| Failure::system("cannot keep numbers", &error))?;
    let metrics = recorder.handle();
    if metrics::set_global_recorder(recorder).is_err() {
        tracing::warn!("something else in this process keeps its numbers, so /metrics has none");
    }
    runtime.block_on(async {
        // Before the ports open: a signal that comes early ends the process in order too.
        let mut signals =
            Signals::listen().map_err(|error| Failure::system("cannot wait for signals", &error))?;
        let started = start(&loaded.config, Some(metrics)).await?;
        write(banner::text(&started, &loaded.config).as_bytes())?;
        let live = Arc::new(Mutex::new(Live::new(sources, &loaded)));
        serve(&started, &live, (&mut signals, &logging)).await;
        end(started, loaded.config.server.drain, signals).await;
        Ok(ExitCode::SUCCESS)
    })
}

/// Takes what a process with one guest does not need: as many open files as the system allows,
/// since each module holds one and each connection another, and a compilation on each processor,
/// since one small module cannot use them all.
fn use_the_machine() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        if current != maximum
            && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
        {
            tracing::warn!("the limit of open files stays at {current:?}: {error}");
        }
    }
    if let Ok(processors) = std::thread::available_parallelism() {
        antiphon_host::wasmtime::set_parallel_compilations(processors);
    }
}

/// A place of modules that the configuration names has to be there.
fn check_modules(loaded: &Loaded) -> Result<(), Failure> {
    let place = &loaded.config.server.modules;
    let named =
        loaded.settings.iter().find(|setting| setting.key == "server.modules" && setting.origin != "default");
    match named {
        Some(setting) if !place.exists() => {
            let text = format!(
                "{}: there is no folder or file {}; it has the modules to serve",
                setting.origin,
                place.display()
            );
            Err(Failure::usage(escaped(&text), None))
        }
        _ => Ok(()),
    }
}

/// Serves until a signal says that it is enough.
async fn serve(started: &Started, live: &Arc<Mutex<Live>>, (signals, logging): (&mut Signals, &Logging)) {
    let mut looks = tokio::time::interval(LOOK);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut settling = Box::pin(settle(started));
    let mut is_settled = false;
    loop {
        let again = tokio::select! {
            () = &mut settling, if !is_settled => {
                is_settled = true;
                continue;
            }
            signal = signals.next() => match signal {
                Signal::Reload => true,
                Signal::End { .. } => return,
            },
            _ = looks.tick() => {
                let live = Arc::clone(live);
                // Files may be on a slow disk.
                let looked = tokio::task::spawn_blocking(move || live.blocking_lock().has_changed());
                looked.await.unwrap_or(false)
            }
        };
        if again {
            reload(started, live, logging).await;
        }
    }
}

async fn reload(started: &Started, live: &Arc<Mutex<Live>>, logging: &Logging) {
    let reading = Arc::clone(live);
    let Ok(reloaded) = tokio::task::spawn_blocking(move || reading.blocking_lock().read()).await else {
        return;
    };
    started.take_over(&reloaded);
    match &reloaded {
        Reloaded::Holds(config, later) => {
            logging.change(&config.telemetry);
            if later.is_empty() {
                tracing::info!("the new configuration holds");
            } else {
                tracing::warn!(
                    "the new configuration holds, but {} only from the next start on",
                    later.join(", ")
                );
            }
        }
        Reloaded::Refused(problems) => {
            tracing::error!("the new configuration has problems, so the old one holds:\n{problems}");
        }
        _ => {}
    }
}

/// Waits for the modules. On a terminal, a line says how far they are; elsewhere the log has a line
/// a module.
async fn settle(started: &Started) {
    let mut settled = std::pin::pin!(started.modules.settled());
    let mut turns = tokio::time::interval(Duration::from_millis(100));
    let is_terminal = std::io::stderr().is_terminal();
    let mut shown = 0;
    loop {
        tokio::select! {
            () = &mut settled => break,
            _ = turns.tick() => {
                let (all, waiting) = (started.modules.list().len(), started.modules.preparing());
                if let Some(first) = waiting.first().filter(|_| is_terminal) {
                    let done = all.saturating_sub(waiting.len());
                    let line = format!("prepared {done} of {all} modules: {first}");
                    shown = show(&line, shown);
                }
            }
        }
    }
    if shown > 0 {
        show("", shown);
    }
    let modules = started.modules.list();
    let serving = modules.iter().filter(|module| module.serving.is_some()).count();
    let mut text = match modules.len() {
        0 => "ready, without a module\n".to_owned(),
        all if all == serving => format!("ready: {serving} of {all} modules serve\n"),
        all => format!("ready: {serving} of {all} modules serve; these do not:\n"),
    };
    for module in modules.iter().filter(|module| module.serving.is_none()) {
        let version = module.versions.iter().find_map(|version| version.reason.as_ref());
        let reason = module.problem.as_ref().or(version).map_or("", |reason| &reason.message);
        text.push_str(&format!("  {}: {}\n", module.name, escaped(reason)));
    }
    // A reader that is gone does not end the server.
    let _ = write(text.as_bytes());
}

/// Writes a line over the one before, of which this many characters are on the screen.
fn show(line: &str, before: usize) -> usize {
    let mut stderr = std::io::stderr().lock();
    let _ = write!(stderr, "\r{line:<before$}\r");
    let _ = stderr.flush();
    line.chars().count()
}

/// Ends the server. A second signal ends the process at once.
async fn end(started: Started, grace: Duration, mut signals: Signals) {
    tracing::info!("ends: what was accepted is answered, for {} at most", humantime::format_duration(grace));
    let mut draining = std::pin::pin!(drain(started, grace));
    loop {
        tokio::select! {
            cut = &mut draining => {
                if cut.connections > 0 || cut.calls > 0 {
                    tracing::warn!(connections = cut.connections, calls = cut.calls, "were cut off at the end of server.drain");
                }
                return;
            }
            signal = signals.next() => {
                if let Signal::End { code } = signal {
                    tracing::warn!("ends at once, because a second signal came");
                    std::process::exit(code);
                }
            }
        }
    }
}

/// Returns the address that a client uses for a port.
fn url(config: &Config, address: std::net::SocketAddr) -> String {
    let scheme = if config.http.tls.is_some() { "https" } else { "http" };
    let mut address = address;
    // An address that stands for all of the machine's is no address to connect to.
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() {
            std::net::Ipv4Addr::LOCALHOST.into()
        } else {
            std::net::Ipv6Addr::LOCALHOST.into()
        });
    }
    format!("{scheme}://{address}")
}
