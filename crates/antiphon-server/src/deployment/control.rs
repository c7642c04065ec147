//! What is known of one module: what it should be, what it is, and what was decided about it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use antiphon::{Error, ErrorKind};

use super::Version;
use super::quarantine::Quarantine;
use super::rule::{Count, Judge};
use super::share::{Serving, Slice};
use super::state::Record;
use super::status::{Origin, Reason};
use crate::desired::{Canary, Desired, Digest, Id};
use crate::feed::now_ms;
use crate::plan::{Actual, Condition};
use crate::settings::Settings;

/// How many versions that failed, and are not asked for any longer, are remembered for operators.
const REMEMBERED: usize = 4;
/// So many starts that fail, with no call answered in between, put a version into quarantine.
const FAILED_STARTS: u64 = 3;

/// How long a version whose start has failed is looked at.
const SUSPICION: Duration = Duration::from_secs(10);

/// What is known of one module.
#[derive(Debug, Default)]
pub(crate) struct Control {
    /// The number of the newest change; 0 for a module that is no module yet.
    pub(crate) revision: u64,
    pub(crate) by_operator: bool,
    pub(crate) note: Option<Arc<str>>,
    /// The digest that the module's file had at the newest change.
    pub(crate) file: Option<Digest>,
    pub(crate) removed: bool,
    /// Versions whose settings come from an operator, and not from the configuration.
    pub(crate) own: BTreeSet<Id>,
    pub(crate) desired: Desired,
    pub(crate) settings: BTreeMap<Id, Arc<Settings>>,
    /// What the configuration says at this moment.
    pub(crate) configured: Arc<Settings>,
    /// Why the module's file cannot be read.
    pub(crate) problem: Option<Reason>,

    pub(crate) held: BTreeMap<Id, Held>,
    /// How often each version has failed, and how the last time.
    pub(crate) strikes: BTreeMap<Id, (u32, Reason)>,
    pub(crate) draining: Vec<(Weak<Version>, u64)>,
    pub(crate) stable: Option<Id>,
    pub(crate) canary: Option<Canary>,
    pub(crate) serving_since_ms: u64,
    pub(crate) canary_since_ms: u64,
    /// Until when the version before stays warm.
    pub(crate) keep_until: Option<Instant>,
    pub(crate) judge: Option<(Judge, Instant)>,
    pub(crate) suspects: BTreeMap<Id, Suspect>,
    /// When versions are looked at whose starts may fail.
    pub(crate) suspects_due: Option<Instant>,

    /// Counts the changes that have to be kept on disk.
    pub(crate) changes: u64,
    /// The change up to which the disk has everything.
    pub(crate) written: u64,
    /// The change up to which everything was done that needs no waiting.
    pub(crate) settled: u64,
    /// Why the disk does not have everything.
    pub(crate) storage: Option<String>,
    /// The number of the newest deploy.
    pub(crate) deploy: u64,
    /// Whether nothing changes any more, because the server is ending.
    pub(crate) ended: bool,
    /// Whether bytes may be kept that no record names.
    pub(crate) has_dropped: bool,
}

/// What became of a version.
#[derive(Debug)]
pub(crate) enum Held {
    Preparing { since_ms: u64 },
    Warm { version: Arc<Version>, since_ms: u64 },
    Failed(Quarantine),
}

/// A version whose starts have begun to fail.
#[derive(Debug)]
pub(crate) struct Suspect {
    /// Starts that had failed when a call was last answered.
    base: u64,
    failed_starts: u64,
    answered: u64,
    until: Instant,
}

impl Control {
    pub(crate) fn of_record(record: &Record, configured: Arc<Settings>) -> Self {
        Self {
            revision: record.revision,
            by_operator: record.by_operator,
            note: record.note.clone(),
            file: record.file,
            removed: record.removed,
            own: record.own.clone(),
            desired: record.desired.clone(),
            settings: record.settings.iter().map(|(id, known)| (*id, Arc::new(known.clone()))).collect(),
            configured,
            ..Self::default()
        }
    }

    pub(crate) fn record(&self, name: &Arc<str>) -> Record {
        let named: BTreeSet<_> = self.named().collect();
        let known = self.settings.iter().filter(|(id, _)| named.contains(id));
        Record {
            name: Arc::clone(name),
            revision: self.revision,
            by_operator: self.by_operator,
            note: self.note.clone(),
            file: self.file,
            removed: self.removed,
            own: self.own.intersection(&named).copied().collect(),
            desired: self.desired.clone(),
            settings: known.map(|(id, settings)| (*id, (**settings).clone())).collect(),
        }
    }

    /// Returns the versions that are named in what the module should be.
    pub(crate) fn named(&self) -> impl Iterator<Item = Id> + '_ {
        let Desired { serve, canary, good, before, prepare, .. } = &self.desired;
        [*serve, canary.map(|canary| canary.id), *good, *before, *prepare].into_iter().flatten()
    }

    /// Returns whether the module is one that callers and operators can name.
    pub(crate) fn exists(&self) -> bool {
        self.revision > 0 && !self.removed
    }

    /// Returns the revision that operators see: 0 where there is no module.
    pub(crate) fn seen_revision(&self) -> u64 {
        if self.exists() { self.revision } else { 0 }
    }

    /// Returns whether nothing has to be known of the module any longer.
    pub(crate) fn is_gone(&self) -> bool {
        !self.exists() && self.file.is_none() && self.desired.prepare.is_none()
    }

    pub(crate) fn origin(&self) -> Origin {
        if self.by_operator { Origin::Operator } else { Origin::File }
    }

    // Changes of what the module should be.

    /// Notes a change that operators see.
    pub(crate) fn revise(&mut self) {
        self.revision = self.revision.saturating_add(1);
        self.changed();
    }

    /// Notes a change that has to be kept.
    pub(crate) fn changed(&mut self) {
        self.changes = self.changes.saturating_add(1);
    }

    /// Returns the name of a version that runs with what the configuration says, or with settings
    /// of its own, and remembers them.
    pub(crate) fn version(&mut self, digest: Digest, own: Option<Settings>) -> Id {
        let is_own = own.is_some();
        let settings = own.map_or_else(|| Arc::clone(&self.configured), Arc::new);
        let id = Id { digest, settings: settings.fingerprint() };
        self.settings.insert(id, settings);
        if is_own {
            self.own.insert(id);
        } else {
            self.own.remove(&id);
        }
        id
    }

    /// Asks for a version to serve all calls.
    pub(crate) fn serve(&mut self, id: Id) {
        self.desired.before = self.stable.filter(|stable| *stable != id).or(self.desired.before);
        self.desired.before = self.desired.before.filter(|before| *before != id);
        self.desired.serve = Some(id);
        self.desired.canary = None;
        self.desired.stopped = false;
        self.removed = false;
    }

    /// Ends the module.
    pub(crate) fn remove(&mut self) {
        self.desired = Desired { prepare: self.desired.prepare, ..Desired::default() };
        (self.note, self.problem, self.removed) = (None, None, true);
        self.revise();
    }

    /// Takes over what the configuration says. Returns whether that changes a version.
    pub(crate) fn configure(&mut self, configured: Arc<Settings>) -> bool {
        self.configured = configured;
        let Desired { serve, canary, before, stopped, .. } = self.desired;
        let serve_now = serve.map(|serve| self.reconfigured(serve));
        let canary_now = canary.map(|canary| Canary { id: self.reconfigured(canary.id), ..canary });
        if (serve_now, canary_now) == (serve, canary) {
            return false;
        }
        if let Some(id) = serve_now.filter(|_| serve_now != serve) {
            self.serve(id);
            // Not what has the same bytes: to go back means to go back to other bytes.
            self.desired.before = before.map(|before| self.reconfigured(before));
            self.desired.stopped = stopped;
        }
        self.desired.canary = canary_now;
        self.revise();
        true
    }

    /// Returns a version with what the configuration says now, unless it has settings of its own.
    fn reconfigured(&mut self, id: Id) -> Id {
        if self.own.contains(&id) { id } else { self.version(id.digest, None) }
    }

    // What the module is.

    pub(crate) fn actual(&self, now: Instant) -> Actual {
        let condition = |held: &Held| match held {
            Held::Preparing { .. } => None,
            Held::Warm { .. } => Some(Condition::Warm),
            Held::Failed(quarantine) => (!quarantine.is_due(now)).then_some(Condition::Failed),
        };
        let versions = self.held.iter().filter_map(|(id, held)| Some((*id, condition(held)?))).collect();
        Actual { versions, stable: self.stable, canary: self.canary }
    }

    /// Returns what the module should be now: the version before stays warm for a time.
    pub(crate) fn desired(&self, now: Instant) -> Desired {
        let before = self.desired.before.filter(|_| self.keep_until.is_some_and(|until| now < until));
        Desired { before, ..self.desired.clone() }
    }

    pub(crate) fn warm(&self, id: Id) -> Option<&Arc<Version>> {
        match self.held.get(&id) {
            Some(Held::Warm { version, .. }) => Some(version),
            _ => None,
        }
    }

    pub(crate) fn quarantine(&self, id: Id) -> Option<&Quarantine> {
        match self.held.get(&id) {
            Some(Held::Failed(quarantine)) => Some(quarantine),
            _ => None,
        }
    }

    /// Returns whether the module serves, or has said why it does not.
    pub(crate) fn has_settled(&self) -> bool {
        match self.desired.serve {
            _ if self.ended || !self.exists() || self.desired.stopped => true,
            None => self.problem.is_some(),
            Some(serve) => self.stable == Some(serve) || self.failure(serve).is_some(),
        }
    }

    /// Returns why a version does not serve, also while it is tried again.
    pub(crate) fn failure(&self, id: Id) -> Option<&Reason> {
        let is_warm = self.warm(id).is_some();
        self.strikes.get(&id).filter(|_| !is_warm).map(|(_, reason)| reason)
    }

    /// Puts a version into quarantine, or lets it wait for the machine. Returns the quarantine, and
    /// whether it says something new.
    pub(crate) fn fail(&mut self, id: Id, error: &Error, now: Instant) -> (Quarantine, bool) {
        let before = self.strikes.remove(&id);
        let strikes = before.as_ref().map_or(0, |(count, _)| *count).saturating_add(1);
        let quarantine = Quarantine::new(error, strikes, now);
        let is_new = before.is_none_or(|(_, reason)| reason != quarantine.reason());
        self.strikes.insert(id, (strikes, quarantine.reason()));
        self.held.insert(id, Held::Failed(quarantine.clone()));
        self.suspects.remove(&id);
        if self.desired.good == Some(id) && !quarantine.waits() {
            self.desired.good = self.desired.before;
            self.changed();
        }
        self.prune();
        (quarantine, is_new)
    }

    /// Forgets that a version has failed, so that it is tried again.
    pub(crate) fn pardon(&mut self, id: Id) {
        self.strikes.remove(&id);
        if self.quarantine(id).is_some() {
            self.held.remove(&id);
        }
    }

    /// Forgets what no longer matters.
    pub(crate) fn prune(&mut self) {
        let named: BTreeSet<_> = self.named().collect();
        let failed = self.held.iter().filter_map(|(id, held)| match held {
            Held::Failed(quarantine) if !named.contains(id) => Some((quarantine.since_ms, *id)),
            _ => None,
        });
        let mut failed: Vec<_> = failed.collect();
        failed.sort_unstable();
        let surplus = failed.len().saturating_sub(REMEMBERED);
        for (_, id) in failed.into_iter().take(surplus) {
            self.held.remove(&id);
        }
        let held = &self.held;
        let is_known = |id: &Id| named.contains(id) || held.contains_key(id);
        let count = self.settings.len();
        self.settings.retain(|id, _| is_known(id));
        self.has_dropped |= self.settings.len() < count;
        self.strikes.retain(|id, _| is_known(id));
        self.own.retain(|id| is_known(id));
        self.draining.retain(|(version, _)| version.strong_count() > 0);
    }

    /// Returns versions whose starts fail again and again, with the error of the last one.
    pub(crate) fn failing(&mut self, now: Instant) -> Vec<(Id, Error)> {
        let mut failing = Vec::new();
        for (id, held) in &self.held {
            let Held::Warm { version, .. } = held else { continue };
            let stats = version.pool.stats();
            let errors_of = |errors: &[(ErrorKind, u64)]| errors.iter().map(|(_, count)| *count).sum::<u64>();
            let answered =
                stats.versions.iter().map(|known| known.calls.saturating_sub(errors_of(&known.errors)));
            let answered = answered.sum();
            let failed_starts = stats.failed_starts;
            let fresh = || {
                let until = now.checked_add(SUSPICION).unwrap_or(now);
                Suspect { base: failed_starts, failed_starts, answered, until }
            };
            let suspect = self.suspects.entry(*id).or_insert_with(fresh);
            if suspect.answered != answered {
                *suspect = fresh();
            }
            if suspect.failed_starts != failed_starts {
                *suspect = Suspect { base: suspect.base, ..fresh() };
            }
            let failures = failed_starts.saturating_sub(suspect.base);
            if failures >= FAILED_STARTS {
                let last = version.last_failure().map(|failure| format!(", the last one: {failure}"));
                let what = format!("{failures} starts failed one after another{}", last.unwrap_or_default());
                failing.push((*id, Error::new(ErrorKind::InitFailed, what).never_born()));
            }
        }
        let held = &self.held;
        self.suspects.retain(|id, _| matches!(held.get(id), Some(Held::Warm { .. })));
        failing
    }

    /// Returns whether versions have to be looked at again.
    pub(crate) fn has_suspects(&mut self, now: Instant) -> bool {
        self.suspects.retain(|_, suspect| now < suspect.until);
        !self.suspects.is_empty()
    }

    // What callers see.

    pub(crate) fn serving(&self) -> Serving {
        let stable = self.stable.and_then(|id| self.warm(id));
        let canary = self.canary.and_then(|canary| Some((self.warm(canary.id)?, canary.share)));
        let others = self.held.iter().filter_map(|(id, held)| match held {
            Held::Warm { version, .. } if Some(*id) != self.stable => Some(Arc::clone(version)),
            _ => None,
        });
        Serving {
            stable: stable.cloned().ok_or_else(|| self.why_not().into()),
            canary: canary.map(|(version, share)| Slice::new(Arc::clone(version), share)),
            warm: others.collect(),
        }
    }

    fn why_not(&self) -> String {
        if self.desired.stopped {
            return "an operator has drained the module: promote, roll back or deploy a version".into();
        }
        let failed = self.desired.serve.and_then(|serve| Some((serve, self.failure(serve)?)));
        match (failed, &self.problem) {
            (Some((id, reason)), _) => format!("{}: {}", id.digest, reason.message),
            (None, Some(problem)) => problem.message.to_string(),
            (None, None) => "its first version is being prepared".into(),
        }
    }

    /// Returns what a version did, for the rule.
    pub(crate) fn count(&self, id: Id) -> Count {
        self.warm(id).map(|version| version.count()).unwrap_or_default()
    }

    pub(crate) fn since_ms(&self, id: Id) -> u64 {
        match self.held.get(&id) {
            _ if self.stable == Some(id) => self.serving_since_ms,
            _ if self.canary.is_some_and(|canary| canary.id == id) => self.canary_since_ms,
            Some(Held::Preparing { since_ms } | Held::Warm { since_ms, .. }) => *since_ms,
            Some(Held::Failed(quarantine)) => quarantine.since_ms,
            None => now_ms(),
        }
    }
}
