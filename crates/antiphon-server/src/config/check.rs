//! Checks across keys: what no single value shows.

use std::collections::BTreeMap;

use super::kinds::Wrong;
use super::layers::{Layers, Mark};
use super::{Config, ModuleLimits};
use crate::settings::check_name;

/// Notes what does not fit together.
pub(crate) fn check(config: &Config, layers: &mut Layers<'_>) {
    addresses(config, layers);
    tls(config, layers);
    tokens(config, layers);
    instances((&config.limits, &ModuleLimits::default()), &["limits"], layers);
    for name in config.keyvalue.keys() {
        if check_name(name).is_err() {
            let text =
                format!("{name:?} cannot name a store: a name is like that of a module, as it names a file");
            note(layers, &[&["keyvalue", name]], text);
        }
    }
    for (name, module) in &config.modules {
        if let Err(error) = check_name(name) {
            note(layers, &[&["modules", name]], error.message().to_owned());
        }
        instances((&module.limits, &config.limits), &["modules", name, "limits"], layers);
    }
}

/// Notes a problem at the first of these places that is set.
fn note(layers: &mut Layers<'_>, places: &[&[&str]], text: String) {
    let mark: Option<Mark> = places.iter().find_map(|path| layers.mark(path));
    if let Some(mark) = mark {
        layers.problem(&mark, Wrong::new(text));
    }
}

fn addresses(config: &Config, layers: &mut Layers<'_>) {
    let http = &config.http;
    for (name, address) in [("listen", http.listen), ("admin", http.admin)] {
        if !address.ip().is_loopback() && config.auth.is_none() && !http.insecure {
            let text = format!(
                "`http.{name}`: {address} is not loopback, so everybody who reaches it could enter; add tokens in [auth], or set `http.insecure = true`"
            );
            note(layers, &[&["http", name]], text);
        }
    }
    if http.admin == http.listen && http.listen.port() != 0 {
        let text =
            format!("`http.listen` and `http.admin` are both {}; each needs a port of its own", http.listen);
        note(layers, &[&["http", "admin"], &["http", "listen"]], text);
    }
}

fn tls(config: &Config, layers: &mut Layers<'_>) {
    for key in ["cert", "key"] {
        if config.http.tls.is_some() && layers.mark(&["http", "tls", key]).is_none() {
            let text = format!("[http.tls] has no `{key}`; it needs `cert` and `key`");
            note(layers, &[&["http", "tls"]], text);
        }
    }
}

fn tokens(config: &Config, layers: &mut Layers<'_>) {
    let Some(auth) = &config.auth else { return };
    let at: [&[&str]; 2] = [&["auth", "tokens"], &["auth"]];
    if layers.mark(&["auth", "tokens"]).is_none() {
        note(
            layers,
            &at,
            "[auth] has no `tokens`, so nobody could enter; add a token, or remove [auth]".to_owned(),
        );
    }
    let (mut names, mut hashes) = (BTreeMap::new(), BTreeMap::new());
    for token in &auth.tokens {
        if names.insert(&token.name, ()).is_some() {
            note(
                layers,
                &at,
                format!("`auth.tokens`: two tokens are called {:?}; give each a name of its own", token.name),
            );
        }
        if let Some(other) = hashes.insert(token.sha256, &token.name) {
            let text = format!(
                "`auth.tokens`: {other:?} and {:?} are one token: their `sha256` is equal",
                token.name
            );
            note(layers, &at, text);
        }
    }
}

fn instances((own, all): (&ModuleLimits, &ModuleLimits), at: &[&str], layers: &mut Layers<'_>) {
    let (min, max) = (own.min.or(all.min), own.max.or(all.max));
    if own.min.is_none() && own.max.is_none() {
        return;
    }
    let name = at.join(".");
    if let (Some(min), Some(max)) = (min, max)
        && min > max
    {
        let text =
            format!("`{name}.instances`: `min` is {min}, and `max` is {max}; `min` cannot be above `max`");
        let (min, max) = ([at, &["instances", "min"]].concat(), [at, &["instances", "max"]].concat());
        note(layers, &[&min, &max], text);
    }
}
