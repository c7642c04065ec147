//! `logs` and `events`: streams of server-sent events, taken up again where they broke off.

use std::time::Duration;

use http::Method;
use http_body_util::BodyExt as _;
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout_at};

use super::args::{EventsArgs, FollowArgs, Format, LogsArgs};
use super::client::{Ask, Client};
use super::failure::Failure;
use super::operator::module_path;
use super::terminal::{escaped, escaped_json, warning, write};

/// The pause before a broken stream is taken up again.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest line of a stream.
const LONGEST: usize = 4 << 20;

pub(crate) async fn logs(args: LogsArgs) -> Result<(), Failure> {
    follow(&format!("{}/logs", module_path(&args.module)), &args.follow, log_line).await
}

pub(crate) async fn events(args: EventsArgs) -> Result<(), Failure> {
    follow("/v1/events", &args.follow, event_line).await
}

async fn follow(path: &str, args: &FollowArgs, line: fn(&Value) -> String) -> Result<(), Failure> {
    let client = Client::of_operators(&args.admin)?;
    let following = follow_until_it_fails(&client, path, (args.format, line));
    match args.time {
        None => following.await,
        Some(time) => timeout_at(Instant::now() + time, following).await.unwrap_or(Ok(())),
    }
}

async fn follow_until_it_fails(
    client: &Client,
    path: &str,
    (format, line): (Format, fn(&Value) -> String),
) -> Result<(), Failure> {
    let (mut last, mut is_first) = (None, true);
    loop {
        let mut ask = Ask::new(Method::GET, path);
        ask.headers.extend(last.clone().map(|last| ("last-event-id", last)));
        match client.send(ask).await {
            Ok(response) => {
                let mut body = response.into_body();
                let mut parser = Parser::default();
                while let Some(Ok(frame)) = body.frame().await {
                    let Ok(data) = frame.into_data() else { continue };
                    for message in parser.feed(&data)? {
                        last = message.id.or(last);
                        let Ok(value) = serde_json::from_str::<Value>(&message.data) else { continue };
                        match format {
                            Format::Json => write((escaped_json(&value.to_string()) + "\n").as_bytes())?,
                            Format::Text if message.event == "missed" => {
                                warning(&format!(
                                    "{} entries were lost: the server no longer has them",
                                    number(&value, "missed")
                                ));
                            }
                            Format::Text => write(line(&value).as_bytes())?,
                        }
                    }
                }
            }
            // A server that never answered is a wrong address.
            Err(failure) if is_first => return Err(failure),
            Err(_) => {}
        }
        is_first = false;
        sleep(PAUSE).await;
    }
}

/// A message of a stream.
#[derive(Debug, Default, PartialEq, Eq)]
struct Message {
    id: Option<String>,
    event: String,
    data: String,
}

/// Takes a stream apart.
#[derive(Debug, Default)]
struct Parser {
    rest: Vec<u8>,
    message: Message,
}

impl Parser {
    fn feed(&mut self, bytes: &[u8]) -> Result<Vec<Message>, Failure> {
        self.rest.extend_from_slice(bytes);
        let mut messages = Vec::new();
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<_> = self.rest.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            let line = line.trim_end_matches(['\r', '\n']);
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "" if line.is_empty() => {
                    let message = std::mem::take(&mut self.message);
                    if !message.data.is_empty() {
                        messages.push(message);
                    }
                }
                "id" => self.message.id = Some(value.to_owned()),
                "event" => value.clone_into(&mut self.message.event),
                "data" => self.message.data.push_str(value),
                _ => {}
            }
        }
        if self.rest.len() > LONGEST {
            return Err(Failure::answer("a line of the stream has no end"));
        }
        Ok(messages)
    }
}

fn number(value: &Value, name: &str) -> u64 {
    value.get(name).and_then(Value::as_u64).unwrap_or(0)
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn time(value: &Value) -> String {
    let time = std::time::SystemTime::UNIX_EPOCH + Duration::from_millis(number(value, "at_ms").min(1 << 47));
    humantime::format_rfc3339_millis(time).to_string()
}

fn log_line(value: &Value) -> String {
    // The server has escaped the line; escaping a text without controls changes nothing.
    let [level, operation, line] = ["level", "operation", "text"].map(|name| escaped(text(value, name)));
    let operation = if operation.is_empty() { "start".to_owned() } else { operation };
    format!("{} {level:<5} {operation}: {line}\n", time(value))
}

fn event_line(value: &Value) -> String {
    let module = escaped(text(value, "module"));
    let mut line = format!("{} {}", time(value), escaped(text(value, "event")));
    if !module.is_empty() {
        line.push(' ');
        line.push_str(&module);
    }
    let known = ["number", "at_ms", "module", "event"];
    for (name, part) in
        value.as_object().into_iter().flatten().filter(|(name, _)| !known.contains(&name.as_str()))
    {
        let part = part.as_str().map_or_else(|| part.to_string(), str::to_owned);
        line.push_str(&format!(" {}={}", escaped(name), escaped(&part)));
    }
    line + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_taken_apart_wherever_it_is_cut() {
        let stream = b": hi\n\nid: 7\nevent: log\ndata: {\"a\": 1}\r\n\nevent: missed\ndata: {}\n\n";
        for cut in 0..stream.len() {
            let mut parser = Parser::default();
            let mut messages = parser.feed(&stream[..cut]).unwrap();
            messages.extend(parser.feed(&stream[cut..]).unwrap());
            let expected = [
                Message { id: Some("7".into()), event: "log".into(), data: "{\"a\": 1}".into() },
                Message { id: None, event: "missed".into(), data: "{}".into() },
            ];
            assert_eq!(messages, expected, "cut at {cut}");
        }
    }

    #[test]
    fn an_event_is_a_line_without_controls() {
        let event = serde_json::json!({"number": 1, "at_ms": 0, "module": "a", "event": "quarantined", "reason": "no\n"});
        assert_eq!(event_line(&event), "1970-01-01T00:00:00.000Z quarantined a reason=no\\n\n");
    }
}
