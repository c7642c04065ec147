//! The second subject of a benchmark: another module, or other settings.

use std::path::PathBuf;
use std::str::FromStr;

use antiphon_host::EngineKind;
use clap::ValueEnum;

use super::options::{Invalid, Isolation, Mode, number};

/// The settings in which the second subject differs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    pub(crate) module: Option<PathBuf>,
    pub(crate) engine: Option<EngineKind>,
    pub(crate) mode: Option<Mode>,
    pub(crate) isolation: Option<Isolation>,
    pub(crate) concurrency: Option<usize>,
    pub(crate) instances: Option<usize>,
}

const SETTINGS: [&str; 6] = ["module", "engine", "mode", "isolation", "concurrency", "instances"];

impl Changes {
    /// Parses `SETTING=VALUE,..`. A text that does not begin with a setting is the path of a
    /// module.
    pub(crate) fn parse(text: &str) -> Result<Self, Invalid> {
        let is_settings = text.split_once('=').is_some_and(|(name, _)| SETTINGS.contains(&name));
        let mut changes = Self::default();
        if !is_settings {
            changes.module = Some(text.into());
            return Ok(changes);
        }
        for setting in text.split(',') {
            let (name, value) = setting.split_once('=').ok_or(Invalid::Changes)?;
            match name {
                "module" => changes.module = Some(value.into()),
                "engine" => changes.engine = Some(EngineKind::from_str(value).map_err(|_| Invalid::Changes)?),
                "mode" => changes.mode = Some(choice(value)?),
                "isolation" => changes.isolation = Some(choice(value)?),
                "concurrency" => changes.concurrency = Some(number(value)?),
                "instances" => changes.instances = Some(number(value)?),
                _ => return Err(Invalid::Changes),
            }
        }
        Ok(changes)
    }
}

fn choice<T: ValueEnum>(value: &str) -> Result<T, Invalid> {
    T::from_str(value, false).map_err(|_| Invalid::Changes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_told_from_modules() {
        let module = |path: &str| Changes { module: Some(path.into()), ..Changes::default() };
        assert_eq!(Changes::parse("other.wasm").unwrap(), module("other.wasm"));
        assert_eq!(Changes::parse("a=b.wasm").unwrap(), module("a=b.wasm"));
        assert_eq!(Changes::parse("module=engine=x.wasm").unwrap(), module("engine=x.wasm"));
        assert_eq!(
            Changes::parse("engine=wasmi,mode=sync,isolation=per-call,concurrency=4,instances=2").unwrap(),
            Changes {
                module: None,
                engine: Some(EngineKind::Wasmi),
                mode: Some(Mode::Sync),
                isolation: Some(Isolation::PerCall),
                concurrency: Some(4),
                instances: Some(2),
            }
        );
    }

    #[test]
    fn what_begins_as_a_setting_and_is_none_is_refused() {
        for wrong in
            ["engine=", "engine=v8", "mode=both", "engine=wasmi,", "engine=wasmi,size=3", "isolation=no"]
        {
            assert!(matches!(Changes::parse(wrong), Err(Invalid::Changes)), "{wrong}");
        }
        for wrong in ["concurrency=0", "instances=-1", "concurrency=10001", "instances=many"] {
            assert!(matches!(Changes::parse(wrong), Err(Invalid::Number)), "{wrong}");
        }
    }
}
