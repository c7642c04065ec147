//! The list of waPC's imports, to be expanded by engines.

/// Expands a macro of the caller's with the list of waPC's imports and AssemblyScript's abort, so that an engine writes its
/// imports once. All parameters are `i32`.
///
/// The macro receives the imports that work over the guest's memory, then those that only ask for a length. Each has its
/// module and name, constants of [`wapc_functions`](crate::wapc_functions) both. An import of the first kind comes with
/// how many bytes it will copy, for an engine that looks at the time before it copies much, and with what it does: closures
/// `|conversation: &Conversation| -> i32` and `|memory: &mut [u8], conversation: &mut Conversation| -> Result<R, Error>`.
/// The one of the second kind is a method of the [`Conversation`](crate::Conversation).
///
/// `__host_call` is not in the list: it may have to wait, for which engines have ways of their own.
///
/// ```
/// macro_rules! count {
///     (
///         over memory {
///             $($module:ident $name:ident ($($arg:ident),*) copies $copies:expr, does $run:expr;)*
///         }
///         asking { $($ask_module:ident $ask_name:ident () is $ask:ident;)* }
///     ) => {
///         [$(stringify!($name)),*].len() + [$(stringify!($ask_name)),*].len()
///     };
/// }
/// assert_eq!(antiphon::for_each_import!(count), 9);
/// ```
#[macro_export]
macro_rules! for_each_import {
    ($($callback:ident)::+) => {
        $($callback)::+! {
            over memory {
                HOST_NAMESPACE GUEST_REQUEST_FN (op, msg) copies |conversation| conversation.lengths().1,
                    does |memory, conversation| conversation.guest_request(memory, op, msg);
                HOST_NAMESPACE GUEST_RESPONSE_FN (ptr, len) copies |_| len,
                    does |memory, conversation| conversation.guest_response(memory, ptr, len);
                HOST_NAMESPACE GUEST_ERROR_FN (ptr, len) copies |_| len,
                    does |memory, conversation| conversation.guest_error(memory, ptr, len);
                // The log takes no more than its limits.
                HOST_NAMESPACE HOST_CONSOLE_LOG (ptr, len) copies |_| 0,
                    does |memory, conversation| conversation.console_log(memory, ptr, len);
                HOST_NAMESPACE HOST_RESPONSE_FN (ptr) copies |conversation| conversation.host_response_len(),
                    does |memory, conversation| conversation.host_response(memory, ptr);
                HOST_NAMESPACE HOST_ERROR_FN (ptr) copies |conversation| conversation.host_error_len(),
                    does |memory, conversation| conversation.host_error(memory, ptr);
                ABORT_NAMESPACE ABORT_FN (message, file, line, column) copies |_| 0,
                    does |memory, conversation| {
                        Err::<(), _>(conversation.abort(memory, [message, file, line, column]))
                    };
            }
            asking {
                HOST_NAMESPACE HOST_RESPONSE_LEN_FN () is host_response_len;
                HOST_NAMESPACE HOST_ERROR_LEN_FN () is host_error_len;
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use crate::ModuleInfo;
    use crate::module_info::{ExternKind, Import};
    use crate::wapc_functions as wapc;

    /// The list and the check of a module's imports know the same functions.
    #[test]
    fn a_guest_may_import_each_with_its_parameters() {
        macro_rules! imports {
            (
                over memory { $($module:ident $name:ident ($($arg:ident),*) copies $copies:expr, does $run:expr;)* }
                asking { $($ask_module:ident $ask_name:ident () is $ask:ident;)* }
            ) => {
                vec![
                    $((wapc::$module, wapc::$name, [$(stringify!($arg)),*].len(), 0),)*
                    $((wapc::$ask_module, wapc::$ask_name, 0, 1),)*
                ]
            };
        }
        let mut info = ModuleInfo::default();
        for (module, name, params, results) in for_each_import!(imports) {
            let kind = ExternKind::func(&vec!["i32"; params], &vec!["i32"; results]);
            info.imports.push(Import::new(module, name, kind));
        }
        info.imports.push(Import::new("wapc", "no_such_import", ExternKind::Global));
        let refused = info.refusals(|_| None);
        assert_eq!(refused.iter().filter(|refusal| refusal.contains("import ")).count(), 1, "{refused:?}");
    }
}
