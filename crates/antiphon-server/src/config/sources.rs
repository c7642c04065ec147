//! Reads a configuration from all its sources.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::check::check;
use super::layers::{Content, Layers, Source};
use super::problem::{Problem, Problems};
use super::show::{Setting, settings};
use super::{Auth, Config, Keyvalue, Module, Server, Tls};
use crate::reload::stamp;
use crate::settings::check_name;

/// The file that is read if none is named and it is there.
const FILE: &str = "antiphon.toml";
/// What the names of environment variables begin with.
const PREFIX: &str = "ANTIPHON__";
/// The largest file, in bytes.
const LARGEST: u64 = 4 << 20;

/// Where a configuration comes from.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Sources {
    /// The file. Without it, `antiphon.toml` of the current folder is read if it is there.
    pub file: Option<PathBuf>,
    /// The environment. Variables count whose names begin with `ANTIPHON__`.
    pub environment: Vec<(OsString, OsString)>,
    /// What the command line says.
    pub overrides: Overrides,
}

/// What the command line says about keys. It stands before everything else.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Overrides {
    /// `server.modules`
    pub modules: Option<String>,
    /// `http.listen`
    pub listen: Option<String>,
    /// `http.admin`
    pub admin: Option<String>,
}

impl Overrides {
    /// Names what the command line sets.
    #[must_use]
    pub fn new(modules: Option<String>, listen: Option<String>, admin: Option<String>) -> Self {
        Self { modules, listen, admin }
    }
}

/// A configuration that was read and checked.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// All that is set, and the defaults of what is not, with their origins.
    pub settings: Vec<Setting>,
    /// The files that were read.
    pub files: Vec<PathBuf>,
    /// What is allowed, but may not be meant.
    pub warnings: Vec<String>,
    /// The files as they were before they were read.
    pub(crate) stamp: Vec<(PathBuf, Option<(SystemTime, u64)>)>,
}

impl Sources {
    /// Names all sources.
    #[must_use]
    pub fn new(file: Option<PathBuf>, environment: Vec<(OsString, OsString)>, overrides: Overrides) -> Self {
        Self { file, environment, overrides }
    }

    /// Takes the environment of the process.
    #[must_use]
    pub fn of_process(file: Option<PathBuf>, overrides: Overrides) -> Self {
        Self::new(file, std::env::vars_os().collect(), overrides)
    }

    /// Returns the file that is read: the one that is named, or `antiphon.toml`.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.file.as_deref().unwrap_or(Path::new(FILE))
    }

    /// Returns the sources without the files beside modules, the first one first.
    fn outer(&self) -> Result<(Vec<Source>, Vec<PathBuf>), Problems> {
        let mut sources = self.command_line();
        sources.extend(self.environment()?);
        let path = self.path();
        match read(path) {
            Ok(text) => {
                sources.push(file(path, text, Vec::new()));
                Ok((sources, vec![path.to_owned()]))
            }
            Err(error) if self.file.is_none() && error.kind() == io::ErrorKind::NotFound => {
                Ok((sources, Vec::new()))
            }
            Err(error) => Err(unreadable(path, &error)),
        }
    }

    fn command_line(&self) -> Vec<Source> {
        let Overrides { modules, listen, admin } = &self.overrides;
        let all = [
            ("--modules", ["server", "modules"], modules),
            ("--listen", ["http", "listen"], listen),
            ("--admin", ["http", "admin"], admin),
        ];
        let value = |(name, path, text): (&str, [&str; 2], &Option<String>)| {
            let path = path.map(str::to_owned).to_vec();
            let content = Content::Value { path, text: text.clone()? };
            Some(Source { name: name.to_owned(), base: PathBuf::new(), content })
        };
        all.into_iter().filter_map(value).collect()
    }

    fn environment(&self) -> Result<Vec<Source>, Problems> {
        let mut variables = Vec::new();
        for (name, text) in &self.environment {
            let Some(rest) = name.to_str().and_then(|name| name.strip_prefix(PREFIX)) else { continue };
            let name = format!("{PREFIX}{rest}");
            let path = rest.split("__").map(str::to_lowercase).collect();
            let text =
                text.to_str().ok_or_else(|| one(&name, "the value is not UTF-8".to_owned()))?.to_owned();
            variables.push(Source { name, base: PathBuf::new(), content: Content::Value { path, text } });
        }
        variables.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(variables)
    }
}

/// Reads a configuration, and checks it.
///
/// # Errors
/// All problems that were found.
pub fn load(sources: &Sources) -> Result<Loaded, Problems> {
    let (mut all, mut files) = sources.outer()?;
    // Only where the modules are. All problems are found below.
    let mut server = Server::default();
    server.read(&["server"], &mut Layers::new(&all));
    let stamp = stamp(sources, &Config { server: server.clone(), ..Config::default() });
    let mut warnings = Vec::new();
    for (name, path) in beside(&server.modules, &mut warnings) {
        let text = read(&path).map_err(|error| unreadable(&path, &error))?;
        all.push(file(&path, text, vec!["modules".to_owned(), name]));
        files.push(path);
    }
    let mut layers = Layers::new(&all);
    let config = config(&mut layers);
    check(&config, &mut layers);
    if layers.problems.is_empty() {
        let settings = settings(&layers);
        return Ok(Loaded { config, settings, files, warnings, stamp });
    }
    let mut problems = layers.problems;
    problems.sort_by_key(|(source, problem)| {
        (*source, problem.place.as_ref().map(|place| (place.line, place.column)))
    });
    Err(Problems { problems: problems.into_iter().map(|(_, problem)| problem).collect() })
}

fn config(layers: &mut Layers<'_>) -> Config {
    let mut config = Config::default();
    config.server.read(&["server"], layers);
    config.http.read(&["http"], layers);
    if layers.has(&["http", "tls"]) {
        let mut tls = Tls::default();
        tls.read(&["http", "tls"], layers);
        config.http.tls = Some(tls);
    }
    if layers.has(&["auth"]) {
        let mut auth = Auth::default();
        auth.read(&["auth"], layers);
        config.auth = Some(auth);
    }
    config.limits.read(&["limits"], layers);
    config.telemetry.read(&["telemetry"], layers);
    let modules = layers.names_in("modules").into_iter().map(|name| {
        let mut module = Module::default();
        module.read(&["modules", &name], layers);
        module.limits.read(&["modules", &name, "limits"], layers);
        (name, module)
    });
    config.modules = modules.collect::<BTreeMap<_, _>>();
    let stores = layers.names_in("keyvalue").into_iter().map(|name| {
        let mut store = Keyvalue::default();
        store.read(&["keyvalue", &name], layers);
        (name, store)
    });
    config.keyvalue = stores.collect();
    config
}

/// Returns the files beside modules, by the names of those.
fn beside(modules: &Path, warnings: &mut Vec<String>) -> Vec<(String, PathBuf)> {
    let tables = if modules.is_file() {
        vec![modules.with_extension("toml")]
    } else {
        // A folder that cannot be read is reported by what reads its modules.
        let entries = fs::read_dir(modules).into_iter().flatten().filter_map(Result::ok);
        let paths = entries.map(|entry| entry.path());
        paths.filter(|path| path.extension().is_some_and(|extension| extension == "toml")).collect()
    };
    let mut found = Vec::new();
    for path in tables {
        let name = path.file_stem().and_then(|stem| stem.to_str());
        let Some(name) = name.filter(|name| check_name(name).is_ok()) else { continue };
        if !path.is_file() {
            continue;
        }
        if modules.is_file() || path.with_extension("wasm").is_file() {
            found.push((name.to_owned(), path));
        } else {
            warnings
                .push(format!("{}: there is no {name}.wasm beside it, so it is not read", path.display()));
        }
    }
    found.sort();
    found
}

fn file(path: &Path, text: String, below: Vec<String>) -> Source {
    let base = path.parent().unwrap_or(Path::new("")).to_owned();
    Source { name: path.display().to_string(), base, content: Content::File { text, below } }
}

fn read(path: &Path) -> io::Result<String> {
    let size = fs::metadata(path)?.len();
    if size > LARGEST {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("{size} bytes; a configuration has at most {LARGEST}"),
        ));
    }
    fs::read_to_string(path)
}

fn unreadable(path: &Path, error: &io::Error) -> Problems {
    one(&path.display().to_string(), format!("the file cannot be read: {error}"))
}

fn one(source: &str, message: String) -> Problems {
    let problem = Problem { message, source: source.to_owned(), place: None, nearest: None };
    Problems { problems: vec![problem] }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
