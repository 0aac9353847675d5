//! Worlds of chats: the gateway with one account of a platform, and the platform's fake.
//!
//! ```text
//!   [plan] people write; requests fail; connections break, fall silent, end; events come twice
//!      |   or in another order; the file is edited; the process is killed, ended, re-executed
//!      v
//!   fake <--net--> gateway, life after life on one disk
//!      |
//!      +-- what was posted --> [ledger]: each message answered, where it was written, once
//! ```
//!
//! Once, as far as the platform lets one know: on Telegram an answer may come again when the
//! first one's receipt got lost (nobody can ask whether it arrived); on Discord when it took
//! longer than Discord remembers a nonce; on Slack never. What the platform itself will not
//! deliver any more (a session of Discord's that ended, an event of Slack's that failed four
//! times) is owed an answer only if the gateway had accepted it. A power cut may take what became
//! durable in the last second, or in the last second of a process that was killed before it: that
//! is owed nothing and may be said again. Nothing else damages a file. While nobody may write
//! nobody gets an answer. IRC, which promises less, has a ledger of its own.

mod ledger;
mod plan;
mod spoken;
mod written;

use super::check::{Checks, Invariant};
use super::disk::SimDisk;
use super::net::{EPOCH_MS, Knobs, Net, Turn};
use super::peers::fake::{Shared, Ticker, perform};
use super::peers::irc::Irc;
use super::peers::platforms::{
    DISCORD_TOKEN, IRC_PASSWORD, Platforms, SLACK_SECRET, SLACK_TOKENS, TELEGRAM_TOKEN,
};
use super::peers::provider::{Provider, Way};
use super::rng::Rng;
use super::world::{Failure, Report, Scenario};
use crate::auth::Credentials;
use crate::config::load::{Source, load};
use crate::config::paths::{Flags, Paths};
use crate::config::secrets::Resolved;
use crate::config::{AuthMode, Config};
use crate::driver::{Core, Effects, Input, Now, Time};
use crate::gateway::{Faults, Gateway, Host, NotLoaded, Reloaded, Setup};
use crate::store::Disk;
use plan::{Crowd, Deed, Notes};
use serde_json::json;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use written::Style;

/// A platform that has a fake, and how its events come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// By long poll.
    Telegram,
    /// By requests to our webhook.
    TelegramHook,
    /// By its gateway.
    Discord,
    /// By Socket Mode.
    Slack,
    /// By requests of the Events API.
    SlackHttp,
    /// By lines of an IRC server.
    Irc,
}

impl Which {
    /// The channel's name in the configuration.
    pub const fn channel(self) -> &'static str {
        match self {
            Self::Telegram | Self::TelegramHook => "telegram",
            Self::Discord => "discord",
            Self::Slack | Self::SlackHttp => "slack",
            Self::Irc => "irc",
        }
    }
}

/// Everything is answered and quiet for so long: nothing comes any more.
const QUIET_MS: u64 = 60_000;
/// After the last step: what is not answered then never will be.
const PATIENCE_MS: u64 = 40 * 60_000;

/// Where a webhook is, as the platform sees it.
const HOOK: &str = "https://127.0.0.1";
/// What Telegram shows with each request.
const HOOK_SECRET: &str = "fake-webhook-secret";

/// What has been edited in the file.
#[derive(Debug, Clone, Copy, Default)]
struct Edits {
    /// Keys that need a new connection.
    lasting: u64,
    /// A key that does not.
    live: bool,
    /// How often the bot's token was made anew.
    token: u64,
    /// Nobody may write.
    closed: bool,
    /// How the IRC server wants to be greeted: the `kind` of its act `door`.
    door: u64,
}

/// The bot's token after it was made anew so many times.
fn token(which: Which, times: u64) -> String {
    let first = match which.channel() {
        "telegram" => TELEGRAM_TOKEN,
        "discord" => DISCORD_TOKEN,
        "irc" => IRC_PASSWORD,
        _ => SLACK_TOKENS.0,
    };
    if times == 0 { first.to_owned() } else { format!("{first}-{times}") }
}

/// The file as it is edited.
fn text(which: Which, edits: Edits, style: Option<Style>) -> String {
    let token = token(which, edits.token);
    let most = 5 + edits.lasting;
    let mut section = match which.channel() {
        "telegram" => json!({
            "botToken": token, "groups": {"*": {"requireMention": false}},
            "mediaMaxMb": most, "linkPreview": edits.live,
        }),
        "discord" => json!({
            "token": token, "mediaMaxMb": most, "allowBots": edits.live,
            "guilds": {"*": {"requireMention": false, "channels": {}}},
        }),
        "irc" => spoken::section(&token, edits),
        _ => json!({
            "botToken": token, "appToken": SLACK_TOKENS.1, "mediaMaxMb": most,
            "channels": {"*": {"requireMention": false}}, "unfurlLinks": edits.live,
        }),
    };
    match which {
        Which::TelegramHook => {
            section["webhookUrl"] = format!("{HOOK}/telegram-webhook").into();
            section["webhookSecret"] = HOOK_SECRET.into();
        }
        Which::SlackHttp => {
            section["mode"] = "http".into();
            section["signingSecret"] = SLACK_SECRET.into();
        }
        _ => {}
    }
    if let Some(style) = style {
        section["streaming"] = style.keys();
    }
    let rule = if edits.closed { "disabled" } else { "open" };
    section["dmPolicy"] = rule.into();
    section["allowFrom"] = json!(["*"]);
    section["groupPolicy"] = rule.into();
    json!({
        "gateway": {"mode": "local", "auth": {"mode": "none"}},
        "agents": {"defaults": {
            "model": if style.is_some() { "sim/m1" } else { "local/echo" },
            "blockStreamingChunk": {"minChars": 20, "maxChars": 80},
        }},
        "messages": {"queue": {"mode": "followup"}},
        "models": {"providers": {"sim": {
            "baseUrl": "http://model.example/v1", "apiKey": "k", "api": "openai-completions",
            "models": [{"id": "m1", "name": "M1"}],
        }}},
        "channels": {which.channel(): section},
    })
    .to_string()
}

/// The disk, as the configuration is read from it.
struct OnDisk(SimDisk);

impl Source for OnDisk {
    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        match self.0.read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            read => read.map(Some),
        }
    }

    fn digest(&self, _: &[u8]) -> String {
        "digest".to_owned()
    }
}

fn paths() -> Paths {
    let env = BTreeMap::from([("HOME".to_owned(), "/h".to_owned())]);
    Paths::resolve(&env, &Flags::default()).unwrap_or_else(|error| panic!("paths: {error}"))
}

fn read(disk: &SimDisk) -> Result<Rc<Config>, NotLoaded> {
    let env = BTreeMap::from([("HOME".to_owned(), "/h".to_owned())]);
    load(&OnDisk(disk.clone()), &env, &paths())
        .map(|loaded| loaded.config)
        .map_err(|error| NotLoaded::from(&error))
}

fn credentials() -> Credentials {
    Credentials::new(AuthMode::None, None, None)
}

fn boot(disk: &SimDisk, rng: Rng, now: Now) -> Result<Gateway, String> {
    let config = read(disk).map_err(|why| why.to_string())?;
    let source = disk.clone();
    let reload = move |_: Option<&str>, _: &Resolved| -> Result<Reloaded, NotLoaded> {
        let config = read(&source)?;
        let files = vec![paths().config_path];
        Ok(Reloaded { config, credentials: credentials(), files, moves: None })
    };
    let setup = Setup {
        config,
        credentials: credentials(),
        reload: Some(Box::new(reload)),
        resolved: Resolved::default(),
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
        state_dir: PathBuf::from("/state"),
        log_path: PathBuf::from("/state/log.jsonl"),
        disk: Box::new(disk.clone()),
        entropy: Box::new(rng),
    };
    Gateway::new(setup, now).map_err(|error| error.to_string())
}

/// Nobody: between two lives.
struct Nobody;

impl Core for Nobody {
    fn on(&mut self, _: Now, _: Input<'_>, _: &mut Effects) {}

    fn deadline(&self) -> Option<Time> {
        None
    }
}

fn knobs(rng: &mut Rng) -> Knobs {
    Knobs {
        chunk: rng.pick(&[64, 700, 1500, 65_536]),
        latency_us: rng.pick(&[(0, 0), (1, 300), (50, 40_000)]),
        socket: rng.pick(&[700, 65_536, 65_536]),
        split_at: None,
        resets: rng.pick(&[0, 0, 0, 10]),
        late: 50,
        bad_dials: rng.pick(&[0, 0, 10]),
    }
}

struct World {
    which: Which,
    faults: Faults,
    fake: Shared,
    irc: Rc<RefCell<Irc>>,
    /// When the account was stopped: from and to.
    stops: Vec<(Time, Time)>,
    /// Whether the gateway had what the IRC server forgot, once that is certain.
    held: RefCell<BTreeMap<String, bool>>,
    net: Net,
    checks: Checks,
    rng: Rng,
    notes: Rc<RefCell<Notes>>,
    edits: Edits,
    /// How often the bot's token was made anew at the platform.
    renewed: u64,
    /// What the gateway had on disk, and when it was first seen there.
    kept: BTreeMap<String, Time>,
    /// When the process was killed last: nobody syncs after that.
    died: Time,
    /// When the power failed, or the last process before that died; and when nobody might write:
    /// from, to.
    cuts: Vec<Time>,
    closed: Vec<(Time, Time)>,
    /// How answers appear; whole when not said.
    style: Option<Style>,
}

type Broken = (Invariant, String);

/// Lives one world from its seed.
///
/// # Errors
/// The first promise that was broken.
pub fn run(seed: u64, which: Which, faults: Faults) -> Result<Report, Box<Failure>> {
    live_one((seed, which), faults, None)
}

/// Lives one world in which answers appear while they are written.
///
/// # Errors
/// The first promise that was broken.
pub fn run_written(seed: u64, which: Which, faults: Faults) -> Result<Report, Box<Failure>> {
    live_one((seed, which), faults, Some(Style::of(seed)))
}

fn live_one(
    (seed, which): (u64, Which),
    faults: Faults,
    style: Option<Style>,
) -> Result<Report, Box<Failure>> {
    let mut rng = Rng::new(seed ^ 0xC4A7_0000);
    let disk = SimDisk::new();
    let platforms = Rc::new(Platforms::new(&mut rng, EPOCH_MS));
    let fake: Shared = match which.channel() {
        "telegram" => platforms.telegram.clone(),
        "discord" => platforms.discord.clone(),
        "irc" => platforms.irc.clone(),
        _ => platforms.slack.clone(),
    };
    let dialled = Rc::clone(&platforms);
    let provide = move |rng: &mut Rng, target: &_| {
        dialled.dial(target).unwrap_or_else(|| {
            let way = rng.pick(&[Way::Normal, Way::Slow]);
            let tools = if style == Some(Style::Progress) { 60 } else { 20 };
            Box::new(Provider::new(rng.fork(), way, 0, tools).scribe())
        })
    };
    let start = Time(rng.below(1 << 40));
    let knobs = knobs(&mut rng);
    // Where dials fail and connections break by themselves, three seconds cannot be kept.
    let hasty = knobs.bad_dials == 0 && knobs.resets == 0;
    let mut net = Net::new(rng.fork(), knobs, start, Box::new(provide));
    for clock in platforms.clocks() {
        net.attend(clock);
    }
    let notes = Rc::new(RefCell::new(Notes::default()));
    let plan =
        plan::plan(which, (hasty, style.is_some()), start.after_ms(rng.range(0, 12_000)), &mut rng);
    if which == Which::SlackHttp {
        // Where the app's page says that events are to be sent.
        let act = json!({"act": "eventsApi", "url": format!("{HOOK}/slack/events")});
        perform(&mut *fake.borrow_mut(), start, &act).unwrap_or_default();
    }
    net.attend(Box::new(Crowd::new(fake.clone(), plan, Rc::clone(&notes))));
    let mut edits = Edits::default();
    if which == Which::Irc {
        edits.door = rng.below(4);
        let act = json!({"act": "door", "kind": edits.door, "seed": rng.below(1 << 32)});
        perform(&mut *fake.borrow_mut(), start, &act).unwrap_or_default();
        net.attend(Box::new(Ticker::new(fake.clone())));
    }
    let checks = Checks::new(disk);
    let mut world = World {
        which,
        faults,
        fake,
        irc: platforms.irc.clone(),
        stops: Vec::new(),
        held: RefCell::default(),
        net,
        checks,
        rng,
        notes,
        edits,
        renewed: 0,
        kept: BTreeMap::new(),
        died: Time(0),
        cuts: Vec::new(),
        closed: Vec::new(),
        style,
    };
    let lived = world.live();
    let broken = world.checks.failure.take().or(lived.err());
    let World { net, notes, .. } = world;
    match broken {
        Some((invariant, what)) => {
            let scenario = match style {
                None => Scenario::Chats(which),
                Some(_) => Scenario::Written(which),
            };
            Err(Failure::seen(seed, scenario, invariant, what, &net))
        }
        None => Ok(Report {
            trace: net.trace.hash,
            turns: net.turns,
            end: net.now,
            acked: notes.borrow().said.len(),
            ends: 0,
            responses: 0,
            peak: 0,
        }),
    }
}

impl World {
    fn settle(&self) -> Result<(), Broken> {
        if let Some(path) = self.checks.disk.damaged().filter(|_| self.cuts.is_empty()) {
            return Err((Invariant::Durable, format!("{} was set aside", path.display())));
        }
        match self.style {
            None if self.which == Which::Irc => self.settle_spoken(),
            None => self.ledger().settle(),
            Some(_) => self.settle_written(),
        }
    }

    fn write(&mut self) -> Result<(), Broken> {
        let text = text(self.which, self.edits, self.style);
        let mut disk = self.checks.disk.clone();
        disk.replace(&paths().config_path, text.as_bytes())
            .map_err(|error| (Invariant::Live, format!("the file: {error}")))
    }

    fn start(&mut self) -> Result<Gateway, Broken> {
        let now = self.net.clocks();
        // It remembers no pause that it was asked for.
        let act = json!({"act": "stranger"});
        perform(&mut *self.fake.borrow_mut(), now.time, &act)
            .map_err(|what| (Invariant::Seam, what))?;
        let mut core = boot(&self.checks.disk, self.rng.fork(), now)
            .map_err(|why| (Invariant::Live, format!("no start: {why}")))?;
        core.faults = self.faults;
        Ok(core)
    }

    /// The whole story.
    fn live(&mut self) -> Result<(), Broken> {
        self.write()?;
        let mut core = Some(self.start()?);
        let mut over: Option<Time> = None;
        let mut quiet: Option<Time> = None;
        let mut looked: Option<Time> = None;
        loop {
            let turn = match &mut core {
                Some(core) => self.net.turn(core, &mut self.checks),
                None => self.net.turn(&mut Nobody, &mut self.checks),
            };
            if self.checks.failure.is_some() {
                return Ok(());
            }
            let now = self.net.now;
            if let Turn::Left(_) = turn {
                self.checks.leaving = None;
                if let Some((_, to)) = self.stops.last_mut() {
                    *to = now;
                }
                self.net.killed();
                core = Some(self.start()?);
            }
            let deeds = std::mem::take(&mut self.notes.borrow_mut().deeds);
            for deed in deeds {
                self.deed(deed, &mut core)?;
            }
            self.look(now);
            if !self.notes.borrow().over {
                continue;
            }
            let begin = *over.get_or_insert(now);
            if looked.is_some_and(|at: Time| now.ms_since(at) < 1_000) {
                continue;
            }
            looked = Some(now);
            let idle = core.as_ref().map(Gateway::idle).unwrap_or_default();
            let busy = idle.runs + idle.deliveries;
            let owed = match self.style {
                None if self.which == Which::Irc => self.owed_spoken(),
                None => self.ledger().unanswered(),
                Some(_) => self.owed(),
            };
            if busy > 0 || owed.is_some() {
                quiet = None;
                if now.ms_since(begin) > PATIENCE_MS {
                    self.settle()?;
                    return Err((Invariant::Live, format!("never at rest: {idle:?}")));
                }
            } else if now.ms_since(*quiet.get_or_insert(now)) > QUIET_MS {
                return self.settle();
            }
        }
    }

    /// Does to the process, or to its file, what the plan says.
    fn deed(&mut self, deed: Deed, core: &mut Option<Gateway>) -> Result<(), Broken> {
        let now = self.net.now;
        match deed {
            Deed::Kill | Deed::PowerCut => {
                if core.take().is_some() {
                    self.died = now;
                }
                self.checks.leaving = None;
                if deed == Deed::PowerCut {
                    self.look(now);
                    self.cuts.extend([self.died, now]);
                    self.checks.disk = self.checks.disk.power_cut(&mut self.rng);
                }
                self.net.killed();
            }
            Deed::Rise if core.is_none() => *core = Some(self.start()?),
            Deed::Rise => {}
            Deed::Terminate | Deed::Restart if core.is_none() => {}
            Deed::Terminate | Deed::Restart => {
                self.stops.push((now, Time(u64::MAX)));
                self.net.signal(now, deed == Deed::Restart);
            }
            Deed::Edit(lasting) => {
                if lasting {
                    self.begins_anew()?;
                }
                self.edits.lasting += u64::from(lasting);
                self.edits.live ^= true;
                self.write()?;
            }
            Deed::Token => {
                self.begins_anew()?;
                self.edits.token = self.renewed;
                self.write()?;
            }
            Deed::Renew => {
                self.renewed += 1;
                let act = json!({"act": "token", "token": token(self.which, self.renewed)});
                perform(&mut *self.fake.borrow_mut(), now, &act)
                    .map_err(|what| (Invariant::Seam, what))?;
            }
            Deed::Shut if self.edits.closed => {}
            Deed::Shut => {
                self.edits.closed = true;
                self.closed.push((now, Time(u64::MAX)));
                self.write()?;
            }
            Deed::Open if !self.edits.closed => {}
            Deed::Open => {
                self.edits.closed = false;
                if let Some((_, to)) = self.closed.last_mut() {
                    *to = now;
                }
                self.write()?;
            }
        }
        Ok(())
    }

    /// The account is begun anew: what it was about to tell about buttons is not told.
    fn begins_anew(&mut self) -> Result<(), Broken> {
        self.stops.push((self.net.now, self.net.now.after_ms(10_000)));
        if self.which.channel() == "telegram" {
            let done = perform(&mut *self.fake.borrow_mut(), self.net.now, &json!({"act": "anew"}));
            done.map_err(|what| (Invariant::Seam, what))?;
        }
        Ok(())
    }

    /// Notes which messages have reached the disk, as far as a power cut makes that matter.
    fn look(&mut self, now: Time) {
        let notes = self.notes.borrow();
        if !notes.dark || self.kept.len() == notes.said.len() {
            return;
        }
        for (_, said) in &notes.said {
            if !self.kept.contains_key(&said.word) && self.checks.disk.holds(said.word.as_bytes()) {
                self.kept.insert(said.word.clone(), now);
            }
        }
    }
}
