//! The files under `deploy/`, against the program that they are for.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::program::{Folder, eventually};

fn deploy(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy").join(name)).unwrap()
}

#[test]
fn the_configuration_in_the_manifest_for_kubernetes_is_accepted() {
    let manifest = deploy("kubernetes/antiphon.yaml");
    let (_, rest) = manifest.split_once("antiphon.toml: |\n").unwrap();
    let lines = rest.lines().map_while(|line| match line.strip_prefix("    ") {
        None if line.is_empty() => Some(""),
        text => text,
    });
    let config = lines.collect::<Vec<_>>().join("\n");
    assert!(config.contains("[auth]") && config.contains("instances"), "{config}");
    let folder = Folder::new(&[]);
    folder.write("antiphon.toml", &config);
    let said = folder.run(&["config", "check"]).done();
    assert!(said.starts_with("ok"), "{said}");
}

#[test]
fn the_dashboard_asks_for_metrics_that_the_server_has() {
    let folder = Folder::new(&["rust"]);
    let server = folder.serve(&[]);
    assert_eq!(server.call("rust", "echo", "hi").0, 200);
    assert_eq!(server.call("rust", "nothing", "").0, 422);
    assert_eq!(server.call("none", "echo", "").0, 404);
    let metrics = eventually(
        || Some(server.get("/metrics").1).filter(|text| text.contains("antiphon_server_refused_total")),
        || server.log(),
    );
    let lines = metrics.lines().filter(|line| !line.starts_with('#'));
    let there: BTreeSet<_> = lines.filter_map(|line| line.split(['{', ' ']).next()).collect();

    let dashboard: serde_json::Value = serde_json::from_str(&deploy("grafana/antiphon.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten();
    let expressions: Vec<_> = targets.map(|target| target["expr"].as_str().unwrap()).collect();
    assert!(expressions.len() > 15, "{expressions:?}");
    for expression in expressions {
        let words = expression.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
        let asked: Vec<_> = words.filter(|word| word.starts_with("antiphon_")).collect();
        assert!(!asked.is_empty(), "{expression}");
        for name in asked {
            assert!(there.contains(name), "{name} of {expression:?} is not among {there:#?}");
        }
    }
}
