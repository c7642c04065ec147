//! The sources of a configuration above each other: the command line, the environment, the file,
//! and the files beside modules.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::kinds::{Kind, Node, Wrong};
use super::problem::{Place, Problem, nearest};
use super::reference::SECTIONS;
use super::show::inline;

/// Something that values come from.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// The path of a file, the name of a variable, an option.
    pub(crate) name: String,
    /// The folder that relative paths begin at.
    pub(crate) base: PathBuf,
    pub(crate) content: Content,
}

#[derive(Clone, Debug)]
pub(crate) enum Content {
    /// A file in TOML, whose keys are below these segments.
    File { text: String, below: Vec<String> },
    /// One value.
    Value { path: Vec<String>, text: String },
}

/// The values of all sources. Earlier sources stand before later ones.
pub(crate) struct Layers<'a> {
    sources: &'a [Source],
    entries: BTreeMap<Vec<String>, Vec<Entry<'a>>>,
    /// The tables that are there, with values or without.
    tables: BTreeMap<Vec<String>, Mark>,
    pub(crate) problems: Vec<(usize, Problem)>,
}

struct Entry<'a> {
    source: usize,
    key: Range<usize>,
    value: Spanned<DeValue<'a>>,
}

/// The place of a key.
#[derive(Clone, Debug)]
pub(crate) struct Mark {
    source: usize,
    span: Range<usize>,
}

/// A value that is set, for `config show`.
pub(crate) struct Set {
    pub(crate) value: String,
    pub(crate) origin: String,
}

/// Says why a part of the contract is not in this build.
fn missing(path: &[String]) -> Option<&'static str> {
    let path: Vec<_> = path.iter().map(String::as_str).collect();
    Some(match *path.as_slice() {
        ["nats", ..] => "this build of antiphon-server has no NATS; remove the table",
        ["signatures", ..] => "this build of antiphon-server verifies no signatures; remove the table",
        ["telemetry", "otlp"] => "this build of antiphon-server exports no spans; remove the key",
        _ => return None,
    })
}

/// What stands at a path.
enum Fits {
    Key,
    Table,
    Nothing,
}

/// Returns all keys as segments, where `*` stands for any name.
pub(crate) fn schema() -> impl Iterator<Item = Vec<&'static str>> {
    SECTIONS.iter().flat_map(|section| {
        section.keys.iter().map(|key| section.path.split('.').chain(key.name.split('.')).collect())
    })
}

fn matches(pattern: &[&str], path: &[String]) -> bool {
    pattern.len() >= path.len() && pattern.iter().zip(path).all(|(part, name)| *part == "*" || part == name)
}

fn fits(path: &[String]) -> Fits {
    let mut fits = Fits::Nothing;
    for pattern in schema().filter(|pattern| matches(pattern, path)) {
        if pattern.len() == path.len() {
            return Fits::Key;
        }
        fits = Fits::Table;
    }
    fits
}

/// Returns the keys and tables that can stand in a table.
fn names(table: &[String]) -> Vec<&'static str> {
    let mut names: Vec<_> = schema()
        .filter(|pattern| matches(pattern, table))
        .filter_map(|pattern| pattern.get(table.len()).copied())
        .collect();
    names.dedup();
    names
}

/// Returns a path as the file has it.
pub(crate) fn dotted(path: &[impl AsRef<str>]) -> String {
    let plain = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-*".contains(&byte));
    let part = |name: &str| if plain(name) { name.to_owned() } else { format!("{name:?}") };
    path.iter().map(|name| part(name.as_ref())).collect::<Vec<_>>().join(".")
}

impl<'a> Layers<'a> {
    pub(crate) fn new(sources: &'a [Source]) -> Self {
        let mut layers =
            Self { sources, entries: BTreeMap::new(), tables: BTreeMap::new(), problems: Vec::new() };
        for (number, source) in sources.iter().enumerate() {
            match &source.content {
                Content::File { text, below } => {
                    let (table, errors) = DeTable::parse_recoverable(text);
                    for error in &errors {
                        let span = error.span().unwrap_or(0..0);
                        layers.problem(&Mark { source: number, span }, Wrong::from(error.clone()));
                    }
                    // What follows a syntax error may be read wrongly.
                    if errors.is_empty() {
                        layers.flatten(number, below, table.get_ref());
                    }
                }
                Content::Value { path, text } => layers.value(number, path, text),
            }
        }
        layers
    }

    fn value(&mut self, source: usize, path: &[String], text: &'a str) {
        let mark = Mark { source, span: 0..0 };
        match fits(path) {
            Fits::Key => {
                let value = Spanned::new(0..0, DeValue::String(text.into()));
                let entry = Entry { source, key: 0..0, value };
                self.mark_tables(path, &mark);
                self.entries.entry(path.to_vec()).or_default().push(entry);
            }
            Fits::Table => {
                let text = format!("`{}` is a table; name one of its keys", dotted(path));
                self.problem(&mark, Wrong::new(text));
            }
            Fits::Nothing => self.unknown(path, &mark),
        }
    }

    fn flatten(&mut self, source: usize, at: &[String], table: &DeTable<'a>) {
        self.tables.entry(at.to_vec()).or_insert(Mark { source, span: 0..0 });
        for (key, value) in table {
            let mut path = at.to_vec();
            path.push(key.get_ref().clone().into_owned());
            let mark = Mark { source, span: key.span() };
            match (fits(&path), value.get_ref()) {
                (Fits::Key, _) => {
                    let entry = Entry { source, key: key.span(), value: value.clone() };
                    self.entries.entry(path).or_default().push(entry);
                }
                (Fits::Table, DeValue::Table(inner)) => {
                    self.tables.entry(path.clone()).or_insert(mark);
                    self.flatten(source, &path, inner);
                }
                (Fits::Table, other) => {
                    let text =
                        format!("`{}` is a table, and not of type {}", dotted(&path), other.type_str());
                    self.problem(&mark, Wrong::new(text));
                }
                (Fits::Nothing, _) => self.unknown(&path, &mark),
            }
        }
    }

    fn mark_tables(&mut self, path: &[String], mark: &Mark) {
        for end in 1..path.len() {
            let table = path.iter().take(end).cloned().collect();
            self.tables.entry(table).or_insert_with(|| mark.clone());
        }
    }

    fn unknown(&mut self, path: &[String], mark: &Mark) {
        if let Some(missing) = missing(path) {
            return self.problem(mark, Wrong::new(missing));
        }
        let Some((name, table)) = path.split_last() else { return };
        let place = if table.is_empty() { "the file".to_owned() } else { format!("[{}]", dotted(table)) };
        let known = names(table);
        let nearest = nearest(name, known.iter().copied()).map(str::to_owned);
        let known = known.join("`, `");
        let text = format!("unknown key `{}` in {place}; there are `{known}`", dotted(&[name]));
        self.problem(mark, Wrong { nearest, ..Wrong::new(text) });
    }

    /// Notes what is wrong at a place, or at a part of it.
    pub(crate) fn problem(&mut self, mark: &Mark, wrong: Wrong) {
        let Some(source) = self.sources.get(mark.source) else { return };
        let place = match &source.content {
            Content::File { text, .. } => Some(Place::of(text, wrong.span.as_ref().unwrap_or(&mark.span))),
            Content::Value { .. } => None,
        };
        let problem =
            Problem { message: wrong.text, source: source.name.clone(), place, nearest: wrong.nearest };
        if !self.problems.iter().any(|(_, known)| *known == problem) {
            self.problems.push((mark.source, problem));
        }
    }

    /// Returns the value of a key from the first source that has it. What is wrong in any source is
    /// noted.
    pub(crate) fn get<K: Kind>(&mut self, at: &[&str], name: &str) -> Option<K::Value> {
        let path: Vec<_> = at.iter().copied().chain(name.split('.')).map(str::to_owned).collect();
        let entries = self.entries.remove(&path)?;
        let mut first = None;
        for entry in &entries {
            match self.read::<K>(entry) {
                Ok(value) => first = first.or(Some(value)),
                Err(wrongs) => {
                    let mark = Mark { source: entry.source, span: entry.value.span() };
                    for wrong in wrongs {
                        let text = format!("`{}`: {}", dotted(&path), wrong.text);
                        self.problem(&mark, Wrong { text, ..wrong });
                    }
                }
            }
        }
        self.entries.insert(path, entries);
        first
    }

    fn read<K: Kind>(&self, entry: &Entry<'a>) -> Result<K::Value, Vec<Wrong>> {
        let source = self.sources.get(entry.source);
        let base = source.map_or(Path::new(""), |source| &source.base);
        let read = K::read(Node { value: entry.value.clone(), base });
        // A value of the environment is a text, or else TOML.
        match (read, source.map(|source| &source.content)) {
            (Err(wrongs), Some(Content::Value { text, .. })) => match DeValue::parse(text) {
                Ok(value) if !value.get_ref().is_str() => {
                    let whole = |wrong: Wrong| Wrong { span: None, ..wrong };
                    K::read(Node { value, base }).map_err(|wrongs| wrongs.into_iter().map(whole).collect())
                }
                _ => Err(wrongs),
            },
            (read, _) => read,
        }
    }

    /// Returns the names below a table, such as those of modules.
    pub(crate) fn names_in(&self, table: &str) -> Vec<String> {
        let of = |path: &Vec<String>| match path.as_slice() {
            [first, name, ..] if first == table => Some(name.clone()),
            _ => None,
        };
        let mut names: Vec<_> = self.tables.keys().filter_map(of).collect();
        names.dedup();
        names
    }

    /// Returns whether a table is there.
    pub(crate) fn has(&self, table: &[&str]) -> bool {
        self.tables.keys().any(|path| path.iter().map(String::as_str).eq(table.iter().copied()))
    }

    /// Returns the place of what is set at a path: of a key, or of a table.
    pub(crate) fn mark(&self, path: &[&str]) -> Option<Mark> {
        let path: Vec<_> = path.iter().map(|part| (*part).to_owned()).collect();
        let entry = self.entries.get(&path).and_then(|entries| entries.first());
        entry
            .map(|entry| Mark { source: entry.source, span: entry.key.clone() })
            .or_else(|| self.tables.get(&path).cloned())
    }

    /// Returns all that is set, with its values in TOML.
    pub(crate) fn set(&self) -> BTreeMap<Vec<String>, Set> {
        let set = |(path, entries): (&Vec<String>, &Vec<Entry<'_>>)| {
            let entry = entries.first()?;
            let source = self.sources.get(entry.source)?;
            let value = inline(entry.value.get_ref());
            let (value, origin) = match &source.content {
                Content::File { text, .. } => {
                    (value, format!("{}:{}", source.name, Place::of(text, &entry.key).line))
                }
                Content::Value { text, .. } => {
                    // A list in a variable is shown as one, so that hashes in it are cut.
                    let list = DeValue::parse(text).ok().filter(|list| !list.get_ref().is_str());
                    (list.map_or(value, |list| inline(list.get_ref())), source.name.clone())
                }
            };
            Some((path.clone(), Set { value, origin }))
        };
        self.entries.iter().filter_map(set).collect()
    }
}
