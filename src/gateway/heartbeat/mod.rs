//! Heartbeats: an agent is asked now and then, unprompted, whether anything needs attention.
//!
//! ```text
//!   slot of the agent is due --> [verdict] --Run--> a run in its session --> [reply]
//!        ^                          |  |                                        |
//!        |                          |  +--Later: in a moment again              v
//!        +---- next in its rhythm --+--Skip: event `heartbeat` <----- ok | skipped | failed
//! ```
//!
//! The rhythm is a place in the cadence that depends on the machine, the state directory and the
//! agent alone: a restart keeps it, and what was missed while the gateway was down is not made up
//! for. The wall clock is looked at once a minute at least, so that a clock that is set moves no
//! beat further than that. [`verdict`] knows times and reasons, [`reply`] what an answer means;
//! neither sees a clock, a file or a run.
//!
//! A wake is a heartbeat too: it is asked for, so it comes at any hour, whatever the file says.

mod marks;
mod reply;
mod route;
mod verdict;

use super::Gateway;
use super::broadcast::To;
use super::runs::{Active, Cause, NewRun, digest, outcome_text};
use super::timers::{Armed, Timer};
use crate::agent::Ask;
use crate::agent::run::Outcome;
use crate::agent::workspace;
use crate::config::{Clock, Heartbeat};
use crate::driver::Effects;
use crate::limits;
use crate::sessions::key;
use crate::wire::hash::sha256;
pub(super) use marks::{drop_acks, is_hidden, mark_ack, mark_poll};
use reply::{Reply, asks_nothing};
pub(super) use route::Route;
use route::Shows;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use verdict::{Facts, Verdict, decide, next_beat};

/// What an agent reads its beats from.
pub(super) const FILE: &str = "HEARTBEAT.md";
/// What a person can do about an answer that nobody heard.
const NO_ROUTE: &str = "This heartbeat has nowhere to go: set agents.defaults.heartbeat.target to \
                        a channel, or to none to keep it inside";

/// Why a run is a heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beat {
    /// Its time came.
    Poll,
    /// Something happened.
    Wake,
}

impl Beat {
    /// `reason` of the event.
    fn reason(self) -> &'static str {
        match self {
            Self::Poll => "interval",
            Self::Wake => "wake",
        }
    }
}

/// When an agent's next beat is due, and in which cadence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Slot {
    every_ms: u64,
    due_ms: u64,
}

/// A run that is a heartbeat.
struct Beating {
    beat: Beat,
    target: String,
    route: Option<Route>,
    ack_max_chars: usize,
    began_ms: u64,
}

/// Every agent's rhythm, and what runs of it.
pub(super) struct Heartbeats {
    /// By agent.
    slots: BTreeMap<String, Slot>,
    /// By the id of the run.
    running: BTreeMap<String, Beating>,
    /// `set-heartbeats`.
    pub(super) on: bool,
    /// `last-heartbeat`: payload of the last event.
    pub(super) last: Option<Value>,
    armed: Armed,
}

impl Default for Heartbeats {
    fn default() -> Self {
        Self {
            slots: BTreeMap::new(),
            running: BTreeMap::new(),
            on: true,
            last: None,
            armed: Armed::default(),
        }
    }
}

impl Heartbeats {
    /// A run is a heartbeat of this kind, by these settings.
    pub(super) fn began(
        &mut self,
        run: &str,
        beat: Beat,
        by: &Heartbeat,
        route: Option<Route>,
        now_ms: u64,
    ) {
        let beating = Beating {
            beat,
            target: by.target.clone(),
            route,
            ack_max_chars: by.ack_max_chars,
            began_ms: now_ms,
        };
        self.running.insert(run.to_owned(), beating);
    }

    /// Whether an answer of this run only says that nothing needs attention.
    pub(super) fn is_ack(&self, run: &str, text: &str) -> bool {
        let poll = self.running.get(run).filter(|beating| beating.beat == Beat::Poll);
        poll.is_some_and(|poll| !matches!(Reply::read(text, poll.ack_max_chars), Reply::Say(_)))
    }
}

impl Gateway {
    /// Who beats, from the configuration: a slot whose cadence is the same stays, a new one is
    /// the next place in its rhythm.
    pub(super) fn plan_heartbeats(&mut self) {
        let config = self.config.clone();
        let now_ms = self.now.wall_ms;
        let mut slots = BTreeMap::new();
        for agent in config.agents.agent_ids().into_iter().filter(|id| config.agents.beats(id)) {
            let every_ms = config.agents.heartbeat(agent).every_ms.max(limits::HEARTBEAT_EVERY_MS);
            let kept = self.heartbeats.slots.get(agent).filter(|slot| slot.every_ms == every_ms);
            let slot = kept.copied().unwrap_or_else(|| {
                let due_ms = next_beat(now_ms, every_ms, self.phase_ms(agent));
                Slot { every_ms, due_ms }
            });
            slots.insert(agent.to_owned(), slot);
        }
        self.heartbeats.slots = slots;
        self.arm_heartbeats();
    }

    /// The place of an agent's beats in any cadence.
    fn phase_ms(&self, agent: &str) -> u64 {
        let of = format!("{}\0{}\0{agent}", self.host.name, self.state_dir.display());
        let [a, b, c, d, e, f, ..] = sha256(of.as_bytes());
        u64::from_be_bytes([0, 0, a, b, c, d, e, f])
    }

    fn heartbeats_due_at(&self) -> Option<crate::driver::Time> {
        if self.leaving.is_some() {
            return None;
        }
        let due_ms = self.heartbeats.slots.values().map(|slot| slot.due_ms).min()?;
        let wait = due_ms.saturating_sub(self.now.wall_ms).min(limits::CRON_LOOK_MS);
        Some(self.now.time.after_ms(wait.max(1)))
    }

    fn arm_heartbeats(&mut self) {
        let due = self.heartbeats_due_at();
        self.heartbeats.armed.at(&mut self.timers, due, Timer::Heartbeat);
    }

    /// The timer came up.
    pub(super) fn heartbeats_due(&mut self, fx: &mut Effects) {
        let (due, now) = (self.heartbeats_due_at(), self.now.time);
        self.heartbeats.armed.came_up(&mut self.timers, due, Timer::Heartbeat, now);
        let now_ms = self.now.wall_ms;
        let mut agents: Vec<String> = Vec::new();
        for (agent, slot) in &mut self.heartbeats.slots {
            if slot.due_ms <= now_ms {
                agents.push(agent.clone());
            } else {
                // A clock that was set back leaves no slot more than one cadence away.
                slot.due_ms = slot.due_ms.min(now_ms.saturating_add(slot.every_ms));
            }
        }
        for agent in agents {
            let Some(slot) = self.heartbeats.slots.get(&agent).copied() else { continue };
            let again = self.beat(&agent, fx);
            let due_ms = match again {
                true => now_ms + limits::HEARTBEAT_RETRY_MS,
                false => next_beat(now_ms, slot.every_ms, self.phase_ms(&agent)),
            };
            self.heartbeats.slots.insert(agent, Slot { due_ms, ..slot });
        }
        self.arm_heartbeats();
    }

    /// An agent's beat is due; true when it is to be looked at again soon.
    fn beat(&mut self, agent: &str, fx: &mut Effects) -> bool {
        let config = self.config.clone();
        let by = config.agents.heartbeat(agent);
        let key = self.heartbeat_key(agent, by);
        let route = self.beat_route(&key, by);
        let facts = Facts {
            muted: route.as_ref().is_some_and(|route| route.shows.nothing()),
            off: !self.heartbeats.on,
            asleep: self.is_asleep(by),
            nothing_asked: self.nothing_asked(agent),
            busy: self.runs.is_busy(agent),
            events: self.events.wait_for(&key),
            no_route: wants_route(&by.target) && route.is_none(),
        };
        match decide(facts) {
            Verdict::Quiet => log::debug!(target: "heartbeat", "{agent} is left in peace"),
            Verdict::Later => return true,
            Verdict::Skip(reason) => {
                log::debug!(target: "heartbeat", "no beat of {agent}: {reason}");
                let mut event = json!({"status": "skipped", "reason": reason, "durationMs": 0});
                if reason == "no-route" {
                    event["message"] = json!(NO_ROUTE);
                }
                self.tell_heartbeat(event, fx);
            }
            Verdict::Run => self.begin_beat(agent, &key, by, fx),
        }
        false
    }

    /// Starts a run for a beat. One that cannot begin is told as failed.
    fn begin_beat(&mut self, agent: &str, key: &str, by: &Heartbeat, fx: &mut Effects) {
        let now_ms = self.now.wall_ms;
        let run_key = match by.isolated_session {
            true => format!("{key}:heartbeat"),
            false => key.to_owned(),
        };
        if by.isolated_session
            && let Err(error) = self.begin_isolated(key, &run_key)
        {
            let reason = format!("the transcript of {run_key} cannot be put aside: {error}");
            return self.fail_heartbeat(Beat::Poll, &reason, fx);
        }
        let id = self.uuid();
        let new = NewRun {
            digest: digest("heartbeat", &run_key, &by.prompt, None),
            message: Some(by.prompt.clone()),
            model: by.model.clone(),
            timeout_ms: by.timeout_ms,
            beat: Some(Beat::Poll),
            ask: Ask { light: by.light_context, ..Ask::default() },
            ..NewRun::new(id.clone(), Cause::Agent, run_key, agent.to_owned())
        };
        match self.accept_run(new) {
            Ok(_) => {
                let route = self.beat_route(key, by);
                self.heartbeats.began(&id, Beat::Poll, by, route, now_ms);
            }
            Err(error) => self.fail_heartbeat(Beat::Poll, &error.message, fx),
        }
    }

    /// A session of its own begins with an empty transcript; the events of the one it stands for
    /// come along.
    fn begin_isolated(&mut self, key: &str, run_key: &str) -> std::io::Result<()> {
        self.events.move_to(key, run_key);
        if self.sessions.get(run_key).is_none() {
            return Ok(());
        }
        let (session, revision, now_ms) = (self.uuid(), self.uuid(), self.now.wall_ms);
        let disk = self.disk.as_mut();
        self.sessions.reset(disk, run_key, Some(session), revision, now_ms).map(|_| ())
    }

    /// The session an agent beats in; a name that cannot be one of its own is its main one.
    fn heartbeat_key(&self, agent: &str, by: &Heartbeat) -> String {
        let main_key = &self.config.session.main_key;
        let named = by.session.as_deref().and_then(|name| {
            let found = key::canonical(name, agent, main_key).ok()?;
            (key::agent_of(&found) == Some(agent)).then_some(found)
        });
        named.unwrap_or_else(|| key::main(agent, main_key))
    }

    /// Whether the clock is outside of the active hours.
    fn is_asleep(&mut self, by: &Heartbeat) -> bool {
        let Some(hours) = &by.active_hours else { return false };
        let user = self.config.agents.defaults.user_timezone.clone();
        let zone = match &hours.timezone {
            Clock::User => self.zone_of(user.as_deref()),
            Clock::Local => self.zone_of(None),
            Clock::Zone(name) => self.zone_of(Some(name)).or_else(|why| {
                log::warn!(target: "heartbeat", "activeHours.timezone: {why}; userTimezone is \
                    taken, else the machine's");
                self.zone_of(user.as_deref())
            }),
        };
        let zone = zone.or_else(|_| self.zone_of(None)).unwrap_or(super::cron::zone::Zone::UTC);
        let now = i64::try_from(self.now.wall_ms / 1000).unwrap_or(i64::MAX / 2);
        let local = now.saturating_add(i64::from(zone.offset(now)));
        let minute = u16::try_from(local.rem_euclid(86_400) / 60).unwrap_or(0);
        !hours.contains(minute)
    }

    /// Whether an agent has a HEARTBEAT.md that asks nothing.
    fn nothing_asked(&self, agent: &str) -> bool {
        let path = self.workspace(agent).join(FILE);
        let Ok(stat) = self.disk.stat(&path) else { return false };
        asks_nothing(&workspace::read(self.disk.as_ref(), &path, &stat))
    }

    /// A run is over: perhaps it was a heartbeat.
    pub(super) fn heartbeat_over(&mut self, run: &Active, outcome: &Outcome, fx: &mut Effects) {
        let Some(was) = self.heartbeats.running.remove(&run.id) else { return };
        let text = run.machine.as_ref().map_or("", |machine| machine.text());
        let mut event = json!({"reason": was.beat.reason()});
        if let Outcome::Done(_) = outcome {
            match Reply::read(text, was.ack_max_chars) {
                Reply::Empty => event["status"] = json!("ok-empty"),
                Reply::Ok => {
                    event["status"] = json!("ok-token");
                    event["silent"] = json!(!self.tell_ok(run, &was));
                }
                Reply::Say(text) => {
                    let preview: String = text.chars().take(limits::HEARTBEAT_PREVIEW).collect();
                    event["preview"] = json!(preview);
                    event["hasMedia"] = json!(false);
                    self.tell_person(run, &was, &text, &mut event);
                }
            }
        } else {
            event["status"] = json!("failed");
            event["reason"] = json!(outcome_text(outcome));
            event["indicatorType"] = json!("error");
        }
        if event["status"].as_str().is_some_and(|status| status.starts_with("ok-")) {
            if event.get("silent").is_none() {
                event["silent"] = json!(true);
            }
            event["indicatorType"] = json!("ok");
        }
        let shows = was.route.as_ref().map_or_else(Shows::default, |route| route.shows);
        if let Some(fields) = event.as_object_mut().filter(|_| !shows.indicator) {
            fields.remove("indicatorType");
        }
        event["durationMs"] = json!(self.now.wall_ms.saturating_sub(was.began_ms));
        log::info!(target: "heartbeat", "{} of {}: {} ({})", was.beat.reason(), run.key,
            event["status"].as_str().unwrap_or_default(),
            event["reason"].as_str().unwrap_or_default());
        self.tell_heartbeat(event, fx);
    }

    /// What a beat has to say goes to a person, if one is known.
    fn tell_person(&mut self, run: &Active, was: &Beating, text: &str, event: &mut Value) {
        event["status"] = json!("skipped");
        let Some(route) = &was.route else {
            event["reason"] = json!(undelivered(&was.target));
            if event["reason"] == "no-route" {
                event["message"] = json!(NO_ROUTE);
            }
            return;
        };
        let now_ms = self.now.wall_ms;
        let said = self.sessions.get(&route.session).is_some_and(|entry| {
            let at = entry.extra.get("lastHeartbeatSentAt").and_then(Value::as_u64);
            let lately = at.is_some_and(|at| now_ms.saturating_sub(at) < limits::HEARTBEAT_SAME_MS);
            lately && entry.word("lastHeartbeatText") == Some(text.trim())
        });
        let quiet = match (route.blocked, route.shows.alerts) {
            (Some(why), _) => Some(why),
            (None, false) => Some("alerts-disabled"),
            (None, true) if said => Some("duplicate"),
            (None, true) => None,
        };
        if let Some(why) = quiet {
            event["reason"] = json!(why);
            return;
        }
        let id = format!("beat-{}", run.id);
        match self.announce_by_channel(&id, &route.place, &route.session, text) {
            Ok(()) => {
                if let Some(entry) = self.sessions.get_mut(&route.session) {
                    entry.set("lastHeartbeatText", json!(text.trim()));
                    entry.set("lastHeartbeatSentAt", json!(now_ms));
                }
                self.save_soon();
                event["status"] = json!("sent");
                event["indicatorType"] = json!("alert");
                for name in ["channel", "to", "accountId"] {
                    if let Some(value) = route.place.get(name).filter(|value| *value != "last") {
                        event[name] = value.clone();
                    }
                }
            }
            Err(why) => {
                event["reason"] = json!("no-target");
                event["message"] = json!(why);
            }
        }
    }

    /// `showOk`: that nothing needs attention is said, too; true when it was.
    fn tell_ok(&mut self, run: &Active, was: &Beating) -> bool {
        let Some(route) = was.route.as_ref().filter(|it| it.shows.ok && it.blocked.is_none())
        else {
            return false;
        };
        let id = format!("beat-{}", run.id);
        self.announce_by_channel(&id, &route.place, &route.session, "HEARTBEAT_OK").is_ok()
    }

    /// A heartbeat that did not come to be.
    fn fail_heartbeat(&mut self, beat: Beat, reason: &str, fx: &mut Effects) {
        log::warn!(target: "heartbeat", "{} failed: {reason}", beat.reason());
        let event = json!({"status": "failed", "reason": reason, "durationMs": 0,
            "indicatorType": "error"});
        self.tell_heartbeat(event, fx);
    }

    /// Event `heartbeat`, kept for `last-heartbeat`.
    fn tell_heartbeat(&mut self, mut event: Value, fx: &mut Effects) {
        event["ts"] = json!(self.now.wall_ms);
        self.broadcast("heartbeat", To::All, fx, &|_| Some(event.clone()));
        self.heartbeats.last = Some(event);
    }

    /// No beat comes any more; a simulated world ends so.
    #[doc(hidden)]
    pub fn stop_heartbeats(&mut self) {
        self.heartbeats.on = false;
    }

    /// Which agents beat in which cadence, for `health` and `status`.
    pub(super) fn heartbeat_of(&self, agent: &str) -> (bool, &Heartbeat) {
        let agents = &self.config.agents;
        (agents.beats(agent), agents.heartbeat(agent))
    }
}

/// Whether a beat is only worth asking when a channel has somebody to tell.
pub(super) fn wants_route(target: &str) -> bool {
    matches!(target, "owner" | "last")
}

/// Why an answer went to nobody.
fn undelivered(target: &str) -> &'static str {
    match target {
        "none" => "target-none",
        target if wants_route(target) => "no-route",
        _ => "no-target",
    }
}

/// A duration in the largest unit that divides it: `30m`, `90s`, `1h`.
pub(super) fn shown_duration(ms: u64) -> String {
    let units = [(3_600_000, "h"), (60_000, "m"), (1_000, "s"), (1, "ms")];
    let fits = |(size, _): &&(u64, &str)| ms > 0 && ms.is_multiple_of(*size);
    let (size, unit) = units.iter().find(fits).copied().unwrap_or((60_000, "m"));
    format!("{}{unit}", ms / size)
}

#[cfg(test)]
#[path = "heartbeat_tests.rs"]
mod tests;
