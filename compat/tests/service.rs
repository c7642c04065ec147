//! Runs the asynchronous service.

use std::time::{Duration, Instant};

use compat::guests::{TOOLBOX, built};
use compat::service::{Service, Store};
use wapc::WapcHostAsync;
use wasmtime_provider::wasmtime::{Config, Engine};
use wasmtime_provider::{EpochDeadlines, WasmtimeEngineProviderBuilder};

async fn service(module: &[u8]) -> Service {
    let store = Store::default();
    for key in 0..8 {
        store.put(&format!("key {key}"), format!("value {key}").as_bytes()).await;
    }
    Service::new(module, store).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plugins_wait_side_by_side() {
    let service = service(TOOLBOX.as_bytes()).await;
    let mut tasks = Vec::new();
    for task in 0..8 {
        let plugin = service.plugin().await.unwrap();
        tasks.push(tokio::spawn(async move {
            for _ in 0..10 {
                let answer = plugin.call("host", format!("key {task}").as_bytes()).await.unwrap();
                assert_eq!(answer, format!("value {task}").into_bytes());
                let error = plugin.call("host", b"key 8").await.unwrap_err();
                assert_eq!(error.to_string(), "Guest call failure: no such key: key 8");
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
}

#[tokio::test]
async fn many_tasks_share_a_plugin() {
    let plugin = service(&built("rust.wasm")).await.plugin().await.unwrap();
    let tasks: Vec<_> = (0..8)
        .map(|task| {
            let plugin = plugin.clone();
            tokio::spawn(async move {
                let answer = plugin.call("host", format!("key {task}").as_bytes()).await.unwrap();
                assert_eq!(answer, format!("value {task}").into_bytes());
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_that_loops_is_interrupted_by_a_task_that_ticks() {
    let engine = Engine::new(Config::new().epoch_interruption(true)).unwrap();
    let pre = WasmtimeEngineProviderBuilder::new()
        .engine(engine.clone())
        .module_bytes(TOOLBOX.as_bytes())
        .enable_epoch_interruptions(EpochDeadlines { wapc_init: 500, wapc_func: 40 })
        .build_async_pre()
        .unwrap();
    let ticker = tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_millis(10)).await;
            engine.increment_epoch();
        }
    });
    let host = WapcHostAsync::new(Box::new(pre.rehydrate().unwrap()), None).await.unwrap();
    let started = Instant::now();
    // The guest keeps its thread until its last tick, because it is not checked before. The ticker
    // needs another thread.
    let error = tokio::spawn(async move {
        let error = host.call("loop", b"").await.unwrap_err().to_string();
        assert_eq!(host.call("echo", b"hi").await.unwrap(), b"hi");
        error
    });
    assert_eq!(
        error.await.unwrap(),
        "Guest call failure: guest code interrupted, execution deadline exceeded"
    );
    assert!(started.elapsed() >= Duration::from_millis(390), "after {:?}", started.elapsed());
    ticker.abort();
}

#[tokio::test]
async fn a_host_is_replaced_between_calls() {
    let engine = WasmtimeEngineProviderBuilder::new().module_bytes(TOOLBOX.as_bytes()).build_async().unwrap();
    let host = WapcHostAsync::new(Box::new(engine), None).await.unwrap();
    host.replace_module(&built("rust.wasm")).await.unwrap();
    let error = host.call("nope", b"").await.unwrap_err();
    assert_eq!(error.to_string(), "Guest call failure: No handler registered for function nope");
}
