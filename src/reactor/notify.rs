//! The service manager's ear: systemd's notify protocol over a datagram socket.
//!
//! ```text
//!   port open --READY=1--> [ serving: WATCHDOG=1 at the end of a turn, twice in its time ]
//!     SIGHUP   --RELOADING=1, READY=1
//!     SIGUSR1  --STATUS=...; at the re-execution RELOADING=1, from the new image READY=1
//!     SIGTERM  --STOPPING=1, STATUS=...
//! ```
//!
//! A sign of life is sent by the loop itself, at the end of a turn, and by nothing else: no
//! thread, no timer of the system. A loop that hangs in a turn is silent by construction, and
//! the manager starts the gateway anew after `WatchdogSec`.
//!
//! The socket's name comes from `NOTIFY_SOCKET`: a path, or a name in the abstract namespace
//! behind `@`. It stays in the environment, so that the image after a re-execution finds it; the
//! commands of agents do not inherit it. Nothing waits for the manager: a message that does not
//! fit its queue is lost, with a line in the log.

use std::collections::BTreeMap;
#[cfg(unix)]
use std::os::unix::net::{SocketAddr, UnixDatagram};

use crate::driver::{Standing, Time};

/// How a manager is told.
#[derive(Debug)]
pub struct Notify {
    #[cfg(unix)]
    socket: UnixDatagram,
    #[cfg(unix)]
    to: SocketAddr,
    pid: u32,
    /// Microseconds between two signs of life.
    every_us: Option<u64>,
    next: Option<Time>,
}

impl Notify {
    /// By the environment of a process with this number; `None` when no manager listens.
    ///
    /// # Errors
    /// When `NOTIFY_SOCKET` names nothing that can be used; the text says why.
    pub fn named(env: &BTreeMap<String, String>, pid: u32) -> Result<Option<Self>, String> {
        let Some(name) = env.get("NOTIFY_SOCKET").filter(|name| !name.is_empty()) else {
            return Ok(None);
        };
        Self::open(name, pid, every(env, pid)).map(Some)
    }

    #[cfg(unix)]
    fn open(name: &str, pid: u32, every_us: Option<u64>) -> Result<Self, String> {
        let wrong = |error: std::io::Error| format!("NOTIFY_SOCKET={name}: {error}");
        let to = address(name).map_err(wrong)?;
        let socket = UnixDatagram::unbound().map_err(wrong)?;
        socket.set_nonblocking(true).map_err(wrong)?;
        Ok(Self { socket, to, pid, every_us, next: None })
    }

    #[cfg(not(unix))]
    fn open(_name: &str, _pid: u32, _every_us: Option<u64>) -> Result<Self, String> {
        Err("NOTIFY_SOCKET: unsupported on this platform".to_owned())
    }

    /// Tells the manager where we stand.
    pub(super) fn tell(&self, standing: &Standing) {
        let status = |text: &str| {
            let text = crate::wire::text::escape_log(text, 200);
            format!("STATUS={text}")
        };
        let text = match standing {
            Standing::Ready(text) => format!("READY=1\nMAINPID={}\n{}", self.pid, status(text)),
            Standing::Reloading => "RELOADING=1\nSTATUS=reloading".to_owned(),
            Standing::Stopping(text) => format!("STOPPING=1\n{}", status(text)),
            Standing::Busy(text) => status(text),
        };
        self.send(&text);
    }

    /// A sign of life, if it is time for one; to be called at the end of a turn.
    pub(super) fn alive(&mut self, now: Time) {
        let Some(every_us) = self.every_us else { return };
        if self.next.is_none_or(|next| now >= next) {
            self.send("WATCHDOG=1");
            self.next = Some(Time(now.0.saturating_add(every_us)));
        }
    }

    /// When the next one is due.
    pub(super) fn deadline(&self) -> Option<Time> {
        self.next
    }

    #[cfg(unix)]
    fn send(&self, text: &str) {
        if let Err(error) = self.socket.send_to_addr(text.as_bytes(), &self.to) {
            log::debug!(target: "reactor", "the service manager did not take a message: {error}");
        }
    }

    #[cfg(not(unix))]
    fn send(&self, _text: &str) {}
}

/// Half of `WATCHDOG_USEC`, if the watchdog is meant for us.
fn every(env: &BTreeMap<String, String>, pid: u32) -> Option<u64> {
    let number = |name: &str| env.get(name).and_then(|text| text.trim().parse::<u64>().ok());
    if env.contains_key("WATCHDOG_PID") && number("WATCHDOG_PID") != Some(u64::from(pid)) {
        return None;
    }
    // Less than a millisecond could not be kept by a poll that counts in them.
    number("WATCHDOG_USEC").filter(|usec| *usec > 0).map(|usec| (usec / 2).max(1000))
}

#[cfg(unix)]
fn address(name: &str) -> std::io::Result<SocketAddr> {
    #[cfg(target_os = "linux")]
    if let Some(name) = name.strip_prefix('@') {
        use std::os::linux::net::SocketAddrExt;
        return SocketAddr::from_abstract_name(name.as_bytes());
    }
    if !name.starts_with('/') {
        return Err(std::io::Error::other("neither an absolute path nor a name behind @"));
    }
    SocketAddr::from_pathname(name)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn env(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn the_watchdog_is_ours_or_nobodys() {
        for (pairs, want) in [
            (vec![("WATCHDOG_USEC", "60000000")], Some(30_000_000)),
            (vec![("WATCHDOG_USEC", "60000000"), ("WATCHDOG_PID", "7")], Some(30_000_000)),
            (vec![("WATCHDOG_USEC", "60000000"), ("WATCHDOG_PID", "8")], None),
            (vec![("WATCHDOG_USEC", "60000000"), ("WATCHDOG_PID", "x")], None),
            (vec![("WATCHDOG_USEC", "0")], None),
            (vec![("WATCHDOG_USEC", "soon")], None),
            (vec![("WATCHDOG_USEC", "10")], Some(1000)),
            (vec![], None),
        ] {
            assert_eq!(every(&env(&pairs), 7), want, "{pairs:?}");
        }
    }

    #[test]
    fn names_of_sockets() {
        let named = |name: &str| Notify::named(&env(&[("NOTIFY_SOCKET", name)]), 1);
        assert!(Notify::named(&env(&[]), 1).unwrap().is_none());
        assert!(named("").unwrap().is_none());
        assert!(named("/run/systemd/notify").unwrap().is_some());
        assert!(named("relative").unwrap_err().contains("NOTIFY_SOCKET=relative"));
        assert!(named(&format!("/{}", "x".repeat(200))).is_err());
    }

    #[test]
    fn a_sign_of_life_is_due_twice_in_its_time_and_only_when_a_turn_ends() {
        let dir = std::env::temp_dir().join(format!("openclaw-notify-{}", std::process::id()));
        let manager = UnixDatagram::bind(&dir).unwrap();
        manager.set_nonblocking(true).unwrap();
        let name = dir.to_str().unwrap();
        let env = env(&[("NOTIFY_SOCKET", name), ("WATCHDOG_USEC", "60000000")]);
        let mut notify = Notify::named(&env, 1).unwrap().unwrap();
        let heard = || {
            let mut bytes = [0; 512];
            manager.recv(&mut bytes).map(|n| String::from_utf8_lossy(&bytes[..n]).into_owned())
        };
        assert_eq!(notify.deadline(), None);
        notify.alive(Time(5));
        assert_eq!(heard().unwrap(), "WATCHDOG=1");
        assert_eq!(notify.deadline(), Some(Time(30_000_005)));
        notify.alive(Time(30_000_004));
        assert!(heard().is_err(), "not yet due");
        notify.alive(Time(30_000_005));
        assert_eq!(heard().unwrap(), "WATCHDOG=1");
        notify.tell(&Standing::Ready("a\nREADY=2".to_owned()));
        assert_eq!(heard().unwrap(), "READY=1\nMAINPID=1\nSTATUS=a\\nREADY=2");
        std::fs::remove_file(&dir).unwrap();
        // A manager that went away costs nothing.
        drop(manager);
        notify.tell(&Standing::Reloading);
    }
}
