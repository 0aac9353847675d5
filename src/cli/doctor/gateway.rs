//! The gateway itself: who has its port, does it answer, is it of this version.

use std::net::SocketAddr;
use std::time::Duration;

use super::super::client::{PROBE, Target, Trouble};
use super::super::port::{self, Holder};
use super::super::probing;
use super::finding::{Finding, Severity};
use super::here::Here;
use crate::limits;

const HEALTH: &str = "core/doctor/gateway-health";

/// What a look at it came to.
struct Seen {
    /// Its version, or why it did not answer.
    answer: Result<Option<String>, Trouble>,
    /// The process that has our state directory.
    holder: Option<u32>,
    /// Whoever has the port.
    port: Vec<Holder>,
    /// Of this machine.
    local: bool,
    /// Its address.
    shown: String,
    /// The command that looks further.
    status: String,
}

/// `core/doctor/gateway-health`.
pub fn check(here: &Here<'_>) -> Vec<Finding> {
    let Ok(loaded) = &here.loaded else { return Vec::new() };
    let target = match Target::configured(here.args, &here.paths, loaded) {
        Ok(target) => target,
        Err(failed) => {
            let found = Finding::new(HEALTH, Severity::Error, failed.what);
            return vec![found.hint(failed.next)];
        }
    };
    let quick = Duration::from_millis(limits::DOCTOR_PROBE_MS);
    let answer = probing::look(&target, PROBE, &[], quick).map(|seen| seen.version());
    let nobody = answer.is_ok() || !target.local;
    let wanted = || Some(SocketAddr::new(target.url.host.parse().ok()?, target.url.port));
    let port = if nobody { Vec::new() } else { wanted().map(port::holders).unwrap_or_default() };
    judge(&Seen {
        answer,
        holder: here.holder,
        port,
        local: target.local,
        shown: target.shown(),
        status: here.command("gateway status --deep"),
    })
}

fn judge(seen: &Seen) -> Vec<Finding> {
    let Seen { holder, port, local, shown, status, .. } = seen;
    let say = |severity, message: String, hint: &str| {
        vec![Finding::new(HEALTH, severity, message).at(shown.as_str()).hint(hint)]
    };
    match (&seen.answer, holder) {
        (Ok(version), _) => {
            let ours = env!("CARGO_PKG_VERSION");
            match version.as_deref().filter(|it| *it != ours && !it.starts_with(ours)) {
                Some(other) if *local && holder.is_some() => say(
                    Severity::Warning,
                    format!("the running gateway is {other}, this program is {ours}."),
                    "openclaw gateway restart",
                ),
                _ => Vec::new(),
            }
        }
        (Err(Trouble::Refused { message, .. }), _) => {
            say(Severity::Error, format!("the gateway refused us: {message}"), status)
        }
        (Err(trouble), Some(pid)) => say(
            Severity::Error,
            format!("pid {pid} has the state directory, but {}.", trouble.short()),
            status,
        ),
        (Err(_), None) if !port.is_empty() => {
            let who: Vec<String> = port.iter().map(Holder::to_string).collect();
            say(
                Severity::Error,
                format!("the port is held by another program: {}.", who.join(", ")),
                "openclaw config set gateway.port <a free one>, or end that program",
            )
        }
        (Err(_), None) if *local => {
            say(Severity::Info, "no gateway is running.".to_owned(), "openclaw gateway")
        }
        (Err(trouble), None) => say(
            Severity::Error,
            format!("the remote gateway does not answer: {}.", trouble.short()),
            "check gateway.remote.url and the tunnel, then: openclaw gateway status",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(answer: Result<Option<String>, Trouble>, holder: Option<u32>) -> Seen {
        Seen {
            answer,
            holder,
            port: Vec::new(),
            local: true,
            shown: "ws://127.0.0.1:1".to_owned(),
            status: "openclaw gateway status --deep".to_owned(),
        }
    }

    #[test]
    fn each_state_of_a_gateway_has_its_sentence() {
        let nobody = || Err(Trouble::NoGateway("refused".to_owned()));
        assert_eq!(judge(&seen(Ok(Some(env!("CARGO_PKG_VERSION").to_owned())), Some(7))), []);
        let old = judge(&seen(Ok(Some("0.0.1".to_owned())), Some(7)));
        assert!(old[0].message.contains("0.0.1"), "{old:?}");
        let idle = judge(&seen(nobody(), None));
        assert_eq!(
            (idle[0].severity, idle[0].message.as_str()),
            (Severity::Info, "no gateway is running.")
        );
        let stuck = judge(&seen(nobody(), Some(7)));
        assert!(stuck[0].message.starts_with("pid 7 has the state directory"), "{stuck:?}");
        let holder = Holder { pid: Some(9), uid: 1, name: "nginx".to_owned(), inode: 1 };
        let taken = judge(&Seen { port: vec![holder], ..seen(nobody(), None) });
        assert!(taken[0].message.contains("nginx (pid 9"), "{taken:?}");
        let far = judge(&Seen { local: false, ..seen(nobody(), None) });
        assert!(far[0].severity == Severity::Error && far[0].hint.contains("tunnel"), "{far:?}");
    }
}
