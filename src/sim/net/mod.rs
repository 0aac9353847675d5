//! The second driver: a seeded network and clock under the same seam as `reactor`.
//!
//! ```text
//!   peer --send--> [up, in pieces] --> core.on(Received)       virtual time jumps to the
//!   peer <--read-- [socket, small] <-- [out, counted] <- Send  next thing that happens
//! ```
//!
//! One turn as in the reactor: inputs, due timers, `Wake`, `turn_end`, effects in order,
//! flushes, queue reports (their effects again, at most eight rounds), frees. Generations are
//! counted the same way. What is random: sizes of pieces, latencies, room in a socket, resets,
//! how dials end, and now and then an input for a slot's former life, which the seam forbids
//! and the core must survive.

mod out;

use super::check::Checks;
use super::peers::{Event, Io, Kind, Peer};
use super::pipe::Pipe;
use super::rng::Rng;
use super::trace::Trace;
use crate::driver::{
    ChildEvent, ChildId, Closed, ConnId, Core, DialError, DialId, Effects, Exit, Input, Now,
    Signal, Target, Time,
};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::net::{IpAddr, SocketAddr};

/// What the dice decide.
#[derive(Debug, Clone)]
pub struct Knobs {
    /// Most bytes of one read, each way.
    pub chunk: usize,
    /// Least and most microseconds from one end to the other.
    pub latency_us: (u64, u64),
    /// Bytes a socket takes before it blocks.
    pub socket: usize,
    /// What the core reads from each connection is whole but for one cut, at this offset.
    pub split_at: Option<usize>,
    /// Percent of connections that break at some moment.
    pub resets: u64,
    /// Percent of reused slots that get an input of their former life.
    pub late: u64,
    /// Percent of dials that fail: refused, unresolved, or never answered.
    pub bad_dials: u64,
}

/// What one turn came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Something happened.
    Went,
    /// Nothing ever will.
    Idle,
    /// The core left, with this code; `None` re-executes.
    Left(Option<u8>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Happening {
    Arrive(usize),
    Up(usize),
    Down(usize),
    Alarm(usize),
    Dialed(u64, u8),
    Reset(usize),
    Broken(usize),
    Late(u32, u32, u8),
    Signal(bool),
    /// A child says a word and ends, by itself or killed.
    Child(u64, bool),
}

struct Conn {
    link: usize,
    out: Pipe,
    reported: usize,
    read_on: bool,
    ended: bool,
    shut: bool,
    dead: bool,
    closing: Option<Time>,
    close_by: Time,
}

#[derive(Default)]
struct Slot {
    generation: u32,
    conn: Option<Conn>,
}

struct Link {
    peer: Option<Box<dyn Peer>>,
    kind: Kind,
    conn: Option<ConnId>,
    up: Pipe,
    up_end: bool,
    up_due: bool,
    /// Something is there and the core does not want it yet.
    up_blocked: bool,
    /// Bytes the core has read.
    read: usize,
    down: Pipe,
    /// After the last byte: true is a broken connection.
    down_end: Option<bool>,
    down_due: bool,
    /// When a byte moved last, up and down: what follows at once does not wait again.
    moved: [Time; 2],
    pause_us: u64,
    gone: bool,
}

/// Makes the server behind a dial.
pub type Provide = Box<dyn FnMut(&mut Rng, &Target) -> Box<dyn Peer>>;

/// The network and the clock.
pub struct Net {
    /// Virtual time.
    pub now: Time,
    /// How many turns there were.
    pub turns: u64,
    /// What happened.
    pub trace: Trace,
    rng: Rng,
    knobs: Knobs,
    numbered: u64,
    heap: BinaryHeap<Reverse<(Time, u64, Happening)>>,
    slots: Vec<Slot>,
    free: Vec<u32>,
    links: Vec<Link>,
    dials: BTreeMap<DialId, Target>,
    /// Dials to addresses that their guard forbids.
    forbidden: BTreeMap<DialId, IpAddr>,
    /// Children that have ended.
    over: BTreeSet<ChildId>,
    provide: Provide,
    fx: Effects,
    dirty: Vec<u32>,
    dying: Vec<u32>,
    listening: bool,
    leaving: Option<(Option<u8>, Time)>,
    /// When connections broke with whatever was on its way.
    pub breaks: Vec<Time>,
}

/// Unix time at the start of every world.
pub const EPOCH_MS: u64 = 1_767_225_600_000;

impl Net {
    /// A quiet network at `now`.
    pub fn new(rng: Rng, knobs: Knobs, now: Time, provide: Provide) -> Self {
        Self {
            now,
            turns: 0,
            trace: Trace::default(),
            rng,
            knobs,
            numbered: 0,
            heap: BinaryHeap::new(),
            slots: Vec::new(),
            free: Vec::new(),
            links: Vec::new(),
            dials: BTreeMap::new(),
            forbidden: BTreeMap::new(),
            over: BTreeSet::new(),
            provide,
            fx: Effects::new(),
            dirty: Vec::new(),
            dying: Vec::new(),
            listening: true,
            leaving: None,
            breaks: Vec::new(),
        }
    }

    /// The clocks.
    pub fn clocks(&self) -> Now {
        Now { time: self.now, wall_ms: EPOCH_MS + self.now.0 / 1000 }
    }

    /// A peer that will connect then.
    pub fn expect(&mut self, at: Time, peer: Box<dyn Peer>) {
        let link = self.link(peer);
        self.at(at, Happening::Arrive(link));
    }

    /// A peer without a connection: it acts when its alarm rings, first at once.
    pub fn attend(&mut self, peer: Box<dyn Peer>) {
        let link = self.link(peer);
        self.at(self.now, Happening::Alarm(link));
    }

    /// SIGTERM then, or SIGUSR1.
    pub fn signal(&mut self, at: Time, restart: bool) {
        self.at(at, Happening::Signal(restart));
    }

    /// The process is gone, and nothing of it is left but what was flushed; another may begin.
    pub fn killed(&mut self) {
        self.breaks.push(self.now);
        self.fx = Effects::new();
        self.dirty.clear();
        self.dying.clear();
        self.dials.clear();
        self.forbidden.clear();
        self.over.clear();
        self.leaving = None;
        self.listening = true;
        let of_process = |what: &Happening| {
            use Happening::{Broken, Child, Dialed, Late, Signal};
            matches!(what, Dialed(..) | Late(..) | Child(..) | Signal(_) | Broken(_))
        };
        self.heap.retain(|Reverse((.., what))| !of_process(what));
        for index in 0..self.slots.len() as u32 {
            self.remove(index);
        }
    }

    /// Every peer, for the end of the world.
    pub fn peers(&mut self) -> impl Iterator<Item = &mut Box<dyn Peer>> {
        self.links.iter_mut().filter_map(|link| link.peer.as_mut())
    }

    /// True when every peer is done.
    pub fn all_done(&self) -> bool {
        self.links.iter().filter_map(|link| link.peer.as_ref()).all(|peer| peer.done())
    }

    /// Asks every peer again what it wants to do, as if its alarm had rung.
    pub fn rouse(&mut self) {
        for link in 0..self.links.len() {
            self.at(self.now, Happening::Alarm(link));
        }
    }

    /// Connections that stand.
    pub fn open(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    fn link(&mut self, peer: Box<dyn Peer>) -> usize {
        self.links.push(Link {
            kind: peer.kind(),
            peer: Some(peer),
            conn: None,
            up: Pipe::default(),
            up_end: false,
            up_due: false,
            up_blocked: false,
            read: 0,
            down: Pipe::default(),
            down_end: None,
            down_due: false,
            moved: [Time(0); 2],
            pause_us: 0,
            gone: false,
        });
        self.links.len() - 1
    }

    fn at(&mut self, when: Time, what: Happening) {
        self.numbered += 1;
        self.heap.push(Reverse((when, self.numbered, what)));
    }

    fn soon(&mut self) -> Time {
        let (low, high) = self.knobs.latency_us;
        Time(self.now.0 + self.rng.range(low, high))
    }

    /// When bytes of a stream that may be moving already reach the other end.
    fn follow(&mut self, moved: Time) -> Time {
        let soon = self.soon();
        if moved.0 > 0 && self.now.0 <= moved.0 + self.knobs.latency_us.1 {
            return Time(self.now.0 + self.rng.below(100)).min(soon);
        }
        soon
    }

    fn next_time<C: Core>(&self, core: &C) -> Option<Time> {
        let lingering = self.slots.iter().filter_map(|slot| slot.conn.as_ref()?.closing);
        self.heap
            .peek()
            .map(|Reverse((when, ..))| *when)
            .into_iter()
            .chain(core.deadline())
            .chain(lingering)
            .chain(self.leaving.map(|(_, deadline)| deadline))
            .min()
            .map(|next| next.max(self.now))
    }

    /// One turn of the loop.
    pub fn turn<C: Core>(&mut self, core: &mut C, checks: &mut Checks) -> Turn {
        let Some(next) = self.next_time(core) else { return Turn::Idle };
        // A poll comes back when it likes, but not before the time.
        self.now = if self.rng.percent(10) { Time(next.0 + self.rng.below(2000)) } else { next };
        self.turns += 1;
        let now = self.clocks();
        while let Some(Reverse((when, _, what))) = self.heap.peek().copied() {
            if when > self.now {
                break;
            }
            self.heap.pop();
            self.happen(what, now, core, checks);
        }
        for index in 0..self.slots.len() {
            let conn = self.slots[index].conn.as_ref();
            if conn.and_then(|conn| conn.closing).is_some_and(|deadline| deadline <= self.now) {
                self.dying.push(index as u32);
            }
        }
        if core.deadline().is_some_and(|deadline| deadline <= self.now) {
            self.trace.note(self.now, "wake", 0, 0);
            core.on(now, Input::Wake, &mut self.fx);
        }
        core.turn_end(now, &mut self.fx);
        self.carry_out(now, core, checks);
        while let Some(index) = self.dying.pop() {
            self.remove(index);
        }
        if let Some((code, deadline)) = self.leaving {
            let mut conns = self.slots.iter().filter_map(|slot| slot.conn.as_ref());
            let flushed = conns.all(|conn| conn.out.is_empty() && conn.closing.is_none());
            if flushed || self.now >= deadline {
                return Turn::Left(code);
            }
        }
        Turn::Went
    }

    fn happen<C: Core>(&mut self, what: Happening, now: Now, core: &mut C, checks: &mut Checks) {
        match what {
            Happening::Arrive(link) => {
                if !self.listening {
                    self.links[link].gone = true;
                    return self.tell(link, Event::Lost { injected: false }, checks);
                }
                let id = self.insert(link);
                let peer = SocketAddr::from(([127, 0, 0, 1], 40_000 + link as u16));
                let local = SocketAddr::from(([127, 0, 0, 1], 18_789));
                self.trace.note(self.now, "accepted", id.slot.into(), id.generation.into());
                core.on(now, Input::Accepted { conn: id, peer, local }, &mut self.fx);
                self.tell(link, Event::Connected, checks);
            }
            Happening::Up(link) => self.up(link, now, core),
            Happening::Down(link) => self.down(link, checks),
            Happening::Alarm(link) => self.tell(link, Event::Wake, checks),
            Happening::Reset(link) => {
                if !self.links[link].gone {
                    self.reset(link, now, core);
                    self.tell(link, Event::Lost { injected: true }, checks);
                }
            }
            Happening::Broken(link) => {
                if let Some(id) = self.links[link].conn {
                    self.lost(id, now, core);
                }
            }
            Happening::Dialed(dial, how) => self.dialed(DialId(dial), how, now, core, checks),
            Happening::Late(slot, generation, how) => {
                let conn = ConnId { slot, generation };
                self.trace.note(self.now, "late", slot.into(), generation.into());
                let input = match how {
                    0 => Input::Received { conn, bytes: b"\xff late bytes \0\r\n\r\n" },
                    1 => Input::Closed { conn, why: Closed::ByPeer },
                    2 => Input::Ended { conn },
                    _ => Input::Queued { conn, bytes: 99_999_999 },
                };
                core.on(now, input, &mut self.fx);
            }
            Happening::Child(child, killed) => {
                self.trace.note(self.now, "child", child, killed.into());
                let child = ChildId(child);
                let exit = if killed { Exit::Signal(15) } else { Exit::Code(0) };
                let events = [ChildEvent::Stdout(b"ok\n"), ChildEvent::Exited(exit)];
                // One that is over is not heard of again.
                if self.over.insert(child) {
                    for event in events {
                        core.on(now, Input::Child { child, event }, &mut self.fx);
                    }
                }
            }
            Happening::Signal(restart) => {
                self.trace.note(self.now, "signal", restart.into(), 0);
                checks.leaving.get_or_insert(self.now);
                let signal = if restart { Signal::Restart } else { Signal::Terminate };
                core.on(now, Input::Signal(signal), &mut self.fx);
            }
        }
    }

    fn conn(&mut self, id: ConnId) -> Option<&mut Conn> {
        let slot = self.slots.get_mut(id.slot as usize)?;
        if slot.generation == id.generation { slot.conn.as_mut() } else { None }
    }

    fn insert(&mut self, link: usize) -> ConnId {
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                self.slots.push(Slot::default());
                self.slots.len() as u32 - 1
            }
        };
        let generation = self.slots[index as usize].generation;
        self.slots[index as usize].conn = Some(Conn {
            link,
            out: Pipe::default(),
            reported: 0,
            read_on: true,
            ended: false,
            shut: false,
            dead: false,
            closing: None,
            close_by: Time(0),
        });
        if generation > 0 && self.rng.percent(self.knobs.late) {
            let when = Time(self.now.0 + self.rng.below(200_000));
            let how = self.rng.pick(&[0, 0, 1, 2, 3]);
            self.at(when, Happening::Late(index, generation - 1, how));
        }
        if self.rng.percent(self.knobs.resets) {
            let when = Time(self.now.0 + self.rng.range(1, 3_000_000));
            self.at(when, Happening::Reset(link));
        }
        let id = ConnId { slot: index, generation };
        self.links[link].conn = Some(id);
        id
    }

    fn remove(&mut self, index: u32) {
        let slot = &mut self.slots[index as usize];
        let Some(conn) = slot.conn.take() else { return };
        slot.generation += 1;
        self.free.push(index);
        let link = &mut self.links[conn.link];
        link.conn = None;
        link.up.clear();
        if !link.gone && !conn.shut {
            link.down_end = Some(!conn.out.is_empty());
            self.down_soon(conn.link);
        }
    }

    /// Lets a peer act.
    fn tell(&mut self, link: usize, event: Event<'_>, checks: &mut Checks) {
        let Some(mut peer) = self.links[link].peer.take() else { return };
        let mut io = Io::default();
        peer.on(self.now, event, &mut io, checks);
        self.links[link].peer = Some(peer);
        if let Some(when) = io.wake {
            self.at(when.max(self.now), Happening::Alarm(link));
        }
        if let Some(pause_us) = io.pause_us {
            self.links[link].pause_us = pause_us;
            self.down_soon(link);
        }
        for visit in io.visits {
            let when = self.soon();
            self.expect(when, visit.peer);
        }
        if io.rouse {
            for other in (0..self.links.len()).filter(|other| *other != link) {
                let it = &self.links[other];
                if !it.gone && it.peer.as_ref().is_some_and(|peer| peer.rousable()) {
                    self.at(self.now, Happening::Alarm(other));
                }
            }
        }
        if self.links[link].gone {
            return;
        }
        self.links[link].up.put(&io.send);
        self.links[link].up_end |= io.end;
        self.up_soon(link);
        if io.reset {
            // Whatever is on its way is lost with it.
            let when = self.soon();
            self.at(when, Happening::Reset(link));
        }
    }

    fn up_soon(&mut self, link: usize) {
        let when = self.follow(self.links[link].moved[0]);
        let it = &mut self.links[link];
        if !it.up_due && !it.up_blocked && (!it.up.is_empty() || it.up_end) {
            it.up_due = true;
            self.at(when, Happening::Up(link));
        }
    }

    fn down_soon(&mut self, link: usize) {
        let pause = self.links[link].pause_us;
        let when = Time(self.follow(self.links[link].moved[1]).0.saturating_add(pause));
        let it = &mut self.links[link];
        let something = !it.down.is_empty() || it.down_end.is_some();
        if something && !it.down_due && !it.gone && pause != u64::MAX {
            it.down_due = true;
            self.at(when, Happening::Down(link));
        }
    }

    /// The gateway reads once.
    fn up<C: Core>(&mut self, link: usize, now: Now, core: &mut C) {
        let most = self.knobs.chunk;
        let size = self.rng.size(1, most);
        let again = self.rng.percent(50);
        let it = &mut self.links[link];
        it.up_due = false;
        let Some(id) = it.conn else { return it.up.clear() };
        let Some(conn) = self.slots[id.slot as usize].conn.as_mut() else { return };
        if conn.dead {
            return;
        }
        if conn.closing.is_some() {
            it.up.clear();
            if it.up_end {
                conn.ended = true;
                if conn.out.is_empty() {
                    self.dying.push(id.slot);
                }
            }
            return;
        }
        if !conn.read_on {
            it.up_blocked = true;
            return;
        }
        if it.up.is_empty() {
            if it.up_end && !conn.ended {
                conn.ended = true;
                self.trace.note(self.now, "ended", id.slot.into(), id.generation.into());
                core.on(now, Input::Ended { conn: id }, &mut self.fx);
            }
            return;
        }
        let size = match self.knobs.split_at {
            Some(at) if it.read < at => at - it.read,
            Some(_) => usize::MAX,
            None => size,
        };
        let bytes = it.up.take(size);
        it.read += bytes.len();
        let more = !it.up.is_empty() || it.up_end;
        it.up_due = more;
        it.moved[0] = self.now;
        self.trace.bytes(self.now, "received", id.slot, &bytes);
        core.on(now, Input::Received { conn: id, bytes: &bytes }, &mut self.fx);
        if more {
            let when = if again { self.now } else { self.follow(self.now) };
            self.at(when, Happening::Up(link));
        }
    }

    /// The peer reads once.
    fn down(&mut self, link: usize, checks: &mut Checks) {
        let size = self.rng.size(1, self.knobs.chunk);
        let it = &mut self.links[link];
        it.down_due = false;
        if it.gone || it.pause_us == u64::MAX {
            return;
        }
        let bytes = it.down.take(size);
        it.moved[1] = self.now;
        // Room was made: a blocked writer goes on in this turn.
        if let Some(id) = it.conn {
            self.dirty.push(id.slot);
        }
        if !bytes.is_empty() {
            self.tell(link, Event::Bytes(&bytes), checks);
        }
        let it = &mut self.links[link];
        if it.down.is_empty()
            && let Some(broken) = it.down_end.take()
        {
            if broken {
                it.gone = true;
            }
            let event = if broken { Event::Lost { injected: false } } else { Event::Ended };
            return self.tell(link, event, checks);
        }
        self.down_soon(link);
    }

    fn reset<C: Core>(&mut self, link: usize, now: Now, core: &mut C) {
        self.breaks.push(self.now);
        let it = &mut self.links[link];
        it.gone = true;
        it.up.clear();
        it.down.clear();
        let Some(id) = it.conn else { return };
        if self.rng.percent(50) {
            return self.lost(id, now, core);
        }
        // The news travels; until it is here only a write finds out.
        let when = Time(self.now.0 + self.rng.below(1_000_000));
        self.at(when, Happening::Broken(link));
    }

    fn lost<C: Core>(&mut self, id: ConnId, now: Now, core: &mut C) {
        let Some(conn) = self.conn(id) else { return };
        if std::mem::replace(&mut conn.dead, true) {
            return;
        }
        let told = conn.closing.is_some();
        self.dying.push(id.slot);
        if !told {
            self.trace.note(self.now, "closed", id.slot.into(), id.generation.into());
            let why = Closed::Error("Connection reset by peer".to_owned());
            core.on(now, Input::Closed { conn: id, why }, &mut self.fx);
        }
    }

    fn dialed<C: Core>(
        &mut self,
        dial: DialId,
        how: u8,
        now: Now,
        core: &mut C,
        checks: &mut Checks,
    ) {
        let Some(target) = self.dials.remove(&dial) else { return };
        self.trace.note(self.now, "dialed", dial.0, how.into());
        let forbidden = self.forbidden.remove(&dial).map(DialError::Forbidden);
        let result = match how {
            0 => {
                let peer = (self.provide)(&mut self.rng, &target);
                let link = self.link(peer);
                let id = self.insert(link);
                self.tell(link, Event::Connected, checks);
                Ok(id)
            }
            1 => Err(DialError::Connect("Connection refused".to_owned())),
            2 => Err(DialError::Resolve("no such host".to_owned())),
            4 => Err(forbidden.unwrap_or(DialError::Timeout)),
            _ => Err(DialError::Timeout),
        };
        core.on(now, Input::Dialed { dial, result }, &mut self.fx);
    }

    /// Where everybody stands, for the report of a failure.
    pub fn states(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (n, link) in self.links.iter().enumerate() {
            let Some(peer) = &link.peer else { continue };
            let held = link.conn.and_then(|id| {
                let conn = self.slots[id.slot as usize].conn.as_ref()?;
                Some(format!(
                    "slot {}.{} out {} read_on {} closing {}",
                    id.slot,
                    id.generation,
                    conn.out.len(),
                    conn.read_on,
                    conn.closing.is_some()
                ))
            });
            let held = held.unwrap_or_else(|| "no slot".to_owned());
            let (up, down) = (link.up.len(), link.down.len());
            lines.push(format!("link {n}: {} [{held}; up {up}, down {down}]", peer.state()));
        }
        lines
    }
}
