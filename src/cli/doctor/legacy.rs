//! Keys of older versions, and where they stand now (the reference's list, as far as their
//! values are taken over as they are).

use super::finding::Edit;

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

/// What becomes of a key that is none (any more).
pub fn edit(path: &str) -> Option<Edit> {
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
