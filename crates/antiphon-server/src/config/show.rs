//! Values as `config show` prints them.

use toml::de::DeValue;

use super::layers::{Layers, dotted};
use super::reference::SECTIONS;
use super::section::Given;

/// A key with its value and where that comes from.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Setting {
    /// The key, such as `http.listen`.
    pub key: String,
    /// The value in TOML. Hashes of tokens are cut.
    pub value: String,
    /// `default`, a file and its line, a variable of the environment, or an option.
    pub origin: String,
}

/// Returns all that is set, and the defaults of what is not.
pub(crate) fn settings(layers: &Layers<'_>) -> Vec<Setting> {
    let mut set = layers.set();
    let mut settings = Vec::new();
    for section in SECTIONS {
        for key in section.keys {
            let pattern: Vec<_> = section.path.split('.').chain(key.name.split('.')).collect();
            let fits = |path: &[String]| {
                path.len() == pattern.len()
                    && pattern.iter().zip(path).all(|(part, name)| *part == "*" || part == name)
            };
            let here: Vec<_> = set.keys().filter(|path| fits(path)).cloned().collect();
            if here.is_empty() && key.given == Given::Default && !pattern.contains(&"*") {
                let (key, value) = (dotted(&pattern), key.text.to_owned());
                settings.push(Setting { key, value, origin: "default".to_owned() });
            }
            for path in here {
                if let Some(set) = set.remove(&path) {
                    settings.push(Setting { key: dotted(&path), value: set.value, origin: set.origin });
                }
            }
        }
    }
    settings
}

/// Returns a value in one line of TOML.
pub(crate) fn inline(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => quoted(text),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(flag) => flag.to_string(),
        DeValue::Datetime(time) => time.to_string(),
        DeValue::Array(items) => {
            let items: Vec<_> = items.iter().map(|item| inline(item.get_ref())).collect();
            format!("[{}]", items.join(", "))
        }
        DeValue::Table(table) if table.is_empty() => "{}".to_owned(),
        DeValue::Table(table) => {
            let pair =
                |(key, value): (&toml::Spanned<toml::de::DeString<'_>>, &toml::Spanned<DeValue<'_>>)| {
                    let value = match value.get_ref() {
                        DeValue::String(hash) if key.get_ref() == "sha256" => {
                            quoted(&format!("{}...", hash.chars().take(8).collect::<String>()))
                        }
                        value => inline(value),
                    };
                    format!("{} = {value}", dotted(&[key.get_ref()]))
                };
            format!("{{ {} }}", table.iter().map(pair).collect::<Vec<_>>().join(", "))
        }
    }
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}
