//! Markdown as Slack writes it, both ways.
//!
//! Source: Slack's "Formatting text for app surfaces": `*bold*`, `_italic_`, `~strike~`, backticks
//! as they are, links as `<url|label>`, and `&`, `<`, `>` escaped everywhere, code included.

/// Markdown as Slack's `mrkdwn`. Code keeps its words; headings become bold lines.
pub fn render(markdown: &str) -> String {
    let mut out = String::with_capacity(markdown.len().saturating_add(32));
    let mut fence: Option<&str> = None;
    for (number, line) in markdown.split('\n').enumerate() {
        if number > 0 {
            out.push('\n');
        }
        let bare = line.trim_start();
        let mark = ["```", "~~~"].into_iter().find(|mark| bare.starts_with(mark));
        match (fence, mark) {
            (None, Some(mark)) => {
                fence = Some(mark);
                // Slack shows a language as the first line of the code.
                out.push_str("```");
            }
            (Some(open), Some(mark)) if open == mark && bare.trim_end() == mark => {
                fence = None;
                out.push_str("```");
            }
            (Some(_), _) => escape(&mut out, line),
            (None, None) => block(&mut out, line),
        }
    }
    if fence.is_some() {
        out.push_str("\n```");
    }
    out
}

/// One line outside of fences.
fn block(out: &mut String, line: &str) {
    let bare = line.trim_start();
    let indent = line.len().saturating_sub(bare.len());
    let level = bare.bytes().take_while(|byte| *byte == b'#').count();
    if (1..=6).contains(&level)
        && let Some(title) = bare.get(level..).and_then(|rest| rest.strip_prefix(' '))
    {
        let title = title.trim().trim_end_matches('#').trim_end();
        let mut inner = String::new();
        inline(&mut inner, &title.replace("**", ""));
        if !inner.is_empty() {
            out.push('*');
            out.push_str(&inner);
            out.push('*');
        }
        return;
    }
    out.push_str(line.get(..indent).unwrap_or_default());
    if let Some(quoted) = bare.strip_prefix('>') {
        // The only `>` that is markup: it stays bare.
        out.push('>');
        inline(out, quoted);
        return;
    }
    let bullet = ["- ", "* ", "+ "].into_iter().find_map(|mark| bare.strip_prefix(mark));
    match bullet {
        Some(item) => {
            out.push_str("• ");
            inline(out, item);
        }
        None => inline(out, bare),
    }
}

/// The text of one line: spans of code, links, emphasis.
fn inline(out: &mut String, text: &str) {
    let mut rest = text;
    // Which marks are open, so that an unpaired one stays a character.
    let (mut bold, mut strike) = (false, false);
    while let Some(first) = rest.chars().next() {
        if first == '`'
            && let Some((code, after)) = code_span(rest)
        {
            out.push('`');
            escape(out, code);
            out.push('`');
            rest = after;
            continue;
        }
        if first == '\\'
            && let Some(next) = rest.chars().nth(1).filter(char::is_ascii_punctuation)
        {
            escape(out, next.encode_utf8(&mut [0; 4]));
            rest = rest.get(2..).unwrap_or_default();
            continue;
        }
        if matches!(first, '[' | '!')
            && let Some((label, url, after)) = link(rest)
        {
            out.push('<');
            escape(out, &url.replace('|', "%7C"));
            if !label.is_empty() && label != url {
                out.push('|');
                escape(out, &label.replace('|', "¦"));
            }
            out.push('>');
            rest = after;
            continue;
        }
        if let Some(after) = pair(rest, "**", bold).or_else(|| pair(rest, "__", bold)) {
            bold = !bold;
            out.push('*');
            rest = after;
            continue;
        }
        if let Some(after) = pair(rest, "~~", strike) {
            strike = !strike;
            out.push('~');
            rest = after;
            continue;
        }
        if first == '*'
            && let Some((inner, after)) = italic(rest)
        {
            out.push('_');
            inline(out, inner);
            out.push('_');
            rest = after;
            continue;
        }
        escape(out, first.encode_utf8(&mut [0; 4]));
        rest = rest.get(first.len_utf8()..).unwrap_or_default();
    }
}

/// What follows `mark`, if it closes what is open or opens what is closed later.
fn pair<'a>(text: &'a str, mark: &str, open: bool) -> Option<&'a str> {
    let after = text.strip_prefix(mark)?;
    (open || after.find(mark).is_some_and(|at| at > 0)).then_some(after)
}

/// `*inner*` without spaces inside its ends.
fn italic(text: &str) -> Option<(&str, &str)> {
    let after = text.strip_prefix('*')?;
    let end = after.find('*')?;
    let inner = after.get(..end)?;
    let tight = !inner.is_empty() && inner.trim() == inner;
    tight.then_some((inner, after.get(end.saturating_add(1)..)?))
}

/// A span of code behind however many backticks.
fn code_span(text: &str) -> Option<(&str, &str)> {
    let count = text.bytes().take_while(|byte| *byte == b'`').count();
    let mark = text.get(..count)?;
    let after = text.get(count..)?;
    let end = after.find(mark)?;
    let code = after.get(..end)?;
    (!code.is_empty()).then_some((code.trim(), after.get(end.saturating_add(count)..)?))
}

/// `[label](url)` or `![label](url)`, for schemes that a person may follow.
fn link(text: &str) -> Option<(&str, &str, &str)> {
    let after = text.strip_prefix('!').unwrap_or(text).strip_prefix('[')?;
    let (label, after) = after.split_once("](")?;
    let (url, after) = after.split_once(')')?;
    let url = url.split_whitespace().next().unwrap_or_default();
    let known = ["http://", "https://", "mailto:"].iter().any(|scheme| url.starts_with(scheme));
    (known && !label.contains(['[', ']'])).then_some((label, url, after))
}

fn escape(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            c => out.push(c),
        }
    }
}

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
    fn markdown_becomes_mrkdwn() {
        for (markdown, want) in [
            ("plain", "plain"),
            ("**bold** and *slanted* and ~~gone~~", "*bold* and _slanted_ and ~gone~"),
            ("__bold__", "*bold*"),
            ("_slanted_ stays", "_slanted_ stays"),
            ("# Title **x**\ntext", "*Title x*\ntext"),
            ("- one\n  * two", "• one\n  • two"),
            ("> said <so>", "> said &lt;so&gt;"),
            ("a < b && c > d", "a &lt; b &amp;&amp; c &gt; d"),
            ("[here](https://a.example/?x=1&y=2)", "<https://a.example/?x=1&amp;y=2|here>"),
            ("![cat](https://a.example/c.png)", "<https://a.example/c.png|cat>"),
            ("[bad](javascript:alert(1))", "[bad](javascript:alert(1))"),
            ("`a < **b**`", "`a &lt; **b**`"),
            ("``a`b``", "`a`b`"),
            ("2 * 3 * 4 and **open", "2 * 3 * 4 and **open"),
            ("\\*no\\*", "*no*"),
            ("```rust\nlet a = b & c;\n```\nx", "```\nlet a = b &amp; c;\n```\nx"),
            ("```\nopen", "```\nopen\n```"),
        ] {
            assert_eq!(render(markdown), want, "{markdown:?}");
        }
    }

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
