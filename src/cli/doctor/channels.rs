//! Messages that channels gave up.

use std::collections::BTreeMap;

use super::finding::{Finding, Severity};
use super::here::Here;
use crate::gateway::dead_letters;
use crate::limits;

const LETTERS: &str = "core/doctor/channel-dead-letters";

/// `core/doctor/channel-dead-letters`.
pub fn check(here: &Here<'_>) -> Vec<Finding> {
    let path = dead_letters::path(&here.paths.state_dir);
    let shown = path.display().to_string();
    let bytes = match super::super::place::read_capped(&path, 2 * limits::DEAD_LETTERS_BYTES) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => {
            let message = format!("messages that were given up cannot be read: {error}");
            let found = Finding::new(LETTERS, Severity::Error, message);
            return vec![found.at(&shown).hint(format!("ls -l {shown}"))];
        }
    };
    let mut by_account: BTreeMap<(String, String), usize> = BTreeMap::new();
    for letter in dead_letters::read(&bytes) {
        *by_account.entry((letter.channel_id, letter.account_id)).or_default() += 1;
    }
    let say = |((channel, account), count): ((String, String), usize)| {
        let what = match count {
            1 => format!("{channel}/{account}: a message was given up"),
            count => format!("{channel}/{account}: {count} messages were given up"),
        };
        let list = format!("channels dead-letters list --channel {channel} --account {account}");
        Finding::new(LETTERS, Severity::Warning, what).at(&shown).hint(here.command(&list))
    };
    by_account.into_iter().map(say).collect()
}
