//! What accounts are: `channels.status`, its probes, `health`.

use super::super::Gateway;
use super::super::socket::Answer;
use super::{Live, LiveId};
use crate::channels::account::{accounts, default_id};
use crate::channels::audit;
use crate::channels::port::ChannelInput;
use crate::channels::{KINDS, State};
use crate::driver::{ConnId, Effects};
use crate::limits;
use serde_json::{Map, Value, json};

/// A `channels.status` with probes and audits that are under way.
pub(in crate::gateway) struct Probing {
    conn: ConnId,
    request: String,
    /// What is under way, by number; of a probe also its account.
    left: Vec<(u64, Option<LiveId>)>,
    ms: u64,
    pub(in crate::gateway) due: crate::driver::Time,
}

impl Gateway {
    /// `channels.status`: at once, or when every probe has ended.
    pub(in crate::gateway) fn channels_status_rpc(
        &mut self,
        conn: ConnId,
        request: &str,
        params: &Map<String, Value>,
        fx: &mut Effects,
    ) -> Answer {
        if params.get("probe") != Some(&Value::Bool(true)) {
            return Answer::Value(self.channels_status());
        }
        let ms = params.get("timeoutMs").and_then(Value::as_u64);
        let ms = ms.unwrap_or(limits::CHANNEL_PROBE_MS).clamp(100, limits::CHANNEL_PROBE_MS);
        // Who asks waits as long itself: the answer is to be there before.
        let ms = ms.saturating_sub(limits::CHANNEL_PROBE_SPARE_MS).max(ms / 2);
        let due = self.now.time.after_ms(ms);
        // Every running account is probed, every connected one audited.
        let running = self.channels.live.iter().filter(|(_, live)| live.running);
        let asked: Vec<(LiveId, bool)> =
            running.map(|(id, live)| (*id, live.state == State::Connected)).collect();
        let asked: Vec<(LiveId, u64, Option<u64>)> = asked
            .into_iter()
            .map(|(id, connected)| {
                let audit = connected.then(|| self.channels.number());
                (id, self.channels.number(), audit)
            })
            .collect();
        let numbers = |(id, probe, audit): &(LiveId, u64, Option<u64>)| {
            [Some((*probe, Some(*id))), audit.map(|audit| (audit, None))]
        };
        let left = asked.iter().flat_map(numbers).flatten().collect();
        self.probings.push(Probing { conn, request: request.to_owned(), left, ms, due });
        for (id, probe, audit) in asked {
            self.channel_on(id, ChannelInput::Probe { id: probe }, fx);
            if let Some(audit) = audit {
                self.channel_on(id, ChannelInput::Audit { id: audit }, fx);
            }
        }
        self.timers.arm(due, super::super::timers::Timer::Outbox);
        self.end_probings(fx);
        Answer::Handled
    }

    /// A probe ended.
    pub(super) fn probe_over(
        &mut self,
        id: LiveId,
        probe: u64,
        result: Result<Value, String>,
        fx: &mut Effects,
    ) {
        let now_ms = self.now.wall_ms;
        if let Some(live) = self.channels.live.get_mut(&id) {
            live.seen.probe = Some((now_ms, result));
        }
        self.looked_into(probe, fx);
    }

    /// An audit ended.
    pub(super) fn audit_over(&mut self, id: LiveId, audit: u64, report: Value, fx: &mut Effects) {
        if let Some(live) = self.channels.live.get_mut(&id) {
            live.seen.audit = report;
        }
        self.looked_into(audit, fx);
    }

    /// A probe or audit, by its number, is over.
    fn looked_into(&mut self, number: u64, fx: &mut Effects) {
        for probing in &mut self.probings {
            probing.left.retain(|(other, _)| *other != number);
        }
        self.end_probings(fx);
    }

    /// Answers who has waited for all of their probes, or long enough.
    pub(in crate::gateway) fn end_probings(&mut self, fx: &mut Effects) {
        let now = self.now.time;
        let (over, left) = std::mem::take(&mut self.probings)
            .into_iter()
            .partition(|one| one.left.is_empty() || one.due <= now);
        self.probings = left;
        let over: Vec<Probing> = over;
        for one in over {
            let silent = one.left.iter().filter_map(|(_, id)| *id);
            let said = format!("no answer within {:.1} s", one.ms as f64 / 1000.0);
            for id in silent {
                if let Some(live) = self.channels.live.get_mut(&id) {
                    live.seen.probe = Some((self.now.wall_ms, Err(said.clone())));
                }
            }
            let status = self.channels_status();
            self.respond_ok(one.conn, &one.request, &status, fx);
        }
    }

    /// Every channel with its accounts.
    pub(in crate::gateway) fn channels_status(&self) -> Value {
        let mut order = Vec::new();
        let (mut labels, mut details) = (Map::new(), Map::new());
        let (mut channels, mut lists) = (Map::new(), Map::new());
        let (mut defaults, mut metas, mut issues) = (Map::new(), Vec::new(), Vec::new());
        for kind in KINDS {
            let section = self.config.chat.channels.get(kind.id).unwrap_or(&Value::Null);
            let ours: Vec<&Live> =
                self.channels.live.values().filter(|live| live.kind.id == kind.id).collect();
            if ours.is_empty() {
                continue;
            }
            let configured = accounts(kind, section, self.config.env.all());
            let default = default_id(section, &configured).unwrap_or_default();
            let mut rows: Vec<Value> = Vec::new();
            for live in &ours {
                let row = self.account_row(live);
                issues.extend(issue(live, self.now.wall_ms));
                issues.extend(undelivered(live, &row));
                issues.extend(shut_out(live));
                rows.push(row);
            }
            let first = ours.iter().position(|live| live.account.id == default).unwrap_or(0);
            let row = rows.get(first).cloned().unwrap_or_default();
            order.push(json!(kind.id));
            labels.insert(kind.id.to_owned(), json!(kind.label));
            details.insert(kind.id.to_owned(), json!(kind.detail));
            metas.push(json!({
                "id": kind.id, "label": kind.label, "detailLabel": kind.detail,
            }));
            channels.insert(kind.id.to_owned(), row);
            lists.insert(kind.id.to_owned(), Value::Array(rows));
            defaults.insert(kind.id.to_owned(), json!(default));
        }
        let webchat = self.webchat_row();
        order.push(json!("webchat"));
        labels.insert("webchat".to_owned(), json!("WebChat"));
        details.insert("webchat".to_owned(), json!("Control page and chat clients"));
        metas.push(json!({
            "id": "webchat", "label": "WebChat", "detailLabel": "Control page and chat clients",
        }));
        channels.insert("webchat".to_owned(), webchat.clone());
        lists.insert("webchat".to_owned(), json!([webchat]));
        defaults.insert("webchat".to_owned(), json!("default"));
        json!({
            "ts": self.now.wall_ms, "channelOrder": order, "channelLabels": labels,
            "channelDetailLabels": details, "channelSystemImages": {}, "channelMeta": metas,
            "channels": channels, "channelAccounts": lists,
            "channelDefaultAccountId": defaults, "statusIssues": issues,
            "eventLoop": self.event_loop(),
        })
    }

    /// The control page and whoever calls `chat.*`: always there, connected while somebody is.
    fn webchat_row(&self) -> Value {
        let clients = self.conns.clients_len();
        json!({
            "accountId": "default", "name": "WebChat", "enabled": true, "configured": true,
            "linked": true, "running": true, "connected": clients > 0, "clients": clients,
            "lastError": null, "healthState": "healthy", "dmPolicy": "operators",
        })
    }

    /// One account's row.
    fn account_row(&self, live: &Live) -> Value {
        let (account, seen) = (&live.account, &live.seen);
        let connected = live.state == State::Connected;
        let (word, retry, why) = match &live.state {
            State::Connecting => ("connecting", None, None),
            State::Connected => ("healthy", None, None),
            State::Waiting { until, why } => {
                ("reconnecting", Some(until.ms_since(self.now.time)), Some(why.clone()))
            }
            State::Refused { why } => ("blocked", None, Some(why.clone())),
            State::Stopped if !account.enabled() => ("disabled", None, None),
            State::Stopped if self.channels.skip => ("skipped", None, None),
            State::Stopped => ("stopped", None, None),
        };
        let configured = live.kind.credentials.iter().all(|key| account.get(key).is_some());
        let said = account.text("dmPolicy").or_else(|| account.text("dm.policy"));
        let mut row = json!({
            "accountId": account.id, "name": account.text("name"),
            "enabled": account.enabled(), "configured": configured, "linked": configured,
            "running": live.running, "connected": connected,
            "restartPending": retry.is_some(), "reconnectAttempts": seen.attempts,
            "healthState": word, "lifecycle": word, "stateSince": seen.since,
            "lastConnectedAt": seen.connected, "lastStartAt": seen.started,
            "lastStopAt": seen.stopped, "lastInboundAt": seen.inbound,
            "lastOutboundAt": seen.outbound, "lastTransportActivityAt": seen.transport,
            "lastError": why.or_else(|| seen.error.clone()),
            "nextRetryAt": retry.map(|ms| self.now.wall_ms.saturating_add(ms)),
            "dmPolicy": said.unwrap_or("pairing"),
            "allowFrom": account.texts("allowFrom").unwrap_or_default(),
            "queued": self.channels.outbox.waiting(live.kind.id, &account.id),
        });
        if let Some(dead) = self.channels.dead.summary(live.kind.id, &account.id) {
            row["deadLetters"] = dead;
        }
        if let Some(at) = seen.disconnected {
            row["lastDisconnect"] = json!({"at": at, "error": seen.error});
        }
        if !live.me.id.is_empty() {
            row["bot"] = json!({"id": live.me.id, "username": live.me.name});
        }
        if let Some((at, result)) = &seen.probe {
            row["lastProbeAt"] = json!(at);
            row["probe"] = match result {
                Ok(facts) => {
                    let mut probe = json!({"ok": true});
                    if let (Some(into), Value::Object(facts)) = (probe.as_object_mut(), facts) {
                        into.extend(facts.clone());
                    }
                    probe
                }
                Err(why) => json!({"ok": false, "error": why}),
            };
        }
        if !seen.audit.is_null() {
            row["audit"] = seen.audit.clone();
        }
        row
    }

    /// `channels` of `health`: one row a channel.
    pub(in crate::gateway) fn channels_health(&self) -> (Value, Vec<&'static str>, Value) {
        let (mut channels, mut labels, mut order) = (Map::new(), Map::new(), Vec::new());
        for kind in KINDS {
            let ours: Vec<&Live> =
                self.channels.live.values().filter(|live| live.kind.id == kind.id).collect();
            let Some(first) = ours.first() else { continue };
            let mut row = self.account_row(first);
            let rows: Map<String, Value> =
                ours.iter().map(|live| (live.account.id.clone(), self.account_row(live))).collect();
            row["accounts"] = Value::Object(rows);
            order.push(kind.id);
            labels.insert(kind.id.to_owned(), json!(kind.label));
            channels.insert(kind.id.to_owned(), row);
        }
        (Value::Object(channels), order, Value::Object(labels))
    }
}

/// What is wrong with an account, and what to do.
fn issue(live: &Live, now_ms: u64) -> Option<Value> {
    let channel = live.kind.id;
    let logs = format!("openclaw channels logs --channel {channel}");
    let network = format!("check network and server; {logs}");
    let since_ms = now_ms.saturating_sub(live.seen.since);
    // What a probe said of an earlier state says nothing of this one.
    let probe = live.seen.probe.as_ref().filter(|(at, _)| *at >= live.seen.since);
    let silent = probe.and_then(|(_, result)| result.as_ref().err());
    let (kind, why, fix) = match (&live.state, silent) {
        (State::Refused { why }, _) => {
            let own = &live.account.path;
            ("config", why.clone(), format!("openclaw config get {own}; {logs}"))
        }
        (State::Waiting { why, .. }, _) => ("runtime", why.clone(), network),
        (State::Connecting, Some(silent)) => ("runtime", silent.clone(), network),
        (State::Connecting, None) if since_ms > limits::CHANNEL_PROBE_MS => {
            let waited = since_ms / 1000;
            ("runtime", format!("the server has not let us in for {waited} s"), network)
        }
        (State::Connected, Some(silent)) => ("runtime", format!("probe: {silent}"), network),
        _ => return None,
    };
    Some(json!({
        "channel": channel, "accountId": live.account.id, "kind": kind, "message": why,
        "fix": fix,
    }))
}

/// Messages that were given up.
fn undelivered(live: &Live, row: &Value) -> Option<Value> {
    let count = row.pointer("/deadLetters/count")?.as_u64()?;
    let (channel, account) = (live.kind.id, &live.account.id);
    let what = match count {
        1 => "a message was given up".to_owned(),
        count => format!("{count} messages were given up"),
    };
    Some(json!({
        "channel": channel, "accountId": account, "kind": "delivery", "message": what,
        "fix": format!("openclaw channels dead-letters list --channel {channel} --account {account}"),
    }))
}

/// Conversations of the configuration in which the bot can do nothing, by the last audit.
fn shut_out(live: &Live) -> Vec<Value> {
    let row = |(conversation, why): (String, String)| {
        json!({
            "channel": live.kind.id, "accountId": live.account.id, "kind": "permissions",
            "message": format!("{conversation}: {why}"),
            "fix": format!("openclaw channels logs --channel {}", live.kind.id),
        })
    };
    audit::failures(&live.seen.audit).into_iter().map(row).collect()
}
