//! Many modules in one server.

use std::fs;

use crate::guests::{answers, does_not_start};
use crate::support::{Served, rounds};

/// Returns the bytes that this process has in memory, where the system says so.
fn resident() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kib| kib << 10)
}

#[tokio::test(flavor = "multi_thread")]
async fn many_modules_serve_start_again_from_what_was_compiled_and_do_not_disturb_each_other() {
    let count = rounds(60);
    let names: Vec<_> = (0..count).map(|number| format!("module-{number}")).collect();
    let texts: Vec<_> = (0..count)
        .map(|number| if number % 20 == 7 { does_not_start() } else { answers(&number.to_string()) })
        .collect();
    let files: Vec<_> = names.iter().zip(&texts).map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let served = Served::with(&files).await;
    let code = served.config.server.state.join("code");
    let kept = || fs::read_dir(&code).unwrap().count();
    let (compiled, before) = (kept(), resident());
    let served = served.restart().await;
    for (number, (name, text)) in files.iter().enumerate() {
        if number % 20 == 7 {
            // It may be tried again at this moment.
            let reason = served.version(name, text).unwrap().reason.unwrap();
            assert_eq!(reason.code, "init_failed", "{name}");
        } else {
            assert_eq!(served.call(name).await.unwrap(), number.to_string());
        }
    }
    assert_eq!(kept(), compiled);
    println!("{count} modules: {before:?} bytes, after another start {:?}", resident());
}
