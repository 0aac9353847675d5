//! Which of the reference's actions of `message` a channel has.

use super::Kind;

/// Actions that every channel has: what only sends.
pub const SENDING: [&str; 5] = ["send", "reply", "sendAttachment", "upload-file", "thread-reply"];

/// Actions by channel, beside [`SENDING`].
const ACTIONS: [(&str, &[&str]); 4] = [
    (
        "discord",
        &[
            "poll",
            "react",
            "reactions",
            "read",
            "edit",
            "delete",
            "unsend",
            "pin",
            "unpin",
            "list-pins",
            "thread-create",
            "thread-list",
            "search",
            "sticker",
            "member-info",
            "role-info",
            "role-add",
            "role-remove",
            "emoji-list",
            "channel-info",
            "channel-list",
            "channel-create",
            "channel-edit",
            "channel-delete",
            "category-create",
            "category-edit",
            "category-delete",
            "voice-status",
            "event-list",
            "event-create",
            "timeout",
            "kick",
            "ban",
            // Ours, for `channels resolve` and `directory`.
            "guild-list",
            "member-search",
        ],
    ),
    ("irc", &[]),
    (
        "slack",
        &[
            "react",
            "reactions",
            "read",
            "edit",
            "delete",
            "unsend",
            "pin",
            "unpin",
            "list-pins",
            "member-info",
            "emoji-list",
            "channel-info",
            "channel-list",
            "kick",
            "member-list",
            "group-members",
        ],
    ),
    (
        "telegram",
        &[
            "poll",
            "react",
            "edit",
            "delete",
            "unsend",
            "pin",
            "unpin",
            "sticker",
            "topic-create",
            "thread-create",
            "topic-edit",
            "channel-info",
            "member-info",
            "timeout",
            "kick",
            "ban",
        ],
    ),
];

/// The actions of a channel, those that send first.
pub fn of(kind: &Kind) -> Vec<&'static str> {
    let own = ACTIONS.iter().find(|(id, _)| *id == kind.id).map(|(_, own)| *own);
    SENDING.iter().chain(own.unwrap_or_default()).copied().collect()
}

/// Whether a channel has an action; what it has instead when not.
///
/// # Errors
/// The sentence for who asked.
pub fn check(kind: &Kind, action: &str) -> Result<(), String> {
    let own = of(kind);
    if own.contains(&action) {
        return Ok(());
    }
    let shown: String = action.chars().take(40).collect();
    Err(format!(
        "{} cannot do \"{shown}\"; it can: {} (openclaw channels capabilities)",
        kind.label,
        own.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channels::{Address, KINDS};
    use serde_json::json;

    #[test]
    fn every_action_makes_a_call_and_no_other_does() {
        let params = json!({
            "to": "1234567890123456", "channelId": "1234567890123456", "messageId": "7:5",
            "guildId": "22", "userId": "33", "roleId": "44", "query": "x y", "name": "n",
            "threadName": "t", "threadId": "9", "stickerId": "55", "eventName": "e",
            "startTime": "2026-12-01T10:00:00Z", "endTime": "2026-12-01T11:00:00Z",
            "location": "l", "categoryId": "66", "eventType": "external",
        });
        let direct = ["poll", "react", "edit", "delete", "unsend"];
        for kind in KINDS {
            for action in of(kind) {
                if SENDING.contains(&action) || direct.contains(&action) {
                    continue;
                }
                let mut params = params.clone();
                if kind.id == "discord" {
                    params["messageId"] = json!("77");
                }
                let made = match kind.id {
                    "discord" => crate::channels::discord::is_call(action, &params),
                    "slack" => crate::channels::slack::is_call(action, &params),
                    _ => crate::channels::telegram::is_call(action, &params),
                };
                assert_eq!(made, Ok(()), "{} {action}", kind.id);
            }
            let error = check(kind, "set-presence").unwrap_err();
            assert!(error.contains("it can: send, reply"), "{error}");
        }
        let _ = Address::default();
    }
}
