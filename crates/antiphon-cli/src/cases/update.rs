//! Writes actual outcomes into a file of cases. Everything else in the file keeps its author's
//! formatting.

use std::io;
use std::path::PathBuf;

use serde_json::Value as Json;
use toml_edit::{Array, DocumentMut, InlineTable, Item, Value};

use super::file::{Case, ExpectedError};
use super::replace::replace_or_create;
use super::run::Ran;
use crate::payload::{Codec, Payload, Unfit, hex_of_bytes};

/// A file of cases during an update.
pub(crate) struct Update {
    document: DocumentMut,
    /// Answers that stand in files of their own.
    answers: Vec<(PathBuf, Vec<u8>)>,
}

impl Update {
    /// Parses a text that has already been accepted as a file of cases.
    pub(crate) fn of(text: &str) -> Result<Self, Unfit> {
        let document = text.parse().map_err(|error: toml_edit::TomlError| Unfit(error.to_string()))?;
        Ok(Self { document, answers: Vec::new() })
    }

    /// Makes case number `index` expect what its call actually returned.
    ///
    /// An answer in a file of its own is written there, once [`write_answers`](Self::write_answers)
    /// is called.
    pub(crate) fn accept(&mut self, index: usize, case: &Case, ran: &Ran) -> Result<(), Unfit> {
        let cases = self.document.get_mut("case");
        let table = match cases {
            Some(Item::ArrayOfTables(cases)) => cases.get_mut(index),
            _ => None,
        };
        let missing = || Unfit("only cases written as [[case]] can be updated".to_owned());
        let table = table.ok_or_else(missing)?;
        if case.log.is_some() {
            let lines: Array = ran.log.iter().map(String::as_str).collect();
            put(table, "log", lines.into());
        }
        match (&ran.ended, &case.answer) {
            (Ok(answer), Some(Payload::File(path, _))) => {
                self.answers.push((path.clone(), answer.clone()));
            }
            (Ok(answer), _) => {
                table.remove("error");
                let form = case.answer.as_ref().unwrap_or(&case.payload);
                put(table, "answer", written(&form.alike(answer), answer));
            }
            (Err(error), _) => {
                table.remove("answer");
                let ExpectedError { kind, text } = ExpectedError::of(error);
                let mut expected = InlineTable::new();
                for (name, part) in [("kind", kind), ("text", text)] {
                    expected.extend(part.map(|part| (name, Value::from(part))));
                }
                put(table, "error", expected.into());
            }
        }
        Ok(())
    }

    /// Writes the answers that stand in files of their own, each whole or not at all.
    ///
    /// # Errors
    ///
    /// Errors of the system, with the path of the file.
    pub(crate) fn write_answers(&self) -> Result<(), (PathBuf, io::Error)> {
        self.answers.iter().try_for_each(|(path, answer)| {
            replace_or_create(path, answer).map_err(|error| (path.clone(), error))
        })
    }

    /// Returns the updated text of the file.
    pub(crate) fn text(&self) -> String {
        self.document.to_string()
    }
}

/// Replaces the value of a key, and keeps the comments and white space around it.
fn put(table: &mut toml_edit::Table, name: &str, mut value: Value) {
    if let Some(Item::Value(old)) = table.get(name) {
        *value.decor_mut() = old.decor().clone();
    }
    table.insert(name, Item::Value(value));
}

/// Writes a payload in the form that a file of cases uses. TOML has no null, so a value with one is
/// written as hexadecimal bytes.
fn written(payload: &Payload, bytes: &[u8]) -> Value {
    let form = match payload {
        Payload::Text(text) => return text.as_str().into(),
        Payload::Value(codec, value) => toml_of(value).map(|value| match codec {
            Codec::Msgpack => ("msgpack", value),
            Codec::Json => ("json", value),
        }),
        Payload::Hex(_) | Payload::File(..) => None,
    };
    let (name, value) = form.unwrap_or_else(|| ("hex", hex_of_bytes(bytes).into()));
    Value::InlineTable(InlineTable::from_iter([(name, value)]))
}

fn toml_of(value: &Json) -> Option<Value> {
    Some(match value {
        Json::Null => return None,
        Json::Bool(truth) => (*truth).into(),
        Json::Number(number) => match number.as_i64() {
            Some(number) => number.into(),
            // An integer above TOML's range would be read back as a different number.
            None if number.is_u64() => return None,
            None => number.as_f64()?.into(),
        },
        Json::String(text) => text.as_str().into(),
        Json::Array(items) => Value::Array(items.iter().map(toml_of).collect::<Option<Array>>()?),
        Json::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| Some((name.as_str(), toml_of(value)?)));
            Value::InlineTable(fields.collect::<Option<Vec<_>>>()?.into_iter().collect())
        }
    })
}
