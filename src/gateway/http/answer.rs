//! Requests that a run answers, whole or as a stream, and the `: ping` of a stream that waits.

use super::previous::Scope;
use super::{Doing, Http};
use crate::agent::run::RunEvent;
use crate::agent::{ToolCall, Usage};
use crate::api::openai::request::{OfDoor, Request};
use crate::api::openai::{View, Writer, Wrote, invalid};
use crate::api::{self, Reply};
use crate::driver::{ConnId, Effect, Effects, Time};
use crate::gateway::Gateway;
use crate::gateway::runs::{self, Cause, NewRun};
use crate::limits;
use crate::wire::http::respond::{Framing, Response};
use crate::wire::sse;

/// The answer of a run.
pub(super) struct Answer {
    pub(super) run: u64,
    writer: Writer,
    /// How the stream is framed; `None` for a whole answer.
    framing: Option<Framing>,
    /// When the stream has been silent for too long.
    ping_at: Option<Time>,
    /// Since when its reader has taken nothing, and how much waited then.
    stuck: Option<(Time, usize)>,
}

impl Answer {
    /// When a silent stream says something.
    pub(super) fn ping_at(&self) -> Option<Time> {
        self.ping_at
    }
}

/// Where the conversation of a request is kept.
struct Place {
    key: String,
    keep: bool,
    /// What a later `previous_response_id` must share; `None` when there is nothing to continue.
    scope: Option<Scope>,
}

impl Gateway {
    /// Starts the run behind a request; a stream begins at once, so that the client sees life.
    pub(super) fn complete(
        &mut self,
        id: ConnId,
        request: Request,
        http10: bool,
        fx: &mut Effects,
    ) -> Result<(), Reply> {
        if let Some(model) = &request.backend_model
            && !runs::model_exists(&self.config, model)
        {
            let shown: String = model.chars().take(128).collect();
            return Err(invalid(
                404,
                &format!("Model '{shown}' not found: x-openclaw-model names provider/model"),
            ));
        }
        let (uuid, item) = (self.uuid(), self.uuid());
        let writer = Writer::new(&request, &uuid, &item, self.now.wall_ms);
        let Place { key, keep, scope } = self.place(&request, &uuid);
        let run_id = match request.door {
            OfDoor::Chat { .. } => format!("chatcmpl_{uuid}"),
            OfDoor::Responses { .. } => format!("resp_{uuid}"),
        };
        let mut ask = request.ask;
        ask.call_ids = Some(run_id.clone());
        let new = NewRun {
            keep,
            ask,
            model: request.backend_model,
            ..NewRun::new(run_id.clone(), Cause::Http(id), key.clone(), request.agent)
        };
        let run = self.accept_run(new).map_err(|error| {
            let reply = api::error(503, "api_error", &error.message);
            reply.with("Retry-After", "1")
        })?;
        if let Some(scope) = scope {
            self.responses.put(run_id, key, scope, self.now.time);
        }
        self.answer_with(id, run, writer, http10, fx);
        Ok(())
    }

    /// The session rule: see the head of [`crate::api::openai::request`].
    fn place(&self, request: &Request, uuid: &str) -> Place {
        let asked = request.session_key.clone();
        let agent = request.agent.clone();
        let (previous, store) = match &request.door {
            OfDoor::Chat { .. } => {
                let keep = asked.is_some();
                let key = asked.unwrap_or_else(|| format!("agent:{agent}:openai:{uuid}"));
                return Place { key, keep, scope: None };
            }
            OfDoor::Responses { previous, store, .. } => (previous.as_deref(), *store),
        };
        let scope = Scope { agent, asked };
        let now = self.now.time;
        let known = previous.and_then(|id| self.responses.get(id, &scope, now));
        let keep = store || known.is_some() || scope.asked.is_some();
        let key = match (known, &scope.asked) {
            (Some(key), _) => key.to_owned(),
            (None, Some(key)) => key.clone(),
            (None, None) => format!("agent:{}:openresponses:{uuid}", scope.agent),
        };
        Place { key, keep, scope: keep.then_some(scope) }
    }

    fn answer_with(
        &mut self,
        id: ConnId,
        run: u64,
        writer: Writer,
        http10: bool,
        fx: &mut Effects,
    ) {
        let Some(http) = self.http(id) else { return };
        let keep_alive = http.server.keep_alive();
        let mut framing = None;
        let mut ping_at = None;
        if writer.is_stream() {
            let hsts = self.config.gateway.hsts.clone();
            self.send(id, fx, |out| {
                let head = Response::new(200)
                    .hsts(hsts.as_deref())
                    .header("Cache-Control", "no-cache")
                    .content_type("text/event-stream; charset=utf-8");
                let framed = head.stream_head(out, http10, keep_alive);
                let mut opening = Vec::new();
                writer.opening(&mut opening);
                framed.write(out, &opening);
                framing = Some(framed);
            });
            ping_at = Some(self.now.time.after_ms(limits::STREAM_PING_MS));
        }
        if let Some(http) = self.http(id) {
            http.doing =
                Doing::Run(Box::new(Answer { run, writer, framing, ping_at, stuck: None }));
        }
    }

    /// What a run has to say to the HTTP client that asked for it: all pieces of one turn leave
    /// as one chunk.
    pub(in crate::gateway) fn http_events(
        &mut self,
        id: ConnId,
        events: &[RunEvent],
        text: &str,
        calls: &[ToolCall],
        usage: Usage,
        fx: &mut Effects,
    ) {
        let Some(http) = self.http(id) else { return };
        let Doing::Run(mut answer) = std::mem::take(&mut http.doing) else { return };
        let mut piece = std::mem::take(&mut self.scratch);
        piece.clear();
        let mut end = None;
        let view = View { text, calls, usage };
        for event in events {
            match answer.writer.event(event, view, &mut piece) {
                Wrote::More => {}
                other => end = Some(other),
            }
        }
        if let Some(framing) = answer.framing {
            if !piece.is_empty() {
                answer.ping_at = Some(self.now.time.after_ms(limits::STREAM_PING_MS));
            }
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
                let due = answer.ping_at;
                if let Some(http) = self.http(id) {
                    http.doing = Doing::Run(answer);
                    self.wait_until(id, due);
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

    /// A stream has been silent for [`limits::STREAM_PING_MS`]; true when it was one.
    pub(super) fn ping(&mut self, id: ConnId, fx: &mut Effects) -> bool {
        let now = self.now.time;
        let Some(Http { doing: Doing::Run(answer), .. }) = self.http(id) else { return false };
        let Some(framing) = answer.framing else { return false };
        let next = now.after_ms(limits::STREAM_PING_MS);
        answer.ping_at = Some(next);
        self.wait_until(id, Some(next));
        let turn = self.turn;
        let waiting = self.conns.get(id).map_or(0, |conn| conn.waiting(turn));
        // Whoever does not read the answer needs no sign of life, and holds nothing for ever.
        let room = waiting <= limits::STREAM_HIGH;
        if self.is_stuck(id, waiting, room) {
            log::info!(target: "gateway", "a client takes nothing of its stream: cut off");
            fx.push(Effect::Abort { conn: id });
            self.forget(id, fx);
        } else if room {
            self.send(id, fx, |out| {
                let mut piece = Vec::with_capacity(16);
                sse::comment(&mut piece, "ping");
                framing.write(out, &piece);
            });
        }
        true
    }

    /// Whether the reader of a stream has taken nothing for [`limits::HTTP_STALL_MS`].
    fn is_stuck(&mut self, id: ConnId, waiting: usize, room: bool) -> bool {
        let now = self.now.time;
        let Some(Http { doing: Doing::Run(answer), .. }) = self.http(id) else { return false };
        match answer.stuck {
            _ if room => answer.stuck = None,
            Some((since, was)) if waiting >= was => {
                return now.ms_since(since) >= limits::HTTP_STALL_MS;
            }
            _ => answer.stuck = Some((now, waiting)),
        }
        false
    }
}
