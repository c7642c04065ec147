//! What a configuration says in all its sources together.

use std::fs;

use tempfile::TempDir;

use super::super::{Role, example};
use super::*;
use crate::settings::Settings;

/// A folder with a configuration, and what else is in it.
struct Folder(TempDir);

impl Folder {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("modules")).unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        Self(folder)
    }

    fn sources(&self, environment: &[(&str, &str)]) -> Sources {
        let environment = environment.iter().map(|(name, text)| (name.into(), text.into())).collect();
        Sources {
            file: Some(self.0.path().join("antiphon.toml")),
            environment,
            overrides: Overrides::default(),
        }
    }

    fn load(&self) -> Result<Loaded, String> {
        self.load_with(&[])
    }

    fn load_with(&self, environment: &[(&str, &str)]) -> Result<Loaded, String> {
        let problems =
            |problems: Problems| problems.to_string().replace(&format!("{}/", self.0.path().display()), "");
        load(&self.sources(environment)).map_err(problems)
    }
}

fn toml(text: &str) -> Result<Loaded, String> {
    Folder::new(&[("antiphon.toml", text)]).load()
}

#[test]
fn the_example_is_accepted_and_says_what_is_so_without_it() {
    let loaded = toml(&example()).unwrap();
    let default = Config::default();
    // Paths begin at the folder of the file.
    let mut config = loaded.config.clone();
    config.server = default.server.clone();
    assert_eq!(format!("{:?}", config.http), format!("{:?}", default.http));
    assert_eq!((config.auth.is_none(), &config.telemetry), (true, &default.telemetry));
    let (written, unwritten) = (Settings::of(&config, "any"), Settings::of(&default, "any"));
    let (written, unwritten) = (written.limits, unwritten.limits);
    assert_eq!(written.instances(), unwritten.instances());
    assert_eq!(written.queue(), unwritten.queue());
    let library = |limits: crate::settings::Limits| {
        let limits = limits.to_library();
        [
            limits.memory_or_default(),
            limits.stack_or_default(),
            limits.request_or_default(),
            limits.response_or_default(),
            limits.host_calls_or_default(),
            limits.host_call_bytes_or_default(),
            limits.table_elements_or_default(),
            limits.module_or_default(),
        ]
    };
    assert_eq!(library(written), library(unwritten));
    let times = |limits: crate::settings::Limits| {
        let limits = limits.to_library();
        (limits.deadline_or_default(), limits.init_deadline_or_default(), limits.fuel)
    };
    assert_eq!(times(written), times(unwritten));
}

#[test]
fn every_key_of_the_example_is_accepted() {
    let all: String = example()
        .lines()
        .map(|line| line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or(line))
        .map(|line| format!("{line}\n"))
        .collect();
    let config = toml(&all).unwrap().config;
    let module = &config.modules["NAME"];
    assert_eq!(
        (module.keep, module.limits.fuel),
        (Some(std::time::Duration::from_secs(600)), Some(100_000_000))
    );
    assert_eq!(Settings::of(&Config::default(), "x").keep(), std::time::Duration::from_secs(600));
    assert_eq!(config.auth.unwrap().tokens[0].role, Role::Call);
    assert!(config.http.tls.unwrap().client_ca.unwrap().ends_with("clients.pem"));
}

#[test]
fn all_problems_of_a_file_are_said_with_their_places() {
    let problems =
        toml("[http]\nlistn = 1\nbody = 'big'\n[server]\ndrain = 2\n[modules.a.limits]\nmemroy = 1\n[htp]\n")
            .unwrap_err();
    for part in [
        "antiphon.toml:2:1: unknown key `listn` in [http]; there are `listen`, `admin`, ",
        "did you mean `listen`?\n  |\n2 | listn = 1\n  | ^^^^^",
        "antiphon.toml:3:8: `http.body`: expected a size such as \"64KiB\" or \"1MiB\", or a number of bytes, and got \"big\"\n  |\n3 | body = 'big'\n  |        ^^^^^",
        "antiphon.toml:5:9: `server.drain`: expected a duration above zero",
        "antiphon.toml:7:1: unknown key `memroy` in [modules.a.limits]",
        "did you mean `memory`?",
        "antiphon.toml:8:2: unknown key `htp` in the file; there are `server`, `http`, `auth`, `limits`, `modules`, `keyvalue`, `telemetry`; did you mean `http`?",
    ] {
        assert!(problems.contains(part), "{problems}\nhas no {part:?}");
    }
    assert_eq!(problems.matches("antiphon.toml:").count(), 5);
}

#[test]
fn syntax_is_reported_with_its_place() {
    let problems = toml("[http]\nlisten = \nbody = 'x\n").unwrap_err();
    assert!(problems.contains("antiphon.toml:2:"), "{problems}");
    assert!(problems.contains("antiphon.toml:3:"), "{problems}");
}

#[test]
fn what_this_build_lacks_is_refused_by_name() {
    for (text, expected) in [
        ("[nats]\nservers = []", "this build of antiphon-server has no NATS"),
        ("[signatures]\nkeys = []", "this build of antiphon-server verifies no signatures"),
        ("[telemetry]\notlp = 'x'", "this build of antiphon-server exports no spans"),
        ("[modules.a]\nsource = 'oci://r/a:1'", "reads modules from files only, and not from \"oci\""),
    ] {
        let problems = toml(text).unwrap_err();
        assert!(problems.contains(expected), "{problems}");
    }
}

#[test]
fn keys_that_do_not_fit_together_are_refused() {
    let token = format!("{{ name = 'a', sha256 = '{}', role = 'call' }}", "ab".repeat(32));
    for (text, expected) in [
        ("[http]\nlisten = '0.0.0.0:1'", "antiphon.toml:2:1: `http.listen`: 0.0.0.0:1 is not loopback"),
        ("[http]\nadmin = '[::]:1'", "`http.admin`: [::]:1 is not loopback"),
        ("[http]\nlisten = '127.0.0.1:7471'", "`http.listen` and `http.admin` are both 127.0.0.1:7471"),
        ("[http.tls]\ncert = 'x'", "[http.tls] has no `key`"),
        ("[auth]", "[auth] has no `tokens`"),
        (&format!("[auth]\ntokens = [{token}, {token}]"), "two tokens are called \"a\""),
        (
            &format!("[auth]\ntokens = [{token}, {}]", token.replace("'a'", "'b'")),
            "\"a\" and \"b\" are one token",
        ),
        (
            "[limits]\ninstances = { min = 3, max = 2 }",
            "antiphon.toml:2:15: `limits.instances`: `min` is 3, and `max` is 2",
        ),
        (
            "limits.instances.max = 2\nmodules.a.limits.instances.min = 3",
            "`modules.a.limits.instances`: `min` is 3",
        ),
        ("[limits]\ninstances = { max = 0 }", "expected a whole number from 1, and got 0"),
        ("[modules.'a b']", "\"a b\" cannot name a module: a name has 1 to 128 letters"),
        ("[keyvalue.'../a']", "\"../a\" cannot name a store"),
        (
            "[[modules.a.grant]]\nkeyvalu = {}",
            "antiphon.toml:2:1: `modules.a.grant`: unknown field `keyvalu`",
        ),
        ("modules.a.grant = [{ keyvalue = {}, http = {} }]", "this one has keyvalue and http"),
        (
            "[[modules.a.grant]]\nkeyvalue = {}\n[[modules.a.grant]]\nname = 'x'",
            "antiphon.toml:3:1: `modules.a.grant`: grant 2: a grant has exactly one of",
        ),
        ("modules = 1", "`modules` is a table, and not of type integer"),
    ] {
        let problems = toml(text).unwrap_err();
        assert!(problems.contains(expected), "{problems}\nhas no {expected:?}");
    }
    for text in [
        "[http]\nlisten = '0.0.0.0:1'\ninsecure = true".to_owned(),
        format!("[http]\nlisten = '0.0.0.0:1'\n[auth]\ntokens = [{token}]"),
        "[http]\nlisten = '127.0.0.1:0'\nadmin = '127.0.0.1:0'".to_owned(),
    ] {
        assert!(toml(&text).is_ok(), "{text}");
    }
}

#[test]
fn the_first_source_that_has_a_key_counts_and_show_says_which() {
    let folder = Folder::new(&[
        (
            "antiphon.toml",
            "server.modules = 'modules'\n[http]\nlisten = '127.0.0.1:1'\nbody = 2\n[modules.a]\nengine = 'wasmi'\n",
        ),
        ("modules/a.wasm", ""),
        ("modules/a.toml", "engine = 'wasmtime'\nkeep = '1s'\n[limits]\nqueue = 7\n"),
        ("modules/b.toml", "x = 1"),
    ]);
    let environment =
        [("ANTIPHON__HTTP__LISTEN", "127.0.0.1:3"), ("ANTIPHON__HTTP__CONNECTIONS", "5"), ("OTHER__X", "1")];
    let mut sources = folder.sources(&environment);
    sources.overrides.admin = Some("127.0.0.1:4".into());
    let loaded = load(&sources).unwrap();
    let config = &loaded.config;
    assert_eq!((config.http.listen.port(), config.http.admin.port()), (3, 4));
    assert_eq!((config.http.body, config.http.connections), (2, 5));
    let module = &config.modules["a"];
    assert_eq!((module.engine.as_deref(), module.limits.queue), (Some("wasmi"), Some(7)));
    assert_eq!(loaded.files.len(), 2);
    assert!(loaded.warnings[0].contains("there is no b.wasm beside it"), "{:?}", loaded.warnings);
    let origin = |key: &str| {
        let setting = loaded.settings.iter().find(|setting| setting.key == key).unwrap();
        let origin = setting.origin.rsplit('/').next().unwrap().to_owned();
        (setting.value.clone(), origin)
    };
    let expected = |value: &str, origin: &str| (value.to_owned(), origin.to_owned());
    assert_eq!(origin("http.listen"), expected("\"127.0.0.1:3\"", "ANTIPHON__HTTP__LISTEN"));
    assert_eq!(origin("http.admin"), expected("\"127.0.0.1:4\"", "--admin"));
    assert_eq!(origin("http.body"), expected("2", "antiphon.toml:4"));
    assert_eq!(origin("http.idle_timeout"), expected("\"60s\"", "default"));
    assert_eq!(origin("modules.a.engine"), expected("\"wasmi\"", "antiphon.toml:6"));
    assert_eq!(origin("modules.a.limits.queue"), expected("7", "a.toml:4"));
}

#[test]
fn the_environment_is_checked_like_the_file() {
    let folder = Folder::new(&[("antiphon.toml", "")]);
    for (name, text, expected) in [
        ("ANTIPHON__HTTP__LISTN", "x", "ANTIPHON__HTTP__LISTN: unknown key `listn` in [http]"),
        ("ANTIPHON__HTTP", "x", "ANTIPHON__HTTP: `http` is a table; name one of its keys"),
        (
            "ANTIPHON__HTTP__CONNECTIONS",
            "many",
            "ANTIPHON__HTTP__CONNECTIONS: `http.connections`: expected a whole number from 1",
        ),
        (
            "ANTIPHON__HTTP__LISTEN",
            "0.0.0.0:1",
            "ANTIPHON__HTTP__LISTEN: `http.listen`: 0.0.0.0:1 is not loopback",
        ),
    ] {
        let problems = folder.load_with(&[(name, text)]).unwrap_err();
        assert!(problems.starts_with(expected), "{problems}\nhas no {expected:?}");
    }
    let token = format!("[{{ name = 'a', sha256 = '{}', role = 'call' }}]", "ab".repeat(32));
    let loaded = folder
        .load_with(&[("ANTIPHON__AUTH__TOKENS", &token), ("ANTIPHON__HTTP__INSECURE", "true")])
        .unwrap();
    assert_eq!((loaded.config.auth.unwrap().tokens.len(), loaded.config.http.insecure), (1, true));
    let shown = loaded.settings.iter().find(|setting| setting.key == "auth.tokens").unwrap();
    assert!(!shown.value.contains(&"ab".repeat(32)), "{}", shown.value);
}

#[test]
fn a_file_that_is_named_has_to_be_there() {
    let folder = Folder::new(&[]);
    assert!(folder.load().unwrap_err().starts_with("antiphon.toml: the file cannot be read: "));
}

#[test]
fn a_hash_of_a_token_is_shown_by_its_beginning() {
    let token = format!("[auth]\ntokens = [{{ name = 'a', sha256 = '{}', role = 'call' }}]", "ab".repeat(32));
    let loaded = toml(&token).unwrap();
    let shown = loaded.settings.iter().find(|setting| setting.key == "auth.tokens").unwrap();
    assert_eq!(shown.value, "[{ name = \"a\", role = \"call\", sha256 = \"abababab...\" }]");
}
