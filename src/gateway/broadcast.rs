//! Events to connected clients: numbered for each connection, serialised once.

use super::Gateway;
use super::conn::{Client, Role, State};
use super::timers::Timer;
use crate::driver::{ConnId, Effects};
use crate::limits;
use crate::protocol::close;
use crate::protocol::events::scope_of;
use crate::protocol::frame::{write_event, write_json};
use crate::protocol::operations::{Scope, holds};
use crate::wire::ws;
use serde_json::{Value, json};

/// Who gets an event, of those that hold what the table of events asks for it.
#[derive(Debug, Clone, Copy)]
pub(super) enum To<'a> {
    /// Everybody.
    All,
    /// Those that said they have this capability.
    Cap(&'static str),
    /// Those that show approvals, but for the one that asked.
    Approvers {
        /// Who asked.
        except: Option<ConnId>,
    },
    /// Those that may manage this device.
    Device(&'a str),
    /// Those that follow all sessions.
    Sessions,
    /// Those that follow this session or all.
    Session(&'a str),
}

impl To<'_> {
    fn includes(self, id: ConnId, client: &Client) -> bool {
        match self {
            Self::All => true,
            Self::Cap(cap) => client.caps.contains(&cap),
            Self::Approvers { except } => client.approves() && except != Some(id),
            Self::Device(device) => client.manages_device(device),
            Self::Sessions => client.all_sessions,
            Self::Session(key) => client.all_sessions || client.sessions.iter().any(|s| s == key),
        }
    }
}

/// Whether a client holds what an event takes; nobody does for one without a row.
fn may_hear(client: &Client, scope: Option<Scope>) -> bool {
    match scope {
        Some(Scope::None) => true,
        Some(Scope::Node) => client.role == Role::Node,
        Some(Scope::Operator(scope)) => holds(&client.scopes, scope),
        None => false,
    }
}

impl Gateway {
    /// Sends an event. `payload` is asked at most once a protocol, and not at all when nobody
    /// listens; `None` means clients of that protocol do not get it.
    ///
    /// A client with more than [`limits::WS_DROP_EVENTS`] bytes waiting from earlier turns loses
    /// the event: its number is spent all the same, so the client sees the gap.
    pub(super) fn broadcast(
        &mut self,
        event: &str,
        to: To<'_>,
        fx: &mut Effects,
        payload: &dyn Fn(u32) -> Option<Value>,
    ) {
        let state = matches!(event, "presence" | "health")
            .then_some((self.presence.version, self.health_version));
        let scope = scope_of(event);
        debug_assert!(scope.is_some(), "{event} is not in the table of events");
        let turn = self.turn;
        let unlimited = self.faults.buffer_past_its_limit;
        let mut made: [Option<Option<Vec<u8>>>; 2] = [None, None];
        let mut frame = std::mem::take(&mut self.scratch);
        let mut slow: Vec<ConnId> = Vec::new();
        let mut dropped = 0;
        self.conns.each_client(|id, conn| {
            let waiting = conn.waiting(turn);
            let State::Client(client) = &mut conn.state else { return };
            if !may_hear(client, scope) || !to.includes(id, client) {
                return;
            }
            let slot = &mut made[usize::from(client.protocol >= 4)];
            let payload = slot.get_or_insert_with(|| {
                payload(client.protocol).map(|value| {
                    let mut text = Vec::with_capacity(256);
                    write_json(&mut text, &value);
                    text
                })
            });
            let Some(payload) = payload else { return };
            client.seq += 1;
            // What this turn itself sends is no sign of a slow reader.
            if conn.queued > limits::WS_DROP_EVENTS && !unlimited {
                dropped += 1;
                return;
            }
            frame.clear();
            write_event(&mut frame, event, payload, Some(client.seq), state);
            let out = fx.send(id);
            let before = out.len();
            ws::text(out, &frame);
            let bytes = out.len() - before;
            conn.sending(bytes, turn);
            if waiting + bytes > limits::WS_SLOW_CONSUMER && !unlimited {
                slow.push(id);
            }
        });
        self.give_back(frame);
        self.events_dropped(dropped);
        for id in slow {
            self.close_socket(id, close::POLICY, "slow consumer", fx);
        }
    }

    /// Every 30 s: `tick`; every minute: `health`.
    pub(super) fn tick(&mut self, fx: &mut Effects) {
        self.timers.arm(self.now.time.after_ms(limits::TICK_MS), Timer::Tick);
        self.pulse();
        if self.conns.clients_len() == 0 {
            return;
        }
        let ts = self.now.wall_ms;
        self.broadcast("tick", To::All, fx, &|_| Some(json!({"ts": ts})));
        self.ticks += 1;
        if self.ticks.is_multiple_of(2) {
            self.health_version += 1;
            let health = self.health_value();
            self.broadcast("health", To::All, fx, &|_| Some(health.clone()));
        }
    }
}
