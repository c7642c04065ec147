//! Sealed native code: its format, and how it is opened.
//!
//! ```text
//! code      what Wasmtime serialised: an ELF file, which finds all its parts by offsets from its own beginning
//! manifest  the module's digest, the environment, what the module says about itself
//! end       length of the code, length of the manifest, version of the format, magic, seal; 68 bytes
//! ```
//!
//! The seal comes last, so that the file is the ELF file that Wasmtime maps from its beginning: code is never copied. It
//! is a keyed BLAKE3 hash of everything before it.

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
use crate::engine::Clocked;

/// The version of the format.
const FORMAT: u32 = 1;
/// What tells a sealed file from any other. Its first byte is in no text, its last ones do not survive one.
const MAGIC: [u8; 16] = *b"\x89antiphon seal\r\n";
/// Bytes of a seal.
const SEAL: usize = 32;
/// Bytes of the end of a file before the seal.
const LENGTHS: usize = 8 + 8 + 4 + MAGIC.len();

/// Why native code is not loaded. Nothing of it was looked at by the engine, but for [`Engine`](Self::Engine).
#[derive(Debug)]
#[non_exhaustive]
pub enum ArtifactError {
    /// The file cannot be read or written.
    Io(io::Error),
    /// It does not end as sealed code does: something else, or cut off.
    NotAnArtifact,
    /// The format has another version.
    Format {
        /// The version of the file.
        found: u32,
        /// The version that is read here.
        expected: u32,
    },
    /// There is more of it than a module within its limit could come to.
    TooLarge {
        /// Bytes of the file.
        size: u64,
        /// Bytes that are read at most.
        limit: u64,
    },
    /// Its parts do not add up to its length.
    Damaged,
    /// The seal is not the one that the key makes: changed, or sealed with another key.
    NotAuthentic,
    /// Compiled by or for something else.
    Environment {
        /// What differs.
        what: &'static str,
        /// What it was compiled with.
        found: String,
        /// What is here.
        expected: String,
    },
    /// Code of another module than the one that was asked for.
    OtherModule,
    /// The seal is whole, and yet the engine refuses the code.
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
                write!(f, "its format has version {found}, expected {expected}: compile the module again")
            }
            Self::TooLarge { size, limit } => {
                write!(f, "it has {size} bytes, over the limit of {limit} bytes")
            }
            Self::Damaged => f.write_str("its parts do not add up to its length: it is damaged"),
            Self::NotAuthentic => {
                f.write_str("its seal is not that of the key: it was changed, or sealed with another key")
            }
            Self::Environment { what, found, expected } => {
                write!(
                    f,
                    "compiled for other {what} ({found}) than here ({expected}): compile the module again"
                )
            }
            Self::OtherModule => f.write_str("it is the code of another module"),
            Self::Engine(_) => f.write_str("the engine refuses the code: compile the module again"),
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
        Self::new(ErrorKind::InvalidModule, "the artifact is not used").with_source(error)
    }
}

/// What is known of code besides the code.
#[derive(Debug)]
pub(super) struct Manifest {
    pub(super) module: Digest,
    pub(super) environment: Environment,
    /// What the module says about itself, as bytes: another version wrote others, and is told by its environment.
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

/// What follows the code in a file: the manifest, and the end with its seal.
pub(super) fn seal(code: &[u8], manifest: &Manifest, key: &SealKey) -> Vec<u8> {
    let mut tail = manifest.to_bytes();
    let end = End { code: length(code.len()), manifest: length(tail.len()) };
    tail.extend_from_slice(&end.to_bytes());
    let seal = digest::hasher(Some(key)).update(code).update(&tail).finalize();
    tail.extend_from_slice(seal.as_bytes());
    tail
}

/// What an artifact is made of.
pub(crate) struct Written<'a> {
    /// The module as it was handed in.
    pub(crate) bytes: &'a [u8],
    /// The same, compiled by this process: what was loaded has its seal in it already.
    pub(crate) module: &'a Module,
    pub(crate) environment: Environment,
    pub(crate) info: ModuleInfo,
}

/// Writes an artifact to a file, in one step: beside it first, then in its place.
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
            // It may never have been there.
            let _ = std::fs::remove_file(&temporary);
        }
        kept
    });
    kept.map_err(|error| unwritten(error, path))
}

/// Refuses a place where no artifact can go, before a module is compiled for it.
pub(crate) fn check(path: &Path) -> Result<(), Error> {
    check_place(path).map_err(|error| unwritten(error, path))
}

/// A rename would put a file in the place of whatever is there: a device, a pipe, a link that others have set up.
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

    /// Reads the end of a file of so many bytes. What it says is not authenticated yet.
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

/// Checks the seal of a whole file of that size. Gives the length of its code, and its manifest.
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
    // As long as they are, they are in what was just hashed, and that is within the limit.
    let rest = file.piece(code, to_usize(size.saturating_sub(code))?, &mut rest)?;
    let seal = rest.last_chunk::<SEAL>().ok_or(ArtifactError::NotAnArtifact)?;
    // Takes as long whatever they have in common.
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

/// Code whose seal is whole.
#[derive(Debug)]
pub(super) struct Authentic {
    code: Code,
    manifest: Manifest,
}

/// Where authenticated code is.
#[derive(Debug)]
pub(in crate::compile) enum Code {
    /// In an open file that only this user can write to.
    Mapped(File),
    /// In memory.
    Copied(Vec<u8>),
}

/// Authenticated code for an engine with the settings of the one at hand.
#[derive(Debug)]
pub(in crate::compile) struct Fitting {
    code: Code,
    pub(super) info: ModuleInfo,
}

impl Fitting {
    pub(in crate::compile) fn into_code(self) -> Code {
        self.code
    }

    /// Whether the code is still in its file.
    pub(super) fn is_mapped(&self) -> bool {
        matches!(self.code, Code::Mapped(_))
    }
}

/// What a file is opened with.
#[derive(Clone, Copy)]
pub(super) struct Opening<'a, 'env> {
    pub(super) key: &'a SealKey,
    /// Bytes that are read at most.
    pub(super) limit: u64,
    /// Where the code has to run.
    pub(super) environment: &'a Environment,
    /// The module that it has to be of, if a certain one is wanted.
    pub(super) module: Option<&'a Digest>,
    /// Who hashes it where it stays in its file; what is copied from there is hashed by whoever copies it.
    pub(super) parallel: &'a ParallelHasher<'env>,
}

/// Where code may be loaded from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// From its file, if nobody else can change it there.
    File,
    /// Only from memory.
    Memory,
}

impl Authentic {
    /// Reads all of an open file once, and checks its seal.
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

    /// Makes sure that the code is for an engine like the one at hand, and of the module that is wanted.
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

/// Loads the code of an open file, if its seal is whole.
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
        // No code may run from the files of some disks (`noexec`), which is no reason to compile it again.
        (true, Err(_), _) => from(Place::Memory)?,
        loaded => loaded,
    };
    loaded.map(|module| (module, info)).map_err(|error| ArtifactError::Engine(error.into()))
}
