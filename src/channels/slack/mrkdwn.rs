//! What people write on Slack, as plain text; the other way is [`crate::channels::text::mrkdwn`].
//!
//! Source: Slack's "Formatting text for app surfaces": links as `<url|label>`, and `&`, `<`, `>`
//! escaped everywhere.

/// What a person wrote, without Slack's marks: links as text, entities as characters, mentions of
/// `me` taken out. The second value says whether `me` was mentioned.
pub fn plain(text: &str, me: Option<&str>) -> (String, bool) {
    let mut out = String::with_capacity(text.len());
    let mut mentioned = false;
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        out.push_str(&unescape(rest.get(..at).unwrap_or_default()));
        let after = rest.get(at.saturating_add(1)..).unwrap_or_default();
        let Some(end) = after.find('>') else {
            rest = rest.get(at..).unwrap_or_default();
            break;
        };
        let mark = after.get(..end).unwrap_or_default();
        rest = after.get(end.saturating_add(1)..).unwrap_or_default();
        let (what, label) = mark.split_once('|').unwrap_or((mark, ""));
        match what.chars().next() {
            Some('@') => {
                let id = what.trim_start_matches('@');
                if me == Some(id) {
                    mentioned = true;
                    // One space, not two, where it stood in the middle.
                    rest = if out.is_empty() { rest.trim_start() } else { rest };
                } else {
                    out.push('@');
                    out.push_str(&unescape(if label.is_empty() { id } else { label }));
                }
            }
            Some('#') => {
                out.push('#');
                let id = what.trim_start_matches('#');
                out.push_str(&unescape(if label.is_empty() { id } else { label }));
            }
            Some('!') => {
                let name = what.trim_start_matches('!');
                let name = if label.is_empty() { name } else { label.trim_start_matches('@') };
                out.push('@');
                out.push_str(&unescape(name));
            }
            _ => {
                let (url, label) = (unescape(what), unescape(label));
                let same = label.is_empty() || url.ends_with(&label);
                out.push_str(&if same { url } else { format!("{label} ({url})") });
            }
        }
    }
    out.push_str(&unescape(rest));
    (out.trim().to_owned(), mentioned)
}

fn unescape(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_loses_its_marks_and_mentions_of_us() {
        let cases = [
            ("<@U1> hello &lt;b&gt;", "hello <b>", true),
            ("hello <@U1>", "hello", true),
            ("ask <@U2|ann> in <#C1|general>", "ask @ann in #general", false),
            ("<!here> look", "@here look", false),
            ("<!subteam^S1|@crew> look", "@crew look", false),
            ("<https://a.example/x>", "https://a.example/x", false),
            ("<https://a.example/x|the page>", "the page (https://a.example/x)", false),
            ("<http://a.example|a.example>", "http://a.example", false),
            ("1 < 2 <", "1 < 2 <", false),
            ("&amp;lt;", "&lt;", false),
        ];
        for (text, want, mentioned) in cases {
            assert_eq!(plain(text, Some("U1")), (want.to_owned(), mentioned), "{text:?}");
        }
    }
}
