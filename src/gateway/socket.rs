//! Connected clients: frames in, responses out, and the limits of a slow one.

use super::Gateway;
use super::conn::{Role, State};
use crate::driver::{ConnId, Effects};
use crate::limits;
use crate::protocol::close;
use crate::protocol::error::ErrorShape;
use crate::protocol::frame::{self, BadFrame, Request, write_error, write_json, write_ok};
use crate::protocol::operations::{Scope, find};
use crate::protocol::params::check;
use crate::wire::ws::{self, Message};
use serde_json::Value;

/// What a handler has to say.
pub(super) enum Answer {
    /// This payload, now.
    Value(Value),
    /// This payload, already JSON text.
    Json(Vec<u8>),
    /// The handler answered itself, or will when something else has happened.
    Handled,
}

impl Gateway {
    /// Serves what has arrived from a client.
    pub(super) fn serve_socket(&mut self, id: ConnId, fx: &mut Effects) {
        loop {
            let Some(client) = self.conns.client_mut(id) else { return };
            match client.recv.next() {
                None => break,
                Some(Ok(Message::Text(text))) => {
                    self.client_frame(id, &text, fx);
                    self.check_slow(id, fx);
                }
                Some(Ok(Message::Ping(bytes))) => {
                    self.send(id, fx, |out| ws::pong(out, &bytes));
                    self.check_slow(id, fx);
                }
                // Silently ignored, as the reference does.
                Some(Ok(Message::Binary(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Close { .. })) => {
                    return self.close_socket(id, close::NORMAL, "", fx);
                }
                Some(Err(violation)) => {
                    let code = violation.close_code();
                    log::info!(target: "gateway/ws", "closing a client: {violation}");
                    if code == close::TOO_BIG {
                        self.payload_refused("gateway.ws", limits::WS_MESSAGE);
                    }
                    return self.close_socket(id, code, violation.reason(), fx);
                }
            }
        }
        if self.memory_full() {
            let half_read = self.conns.client(id).is_some_and(|c| c.recv.buffered() > 0);
            if half_read {
                self.memory_pressed();
                self.close_socket(id, close::TRY_AGAIN, "out of memory (limit memory)", fx);
            }
        }
    }

    fn client_frame(&mut self, id: ConnId, text: &str, fx: &mut Effects) {
        match frame::parse(text) {
            Ok(request) => self.dispatch(id, &request, fx),
            Err(BadFrame::Malformed) => {}
            Err(BadFrame::Invalid { id: request, what }) => {
                let error = ErrorShape::invalid(format!("invalid request frame: {what}"));
                self.respond_error(id, &request, &error, fx);
            }
        }
    }

    fn dispatch(&mut self, id: ConnId, request: &Request, fx: &mut Effects) {
        let request_id = &request.id;
        let answer = self.call(id, request, fx);
        self.count_request(&request.method, &answer);
        match answer {
            Ok(Answer::Value(value)) => self.respond_ok(id, request_id, &value, fx),
            Ok(Answer::Json(json)) => self.respond_json(id, request_id, &json, fx),
            Ok(Answer::Handled) => {}
            Err(error) => self.respond_error(id, request_id, &error, fx),
        }
    }

    fn count_request(&mut self, method: &str, answer: &Result<Answer, ErrorShape>) {
        // A method that nobody knows has no name of ours.
        let method = find(method, 4).or(find(method, 3)).map_or("unknown", |row| row.name);
        let outcome = match answer {
            Ok(Answer::Value(_) | Answer::Json(_)) => "ok",
            Ok(Answer::Handled) => "later",
            Err(_) => "error",
        };
        self.request_counted(method, outcome);
    }

    /// Every check of the operations table, then the handler.
    fn call(
        &mut self,
        id: ConnId,
        request: &Request,
        fx: &mut Effects,
    ) -> Result<Answer, ErrorShape> {
        if request.method == "connect" {
            return Err(ErrorShape::invalid("connect is only valid as the first request"));
        }
        let Some(client) = self.conns.client(id) else { return Ok(Answer::Handled) };
        let Some(row) = find(&request.method, client.protocol) else {
            return Err(ErrorShape::unknown_method(&request.method));
        };
        match (client.role, row.scope) {
            (Role::Node, Scope::Operator(_)) | (Role::Operator, Scope::Node) => {
                let role = client.role.as_str();
                return Err(ErrorShape::invalid(format!("unauthorized role: {role}")));
            }
            _ => {}
        }
        if let Some(scope) = row.missing(&client.scopes, &request.params) {
            return Err(ErrorShape::missing_scope(scope));
        }
        check(&request.params, row.params, row.open)
            .map_err(|what| ErrorShape::params(row.name, &what))?;
        self.working_on(row.name);
        self.handle(row.op, id, &request.id, &request.params, fx)
    }

    /// A successful response.
    pub(super) fn respond_ok(
        &mut self,
        id: ConnId,
        request: &str,
        value: &Value,
        fx: &mut Effects,
    ) {
        let mut payload = Vec::with_capacity(512);
        write_json(&mut payload, value);
        self.respond_json(id, request, &payload, fx);
    }

    /// A successful response whose payload is JSON text already.
    pub(super) fn respond_json(
        &mut self,
        id: ConnId,
        request: &str,
        payload: &[u8],
        fx: &mut Effects,
    ) {
        let id = self.addressee(id);
        if self.conns.client(id).is_none() {
            return;
        }
        let mut frame = std::mem::take(&mut self.scratch);
        frame.clear();
        write_ok(&mut frame, request, payload);
        self.send(id, fx, |out| ws::text(out, &frame));
        self.give_back(frame);
    }

    /// An error response.
    pub(super) fn respond_error(
        &mut self,
        id: ConnId,
        request: &str,
        error: &ErrorShape,
        fx: &mut Effects,
    ) {
        if self.conns.client(id).is_none() {
            return;
        }
        self.error_counted(error);
        self.send(id, fx, |out| {
            let mut frame = Vec::with_capacity(256);
            write_error(&mut frame, request, error);
            ws::text(out, &frame);
        });
    }

    /// With the planted fault, now and then another client; else whoever asked.
    fn addressee(&mut self, id: ConnId) -> ConnId {
        if self.faults.reply_to_the_wrong_connection && self.turn.is_multiple_of(7) {
            let mut other = id;
            self.conns.each_client(|candidate, _| {
                if candidate != id {
                    other = candidate;
                }
            });
            return other;
        }
        id
    }

    /// Keeps a buffer for the next frame unless it grew out of proportion.
    pub(super) fn give_back(&mut self, scratch: Vec<u8>) {
        if scratch.capacity() <= limits::SCRATCH {
            self.scratch = scratch;
        } else {
            self.scratch = Vec::with_capacity(limits::SCRATCH);
        }
    }

    /// Cuts off a client that does not read; it is told why if it reads on within a second.
    pub(super) fn check_slow(&mut self, id: ConnId, fx: &mut Effects) {
        let turn = self.turn;
        let Some(conn) = self.conns.get(id) else { return };
        if !matches!(conn.state, State::Client(_)) || self.faults.buffer_past_its_limit {
            return;
        }
        let waiting = conn.waiting(turn);
        if waiting > limits::WS_SLOW_CONSUMER {
            log::warn!(target: "gateway/ws",
                "{} does not read: {waiting} bytes wait for it, closing", conn.peer);
            self.close_socket(id, close::POLICY, "slow consumer", fx);
        }
    }
}
