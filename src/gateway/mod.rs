//! The gateway (being written: the seam first).

use crate::auth::Credentials;
use crate::config::Config;
use crate::driver::{Core, Effects, Entropy, Input, Now, Time};
use crate::store::Disk;
use std::path::PathBuf;
use std::rc::Rc;

/// What the process knows of itself and its machine.
#[derive(Debug, Clone)]
pub struct Host {
    /// The machine's name.
    pub name: String,
    /// An address of the machine for the presence row, if one is known.
    pub address: Option<String>,
    /// `linux`, `macos`, `windows`: `std::env::consts::OS`.
    pub platform: &'static str,
    /// Process id.
    pub pid: u32,
    /// The port that is open.
    pub port: u16,
}

/// Everything a gateway needs to be born; the same for both drivers.
pub struct Setup {
    /// The validated snapshot.
    pub config: Rc<Config>,
    /// The secret in force.
    pub credentials: Credentials,
    /// The machine.
    pub host: Host,
    /// State directory: sessions, journals, devices.
    pub state_dir: PathBuf,
    /// The JSON-lines log file that `logs.tail` serves.
    pub log_path: PathBuf,
    /// Durable files.
    pub disk: Box<dyn Disk>,
    /// Ids, nonces.
    pub entropy: Box<dyn Entropy>,
}

/// The state machine behind the port.
pub struct Gateway {
    _setup: Setup,
}

impl Gateway {
    /// Opens what the state directory holds and resumes what was accepted before a crash.
    ///
    /// # Errors
    /// When the state directory cannot be read or written; the text names the path.
    pub fn new(setup: Setup, now: Now) -> std::io::Result<Self> {
        let _ = now;
        Ok(Self { _setup: setup })
    }
}

impl Core for Gateway {
    fn on(&mut self, _now: Now, _input: Input<'_>, _fx: &mut Effects) {}
    fn deadline(&self) -> Option<Time> {
        None
    }
}
