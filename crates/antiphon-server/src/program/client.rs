//! A client of a server: one connection a request.

use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, HOST};
use http::uri::Scheme;
use http::{HeaderValue, Method, Request, Response, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use rustls::pki_types::ServerName;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::args::{AdminArgs, ServerArgs};
use super::failure::{Failure, unreadable};
use super::tls;

/// The longest time to connect.
const CONNECT: Duration = Duration::from_secs(10);
/// The largest answer of a server.
const LARGEST: usize = 1 << 30;
/// What stands in a segment of a path as it is.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A server, as the arguments name it.
pub(crate) struct Client {
    host: String,
    port: u16,
    tls: Option<TlsConnector>,
    token: Option<HeaderValue>,
    base: String,
}

/// A request.
pub(crate) struct Ask {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Bytes,
}

impl Ask {
    pub(crate) fn new(method: Method, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), headers: Vec::new(), body: Bytes::new() }
    }
}

/// Encodes a segment of a path, or a value of a query.
pub(crate) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

/// Returns an address: the one that was named, that of a variable, or that of a server at its
/// defaults.
fn address(named: Option<&str>, variable: &str, default: &str) -> String {
    let variable = || std::env::var(variable).ok().filter(|url| !url.is_empty());
    named.map(str::to_owned).or_else(variable).unwrap_or_else(|| default.to_owned())
}

impl Client {
    /// Names the port for calls.
    pub(crate) fn of_calls(url: Option<&str>, args: &ServerArgs) -> Result<Self, Failure> {
        Self::new(&address(url, "ANTIPHON_URL", "http://127.0.0.1:7470"), args)
    }

    /// Names the port for operators.
    pub(crate) fn of_operators(args: &AdminArgs) -> Result<Self, Failure> {
        Self::new(&address(args.url.as_deref(), "ANTIPHON_ADMIN_URL", "http://127.0.0.1:7471"), &args.server)
    }

    fn new(url: &str, args: &ServerArgs) -> Result<Self, Failure> {
        let wrong = |what: &str| {
            Failure::usage(
                format!("{url:?} is no server's address: {what}, as in http://127.0.0.1:7470"),
                None,
            )
        };
        let uri: Uri = url.parse().map_err(|_| wrong("expected a URL"))?;
        let is_tls = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTP => false,
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            _ => return Err(wrong("it begins with http: or https:")),
        };
        if uri.query().is_some() {
            return Err(wrong("it has no query"));
        }
        let authority = uri.authority().ok_or_else(|| wrong("it names a host"))?;
        if authority.as_str().contains('@') {
            return Err(wrong(
                "it has no user; a token stands in ANTIPHON_TOKEN, or in the file of --token-file",
            ));
        }
        Ok(Self {
            host: authority.host().trim_matches(['[', ']']).to_owned(),
            port: authority.port_u16().unwrap_or(if is_tls { 443 } else { 80 }),
            tls: is_tls.then(|| tls::connector(args)).transpose()?,
            token: token(args)?,
            base: uri.path().trim_end_matches('/').to_owned(),
        })
    }

    /// Sends a request, and returns the answer if it is a success.
    pub(crate) async fn send(&self, ask: Ask) -> Result<Response<Incoming>, Failure> {
        let response = self.exchange(ask).await?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let body = read(response).await?;
        match serde_json::from_slice::<Value>(&body) {
            Ok(document) if document.get("code").is_some() => Err(Failure::problem(document)),
            _ => Err(Failure::answer(format!(
                "the server answered {status}, which is no answer of antiphon-server"
            ))),
        }
    }

    /// Sends a request, and returns the JSON of its answer.
    pub(crate) async fn json(&self, ask: Ask) -> Result<Value, Failure> {
        let body = read(self.send(ask).await?).await?;
        serde_json::from_slice(&body)
            .map_err(|_| Failure::answer("the server's answer is no JSON; is this the operators' address?"))
    }

    async fn exchange(&self, ask: Ask) -> Result<Response<Incoming>, Failure> {
        let place = format!("{}:{}", self.host, self.port);
        let unreachable = |error: std::io::Error| {
            Failure::system(format!("cannot connect to {place}; is a server running there?"), &error)
        };
        let connecting = timeout(CONNECT, TcpStream::connect((self.host.as_str(), self.port))).await;
        let stream =
            connecting.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into())).map_err(unreachable)?;
        match &self.tls {
            None => self.over(stream, ask).await,
            Some(tls) => {
                let name = ServerName::try_from(self.host.clone()).map_err(|error| {
                    Failure::usage("the host's name cannot be in a certificate", Some(&error))
                })?;
                let shaken = timeout(CONNECT, tls.connect(name, stream)).await;
                let stream = shaken
                    .unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
                    .map_err(|error| Failure::system(format!("TLS with {place} failed"), &error))?;
                self.over(stream, ask).await
            }
        }
    }

    async fn over<S>(&self, stream: S, ask: Ask) -> Result<Response<Incoming>, Failure>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let broken = |error: hyper::Error| Failure::system("the connection to the server broke", &error);
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        // It ends with the response's body.
        tokio::spawn(connection);
        let host = if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        };
        let mut request = Request::builder()
            .method(ask.method)
            .uri(format!("{}{}", self.base, ask.path))
            .header(HOST, host);
        for (name, value) in ask.headers {
            request = request.header(name, value);
        }
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, token);
        }
        let request = request
            .body(Full::new(ask.body))
            .map_err(|error| Failure::usage("the arguments make no request", Some(&error)))?;
        sender.send_request(request).await.map_err(broken)
    }
}

/// Reads the body of an answer.
pub(crate) async fn read(response: Response<Incoming>) -> Result<Bytes, Failure> {
    let body = Limited::new(response.into_body(), LARGEST).collect().await;
    Ok(body.map_err(|error| Failure::system("the server's answer broke off", &*error))?.to_bytes())
}

fn token(args: &ServerArgs) -> Result<Option<HeaderValue>, Failure> {
    let token = match &args.token_file {
        Some(path) => Some(std::fs::read_to_string(path).map_err(unreadable(path))?),
        None => std::env::var("ANTIPHON_TOKEN").ok(),
    };
    let Some(token) = token.map(|token| token.trim().to_owned()).filter(|token| !token.is_empty()) else {
        return Ok(None);
    };
    let mut value = HeaderValue::try_from(format!("Bearer {token}"))
        .map_err(|_| Failure::usage("the token has characters that no header can have", None))?;
    value.set_sensitive(true);
    Ok(Some(value))
}
