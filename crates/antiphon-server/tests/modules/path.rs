//! The path of a call.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use antiphon::errors::Phase;
use antiphon::{Bytes, ErrorKind, HostHandlerAsync, handler_fn_async};
use antiphon_server::call::{CallInfo, Failure, Incoming, call};
use antiphon_server::config;
use antiphon_server::deployment::Seams;
use antiphon_server::feed::Read;
use antiphon_server::settings::MakeHandler;

use crate::guests::{answers, calls, logs, loops};
use crate::support::{Served, answer, incoming};

#[tokio::test(flavor = "multi_thread")]
async fn a_call_has_the_time_of_its_caller_and_of_its_module_whichever_is_less() {
    let configure = |config: &mut config::Config| config.limits.deadline = Some(Duration::from_secs(1));
    let served = Served::configured(&[("loop", &loops())], configure, Seams::default()).await;
    for (timeout, least, most) in [(None, 1_000, 10_000), (Some(60), 60, 990), (Some(60_000), 1_000, 10_000)]
    {
        let mut incoming = incoming("loop");
        incoming.timeout = timeout.map(Duration::from_millis);
        let began = Instant::now();
        let outcome = call(&served.modules, incoming).await;
        let took = began.elapsed().as_millis();
        let Err(Failure::Call(error)) = outcome.result else { panic!("{:?}", outcome.result) };
        assert_eq!((error.kind(), error.phase()), (ErrorKind::DeadlineExceeded, Some(Phase::Guest)));
        assert!((least..most).contains(&took), "{timeout:?}: {took} ms");
        assert!(outcome.timing.guest >= Duration::from_millis(50), "{:?}", outcome.timing);
        assert!(outcome.version.is_some());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_of_a_guest_has_its_module_version_operation_and_trace() {
    let served = Served::with(&[("talks", &logs("hello"))]).await;
    let mut with_trace = incoming("talks");
    with_trace.info.trace.trace_id = 0xabc;
    let version = call(&served.modules, with_trace).await.version.unwrap().digest;
    let mut without = incoming("talks");
    without.operation = "other";
    call(&served.modules, without).await;
    let mut reader = served.modules.logs("talks").unwrap().after(0);
    let mut next = || match reader.try_next() {
        Some(Read::Entry(line)) => line,
        other => panic!("{other:?}"),
    };
    let first = next();
    assert_eq!(
        (&*first.text, &*first.operation, first.level, first.stream),
        ("hello", "any", "info", "console")
    );
    assert_eq!(first.version, version);
    assert_eq!(first.trace_id.as_deref(), Some("00000000000000000000000000000abc"));
    let second = next();
    assert_eq!((second.number, &*second.operation, second.trace_id.as_deref()), (2, "other", None));
}

/// A handler that calls the module that the guest's operation names, and keeps what it saw.
fn seams(seen: &Arc<Mutex<Vec<CallInfo>>>) -> Seams {
    let seen = Arc::clone(seen);
    let handler: MakeHandler = Arc::new(move |granted| {
        if granted.module == "leaf" {
            return Ok(None);
        }
        let (modules, seen) = (granted.modules, Arc::clone(&seen));
        let handler = handler_fn_async(move |host_call| {
            let modules = modules.upgrade();
            let info = host_call.context().get::<CallInfo>().cloned();
            seen.lock().unwrap().extend(info);
            let name = host_call.operation.to_owned();
            let inner =
                Incoming::of_guest((host_call.context(), host_call.caller()), ("", "any"), Bytes::new());
            let (info, caller) = (inner.info, inner.caller);
            Box::pin(async move {
                let modules = modules.ok_or("the server has ended")?;
                let incoming = Incoming { info, caller, ..incoming(&name) };
                match call(&modules, incoming).await.result {
                    Ok(answer) => Ok(answer.into()),
                    Err(Failure::Call(error)) => Err(format!("{}: {error}", error.code()).into()),
                    Err(other) => Err(format!("{other:?}").into()),
                }
            })
        });
        Ok(Some(Arc::new(handler) as Arc<dyn HostHandlerAsync>))
    });
    Seams { handler: Some(handler) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_calls_another_module_with_its_trace_its_values_and_its_depth() {
    let seen = Arc::default();
    let files: [(&str, &str); 3] =
        [("outer", &calls("middle")), ("middle", &calls("leaf")), ("leaf", &answers("leaf"))];
    let configure = |config: &mut config::Config| {
        let context = BTreeMap::from([("region".into(), "eu".into()), ("own".into(), "1".into())]);
        config.modules.entry("middle".into()).or_default().context = context;
    };
    let served = Served::configured(&files, configure, seams(&seen)).await;
    let mut incoming = incoming("outer");
    incoming.info.trace.trace_id = 7;
    incoming.info.values =
        Some(Arc::new([("region".into(), "us".into()), ("user".into(), "x".into())].into()));
    assert_eq!(answer(call(&served.modules, incoming).await).unwrap(), "leaf");
    let seen: Vec<_> = std::mem::take(&mut seen.lock().unwrap());
    assert_eq!(seen.len(), 2);
    assert_eq!(
        seen.iter().map(|info| (info.depth, info.trace.trace_id)).collect::<Vec<_>>(),
        [(0, 7), (1, 7)]
    );
    let value = |info: &CallInfo, name: &str| info.values.as_ref().unwrap().get(name).cloned();
    assert_eq!(value(&seen[0], "region").as_deref(), Some("us"));
    // The module's own values stand before those of its caller.
    assert_eq!(value(&seen[1], "region").as_deref(), Some("eu"));
    assert_eq!((value(&seen[1], "own"), value(&seen[1], "user")), (Some("1".into()), Some("x".into())));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_circle_of_modules_ends_in_reentrancy() {
    let seen = Arc::default();
    let files: [(&str, &str); 3] =
        [("ping", &calls("pong")), ("pong", &calls("ping")), ("self", &calls("self"))];
    let configure = |config: &mut config::Config| config.limits.max = Some(16);
    let served = Served::configured(&files, configure, seams(&seen)).await;
    for name in ["ping", "self"] {
        let began = Instant::now();
        let Err(Failure::Call(error)) = served.call(name).await else { panic!("{name} answers") };
        assert_eq!(error.kind(), ErrorKind::GuestFailed);
        assert!(error.guest_error().unwrap().contains("reentrancy: "), "{error}");
        assert!(began.elapsed() < Duration::from_secs(2));
    }
    // From another server, where no handler of this process waits.
    let mut deep = incoming("ping");
    deep.info.depth = 9;
    let Err(Failure::Call(error)) = call(&served.modules, deep).await.result else { panic!("it answers") };
    assert_eq!(
        (error.kind(), error.exceeded().unwrap().to_string()),
        (ErrorKind::Reentrancy, "depth: 9 of 8 calls".into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_ends_drains_everything_and_counts_what_it_cut_off() {
    let configure = |config: &mut config::Config| config.limits.deadline = Some(Duration::from_secs(60));
    let served =
        Served::configured(&[("loop", &loops()), ("one", &answers("1"))], configure, Seams::default()).await;
    let modules = served.modules.clone();
    let running = tokio::spawn(async move { call(&modules, incoming("loop")).await });
    served
        .until("the call", |served| served.status("loop").versions[0].stats.as_ref().unwrap().busy == 1)
        .await;
    let drained = served.modules.stop(Duration::from_millis(100)).await;
    assert_eq!((drained.running, drained.queued), (1, 0));
    let Err(Failure::Call(error)) = running.await.unwrap().result else { panic!("it answers") };
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    let Err(Failure::Call(error)) = served.call("one").await else { panic!("it answers") };
    assert_eq!(error.kind(), ErrorKind::Overloaded);
    let refused = served.modules.deploy("one", crate::support::deploy(&answers("2")), None).await;
    assert!(matches!(refused, Err(antiphon_server::deployment::Refused::Ending)), "{refused:?}");
}
