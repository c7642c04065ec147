//! In which field of a value an offset is.
//!
//! It is found in the bytes, once a decoding has failed, and not by the decoding: to keep the path would cost an allocation
//! for each key, and code for each type.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write};

use super::fault::Fault;
use super::header::Header;
use super::input::Input;
use crate::MAX_DEPTH;
use crate::bounded::bounded;

/// So many bytes of a key are in a path, at most.
const LONG: usize = 512;

/// The path of the value that begins at `offset`, or of the one in which the bytes end before it: `person.emails[2]`. Empty
/// where that is the value as a whole.
///
/// Its length is bounded. What lies deeper than values may nest has the path of what it is in.
#[cold]
#[inline(never)]
pub(super) fn at(bytes: &[u8], offset: usize) -> String {
    let mut open = Vec::new();
    // What ends the walk early ended the decoding as well: the path is the one so far.
    let _ = walk(&mut Input::new(bytes), offset, &mut open);
    let mut path = String::new();
    for Open { place, .. } in &open {
        // Writing to a string does not fail.
        let _ = write!(path, "{place}");
    }
    bounded(path.strip_prefix('.').unwrap_or(&path))
}

/// An array or a map that the walk is in.
struct Open<'de> {
    is_map: bool,
    /// How many entries are yet to be begun.
    left: u32,
    /// Where in it the walk is.
    place: Place<'de>,
}

/// Where in an array or a map a value is.
enum Place<'de> {
    /// In front of a value of an array, or at a key of a map.
    Between,
    Index(u32),
    Key(&'de [u8]),
    Unsigned(u64),
    Signed(i64),
    /// Behind a key that is neither text nor a number.
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

/// Walks to the value at `offset`, and leaves in `open` what that is in.
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
        // The end of the value as a whole: what follows is in none.
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

/// Reads a key.
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
