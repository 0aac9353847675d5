//! Whatever a service may say: answers, messages, bytes and webhooks of anybody's making, to each
//! channel in turn. Nothing panics, nothing grows without end, and what was sent is settled once.
//!
//! The first byte chooses the channel; the rest is lines. The first byte of a line says what
//! happens: an answer to the oldest open request, a message or bytes on a socket, a webhook, time,
//! something to send, an end. The rest of the line is what is said.

use std::collections::{BTreeSet, VecDeque};

use serde_json::json;

use super::port::{Answered, ChannelEffect, ChannelInput, ChannelOut, Gone, HookId, HookRequest};
use super::port::{ReqId, SockId, Trouble};
use super::{Account, Address, Channel, KINDS, Outgoing};
use crate::driver::{Now, Time};
use crate::limits;
use crate::wire::http::{Client, ClientEvent, Headers};

/// Configurations, one a kind and mode.
fn account(choice: u8) -> Account {
    let both = json!({"botToken": "xoxb-1", "appToken": "xapp-1"});
    let hooked = json!({"botToken": "xoxb-1", "mode": "http", "signingSecret": "s"});
    let webhook = json!({"botToken": "1:ABCDEFGH", "webhookUrl": "https://a.example/",
        "webhookSecret": "s"});
    match choice % 6 {
        0 => Account::new("telegram", "default", json!({"botToken": "1:ABCDEFGH"})),
        1 => Account::new("telegram", "default", webhook),
        2 => Account::new("discord", "default", json!({"token": "a.token.of.a.bot"})),
        3 => Account::new("slack", "default", both),
        4 => Account::new("slack", "default", hooked),
        _ => Account::new("irc", "default", json!({"host": "h", "nick": "n", "channels": ["#a"]})),
    }
}

/// One account, and what it has open.
struct Stage {
    channel: Box<dyn Channel>,
    out: ChannelOut,
    now: Now,
    requests: VecDeque<ReqId>,
    sockets: VecDeque<SockId>,
    waiting: BTreeSet<String>,
    accepted: Vec<u64>,
}

impl Stage {
    fn step(&mut self, input: ChannelInput<'_>) {
        self.channel.on(self.now, input, &mut self.out);
        self.hear();
        // What was given up is settled in the same turn.
        for token in std::mem::take(&mut self.accepted) {
            let input = ChannelInput::Accepted { token, kept: token % 5 != 0 };
            self.channel.on(self.now, input, &mut self.out);
            self.hear();
        }
    }

    fn hear(&mut self) {
        while let Some(effect) = self.out.take() {
            match effect {
                ChannelEffect::Http { req, .. } => self.requests.push_back(req),
                ChannelEffect::Cancel { req } => self.requests.retain(|it| *it != req),
                ChannelEffect::OpenTcp { sock, .. } | ChannelEffect::OpenWs { sock, .. } => {
                    self.sockets.push_back(sock);
                    assert!(self.sockets.len() <= limits::CHANNEL_SOCKETS, "sockets are bounded");
                }
                ChannelEffect::Close { sock, .. } | ChannelEffect::Abort { sock } => {
                    self.sockets.retain(|it| *it != sock);
                }
                ChannelEffect::Sent { id, .. } | ChannelEffect::SendFailed { id, .. } => {
                    assert!(self.waiting.remove(&id), "{id} was settled twice");
                }
                ChannelEffect::Inbound(message) => self.accepted.push(message.token),
                _ => {}
            }
        }
    }

    /// One line of the script.
    fn line(&mut self, number: u64, what: u8, said: &[u8]) {
        let text = String::from_utf8_lossy(said).into_owned();
        let socket = self.sockets.back().copied();
        match (what % 8, socket) {
            (0 | 1, _) => {
                let Some(req) = self.requests.pop_front() else { return };
                let status = if what & 8 == 0 { 200 } else { 429 };
                let answer = Answered { status, headers: headers(), body: said.to_vec() };
                self.step(ChannelInput::Http { req, result: Ok(answer) });
            }
            (2, Some(sock)) => self.step(ChannelInput::Text { sock, text }),
            (3, Some(sock)) if said.is_empty() => self.step(ChannelInput::Opened { sock }),
            (3, Some(sock)) => self.step(ChannelInput::Bytes { sock, bytes: said }),
            (4, _) => {
                let request = HookRequest {
                    method: "POST".to_owned(),
                    path: "/".to_owned(),
                    query: String::new(),
                    headers: headers(),
                    body: said.to_vec(),
                };
                self.step(ChannelInput::Hook { hook: HookId(number), request: &request });
            }
            (5, _) => {
                let wait = u64::from(said.first().copied().unwrap_or(1)).saturating_mul(1000);
                let due = self.channel.deadline().unwrap_or(self.now.time).max(self.now.time);
                self.now.time = due.after_ms(wait);
                self.now.wall_ms = self.now.wall_ms.saturating_add(wait);
                self.step(ChannelInput::Wake);
            }
            (6, _) => {
                let message = Outgoing {
                    id: format!("d{number}"),
                    nonce: format!("n{number}"),
                    again: what & 8 == 0,
                    to: Address { chat: text.clone(), thread: Some("1.5".to_owned()) },
                    text,
                    ..Outgoing::default()
                };
                self.waiting.insert(message.id.clone());
                self.step(ChannelInput::Send(&message));
            }
            (7, Some(sock)) => {
                self.sockets.pop_back();
                let code = said.first().map(|byte| 4000 + u16::from(*byte));
                self.step(ChannelInput::Closed { sock, gone: Gone { code, why: text } });
            }
            (7, None) => {
                let Some(req) = self.requests.pop_front() else { return };
                let trouble = Trouble { what: text, ..Trouble::default() };
                self.step(ChannelInput::Http { req, result: Err(trouble) });
            }
            _ => {}
        }
    }
}

fn headers() -> Headers {
    let mut client = Client::new(false);
    client.push(b"HTTP/1.1 200 OK\r\nX-Telegram-Bot-Api-Secret-Token: s\r\nRetry-After: 1\r\n\r\n");
    match client.next() {
        Some(ClientEvent::Head { headers, .. }) => headers,
        _ => Headers::default(),
    }
}

/// See the module's head.
///
/// # Panics
/// When a promise of [`super`] is broken.
pub fn fuzz(data: &[u8]) {
    let Some((choice, lines)) = data.split_first() else { return };
    let account = account(*choice);
    let kind = KINDS.iter().find(|kind| kind.id == account.channel);
    let Some(Ok(channel)) = kind.map(|kind| (kind.build)(&account)) else { return };
    let mut stage = Stage {
        channel,
        out: ChannelOut::new(u64::from(*choice)),
        now: Now { time: Time(1_000_000), wall_ms: 1_795_000_000_000 },
        requests: VecDeque::new(),
        sockets: VecDeque::new(),
        waiting: BTreeSet::new(),
        accepted: Vec::new(),
    };
    stage.step(ChannelInput::Start);
    for (number, line) in (0_u64..200).zip(lines.split(|byte| *byte == b'\n')) {
        if let Some((what, said)) = line.split_first() {
            stage.line(number, *what, said);
        }
    }
    stage.step(ChannelInput::Stop);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn anything_may_be_said() {
        let said: [Value; 8] = [
            json!({"ok": true, "result": {"id": 1, "username": "u"}, "user_id": "U0", "id": "1",
                   "url": "wss://h.example"}),
            json!({"ok": true, "result": [{"update_id": 1, "message": {"message_id": 2, "text": "x",
                   "chat": {"id": 7, "type": "private"}, "from": {"id": 7}}}]}),
            json!({"op": 10, "d": {"heartbeat_interval": 1}}),
            json!({"op": 0, "s": 1, "t": "READY", "d": {"session_id": "s"}}),
            json!({"op": 0, "s": 2, "t": "MESSAGE_CREATE", "d": {"id": "9", "channel_id": "5",
                   "content": "x", "author": {"id": "7"}}}),
            json!({"type": "hello"}),
            json!({"type": "events_api", "envelope_id": "e", "payload": {"event": {"type": "message",
                   "channel": "D1", "ts": "1.0", "user": "U1", "text": "x"}}}),
            json!({"ok": false, "error": "ratelimited"}),
        ];
        let mut seed = 1_u64;
        for round in 0..2000_u64 {
            let mut data = vec![u8::try_from(round % 6).expect("small")];
            for _ in 0..24 {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let bytes = seed.to_be_bytes();
                data.push(bytes[0]);
                data.extend(said[usize::from(bytes[1] % 8)].to_string().into_bytes());
                data.push(b'\n');
            }
            fuzz(&data);
        }
    }
}
