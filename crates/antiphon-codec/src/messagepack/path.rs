//! Finds the field that contains an offset.
//!
//! The path is found in the bytes after a decoding has failed. Tracking it during decoding would
//! cost an allocation per key, and a second, tracking decoder would cost code for each type:
//! together with the formatting of floating point numbers, that was half of a typed guest. The walk
//! here exists once for all types.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write};

use super::fault::Fault;
use super::header::Header;
use super::input::Input;
use crate::MAX_DEPTH;
use crate::bounded::bounded;

/// The most bytes of one key in a path.
const LONG: usize = 512;

/// Returns the path of the value that begins at `offset`, such as `person.emails[2]`; if the bytes
/// end before `offset`, the path of the value in which they end. The path of the whole value is
/// empty.
///
/// The length is bounded. A value below [`MAX_DEPTH`] has the path of the deepest array or map
/// above that limit.
#[cold]
#[inline(never)]
pub(super) fn at(bytes: &[u8], offset: usize) -> String {
    let mut open = Vec::new();
    // The fault that ends the walk early also ended the decoding: the path so far is the answer.
    let _ = walk(&mut Input::new(bytes), offset, &mut open);
    let mut path = String::new();
    for Open { place, .. } in &open {
        // Writing to a string does not fail.
        let _ = write!(path, "{place}");
    }
    bounded(path.strip_prefix('.').unwrap_or(&path))
}

/// An array or a map that the walk is inside.
struct Open<'de> {
    is_map: bool,
    /// The number of entries that have not begun yet.
    left: u32,
    /// The entry that the walk is at.
    place: Place<'de>,
}

/// The position of a value in an array or a map.
enum Place<'de> {
    /// Before the first value of an array, or at a key of a map.
    Between,
    Index(u32),
    Key(&'de [u8]),
    Unsigned(u64),
    Signed(i64),
    /// After a key that is neither text nor a number.
    Unnamed,
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Between => Ok(()),
            Self::Index(index) => write!(f, "[{index}]"),
            Self::Key(key) => write!(f, ".{}", String::from_utf8_lossy(key.get(..LONG).unwrap_or(key))),
            Self::Unsigned(key) => write!(f, ".{key}"),
            Self::Signed(key) => write!(f, ".{key}"),
            Self::Unnamed => f.write_str(".?"),
        }
    }
}

/// Walks to the value at `offset`, and leaves the arrays and maps that contain it in `open`.
fn walk<'de>(input: &mut Input<'de>, offset: usize, open: &mut Vec<Open<'de>>) -> Result<(), Fault> {
    loop {
        if input.at() >= offset {
            return Ok(());
        }
        let start = input.at();
        match Header::read(input)? {
            Header::Str(length) | Header::Bin(length) => drop(input.take(length)?),
            Header::Ext(length) => {
                input.byte()?;
                input.take(length)?;
            }
            Header::Array(_) | Header::Map(_) if open.len() >= MAX_DEPTH => {
                input.back_to(start);
                input.skip()?;
            }
            Header::Array(left) => {
                input.has_entries(left, 1)?;
                open.push(Open { is_map: false, left, place: Place::Between });
            }
            Header::Map(left) => {
                input.has_entries(left, 2)?;
                open.push(Open { is_map: true, left, place: Place::Between });
            }
            _ => {}
        }
        while open.last().is_some_and(|last| last.left == 0) {
            open.pop();
        }
        // The whole value has ended: `offset` is after it.
        let Some(last) = open.last_mut() else { return Ok(()) };
        last.place = match &last.place {
            Place::Index(index) => Place::Index(index.saturating_add(1)),
            _ if !last.is_map => Place::Index(0),
            _ => {
                last.place = Place::Between;
                if input.at() >= offset {
                    return Ok(());
                }
                key(input)?
            }
        };
        last.left = last.left.saturating_sub(1);
    }
}

/// Reads a key of a map.
fn key<'de>(input: &mut Input<'de>) -> Result<Place<'de>, Fault> {
    let start = input.at();
    Ok(match Header::read(input)? {
        Header::Str(length) => Place::Key(input.take(length)?),
        Header::Unsigned(number) => Place::Unsigned(number),
        Header::Signed(number) => Place::Signed(number),
        _ => {
            input.back_to(start);
            input.skip()?;
            Place::Unnamed
        }
    })
}
