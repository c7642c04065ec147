//! Which of the two crates a program was compiled against, and what may differ between them.

/// Whether this is the build against Antiphon.
pub const ANTIPHON: bool = matches!(env!("CARGO_PKG_NAME").as_bytes(), b"compat-antiphon");

/// What MIGRATING.md tells users.
pub const MIGRATING: &str = include_str!("../../MIGRATING.md");

/// Takes the value of this side where the two differ. The reason is a passage of MIGRATING.md: nothing may differ that
/// is not written there, and nothing may be deleted there that still differs.
#[macro_export]
macro_rules! differs {
    (incumbent: $incumbent:expr, antiphon: $antiphon:expr, because: $because:expr $(,)?) => {{
        $crate::sides::assert_on_record($because);
        if $crate::sides::ANTIPHON { $antiphon } else { $incumbent }
    }};
}

/// # Panics
/// MIGRATING.md does not have this passage.
#[track_caller]
pub fn assert_on_record(because: &str) {
    assert!(in_one_line(MIGRATING).contains(because), "not in MIGRATING.md: {because}");
}

/// A text with every run of white space as one blank.
pub fn in_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
