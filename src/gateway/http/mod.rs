//! HTTP connections: who may pass which door, bodies, answers and streams.
//!
//! Checks at the head of a request, in this order: forwarding header (403), host and origin
//! (403; at an upgrade the origin is told by the handshake instead), upgrade, route (404, 405),
//! secret (401), switched off (404), memory (503), body (413 by the door's limit). Nothing of a
//! body is read before all of them passed.

mod answer;
mod hooks;
mod invoke;
mod outbound;
mod page;
mod previous;
mod upgrade;

pub(super) use hooks::{Completion, Started};
pub(super) use previous::Responses;

use super::Gateway;
use super::conn::State;
use super::tools::Caller;
use crate::api::openai::{chat, embeddings, responses};
use crate::api::{self, Door, Reply, Routed, openai, probes};
use crate::auth::origin::{Policy, Refused, decide};
use crate::auth::source::attribute;
use crate::driver::{ConnId, Effects, Time};
use crate::limits;
use crate::wire::http::head::{Head, Method};
use crate::wire::http::server::{CONTINUE, Event, Phase, Refusal, Server};
use answer::Answer;
use outbound::{Embedding, Fetching};

/// One HTTP connection.
#[derive(Default)]
pub(super) struct Http {
    pub(super) server: Server,
    doing: Doing,
    phase: Option<Phase>,
}

/// A request whose body is being read.
struct Pending {
    door: Door,
    head: Head,
}

/// What happens with the request under way.
#[derive(Default)]
enum Doing {
    #[default]
    Nothing,
    /// Its body is being read.
    Body(Box<Pending>),
    /// A run answers it.
    Run(Box<Answer>),
    /// The end of a hook's run answers it.
    Hook,
    /// A tool's output answers it.
    Tool,
    /// A provider's embeddings answer it.
    Embed(Box<Embedding>),
    /// Its images and files are being fetched; then a run answers it.
    Fetch(Box<Fetching>),
    /// A file of a built page is on its way.
    File(Box<page::Slices>),
}

impl Http {
    /// The run that answers the request under way.
    pub(super) fn run(&self) -> Option<u64> {
        match &self.doing {
            Doing::Run(answer) => Some(answer.run),
            _ => None,
        }
    }

    /// Bytes of the request under way, beside those of the connection.
    pub(super) fn held(&self) -> usize {
        match &self.doing {
            Doing::Embed(embedding) => embedding.bytes(),
            Doing::Fetch(fetching) => fetching.bytes(),
            _ => 0,
        }
    }

    /// How long a response may be silent.
    fn silent_until(&self) -> Option<Time> {
        match &self.doing {
            Doing::Run(answer) => answer.ping_at(),
            Doing::File(slices) => Some(slices.due()),
            _ => None,
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
        self.page_slices(id, fx);
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
        if conn.waiting(turn) > conn.out_max() {
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
        let stranger = conn.stranger.is_some();
        let room = conn.waiting(turn) <= conn.out_max();
        if !room && conn.queued <= conn.out_max() {
            // Perhaps all of it leaves in this turn, and no report of the queue would come.
            self.stalled.push(id);
        }
        let State::Http(http) = &mut conn.state else { return };
        let phase = http.server.phase();
        if phase == Phase::Closed {
            // A refused body that broke the grammar, or of which more came than is read over.
            return self.close(id, fx);
        }
        let wants_input = http.server.wants_input() && room;
        if http.phase != Some(phase) {
            http.phase = Some(phase);
            let due = match phase {
                Phase::Idle if stranger => Some(now.after_ms(limits::STRANGER_IDLE_MS)),
                Phase::Idle => Some(now.after_ms(limits::HTTP_IDLE_MS)),
                Phase::Head => Some(now.after_ms(limits::HTTP_HEAD_MS)),
                // Of a body that was refused: whoever has proved nothing has less time for it.
                Phase::Body if stranger => Some(now.after_ms(limits::HTTP_HEAD_MS)),
                Phase::Body => Some(now.after_ms(limits::HTTP_BODY_MS)),
                Phase::Responding => http.silent_until(),
                Phase::Closed => None,
            };
            self.wait_until(id, due);
        }
        self.set_reading(id, wants_input, fx);
    }

    /// A request did not become complete in time.
    pub(super) fn http_timeout(&mut self, id: ConnId, fx: &mut Effects) {
        if self.ping(id, fx) || self.page_stuck(id, fx) {
            return;
        }
        let Some(http) = self.http(id) else { return };
        if matches!(http.server.phase(), Phase::Head | Phase::Body) {
            let refusal = http.server.timed_out();
            return self.http_refused(id, refusal, fx);
        }
        self.close(id, fx);
    }

    /// Answers what the HTTP machine refused, in the shape of the path it was for, and closes.
    fn http_refused(&mut self, id: ConnId, refusal: Refusal, fx: &mut Effects) {
        let config = self.config.clone();
        let Some(http) = self.http(id) else { return };
        let limit = match &http.doing {
            Doing::Body(pending) => pending.door.body_max(&config),
            _ => limits::BODY_OTHER,
        };
        let reply = match &http.doing {
            Doing::Body(pending) if matches!(pending.door, Door::Hook(_)) => {
                api::hooks::refused(refusal.status, refusal.reason)
            }
            Doing::Body(pending) => {
                api::refused(Some(pending.head.path()), refusal.status, refusal.reason)
            }
            _ => {
                let path = http.server.refused_path().unwrap_or_default();
                api::refused(Some(path), refusal.status, refusal.reason)
            }
        };
        if refusal.status == 413 {
            self.payload_refused("gateway.http", limit);
        }
        let hsts = self.config.gateway.hsts.clone();
        self.send(id, fx, |out| reply.write(out, false, false, hsts.as_deref()));
        self.close(id, fx);
    }

    fn http_head(&mut self, id: ConnId, head: Head, fx: &mut Effects) {
        let leaving = self.leaving.is_some();
        let Some(conn) = self.conns.get_mut(id) else { return };
        let peer = conn.peer.ip();
        if leaving && let State::Http(http) = &mut conn.state {
            http.server.close_after_response();
        }
        let Ok(mut source) = attribute(&head.headers, peer, &self.config.gateway.proxies) else {
            return self.http_reply(id, &api::proxy_attribution_required(), &head, fx);
        };
        self.vouch(&mut source, &head.headers, peer);
        let policy = Policy {
            allowed_origins: &self.config.gateway.control_ui.allowed_origins,
            mode: self.credentials.mode,
            hostname: &self.host.name,
            port: self.host.port,
            proxied: source.proxied,
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
            return self.upgrade(id, &head, browser, source, fx);
        }
        let door = match api::route(&head, &self.config.hooks.path) {
            Routed::Door(door) => door,
            Routed::NotFound if self.channel_path(head.path()).is_some() => Door::Channel,
            Routed::NotFound => {
                if let Some(asked) = api::page::asked(&head, &self.config) {
                    return self.page(id, asked, &source, &head, fx);
                }
                return self.http_reply(id, &api::not_found(head.path()), &head, fx);
            }
            Routed::MethodNotAllowed(allow) => {
                let reply = api::method_not_allowed(head.path(), allow);
                return self.http_reply(id, &reply, &head, fx);
            }
        };
        if let Door::Hook(name) = &door
            && let Some(reply) = self.hook_head(&source, name, &head)
        {
            return self.http_reply(id, &reply, &head, fx);
        }
        let operation = door.operation();
        if let Some(operation) = operation
            && let Err(reply) = self.admit(&source, &head, operation)
        {
            return self.http_reply(id, &reply, &head, fx);
        }
        if operation.is_some() || matches!(door, Door::Hook(_)) {
            self.is_known_now(id);
        }
        if let Some(key) = door.switched_off(&self.config) {
            return self.http_reply(id, &openai::disabled(key), &head, fx);
        }
        if head.method == Method::Post {
            return self.http_wants_body(id, door, head, fx);
        }
        let uptime = self.uptime_ms();
        let local = source.local;
        let reply = match door {
            Door::Live => probes::live(),
            Door::Ready => probes::ready(leaving, local.then(|| (uptime, self.event_loop()))),
            Door::Startup => probes::startup(crate::protocol::VERSION, uptime),
            Door::Metrics => self.metrics_page(),
            Door::Models => openai::models(&self.config),
            Door::Model(name) => openai::model(&name, &self.config),
            Door::ChatCompletions
            | Door::Responses
            | Door::Embeddings
            | Door::ToolsInvoke
            | Door::Channel
            | Door::Hook(_) => api::method_not_allowed(head.path(), "POST"),
        };
        self.http_reply(id, &reply, &head, fx);
    }

    fn metrics_page(&mut self) -> Reply {
        self.working_on("metrics");
        probes::metrics(self.metrics_text().unwrap_or_default())
    }

    /// A door that takes a body gets it, as long as there is room for one.
    fn http_wants_body(&mut self, id: ConnId, door: Door, head: Head, fx: &mut Effects) {
        if self.memory_full() {
            self.memory_pressed();
            let message = "the gateway holds as much as it may (limit memory); try again";
            let reply = api::error(503, "api_error", message).with("Retry-After", "1");
            return self.http_reply(id, &reply, &head, fx);
        }
        let body_max = door.body_max(&self.config);
        let Some(http) = self.http(id) else { return };
        http.server.read_body(body_max);
        http.doing = Doing::Body(Box::new(Pending { door, head }));
    }

    /// The client has gone: what was done for it alone is cancelled. A hook's run goes on.
    pub(super) fn leave_http(&mut self, id: ConnId, http: Http, fx: &mut Effects) {
        match http.doing {
            Doing::Run(answer) => {
                self.cancel_run(answer.run, "disconnected", fx);
            }
            Doing::Tool => {
                let own = |caller: &Caller| matches!(caller, Caller::Http { conn } if *conn == id);
                self.cancel_tools(own, fx);
            }
            Doing::Embed(embedding) => {
                if let Some(exchange) = embedding.exchange {
                    self.cancel_exchange(exchange, fx);
                }
            }
            Doing::Fetch(fetching) => {
                if let Some(exchange) = fetching.exchange {
                    self.cancel_exchange(exchange, fx);
                }
            }
            Doing::Nothing | Doing::Body(_) | Doing::Hook | Doing::File(_) => {}
        }
    }

    /// Answers a service's request, perhaps in a later turn.
    pub(super) fn respond_to_hook(&mut self, id: ConnId, reply: &Reply, fx: &mut Effects) {
        if self.http(id).is_some_and(|http| matches!(http.doing, Doing::Hook)) {
            self.respond_late(id, reply, fx);
        }
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
        let hsts = self.config.gateway.hsts.clone();
        self.send(id, fx, |out| reply.write(out, head_only, keep_alive, hsts.as_deref()));
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
        let Pending { door, head } = *pending;
        let outcome = match door {
            Door::ChatCompletions => match chat::parse(body, &head.headers, &self.config) {
                Ok(request) => self.fetch_media(id, request, head.http10, fx),
                Err(reply) => Err(reply),
            },
            Door::Responses => {
                let nonce = self.uuid();
                match responses::parse(body, &head.headers, &self.config, &nonce) {
                    Ok(request) => self.fetch_media(id, request, head.http10, fx),
                    Err(reply) => Err(reply),
                }
            }
            Door::Embeddings => match embeddings::parse(body, &head.headers, &self.config) {
                Ok(request) => self.embed(id, request, fx),
                Err(reply) => Err(reply),
            },
            Door::ToolsInvoke => self.invoke(id, body, fx),
            Door::Channel => {
                if let Some(http) = self.http(id) {
                    http.doing = Doing::Hook;
                }
                self.channel_hook(id, &head, body.to_vec(), fx);
                Ok(())
            }
            Door::Hook(name) => match self.hook_body(id, &name, body, &head) {
                Some(reply) => Err(reply),
                None => Ok(()),
            },
            _ => Err(api::not_found(head.path())),
        };
        if let Err(reply) = outcome {
            self.respond(id, &reply, false, fx);
        }
    }
}

#[cfg(test)]
#[path = "http_tests.rs"]
mod tests;
