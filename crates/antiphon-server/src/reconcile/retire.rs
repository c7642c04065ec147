//! The end of a version.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use antiphon_pool::Drained;
use tokio::task::JoinSet;

use crate::deployment::{Deployment, Inner, Version};
use crate::feed::EventKind;

/// How often a version that is to end is looked at.
const LOOK: Duration = Duration::from_millis(20);
/// After this time a version ends although something still holds it. A call that has picked it
/// enters its pool at once; what holds it longer is an answer on its way to a slow caller.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until no call can reach a version any longer, and then drains its pool. So no call is
/// refused because the version that it has picked was switched off.
pub(crate) async fn retire(version: Arc<Version>, deployment: Weak<Deployment>, server: Weak<Inner>) {
    let began = Instant::now();
    while Arc::strong_count(&version) > 1 && began.elapsed() < PATIENCE {
        tokio::time::sleep(LOOK).await;
    }
    // Calls that run have their own deadline.
    let grace = version.deadline.saturating_add(Duration::from_secs(1));
    let _ = version.pool.drain(grace).await;
    let digest = version.digest;
    drop(version);
    if let (Some(deployment), Some(inner)) = (deployment.upgrade(), server.upgrade()) {
        inner.events.emit(Some(deployment.name()), EventKind::Drained { digest });
    }
}

/// Drains versions at the same time.
pub(crate) async fn drain_all(versions: Vec<Arc<Version>>, grace: Duration) -> Drained {
    let mut drains = JoinSet::new();
    for version in versions {
        drains.spawn(async move { version.pool.drain(grace).await });
    }
    let mut all = Drained::default();
    while let Some(drained) = drains.join_next().await {
        let Drained { running, queued, .. } = drained.unwrap_or_default();
        all.running = all.running.saturating_add(running);
        all.queued = all.queued.saturating_add(queued);
    }
    all
}
