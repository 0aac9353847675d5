//! Peers that mean no good: noise, half a head, half a handshake, floods without reading.

use super::{Event, Io, Kind, Peer};
use crate::driver::Time;
use crate::sim::check::Checks;
use crate::sim::rng::Rng;

/// How it misbehaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Random bytes.
    Noise,
    /// The beginning of a request, then silence.
    HalfHead,
    /// An upgrade, then frames of noise.
    BadFrames,
    /// Requests without end, answers never read.
    Flood,
    /// Connects and says nothing.
    Silence,
}

/// Every way.
pub const WAYS: [Way; 5] = [Way::Noise, Way::HalfHead, Way::BadFrames, Way::Flood, Way::Silence];

/// Such a peer. It expects nothing; others must not notice it.
pub struct Garbage {
    rng: Rng,
    way: Way,
    pieces: u64,
    gone: bool,
}

impl Garbage {
    /// Misbehaves in this way.
    pub fn new(mut rng: Rng, way: Way) -> Self {
        let pieces = if way == Way::Flood { 700 } else { rng.range(1, 6) };
        Self { rng, way, pieces, gone: false }
    }

    fn noise(&mut self, out: &mut Vec<u8>) {
        for _ in 0..self.rng.size(1, 80) {
            out.push(self.rng.next().to_le_bytes()[0]);
        }
    }

    fn piece(&mut self, out: &mut Vec<u8>) {
        const ASK: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
        match self.way {
            Way::Noise | Way::BadFrames => self.noise(out),
            Way::HalfHead => out.extend_from_slice(b"X-Slow: 1\r\n"),
            // 80 KB of requests a piece, several times that in answers.
            Way::Flood => (0..2000).for_each(|_| out.extend_from_slice(ASK)),
            Way::Silence => {}
        }
    }
}

impl Peer for Garbage {
    fn kind(&self) -> Kind {
        Kind::Http
    }

    fn on(&mut self, now: Time, event: Event<'_>, io: &mut Io, _checks: &mut Checks) {
        match event {
            Event::Connected => {
                match self.way {
                    Way::Noise => self.noise(&mut io.send),
                    Way::HalfHead => io.send.extend_from_slice(b"GET /healthz HTTP/1.1\r\n"),
                    Way::BadFrames => {
                        let key = crate::wire::hash::base64(&[7; 16]);
                        let host = "127.0.0.1:18789";
                        crate::wire::ws::client_request(&mut io.send, host, "/", &key, &[]);
                        self.noise(&mut io.send);
                    }
                    Way::Flood => io.pause_us = Some(u64::MAX),
                    Way::Silence => {}
                }
                io.wake = Some(now.after_ms(self.rng.range(1, 50)));
            }
            Event::Wake if !self.gone && self.pieces > 0 => {
                self.pieces -= 1;
                self.piece(&mut io.send);
                let pause = if self.way == Way::Flood { 1 } else { self.rng.range(1, 4000) };
                io.wake = Some(now.after_ms(pause));
            }
            Event::Wake if !self.gone && self.way == Way::Flood => {
                self.gone = true;
                io.reset = true;
            }
            Event::Ended | Event::Lost { .. } => {
                self.gone = true;
                io.end = true;
            }
            Event::Wake | Event::Bytes(_) => {}
        }
    }

    fn done(&self) -> bool {
        // The gateway has to end it; the world runs on past every deadline for that.
        true
    }

    fn state(&self) -> String {
        format!("garbage {:?} gone={}", self.way, self.gone)
    }
}
