//! One world: who lives in it, how it goes, and what must be true when it ends.

use super::chats::{self, Which};
use super::check::{Checks, Invariant, Message};
use super::disk::SimDisk;
use super::kept::Kept;
use super::net::{EPOCH_MS, Knobs, Net, Turn};
use super::peers::garbage::{self, Garbage};
use super::peers::http::{self, HttpClient};
use super::peers::provider::{self, Provider};
use super::peers::ws::{self, Ending, WsClient};
use super::peers::{Peer, TOKEN};
use super::rng::Rng;
use crate::auth::Credentials;
use crate::config::{AuthMode, Config, QueueDrop, Secret};
use crate::driver::{Core, Now, Target, Time};
use crate::gateway::{Faults, Gateway, Host, Setup};
use crate::limits;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// What a world is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scenario {
    /// A bit of everything, by seed.
    Mixed,
    /// Every byte travels alone, both ways.
    Bytewise,
    /// A fixed conversation whose first bytes are cut at this offset.
    SplitAt(usize),
    /// Connections break.
    Resets,
    /// Some do not read, or read late.
    SlowReaders,
    /// Providers stall, break, refuse.
    Stalls,
    /// SIGTERM at this turn of a conversation fixed by the seed.
    TermAt(u64),
    /// `kill -9` at this turn of a conversation fixed by the seed, then a start.
    CrashAt(u64),
    /// The power fails at this turn, then a start.
    PowerCutAt(u64),
    /// The disk is full for a while.
    DiskFull,
    /// An agent beats all the time, in its main session or in one of its own.
    Beats,
    /// People write by a chat platform, and everything else goes wrong.
    Chats(Which),
    /// The same, and answers appear while they are written.
    Written(Which),
}

/// A world that kept every promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// Of everything that happened.
    pub trace: u64,
    /// Turns of the loop.
    pub turns: u64,
    /// Virtual time at the end.
    pub end: Time,
    /// Messages acknowledged.
    pub acked: usize,
    /// Terminal chat events heard.
    pub ends: u64,
    /// Responses heard.
    pub responses: u64,
    /// Most bytes the driver held for one peer.
    pub peak: usize,
}

/// A promise broken; `Display` says how to see it again.
#[derive(Debug, Clone)]
pub struct Failure {
    /// Which promise.
    pub invariant: Invariant,
    /// What was seen.
    pub what: String,
    seed: u64,
    scenario: Scenario,
    turn: u64,
    time: Time,
    last: Vec<String>,
    states: Vec<String>,
}

impl Failure {
    /// One that shows in this network.
    pub(super) fn seen(
        seed: u64,
        scenario: Scenario,
        invariant: Invariant,
        what: String,
        net: &Net,
    ) -> Box<Self> {
        let (turn, time) = (net.turns, net.now);
        let (last, states) = (net.trace.lines(), net.states());
        Box::new(Self { invariant, what, seed, scenario, turn, time, last, states })
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { invariant, what, seed, scenario, turn, .. } = self;
        writeln!(f, "seed {seed} of {scenario:?} breaks {invariant:?} in turn {turn}")?;
        writeln!(f, "at {:.6} virtual seconds: {what}", self.time.0 as f64 / 1e6)?;
        for line in self.last.iter().chain(&self.states) {
            writeln!(f, "  {line}")?;
        }
        write!(f, "again: SIM_SEED={seed} cargo test --test sim")
    }
}

const STATE: &str = "/state";
/// Whole run, so that nothing waits longer.
const RUN_SECONDS: u64 = 400;
/// Virtual time after which a world that still waits is stuck.
const STUCK_MS: u64 = 2 * 3_600_000;

fn config(scenario: Scenario, provider: bool, rng: &mut Rng) -> Rc<Config> {
    let mut config = Config::defaults();
    if scenario == Scenario::Beats {
        let beat = &mut config.agents.defaults.heartbeat;
        beat.every_ms = rng.pick(&[1_000, 5_000, 30_000]);
        beat.target = "none".to_owned();
        beat.isolated_session = rng.percent(50);
        beat.timeout_ms = None;
    }
    config.agents.defaults.timeout_seconds = RUN_SECONDS;
    config.agents.defaults.max_concurrent = rng.pick(&[1, 2, 128, 128]);
    config.agents.defaults.compaction.keep_recent_tokens = 50;
    config.messages.queue.cap = rng.pick(&[1, 20, 20]);
    config.messages.queue.drop = rng.pick(&[QueueDrop::New, QueueDrop::Old, QueueDrop::Summarize]);
    if provider {
        config.agents.defaults.model.primary = Some("sim/model".to_owned());
        let provider = crate::config::Provider {
            base_url: "http://provider.sim/v1".to_owned(),
            keys: vec![crate::config::Key {
                name: "apiKey".to_owned(),
                secret: Secret::new("provider-key".to_owned()),
            }],
            ..crate::config::Provider::default()
        };
        config.models.providers.insert("sim".to_owned(), provider);
    }
    Rc::new(config)
}

fn gateway(config: &Rc<Config>, disk: &SimDisk, rng: Rng, now: Now) -> std::io::Result<Gateway> {
    let token = Some(Secret::new(TOKEN.to_owned()));
    Gateway::new(
        Setup {
            config: Rc::clone(config),
            credentials: Credentials::new(AuthMode::Token, token, None),
            reload: None,
            resolved: Default::default(),
            host: Host {
                name: "sim".to_owned(),
                address: None,
                platform: "linux",
                pid: 1,
                port: 18_789,
                listening: vec![([127, 0, 0, 1], 18_789).into()],
                interfaces: || Some(Vec::new()),
                vitals: || None,
            },
            state_dir: PathBuf::from(STATE),
            log_path: PathBuf::from("/state/log.jsonl"),
            disk: Box::new(disk.clone()),
            entropy: Box::new(rng),
        },
        now,
    )
}

fn knobs(scenario: Scenario, rng: &mut Rng) -> Knobs {
    let mut knobs = Knobs {
        chunk: rng.pick(&[7, 64, 1500, 1500, 65_536, 65_536]),
        latency_us: rng.pick(&[(0, 0), (1, 300), (50, 40_000)]),
        socket: rng.pick(&[16, 700, 1500, 65_536, 65_536, 65_536]),
        split_at: None,
        resets: 0,
        late: 50,
        bad_dials: 0,
    };
    match scenario {
        Scenario::Bytewise => {
            knobs.chunk = 1;
            knobs.socket = 1;
        }
        Scenario::SplitAt(at) => {
            knobs.split_at = Some(at);
            knobs.late = 0;
        }
        Scenario::Resets => knobs.resets = 40,
        Scenario::TermAt(_) | Scenario::CrashAt(_) | Scenario::PowerCutAt(_) => {
            // Few and large pieces: every turn of these worlds is a world again.
            knobs.chunk = 65_536;
            knobs.socket = 65_536;
        }
        Scenario::Stalls => knobs.bad_dials = 25,
        Scenario::SlowReaders => {
            knobs.chunk = 65_536;
            knobs.socket = 65_536;
        }
        _ => {}
    }
    knobs
}

/// Fills a world with peers.
fn populate(net: &mut Net, scenario: Scenario, rng: &mut Rng) {
    let start = net.now;
    let mut enter = |at_ms: u64, peer: Box<dyn Peer>| net.expect(start.after_ms(at_ms), peer);
    let ordinary = |rng: &mut Rng| ws::Plan::ordinary(rng);
    let plain = |rng: &mut Rng| http::Plan {
        rounds: rng.range(1, 3) as u32,
        hangup_at: None,
        reset: false,
        pause_us: 0,
        size: rng.size(1, 40),
        completions: true,
        shared: false,
    };
    match scenario {
        Scenario::Bytewise | Scenario::SplitAt(_) => {
            const SCRIPT: &[&str] = &["chat.send", "agent", "chat.history", "sessions.list"];
            let plan = ws::Plan {
                protocol: 4,
                actions: 4,
                script: Some(SCRIPT),
                ending: Ending::Close,
                ..ordinary(rng)
            };
            enter(0, Box::new(WsClient::new(0, rng.fork(), plan)));
            if scenario == Scenario::Bytewise {
                let plan = http::Plan { rounds: 1, ..plain(rng) };
                enter(1, Box::new(HttpClient::new(1, rng.fork(), plan)));
            }
            return;
        }
        Scenario::TermAt(_) | Scenario::CrashAt(_) | Scenario::PowerCutAt(_) => {
            for name in 0..2 {
                let script: &[&[&str]] = &[
                    &["chat.send", "agent", "chat.send", "agent.wait"],
                    &["sessions.subscribe", "chat.send", "chat.abort", "agent"],
                ];
                let plan = ws::Plan {
                    actions: 4,
                    script: Some(script[name]),
                    ending: Ending::Watch,
                    ..ordinary(rng)
                };
                enter(rng.range(0, 20), Box::new(WsClient::new(name, rng.fork(), plan)));
            }
            let plan = plain(rng);
            enter(5, Box::new(HttpClient::new(3, rng.fork(), plan)));
            return;
        }
        _ => {}
    }
    let watcher = ws::Plan { ending: Ending::Watch, protocol: 4, ..ordinary(rng) };
    enter(0, Box::new(WsClient::new(0, rng.fork(), watcher)));
    for name in 1..rng.size(2, 4) {
        let mut plan = ordinary(rng);
        if scenario == Scenario::Resets && rng.percent(50) {
            plan.ending = Ending::Reset;
        }
        plan.hasty = rng.percent(25);
        if scenario == Scenario::SlowReaders {
            plan.pause_us = rng.pick(&[1000, 100_000, 700_000]);
        }
        enter(rng.range(0, 1500), Box::new(WsClient::new(name, rng.fork(), plan)));
    }
    let breaking = scenario == Scenario::Resets;
    for name in 10..10 + rng.size(0, if breaking { 4 } else { 2 }) {
        let mut plan = plain(rng);
        plan.shared = breaking;
        if rng.percent(30) {
            plan.hangup_at = Some(rng.size(1, 1500));
            plan.reset = rng.percent(50);
        }
        if scenario == Scenario::SlowReaders {
            plan.pause_us = rng.pick(&[1000, 100_000, 700_000]);
        }
        enter(rng.range(0, 1500), Box::new(HttpClient::new(name, rng.fork(), plan)));
    }
    if rng.percent(40) {
        let ways = &garbage::WAYS[..];
        let way = match rng.pick(ways) {
            garbage::Way::Flood => garbage::Way::Noise,
            way => way,
        };
        enter(rng.range(0, 1500), Box::new(Garbage::new(rng.fork(), way)));
    }
    if scenario == Scenario::SlowReaders && rng.percent(3) {
        let way = garbage::Way::Flood;
        enter(rng.range(0, 500), Box::new(Garbage::new(rng.fork(), way)));
    }
    if scenario == Scenario::SlowReaders && rng.percent(3) {
        let plan = ws::Plan { flood: 260_000, pause_us: u64::MAX, actions: 0, ..ordinary(rng) };
        enter(rng.range(0, 500), Box::new(WsClient::new(20, rng.fork(), plan)));
    }
}

fn provide(scenario: Scenario, rng: &mut Rng) -> (bool, super::net::Provide) {
    let trouble = match scenario {
        Scenario::Stalls => true,
        Scenario::Mixed | Scenario::DiskFull => rng.percent(40),
        Scenario::TermAt(_) | Scenario::CrashAt(_) | Scenario::PowerCutAt(_) => rng.percent(15),
        _ => false,
    };
    let size = rng.pick(&[0, 10, 300]);
    let fast = matches!(scenario, Scenario::SplitAt(_));
    let tools = if fast { 0 } else { rng.pick(&[0, 25, 60]) };
    let make = move |rng: &mut Rng, _: &Target| -> Box<dyn Peer> {
        let way = match () {
            () if fast => provider::Way::Normal,
            () if trouble => rng.pick(&provider::ALL),
            () => rng.pick(&provider::GOOD),
        };
        Box::new(Provider::new(rng.fork(), way, size, tools))
    };
    (trouble || scenario == Scenario::Resets, Box::new(make))
}

/// Lives one world from its seed.
///
/// # Errors
/// The first promise that was broken.
pub fn run(seed: u64, scenario: Scenario, faults: Faults) -> Result<Report, Box<Failure>> {
    if let Scenario::Chats(which) = scenario {
        return chats::run(seed, which, faults);
    }
    if let Scenario::Written(which) = scenario {
        return chats::run_written(seed, which, faults);
    }
    let mut rng = Rng::new(seed ^ 0x0C1A_0000);
    let disk = SimDisk::new();
    let mut checks = Checks::new(disk.clone());
    let knobs = knobs(scenario, &mut rng);
    let (trouble, make) = provide(scenario, &mut rng);
    checks.provider_trouble = trouble;
    let config = config(scenario, rng.percent(85) || scenario == Scenario::Stalls, &mut rng);
    checks.short_queues = config.messages.queue.cap < 20;
    let mut net = Net::new(rng.fork(), knobs, Time(rng.below(1 << 40)), make);
    populate(&mut net, scenario, &mut rng);
    if scenario == Scenario::DiskFull {
        checks.disk_trouble = true;
        let from = rng.range(1, 40);
        disk.full_during(from..from + rng.range(1, 60));
    }
    let mut world = World { scenario, net, checks, config, rng, hurry: None };
    let broken = world.live(faults);
    let broken = broken.or_else(|| world.checks.failure.take());
    let World { net, checks, .. } = world;
    match broken {
        Some((invariant, what)) => Err(Failure::seen(seed, scenario, invariant, what, &net)),
        None => Ok(Report {
            trace: net.trace.hash,
            turns: net.turns,
            end: net.now,
            acked: checks.messages.values().filter(|message| message.acked.is_some()).count(),
            ends: checks.ends,
            responses: checks.responses,
            peak: checks.peak,
        }),
    }
}

type Broken = Option<(Invariant, String)>;

struct World {
    scenario: Scenario,
    net: Net,
    checks: Checks,
    config: Rc<Config>,
    rng: Rng,
    /// When the operator asked to leave a second time.
    hurry: Option<Time>,
}

impl World {
    /// The whole story; `None` when nothing broke.
    fn live(&mut self, faults: Faults) -> Broken {
        let start = self.net.now;
        let fork = self.rng.fork();
        let mut core = match gateway(&self.config, &self.checks.disk, fork, self.net.clocks()) {
            Ok(core) => core,
            Err(_) if self.checks.disk_trouble => return None,
            Err(error) => return Some((Invariant::Live, format!("no start: {error}"))),
        };
        core.faults = faults;
        let mut left = false;
        let mut rested = None;
        loop {
            match self.net.turn(&mut core, &mut self.checks) {
                Turn::Went => {}
                Turn::Idle => break,
                Turn::Left(_) => {
                    left = true;
                    break;
                }
            }
            if self.checks.failure.is_some() {
                return None;
            }
            let asleep = core.deadline().is_none_or(|deadline| deadline > self.net.now);
            if asleep && core.idle().to_begin > 0 {
                return Some((Invariant::Live, "a run may begin and nobody wakes".to_owned()));
            }
            match self.scenario {
                Scenario::CrashAt(turn) | Scenario::PowerCutAt(turn) if self.net.turns == turn => {
                    return self.after(turn);
                }
                Scenario::TermAt(turn) if self.net.turns == turn => {
                    self.net.signal(self.net.now, self.rng.percent(25));
                    if self.rng.percent(25) {
                        // Asked twice: no run is waited for any more.
                        let again = self.net.now.after_ms(self.rng.range(1, 2000));
                        self.net.signal(again, false);
                        self.hurry = Some(again);
                    }
                }
                _ => {}
            }
            if let Some(asked) = self.checks.leaving {
                let late = self.net.now.ms_since(asked);
                let hurry = self.hurry.map_or(0, |again| self.net.now.ms_since(again));
                if late > self.config.gateway.shutdown.drain_ms() + 2 * limits::LINGER_MS
                    || hurry > 2 * limits::LINGER_MS
                {
                    let what = format!("{late} ms after SIGTERM it is still there");
                    return Some((Invariant::Live, what));
                }
            } else if self.net.all_done() && !self.checks.closing && core.idle().runs == 0 {
                self.checks.closing = true;
                core.stop_heartbeats();
                self.net.rouse();
            }
            // Everybody is done: past every deadline nothing may be left.
            if !self.checks.closing || self.net.open() > 0 || core.idle().runs > 0 {
                rested = None;
            } else if rested.is_none() {
                rested = Some(self.net.now.after_ms(limits::WAIT_MS * 2));
            }
            if rested.is_some_and(|until| self.net.now >= until) {
                break;
            }
            if self.net.now.ms_since(start) > STUCK_MS {
                let what = format!("still not at rest: {:?}", core.idle());
                return Some((Invariant::Live, what));
            }
        }
        if self.checks.leaving.is_some() != left {
            return Some((Invariant::Live, format!("left: {left}, which nobody asked for")));
        }
        if !left {
            let idle = core.idle();
            if !idle.at_rest() {
                return Some((Invariant::Live, format!("at the end there is left: {idle:?}")));
            }
            for peer in self.net.peers() {
                peer.at_end(&mut self.checks);
            }
        }
        drop(core);
        self.after(u64::MAX)
    }

    /// The process is gone; another starts on what it left behind.
    fn after(&mut self, _turn: u64) -> Broken {
        let died = self.net.now;
        let power = matches!(self.scenario, Scenario::PowerCutAt(_));
        let mut disk = self.checks.disk.crash();
        let now = Now { time: Time(0), wall_ms: EPOCH_MS + died.0 / 1000 + 5000 };
        // Twice: what was settled must not be settled again.
        for _ in 0..2 {
            if power {
                // The second time: what the first start has settled must stay.
                disk = disk.power_cut(&mut self.rng);
            }
            if let Err(error) = gateway(&self.config, &disk, self.rng.fork(), now) {
                return Some((Invariant::Durable, format!("no start after the end: {error}")));
            }
        }
        let kept = Kept::read(&disk, Path::new(STATE));
        if let Err(what) = kept.tools(&self.checks.messages, self.checks.disk_trouble) {
            return Some((Invariant::ToolsOnce, what));
        }
        if let Some(what) = disk.twice() {
            return Some((Invariant::ToolsOnce, what));
        }
        for (run, message) in &self.checks.messages {
            if let Some(what) = self.unkept(run, message, &kept, died) {
                let what = format!("{run} in {}: {what}", message.key);
                return Some((Invariant::Durable, what));
            }
        }
        None
    }

    /// What is wrong with what is left of one message. Its reply stands once, behind it: its own
    /// answer, that of the run it was said to, or a notice.
    fn unkept(&self, run: &str, message: &Message, kept: &Kept, died: Time) -> Option<String> {
        let power = matches!(self.scenario, Scenario::PowerCutAt(_));
        let left = kept.run(&message.key, run);
        let young = |acked: &Time| power && died.ms_since(*acked) <= 2 * limits::SAVE_MS;
        let due = message.acked.is_some_and(|acked| !young(&acked));
        let (said, answers) = (left.said.len(), left.answers.len());
        // Of what a power cut took, either half may be left.
        let torn = said != answers && !power;
        if (due && (said, answers) != (1, 1)) || torn || said > 1 || answers > 1 {
            return Some(format!(
                "(acknowledged: {due}) it stands {said} times with {answers} answers"
            ));
        }
        if left.said > left.answers && said == answers {
            return Some("its answer stands before it".to_owned());
        }
        // An answer that the disk would not take gets a notice at the next start.
        let certain = (said, answers) == (1, 1) && !power && !self.checks.disk_trouble;
        let text = message.ended.as_ref().filter(|_| certain)?;
        left.fits(text, &self.checks.messages, run).err()
    }
}
