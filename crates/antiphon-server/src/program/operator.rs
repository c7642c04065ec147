//! What operators do with modules: each command is one request, or two.

use http::Method;
use serde_json::Value;

use super::args::{ChangeArgs, DeployArgs, Format, RevisionArgs, StatusArgs};
use super::client::{Ask, Client, encoded};
use super::failure::{Failure, unreadable};
use super::terminal::{columns, escaped, escaped_json, write};

/// Shows all modules, or one of them.
pub(crate) async fn status(args: StatusArgs) -> Result<(), Failure> {
    let client = Client::of_operators(&args.admin)?;
    let answer = match &args.module {
        Some(module) => client.json(Ask::new(Method::GET, module_path(module))).await?,
        None => client.json(Ask::new(Method::GET, "/v1/modules")).await?,
    };
    match (args.format, &args.module) {
        (Format::Json, _) => write((escaped_json(&answer.to_string()) + "\n").as_bytes()),
        (Format::Text, Some(_)) => write(details(&answer).as_bytes()),
        (Format::Text, None) => {
            let modules = answer.get("modules").and_then(Value::as_array).cloned().unwrap_or_default();
            write(table(&modules).as_bytes())
        }
    }
}

/// Uploads a version.
pub(crate) async fn deploy(args: DeployArgs) -> Result<(), Failure> {
    let client = Client::of_operators(&args.admin)?;
    let bytes = std::fs::read(&args.file).map_err(unreadable(&args.file))?;
    let query: Vec<_> = [
        args.share.map(|share| format!("share={share}")),
        args.digest.as_deref().map(|digest| format!("digest={}", encoded(digest))),
        args.note.as_deref().map(|note| format!("note={}", encoded(note))),
    ]
    .into_iter()
    .flatten()
    .collect();
    let query = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
    let mut ask = Ask::new(Method::POST, format!("{}/versions{query}", module_path(&args.module)));
    ask.headers.push(expected(&client, &args.module, &args.revision).await?);
    ask.headers.push(("content-type", "application/wasm".to_owned()));
    ask.body = bytes.into();
    let after = client.json(ask).await?;
    write(details(&after).as_bytes())
}

/// Changes a module: promotes, rolls back, drains, retries.
pub(crate) async fn change(verb: &str, args: ChangeArgs) -> Result<(), Failure> {
    let client = Client::of_operators(&args.admin)?;
    let mut ask = Ask::new(Method::POST, format!("{}/{verb}", module_path(&args.module)));
    ask.headers.push(expected(&client, &args.module, &args.revision).await?);
    let after = client.json(ask).await?;
    write(details(&after).as_bytes())
}

/// Removes a module.
pub(crate) async fn remove(args: ChangeArgs) -> Result<(), Failure> {
    let client = Client::of_operators(&args.admin)?;
    let mut ask = Ask::new(Method::DELETE, module_path(&args.module));
    ask.headers.push(expected(&client, &args.module, &args.revision).await?);
    client.send(ask).await?;
    write(format!("removed {}\n", escaped(&args.module)).as_bytes())
}

pub(crate) fn module_path(module: &str) -> String {
    format!("/v1/modules/{}", encoded(module))
}

/// Returns the header that names the revision which is changed: the one that was asked for, or the
/// newest. A change that comes in between is not overwritten.
async fn expected(
    client: &Client,
    module: &str,
    args: &RevisionArgs,
) -> Result<(&'static str, String), Failure> {
    let create = || ("if-none-match", "*".to_owned());
    let revision = match args.revision {
        Some(revision) => revision,
        // Asked for in the list, so that a module that is not there is no error.
        None => {
            let all = client.json(Ask::new(Method::GET, "/v1/modules")).await?;
            let modules = all.get("modules").and_then(Value::as_array).cloned().unwrap_or_default();
            let this = modules.iter().find(|known| text(known, "name") == module);
            this.and_then(|known| known.get("revision")).and_then(Value::as_u64).unwrap_or(0)
        }
    };
    Ok(if revision == 0 { create() } else { ("if-match", format!("\"{revision}\"")) })
}

fn text(value: &Value, name: &str) -> String {
    match value.get(name) {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => escaped(text),
        Some(other) => escaped(&other.to_string()),
    }
}

/// Returns the beginning of a digest, which is enough to tell two versions apart.
fn short(digest: &str) -> String {
    digest.strip_prefix("sha256:").map_or_else(|| digest.to_owned(), |hex| hex.chars().take(12).collect())
}

fn versions(module: &Value) -> &[Value] {
    module.get("versions").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn calls(version: &Value) -> (u64, u64) {
    let stats = version.get("stats");
    let calls = stats.and_then(|stats| stats.get("calls")).and_then(Value::as_u64).unwrap_or(0);
    let errors = stats.and_then(|stats| stats.get("errors")).and_then(Value::as_object);
    let errors = errors.into_iter().flat_map(|errors| errors.values()).filter_map(Value::as_u64).sum();
    (calls, errors)
}

fn table(modules: &[Value]) -> String {
    let head = ["MODULE", "REVISION", "SERVING", "CANARY", "CALLS", "ERRORS", "PROBLEM"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for module in modules {
        let canary = versions(module).iter().find(|version| text(version, "state") == "canary");
        let canary = canary.map_or_else(
            || "-".to_owned(),
            |canary| format!("{} {}%", short(&text(canary, "digest")), text(canary, "share")),
        );
        let (calls, errors) = versions(module)
            .iter()
            .map(calls)
            .fold((0_u64, 0_u64), |(a, b), (c, d)| (a.saturating_add(c), b.saturating_add(d)));
        let problem = module.get("problem").map_or_else(String::new, |problem| text(problem, "code"));
        rows.push(vec![
            text(module, "name"),
            text(module, "revision"),
            short(&text(module, "serving")),
            canary,
            calls.to_string(),
            errors.to_string(),
            problem,
        ]);
    }
    columns(&rows)
}

fn details(module: &Value) -> String {
    let mut out = format!("{}, revision {}\n", text(module, "name"), text(module, "revision"));
    if module.get("note").is_some() {
        out.push_str(&format!("  note: {}\n", text(module, "note")));
    }
    if let Some(problem) = module.get("problem") {
        out.push_str(&format!("  problem: {} [{}]\n", text(problem, "message"), text(problem, "code")));
    }
    let mut rows = Vec::new();
    for version in versions(module) {
        let (calls, errors) = calls(version);
        let reason = version
            .get("reason")
            .map(|reason| format!("{} [{}]", text(reason, "message"), text(reason, "code")));
        rows.push(vec![
            format!("  {}", short(&text(version, "digest"))),
            text(version, "state"),
            format!("{}%", text(version, "share")),
            format!("{calls} calls"),
            format!("{errors} errors"),
            reason.unwrap_or_default(),
        ]);
    }
    out + &columns(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_is_shown_with_its_canary_and_its_problem() {
        let module = serde_json::json!({
            "name": "pricing", "revision": 3, "serving": "sha256:0123456789abcdef",
            "problem": {"code": "init_failed", "message": "it\u{1b} traps"},
            "versions": [
                {"digest": "sha256:0123456789abcdef", "state": "serving", "share": 90, "stats": {"calls": 7, "errors": {"trapped": 2}}},
                {"digest": "sha256:fedcba9876543210", "state": "canary", "share": 10},
            ],
        });
        assert_eq!(
            table(std::slice::from_ref(&module)),
            "MODULE   REVISION  SERVING       CANARY            CALLS  ERRORS  PROBLEM\n\
             pricing  3         0123456789ab  fedcba987654 10%  7      2       init_failed\n"
        );
        assert_eq!(
            details(&module),
            "pricing, revision 3\n  problem: it\\u{1b} traps [init_failed]\n\
             \x20 0123456789ab  serving  90%  7 calls  2 errors\n\
             \x20 fedcba987654  canary   10%  0 calls  0 errors\n"
        );
    }
}
