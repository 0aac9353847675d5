//! The driver of production: mio on one thread.
//!
//! It owns every socket, child pipe and clock, and nothing else: what bytes mean is the
//! core's business. One turn of the loop:
//!
//! ```text
//! timeout from the next deadline (zero while work is left over)
//!   -> poll -> stamp now -> mark readiness in slots (events of an old generation are dropped)
//!   -> accept, read marked slots within their budget, dials, children, signals
//!   -> due timers -> core.turn_end -> effects in order -> flush what was queued
//!   -> report queue lengths -> deferred frees
//! ```
//!
//! Readiness is edge-triggered: a slot remembers `readable` until a read came back short or
//! blocked. Writable interest is asked for only after WouldBlock. A slot is freed at the end of
//! the turn, and its generation then changes, so that an event or timer of its former life
//! finds nobody.

mod accept;
#[cfg(feature = "tls")]
mod certificate;
#[cfg(not(feature = "tls"))]
#[path = "certificate_without.rs"]
mod certificate;
#[cfg(unix)]
mod child;
mod dial;
mod inbound;
mod listen;
pub mod notify;
mod resolver;
#[cfg(unix)]
mod signals;
#[cfg(not(unix))]
#[path = "signals_without.rs"]
mod signals;
mod slot;
mod tls;
#[cfg(feature = "tls")]
pub mod trust;
mod tunnel;

pub use certificate::fingerprint;

/// This build speaks TLS.
pub const HAS_TLS: bool = tls::AVAILABLE;

/// Looks into the files of a listener without using them.
///
/// # Errors
/// What is wrong with them; the text names key and file.
pub fn check_tls(files: &TlsFiles) -> Result<(), String> {
    certificate::Server::new(files).map(drop)
}

use crate::driver::{
    Closed, ConnId, Core, Effect, Effects, Input, Now, Signal, Standing, Time, TlsFiles,
};
use crate::limits;
use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token};
use slot::{Kind, Slots};
use std::collections::VecDeque;
use std::io::{self, Read};
use std::net::{Shutdown, SocketAddr};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Slot numbers from here on are not connections.
const FIXED: usize = 0xff00;
const LISTENER: Token = Token(FIXED);
const SIGNALS: Token = Token(FIXED + 0x10);
const WAKER: Token = Token(FIXED + 0x20);
/// Child pipes: `FIXED + 0x40 ..`, numbered by `child`.
const CHILDREN: usize = FIXED + 0x40;

/// How the loop ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    /// With this exit code.
    Exit(u8),
    /// The process is to be re-executed; the listener is still open.
    Reexec,
}

/// Binds a listener with a queue of [`limits::ACCEPT_QUEUE`]; that of std and mio holds 128
/// connections, and what does not fit waits for the peer's next SYN, a second or more.
///
/// # Errors
/// The system's: the address is taken, is not ours, or its port needs a privilege.
pub fn bind(addr: SocketAddr) -> io::Result<std::net::TcpListener> {
    let listener: std::net::TcpListener = TcpListener::bind(addr)?.into();
    #[cfg(all(unix, feature = "process"))]
    if let Err(error) = rustix::net::listen(&listener, limits::ACCEPT_QUEUE) {
        log::debug!(target: "reactor", "the queue of {addr} stays short: {error}");
    }
    Ok(listener)
}

/// The mio driver. Build it, [`listen`](Reactor::listen), then [`run`](Reactor::run) a core.
pub struct Reactor {
    poll: Poll,
    started: Instant,
    /// The first is the one that a re-execution keeps.
    listeners: Vec<TcpListener>,
    /// Which of them is asked first in the next turn, so that none starves another.
    accept_from: usize,
    accepting: bool,
    accept_ready: bool,
    /// A peer who has the reserve's descriptor until it is known whether another is freed.
    on_reserve: Option<(mio::net::TcpStream, SocketAddr)>,
    /// A descriptor to give up when there are no others, so that who waits can be told.
    reserve: Option<std::fs::File>,
    accept_again: Option<Time>,
    inbound: inbound::Inbound,
    slots: Slots,
    ready: VecDeque<u32>,
    dirty: Vec<u32>,
    dying: Vec<u32>,
    dials: dial::Dials,
    #[cfg(unix)]
    children: child::Children,
    signals: signals::Signals,
    leaving: Option<(Leave, Time)>,
    /// The service manager that started us, if it wants to hear of us.
    notify: Option<notify::Notify>,
    scratch: Vec<u8>,
    /// Events that named a slot of an earlier life; shown by tests.
    late_events: u64,
}

impl Reactor {
    /// A reactor with no listener yet. Installs the signal handlers.
    ///
    /// # Errors
    /// When the system gives no poll instance or no pipe for signals.
    pub fn new() -> io::Result<Self> {
        let poll = Poll::new()?;
        let signals = signals::Signals::install(poll.registry(), SIGNALS.0)?;
        Ok(Self {
            dials: dial::Dials::new(poll.registry(), WAKER),
            poll,
            started: Instant::now(),
            listeners: Vec::new(),
            accept_from: 0,
            accepting: false,
            accept_ready: false,
            on_reserve: None,
            reserve: accept::reserve(),
            accept_again: None,
            inbound: inbound::Inbound::new(),
            slots: Slots::with_room(),
            ready: VecDeque::with_capacity(limits::ROOM),
            dirty: Vec::with_capacity(limits::ROOM),
            dying: Vec::with_capacity(limits::ROOM),
            #[cfg(unix)]
            children: child::Children::default(),
            signals,
            leaving: None,
            notify: None,
            scratch: vec![0; limits::READ_CHUNK],
            late_events: 0,
        })
    }

    /// Takes over a bound listener, a second or third one too, and starts accepting when the
    /// loop runs.
    ///
    /// # Errors
    /// When it cannot be made non-blocking or registered.
    pub fn listen(&mut self, listener: std::net::TcpListener) -> io::Result<SocketAddr> {
        listener.set_nonblocking(true)?;
        let addr = listener.local_addr()?;
        let mut listener = TcpListener::from_std(listener);
        self.poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        self.listeners.push(listener);
        self.accepting = true;
        Ok(addr)
    }

    /// Has the listener speak TLS with these files, or plain text again, to those who connect
    /// from here on.
    ///
    /// # Errors
    /// What is wrong with the files; what was in force stays, except that plain text never
    /// takes the place of TLS: then nobody is served.
    pub fn speak_tls(&mut self, files: Option<&TlsFiles>) -> Result<(), String> {
        self.inbound.speak(files)
    }

    /// Has a service manager hear where the gateway stands, and that the loop turns.
    pub fn report_to(&mut self, notify: notify::Notify) {
        self.notify = Some(notify);
    }

    fn tell(&self, standing: &Standing) {
        if let Some(notify) = &self.notify {
            notify.tell(standing);
        }
    }

    /// What a manager shows beside a gateway that serves.
    fn serving(&self) -> String {
        let all = self.listeners.iter().filter_map(|listener| listener.local_addr().ok());
        let all: Vec<String> = all.map(|addr| addr.to_string()).collect();
        format!("listening on {}", all.join(", "))
    }

    /// The first listener, for a re-execution that keeps it; the others close here.
    pub fn take_listener(&mut self) -> Option<TcpListener> {
        self.listeners.drain(..).next()
    }

    /// The clocks, stamped once a turn.
    pub fn now(&self) -> Now {
        let wall_ms = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
        let time = Time(u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX));
        Now { time, wall_ms }
    }

    /// Runs the core until it asks to leave.
    ///
    /// # Errors
    /// When polling itself fails; connections' errors go to the core.
    pub fn run<C: Core>(&mut self, core: &mut C) -> io::Result<Leave> {
        let mut events = Events::with_capacity(256);
        let mut fx = Effects::with_room(limits::ROOM);
        self.tell(&Standing::Ready(self.serving()));
        loop {
            // What the last turn could not carry out must not wait for an event.
            let timeout = if fx.is_empty() { self.timeout(core) } else { Some(Duration::ZERO) };
            match self.poll.poll(&mut events, timeout) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            }
            let now = self.now();
            self.mark(&events, now, core, &mut fx);
            self.accept(now, core, &mut fx);
            self.serve_ready(now, core, &mut fx);
            self.children_go_on(now, core, &mut fx);
            self.timers(now, core, &mut fx);
            core.turn_end(now, &mut fx);
            self.carry_out(now, core, &mut fx);
            self.free_dying();
            if let Some(notify) = &mut self.notify {
                notify.alive(now.time);
            }
            if let Some((leave, deadline)) = self.leaving
                && (self.slots.nobody_to_flush() && self.no_children() || now.time >= deadline)
            {
                #[cfg(unix)]
                self.children.kill_all();
                return Ok(leave);
            }
        }
    }

    fn timeout<C: Core>(&self, core: &C) -> Option<Duration> {
        #[cfg(unix)]
        if self.children.have_more() {
            return Some(Duration::ZERO);
        }
        if !self.ready.is_empty() || (self.accept_ready && self.may_accept()) {
            return Some(Duration::ZERO);
        }
        let next = [
            core.deadline(),
            self.accept_again,
            self.dials.deadline(),
            self.inbound.deadline(),
            self.slots.linger_deadline(),
            self.leaving.map(|(_, deadline)| deadline),
            self.notify.as_ref().and_then(notify::Notify::deadline),
        ]
        .into_iter()
        .flatten()
        .min()?;
        let now = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX);
        // epoll counts in milliseconds and rounds up through mio; never wake early and spin.
        Some(Duration::from_micros(next.0.saturating_sub(now)))
    }

    fn may_accept(&self) -> bool {
        self.accepting && self.accept_again.is_none()
    }

    fn mark<C: Core>(&mut self, events: &Events, now: Now, core: &mut C, fx: &mut Effects) {
        for event in events {
            let token = event.token();
            match token {
                LISTENER => self.accept_ready = true,
                WAKER => {
                    let mut with = dial::Lent {
                        now,
                        registry: self.poll.registry(),
                        slots: &mut self.slots,
                        tell: &mut |input| core.on(now, input, fx),
                    };
                    self.dials.resolved(&mut with);
                }
                Token(n) if n & 0xffff >= CHILDREN => self.child_event(n & 0xffff, now, core, fx),
                Token(n) if n & 0xffff >= SIGNALS.0 => {
                    for signal in self.signals.take() {
                        match signal {
                            signals::Arrived::Operator(signal) => {
                                if self.leaving.is_some() && signal == Signal::Terminate {
                                    // Asked twice: the operator does not want to wait for peers.
                                    self.leaving = Some((Leave::Exit(0), now.time));
                                }
                                core.on(now, Input::Signal(signal), fx);
                            }
                            signals::Arrived::Child => self.children_reap(now, core, fx),
                        }
                    }
                }
                token => match self.slots.by_token(token) {
                    None => self.late_events += 1,
                    Some((index, conn)) => {
                        if event.is_readable() || event.is_error() || event.is_read_closed() {
                            conn.readable = true;
                            conn.hang_up |= event.is_read_closed() || event.is_error();
                        }
                        if event.is_writable() || event.is_error() {
                            conn.writable = true;
                        }
                        if !conn.marked {
                            conn.marked = true;
                            self.ready.push_back(index);
                        }
                    }
                },
            }
        }
    }

    fn serve_ready<C: Core>(&mut self, now: Now, core: &mut C, fx: &mut Effects) {
        for _ in 0..self.ready.len() {
            let Some(index) = self.ready.pop_front() else { break };
            let Some(conn) = self.slots.get_mut(index) else { continue };
            conn.marked = false;
            match conn.kind {
                Kind::Peer => {
                    if conn.writable {
                        self.dirty.push(index);
                    }
                    self.read(index, now, core, fx);
                }
                Kind::Connecting(dial) | Kind::Handshaking(dial) => {
                    let mut with = dial::Lent {
                        now,
                        registry: self.poll.registry(),
                        slots: &mut self.slots,
                        tell: &mut |input| core.on(now, input, fx),
                    };
                    let more = self.dials.progress(dial, index, &mut with);
                    // Bytes may have come with the end of the handshake.
                    if more && let Some(conn) = self.slots.get_mut(index) {
                        conn.readable = true;
                        self.read(index, now, core, fx);
                    }
                }
            }
        }
    }

    /// Reads one slot until it blocks, its budget is used up, or the core has had enough.
    fn read<C: Core>(&mut self, index: u32, now: Now, core: &mut C, fx: &mut Effects) {
        let mut budget = limits::READ_BUDGET;
        loop {
            let Some(id) = self.slots.id(index) else { return };
            let Some(conn) = self.slots.get_mut(index) else { return };
            if !conn.readable || !(conn.read_on || conn.closing.is_some()) {
                return;
            }
            if budget == 0 {
                if !conn.marked {
                    conn.marked = true;
                    self.ready.push_back(index);
                }
                return;
            }
            let got = conn.read(&mut self.scratch);
            // Reading moves a handshake on; what waits for its end may leave now.
            if conn.owes_records() || conn.tls.is_some() && !conn.out.is_empty() {
                self.dirty.push(index);
            }
            match got {
                Ok(0) => {
                    conn.readable = false;
                    self.ended(index, id, now, core, fx);
                    return;
                }
                Ok(n) => {
                    budget = budget.saturating_sub(n);
                    // A short read means the socket is empty: the next byte brings a new edge.
                    if n < self.scratch.len() && !conn.hang_up && conn.tls.is_none() {
                        conn.readable = false;
                    }
                    if conn.closing.is_none()
                        && let Some(bytes) = self.scratch.get(..n)
                    {
                        core.on(now, Input::Received { conn: id, bytes }, fx);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    conn.readable = false;
                    return;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                    budget = budget.saturating_sub(limits::READ_CHUNK);
                }
                // What rustls itself objects to; the socket's own errors are of other kinds.
                Err(error) if conn.tls.is_some() && error.kind() == io::ErrorKind::InvalidData => {
                    self.broke_tls(index, id, error.to_string(), now, core, fx);
                }
                Err(error) => {
                    self.lost(index, id, Closed::Error(error.to_string()), now, core, fx);
                    return;
                }
            }
        }
    }

    /// What came is no TLS, or not as it must be. The alert has left; nothing of ours follows
    /// it, and input is discarded for a moment, so that the peer reads the alert, not a reset.
    fn broke_tls<C: Core>(
        &mut self,
        index: u32,
        id: ConnId,
        why: String,
        now: Now,
        core: &mut C,
        fx: &mut Effects,
    ) {
        let Some(conn) = self.slots.get_mut(index) else { return };
        conn.tls = None;
        conn.out = slot::Out::default();
        let _ = conn.stream.shutdown(Shutdown::Write);
        if conn.closing.is_none() {
            conn.closing = Some(now.time.after_ms(limits::LINGER_MS));
            conn.close_by = now.time.after_ms(limits::LINGER_MAX_MS);
            self.slots.lingering += 1;
            log::debug!(target: "tls", "a connection broke: {why}");
            core.on(now, Input::Closed { conn: id, why: Closed::Error(why) }, fx);
        }
        if let Some(conn) = self.slots.get_mut(index) {
            conn.shut = true;
            conn.reported = 0;
        }
    }

    fn ended<C: Core>(&mut self, index: u32, id: ConnId, now: Now, core: &mut C, fx: &mut Effects) {
        let Some(conn) = self.slots.get_mut(index) else { return };
        conn.ended = true;
        if conn.closing.is_some() {
            if conn.out.is_empty() {
                self.dying.push(index);
            }
        } else {
            core.on(now, Input::Ended { conn: id }, fx);
        }
    }

    /// The connection failed under us: tell the core unless it already let go, free the slot.
    fn lost<C: Core>(
        &mut self,
        index: u32,
        id: ConnId,
        why: Closed,
        now: Now,
        core: &mut C,
        fx: &mut Effects,
    ) {
        let Some(conn) = self.slots.get_mut(index) else { return };
        let told = conn.closing.is_some();
        conn.dead = true;
        self.dying.push(index);
        if !told {
            core.on(now, Input::Closed { conn: id, why }, fx);
        }
    }

    fn timers<C: Core>(&mut self, now: Now, core: &mut C, fx: &mut Effects) {
        for index in self.slots.lingered(now.time) {
            self.dying.push(index);
        }
        while let Some(id) = self.inbound.overdue(now.time, &mut self.slots) {
            let why = format!("no TLS handshake in {} ms", limits::TLS_HANDSHAKE_MS);
            self.lost(id.slot, id, Closed::Error(why), now, core, fx);
        }
        let mut with = dial::Lent {
            now,
            registry: self.poll.registry(),
            slots: &mut self.slots,
            tell: &mut |input| core.on(now, input, fx),
        };
        self.dials.timers(&mut with);
        if core.deadline().is_some_and(|deadline| deadline <= now.time) {
            core.on(now, Input::Wake, fx);
        }
    }

    /// Effects, then writes, then what the writes have to report; the report may cause effects
    /// again, which is bounded: a report comes only when a queue length changed.
    fn carry_out<C: Core>(&mut self, now: Now, core: &mut C, fx: &mut Effects) {
        for _ in 0..8 {
            let effects: Vec<Effect> = fx.drain().collect();
            let idle = effects.is_empty() && self.dirty.is_empty();
            for effect in effects {
                self.effect(effect, now, core, fx);
            }
            if idle {
                return;
            }
            let mut dirty = std::mem::take(&mut self.dirty);
            for index in dirty.drain(..) {
                self.flush(index, now, core, fx);
            }
            // Keep the allocation, and whatever the flushes marked meanwhile.
            dirty.append(&mut self.dirty);
            self.dirty = dirty;
        }
    }

    fn effect<C: Core>(&mut self, effect: Effect, now: Now, core: &mut C, fx: &mut Effects) {
        match effect {
            Effect::Send { conn, bytes } => {
                if let Some(slot) = self.slots.live(conn)
                    && slot.closing.is_none()
                    && !slot.dead
                {
                    slot.out.push(bytes);
                    self.dirty.push(conn.slot);
                }
            }
            Effect::Close { conn } => {
                if let Some(slot) = self.slots.live(conn)
                    && slot.closing.is_none()
                {
                    slot.closing = Some(now.time.after_ms(limits::LINGER_MS));
                    slot.close_by = now.time.after_ms(limits::LINGER_MAX_MS);
                    slot.reported = slot.out.len();
                    slot.read_on = false;
                    self.slots.lingering += 1;
                    self.dirty.push(conn.slot);
                }
            }
            Effect::Abort { conn } => {
                if self.slots.live(conn).is_some_and(|slot| slot.let_go()) {
                    self.dying.push(conn.slot);
                }
            }
            Effect::Read { conn, on } => {
                if let Some(slot) = self.slots.live(conn) {
                    slot.read_on = on && slot.closing.is_none();
                    if on && slot.readable && !slot.marked {
                        slot.marked = true;
                        self.ready.push_back(conn.slot);
                    }
                }
            }
            Effect::Dial { dial, target, deadline } => {
                let mut with = dial::Lent {
                    now,
                    registry: self.poll.registry(),
                    slots: &mut self.slots,
                    tell: &mut |input| core.on(now, input, fx),
                };
                self.dials.start(dial, target, deadline, &mut with);
            }
            Effect::CancelDial { dial } => {
                let mut with = dial::Lent {
                    now,
                    registry: self.poll.registry(),
                    slots: &mut self.slots,
                    tell: &mut |input| core.on(now, input, fx),
                };
                self.dials.cancel(dial, &mut with);
            }
            #[cfg(unix)]
            Effect::Spawn { child, spawn } => {
                let registry = self.poll.registry();
                self.children.start(registry, CHILDREN, child, spawn, &mut |event| {
                    core.on(now, Input::Child { child, event }, fx);
                });
            }
            #[cfg(unix)]
            Effect::Kill { child, kill } => {
                self.children.kill(child, kill);
                self.children_reap(now, core, fx);
            }
            #[cfg(unix)]
            Effect::ChildInput { child, bytes } => self.children.input(child, &bytes, false),
            #[cfg(unix)]
            Effect::ChildInputEnd { child } => self.children.input(child, &[], true),
            #[cfg(not(unix))]
            Effect::Spawn { child, .. } => {
                let text = "unsupported on this platform".to_owned();
                let event = crate::driver::ChildEvent::Failed(text);
                core.on(now, Input::Child { child, event }, fx);
            }
            #[cfg(not(unix))]
            Effect::Kill { .. } | Effect::ChildInput { .. } | Effect::ChildInputEnd { .. } => {}
            Effect::Listen(places) => {
                let outcome = self.relisten(&places, now, core, fx);
                self.tell(&Standing::Busy(self.serving()));
                core.on(now, Input::Listening(outcome), fx);
            }
            Effect::StopListening => {
                self.accepting = false;
                for mut listener in self.listeners.drain(..) {
                    let _ = self.poll.registry().deregister(&mut listener);
                }
            }
            Effect::ListenerTls(files) => match self.inbound.speak(files.as_deref()) {
                Ok(()) => log::info!(target: "tls", "new connections speak {}",
                    if files.is_some() { "TLS with the current certificate" } else { "plain text" }),
                Err(text) => log::error!(target: "tls", "{text}; {}",
                    self.inbound.without_new_files()),
            },
            Effect::Exit { code } => {
                self.accepting = false;
                self.leaving = Some((Leave::Exit(code), now.time.after_ms(limits::LINGER_MS)));
            }
            Effect::Tell(Standing::Ready(text)) if text.is_empty() => {
                self.tell(&Standing::Ready(self.serving()));
            }
            Effect::Tell(standing) => self.tell(&standing),
            Effect::Reexec => {
                // Ready again is for the next image to say.
                self.tell(&Standing::Reloading);
                self.accepting = false;
                self.leaving = Some((Leave::Reexec, now.time.after_ms(limits::LINGER_MS)));
            }
        }
    }

    /// Writes what is queued for one slot, and reports the rest.
    fn flush<C: Core>(&mut self, index: u32, now: Now, core: &mut C, fx: &mut Effects) {
        let Some(id) = self.slots.id(index) else { return };
        let registry = self.poll.registry();
        let Some(conn) = self.slots.get_mut(index) else { return };
        if conn.dead || !matches!(conn.kind, Kind::Peer) {
            return;
        }
        if let Err(error) = conn.write_out(registry, index, id.generation) {
            self.lost(index, id, Closed::Error(error.to_string()), now, core, fx);
            return;
        }
        let queued = conn.out.len();
        if conn.closing.is_some() {
            if queued < conn.reported {
                conn.reported = queued;
                conn.closing = Some(now.time.after_ms(limits::LINGER_MS).min(conn.close_by));
            }
            if conn.out.is_empty() && !conn.owes_records() && !conn.shut {
                conn.shut = true;
                let _ = conn.stream.shutdown(Shutdown::Write);
                if conn.ended {
                    self.dying.push(index);
                } else if !conn.marked {
                    // Discard what the peer still sends, so that it reads our last bytes.
                    conn.readable = true;
                    conn.marked = true;
                    self.ready.push_back(index);
                }
            }
        } else if queued != conn.reported {
            conn.reported = queued;
            core.on(now, Input::Queued { conn: id, bytes: queued }, fx);
        }
    }

    fn free_dying(&mut self) {
        while let Some(index) = self.dying.pop() {
            self.slots.remove(self.poll.registry(), index);
        }
    }

    #[cfg(unix)]
    fn child_event<C: Core>(&mut self, token: usize, now: Now, core: &mut C, fx: &mut Effects) {
        let scratch = &mut self.scratch;
        self.children.readable(token, CHILDREN, scratch, &mut |child, event| {
            core.on(now, Input::Child { child, event }, fx);
        });
        self.children_reap(now, core, fx);
    }

    /// Children that write more than a turn's budget.
    #[cfg(unix)]
    fn children_go_on<C: Core>(&mut self, now: Now, core: &mut C, fx: &mut Effects) {
        if self.children.have_more() {
            let scratch = &mut self.scratch;
            self.children.go_on(scratch, &mut |child, event| {
                core.on(now, Input::Child { child, event }, fx);
            });
            self.children_reap(now, core, fx);
        }
    }

    #[cfg(unix)]
    fn no_children(&self) -> bool {
        self.children.is_empty()
    }

    #[cfg(unix)]
    fn children_reap<C: Core>(&mut self, now: Now, core: &mut C, fx: &mut Effects) {
        self.children.reap(&mut |child, event| {
            core.on(now, Input::Child { child, event }, fx);
        });
    }

    #[cfg(not(unix))]
    fn child_event<C: Core>(&mut self, _: usize, _: Now, _: &mut C, _: &mut Effects) {}
    #[cfg(not(unix))]
    fn children_go_on<C: Core>(&mut self, _: Now, _: &mut C, _: &mut Effects) {}
    #[cfg(not(unix))]
    fn no_children(&self) -> bool {
        true
    }
    #[cfg(not(unix))]
    fn children_reap<C: Core>(&mut self, _: Now, _: &mut C, _: &mut Effects) {}
}

impl slot::Conn {
    /// Reads plaintext: `Ok(0)` is the end, WouldBlock means nothing now.
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match &mut self.tls {
            None => self.stream.read(into),
            Some(tls) => tls.read(&mut self.stream, into),
        }
    }
}

#[cfg(test)]
mod loop_tests;

#[cfg(all(test, feature = "tls"))]
mod inbound_tests;
