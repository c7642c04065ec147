//! `call`: one call over HTTP.

use std::io::{IsTerminal as _, Read as _};

use bytes::Bytes;
use http::Method;

use super::args::CallArgs;
use super::client::{Ask, Client, encoded, read};
use super::failure::{Failure, unreadable};
use super::terminal::{escaped, write};

pub(crate) async fn run(args: CallArgs) -> Result<(), Failure> {
    let client = Client::of_calls(args.url.as_deref(), &args.server)?;
    let path = format!("/v1/modules/{}/operations/{}", encoded(&args.module), encoded(&args.operation));
    let mut ask = Ask::new(Method::POST, path);
    ask.body = payload(&args)?;
    if let Some(timeout) = args.timeout {
        ask.headers.push(("antiphon-timeout", format!("{}ms", timeout.as_millis().max(1))));
    }
    let answer = read(client.send(ask).await?).await?;
    if !std::io::stdout().is_terminal() {
        return write(&answer);
    }
    // On a terminal, an answer moves no cursor, and ends its line.
    let lines: Vec<_> = String::from_utf8_lossy(&answer).split('\n').map(escaped).collect();
    write(format!("{}\n", lines.join("\n").trim_end()).as_bytes())
}

fn payload(args: &CallArgs) -> Result<Bytes, Failure> {
    match (&args.payload, &args.payload_file) {
        (Some(text), _) => Ok(text.clone().into_bytes().into()),
        (None, Some(path)) if path.as_os_str() == "-" => {
            let mut bytes = Vec::new();
            let read = std::io::stdin().lock().read_to_end(&mut bytes);
            read.map_err(|error| Failure::usage("cannot read standard input", Some(&error)))?;
            Ok(bytes.into())
        }
        (None, Some(path)) => Ok(std::fs::read(path).map_err(unreadable(path))?.into()),
        (None, None) => Ok(Bytes::new()),
    }
}
