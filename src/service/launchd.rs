//! Property lists of launchd: written, and read back far enough to be held against what they
//! should say.
//!
//! launchd expands nothing inside a string, so XML's own five characters are all that must be
//! escaped. Its standard error goes to a file in the state directory, where the reason of a
//! failed start stands; the log of a running gateway is the gateway's own file.

use std::fmt::Write as _;

use super::{Service, Written};

/// Where commands are found; launchd itself gives less.
const PATH: &str = "/opt/homebrew/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin";

/// The property list.
pub fn text(service: &Service) -> String {
    let label = service.manager.name(service.profile.as_deref());
    let mut out = String::with_capacity(2048);
    let _ = write!(
        out,
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \
         \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n\
         <!-- Written by `openclaw gateway install`. No secret belongs here: the\n     \
         configuration and .env of the state directory hold them. -->\n\
         <plist version=\"1.0\">\n\
         <dict>\n  \
         <key>Label</key>\n  <string>{}</string>\n  \
         <key>Comment</key>\n  <string>{}</string>\n  \
         <key>ProgramArguments</key>\n  <array>\n    <string>{}</string>\n",
        escaped(&label),
        escaped(&service.description()),
        escaped(&service.program),
    );
    for word in service.words() {
        let _ = writeln!(out, "    <string>{}</string>", escaped(&word));
    }
    let _ = write!(
        out,
        "  </array>\n  \
         <key>RunAtLoad</key>\n  <true/>\n  \
         <key>KeepAlive</key>\n  <true/>\n  \
         <key>ThrottleInterval</key>\n  <integer>10</integer>\n  \
         <key>ExitTimeOut</key>\n  <integer>{}</integer>\n  \
         <key>ProcessType</key>\n  <string>Interactive</string>\n  \
         <key>Umask</key>\n  <integer>63</integer>\n  \
         <key>StandardOutPath</key>\n  <string>/dev/null</string>\n  \
         <key>StandardErrorPath</key>\n  <string>{}/logs/gateway.err.log</string>\n  \
         <key>EnvironmentVariables</key>\n  <dict>\n",
        service.budget.stop_timeout_secs(),
        escaped(&service.state_dir),
    );
    let mut env = service.environment();
    env.entry("PATH".to_owned()).or_insert_with(|| PATH.to_owned());
    for (name, value) in env {
        let _ = writeln!(out, "    <key>{}</key>", escaped(&name));
        let _ = writeln!(out, "    <string>{}</string>", escaped(&value));
    }
    out.push_str("  </dict>\n</dict>\n</plist>\n");
    out
}

/// XML text.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            c => out.push(c),
        }
    }
    out
}

pub(super) fn unescaped(text: &str) -> String {
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&apos;", "'")
        .replace("&amp;", "&")
}

/// One piece of a property list.
#[derive(Debug, PartialEq, Eq)]
enum Piece {
    Key(String),
    Text(String),
    Flag(bool),
    Open,
    Close,
}

/// Reads a property list in XML; a binary one says nothing.
pub fn read(text: &str) -> Written {
    let mut written = Written::default();
    let mut depth = 0_u32;
    let (mut outer, mut inner) = (String::new(), String::new());
    for piece in pieces(text) {
        match piece {
            Piece::Open => depth = depth.saturating_add(1),
            Piece::Close => depth = depth.saturating_sub(1),
            Piece::Key(key) if depth <= 1 => outer = key,
            Piece::Key(key) => inner = key,
            Piece::Flag(flag) if depth <= 1 && outer == "KeepAlive" => written.restarts = flag,
            Piece::Flag(flag) if depth <= 1 && outer == "RunAtLoad" => {
                written.starts_by_itself = flag;
            }
            Piece::Flag(_) => {}
            Piece::Text(text) => match outer.as_str() {
                "ProgramArguments" if depth == 2 => written.command.push(text),
                "EnvironmentVariables" if depth == 2 && !inner.is_empty() => {
                    written.env.insert(std::mem::take(&mut inner), text);
                }
                "ExitTimeOut" => {
                    let secs = text.trim().parse().ok();
                    written.stop_timeout_secs =
                        secs.map(|secs: u64| if secs == 0 { u64::MAX } else { secs });
                }
                "UserName" => written.account = Some(text),
                _ => {}
            },
        }
    }
    written
}

/// Cuts the text at its elements; whatever is no element of a property list is passed over.
fn pieces(text: &str) -> Vec<Piece> {
    let mut all = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        let after = rest.get(at + 1..).unwrap_or_default();
        if let Some(comment) = after.strip_prefix("!--") {
            rest = comment.split_once("-->").map_or("", |(_, rest)| rest);
            continue;
        }
        let Some((tag, body)) = after.split_once('>') else { break };
        rest = body;
        let close = format!("</{tag}>");
        match tag.trim() {
            "dict" | "array" => all.push(Piece::Open),
            "/dict" | "/array" => all.push(Piece::Close),
            "true/" => all.push(Piece::Flag(true)),
            "false/" => all.push(Piece::Flag(false)),
            "key" | "string" | "integer" => {
                let Some((inside, after)) = body.split_once(close.as_str()) else { break };
                let inside = unescaped(inside);
                all.push(if tag == "key" { Piece::Key(inside) } else { Piece::Text(inside) });
                rest = after;
            }
            _ => {}
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_lists_are_read_as_far_as_they_go() {
        for text in ["", "<", "<dict", "<key>Label", "<string>a</string>", "bplist00\u{1}"] {
            assert_eq!(read(text), Written::default(), "{text}");
        }
        let text = "<plist><dict><key>KeepAlive</key><true/><key>ProgramArguments</key>\
            <array><string>/a &amp; b</string><string>gateway</string></array></dict></plist>";
        let written = read(text);
        assert_eq!(written.command, ["/a & b", "gateway"]);
        assert!(written.restarts && !written.starts_by_itself);
    }

    #[test]
    fn a_policy_is_no_plain_yes() {
        let text =
            "<dict><key>KeepAlive</key><dict><key>SuccessfulExit</key><false/></dict></dict>";
        assert!(!read(text).restarts);
    }
}
