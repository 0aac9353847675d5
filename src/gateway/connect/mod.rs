//! The handshake: from the challenge to `hello-ok`, or to the one refusal that fits.
//!
//! ```text
//!   challenged --frame--> shape -> params -> protocol -> role -> origin -> device -> secret
//!                           |        |          |         |        |         |         |
//!                           v        v          v         v        v         v         v
//!                        1000/1008  1008       1002      1008     1008      1008      1008
//! ```
//!
//! The order is the reference's (FACTS.md section 2.1): with two faults the earlier is told.

mod guess;
mod hello;
mod prove;
mod proxy;

use super::Gateway;
use super::conn::{Conn, Role, State};
use super::devices::{Granted, name_of};
use crate::auth::devices::{Claim, known};
use crate::auth::identity::Identity;
use crate::driver::{ConnId, Effects};
use crate::protocol::error::ErrorShape;
use crate::protocol::frame::{self, BadFrame, Request, write_error};
use crate::protocol::params::{Field, Kind, check, may, must};
use crate::protocol::{CLIENT_IDS, CLIENT_MODES, NEWEST, OLDEST, close, negotiate};
use crate::wire::ws::{self, Message};
use serde_json::{Map, Value, json};

const ANY_INT: Kind = Kind::Int(1, 9_007_199_254_740_991);

/// `ConnectParams.client` of the schema.
const CLIENT: &[Field] = &[
    must("id", Kind::OneOf(&CLIENT_IDS)),
    may("displayName", Kind::Str),
    must("version", Kind::Text(256)),
    may("buildId", Kind::Text(96)),
    must("platform", Kind::Text(256)),
    may("deviceFamily", Kind::Str),
    may("modelIdentifier", Kind::Str),
    may("timeZone", Kind::Text(64)),
    must("mode", Kind::OneOf(&CLIENT_MODES)),
    may("instanceId", Kind::Str),
];

const DEVICE: &[Field] = &[
    must("id", Kind::Text(256)),
    must("publicKey", Kind::Text(256)),
    must("signature", Kind::Text(256)),
    must("signedAt", Kind::Int(0, 9_007_199_254_740_991)),
    must("nonce", Kind::Text(256)),
];

const AUTH: &[Field] = &[
    may("token", Kind::Str),
    may("bootstrapToken", Kind::Str),
    may("deviceToken", Kind::Str),
    may("password", Kind::Str),
    may("approvalRuntimeToken", Kind::Str),
    may("agentRuntimeIdentityToken", Kind::Str),
];

/// `ConnectParams` of the schema (2026.9.1), and `modelCatalog`, which newer pages send.
const CONNECT: &[Field] = &[
    must("minProtocol", ANY_INT),
    must("maxProtocol", ANY_INT),
    must("client", Kind::Fields(CLIENT)),
    may("caps", Kind::Strings),
    may("commands", Kind::Strings),
    may("computerUse", Kind::Any),
    may("workerRuns", Kind::Obj),
    may("permissions", Kind::Obj),
    may("pathEnv", Kind::Str),
    may("role", Kind::Str),
    may("scopes", Kind::Strings),
    may("device", Kind::Fields(DEVICE)),
    may("auth", Kind::Fields(AUTH)),
    may("locale", Kind::Str),
    may("userAgent", Kind::Str),
    may("modelCatalog", Kind::Obj),
];

/// A refusal: what is answered, and the close code behind it.
struct Refusal {
    error: ErrorShape,
    code: u16,
}

impl Refusal {
    fn policy(error: ErrorShape) -> Self {
        Self { error, code: close::POLICY }
    }
}

/// What a connect request asked for, after every check but the secret's.
struct Asked {
    protocol: u32,
    role: Role,
    id: &'static str,
    mode: &'static str,
    scopes: Vec<String>,
    browser: bool,
    /// Who it proved to be.
    identity: Identity,
    /// What its device is given.
    granted: Granted,
}

/// Capabilities that make a difference here; clients send others, and may.
const CAPS: [&str; 3] = ["tool-events", "approvals", "exec-approvals"];

fn known_caps(params: &Map<String, Value>) -> Vec<&'static str> {
    let said = params.get("caps").and_then(Value::as_array);
    let said = |cap: &str| said.is_some_and(|caps| caps.iter().any(|said| said == cap));
    CAPS.into_iter().filter(|cap| said(cap)).collect()
}

impl Gateway {
    /// Serves what has arrived before `connect` succeeded.
    pub(super) fn shake_hands(&mut self, id: ConnId, fx: &mut Effects) {
        loop {
            let Some(Conn { state: State::Handshake(shake), .. }) = self.conns.get_mut(id) else {
                return;
            };
            match shake.recv.next() {
                None => return,
                Some(Ok(Message::Text(text))) => self.first_frame(id, &text, fx),
                Some(Ok(Message::Ping(bytes))) => {
                    self.send(id, fx, |out| ws::pong(out, &bytes));
                }
                Some(Ok(Message::Pong(_))) => {}
                Some(Ok(Message::Binary(_))) => self.close_socket(id, close::NORMAL, "", fx),
                Some(Ok(Message::Close { .. })) => self.close_socket(id, close::NORMAL, "", fx),
                Some(Err(violation)) => {
                    let code = violation.close_code();
                    let reason = if code == close::TOO_BIG { "" } else { violation.reason() };
                    if code == close::TOO_BIG {
                        self.payload_refused("gateway.ws.preauth", crate::limits::WS_FRAME_PREAUTH);
                    }
                    self.close_socket(id, code, reason, fx);
                }
            }
        }
    }

    /// Nothing valid came in time: closed with 1000, as the reference does.
    pub(super) fn handshake_timeout(&mut self, id: ConnId, fx: &mut Effects) {
        self.close_socket(id, close::NORMAL, "", fx);
    }

    /// Sends a close frame and closes behind it.
    pub(super) fn close_socket(&mut self, id: ConnId, code: u16, reason: &str, fx: &mut Effects) {
        self.send(id, fx, |out| ws::close(out, code, reason));
        self.close(id, fx);
    }

    fn first_frame(&mut self, id: ConnId, text: &str, fx: &mut Effects) {
        let request = match frame::parse(text) {
            Ok(request) => request,
            Err(BadFrame::Malformed) => return self.close_socket(id, close::NORMAL, "", fx),
            Err(BadFrame::Invalid { .. }) => {
                return self.close_socket(id, close::POLICY, "invalid request frame", fx);
            }
        };
        let judged = match self.may_connect(id, &request) {
            Ok(()) => self.judge(id, &request, fx),
            Err(error) => Err(Refusal::policy(error)),
        };
        self.guessed_connect(id, &request, &judged);
        match judged {
            Ok(asked) => self.welcome(id, &request, asked, fx),
            Err(refusal) => {
                let peer = self.conns.get(id).map(|conn| conn.peer);
                log::info!(target: "gateway/ws", "connect refused for {}: {}",
                    peer.map_or_else(|| "?".to_owned(), |peer| peer.to_string()),
                    refusal.error.message);
                self.send(id, fx, |out| {
                    let mut frame = Vec::new();
                    write_error(&mut frame, &request.id, &refusal.error);
                    ws::text(out, &frame);
                });
                self.close_socket(id, refusal.code, &refusal.error.message, fx);
            }
        }
    }

    fn judge(&mut self, id: ConnId, request: &Request, fx: &mut Effects) -> Result<Asked, Refusal> {
        if request.method != "connect" {
            let text = "invalid handshake: first request must be connect";
            return Err(Refusal::policy(ErrorShape::invalid(text)));
        }
        let params = &request.params;
        check(params, CONNECT, false).map_err(|what| {
            Refusal::policy(ErrorShape::invalid(format!("invalid connect params: {what}")))
        })?;
        let protocol = protocol(params)?;
        let role = match params.get("role").and_then(Value::as_str) {
            None | Some("operator") => Role::Operator,
            Some("node") => Role::Node,
            Some(_) => return Err(Refusal::policy(ErrorShape::invalid("invalid role"))),
        };
        let Some(Conn { state: State::Handshake(shake), .. }) = self.conns.get(id) else {
            return Err(Refusal::policy(ErrorShape::unavailable("the connection is gone")));
        };
        let browser = shake.browser.map_err(|refused| {
            Refusal::policy(ErrorShape::invalid(refused.message()).with(json!({
                "code": "CONTROL_UI_ORIGIN_NOT_ALLOWED", "reason": refused.reason(),
            })))
        })?;
        let client =
            |name| params.get("client").and_then(|client| client.get(name)).and_then(Value::as_str);
        // Checked against these very lists above.
        let id = CLIENT_IDS.into_iter().find(|id| client("id") == Some(id)).unwrap_or("test");
        let mode =
            CLIENT_MODES.into_iter().find(|mode| client("mode") == Some(mode)).unwrap_or("test");
        let source = shake.source.clone();
        self.device(params, shake, id, role)?;
        let claim = claim(params, &source, role, id, mode);
        let mut identity = self.proof(params, shake, claim.as_ref())?;
        let granted = match &claim {
            Some(claim) => {
                let shown = prove::shown(params, &identity.proof);
                self.settle_device(claim, &source, &mut identity, shown, fx)
                    .map_err(Refusal::policy)?
            }
            None => Granted::default(),
        };
        let scopes = match params.get("scopes") {
            Some(Value::Array(scopes)) => {
                scopes.iter().filter_map(Value::as_str).map(str::to_owned).collect()
            }
            _ => Vec::new(),
        };
        Ok(Asked { protocol, role, id, mode, scopes, browser, identity, granted })
    }
}

/// What a device that proved its key asks for; `None` without one.
fn claim(
    params: &Map<String, Value>,
    source: &crate::auth::source::Source,
    role: Role,
    client_id: &'static str,
    client_mode: &'static str,
) -> Option<Claim> {
    let of = |outer: &str, name: &str| {
        params.get(outer).and_then(|v| v.get(name)).and_then(Value::as_str).unwrap_or_default()
    };
    params.get("device")?;
    let asked: &[Value] = match (role, params.get("scopes")) {
        (Role::Operator, Some(Value::Array(asked))) => asked,
        _ => &[],
    };
    let plain = |text: &str| text.trim().to_ascii_lowercase();
    Some(Claim {
        device_id: of("device", "id").to_owned(),
        public_key: of("device", "publicKey").to_owned(),
        role: role.as_str(),
        scopes: known(asked.iter().filter_map(Value::as_str)),
        platform: plain(of("client", "platform")),
        device_family: plain(of("client", "deviceFamily")),
        client_id,
        client_mode,
        display_name: name_of(of("client", "displayName")),
        remote_ip: (!source.local).then(|| source.ip.to_string()),
    })
}

fn protocol(params: &Map<String, Value>) -> Result<u32, Refusal> {
    let number = |name| params.get(name).and_then(Value::as_u64).unwrap_or(0);
    let (min, max) = (number("minProtocol"), number("maxProtocol"));
    let narrow = |value| u32::try_from(value).unwrap_or(u32::MAX);
    negotiate(narrow(min), narrow(max)).ok_or_else(|| Refusal {
        error: ErrorShape::invalid("protocol mismatch").with(json!({
            "code": "PROTOCOL_MISMATCH",
            "clientMinProtocol": min,
            "clientMaxProtocol": max,
            "expectedProtocol": NEWEST,
            "minimumProbeProtocol": OLDEST,
        })),
        code: close::PROTOCOL,
    })
}

/// Any first frame through the whole judgement of a fresh handshake; never a panic.
pub fn fuzz_params(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(request) = frame::parse(text) else { return };
    if check(&request.params, CONNECT, false).is_ok() {
        let _ =
            protocol(&request.params).map(|version| assert!((OLDEST..=NEWEST).contains(&version)));
        if let Some(Value::Object(device)) = request.params.get("device") {
            let _ = crate::auth::device::verify(device, &request.params, "nonce", 0);
        }
    }
}
