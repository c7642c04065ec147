//! One task for each module works towards what the module should be.
//!
//! The task plans, does what needs no waiting (switches, retirements), and then prepares the first
//! version that is missing. A newer wish is looked at at once: what it does not need any longer is
//! given up half-way.

mod observe;
mod prepare;
mod retire;
mod settle;
mod watch;

pub(crate) use retire::drain_all;
pub(crate) use watch::{INTERVAL, Watch, watch};

use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use antiphon::Error;

use crate::deployment::{Deployment, Held, Inner, Version};
use crate::desired::Id;
use crate::feed::{EventKind, now_ms};
use prepare::{Ingredients, prepare};

/// How long a version whose start has failed is given before it is looked at, and looked at again.
const LOOK: Duration = Duration::from_millis(100);
/// How long the state waits to be written again after that has failed.
const WRITE_AGAIN: Duration = Duration::from_secs(5);

/// A version that is being prepared.
struct Job {
    id: Id,
    began: Instant,
    work: Pin<Box<dyn Future<Output = Result<Arc<Version>, Error>> + Send>>,
}

/// Works for a module until the module or the server is gone.
pub(crate) async fn run(server: Weak<Inner>, deployment: Arc<Deployment>) {
    let Some(mut stop) = server.upgrade().map(|inner| inner.stop.subscribe()) else { return };
    let mut job: Option<Job> = None;
    loop {
        let Some(inner) = server.upgrade() else { return };
        if *stop.borrow_and_update() {
            // What was decided is kept, even if it was decided just now.
            inner.write(&deployment).await;
            deployment.control().ended = true;
            deployment.tell();
            return;
        }
        let settled = inner.settle(&deployment, Instant::now());
        if inner.write(&deployment).await {
            return;
        }
        deployment.tell();

        if job.as_ref().is_some_and(|job| !settled.wanted.contains(&job.id)) {
            job = None;
            let mut control = deployment.control();
            control.held.retain(|_, held| !matches!(held, Held::Preparing { .. }));
            control.prune();
        }
        if job.is_none()
            && let Some(id) = settled.wanted.first()
        {
            job = inner.begin(&deployment, *id);
        }
        drop(inner);
        let is_behind = deployment.control().storage.is_some();
        let write_again = is_behind.then(|| Instant::now().checked_add(WRITE_AGAIN)).flatten();
        let wake = settled.wake.into_iter().chain(write_again).min();

        let work = async {
            match &mut job {
                Some(job) => job.work.as_mut().await,
                None => pending().await,
            }
        };
        let prepared = tokio::select! {
            prepared = work => Some(prepared),
            () = deployment.wished() => None,
            () = sleep_until(wake) => None,
            () = deployment.alarm().notified(), if !settled.is_alarmed => {
                deployment.control().suspects_due = Instant::now().checked_add(LOOK);
                None
            }
            _ = stop.changed() => None,
        };
        if let Some(prepared) = prepared
            && let Some(Job { id, began, .. }) = job.take()
            && let Some(inner) = server.upgrade()
        {
            inner.prepared(&deployment, (id, began), prepared);
        }
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => pending().await,
    }
}

impl Inner {
    fn begin(self: &Arc<Self>, deployment: &Arc<Deployment>, id: Id) -> Option<Job> {
        let mut control = deployment.control();
        // A version whose settings are unknown is no longer named.
        let settings = Arc::clone(control.settings.get(&id)?);
        control.held.insert(id, Held::Preparing { since_ms: now_ms() });
        drop(control);
        let ingredients = Ingredients { id, settings, deployment: Arc::clone(deployment) };
        let work = Box::pin(prepare(Arc::downgrade(self), ingredients));
        Some(Job { id, began: Instant::now(), work })
    }

    fn prepared(
        &self,
        deployment: &Deployment,
        (id, began): (Id, Instant),
        prepared: Result<Arc<Version>, Error>,
    ) {
        let mut control = deployment.control();
        match prepared {
            Ok(version) => {
                control.held.insert(id, Held::Warm { version, since_ms: now_ms() });
                let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
                self.events.emit(Some(deployment.name()), EventKind::Warmed { digest: id.digest, took_ms });
            }
            Err(error) => self.fail(deployment, &mut control, (id, &error)),
        }
        deployment.publish(&control);
    }
}
