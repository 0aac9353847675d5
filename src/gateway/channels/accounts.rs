//! Accounts come, go, connect anew: by the configuration, by an operator, by the health monitor.

use super::super::Gateway;
use super::super::timers::{Armed, Timer};
use super::{Live, LiveId, Seen};
use crate::channels::account::{Account, accounts};
use crate::channels::port::{ChannelInput, ChannelOut, Me};
use crate::channels::{KINDS, Kind, State};
use crate::driver::Effects;
use crate::limits;
use crate::wire::hash::{hex, sha256};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;

impl Gateway {
    /// Every account of the configuration, and what earlier lives left. Called once.
    pub(in crate::gateway) fn open_channels(&mut self) {
        let channels = &self.config.chat.channels;
        let any = KINDS.iter().any(|kind| {
            let section = channels.get(kind.id).unwrap_or(&Value::Null);
            !accounts(kind, section, self.config.env.all()).is_empty()
        });
        match any || self.channels.has_work() {
            true => self.timers.arm(self.now.time, Timer::Outbox),
            // Without channels nothing wakes the loop; an edit may bring some.
            false => self.channels_started = true,
        }
    }

    /// The first turn: accounts are made and started.
    pub(in crate::gateway) fn start_channels(&mut self, fx: &mut Effects) {
        if std::mem::replace(&mut self.channels_started, true) {
            return;
        }
        self.channels.outbox.release_left(self.disk.as_mut());
        self.fit_channels(fx);
        self.sweep_parts();
        self.sweep_outbound();
        self.resume_inbox(fx);
        self.pump_outbox(fx);
    }

    /// The configuration changed.
    pub(in crate::gateway) fn channels_on_config(&mut self, fx: &mut Effects) {
        if self.channels_started {
            self.fit_channels(fx);
            self.pump_outbox(fx);
        }
    }

    /// Brings the accounts in line with the configuration: what is gone is stopped, what is new
    /// is started, what has other lasting keys is built anew; the others hear of their new keys
    /// and stay connected.
    fn fit_channels(&mut self, fx: &mut Effects) {
        let config = Rc::clone(&self.config);
        let mut wanted: BTreeMap<(&'static str, String), (&'static Kind, Account)> =
            BTreeMap::new();
        for kind in KINDS {
            let section = config.chat.channels.get(kind.id).unwrap_or(&Value::Null);
            for account in accounts(kind, section, config.env.all()) {
                wanted.insert((kind.id, account.id.clone()), (kind, account));
            }
        }
        let gone: Vec<LiveId> = self
            .channels
            .by_name
            .iter()
            .filter(|(name, _)| !wanted.contains_key(*name))
            .map(|(_, id)| *id)
            .collect();
        for id in gone {
            self.stop_account(id, fx);
            if let Some(live) = self.channels.live.remove(&id) {
                self.channels.by_name.remove(&(live.kind.id, live.account.id));
            }
        }
        // All that stop do so before one starts: a token may change hands.
        for (name, (kind, mut account)) in wanted {
            self.read_files(kind, &mut account);
            match self.channels.by_name.get(&name).copied() {
                None => drop(self.add_account(kind, account)),
                Some(id) => self.refit(id, account, fx),
            }
        }
        let resting = |live: &Live| !live.running && !live.by_hand && live.account.enabled();
        let all = self.channels.live.iter();
        let ready: Vec<LiveId> = all.filter(|(_, live)| resting(live)).map(|(id, _)| *id).collect();
        for id in ready {
            self.start_account(id, fx);
        }
        self.arm_health();
    }

    fn add_account(&mut self, kind: &'static Kind, account: Account) -> LiveId {
        let id = self.channels.number();
        let mut seed = [0; 8];
        self.entropy.fill(&mut seed);
        self.channels.by_name.insert((kind.id, account.id.clone()), id);
        let live = Live {
            kind,
            account,
            channel: None,
            running: false,
            out: ChannelOut::new(u64::from_le_bytes(seed)),
            socks: BTreeMap::new(),
            reqs: BTreeMap::new(),
            hooks: BTreeMap::new(),
            paths: Vec::new(),
            state: State::Stopped,
            me: Me::default(),
            seen: Seen { since: self.now.wall_ms, ..Seen::default() },
            acts: BTreeMap::new(),
            armed: Armed::default(),
            keep: None,
            by_hand: false,
        };
        self.channels.live.insert(id, live);
        id
    }

    /// The account has other keys, perhaps; where they last, it stops.
    fn refit(&mut self, id: LiveId, mut account: Account, fx: &mut Effects) {
        let Some(live) = self.channels.live.get_mut(&id) else { return };
        if live.account.value() == account.value() {
            return;
        }
        let lasting = live.account.reconnects(live.kind, &account);
        account.kept = live.keep.clone().unwrap_or_else(|| live.account.kept.clone());
        if !lasting {
            live.account = account.clone();
            return self.channel_on(id, ChannelInput::Configured(&account), fx);
        }
        self.stop_account(id, fx);
        if let Some(live) = self.channels.live.get_mut(&id) {
            live.account = account;
        }
    }

    /// Keys that name files: their content takes the place of the key they stand for.
    fn read_files(&mut self, kind: &Kind, account: &mut Account) {
        for (named, key) in kind.file_keys {
            if account.get(key).is_some() {
                continue;
            }
            let Some(path) = account.text(named).map(PathBuf::from) else { continue };
            let path = match path.strip_prefix("~") {
                Ok(rest) => self.config.home.join(rest),
                Err(_) => path,
            };
            let size = self.disk.stat(&path).map(|stat| stat.len);
            match size {
                Ok(len) if len <= limits::CHANNEL_SECRET_FILE => match self.disk.read(&path) {
                    Ok(bytes) => {
                        let text = String::from_utf8_lossy(&bytes).trim().to_owned();
                        account.set(key, Value::String(text));
                    }
                    Err(error) => log::error!(target: "channels",
                        "{}.{named}: {}: {error}", account.path, path.display()),
                },
                Ok(_) => log::error!(target: "channels",
                    "{}.{named}: {} is too large for a secret", account.path, path.display()),
                Err(error) => log::error!(target: "channels",
                    "{}.{named}: {}: {error}", account.path, path.display()),
            }
        }
    }

    /// Starts an account that is switched on; the reason when it was not.
    pub(super) fn start_account(&mut self, id: LiveId, fx: &mut Effects) -> Option<&'static str> {
        if self.channels.skip {
            return Some("skipped by OPENCLAW_SKIP_CHANNELS");
        }
        if self.leaving.is_some() {
            return Some("the gateway is stopping");
        }
        let kept = self.read_kept(id);
        let now_ms = self.now.wall_ms;
        let twin = self.twin_of(id);
        let live = self.channels.live.get_mut(&id)?;
        if live.running {
            return None;
        }
        if !live.account.enabled() {
            return Some("disabled");
        }
        if let Some((key, other)) = twin {
            let own = &live.account.path;
            let why = format!(
                "{own}.{key} is the one of {other} too, and a token is good for one account: \
                 give it its own, or openclaw config set {own}.enabled false"
            );
            self.channel_state(id, State::Refused { why }, fx);
            return Some("not configured");
        }
        live.by_hand = false;
        if live.account.kept.is_null() {
            live.account.kept = kept;
        }
        match (live.kind.build)(&live.account) {
            Err(why) => {
                self.channel_state(id, State::Refused { why }, fx);
                Some("not configured")
            }
            Ok(channel) => {
                live.channel = Some(channel);
                live.running = true;
                live.seen.started = Some(now_ms);
                self.channel_on(id, ChannelInput::Start, fx);
                None
            }
        }
    }

    /// A running account of the same service with the same token: its key, and where the other
    /// stands. Two would take each other's messages.
    fn twin_of(&self, id: LiveId) -> Option<(&'static str, String)> {
        let own = self.channels.live.get(&id)?;
        let mut tokens =
            own.kind.credentials.iter().filter(|key| own.kind.not_inherited.contains(key));
        tokens.find_map(|key| {
            let token = own.account.get(key)?;
            let mut others = self.channels.live.iter().filter(|(other, live)| {
                **other != id && live.running && live.kind.id == own.kind.id
            });
            let twin = others.find(|(_, live)| live.account.get(key) == Some(token))?;
            Some((*key, twin.1.account.path.clone()))
        })
    }

    /// Stops an account: it says goodbye, and nothing of it goes on.
    pub(super) fn stop_account(&mut self, id: LiveId, fx: &mut Effects) {
        self.channel_on(id, ChannelInput::Stop, fx);
        let Some(live) = self.channels.live.get_mut(&id) else { return };
        live.channel = None;
        live.running = false;
        live.paths.clear();
        let socks: Vec<_> = live.socks.keys().copied().collect();
        let reqs: Vec<_> = std::mem::take(&mut live.reqs).into_values().collect();
        let hooks: Vec<_> = live.hooks.keys().copied().collect();
        let acts: Vec<u64> = live.acts.keys().copied().collect();
        for sock in socks {
            self.close_channel_socket(id, sock, None, fx);
        }
        for req in reqs {
            self.cancel_exchange(req, fx);
        }
        for hook in hooks {
            self.answer_channel_hook(id, hook, (503, "text/plain", b"stopped".to_vec()), fx);
        }
        for act in acts {
            let failure = crate::channels::Failure::later("the account was stopped");
            self.act_over(id, act, Err(failure), fx);
        }
        self.channels.outbox.give_back(id);
        self.channels.streams.give_back(id);
        self.files_lost(id, fx);
        self.channel_state(id, State::Stopped, fx);
    }

    /// The gateway leaves: everybody says goodbye.
    pub(in crate::gateway) fn stop_channels(&mut self, fx: &mut Effects) {
        let all: Vec<LiveId> = self.channels.live.keys().copied().collect();
        for id in all {
            self.stop_account(id, fx);
        }
        self.save_channels();
    }

    fn kept_path(&self, live: &Live) -> PathBuf {
        // Account ids are people's words: they become no path.
        let name = hex(&sha256(live.account.id.as_bytes()));
        let name = name.get(..16).unwrap_or(&name);
        self.channels.dir.join(live.kind.id).join(format!("{name}.json"))
    }

    fn read_kept(&mut self, id: LiveId) -> Value {
        let Some(live) = self.channels.live.get(&id) else { return Value::Null };
        let path = self.kept_path(live);
        let bytes = self.disk.read(&path).unwrap_or_default();
        serde_json::from_slice(&bytes).unwrap_or_default()
    }

    /// Forgets what an account kept; on a log-out.
    pub(super) fn forget_kept(&mut self, id: LiveId) {
        let Some(live) = self.channels.live.get_mut(&id) else { return };
        live.keep = Some(Value::Null);
        live.account.kept = Value::Null;
        self.save_channels();
    }

    /// Writes what accounts keep; true when the disk refused something.
    pub(in crate::gateway) fn save_channels(&mut self) -> bool {
        let dirty: Vec<(LiveId, Value)> = self
            .channels
            .live
            .iter_mut()
            .filter_map(|(id, live)| Some((*id, live.keep.take()?)))
            .collect();
        let mut refused = false;
        for (id, document) in dirty {
            let Some(live) = self.channels.live.get(&id) else { continue };
            let path = self.kept_path(live);
            let written = self.disk.replace(&path, document.to_string().as_bytes());
            let Some(live) = self.channels.live.get_mut(&id) else { continue };
            match written {
                Ok(()) => live.account.kept = document,
                Err(error) => {
                    log::error!(target: "store", "{}: {error}", path.display());
                    live.keep = Some(document);
                    refused = true;
                }
            }
        }
        refused
    }

    /// The health monitor's next look, unless one is coming or there is nothing to look at.
    fn arm_health(&mut self) {
        if self.config.gateway.channel_health_minutes == 0
            || self.channels.live.is_empty()
            || std::mem::replace(&mut self.channels.watched, true)
        {
            return;
        }
        let minutes = self.config.gateway.channel_health_minutes.max(1);
        let ms = minutes.saturating_mul(60_000);
        self.timers.arm(self.now.time.after_ms(ms), Timer::ChannelHealth);
    }

    /// `gateway.channelHealthCheckMinutes`: an account that should run and has said nothing for
    /// too long, or rests for a reason that may have gone, is started anew.
    pub(in crate::gateway) fn channel_health_due(&mut self, fx: &mut Effects) {
        self.channels.watched = false;
        let gateway = &self.config.gateway;
        if gateway.channel_health_minutes == 0 {
            return;
        }
        let (stale_ms, most) = (
            gateway.channel_stale_minutes.saturating_mul(60_000),
            gateway.channel_restarts_per_hour,
        );
        self.arm_health();
        let now_ms = self.now.wall_ms;
        let sick: Vec<LiveId> = self
            .channels
            .live
            .iter_mut()
            .filter_map(|(id, live)| {
                let watched = live.account.flag("healthMonitor.enabled") != Some(false);
                let last = live.seen.transport.or(live.seen.connected).unwrap_or(now_ms);
                // Who is called by the service hears nothing while nobody speaks.
                let silent = live.state == State::Connected
                    && live.paths.is_empty()
                    && stale_ms > 0
                    && now_ms.saturating_sub(last) > stale_ms;
                let stuck = live.state == State::Connecting
                    && now_ms.saturating_sub(live.seen.since) > limits::CHANNEL_STUCK_MS;
                live.seen.revived.retain(|at| now_ms.saturating_sub(*at) < 3_600_000);
                let may = (live.seen.revived.len() as u64) < most;
                (watched && live.running && may && (silent || stuck)).then(|| {
                    live.seen.revived.push(now_ms);
                    *id
                })
            })
            .collect();
        for id in sick {
            if let Some(live) = self.channels.live.get(&id) {
                let line = "silent for too long: connecting anew (health monitor)";
                super::speak::say(log::Level::Warn, live.kind.id, &live.account.id, line);
            }
            self.stop_account(id, fx);
            self.start_account(id, fx);
        }
    }
}

#[cfg(test)]
#[path = "accounts_tests.rs"]
mod tests;
