//! Servers that end in the middle, and disks that fail.

use std::fs;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use antiphon_server::deployment::{Modules, Refused, Seams, State};
use antiphon_server::settings::MakeHandler;

use crate::guests::answers;
use crate::support::{Served, deploy};

/// Seams that make each preparation of a version take so long.
fn slow(time: Duration) -> Seams {
    let handler: MakeHandler = Arc::new(move |_| {
        thread::sleep(time);
        Ok(None)
    });
    Seams { handler: Some(handler) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_ends_in_the_middle_of_a_deploy_serves_the_last_good_version_again() {
    let served =
        Served::configured(&[("file", &answers("file"))], |_| {}, slow(Duration::from_millis(300))).await;
    served.modules.deploy("shop", deploy(&answers("good")), None).await.unwrap();
    let modules = served.modules.clone();
    let deploying = tokio::spawn(async move { modules.deploy("shop", deploy(&answers("half")), None).await });
    served
        .until("the preparation", |served| served.state("shop", &answers("half")) == Some(State::Preparing))
        .await;
    served.write("file", "(module (half");
    // No word of goodbye: the tasks end with their server.
    deploying.abort();
    let Served { folder, config, seams, modules } = served;
    drop((modules, deploying));
    fs::write(config.server.state.join("bytes/sha256-00.1-1.part"), b"half").unwrap();
    let modules = Modules::start(&config, seams.clone()).await.unwrap();
    modules.settled().await;
    let served = Served { folder, config, seams, modules };
    assert_eq!(served.call("shop").await.unwrap(), "good");
    assert_eq!(served.call("file").await.unwrap(), "file");
    assert_eq!(served.state("file", "(module (half"), Some(State::Quarantined));
    // What was half deployed left nothing behind.
    let kept = fs::read_dir(served.config.server.state.join("bytes")).unwrap().count();
    assert_eq!(kept, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deploy_whose_operator_goes_away_changes_nothing() {
    let served =
        Served::configured(&[("shop", &answers("good"))], |_| {}, slow(Duration::from_millis(300))).await;
    let wish = served.modules.deploy("shop", deploy(&answers("given up")), None);
    assert!(tokio::time::timeout(Duration::from_millis(100), wish).await.is_err());
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!((served.call("shop").await.unwrap(), served.revision("shop")), ("good".to_owned(), 1));
    assert_eq!(served.state("shop", &answers("given up")), None);
    served
        .until("the sweep", |served| {
            fs::read_dir(served.config.server.state.join("bytes")).unwrap().count() == 1
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_deploys_without_a_revision_the_later_one_serves() {
    let served =
        Served::configured(&[("shop", &answers("good"))], |_| {}, slow(Duration::from_millis(200))).await;
    let modules = served.modules.clone();
    let first = tokio::spawn(async move { modules.deploy("shop", deploy(&answers("first")), None).await });
    served
        .until("the first", |served| served.state("shop", &answers("first")) == Some(State::Preparing))
        .await;
    served.modules.deploy("shop", deploy(&answers("second")), None).await.unwrap();
    let first = first.await.unwrap();
    assert!(matches!(first, Err(Refused::Overtaken)), "{first:?}");
    assert_eq!((served.call("shop").await.unwrap(), served.revision("shop")), ("second".to_owned(), 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn state_that_cannot_be_written_is_said_and_written_later() {
    let served = Served::with(&[("shop", &answers("good"))]).await;
    let (records, away) = (served.config.server.state.join("modules"), served.folder.path().join("away"));
    fs::rename(&records, &away).unwrap();
    let refused = served.modules.deploy("shop", deploy(&answers("new")), None).await.unwrap_err();
    assert!(
        matches!(&refused, Refused::Storage(error) if error.to_string().contains("shop.json")),
        "{refused:?}"
    );
    // It holds all the same, until the server ends.
    assert_eq!(served.call("shop").await.unwrap(), "new");
    fs::rename(&away, &records).unwrap();
    let kept =
        |served: &Served| fs::read_to_string(served.config.server.state.join("modules/shop.json")).unwrap();
    served.until("the second try", |served| kept(served).contains("\"revision\": 2")).await;
    let served = served.restart().await;
    assert_eq!(served.call("shop").await.unwrap(), "new");
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_state_costs_a_module_no_more_than_its_history() {
    let served = Served::with(&[("shop", &answers("file")), ("other", &answers("other"))]).await;
    let state = served.config.server.state.clone();
    let Served { folder, config, seams, modules } = served;
    modules.stop(Duration::from_secs(5)).await;
    fs::write(state.join("modules/shop.json"), b"{\"name\": \"shop\", \"revi").unwrap();
    for bytes in fs::read_dir(state.join("bytes")).unwrap() {
        fs::write(bytes.unwrap().path(), b"damaged").unwrap();
    }
    drop(modules);
    let modules = Modules::start(&config, seams.clone()).await.unwrap();
    modules.settled().await;
    let served = Served { folder, config, seams, modules };
    served.until_it_answers("shop", "file").await;
    served.until_it_answers("other", "other").await;
}
