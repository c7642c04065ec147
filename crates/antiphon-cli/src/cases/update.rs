//! Writing what came of the cases into their file, which is otherwise left as its author formatted it.

use serde_json::Value as Json;
use toml_edit::{Array, DocumentMut, InlineTable, Item, Value};

use super::file::{Case, ExpectedError};
use super::run::Ended;
use crate::payload::{Codec, Payload, Unfit, hex_of_bytes};

/// A file of cases that is being changed.
pub(crate) struct Update {
    document: DocumentMut,
}

impl Update {
    /// Reads the text of a file that was found to be one of cases.
    pub(crate) fn of(text: &str) -> Result<Self, Unfit> {
        let document = text.parse().map_err(|error: toml_edit::TomlError| Unfit(error.to_string()))?;
        Ok(Self { document })
    }

    /// Makes the case number `index` expect how its call ended.
    pub(crate) fn accept(&mut self, index: usize, case: &Case, ended: &Ended) -> Result<(), Unfit> {
        let cases = self.document.get_mut("case");
        let table = match cases {
            Some(Item::ArrayOfTables(cases)) => cases.get_mut(index),
            _ => None,
        };
        let missing = || Unfit("only cases that are written as [[case]] can be updated".to_owned());
        let table = table.ok_or_else(missing)?;
        match ended {
            Ok(answer) => {
                table.remove("error");
                let form = case.answer.as_ref().unwrap_or(&case.payload);
                put(table, "answer", written(&form.alike(answer), answer));
            }
            Err(error) => {
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

    /// The text of the file as it is now.
    pub(crate) fn text(&self) -> String {
        self.document.to_string()
    }
}

/// Puts a value in the place of the one of that name, and leaves what is around it.
fn put(table: &mut toml_edit::Table, name: &str, mut value: Value) {
    if let Some(Item::Value(old)) = table.get(name) {
        *value.decor_mut() = old.decor().clone();
    }
    table.insert(name, Item::Value(value));
}

/// A payload as a file of cases has it. A value that TOML cannot write (it has no null) is written as its bytes.
fn written(payload: &Payload, bytes: &[u8]) -> Value {
    let form = match payload {
        Payload::Text(text) => return text.as_str().into(),
        Payload::Value(codec, value) => toml_of(value).map(|value| match codec {
            Codec::Msgpack => ("msgpack", value),
            Codec::Json => ("json", value),
        }),
        Payload::Hex(_) => None,
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
            // A whole number above all of TOML's would come back as another.
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
