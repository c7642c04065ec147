//! The second contender of a benchmark: another module, or other settings.

use std::path::PathBuf;
use std::str::FromStr;

use antiphon_engines::AnyEngine;
use clap::ValueEnum;

use crate::cli::{Isolation, Mode};
use crate::options::Invalid;

/// The settings in which the second contender differs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rival {
    pub(crate) module: Option<PathBuf>,
    pub(crate) engine: Option<AnyEngine>,
    pub(crate) mode: Option<Mode>,
    pub(crate) isolation: Option<Isolation>,
    pub(crate) concurrency: Option<usize>,
    pub(crate) instances: Option<usize>,
}

const SETTINGS: [&str; 6] = ["module", "engine", "mode", "isolation", "concurrency", "instances"];

impl Rival {
    /// Parses `SETTING=VALUE,..`. A text that does not begin with a setting is the path of a
    /// module.
    pub(crate) fn parse(text: &str) -> Result<Self, Invalid> {
        let is_settings = text.split_once('=').is_some_and(|(name, _)| SETTINGS.contains(&name));
        let mut rival = Self::default();
        if !is_settings {
            rival.module = Some(text.into());
            return Ok(rival);
        }
        for setting in text.split(',') {
            let (name, value) = setting.split_once('=').ok_or(Invalid::Rival)?;
            match name {
                "module" => rival.module = Some(value.into()),
                "engine" => rival.engine = Some(AnyEngine::from_str(value).map_err(|_| Invalid::Rival)?),
                "mode" => rival.mode = Some(choice(value)?),
                "isolation" => rival.isolation = Some(choice(value)?),
                "concurrency" => rival.concurrency = Some(number(value)?),
                "instances" => rival.instances = Some(number(value)?),
                _ => return Err(Invalid::Rival),
            }
        }
        Ok(rival)
    }
}

fn choice<T: ValueEnum>(value: &str) -> Result<T, Invalid> {
    T::from_str(value, false).map_err(|_| Invalid::Rival)
}

/// The most callers or instances.
pub(crate) const MOST: usize = 10_000;

/// Parses a number of callers or instances.
pub(crate) fn number(value: &str) -> Result<usize, Invalid> {
    value.parse().ok().filter(|number| (1..=MOST).contains(number)).ok_or(Invalid::Number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_told_from_modules() {
        let module = |path: &str| Rival { module: Some(path.into()), ..Rival::default() };
        assert_eq!(Rival::parse("other.wasm").unwrap(), module("other.wasm"));
        assert_eq!(Rival::parse("a=b.wasm").unwrap(), module("a=b.wasm"));
        assert_eq!(Rival::parse("module=engine=x.wasm").unwrap(), module("engine=x.wasm"));
        assert_eq!(
            Rival::parse("engine=wasmi,mode=sync,isolation=per-call,concurrency=4,instances=2").unwrap(),
            Rival {
                module: None,
                engine: Some(AnyEngine::Wasmi),
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
            assert!(matches!(Rival::parse(wrong), Err(Invalid::Rival)), "{wrong}");
        }
        for wrong in ["concurrency=0", "instances=-1", "concurrency=10001", "instances=many"] {
            assert!(matches!(Rival::parse(wrong), Err(Invalid::Number)), "{wrong}");
        }
    }
}
