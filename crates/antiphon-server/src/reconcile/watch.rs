//! Looks at the files of modules every 500 ms.
//!
//! Polling needs nothing of the system, and sees what events of file systems miss: a mounted
//! directory whose link is swapped, a file on a network. A file counts once two looks in a row have
//! found it equal, so that none is read while it is written.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};

use antiphon::ErrorKind;
use bytes::Bytes;

use super::observe::Seen;
use crate::config::Config;
use crate::deployment::{Inner, Reason};
use crate::desired::Digest;
use crate::settings::{Settings, check_name};

/// The time between two looks.
pub(crate) const INTERVAL: Duration = Duration::from_millis(500);

/// What is known of the files.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    files: BTreeMap<Arc<str>, Watched>,
    /// Names that were complained about.
    refused: BTreeSet<String>,
    /// Whether the folder could not be read at the last look.
    is_blind: bool,
}

#[derive(Debug, Default)]
struct Watched {
    /// What the last look has found.
    last: Option<Look>,
    /// What was last taken over, and what it had to be like.
    taken: Option<(Look, Wanted)>,
}

/// What the configuration wants of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Wanted {
    is_configured: bool,
    digest: Option<String>,
    largest: u64,
}

/// A file as a look finds it, without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Look {
    File { path: PathBuf, size: u64, modified: Option<SystemTime>, inode: u64 },
    Absent,
    Fails(String),
}

impl Look {
    fn at(path: &Path) -> Self {
        match fs::metadata(path) {
            Ok(file) if file.is_file() => Self::File {
                path: path.to_owned(),
                size: file.len(),
                modified: file.modified().ok(),
                inode: inode(&file),
            },
            Ok(_) => Self::Fails(format!("{} is no file", path.display())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::Absent,
            Err(error) => Self::Fails(format!("{}: {error}", path.display())),
        }
    }

    /// Returns whether the file was last written so long ago that no one is writing it.
    fn is_old(&self) -> bool {
        match self {
            Self::File { modified: Some(modified), .. } => {
                modified.elapsed().is_ok_and(|age| age > INTERVAL.saturating_mul(2))
            }
            _ => true,
        }
    }
}

#[cfg(unix)]
fn inode(file: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(file)
}

#[cfg(not(unix))]
fn inode(_: &Metadata) -> u64 {
    0
}

/// Looks at the files for as long as the server lives.
pub(crate) async fn watch(server: Weak<Inner>, mut known: Watch) {
    let Some(mut stop) = server.upgrade().map(|inner| inner.stop.subscribe()) else { return };
    loop {
        tokio::select! {
            () = tokio::time::sleep(INTERVAL) => {}
            _ = stop.changed() => return,
        }
        let Some(inner) = server.upgrade() else { return };
        let looked = tokio::task::spawn_blocking(move || {
            known.look(&inner);
            known
        });
        match looked.await {
            Ok(watch) => known = watch,
            Err(panic) => {
                tracing::error!(target: "antiphon::server", %panic, "a look at the modules panicked");
                known = Watch::default();
            }
        }
    }
}

impl Watch {
    /// Begins with modules that are known from before: their files are looked at too.
    pub(crate) fn new(names: impl Iterator<Item = Arc<str>>) -> Self {
        Self { files: names.map(|name| (name, Watched::default())).collect(), ..Self::default() }
    }

    /// Looks once, and takes over what has changed. Returns whether a file has to be looked at once
    /// more before it counts. Blocks.
    pub(crate) fn look(&mut self, inner: &Arc<Inner>) -> bool {
        let config = inner.config();
        let expected = self.expected(&config);
        let mut names: BTreeSet<Arc<str>> = self.files.keys().map(Arc::clone).collect();
        names.extend(expected.keys().map(Arc::clone));
        let mut is_unsure = false;
        for name in names {
            let look = match expected.get(&name) {
                Some(Ok(path)) => Look::at(path),
                Some(Err(refusal)) => Look::Fails(refusal.clone()),
                // A folder that cannot be read says nothing about its files.
                None if self.is_blind => continue,
                None => Look::Absent,
            };
            let watched = self.files.entry(Arc::clone(&name)).or_default();
            let is_first = watched.last.is_none();
            let is_steady = watched.last.as_ref() == Some(&look) || (is_first && look.is_old());
            watched.last = Some(look.clone());
            let settings = Arc::new(Settings::of(&config, &name));
            let configured = config.modules.get(&*name);
            let wanted = Wanted {
                is_configured: configured.is_some(),
                digest: configured.and_then(|module| module.digest.clone()),
                largest: settings.limits.largest_module(),
            };
            if watched.taken.as_ref().is_some_and(|(taken, before)| *taken == look && *before == wanted) {
                continue;
            }
            if !is_steady {
                is_unsure = true;
                continue;
            }
            if take(inner, &name, &look, (settings, &wanted)) {
                watched.taken = Some((look, wanted));
            } else {
                is_unsure = true;
            }
        }
        self.files.retain(|name, watched| {
            expected.contains_key(name) || !matches!(watched.taken, Some((Look::Absent, _)))
        });
        is_unsure
    }

    /// Returns where the bytes of each module should be, or why they cannot be anywhere.
    fn expected(&mut self, config: &Config) -> BTreeMap<Arc<str>, Result<PathBuf, String>> {
        let mut expected = BTreeMap::new();
        let place = &config.server.modules;
        let found = if place.is_file() { Ok(vec![place.clone()]) } else { list(place) };
        match &found {
            Ok(_) => self.is_blind = false,
            Err(error) if !self.is_blind => {
                self.is_blind = true;
                tracing::warn!(target: "antiphon::server", folder = %place.display(), %error, "the folder of modules cannot be read");
            }
            Err(_) => {}
        }
        for path in found.unwrap_or_default() {
            let Some(stem) = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()) else {
                continue;
            };
            match check_name(&stem) {
                Ok(()) => {
                    expected.insert(Arc::from(stem), Ok(path));
                }
                Err(error) => {
                    if self.refused.insert(stem) {
                        tracing::warn!(target: "antiphon::server", path = %path.display(), %error, "a file is left out");
                    }
                }
            }
        }
        for (name, module) in &config.modules {
            let source = match &module.source {
                None if expected.contains_key(name.as_str()) => continue,
                None => Ok(place.join(format!("{name}.wasm"))),
                Some(source) => local(source),
            };
            expected.insert(Arc::from(name.as_str()), source);
        }
        expected
    }
}

/// Returns the modules of a folder.
fn list(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let is_hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if !is_hidden && path.extension().is_some_and(|extension| extension == "wasm") {
            found.push(path);
        }
    }
    Ok(found)
}

fn local(source: &str) -> Result<PathBuf, String> {
    match source.split_once(':') {
        Some(("file", path)) => Ok(path.strip_prefix("//").unwrap_or(path).into()),
        // A drive of Windows is no scheme.
        Some((scheme, _)) if scheme.len() > 1 => {
            Err(format!("source {source:?}: this build reads files only (`file:PATH`, or a path)"))
        }
        _ => Ok(source.into()),
    }
}

/// Takes over what a look has found. Returns whether it counts; if not, the next look decides.
fn take(
    inner: &Arc<Inner>,
    name: &Arc<str>,
    look: &Look,
    (settings, wanted): (Arc<Settings>, &Wanted),
) -> bool {
    let reason = |kind: ErrorKind, message: String| Reason { code: kind.code(), message: message.into() };
    let seen = match look {
        Look::Absent if wanted.is_configured => {
            let what = "the configuration names this module, and its file is not there".to_owned();
            Seen::Unreadable(reason(ErrorKind::InvalidModule, what))
        }
        Look::Absent => Seen::Gone,
        Look::Fails(message) => Seen::Unreadable(reason(ErrorKind::InvalidModule, message.clone())),
        Look::File { path, size, .. } => {
            let largest = wanted.largest;
            if *size > largest {
                let what =
                    format!("{} has {size} bytes, and the limit `module` is {largest}", path.display());
                Seen::Unreadable(reason(ErrorKind::InvalidModule, what))
            } else {
                let bytes = match fs::read(path) {
                    Ok(bytes) => Bytes::from(bytes),
                    Err(error) => {
                        let what = reason(ErrorKind::InvalidModule, format!("{}: {error}", path.display()));
                        inner.observe(name, Seen::Unreadable(what), settings);
                        return false;
                    }
                };
                if Look::at(path) != *look {
                    return false;
                }
                let digest = Digest::of(&bytes);
                if let Some(refusal) = refusal(wanted, digest) {
                    Seen::Unreadable(reason(ErrorKind::InvalidModule, refusal))
                } else {
                    let put = inner.store.put(digest, &bytes);
                    drop(bytes);
                    return match put {
                        // The pin lives until the module names the bytes.
                        Ok(_pin) => {
                            inner.observe(name, Seen::File(digest), settings);
                            true
                        }
                        Err(error) => {
                            let what = reason(ErrorKind::OutOfResources, error.to_string());
                            inner.observe(name, Seen::Unreadable(what), settings);
                            false
                        }
                    };
                }
            }
        }
    };
    inner.observe(name, seen, settings);
    true
}

/// Returns why bytes are refused that the configuration wants to have another digest.
fn refusal(wanted: &Wanted, digest: Digest) -> Option<String> {
    let wanted = wanted.digest.as_ref()?;
    if wanted.parse() == Ok(digest) {
        return None;
    }
    Some(format!("the bytes have the digest {digest}, and the configuration asks for {wanted}"))
}
