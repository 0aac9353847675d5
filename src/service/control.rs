//! What is typed at a service manager, as words: the program first, no shell anywhere. `cli` runs
//! these, or prints them where they cannot be run.

use super::{Manager, schtasks};

/// A command: program and words.
pub type Argv = Vec<String>;

/// One service with one manager, as its commands name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Control {
    /// Which manager.
    pub manager: Manager,
    /// The service's name with it.
    pub name: String,
    /// Where its definition lies.
    pub place: String,
    /// The user's number, for launchd's domain.
    pub uid: u32,
}

fn argv(words: &[&str]) -> Argv {
    words.iter().map(|word| (*word).to_owned()).collect()
}

impl Control {
    fn systemctl(&self, words: &[&str]) -> Argv {
        let mut all = argv(&["systemctl"]);
        if self.manager == Manager::SystemdUser {
            all.push("--user".to_owned());
        }
        all.extend(argv(words));
        all
    }

    fn domain(&self) -> String {
        match self.manager {
            Manager::LaunchDaemon => "system".to_owned(),
            _ => format!("gui/{}", self.uid),
        }
    }

    fn target(&self) -> String {
        format!("{}/{}", self.domain(), self.name)
    }

    /// Reads the definition, starts the service now and by itself from now on. `task` is the
    /// file of [`schtasks::task`].
    pub fn install(&self, task: &str) -> Vec<Argv> {
        match self.manager {
            Manager::SystemdUser | Manager::SystemdSystem => vec![
                self.systemctl(&["daemon-reload"]),
                self.systemctl(&["enable", "--now", &self.name]),
            ],
            Manager::LaunchAgent | Manager::LaunchDaemon => vec![
                argv(&["launchctl", "enable", &self.target()]),
                argv(&["launchctl", "bootstrap", &self.domain(), &self.place]),
            ],
            Manager::ScheduledTask => vec![
                argv(&["schtasks", "/Create", "/TN", &self.name, "/XML", task, "/F"]),
                argv(&["schtasks", "/Run", "/TN", &self.name]),
            ],
        }
    }

    /// After the definition was written anew: takes it in and starts the service with it.
    pub fn reinstall(&self, task: &str) -> Vec<Argv> {
        match self.manager {
            Manager::SystemdUser | Manager::SystemdSystem => vec![
                self.systemctl(&["daemon-reload"]),
                self.systemctl(&["enable", &self.name]),
                self.systemctl(&["restart", &self.name]),
            ],
            Manager::LaunchAgent | Manager::LaunchDaemon => {
                let mut all = self.stop();
                all.extend(self.install(task));
                all
            }
            Manager::ScheduledTask => {
                let mut all = self.install(task);
                all.insert(1, argv(&["schtasks", "/End", "/TN", &self.name]));
                all
            }
        }
    }

    /// Stops it for good; the definition is removed after this. What may fail because there is
    /// nothing to stop comes first.
    pub fn uninstall(&self) -> Vec<Argv> {
        match self.manager {
            Manager::SystemdUser | Manager::SystemdSystem => {
                vec![self.systemctl(&["disable", "--now", &self.name])]
            }
            Manager::LaunchAgent | Manager::LaunchDaemon => self.stop(),
            Manager::ScheduledTask => vec![
                argv(&["schtasks", "/End", "/TN", &self.name]),
                argv(&["schtasks", "/Delete", "/TN", &self.name, "/F"]),
            ],
        }
    }

    /// After the definition is gone.
    pub fn forget(&self) -> Vec<Argv> {
        match self.manager {
            Manager::SystemdUser | Manager::SystemdSystem => {
                vec![self.systemctl(&["daemon-reload"])]
            }
            _ => Vec::new(),
        }
    }

    /// Starts it now.
    pub fn start(&self) -> Vec<Argv> {
        match self.manager {
            Manager::SystemdUser | Manager::SystemdSystem => {
                vec![self.systemctl(&["start", &self.name])]
            }
            Manager::LaunchAgent | Manager::LaunchDaemon => vec![
                argv(&["launchctl", "enable", &self.target()]),
                argv(&["launchctl", "bootstrap", &self.domain(), &self.place]),
            ],
            Manager::ScheduledTask => vec![argv(&["schtasks", "/Run", "/TN", &self.name])],
        }
    }

    /// Stops it until the next start.
    pub fn stop(&self) -> Vec<Argv> {
        match self.manager {
            Manager::SystemdUser | Manager::SystemdSystem => {
                vec![self.systemctl(&["stop", &self.name])]
            }
            Manager::LaunchAgent | Manager::LaunchDaemon => {
                vec![argv(&["launchctl", "bootout", &self.target()])]
            }
            Manager::ScheduledTask => vec![argv(&["schtasks", "/End", "/TN", &self.name])],
        }
    }

    /// launchd only: not even a log-in starts it again, until [`Control::start`].
    pub fn disable(&self) -> Vec<Argv> {
        match self.manager {
            Manager::LaunchAgent | Manager::LaunchDaemon => {
                vec![argv(&["launchctl", "disable", &self.target()])]
            }
            _ => Vec::new(),
        }
    }

    /// Stops and starts it.
    pub fn restart(&self) -> Vec<Argv> {
        match self.manager {
            Manager::SystemdUser | Manager::SystemdSystem => {
                vec![self.systemctl(&["restart", &self.name])]
            }
            Manager::LaunchAgent | Manager::LaunchDaemon => {
                vec![argv(&["launchctl", "kickstart", "-k", &self.target()])]
            }
            Manager::ScheduledTask => {
                let mut all = self.stop();
                all.extend(self.start());
                all
            }
        }
    }

    /// Asks what it does now.
    pub fn look(&self) -> Argv {
        match self.manager {
            Manager::SystemdUser | Manager::SystemdSystem => self.systemctl(&[
                "show",
                &self.name,
                "--property=LoadState,ActiveState,SubState,MainPID,UnitFileState,NeedDaemonReload,\
                 NRestarts,StatusText",
            ]),
            Manager::LaunchAgent | Manager::LaunchDaemon => {
                argv(&["launchctl", "print", &self.target()])
            }
            Manager::ScheduledTask => {
                argv(&["schtasks", "/Query", "/TN", &self.name, "/FO", "LIST", "/V"])
            }
        }
    }
}

/// What a manager answered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// It knows the definition.
    pub known: bool,
    /// It runs.
    pub running: bool,
    /// Starts by itself; `None` where the manager does not say.
    pub enabled: Option<bool>,
    /// The main process.
    pub pid: Option<u32>,
    /// The definition on the disk is newer than what it took in.
    pub stale: bool,
    /// Its own words: `active (running)`.
    pub words: String,
}

impl State {
    /// From the answer to [`Control::look`].
    pub fn read(manager: Manager, answer: &str) -> Self {
        match manager {
            Manager::SystemdUser | Manager::SystemdSystem => {
                let shown = super::systemd::shown(answer);
                let get = |name: &str| shown.get(name).map_or("", String::as_str);
                let pid = get("MainPID").parse().ok().filter(|pid| *pid > 0);
                Self {
                    known: get("LoadState") == "loaded",
                    running: ["active", "reloading", "activating", "deactivating"]
                        .contains(&get("ActiveState")),
                    enabled: match get("UnitFileState") {
                        "enabled" | "enabled-runtime" | "linked" => Some(true),
                        "disabled" | "masked" => Some(false),
                        _ => None,
                    },
                    pid,
                    stale: get("NeedDaemonReload") == "yes",
                    words: format!("{} ({})", get("ActiveState"), get("SubState")),
                }
            }
            Manager::LaunchAgent | Manager::LaunchDaemon => {
                let field = |name: &str| {
                    answer.lines().map(str::trim).find_map(|line| {
                        line.strip_prefix(name)?.trim_start().strip_prefix('=').map(str::trim)
                    })
                };
                let state = field("state").unwrap_or_default();
                Self {
                    known: !state.is_empty(),
                    running: state == "running",
                    enabled: None,
                    pid: field("pid").and_then(|pid| pid.parse().ok()),
                    stale: false,
                    words: state.to_owned(),
                }
            }
            Manager::ScheduledTask => {
                let status = answer.lines().find_map(|line| line.strip_prefix("Status:"));
                let status = status.map(str::trim).unwrap_or_default();
                Self {
                    known: !status.is_empty(),
                    running: status == "Running",
                    enabled: Some(!status.is_empty() && status != "Disabled"),
                    pid: None,
                    stale: false,
                    words: status.to_owned(),
                }
            }
        }
    }
}

/// What lets a user's services run without a log-in.
pub fn linger(user: &str) -> Argv {
    argv(&["sudo", "loginctl", "enable-linger", user])
}

/// The words as they are typed: quoted for a shell where they must be.
pub fn typed(words: &[String]) -> String {
    let plain = |word: &String| {
        !word.is_empty()
            && word.chars().all(|c| c.is_ascii_alphanumeric() || "-_./=:@,+\\".contains(c))
    };
    let all: Vec<String> = words
        .iter()
        .map(|word| match plain(word) {
            true => word.clone(),
            false if word.contains('\'') => format!("\"{}\"", word.replace('"', "\\\"")),
            false => format!("'{word}'"),
        })
        .collect();
    all.join(" ")
}

/// Where the task's own text is put while it is registered.
pub fn task_place(state_dir: &str) -> String {
    let script = schtasks::script_place(state_dir);
    script.replace("gateway.cmd", "gateway-task.xml")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn control(manager: Manager) -> Control {
        let name = manager.name(Some("rescue"));
        Control { manager, name, place: "/place/it".to_owned(), uid: 501 }
    }

    fn lines(commands: &[Argv]) -> Vec<String> {
        commands.iter().map(|words| typed(words)).collect()
    }

    #[test]
    fn what_is_typed_is_what_the_runbook_types() {
        let user = control(Manager::SystemdUser);
        assert_eq!(
            lines(&user.install("")),
            [
                "systemctl --user daemon-reload",
                "systemctl --user enable --now openclaw-gateway-rescue.service"
            ]
        );
        let system = control(Manager::SystemdSystem);
        assert_eq!(
            lines(&system.uninstall()),
            ["systemctl disable --now openclaw-gateway-rescue.service"]
        );
        let agent = control(Manager::LaunchAgent);
        assert_eq!(
            lines(&agent.install("")),
            [
                "launchctl enable gui/501/ai.openclaw.rescue",
                "launchctl bootstrap gui/501 /place/it"
            ]
        );
        assert_eq!(lines(&agent.stop()), ["launchctl bootout gui/501/ai.openclaw.rescue"]);
        let task = control(Manager::ScheduledTask);
        assert_eq!(
            lines(&task.install(r"C:\state\gateway-task.xml")),
            [
                r"schtasks /Create /TN 'OpenClaw Gateway (rescue)' /XML C:\state\gateway-task.xml /F",
                "schtasks /Run /TN 'OpenClaw Gateway (rescue)'"
            ]
        );
        assert_eq!(typed(&linger("me")), "sudo loginctl enable-linger me");
    }

    #[test]
    fn answers_of_managers_are_read() {
        let answer = "LoadState=loaded\nActiveState=active\nSubState=running\nMainPID=42\n\
            UnitFileState=enabled\nNeedDaemonReload=yes\nStatusText=a=b\n";
        let state = State::read(Manager::SystemdUser, answer);
        assert!(state.known && state.running && state.stale);
        assert_eq!((state.pid, state.enabled), (Some(42), Some(true)));
        assert_eq!(state.words, "active (running)");
        let gone = "LoadState=not-found\nActiveState=inactive\nSubState=dead\nMainPID=0\n";
        let state = State::read(Manager::SystemdUser, gone);
        assert!(!state.known && !state.running && state.pid.is_none());
        let answer = "gui/501/ai.openclaw.gateway = {\n\tactive count = 1\n\tstate = running\n\
            \tpid = 77\n}\n";
        let state = State::read(Manager::LaunchAgent, answer);
        assert!(state.known && state.running);
        assert_eq!(state.pid, Some(77));
        let answer = "TaskName: \\OpenClaw Gateway\r\nStatus:        Ready\r\n";
        let state = State::read(Manager::ScheduledTask, answer);
        assert!(state.known && !state.running);
        for manager in [Manager::SystemdUser, Manager::LaunchAgent, Manager::ScheduledTask] {
            let state = State::read(manager, "\u{0}rubbish\n=\n");
            assert!(!state.known && !state.running && state.pid.is_none());
        }
    }
}
