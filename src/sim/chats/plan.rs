//! What happens in a world of chats: who says what when, and what goes wrong meanwhile.

use super::Which;
use crate::driver::Time;
use crate::sim::check::Checks;
use crate::sim::peers::fake::{Shared, perform};
use crate::sim::peers::{Event, Io, Kind, Peer};
use crate::sim::rng::Rng;
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// What the world does to the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// `kill -9`.
    Kill,
    /// The service manager starts it again.
    Rise,
    /// SIGTERM; it is started as soon as it has left.
    Terminate,
    /// SIGUSR1: re-executes in place.
    Restart,
    /// The file is edited: true where the account must connect anew.
    Edit(bool),
    /// The power fails; what was not synced may be gone.
    PowerCut,
    /// The bot's token is made anew at the platform; the old one is worth nothing.
    Renew,
    /// The new token is put into the file.
    Token,
    /// From here on nobody may write.
    Shut,
    /// Everybody may again.
    Open,
}

/// One step.
#[derive(Debug, Clone)]
pub enum Step {
    /// Somebody writes.
    Say(Said),
    /// The platform does something.
    Act(Value),
    /// The process has something done to it.
    Deed(Deed),
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Say(said) => write!(f, "{}", said.act),
            Self::Act(act) => write!(f, "{act}"),
            Self::Deed(deed) => write!(f, "{deed:?}"),
        }
    }
}

/// A message of somebody.
#[derive(Debug, Clone)]
pub struct Said {
    /// The word that no other message has.
    pub word: String,
    /// The chat, as the fake names it in what is posted.
    pub to: String,
    /// The act; a reply in a thread of Slack gets its thread when it is said.
    act: Value,
    threaded: bool,
}

impl Said {
    /// The words that an answer to it has in a world in which answers are written slowly.
    pub fn tokens(&self) -> Vec<String> {
        let text = self.act["text"].as_str().or(self.act["content"].as_str());
        super::written::tokens(&self.word, text.unwrap_or_default())
    }
}

/// Where somebody writes, and how.
pub(super) struct Room {
    /// The chat's name in what is posted.
    to: &'static str,
    /// The act's members, all but the words.
    act: Value,
    /// Which of them the words are.
    words: &'static str,
    /// A thread of Slack.
    threaded: bool,
}

impl Room {
    pub(super) fn new(to: &'static str, words: &'static str, act: Value) -> Self {
        Self { to, act, words, threaded: false }
    }
}

/// Steps and their times, in order.
pub type Plan = Vec<(Time, Step)>;

/// Where somebody may write; `hasty` where a platform may wait for us in seconds.
fn room(which: Which, hasty: bool, rng: &mut Rng) -> Room {
    let mention = rng.percent(30);
    match which.channel() {
        "telegram" => match rng.below(5) {
            0 => Room::new("7", "text", json!({"act": "message", "chat": 7})),
            1 => Room::new("8", "text", json!({"act": "message", "chat": 8})),
            2 => Room::new("-1005", "text", json!({"act": "message", "chat": -1005, "from": 7})),
            3 => Room::new("7", "data", json!({"act": "press", "chat": 7, "message": 1})),
            _ => {
                let topic = rng.pick(&[42, 43]);
                let act = json!({"act": "message", "chat": -1006, "from": 9, "topic": topic});
                Room::new("-1006", "text", act)
            }
        },
        "discord" => match rng.below(if hasty { 5 } else { 3 }) {
            0 => Room::new("700", "content", json!({"act": "message", "channel": 700, "from": 7})),
            1 => {
                let mut act = json!({"act": "message", "channel": 800, "guild": 500, "from": 8});
                act["mention"] = mention.into();
                Room::new("800", "content", act)
            }
            2 => {
                let act = json!({
                    "act": "message", "channel": 900, "guild": 500, "parent": 800, "from": 9,
                });
                Room::new("900", "content", act)
            }
            3 => {
                let act = json!({"act": "press", "channel": 700, "from": 7});
                Room::new("700", "data", act)
            }
            _ => {
                let act = json!({
                    "act": "command", "channel": 800, "guild": 500, "from": 8, "name": "ask",
                });
                Room::new("800", "input", act)
            }
        },
        "irc" => super::spoken::room(rng),
        _ => match rng.below(5) {
            0 => Room::new("D0FAKE", "text", json!({"act": "message", "channel": "D0FAKE"})),
            1 => {
                let act = json!({"act": "message", "channel": "C0ROOM", "mention": mention});
                Room::new("C0ROOM", "text", act)
            }
            2 => {
                let act = json!({"act": "press", "channel": "D0FAKE", "action": "choose"});
                Room::new("D0FAKE", "value", act)
            }
            3 => {
                let act = json!({"act": "slash", "channel": "C0ROOM", "command": "/ask"});
                Room::new("C0ROOM", "text", act)
            }
            _ => {
                let act = json!({"act": "message", "channel": "C0ROOM", "user": "U0OTHER"});
                Room { threaded: true, ..Room::new("C0ROOM", "text", act) }
            }
        },
    }
}

/// Trouble with requests: which, and of what kind.
fn trouble(which: Which, rng: &mut Rng) -> Value {
    let paths: &[&str] = match which.channel() {
        "telegram" => &["sendMessage", "sendMessage", "getUpdates", "getMe", "Webhook", ""],
        "discord" => &["/messages", "/messages", "/@me", "/gateway/bot", "encoding=json", ""],
        _ => &["postMessage", "postMessage", "connections.open", "auth.test", "/link/", "history"],
    };
    let woes = ["tooMany", "tooMany", "fails", "fails", "losesAnswer", "resets", "silent", "slow"];
    json!({
        "act": "trouble", "path": rng.pick(paths), "woe": rng.pick(&woes),
        "times": rng.range(1, 3), "seconds": rng.pick(&[1, 2, 5, 20]),
        "status": rng.pick(&[500, 502, 503, 504]),
    })
}

/// What only this platform does.
fn own(which: Which, rng: &mut Rng) -> Value {
    match which {
        Which::Telegram => rng_pick(rng, &[json!({"act": "shuffle"}), again(2)]),
        Which::TelegramHook | Which::SlackHttp => rng_pick(rng, &[again(1), again(2)]),
        Which::Discord => rng_pick(
            rng,
            &[
                json!({"act": "reconnect"}),
                json!({"act": "invalidate", "resumable": true}),
                json!({"act": "invalidate", "resumable": false}),
                json!({"act": "muteAcks", "count": 1}),
                json!({"act": "beat"}),
                json!({"act": "close", "code": 4000}),
                json!({"act": "close", "code": 4008}),
                json!({"act": "close", "code": 4009}),
                again(1),
                again(2),
            ],
        ),
        Which::Slack => {
            rng_pick(rng, &[json!({"act": "warn"}), json!({"act": "refresh"}), again(1), again(2)])
        }
        Which::Irc => super::spoken::own(rng),
    }
}

fn again(count: u64) -> Value {
    json!({"act": "again", "count": count})
}

fn rng_pick(rng: &mut Rng, of: &[Value]) -> Value {
    let at = rng.size(0, of.len() - 1);
    of[at].clone()
}

/// A world's plan, from `start` on.
///
/// `written`: answers appear while they are written. Then people write texts of many words, and
/// what the ledger of those worlds does not know is left out: power cuts, closed doors, buttons.
pub fn plan(which: Which, (hasty, written): (bool, bool), start: Time, rng: &mut Rng) -> Plan {
    let mut plan = Plan::new();
    let mut at = start;
    let calm = rng.percent(10);
    for number in 0..rng.range(5, 12) {
        at = at.after_ms(rng.pick(&[0, 1, 40, 700, 3_000, 9_000, 20_000]) + rng.below(2_000));
        if !calm && rng.percent(55) {
            mishap(which, at, rng, &mut plan);
        }
        at = at.after_ms(rng.below(400));
        let word = format!("w{number:02}x{:04x}", rng.below(1 << 16));
        let mut place = room(which, hasty, rng);
        while written && place.act["act"] != "message" {
            place = room(which, hasty, rng);
        }
        let Room { to, mut act, words, threaded } = place;
        let text = if which == Which::Irc {
            super::spoken::text(&word, rng)
        } else if written {
            super::written::text(&word, rng)
        } else {
            word.clone()
        };
        match words {
            "input" => act["options"] = json!([{"name": "input", "type": 3, "value": text}]),
            words => act[words] = text.into(),
        }
        plan.push((at, Step::Say(Said { word, to: to.to_owned(), act, threaded })));
    }
    if written {
        let known = |deed: &Deed| {
            matches!(
                deed,
                Deed::Kill | Deed::Rise | Deed::Terminate | Deed::Restart | Deed::Edit(_)
            )
        };
        for (_, step) in &mut plan {
            if let Step::Deed(deed) = step
                && *deed == Deed::PowerCut
            {
                *deed = Deed::Kill;
            }
        }
        plan.retain(|(_, step)| !matches!(step, Step::Deed(deed) if !known(deed)));
    }
    plan.sort_by_key(|(at, _)| *at);
    plan
}

fn mishap(which: Which, at: Time, rng: &mut Rng, plan: &mut Plan) {
    let soon = |rng: &mut Rng, ms: u64| at.after_ms(rng.below(ms));
    match rng.below(14) {
        // It has neither requests nor an order of events.
        0..=3 | 7 if which == Which::Irc => {
            plan.push((soon(rng, 900), Step::Act(super::spoken::own(rng))));
        }
        0..=3 => plan.push((at, Step::Act(trouble(which, rng)))),
        4 => {
            let all = ["drop", "end", "halfOpen"];
            let what = rng.pick(if which == Which::Irc { &all[..2] } else { &all });
            let of = rng.pick(&["all", "poll", "socket", "http"]);
            plan.push((soon(rng, 900), Step::Act(json!({"act": what, "of": of}))));
        }
        5 | 6 => plan.push((soon(rng, 900), Step::Act(own(which, rng)))),
        7 if which.channel() != "telegram" => {
            plan.push((at, Step::Act(json!({"act": "hold"}))));
            let end = at.after_ms(rng.range(200, 4_000));
            plan.push((end, Step::Act(json!({"act": "release"}))));
        }
        7..=9 => {
            let kill = soon(rng, 900);
            let how = rng.pick(&[Deed::Kill, Deed::Kill, Deed::PowerCut]);
            plan.push((kill, Step::Deed(how)));
            let rise = kill.after_ms(rng.pick(&[100, 300, 2_000, 9_000]));
            plan.push((rise, Step::Deed(Deed::Rise)));
        }
        10 => {
            let deed = rng.pick(&[Deed::Terminate, Deed::Restart]);
            plan.push((soon(rng, 900), Step::Deed(deed)));
        }
        11 => {
            let renew = soon(rng, 900);
            plan.push((renew, Step::Deed(Deed::Renew)));
            let told = renew.after_ms(rng.pick(&[0, 300, 4_000, 20_000]));
            plan.push((told, Step::Deed(Deed::Token)));
        }
        12 => {
            let shut = soon(rng, 900);
            plan.push((shut, Step::Deed(Deed::Shut)));
            let open = shut.after_ms(rng.pick(&[500, 9_000, 40_000, 90_000]));
            plan.push((open, Step::Deed(Deed::Open)));
        }
        _ => plan.push((soon(rng, 900), Step::Deed(Deed::Edit(rng.percent(60))))),
    }
}

/// What the crowd has said and the world has still to do.
#[derive(Debug, Default)]
pub struct Notes {
    /// Messages, and when they were written.
    pub said: Vec<(Time, Said)>,
    /// Deeds that are due.
    pub deeds: Vec<Deed>,
    /// No step is left.
    pub over: bool,
    /// The power will fail.
    pub dark: bool,
}

/// Whoever writes to the bot, and whoever trips over its cables.
pub struct Crowd {
    fake: Shared,
    plan: std::vec::IntoIter<(Time, Step)>,
    notes: Rc<RefCell<Notes>>,
    /// Steps that were made, for the report of a failure.
    done: Vec<(Time, Step)>,
    /// The first message of each channel of Slack: what a thread hangs on.
    first: BTreeMap<String, Value>,
}

impl Crowd {
    /// A crowd that carries out a plan at a fake.
    pub fn new(fake: Shared, plan: Plan, notes: Rc<RefCell<Notes>>) -> Self {
        let dark = |(_, step): &(Time, Step)| matches!(step, Step::Deed(Deed::PowerCut));
        notes.borrow_mut().dark = plan.iter().any(dark);
        Self { fake, plan: plan.into_iter(), notes, done: Vec::new(), first: BTreeMap::new() }
    }

    fn say(&mut self, now: Time, said: Said) {
        let mut act = said.act.clone();
        if said.threaded
            && let Some(ts) = self.first.get(&said.to)
        {
            act["thread_ts"] = ts.clone();
        }
        let done = perform(&mut *self.fake.borrow_mut(), now, &act);
        if let Ok(done) = done {
            self.first.entry(said.to.clone()).or_insert_with(|| done["ts"].clone());
        }
        self.notes.borrow_mut().said.push((now, said));
    }
}

impl Peer for Crowd {
    fn kind(&self) -> Kind {
        Kind::Provider
    }

    fn on(&mut self, now: Time, _event: Event<'_>, io: &mut Io, _checks: &mut Checks) {
        while let Some((at, _)) = self.plan.as_slice().first() {
            if *at > now {
                io.wake = Some(*at);
                return;
            }
            let Some((_, step)) = self.plan.next() else { break };
            io.rouse = true;
            self.done.push((now, step.clone()));
            match step {
                Step::Say(said) => self.say(now, said),
                Step::Act(act) => {
                    let done = perform(&mut *self.fake.borrow_mut(), now, &act);
                    if let Err(what) = done {
                        self.fake.borrow_mut().desk().broke(format!("the plan: {what}"));
                    }
                }
                Step::Deed(deed) => self.notes.borrow_mut().deeds.push(deed),
            }
        }
        self.notes.borrow_mut().over = true;
    }

    fn done(&self) -> bool {
        self.plan.as_slice().is_empty()
    }

    fn state(&self) -> String {
        let mut all = format!("a crowd with {} steps left", self.plan.as_slice().len());
        for (at, step) in &self.done {
            all.push_str(&format!("\n    {:.6} {step}", at.0 as f64 / 1e6));
        }
        all
    }
}
