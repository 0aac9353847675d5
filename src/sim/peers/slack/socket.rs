//! Socket Mode and the Events API: envelopes on their way.

use super::{ACK_MS, Slack};
use crate::driver::Time;
use crate::sim::peers::fake::{Answer, Asked, Call, GRACE_MS, Line};
use crate::wire::hash::{hex, hmac_sha256};
use crate::wire::url::query_value;
use serde_json::{Value, json};

/// Sockets of one app.
const SOCKETS: usize = 10;
/// A socket's URL works so long.
pub const TICKET_MS: u64 = 30_000;
/// Between two pings of ours.
const PING_MS: u64 = 10_000;
/// How long after a failure an event comes again: at once, after a minute, after five.
const RETRIES_MS: [u64; 3] = [0, 60_000, 300_000];

/// Something to deliver.
#[derive(Debug, Clone)]
pub struct Delivery {
    kind: &'static str,
    payload: Value,
    attempt: usize,
    reason: &'static str,
    due: Time,
}

impl Delivery {
    /// Not delivered yet.
    pub fn new(kind: &'static str, payload: Value) -> Self {
        Self { kind, payload, attempt: 0, reason: "", due: Time(0) }
    }
}

#[derive(Debug)]
struct Envelope {
    id: String,
    since: Time,
    delivery: Delivery,
}

/// One socket.
#[derive(Debug)]
pub struct Socket {
    greeted: bool,
    envelopes: Vec<Envelope>,
    /// Acknowledged before; once more is a broken rule.
    known: Vec<String>,
    close: Option<Time>,
    ping: Time,
    /// Of the Events API: the call.
    call: Option<u64>,
}

impl Socket {
    /// Envelopes go this way.
    pub fn live(&self) -> bool {
        self.greeted && self.close.is_none() && self.call.is_none()
    }
}

impl Slack {
    /// What was sent and is not acknowledged.
    pub(super) fn under_way(&self) -> usize {
        self.sockets.values().map(|socket| socket.envelopes.len()).sum()
    }

    pub(super) fn ticket(&mut self, now: Time, conn: u64, asked: &Asked) -> Result<(), Answer> {
        let ticket = query_value(asked.head.query().unwrap_or_default(), "ticket");
        let known = ticket.and_then(|ticket| self.tickets.remove(&ticket));
        if known.is_none_or(|until| until <= now) {
            self.desk.broke("a socket whose ticket is unknown, used or too old".to_owned());
            return Err(Answer::bytes(403, "text/plain", b"invalid ticket".to_vec()));
        }
        let socket = Socket {
            greeted: false,
            envelopes: Vec::new(),
            known: Vec::new(),
            close: None,
            ping: now.after_ms(PING_MS),
            call: None,
        };
        self.sockets.insert(conn, socket);
        Ok(())
    }

    pub(super) fn hello(&mut self, now: Time, conn: u64) {
        let standing: Vec<u64> = self.standing();
        if standing.len() > SOCKETS {
            let said = json!({"type": "disconnect", "reason": "too_many_websockets"});
            self.desk.line(conn, Line::Text(said.to_string()));
            return self.desk.line(conn, Line::Close(1000, "too many"));
        }
        if standing.len() > self.sockets_most {
            self.crowd.get_or_insert(now);
        }
        if let Some(socket) = self.sockets.get_mut(&conn) {
            socket.greeted = true;
        }
        let hello = json!({
            "type": "hello", "num_connections": standing.len(),
            "debug_info": {
                "host": "applink-fake", "build_number": 1, "approximate_connection_time": 18060,
            },
            "connection_info": {"app_id": Self::APP},
        });
        self.desk.line(conn, Line::Text(hello.to_string()));
        self.deliver(now);
    }

    /// Sockets that stand as far as both ends know.
    fn standing(&self) -> Vec<u64> {
        let sockets = self.sockets.iter().filter(|(_, socket)| socket.call.is_none());
        sockets.map(|(conn, _)| *conn).filter(|conn| self.desk.stands(*conn)).collect()
    }

    pub(super) fn queue(&mut self, now: Time, delivery: Delivery) {
        match &mut self.held {
            Some(held) => held.push(delivery),
            None => self.waiting.push_back(delivery),
        }
        self.deliver(now);
    }

    /// Gives what is due to one of the sockets, or posts it.
    fn deliver(&mut self, now: Time) {
        let live: Vec<u64> =
            self.sockets.iter().filter(|(_, it)| it.live()).map(|(conn, _)| *conn).collect();
        if live.is_empty() && self.hook.is_none() {
            return;
        }
        let waiting = std::mem::take(&mut self.waiting);
        for delivery in waiting {
            if delivery.due > now {
                self.waiting.push_back(delivery);
            } else if let Some(url) = self.hook.clone() {
                self.post(now, &url, delivery);
            } else {
                let conn = self.rng.pick(&live);
                self.envelope(now, conn, delivery);
            }
        }
    }

    fn envelope(&mut self, now: Time, conn: u64, delivery: Delivery) {
        let random = [self.rng.next().to_le_bytes(), self.rng.next().to_le_bytes()].concat();
        let random = <[u8; 16]>::try_from(random).unwrap_or_default();
        let id = crate::wire::text::uuid_v4(random);
        let mut whole = json!({
            "envelope_id": id, "type": delivery.kind, "payload": delivery.payload,
            "accepts_response_payload": delivery.kind != "events_api",
        });
        if delivery.kind == "events_api" {
            whole["retry_attempt"] = delivery.attempt.into();
            whole["retry_reason"] = delivery.reason.into();
        }
        self.desk.line(conn, Line::Text(whole.to_string()));
        if let Some(socket) = self.sockets.get_mut(&conn) {
            socket.envelopes.push(Envelope { id, since: now, delivery });
        }
    }

    pub(super) fn acked(&mut self, now: Time, conn: u64, text: &str) {
        let Some(socket) = self.sockets.get_mut(&conn) else { return };
        let ack: Value = serde_json::from_str(text).unwrap_or_default();
        let Some(id) = ack["envelope_id"].as_str() else {
            return self.desk.broke(format!("a frame that acknowledges nothing: {text}"));
        };
        match socket.envelopes.iter().position(|envelope| envelope.id == id) {
            Some(at) => {
                let envelope = socket.envelopes.remove(at);
                socket.known.push(id.to_owned());
                let said = ack["payload"].as_object().is_some_and(|said| !said.is_empty());
                if said && envelope.delivery.kind == "events_api" {
                    self.desk.broke("a payload where none is accepted".to_owned());
                } else if said {
                    self.responded(now, &envelope.delivery.payload, &ack["payload"]);
                }
            }
            None if socket.known.iter().any(|known| known == id) => {
                self.desk.broke(format!("envelope {id} is acknowledged twice"));
            }
            None => self.desk.broke(format!("envelope {id} was never sent on this socket")),
        }
    }

    /// An envelope that nobody acknowledged comes again, if its kind does.
    fn failed(&mut self, now: Time, delivery: Delivery, reason: &'static str) {
        let again = RETRIES_MS.get(delivery.attempt);
        let Some(wait) = again.filter(|_| delivery.kind == "events_api") else {
            // A command or a press is told to who made it, and never sent again.
            return self.desk.forgotten.push(delivery.payload.to_string());
        };
        let attempt = delivery.attempt + 1;
        self.waiting.push_back(Delivery { attempt, reason, due: now.after_ms(*wait), ..delivery });
    }

    pub(super) fn socket_gone(&mut self, now: Time, conn: u64) {
        let Some(socket) = self.sockets.remove(&conn) else { return };
        for envelope in socket.envelopes {
            self.failed(now, envelope.delivery, "connection_failed");
        }
        if self.standing().len() <= self.sockets_most {
            self.crowd = None;
        }
        self.deliver(now);
    }

    pub(super) fn disconnect(&mut self, now: Time, act: &Value) {
        let (reason, wait) = match act["act"].as_str().unwrap_or_default() {
            "warn" => ("warning", self.warning_ms),
            "refresh" => ("refresh_requested", 0),
            _ => ("link_disabled", 0),
        };
        let said = json!({
            "type": "disconnect", "reason": reason, "debug_info": {"host": "applink-fake"},
        });
        for (conn, socket) in &mut self.sockets {
            if socket.live() {
                socket.close = Some(now.after_ms(wait));
                self.desk.line(*conn, Line::Text(said.to_string()));
            }
        }
    }

    pub(super) fn tick_sockets(&mut self, now: Time) {
        let mut failed = Vec::new();
        for (conn, socket) in &mut self.sockets {
            let stands = self.desk.stands(*conn);
            let late = |envelope: &Envelope| now.ms_since(envelope.since) >= ACK_MS;
            let (over, under_way): (Vec<Envelope>, Vec<Envelope>) =
                std::mem::take(&mut socket.envelopes).into_iter().partition(late);
            socket.envelopes = under_way;
            for envelope in over {
                if stands && socket.call.is_none() {
                    let what = format!("envelope {} not within {ACK_MS} ms", envelope.id);
                    self.desk.broken.push(what);
                }
                // Acknowledged later it is no broken rule of another kind.
                failed.push(envelope.delivery);
            }
            if socket.call.is_some() {
                continue;
            }
            if socket.ping <= now {
                socket.ping = now.after_ms(PING_MS);
                self.desk.line(*conn, Line::Ping);
            }
            if socket.close.is_some_and(|at| at <= now) {
                socket.close = Some(Time(u64::MAX));
                self.desk.line(*conn, Line::Close(1000, "refresh"));
            }
        }
        for delivery in failed {
            self.failed(now, delivery, "timeout");
        }
        if self.crowd.is_some_and(|since| now.ms_since(since) >= GRACE_MS) {
            self.crowd = None;
            let standing = self.standing().len();
            if standing > self.sockets_most {
                self.desk.broke(format!("{standing} sockets at once"));
            }
        }
        self.deliver(now);
    }

    pub(super) fn sockets_deadline(&self) -> Option<Time> {
        let sockets = self.sockets.values();
        let acks = sockets.clone().flat_map(|it| &it.envelopes).map(|it| it.since.after_ms(ACK_MS));
        let closes = sockets.clone().filter_map(|it| it.close).filter(|at| at.0 < u64::MAX);
        let pings = sockets.filter(|it| it.call.is_none()).map(|it| it.ping);
        let crowd = self.crowd.map(|since| since.after_ms(GRACE_MS));
        let open = self.hook.is_some() || self.sockets.values().any(Socket::live);
        let waiting = self.waiting.iter().filter(|_| open).map(|it| it.due);
        acks.chain(closes).chain(pings).chain(crowd).chain(waiting).min()
    }

    /// Signed as the Events API does.
    fn signed(&self, now: Time, body: &[u8]) -> Vec<(String, String)> {
        let timestamp = (self.desk.wall_ms(now) / 1000).to_string();
        let base = [b"v0:", timestamp.as_bytes(), b":", body].concat();
        let signature = format!("v0={}", hex(&hmac_sha256(self.secret.as_bytes(), &base)));
        vec![
            ("X-Slack-Request-Timestamp".to_owned(), timestamp),
            ("X-Slack-Signature".to_owned(), signature),
        ]
    }

    /// Makes sure of a URL before anything is sent there.
    pub(super) fn verify(&mut self, now: Time, url: &str) {
        self.hook = Some(url.to_owned());
        let challenge = format!("{:016x}", self.rng.next());
        let body = json!({"type": "url_verification", "token": "unused", "challenge": challenge});
        self.post(now, url, Delivery::new("url_verification", body));
    }

    fn post(&mut self, now: Time, url: &str, delivery: Delivery) {
        let form = matches!(delivery.kind, "slash_commands" | "interactive");
        let (kind, body) = match form {
            true => ("application/x-www-form-urlencoded", form_of(&delivery)),
            false => ("application/json", delivery.payload.to_string()),
        };
        let body = body.into_bytes();
        let mut headers = self.signed(now, &body);
        headers.push(("Content-Type".to_owned(), kind.to_owned()));
        if delivery.attempt > 0 {
            let attempt = delivery.attempt.to_string();
            headers.push(("X-Slack-Retry-Num".to_owned(), attempt));
            headers.push(("X-Slack-Retry-Reason".to_owned(), "http_timeout".to_owned()));
        }
        let id = self.desk.number();
        // Waits for its answer like an envelope on a socket of its own.
        let envelope = Envelope { id: id.to_string(), since: now, delivery };
        self.sockets.insert(
            id,
            Socket {
                greeted: false,
                envelopes: vec![envelope],
                known: Vec::new(),
                close: None,
                ping: Time(u64::MAX),
                call: Some(id),
            },
        );
        let url = url.to_owned();
        self.desk.call(Call { id, url, headers, body, patience_ms: ACK_MS });
    }

    pub(super) fn hook_answered(&mut self, now: Time, call: u64, answer: Option<(u16, Vec<u8>)>) {
        let Some(socket) = self.sockets.remove(&call) else { return };
        for envelope in socket.envelopes {
            let delivery = envelope.delivery;
            match &answer {
                Some((200..=299, body)) if delivery.kind == "url_verification" => {
                    let challenge = delivery.payload["challenge"].as_str().unwrap_or_default();
                    if !String::from_utf8_lossy(body).contains(challenge) {
                        self.desk.broke("the challenge of url_verification fails".to_owned());
                        self.hook = None;
                    }
                }
                Some((200..=299, body)) => {
                    if let Ok(said @ Value::Object(_)) = serde_json::from_slice(body)
                        && delivery.kind != "events_api"
                    {
                        self.responded(now, &delivery.payload, &said);
                    }
                }
                Some(_) => self.failed(now, delivery, "http_error"),
                None => self.failed(now, delivery, "http_timeout"),
            }
        }
        self.deliver(now);
    }
}

fn form_of(delivery: &Delivery) -> String {
    use crate::wire::url::percent_encode;
    if delivery.kind == "interactive" {
        return format!("payload={}", percent_encode(&delivery.payload.to_string()));
    }
    let fields = delivery.payload.as_object().into_iter().flatten();
    let pairs: Vec<String> = fields
        .map(|(name, value)| format!("{name}={}", percent_encode(value.as_str().unwrap_or(""))))
        .collect();
    pairs.join("&")
}
