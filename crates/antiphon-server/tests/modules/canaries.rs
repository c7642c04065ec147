//! Canaries that roll themselves back.

use std::time::Duration;

use antiphon_server::deployment::State;
use antiphon_server::feed::{By, EventKind};

use crate::guests::{answers, fails, fails_half};
use crate::support::{Load, Served, deploy, rounds};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn canaries_that_err_roll_themselves_back_and_the_others_stay() {
    let served = Served::with(&[]).await;
    served.modules.deploy("shop", deploy(&answers("stable")), None).await.unwrap();
    let load = Load::begin(&served.modules, "shop", 2, |came| match came {
        Ok(_) => true,
        Err(error) => format!("{error:?}").contains("canary fails"),
    });
    let rounds = rounds(10);
    for round in 0..rounds {
        let errs = round % 2 == 1;
        let text =
            if errs { fails_half(&format!("canary fails {round}")) } else { answers(&format!("{round}")) };
        let mut wish = deploy(&text);
        wish.share = Some(30);
        let rule = &mut wish.settings.as_mut().unwrap().rule;
        (rule.over, rule.min_calls) = (Duration::from_millis(400), 100);
        served.modules.deploy("shop", wish, None).await.unwrap();
        if errs {
            served.until("the rollback", |served| served.state("shop", &text) != Some(State::Canary)).await;
            let events = served.events("shop");
            let Some(EventKind::RolledBack { by: By::Rule, reason, .. }) = events.last() else {
                panic!("{events:?}")
            };
            assert!(reason.starts_with("it erred in "), "{reason}");
        } else {
            let calls = |served: &Served| served.version("shop", &text).unwrap().stats.unwrap().calls;
            served.until("its calls", |served| calls(served) > 300).await;
            tokio::time::sleep(Duration::from_millis(500)).await;
            assert_eq!(served.state("shop", &text), Some(State::Canary), "{round}");
            served.modules.promote("shop", None).await.unwrap();
        }
    }
    let (_, wrong) = load.end().await;
    assert_eq!(wrong, Vec::<String>::new());
    let by_rule = |event: &&EventKind| matches!(event, EventKind::RolledBack { by: By::Rule, .. });
    assert_eq!(served.events("shop").iter().filter(by_rule).count(), rounds / 2);
    // What was rolled back stays so.
    let served = served.restart().await;
    assert_eq!(served.call("shop").await.unwrap(), (rounds - 2).to_string());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_that_errs_like_the_version_beside_it_stays() {
    let served = Served::with(&[]).await;
    served.modules.deploy("shop", deploy(&fails("both fail: old")), None).await.unwrap();
    let load = Load::begin(&served.modules, "shop", 2, |came| came.is_err());
    let mut wish = deploy(&fails("both fail: new"));
    wish.share = Some(50);
    wish.settings.as_mut().unwrap().rule.over = Duration::from_millis(200);
    served.modules.deploy("shop", wish, None).await.unwrap();
    let canary = |served: &Served| served.version("shop", &fails("both fail: new")).unwrap();
    served.until("its calls", |served| canary(served).stats.unwrap().calls > 500).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(canary(&served).state, State::Canary);
    load.end().await;
    let stats = canary(&served).stats.unwrap();
    assert_eq!((stats.faults, stats.errors["guest_failed"]), (stats.calls, stats.calls));
}
