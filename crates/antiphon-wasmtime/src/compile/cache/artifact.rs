//! Sealed native code: its format, how it is written, and how it is opened.
//!
//! ```text
//! code      what Wasmtime serialised: an ELF file
//! manifest  digest of the module, environment, what the module says about itself
//! end       lengths of code and manifest, version of the format, magic, seal; 68 bytes
//! ```
//!
//! The seal is a keyed BLAKE3 hash of every byte before it. It stands behind the code, because
//! Wasmtime maps a file from its beginning, and an ELF file finds all its parts by offsets from
//! there; what follows is never looked at. So the code is mapped where it lies. A header in front
//! of it would cost a copy of the code. To check the seal, the file is read in pieces that stay in
//! the processor's cache, which is as fast as reading a mapping.
//!
//! An artifact does not contain its module. It holds the code and what the module says about
//! itself, because callers ask for that, and parsing a module again, or taking its SHA-256, takes
//! longer than loading its code. So an artifact for other settings cannot be compiled again from
//! itself, and the error says what differs. Native code is three to four times the size of its
//! module.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::Path;
use std::sync::Arc;
use std::{error, fmt};

use antiphon::ModuleInfo;
use antiphon::errors::{BoxError, Error, ErrorKind};
use wasmtime::Module;

use super::digest::{self, Digest, ParallelHasher, Pieces, length};
use super::environment::Environment;
use super::key::SealKey;
use super::private;
use crate::compile::native;
use crate::engine::{Clocked, lacked_by, shortage};

/// The version of the format.
const FORMAT: u32 = 2;
/// Tells a sealed file from any other file. The first byte occurs in no text, and the last ones do
/// not survive a conversion of line ends.
const MAGIC: [u8; 16] = *b"\x89antiphon seal\r\n";
/// The size of a seal in bytes.
const SEAL: usize = 32;
/// The size in bytes of the end of a file before the seal.
const LENGTHS: usize = 8 + 8 + 4 + MAGIC.len();

/// What to do about an artifact that this process cannot use.
const AGAIN: &str = "compile the module again, with the options that it is called with (`antiphon compile`, \
                     `write_artifact`)";

/// Why native code was not loaded. The engine has looked at the code only in the case of
/// [`Engine`](Self::Engine).
#[derive(Debug)]
#[non_exhaustive]
pub enum ArtifactError {
    /// The file cannot be read or written.
    Io(io::Error),
    /// The file does not end as sealed code does: it is something different, or cut off.
    NotAnArtifact,
    /// The format has another version.
    Format {
        /// The version of the file.
        found: u32,
        /// The version that this crate reads.
        expected: u32,
    },
    /// The file is larger than the code of any module within the limit.
    TooLarge {
        /// The size of the file in bytes.
        size: u64,
        /// The largest size that is read, in bytes.
        limit: u64,
    },
    /// The lengths of the parts do not add up to the length of the file.
    Damaged,
    /// The seal is not the one that the key makes: the file was changed, or sealed with another
    /// key.
    NotAuthentic,
    /// The code was compiled by or for something different.
    Environment {
        /// What differs.
        what: &'static str,
        /// What the code was compiled with.
        found: String,
        /// What this process has.
        expected: String,
    },
    /// The code is of another module than the one that was asked for.
    OtherModule,
    /// The seal is intact, but the engine refuses the code.
    Engine(BoxError),
}

impl fmt::Display for ArtifactError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(_) => f.write_str("the system does not let it be read or written"),
            Self::NotAnArtifact => {
                f.write_str("it does not end with a seal: it is something else, or cut off")
            }
            Self::Format { found, expected } => {
                write!(f, "its format has version {found}, expected {expected}: {AGAIN}")
            }
            Self::TooLarge { size, limit } => {
                write!(f, "it has {size} bytes, over the limit of {limit} bytes")
            }
            Self::Damaged => f.write_str("its parts do not add up to its length: it is damaged"),
            Self::NotAuthentic => {
                f.write_str(
                    "its seal is not that of the key: it was changed, or sealed with another key, whose directory then has to \
                     be named (`cache_dir`, --cache-dir), or its file `key` copied to the directory that is",
                )
            }
            Self::Environment { what, found, expected } => {
                write!(f, "compiled for other {what} ({found}) than here ({expected}): {AGAIN}")
            }
            Self::OtherModule => f.write_str("it is the code of another module"),
            Self::Engine(_) => write!(f, "the engine refuses the code: {AGAIN}"),
        }
    }
}

impl error::Error for ArtifactError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            Self::Engine(error) => Some(&**error),
            _ => None,
        }
    }
}

impl From<io::Error> for ArtifactError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<ArtifactError> for Error {
    fn from(error: ArtifactError) -> Self {
        let lacked = match &error {
            ArtifactError::Io(error) => lacked_by(error),
            _ => None,
        };
        match (error, lacked) {
            (error, Some(resource)) => {
                Self::out_of_resources(resource, "an artifact").with_source(error).never_born()
            }
            (ArtifactError::Engine(error), _) if is_shortage(&error) => Self::from_engine(error).never_born(),
            (error, _) => Self::new(ErrorKind::InvalidModule, "the artifact is not used").with_source(error),
        }
    }
}

/// Returns whether the engine lacked something that the machine has too little of.
fn is_shortage(error: &BoxError) -> bool {
    error.downcast_ref::<Error>().is_some_and(|error| error.kind() == ErrorKind::OutOfResources)
}

/// What an artifact holds beside the code.
#[derive(Debug)]
pub(super) struct Manifest {
    pub(super) module: Digest,
    pub(super) environment: Environment,
    /// What the module says about itself, as bytes. Another version of this crate writes other
    /// bytes; the environment tells them apart.
    pub(super) info: Vec<u8>,
}

impl Manifest {
    fn to_bytes(&self) -> Vec<u8> {
        let Self { module, environment, info } = self;
        let Environment { wasmtime, target, features, settings, hash } = environment;
        let mut bytes = [*module, *hash].concat();
        for text in [wasmtime, target, features, settings] {
            bytes.extend_from_slice(&length(text.len()).to_le_bytes());
            bytes.extend_from_slice(text.as_bytes());
        }
        bytes.extend_from_slice(info);
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (module, rest) = bytes.split_first_chunk()?;
        let (hash, mut rest) = rest.split_first_chunk()?;
        let mut text = || {
            let (length, behind) = rest.split_first_chunk()?;
            let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
            let (text, behind) = behind.split_at_checked(length)?;
            rest = behind;
            String::from_utf8(text.to_vec()).ok()
        };
        let environment = Environment {
            wasmtime: text()?,
            target: text()?,
            features: text()?,
            settings: text()?,
            hash: *hash,
        };
        Some(Self { module: *module, environment, info: rest.to_vec() })
    }
}

/// Returns what follows the code in a file: the manifest, and the end with its seal.
pub(super) fn seal(code: &[u8], manifest: &Manifest, key: &SealKey) -> Vec<u8> {
    let mut tail = manifest.to_bytes();
    let end = End { code: length(code.len()), manifest: length(tail.len()) };
    tail.extend_from_slice(&end.to_bytes());
    let seal = digest::hasher(Some(key)).update(code).update(&tail).finalize();
    tail.extend_from_slice(seal.as_bytes());
    tail
}

/// What an artifact is made from.
pub(crate) struct Written<'a> {
    /// The module as it was handed in.
    pub(crate) bytes: &'a [u8],
    /// The module as this process compiled it. Code that was loaded has its seal in it already, and
    /// cannot be used here.
    pub(crate) module: &'a Module,
    pub(crate) environment: Environment,
    pub(crate) info: ModuleInfo,
}

/// Writes an artifact to a temporary file beside `path`, and renames it. So the artifact appears
/// whole or not at all.
pub(crate) fn write(path: &Path, key: &SealKey, written: Written<'_>) -> Result<(), Error> {
    let Written { bytes, module, environment, info } = written;
    let code = module.serialize().map_err(|error| {
        Error::new(ErrorKind::Engine, "the compiled module cannot be taken out of the engine")
            .with_source(error)
    })?;
    let manifest = Manifest { module: *blake3::hash(bytes).as_bytes(), environment, info: info.to_bytes() };
    let tail = seal(&code, &manifest, key);
    let kept = check_place(path).and_then(|()| {
        let temporary = private::beside(path)?;
        let kept = private::create(&temporary).and_then(|mut file| {
            file.write_all(&code)?;
            file.write_all(&tail)?;
            std::fs::rename(&temporary, path)
        });
        if kept.is_err() {
            // The temporary file may not exist.
            let _ = std::fs::remove_file(&temporary);
        }
        kept
    });
    kept.map_err(|error| unwritten(error, path))
}

/// Refuses a path where no artifact can be written, before a module is compiled for it.
pub(crate) fn check(path: &Path) -> Result<(), Error> {
    check_place(path).map_err(|error| unwritten(error, path))
}

/// Refuses a path at which there is anything but a plain file. A rename would replace it: a device,
/// a pipe, or a link that another user made.
fn check_place(path: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Ok(found) if !found.is_file() => {
            Err(io::Error::new(io::ErrorKind::AlreadyExists, "what is there is no plain file"))
        }
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty());
            directory.map_or(Ok(()), |directory| directory.metadata().map(drop))
        }
        Err(error) => Err(error),
    }
}

fn unwritten(error: io::Error, path: &Path) -> Error {
    private::told(error, "cannot write the artifact", path).into()
}

/// The lengths of the parts of a file.
struct End {
    code: u64,
    manifest: u64,
}

impl End {
    fn to_bytes(&self) -> Vec<u8> {
        let Self { code, manifest } = self;
        [&code.to_le_bytes()[..], &manifest.to_le_bytes(), &FORMAT.to_le_bytes(), &MAGIC].concat()
    }

    /// Parses the end of a file of this size. Its contents are not authenticated yet.
    fn parse(end: &[u8; LENGTHS], size: u64) -> Result<Self, ArtifactError> {
        let parts = || {
            let (code, rest) = end.split_first_chunk()?;
            let (manifest, rest) = rest.split_first_chunk()?;
            let (format, magic) = rest.split_first_chunk()?;
            (magic == MAGIC).then_some((code, manifest, format))
        };
        let (code, manifest, format) = parts().ok_or(ArtifactError::NotAnArtifact)?;
        let format = u32::from_le_bytes(*format);
        if format != FORMAT {
            return Err(ArtifactError::Format { found: format, expected: FORMAT });
        }
        let end = Self { code: u64::from_le_bytes(*code), manifest: u64::from_le_bytes(*manifest) };
        let whole =
            end.code.checked_add(end.manifest).and_then(|sum| sum.checked_add(length(LENGTHS + SEAL)));
        if whole == Some(size) { Ok(end) } else { Err(ArtifactError::Damaged) }
    }
}

/// Checks the seal of a whole file of this size. Returns the length of its code, and its manifest.
fn authenticate<'env>(
    file: impl Pieces + Clone + 'env,
    size: u64,
    key: &SealKey,
    parallel: &ParallelHasher<'env>,
) -> Result<(usize, Manifest), ArtifactError> {
    let (mut end, mut rest) = (Vec::new(), Vec::new());
    let sealed = size.checked_sub(length(SEAL)).ok_or(ArtifactError::NotAnArtifact)?;
    let end = file.piece(size.saturating_sub(length(LENGTHS + SEAL)), LENGTHS, &mut end)?;
    let end = end.try_into().map_err(|_| ArtifactError::NotAnArtifact)?;
    let End { code, manifest } = End::parse(end, size)?;

    let found = parallel.hash_last(file.clone(), sealed, Some(key))?;
    // Both lengths are within the bytes that were just hashed, and those are within the limit.
    let rest = file.piece(code, to_usize(size.saturating_sub(code))?, &mut rest)?;
    let seal = rest.last_chunk::<SEAL>().ok_or(ArtifactError::NotAnArtifact)?;
    // This comparison takes equally long however much the two hashes have in common.
    if found != blake3::Hash::from_bytes(*seal) {
        return Err(ArtifactError::NotAuthentic);
    }
    let manifest = rest.get(..to_usize(manifest)?).and_then(Manifest::from_bytes);
    Ok((to_usize(code)?, manifest.ok_or(ArtifactError::Damaged)?))
}

impl Pieces for Arc<File> {
    fn piece<'a>(&'a self, offset: u64, length: usize, buffer: &'a mut Vec<u8>) -> io::Result<&'a [u8]> {
        buffer.resize(length, 0);
        private::read_at(self, buffer, offset)?;
        Ok(buffer)
    }
}

fn to_usize(length: u64) -> Result<usize, ArtifactError> {
    usize::try_from(length).map_err(|_| ArtifactError::Damaged)
}

/// Code whose seal was checked.
#[derive(Debug)]
pub(super) struct Authentic {
    code: Code,
    manifest: Manifest,
}

/// Where authenticated code is.
#[derive(Debug)]
pub(in crate::compile) enum Code {
    /// In an open file that no other user can write to.
    Mapped(File),
    /// In memory.
    Copied(Vec<u8>),
}

/// Authenticated code whose environment matches that of the engine at hand.
#[derive(Debug)]
pub(in crate::compile) struct Fitting {
    code: Code,
    pub(super) info: ModuleInfo,
}

impl Fitting {
    pub(in crate::compile) fn into_code(self) -> Code {
        self.code
    }

    /// Returns whether the code is still in its file.
    pub(super) fn is_mapped(&self) -> bool {
        matches!(self.code, Code::Mapped(_))
    }
}

/// What a file is opened with.
#[derive(Clone, Copy)]
pub(super) struct Opening<'a, 'env> {
    pub(super) key: &'a SealKey,
    /// The largest size that is read, in bytes.
    pub(super) limit: u64,
    /// The environment that the code has to run in.
    pub(super) environment: &'a Environment,
    /// The digest of the module that the code has to be of, if a certain one is wanted.
    pub(super) module: Option<&'a Digest>,
    /// Hashes code that stays in its file. The thread that copies code into memory hashes it alone.
    pub(super) parallel: &'a ParallelHasher<'env>,
}

/// Where code may be loaded from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// From its file, if no other user can change it there.
    File,
    /// Only from memory.
    Memory,
}

impl Authentic {
    /// Reads all of an open file once, and checks its seal.
    ///
    /// The file that is checked is the file that is loaded, because it is opened once: its name may
    /// be given to another file in between. If another user could write to the file, or that cannot
    /// be told, the code is copied into memory first, and checked and loaded there. A process of
    /// this user that writes to the file while it runs is not an enemy, because it can also read
    /// the key.
    pub(super) fn open(file: File, how: Opening<'_, '_>, place: Place) -> Result<Self, ArtifactError> {
        let found = file.metadata()?;
        let size = found.len();
        if !found.is_file() || size < length(LENGTHS + SEAL) {
            return Err(ArtifactError::NotAnArtifact);
        }
        if size > how.limit {
            return Err(ArtifactError::TooLarge { size, limit: how.limit });
        }
        if place == Place::File && private::only_we_change(&found) {
            let read = Arc::new(file.try_clone()?);
            let (_, manifest) = authenticate(read, size, how.key, how.parallel)?;
            return Ok(Self { code: Code::Mapped(file), manifest });
        }
        let mut bytes = Vec::new();
        let mut file = file;
        file.rewind()?;
        file.take(size).read_to_end(&mut bytes)?;
        let (code, manifest) =
            authenticate(&bytes[..], length(bytes.len()), how.key, &ParallelHasher::default())?;
        bytes.truncate(code);
        Ok(Self { code: Code::Copied(bytes), manifest })
    }

    /// Checks that the code is for this environment, and of the module that is wanted.
    pub(super) fn fit(self, how: Opening<'_, '_>) -> Result<Fitting, ArtifactError> {
        let Manifest { module, environment, info } = self.manifest;
        environment.fits(how.environment)?;
        if how.module.is_some_and(|wanted| *wanted != module) {
            return Err(ArtifactError::OtherModule);
        }
        let info = ModuleInfo::from_bytes(&info).map_err(|_| ArtifactError::Damaged)?;
        Ok(Fitting { code: self.code, info })
    }
}

/// Loads the code of an open file, if its seal is intact.
pub(super) fn open(
    file: &File,
    how: Opening<'_, '_>,
    engine: &Clocked,
) -> Result<(Module, ModuleInfo), ArtifactError> {
    let from = |place| {
        let fitting = Authentic::open(file.try_clone()?, how, place)?.fit(how)?;
        let info = fitting.info.clone();
        Ok::<_, ArtifactError>((fitting.is_mapped(), native::load(&engine.engine, fitting), info))
    };
    let (_, loaded, info) = match from(Place::File)? {
        // Some disks allow no code to run from their files (`noexec`). That is no reason to
        // compile the module again.
        (true, Err(_), _) => from(Place::Memory)?,
        loaded => loaded,
    };
    loaded.map(|module| (module, info)).map_err(|error| {
        // Told apart here, because a boxed error of Wasmtime no longer tells what it is.
        let error = shortage(error, "the machine code of an artifact");
        ArtifactError::Engine(error.map_or_else(BoxError::from, BoxError::from))
    })
}
