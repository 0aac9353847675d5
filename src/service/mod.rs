//! What a service manager is told about our gateway: definitions as pure text, their way back
//! from text, how far one has drifted, and control commands as argv. Nothing here is run or read.
//!
//! ```text
//!   Service (program, profile, port, places, budget) --definition--> text --> written by cli
//!      |                                                              |
//!      |                  a text found on the disk --read--> Written <+
//!      +----------------------- audit(text, Service) --> findings --> cli writes it again
//!   [control]  what to type, as words, for each manager
//! ```
//!
//! | manager | name | where |
//! |---|---|---|
//! | [`Manager::SystemdUser`] | `openclaw-gateway[-<profile>].service` | `~/.config/systemd/user` |
//! | [`Manager::SystemdSystem`] | the same, with `User=` | `/etc/systemd/system` |
//! | [`Manager::LaunchAgent`] | `ai.openclaw.<profile or gateway>` | `~/Library/LaunchAgents` |
//! | [`Manager::LaunchDaemon`] | only looked for | `/Library/LaunchDaemons` |
//! | [`Manager::ScheduledTask`] | `OpenClaw Gateway[ (<profile>)]` | state directory |
//!
//! No secret is ever part of a definition: [`environment`] decides what is carried, and its
//! secret names never are. The gateway finds its secrets where every start finds them: in the
//! configuration file or in `.env` of the state directory.

pub mod audit;
pub mod control;
pub mod environment;
pub mod launchd;
pub mod schtasks;
pub mod systemd;

use std::collections::BTreeMap;

use crate::config::ShutdownBudget;

/// Exit code of a gateway that may not start as it is configured: not to be tried again.
pub const EXIT_CONFIG: u8 = 78;
/// Seconds without a sign of life after which systemd starts the gateway anew.
pub const WATCHDOG_SECS: u64 = 60;
/// Seconds between the end of a gateway and its next start.
pub const RESTART_SECS: u64 = 5;
/// What every definition of ours says in a variable, as the reference's do.
pub const MARKER: (&str, &str) = ("OPENCLAW_SERVICE_MARKER", "openclaw");

/// Who starts the gateway and keeps it up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Manager {
    /// systemd of one user.
    SystemdUser,
    /// systemd of the machine.
    SystemdSystem,
    /// launchd in a user's session.
    LaunchAgent,
    /// launchd of the machine.
    LaunchDaemon,
    /// Windows Task Scheduler, else the user's Startup folder.
    ScheduledTask,
}

impl Manager {
    /// The manager of this kind of machine; `system` asks for the machine's own.
    pub const fn here(system: bool) -> Self {
        match (cfg!(target_os = "macos"), cfg!(windows), system) {
            (true, _, false) => Self::LaunchAgent,
            (true, _, true) => Self::LaunchDaemon,
            (_, true, _) => Self::ScheduledTask,
            (_, _, false) => Self::SystemdUser,
            (_, _, true) => Self::SystemdSystem,
        }
    }

    /// As people and the reference's documents call it.
    pub const fn label(self) -> &'static str {
        match self {
            Self::SystemdUser => "systemd",
            Self::SystemdSystem => "systemd system",
            Self::LaunchAgent => "LaunchAgent",
            Self::LaunchDaemon => "LaunchDaemon",
            Self::ScheduledTask => "Scheduled Task",
        }
    }

    /// For the reference's `scope` of a service that was found.
    pub const fn scope(self) -> &'static str {
        match self {
            Self::SystemdSystem | Self::LaunchDaemon => "system",
            _ => "user",
        }
    }

    /// The word of the reference's documents for the system it belongs to.
    pub const fn platform(self) -> &'static str {
        match self {
            Self::SystemdUser | Self::SystemdSystem => "linux",
            Self::LaunchAgent | Self::LaunchDaemon => "darwin",
            Self::ScheduledTask => "win32",
        }
    }

    /// What it calls a service that starts by itself, and one that does not.
    pub const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::SystemdUser | Self::SystemdSystem => ("enabled", "disabled"),
            Self::LaunchAgent | Self::LaunchDaemon => ("loaded", "not loaded"),
            Self::ScheduledTask => ("registered", "missing"),
        }
    }

    /// The service's name with this manager.
    pub fn name(self, profile: Option<&str>) -> String {
        match (self, profile) {
            (Self::SystemdUser | Self::SystemdSystem, None) => "openclaw-gateway.service".into(),
            (Self::SystemdUser | Self::SystemdSystem, Some(profile)) => {
                format!("openclaw-gateway-{profile}.service")
            }
            (Self::LaunchAgent | Self::LaunchDaemon, profile) => {
                format!("ai.openclaw.{}", profile.unwrap_or("gateway"))
            }
            (Self::ScheduledTask, None) => "OpenClaw Gateway".into(),
            (Self::ScheduledTask, Some(profile)) => format!("OpenClaw Gateway ({profile})"),
        }
    }

    /// Where its definition lies. `config_home` is `$XDG_CONFIG_HOME` or `~/.config`.
    pub fn place(self, profile: Option<&str>, places: &Places) -> String {
        let name = self.name(profile);
        match self {
            Self::SystemdUser => format!("{}/systemd/user/{name}", places.config_home),
            Self::SystemdSystem => format!("{}/{name}", places.system_units),
            Self::LaunchAgent => format!("{}/Library/LaunchAgents/{name}.plist", places.home),
            Self::LaunchDaemon => format!("{}/{name}.plist", places.launch_daemons),
            Self::ScheduledTask => schtasks::script_place(&places.state_dir),
        }
    }

    /// Every directory in which it looks for definitions by name, for a scan.
    pub fn directories(self, places: &Places) -> Vec<String> {
        match self {
            Self::SystemdUser => vec![
                format!("{}/systemd/user", places.config_home),
                "/etc/systemd/user".to_owned(),
                "/usr/local/lib/systemd/user".to_owned(),
                "/usr/lib/systemd/user".to_owned(),
            ],
            Self::SystemdSystem => vec![
                places.system_units.clone(),
                "/usr/local/lib/systemd/system".to_owned(),
                "/usr/lib/systemd/system".to_owned(),
            ],
            Self::LaunchAgent => vec![
                format!("{}/Library/LaunchAgents", places.home),
                "/Library/LaunchAgents".to_owned(),
            ],
            Self::LaunchDaemon => vec![places.launch_daemons.clone()],
            Self::ScheduledTask => Vec::new(),
        }
    }
}

/// Directories that managers look in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// The home of the account.
    pub home: String,
    /// `$XDG_CONFIG_HOME`, else `~/.config`.
    pub config_home: String,
    /// The state directory of the profile.
    pub state_dir: String,
    /// `/etc/systemd/system`.
    pub system_units: String,
    /// `/Library/LaunchDaemons`.
    pub launch_daemons: String,
}

impl Places {
    /// The usual ones of a home.
    pub fn of(home: &str, config_home: Option<&str>, state_dir: &str) -> Self {
        Self {
            home: home.to_owned(),
            config_home: config_home.map_or_else(|| format!("{home}/.config"), str::to_owned),
            state_dir: state_dir.to_owned(),
            system_units: "/etc/systemd/system".to_owned(),
            launch_daemons: "/Library/LaunchDaemons".to_owned(),
        }
    }
}

/// A gateway that a manager shall keep up: what a definition is made of, and what one that was
/// found is held against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Whose text.
    pub manager: Manager,
    /// The profile, `None` for the default one.
    pub profile: Option<String>,
    /// Absolute path of `openclaw`, or of a wrapper that runs it with the words it is given.
    pub program: String,
    /// A port that was asked for in words; without one the configuration decides at each start.
    pub port: Option<u16>,
    /// Start without `gateway.mode: "local"`.
    pub allow_unconfigured: bool,
    /// The state directory.
    pub state_dir: String,
    /// The configuration file.
    pub config_path: String,
    /// Other files and directories the gateway writes to: workspaces, a log elsewhere.
    pub writes: Vec<String>,
    /// The account of a system service; others run as who installed them.
    pub account: Option<String>,
    /// What the environment carries beside the places ([`environment::carried`]).
    pub env: BTreeMap<String, String>,
    /// How long a stop may take.
    pub budget: ShutdownBudget,
    /// Version of this program.
    pub version: String,
}

impl Service {
    /// The words after the program's name.
    pub fn words(&self) -> Vec<String> {
        let mut words = vec!["gateway".to_owned()];
        if let Some(port) = self.port {
            words.extend(["--port".to_owned(), port.to_string()]);
        }
        if self.allow_unconfigured {
            words.push("--allow-unconfigured".to_owned());
        }
        words
    }

    /// The variables of the definition, never a secret.
    pub fn environment(&self) -> BTreeMap<String, String> {
        let mut env: BTreeMap<String, String> = self
            .env
            .iter()
            .filter(|(name, _)| !environment::is_secret(name))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        let mut set = |name: &str, value: &str| env.insert(name.to_owned(), value.to_owned());
        set(MARKER.0, MARKER.1);
        set("OPENCLAW_SERVICE_KIND", "gateway");
        set("OPENCLAW_SERVICE_VERSION", &self.version);
        set("OPENCLAW_STATE_DIR", &self.state_dir);
        set("OPENCLAW_CONFIG_PATH", &self.config_path);
        if let Some(profile) = &self.profile {
            set("OPENCLAW_PROFILE", profile);
        }
        let name = self.manager.name(self.profile.as_deref());
        match self.manager {
            Manager::SystemdUser | Manager::SystemdSystem => set("OPENCLAW_SYSTEMD_UNIT", &name),
            Manager::LaunchAgent | Manager::LaunchDaemon => set("OPENCLAW_LAUNCHD_LABEL", &name),
            Manager::ScheduledTask => set("OPENCLAW_WINDOWS_TASK_NAME", &name),
        };
        env
    }

    /// One line for lists of services.
    pub fn description(&self) -> String {
        match &self.profile {
            Some(profile) => format!("OpenClaw Gateway (profile: {profile}, v{})", self.version),
            None => format!("OpenClaw Gateway (v{})", self.version),
        }
    }

    /// The definition's text.
    ///
    /// # Errors
    /// When a path or value cannot be written so that the manager reads it back as it is.
    pub fn definition(&self) -> Result<String, Refused> {
        self.fit()?;
        match self.manager {
            Manager::SystemdUser | Manager::SystemdSystem => systemd::text(self),
            Manager::LaunchAgent | Manager::LaunchDaemon => Ok(launchd::text(self)),
            Manager::ScheduledTask => Ok(schtasks::script(self)),
        }
    }

    /// Whether every part can be written at all.
    fn fit(&self) -> Result<(), Refused> {
        let windows = self.manager == Manager::ScheduledTask;
        let mut paths = vec![
            ("the program's path", &self.program),
            ("the state directory", &self.state_dir),
            ("the configuration's path", &self.config_path),
        ];
        paths.extend(self.writes.iter().map(|path| ("a path the gateway writes to", path)));
        for (what, path) in paths {
            plain(what, path)?;
            if !is_absolute(path, windows) {
                return Err(Refused::Relative { what, path: path.clone() });
            }
            if windows && path.contains('"') {
                return Err(Refused::Quote { what });
            }
        }
        for (name, value) in &self.env {
            plain("a variable's name", name)?;
            plain("a variable's value", value)?;
            if windows && value.contains('"') {
                return Err(Refused::Quote { what: "a variable's value" });
            }
        }
        let systemd = matches!(self.manager, Manager::SystemdUser | Manager::SystemdSystem);
        if systemd && self.program.contains(['"', '\'', '\\']) {
            return Err(Refused::Program { path: self.program.clone() });
        }
        match (&self.account, self.manager) {
            (None, Manager::SystemdSystem) => Err(Refused::NoAccount),
            (Some(account), _) if !is_account(account) => {
                Err(Refused::Account { name: account.clone() })
            }
            _ => Ok(()),
        }
    }
}

fn plain(what: &'static str, text: &str) -> Result<(), Refused> {
    if text.chars().any(char::is_control) {
        return Err(Refused::Control { what });
    }
    if text.is_empty() {
        return Err(Refused::Empty { what });
    }
    Ok(())
}

fn is_absolute(path: &str, windows: bool) -> bool {
    if !windows {
        return path.starts_with('/');
    }
    let mut chars = path.chars();
    let drive = chars.next().is_some_and(|c| c.is_ascii_alphabetic()) && chars.next() == Some(':');
    path.starts_with(r"\\") || drive && matches!(chars.next(), Some('\\' | '/'))
}

/// The names that `useradd` makes; anything else could mean something in a unit.
fn is_account(name: &str) -> bool {
    name.len() <= 32
        && name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(c))
}

/// Why there can be no definition. `Display` says what to change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// A control character, a line break among them, would end the line or hide in it.
    Control {
        /// In what.
        what: &'static str,
    },
    /// There is nothing.
    Empty {
        /// Where.
        what: &'static str,
    },
    /// A manager has no working directory to start from.
    Relative {
        /// What.
        what: &'static str,
        /// The path.
        path: String,
    },
    /// `cmd.exe` has no way to write a quote inside quotes.
    Quote {
        /// In what.
        what: &'static str,
    },
    /// systemd takes no program with such a character in its path, escaped or not.
    Program {
        /// The path.
        path: String,
    },
    /// A system unit without `User=` would run as root.
    NoAccount,
    /// Not a name of an account.
    Account {
        /// The name.
        name: String,
    },
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Control { what } => write!(
                f,
                "{what} holds a control character, which no service definition can: rename it"
            ),
            Self::Empty { what } => write!(f, "{what} is empty"),
            Self::Relative { what, path } => {
                write!(f, "{what} must be absolute in a service definition, not {path}")
            }
            Self::Quote { what } => {
                write!(f, "{what} holds a quote, which gateway.cmd cannot: rename it")
            }
            Self::Program { path } => write!(
                f,
                "systemd takes no program with a quote or a backslash in its path: move {path}, or \
                 name a link to it with --wrapper"
            ),
            Self::NoAccount => f.write_str(
                "a system service without an account would run the gateway and its commands as \
                 root: name one with --user <account>",
            ),
            Self::Account { name } => {
                let shown: String = name.escape_debug().take(80).collect();
                write!(f, "`{shown}` is not the name of an account: use a-z, 0-9, `-` and `_`")
            }
        }
    }
}

impl std::error::Error for Refused {}

/// What a definition says, read back from its text. A part that is not there is `None` or empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Written {
    /// Program and words.
    pub command: Vec<String>,
    /// Its variables.
    pub env: BTreeMap<String, String>,
    /// Files of variables it reads; their contents are not here.
    pub env_files: Vec<String>,
    /// Started again whenever it ended.
    pub restarts: bool,
    /// Starts by itself at boot or log-in.
    pub starts_by_itself: bool,
    /// Seconds until it is killed after it was told to stop; `u64::MAX` for never.
    pub stop_timeout_secs: Option<u64>,
    /// systemd's `KillMode`.
    pub kill_mode: Option<String>,
    /// systemd's `User`.
    pub account: Option<String>,
}

impl Written {
    /// From the text of a definition.
    pub fn read(manager: Manager, text: &str) -> Self {
        match manager {
            Manager::SystemdUser | Manager::SystemdSystem => systemd::read(text),
            Manager::LaunchAgent | Manager::LaunchDaemon => launchd::read(text),
            Manager::ScheduledTask => schtasks::read(text),
        }
    }

    /// The port it fixes: `--port`, else `OPENCLAW_GATEWAY_PORT`.
    pub fn port(&self) -> Option<u16> {
        let mut words = self.command.iter();
        let mut flag = None;
        while let Some(word) = words.next() {
            if word == "--port" {
                flag = words.next().cloned();
            } else if let Some(port) = word.strip_prefix("--port=") {
                flag = Some(port.to_owned());
            }
        }
        flag.or_else(|| self.env.get("OPENCLAW_GATEWAY_PORT").cloned())?.parse().ok()
    }

    /// The profile it names.
    pub fn profile(&self) -> Option<&str> {
        let words = self.command.iter().position(|word| word == "--profile");
        let named = words.and_then(|at| self.command.get(at + 1)).map(String::as_str);
        let dev = self.command.iter().any(|word| word == "--dev").then_some("dev");
        let variable = self.env.get("OPENCLAW_PROFILE").map(String::as_str);
        named.or(dev).or(variable).filter(|name| !name.is_empty() && *name != "default")
    }

    /// Whether it starts a gateway at all.
    pub fn is_gateway(&self) -> bool {
        self.command.iter().skip(1).any(|word| word == "gateway")
    }
}

#[cfg(test)]
#[path = "golden_tests.rs"]
mod tests;
