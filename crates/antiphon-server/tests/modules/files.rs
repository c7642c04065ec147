//! Modules that follow their files.

use std::fs;
use std::io::Write;
use std::time::Duration;

use antiphon_server::call::Failure;
use antiphon_server::config;
use antiphon_server::deployment::{Origin, Seams, State};
use antiphon_server::desired::Digest;
use antiphon_server::feed::{By, EventKind};

use crate::guests::{answers, does_not_start};
use crate::support::Served;

/// A guest of the built ones, on Wasmtime.
const RUST: &[u8] = include_bytes!("../../../../guests/built/rust-smallest.wasm");

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_serves_and_what_changes_in_it_is_served() {
    let served = Served::with(&[("one", &answers("1")), ("two", &answers("2"))]).await;
    assert_eq!(served.call("one").await.unwrap(), "1");
    assert_eq!(served.call("two").await.unwrap(), "2");
    assert!(matches!(served.call("three").await, Err(Failure::UnknownModule)));
    assert_eq!(served.status("one").origin, Origin::File);
    assert_eq!((served.revision("one"), served.modules.preparing().len()), (1, 0));

    served.write("one", &answers("1b"));
    served.write("three", &answers("3"));
    fs::remove_file(served.path("two")).unwrap();
    // A file that is no module's, and one whose name cannot be one.
    served.write("not a name", &answers("x"));
    fs::write(served.config.server.modules.join("README.md"), b"x").unwrap();
    served.until_it_answers("one", "1b").await;
    served.until_it_answers("three", "3").await;
    served.until("the removal", |served| served.modules.status("two").is_none()).await;
    assert!(matches!(served.call("two").await, Err(Failure::UnknownModule)));
    assert_eq!(served.modules.list().len(), 2);

    let [old, new] = [answers("1"), answers("1b")].map(|text| Digest::of(text.as_bytes()));
    let deployed = |digest| EventKind::Deployed { digest, share: None, by: By::File, note: None };
    let events = served.events("one");
    assert_eq!(
        events,
        [
            deployed(old),
            EventKind::Switched { from: None, to: old },
            deployed(new),
            EventKind::Switched { from: Some(old), to: new },
        ]
    );
    assert_eq!(served.state("one", &answers("1")), Some(State::Warm));
    assert_eq!(served.state("one", &answers("1b")), Some(State::Serving));
    let removed = served.restart().await;
    assert!(removed.modules.status("two").is_none());
    assert_eq!((removed.revision("one"), removed.call("one").await.unwrap()), (2, "1b".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_file_serves_as_its_stem() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rust-smallest.wasm");
    fs::write(&file, RUST).unwrap();
    let state = folder.path().join("state");
    let configure = |config: &mut config::Config| {
        config.server.modules = file;
        config.server.state = state;
    };
    let served = Served::configured(&[], configure, Seams::default()).await;
    let names: Vec<_> = served.modules.list().into_iter().map(|module| module.name.to_string()).collect();
    assert_eq!(names, ["rust-smallest"]);
    assert_eq!(served.state_of_only("rust-smallest"), State::Serving);
    // What was compiled is kept.
    assert!(fs::read_dir(folder.path().join("state/code")).unwrap().count() > 0);
}

impl Served {
    fn state_of_only(&self, name: &str) -> State {
        let status = self.status(name);
        assert_eq!(status.versions.len(), 1);
        status.versions[0].state
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_being_written_waits() {
    let served = Served::with(&[("slow", &answers("before"))]).await;
    let text = answers("after");
    let mut file = fs::File::create(served.path("slow")).unwrap();
    // Longer than two looks, and never longer than one look without a change.
    for part in text.as_bytes().chunks(text.len() / 12) {
        file.write_all(part).unwrap();
        file.sync_all().unwrap();
        tokio::time::sleep(Duration::from_millis(150)).await;
        assert_eq!(served.call("slow").await.unwrap(), "before");
    }
    served.until_it_answers("slow", "after").await;
    let is_quarantine = |event: &EventKind| matches!(event, EventKind::Quarantined { .. });
    assert!(!served.events("slow").iter().any(is_quarantine));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_file_is_quarantined_and_the_last_good_version_serves_also_after_a_restart() {
    for (bad, code) in [("(module (oops".to_owned(), "invalid_module"), (does_not_start(), "init_failed")] {
        let served = Served::with(&[("shop", &answers("good")), ("other", &answers("other"))]).await;
        served.write("shop", &bad);
        served.until("the quarantine", |served| served.state("shop", &bad) == Some(State::Quarantined)).await;
        assert_eq!(served.call("shop").await.unwrap(), "good");
        assert_eq!(served.state("shop", &answers("good")), Some(State::Serving));
        let problem = served.status("shop").problem.unwrap();
        assert_eq!(problem.code, code);

        let served = served.restart().await;
        assert_eq!(served.call("shop").await.unwrap(), "good");
        assert_eq!(served.call("other").await.unwrap(), "other");
        assert_eq!(served.state("shop", &bad), Some(State::Quarantined));
        assert_eq!(served.status("shop").problem.unwrap(), problem);

        served.write("shop", &answers("mended"));
        served.until_it_answers("shop", "mended").await;
        assert_eq!(served.status("shop").problem, None);
        let served = served.restart().await;
        assert_eq!(served.call("shop").await.unwrap(), "mended");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_module_that_never_worked_says_why_and_holds_nothing_up() {
    let served = Served::with(&[("bad", "no module"), ("good", &answers("good"))]).await;
    let Err(Failure::NoVersion(reason)) = served.call("bad").await else { panic!("it serves") };
    assert!(reason.starts_with("sha256:") && reason.contains(": not a WebAssembly module: "), "{reason}");
    assert_eq!(served.call("good").await.unwrap(), "good");
    assert!(served.modules.preparing().is_empty());
    assert_eq!(served.status("bad").serving, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_configuration_names_files_pins_digests_and_says_what_it_misses() {
    let folder = tempfile::tempdir().unwrap();
    let elsewhere = folder.path().join("elsewhere.bin");
    fs::write(&elsewhere, answers("elsewhere")).unwrap();
    let configure = |config: &mut config::Config| {
        let of = |source: Option<String>, digest: Option<String>| {
            let mut module = config::Module::default();
            (module.source, module.digest) = (source, digest);
            module
        };
        let path = elsewhere.display().to_string();
        let right = Digest::of(answers("elsewhere").as_bytes()).to_string();
        let wrong = Digest::of(b"").to_string();
        config.modules.extend([
            ("plain".to_owned(), of(Some(path.clone()), None)),
            ("pinned".to_owned(), of(Some(format!("file:{path}")), Some(right))),
            ("wrong".to_owned(), of(Some(path), Some(wrong))),
            ("absent".to_owned(), of(None, None)),
            ("remote".to_owned(), of(Some("oci://registry/x:1".into()), None)),
        ]);
    };
    let served = Served::configured(&[], configure, Seams::default()).await;
    assert_eq!(served.call("plain").await.unwrap(), "elsewhere");
    assert_eq!(served.call("pinned").await.unwrap(), "elsewhere");
    for (name, says) in [
        ("wrong", "and the configuration asks for sha256:e3b0c442"),
        ("absent", "its file is not there"),
        ("remote", "this build reads files only"),
    ] {
        let Err(Failure::NoVersion(reason)) = served.call(name).await else { panic!("{name} serves") };
        assert!(reason.contains(says), "{reason}");
        assert_eq!(served.status(name).problem.unwrap().message, reason);
    }
    // The file comes later.
    served.write("absent", &answers("now"));
    served.until_it_answers("absent", "now").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_is_gone_for_a_while_takes_no_module_with_it() {
    let served = Served::with(&[("one", &answers("1"))]).await;
    let away = served.folder.path().join("away");
    fs::rename(&served.config.server.modules, &away).unwrap();
    tokio::time::sleep(Duration::from_millis(1_700)).await;
    assert_eq!(served.call("one").await.unwrap(), "1");
    fs::rename(&away, &served.config.server.modules).unwrap();
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    assert_eq!((served.call("one").await.unwrap(), served.revision("one")), ("1".to_owned(), 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn other_settings_are_switched_to_and_bad_ones_change_nothing() {
    let served = Served::with(&[("one", &answers("1"))]).await;
    let mut config = served.config.clone();
    let engine = |name: &str| config::Module { engine: Some(name.into()), ..config::Module::default() };
    config.modules.insert("one".into(), engine("wasmi"));
    served.modules.reload(&config);
    served.until("the switch", |served| served.events("one").len() == 4).await;
    assert_eq!(served.call("one").await.unwrap(), "1");
    assert_eq!(served.revision("one"), 2);

    config.modules.insert("one".into(), engine("v8"));
    served.modules.reload(&config);
    served.until("the refusal", |served| served.status("one").problem.is_some()).await;
    assert_eq!(served.call("one").await.unwrap(), "1");
    let problem = served.status("one").problem.unwrap();
    assert_eq!(
        (problem.code, &*problem.message),
        ("unsupported", "no engine is called \"v8\"; there are: wasmtime, wasmi")
    );
}
