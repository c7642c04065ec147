//! A server of modules in a folder of its own.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use antiphon::Bytes;
use antiphon_server::call::{CallInfo, Failure, Incoming, Outcome, call};
use antiphon_server::config::Config;
use antiphon_server::deployment::{Deploy, ModuleStatus, Modules, Seams, State, VersionStatus};
use antiphon_server::desired::Digest;
use antiphon_server::feed::{EventKind, Read};
use antiphon_server::settings::Settings;
use tempfile::TempDir;
use tokio::task::JoinSet;

/// More than any step takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Returns how many rounds a test has: as many as the variable `ANTIPHON_ROUNDS` says.
pub(crate) fn rounds(by_default: usize) -> usize {
    std::env::var("ANTIPHON_ROUNDS").map_or(by_default, |rounds| rounds.parse().unwrap())
}

pub(crate) struct Served {
    pub(crate) folder: TempDir,
    pub(crate) config: Config,
    pub(crate) seams: Seams,
    pub(crate) modules: Modules,
}

impl Served {
    /// Starts a server with these files.
    pub(crate) async fn with(files: &[(&str, &str)]) -> Self {
        Self::configured(files, |_| {}, Seams::default()).await
    }

    pub(crate) async fn configured(
        files: &[(&str, &str)],
        configure: impl FnOnce(&mut Config),
        seams: Seams,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("modules")).unwrap();
        let mut config = Config::default();
        config.server.modules = folder.path().join("modules");
        config.server.state = folder.path().join("state");
        configure(&mut config);
        for (name, text) in files {
            fs::write(folder.path().join("modules").join(format!("{name}.wasm")), text).unwrap();
        }
        let modules = Modules::start(&config, seams.clone()).await.unwrap();
        modules.settled().await;
        Self { folder, config, seams, modules }
    }

    /// Ends the server and starts it again, on the same folder.
    pub(crate) async fn restart(self) -> Self {
        let Self { folder, config, seams, modules } = self;
        let drained = modules.stop(Duration::from_secs(5)).await;
        assert_eq!((drained.running, drained.queued), (0, 0));
        drop(modules);
        let modules = Modules::start(&config, seams.clone()).await.unwrap();
        modules.settled().await;
        Self { folder, config, seams, modules }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.config.server.modules.join(format!("{name}.wasm"))
    }

    /// Replaces a file in one go.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let aside = self.folder.path().join("aside");
        fs::write(&aside, text).unwrap();
        fs::rename(&aside, self.path(name)).unwrap();
    }

    pub(crate) fn status(&self, name: &str) -> ModuleStatus {
        self.modules.status(name).unwrap()
    }

    pub(crate) fn revision(&self, name: &str) -> u64 {
        self.status(name).revision
    }

    /// Returns what is known of a version of these bytes.
    pub(crate) fn version(&self, name: &str, text: &str) -> Option<VersionStatus> {
        let digest = Digest::of(text.as_bytes());
        let versions = self.status(name).versions.into_iter().filter(|version| version.digest == digest);
        // A version of these bytes that is ending counts only if there is no other.
        versions.max_by_key(|version| version.state != State::Draining)
    }

    pub(crate) fn state(&self, name: &str, text: &str) -> Option<State> {
        self.version(name, text).map(|version| version.state)
    }

    pub(crate) async fn call(&self, name: &str) -> Result<String, Failure> {
        answer(call(&self.modules, incoming(name)).await)
    }

    pub(crate) async fn until(&self, what: &str, mut is_so: impl FnMut(&Self) -> bool) {
        let began = Instant::now();
        while !is_so(self) {
            assert!(began.elapsed() < PATIENCE, "{what} does not happen: {:#?}", self.modules.list());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub(crate) async fn until_it_answers(&self, name: &str, text: &str) {
        let began = Instant::now();
        loop {
            let came = self.call(name).await;
            if matches!(&came, Ok(answer) if answer == text) {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "{name} answers {came:?}: {:#?}", self.modules.list());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Returns the events of a module, without those of preparations and ends, whose order is free.
    pub(crate) fn events(&self, name: &str) -> Vec<EventKind> {
        let mut reader = self.modules.events().after(0);
        let mut events = Vec::new();
        while let Some(read) = reader.try_next() {
            let event = match read {
                Read::Entry(event) => event,
                Read::Missed(count) => unreachable!("{count} events are gone"),
            };
            let is_free = matches!(event.kind, EventKind::Warmed { .. } | EventKind::Drained { .. });
            if event.module.as_deref() == Some(name) && !is_free {
                events.push(event.kind.clone());
            }
        }
        events
    }
}

pub(crate) fn incoming(name: &str) -> Incoming<'_> {
    Incoming {
        module: name,
        operation: "any",
        payload: Bytes::from_static(b"payload"),
        timeout: None,
        info: CallInfo::default(),
        sticky: None,
        version: None,
        caller: None,
    }
}

pub(crate) fn answer(outcome: Outcome) -> Result<String, Failure> {
    outcome.result.map(|answer| String::from_utf8(answer).unwrap())
}

/// A wish to serve a guest on the interpreter, which is ready at once.
pub(crate) fn deploy(text: &str) -> Deploy {
    let mut settings = Settings::default();
    settings.engine = Some("wasmi".into());
    settings.limits.max = Some(4);
    let mut deploy = Deploy::new(text.to_owned());
    deploy.settings = Some(settings);
    deploy
}

/// Callers that never pause.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    pub(crate) calls: Arc<AtomicU64>,
    callers: JoinSet<Vec<String>>,
}

impl Load {
    /// Begins to call a module. `is_right` says which outcomes are.
    pub(crate) fn begin(
        modules: &Modules,
        name: &'static str,
        callers: usize,
        is_right: fn(&Result<String, Failure>) -> bool,
    ) -> Self {
        let (stop, calls) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let mut set = JoinSet::new();
        for _ in 0..callers {
            let (modules, stop, calls) = (modules.clone(), Arc::clone(&stop), Arc::clone(&calls));
            set.spawn(async move {
                let mut wrong = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let came = answer(call(&modules, incoming(name)).await);
                    calls.fetch_add(1, Ordering::Relaxed);
                    if !is_right(&came) {
                        wrong.push(format!("{came:?}"));
                    }
                    tokio::task::yield_now().await;
                }
                wrong
            });
        }
        Self { stop, calls, callers: set }
    }

    /// Ends, and returns how many calls there were and those that were wrong.
    pub(crate) async fn end(mut self) -> (u64, Vec<String>) {
        self.stop.store(true, Ordering::Relaxed);
        let mut wrong = Vec::new();
        while let Some(of_one) = self.callers.join_next().await {
            wrong.extend(of_one.unwrap());
        }
        (self.calls.load(Ordering::Relaxed), wrong)
    }
}
