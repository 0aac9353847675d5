//! HTTP connections: who may pass which door, bodies, answers and streams.
//!
//! Checks at the head of a request, in this order: forwarding header (403), host and origin
//! (403; at an upgrade the origin is told by the handshake instead), upgrade, route (404, 405),
//! secret (401), switched off (404), memory (503), body (413 by the door's limit). Nothing of a
//! body is read before all of them passed.

use super::conn::{Handshake, State};
use super::runs::{Cause, NewRun};
use super::{Gateway, runs};
use crate::agent::run::RunEvent;
use crate::agent::{ToolCall, Usage};
use crate::api::openai::chat::{self, ChatRequest, Writer, Wrote};
use crate::api::{self, Door, Reply, Routed, openai, probes};
use crate::auth::origin::{Policy, Refused, decide};
use crate::auth::{Verdict, has_forwarding_header, is_loopback};
use crate::driver::{ConnId, Effects};
use crate::limits;
use crate::protocol::frame::write_event;
use crate::wire::http::head::{Head, Method};
use crate::wire::http::respond::{Framing, Response};
use crate::wire::http::server::{CONTINUE, Event, Phase, Refusal, Server};
use crate::wire::ws::{self, Receiver, Role, UpgradeError};
use serde_json::json;

/// One HTTP connection.
#[derive(Default)]
pub(super) struct Http {
    pub(super) server: Server,
    doing: Doing,
    phase: Option<Phase>,
}

/// What happens with the request under way.
#[derive(Default)]
enum Doing {
    #[default]
    Nothing,
    /// Its body is being read.
    Body(Box<(Door, Head)>),
    /// A run answers it.
    Run(Box<Answer>),
}

/// The answer of a run.
struct Answer {
    run: u64,
    writer: Writer,
    /// How the stream is framed; `None` for a whole answer.
    framing: Option<Framing>,
}

impl Http {
    /// The run that answers the request under way.
    pub(super) fn run(&self) -> Option<u64> {
        match &self.doing {
            Doing::Run(answer) => Some(answer.run),
            Doing::Nothing | Doing::Body(_) => None,
        }
    }
}

impl Gateway {
    fn http(&mut self, id: ConnId) -> Option<&mut Http> {
        match &mut self.conns.get_mut(id)?.state {
            State::Http(http) => Some(http),
            _ => None,
        }
    }

    /// Serves what has arrived on a connection.
    pub(super) fn serve_http(&mut self, id: ConnId, fx: &mut Effects) {
        while let Some(event) = self.next_http(id) {
            match event {
                Event::Head(head) => {
                    if let Some(http) = self.http(id) {
                        // Another request began: its deadline is its own, also when the phase
                        // is the same again after this turn.
                        http.phase = None;
                    }
                    self.http_head(id, head, fx);
                }
                Event::Continue => self.send(id, fx, |out| out.extend_from_slice(CONTINUE)),
                Event::Body(body) => self.http_body(id, &body, fx),
                Event::Refused(refusal) => self.http_refused(id, refusal, fx),
            }
        }
        self.after_http(id, fx);
    }

    /// The next event of a connection; none while its peer does not take our answers, so that
    /// requests without end do not become answers without end.
    fn next_http(&mut self, id: ConnId) -> Option<Event> {
        let turn = self.turn;
        let conn = self.conns.get_mut(id)?;
        if conn.waiting(turn) > limits::STREAM_HIGH {
            return None;
        }
        match &mut conn.state {
            State::Http(http) => http.server.next(),
            _ => None,
        }
    }

    /// Deadline and back pressure by what the connection waits for now.
    fn after_http(&mut self, id: ConnId, fx: &mut Effects) {
        let now = self.now.time;
        let turn = self.turn;
        let Some(conn) = self.conns.get_mut(id) else { return };
        let room = conn.waiting(turn) <= limits::STREAM_HIGH;
        if !room && conn.queued <= limits::STREAM_HIGH {
            // Perhaps all of it leaves in this turn, and no report of the queue would come.
            self.stalled.push(id);
        }
        let State::Http(http) = &mut conn.state else { return };
        let phase = http.server.phase();
        let wants_input = http.server.wants_input() && room;
        if http.phase != Some(phase) {
            http.phase = Some(phase);
            let ms = match phase {
                Phase::Idle => Some(limits::HTTP_IDLE_MS),
                Phase::Head => Some(limits::HTTP_HEAD_MS),
                Phase::Body => Some(limits::HTTP_BODY_MS),
                Phase::Responding | Phase::Closed => None,
            };
            self.wait_until(id, ms.map(|ms| now.after_ms(ms)));
        }
        self.set_reading(id, wants_input, fx);
    }

    /// A request did not become complete in time.
    pub(super) fn http_timeout(&mut self, id: ConnId, fx: &mut Effects) {
        let Some(http) = self.http(id) else { return };
        if matches!(http.server.phase(), Phase::Head | Phase::Body) {
            let refusal = http.server.timed_out();
            return self.http_refused(id, refusal, fx);
        }
        self.close(id, fx);
    }

    /// Answers what the HTTP machine refused, in the shape of the path it was for, and closes.
    fn http_refused(&mut self, id: ConnId, refusal: Refusal, fx: &mut Effects) {
        let Some(http) = self.http(id) else { return };
        let path = match &http.doing {
            Doing::Body(pending) => pending.1.path(),
            _ => http.server.refused_path().unwrap_or_default(),
        };
        let reply = api::refused(Some(path), refusal.status, refusal.reason);
        self.send(id, fx, |out| reply.write(out, false, false));
        self.close(id, fx);
    }

    fn http_head(&mut self, id: ConnId, head: Head, fx: &mut Effects) {
        let leaving = self.leaving.is_some();
        let Some(conn) = self.conns.get_mut(id) else { return };
        let peer = conn.peer.ip();
        if leaving && let State::Http(http) = &mut conn.state {
            http.server.close_after_response();
        }
        if has_forwarding_header(&head.headers) {
            return self.http_reply(id, &api::proxy_attribution_required(), &head, fx);
        }
        let policy = Policy {
            allowed_origins: &self.config.gateway.control_ui.allowed_origins,
            mode: self.credentials.mode,
            hostname: &self.host.name,
            port: self.host.port,
        };
        let browser = decide(&head.headers, peer, policy);
        let upgrade = head.is_upgrade_websocket();
        if let Err(refused) = browser
            && (!upgrade || refused == Refused::Host)
        {
            let kind = if refused == Refused::Host { "host_not_allowed" } else { "forbidden" };
            return self.http_reply(id, &api::error(403, kind, refused.message()), &head, fx);
        }
        if upgrade {
            return self.upgrade(id, &head, browser, fx);
        }
        let door = match api::route(&head) {
            Routed::Door(door) => door,
            Routed::NotFound => {
                return self.http_reply(id, &api::not_found(head.path()), &head, fx);
            }
            Routed::MethodNotAllowed(allow) => {
                let reply = api::method_not_allowed(head.path(), allow);
                return self.http_reply(id, &reply, &head, fx);
            }
        };
        if door.needs_secret() && self.credentials.check(head.bearer()) != Verdict::Granted {
            return self.http_reply(id, &api::unauthorized(), &head, fx);
        }
        let endpoints = self.config.gateway.endpoints;
        if door == Door::ChatCompletions && !endpoints.chat_completions {
            let reply = openai::disabled("gateway.http.endpoints.chatCompletions.enabled");
            return self.http_reply(id, &reply, &head, fx);
        }
        if head.method == Method::Post {
            if self.memory_full() {
                let message = "the gateway holds as much as it may (limit memory); try again";
                let reply = api::error(503, "api_error", message).with("Retry-After", "1");
                return self.http_reply(id, &reply, &head, fx);
            }
            let Some(http) = self.http(id) else { return };
            http.server.read_body(door.body_max());
            http.doing = Doing::Body(Box::new((door, head)));
            return;
        }
        let uptime = self.uptime_ms();
        let local = is_loopback(peer);
        let reply = match door {
            Door::Live => probes::live(),
            Door::Ready => probes::ready(leaving, local.then_some(uptime)),
            Door::Startup => probes::startup(crate::protocol::VERSION, uptime),
            Door::Models => openai::models(&self.config),
            Door::Model(name) => openai::model(&name, &self.config),
            Door::ChatCompletions => api::method_not_allowed(head.path(), "POST"),
        };
        self.http_reply(id, &reply, &head, fx);
    }

    /// Answers a request whose body nobody wants.
    fn http_reply(&mut self, id: ConnId, reply: &Reply, head: &Head, fx: &mut Effects) {
        let Some(http) = self.http(id) else { return };
        http.server.skip_body();
        self.respond(id, reply, head.method == Method::Head, fx);
    }

    /// Writes a whole response and makes room for the next request.
    fn respond(&mut self, id: ConnId, reply: &Reply, head_only: bool, fx: &mut Effects) {
        let Some(http) = self.http(id) else { return };
        let keep_alive = http.server.keep_alive();
        self.send(id, fx, |out| reply.write(out, head_only, keep_alive));
        self.responded(id, fx);
    }

    fn responded(&mut self, id: ConnId, fx: &mut Effects) {
        let Some(http) = self.http(id) else { return };
        http.doing = Doing::Nothing;
        if !http.server.response_done() {
            self.close(id, fx);
        }
    }

    fn http_body(&mut self, id: ConnId, body: &[u8], fx: &mut Effects) {
        let Some(http) = self.http(id) else { return };
        let Doing::Body(pending) = std::mem::take(&mut http.doing) else { return };
        let (door, head) = *pending;
        let outcome = match door {
            Door::ChatCompletions => match chat::parse(body, &head.headers, &self.config) {
                Ok(request) => self.complete(id, request, head.http10, fx),
                Err(reply) => Err(reply),
            },
            _ => Err(api::not_found(head.path())),
        };
        if let Err(reply) = outcome {
            self.respond(id, &reply, false, fx);
        }
    }

    /// Starts the run behind a chat completion; a stream begins at once, so that the client
    /// sees life.
    fn complete(
        &mut self,
        id: ConnId,
        request: ChatRequest,
        http10: bool,
        fx: &mut Effects,
    ) -> Result<(), Reply> {
        if let Some(model) = &request.backend_model
            && !runs::model_exists(&self.config, model)
        {
            return Err(openai::invalid(
                404,
                &format!("Model '{model}' not found: x-openclaw-model names provider/model"),
            ));
        }
        let uuid = self.uuid();
        let writer = Writer::new(&request, &uuid, self.now.wall_ms);
        let stateless = request.session_key.is_none();
        let key = match request.session_key {
            Some(key) => key,
            None => format!("agent:{}:openai:{uuid}", request.agent),
        };
        let run_id = format!("chatcmpl_{uuid}");
        let new = NewRun {
            keep: !stateless,
            ask: request.ask,
            model: request.backend_model,
            ..NewRun::new(run_id, Cause::Http(id), key, request.agent)
        };
        let run = self.accept_run(new).map_err(|error| {
            let reply = api::error(503, "api_error", &error.message);
            reply.with("Retry-After", "1")
        })?;
        let Some(http) = self.http(id) else { return Ok(()) };
        let keep_alive = http.server.keep_alive();
        let stream = writer.is_stream();
        let mut framing = None;
        if stream {
            self.send(id, fx, |out| {
                let head = Response::new(200)
                    .header("Cache-Control", "no-cache")
                    .content_type("text/event-stream; charset=utf-8");
                let framed = head.stream_head(out, http10, keep_alive);
                let mut opening = Vec::new();
                writer.opening(&mut opening);
                framed.write(out, &opening);
                framing = Some(framed);
            });
        }
        if let Some(http) = self.http(id) {
            http.doing = Doing::Run(Box::new(Answer { run, writer, framing }));
        }
        Ok(())
    }

    /// What a run has to say to the HTTP client that asked for it: all pieces of one turn leave
    /// as one chunk.
    pub(super) fn http_events(
        &mut self,
        id: ConnId,
        events: &[RunEvent],
        text: &str,
        calls: &[ToolCall],
        usage: Usage,
        fx: &mut Effects,
    ) {
        let Some(http) = self.http(id) else { return };
        let Doing::Run(answer) = std::mem::take(&mut http.doing) else { return };
        let mut piece = std::mem::take(&mut self.scratch);
        piece.clear();
        let mut end = None;
        for event in events {
            match answer.writer.event(event, text, calls, usage, &mut piece) {
                Wrote::More => {}
                other => end = Some(other),
            }
        }
        if let Some(framing) = answer.framing {
            self.send(id, fx, |out| {
                framing.write(out, &piece);
                if end.is_some() {
                    framing.end(out);
                }
            });
        }
        self.give_back(piece);
        match end {
            None => {
                if let Some(http) = self.http(id) {
                    http.doing = Doing::Run(answer);
                }
                return;
            }
            Some(Wrote::Reply(reply)) => self.respond(id, &reply, false, fx),
            Some(_) => {
                self.responded(id, fx);
                if answer.framing == Some(Framing::Close) {
                    self.close(id, fx);
                }
            }
        }
        // A pipelined request may have been waiting.
        self.serve_http(id, fx);
        self.count_held(id);
    }

    fn upgrade(
        &mut self,
        id: ConnId,
        head: &Head,
        browser: Result<bool, Refused>,
        fx: &mut Effects,
    ) {
        let accept = match ws::check_upgrade(head) {
            Ok(accept) => accept,
            Err(error) => {
                let text = match error {
                    UpgradeError::Version => "unsupported WebSocket version; use 13",
                    UpgradeError::Key => "missing or malformed Sec-WebSocket-Key",
                };
                let reply = Reply::text(400, text).with("Sec-WebSocket-Version", "13");
                return self.http_reply(id, &reply, head, fx);
            }
        };
        if self.leaving.is_some() {
            let reply = Reply::text(503, "the gateway is stopping").with("Retry-After", "5");
            return self.http_reply(id, &reply, head, fx);
        }
        let nonce = self.uuid();
        let challenge = json!({"nonce": nonce, "ts": self.now.wall_ms}).to_string();
        self.send(id, fx, |out| {
            ws::upgrade_response(out, &accept, &[]);
            let mut frame = Vec::with_capacity(160);
            write_event(&mut frame, "connect.challenge", challenge.as_bytes(), None, None);
            ws::text(out, &frame);
        });
        let due = self.now.time.after_ms(self.config.gateway.handshake_timeout_ms);
        let Some(conn) = self.conns.get_mut(id) else { return };
        let State::Http(http) = &mut conn.state else { return };
        let rest = http.server.take_rest();
        let mut recv = Receiver::new(Role::Server, limits::WS_FRAME_PREAUTH);
        recv.push(&rest);
        conn.state = State::Handshake(Box::new(Handshake { recv, nonce, browser }));
        self.wait_until(id, Some(due));
        self.set_reading(id, true, fx);
        self.shake_hands(id, fx);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Gateway, Host, Setup};
    use crate::auth::Credentials;
    use crate::config::{AuthMode, Config, Secret};
    use crate::driver::{ConnId, Core, Effect, Effects, Entropy, Input, Now, Time};
    use crate::limits;
    use crate::store::RealDisk;
    use std::rc::Rc;

    struct Zero;

    impl Entropy for Zero {
        fn fill(&mut self, out: &mut [u8]) {
            out.fill(0);
        }
    }

    const CONN: ConnId = ConnId { slot: 0, generation: 0 };

    /// One client of a gateway that keeps nothing; what it was sent.
    struct Client {
        gateway: Gateway,
        fx: Effects,
        now: Now,
    }

    impl Client {
        fn new() -> Self {
            let secret = Secret::new("secret".to_owned());
            let host = Host {
                name: "pi".to_owned(),
                address: None,
                platform: "linux",
                pid: 1,
                port: 18789,
            };
            let nowhere = std::env::temp_dir().join("openclaw-http-tests-keep-nothing");
            let setup = Setup {
                config: Rc::new(Config::defaults()),
                credentials: Credentials::new(AuthMode::Token, Some(secret), None),
                reload: None,
                host,
                log_path: nowhere.join("log"),
                state_dir: nowhere,
                disk: Box::new(RealDisk),
                entropy: Box::new(Zero),
            };
            let now = Now::default();
            let mut gateway = Gateway::new(setup, now).unwrap();
            let mut fx = Effects::new();
            let addr = "127.0.0.1:1".parse().unwrap();
            gateway.on(now, Input::Accepted { conn: CONN, peer: addr, local: addr }, &mut fx);
            Self { gateway, fx, now }
        }

        fn sent(&mut self) -> String {
            let bytes = self.fx.drain().filter_map(|effect| match effect {
                Effect::Send { bytes, .. } => Some(bytes),
                _ => None,
            });
            String::from_utf8(bytes.flatten().collect()).unwrap()
        }

        fn says(&mut self, text: &str) -> String {
            let input = Input::Received { conn: CONN, bytes: text.as_bytes() };
            self.gateway.on(self.now, input, &mut self.fx);
            self.gateway.turn_end(self.now, &mut self.fx);
            self.sent()
        }

        fn waits(&mut self, ms: u64) -> String {
            self.now.time = Time(self.now.time.0).after_ms(ms);
            self.gateway.on(self.now, Input::Wake, &mut self.fx);
            self.sent()
        }
    }

    #[test]
    fn each_pipelined_head_has_its_own_time() {
        let (first, rest) = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n".split_at(10);
        let mut client = Client::new();
        assert_eq!(client.says(first), "");
        for _ in 0..4 {
            // Never idle, never late: half of the next request comes with the rest of this.
            assert_eq!(client.waits(limits::HTTP_HEAD_MS - 1), "");
            let answer = client.says(&format!("{rest}{first}"));
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        }
        let late = client.waits(limits::HTTP_HEAD_MS);
        assert!(late.starts_with("HTTP/1.1 408"), "{late}");
    }

    #[test]
    fn whatever_is_refused_below_v1_is_refused_in_json() {
        let long = format!("X: {}", "x".repeat(limits::HTTP_HEAD));
        let table = [
            ("/v1/models?x", "Host: x\r\nContent-Length: 1\r\nContent-Length: 2", 400, true),
            ("/v1/models", "Accept: */*", 400, true),
            ("/v1/chat/completions", "Host: x\r\nContent-Length: 1\r\nExpect: y", 417, true),
            ("/v1/models", long.as_str(), 431, true),
            ("/healthz", long.as_str(), 431, false),
            ("/v10", "Accept: */*", 400, false),
        ];
        for (path, header, status, json) in table {
            let answer = Client::new().says(&format!("GET {path} HTTP/1.1\r\n{header}\r\n\r\n"));
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{path} {answer}");
            assert_eq!(answer.contains("{\"error\":{"), json, "{path} {answer}");
        }
        let mut client = Client::new();
        client.says("POST /v1/chat/completions HTTP/1.1\r\nHo");
        let late = client.waits(limits::HTTP_HEAD_MS);
        assert!(late.starts_with("HTTP/1.1 408") && late.contains("{\"error\":{"), "{late}");
    }
}
