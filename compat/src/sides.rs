//! Tells which crates a program was compiled against, and what may differ between them.

/// Whether this is the build against Antiphon.
pub const ANTIPHON: bool = matches!(env!("CARGO_PKG_NAME").as_bytes(), b"compat-antiphon");

/// The text of MIGRATING.md.
pub const MIGRATING: &str = include_str!("../../MIGRATING.md");

/// Selects this side's value where the two differ. The reason must be a passage of MIGRATING.md, so
/// that every difference is documented, and no passage is deleted while its difference remains.
#[macro_export]
macro_rules! differs {
    (incumbent: $incumbent:expr, antiphon: $antiphon:expr, because: $because:expr $(,)?) => {{
        $crate::sides::assert_on_record($because);
        if $crate::sides::ANTIPHON { $antiphon } else { $incumbent }
    }};
}

/// # Panics
/// If MIGRATING.md does not have this passage.
#[track_caller]
pub fn assert_on_record(because: &str) {
    assert!(in_one_line(MIGRATING).contains(because), "not in MIGRATING.md: {because}");
}

/// Replaces every run of white space in a text by one space.
pub fn in_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
