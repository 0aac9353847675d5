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

/// Steps and their times, in order.
pub type Plan = Vec<(Time, Step)>;

/// Where somebody may write: the chat's name in what is posted, and the act's members.
fn room(which: Which, rng: &mut Rng) -> (String, Value, bool) {
    let mention = rng.percent(30);
    match which {
        Which::Telegram => match rng.below(4) {
            0 => ("7".to_owned(), json!({"chat": 7}), false),
            1 => ("8".to_owned(), json!({"chat": 8}), false),
            2 => ("-1005".to_owned(), json!({"chat": -1005, "from": 7}), false),
            _ => {
                let topic = rng.pick(&[42, 43]);
                let act = json!({"chat": -1006, "from": 9, "topic": topic});
                ("-1006".to_owned(), act, false)
            }
        },
        Which::Discord => match rng.below(3) {
            0 => ("700".to_owned(), json!({"channel": 700, "from": 7}), false),
            1 => {
                let act = json!({"channel": 800, "guild": 500, "from": 8, "mention": mention});
                ("800".to_owned(), act, false)
            }
            _ => {
                let act = json!({"channel": 900, "guild": 500, "parent": 800, "from": 9});
                ("900".to_owned(), act, false)
            }
        },
        Which::Slack => match rng.below(3) {
            0 => ("D0FAKE".to_owned(), json!({"channel": "D0FAKE"}), false),
            1 => ("C0ROOM".to_owned(), json!({"channel": "C0ROOM", "mention": mention}), false),
            _ => ("C0ROOM".to_owned(), json!({"channel": "C0ROOM", "user": "U0OTHER"}), true),
        },
    }
}

/// Trouble with requests: which, and of what kind.
fn trouble(which: Which, rng: &mut Rng) -> Value {
    let paths: &[&str] = match which {
        Which::Telegram => &["sendMessage", "sendMessage", "getUpdates", "getMe", "Webhook", ""],
        Which::Discord => &["/messages", "/messages", "/@me", "/gateway/bot", "encoding=json", ""],
        Which::Slack => {
            &["postMessage", "postMessage", "connections.open", "auth.test", "/link/", "history"]
        }
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
pub fn plan(which: Which, start: Time, rng: &mut Rng) -> Plan {
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
        let (to, mut act, threaded) = room(which, rng);
        let key = if which == Which::Discord { "content" } else { "text" };
        act["act"] = "message".into();
        act[key] = word.clone().into();
        plan.push((at, Step::Say(Said { word, to, act, threaded })));
    }
    plan.sort_by_key(|(at, _)| *at);
    plan
}

fn mishap(which: Which, at: Time, rng: &mut Rng, plan: &mut Plan) {
    let soon = |rng: &mut Rng, ms: u64| at.after_ms(rng.below(ms));
    match rng.below(12) {
        0..=3 => plan.push((at, Step::Act(trouble(which, rng)))),
        4 => {
            let what = rng.pick(&["drop", "end", "halfOpen"]);
            let of = rng.pick(&["all", "poll", "socket", "http"]);
            plan.push((soon(rng, 900), Step::Act(json!({"act": what, "of": of}))));
        }
        5 | 6 => plan.push((soon(rng, 900), Step::Act(own(which, rng)))),
        7 if which != Which::Telegram => {
            plan.push((at, Step::Act(json!({"act": "hold"}))));
            let end = at.after_ms(rng.range(200, 4_000));
            plan.push((end, Step::Act(json!({"act": "release"}))));
        }
        7..=9 => {
            let kill = soon(rng, 900);
            plan.push((kill, Step::Deed(Deed::Kill)));
            let rise = kill.after_ms(rng.pick(&[100, 300, 2_000, 9_000]));
            plan.push((rise, Step::Deed(Deed::Rise)));
        }
        10 => {
            let deed = rng.pick(&[Deed::Terminate, Deed::Restart]);
            plan.push((soon(rng, 900), Step::Deed(deed)));
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
