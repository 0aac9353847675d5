//! Re-executing in place: the path remembered at start-up, the same arguments, the same pid,
//! and the listener kept, so that no connection is refused meanwhile.
//!
//! The listener travels as standard input, marked by [`MARK`] holding our pid. The new image
//! clones it, looks at its address, and puts `/dev/null` onto descriptor 0, else the port would
//! stay open for ever. Without the feature `process` the port closes and opens again.
//!
//! It also starts once more at the very beginning where glibc manages the memory
//! ([`Remembered::with_memory_given_back`]).

use std::ffi::OsString;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;

/// The variable that says: your standard input is the listener, if this is your pid.
pub const MARK: &str = "OPENCLAW_LISTENER_PID";

/// One heap, and pages of their own for buffers from 8 KiB, given back when they are freed.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const GLIBC: [(&str, &str); 4] = [
    ("MALLOC_ARENA_MAX", "1"),
    ("MALLOC_TOP_PAD_", "16384"),
    ("MALLOC_MMAP_THRESHOLD_", "8192"),
    ("MALLOC_TRIM_THRESHOLD_", "65536"),
];

/// What is needed to start again; taken at start-up, before an upgrade moves the file.
#[derive(Debug, Clone)]
#[cfg_attr(not(unix), allow(dead_code, reason = "only the other system starts again in place"))]
pub struct Remembered {
    program: PathBuf,
    args: Vec<OsString>,
}

impl Remembered {
    /// This program and its words.
    ///
    /// # Errors
    /// When the system does not tell where the program lies.
    pub fn now() -> io::Result<Self> {
        let args = std::env::args_os().skip(1).collect();
        Ok(Self { program: std::env::current_exe()?, args })
    }

    /// glibc keeps what was freed: the first large buffer that goes raises the size from which
    /// it asks the system for pages of their own, and what lies in its heap below a live byte
    /// stays (measured after a 25 MiB frame: 25 MB more than before, for good). Its fixed
    /// settings are read before `main` and from the environment only, so we start once more
    /// with them; whoever has set any of its variables keeps his. musl, which the files people
    /// copy are built with, needs none of this.
    pub fn with_memory_given_back(&self) {
        #[cfg(all(target_os = "linux", target_env = "gnu"))]
        {
            use std::os::unix::process::CommandExt;
            let set = |name: &str| std::env::var_os(name).is_some();
            if GLIBC.iter().any(|(name, _)| set(name)) || set("GLIBC_TUNABLES") {
                return;
            }
            let mut command = std::process::Command::new(&self.program);
            if let Some(name) = std::env::args_os().next() {
                command.arg0(name);
            }
            // When it fails we go on as we are. (A file that the kernel cannot run at all, as
            // under an emulator without binfmt, never comes here: libc hands it to a shell.)
            let _ = command.args(&self.args).envs(GLIBC).exec();
        }
    }

    /// Becomes the program anew; returns only when that failed.
    #[cfg(all(unix, feature = "process"))]
    pub fn again(self, listener: Option<impl std::os::fd::AsFd>) -> io::Error {
        use std::os::unix::process::CommandExt;
        let mut command = std::process::Command::new(self.program);
        command.args(lasting(self.args)).env_remove(MARK);
        if let Some(listener) = listener {
            if let Err(error) = rustix::stdio::dup2_stdin(&listener) {
                return error.into();
            }
            command.env(MARK, std::process::id().to_string());
        }
        command.exec()
    }

    /// Becomes the program anew; returns only when that failed.
    #[cfg(all(unix, not(feature = "process")))]
    pub fn again<L>(self, listener: Option<L>) -> io::Error {
        use std::os::unix::process::CommandExt;
        drop(listener);
        std::process::Command::new(self.program).args(lasting(self.args)).env_remove(MARK).exec()
    }

    /// Unsupported here.
    #[cfg(not(unix))]
    pub fn again<L>(self, _listener: Option<L>) -> io::Error {
        io::ErrorKind::Unsupported.into()
    }
}

/// The words that hold for a next life: what was begun anew once is not again.
#[cfg(unix)]
fn lasting(args: Vec<std::ffi::OsString>) -> impl Iterator<Item = std::ffi::OsString> {
    args.into_iter().filter(|word| word != "--reset")
}

/// The listener of our former life, if we were re-executed and it is what we want to open now:
/// `wanted` with its port, or with any port when that is 0.
#[cfg(all(unix, feature = "process"))]
pub fn inherited(wanted: SocketAddr) -> Option<TcpListener> {
    use std::os::fd::AsFd;
    let mark = std::env::var(MARK).ok()?;
    if mark.parse() != Ok(std::process::id()) {
        return None;
    }
    let stdin = io::stdin();
    let listener = stdin.as_fd().try_clone_to_owned().ok().map(TcpListener::from);
    // Whatever it is, it does not stay our standard input.
    let null = std::fs::File::open("/dev/null").ok()?;
    rustix::stdio::dup2_stdin(&null).ok()?;
    listener.filter(|listener| listener.local_addr().is_ok_and(|addr| fits(addr, wanted)))
}

/// Without the feature nothing travels.
#[cfg(not(all(unix, feature = "process")))]
pub fn inherited(_wanted: SocketAddr) -> Option<TcpListener> {
    None
}

#[cfg_attr(not(all(unix, feature = "process")), allow(dead_code))]
fn fits(found: SocketAddr, wanted: SocketAddr) -> bool {
    found.ip() == wanted.ip() && (wanted.port() == 0 || found.port() == wanted.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_wanted_address_is_taken_over() {
        let addr = |text: &str| text.parse().unwrap();
        assert!(fits(addr("127.0.0.1:7"), addr("127.0.0.1:7")));
        assert!(fits(addr("127.0.0.1:7"), addr("127.0.0.1:0")));
        assert!(!fits(addr("127.0.0.1:7"), addr("127.0.0.1:8")));
        assert!(!fits(addr("127.0.0.1:7"), addr("0.0.0.0:7")));
    }

    #[test]
    fn without_the_mark_standard_input_is_left_alone() {
        // The test runner has no such variable with our pid in it.
        assert!(inherited("127.0.0.1:0".parse().unwrap()).is_none());
    }
}
