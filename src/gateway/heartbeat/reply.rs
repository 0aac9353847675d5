//! What a model answers a heartbeat: that nothing needs attention, or something to tell. And
//! whether a HEARTBEAT.md asks for anything.

/// The word that acknowledges, at the beginning or the end of an answer.
const OK: &str = "HEARTBEAT_OK";
/// The newer word, which must stand alone.
const SILENT: &str = "NO_REPLY";
/// Marks that models put around a word.
const MARKUP: [char; 4] = ['*', '`', '~', '_'];

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reply {
    /// There is none.
    Empty,
    /// Nothing needs attention.
    Ok,
    /// This is to be told.
    Say(String),
}

impl Reply {
    /// Reads an answer. Beside [`OK`] at its beginning or end it may have `ack_max_chars` other
    /// characters and still says that nothing needs attention; with more it is told without the
    /// word. In the middle the word means nothing.
    pub(super) fn read(text: &str, ack_max_chars: usize) -> Self {
        let text = text.trim();
        let bare = text.trim_matches(MARKUP).trim();
        if bare.is_empty() {
            return Self::Empty;
        }
        if bare == SILENT {
            return Self::Ok;
        }
        match without_ok(text).or_else(|| without_ok(bare)) {
            None => Self::Say(text.to_owned()),
            Some(rest) if rest.chars().count() <= ack_max_chars => Self::Ok,
            Some(rest) => Self::Say(rest.to_owned()),
        }
    }
}

/// What is left of a text that begins or ends with the word; `None` for any other. Up to four
/// signs may follow the word at the end (`HEARTBEAT_OK.`).
fn without_ok(text: &str) -> Option<&str> {
    let (mut rest, mut found) = (text.trim(), false);
    loop {
        let signs = rest.chars().rev().take_while(|c| !c.is_alphanumeric() && *c != '_').count();
        let bare = rest.trim_end_matches(|c: char| !c.is_alphanumeric() && c != '_');
        let before = rest.strip_prefix(OK).filter(|after| !goes_on(after.chars().next()));
        let after = bare
            .strip_suffix(OK)
            .filter(|before| signs <= 4 && !goes_on(before.chars().next_back()));
        let Some(left) = before.or(after) else { break };
        rest = left.trim();
        found = true;
    }
    // What is left of `HEARTBEAT_OK.` says nothing either.
    let only_signs = rest.chars().all(|c| !c.is_alphanumeric()) && rest.chars().count() <= 4;
    found.then_some(if only_signs { "" } else { rest })
}

/// Whether a neighbour makes a longer word of it.
fn goes_on(neighbour: Option<char>) -> bool {
    neighbour.is_some_and(|c| c.is_alphanumeric() || c == '_')
}

/// Whether a HEARTBEAT.md asks for nothing: blank lines, headings, comments, empty list items and
/// fences only. A file that is not there is no such file.
pub(super) fn asks_nothing(text: &str) -> bool {
    let mut in_comment = false;
    text.lines().all(|line| {
        let line = line.trim();
        if in_comment || line.starts_with("<!--") {
            let end = line.split_once("-->");
            in_comment = end.is_none();
            return end.is_none_or(|(_, after)| after.trim().is_empty());
        }
        let heading = line.trim_start_matches('#');
        let fence = line.strip_prefix("```");
        line.is_empty()
            || heading.len() < line.len() && (heading.is_empty() || heading.starts_with(' '))
            || fence.is_some_and(|word| !word.contains(|c: char| !goes_on(Some(c)) && c != '-'))
            || is_empty_item(line)
    })
}

/// `-`, `* [ ]`, `+ [x]`: a list item without a word.
fn is_empty_item(line: &str) -> bool {
    let Some(rest) = line.strip_prefix(['-', '*', '+']) else { return false };
    matches!(rest.trim(), "" | "[]" | "[ ]" | "[x]" | "[X]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_acknowledges_at_either_end() {
        let long = "x".repeat(301);
        let said = |text: &str| Reply::Say(text.to_owned());
        let table = [
            ("", Reply::Empty),
            (" \n", Reply::Empty),
            ("**", Reply::Empty),
            ("HEARTBEAT_OK", Reply::Ok),
            ("HEARTBEAT_OK.", Reply::Ok),
            ("**HEARTBEAT_OK**", Reply::Ok),
            ("`HEARTBEAT_OK`!", Reply::Ok),
            ("HEARTBEAT_OK HEARTBEAT_OK", Reply::Ok),
            ("All quiet. HEARTBEAT_OK", Reply::Ok),
            ("HEARTBEAT_OK all quiet", Reply::Ok),
            ("NO_REPLY", Reply::Ok),
            ("NO_REPLY, but the oven is on", said("NO_REPLY, but the oven is on")),
            ("The oven is on", said("The oven is on")),
            ("I say HEARTBEAT_OK when", said("I say HEARTBEAT_OK when")),
            ("HEARTBEAT_OKAY", said("HEARTBEAT_OKAY")),
            ("NOT_HEARTBEAT_OK", said("NOT_HEARTBEAT_OK")),
        ];
        for (text, want) in table {
            assert_eq!(Reply::read(text, 300), want, "{text}");
        }
        assert_eq!(Reply::read(&format!("HEARTBEAT_OK {long}"), 300), said(&long));
        assert_eq!(Reply::read(&format!("{long} HEARTBEAT_OK"), 301), Reply::Ok);
        assert_eq!(Reply::read("ü HEARTBEAT_OK", 0), said("ü"));
        assert_eq!(Reply::read("HEARTBEAT_OK", 0), Reply::Ok);
    }

    #[test]
    fn a_file_of_headings_asks_nothing() {
        for text in [
            "",
            "# Heartbeat\n\n##\n",
            "<!-- a comment\nover lines -->\n- [ ]\n* \n+ [x]\n",
            "```md\n```\n",
        ] {
            assert!(asks_nothing(text), "{text:?}");
        }
        for text in ["- [ ] mail", "#tag", "look at the mail", "<!-- no --> mail", "--- x"] {
            assert!(!asks_nothing(text), "{text:?}");
        }
    }
}
