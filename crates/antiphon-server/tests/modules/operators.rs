//! What operators do.

use std::fs;
use std::sync::atomic::Ordering;

use antiphon::ErrorKind;
use antiphon_server::call::{Failure, call};
use antiphon_server::deployment::{Origin, Refused, State};
use antiphon_server::desired::Digest;
use antiphon_server::feed::{By, EventKind};

use crate::guests::{answers, does_not_start};
use crate::support::{Load, Served, answer, deploy, incoming, rounds};

#[tokio::test(flavor = "multi_thread")]
async fn a_deploy_serves_stays_after_a_restart_and_yields_to_a_file_that_changes_later() {
    let served = Served::with(&[("shop", &answers("file"))]).await;
    let mut wish = deploy(&answers("deployed"));
    wish.note = Some("because".into());
    assert_eq!(served.modules.deploy("shop", wish, Some(1)).await.unwrap(), 2);
    assert_eq!(served.call("shop").await.unwrap(), "deployed");
    let status = served.status("shop");
    assert_eq!((status.origin, status.note.as_deref()), (Origin::Operator, Some("because")));
    assert_eq!(served.modules.deploy("fresh", deploy(&answers("fresh")), Some(0)).await.unwrap(), 1);

    let served = served.restart().await;
    assert_eq!((served.call("shop").await.unwrap(), served.revision("shop")), ("deployed".to_owned(), 2));
    assert_eq!(served.call("fresh").await.unwrap(), "fresh");
    // The file is touched, and has not changed.
    served.write("shop", &answers("file"));
    served.write("probe", &answers("probe"));
    served.until_it_answers("probe", "probe").await;
    assert_eq!(served.call("shop").await.unwrap(), "deployed");

    served.write("shop", &answers("newer"));
    served.until_it_answers("shop", "newer").await;
    assert_eq!((served.revision("shop"), served.status("shop").origin), (3, Origin::File));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_deploy_changes_nothing_and_says_why() {
    let served = Served::with(&[("shop", &answers("good"))]).await;
    let error = served.modules.deploy("shop", deploy("(module (oops"), None).await.unwrap_err();
    assert!(
        matches!(&error, Refused::Invalid(error) if error.kind() == ErrorKind::InvalidModule),
        "{error:?}"
    );
    let error = served.modules.deploy("shop", deploy(&does_not_start()), None).await.unwrap_err();
    let Refused::ReplaceFailed(error) = error else { panic!("{error:?}") };
    assert_eq!(error.kind(), ErrorKind::ReplaceFailed);
    assert!(
        error.to_string().starts_with("Module replacement failed: Initialization failed: wapc_init"),
        "{error}"
    );
    let mut wish = deploy(&answers("x"));
    wish.digest = Some(Digest::of(b"y"));
    assert!(matches!(served.modules.deploy("shop", wish, None).await, Err(Refused::Invalid(_))));
    let mut wish = deploy(&answers("x"));
    wish.share = Some(100);
    assert!(matches!(served.modules.deploy("shop", wish, None).await, Err(Refused::Share(100))));
    assert!(matches!(
        served.modules.deploy("../x", deploy(&answers("x")), None).await,
        Err(Refused::Name(_))
    ));

    assert_eq!((served.call("shop").await.unwrap(), served.revision("shop")), ("good".to_owned(), 1));
    assert_eq!(served.state("shop", &does_not_start()), Some(State::Quarantined));
    // A module that never came to be leaves nothing behind.
    assert!(matches!(served.modules.deploy("fresh", deploy("no"), None).await, Err(Refused::Invalid(_))));
    assert!(matches!(served.call("fresh").await, Err(Failure::UnknownModule)));
    served
        .until("the sweep", |served| {
            let kept = fs::read_dir(served.config.server.state.join("bytes")).unwrap().count();
            let records = fs::read_dir(served.config.server.state.join("modules")).unwrap().count();
            (kept, records) == (1, 1)
        })
        .await;
    // The next good one of the name is its first.
    assert_eq!(served.modules.deploy("fresh", deploy(&answers("fresh")), Some(0)).await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revision_that_has_passed_is_refused_and_of_two_deploys_with_one_only_one_wins() {
    let served = Served::with(&[("shop", &answers("file"))]).await;
    let stale = served.modules.deploy("shop", deploy(&answers("x")), Some(7)).await;
    assert!(matches!(stale, Err(Refused::Conflict { revision: 1 })), "{stale:?}");
    let exists = served.modules.deploy("shop", deploy(&answers("x")), Some(0)).await;
    assert!(matches!(exists, Err(Refused::Conflict { revision: 1 })), "{exists:?}");
    for refused in [
        served.modules.promote("shop", Some(2)).await,
        served.modules.rollback("shop", Some(2)).await,
        served.modules.drain("shop", Some(2)).await,
        served.modules.remove("shop", Some(2)).await,
        served.modules.retry("shop", Some(2)).await,
    ] {
        assert!(matches!(refused, Err(Refused::Conflict { revision: 1 })), "{refused:?}");
    }

    for round in 0..10 {
        let revision = served.revision("shop");
        let [a, b] = ["a", "b"].map(|who| answers(&format!("{who}{round}")));
        let (a, b) = tokio::join!(
            served.modules.deploy("shop", deploy(&a), Some(revision)),
            served.modules.deploy("shop", deploy(&b), Some(revision)),
        );
        let won = [&a, &b].into_iter().filter(|result| result.is_ok()).count();
        assert_eq!(won, 1, "{a:?} {b:?}");
        let lost = if a.is_ok() { b } else { a };
        assert!(matches!(lost, Err(Refused::Conflict { .. } | Refused::Overtaken)), "{lost:?}");
        assert_eq!(served.revision("shop"), revision + 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_cannot_be_changed() {
    let served = Served::with(&[("shop", &answers("file"))]).await;
    for refused in [
        served.modules.promote("none", None).await,
        served.modules.rollback("none", None).await,
        served.modules.drain("none", None).await,
        served.modules.remove("none", None).await,
        served.modules.retry("none", None).await,
    ] {
        assert!(matches!(refused, Err(Refused::UnknownModule)), "{refused:?}");
    }
    assert!(matches!(served.modules.promote("shop", None).await, Err(Refused::NothingToPromote)));
    assert!(matches!(served.modules.rollback("shop", None).await, Err(Refused::NothingToRollBack)));
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_of_an_operator_stay_with_their_version_and_the_others_follow_the_configuration() {
    let served = Served::with(&[("shop", &answers("file"))]).await;
    let mut wish = deploy(&answers("canary"));
    wish.share = Some(50);
    served.modules.deploy("shop", wish, None).await.unwrap();
    let settings = |served: &Served, text: &str| served.version("shop", &answers(text)).unwrap().settings;
    let (of_file, of_canary) = (settings(&served, "file"), settings(&served, "canary"));
    let mut config = served.config.clone();
    config.limits.queue = Some(7);
    served.modules.reload(&config);
    let moved = |served: &Served| {
        let serving = served.status("shop").versions.remove(0);
        serving.state == State::Serving && serving.settings != of_file
    };
    served.until("the new settings", moved).await;
    assert_eq!(settings(&served, "canary"), of_canary);
    assert_eq!(served.state("shop", &answers("canary")), Some(State::Canary));
    let served = served.restart().await;
    assert_eq!(settings(&served, "canary"), of_canary);
    assert_eq!(settings(&served, "file"), of_file);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_gets_its_share_is_promoted_and_rolled_back() {
    let served = Served::with(&[]).await;
    let modules = &served.modules;
    modules.deploy("shop", deploy(&answers("old")), None).await.unwrap();
    let mut wish = deploy(&answers("new"));
    wish.share = Some(20);
    let revision = modules.deploy("shop", wish, None).await.unwrap();

    let mut new = 0;
    for _ in 0..500 {
        new += u32::from(served.call("shop").await.unwrap() == "new");
    }
    assert!((95..=105).contains(&new), "{new}");
    // One caller always gets one version.
    let mut callers_of_new = 0;
    for sticky in 0..200 {
        let mut answers = Vec::new();
        for _ in 0..3 {
            let mut incoming = incoming("shop");
            incoming.sticky = Some(sticky);
            answers.push(answer(call(modules, incoming).await).unwrap());
        }
        assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{answers:?}");
        callers_of_new += u32::from(answers[0] == "new");
        let mut of_trace = incoming("shop");
        of_trace.info.trace.trace_id = u128::from(sticky);
        of_trace.info.trace.trace_id |= u128::from(sticky == 0) << 100;
        if sticky > 0 {
            assert_eq!(answer(call(modules, of_trace).await).unwrap(), answers[0]);
        }
    }
    assert!((20..=60).contains(&callers_of_new), "{callers_of_new}");
    // A version can be named.
    for (text, says) in [(answers("old"), Ok("old")), (answers("new"), Ok("new")), (answers("x"), Err(()))] {
        let digest = Digest::of(text.as_bytes()).to_string();
        let mut incoming = incoming("shop");
        incoming.version = Some(&digest);
        let outcome = call(modules, incoming).await;
        match says {
            Ok(says) => {
                assert_eq!(outcome.version.as_ref().unwrap().digest.to_string(), digest);
                assert_eq!(outcome.version.as_ref().unwrap().label, format!("shop@{digest}"));
                assert_eq!(answer(outcome).unwrap(), says);
            }
            Err(()) => assert!(matches!(outcome.result, Err(Failure::UnknownVersion))),
        }
    }
    let shares: Vec<_> =
        served.status("shop").versions.iter().map(|version| (version.state, version.share)).collect();
    assert_eq!(shares, [(State::Serving, 80), (State::Canary, 20)]);

    let revision = modules.promote("shop", Some(revision)).await.unwrap();
    assert_eq!((served.call("shop").await.unwrap(), served.revision("shop")), ("new".to_owned(), revision));
    let revision = modules.rollback("shop", Some(revision)).await.unwrap();
    assert_eq!(served.call("shop").await.unwrap(), "old");
    // And there again: the version before is now the other one.
    modules.rollback("shop", Some(revision)).await.unwrap();
    assert_eq!(served.call("shop").await.unwrap(), "new");

    let mut wish = deploy(&answers("third"));
    wish.share = Some(99);
    modules.deploy("shop", wish, None).await.unwrap();
    modules.rollback("shop", None).await.unwrap();
    assert_eq!(served.state("shop", &answers("new")), Some(State::Serving));
    assert_eq!(served.call("shop").await.unwrap(), "new");
    let digest = |text: &str| Digest::of(answers(text).as_bytes());
    let events = served.events("shop");
    let by_operator = |event: &&EventKind| matches!(event, EventKind::RolledBack { by: By::Operator, .. });
    let rolled_back: Vec<_> = events.iter().filter(by_operator).collect();
    assert_eq!(rolled_back.len(), 3, "{events:#?}");
    assert!(events.contains(&EventKind::Promoted { digest: digest("new") }));
    assert!(events.contains(&EventKind::CanaryStarted { digest: digest("third"), share: 99 }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_before_that_is_no_longer_warm_is_prepared_again() {
    let served = Served::with(&[]).await;
    for text in ["one", "two"] {
        let mut wish = deploy(&answers(text));
        wish.settings.as_mut().unwrap().keep = Some(std::time::Duration::from_millis(50));
        served.modules.deploy("shop", wish, None).await.unwrap();
    }
    served.until("the end of the first", |served| served.version("shop", &answers("one")).is_none()).await;
    served.modules.rollback("shop", None).await.unwrap();
    assert_eq!(served.call("shop").await.unwrap(), "one");
    let served = served.restart().await;
    assert_eq!(served.call("shop").await.unwrap(), "one");
    served.modules.rollback("shop", None).await.unwrap();
    assert_eq!(served.call("shop").await.unwrap(), "two");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_module_is_drained_and_serves_again_and_a_removed_one_comes_back_with_its_file() {
    let served = Served::with(&[("shop", &answers("file"))]).await;
    served.modules.drain("shop", None).await.unwrap();
    let Err(Failure::NoVersion(reason)) = served.call("shop").await else { panic!("it serves") };
    assert!(reason.starts_with("an operator has drained the module"), "{reason}");
    served.until("the end of its instances", |served| served.status("shop").versions.is_empty()).await;
    let served = served.restart().await;
    assert!(matches!(served.call("shop").await, Err(Failure::NoVersion(_))));
    served.modules.promote("shop", None).await.unwrap();
    served.until_it_answers("shop", "file").await;

    served.modules.remove("shop", None).await.unwrap();
    assert!(matches!(served.call("shop").await, Err(Failure::UnknownModule)));
    let served = served.restart().await;
    assert!(served.modules.list().is_empty());
    served.write("shop", &answers("changed"));
    served.until("its return", |served| served.modules.status("shop").is_some()).await;
    served.until_it_answers("shop", "changed").await;

    // A module without a file leaves nothing.
    served.modules.deploy("other", deploy(&answers("x")), None).await.unwrap();
    served.modules.remove("other", None).await.unwrap();
    assert_eq!(served.modules.deploy("other", deploy(&answers("x")), Some(0)).await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replacements_under_load_of_which_one_in_five_is_bad_fail_no_call() {
    let served = Served::with(&[]).await;
    served.modules.deploy("shop", deploy(&answers("0")), None).await.unwrap();
    let load = Load::begin(&served.modules, "shop", 4, |came| came.is_ok());
    for round in 1..=rounds(100) {
        let text = match round % 10 {
            0 => does_not_start(),
            5 => format!("(module (oops {round}"),
            _ => answers(&round.to_string()),
        };
        let mut wish = deploy(&text);
        // Retired at once, where it would show if a call could still reach it.
        wish.settings.as_mut().unwrap().keep = Some(std::time::Duration::ZERO);
        let deployed = served.modules.deploy("shop", wish, None).await;
        assert_eq!(deployed.is_err(), round % 5 == 0, "{round}: {deployed:?}");
        let expected = if round % 5 == 0 { round - 1 } else { round };
        assert_eq!(served.call("shop").await.unwrap(), expected.to_string());
    }
    let calls = load.calls.load(Ordering::Relaxed);
    let (all, wrong) = load.end().await;
    assert!(calls > 1_000, "{calls}");
    assert_eq!(wrong, Vec::<String>::new(), "of {all} calls");
    // Nothing piles up.
    served
        .until("the end of the old ones", |served| {
            served
                .status("shop")
                .versions
                .iter()
                .filter(|version| version.state != State::Quarantined)
                .count()
                == 1
        })
        .await;
    let bytes = fs::read_dir(served.config.server.state.join("bytes")).unwrap().count();
    assert!(bytes <= 8, "{bytes}");
}
