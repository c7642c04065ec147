//! What is done at once: switches, retirements, verdicts, the state on disk.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use antiphon::Error;

use super::LOOK;
use super::retire::retire;
use crate::deployment::{Control, Deployment, Held, Inner, Judge, Version};
use crate::desired::{Canary, Digest, Id};
use crate::feed::{By, EventKind, now_ms};
use crate::plan::{Step, plan};

/// What is left to do.
pub(crate) struct Settled {
    /// Versions to prepare, the most urgent one first.
    pub(crate) wanted: Vec<Id>,
    /// When to look again.
    pub(crate) wake: Option<Instant>,
    /// Whether versions are looked at at that time anyway.
    pub(crate) is_alarmed: bool,
}

impl Inner {
    /// Does all that needs no waiting.
    pub(crate) fn settle(self: &Arc<Self>, deployment: &Arc<Deployment>, now: Instant) -> Settled {
        let mut guard = deployment.control();
        let control = &mut *guard;
        control.keep_until = control.keep_until.filter(|until| now < *until);
        let mut is_changed = self.look_at_starts(deployment, control, now);
        self.judge(deployment, control, now);
        let wanted = loop {
            let steps = plan(&control.desired(now), &control.actual(now));
            match steps.first() {
                Some(Step::Serve { stable, canary }) => {
                    self.switch(deployment, control, (*stable, *canary), now);
                    // At once, so that a version is retired only when callers cannot pick it.
                    deployment.publish(control);
                }
                Some(Step::Retire(id)) => {
                    is_changed = true;
                    self.retire(deployment, control, *id);
                }
                _ => {
                    let prepared = steps.iter().filter_map(|step| match step {
                        Step::Prepare(id) => Some(*id),
                        _ => None,
                    });
                    break prepared.collect();
                }
            }
        };
        if is_changed || control.stable.is_none() {
            deployment.publish(control);
        }
        control.settled = control.changes;
        let wake = [
            control.judge.as_ref().map(|(_, next)| *next),
            control.keep_until,
            control.suspects_due,
            control.held.values().filter_map(|held| retry_of(held, now)).min(),
        ];
        Settled { wanted, wake: wake.into_iter().flatten().min(), is_alarmed: control.suspects_due.is_some() }
    }

    fn switch(
        &self,
        deployment: &Deployment,
        control: &mut Control,
        (stable, canary): (Option<Id>, Option<Canary>),
        now: Instant,
    ) {
        let name = Some(deployment.name());
        let (stable_before, canary_before) = (control.stable, control.canary);
        (control.stable, control.canary) = (stable, canary);
        if stable != stable_before {
            control.serving_since_ms = now_ms();
            if let Some(id) = stable {
                let from = stable_before.map(|id| id.digest);
                self.events.emit(name, EventKind::Switched { from, to: id.digest });
                let keep = control.settings.get(&id).map(|settings| settings.keep()).unwrap_or_default();
                control.keep_until = now.checked_add(keep);
                if control.desired.good != Some(id) && control.desired.serve == Some(id) {
                    control.desired.good = Some(id);
                    control.changed();
                }
            }
        }
        if let Some(Canary { id, share }) = canary.filter(|canary| Some(*canary) != canary_before) {
            control.canary_since_ms = now_ms();
            self.events.emit(name, EventKind::CanaryStarted { digest: id.digest, share });
        }
        control.judge = match (stable, canary) {
            (Some(stable), Some(canary)) => {
                let judge = Judge::new(now, control.count(canary.id), control.count(stable));
                Some((judge, now))
            }
            _ => None,
        };
    }

    fn retire(self: &Arc<Self>, deployment: &Arc<Deployment>, control: &mut Control, id: Id) {
        let Some(Held::Warm { version, .. }) = control.held.remove(&id) else { return };
        self.end(deployment, control, version);
    }

    /// Ends a version that is no longer held.
    fn end(self: &Arc<Self>, deployment: &Arc<Deployment>, control: &mut Control, version: Arc<Version>) {
        control.draining.retain(|(version, _)| version.strong_count() > 0);
        control.draining.push((Arc::downgrade(&version), now_ms()));
        tokio::spawn(retire(version, Arc::downgrade(deployment), Arc::downgrade(self)));
    }

    /// Rolls a canary back that errs more than the version beside it.
    fn judge(&self, deployment: &Deployment, control: &mut Control, now: Instant) {
        let (Some(stable), Some(canary), Some((mut judge, next))) =
            (control.stable, control.canary, control.judge.take())
        else {
            return;
        };
        if now < next {
            control.judge = Some((judge, next));
            return;
        }
        let rule = control.settings.get(&canary.id).map(|settings| settings.rule).unwrap_or_default();
        let verdict = judge.look(now, control.count(canary.id), control.count(stable), &rule);
        match verdict {
            None => control.judge = now.checked_add(Judge::pause(&rule)).map(|next| (judge, next)),
            Some(verdict) => {
                let (by, reason) = (By::Rule, verdict.to_string().into());
                control.desired.canary = None;
                control.by_operator = true;
                control.revise();
                let digest = canary.id.digest;
                self.events.emit(Some(deployment.name()), EventKind::RolledBack { digest, by, reason });
            }
        }
    }

    /// Puts versions into quarantine whose starts fail again and again. Returns whether there were
    /// some.
    fn look_at_starts(
        self: &Arc<Self>,
        deployment: &Arc<Deployment>,
        control: &mut Control,
        now: Instant,
    ) -> bool {
        if control.suspects_due.is_none_or(|due| now < due) {
            return false;
        }
        let failing = control.failing(now);
        for (id, error) in &failing {
            let version = control.warm(*id).map(Arc::clone);
            self.fail(deployment, control, (*id, error));
            if let Some(version) = version {
                self.end(deployment, control, version);
            }
        }
        control.suspects_due = control.has_suspects(now).then(|| now.checked_add(LOOK)).flatten();
        !failing.is_empty()
    }

    /// Notes that a version does not load or start.
    pub(crate) fn fail(&self, deployment: &Deployment, control: &mut Control, (id, error): (Id, &Error)) {
        let (quarantine, is_new) = control.fail(id, error, Instant::now());
        let (module, digest, reason) = (deployment.name(), id.digest, Arc::clone(&quarantine.message));
        if quarantine.waits() {
            tracing::warn!(target: "antiphon::server", %module, %digest, %reason, "a version waits for the machine");
            return;
        }
        if is_new {
            tracing::warn!(target: "antiphon::server", %module, %digest, %reason, "a version is in quarantine");
            let (code, reason) = (quarantine.kind.code(), Arc::clone(&reason));
            self.events.emit(Some(module), EventKind::Quarantined { digest, code, reason });
        }
        if control.desired.canary.is_some_and(|canary| canary.id == id) {
            control.desired.canary = None;
            control.by_operator = true;
            control.revise();
            self.events.emit(Some(module), EventKind::RolledBack { digest, by: By::Quarantine, reason });
        }
    }

    /// Brings the state on disk up to date. Returns whether the module is gone, and with it the
    /// task's work.
    pub(crate) async fn write(self: &Arc<Self>, deployment: &Arc<Deployment>) -> bool {
        let (record, changes, is_gone, has_dropped) = {
            let mut control = deployment.control();
            if control.changes == control.written {
                return false;
            }
            control.prune();
            let is_gone = control.is_gone();
            let has_dropped = std::mem::take(&mut control.has_dropped);
            (control.record(deployment.name()), control.changes, is_gone, has_dropped)
        };
        // So many modules at once that the disk has something to do, and not a thread for each.
        let turn = Arc::clone(&self.writes).acquire_owned().await;
        let inner = Arc::clone(self);
        let written = tokio::task::spawn_blocking(move || {
            if is_gone {
                inner.store.forget(&record.name)?
            } else {
                inner.store.write(&record)?
            }
            if has_dropped {
                inner.store.sweep(|| inner.named());
            }
            drop(turn);
            std::io::Result::Ok(())
        });
        let written = written.await.unwrap_or_else(|panic| Err(std::io::Error::other(panic)));
        let mut control = deployment.control();
        match written {
            Ok(()) => {
                control.written = changes;
                control.storage = None;
            }
            Err(error) => {
                let module = deployment.name();
                tracing::error!(target: "antiphon::server", %module, %error, "the state of a module cannot be written");
                control.storage = Some(error.to_string());
                return false;
            }
        }
        drop(control);
        let is_gone = is_gone && self.forget(deployment);
        if is_gone {
            deployment.tell();
        }
        is_gone
    }

    /// Returns all digests that records name.
    pub(crate) fn named(&self) -> BTreeSet<Digest> {
        let known: Vec<_> = self.known().values().map(Arc::clone).collect();
        let named = |deployment: &Arc<Deployment>| {
            deployment.control().named().map(|id| id.digest).collect::<Vec<_>>()
        };
        known.iter().flat_map(named).collect()
    }
}

fn retry_of(held: &Held, now: Instant) -> Option<Instant> {
    match held {
        // What is due already is among the versions to prepare.
        Held::Failed(quarantine) if !quarantine.is_due(now) => quarantine.retry,
        _ => None,
    }
}
