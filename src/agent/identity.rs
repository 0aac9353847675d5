//! How an agent shows itself: what the configuration says, then `IDENTITY.md`.

use crate::config::Identity;

/// Longest value taken over, in characters; a portrait as `data:` address may be longer.
const VALUE: usize = 200;

/// Reads `- Name: value` lines, with or without list marks and emphasis. What stands in brackets
/// or underscores is a hint of the form, not a value.
pub fn parse(text: &str) -> Identity {
    let mut found = Identity::default();
    for line in text.lines() {
        let line = line.trim().trim_start_matches(['-', '*', '+', ' ']);
        let Some((label, value)) = line.split_once(':') else { continue };
        let label = label.trim().trim_matches(['*', '_', '`']).to_ascii_lowercase();
        let value = value.trim().trim_matches(['*', '`', ' ']);
        let hint = value.is_empty() || value.starts_with(['(', '_', '[', '<']);
        if hint || value.chars().count() > VALUE || value.contains(char::is_control) {
            continue;
        }
        let place = match label.as_str() {
            "name" => &mut found.name,
            "vibe" | "theme" => &mut found.theme,
            "emoji" => &mut found.emoji,
            "avatar" => &mut found.avatar,
            _ => continue,
        };
        place.get_or_insert_with(|| value.to_owned());
    }
    found
}

/// Each part of the first, else of the second.
pub fn merge(first: &Identity, second: Identity) -> Identity {
    Identity {
        name: first.name.clone().or(second.name),
        theme: first.theme.clone().or(second.theme),
        emoji: first.emoji.clone().or(second.emoji),
        avatar: first.avatar.clone().or(second.avatar),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_form_are_read_and_hints_are_not() {
        let text = "# Identity\n\n- **Name:** Clawd\n- Creature: lobster\n* Vibe : _(how?)_\n\
                    - Emoji: 🦞\n- Avatar: avatars/a.png\n- Name: second\nhttps://x\n";
        let found = parse(text);
        assert_eq!(found.name.as_deref(), Some("Clawd"));
        assert_eq!(found.emoji.as_deref(), Some("🦞"));
        assert_eq!(found.avatar.as_deref(), Some("avatars/a.png"));
        assert_eq!(found.theme, None);
        let seed = super::super::workspace::find("IDENTITY.md").unwrap().first;
        assert_eq!(parse(seed), Identity::default());
        let own = Identity { name: Some("N".to_owned()), ..Identity::default() };
        let merged = merge(&own, found);
        assert_eq!((merged.name.as_deref(), merged.emoji.as_deref()), (Some("N"), Some("🦞")));
    }
}
