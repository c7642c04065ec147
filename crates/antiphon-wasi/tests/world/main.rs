//! The sealed world from outside the crate.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test that panics is a test that fails")]

#[cfg(all(feature = "dirs", unix))]
mod directories;
#[cfg(all(feature = "dirs", unix))]
mod escapes;
#[cfg(all(feature = "dirs", target_os = "linux"))]
mod full_disk;
#[cfg(all(feature = "dirs", unix))]
mod guest;
mod hostile;
mod sealed;
