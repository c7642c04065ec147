//! BLAKE3 of what is large, by two threads.

use std::sync::{Mutex, PoisonError};
use std::{io, panic, thread};

use blake3::hazmat::{self, ChainingValue, HasherExt, Mode};
use blake3::{Hash, Hasher};

/// Bytes that are read and hashed at once: they stay in the processor's cache. A power of two and some chunks of BLAKE3 long,
/// which makes each piece a subtree.
const PIECE: u64 = 64 << 10;

/// Bytes up to which another thread would take longer to start than it saves.
const ALONE: u64 = 1 << 20;

/// The digest of a module's bytes as they were handed in: BLAKE3, which takes a third of the time of SHA-256.
pub(crate) type Digest = [u8; 32];

/// Something to hash, of which any part can be had at any time.
pub(crate) trait Pieces: Sync {
    /// So many bytes from an offset on, in `buffer` where they have to be read first.
    fn piece<'a>(&'a self, offset: u64, length: usize, buffer: &'a mut Vec<u8>) -> io::Result<&'a [u8]>;
}

impl Pieces for [u8] {
    fn piece<'a>(&'a self, offset: u64, length: usize, _: &'a mut Vec<u8>) -> io::Result<&'a [u8]> {
        let rest = usize::try_from(offset).ok().and_then(|offset| self.get(offset..));
        rest.and_then(|rest| rest.get(..length)).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

/// The digest of a module.
pub(crate) fn of(module: &[u8]) -> Digest {
    // What is in memory can be read; else it would be read alone.
    let hash = hash(module, length(module.len()), Mode::Hash).unwrap_or_else(|_| blake3::hash(module));
    *hash.as_bytes()
}

/// A length in memory as one in a file: no machine has more.
pub(crate) fn length(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

/// Hashes the first so many bytes. It is the same hash that [`blake3::Hasher`] makes of them, by the tree of the
/// [paper](https://github.com/BLAKE3-team/BLAKE3-specs), section 2.1.
///
/// # Errors
/// A piece cannot be read.
pub(crate) fn hash(bytes: &(impl Pieces + ?Sized), length: u64, mode: Mode<'_>) -> io::Result<Hash> {
    let subtree = |offset: u64, buffer: &mut Vec<u8>| {
        let length = length.saturating_sub(offset).min(PIECE);
        let piece = bytes.piece(offset, usize::try_from(length).unwrap_or(usize::MAX), buffer)?;
        let mut hasher = hasher(mode);
        hasher.set_input_offset(offset).update(piece);
        Ok::<_, io::Error>(hasher)
    };
    if length <= PIECE {
        return Ok(subtree(0, &mut Vec::new())?.finalize());
    }

    let count = usize::try_from(length.div_ceil(PIECE)).map_err(|_| io::ErrorKind::FileTooLarge)?;
    let mut values = vec![ChainingValue::default(); count];
    // Whoever is free takes the next piece.
    let places = Mutex::new((0..).map(|piece: u64| piece.saturating_mul(PIECE)).zip(&mut values));
    let work = || {
        let mut buffer = Vec::new();
        loop {
            let next = places.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some((offset, value)) = next else { return Ok(()) };
            *value = subtree(offset, &mut buffer)?.finalize_non_root();
        }
    };
    thread::scope(|scope| {
        // Where the system has no thread for it, this one does it all.
        let other = if length > ALONE { thread::Builder::new().spawn_scoped(scope, work).ok() } else { None };
        let done: io::Result<()> = work();
        let others =
            other.map_or(Ok(()), |other| other.join().unwrap_or_else(|panic| panic::resume_unwind(panic)));
        done.and(others)
    })?;
    let (left, right) = halves(&values);
    Ok(hazmat::merge_subtrees_root(&merged(left, mode), &merged(right, mode), mode))
}

/// Hashes one thing after the other.
pub(crate) fn hasher(mode: Mode<'_>) -> Hasher {
    match mode {
        Mode::Hash => Hasher::new(),
        Mode::KeyedHash(key) => Hasher::new_keyed(key),
        Mode::DeriveKeyMaterial(key) => Hasher::new_from_context_key(key),
    }
}

/// The root of a subtree whose pieces have these values.
fn merged(values: &[ChainingValue], mode: Mode<'_>) -> ChainingValue {
    if let [value] = values {
        return *value;
    }
    let (left, right) = halves(values);
    hazmat::merge_subtrees_non_root(&merged(left, mode), &merged(right, mode), mode)
}

/// The left half of a tree is as large as a whole tree can be that leaves something for the right one.
fn halves(values: &[ChainingValue]) -> (&[ChainingValue], &[ChainingValue]) {
    values.split_at(values.len().next_power_of_two() / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_that_of_blake3_whatever_the_length() {
        const PIECE: usize = 64 << 10;
        assert_eq!(length(PIECE), super::PIECE);
        let bytes: Vec<u8> = (0..=250).cycle().take(33 * PIECE + 1).collect();
        let key = [7; 32];
        let around = |length: usize| [length - 1, length, length + 1];
        // By one thread, and by two.
        let pieces = [1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 31, 32, 33].map(|pieces| pieces * PIECE);
        let lengths = [1, 1_024].into_iter().chain(pieces);
        for end in lengths.flat_map(around) {
            let some = &bytes[..end];
            assert_eq!(of(some), *blake3::hash(some).as_bytes(), "{end} bytes");
            let keyed = hash(some, length(end), Mode::KeyedHash(&key)).unwrap();
            assert_eq!(keyed, blake3::keyed_hash(&key, some), "{end} bytes");
        }
    }

    #[test]
    fn a_piece_that_cannot_be_read_is_an_error_whoever_reads_it() {
        struct Broken(u64);

        impl Pieces for Broken {
            fn piece<'a>(
                &'a self,
                offset: u64,
                length: usize,
                buffer: &'a mut Vec<u8>,
            ) -> io::Result<&'a [u8]> {
                if offset == self.0 {
                    return Err(io::ErrorKind::PermissionDenied.into());
                }
                buffer.resize(length, 0);
                Ok(buffer)
            }
        }

        for broken in 0..32 {
            let error = hash(&Broken(broken * PIECE), 32 * PIECE, Mode::Hash).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
        }
        let error = hash(&b"short"[..], 6, Mode::Hash).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
