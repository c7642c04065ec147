//! What guests are granted: the routes of `antiphon-capabilities`, with the server behind them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use antiphon::errors::Resource;
use antiphon::{Bytes, Error, ErrorKind, HostHandlerAsync, HostRouter, async_trait};
use antiphon_capabilities::{
    Backends, CallModule, Code, Fault, Grants, HttpClient, MemoryStore, ModuleCall, RedbStore,
};
use tokio::runtime::Handle;

use crate::call::{Failure, Incoming, call};
use crate::config::{Backend, Config, Keyvalue};
use crate::deployment::WeakModules;
use crate::settings::{Granted, MakeHandler};

/// What stands behind the grants of all modules. Each part is opened for the first grant that needs
/// it, so a server whose modules are granted nothing has none.
struct Behind {
    config: Config,
    runtime: Handle,
    opened: Mutex<Opened>,
}

#[derive(Default)]
struct Opened {
    backends: Backends,
    stores: BTreeSet<String>,
    has_client: bool,
}

/// Returns what makes the handler of each version. It has to be called on a runtime of tokio, on
/// which the requests of guests then run. The stores are those of this configuration; any module
/// may also use the store `default`.
#[must_use]
pub fn handlers(config: &Config) -> MakeHandler {
    let (config, runtime) = (config.clone(), Handle::current());
    let behind = Behind { config, runtime, opened: Mutex::default() };
    Arc::new(move |granted| handler(&behind, &granted))
}

fn handler(behind: &Behind, granted: &Granted<'_>) -> Result<Option<Arc<dyn HostHandlerAsync>>, Error> {
    if granted.settings.grants.is_empty() {
        return Ok(None);
    }
    let module = granted.module;
    let grants = serde_json::from_value::<Grants>(granted.settings.grants.clone().into());
    let grants = grants.map_err(|error| refused(module, &error))?;
    let (modules, name, digest) = (granted.modules.clone(), Arc::<str>::from(module), granted.digest);
    let backends = behind.of(&grants)?.modules(Others(granted.modules.clone())).log(move |line| {
        if let Some(logs) = modules.upgrade().and_then(|modules| modules.logs(&name)) {
            logs.write_line(digest, &line);
        }
    });
    let router = grants.router(module, &backends).map_err(|error| refused(module, &error))?;
    Ok(Some(Arc::new(router)))
}

impl Behind {
    /// Opens what these grants need.
    fn of(&self, grants: &Grants) -> Result<Backends, Error> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        for store in grants.0.iter().filter_map(|grant| Some(&grant.keyvalue.as_ref()?.store)) {
            if !opened.stores.contains(store) {
                self.open(&mut opened, store)?;
            }
        }
        if !opened.has_client && grants.0.iter().any(|grant| grant.http.is_some()) {
            let client = HttpClient::new(self.runtime.clone());
            let client = client.map_err(|error| Error::new(ErrorKind::Unsupported, error.to_string()))?;
            opened.backends = opened.backends.clone().http(client);
            opened.has_client = true;
        }
        Ok(opened.backends.clone())
    }

    fn open(&self, opened: &mut Opened, name: &str) -> Result<(), Error> {
        let of_default = (name == "default").then(Keyvalue::default);
        // A grant of a store that is not there is refused when its routes are made.
        let Some(store) = self.config.keyvalue.get(name).cloned().or(of_default) else { return Ok(()) };
        let backends = opened.backends.clone();
        opened.backends = match store.backend {
            Backend::Memory => backends.store(name, MemoryStore::new()),
            Backend::Redb => {
                let file = self.config.server.state.join("keyvalue").join(format!("{name}.redb"));
                let store =
                    file.parent().map_or(Ok(()), fs::create_dir_all).map_err(|error| error.to_string());
                let store = store.and_then(|()| RedbStore::open(&file).map_err(|error| error.to_string()));
                backends.store(name, store.map_err(|error| unopened(name, &file, &error))?)
            }
        };
        opened.stores.insert(name.to_owned());
        Ok(())
    }
}

/// The trouble is the machine's, so the version is tried again.
fn unopened(name: &str, file: &Path, error: &str) -> Error {
    Error::out_of_resources(Resource::Files, format!("the store {name:?} ({}: {error})", file.display()))
}

/// Returns the handler of a module that is granted nothing: its refusals say what to add.
pub(crate) fn refusals(module: &str) -> Result<HostRouter, Error> {
    Grants::default().router(module, &Backends::new()).map_err(|error| refused(module, &error))
}

fn refused(module: &str, error: &impl ToString) -> Error {
    let what = format!("a grant of the module {module:?} cannot be given: {}", error.to_string());
    Error::new(ErrorKind::Unsupported, what)
}

/// The other modules of the server.
struct Others(WeakModules);

#[async_trait]
impl CallModule for Others {
    async fn call(&self, guest: ModuleCall<'_>) -> Result<Bytes, Fault> {
        let ModuleCall { caller, module: name, operation, payload, context, .. } = guest;
        let Some(modules) = self.0.upgrade() else {
            return Err(Fault::new(Code::Unavailable, "the server is stopping"));
        };
        let incoming = Incoming::of_guest((context, caller), (name, operation), payload);
        match call(&modules, incoming).await.result {
            Ok(answer) => Ok(answer.into()),
            Err(Failure::Call(error)) => Err(error.into()),
            Err(Failure::NoVersion(_)) => {
                let text = format!("the module {name:?} cannot serve now");
                Err(Fault::new(Code::Unavailable, text))
            }
            Err(Failure::UnknownModule | Failure::UnknownVersion) => {
                Err(Fault::new(Code::NotFound, format!("no module is named {name:?}")))
            }
        }
    }
}
