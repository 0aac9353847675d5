use super::super::fuzz::Memory;
use super::super::{Gateway, Host, Setup};
use super::*;
use crate::config::load::{Source, load};
use crate::config::paths::{Flags, Paths};
use crate::config::{AuthMode, Secret};
use crate::driver::{ConnId, Core, Effect, Entropy, Input, ListenError, Now, Signal};
use std::collections::BTreeMap;
use std::io;

const FILE: &str = "/h/.openclaw/openclaw.json";

struct Zero;

impl Entropy for Zero {
    fn fill(&mut self, out: &mut [u8]) {
        out.fill(0);
    }
}

/// The configuration on a disk in memory, and the port that is open.
struct OnDisk(Memory, u16);

impl Source for OnDisk {
    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        match self.0.read(path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
    fn digest(&self, bytes: &[u8]) -> String {
        crate::wire::hash::base64_url_no_pad(&crate::wire::hash::sha256(bytes))
    }
}

impl Reloader for OnDisk {
    fn load(&mut self, _: Option<&str>, _: &Resolved) -> Result<Reloaded, NotLoaded> {
        let env = BTreeMap::from([("HOME".to_owned(), "/h".to_owned())]);
        let paths = Paths::resolve(&env, &Flags::default()).expect("paths");
        match load(self, &env, &paths) {
            Ok(loaded) => {
                let auth = &loaded.config.gateway.auth;
                let token = auth.token.clone().or(Some(Secret::new("first".to_owned())));
                let port = loaded.config.gateway.port.unwrap_or(18_789);
                let addr = SocketAddr::from(([127, 0, 0, 1], port));
                let moves = (port != self.1).then(|| vec![Place { addr, needed: true }]);
                let credentials = Credentials::new(AuthMode::Token, token, None);
                Ok(Reloaded { config: loaded.config, credentials, files: loaded.files, moves })
            }
            Err(error) => Err(NotLoaded::from(&error)),
        }
    }
    fn moved(&mut self, first: SocketAddr) {
        self.1 = first.port();
    }
    fn holder(&self, _: SocketAddr) -> String {
        "nginx (pid 4, uid 0)".to_owned()
    }
}

struct World {
    gateway: Gateway,
    disk: Memory,
    now: Now,
    fx: Effects,
}

impl World {
    fn new(text: &str) -> Self {
        let mut disk = Memory::default();
        disk.replace(Path::new(FILE), text.as_bytes()).unwrap();
        let mut reload = OnDisk(disk.clone(), 18_789);
        let first = reload.load(None, &Resolved::default()).expect("a valid first configuration");
        let host = Host {
            name: "h".to_owned(),
            address: None,
            platform: "linux",
            pid: 1,
            port: 18_789,
            listening: vec![([127, 0, 0, 1], 18_789).into()],
            interfaces: || Some(Vec::new()),
            vitals: || None,
        };
        let setup = Setup {
            config: first.config,
            credentials: first.credentials,
            resolved: Resolved::default(),
            reload: Some(Box::new(reload)),
            host,
            state_dir: PathBuf::from("/h/.openclaw"),
            log_path: PathBuf::from("/h/.openclaw/log"),
            disk: Box::new(disk.clone()),
            entropy: Box::new(Zero),
        };
        let now = Now { time: Time(1), wall_ms: 1_795_000_000_000 };
        let gateway = Gateway::new(setup, now).unwrap();
        let mut world = Self { gateway, disk, now, fx: Effects::new() };
        world.rest();
        world
    }

    fn write(&mut self, text: impl AsRef<[u8]>) {
        self.disk.replace(Path::new(FILE), text.as_ref()).unwrap();
    }

    /// Lets so much time pass, with every wake-up on the way.
    fn pass(&mut self, ms: u64) {
        let until = self.now.time.after_ms(ms);
        while let Some(due) = self.gateway.deadline().filter(|due| *due <= until) {
            self.now.time = due.max(self.now.time);
            self.gateway.on(self.now, Input::Wake, &mut self.fx);
            self.gateway.turn_end(self.now, &mut self.fx);
        }
        self.now.time = until;
    }

    /// Long enough for any edit to be noticed and taken over.
    fn rest(&mut self) {
        self.pass(2 * limits::CONFIG_POLL_MS + 400);
    }

    /// What was asked of the driver so far.
    fn effects(&mut self) -> Vec<Effect> {
        self.fx.drain().collect()
    }

    fn timeout(&self) -> u64 {
        self.gateway.config.agents.defaults.timeout_seconds
    }
}

fn text(seconds: u64, more: &str) -> String {
    format!(
        "// mine\n{{gateway: {{mode: 'local', auth: {{token: 'first'}}{more}}},\n agents: \
         {{defaults: {{timeoutSeconds: {seconds}}}}}}}\n"
    )
}

#[test]
fn a_truncated_file_at_every_byte_changes_nothing() {
    let whole = text(77, "");
    let mut world = World::new(&whole);
    let value = crate::wire::json5::parse(&whole).unwrap().root.to_value();
    for length in 0..whole.len() {
        let part = &whole[..length];
        world.write(part);
        world.rest();
        assert_eq!(world.timeout(), 77, "{part:?}");
        let same = crate::wire::json5::parse(part).is_ok_and(|doc| doc.root.to_value() == value);
        assert_eq!(world.gateway.config_issues().is_empty(), same, "{part:?}");
        let left = world.effects();
        let stays = |fx: &Effect| !matches!(fx, Effect::Reexec | Effect::Exit { .. });
        assert!(left.iter().all(stays), "{part:?}: {left:?}");
    }
    world.disk.remove(Path::new(FILE)).unwrap();
    world.rest();
    assert_eq!(world.timeout(), 77, "a file that is gone is no configuration");
    let issues = world.gateway.config_issues();
    assert!(issues[0]["message"].as_str().unwrap().contains("is gone"), "{issues:?}");
    world.write(text(78, ""));
    world.rest();
    assert_eq!(world.timeout(), 78);
    assert_eq!(world.gateway.config_issues(), Vec::<Value>::new());
}

#[test]
fn an_issue_names_file_line_column_key_and_what_was_meant() {
    let mut world = World::new(&text(77, ""));
    world.write("{gateway: {mode: 'local',\n  prot: 7}}");
    world.rest();
    let issues = world.gateway.config_issues();
    assert_eq!(issues.len(), 1, "{issues:?}");
    assert_eq!(issues[0]["file"], FILE);
    assert_eq!((&issues[0]["line"], &issues[0]["column"]), (&json!(2), &json!(3)));
    assert_eq!(issues[0]["path"], "gateway.prot");
    assert_eq!(issues[0]["message"], "unknown key; did you mean gateway.port?");
    let health = world.gateway.health_value();
    assert_eq!(health["configReload"]["hotReloadStatus"], "disabled");
    assert_eq!(health["configIssues"], json!(issues));
    assert_eq!(world.gateway.health_snapshot().get("configIssues"), None);
    assert_eq!(world.gateway.status_value()["configIssues"], json!(issues));
}

#[test]
fn nothing_is_read_before_the_file_is_still() {
    let mut world = World::new(&text(77, ", reload: {debounceMs: 900}"));
    for step in 0..6 {
        // A rename dance: gone, half, whole.
        match step % 3 {
            0 => world.disk.remove(Path::new(FILE)).unwrap(),
            1 => world.write("{gateway"),
            _ => world.write(text(88, &format!(", port: {}", 18_789 + step))),
        }
        world.pass(850);
        assert_eq!(world.timeout(), 77, "step {step}");
        assert!(world.gateway.config_issues().is_empty(), "step {step}");
    }
    world.write(text(99, ""));
    world.rest();
    assert_eq!(world.timeout(), 99);
}

#[test]
fn included_files_and_missing_ones_are_watched() {
    let more = ", reload: {$include: './reload.json5'}";
    let mut world = World::new(&text(77, ""));
    world.write(text(80, more));
    world.rest();
    assert_eq!(world.timeout(), 77, "the included file does not exist");
    assert!(!world.gateway.config_issues().is_empty());
    let included = Path::new("/h/.openclaw/reload.json5");
    world.disk.replace(included, b"{debounceMs: 60}").unwrap();
    world.rest();
    assert_eq!(world.timeout(), 80, "it was written: {:?}", world.gateway.config_issues());
    assert_eq!(world.gateway.config.gateway.reload.debounce_ms, 60);
    world.disk.replace(included, b"{debounceMs: 400}").unwrap();
    world.rest();
    assert_eq!(world.gateway.config.gateway.reload.debounce_ms, 400);
    let env = Path::new("/h/.openclaw/.env");
    world.disk.replace(env, b"A_SECRET=abc\n").unwrap();
    world.rest();
    assert_eq!(world.gateway.config.env.get("A_SECRET"), Some("abc"));
}

/// Mode and key class: what an edit causes.
#[test]
fn modes_by_classes() {
    let keys = [
        ("a live key", "", 50, false),
        ("a live key, another", ", handshakeTimeoutMs: 9000", 77, false),
        ("logging.file", "}, logging: {file: '/h/other.log'", 77, true),
        ("logging.maxFileBytes", "}, logging: {maxFileBytes: 1234567", 77, true),
    ];
    for (mode, applies, restarts_live, restarts) in [
        ("off", false, false, false),
        ("hot", true, false, false),
        ("restart", true, true, true),
        ("hybrid", true, false, true),
    ] {
        for (name, more, seconds, needs_restart) in keys {
            let base = format!(", reload: {{mode: '{mode}'}}");
            let mut world = World::new(&text(77, &base));
            world.effects();
            let before = world.gateway.config.source.hash.clone();
            world.write(text(seconds, &format!("{base}{more}")));
            world.rest();
            let what = format!("{mode} x {name}");
            assert!(world.gateway.config_issues().is_empty(), "{what}");
            assert_eq!(world.gateway.config.source.hash != before, applies, "{what}");
            assert_eq!(world.timeout(), if applies { seconds } else { 77 }, "{what}");
            let want = if needs_restart { restarts } else { restarts_live };
            let reexec = world.effects().contains(&Effect::Reexec);
            assert_eq!(reexec, want, "{what}");
            let waits = !world.gateway.watch.waiting.is_empty();
            assert_eq!(waits, mode == "off" || needs_restart, "{what}");
            if mode == "off" {
                world.gateway.on(world.now, Input::Signal(Signal::Reload), &mut world.fx);
                assert_eq!(world.timeout(), seconds, "SIGHUP applies it");
                assert!(!world.effects().contains(&Effect::Reexec), "{what}");
            }
        }
    }
}

/// The one answer that the driver owes.
fn asked_to_listen(world: &mut World) -> SocketAddr {
    let effects = world.effects();
    let mut asked = effects.iter().filter_map(|effect| match effect {
        Effect::Listen(places) => Some(places.as_slice()),
        _ => None,
    });
    let Some([place]) = asked.next() else { panic!("one place: {effects:?}") };
    assert!(asked.next().is_none() && place.needed);
    place.addr
}

#[test]
fn a_move_counts_when_the_driver_listens() {
    let mut world = World::new(&text(77, ""));
    world.write(text(78, ", port: 4000"));
    world.rest();
    let there = asked_to_listen(&mut world);
    assert_eq!(there.port(), 4000);
    assert_eq!(world.timeout(), 77, "nothing counts before the listener is there");
    // A second edit meanwhile is looked at when the first is settled.
    world.write(text(79, ", port: 4000"));
    world.rest();
    assert_eq!((world.timeout(), world.effects().len()), (77, 0));
    world.gateway.on(world.now, Input::Listening(Ok(vec![there])), &mut world.fx);
    assert_eq!(world.timeout(), 78);
    world.rest();
    assert_eq!(world.timeout(), 79);
    let effects = world.effects();
    let moves = |fx: &Effect| matches!(fx, Effect::Listen(_) | Effect::Reexec);
    assert!(!effects.iter().any(moves), "{effects:?}");
    assert_eq!(world.gateway.status_value()["listening"], json!(["127.0.0.1:4000"]));
    assert_eq!(world.gateway.health_value()["listening"], json!(["127.0.0.1:4000"]));
    assert_eq!(world.gateway.health_snapshot().get("listening"), None);
}

#[test]
fn a_move_that_fails_changes_nothing_and_says_who_is_there() {
    let mut world = World::new(&text(77, ""));
    world.write(text(78, ",\n port: 4000"));
    world.rest();
    let addr = asked_to_listen(&mut world);
    let error = ListenError { addr, text: "Address already in use".to_owned(), lost: Vec::new() };
    world.gateway.on(world.now, Input::Listening(Err(error)), &mut world.fx);
    assert_eq!(world.timeout(), 77, "the rest of the edit does not count either");
    let issues = world.gateway.config_issues();
    assert_eq!((&issues[0]["path"], &issues[0]["line"]), (&json!("gateway.port"), &json!(3)));
    let message = issues[0]["message"].as_str().unwrap();
    for part in ["4000", "in use", "still listens on ws://127.0.0.1:18789", "nginx (pid 4", "next:"]
    {
        assert!(message.contains(part), "{part}: {message}");
    }
    world.write(text(80, ""));
    world.rest();
    assert_eq!(world.timeout(), 80);
    assert!(world.gateway.config_issues().is_empty());
}

#[test]
fn who_came_from_a_network_goes_when_authentication_does() {
    let mut world = World::new(&text(77, ""));
    let accept = |world: &mut World, slot: u32, local: [u8; 4]| {
        let conn = ConnId { slot, generation: 0 };
        let (peer, local) = (SocketAddr::from((local, 9)), SocketAddr::from((local, 18_789)));
        world.gateway.on(world.now, Input::Accepted { conn, peer, local }, &mut world.fx);
        conn
    };
    let far = accept(&mut world, 0, [192, 168, 0, 7]);
    let near = accept(&mut world, 1, [127, 0, 0, 1]);
    world.effects();
    world.gateway.close_outward(&mut world.fx);
    assert_eq!(world.effects(), [], "they may stay while there is a secret");
    world.gateway.credentials = Credentials::new(AuthMode::None, None, None);
    world.gateway.close_outward(&mut world.fx);
    assert_eq!(world.effects(), [Effect::Abort { conn: far }]);
    assert!(world.gateway.conns.get(near).is_some());
}

#[test]
fn an_idle_watcher_wakes_once_a_second() {
    let mut world = World::new(&text(77, ""));
    let mut wakes = 0;
    let until = world.now.time.after_ms(20_000);
    while let Some(due) = world.gateway.deadline().filter(|due| *due <= until) {
        world.now.time = due;
        world.gateway.on(world.now, Input::Wake, &mut world.fx);
        world.gateway.turn_end(world.now, &mut world.fx);
        wakes += 1;
    }
    assert!(wakes <= 21, "{wakes} in 20 s");
}
