//! From the bytes of a version to a pool that could serve.

use std::io;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, Weak};

use antiphon::{Error, ErrorKind, HostHandlerAsync};
use antiphon_host::Module;
use http::HeaderValue;

use crate::deployment::{Deployment, Inner, Modules, Version};
use crate::desired::Id;
use crate::grants;
use crate::meters::Served;
use crate::settings::{Granted, Settings};

/// What a version is made of.
pub(crate) struct Ingredients {
    pub(crate) id: Id,
    pub(crate) settings: Arc<Settings>,
    pub(crate) deployment: Arc<Deployment>,
}

/// Reads, verifies, compiles and starts a version.
///
/// # Cancel safety
/// The future may be dropped at any await. A compilation that has begun goes on alone, and its code
/// is kept.
pub(crate) async fn prepare(server: Weak<Inner>, ingredients: Ingredients) -> Result<Arc<Version>, Error> {
    let Ingredients { id, settings, deployment } = ingredients;
    let name = Arc::clone(deployment.name());
    let turn = {
        let turns = Arc::clone(&server.upgrade().ok_or_else(ended)?.turns);
        turns.acquire_owned().await.map_err(|_| ended())?
    };
    let work = {
        let (server, settings, name) = (server, Arc::clone(&settings), Arc::clone(&name));
        move || compile(&server.upgrade().ok_or_else(ended)?, &name, (id, &settings))
    };
    let (module, handler) = tokio::task::spawn_blocking(work)
        .await
        .map_err(|panic| Error::new(ErrorKind::Engine, "the preparation panicked").with_source(panic))??;
    let (min, max) = settings.limits.instances();
    let logs = Arc::clone(deployment.logs());
    let mut pool = module
        .pool()
        .name(&*name)
        .min(min)
        .max(max)
        .queue(settings.limits.queue())
        .isolation(settings.isolation())
        .log(move |line| logs.write(id.digest, line));
    let has_handler = handler.is_some();
    pool = match handler {
        Some(handler) => pool.handler(handler),
        None => pool.handler_sync(grants::refusals(&name)?),
    };
    let pool = pool.build().await?;
    drop(turn);
    let label = HeaderValue::try_from(format!("{name}@{}", id.digest))
        .map_err(|error| Error::new(ErrorKind::Engine, "the name is no header's value").with_source(error))?;
    Ok(Arc::new(Version {
        digest: id.digest,
        label,
        served: Served::new(&name),
        deadline: settings.limits.deadline(),
        values: (!settings.context.is_empty()).then(|| Arc::new(settings.context.clone())),
        settings,
        pool,
        id,
        module: name,
        has_handler,
        faults: AtomicU64::new(0),
        failure: Mutex::new(None),
        alarm: Arc::clone(deployment.alarm()),
    }))
}

type Compiled = (Module, Option<Arc<dyn HostHandlerAsync>>);

/// Does the part that takes a processor for long.
fn compile(inner: &Arc<Inner>, name: &str, (id, settings): (Id, &Settings)) -> Result<Compiled, Error> {
    let bytes = inner.store.get(id.digest).map_err(unreadable)?;
    let engine = settings.engine()?;
    let mut builder = Module::builder().engine(engine).options(settings.options());
    if let Some(code) = inner.store.code().filter(|_| engine.keeps_code()) {
        builder = builder.cache_dir(code);
    }
    let module = builder.compile(&bytes)?;
    let modules = Modules::of(Arc::clone(inner)).downgrade();
    let granted = Granted { module: name, digest: id.digest, settings, modules };
    let handler = inner.seams.handler.as_ref().map(|make| make(granted)).transpose()?.flatten();
    Ok((module, handler))
}

fn ended() -> Error {
    Error::new(ErrorKind::Cancelled, "the server is ending")
}

/// Lost bytes are no fault of the module: they are there again when its file is read or an operator
/// deploys it.
fn unreadable(error: io::Error) -> Error {
    let what = format!("the module's bytes cannot be read: {error}; deploy the module again");
    Error::new(ErrorKind::OutOfResources, what).with_source(error).never_born()
}
