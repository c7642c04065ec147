//! A section of the configuration: one declaration makes the struct, the way it is read, and what
//! the reference page and the example say about it.

/// A key, as the reference page and the example show it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    /// The key in its section, such as `listen` or `instances.min`.
    pub(crate) name: &'static str,
    /// What its value is, such as `duration`.
    pub(crate) kind: &'static str,
    /// What it means: the lines of the field's doc comment.
    pub(crate) doc: &'static [&'static str],
    /// What the text is.
    pub(crate) given: Given,
    /// A value in TOML.
    pub(crate) text: &'static str,
}

/// What the text of a key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Given {
    /// Its default.
    Default,
    /// A value that could be set; by default there is none.
    Example,
}

impl Key {
    /// Returns what the key means, in one line.
    pub(crate) fn meaning(&self) -> String {
        self.doc.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
    }
}

/// Declares a section. A key is declared as
///
/// ```text
/// /// What it means.
/// @"name.in.the.file" field: Type as Kind = default, Default "its default in TOML";
/// ```
///
/// where the name is left out if it is that of the field, and `Example` stands for `Default` where
/// nothing is set by default. Sections inside the section follow after `sections`.
macro_rules! section {
    (
        $(#[$attribute:meta])+
        pub struct $section:ident {
            $(
                $(#[doc = $doc:literal])+
                $(@ $name:literal)? $field:ident: $type:ty as $kind:ty = $default:expr, $given:ident $text:literal;
            )+
        }
        $(sections {
            $( $(#[doc = $inner_doc:literal])+ $inner:ident: $inner_type:ty; )+
        })?
    ) => {
        $(#[$attribute])+
        pub struct $section {
            $( $(#[doc = $doc])+ pub $field: $type, )+
            $($( $(#[doc = $inner_doc])+ pub $inner: $inner_type, )+)?
        }

        impl Default for $section {
            fn default() -> Self {
                Self {
                    $( $field: $default, )+
                    $($( $inner: Default::default(), )+)?
                }
            }
        }

        impl $section {
            pub(crate) const KEYS: &'static [$crate::config::section::Key] = &[
                $( $crate::config::section::Key {
                    name: $crate::config::section::section!(@name $field $($name)?),
                    kind: <$kind as $crate::config::kinds::Kind>::NAME,
                    doc: &[$($doc),+],
                    given: $crate::config::section::Given::$given,
                    text: $text,
                }, )+
            ];

            /// Takes over what is set at this place.
            pub(crate) fn read(&mut self, at: &[&str], layers: &mut $crate::config::layers::Layers<'_>) {
                $(
                    let name = $crate::config::section::section!(@name $field $($name)?);
                    if let Some(value) = layers.get::<$kind>(at, name) {
                        self.$field = value.into();
                    }
                )+
            }
        }
    };
    (@name $field:ident) => { stringify!($field) };
    (@name $field:ident $name:literal) => { $name };
}

pub(crate) use section;
