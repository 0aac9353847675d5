//! A whole life as a service: installed, crashed, started again, hung, started again, upgraded in
//! place, reloaded, stopped, uninstalled. No systemd runs where these tests do, so a stand-in
//! reads the very unit that `gateway install` wrote and does what it says: `ExecStart`,
//! `Environment`, `Type=notify`, `WatchdogSec`, `Restart`, `RestartSec`,
//! `RestartPreventExitStatus`, `ExecReload`, `TimeoutStartSec`, `TimeoutStopSec`. Its reader is
//! its own, none of the program's. Its clock runs faster for what must pass, not for what may.

#![cfg(all(target_os = "linux", feature = "process"))]

mod common;

use common::http::{ask, get};
use common::{Home, Ran};
use rustix::process::{Pid, Signal, kill_process};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How much faster the stand-in's pauses pass.
const FASTER: u32 = 25;

/// The stand-in for systemd, with one unit.
struct Manager {
    unit: String,
    home: PathBuf,
    socket: UnixDatagram,
    child: Option<Child>,
}

impl Manager {
    fn load(unit: &Path, home: &Path) -> Self {
        let place = home.join("notify");
        let socket = UnixDatagram::bind(&place).expect("a socket");
        let unit = std::fs::read_to_string(unit).expect("the unit");
        Self { unit, home: home.to_owned(), socket, child: None }
    }

    fn values(&self, key: &str) -> Vec<String> {
        let pairs = self.unit.lines().filter_map(|line| line.split_once('='));
        pairs.filter(|(name, _)| *name == key).map(|(_, value)| value.to_owned()).collect()
    }

    fn value(&self, key: &str) -> String {
        let values = self.values(key);
        assert_eq!(values.len(), 1, "{key} in {}", self.unit);
        values[0].clone()
    }

    fn seconds(&self, key: &str) -> Duration {
        Duration::from_secs(self.value(key).parse().expect("seconds"))
    }

    /// Words in double quotes, as systemd unquotes them.
    fn words(text: &str) -> Vec<String> {
        let mut words = Vec::new();
        let mut rest = text.trim();
        while let Some(inside) = rest.strip_prefix('"') {
            let mut word = String::new();
            let mut chars = inside.char_indices();
            let end = loop {
                match chars.next().expect("a closing quote") {
                    (at, '"') => break at + 1,
                    (_, '\\') => word.push(chars.next().expect("an escaped character").1),
                    (_, c) => word.push(c),
                }
            };
            words.push(word.replace("%%", "%").replace("$$", "$"));
            rest = inside[end..].trim_start();
        }
        assert!(rest.is_empty(), "{rest}");
        words
    }

    /// Starts it and waits until it says that it is ready.
    fn start(&mut self) -> u32 {
        self.spawn();
        assert_eq!(self.value("Type"), "notify");
        let ready = self.hear("READY=1", self.seconds("TimeoutStartSec"));
        let pid = self.pid();
        assert!(ready.contains(&format!("MAINPID={pid}")), "{ready}");
        pid
    }

    fn spawn(&mut self) {
        assert!(self.child.is_none());
        let words = Self::words(&self.value("ExecStart"));
        let watchdog = self.seconds("WatchdogSec") / FASTER;
        let mut command = Command::new("/bin/sh");
        // The manager knows the number of the process before it runs; a shell does, too.
        command.args(["-c", "export WATCHDOG_PID=$$; exec \"$@\"", "sh"]).args(&words);
        command.env_clear().env("HOME", &self.home).env("PATH", "/usr/bin:/bin");
        for variable in self.values("Environment") {
            let word = Self::words(&variable).remove(0);
            let (name, value) = word.split_once('=').expect("a variable");
            command.env(name, value);
        }
        command
            .env("NOTIFY_SOCKET", self.home.join("notify"))
            .env("WATCHDOG_USEC", watchdog.as_micros().to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        self.child = Some(command.spawn().expect("it starts"));
    }

    fn pid(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw).expect("a pid");
        kill_process(pid, signal).expect("signalled");
    }

    /// The next message with this beginning, within this time.
    fn hear(&self, begin: &str, patience: Duration) -> String {
        let deadline = Instant::now() + patience;
        let mut bytes = [0; 1024];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "no {begin} within {patience:?}");
            self.socket.set_read_timeout(Some(left)).expect("a timeout");
            let Ok(n) = self.socket.recv(&mut bytes) else { continue };
            let text = String::from_utf8_lossy(&bytes[..n]).into_owned();
            if text.starts_with(begin) {
                return text;
            }
        }
    }

    /// Whether a sign of life comes within the time of the watchdog.
    fn lives(&self) -> bool {
        let watchdog = self.seconds("WatchdogSec") / FASTER;
        self.socket.set_read_timeout(Some(watchdog)).expect("a timeout");
        let mut bytes = [0; 1024];
        self.socket.recv(&mut bytes).is_ok()
    }

    /// Its end, which nobody asked for: started again as the unit says.
    fn ended(&mut self) -> Option<u32> {
        let status = self.reaped(Duration::from_secs(60));
        let prevented = self.value("RestartPreventExitStatus");
        if status.code().is_some_and(|code| code.to_string() == prevented) {
            return None;
        }
        assert_eq!(self.value("Restart"), "always");
        // The pause: nothing is left to be heard meanwhile.
        let pause = self.seconds("RestartSec") / FASTER;
        let over = Instant::now() + pause;
        let mut bytes = [0; 1024];
        while Instant::now() < over {
            self.socket.set_read_timeout(Some(pause)).expect("a timeout");
            let _ = self.socket.recv(&mut bytes);
        }
        Some(self.start())
    }

    fn reaped(&mut self, patience: Duration) -> ExitStatus {
        let mut child = self.child.take().expect("it runs");
        let deadline = Instant::now() + patience;
        loop {
            if let Some(status) = child.try_wait().expect("a status") {
                return status;
            }
            assert!(Instant::now() < deadline, "it does not end within {patience:?}");
            std::thread::park_timeout(Duration::from_millis(10));
        }
    }

    fn reload(&self) {
        let words: Vec<String> = self.value("ExecReload").split(' ').map(str::to_owned).collect();
        let pid = self.pid().to_string();
        let words: Vec<String> = words.iter().map(|word| word.replace("$MAINPID", &pid)).collect();
        assert!(Command::new(&words[0]).args(&words[1..]).status().expect("it runs").success());
    }

    fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.hear("STOPPING=1", Duration::from_secs(30));
        self.reaped(self.seconds("TimeoutStopSec"))
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn run(home: &Home, program: &Path, line: &str) -> Ran {
    let mut command = Command::new(program);
    command.args(line.split_whitespace()).env_clear().env("HOME", &home.0).stdin(Stdio::null());
    Ran::of(&mut command)
}

/// Puts the program there as an upgrade does: beside it, then in its place.
fn put(program: &Path) -> u64 {
    let beside = program.with_extension("new");
    std::fs::copy(env!("CARGO_BIN_EXE_openclaw"), &beside).expect("a copy");
    std::fs::rename(&beside, program).expect("in its place");
    std::fs::metadata(program).expect("there").ino()
}

fn serves(port: u16) {
    assert_eq!(ask(port, get("/healthz")).status, 200);
}

#[test]
fn install_crash_restart_upgrade_uninstall() {
    let home = Home::new();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    home.configure(&format!(
        "{{gateway: {{mode: 'local', port: {port}, auth: {{token: 'canary'}}}}}}"
    ));
    // A directory that a careless unit would misread.
    let program = home.0.join("bin 100% $HOME %h & <x>/openclaw");
    std::fs::create_dir_all(program.parent().unwrap()).unwrap();
    put(&program);
    let ran = run(&home, &program, "gateway install");
    assert_eq!(ran.code, 0, "{ran:?}");
    let unit = home.0.join(".config/systemd/user/openclaw-gateway.service");
    let mut manager = Manager::load(&unit, &home.0);
    assert!(!manager.unit.contains("canary"), "{}", manager.unit);
    assert_eq!(Manager::words(&manager.value("ExecStart"))[0], program.to_str().unwrap());

    let first = manager.start();
    serves(port);
    manager.hear("WATCHDOG=1", Duration::from_secs(60));

    // A crash.
    manager.signal(Signal::KILL);
    let second = manager.ended().expect("started again");
    assert_ne!(first, second);
    serves(port);

    // It hangs: no sign of life, so it is ended and started again.
    manager.signal(Signal::STOP);
    let hung = Instant::now();
    while manager.lives() {
        assert!(hung.elapsed() < Duration::from_secs(60), "a stopped process goes on living");
    }
    manager.signal(Signal::KILL);
    manager.ended().expect("started again");
    serves(port);

    // An upgrade: the file is replaced, the gateway becomes it in place.
    let inode = put(&program);
    let pid = manager.pid();
    let running = || std::fs::metadata(format!("/proc/{pid}/exe")).expect("it runs").ino();
    assert_ne!(running(), inode);
    let ran = run(&home, &program, "gateway restart");
    assert_eq!(ran.code, 0, "{ran:?}");
    manager.hear("RELOADING=1", Duration::from_secs(30));
    let ready = manager.hear("READY=1", Duration::from_secs(30));
    assert!(ready.contains(&format!("MAINPID={pid}")), "{ready}");
    assert_eq!(running(), inode);
    serves(port);

    manager.reload();
    manager.hear("RELOADING=1", Duration::from_secs(30));
    manager.hear("READY=1", Duration::from_secs(30));
    assert_eq!(manager.stop().code(), Some(0));

    // What cannot start as it is configured is not tried for ever.
    home.configure("{gateway: {mode: 'remote'}}");
    manager.spawn();
    assert_eq!(manager.ended(), None);

    let ran = run(&home, &program, "gateway uninstall");
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(!unit.exists());
}
