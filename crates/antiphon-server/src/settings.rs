//! What a version runs with, apart from its bytes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use antiphon::{EngineOptions, Error, ErrorKind, HostHandlerAsync, Isolation};
use antiphon_host::EngineKind;
use serde::{Deserialize, Serialize};

use crate::config;
use crate::deployment::WeakModules;
use crate::desired::Digest;

/// What a version runs with. Two versions of equal bytes and equal settings are one version.
///
/// It is data: it is kept beside the module's bytes, and operators may send it. Secrets stand in it
/// as references.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Settings {
    /// The engine by its name; the first one of the build by default.
    pub engine: Option<String>,
    /// Whether each call has an instance of its own.
    pub per_call: bool,
    /// Values that every call of the module carries.
    pub context: BTreeMap<String, String>,
    /// How long the version before stays warm. The default is ten minutes.
    pub keep: Option<Duration>,
    /// What the guest may use.
    pub limits: Limits,
    /// What the guest is granted, as the configuration says it. [`MakeHandler`] reads it.
    pub grants: Vec<serde_json::Value>,
    /// When a canary is rolled back by itself.
    pub rule: Rule,
}

/// What the guests of a version may use. What is not set has the default of the library, unless the
/// field says otherwise. Sizes are in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Limits {
    /// The longest time of a call.
    pub deadline: Option<Duration>,
    /// The longest time of a start.
    pub start: Option<Duration>,
    /// The most memory of an instance.
    pub memory: Option<u64>,
    /// The most elements of each table.
    pub table_elements: Option<u64>,
    /// The largest module.
    pub module: Option<u64>,
    /// The stack.
    pub stack: Option<u64>,
    /// The most fuel of a call.
    pub fuel: Option<u64>,
    /// The largest request. The default is 1 MiB.
    pub request: Option<u64>,
    /// The largest response.
    pub response: Option<u64>,
    /// The most host calls of a call.
    pub host_calls: Option<u64>,
    /// The most bytes of all host calls of a call.
    pub host_call_bytes: Option<u64>,
    /// Instances that are always there. The default is 1.
    pub min: Option<usize>,
    /// The most instances. The default is 8.
    pub max: Option<usize>,
    /// The most calls that wait. The default is 64.
    pub queue: Option<usize>,
}

/// When a canary is rolled back by itself: when it errs more than the version beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Rule {
    /// By how many points of a hundred its share of errors may be larger. The default is 2.
    pub max_error_points: u8,
    /// The time that is looked at. The default is one minute. It is longer if that time has fewer
    /// than `min_calls` calls.
    pub over: Duration,
    /// The fewest calls of a canary that are judged. The default is 100.
    pub min_calls: u64,
}

impl Default for Rule {
    fn default() -> Self {
        Self { max_error_points: 2, over: Duration::from_secs(60), min_calls: 100 }
    }
}

/// Makes the handler of a version's host calls, when the version is prepared. `None` where nothing
/// is granted: calls of such a version cost less.
pub type MakeHandler =
    Arc<dyn Fn(Granted<'_>) -> Result<Option<Arc<dyn HostHandlerAsync>>, Error> + Send + Sync>;

/// What a handler is made of.
#[derive(Debug)]
#[non_exhaustive]
pub struct Granted<'a> {
    /// The name of the module.
    pub module: &'a str,
    /// The version.
    pub digest: Digest,
    /// What it runs with.
    pub settings: &'a Settings,
    /// The modules of the server, for guests that call other modules.
    pub modules: WeakModules,
}

impl Settings {
    /// Returns the settings that a configuration has for a module.
    #[must_use]
    pub fn of(config: &config::Config, name: &str) -> Self {
        let none = config::Module::default();
        let module = config.modules.get(name).unwrap_or(&none);
        Self {
            engine: module.engine.clone(),
            per_call: module.isolation == Isolation::PerCall,
            context: module.context.clone(),
            keep: module.keep,
            limits: Limits::of(&module.limits).or(Limits::of(&config.limits)),
            grants: module.grants.clone(),
            rule: Rule::default(),
        }
    }

    /// Returns a number that differs for settings that differ. It is equal in every process.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        // Maps are sorted and fields have an order, so equal settings have one text.
        serde_json::to_vec(self).map_or(0, |text| Digest::of(&text).short())
    }

    pub(crate) fn keep(&self) -> Duration {
        self.keep.unwrap_or(Duration::from_secs(600))
    }

    pub(crate) fn isolation(&self) -> Isolation {
        if self.per_call { Isolation::PerCall } else { Isolation::Reuse }
    }

    /// # Errors
    /// [`Unsupported`](ErrorKind::Unsupported): no engine has this name.
    pub(crate) fn engine(&self) -> Result<EngineKind, Error> {
        match &self.engine {
            None => Ok(EngineKind::default()),
            Some(name) => name.parse(),
        }
    }

    pub(crate) fn options(&self) -> EngineOptions {
        EngineOptions::new().limits(self.limits.to_library()).isolation(self.isolation())
    }
}

impl Limits {
    fn of(limits: &config::ModuleLimits) -> Self {
        Self {
            deadline: limits.deadline,
            start: limits.start,
            memory: limits.memory,
            table_elements: limits.table_elements,
            module: limits.module,
            stack: limits.stack,
            fuel: limits.fuel,
            request: limits.request,
            response: limits.response,
            host_calls: limits.host_calls,
            host_call_bytes: limits.host_call_bytes,
            min: limits.min,
            max: limits.max,
            queue: limits.queue,
        }
    }

    /// Returns these limits, with those of `other` where none is set here.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            deadline: self.deadline.or(other.deadline),
            start: self.start.or(other.start),
            memory: self.memory.or(other.memory),
            table_elements: self.table_elements.or(other.table_elements),
            module: self.module.or(other.module),
            stack: self.stack.or(other.stack),
            fuel: self.fuel.or(other.fuel),
            request: self.request.or(other.request),
            response: self.response.or(other.response),
            host_calls: self.host_calls.or(other.host_calls),
            host_call_bytes: self.host_call_bytes.or(other.host_call_bytes),
            min: self.min.or(other.min),
            max: self.max.or(other.max),
            queue: self.queue.or(other.queue),
        }
    }

    pub(crate) fn to_library(self) -> antiphon::Limits {
        let mut limits = antiphon::Limits::new();
        limits.deadline = self.deadline;
        limits.init_deadline = self.start;
        limits.memory = self.memory;
        limits.table_elements = self.table_elements;
        limits.module = self.module;
        limits.stack = self.stack;
        limits.fuel = self.fuel;
        limits.request = Some(self.request.unwrap_or(1 << 20));
        limits.response = self.response;
        limits.host_calls = self.host_calls;
        limits.host_call_bytes = self.host_call_bytes;
        limits
    }

    pub(crate) fn deadline(&self) -> Duration {
        self.to_library().deadline_or_default()
    }

    pub(crate) fn largest_module(&self) -> u64 {
        self.to_library().module_or_default()
    }

    /// Returns the least and the most instances. The least one never is above the most.
    pub(crate) fn instances(&self) -> (usize, usize) {
        let max = self.max.unwrap_or_else(|| self.min.unwrap_or(0).max(8));
        (self.min.unwrap_or_else(|| max.min(1)), max)
    }

    pub(crate) fn queue(&self) -> usize {
        self.queue.unwrap_or(64)
    }
}

/// Refuses a name that cannot be a module's: it stands in paths, file names and labels.
///
/// # Errors
/// [`Unsupported`](ErrorKind::Unsupported), with what a name has to be.
pub fn check_name(name: &str) -> Result<(), Error> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let begins = name.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric);
    if begins && name.len() <= 128 && name.bytes().all(fits) {
        return Ok(());
    }
    let what = format!(
        "{name:?} cannot name a module: a name has 1 to 128 letters, digits, `.`, `_`, `-` of ASCII, and begins with a letter or a digit"
    );
    Err(Error::new(ErrorKind::Unsupported, what))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_module_sets_stands_before_what_all_modules_have() {
        let mut config = config::Config::default();
        config.limits.memory = Some(1);
        config.limits.queue = Some(2);
        let module = config::Module {
            isolation: Isolation::PerCall,
            limits: config::ModuleLimits { memory: Some(3), ..config::ModuleLimits::default() },
            ..config::Module::default()
        };
        config.modules.insert("a".into(), module);
        let (a, b) = (Settings::of(&config, "a"), Settings::of(&config, "b"));
        assert_eq!((a.limits.memory, a.limits.queue, a.per_call), (Some(3), Some(2), true));
        assert_eq!((b.limits.memory, b.limits.queue, b.per_call), (Some(1), Some(2), false));
        assert_eq!(a.limits.instances(), (1, 8));
        assert_eq!(b.limits.to_library().request, Some(1 << 20));
    }

    #[test]
    fn settings_that_differ_have_different_fingerprints_and_survive_a_file() {
        let a = Settings::default();
        let b = Settings { per_call: true, ..Settings::default() };
        assert_eq!(a.fingerprint(), Settings::default().fingerprint());
        assert_ne!(a.fingerprint(), b.fingerprint());
        let kept: Settings = serde_json::from_str(&serde_json::to_string(&b).unwrap()).unwrap();
        assert_eq!((kept.fingerprint(), kept), (b.fingerprint(), b));
    }

    #[test]
    fn a_name_is_one_that_a_path_a_file_and_a_label_can_have() {
        for fits in ["a", "pricing", "tax-2.v_1", "9", &"x".repeat(128)] {
            assert!(check_name(fits).is_ok(), "{fits}");
        }
        for wrong in ["", ".", "..", ".a", "-a", "a/b", "a\\b", "a b", "ä", "a\0", &"x".repeat(129)] {
            assert_eq!(check_name(wrong).unwrap_err().kind(), ErrorKind::Unsupported, "{wrong}");
        }
    }
}
