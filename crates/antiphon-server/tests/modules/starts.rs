//! Versions that stop to start.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use antiphon::Error;
use antiphon::errors::Resource;
use antiphon_server::call::Failure;
use antiphon_server::deployment::{Seams, State};
use antiphon_server::feed::EventKind;
use antiphon_server::settings::MakeHandler;

use crate::guests::{answers, does_not_start, starts_for};
use crate::support::{Served, deploy};

#[tokio::test(flavor = "multi_thread")]
async fn a_version_whose_starts_begin_to_fail_is_quarantined_and_the_one_before_serves() {
    for per_call in [false, true] {
        let served = Served::with(&[]).await;
        served.modules.deploy("shop", deploy(&answers("good")), None).await.unwrap();
        let text = starts_for(Duration::from_secs(2));
        let mut wish = deploy(&text);
        wish.settings.as_mut().unwrap().per_call = per_call;
        served.modules.deploy("shop", wish, None).await.unwrap();
        assert_eq!(served.call("shop").await.unwrap(), "for a time");
        tokio::time::sleep(Duration::from_secs(2)).await;
        let began = Instant::now();
        // Each call costs an instance, until none is left and none starts.
        served.until_it_answers("shop", "good").await;
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
        let version = served.version("shop", &text).unwrap();
        assert_eq!(version.state, State::Quarantined);
        let reason = version.reason.unwrap();
        assert_eq!(reason.code, "init_failed");
        let says = "starts failed one after another, the last one: wapc_init";
        assert!(reason.message.contains(says), "{reason:?}");
        let served = served.restart().await;
        assert_eq!(served.call("shop").await.unwrap(), "good");
    }
}

/// Seams whose handlers are refused as many times as `refusals` says.
fn refusing(refusals: usize, error: fn() -> Error) -> Seams {
    let made = AtomicUsize::new(0);
    let handler: MakeHandler = Arc::new(move |_| match made.fetch_add(1, Ordering::SeqCst) {
        count if count < refusals => Err(error()),
        _ => Ok(None),
    });
    Seams { handler: Some(handler) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_lacks_something_is_no_fault_of_the_module() {
    let lacks = || Error::out_of_resources(Resource::Memory, "an instance");
    let text = answers("later");
    let served = Served::configured(&[("shop", &text)], |_| {}, refusing(1, lacks)).await;
    let version = served.version("shop", &text).unwrap();
    assert_eq!((version.state, version.reason.unwrap().code), (State::Waiting, "out_of_resources"));
    let Err(Failure::NoVersion(reason)) = served.call("shop").await else { panic!("it serves") };
    assert!(reason.contains("memory for an instance"), "{reason}");
    served.until_it_answers("shop", "later").await;
    let is_quarantine = |event: &EventKind| matches!(event, EventKind::Quarantined { .. });
    assert!(!served.events("shop").iter().any(is_quarantine));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_failed_is_tried_again_and_an_operator_can_ask_for_it() {
    let served = Served::with(&[("shop", &does_not_start())]).await;
    assert!(matches!(served.call("shop").await, Err(Failure::NoVersion(_))));
    let since = |served: &Served| served.version("shop", &does_not_start()).unwrap().since_ms;
    let first = since(&served);
    // The first pause is one second.
    served
        .until("a second try", |served| {
            served.state("shop", &does_not_start()) == Some(State::Quarantined) && since(served) > first
        })
        .await;
    let second = since(&served);
    assert!(second - first >= 1_000, "{}", second - first);
    let began = Instant::now();
    served.modules.retry("shop", Some(1)).await.unwrap();
    served
        .until("a third try", |served| {
            served.state("shop", &does_not_start()) == Some(State::Quarantined) && since(served) > second
        })
        .await;
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    // It is said once.
    let events = served.events("shop");
    assert_eq!(events.len(), 3, "{events:#?}");
}
