//! waPC's imports, in one list for all engines.

/// Defines waPC's imports, and AssemblyScript's `abort` and `trace`, in a linker with Wasmtime's
/// `func_wrap`, which wasmi's linker has too.
///
/// It expands in a function that returns the linker's errors. It takes a linker and the type of the
/// engine's callers, whose data has the running [`Conversation`](crate::Conversation) in a field
/// `conversation`:
///
/// ```ignore
/// antiphon::link_imports!(linker, Caller<'_, Data>, with);
/// ```
///
/// `with` runs an import over the guest's memory. It is given the caller, about how many bytes the
/// import will copy, and what the import does. An engine checks the time before an import that
/// copies much. It may give an empty memory to an import that copies nothing, because no bytes need
/// no valid pointer. That pays: finding the memory is a chain of loads, each of which waits for the
/// one before, and takes a twentieth of a null call.
///
/// ```ignore
/// fn with<R>(
///     caller: Caller<'_, Data>,
///     copies: impl FnOnce(&Conversation) -> i32,
///     run: impl FnOnce(&mut [u8], &mut Conversation) -> Result<R, antiphon::errors::Error>,
/// ) -> Result<R, EngineError>;
/// ```
///
/// `__host_call` is left to the engine: it may have to wait, and each engine has its own way to
/// wait.
#[macro_export]
macro_rules! link_imports {
    ($linker:expr, $caller:ty, $with:path) => {
        $crate::link_imports! { @list link [$linker, $caller, $with] }
    };
    // The list, for a macro rule that does something with each import.
    (@list $rule:ident [$($given:tt)*]) => {
        $crate::link_imports! { @$rule [$($given)*]
            over memory {
                HOST_NAMESPACE GUEST_REQUEST_FN (op: i32, msg: i32) copies |conversation| conversation.lengths().1 | 1,
                    does |memory, conversation| conversation.guest_request(memory, op, msg);
                HOST_NAMESPACE GUEST_RESPONSE_FN (ptr: i32, len: i32) copies |_| len,
                    does |memory, conversation| conversation.guest_response(memory, ptr, len);
                HOST_NAMESPACE GUEST_ERROR_FN (ptr: i32, len: i32) copies |_| len,
                    does |memory, conversation| conversation.guest_error(memory, ptr, len);
                // The log copies no more than its limits allow.
                HOST_NAMESPACE HOST_CONSOLE_LOG (ptr: i32, len: i32) copies |_| 1,
                    does |memory, conversation| conversation.console_log(memory, ptr, len);
                HOST_NAMESPACE HOST_RESPONSE_FN (ptr: i32) copies |conversation| conversation.host_response_len(),
                    does |memory, conversation| conversation.host_response(memory, ptr);
                HOST_NAMESPACE HOST_ERROR_FN (ptr: i32) copies |conversation| conversation.host_error_len(),
                    does |memory, conversation| conversation.host_error(memory, ptr);
                ABORT_NAMESPACE ABORT_FN (message: i32, file: i32, line: i32, column: i32) copies |_| 1,
                    does |memory, conversation| {
                        Err::<(), _>(conversation.abort(memory, [message, file, line, column]))
                    };
                // Writing its numbers takes as long as a large copy.
                ABORT_NAMESPACE TRACE_FN
                    (message: i32, count: i32, a: f64, b: f64, c: f64, d: f64, e: f64) copies |_| i32::MAX,
                    does |memory, conversation| {
                        conversation.trace(memory, message, (count, [a, b, c, d, e]))
                    };
            }
            asking {
                HOST_NAMESPACE HOST_RESPONSE_LEN_FN () asks host_response_len;
                HOST_NAMESPACE HOST_ERROR_LEN_FN () asks host_error_len;
            }
        }
    };
    (@link [$linker:expr, $caller:ty, $with:path]
        over memory { $($module:ident $name:ident ($($arg:ident: $type:ty),+) copies $copies:expr, does $run:expr;)* }
        asking { $($ask_module:ident $ask_name:ident () asks $ask:ident;)* }
    ) => {
        $($linker.func_wrap(
            $crate::wapc_functions::$module,
            $crate::wapc_functions::$name,
            |caller: $caller, $($arg: $type),+| $with(caller, $copies, $run),
        )?;)*
        $($linker.func_wrap(
            $crate::wapc_functions::$ask_module,
            $crate::wapc_functions::$ask_name,
            |caller: $caller| caller.data().conversation.$ask(),
        )?;)*
    };
    (@types []
        over memory { $($module:ident $name:ident ($($arg:ident: $type:ty),+) copies $copies:expr, does $run:expr;)* }
        asking { $($ask_module:ident $ask_name:ident () asks $ask:ident;)* }
    ) => {
        [
            $(($crate::wapc_functions::$module, $crate::wapc_functions::$name, &[$(stringify!($type)),+] as &[&str], 0),)*
            $(($crate::wapc_functions::$ask_module, $crate::wapc_functions::$ask_name, &[], 1),)*
        ]
    };
}

#[cfg(test)]
mod tests {
    use crate::ModuleInfo;
    use crate::module::info::{ExternKind, Import};

    /// The list and the check of a module's imports know the same functions.
    #[test]
    fn a_guest_may_import_each_with_its_parameters() {
        let mut info = ModuleInfo::default();
        for (module, name, params, results) in link_imports!(@list types []) {
            let kind = ExternKind::func(params, &vec!["i32"; results]);
            info.imports.push(Import::new(module, name, kind));
        }
        info.imports.push(Import::new("wapc", "no_such_import", ExternKind::Global));
        let refused = info.refusals(|_| None);
        assert_eq!(refused.iter().filter(|refusal| refusal.contains("import ")).count(), 1, "{refused:?}");
    }
}
