//! The kinds of values: how each is written, and what is said about a value that is none.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use antiphon_host::EngineKind;
use bytesize::ByteSize;
use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeValue, ValueDeserializer};
use tracing_subscriber::filter::Targets;

use super::keys::{Backend, LogFormat, Role, Token};
use super::problem::nearest;
use crate::settings::check_name;

/// A value of the file, of the environment, or of the command line.
#[derive(Clone, Debug)]
pub(crate) struct Node<'a> {
    pub(crate) value: Spanned<DeValue<'a>>,
    /// The folder that relative paths begin at.
    pub(crate) base: &'a Path,
}

/// Why a value cannot be used.
#[derive(Debug)]
pub(crate) struct Wrong {
    pub(crate) text: String,
    /// The place of what is wrong, if it is a part of the value.
    pub(crate) span: Option<Range<usize>>,
    /// The nearest word that would be right.
    pub(crate) nearest: Option<String>,
}

impl Wrong {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), span: None, nearest: None }
    }

    /// Says what was expected, and what is there.
    fn expected(what: impl Display, node: &Node<'_>) -> Self {
        Self::new(format!("expected {what}, and got {}", node.shown()))
    }

    pub(crate) fn at(self, span: Range<usize>) -> Self {
        Self { span: self.span.or(Some(span)), ..self }
    }
}

impl From<toml::de::Error> for Wrong {
    fn from(error: toml::de::Error) -> Self {
        Self {
            text: error.message().to_owned(),
            span: error.span(),
            nearest: nearest_of_serde(error.message()).map(str::to_owned),
        }
    }
}

/// Returns the nearest of the words that a message of serde expects instead of an unknown one. Such
/// a message is "unknown field `a`, expected one of `b`, `c`".
pub(crate) fn nearest_of_serde(message: &str) -> Option<&str> {
    let (_, quoted) = message.split_once("unknown ")?;
    let mut words = quoted.split('`').skip(1).step_by(2);
    let unknown = words.next()?;
    nearest(unknown, words)
}

/// A kind of value.
pub(crate) trait Kind {
    type Value;
    /// What the reference page calls it.
    const NAME: &'static str;

    /// Reads a value.
    ///
    /// # Errors
    /// All that is wrong with it.
    fn read(node: Node<'_>) -> Result<Self::Value, Vec<Wrong>>;
}

impl<'a> Node<'a> {
    fn text(&self) -> Option<&str> {
        self.value.get_ref().as_str()
    }

    /// Returns an item of the value.
    fn inner(&self, value: &Spanned<DeValue<'a>>) -> Self {
        Self { value: value.clone(), base: self.base }
    }

    pub(crate) fn deserialize<T: for<'de> Deserialize<'de>>(self) -> Result<T, Wrong> {
        T::deserialize(ValueDeserializer::from(self.value)).map_err(Wrong::from)
    }

    fn shown(&self) -> String {
        match self.value.get_ref() {
            DeValue::String(text) => format!("{text:?}"),
            DeValue::Integer(number) => number.to_string(),
            DeValue::Float(number) => number.to_string(),
            DeValue::Boolean(flag) => flag.to_string(),
            other => format!("a value of type {}", other.type_str()),
        }
    }

    /// Reads the value by its text.
    fn parse<T>(&self, expected: &str, parse: impl FnOnce(&str) -> Option<T>) -> Result<T, Vec<Wrong>> {
        self.text().and_then(parse).ok_or_else(|| vec![Wrong::expected(expected, self)])
    }

    /// Reads one of some words.
    fn choose<T: Copy>(&self, words: &[(&str, T)]) -> Result<T, Vec<Wrong>> {
        let text = self.text();
        if let Some((_, value)) = words.iter().find(|(word, _)| Some(*word) == text) {
            return Ok(*value);
        }
        let known: Vec<_> = words.iter().map(|(word, _)| format!("{word:?}")).collect();
        let mut wrong = Wrong::expected(known.join(" or "), self);
        let words = words.iter().map(|(word, _)| *word);
        wrong.nearest = text.and_then(|text| nearest(text, words)).map(str::to_owned);
        Err(vec![wrong])
    }
}

macro_rules! kinds {
    ($( $(#[doc = $doc:literal])+ $kind:ident: $value:ty, $name:literal, |$node:ident| $read:expr; )+) => {
        $(
            $(#[doc = $doc])+
            pub(crate) struct $kind;

            impl Kind for $kind {
                type Value = $value;
                const NAME: &'static str = $name;

                fn read($node: Node<'_>) -> Result<$value, Vec<Wrong>> {
                    $read
                }
            }
        )+
    };
}

kinds! {
    /// A time above zero.
    Time: Duration, "duration", |node| node.parse("a duration above zero, such as \"250ms\", \"2s\" or \"10m\"", |text| {
        humantime::parse_duration(text).ok().filter(|time| !time.is_zero())
    });
    /// A size in bytes.
    Bytes: u64, "size", |node| {
        const EXPECTED: &str = "a size such as \"64KiB\" or \"1MiB\", or a number of bytes";
        match node.value.get_ref() {
            DeValue::Integer(_) => whole(&node, EXPECTED),
            _ => node.parse(EXPECTED, |text| {
                let size = text.parse::<ByteSize>().ok()?.as_u64();
                // A size that 64 bits cannot hold becomes the largest one they can.
                (size != u64::MAX && !text.starts_with('-')).then_some(size)
            }),
        }
    };
    /// An address with its port.
    Address: SocketAddr, "address", |node| {
        node.parse("an IP address with its port, such as \"127.0.0.1:7470\" or \"[::1]:7470\"", |text| text.parse().ok())
    };
    /// A path. A relative one begins at the folder of the file that it stands in.
    PathOf: PathBuf, "path", |node| {
        node.parse("a path", |text| (!text.is_empty()).then(|| node.base.join(text)))
    };
    /// Where a module's bytes come from.
    Source: String, "source", |node| {
        let path = node.parse("a path, or \"file:\" and a path", |text| (!text.is_empty()).then(|| text.to_owned()))?;
        match path.split_once(':') {
            Some(("file", path)) => Ok(path.strip_prefix("//").unwrap_or(path).to_owned()),
            // A drive of Windows is no scheme.
            Some((scheme, _)) if scheme.len() > 1 && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
                let text = format!("this build of antiphon-server reads modules from files only, and not from {scheme:?}; give a path");
                Err(vec![Wrong::new(text)])
            }
            _ => Ok(path),
        }
        .map(|path| format!("file:{}", node.base.join(path).display()))
    };
    /// The digest of a module.
    Digest: String, "digest", |node| {
        node.parse("a digest: \"sha256:\" and 64 hexadecimal digits", |text| {
            text.strip_prefix("sha256:").and_then(sha256).map(|_| text.to_ascii_lowercase())
        })
    };
    /// A whole number from 0.
    Number: Whole, "number", |node| whole(&node, "a whole number from 0").map(Whole);
    /// A whole number from 1.
    Count: usize, "number", |node| {
        const EXPECTED: &str = "a whole number from 1";
        let number = whole(&node, EXPECTED)?;
        let number = usize::try_from(number).ok().filter(|number| *number > 0);
        number.ok_or_else(|| vec![Wrong::expected(EXPECTED, &node)])
    };
    /// True or false.
    Flag: bool, "true or false", |node| {
        node.value.get_ref().as_bool().ok_or_else(|| vec![Wrong::expected("true or false", &node)])
    };
    /// An engine of this build.
    Engine: String, "engine", |node| {
        let built: Vec<_> = EngineKind::available().map(|engine| (engine.name(), engine)).collect();
        node.choose(&built).map(|engine| engine.name().to_owned())
    };
    /// What keeps the values of a store.
    BackendName: Backend, "`redb` or `memory`", |node| {
        node.choose(&[("redb", Backend::Redb), ("memory", Backend::Memory)])
    };
    /// Whether calls share an instance.
    Isolation: antiphon::Isolation, "`reuse` or `per-call`", |node| {
        node.choose(&[("reuse", antiphon::Isolation::Reuse), ("per-call", antiphon::Isolation::PerCall)])
    };
    /// Texts by name.
    Context: BTreeMap<String, String>, "table of texts", |node| node.deserialize().map_err(|wrong| vec![wrong]);
    /// What is logged.
    Filter: String, "log filter", |node| {
        node.parse("a level (error, warn, info, debug, trace, off), or a list such as \"info,antiphon::pool=debug\"", |text| {
            (!text.is_empty() && text.parse::<Targets>().is_ok()).then(|| text.to_owned())
        })
    };
    /// The format of log lines.
    Format: LogFormat, "`text` or `json`", |node| {
        node.choose(&[("text", LogFormat::Text), ("json", LogFormat::Json)])
    };
    /// Tokens.
    Tokens: Vec<Token>, "list of tokens", |node| tokens(&node);
}

/// A whole number, for fields of several types.
pub(crate) struct Whole(u64);

impl From<Whole> for Option<u64> {
    fn from(Whole(number): Whole) -> Self {
        Some(number)
    }
}

impl From<Whole> for Option<usize> {
    fn from(Whole(number): Whole) -> Self {
        Some(usize::try_from(number).unwrap_or(usize::MAX))
    }
}

fn whole(node: &Node<'_>, expected: &str) -> Result<u64, Vec<Wrong>> {
    let number = node.value.get_ref().as_integer();
    let number = number.and_then(|number| u64::from_str_radix(number.as_str(), number.radix()).ok());
    number.ok_or_else(|| vec![Wrong::expected(expected, node)])
}

/// Reads 64 hexadecimal digits.
pub(crate) fn sha256(text: &str) -> Option<[u8; 32]> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let mut bytes = [0; 32];
    if pairs.len() != bytes.len() || !rest.is_empty() {
        return None;
    }
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}

fn tokens(node: &Node<'_>) -> Result<Vec<Token>, Vec<Wrong>> {
    let Some(items) = node.value.get_ref().as_array() else {
        return Err(vec![Wrong::expected(
            "a list of tokens, such as [{ name = \"shop\", sha256 = \"..\", role = \"call\" }]",
            node,
        )]);
    };
    let (mut tokens, mut wrongs) = (Vec::new(), Vec::new());
    for item in items {
        match token(&node.inner(item)) {
            Ok(token) => tokens.push(token),
            Err(wrong) => wrongs.extend(wrong.into_iter().map(|wrong| wrong.at(item.span()))),
        }
    }
    if wrongs.is_empty() { Ok(tokens) } else { Err(wrongs) }
}

fn token(node: &Node<'_>) -> Result<Token, Vec<Wrong>> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Written {
        name: Spanned<String>,
        sha256: Spanned<String>,
        role: Spanned<String>,
        #[serde(default)]
        modules: Vec<Spanned<String>>,
    }

    let written: Written = node.clone().deserialize().map_err(|wrong| vec![wrong])?;
    let mut wrongs = Vec::new();
    let mut wrong = |span: Range<usize>, text: &str| wrongs.push(Wrong::new(text).at(span));
    let name = written.name.get_ref();
    if name.is_empty() || name.len() > 128 || name.chars().any(char::is_control) {
        wrong(written.name.span(), "a token's name has 1 to 128 bytes and no control characters");
    }
    // What is there is not repeated: it could be the token itself.
    let hash = sha256(written.sha256.get_ref());
    if hash.is_none() {
        let text = "expected the SHA-256 of the token in 64 hexadecimal digits, as `printf %s \"$TOKEN\" | sha256sum` prints it";
        wrong(written.sha256.span(), text);
    }
    for pattern in &written.modules {
        let stem = pattern.get_ref().strip_suffix('*').unwrap_or(pattern.get_ref());
        if pattern.get_ref() != "*" && check_name(stem).is_err() {
            let text = "no module's name: expected such a name, or its beginning and `*`";
            wrong(pattern.span(), text);
        }
    }
    let role = Node {
        value: Spanned::new(written.role.span(), DeValue::String(written.role.get_ref().into())),
        base: node.base,
    };
    let role = role.choose(&[("call", Role::Call), ("admin", Role::Admin)]);
    match (hash, role, wrongs.is_empty()) {
        (Some(sha256), Ok(role), true) => Ok(Token {
            name: written.name.into_inner(),
            sha256,
            role,
            modules: written.modules.into_iter().map(Spanned::into_inner).collect(),
        }),
        (_, role, _) => {
            let role = role.err().into_iter().flatten().map(|wrong| wrong.at(written.role.span()));
            wrongs.extend(role);
            Err(wrongs)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<K: Kind>(toml: &str) -> Result<K::Value, String> {
        let value = DeValue::parse(toml).unwrap();
        let wrongs = K::read(Node { value, base: Path::new("/etc/antiphon") });
        wrongs.map_err(|wrongs| wrongs.into_iter().map(|wrong| wrong.text).collect::<Vec<_>>().join("; "))
    }

    #[test]
    fn times_and_sizes_have_units() {
        assert_eq!(read::<Time>("'1m 30s'"), Ok(Duration::from_secs(90)));
        for wrong in ["'0s'", "2", "'2'", "'-1s'", "true"] {
            assert!(
                read::<Time>(wrong).unwrap_err().starts_with("expected a duration above zero"),
                "{wrong}"
            );
        }
        assert_eq!(read::<Bytes>("'64KiB'"), Ok(65_536));
        assert_eq!(
            (read::<Bytes>("1_000"), read::<Bytes>("0x10"), read::<Bytes>("'7'")),
            (Ok(1000), Ok(16), Ok(7))
        );
        for wrong in ["'-1'", "-1", "1.5", "'16EiB'", "''", "'1XiB'"] {
            assert!(read::<Bytes>(wrong).unwrap_err().starts_with("expected a size such as"), "{wrong}");
        }
    }

    #[test]
    fn numbers_are_whole() {
        assert_eq!(read::<Count>("3"), Ok(3));
        assert_eq!(read::<Count>("0").unwrap_err(), "expected a whole number from 1, and got 0");
        assert_eq!(read::<Number>("0").map(Option::<u64>::from), Ok(Some(0)));
        assert_eq!(read::<Flag>("1").unwrap_err(), "expected true or false, and got 1");
    }

    #[test]
    fn paths_begin_at_the_folder_of_their_file() {
        assert_eq!(read::<PathOf>("'tls.key'"), Ok("/etc/antiphon/tls.key".into()));
        assert_eq!(read::<PathOf>("'/tls.key'"), Ok("/tls.key".into()));
        assert_eq!(read::<Source>("'a.wasm'"), Ok("file:/etc/antiphon/a.wasm".into()));
        assert_eq!(read::<Source>("'file:///a.wasm'"), Ok("file:/a.wasm".into()));
        let refused = read::<Source>("'oci://r/a:1'").unwrap_err();
        assert_eq!(
            refused,
            "this build of antiphon-server reads modules from files only, and not from \"oci\"; give a path"
        );
    }

    #[test]
    fn a_word_that_is_none_is_answered_with_those_that_are() {
        let value = DeValue::parse("'per-cal'").unwrap();
        let wrong = Isolation::read(Node { value, base: Path::new("") }).unwrap_err().remove(0);
        assert_eq!(wrong.text, "expected \"reuse\" or \"per-call\", and got \"per-cal\"");
        assert_eq!(wrong.nearest.as_deref(), Some("per-call"));
        assert_eq!(read::<Filter>("'info,antiphon=debug'"), Ok("info,antiphon=debug".into()));
        assert!(read::<Filter>("'antiphon=loud'").is_err());
    }

    #[test]
    fn tokens_say_all_that_is_wrong_and_repeat_no_secret() {
        let hash = "ab".repeat(32);
        let good =
            format!("[{{ name = 'a', sha256 = '{hash}', role = 'admin', modules = ['x', 'y*', '*'] }}]");
        let token = read::<Tokens>(&good).unwrap().remove(0);
        assert_eq!((token.sha256, token.role, token.modules.len()), ([0xab; 32], Role::Admin, 3));
        let wrong = read::<Tokens>(
            "[{ name = '', sha256 = 'hunter2', role = 'root', modules = ['a*b'] }, { nam = 'x' }]",
        );
        let wrong = wrong.unwrap_err();
        for part in [
            "a token's name has",
            "64 hexadecimal digits",
            "no module's name",
            "expected \"call\" or \"admin\", and got \"root\"",
            "unknown field `nam`",
        ] {
            assert!(wrong.contains(part), "{wrong}\nhas no {part:?}");
        }
        assert!(!wrong.contains("hunter2"), "{wrong}");
    }

    #[test]
    fn the_nearest_word_is_one_of_those_that_are_expected() {
        assert_eq!(nearest_of_serde("unknown field `nam`, expected one of `name`, `role`"), Some("name"));
        assert_eq!(nearest_of_serde("unknown field `x`, expected `case`"), None);
        assert_eq!(nearest_of_serde("missing field `case`"), None);
    }
}
