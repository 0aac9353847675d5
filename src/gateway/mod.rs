//! The state machine behind the port: it owns every connection, session and run.
//!
//! ```text
//!  Input --> [conn] which connection
//!              |-- Http ------> [http] --> api:: the doors ------------+
//!              |-- Handshake -> [connect]                              |
//!              |-- Client ----> [socket] --> rpc:: one file a family --+--> [runs] --> agent::Run
//!              |-- Upstream --> [runs] <---------------------------------------------+
//!              |-- Exchange --> [exchange] --> whoever asked: tools, doors
//!  [runs] --> [voice] events --> [broadcast] --> clients;  http streams;  second responses
//! ```
//!
//! It sees no socket, clock or file of its own: time and bytes come as [`Input`], what it wants
//! goes out as `Effect`, files go through the `Disk` it was given, ids come from `Entropy`. So
//! the reactor and the simulator drive the very same value.
//!
//! Within a turn: inputs first, then [`Core::turn_end`] starts the runs that were accepted (so
//! that an acknowledgement leaves before anything of the run), then the driver writes.

mod admit;
mod agents;
mod approvals;
mod broadcast;
mod channels;
mod commands;
mod conn;
mod connect;
mod cron;
mod devices;
mod diagnostics;
mod events;
mod exchange;
mod fuzz;
mod fuzz_documents;
mod guess;
mod heartbeat;
mod http;
mod local;
mod nodes;
mod presence;
mod reload;
mod rpc;
mod runs;
mod secrets;
mod shutdown;
mod skills;
mod socket;
mod strangers;
mod timers;
mod tls;
mod tools;
mod usage;
mod voice;
mod vouch;

use crate::agent::provider::keyring::Keyring;
/// The document of exec approvals, for the command line.
pub mod exec_approvals {
    pub use crate::agent::exec::policy::{allowlist, check, empty, read};
}

/// Messages that were given up, for the command line.
pub mod dead_letters {
    pub use super::channels::dead::{Letter, path, read};
}

use crate::auth::Credentials;
use crate::config::Config;
use crate::config::secrets::Resolved;
use crate::driver::{Closed, ConnId, Core, DialId, Effect, Effects, Entropy, Input, Now, Time};
use crate::limits;
use crate::sessions::Sessions;
use crate::store::Disk;
use crate::wire::text::uuid_v4;
use conn::{Conns, State};
pub use cron::LocalTime;
pub use cron::{complaints as cron_complaints, time_ms as cron_time_ms};
pub use diagnostics::Vitals;
#[doc(hidden)]
pub use fuzz::fuzz;
#[doc(hidden)]
pub use fuzz_documents::fuzz as fuzz_documents;
pub use local::{agent_identity, identity_file, seed_agent, trash_agent};
pub use reload::{NotLoaded, Reload, Reloaded, Reloader};
use rpc::models::Probes;
pub use rpc::models::models_status;
pub use secrets::Asking;
pub use skills::skills_report;
use std::path::PathBuf;
use std::rc::Rc;
use timers::{Timer, Timers};
use tools::Caller;

/// What the process knows of itself and its machine.
#[derive(Debug, Clone)]
pub struct Host {
    /// The machine's name.
    pub name: String,
    /// An address of the machine for the presence row, if one is known.
    pub address: Option<String>,
    /// `linux`, `macos`, `windows`: `std::env::consts::OS`.
    pub platform: &'static str,
    /// Process id.
    pub pid: u32,
    /// The port that is open.
    pub port: u16,
    /// Every address that is open, the first one first.
    pub listening: Vec<std::net::SocketAddr>,
    /// Reads the addresses of the machine's interfaces; `None` when it cannot.
    pub interfaces: fn() -> Option<Vec<std::net::IpAddr>>,
    /// Reads what the system says of this process; `None` when it cannot.
    pub vitals: fn() -> Option<Vitals>,
}

/// Everything a gateway needs to be born; the same for both drivers.
pub struct Setup {
    /// The validated snapshot.
    pub config: Rc<Config>,
    /// The secret in force.
    pub credentials: Credentials,
    /// Where the configuration comes from; `None` keeps this one for good.
    pub reload: Option<Reload>,
    /// What programs answered for this configuration's SecretRefs.
    pub resolved: Resolved,
    /// The machine.
    pub host: Host,
    /// State directory: sessions, journals, devices.
    pub state_dir: PathBuf,
    /// The JSON-lines log file that `logs.tail` serves.
    pub log_path: PathBuf,
    /// Durable files.
    pub disk: Box<dyn Disk>,
    /// Ids, nonces.
    pub entropy: Box<dyn Entropy>,
}

/// The state machine behind the port.
pub struct Gateway {
    config: Rc<Config>,
    credentials: Credentials,
    reload: Option<Reload>,
    watch: reload::Watch,
    secrets: secrets::Secrets,
    host: Host,
    state_dir: PathBuf,
    log_path: PathBuf,
    disk: Box<dyn Disk>,
    entropy: Box<dyn Entropy>,
    /// Which provider keys rest.
    keyring: Keyring,
    probes: Probes,
    started: Now,
    now: Now,
    turn: u64,
    boot_id: String,
    conns: Conns,
    timers: Timers,
    sessions: Sessions,
    usage: crate::sessions::usage::Usage,
    cron: cron::Cron,
    heartbeats: heartbeat::Heartbeats,
    runs: runs::Runs,
    exchanges: exchange::Exchanges,
    channels: channels::Channels,
    /// The first turn has been.
    channels_started: bool,
    /// Who waits for probes of channels.
    probings: Vec<channels::Probing>,
    web: tools::Web,
    execs: tools::Execs,
    approvals: approvals::Approvals,
    nodes: nodes::Nodes,
    tools: tools::Tools,
    presence: presence::Presence,
    interfaces: vouch::Interfaces,
    agents: agents::Agents,
    devices: crate::auth::devices::Devices,
    own_identity: Option<devices::OwnIdentity>,
    /// Who waits for the end of a scope upgrade.
    upgrades: Vec<devices::Upgrade>,
    /// `stateVersion.health`.
    health_version: u64,
    ticks: u64,
    dials: u64,
    /// Input bytes held for all connections, and output bytes the driver holds.
    held: usize,
    queued: usize,
    /// [`limits::MEMORY_GLOBAL`]; tests lower it.
    #[doc(hidden)]
    pub memory_max: usize,
    leaving: Option<shutdown::Leaving>,
    save_armed: bool,
    /// HTTP connections whose requests wait for room that this turn's answers used up.
    stalled: Vec<ConnId>,
    /// What `previous_response_id` may name.
    responses: http::Responses,
    /// Runs that hooks started.
    hooked: http::Started,
    /// Who showed wrong credentials lately.
    limiter: crate::auth::limiter::Limiter,
    /// Connections that have not proved who they are.
    strangers: strangers::Strangers,
    tls: tls::Seen,
    events: events::Events,
    diagnostics: diagnostics::Diagnostics,
    trailing: Vec<voice::Trailing>,
    /// Reused for every event, so that a broadcast allocates once.
    scratch: Vec<u8>,
    #[doc(hidden)]
    pub faults: Faults,
}

/// Faults the simulator plants to prove that it would notice them. All are off in production:
/// nothing but a test sets them.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Faults {
    /// `chat.send` is acknowledged before the message is on disk.
    pub acknowledge_before_append: bool,
    /// Late inputs are taken for the connection that has the slot now.
    pub skip_generation_check: bool,
    /// A run tells its end twice.
    pub second_terminal_event: bool,
    /// The deadline of runs is not told to the driver.
    pub lost_wake_up: bool,
    /// Slow consumers are never cut off.
    pub buffer_past_its_limit: bool,
    /// Now and then a response goes to another client.
    pub reply_to_the_wrong_connection: bool,
    /// A tool is carried out again after its result, and nobody is told.
    pub run_tool_twice: bool,
    /// Requests of a chat platform are acknowledged, and nobody reads them.
    pub acknowledge_hooks_unread: bool,
    /// What a channel sent is sent again.
    pub forget_receipts: bool,
    /// Pressed buttons and commands are not acknowledged in time.
    pub leave_buttons_spinning: bool,
    /// The journals of channels never reach the platter.
    pub skip_channel_sync: bool,
}

impl Gateway {
    /// Opens what the state directory holds and settles what was accepted before a crash.
    ///
    /// # Errors
    /// When the state directory cannot be read or written; the text names the path.
    pub fn new(setup: Setup, now: Now) -> std::io::Result<Self> {
        let Setup { config, credentials, reload, host, state_dir, log_path, .. } = setup;
        let Setup { resolved, mut disk, mut entropy, .. } = setup;
        let mut sessions = Sessions::new(&state_dir);
        let usage = crate::sessions::usage::Usage::new(&state_dir);
        for agent in config.agents.agent_ids() {
            sessions.open(disk.as_mut(), agent);
        }
        let boot_id = new_uuid(entropy.as_mut());
        let instance_id = new_uuid(entropy.as_mut());
        let runs = runs::Runs::open(disk.as_mut(), &state_dir)?;
        let watch = reload::Watch::new(&config.source, &state_dir);
        let devices = crate::auth::devices::Devices::load(disk.as_mut(), &state_dir, now.wall_ms)?;
        let nodes = nodes::Nodes::open(disk.as_mut(), &state_dir)?;
        let channels = channels::Channels::open(disk.as_mut(), &state_dir, &config.env)?;
        let presence = presence::Presence::new(&host, instance_id, now.wall_ms);
        let mut gateway = Self {
            config,
            credentials,
            reload,
            watch,
            secrets: secrets::Secrets::knowing(resolved),
            host,
            state_dir,
            log_path,
            disk,
            entropy,
            keyring: Keyring::default(),
            probes: Probes::default(),
            started: now,
            now,
            turn: 0,
            boot_id,
            conns: Conns::default(),
            timers: Timers::default(),
            sessions,
            usage,
            cron: cron::Cron::default(),
            heartbeats: heartbeat::Heartbeats::default(),
            runs,
            exchanges: exchange::Exchanges::default(),
            channels,
            channels_started: false,
            probings: Vec::new(),
            web: tools::Web::default(),
            execs: tools::Execs::default(),
            approvals: approvals::Approvals::default(),
            nodes,
            tools: tools::Tools::default(),
            presence,
            interfaces: vouch::Interfaces::default(),
            agents: agents::Agents::default(),
            devices,
            own_identity: None,
            upgrades: Vec::new(),
            health_version: 1,
            ticks: 0,
            dials: 0,
            held: 0,
            queued: 0,
            memory_max: limits::MEMORY_GLOBAL,
            leaving: None,
            save_armed: false,
            stalled: Vec::new(),
            responses: http::Responses::default(),
            hooked: http::Started::default(),
            limiter: crate::auth::limiter::Limiter::default(),
            strangers: strangers::Strangers::default(),
            tls: tls::Seen::default(),
            events: events::Events::default(),
            diagnostics: diagnostics::Diagnostics::new(now.time),
            trailing: Vec::new(),
            scratch: Vec::with_capacity(limits::SCRATCH),
            faults: Faults::default(),
        };
        gateway.settle_unfinished();
        gateway.open_cron();
        gateway.plan_heartbeats();
        gateway.forget_unpaired_nodes();
        gateway.begin_tls();
        gateway.open_channels();
        gateway.begin_diagnostics();
        gateway.timers.arm(now.time.after_ms(limits::TICK_MS), Timer::Tick);
        if gateway.reload.is_some() {
            gateway.timers.arm(now.time.after_ms(limits::CONFIG_POLL_MS), Timer::Watch);
        }
        Ok(gateway)
    }

    /// Milliseconds since the start.
    fn uptime_ms(&self) -> u64 {
        self.now.time.ms_since(self.started.time)
    }

    fn uuid(&mut self) -> String {
        new_uuid(self.entropy.as_mut())
    }

    fn next_dial(&mut self) -> DialId {
        self.dials += 1;
        DialId(self.dials)
    }

    /// Bytes held in all, runs included: the bound behind 503 and 1013.
    fn memory_full(&self) -> bool {
        !self.has_room_for(0)
    }

    /// So many bytes more stay within the bound.
    fn has_room_for(&self, bytes: usize) -> bool {
        let all = [self.queued, self.runs.bytes(), bytes];
        all.into_iter().fold(self.held, usize::saturating_add) <= self.memory_max
    }

    /// The buffer for a peer, with `bytes` about to be appended counted against it.
    fn send(&mut self, id: ConnId, fx: &mut Effects, write: impl FnOnce(&mut Vec<u8>)) {
        let out = fx.send(id);
        let before = out.len();
        write(out);
        let bytes = out.len() - before;
        if let Some(conn) = self.conns.get_mut(id) {
            conn.sending(bytes, self.turn);
        }
    }

    /// Sets what a connection waits for at most.
    fn wait_until(&mut self, id: ConnId, due: Option<Time>) {
        if let Some(conn) = self.conns.get_mut(id) {
            conn.due = due;
            conn.armed.at(&mut self.timers, due, Timer::Conn(id));
        }
    }

    /// Counts the input held for a connection anew.
    fn count_held(&mut self, id: ConnId) {
        if let Some(conn) = self.conns.get_mut(id) {
            let held = match &conn.state {
                State::Http(http) => http.server.buffered() + http.held(),
                State::Handshake(shake) => shake.recv.buffered(),
                State::Client(client) => client.recv.buffered(),
                State::Upstream(_) => 0,
                State::Exchange(id) => self.exchanges.held(*id),
                State::Channel(..) => 0,
            };
            self.held = self.held - conn.held + held;
            if conn.stranger.is_some() {
                self.strangers.held(conn.held, held);
            }
            conn.held = held;
        }
    }

    /// Flushes and closes.
    fn close(&mut self, id: ConnId, fx: &mut Effects) {
        fx.close(id);
        self.forget(id, fx);
    }

    /// Drops a connection from the table and lets go of what hung on it.
    fn forget(&mut self, id: ConnId, fx: &mut Effects) {
        let Some(conn) = self.conns.remove(id) else { return };
        self.held -= conn.held;
        self.queued -= conn.queued;
        self.strangers.remove(conn.stranger, conn.held);
        match conn.state {
            State::Http(http) => self.leave_http(id, *http, fx),
            State::Client(client) => {
                self.runs.waits.forget(id);
                self.upgrades.retain(|wait| wait.conn != id);
                let rpc =
                    |caller: &Caller| matches!(caller, Caller::Rpc { conn, .. } if *conn == id);
                self.cancel_tools(rpc, fx);
                if client.presence.is_some() {
                    self.presence_changed(fx);
                }
                if let (conn::Role::Node, Some(node)) = (client.role, &client.device) {
                    self.node_left(id, node, fx);
                }
                log::debug!(target: "gateway/ws", "{} {} left", client.id, conn.peer);
            }
            State::Handshake(_) | State::Upstream(_) | State::Exchange(_) | State::Channel(..) => {}
        }
    }

    fn received(&mut self, id: ConnId, bytes: &[u8], fx: &mut Effects) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        match &mut conn.state {
            State::Http(http) => {
                http.server.push(bytes);
                self.serve_http(id, fx);
            }
            State::Handshake(shake) => {
                shake.recv.push(bytes);
                self.shake_hands(id, fx);
            }
            State::Client(client) => {
                client.recv.push(bytes);
                self.serve_socket(id, fx);
            }
            State::Upstream(run) => {
                let run = *run;
                self.run_bytes(run, bytes, fx);
            }
            State::Exchange(exchange) => {
                let exchange = *exchange;
                self.exchange_bytes(exchange, bytes, fx);
            }
            State::Channel(live, sock) => {
                let (live, sock) = (*live, *sock);
                self.channel_bytes(live, sock, bytes, fx);
            }
        }
        self.count_held(id);
        self.bound_strangers(fx);
    }

    /// The peer will send no more.
    fn ended(&mut self, id: ConnId, fx: &mut Effects) {
        match self.conns.get(id).map(|conn| &conn.state) {
            None => {}
            Some(State::Upstream(run)) => {
                let run = *run;
                self.run_closed(run, fx);
            }
            Some(State::Exchange(exchange)) => {
                let exchange = *exchange;
                self.exchange_eof(exchange, fx);
            }
            Some(State::Channel(live, sock)) => {
                let (live, sock) = (*live, *sock);
                self.channel_closed(live, sock, "the server closed the connection", fx);
            }
            // A client that closes its half does not want the rest: an aborted fetch looks
            // just so. What is queued still leaves.
            Some(_) => self.close(id, fx),
        }
    }

    fn closed(&mut self, id: ConnId, why: &Closed, fx: &mut Effects) {
        if let Closed::Error(text) = why {
            log::debug!(target: "gateway", "connection lost: {text}");
        }
        match self.conns.get(id).map(|conn| &conn.state) {
            Some(State::Upstream(run)) => {
                let run = *run;
                self.run_closed(run, fx);
            }
            Some(State::Exchange(exchange)) => {
                let exchange = *exchange;
                self.exchange_eof(exchange, fx);
            }
            Some(State::Channel(live, sock)) => {
                let (live, sock) = (*live, *sock);
                let why = match why {
                    Closed::ByPeer => "the server closed the connection",
                    Closed::Error(text) => text,
                };
                self.channel_closed(live, sock, why, fx);
            }
            _ => {}
        }
        self.forget(id, fx);
    }

    fn queue_length(&mut self, id: ConnId, bytes: usize, fx: &mut Effects) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        self.queued = self.queued - conn.queued + bytes;
        conn.queued = bytes;
        match &conn.state {
            State::Http(http) => {
                if let Some(run) = http.run() {
                    self.press(run, bytes, fx);
                } else if bytes <= conn.out_max() / 2 {
                    // Requests may have waited for room.
                    self.serve_http(id, fx);
                    self.count_held(id);
                }
            }
            State::Client(_) => self.check_slow(id, fx),
            State::Handshake(_) if bytes > limits::WS_FRAME_PREAUTH => {
                self.close_socket(id, crate::protocol::close::POLICY, "slow consumer", fx);
            }
            State::Channel(live, sock) => {
                let (live, sock) = (*live, *sock);
                self.channel_queued(live, sock, bytes, fx);
            }
            State::Handshake(_) | State::Upstream(_) | State::Exchange(_) => {}
        }
    }

    fn wake(&mut self, fx: &mut Effects) {
        for id in std::mem::take(&mut self.stalled) {
            self.serve_http(id, fx);
            self.count_held(id);
        }
        if let Some(due) = self.timers.next().filter(|due| *due <= self.now.time) {
            self.woke(due);
        }
        while let Some(timer) = self.timers.pop(self.now.time) {
            match timer {
                Timer::Conn(id) => self.conn_due(id, fx),
                Timer::Run(run) => self.run_due(run, fx),
                Timer::Waits => self.waits_due(fx),
                Timer::Tool(call) => self.tool_due(call, fx),
                Timer::Work => self.step_tools(),
                Timer::Tick => self.tick(fx),
                Timer::Cron => self.cron_due(fx),
                Timer::Heartbeat => self.heartbeats_due(fx),
                Timer::Save => self.save(),
                Timer::Drain => self.drain_over(fx),
                Timer::Exchange(id) => self.exchange_due(id, fx),
                Timer::Channel(id) => self.channel_due(id, fx),
                Timer::Outbox => self.outbox_due(fx),
                Timer::ChannelHealth => self.channel_health_due(fx),
                Timer::Exec => self.execs_due(fx),
                Timer::Approvals => self.approvals_due(fx),
                Timer::Pairing => self.pairing_due(fx),
                Timer::Watch => self.watch_config(fx),
                Timer::Restart => self.restart_deferred(true, fx),
                Timer::Invokes => self.invokes_due(fx),
                Timer::Secrets => self.secrets_due(fx),
                Timer::Tls => self.tls_due(fx),
            }
        }
    }

    fn conn_due(&mut self, id: ConnId, fx: &mut Effects) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        let due = conn.due;
        if !conn.armed.came_up(&mut self.timers, due, Timer::Conn(id), self.now.time) {
            return;
        }
        match &conn.state {
            State::Http(_) => self.http_timeout(id, fx),
            State::Handshake(_) => self.handshake_timeout(id, fx),
            State::Client(_) | State::Upstream(_) | State::Exchange(_) | State::Channel(..) => {}
        }
    }

    fn save_soon(&mut self) {
        if !self.save_armed {
            self.save_armed = true;
            self.timers.arm(self.now.time.after_ms(limits::SAVE_MS), Timer::Save);
        }
    }

    /// At most once a second: indexes that changed, and the journal to the platter.
    fn save(&mut self) {
        self.save_armed = false;
        if self.sessions.is_dirty() {
            self.sessions.save(self.disk.as_mut());
        }
        let synced = self.sessions.sync(self.disk.as_mut());
        let synced = synced.and_then(|()| self.sync_channels());
        match &synced {
            Ok(()) => self.runs.sync(self.disk.as_mut()),
            Err(error) => {
                log::error!(target: "store", "transcripts or journals not synced: {error}")
            }
        }
        self.usage.save(self.disk.as_mut());
        if self.devices.is_dirty() {
            let _ = self.save_devices();
        }
        self.nodes.save(self.disk.as_mut(), &self.state_dir);
        // How far an account has heard is kept behind what it heard.
        let kept = synced.is_ok() && self.save_channels();
        let waiting = self.sessions.is_dirty() || self.nodes.is_dirty() || kept;
        if waiting || self.usage.is_dirty() || synced.is_err() {
            // The disk refused; it may have room again later.
            self.save_soon();
        }
    }
}

fn new_uuid(entropy: &mut dyn Entropy) -> String {
    let mut random = [0; 16];
    entropy.fill(&mut random);
    uuid_v4(random)
}

impl Core for Gateway {
    fn on(&mut self, now: Now, input: Input<'_>, fx: &mut Effects) {
        self.now = now;
        match input {
            Input::Accepted { conn, peer, local } => {
                let inserted = self.conns.insert(conn, peer, State::Http(Box::default()));
                inserted.inward = local.ip().to_canonical().is_loopback();
                self.wait_until(conn, Some(now.time.after_ms(limits::HTTP_HEAD_MS)));
                self.meet(conn, peer.ip(), fx);
            }
            Input::Received { conn, bytes } => {
                let conn = self.checked(conn);
                self.received(conn, bytes, fx);
            }
            Input::Ended { conn } => self.ended(conn, fx),
            Input::Queued { conn, bytes } => self.queue_length(conn, bytes, fx),
            Input::Closed { conn, why } => self.closed(self.checked(conn), &why, fx),
            Input::Dialed { dial, result } => match self.exchanges.dialing(dial) {
                Some(id) => self.exchange_dialed(id, dial, result, fx),
                None => match self.channels.dialing(dial) {
                    Some(whose) => self.channel_dialed(whose, dial, result, fx),
                    None => self.run_dialed(dial, result, fx),
                },
            },
            Input::Child { child, event } => {
                if !self.secrets_child(child, &event, fx) {
                    self.exec_child(child, event, fx);
                }
            }
            Input::Listening(outcome) => self.listening(outcome, fx),
            Input::Signal(signal) => self.signal(signal, fx),
            Input::Starved => self.make_room(fx),
            Input::Wake => self.wake(fx),
        }
    }

    fn deadline(&self) -> Option<Time> {
        // What became ready while effects were carried out begins in a turn of its own, now.
        if self.runs.to_begin() || !self.trailing.is_empty() || !self.stalled.is_empty() {
            return Some(self.now.time);
        }
        self.timers.next()
    }

    fn turn_end(&mut self, now: Now, fx: &mut Effects) {
        self.now = now;
        if self.cron_waits() {
            self.pump_cron(fx);
        }
        self.begin_accepted(fx);
        if self.channels.is_dirty() {
            self.save_soon();
        }
        self.turn += 1;
    }
}

impl Gateway {
    /// The connection an input is for; with the planted fault, whoever has its slot now.
    fn checked(&self, id: ConnId) -> ConnId {
        if self.faults.skip_generation_check
            && let Some((now, _)) = self.conns.all().find(|(now, _)| now.slot == id.slot)
        {
            return now;
        }
        id
    }

    /// Lets go of a provider's connection that a run no longer needs.
    fn drop_upstream(&mut self, id: ConnId) {
        if let Some(conn) = self.conns.remove(id) {
            self.held -= conn.held;
            self.queued -= conn.queued;
        }
    }

    /// Stops or resumes reading from a peer.
    fn set_reading(&mut self, id: ConnId, on: bool, fx: &mut Effects) {
        if let Some(conn) = self.conns.get_mut(id)
            && conn.paused == on
        {
            conn.paused = !on;
            fx.push(Effect::Read { conn: id, on });
        }
    }
}

/// What a gateway has in hand; the simulator asks when everybody has left.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Idle {
    pub runs: usize,
    pub lines: usize,
    pub dials: usize,
    pub to_begin: usize,
    pub waits: usize,
    pub conns: usize,
    pub held: usize,
    pub queued: usize,
    pub run_bytes: usize,
    pub exchanges: usize,
    pub tools: usize,
    pub deliveries: usize,
}

impl Idle {
    /// Nothing at all.
    pub fn at_rest(&self) -> bool {
        *self == Self::default()
    }
}

impl Gateway {
    /// Counts what is in hand.
    #[doc(hidden)]
    pub fn idle(&self) -> Idle {
        let (lines, dials, to_begin, waits) = self.runs.in_hand();
        Idle {
            runs: self.runs.active_len(),
            lines,
            dials,
            to_begin,
            waits,
            conns: self.conns.all().count(),
            held: self.held,
            queued: self.queued,
            run_bytes: self.runs.bytes(),
            exchanges: self.exchanges.len(),
            tools: self.tools.len(),
            deliveries: self.channels.outbox.len(),
        }
    }
}

/// Any text as a cron expression, any bytes as a time zone: never a panic.
#[doc(hidden)]
pub fn fuzz_cron(data: &[u8]) {
    cron::expr::fuzz(data);
    cron::zone::fuzz(data);
}

/// Any first frame through the checks of the handshake: never a panic.
#[doc(hidden)]
pub fn fuzz_connect(data: &[u8]) {
    connect::fuzz_params(data);
}
