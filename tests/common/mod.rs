//! What the black-box tests share: a fresh home, the real binary, and deadlines instead of
//! sleeps.

#![allow(dead_code, reason = "each test binary uses its own part")]

#[cfg(feature = "tls")]
pub mod device;
pub mod http;
pub mod irc;
pub mod provider;
pub mod service;
pub mod socket;

use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// How long anything may take before a test gives up on it.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A home directory of one test, removed at the end.
pub struct Home(pub PathBuf);

impl Home {
    /// An empty one.
    pub fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("openclaw-test-{}-{number}", std::process::id());
        let dir = std::env::temp_dir().join(name);
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).expect("a temporary directory");
        Self(dir)
    }

    /// The state directory of the default profile.
    pub fn state(&self) -> PathBuf {
        self.0.join(".openclaw")
    }

    /// Writes the configuration file of the default profile.
    pub fn configure(&self, text: &str) {
        std::fs::create_dir_all(self.state()).expect("the state directory");
        std::fs::write(self.state().join("openclaw.json"), text).expect("the configuration");
    }

    /// The binary with nothing but this home in its environment.
    pub fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_openclaw"));
        command
            .args(line.split_whitespace())
            .env_clear()
            .env("HOME", &self.0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, line: &str) -> Ran {
        Ran::of(&mut self.command(line))
    }

    /// As [`Home::run`], talking to the gateway on this port.
    pub fn ask(&self, port: u16, line: &str) -> Ran {
        Ran::of(self.command(line).env("OPENCLAW_GATEWAY_PORT", port.to_string()))
    }

    /// Starts a gateway and waits for its address. The words come after `gateway --port 0`.
    pub fn start(&self, line: &str) -> Gateway {
        Gateway::start(&mut self.command(&format!("gateway --port 0 {line}")))
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What a command did.
#[derive(Debug)]
pub struct Ran {
    /// Its exit code; -1 after a signal.
    pub code: i32,
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub err: String,
    /// How long it took.
    pub took: Duration,
}

impl Ran {
    /// Runs it to its end.
    pub fn of(command: &mut Command) -> Self {
        let began = Instant::now();
        let output = command.output().expect("the binary starts");
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
            took: began.elapsed(),
        }
    }
}

/// A running child whose standard output is read line by line; killed when dropped.
pub struct Lines {
    child: Child,
    lines: Receiver<String>,
    /// Every line so far.
    pub seen: Vec<String>,
}

impl Lines {
    /// Starts it.
    pub fn start(command: &mut Command) -> Self {
        command.stderr(Stdio::inherit());
        Self::start_as_it_is(command)
    }

    /// Starts it with its standard error wherever the command says.
    pub fn start_as_it_is(command: &mut Command) -> Self {
        command.stdout(Stdio::piped());
        let mut child = command.spawn().expect("the binary starts");
        let stdout = child.stdout.take().expect("a pipe");
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Self { child, lines, seen: Vec::new() }
    }

    /// Waits for a line that holds `part`.
    pub fn wait_for(&mut self, part: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    self.seen.push(line.clone());
                    if line.contains(part) {
                        return line;
                    }
                }
                Err(RecvTimeoutError::Timeout) => panic!("no {part:?} in {:?}", self.seen),
                Err(RecvTimeoutError::Disconnected) => {
                    panic!("it ended before {part:?}: {:?}", self.seen)
                }
            }
        }
    }

    /// Waits for its end; its output is read to the end first.
    pub fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => self.seen.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("it does not end: {:?}", self.seen),
            }
        }
        self.child.wait().expect("an exit status")
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A running gateway.
pub struct Gateway {
    process: Lines,
    /// The port it printed.
    pub port: u16,
}

impl Gateway {
    /// Starts it and waits for the line with its address.
    pub fn start(command: &mut Command) -> Self {
        Self::of(Lines::start(command))
    }

    /// As [`Gateway::start`], with its standard error in a file.
    pub fn start_with_stderr(command: &mut Command, path: &Path) -> Self {
        let file = std::fs::File::create(path).expect("the file");
        Self::of(Lines::start_as_it_is(command.stderr(file)))
    }

    fn of(mut process: Lines) -> Self {
        let line = process.wait_for("listening on ws");
        let address =
            |word: &str| word.split_once("://127.0.0.1:").map(|(_, port)| port.to_owned());
        let port = line.split(' ').find_map(address);
        let port = port.and_then(|port| port.parse().ok()).expect("a port in the line");
        Self { process, port }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.child.id()
    }

    /// Every line of standard output so far.
    pub fn seen(&self) -> &[String] {
        &self.process.seen
    }

    /// Waits for a line of its standard output that holds `part`.
    pub fn wait_for(&mut self, part: &str) -> String {
        self.process.wait_for(part)
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        self.process.wait()
    }

    /// Sends it a signal.
    #[cfg(feature = "process")]
    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = i32::try_from(self.pid()).ok().and_then(rustix::process::Pid::from_raw);
        rustix::process::kill_process(pid.expect("a pid"), signal).expect("it is ours");
    }
}

/// A port that nobody listens on and nobody else gets while this lives: the near end of a
/// connection of ours.
pub struct DeadPort {
    _listener: TcpListener,
    stream: TcpStream,
}

impl DeadPort {
    /// Takes one.
    pub fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let far = listener.local_addr().expect("its address");
        let stream = TcpStream::connect(far).expect("a connection to ourselves");
        Self { _listener: listener, stream }
    }

    /// Its number.
    pub fn number(&self) -> u16 {
        self.stream.local_addr().expect("an address").port()
    }
}

/// The permission bits of a file.
pub fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    let meta =
        std::fs::metadata(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    meta.permissions().mode() & 0o777
}

/// Resident memory of a process.
pub fn rss_kb(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}
