//! The second half of a turn: effects in order, flushes, queue reports.

use super::{Happening, Net};
use crate::driver::{ConnId, Core, Effect, Input, ListenError, Now, Target};
use crate::limits;
use crate::sim::check::{Checks, Invariant};
use crate::wire::address::is_public;
use std::net::{IpAddr, Ipv4Addr};

/// The address of a target that its guard forbids; `localhost` is the one name that has one.
fn closed(target: &Target) -> Option<IpAddr> {
    let ip = match target.host.as_str() {
        "localhost" => IpAddr::from(Ipv4Addr::LOCALHOST),
        literal => literal.parse().ok()?,
    };
    (target.public_only && !is_public(ip)).then_some(ip)
}

impl Net {
    /// Effects and flushes; a report may cause effects again, at most eight rounds of them.
    pub(super) fn carry_out<C: Core>(&mut self, now: Now, core: &mut C, checks: &mut Checks) {
        for _ in 0..8 {
            let effects: Vec<Effect> = self.fx.drain().collect();
            let idle = effects.is_empty() && self.dirty.is_empty();
            for effect in effects {
                self.effect(effect, now, core, checks);
            }
            if idle {
                return;
            }
            for index in std::mem::take(&mut self.dirty) {
                self.flush(index, now, core);
            }
        }
    }

    fn effect<C: Core>(&mut self, effect: Effect, now: Now, core: &mut C, checks: &mut Checks) {
        match effect {
            Effect::Send { conn: id, bytes } => {
                self.trace.bytes(self.now, "send", id.slot, &bytes);
                let Some(conn) = self.conn(id) else { return };
                if conn.closing.is_none() && !conn.dead {
                    conn.out.put(&bytes);
                    let (link, held) = (conn.link, conn.out.len());
                    checks.held(self.links[link].kind, held);
                    self.dirty.push(id.slot);
                }
            }
            Effect::Close { conn: id } => {
                self.trace.note(self.now, "close", id.slot.into(), id.generation.into());
                let Some(conn) = self.conn(id) else { return };
                if conn.closing.is_none() {
                    conn.closing = Some(now.time.after_ms(limits::LINGER_MS));
                    conn.close_by = now.time.after_ms(limits::LINGER_MAX_MS);
                    conn.reported = conn.out.len();
                    conn.read_on = false;
                    self.dirty.push(id.slot);
                }
            }
            Effect::Abort { conn: id } => {
                self.trace.note(self.now, "abort", id.slot.into(), id.generation.into());
                let Some(conn) = self.conn(id) else { return };
                if !std::mem::replace(&mut conn.dead, true) {
                    self.dying.push(id.slot);
                }
            }
            Effect::Read { conn: id, on } => {
                self.trace.note(self.now, "read", id.slot.into(), on.into());
                let Some(conn) = self.conn(id) else { return };
                conn.read_on = on && conn.closing.is_none();
                let link = conn.link;
                if on && std::mem::take(&mut self.links[link].up_blocked) {
                    self.up_soon(link);
                }
            }
            Effect::Dial { dial, target, deadline } => {
                self.trace.note(self.now, "dial", dial.0, deadline.0);
                let forbidden = closed(&target);
                let late = deadline < self.now || self.dials.insert(dial, target).is_some();
                checks.require(!late, Invariant::Seam, || {
                    format!("dial {} is repeated or over before it began", dial.0)
                });
                if let Some(ip) = forbidden {
                    self.forbidden.insert(dial, ip);
                    return self.at(now.time, Happening::Dialed(dial.0, 4));
                }
                let how = match self.rng.percent(self.knobs.bad_dials) {
                    true => self.rng.pick(&[1, 2, 3]),
                    false => 0,
                };
                let when = if how == 3 { deadline } else { self.soon() };
                self.at(when, Happening::Dialed(dial.0, how));
            }
            Effect::CancelDial { dial } => {
                self.dials.remove(&dial);
            }
            Effect::Spawn { child, .. } => {
                self.trace.note(self.now, "spawn", child.0, 0);
                let when = self.soon();
                self.at(when, Happening::Child(child.0, false));
            }
            Effect::Kill { child, .. } => self.at(self.now, Happening::Child(child.0, true)),
            Effect::ChildInput { .. } | Effect::ChildInputEnd { .. } => {}
            // One port that is never taken; peers are not asked which.
            Effect::Listen(places) => {
                let outcome = match places.first() {
                    Some(place) if !self.listening => Err(ListenError {
                        addr: place.addr,
                        text: "the gateway is stopping".to_owned(),
                        lost: Vec::new(),
                    }),
                    _ => Ok(places.iter().map(|place| place.addr).collect()),
                };
                core.on(now, Input::Listening(outcome), &mut self.fx);
            }
            Effect::StopListening => self.listening = false,
            // This network carries plain bytes; TLS is the other driver's business.
            Effect::ListenerTls(_) => {}
            // Nobody keeps a simulated gateway up.
            Effect::Tell(_) => {}
            Effect::Exit { code } => self.leave(Some(code)),
            Effect::Reexec => self.leave(None),
        }
    }

    fn leave(&mut self, code: Option<u8>) {
        self.trace.note(self.now, "leave", code.unwrap_or(0).into(), 0);
        self.listening = false;
        self.leaving = Some((code, self.now.after_ms(limits::LINGER_MS)));
    }

    fn flush<C: Core>(&mut self, index: u32, now: Now, core: &mut C) {
        let slot = &mut self.slots[index as usize];
        let id = ConnId { slot: index, generation: slot.generation };
        let Some(conn) = slot.conn.as_mut().filter(|conn| !conn.dead) else { return };
        let link = conn.link;
        let it = &mut self.links[link];
        if it.gone && !conn.out.is_empty() {
            return self.lost(id, now, core);
        }
        let room = self.knobs.socket.saturating_sub(it.down.len()).min(conn.out.len());
        it.down.put(&conn.out.take(room));
        let queued = conn.out.len();
        let mut report = false;
        if conn.closing.is_some() {
            if queued < conn.reported {
                conn.reported = queued;
                conn.closing = Some(now.time.after_ms(limits::LINGER_MS).min(conn.close_by));
            }
            if queued == 0 && !conn.shut {
                conn.shut = true;
                it.down_end = Some(false);
                it.up.clear();
                if conn.ended {
                    self.dying.push(index);
                } else {
                    it.up_blocked = false;
                    self.up_soon(link);
                }
            }
        } else if queued != conn.reported {
            conn.reported = queued;
            report = true;
        }
        self.down_soon(link);
        if report {
            self.trace.note(self.now, "queued", index.into(), queued as u64);
            core.on(now, Input::Queued { conn: id, bytes: queued }, &mut self.fx);
        }
    }
}
