//! Connection slots: generations, readiness, and the bytes a peer has not taken yet.

use super::tls::Tls;
use crate::driver::{ConnId, DialId, Time};
use crate::limits;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use std::collections::VecDeque;
use std::io::{self, Write};

/// What a slot is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Bytes flow to and from the core.
    Peer,
    /// A dial whose TCP handshake is under way.
    Connecting(DialId),
    /// A dial whose TLS handshake is under way.
    Handshaking(DialId),
}

/// Bytes waiting for a peer, in order, with the offset already written of the first buffer.
#[derive(Debug, Default)]
pub(super) struct Out {
    buffers: VecDeque<Vec<u8>>,
    at: usize,
    len: usize,
}

impl Out {
    pub(super) fn push(&mut self, bytes: Vec<u8>) {
        if !bytes.is_empty() {
            self.len += bytes.len();
            self.buffers.push_back(bytes);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn front(&self) -> &[u8] {
        self.buffers.front().and_then(|buffer| buffer.get(self.at..)).unwrap_or(&[])
    }

    fn advance(&mut self, n: usize) {
        self.at += n;
        self.len -= n;
        if self.buffers.front().is_some_and(|buffer| self.at >= buffer.len()) {
            self.buffers.pop_front();
            self.at = 0;
        }
        if self.buffers.is_empty() {
            // An idle connection holds no buffer, not even an empty ring.
            self.buffers = VecDeque::new();
        }
    }
}

/// One socket.
pub(super) struct Conn {
    pub(super) stream: TcpStream,
    pub(super) tls: Option<Box<Tls>>,
    pub(super) kind: Kind,
    pub(super) out: Out,
    /// An edge said so and no read has contradicted it.
    pub(super) readable: bool,
    pub(super) writable: bool,
    /// The peer's end was announced with an event; read on until zero.
    pub(super) hang_up: bool,
    /// The core wants bytes.
    pub(super) read_on: bool,
    /// In the ready queue.
    pub(super) marked: bool,
    /// The peer ended its direction.
    pub(super) ended: bool,
    /// We ended ours.
    pub(super) shut: bool,
    /// Freed at the end of this turn.
    pub(super) dead: bool,
    /// Closing, and when the patience with the peer ends.
    pub(super) closing: Option<Time>,
    /// And when it ends whatever moves.
    pub(super) close_by: Time,
    /// Queue length last reported to the core.
    pub(super) reported: usize,
    interest: Interest,
}

impl Conn {
    /// The core lets go at once; false if it was already gone.
    pub(super) fn let_go(&mut self) -> bool {
        !std::mem::replace(&mut self.dead, true)
    }

    /// Writes until empty or WouldBlock, and asks for writable readiness only in the latter case.
    pub(super) fn write_out(
        &mut self,
        registry: &Registry,
        index: u32,
        generation: u32,
    ) -> io::Result<()> {
        let blocked = loop {
            if self.closing.is_some() {
                self.end_tls();
            }
            if self.out.is_empty() && !self.owes_records() {
                break false;
            }
            let wrote = match &mut self.tls {
                None => self.stream.write(self.out.front()),
                // What the core has to say waits for the end of the handshake.
                Some(tls) if tls.is_handshaking() => match tls.flush(&mut self.stream) {
                    Ok(()) => break false,
                    Err(error) => Err(error),
                },
                Some(tls) => tls.write(&mut self.stream, self.out.front()),
            };
            match wrote {
                Ok(n) => self.out.advance(n),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        };
        self.writable = !blocked;
        let wanted =
            if blocked { Interest::READABLE.add(Interest::WRITABLE) } else { Interest::READABLE };
        self.set_interest(registry, index, generation, wanted)
    }

    /// The session has records that the socket did not take yet.
    pub(super) fn owes_records(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.wants_write())
    }

    /// The handshake is under way: no byte of the core may pass yet.
    pub(super) fn shakes_hands(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.is_handshaking())
    }

    /// On closing: our close_notify follows what is queued; before the end of the handshake
    /// there is nobody to send that to.
    fn end_tls(&mut self) {
        let Some(tls) = &mut self.tls else { return };
        if tls.is_handshaking() {
            self.out = Out::default();
        }
        if self.out.is_empty() {
            tls.say_goodbye();
        }
    }

    /// Re-registers only when the interest really changes: it is a system call.
    pub(super) fn set_interest(
        &mut self,
        registry: &Registry,
        index: u32,
        generation: u32,
        wanted: Interest,
    ) -> io::Result<()> {
        if wanted != self.interest {
            registry.reregister(&mut self.stream, token(index, generation), wanted)?;
            self.interest = wanted;
        }
        Ok(())
    }
}

/// Slot and low half of the generation in 32 bits, so that armv7 has room for both.
fn token(index: u32, generation: u32) -> Token {
    Token(((generation as usize & 0xffff) << 16) | index as usize & 0xffff)
}

#[derive(Default)]
struct Slot {
    generation: u32,
    conn: Option<Conn>,
}

/// All connections.
#[derive(Default)]
pub(super) struct Slots {
    slots: Vec<Slot>,
    free: Vec<u32>,
    /// Connections in `closing`; while zero nobody looks for their deadlines.
    pub(super) lingering: usize,
}

impl Slots {
    /// None yet, with room for what a busy hour needs (see [`limits::ROOM`]).
    pub(super) fn with_room() -> Self {
        let slots = Vec::with_capacity(limits::ROOM);
        Self { slots, free: Vec::with_capacity(limits::ROOM), lingering: 0 }
    }

    /// Registers a socket in a free slot.
    pub(super) fn insert(
        &mut self,
        registry: &Registry,
        mut stream: TcpStream,
        kind: Kind,
    ) -> io::Result<ConnId> {
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                self.slots.push(Slot::default());
                u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
            }
        };
        let slot = &mut self.slots[index as usize];
        let interest = match kind {
            Kind::Peer => Interest::READABLE,
            Kind::Connecting(_) | Kind::Handshaking(_) => {
                Interest::READABLE.add(Interest::WRITABLE)
            }
        };
        if let Err(error) = registry.register(&mut stream, token(index, slot.generation), interest)
        {
            self.free.push(index);
            return Err(error);
        }
        slot.conn = Some(Conn {
            stream,
            tls: None,
            kind,
            out: Out::default(),
            readable: false,
            writable: false,
            hang_up: false,
            read_on: true,
            marked: false,
            ended: false,
            shut: false,
            dead: false,
            closing: None,
            close_by: Time(0),
            reported: 0,
            interest,
        });
        Ok(ConnId { slot: index, generation: slot.generation })
    }

    /// Frees a slot; its next life has another generation.
    pub(super) fn remove(&mut self, registry: &Registry, index: u32) {
        let Some(slot) = self.slots.get_mut(index as usize) else { return };
        let Some(mut conn) = slot.conn.take() else { return };
        if conn.closing.is_some() {
            self.lingering -= 1;
        }
        let _ = registry.deregister(&mut conn.stream);
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(index);
    }

    /// Occupied slots.
    pub(super) fn open(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    pub(super) fn get_mut(&mut self, index: u32) -> Option<&mut Conn> {
        self.slots.get_mut(index as usize)?.conn.as_mut()
    }

    /// The slot of an id, if it is still that life.
    pub(super) fn live(&mut self, id: ConnId) -> Option<&mut Conn> {
        let slot = self.slots.get_mut(id.slot as usize)?;
        if slot.generation == id.generation { slot.conn.as_mut() } else { None }
    }

    /// It is still that life, and in its TLS handshake.
    pub(super) fn shakes_hands(&mut self, id: ConnId) -> bool {
        self.live(id)
            .is_some_and(|conn| !conn.dead && conn.closing.is_none() && conn.shakes_hands())
    }

    pub(super) fn id(&self, index: u32) -> Option<ConnId> {
        let slot = self.slots.get(index as usize)?;
        slot.conn.as_ref()?;
        Some(ConnId { slot: index, generation: slot.generation })
    }

    pub(super) fn by_token(&mut self, token: Token) -> Option<(u32, &mut Conn)> {
        let index = token.0 & 0xffff;
        let generation = token.0 >> 16 & 0xffff;
        let slot = self.slots.get_mut(index)?;
        if slot.generation as usize & 0xffff != generation {
            return None;
        }
        Some((u32::try_from(index).ok()?, slot.conn.as_mut()?))
    }

    /// Connections whose patience with the peer has ended.
    pub(super) fn lingered(&self, now: Time) -> Vec<u32> {
        if self.lingering == 0 {
            return Vec::new();
        }
        self.with_linger().filter(|(_, deadline)| *deadline <= now).map(|(i, _)| i).collect()
    }

    pub(super) fn linger_deadline(&self) -> Option<Time> {
        if self.lingering == 0 {
            return None;
        }
        self.with_linger().map(|(_, deadline)| deadline).min()
    }

    fn with_linger(&self) -> impl Iterator<Item = (u32, Time)> {
        self.slots.iter().zip(0u32..).filter_map(|(slot, index)| {
            slot.conn.as_ref().and_then(|conn| conn.closing).map(|deadline| (index, deadline))
        })
    }

    /// True when no peer is owed a byte any more, closing ones included.
    pub(super) fn nobody_to_flush(&self) -> bool {
        self.slots
            .iter()
            .filter_map(|slot| slot.conn.as_ref())
            .all(|conn| conn.out.is_empty() && !conn.owes_records() && conn.closing.is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn out_keeps_order_and_frees_its_ring() {
        let mut out = Out::default();
        out.push(b"abc".to_vec());
        out.push(Vec::new());
        out.push(b"de".to_vec());
        assert_eq!(out.len(), 5);
        assert_eq!(out.front(), b"abc");
        out.advance(2);
        assert_eq!(out.front(), b"c");
        out.advance(1);
        assert_eq!(out.front(), b"de");
        out.advance(2);
        assert!(out.is_empty());
        assert_eq!(out.front(), b"");
        assert_eq!(out.buffers.capacity(), 0);
    }

    #[test]
    fn a_token_carries_slot_and_generation_in_32_bits() {
        assert_eq!(token(3, 0x0001_0002).0, 0x0002_0003);
        assert!(token(0xfeff, u32::MAX).0 <= u32::MAX as usize);
    }
}
