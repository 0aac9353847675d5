//! systemd units: written and read back.
//!
//! Both kinds say the same of start, stop and watchdog; they differ in the sandbox. A user
//! manager has no privilege: it cannot drop capabilities, mount, or give devices away, and an
//! option that wants one keeps the unit from starting where user namespaces are off. So the user
//! unit has what seccomp and `no_new_privs` give, and the system unit the rest too.
//!
//! The sandbox also holds every command that `exec` starts: they are children of the gateway.
//! That is why `MemoryDenyWriteExecute` is absent (it would break every interpreter with a
//! compiler inside: node, java, luajit), and why the homes are read-only but not hidden.
//!
//! What systemd reads in a text, and how it is kept from it: a word stands in double quotes with
//! `\` and `"` escaped; `%` begins a specifier and is doubled everywhere; `$` begins a variable
//! in the words of `ExecStart=`, but not in its program, and is doubled there only.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{EXIT_CONFIG, Manager, RESTART_SECS, Refused, Service, WATCHDOG_SECS, Written};

/// Both kinds: no new privileges, and system calls of a service only.
const SANDBOX: &str = "\
NoNewPrivileges=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictNamespaces=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@resources @privileged
SystemCallErrorNumber=EPERM
";

/// What only the manager of the machine can do.
const SYSTEM_SANDBOX: &str = "\
CapabilityBoundingSet=
AmbientCapabilities=
PrivateUsers=yes
PrivateTmp=yes
PrivateDevices=yes
DevicePolicy=closed
ProtectSystem=strict
ProtectHome=read-only
ProtectProc=invisible
ProtectClock=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes
RemoveIPC=yes
KeyringMode=private
";

/// The unit.
///
/// # Errors
/// None beyond those of [`Service::definition`], which checked every part.
pub fn text(service: &Service) -> Result<String, Refused> {
    let system = service.manager == Manager::SystemdSystem;
    let unit = service.manager.name(service.profile.as_deref());
    let mut out = String::with_capacity(2048);
    let edit = if system { "sudo systemctl edit" } else { "systemctl --user edit" };
    let _ = write!(
        out,
        "# Written by `openclaw gateway install`, which writes it anew when asked to. Settings\n\
         # of your own: {edit} {unit}\n\
         # No secret belongs here: the configuration and .env of the state directory hold them.\n\
         [Unit]\n\
         Description={}\n\
         Documentation=https://docs.openclaw.ai/gateway\n\
         After=network-online.target\n\
         Wants=network-online.target\n\
         StartLimitIntervalSec=300\n\
         StartLimitBurst=10\n\n\
         [Service]\n\
         Type=notify\n\
         NotifyAccess=main\n\
         ExecStart={}",
        doubled(&service.description()),
        quoted(&service.program, false),
    );
    for word in service.words() {
        out.push(' ');
        out.push_str(&quoted(&word, true));
    }
    // Its reload is a signal; a restart in place keeps the pid, and says so by the socket.
    out.push_str("\nExecReload=/bin/kill -HUP $MAINPID\n");
    let _ = write!(
        out,
        "Restart=always\n\
         RestartSec={RESTART_SECS}\n\
         RestartPreventExitStatus={EXIT_CONFIG}\n\
         SuccessExitStatus=0 143\n\
         TimeoutStartSec=30\n\
         # More than gateway.shutdownBudgetMs, which active runs may use up.\n\
         TimeoutStopSec={}\n\
         WatchdogSec={WATCHDOG_SECS}\n\
         KillMode=mixed\n\
         OOMPolicy=continue\n\
         UMask=0077\n",
        service.budget.stop_timeout_secs(),
    );
    if let Some(account) = service.account.as_deref().filter(|_| system) {
        let _ = writeln!(out, "User={account}");
    }
    for (name, value) in service.environment() {
        let _ = writeln!(out, "Environment={}", quoted(&format!("{name}={value}"), false));
    }
    out.push('\n');
    out.push_str(SANDBOX);
    if system {
        out.push_str(SYSTEM_SANDBOX);
        for path in writable(service) {
            // One that is not there yet must not keep the gateway from starting.
            let _ = writeln!(out, "ReadWritePaths={}", quoted(&format!("-{path}"), false));
        }
    }
    let target = if system { "multi-user.target" } else { "default.target" };
    let _ = write!(out, "\n[Install]\nWantedBy={target}\n");
    Ok(out)
}

/// What the gateway writes to, none of it inside another.
fn writable(service: &Service) -> Vec<&str> {
    let mut all = vec![service.state_dir.as_str()];
    all.extend(service.writes.iter().map(String::as_str));
    let inside = |path: &str, dir: &str| {
        path.strip_prefix(dir.trim_end_matches('/')).is_some_and(|rest| rest.starts_with('/'))
    };
    let mut kept: Vec<&str> = Vec::new();
    for path in &all {
        if !all.iter().any(|dir| inside(path, dir)) && !kept.contains(path) {
            kept.push(path);
        }
    }
    kept
}

/// `%` begins a specifier.
fn doubled(text: &str) -> String {
    text.replace('%', "%%")
}

/// One word; `variables` where systemd would put values in place of `$NAME`.
fn quoted(word: &str, variables: bool) -> String {
    let mut out = String::with_capacity(word.len() + 2);
    out.push('"');
    for c in word.chars() {
        match c {
            '\\' | '"' => out.extend(['\\', c]),
            '%' => out.push_str("%%"),
            '$' if variables => out.push_str("$$"),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Reads a unit, ours or anybody's: continued lines, quotes, escapes, specifiers that stand for
/// themselves. What a later line says replaces an earlier one, and an empty value empties a list.
pub fn read(text: &str) -> Written {
    let mut written = Written::default();
    let joined = text.replace("\\\n", " ");
    let mut section = "";
    for line in joined.lines().map(str::trim) {
        if line.starts_with('[') {
            section = line;
            continue;
        }
        let Some((key, value)) = line.split_once('=').filter(|_| !line.starts_with(['#', ';']))
        else {
            continue;
        };
        let (key, value) = (key.trim(), value.trim());
        match (section, key) {
            ("[Service]", "ExecStart") => written.command = command(value),
            ("[Service]", "Environment") if value.is_empty() => written.env.clear(),
            ("[Service]", "Environment") => {
                for word in words(value) {
                    if let Some((name, value)) = word.split_once('=') {
                        written.env.insert(name.to_owned(), value.to_owned());
                    }
                }
            }
            ("[Service]", "EnvironmentFile") if value.is_empty() => written.env_files.clear(),
            ("[Service]", "EnvironmentFile") => {
                written.env_files.push(value.trim_start_matches('-').replace("%%", "%"));
            }
            ("[Service]", "Restart") => written.restarts = value == "always",
            ("[Service]", "TimeoutStopSec" | "TimeoutSec") => {
                written.stop_timeout_secs = span(value);
            }
            ("[Service]", "KillMode") => written.kill_mode = Some(value.to_owned()),
            ("[Service]", "User") => written.account = Some(value.to_owned()),
            ("[Install]", "WantedBy" | "RequiredBy") => {
                written.starts_by_itself = !value.is_empty();
            }
            _ => {}
        }
    }
    written
}

/// The words of `ExecStart=`, without the characters before its program.
fn command(value: &str) -> Vec<String> {
    let mut all = words(value.trim_start_matches(['@', '-', ':', '+', '!', '|']));
    for word in all.iter_mut().skip(1) {
        *word = word.replace("$$", "$");
    }
    all
}

/// Splits at blanks outside of quotes and undoes what [`quoted`] did.
fn words(text: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, quote) {
            ('\\', _) => {
                let next = chars.next().map(unescaped);
                word.get_or_insert_default().extend(next);
            }
            ('"' | '\'', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (c, Some(open)) if c == open => quote = None,
            (c, None) if c.is_whitespace() => all.extend(word.take()),
            ('%', _) => {
                chars.next_if_eq(&'%');
                word.get_or_insert_default().push('%');
            }
            (c, _) => word.get_or_insert_default().push(c),
        }
    }
    all.extend(word);
    all
}

fn unescaped(c: char) -> char {
    match c {
        'n' => '\n',
        't' => '\t',
        'r' => '\r',
        's' => ' ',
        other => other,
    }
}

/// Seconds of a time span: `330`, `5min 30s`, `infinity`; 0 is for ever too.
fn span(text: &str) -> Option<u64> {
    if text == "infinity" {
        return Some(u64::MAX);
    }
    let mut total = 0_u64;
    let mut rest = text.trim();
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (digits, after) = rest.split_at(end);
        let after = after.trim_start();
        let end = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let number: u64 = digits.parse().ok()?;
        let secs = match unit {
            "" | "s" | "sec" | "second" | "seconds" => number,
            "ms" | "msec" => number / 1000,
            "us" | "usec" => 0,
            "m" | "min" | "minute" | "minutes" => number.checked_mul(60)?,
            "h" | "hr" | "hour" | "hours" => number.checked_mul(3600)?,
            "d" | "day" | "days" => number.checked_mul(86_400)?,
            _ => return None,
        };
        total = total.checked_add(secs)?;
        rest = after.trim_start();
    }
    Some(if total == 0 { u64::MAX } else { total })
}

/// What `systemctl show` says of a unit: its answer to [`look`](super::control::Control::look).
pub fn shown(answer: &str) -> BTreeMap<String, String> {
    let pairs = answer.lines().filter_map(|line| line.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_of_time_are_systemds() {
        for (text, secs) in [
            ("330", Some(330)),
            ("5min 30s", Some(330)),
            ("5m30", Some(330)),
            ("1h", Some(3600)),
            ("900ms", Some(u64::MAX)),
            ("infinity", Some(u64::MAX)),
            ("0", Some(u64::MAX)),
            ("soon", None),
            ("5 fortnights", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(span(text), secs, "{text}");
        }
    }

    #[test]
    fn any_word_comes_back_as_it_was() {
        for word in [
            "/opt/a b/openclaw",
            "/x/100% sure/$HOME/it's \"here\"",
            r"back\slash\n",
            "/home/bücher/日本語",
            "a=b c",
            "%%h%",
            "$$",
            "",
        ] {
            for variables in [false, true] {
                let line = format!("\"/bin/x\" {} \"end\"", quoted(word, variables));
                let mut read = words(&line);
                if variables {
                    read = command(&line);
                }
                assert_eq!(read, ["/bin/x", word, "end"], "{line}");
            }
        }
    }

    #[test]
    fn a_unit_of_the_reference_is_read() {
        let unit = "[Unit]\nDescription=x\n[Service]\n# ExecStart=/no\nExecStart=/usr/bin/node \
            --max-old-space-size=2048 \\\n  /opt/openclaw.mjs gateway --port 18789\n\
            Environment=\"OPENCLAW_PROFILE=rescue\" 'A=b c'\nEnvironmentFile=-%h/gateway.env\n\
            Restart=always\nTimeoutStopSec=30\nKillMode=control-group\n\
            [Install]\nWantedBy=default.target\n";
        let written = read(unit);
        assert_eq!(written.command.len(), 6);
        assert_eq!(written.port(), Some(18_789));
        assert_eq!(written.profile(), Some("rescue"));
        assert_eq!(written.env["A"], "b c");
        assert_eq!(written.env_files, ["%h/gateway.env"]);
        assert_eq!(written.stop_timeout_secs, Some(30));
        assert!(written.restarts && written.starts_by_itself && written.is_gateway());
        assert_eq!(read("rubbish\n=\n[Service]\n=x\nExecStart"), Written::default());
    }
}
