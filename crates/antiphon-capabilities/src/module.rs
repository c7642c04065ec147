//! Calls of other modules.

use std::borrow::Cow;
use std::sync::Arc;

use antiphon::{Bytes, Caller, Context, ErrorKind, HostCall, async_trait};
use serde::{Deserialize, Serialize};

use crate::gate::Serve;
use crate::routes::{Wrong, no_operation};
use crate::text::quoted;
use crate::wire::{Blob, read};
use crate::{Backends, CallInfo, Code, Depth, Fault, ModuleGrant};

/// The longest name of an operation, in bytes: that of a host call.
const LONGEST_OPERATION: usize = 1024;

/// Calls the modules of a program by their names, on behalf of guests.
///
/// ```
/// use antiphon::{Bytes, Context, Request, WapcHostAsync, async_trait};
/// use antiphon_capabilities::{CallInfo, CallModule, Fault, ModuleCall};
///
/// struct OneModule(WapcHostAsync);
///
/// #[async_trait]
/// impl CallModule for OneModule {
///     async fn call(&self, call: ModuleCall<'_>) -> Result<Bytes, Fault> {
///         let info = CallInfo::new(call.module, call.operation).trace(call.from.trace.clone());
///         let request = Request::new(call.operation, call.payload)
///             .caller(call.caller)
///             .context(Context::new().with(call.depth).with(info));
///         Ok(self.0.call_with(request).await?.payload.into())
///     }
/// }
/// ```
#[async_trait]
pub trait CallModule: Send + Sync {
    /// Calls a module that the grant of the calling module names. The call has to be made with
    /// [`ModuleCall::caller`], so that the deadline of the calling guest holds and circles end, and
    /// its context has to hold [`ModuleCall::depth`].
    ///
    /// # Errors
    /// Why the call failed. An [`antiphon::Error`] is a fault with the code of its kind. A module
    /// that is not there is [`Code::NotFound`].
    ///
    /// # Cancel safety
    /// The future is dropped when the calling guest's time is over.
    async fn call(&self, call: ModuleCall<'_>) -> Result<Bytes, Fault>;
}

/// A guest's call of another module. The module's name was granted; the operation and the payload
/// are hostile.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ModuleCall<'a> {
    /// On whose behalf the call is made.
    pub caller: Caller,
    /// The module.
    pub module: &'a str,
    /// The operation.
    pub operation: &'a str,
    /// The payload.
    pub payload: Bytes,
    /// How many modules call each other once this call is made.
    pub depth: Depth,
    /// The calling guest's own call.
    pub from: CallInfo,
    /// The context of that call.
    pub context: &'a Context,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Call<'a> {
    #[serde(borrow)]
    module: Cow<'a, str>,
    #[serde(borrow)]
    operation: Cow<'a, str>,
    #[serde(borrow, default)]
    payload: Blob<'a>,
}

/// Serves the namespace `module`.
pub(crate) struct Modules {
    names: Vec<String>,
    modules: Arc<dyn CallModule>,
}

impl Modules {
    pub(crate) fn new(grant: &ModuleGrant, backends: &Backends) -> Result<Self, Wrong> {
        let modules = backends.modules.clone();
        let modules =
            modules.ok_or(("module", "this program has no other modules that a guest could call".into()))?;
        Ok(Self { names: grant.names.clone(), modules })
    }

    fn allows(&self, module: &str) -> bool {
        self.names.iter().any(|name| match name.strip_suffix('*') {
            Some(stem) => module.starts_with(stem),
            None => module == name,
        })
    }
}

#[async_trait]
impl Serve for Modules {
    async fn serve(&self, call: HostCall<'_>) -> Result<Bytes, Fault> {
        #[derive(Serialize)]
        struct Said<'a> {
            payload: Blob<'a>,
        }

        if call.operation != "call" {
            return Err(no_operation(&call, "call"));
        }
        let (Call { module, operation, payload }, format) = read(call.payload)?;
        if !self.allows(&module) {
            let text = format!(
                "the module grant of this module does not allow {}; add it to its key names",
                quoted(&module)
            );
            return Err(Fault::new(Code::NotGranted, text));
        }
        if operation.len() > LONGEST_OPERATION {
            let text = format!("the name of an operation has at most {LONGEST_OPERATION} bytes");
            return Err(Fault::new(Code::TooLarge, text));
        }
        let Depth(depth) = call.context().get::<Depth>().copied().unwrap_or_default();
        let depth = Depth(depth.saturating_add(1));
        if depth > Depth::MAX {
            let Depth(most) = Depth::MAX;
            let text = format!("{} modules would call each other: at most {most} may", depth.0);
            return Err(Fault::new(Code::Call(ErrorKind::Reentrancy), text));
        }
        let inner = ModuleCall {
            caller: call.caller(),
            module: &module,
            operation: &operation,
            payload: payload.to_bytes(),
            depth,
            from: call.context().get::<CallInfo>().cloned().unwrap_or_default(),
            context: call.context(),
        };
        let answer = self.modules.call(inner).await?;
        format.write(&Said { payload: (&*answer).into() })
    }
}
