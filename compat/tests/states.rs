//! The module state, as a third-party provider sees it, in either mode.

use std::sync::Arc;

use async_trait::async_trait;
use compat::differs;
use wapc::{
    ModuleState, ModuleStateAsync, WapcHost, WapcHostAsync, WebAssemblyEngineProvider,
    WebAssemblyEngineProviderAsync,
};

use crate::hosts::{BoxError, parrot, runtime};

/// A provider whose guest is a function over the module state.
struct Provider {
    guest: fn(&ModuleState, (i32, i32)) -> Result<i32, BoxError>,
    state: Option<Arc<ModuleState>>,
    refuses: Option<&'static str>,
}

impl WebAssemblyEngineProvider for Provider {
    fn init(&mut self, host: Arc<ModuleState>) -> Result<(), BoxError> {
        assert!(host.get_guest_request().is_none(), "a guest that starts has no request");
        assert_eq!(host.get_guest_response(), None);
        self.state = Some(host);
        self.refuses.map_or(Ok(()), |text| Err(text.into()))
    }

    fn call(&mut self, op_length: i32, msg_length: i32) -> Result<i32, BoxError> {
        (self.guest)(self.state.as_ref().unwrap(), (op_length, msg_length))
    }

    fn replace(&mut self, bytes: &[u8]) -> Result<(), BoxError> {
        Err(format!("cannot replace {} bytes", bytes.len()).into())
    }
}

fn host(guest: fn(&ModuleState, (i32, i32)) -> Result<i32, BoxError>) -> WapcHost {
    WapcHost::new(Box::new(Provider { guest, state: None, refuses: None }), Some(Box::new(parrot))).unwrap()
}

type Future<'a, T> = std::pin::Pin<Box<dyn std::future::Future<Output = T> + Send + 'a>>;

/// The asynchronous counterpart of [`Provider`].
struct ProviderAsync {
    guest: fn(&ModuleStateAsync) -> Future<'_, Result<i32, BoxError>>,
    state: Option<Arc<ModuleStateAsync>>,
}

#[async_trait]
impl WebAssemblyEngineProviderAsync for ProviderAsync {
    async fn init(&mut self, host: Arc<ModuleStateAsync>) -> Result<(), BoxError> {
        assert!(host.get_guest_request().await.is_none());
        assert_eq!(host.get_guest_response().await, None);
        self.state = Some(host);
        Ok(())
    }

    async fn call(&mut self, _op_length: i32, _msg_length: i32) -> Result<i32, BoxError> {
        (self.guest)(self.state.as_ref().unwrap()).await
    }

    async fn replace(&mut self, bytes: &[u8]) -> Result<(), BoxError> {
        Err(format!("cannot replace {} bytes", bytes.len()).into())
    }
}

#[test]
fn a_call_in_all_its_steps() {
    let host = host(|state, lengths| {
        assert_eq!(state.get_guest_response(), None, "nothing of the call before is left");
        assert_eq!((state.host_response_len(), state.get_host_error()), (0, None));
        assert_eq!(state.with_host_response(<[u8]>::len), None);

        let request = state.get_guest_request().unwrap();
        assert_eq!((request.operation.as_str(), request.msg.as_slice()), ("operation", &b"payload"[..]));
        assert_eq!(lengths, (9, 7));
        assert_eq!(state.get_guest_request().unwrap().msg, b"payload", "it can be fetched again");

        assert_eq!(state.do_host_call("b", "n", "o", b"1").unwrap(), 1);
        assert_eq!((state.host_response_len(), state.get_host_error()), (7, None));
        assert_eq!(state.with_host_response(<[u8]>::to_vec).unwrap(), b"b/n/o:1");
        #[expect(deprecated, reason = "programs use it all the same")]
        let response = state.get_host_response();
        assert_eq!(response.unwrap(), b"b/n/o:1");

        assert_eq!(state.do_host_call("b", "n", "o", b"no").unwrap(), 0);
        assert_eq!(state.get_host_error().as_deref(), Some("not today"));
        assert_eq!((state.host_response_len(), state.with_host_response(<[u8]>::len)), (0, None));

        state.do_console_log("a line");
        state.set_guest_error("overruled by the response".to_owned());
        state.set_guest_response(b"first".to_vec());
        state.set_guest_response(b"last".to_vec());
        assert_eq!(state.get_guest_response().unwrap(), b"last");
        Ok(1)
    });
    for _ in 0..2 {
        assert_eq!(host.call("operation", b"payload").unwrap(), b"last");
    }
}

#[test]
fn a_call_in_all_its_steps_asynchronously() {
    let guest: fn(&ModuleStateAsync) -> Future<'_, Result<i32, BoxError>> = |state| {
        Box::pin(async move {
            assert_eq!(state.get_guest_response().await, None);
            assert_eq!((state.host_response_len().await, state.get_host_error().await), (0, None));
            let request = state.get_guest_request().await.unwrap();
            assert_eq!((request.operation.as_str(), request.msg.as_slice()), ("operation", &b"payload"[..]));

            let host_call = |payload: &[u8]| {
                state.do_host_call("b".to_owned(), "n".to_owned(), "o".to_owned(), payload.to_vec())
            };
            let code = host_call(b"1").await.map_err(|error| error.to_string())?;
            assert_eq!((code, state.host_response_len().await, state.get_host_error().await), (1, 7, None));
            assert_eq!(state.with_host_response(<[u8]>::to_vec).await.unwrap(), b"b/n/o:1");
            #[expect(deprecated, reason = "programs use it all the same")]
            let response = state.get_host_response().await;
            assert_eq!(response.unwrap(), b"b/n/o:1");

            let code = host_call(b"no").await.map_err(|error| error.to_string())?;
            assert_eq!((code, state.get_host_error().await.as_deref()), (0, Some("not today")));
            assert_eq!(state.with_host_response(<[u8]>::len).await, None);

            state.do_console_log("a line");
            state.set_guest_error("overruled by the response".to_owned()).await;
            state.set_guest_response(b"last".to_vec()).await;
            assert_eq!(state.get_guest_response().await.unwrap(), b"last");
            Ok(1)
        })
    };
    let callback: Box<wapc::HostCallbackAsync> =
        Box::new(|id, bd, ns, op, payload| Box::pin(async move { parrot(id, &bd, &ns, &op, &payload) }));
    runtime().block_on(async {
        let provider = Box::new(ProviderAsync { guest, state: None });
        let host = WapcHostAsync::new(provider, Some(callback)).await.unwrap();
        for _ in 0..2 {
            assert_eq!(host.call("operation", b"payload").await.unwrap(), b"last");
        }
        let error = host.replace_module(b"12").await.unwrap_err();
        assert_eq!(error.to_string(), "Module replacement failed: cannot replace 2 bytes");
    });
}

#[test]
fn outcomes_and_their_texts() {
    let failing = |guest| host(guest).call("op", b"").unwrap_err().to_string();
    assert_eq!(
        failing(|state, _| {
            state.set_guest_error("out of tea".to_owned());
            Ok(0)
        }),
        "Guest call failure: out of tea"
    );
    assert_eq!(
        failing(|state, _| {
            state.set_guest_error("an error alone counts".to_owned());
            Ok(1)
        }),
        "Guest call failure: an error alone counts"
    );
    assert_eq!(failing(|_, _| Ok(0)), "Guest call failure: No error message set for call failure");
    assert_eq!(
        failing(|_, _| Ok(1)),
        "Guest call failure: No error message OR response set for call success"
    );
    assert_eq!(
        failing(|_, _| Err("wasm trap".into())),
        differs! {
            incumbent: "Guest call failure: wasm trap",
            antiphon: "wasm trap",
            because: "The text of an untyped error of a provider of your own stands without a prefix.",
        }
    );

    let refused = Provider { guest: |_, _| Ok(1), state: None, refuses: Some("no memory") };
    let error = WapcHost::new(Box::new(refused), None).unwrap_err();
    assert_eq!(error.to_string(), "Initialization failed: no memory");
    let error = host(|_, _| Ok(1)).replace_module(b"123").unwrap_err();
    assert_eq!(error.to_string(), "Module replacement failed: cannot replace 3 bytes");
}

#[test]
fn a_host_call_without_a_callback_is_an_error_for_the_guest() {
    let guest: fn(&ModuleState, (i32, i32)) -> Result<i32, BoxError> = |state, _| {
        assert_eq!(state.do_host_call("b", "n", "o", b"").unwrap(), 0);
        state.set_guest_error(state.get_host_error().unwrap());
        Ok(0)
    };
    let host = WapcHost::new(Box::new(Provider { guest, state: None, refuses: None }), None).unwrap();
    let error = host.call("op", b"").unwrap_err().to_string();
    assert_eq!(error, "Guest call failure: Missing host callback function!");
}

#[test]
fn a_state_of_one_s_own_holds_what_is_set() {
    let state = ModuleState::default();
    state.set_guest_response(b"answer".to_vec());
    assert_eq!(state.get_guest_response().unwrap(), b"answer");
    state.set_guest_error("failed".to_owned());
    state.do_console_log("heard by nobody");
    assert!(state.get_guest_request().is_none());
}
