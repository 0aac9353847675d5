//! Windows: `gateway.cmd` in the state directory starts the gateway; a Scheduled Task starts
//! `gateway.cmd` at log-on. Where creating the task is denied, a launcher in the user's Startup
//! folder points at the same `gateway.cmd`.
//!
//! `cmd.exe` puts a variable in place of `%NAME%` also inside quotes: `%` is doubled. A quote
//! cannot be escaped and is refused before. Delayed expansion is switched off, so `!` is itself.

use std::fmt::Write as _;

use super::launchd::escaped;
use super::{EXIT_CONFIG, Manager, RESTART_SECS, Service, Written};

/// Where `gateway.cmd` lies.
pub fn script_place(state_dir: &str) -> String {
    format!("{}\\gateway.cmd", state_dir.trim_end_matches(['\\', '/']))
}

/// Where the launcher lies: the Startup folder of an `%APPDATA%`.
pub fn startup_place(app_data: &str, profile: Option<&str>) -> String {
    format!(
        "{}\\Microsoft\\Windows\\Start Menu\\Programs\\Startup\\{}.cmd",
        app_data.trim_end_matches(['\\', '/']),
        Manager::ScheduledTask.name(profile)
    )
}

/// `gateway.cmd`: its own loop starts the gateway anew when it ends, as the other systems do;
/// a configuration that forbids the start ends the loop.
pub fn script(service: &Service) -> String {
    let mut out = String::with_capacity(1024);
    let line = |out: &mut String, text: &str| {
        out.push_str(text);
        out.push_str("\r\n");
    };
    line(&mut out, "@echo off");
    line(&mut out, "setlocal EnableExtensions DisableDelayedExpansion");
    line(&mut out, "rem Written by: openclaw gateway install");
    line(&mut out, "rem No secret belongs here: openclaw.json and .env hold them.");
    line(&mut out, "chcp 65001 >nul");
    for (name, value) in service.environment() {
        line(&mut out, &format!("set \"{}={}\"", batch(&name), batch(&value)));
    }
    line(&mut out, ":again");
    let mut start = format!("\"{}\"", batch(&service.program));
    for word in service.words() {
        let _ = write!(start, " {}", batch(&word));
    }
    line(&mut out, &start);
    line(&mut out, &format!("if %ERRORLEVEL% EQU {EXIT_CONFIG} exit /b {EXIT_CONFIG}"));
    line(&mut out, &format!("timeout /t {RESTART_SECS} /nobreak >nul"));
    line(&mut out, "goto again");
    out
}

/// The launcher of the Startup folder.
pub fn startup(service: &Service) -> String {
    format!(
        "@echo off\r\nrem Written by: openclaw gateway install\r\nchcp 65001 >nul\r\n\
         start \"\" /min cmd.exe /d /c \"\"{}\"\"\r\n",
        batch(&script_place(&service.state_dir))
    )
}

/// The task, for `schtasks /Create /XML`; to be written as UTF-16 with a byte order mark, which
/// is what that command reads.
pub fn task(service: &Service) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-16\"?>\r\n\
         <Task version=\"1.2\" \
         xmlns=\"http://schemas.microsoft.com/windows/2004/02/mit/task\">\r\n  \
         <RegistrationInfo><Description>{}</Description></RegistrationInfo>\r\n  \
         <Triggers><LogonTrigger><Enabled>true</Enabled></LogonTrigger></Triggers>\r\n  \
         <Principals><Principal id=\"Author\"><LogonType>InteractiveToken</LogonType>\
         <RunLevel>LeastPrivilege</RunLevel></Principal></Principals>\r\n  \
         <Settings>\r\n    \
         <MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>\r\n    \
         <DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries>\r\n    \
         <StopIfGoingOnBatteries>false</StopIfGoingOnBatteries>\r\n    \
         <ExecutionTimeLimit>PT0S</ExecutionTimeLimit>\r\n    \
         <RestartOnFailure><Interval>PT1M</Interval><Count>999</Count></RestartOnFailure>\r\n  \
         </Settings>\r\n  \
         <Actions Context=\"Author\"><Exec><Command>cmd.exe</Command>\
         <Arguments>/d /c \"\"{}\"\"</Arguments></Exec></Actions>\r\n\
         </Task>\r\n",
        escaped(&service.description()),
        escaped(&script_place(&service.state_dir)),
    )
}

/// Inside quotes of a batch file.
fn batch(text: &str) -> String {
    text.replace('%', "%%")
}

/// Reads a `gateway.cmd`, ours or the reference's.
pub fn read(text: &str) -> Written {
    let mut written = Written::default();
    for line in text.lines().map(str::trim) {
        let lower = line.to_ascii_lowercase();
        if let Some(rest) = line.get(4..).filter(|_| lower.starts_with("set ")) {
            let rest = rest.trim().trim_matches('"');
            if let Some((name, value)) = rest.split_once('=') {
                written.env.insert(name.replace("%%", "%"), value.replace("%%", "%"));
            }
        } else if lower == "goto again" {
            written.restarts = true;
        } else if !["@echo", "rem ", "::", ":", "chcp", "setlocal", "cd ", "if ", "timeout", "exit"]
            .iter()
            .any(|head| lower.starts_with(head))
            && !line.is_empty()
        {
            written.command = words(line);
        }
    }
    // The task or the launcher starts it; the text of `gateway.cmd` says nothing of them.
    written.starts_by_itself = !written.command.is_empty();
    written
}

fn words(line: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut word = String::new();
    let (mut inside, mut any) = (false, false);
    for c in line.chars() {
        match c {
            '"' => {
                inside = !inside;
                any = true;
            }
            c if c.is_whitespace() && !inside => {
                if any {
                    all.push(std::mem::take(&mut word).replace("%%", "%"));
                }
                any = false;
            }
            c => {
                word.push(c);
                any = true;
            }
        }
    }
    if any {
        all.push(word.replace("%%", "%"));
    }
    all
}

/// UTF-16, little endian, with a byte order mark.
pub fn utf16(text: &str) -> Vec<u8> {
    let units = std::iter::once(0xfeff).chain(text.encode_utf16());
    units.flat_map(u16::to_le_bytes).collect()
}
