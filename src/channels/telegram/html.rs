//! Markdown as the HTML that Telegram takes.
//!
//! Source: Bot API, "Formatting options", HTML style: `b`, `i`, `s`, `code`, `pre`, `a`,
//! `blockquote`; everything else is text with `&`, `<`, `>` escaped. What is written is always
//! balanced, so no reader of it can be confused.

/// Markdown as HTML.
pub fn render(markdown: &str) -> String {
    let mut out = String::with_capacity(markdown.len().saturating_add(64));
    let mut lines = markdown.split('\n').peekable();
    let mut first = true;
    while let Some(line) = lines.next() {
        if !std::mem::take(&mut first) {
            out.push('\n');
        }
        let bare = line.trim_start();
        if let Some(mark) = ["```", "~~~"].into_iter().find(|mark| bare.starts_with(mark)) {
            let language = bare.trim_start_matches(['`', '~']).trim();
            let ends = |line: &&str| line.trim() == mark;
            let mut code = Vec::new();
            for line in lines.by_ref() {
                if ends(&line) {
                    break;
                }
                code.push(line);
            }
            fence(&mut out, language, &code.join("\n"));
        } else if bare.starts_with('>') {
            let mut quoted = vec![quoted(bare)];
            while let Some(next) = lines.next_if(|next| next.trim_start().starts_with('>')) {
                quoted.push(self::quoted(next.trim_start()));
            }
            out.push_str("<blockquote>");
            inline(&mut out, &quoted.join("\n"));
            out.push_str("</blockquote>");
        } else {
            block(&mut out, line);
        }
    }
    out
}

fn quoted(line: &str) -> &str {
    let line = line.trim_start_matches('>');
    line.strip_prefix(' ').unwrap_or(line)
}

fn fence(out: &mut String, language: &str, code: &str) {
    let known = |c: char| c.is_ascii_alphanumeric() || "+-#_.".contains(c);
    if !language.is_empty() && language.chars().all(known) {
        out.push_str("<pre><code class=\"language-");
        out.push_str(language);
        out.push_str("\">");
        escape(out, code);
        out.push_str("</code></pre>");
    } else {
        out.push_str("<pre>");
        escape(out, code);
        out.push_str("</pre>");
    }
}

fn block(out: &mut String, line: &str) {
    let bare = line.trim_start();
    let indent = line.len().saturating_sub(bare.len());
    let level = bare.bytes().take_while(|byte| *byte == b'#').count();
    if (1..=6).contains(&level)
        && let Some(title) = bare.get(level..).and_then(|rest| rest.strip_prefix(' '))
    {
        let title = title.trim().trim_end_matches('#').trim_end();
        if !title.is_empty() {
            out.push_str("<b>");
            inline(out, &title.replace("**", ""));
            out.push_str("</b>");
        }
        return;
    }
    out.push_str(line.get(..indent).unwrap_or_default());
    match ["- ", "* ", "+ "].into_iter().find_map(|mark| bare.strip_prefix(mark)) {
        Some(item) => {
            out.push_str("• ");
            inline(out, item);
        }
        None => inline(out, bare),
    }
}

/// Marks, what they become, and whether a word may stand right beside them.
const MARKS: [(&str, &str, bool); 6] = [
    ("**", "b", true),
    ("__", "b", false),
    ("~~", "s", true),
    ("||", "tg-spoiler", true),
    ("*", "i", true),
    ("_", "i", false),
];

fn inline(out: &mut String, text: &str) {
    let mut rest = text;
    let mut before = ' ';
    while let Some(first) = rest.chars().next() {
        if first == '`'
            && let Some((code, after)) = code_span(rest)
        {
            out.push_str("<code>");
            escape(out, code);
            out.push_str("</code>");
            (rest, before) = (after, '`');
            continue;
        }
        if first == '\\'
            && let Some(next) = rest.chars().nth(1).filter(char::is_ascii_punctuation)
        {
            escape(out, next.encode_utf8(&mut [0; 4]));
            (rest, before) = (rest.get(2..).unwrap_or_default(), next);
            continue;
        }
        if matches!(first, '[' | '!')
            && let Some((label, url, after)) = link(rest)
        {
            out.push_str("<a href=\"");
            escape(out, &url.replace('"', "%22"));
            out.push_str("\">");
            inline(out, if label.is_empty() { url } else { label });
            out.push_str("</a>");
            (rest, before) = (after, ')');
            continue;
        }
        let span = MARKS.iter().find_map(|(mark, tag, tight)| {
            let (inner, after) = span(rest, mark, *tight || !before.is_alphanumeric(), *tight)?;
            Some((*tag, inner, after))
        });
        if let Some((tag, inner, after)) = span {
            out.push_str(&format!("<{tag}>"));
            inline(out, inner);
            out.push_str(&format!("</{tag}>"));
            (rest, before) = (after, '*');
            continue;
        }
        escape(out, first.encode_utf8(&mut [0; 4]));
        (rest, before) = (rest.get(first.len_utf8()..).unwrap_or_default(), first);
    }
}

/// `mark inner mark`, without blanks inside the marks; where `tight` is off, as for `_`, no word
/// may follow either, so that `a_b_c` stays as it is.
fn span<'a>(text: &'a str, mark: &str, may: bool, tight: bool) -> Option<(&'a str, &'a str)> {
    let after = text.strip_prefix(mark).filter(|_| may)?;
    let mut from = 0;
    loop {
        let at = from + after.get(from..)?.find(mark)?;
        let (inner, rest) = (after.get(..at)?, after.get(at + mark.len()..)?);
        let doubled = mark.len() == 1 && rest.starts_with(mark);
        let word = !tight && rest.starts_with(|c: char| c.is_alphanumeric());
        let fits = !inner.is_empty() && inner.trim() == inner && !inner.ends_with('\\');
        if fits && !doubled && !word && inner.matches('`').count() % 2 == 0 {
            return Some((inner, rest));
        }
        from = at + mark.len() + usize::from(doubled);
    }
}

fn code_span(text: &str) -> Option<(&str, &str)> {
    let count = text.bytes().take_while(|byte| *byte == b'`').count();
    let mark = text.get(..count)?;
    let after = text.get(count..)?;
    let end = after.find(mark)?;
    let code = after.get(..end)?;
    (!code.is_empty()).then_some((code.trim(), after.get(end + count..)?))
}

fn link(text: &str) -> Option<(&str, &str, &str)> {
    let after = text.strip_prefix('!').unwrap_or(text).strip_prefix('[')?;
    let (label, after) = after.split_once("](")?;
    let (url, after) = after.split_once(')')?;
    let url = url.split_whitespace().next().unwrap_or_default();
    let schemes = ["http://", "https://", "mailto:", "tg://"];
    let known = schemes.iter().any(|scheme| url.starts_with(scheme));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markdown_becomes_html() {
        for (markdown, want) in [
            ("plain & <simple>", "plain &amp; &lt;simple&gt;"),
            (
                "**bold** *slant* _slant_ ~~gone~~",
                "<b>bold</b> <i>slant</i> <i>slant</i> <s>gone</s>",
            ),
            ("**bold *both* bold**", "<b>bold <i>both</i> bold</b>"),
            ("snake_case_name and __init__", "snake_case_name and <b>init</b>"),
            ("2 * 3 * 4", "2 * 3 * 4"),
            ("**open", "**open"),
            ("# Title **x**", "<b>Title x</b>"),
            ("- one\n  - two", "• one\n  • two"),
            ("> a\n> b *c*\nd", "<blockquote>a\nb <i>c</i></blockquote>\nd"),
            ("`a < b` ``x`y``", "<code>a &lt; b</code> <code>x`y</code>"),
            (
                "[**here**](https://a.example/?a=1&b=\"2\")",
                "<a href=\"https://a.example/?a=1&amp;b=%222%22\"><b>here</b></a>",
            ),
            ("[bad](javascript:x)", "[bad](javascript:x)"),
            ("||secret||", "<tg-spoiler>secret</tg-spoiler>"),
            ("\\*no\\*", "*no*"),
            (
                "```rust\na && b\n```\nx",
                "<pre><code class=\"language-rust\">a &amp;&amp; b</code></pre>\nx",
            ),
            ("```\nopen <b>", "<pre>open &lt;b&gt;</pre>"),
            ("**a `b** c` d**", "<b>a <code>b** c</code> d</b>"),
        ] {
            assert_eq!(render(markdown), want, "{markdown:?}");
        }
    }

    #[test]
    fn whatever_is_written_tags_balance() {
        let pieces =
            ["*", "**", "_", "~~", "`", "```\n", "[", "](", ")", "> ", "\n", "a", " ", "||"];
        let mut seed = 7_u64;
        for _ in 0..3000 {
            let mut text = String::new();
            for _ in 0..12 {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let at = usize::try_from(seed >> 33).expect("fits") % pieces.len();
                text.push_str(pieces[at]);
            }
            let html = render(&text);
            let mut open = Vec::new();
            for tag in html.split('<').skip(1).filter_map(|rest| rest.split('>').next()) {
                match tag.strip_prefix('/') {
                    Some(name) => assert_eq!(open.pop(), Some(name), "{text:?} -> {html}"),
                    None => open.push(tag.split(' ').next().unwrap_or_default()),
                }
            }
            assert!(open.is_empty(), "{text:?} -> {html}");
        }
    }
}
