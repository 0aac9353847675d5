//! The seam between the state machine and whatever drives it.
//!
//! A [`Core`] is fed [`Input`]s and answers with [`Effect`]s. Two drivers exist: `reactor`
//! (mio, real sockets) and `sim` (a seeded network and clock). Both keep the same promises:
//!
//! * `now` is stamped once a turn and never goes back.
//! * An id is never reused: [`ConnId`] carries a generation, [`DialId`] and [`ChildId`] are
//!   chosen by the core and used once.
//! * After `Close` or `Abort` the core hears nothing more of that connection; after
//!   `CancelDial` nothing more of that dial.
//! * `Send`s to one connection keep their order. Bytes the peer does not take stay with the
//!   driver, which reports their number by [`Input::Queued`] at the end of each turn in which
//!   that number changed, and once more with zero when all have left.
//! * [`Core::on`] with [`Input::Wake`] is called when [`Core::deadline`] has passed.
//! * One turn: inputs, then `turn_end`, then the effects in order.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

/// Monotonic time in microseconds since the driver started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Time(pub u64);

impl Time {
    /// The instant `ms` milliseconds later.
    pub fn after_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms.saturating_mul(1000)))
    }

    /// Whole milliseconds from `earlier` to here, zero if `earlier` is later.
    pub fn ms_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0) / 1000
    }
}

/// The clocks of one turn: monotonic time, and Unix time in milliseconds for what people read.
#[derive(Debug, Clone, Copy, Default)]
pub struct Now {
    /// Monotonic; every deadline is in it.
    pub time: Time,
    /// Unix time in milliseconds; may jump.
    pub wall_ms: u64,
}

/// A connection: a slot of the driver and the generation of its use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnId {
    /// Index of the slot; small and dense, so a core may keep a `Vec` by it.
    pub slot: u32,
    /// How often the slot was used before; distinguishes a late event from a live one.
    pub generation: u32,
}

/// An outbound connection attempt, numbered by the core.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DialId(pub u64);

/// A child process, numbered by the core.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChildId(pub u64);

/// Why a connection ended without the core asking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Closed {
    /// The peer closed both directions, or closed while nothing was left to send.
    ByPeer,
    /// Reset or another socket error; the text is the system's.
    Error(String),
}

/// Why a dial failed. `Display` says what to check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DialError {
    /// The name has no address; holds the resolver's text.
    Resolve(String),
    /// The resolver is held by an earlier look-up.
    ResolverBusy,
    /// No address answered; holds the last socket error.
    Connect(String),
    /// The target is [`Target::public_only`], and this is no address of the open Internet.
    Forbidden(IpAddr),
    /// The deadline passed first.
    Timeout,
    /// The TLS handshake failed; holds the reason.
    Tls(String),
    /// The peer's certificate or TLS itself is not acceptable; another try would end the same.
    Untrusted(String),
    /// The proxy opened no tunnel, for now; holds what it said.
    Proxy(String),
    /// The proxy will not open a tunnel; holds what it said.
    ProxyRefused(String),
    /// The build has no TLS (`--no-default-features`).
    NoTls,
}

impl DialError {
    /// Another try would end the same.
    pub fn is_lasting(&self) -> bool {
        use DialError::{Forbidden, NoTls, ProxyRefused, Untrusted};
        matches!(self, Forbidden(_) | Untrusted(_) | ProxyRefused(_) | NoTls)
    }
}

impl std::fmt::Display for DialError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Resolve(text) => write!(f, "the host name could not be resolved ({text})"),
            Self::ResolverBusy => write!(f, "resolver busy: an earlier name look-up hangs"),
            Self::Connect(text) => write!(f, "no connection ({text})"),
            Self::Forbidden(ip) => {
                write!(f, "{ip} is not an address of the open Internet, so it is not connected to")
            }
            Self::Timeout => write!(f, "no connection before the deadline"),
            Self::Tls(text) => write!(f, "the TLS handshake failed ({text})"),
            Self::Untrusted(text) => write!(
                f,
                "the TLS handshake failed ({text}); if its authority is your own, name its PEM \
                 file in the environment variable SSL_CERT_FILE"
            ),
            Self::Proxy(text) => write!(f, "the proxy opened no tunnel ({text})"),
            Self::ProxyRefused(text) => write!(
                f,
                "the proxy refused the tunnel ({text}); check request.proxy or HTTPS_PROXY, and \
                 its user and password"
            ),
            Self::NoTls => write!(f, "this build has no TLS; use http:// or the default features"),
        }
    }
}

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

/// What a child process did.
#[derive(Debug, PartialEq, Eq)]
pub enum ChildEvent<'a> {
    /// Bytes from its standard output.
    Stdout(&'a [u8]),
    /// Bytes from its standard error.
    Stderr(&'a [u8]),
    /// It ended and both pipes are drained.
    Exited(Exit),
    /// It could not be started; the system's text.
    Failed(String),
}

/// A signal the operator sent to the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM or SIGINT: finish and leave.
    Terminate,
    /// SIGHUP: look at the configuration now.
    Reload,
    /// SIGUSR1: re-execute in place, keeping the listener.
    Restart,
}

/// What a driver hands to the core.
#[derive(Debug)]
pub enum Input<'a> {
    /// A peer connected to our port.
    Accepted {
        /// The new connection.
        conn: ConnId,
        /// The peer's address.
        peer: SocketAddr,
        /// Our address it reached.
        local: SocketAddr,
    },
    /// Bytes from the peer (plaintext; the driver does TLS).
    Received {
        /// From whom.
        conn: ConnId,
        /// At least one byte; the core keeps what it cannot use yet.
        bytes: &'a [u8],
    },
    /// The peer will send no more, but may still read.
    Ended {
        /// Who.
        conn: ConnId,
    },
    /// How many bytes the driver still holds for this peer.
    Queued {
        /// For whom.
        conn: ConnId,
        /// Bytes not yet taken by the system.
        bytes: usize,
    },
    /// The connection is gone.
    Closed {
        /// Which; its id is dead from here on.
        conn: ConnId,
        /// Why.
        why: Closed,
    },
    /// The outcome of [`Effect::Dial`].
    Dialed {
        /// Which dial.
        dial: DialId,
        /// The connection, ready for bytes.
        result: Result<ConnId, DialError>,
    },
    /// News of a child.
    Child {
        /// Which.
        child: ChildId,
        /// What.
        event: ChildEvent<'a>,
    },
    /// The outcome of [`Effect::Listen`], told while it is carried out: where the driver listens
    /// now, the first address first, or what stood in the way.
    Listening(Result<Vec<SocketAddr>, ListenError>),
    /// The operator's signal.
    Signal(Signal),
    /// A connection waits and the system has no descriptor for it: what the core can do
    /// without should go now.
    Starved,
    /// The core's own deadline has passed.
    Wake,
}

/// An address to listen on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Where; the port is never 0.
    pub addr: SocketAddr,
    /// Without it the others are not opened either.
    pub needed: bool,
}

/// Why [`Effect::Listen`] changed nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenError {
    /// The address that did not open.
    pub addr: SocketAddr,
    /// The system's text.
    pub text: String,
    /// Addresses that were closed to make room and did not open again; empty but for the rarest
    /// of races.
    pub lost: Vec<SocketAddr>,
}

/// Where to connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Host name or address literal, without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Speak TLS and check the certificate against `host`.
    pub tls: bool,
    /// Connect only when every address of `host` is public ([`crate::wire::address::is_public`]),
    /// judged by the look-up whose addresses are connected to.
    pub public_only: bool,
    /// Through this HTTP proxy, by a tunnel (CONNECT) that it opens to `host`.
    pub proxy: Option<Box<Proxy>>,
}

impl Target {
    /// Host and port of the first connection: the proxy's, if there is one.
    pub fn first_hop(&self) -> (&str, u16) {
        match &self.proxy {
            Some(proxy) => (&proxy.host, proxy.port),
            None => (&self.host, self.port),
        }
    }
}

/// An HTTP proxy that opens tunnels.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    /// Host name or address literal, without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Value of `Proxy-Authorization`; a secret.
    pub authorization: Option<String>,
}

/// Without the secret.
impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// A child process to start. The environment is exactly `env`; no shell is involved.
#[derive(Clone, PartialEq, Eq)]
pub struct Spawn {
    /// Absolute path of the program.
    pub program: PathBuf,
    /// Arguments after the program's name.
    pub args: Vec<OsString>,
    /// The whole environment of the child.
    pub env: BTreeMap<OsString, OsString>,
    /// Its working directory.
    pub cwd: PathBuf,
    /// What it reads on standard input; then end of file, unless `keep_stdin`.
    pub stdin: Vec<u8>,
    /// Standard input stays open for [`Effect::ChildInput`] until [`Effect::ChildInputEnd`].
    pub keep_stdin: bool,
}

/// A file as it was read, with its name for messages.
#[derive(Clone, PartialEq, Eq)]
pub struct TlsFile {
    /// Where it lies.
    pub path: PathBuf,
    /// Its bytes, PEM text; not looked into yet.
    pub bytes: Vec<u8>,
}

/// Without the bytes: one of them is a private key.
impl std::fmt::Debug for TlsFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.path.display())
    }
}

/// What a listener speaks TLS with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// Our certificate, maybe with the chain behind it.
    pub cert: TlsFile,
    /// Its private key.
    pub key: TlsFile,
    /// Certificates that complete the chain.
    pub ca: Option<TlsFile>,
}

/// The program alone: arguments, environment and input may hold secrets.
impl std::fmt::Debug for Spawn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Spawn({})", self.program.display())
    }
}

/// Where the gateway stands, for whoever keeps it up. The texts are for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It serves; an empty text leaves the words to the driver.
    Ready(String),
    /// It takes its configuration in; [`Standing::Ready`] follows.
    Reloading,
    /// It finishes its work and leaves.
    Stopping(String),
    /// It serves, and does something worth telling.
    Busy(String),
}

/// What the core asks the driver to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Effect {
    /// Queue bytes for a peer.
    Send {
        /// To whom.
        conn: ConnId,
        /// What.
        bytes: Vec<u8>,
    },
    /// Flush what is queued, end our direction, discard input for at most
    /// [`crate::limits::LINGER_MS`], then free the connection.
    Close {
        /// Which.
        conn: ConnId,
    },
    /// Free the connection at once; queued bytes are lost.
    Abort {
        /// Which.
        conn: ConnId,
    },
    /// Stop or resume reading from a peer, so that its sender feels the back pressure.
    Read {
        /// Which.
        conn: ConnId,
        /// False stops.
        on: bool,
    },
    /// Connect to a server.
    Dial {
        /// The core's number for it.
        dial: DialId,
        /// Where.
        target: Target,
        /// When to give up, the TLS handshake included.
        deadline: Time,
    },
    /// Forget a dial; its result is not delivered.
    CancelDial {
        /// Which.
        dial: DialId,
    },
    /// Start a child in a process group of its own. What is left of the group when the child
    /// itself has ended is killed, so that nothing of it outlives its pipes.
    Spawn {
        /// The core's number for it.
        child: ChildId,
        /// What to run.
        spawn: Spawn,
    },
    /// Write to a child's standard input, which was kept open. What it does not take is queued,
    /// at most [`crate::limits::CHILD_INPUT`] bytes; more is dropped.
    ChildInput {
        /// Which.
        child: ChildId,
        /// What.
        bytes: Vec<u8>,
    },
    /// End a child's standard input when all that is queued has left.
    ChildInputEnd {
        /// Which.
        child: ChildId,
    },
    /// Signal a child's process group: TERM, or KILL when `kill`.
    Kill {
        /// Which.
        child: ChildId,
        /// KILL instead of TERM.
        kill: bool,
    },
    /// Listen on exactly these from here on, one at least, the first of them needed; open
    /// connections stay. New addresses open before old ones close. Where an old one is in the
    /// way, it closes first and opens again should the new one not. [`Input::Listening`] tells
    /// of the outcome before the next effect is carried out.
    Listen(Vec<Place>),
    /// Stop accepting; open connections stay.
    StopListening,
    /// Connections accepted from here on speak TLS with these files, or plain text. Files that
    /// cannot be used leave what is in force, with a line in the log; in place of plain text
    /// they leave nothing: who connects is cut off. Open connections stay as they are.
    ListenerTls(Option<Box<TlsFiles>>),
    /// Tell the service manager, if there is one.
    Tell(Standing),
    /// Leave after flushing, with this exit code. Children have [`crate::limits::LINGER_MS`] to
    /// end; then their groups are killed.
    Exit {
        /// Process exit code.
        code: u8,
    },
    /// Leave by re-executing the remembered binary in place, the listener kept.
    Reexec,
}

/// The queue of effects of one turn.
#[derive(Debug, Default)]
pub struct Effects {
    list: Vec<Effect>,
}

impl Effects {
    /// An empty queue.
    pub const fn new() -> Self {
        Self { list: Vec::new() }
    }

    /// An empty queue that need not grow under a load.
    pub fn with_room(places: usize) -> Self {
        Self { list: Vec::with_capacity(places) }
    }

    /// The buffer to append bytes for `conn` to. Consecutive sends to one peer share a buffer,
    /// so that they leave in one system call.
    pub fn send(&mut self, conn: ConnId) -> &mut Vec<u8> {
        let open =
            matches!(self.list.last(), Some(Effect::Send { conn: last, .. }) if *last == conn);
        if !open {
            self.list.push(Effect::Send { conn, bytes: Vec::new() });
        }
        match self.list.last_mut() {
            Some(Effect::Send { bytes, .. }) => bytes,
            _ => unreachable!("a Send was pushed above"),
        }
    }

    /// Queues any other effect.
    pub fn push(&mut self, effect: Effect) {
        self.list.push(effect);
    }

    /// Flush, then close: see [`Effect::Close`].
    pub fn close(&mut self, conn: ConnId) {
        self.list.push(Effect::Close { conn });
    }

    /// How many effects are queued.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// True when nothing is queued.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Takes the queue, keeping its allocation for the next turn.
    pub fn drain(&mut self) -> std::vec::Drain<'_, Effect> {
        self.list.drain(..)
    }
}

/// A state machine that a driver can run.
pub trait Core {
    /// Takes one input and queues what follows from it.
    fn on(&mut self, now: Now, input: Input<'_>, fx: &mut Effects);
    /// When [`Input::Wake`] is due; `None` when nothing waits for time.
    fn deadline(&self) -> Option<Time>;
    /// Called once after the inputs of a turn, before its effects are carried out.
    fn turn_end(&mut self, _now: Now, _fx: &mut Effects) {}
}

/// Source of unpredictable bytes: ids, nonces, tokens. The system's in production, seeded in
/// the simulator.
pub trait Entropy {
    /// Fills `out` with random bytes.
    fn fill(&mut self, out: &mut [u8]);
}
