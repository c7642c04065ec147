//! Compares the code in MIGRATING.md with the code that is compiled here.

use crate::sides::{MIGRATING, in_one_line};

/// Returns the parts of the document's Rust code under a comment `// before` or `// after`. Code
/// without such a comment counts as after.
///
/// # Panics
/// If there is no such code: the document has changed its form.
pub fn code(side: &str) -> Vec<String> {
    let mut parts = Vec::new();
    for block in MIGRATING.split("```rust\n").skip(1) {
        let code = block.split("```").next().unwrap_or_default();
        match code.split_once("// after\n") {
            Some((before, after)) => {
                let before = before.trim_start().trim_start_matches("// before");
                parts.push(if side == "before" { before } else { after });
            }
            None if side == "after" => parts.push(code),
            None => {}
        }
    }
    assert!(!parts.is_empty(), "MIGRATING.md has no code from {side}");
    parts.into_iter().map(in_one_line).collect()
}

/// # Panics
/// If a part is not in `source`, ignoring white space.
pub fn assert_compiled(side: &str, source: &str) {
    let source = in_one_line(source);
    for part in code(side) {
        assert!(source.contains(&part), "not compiled: {part}");
    }
}
