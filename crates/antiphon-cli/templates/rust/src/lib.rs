//! A waPC guest.

use antiphon_guest::prelude::*;

/// Greets whom the payload names.
#[operation]
fn hello(name: &str) -> Result<String, &'static str> {
    if name.is_empty() {
        return Err("hello wants a name");
    }
    Ok(format!("Hello, {name}!"))
}

// Each function that the host calls by its name. OPERATIONS.md has more to copy.
operations![hello];
