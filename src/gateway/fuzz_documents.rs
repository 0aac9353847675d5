//! The documents of the state directory as somebody else left them: damaged, half written, from
//! another version. Whatever they hold, the gateway starts; it believes nothing that it cannot
//! read, and what it writes on leaving it can read again.

use super::fuzz::{Memory, boot};
use crate::config::AuthMode;
use crate::driver::{Core, Effects, Input, Now, Signal, Time};
use crate::store::Disk;
use std::path::Path;

const DOCUMENTS: [&str; 8] = [
    "devices/paired.json",
    "devices/pending.json",
    "devices/bootstrap.json",
    "nodes.json",
    "cron/jobs.json",
    "exec-approvals.json",
    "voicewake.json",
    "agents/main/sessions/sessions.json",
];

/// The first byte picks the document, the rest is in it.
pub fn fuzz(data: &[u8]) {
    let Some((first, content)) = data.split_first() else { return };
    let name = DOCUMENTS[usize::from(*first) % DOCUMENTS.len()];
    let mut disk = Memory::default();
    let _ = disk.replace(&Path::new("/state").join(name), content);
    // Now, and years later: what had a time in it is long over.
    for wall_ms in [1_795_000_000_000, 1_895_000_000_000] {
        let now = Now { time: Time(1), wall_ms };
        let mut gateway = boot(0, AuthMode::Token, &disk, now);
        let mut fx = Effects::new();
        let later = Now { time: Time(1).after_ms(3_600_000), wall_ms: wall_ms + 3_600_000 };
        gateway.on(later, Input::Wake, &mut fx);
        gateway.on(later, Input::Signal(Signal::Terminate), &mut fx);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_document_may_hold_anything() {
        for first in 0..DOCUMENTS.len() as u8 {
            for text in ["", "{", "[]", "{}", "null", "{\"version\":1,\"jobs\":[{}]}", "\u{feff}{}"]
            {
                fuzz(&[&[first], text.as_bytes()].concat());
            }
        }
    }
}
