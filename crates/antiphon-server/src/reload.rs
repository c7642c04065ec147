//! Reads the configuration again, while the server serves.

use std::fs;
use std::path::PathBuf;
use std::time::SystemTime;

use crate::config::{Config, Loaded, Problems, Sources, load};
use crate::feed::EventKind;
use crate::start::Started;

/// The configuration that holds, and what it was read from.
#[derive(Debug)]
pub struct Live {
    sources: Sources,
    config: Config,
    /// The files as they were when they were read last, well or not.
    read: Stamp,
    /// The files as they were at the last look.
    seen: Stamp,
}

/// The files that are there, when each changed, and how large it is.
type Stamp = Vec<(PathBuf, Option<(SystemTime, u64)>)>;

/// What came of reading the configuration again.
#[derive(Debug)]
#[non_exhaustive]
pub enum Reloaded {
    /// The new configuration holds. These keys of it hold from the next start on.
    Holds(Box<Config>, Vec<&'static str>),
    /// The new configuration has problems. The old one holds.
    Refused(Problems),
}

impl Live {
    /// Begins with what was read before the start. A change that came since is seen by the first
    /// look.
    #[must_use]
    pub fn new(sources: Sources, loaded: &Loaded) -> Self {
        let config = loaded.config.clone();
        let read: Stamp = loaded.stamp.clone();
        Self { sources, config, seen: read.clone(), read }
    }

    /// Returns the configuration that holds.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Looks at the files, and returns whether they have changed and been left alone since the look
    /// before, so that nothing is read that is half written. It blocks.
    pub fn has_changed(&mut self) -> bool {
        let now = stamp(&self.sources, &self.config);
        let is_steady = now == self.seen;
        self.seen = now;
        is_steady && self.seen != self.read
    }

    /// Reads the configuration again. It blocks.
    pub fn read(&mut self) -> Reloaded {
        self.read = stamp(&self.sources, &self.config);
        let loaded = match load(&self.sources) {
            Ok(loaded) => loaded,
            Err(problems) => return Reloaded::Refused(problems),
        };
        let mut next = loaded.config;
        let later = keep_fixed(&self.config, &mut next);
        self.config = next.clone();
        Reloaded::Holds(Box::new(next), later)
    }
}

impl Started {
    /// Takes over what was read, and says so in the events.
    pub fn take_over(&self, reloaded: &Reloaded) {
        match reloaded {
            Reloaded::Holds(config, _) => {
                self.servers.reload(config);
                self.modules.reload(config);
                self.modules.events().emit(None, EventKind::ConfigReloaded);
            }
            Reloaded::Refused(problems) => {
                let reason = problems.to_string().into();
                self.modules.events().emit(None, EventKind::ConfigRefused { reason });
            }
        }
    }
}

/// Keeps what cannot change before the next start, and returns the keys that differ.
fn keep_fixed(old: &Config, new: &mut Config) -> Vec<&'static str> {
    macro_rules! keep {
        ($($key:literal $($part:ident).+;)+) => {{
            let mut later = Vec::new();
            $(
                if old.$($part).+ != new.$($part).+ {
                    later.push($key);
                    new.$($part).+ = old.$($part).+.clone();
                }
            )+
            later
        }};
    }
    keep! {
        "server.modules" server.modules;
        "server.state" server.state;
        "server.drain" server.drain;
        "http.listen" http.listen;
        "http.admin" http.admin;
        "http.header_timeout" http.header_timeout;
        "http.idle_timeout" http.idle_timeout;
        "http.connections" http.connections;
        "http.tls" http.tls;
        "keyvalue" keyvalue;
        "telemetry.log_format" telemetry.log_format;
    }
}

/// Returns the files that a configuration is read from, as they are now.
pub(crate) fn stamp(sources: &Sources, config: &Config) -> Stamp {
    let mut paths = vec![sources.path().to_owned()];
    let modules = &config.server.modules;
    if modules.is_file() {
        paths.push(modules.with_extension("toml"));
    } else {
        let entries = fs::read_dir(modules).into_iter().flatten().filter_map(Result::ok);
        let tables = entries.map(|entry| entry.path());
        paths.extend(tables.filter(|path| path.extension().is_some_and(|extension| extension == "toml")));
    }
    paths.sort();
    let stamp = |path: PathBuf| {
        let about = fs::metadata(&path).ok();
        let about = about.and_then(|about| Some((about.modified().ok()?, about.len())));
        (path, about)
    };
    paths.into_iter().map(stamp).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Overrides;

    #[test]
    fn a_change_is_read_when_it_is_steady_and_what_is_fixed_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("antiphon.toml");
        let write = |text: &str| fs::write(&path, text).unwrap();
        write("server.modules = 'modules'");
        let sources = Sources::new(Some(path.clone()), Vec::new(), Overrides::default());
        let mut live = Live::new(sources.clone(), &load(&sources).unwrap());
        assert!(!live.has_changed());
        write("server.modules = 'modules'\nlimits.queue = 3\nhttp = { listen = '127.0.0.1:1', body = 5 }");
        assert!(!live.has_changed());
        assert!(live.has_changed());
        let Reloaded::Holds(config, later) = live.read() else { panic!("it is fine") };
        assert_eq!((config.limits.queue, config.http.body, config.http.listen.port()), (Some(3), 5, 7470));
        assert_eq!(later, ["http.listen"]);
        assert!(!live.has_changed());
        write("limits.queue = 'x'");
        assert!(matches!(live.read(), Reloaded::Refused(_)));
        assert_eq!(live.config().limits.queue, Some(3));
        assert!(!live.has_changed());
    }
}
