//! BLAKE3 of large inputs, by two threads.
//!
//! A load from the cache is mostly two passes of BLAKE3: over the module, whose digest names the
//! file, and over the file. BLAKE3 is a tree, so any thread can hash a subtree, and the root stays
//! the same.
//!
//! The second thread is started once for both passes, before the first one. If the other processor
//! sleeps, that thread may arrive after a whole pass is done, and two threads would each have to be
//! waited for. It leaves with the last piece, while the first thread loads the code. If no second
//! thread can be had, the first one hashes everything. The threads that compile are not used,
//! because a load would wait there for a compilation.
//!
//! The crate's own feature `rayon` would do with less code. But it shares out only bytes that are
//! in memory, so one thread reads a file alone, and a pool takes longer to start than one helper.
//! For a module of 1.9 MB and its artifact of 4.4 MB, on two processors: 0.55 ms here, 0.78 ms with
//! one thread, 0.81 ms with a new pool of two threads, 0.69 ms with one that is ready.

use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::{io, mem, thread};

use blake3::hazmat::{self, ChainingValue, HasherExt, Mode};
use blake3::{Hash, Hasher};

use super::key::SealKey;
use crate::lock::{lock, unpoisoned};

/// How many bytes are read and hashed at once; they stay in the processor's cache. The size is a
/// power of two and at least a chunk of BLAKE3, so each piece is a subtree.
const PIECE: u64 = 64 << 10;

/// The size in bytes up to which another thread would take longer to start than it saves.
const ALONE: u64 = 1 << 20;

/// The digest of a module's bytes as they were handed in. BLAKE3 takes a third of the time of
/// SHA-256.
pub(super) type Digest = [u8; 32];

/// Bytes to hash, of which any part can be read at any time.
pub(super) trait Pieces: Send + Sync {
    /// Returns `length` bytes from `offset` on. They are read into `buffer` if they are not in
    /// memory.
    fn piece<'a>(&'a self, offset: u64, length: usize, buffer: &'a mut Vec<u8>) -> io::Result<&'a [u8]>;
}

impl Pieces for &[u8] {
    fn piece<'a>(&'a self, offset: u64, length: usize, _: &'a mut Vec<u8>) -> io::Result<&'a [u8]> {
        let rest = usize::try_from(offset).ok().and_then(|offset| self.get(offset..));
        rest.and_then(|rest| rest.get(..length)).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

/// Creates a hasher, with a key or without, for hashing one input after the other.
pub(super) fn hasher(key: Option<&SealKey>) -> Hasher {
    key.map_or_else(Hasher::new, |key| Hasher::new_keyed(key.secret()))
}

/// Converts a length in memory to a length in a file. No machine has more bytes than that.
pub(super) fn length(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

/// What a thread that needs several hashes shares with the thread that helps it. One helper serves
/// all hashes and is started before the first one, because its start may take longer than a hash.
#[derive(Default)]
pub(super) struct ParallelHasher<'env> {
    state: Mutex<State<'env>>,
    changed: Condvar,
}

#[derive(Default)]
struct State<'env> {
    job: Option<Job<'env>>,
    /// Whether no other job follows.
    is_last: bool,
}

/// One hash.
struct Job<'env> {
    bytes: Arc<dyn Pieces + 'env>,
    length: u64,
    key: Option<SealKey>,
    /// The offset of the first piece that no thread has taken.
    next: u64,
    /// How many pieces are being hashed.
    running: usize,
    values: Vec<io::Result<ChainingValue>>,
}

/// A piece of a job. Its drop returns the result, whatever that is.
struct Piece<'a, 'env> {
    parallel: &'a ParallelHasher<'env>,
    bytes: Arc<dyn Pieces + 'env>,
    key: Option<SealKey>,
    offset: u64,
    length: u64,
    value: io::Result<ChainingValue>,
}

/// Runs `work`, which needs hashes of about this many bytes in all.
pub(super) fn together<'env, R>(bytes: u64, work: impl FnOnce(&ParallelHasher<'env>) -> R) -> R {
    let parallel = ParallelHasher::default();
    if bytes <= ALONE {
        return work(&parallel);
    }
    thread::scope(|scope| {
        let _dismissed = Dismissed(&parallel);
        // If the system has no thread for the helper, this thread hashes everything.
        let _ = thread::Builder::new().name("antiphon-hash".into()).spawn_scoped(scope, || parallel.help());
        work(&parallel)
    })
}

/// Dismisses the helper at the end, also if `work` panics.
struct Dismissed<'a, 'env>(&'a ParallelHasher<'env>);

impl Drop for Dismissed<'_, '_> {
    fn drop(&mut self) {
        self.0.lock().is_last = true;
        self.0.changed.notify_all();
    }
}

impl<'env> ParallelHasher<'env> {
    /// Hashes the first `length` bytes. The result equals that of [`blake3::Hasher`], by the tree
    /// of the [paper](https://github.com/BLAKE3-team/BLAKE3-specs), section 2.1.
    ///
    /// # Errors
    /// Fails if a piece cannot be read.
    pub(super) fn hash(
        &self,
        bytes: impl Pieces + 'env,
        length: u64,
        key: Option<&SealKey>,
    ) -> io::Result<Hash> {
        self.run(bytes, length, key, false)
    }

    /// Hashes as [`hash`](Self::hash) does, as the last of the hashes. The helper leaves when no
    /// piece is left to take. If the input is too small to share, it leaves at the end of
    /// [`together`].
    ///
    /// # Errors
    /// Those of [`hash`](Self::hash).
    pub(super) fn hash_last(
        &self,
        bytes: impl Pieces + 'env,
        length: u64,
        key: Option<&SealKey>,
    ) -> io::Result<Hash> {
        self.run(bytes, length, key, true)
    }

    fn run(
        &self,
        bytes: impl Pieces + 'env,
        length: u64,
        key: Option<&SealKey>,
        is_last: bool,
    ) -> io::Result<Hash> {
        if length <= PIECE {
            let (mut buffer, length) = (Vec::new(), to_usize(length)?);
            return Ok(hasher(key).update(bytes.piece(0, length, &mut buffer)?).finalize());
        }
        let job = Some(Job::new(Arc::new(bytes), length, key)?);
        *self.lock() = State { job, is_last };
        self.changed.notify_all();
        self.work();
        let is_running = |state: &mut State<'_>| state.job.as_ref().is_some_and(|job| job.running > 0);
        let job = unpoisoned(self.changed.wait_while(self.lock(), is_running)).job.take();
        job.map_or_else(|| Err(unfinished()), Job::finish)
    }

    /// Hashes pieces until none is left. Each thread takes the next piece when it is free.
    fn work(&self) {
        let mut buffer = Vec::new();
        while let Some(mut piece) = self.take() {
            piece.value = piece.hash(&mut buffer);
        }
    }

    /// Runs the main loop of the helper.
    fn help(&self) {
        loop {
            self.work();
            let is_idle = |state: &mut State<'_>| !state.is_last && !state.has_pieces();
            let state = unpoisoned(self.changed.wait_while(self.lock(), is_idle));
            if !state.has_pieces() {
                return;
            }
        }
    }

    fn take(&self) -> Option<Piece<'_, 'env>> {
        let mut state = self.lock();
        let job = state.job.as_mut().filter(|job| job.has_pieces())?;
        let offset = job.next;
        let length = job.length.saturating_sub(offset).min(PIECE);
        job.next = offset.saturating_add(length);
        job.running = job.running.saturating_add(1);
        let (bytes, key) = (Arc::clone(&job.bytes), job.key.clone());
        Some(Piece { parallel: self, bytes, key, offset, length, value: Err(unfinished()) })
    }

    fn lock(&self) -> MutexGuard<'_, State<'env>> {
        lock(&self.state)
    }
}

impl State<'_> {
    fn has_pieces(&self) -> bool {
        self.job.as_ref().is_some_and(Job::has_pieces)
    }
}

impl<'env> Job<'env> {
    fn new(bytes: Arc<dyn Pieces + 'env>, length: u64, key: Option<&SealKey>) -> io::Result<Self> {
        let values = (0..to_usize(length.div_ceil(PIECE))?).map(|_| Err(unfinished())).collect();
        Ok(Self { bytes, length, key: key.cloned(), next: 0, running: 0, values })
    }

    fn has_pieces(&self) -> bool {
        self.next < self.length
    }

    fn finish(self) -> io::Result<Hash> {
        let values = self.values.into_iter().collect::<io::Result<Vec<_>>>()?;
        let mode = self.key.as_ref().map_or(Mode::Hash, |key| Mode::KeyedHash(key.secret()));
        let (left, right) = halves(&values);
        Ok(hazmat::merge_subtrees_root(&merged(left, mode), &merged(right, mode), mode))
    }
}

impl Piece<'_, '_> {
    fn hash(&self, buffer: &mut Vec<u8>) -> io::Result<ChainingValue> {
        let piece = self.bytes.piece(self.offset, to_usize(self.length)?, buffer)?;
        Ok(hasher(self.key.as_ref()).set_input_offset(self.offset).update(piece).finalize_non_root())
    }
}

impl Drop for Piece<'_, '_> {
    fn drop(&mut self) {
        let value = mem::replace(&mut self.value, Err(unfinished()));
        let mut state = self.parallel.lock();
        let Some(job) = &mut state.job else { return };
        if value.is_err() {
            // The other pieces are of no use after an error.
            job.next = job.length;
        }
        let number = usize::try_from(self.offset / PIECE).ok();
        if let Some(place) = number.and_then(|number| job.values.get_mut(number)) {
            *place = value;
        }
        job.running = job.running.saturating_sub(1);
        if job.running == 0 {
            self.parallel.changed.notify_all();
        }
    }
}

/// Returns the root of the subtree whose pieces have these values.
fn merged(values: &[ChainingValue], mode: Mode<'_>) -> ChainingValue {
    if let [value] = values {
        return *value;
    }
    let (left, right) = halves(values);
    hazmat::merge_subtrees_non_root(&merged(left, mode), &merged(right, mode), mode)
}

/// Splits a subtree. The left half is the largest complete tree that leaves something for the right
/// half.
fn halves(values: &[ChainingValue]) -> (&[ChainingValue], &[ChainingValue]) {
    values.split_at(values.len().next_power_of_two() / 2)
}

fn to_usize(length: u64) -> io::Result<usize> {
    usize::try_from(length).map_err(|_| io::ErrorKind::FileTooLarge.into())
}

/// Returns the value of a piece that a panic interrupted.
fn unfinished() -> io::Error {
    io::ErrorKind::Interrupted.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};

    const PIECE: usize = 64 << 10;

    #[test]
    fn the_hash_is_that_of_blake3_whatever_the_length() {
        assert_eq!(length(PIECE), super::PIECE);
        let bytes: Vec<u8> = (0..=250).cycle().take(33 * PIECE + 1).collect();
        let directory = tempfile::tempdir().unwrap();
        let key = SealKey::open(directory.path()).unwrap();
        let around = |length: usize| [length - 1, length, length + 1];
        let pieces = [1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 31, 32, 33].map(|pieces| pieces * PIECE);
        let lengths: Vec<_> = [1, 1_024].into_iter().chain(pieces).flat_map(around).collect();
        // With one thread, and with two.
        for expected in [0, u64::MAX] {
            together(expected, |parallel| {
                for end in lengths.iter().copied() {
                    let some = &bytes[..end];
                    let hash = |key| parallel.hash(some, length(end), key).unwrap();
                    assert_eq!(hash(None), blake3::hash(some), "{end} bytes");
                    assert_eq!(hash(Some(&key)), blake3::keyed_hash(key.secret(), some), "{end} bytes");
                }
                let last = parallel.hash_last(&bytes[..], length(bytes.len()), None);
                assert_eq!(last.unwrap(), blake3::hash(&bytes));
            });
        }
    }

    /// Bytes of which one piece cannot be read.
    struct Broken {
        at: u64,
        panics: bool,
    }

    impl Pieces for Broken {
        fn piece<'a>(&'a self, offset: u64, length: usize, buffer: &'a mut Vec<u8>) -> io::Result<&'a [u8]> {
            if offset == self.at {
                assert!(!self.panics, "boom");
                return Err(io::ErrorKind::PermissionDenied.into());
            }
            buffer.resize(length, 0);
            Ok(buffer)
        }
    }

    #[test]
    fn a_piece_that_cannot_be_read_is_an_error_whoever_reads_it() {
        together(u64::MAX, |parallel| {
            for broken in 0..32 {
                let bytes = Broken { at: broken * super::PIECE, panics: false };
                let error = parallel.hash(bytes, 32 * super::PIECE, None).unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
            }
            for length in [6, 32 * super::PIECE] {
                let error = parallel.hash(&b"short"[..], length, None).unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
            }
        });
    }

    #[test]
    fn a_panic_ends_the_hash_whoever_it_happens_to() {
        for broken in 0..32 {
            let ended = std::panic::catch_unwind(|| {
                let bytes = Broken { at: broken * super::PIECE, panics: true };
                together(u64::MAX, |parallel| parallel.hash(bytes, 32 * super::PIECE, None).map(drop))
            });
            assert!(ended.is_err());
        }
    }

    #[test]
    fn alone_one_thread_hashes_all_and_with_a_helper_two_pieces_are_hashed_at_once() {
        /// The thread that reads the first piece waits until another thread reads the second one.
        struct Both(AtomicBool);
        impl Pieces for Both {
            fn piece<'a>(
                &'a self,
                offset: u64,
                length: usize,
                buffer: &'a mut Vec<u8>,
            ) -> io::Result<&'a [u8]> {
                if offset == 0 {
                    while !self.0.load(Ordering::SeqCst) {
                        thread::yield_now();
                    }
                } else {
                    self.0.store(true, Ordering::SeqCst);
                }
                buffer.resize(length, 0);
                Ok(buffer)
            }
        }

        let parallel = ParallelHasher::default();
        assert_eq!(
            parallel.hash(&[0; 3 * PIECE][..], 3 * super::PIECE, None).unwrap(),
            blake3::hash(&[0; 3 * PIECE])
        );
        together(u64::MAX, |parallel| {
            let hash = parallel.hash(Both(AtomicBool::new(false)), 2 * super::PIECE, None).unwrap();
            assert_eq!(hash, blake3::hash(&[0; 2 * PIECE]));
        });
    }
}
