//! Real directories for guests: all of WASI comes from wasmtime-wasi instead of the sealed world.
//!
//! Only guests with directories use it. Its context costs ten microseconds an instance, and most of
//! its functions suspend. A pointer outside memory ends the guest, as in the sealed world and in
//! waPC's own imports.
//!
//! All of its functions suspend the guest, in both modes. A file is read on a thread of tokio; an
//! asynchronous host serves other tasks during that time, and a synchronous host parks its thread,
//! up to the call's deadline.

use std::future::poll_fn;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use antiphon::errors::{Error, ErrorKind};
use antiphon::{Bytes, EngineOptions, GuestDir, LogStream, WasiParams};
use async_trait::async_trait;
use tokio::io::AsyncWrite;
use wasmtime::{Linker, Result};
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p1::WasiP1Ctx;
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};
use wasmtime_wasi::{FsPerms, I32Exit, WasiCtxBuilder};

use crate::instance::data::Data;
use crate::lock::lock;

/// How many bytes of each stream are buffered between two flushes. More is dropped, as the log
/// would drop it.
const MAX_BUFFERED: usize = 64 * 1024;

/// The directories of an instance.
pub(in crate::instance) type Directories = Box<Fs>;

/// Opens the directories that a guest was granted, if it was granted any.
///
/// # Errors
/// Those of [`Fs::new`].
pub(in crate::instance) fn open(options: &EngineOptions) -> Result<Option<Directories>, Error> {
    options.grants_directories().then(|| Fs::new(options).map(Box::new)).transpose()
}

/// Returns the code that a guest ended its program with, if that is what ended it.
pub(in crate::instance) fn exit_code(error: &wasmtime::Error) -> Option<i32> {
    error.downcast_ref().map(|&I32Exit(code)| code)
}

/// The directories of one instance, and its output.
pub(in crate::instance) struct Fs {
    ctx: WasiP1Ctx,
    stdout: Output,
    stderr: Output,
}

/// Defines WASI's functions under both of its names.
pub(super) fn link(linker: &mut Linker<Data>) -> Result<()> {
    fn ctx(data: &mut Data) -> &mut WasiP1Ctx {
        match &mut data.directories {
            Some(fs) => &mut fs.ctx,
            None => unreachable!("a store whose linker has directories has their context"),
        }
    }
    wasmtime_wasi::p1::add_to_linker_async(linker, ctx)?;
    wasmtime_wasi::p0::add_to_linker_async(linker, ctx)?;
    Ok(())
}

impl Fs {
    /// Opens the directories.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`]: a directory cannot be opened.
    fn new(options: &EngineOptions) -> Result<Self, Error> {
        let WasiParams { argv, env_vars, .. } = &options.wasi_params;
        let (stdout, stderr) = (Output::default(), Output::default());
        let mut builder = WasiCtxBuilder::new();
        builder.args(argv).envs(env_vars).stdout(stdout.clone()).stderr(stderr.clone());
        for GuestDir { host, guest, read_only, .. } in options.granted_dirs() {
            let permissions = if read_only { FsPerms::ReadOnly } else { FsPerms::ReadWrite };
            builder.preopened_dir(&host, guest, permissions).map_err(|error| {
                Error::new(
                    ErrorKind::Unsupported,
                    format!("the directory {host:?} cannot be opened: {error}"),
                )
                .with_source(error)
            })?;
        }
        Ok(Self { ctx: builder.build_p1(), stdout, stderr })
    }
}

/// Runs a guest with directories. wasmtime-wasi panics if it finds no tokio runtime to sleep on. A
/// synchronous host has none, so the guest is polled within a runtime of wasmtime-wasi there.
///
/// # Errors
/// Fails on a runtime without timers, where wasmtime-wasi panics as well. (A panic of a host's
/// handler is caught elsewhere.)
pub(in crate::instance) async fn in_tokio<F: Future>(work: F) -> Result<F::Output, Error> {
    let mut work = pin!(work);
    poll_fn(|cx| {
        let poll = || catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx)));
        match wasmtime_wasi::runtime::with_ambient_tokio_runtime(poll) {
            Ok(poll) => poll.map(Ok),
            Err(_) => Poll::Ready(Err(Error::new(
                ErrorKind::Engine,
                "wasmtime-wasi panicked: a guest with directories needs a tokio runtime with timers (`enable_time`), or \
                 none",
            ))),
        }
    })
    .await
}

/// Sends the guest's output to the log, line by line.
pub(in crate::instance) fn flush(data: &mut Data) -> Result<(), Error> {
    let Data { directories: Some(fs), conversation, .. } = data else { return Ok(()) };
    for (stream, output) in [(LogStream::Stdout, &fs.stdout), (LogStream::Stderr, &fs.stderr)] {
        let written = std::mem::take(&mut *output.lock());
        let lines = written.strip_suffix(b"\n").unwrap_or(&written);
        if !written.is_empty() {
            for line in lines.split(|byte| *byte == b'\n') {
                conversation.log(stream, line)?;
            }
        }
    }
    Ok(())
}

/// One of the guest's output streams.
#[derive(Clone, Debug, Default)]
struct Output(Arc<Mutex<Vec<u8>>>);

impl Output {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<u8>> {
        lock(&self.0)
    }

    fn push(&self, bytes: &[u8]) {
        let mut written = self.lock();
        let room = MAX_BUFFERED.saturating_sub(written.len()).min(bytes.len());
        written.extend(bytes.iter().take(room));
    }
}

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Output {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {}
}

impl OutputStream for Output {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.push(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(MAX_BUFFERED)
    }
}

impl AsyncWrite for Output {
    fn poll_write(self: Pin<&mut Self>, _cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.push(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
