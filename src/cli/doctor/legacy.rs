//! Keys of older versions, and where they stand now (the reference's list, as far as their
//! values are taken over as they are).

use super::finding::Edit;
use crate::config::table::{self, Status, parse_path};
use crate::wire::json5::Step;

/// Old path, new path; without one it was retired.
const KEYS: &[(&str, Option<&str>)] = &[
    ("session.resetByType.dm", Some("session.resetByType.direct")),
    ("tools.message.allowCrossContextSend", Some("tools.message.crossContext")),
    ("gateway.nodes.skills.enabled", Some("gateway.nodes.allowSkills")),
    ("gateway.token", Some("gateway.auth.token")),
    ("gateway.password", Some("gateway.auth.password")),
    ("defaultModel", Some("agents.defaults.model")),
    ("memorySearch", Some("memory.search")),
    ("audit", Some("logging.audit")),
    ("routing.groupChat.historyLimit", Some("messages.groupChat.historyLimit")),
    ("routing.groupChat.mentionPatterns", Some("messages.groupChat.mentionPatterns")),
    ("agents.defaults.llm", None),
    ("browser.relayBindHost", None),
    ("commands.modelsWrite", None),
    ("gateway.controlUi.chatMessageMaxWidth", None),
    ("tools.media.asyncCompletion", None),
    ("tui", None),
];

/// Keys of a channel or an account that stand elsewhere in it now.
fn of_channel(path: &str) -> Option<Edit> {
    let steps = parse_path(path)?;
    if steps.first() != Some(&Step::Key("channels".to_owned())) {
        return None;
    }
    let (at, name) = path.rsplit_once('.')?;
    if name == "streaming" {
        return Some(Edit::Nest(path.to_owned(), "mode"));
    }
    let row = table::lookup(&steps)?;
    let to = (row.status == Status::Moved).then_some(row.advice)?;
    Some(Edit::Move(path.to_owned(), format!("{at}.{to}")))
}

/// What becomes of a key that is none (any more).
pub fn edit(path: &str) -> Option<Edit> {
    if let Some(edit) = of_channel(path) {
        return Some(edit);
    }
    let (old, new) = KEYS.iter().find(|(old, _)| *old == path)?;
    Some(match new {
        Some(new) => Edit::Move((*old).to_owned(), (*new).to_owned()),
        None => Edit::Remove((*old).to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::table::{lookup, parse_path};

    #[test]
    fn every_new_place_is_one() {
        for (old, new) in KEYS {
            if let Some(new) = new {
                assert!(lookup(&parse_path(new).unwrap()).is_some(), "{old} -> {new}");
            }
            let old_path = parse_path(old).unwrap();
            let open = lookup(&old_path).is_some_and(|key| key.pattern == *old);
            assert!(!open, "{old} is a key");
        }
    }
}
