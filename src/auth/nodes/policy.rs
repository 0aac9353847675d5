//! Which commands of a node may be used at all: the platform's table, what an operator switched
//! on or off (`gateway.nodes.commands`), and what it takes to approve them.
//!
//! A node's platform is its own claim, so a table row alone grants nothing: a command is usable
//! only when the node declares it, an operator approved it for this very node, and the policy
//! lets it through (docs/nodes/command-policy.md).

use crate::config::NodePolicy;

/// The operating system a node says it runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Platform {
    /// iPhone and iPad.
    Ios,
    /// Apple Watch.
    Watch,
    /// Android.
    Android,
    /// macOS.
    Mac,
    /// Windows.
    Windows,
    /// Linux.
    Linux,
    /// Anything else: only what an operator allows by name.
    Unknown,
}

impl Platform {
    /// From `client.platform`, such as `linux`, `darwin`, `iOS 18.4.0`.
    pub fn of(text: &str) -> Self {
        let text = text.trim().to_ascii_lowercase();
        let starts = |words: &[&str]| words.iter().any(|word| text.starts_with(word));
        match () {
            () if starts(&["ios", "ipados", "iphone", "ipad"]) => Self::Ios,
            () if starts(&["watchos"]) => Self::Watch,
            () if starts(&["android"]) => Self::Android,
            () if starts(&["mac", "darwin"]) => Self::Mac,
            () if starts(&["win"]) => Self::Windows,
            () if starts(&["linux"]) => Self::Linux,
            () => Self::Unknown,
        }
    }

    fn defaults(self) -> &'static [&'static str] {
        match self {
            Self::Ios => &IOS,
            Self::Watch => &["device.info", "device.status", "system.notify"],
            Self::Android => &ANDROID,
            Self::Mac => &MAC,
            Self::Windows => &WINDOWS,
            Self::Linux => &["system.notify", "computer.act"],
            Self::Unknown => &[],
        }
    }

    fn is_desktop(self) -> bool {
        matches!(self, Self::Mac | Self::Windows | Self::Linux)
    }
}

const IOS: [&str; 11] = [
    "camera.list",
    "location.get",
    "device.info",
    "device.status",
    "contacts.search",
    "calendar.events",
    "reminders.list",
    "photos.latest",
    "motion.activity",
    "motion.pedometer",
    "system.notify",
];
const ANDROID: [&str; 19] = [
    "camera.list",
    "location.get",
    "notifications.list",
    "notifications.actions",
    "system.notify",
    "device.info",
    "device.status",
    "device.permissions",
    "device.health",
    "device.apps",
    "contacts.search",
    "calendar.events",
    "callLog.search",
    "reminders.list",
    "photos.latest",
    "motion.activity",
    "motion.pedometer",
    "mobile.ui.observe",
    "mobile.ui.act",
];
const MAC: [&str; 17] = [
    "camera.list",
    "camera.ptz.status",
    "location.get",
    "device.info",
    "device.status",
    "device.apps",
    "contacts.search",
    "calendar.events",
    "reminders.list",
    "photos.latest",
    "motion.activity",
    "motion.pedometer",
    "system.notify",
    "computer.act",
    "canvas.present",
    "canvas.hide",
    "canvas.navigate",
];
const WINDOWS: [&str; 6] = [
    "camera.list",
    "location.get",
    "device.info",
    "device.status",
    "system.notify",
    "computer.act",
];
/// What a desktop's node host offers: usable once an operator approved a request with it.
const HOST: [&str; 10] = [
    "system.run",
    "system.run.prepare",
    "system.which",
    "system.execApprovals.get",
    "system.execApprovals.set",
    "browser.proxy",
    "browser.proxy.upload.v1",
    "mcp.tools.call.v1",
    "screen.snapshot",
    "desktop.stream",
];
const TALK: [&str; 4] = ["talk.ptt.start", "talk.ptt.stop", "talk.ptt.cancel", "talk.ptt.once"];
/// Dangerous or private: off until named in `gateway.nodes.commands.allow`.
const OPT_IN: [&str; 10] = [
    "camera.snap",
    "camera.clip",
    "camera.ptz.control",
    "screen.record",
    "contacts.add",
    "calendar.add",
    "reminders.add",
    "health.summary",
    "sms.send",
    "sms.search",
];
/// To approve one of these takes `operator.admin` (docs/gateway/pairing.md).
const ADMINS: [&str; 8] = [
    "system.run",
    "system.run.prepare",
    "system.which",
    "browser.proxy",
    "browser.proxy.upload.v1",
    "fs.listDir",
    "system.execApprovals.get",
    "system.execApprovals.set",
];

/// Whether the policy lets a command of a node through. `caps` and `declared` are the node's
/// claims: they switch on `talk.ptt.*` and nothing else.
pub fn permits(
    config: &NodePolicy,
    platform: Platform,
    caps: &[String],
    declared: &[String],
    command: &str,
) -> bool {
    if config.deny.iter().any(|denied| denied == command) {
        return false;
    }
    if config.allow.iter().any(|allowed| allowed == command) {
        return true;
    }
    let talks = || {
        caps.iter().any(|cap| cap == "talk")
            || declared.iter().any(|command| command.starts_with("talk."))
    };
    platform.defaults().contains(&command)
        || platform.is_desktop() && HOST.contains(&command)
        || TALK.contains(&command) && talks()
}

/// Why a command may not be used, for people.
pub fn refusal(config: &NodePolicy, platform: &str, command: &str) -> String {
    let why = if config.deny.iter().any(|denied| denied == command) {
        "is blocked by gateway.nodes.commands.deny".to_owned()
    } else if OPT_IN.contains(&command) && !config.allow.iter().any(|it| it == command) {
        "requires explicit gateway.nodes.commands.allow opt-in".to_owned()
    } else {
        let platform = if platform.is_empty() { "unknown" } else { platform };
        format!("is not in the allowlist for platform \"{platform}\"")
    };
    format!("node command not allowed: \"{command}\" {why}")
}

/// Operator scopes that it takes to approve a surface with these commands.
pub fn approve_scopes(commands: &[String]) -> &'static [&'static str] {
    if commands.iter().any(|command| ADMINS.contains(&command.as_str())) {
        &["operator.pairing", "operator.admin"]
    } else if commands.is_empty() {
        &["operator.pairing"]
    } else {
        &["operator.pairing", "operator.write"]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(list: &[&str]) -> Vec<String> {
        list.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn platforms_are_told_from_what_clients_write() {
        for (text, want) in [
            ("linux", Platform::Linux),
            ("Linux 6.1", Platform::Linux),
            ("darwin", Platform::Mac),
            ("macOS 26", Platform::Mac),
            ("win32", Platform::Windows),
            ("iOS 18.4.0", Platform::Ios),
            ("Android 15", Platform::Android),
            ("watchOS", Platform::Watch),
            ("", Platform::Unknown),
            ("plan9", Platform::Unknown),
        ] {
            assert_eq!(Platform::of(text), want, "{text}");
        }
    }

    #[test]
    fn a_command_is_permitted_by_table_by_name_and_never_when_denied() {
        let plain = NodePolicy::default();
        let config = NodePolicy {
            allow: texts(&["camera.snap", "camera.list", "my.own"]),
            deny: texts(&["camera.list", "system.run"]),
            ..NodePolicy::default()
        };
        let table = [
            (&plain, Platform::Linux, "system.run", true),
            (&plain, Platform::Ios, "system.run", false),
            (&plain, Platform::Unknown, "system.run", false),
            (&plain, Platform::Linux, "camera.list", false),
            (&plain, Platform::Mac, "camera.list", true),
            (&plain, Platform::Mac, "camera.snap", false),
            (&plain, Platform::Linux, "canvas.present", false),
            (&plain, Platform::Linux, "my.own", false),
            (&config, Platform::Unknown, "my.own", true),
            (&config, Platform::Mac, "camera.snap", true),
            (&config, Platform::Mac, "camera.list", false),
            (&config, Platform::Linux, "system.run", false),
            (&config, Platform::Linux, "system.run.prepare", true),
        ];
        for (policy, platform, command, want) in table {
            let got = permits(policy, platform, &[], &[], command);
            assert_eq!(got, want, "{platform:?} {command}");
        }
        let talk = texts(&["talk"]);
        assert!(permits(&plain, Platform::Unknown, &talk, &[], "talk.ptt.once"));
        assert!(!permits(&plain, Platform::Unknown, &[], &[], "talk.ptt.once"));
        assert!(refusal(&plain, "linux", "camera.snap").contains("commands.allow opt-in"));
        assert!(refusal(&config, "linux", "system.run").contains("commands.deny"));
        let text = refusal(&plain, "linux", "x");
        assert_eq!(
            text,
            "node command not allowed: \"x\" is not in the allowlist for platform \"linux\""
        );
    }

    #[test]
    fn approving_commands_that_execute_takes_an_admin() {
        let scopes = |list: &[&str]| approve_scopes(&texts(list));
        assert_eq!(scopes(&[]), ["operator.pairing"]);
        assert_eq!(scopes(&["device.info"]), ["operator.pairing", "operator.write"]);
        for command in ADMINS {
            assert_eq!(
                scopes(&["device.info", command]),
                ["operator.pairing", "operator.admin"],
                "{command}"
            );
        }
    }
}
