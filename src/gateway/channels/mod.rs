//! Channels at work: their values, their sockets, their messages both ways.
//!
//! ```text
//!   configuration --[accounts]--> one Live an account: started, stopped, built anew when its
//!                                 own lasting keys change
//!   sockets, exchanges --[sockets]--> channel.on --> [effects]
//!      Inbound --> [inbound] judged, journalled, put together --> run
//!      run over --> [outbound] journalled, in pieces, one at a time a conversation --> channel.on
//!   [rpc] channels.*, send, message.action, poll          [pairing] who was let in
//! ```
//!
//! A fault of one account stays with it: what it says is taken as far as its limits go, a value
//! that was not built rests with the reason, and no account's socket, request or message is
//! found under another's number.

mod accounts;
mod acts;
mod answers;
mod bounds;
pub(crate) mod dead;
mod dead_rpc;
mod drafts;
mod enclose;
mod happenings;
mod hearing;
#[cfg(test)]
mod hearing_tests;
mod inbound;
mod judging;
mod media;
#[cfg(test)]
mod media_tests;
mod outbound;
mod pairing;
mod place;
mod private;
mod recent;
mod rests;
mod rpc;
mod shown;
mod sockets;
mod speak;
mod status;
#[cfg(test)]
mod storm_tests;
mod streaming;
mod unasked;

use super::Gateway;
use super::exchange::ExchangeId;
use super::timers::{Armed, Timer};
use crate::channels::port::{ChannelEffect, ChannelInput, ChannelOut, HookId, Me, ReqId, SockId};
use crate::channels::{Account, Channel, Kind, State};
use crate::driver::{ConnId, DialId, Effects, Time};
use crate::wire::http::Client;
use crate::wire::ws::Receiver;
use dead::DeadLetters;
use inbound::Inbox;
use outbound::Outbox;
use pairing::Pairing;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

pub(super) use inbound::NOBODY;
pub(super) use outbound::Origin;
pub(super) use place::{Place, Wanted, kind_of_target};
pub(super) use status::Probing;
pub(super) use unasked::{Delivered, Sending, is_unasked, unasked_of, with_status};

/// The number of an account's life; never used twice.
pub(super) type LiveId = u64;

/// An account that is configured, with what is known of it.
pub(super) struct Live {
    pub(super) kind: &'static Kind,
    pub(super) account: Account,
    /// Its value, while it runs; away while it works.
    channel: Option<Box<dyn Channel>>,
    /// It has been started and not stopped.
    running: bool,
    out: ChannelOut,
    socks: BTreeMap<SockId, Sock>,
    reqs: BTreeMap<ReqId, ExchangeId>,
    hooks: BTreeMap<HookId, ConnId>,
    paths: Vec<String>,
    pub(super) state: State,
    me: Me,
    /// Unix time in milliseconds of what `channels.status` shows.
    pub(super) seen: Seen,
    /// What waits for an act or a probe, by number.
    acts: BTreeMap<u64, outbound::ActWait>,
    armed: Armed,
    /// To be written by the next save.
    keep: Option<Value>,
    /// Stopped by an operator: no reload starts it.
    pub(super) by_hand: bool,
}

/// When what happened last.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    pub(super) since: u64,
    pub(super) started: Option<u64>,
    pub(super) stopped: Option<u64>,
    pub(super) connected: Option<u64>,
    pub(super) disconnected: Option<u64>,
    pub(super) inbound: Option<u64>,
    pub(super) outbound: Option<u64>,
    pub(super) transport: Option<u64>,
    pub(super) error: Option<String>,
    pub(super) probe: Option<(u64, Result<Value, String>)>,
    /// The last audit's report; null when there was nothing to ask about.
    pub(super) audit: Value,
    pub(super) attempts: u64,
    /// Restarts by the health monitor, when.
    pub(super) revived: Vec<u64>,
}

/// A socket of an account.
struct Sock {
    dial: Option<DialId>,
    conn: Option<ConnId>,
    ws: Option<Ws>,
    opened: bool,
    timeout: Option<Time>,
}

/// A WebSocket of ours.
enum Ws {
    /// The request to be sent once connected.
    Asking { request: Vec<u8>, key: String },
    /// Waiting for the 101.
    Answer { client: Box<Client>, key: String },
    /// Frames.
    Open(Box<Receiver>),
}

/// All of them.
pub(super) struct Channels {
    dir: PathBuf,
    /// Nothing is ever started: `OPENCLAW_SKIP_CHANNELS=1`.
    skip: bool,
    live: BTreeMap<LiveId, Live>,
    by_name: BTreeMap<(&'static str, String), LiveId>,
    dials: BTreeMap<DialId, (LiveId, SockId)>,
    next: u64,
    /// The health monitor's timer is armed.
    watched: bool,
    pub(super) outbox: Outbox,
    pub(super) streams: streaming::Streams,
    /// The next look at bursts, deliveries and streams: each look asks for the next one, and one
    /// entry is enough for all.
    looks: Armed,
    inbox: Inbox,
    fetches: media::Fetches,
    hearings: hearing::Hearings,
    pairing: Pairing,
    dead: DeadLetters,
}

impl Channels {
    /// Reads what the state directory has.
    ///
    /// # Errors
    /// When it cannot be read; the text names the path.
    pub(super) fn open(
        disk: &mut dyn crate::store::Disk,
        state_dir: &Path,
        env: &crate::config::Env,
    ) -> io::Result<Self> {
        let dir = state_dir.join("channels");
        let journals = state_dir.join("journal");
        let word = env.get("OPENCLAW_SKIP_CHANNELS").unwrap_or_default();
        Ok(Self {
            skip: matches!(word, "1" | "true" | "yes" | "on"),
            live: BTreeMap::new(),
            by_name: BTreeMap::new(),
            dials: BTreeMap::new(),
            next: 1,
            watched: false,
            outbox: Outbox::open(disk, &journals)?,
            streams: streaming::Streams::default(),
            looks: Armed::default(),
            inbox: Inbox::open(disk, &journals)?,
            fetches: media::Fetches::default(),
            hearings: hearing::Hearings::default(),
            pairing: Pairing::open(disk, &dir)?,
            dead: DeadLetters::open(disk, &dir)?,
            dir,
        })
    }

    /// An earlier life left messages, either way.
    fn has_work(&self) -> bool {
        self.inbox.has_work() || self.outbox.has_work()
    }

    /// Whether a power cut could take something of the journals.
    pub(super) fn is_dirty(&self) -> bool {
        self.inbox.is_dirty() || self.outbox.is_dirty()
    }

    /// Forces the journals to the platter: before a run is marked done whose answer is among them,
    /// and before an account keeps how far it has heard.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(super) fn sync(&mut self, disk: &mut dyn crate::store::Disk) -> io::Result<()> {
        self.inbox.sync(disk)?;
        self.outbox.sync(disk)
    }

    /// The account a dial is for.
    pub(super) fn dialing(&self, dial: DialId) -> Option<(LiveId, SockId)> {
        self.dials.get(&dial).copied()
    }

    /// An account by its names.
    pub(super) fn find(&self, channel: &str, account: &str) -> Option<LiveId> {
        let kind = crate::channels::find(channel)?;
        self.by_name.get(&(kind.id, account.to_owned())).copied()
    }

    pub(super) fn get(&self, id: LiveId) -> Option<&Live> {
        self.live.get(&id)
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

impl Gateway {
    /// [`Channels::sync`].
    pub(super) fn sync_channels(&mut self) -> io::Result<()> {
        if self.faults.skip_channel_sync {
            return Ok(());
        }
        self.channels.sync(self.disk.as_mut())
    }

    /// Hands something to an account's value, and does what it says.
    pub(super) fn channel_on(&mut self, id: LiveId, input: ChannelInput<'_>, fx: &mut Effects) {
        let Some(live) = self.channels.live.get_mut(&id) else { return };
        let Some(mut channel) = live.channel.take() else { return };
        let now = self.now;
        channel.on(now, input, &mut live.out);
        live.channel = Some(channel);
        self.channel_drain(id, fx);
    }

    fn channel_drain(&mut self, id: LiveId, fx: &mut Effects) {
        loop {
            let Some(live) = self.channels.live.get_mut(&id) else { return };
            let Some(effect) = live.out.take() else { break };
            self.channel_effect(id, effect, fx);
        }
        if let Some(live) = self.channels.live.get_mut(&id) {
            let due = live.channel.as_ref().and_then(|channel| channel.deadline());
            let opening = live.socks.values().filter_map(|sock| sock.timeout).min();
            let due = [due, opening].into_iter().flatten().min();
            live.armed.at(&mut self.timers, due, Timer::Channel(id));
        }
    }

    /// An account's deadline.
    pub(super) fn channel_due(&mut self, id: LiveId, fx: &mut Effects) {
        let now = self.now.time;
        let Some(live) = self.channels.live.get_mut(&id) else { return };
        let due = live.channel.as_ref().and_then(|channel| channel.deadline());
        let opening = live.socks.values().filter_map(|sock| sock.timeout).min();
        let both = [due, opening].into_iter().flatten().min();
        if !live.armed.came_up(&mut self.timers, both, Timer::Channel(id), now) {
            return;
        }
        let late: Vec<SockId> = live
            .socks
            .iter()
            .filter(|(_, sock)| sock.timeout.is_some_and(|at| at <= now))
            .map(|(sock, _)| *sock)
            .collect();
        for sock in late {
            self.socket_failed(id, sock, "no answer to the upgrade in time", None, fx);
        }
        if due.is_some_and(|due| due <= now) {
            self.channel_on(id, ChannelInput::Wake, fx);
        } else {
            self.channel_drain(id, fx);
        }
    }

    fn channel_effect(&mut self, id: LiveId, effect: ChannelEffect, fx: &mut Effects) {
        match effect {
            ChannelEffect::OpenTcp { sock, host, port, tls } => {
                self.open_tcp(id, sock, (host, port, tls), None, None, fx);
            }
            ChannelEffect::OpenWs { sock, url, headers, proxy } => {
                self.open_ws(id, sock, &url, &headers, proxy.as_deref(), fx);
            }
            ChannelEffect::Bytes { sock, bytes } => self.socket_bytes(id, sock, &bytes, fx),
            ChannelEffect::Text { sock, text } => self.socket_text(id, sock, &text, fx),
            ChannelEffect::Ping { sock } => self.socket_ping(id, sock, fx),
            ChannelEffect::Close { sock, code, reason } => {
                self.close_channel_socket(id, sock, Some((code, &reason)), fx);
            }
            ChannelEffect::Abort { sock } => self.close_channel_socket(id, sock, None, fx),
            ChannelEffect::Http { request, .. }
                if self.faults.leave_buttons_spinning
                    && ["/callback", "answerCallbackQuery"]
                        .iter()
                        .any(|end| request.url.ends_with(end)) => {}
            ChannelEffect::Http { req, request } => self.channel_asks(id, req, &request, fx),
            ChannelEffect::Cancel { req } => {
                let live = self.channels.live.get_mut(&id);
                if let Some(exchange) = live.and_then(|live| live.reqs.remove(&req)) {
                    self.cancel_exchange(exchange, fx);
                }
            }
            ChannelEffect::Listen { path } => {
                if let Some(live) = self.channels.live.get_mut(&id) {
                    live.paths.push(path);
                }
            }
            ChannelEffect::Answer { hook, status, mime, body } => {
                self.answer_channel_hook(id, hook, (status, mime, body), fx);
            }
            ChannelEffect::Inbound(message) => self.channel_message(id, *message, fx),
            ChannelEffect::Sent { id: delivery, .. } if self.faults.forget_receipts => {
                let failure = crate::channels::Failure::later("forgotten");
                self.piece_failed(id, &delivery, &failure, fx);
            }
            ChannelEffect::Sent { id: delivery, messages } => {
                self.piece_sent(id, &delivery, messages, fx);
            }
            ChannelEffect::PartSent { id: delivery, messages } => {
                self.part_sent(id, &delivery, messages);
            }
            ChannelEffect::SendFailed { id: delivery, failure } => {
                self.piece_failed(id, &delivery, &failure, fx);
            }
            ChannelEffect::Acted { id: act, result } => self.act_over(id, act, result, fx),
            ChannelEffect::Located { id: file, result } => {
                self.file_located(id, file, result, fx);
            }
            ChannelEffect::Probed { id: probe, result } => self.probe_over(id, probe, result, fx),
            ChannelEffect::Audited { id: audit, report } => self.audit_over(id, audit, report, fx),
            ChannelEffect::Status(state) => self.channel_state(id, state, fx),
            ChannelEffect::Me(me) => {
                if let Some(live) = self.channels.live.get_mut(&id) {
                    live.me = me;
                }
            }
            ChannelEffect::Keep(document) => {
                if let Some(live) = self.channels.live.get_mut(&id) {
                    live.keep = Some(document);
                    self.save_soon();
                }
            }
            ChannelEffect::Log(level, line) => {
                if let Some(live) = self.channels.live.get(&id) {
                    let line = crate::wire::text::escape_log(&line, 400);
                    speak::say(level, live.kind.id, &live.account.id, &line);
                }
            }
        }
    }

    /// The account's state changed.
    fn channel_state(&mut self, id: LiveId, state: State, fx: &mut Effects) {
        let now_ms = self.now.wall_ms;
        let Some(live) = self.channels.live.get_mut(&id) else { return };
        if live.state == state {
            return;
        }
        let (channel, account) = (live.kind.id, live.account.id.clone());
        let was_connected = live.state == State::Connected;
        live.seen.since = now_ms;
        if was_connected {
            live.seen.disconnected = Some(now_ms);
        }
        match &state {
            State::Connecting => {}
            State::Connected => {
                live.seen.connected = Some(now_ms);
                live.seen.error = None;
                live.seen.attempts = 0;
                speak::say(log::Level::Info, channel, &account, "connected");
            }
            State::Waiting { why, until } => {
                live.seen.attempts += 1;
                live.seen.error = Some(why.clone());
                let seconds = until.ms_since(self.now.time).div_ceil(1000);
                let line = format!("{why}; trying again in {seconds} s");
                speak::say(log::Level::Warn, channel, &account, &line);
            }
            State::Refused { why } => {
                live.seen.error = Some(why.clone());
                speak::say(log::Level::Error, channel, &account, why);
            }
            State::Stopped => live.seen.stopped = Some(now_ms),
        }
        live.state = state;
        self.health_version += 1;
        self.pump_outbox(fx);
    }
}
