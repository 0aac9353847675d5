//! A blocking client of a running gateway, over the codecs of `wire`.
//!
//! One socket, one thread, every wait under one deadline. [`Target::find`] decides whom to ask
//! and with which secret: `--url` (or `OPENCLAW_GATEWAY_URL`) never borrows a secret from the
//! configuration, since that address may be anybody's; [`super::whence`] remembers where each
//! came from. A [`Session`] is a socket after `hello-ok`.
//!
//! ```text
//!   Target::find -> Stream -> 101 -> connect.challenge -> connect -> hello-ok = Session
//!        |             |          |            |                |
//!        +-------------+----------+------------+----------------+--> Trouble
//! ```

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use super::stream::Stream;
use super::table::Args;
pub use super::trouble::Trouble;
use super::whence::{Kind, Place, Whence};
use super::{Failed, entropy, next, place, plaintext};
use crate::config::credentials::{self, Given, Origin};
use crate::config::secrets::Need;
use crate::config::{AuthMode, Loaded, Mode, Paths, Secret};
use crate::limits;
use crate::protocol::operations;
use crate::protocol::{NEWEST, OLDEST, VERSION};
use crate::wire::http::client::{Client, ClientEvent, request};
use crate::wire::url::Url;
use crate::wire::ws::{self, Message, Receiver, Role};
use crate::wire::{hash, text};

/// Whom to ask, and what to show them.
#[derive(Debug, Clone)]
pub struct Target {
    /// The gateway's address.
    pub url: Url,
    /// Shown as `auth.token`.
    pub token: Option<Secret>,
    /// Shown as `auth.password`.
    pub password: Option<Secret>,
    /// It is the gateway of this profile on this machine.
    pub local: bool,
    /// SHA-256 of the one certificate it may show; without it the authorities decide.
    pub pin: Option<[u8; 32]>,
    /// What to type for the tunnel that its address is the near end of.
    pub tunnel: Option<String>,
    /// Where the secrets came from.
    pub whence: Whence,
}

/// Who we say we are.
#[derive(Debug, Clone, Copy)]
pub struct Identity {
    /// `client.id`.
    pub id: &'static str,
    /// `client.mode`.
    pub mode: &'static str,
}

/// A command that calls methods.
pub const CLI: Identity = Identity { id: "cli", mode: "cli" };
/// A look whether somebody answers.
pub const PROBE: Identity = Identity { id: "cli", mode: "probe" };
/// A program, for `--require-rpc`.
pub const BACKEND: Identity = Identity { id: "gateway-client", mode: "backend" };

impl Target {
    /// Decides whom to ask.
    ///
    /// # Errors
    /// When the configuration cannot be read, or an address is none.
    pub fn find(args: &Args) -> Result<Self, Failed> {
        let env = place::environment();
        if let Some(named) = Self::named(args, &env) {
            return named;
        }
        let paths = place::paths(&env, args)?;
        let files = place::Files::new();
        let need = Self::need(args);
        let loaded = match place::load_with_programs(&files, &env, &paths, need) {
            Ok((loaded, _)) => loaded,
            // A running gateway outlives a damaged file, and so does whoever names its secret.
            Err(_) if Self::has_secret(args, &env) => place::defaults(&env),
            Err(error) => return Err(Failed::config(error.to_string(), next::STATUS)),
        };
        Self::configured(args, &paths, &loaded)
    }

    /// How much of the configuration's secrets a command needs: who names one on the command
    /// line needs none of the file's, so no program is asked for it.
    pub fn need(args: &Args) -> Need {
        let given = ["token", "password"].iter().any(|flag| args.value(flag).is_some());
        if given { Need::Look } else { Need::Client }
    }

    /// A server without secrets, such as a model's.
    pub fn bare(url: Url) -> Self {
        let whence = Whence::default();
        Self { url, token: None, password: None, local: true, pin: None, tunnel: None, whence }
    }

    fn has_secret(args: &Args, env: &BTreeMap<String, String>) -> bool {
        ["token", "password"].iter().any(|flag| args.value(flag).is_some())
            || ["OPENCLAW_GATEWAY_TOKEN", "OPENCLAW_GATEWAY_PASSWORD"]
                .iter()
                .any(|name| place::var(env, name).is_some())
    }

    /// The gateway of `--url` or `OPENCLAW_GATEWAY_URL`, if one is named there. Its secret comes
    /// from the same place or a nearer one, never from the configuration.
    pub fn named(args: &Args, env: &BTreeMap<String, String>) -> Option<Result<Self, Failed>> {
        let (url, by) = match args.value("url") {
            Some(_) if args.optional("port").is_some() => return Some(Err(port_and_url())),
            Some(url) => (url, "--url"),
            // A port means this machine, whatever else is configured.
            None if args.optional("port").is_some() => return None,
            None => (place::var(env, "OPENCLAW_GATEWAY_URL")?, "OPENCLAW_GATEWAY_URL"),
        };
        let by_flag = by == "--url";
        let secret = |flag, name| match given(args, flag) {
            Some(secret) => Some((secret, Place::Flag)),
            None if by_flag => None,
            None => env_secret(env, name).map(|secret| (secret, Place::Variable)),
        };
        let token = secret("token", "OPENCLAW_GATEWAY_TOKEN");
        let password = secret("password", "OPENCLAW_GATEWAY_PASSWORD");
        let (token, token_from) = token.unzip();
        let (password, password_from) = password.unzip();
        let whence = Whence::named(by_flag, token_from, password_from);
        let target = || {
            let (url, pin) = (parse_url(url, by)?, given_pin(args)?);
            plaintext::check(&url, by, env)?;
            Ok(Self { url, token, password, local: false, pin, tunnel: None, whence })
        };
        Some(target())
    }

    /// The gateway that this profile's configuration means.
    ///
    /// # Errors
    /// When an address in it is none, or mode `remote` names none.
    pub fn configured(args: &Args, paths: &Paths, loaded: &Loaded) -> Result<Self, Failed> {
        let remote = loaded.config.gateway.mode == Some(Mode::Remote);
        if remote && args.optional("port").is_some() {
            return Self::near(args, paths, loaded);
        }
        let given = Given { token: given(args, "token"), password: given(args, "password") };
        let found = credentials::client(&loaded.config, &loaded.env, &given);
        let gateway = &loaded.config.gateway;
        let mut whence = Whence::configured(&found, &paths.config_path, remote);
        let near = |it: &credentials::Credential| it.origin != Origin::Remote;
        let near = found.token.as_ref().is_some_and(near);
        let token = found.token.map(|it| it.secret);
        let password = found.password.map(|it| it.secret);
        if remote {
            let Some(remote) = &gateway.remote else { return Err(no_remote_url(paths)) };
            let url = parse_url(&remote.url, "gateway.remote.url")?;
            plaintext::check(&url, "gateway.remote.url", &loaded.env)?;
            let pin = given_pin(args)?.or(remote.tls_fingerprint);
            let near = crate::auth::origin::is_local_name(&url.host);
            let tunnel = remote.tunnel.as_ref().filter(|_| near);
            let tunnel = tunnel.map(|tunnel| tunnel.command(url.port));
            return Ok(Self { url, token, password, local: false, pin, tunnel, whence });
        }
        let flag = args.optional("port").and_then(|port| port.parse().ok());
        let port = place::port(paths, flag, &loaded.env, &loaded.config)?;
        let bind = crate::config::paths::bind(None, &loaded.config);
        let ip = place::near_address(bind, &loaded.config)?;
        let tls = &gateway.tls;
        let scheme = if tls.enabled { "wss" } else { "ws" };
        let url = format!("{scheme}://{}", SocketAddr::new(ip, port));
        let url = parse_url(&url, "gateway.port")?;
        let own = if tls.enabled { super::tls::local_pin(tls) } else { None };
        let pin = given_pin(args)?.or(own);
        // What the gateway here made up for itself is nearer than another gateway's token.
        let (mut token, mut password) = (token, password);
        let kept = place::token_file(paths);
        if !near
            && whence.unresolved.is_empty()
            && let Some(secret) = place::kept_token(paths)?
        {
            whence.kept(Kind::Token, &kept);
            token = Some(secret);
        }
        // Behind a proxy it is the local password of this host and user.
        if password.is_none()
            && gateway.auth.mode == Some(AuthMode::TrustedProxy)
            && let Some(secret) = place::kept_token(paths)?
        {
            whence.kept(Kind::Password, &kept);
            password = Some(secret);
        }
        Ok(Self { url, token, password, local: true, pin, tunnel: None, whence })
    }

    /// The gateway of this machine, also while the configuration means another one.
    ///
    /// # Errors
    /// When an address in it is none.
    pub fn near(args: &Args, paths: &Paths, loaded: &Loaded) -> Result<Self, Failed> {
        let mut config = (*loaded.config).clone();
        config.gateway.mode = Some(Mode::Local);
        let config = std::rc::Rc::new(config);
        let loaded = Loaded { config, env: loaded.env.clone(), files: Vec::new() };
        Self::configured(args, paths, &loaded)
    }

    /// The address as printed: without the empty path.
    pub fn shown(&self) -> String {
        self.url.to_string().trim_end_matches('/').to_owned()
    }

    /// One HTTP GET; status and body.
    ///
    /// # Errors
    /// See [`Trouble`].
    pub fn get(&self, path: &str, timeout: Duration) -> Result<(u16, Vec<u8>), Trouble> {
        let deadline = Instant::now() + timeout;
        let mut stream = Stream::connect(self, deadline)?;
        let mut out = Vec::new();
        let headers = [("Connection", "close"), ("Accept", "application/json")];
        request(&mut out, "GET", &self.url.host_header(), path, &headers, None);
        stream.write(&out, deadline)?;
        let mut client = Client::new(false);
        let (mut code, mut body) = (0, Vec::new());
        let mut chunk = vec![0; CHUNK];
        loop {
            while let Some(event) = client.next() {
                match event {
                    ClientEvent::Head { status, .. } => code = status,
                    ClientEvent::Data(data) => body.extend_from_slice(&data),
                    ClientEvent::End { .. } => return Ok((code, body)),
                    ClientEvent::Failed(error) => {
                        return Err(Trouble::NotGateway(error.to_string()));
                    }
                }
            }
            if body.len() > limits::BODY_OTHER {
                return Err(Trouble::NotGateway("its answer does not end".to_owned()));
            }
            match stream.read(&mut chunk, deadline, "its answer")? {
                [] => client.eof(),
                bytes => client.push(bytes),
            }
        }
    }
}

/// Enough for an answer from this machine.
pub const QUICK: Duration = Duration::from_secs(1);

/// How often a wait that may be interrupted looks for the signal.
const SLICE: Duration = Duration::from_millis(100);

/// What is read at once.
const CHUNK: usize = 16 * 1024;

/// A connection after `hello-ok`.
pub struct Session {
    stream: Stream,
    receiver: Receiver,
    chunk: Vec<u8>,
    deadline: Instant,
    requests: u64,
    stop: Option<Arc<AtomicUsize>>,
    /// The payload of `hello-ok`.
    pub hello: Value,
}

impl Session {
    /// Connects and shakes hands; everything until the session ends must fit into `timeout`.
    ///
    /// # Errors
    /// See [`Trouble`].
    pub fn open(
        target: &Target,
        who: Identity,
        scopes: &[&str],
        timeout: Duration,
    ) -> Result<Self, Trouble> {
        let deadline = Instant::now() + timeout;
        let mut stream = Stream::connect(target, deadline)?;
        let mut chunk = vec![0; CHUNK];
        let rest = upgrade(&mut stream, &target.url, deadline, &mut chunk)?;
        let mut receiver = Receiver::new(Role::Client, limits::WS_MESSAGE);
        receiver.push(&rest);
        let mut session =
            Self { stream, receiver, chunk, deadline, requests: 0, stop: None, hello: Value::Null };
        session.await_challenge()?;
        let params = connect_params(target, who, scopes);
        session.hello = session.request("connect", Some(params)).map_err(refused)?;
        Ok(session)
    }

    /// One request and its response's payload.
    ///
    /// # Errors
    /// See [`Trouble`].
    pub fn request(&mut self, method: &str, params: Option<Value>) -> Result<Value, Trouble> {
        let id = self.send(method, params)?;
        self.response(&id)
    }

    /// As [`Session::request`] for a two-stage method: the response after `accepted`.
    ///
    /// # Errors
    /// See [`Trouble`].
    pub fn request_final(&mut self, method: &str, params: Option<Value>) -> Result<Value, Trouble> {
        self.request_two(method, params, |_| {})
    }

    /// As [`Session::request_final`]; `accepted` hears the first response.
    ///
    /// # Errors
    /// See [`Trouble`].
    pub fn request_two(
        &mut self,
        method: &str,
        params: Option<Value>,
        mut accepted: impl FnMut(&Value),
    ) -> Result<Value, Trouble> {
        let id = self.send(method, params)?;
        loop {
            let payload = self.response(&id)?;
            if payload.get("status").and_then(Value::as_str) != Some("accepted") {
                return Ok(payload);
            }
            accepted(&payload);
        }
    }

    /// From here on every wait ends with [`Trouble::Interrupted`] as soon as `stop` holds a
    /// signal's number; `None` lets waits end by themselves again.
    pub fn stop_by(&mut self, stop: Option<Arc<AtomicUsize>>) {
        self.stop = stop;
    }

    /// A new deadline for what follows.
    pub fn allow(&mut self, timeout: Duration) {
        self.deadline = Instant::now() + timeout;
    }

    /// Waits this long, answering pings; ends early when the connection does.
    ///
    /// # Errors
    /// When the connection is lost.
    pub fn idle(&mut self, time: Duration) -> Result<(), Trouble> {
        self.allow(time);
        loop {
            match self.frame("nothing") {
                Ok(_) => {}
                Err(Trouble::Slow(_)) => return Ok(()),
                Err(trouble) => return Err(trouble),
            }
        }
    }

    /// Says good-bye; the gateway need not answer.
    pub fn close(mut self) {
        let mut out = Vec::new();
        ws::close_masked(&mut out, 1000, "", entropy::bytes());
        let _ = self.stream.write(&out, self.deadline);
    }

    fn send(&mut self, method: &str, params: Option<Value>) -> Result<String, Trouble> {
        self.requests = self.requests.saturating_add(1);
        let id = format!("{}:{}", self.requests, text::uuid_v4(entropy::bytes()));
        let mut frame = json!({"type": "req", "id": id, "method": method});
        if let (Some(params), Some(frame)) = (params, frame.as_object_mut()) {
            frame.insert("params".to_owned(), params);
        }
        let mut out = Vec::new();
        ws::text_masked(&mut out, frame.to_string(), entropy::bytes());
        self.stream.write(&out, self.deadline)?;
        Ok(id)
    }

    fn await_challenge(&mut self) -> Result<(), Trouble> {
        loop {
            let frame = self.frame("its challenge")?;
            if frame.get("event").and_then(Value::as_str) == Some("connect.challenge") {
                return Ok(());
            }
        }
    }

    /// Waits for the response with this id; events are passed over.
    fn response(&mut self, id: &str) -> Result<Value, Trouble> {
        loop {
            let mut frame = self.frame("its response")?;
            let is_ours = frame.get("type").and_then(Value::as_str) == Some("res")
                && frame.get("id").and_then(Value::as_str) == Some(id);
            if !is_ours {
                continue;
            }
            if frame.get("ok") == Some(&Value::Bool(true)) {
                return Ok(frame.get_mut("payload").map(Value::take).unwrap_or_default());
            }
            let error = frame.get("error").cloned().unwrap_or_default();
            let word = |key| error.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
            return Err(Trouble::Rpc {
                code: word("code"),
                message: word("message"),
                retryable: error.get("retryable") == Some(&Value::Bool(true)),
                details: error.get("details").cloned().unwrap_or_default(),
            });
        }
    }

    /// The next JSON frame.
    fn frame(&mut self, what: &str) -> Result<Value, Trouble> {
        loop {
            match self.receiver.next() {
                Some(Ok(Message::Text(text))) => {
                    return serde_json::from_str(&text)
                        .map_err(|_| Trouble::NotGateway("it sent no JSON".to_owned()));
                }
                Some(Ok(Message::Ping(payload))) => {
                    let mut out = Vec::new();
                    ws::pong_masked(&mut out, &payload, entropy::bytes());
                    self.stream.write(&out, self.deadline)?;
                }
                Some(Ok(Message::Close { code, reason })) => {
                    let code = code.map_or_else(|| "no code".to_owned(), |code| code.to_string());
                    return Err(Trouble::NotGateway(format!("it closed: {code} {reason}")));
                }
                Some(Ok(Message::Binary(_) | Message::Pong(_))) => {}
                Some(Err(violation)) => return Err(Trouble::NotGateway(violation.to_string())),
                None => {
                    if self.read(what)? == 0 {
                        return Err(Trouble::NotGateway("it hung up".to_owned()));
                    }
                }
            }
        }
    }

    /// Hands what arrives to the receiver; how many bytes, zero at the end.
    fn read(&mut self, what: &str) -> Result<usize, Trouble> {
        loop {
            let mut until = self.deadline;
            if let Some(stop) = &self.stop {
                let signal = stop.load(Ordering::Relaxed);
                if signal != 0 {
                    return Err(Trouble::Interrupted(i32::try_from(signal).unwrap_or_default()));
                }
                until = until.min(Instant::now() + SLICE);
            }
            match self.stream.read(&mut self.chunk, until, what) {
                Ok(bytes) => {
                    let read = bytes.len();
                    self.receiver.push(bytes);
                    return Ok(read);
                }
                Err(Trouble::Slow(_)) if Instant::now() < self.deadline => {}
                Err(trouble) => return Err(trouble),
            }
        }
    }
}

/// The scopes a call needs, no more: from the operations table; `operator.admin` for a method
/// we do not know (a newer gateway may have it).
pub fn scopes_for(method: &str, params: &Value) -> Vec<&'static str> {
    let none = Map::new();
    let params = params.as_object().unwrap_or(&none);
    let row = operations::find(method, NEWEST).or_else(|| operations::find(method, OLDEST));
    match row.map(|row| row.needs(params)) {
        Some(needed) => vec![needed.unwrap_or("operator.read")],
        None => vec!["operator.admin"],
    }
}

/// `--timeout` in milliseconds, 10 s when not given.
pub fn timeout(args: &Args) -> Duration {
    Duration::from_millis(args.number("timeout").unwrap_or(10_000))
}

fn given(args: &Args, flag: &'static str) -> Option<Secret> {
    args.value(flag).map(|text| Secret::new(text.to_owned()))
}

fn port_and_url() -> Failed {
    let what = "--port and --url cannot stand together";
    Failed { code: 2, ..Failed::new(what, "openclaw gateway probe --help") }
}

/// `--tls-fingerprint`.
fn given_pin(args: &Args) -> Result<Option<[u8; 32]>, Failed> {
    let Some(text) = args.value("tls-fingerprint") else { return Ok(None) };
    crate::config::tls::fingerprint(text).map(Some).ok_or_else(|| Failed {
        code: 2,
        ..Failed::new(
            "--tls-fingerprint is no SHA-256: it takes 64 hexadecimal digits, colons allowed",
            "openssl x509 -in gateway-cert.pem -noout -fingerprint -sha256",
        )
    })
}

/// Mode `remote` without an address.
fn no_remote_url(paths: &Paths) -> Failed {
    let path = paths.config_path.display();
    Failed::config(
        format!("gateway.mode is remote, but gateway.remote.url is not set in {path}"),
        "openclaw config set gateway.remote.url wss://<host>:18789; or, for a gateway on this \
         machine: openclaw config set gateway.mode local",
    )
}

fn env_secret(env: &BTreeMap<String, String>, name: &str) -> Option<Secret> {
    place::var(env, name).map(|text| Secret::new(text.to_owned()))
}

fn parse_url(url: &str, whence: &str) -> Result<Url, Failed> {
    Url::parse(url).map_err(|error| {
        Failed::new(format!("{whence}: {error}"), "openclaw status --url ws://127.0.0.1:18789")
    })
}

fn connect_params(target: &Target, who: Identity, scopes: &[&str]) -> Value {
    let mut auth = Map::new();
    for (key, secret) in [("token", &target.token), ("password", &target.password)] {
        if let Some(secret) = secret.as_ref().filter(|secret| !secret.is_empty()) {
            auth.insert(key.to_owned(), Value::from(secret.expose()));
        }
    }
    let mut params = json!({
        "minProtocol": OLDEST,
        "maxProtocol": NEWEST,
        "client": {
            "id": who.id,
            "displayName": "openclaw",
            "version": VERSION,
            "platform": std::env::consts::OS,
            "mode": who.mode,
        },
        "role": "operator",
        "scopes": scopes,
        "caps": [],
    });
    if let (false, Some(params)) = (auth.is_empty(), params.as_object_mut()) {
        params.insert("auth".to_owned(), Value::Object(auth));
    }
    params
}

/// An error response to `connect` is a refusal.
fn refused(trouble: Trouble) -> Trouble {
    match trouble {
        Trouble::Rpc { code, message, details, .. } => {
            let detail = details.get("code").and_then(Value::as_str).unwrap_or_default().to_owned();
            Trouble::Refused { code, detail, message }
        }
        other => other,
    }
}

/// The opening handshake; returns what came behind it.
fn upgrade(
    stream: &mut Stream,
    url: &Url,
    deadline: Instant,
    chunk: &mut [u8],
) -> Result<Vec<u8>, Trouble> {
    let key = hash::base64(&entropy::bytes::<16>());
    let mut out = Vec::new();
    ws::client_request(&mut out, &url.host_header(), &url.path_and_query, &key, &[]);
    stream.write(&out, deadline)?;
    let mut client = Client::new(false);
    loop {
        match client.next() {
            Some(ClientEvent::Head { status, headers }) => {
                return match ws::check_answer(status, &headers, &key) {
                    Ok(()) => Ok(client.take_rest()),
                    Err(error) => Err(Trouble::NotGateway(error.to_string())),
                };
            }
            Some(ClientEvent::Failed(error)) => {
                return Err(Trouble::NotGateway(error.to_string()));
            }
            Some(ClientEvent::Data(_) | ClientEvent::End { .. }) => {}
            None => match stream.read(chunk, deadline, "its handshake")? {
                [] => client.eof(),
                bytes => client.push(bytes),
            },
        }
    }
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
