//! What operators do with modules.
//!
//! Each operation takes the revision that the operator has seen, and is refused if the module has
//! changed since; `None` skips the check. A revision of 0 says that the module must not exist yet.
//! Each returns the new revision when the change is done, kept on disk, and in force.

use std::sync::Arc;

use antiphon::{Bytes, Error, ErrorKind};

use super::quarantine::Quarantine;
use super::state::Pin;
use super::{Control, Deployment, Held, Modules, Refused};
use crate::desired::{Canary, Digest, Id};
use crate::feed::{By, EventKind};
use crate::settings::{Settings, check_name};

/// A version that an operator wants to serve.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Deploy {
    /// The module's bytes.
    pub module: Bytes,
    /// The digest that the bytes have to have, if the operator says so.
    pub digest: Option<Digest>,
    /// The share of calls that it gets as a canary, in percent; none to serve all of them at once.
    /// A module without a version that serves has no canary: its first version gets all calls.
    pub share: Option<u8>,
    /// What the operator says about it.
    pub note: Option<String>,
    /// What it runs with. By default what the configuration says, also when that changes later.
    pub settings: Option<Settings>,
}

impl Deploy {
    /// Creates a wish to serve these bytes, for all calls.
    #[must_use]
    pub fn new(module: impl Into<Bytes>) -> Self {
        Self { module: module.into(), ..Self::default() }
    }
}

impl Modules {
    /// Serves other bytes under a name, or begins a canary with them. The version is compiled and
    /// started first; if that fails, nothing has changed.
    ///
    /// A deployed version stays, also after a restart, until the module's file changes: the newest
    /// change wins.
    ///
    /// # Errors
    /// [`Invalid`](Refused::Invalid), [`ReplaceFailed`](Refused::ReplaceFailed),
    /// [`Conflict`](Refused::Conflict), [`Name`](Refused::Name), [`Share`](Refused::Share),
    /// [`Overtaken`](Refused::Overtaken), [`Storage`](Refused::Storage).
    ///
    /// # Cancel safety
    /// If the future is dropped before the version is ready, nothing changes. If it is dropped
    /// after that, the change may be done.
    pub async fn deploy(&self, name: &str, deploy: Deploy, expected: Option<u64>) -> Result<u64, Refused> {
        check_name(name).map_err(Refused::Name)?;
        let Deploy { module, digest: wanted, share, note, settings } = deploy;
        if let Some(share) = share.filter(|share| !(1..=99).contains(share)) {
            return Err(Refused::Share(share));
        }
        let digest = Digest::of(&module);
        if let Some(wanted) = wanted.filter(|wanted| *wanted != digest) {
            let what = format!("the bytes have the digest {digest}, and {wanted} was asked for");
            return Err(Refused::Invalid(Error::new(ErrorKind::InvalidModule, what)));
        }
        // Before the bytes are written, so that a mistaken deploy costs nothing.
        let known = self.0.known().get(name).map(Arc::clone);
        check_revision(known.map_or(0, |known| known.control().seen_revision()), expected)?;

        let (store, bytes) = (Arc::clone(&self.0.store), module);
        let put = tokio::task::spawn_blocking(move || store.put(digest, &bytes));
        let put = put.await.unwrap_or_else(|panic| Err(std::io::Error::other(panic)));
        let pin = put.map_err(Refused::Storage)?;

        let name = Arc::<str>::from(name);
        let configured = Arc::new(Settings::of(&self.0.config(), &name));
        let prepared = self.0.with_known(&name, &configured, |deployment, control| {
            check_revision(control.seen_revision(), expected)?;
            let id = control.version(digest, settings);
            control.deploy = control.deploy.saturating_add(1);
            control.desired.prepare = Some(id);
            // The operator asks for it, so it is tried at once.
            control.pardon(id);
            let (deployment, number) = (Arc::clone(deployment), control.deploy);
            Ok(Prepared { deployment, id, number, pin: Some(pin) })
        })?;
        let id = prepared.id;
        prepared.wait().await?;

        let change = {
            let mut control = prepared.deployment.control();
            check_revision(control.seen_revision(), expected)?;
            if !prepared.is_newest(&control) {
                return Err(Refused::Overtaken);
            }
            control.desired.prepare = None;
            let note = note.map(Arc::from);
            let share =
                share.filter(|_| control.exists() && control.stable.is_some_and(|stable| stable != id));
            match share {
                Some(share) => {
                    control.desired.canary = Some(Canary { id, share });
                    control.desired.stopped = false;
                }
                None => control.serve(id),
            }
            control.by_operator = true;
            control.note.clone_from(&note);
            control.revise();
            let by = By::Operator;
            self.0.events.emit(Some(&name), EventKind::Deployed { digest, share, by, note });
            (control.revision, control.changes)
        };
        self.0.publish_table(&name);
        done(&prepared.deployment, change).await
    }

    /// Returns the bytes of one of a module's versions: the one that serves, unless a digest names
    /// another one.
    ///
    /// # Errors
    /// [`UnknownModule`](Refused::UnknownModule), [`NoVersion`](Refused::NoVersion),
    /// [`Storage`](Refused::Storage).
    pub async fn bytes(&self, name: &str, digest: Option<Digest>) -> Result<Bytes, Refused> {
        let status = self.status(name).ok_or(Refused::UnknownModule)?;
        let digest = digest.or(status.serving).ok_or(Refused::NoVersion)?;
        if !status.versions.iter().any(|version| version.digest == digest) {
            return Err(Refused::NoVersion);
        }
        let store = Arc::clone(&self.0.store);
        let read = tokio::task::spawn_blocking(move || store.get(digest)).await;
        read.unwrap_or_else(|panic| Err(std::io::Error::other(panic))).map_err(Refused::Storage)
    }

    /// Makes the canary the version that serves. A module that was drained serves again.
    ///
    /// # Errors
    /// [`UnknownModule`](Refused::UnknownModule), [`Conflict`](Refused::Conflict),
    /// [`NothingToPromote`](Refused::NothingToPromote), [`Storage`](Refused::Storage).
    pub async fn promote(&self, name: &str, expected: Option<u64>) -> Result<u64, Refused> {
        self.change(name, expected, |deployment, control| {
            match control.desired.canary {
                Some(Canary { id, .. }) => {
                    control.serve(id);
                    let digest = id.digest;
                    self.0.events.emit(Some(deployment.name()), EventKind::Promoted { digest });
                }
                None if control.desired.stopped => control.desired.stopped = false,
                None => return Err(Refused::NothingToPromote),
            }
            Ok(())
        })
        .await
    }

    /// Ends the canary; without one, the version before serves again. If that version is no longer
    /// warm, it is prepared first.
    ///
    /// # Errors
    /// [`UnknownModule`](Refused::UnknownModule), [`Conflict`](Refused::Conflict),
    /// [`NothingToRollBack`](Refused::NothingToRollBack), [`Invalid`](Refused::Invalid),
    /// [`ReplaceFailed`](Refused::ReplaceFailed), [`Overtaken`](Refused::Overtaken),
    /// [`Storage`](Refused::Storage).
    pub async fn rollback(&self, name: &str, expected: Option<u64>) -> Result<u64, Refused> {
        let prepared = {
            let deployment = self.known(name, expected)?;
            let mut control = deployment.control();
            match (control.desired.canary, control.desired.before) {
                (Some(_), _) => None,
                (None, None) => return Err(Refused::NothingToRollBack),
                (None, Some(id)) => {
                    control.deploy = control.deploy.saturating_add(1);
                    control.desired.prepare = Some(id);
                    control.pardon(id);
                    let number = control.deploy;
                    drop(control);
                    deployment.wish();
                    Some(Prepared { deployment, id, number, pin: None })
                }
            }
        };
        if let Some(prepared) = &prepared {
            prepared.wait().await?;
        }
        self.change(name, expected, |deployment, control| {
            let (from, by, reason) = match (&prepared, control.desired.canary) {
                (None, Some(canary)) => {
                    control.desired.canary = None;
                    control.desired.stopped = false;
                    (canary.id, By::Operator, "an operator has ended the canary")
                }
                (Some(prepared), None) if prepared.is_newest(control) => {
                    let from = control.desired.serve.ok_or(Refused::NothingToRollBack)?;
                    control.desired.prepare = None;
                    control.serve(prepared.id);
                    (from, By::Operator, "an operator went back to the version before")
                }
                _ => return Err(Refused::Overtaken),
            };
            let (digest, reason) = (from.digest, reason.into());
            self.0.events.emit(Some(deployment.name()), EventKind::RolledBack { digest, by, reason });
            Ok(())
        })
        .await
    }

    /// Ends the calls of a module, and frees its instances. The module stays known, and refuses
    /// calls until it is promoted, rolled back or deployed again.
    ///
    /// # Errors
    /// [`UnknownModule`](Refused::UnknownModule), [`Conflict`](Refused::Conflict),
    /// [`Storage`](Refused::Storage).
    pub async fn drain(&self, name: &str, expected: Option<u64>) -> Result<u64, Refused> {
        self.change(name, expected, |deployment, control| {
            if !control.desired.stopped {
                control.desired.stopped = true;
                self.0.events.emit(Some(deployment.name()), EventKind::Stopped);
            }
            Ok(())
        })
        .await
    }

    /// Removes a module. If it has a file, it comes back when that file changes.
    ///
    /// # Errors
    /// [`UnknownModule`](Refused::UnknownModule), [`Conflict`](Refused::Conflict),
    /// [`Storage`](Refused::Storage).
    pub async fn remove(&self, name: &str, expected: Option<u64>) -> Result<u64, Refused> {
        self.change(name, expected, |deployment, control| {
            control.remove();
            self.0.events.emit(Some(deployment.name()), EventKind::Removed);
            Ok(())
        })
        .await
    }

    /// Ends the quarantine of a module's versions: they are tried again.
    ///
    /// # Errors
    /// [`UnknownModule`](Refused::UnknownModule), [`Conflict`](Refused::Conflict).
    pub async fn retry(&self, name: &str, expected: Option<u64>) -> Result<u64, Refused> {
        let deployment = self.known(name, expected)?;
        let mut control = deployment.control();
        control.held.retain(|_, held| !matches!(held, Held::Failed(_)));
        control.strikes.clear();
        deployment.wish();
        Ok(control.revision)
    }

    /// Returns a module that exists and has the revision that the operator has seen.
    fn known(&self, name: &str, expected: Option<u64>) -> Result<Arc<Deployment>, Refused> {
        let deployment = self.get(name).ok_or(Refused::UnknownModule)?;
        let control = deployment.control();
        if !control.exists() {
            return Err(Refused::UnknownModule);
        }
        check_revision(control.revision, expected)?;
        drop(control);
        Ok(deployment)
    }

    /// Makes a change that needs no preparation, and waits until it is done and kept.
    async fn change(
        &self,
        name: &str,
        expected: Option<u64>,
        change: impl FnOnce(&Deployment, &mut Control) -> Result<(), Refused>,
    ) -> Result<u64, Refused> {
        let deployment = self.known(name, expected)?;
        let changes = {
            let mut control = deployment.control();
            // Once more, because the lock was free in between.
            check_revision(control.seen_revision(), expected)?;
            if !control.exists() {
                return Err(Refused::UnknownModule);
            }
            change(&deployment, &mut control)?;
            control.by_operator = true;
            control.revise();
            (control.revision, control.changes)
        };
        self.0.publish_table(name);
        done(&deployment, changes).await
    }
}

/// A version that a deploy or a rollback has asked for. Its drop takes the wish back.
struct Prepared {
    deployment: Arc<Deployment>,
    id: Id,
    /// The number of the deploy, by which a newer one is known.
    number: u64,
    /// Keeps the bytes until they are named.
    pin: Option<Pin>,
}

impl Prepared {
    fn is_newest(&self, control: &Control) -> bool {
        control.deploy == self.number && control.desired.prepare == Some(self.id)
    }

    /// Waits until the version is ready.
    async fn wait(&self) -> Result<(), Refused> {
        self.deployment.wish();
        let ready = self.deployment.until(|control| {
            if control.ended {
                return Some(Err(Refused::Ending));
            }
            if !self.is_newest(control) {
                return Some(Err(Refused::Overtaken));
            }
            match control.held.get(&self.id) {
                Some(Held::Warm { .. }) => Some(Ok(())),
                Some(Held::Failed(quarantine)) => Some(Err(refused(quarantine))),
                _ => None,
            }
        });
        ready.await
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        let mut control = self.deployment.control();
        if self.is_newest(&control) {
            control.desired.prepare = None;
            drop(self.pin.take());
            control.has_dropped = true;
            // So that a module that never came to be is forgotten.
            control.changed();
            drop(control);
            self.deployment.wish();
        }
    }
}

/// Waits until a change is in force and kept, and returns its revision.
async fn done(deployment: &Deployment, (revision, change): (u64, u64)) -> Result<u64, Refused> {
    deployment.wish();
    deployment
        .until(|control| {
            if control.ended {
                return Some(Err(Refused::Ending));
            }
            if control.settled < change {
                return None;
            }
            match &control.storage {
                Some(reason) => Some(Err(Refused::Storage(std::io::Error::other(reason.clone())))),
                None => (control.written >= change).then_some(Ok(revision)),
            }
        })
        .await
}

fn refused(quarantine: &Quarantine) -> Refused {
    match quarantine.kind {
        ErrorKind::InvalidModule => Refused::Invalid(quarantine.error()),
        _ => Refused::ReplaceFailed(Error::replace_failed(quarantine.error().into())),
    }
}

fn check_revision(revision: u64, expected: Option<u64>) -> Result<(), Refused> {
    match expected {
        Some(expected) if expected != revision => Err(Refused::Conflict { revision }),
        _ => Ok(()),
    }
}
