//! The modules of a server, and what starts and ends them.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use antiphon_pool::Drained;
use arc_swap::ArcSwap;
use tokio::sync::{Semaphore, watch};

use super::{Control, Deployment, Held, ModuleStatus, Store, Version};
use crate::call::{Failure, Incoming};
use crate::config::Config;
use crate::feed::{Events, Logs};
use crate::reconcile::{self, Watch};
use crate::settings::{MakeHandler, Settings};

/// The modules of a server, by name. Clones are handles of one server.
#[derive(Clone, Debug, Default)]
pub struct Modules(pub(super) Arc<Inner>);

/// A handle that does not keep the modules alive, for the handlers of their guests.
#[derive(Clone)]
pub struct WeakModules(Weak<Inner>);

/// What other parts of the server plug in.
#[derive(Clone, Default)]
pub struct Seams {
    /// Makes the handlers of host calls. Without it guests have none.
    pub handler: Option<MakeHandler>,
}

/// What all handles share.
#[derive(Debug)]
pub(crate) struct Inner {
    /// The modules that can be called.
    table: ArcSwap<HashMap<Arc<str>, Arc<Deployment>>>,
    /// All modules, also those that were removed while their files are there. The lock comes before
    /// those of the modules.
    known: Mutex<BTreeMap<Arc<str>, Arc<Deployment>>>,
    config: Mutex<Arc<Config>>,
    pub(crate) events: Events,
    pub(crate) store: Arc<Store>,
    pub(crate) seams: Seams,
    /// Turns at preparing: it takes a processor.
    pub(crate) turns: Arc<Semaphore>,
    /// Turns at writing the state.
    pub(crate) writes: Arc<Semaphore>,
    /// Whether the server is ending.
    pub(crate) stop: watch::Sender<bool>,
}

impl Default for Inner {
    fn default() -> Self {
        Self::new(Store::default(), Seams::default(), Config::default())
    }
}

impl Modules {
    /// Begins to serve what a configuration says: reads the state, looks at the folder of modules,
    /// and prepares versions in the background. [`settled`](Self::settled) waits for those.
    ///
    /// It has to be called on a runtime of tokio, with a timer.
    ///
    /// # Errors
    /// The directory of the state cannot be made or written. A module that cannot be served is no
    /// error: its status says why.
    pub async fn start(config: &Config, seams: Seams) -> io::Result<Self> {
        let state = config.server.state.clone();
        let opened = blocking(move || {
            let store = Store::open(&state)?;
            let records = store.records()?;
            Ok((store, records))
        });
        let (store, records) = opened.await?;
        let inner = Arc::new(Inner::new(store, seams, config.clone()));
        for record in &records {
            let configured = Arc::new(Settings::of(config, &record.name));
            let mut control = Control::of_record(record, Arc::clone(&configured));
            control.configure(configured);
            inner.add(&mut inner.known(), &record.name, control);
            inner.publish_table(&record.name);
        }
        let names: Vec<_> = inner.known().keys().map(Arc::clone).collect();
        let (mut watch, mut is_unsure) = (Watch::new(names.into_iter()), true);
        for look in 0..2 {
            if is_unsure && look > 0 {
                // A file was written just now: it may not be whole yet.
                tokio::time::sleep(reconcile::INTERVAL).await;
            }
            if is_unsure {
                let inner = Arc::clone(&inner);
                let looked = blocking(move || {
                    let is_unsure = watch.look(&inner);
                    Ok((watch, is_unsure))
                });
                (watch, is_unsure) = looked.await?;
            }
        }
        // What a crash has left of versions that were being deployed.
        let sweeping = Arc::clone(&inner);
        let sweep = move || {
            sweeping.store.sweep(|| sweeping.named());
            Ok(())
        };
        blocking(sweep).await?;
        tokio::spawn(reconcile::watch(Arc::downgrade(&inner), watch));
        Ok(Self(inner))
    }

    /// Takes over what a new configuration says about modules. Versions whose settings differ are
    /// started aside, and then switched; the state stays where it is until the next start.
    pub fn reload(&self, config: &Config) {
        let config = Arc::new(config.clone());
        *lock(&self.0.config) = Arc::clone(&config);
        let names: Vec<_> = self.0.known().keys().map(Arc::clone).collect();
        for name in names {
            self.0.configure(&name, Arc::new(Settings::of(&config, &name)));
        }
    }

    /// Waits until every module that is known now serves, or has said why it does not.
    ///
    /// # Cancel safety
    /// The future may be dropped at any await.
    pub async fn settled(&self) {
        for deployment in self.0.all() {
            deployment.until(|control| control.has_settled().then_some(())).await;
        }
    }

    /// Returns the modules that neither serve nor have said why they do not: their first versions
    /// are being prepared.
    #[must_use]
    pub fn preparing(&self) -> Vec<Arc<str>> {
        let all = self.0.all().into_iter();
        let preparing = all.filter(|deployment| !deployment.control().has_settled());
        preparing.map(|deployment| Arc::clone(deployment.name())).collect()
    }

    /// Ends everything: nothing changes any more, and all pools are drained, at the same time.
    /// Calls that still run after `grace` are cut off and counted.
    ///
    /// Calls that have been accepted should be over before: a guest that calls another module could
    /// find that module drained.
    pub async fn stop(&self, grace: Duration) -> Drained {
        self.0.stop.send_replace(true);
        let written = async {
            for deployment in self.0.all() {
                deployment.until(|control| control.ended.then_some(())).await;
            }
        };
        // A disk that hangs does not hold the end up.
        let _ = tokio::time::timeout(grace, written).await;
        let mut versions = Vec::new();
        for deployment in self.0.all() {
            let control = deployment.control();
            versions.extend(control.held.values().filter_map(|held| match held {
                Held::Warm { version, .. } => Some(Arc::clone(version)),
                _ => None,
            }));
            versions.extend(control.draining.iter().filter_map(|(version, _)| version.upgrade()));
        }
        reconcile::drain_all(versions, grace).await
    }

    /// Returns the deployment of a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Arc<Deployment>> {
        self.0.table.load().get(name).cloned()
    }

    /// Picks the version that gets a call.
    #[inline]
    pub(crate) fn pick(&self, incoming: &Incoming<'_>) -> Result<Arc<Version>, Failure> {
        let table = self.0.table.load();
        let deployment = table.get(incoming.module).ok_or(Failure::UnknownModule)?;
        let serving = deployment.serving.load();
        match incoming.version {
            None => serving.pick(incoming.stickiness()).cloned(),
            Some(digest) => {
                let digest = digest.parse().map_err(|_| Failure::UnknownVersion)?;
                serving.named(digest).cloned()
            }
        }
    }

    /// Returns all modules, sorted by name.
    #[must_use]
    pub fn list(&self) -> Vec<ModuleStatus> {
        self.0.all().iter().filter_map(|deployment| deployment.status()).collect()
    }

    /// Returns what is known of a module; `None` if there is none of this name.
    #[must_use]
    pub fn status(&self, name: &str) -> Option<ModuleStatus> {
        self.get(name)?.status()
    }

    /// Returns what happened.
    #[must_use]
    pub fn events(&self) -> &Events {
        &self.0.events
    }

    /// Returns the lines that a module's guests write.
    #[must_use]
    pub fn logs(&self, name: &str) -> Option<Arc<Logs>> {
        Some(Arc::clone(self.0.table.load().get(name)?.logs()))
    }

    /// Returns a handle that does not keep the modules alive.
    #[must_use]
    pub fn downgrade(&self) -> WeakModules {
        WeakModules(Arc::downgrade(&self.0))
    }

    pub(crate) fn of(inner: Arc<Inner>) -> Self {
        Self(inner)
    }
}

impl Inner {
    fn new(store: Store, seams: Seams, config: Config) -> Self {
        let processors = thread::available_parallelism().map_or(1, usize::from);
        Self {
            table: ArcSwap::default(),
            known: Mutex::default(),
            config: Mutex::new(Arc::new(config)),
            events: Events::default(),
            store: Arc::new(store),
            seams,
            turns: Arc::new(Semaphore::new(processors)),
            writes: Arc::new(Semaphore::new(8)),
            stop: watch::Sender::new(false),
        }
    }

    pub(crate) fn known(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Arc<Deployment>>> {
        lock(&self.known)
    }

    fn all(&self) -> Vec<Arc<Deployment>> {
        self.known().values().map(Arc::clone).collect()
    }

    pub(crate) fn config(&self) -> Arc<Config> {
        Arc::clone(&lock(&self.config))
    }

    /// Changes what is known of a module, which is made if there is none yet, and wakes its task.
    pub(crate) fn with_known<T>(
        self: &Arc<Self>,
        name: &Arc<str>,
        configured: &Arc<Settings>,
        change: impl FnOnce(&Arc<Deployment>, &mut Control) -> T,
    ) -> T {
        // Held until the change is made: see `forget`.
        let mut known = self.known();
        let deployment = match known.get(name) {
            Some(deployment) => Arc::clone(deployment),
            None => {
                let configured = Arc::clone(configured);
                self.add(&mut known, name, Control { configured, ..Control::default() })
            }
        };
        let changed = change(&deployment, &mut deployment.control());
        drop(known);
        deployment.wish();
        changed
    }

    fn add(
        self: &Arc<Self>,
        known: &mut BTreeMap<Arc<str>, Arc<Deployment>>,
        name: &Arc<str>,
        control: Control,
    ) -> Arc<Deployment> {
        let deployment = Arc::new(Deployment::new(Arc::clone(name), control));
        known.insert(Arc::clone(name), Arc::clone(&deployment));
        tokio::spawn(reconcile::run(Arc::downgrade(self), Arc::clone(&deployment)));
        deployment
    }

    /// Forgets a module of which nothing has to be known, unless it has been named again in
    /// between. Returns whether it is forgotten.
    pub(crate) fn forget(&self, deployment: &Deployment) -> bool {
        let mut known = self.known();
        let is_gone = deployment.control().is_gone();
        if is_gone {
            known.remove(deployment.name());
        }
        is_gone
    }

    /// Lets callers see whether there is a module of this name.
    pub(crate) fn publish_table(&self, name: &str) {
        // The lock keeps two changes apart, so that the later one is the one that stays.
        let known = self.known();
        let deployment = known.get(name).filter(|deployment| deployment.control().exists());
        let table = self.table.load();
        if table.get(name).is_some() == deployment.is_some() {
            return;
        }
        let mut next = HashMap::clone(&table);
        match deployment {
            Some(deployment) => drop(next.insert(Arc::clone(deployment.name()), Arc::clone(deployment))),
            None => drop(next.remove(name)),
        }
        self.table.store(Arc::new(next));
    }
}

/// Runs work that blocks off the executor's threads.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|panic| Err(io::Error::other(panic)))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl WeakModules {
    /// Returns the modules, unless the server has ended.
    #[must_use]
    pub fn upgrade(&self) -> Option<Modules> {
        self.0.upgrade().map(Modules)
    }
}

impl fmt::Debug for WeakModules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WeakModules")
    }
}

impl fmt::Debug for Seams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seams").field("handler", &self.handler.is_some()).finish()
    }
}
