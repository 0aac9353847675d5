//! Formatted text as the Bot API reads it ("Formatting options"): the plain text, or the error.

const TAGS: [&str; 14] = [
    "b",
    "strong",
    "i",
    "em",
    "u",
    "ins",
    "s",
    "strike",
    "del",
    "a",
    "code",
    "pre",
    "tg-spoiler",
    "blockquote",
];

/// Plain text of HTML.
///
/// # Errors
/// The platform's sentence, without "can't parse entities".
pub fn html(text: &str) -> Result<String, String> {
    let mut plain = String::new();
    let mut open: Vec<&str> = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let at = text.len() - rest.len();
        match first {
            '&' => rest = entity(rest, &mut plain),
            '<' => {
                let Some(end) = rest.find('>') else {
                    return Err(format!("Unclosed start tag at byte offset {at}"));
                };
                tag(&rest[1..end], at, &mut open)?;
                rest = &rest[end + 1..];
            }
            other => {
                plain.push(other);
                rest = &rest[other.len_utf8()..];
            }
        }
    }
    match open.pop() {
        Some(tag) => Err(format!("Can't find end tag corresponding to start tag \"{tag}\"")),
        None => Ok(plain),
    }
}

fn entity<'a>(rest: &'a str, plain: &mut String) -> &'a str {
    let found = rest.find(';').filter(|end| *end <= 10).and_then(|end| {
        let named = match &rest[1..end] {
            "lt" => '<',
            "gt" => '>',
            "amp" => '&',
            "quot" => '"',
            number => {
                let number = number.strip_prefix('#')?;
                let code = match number.strip_prefix('x') {
                    Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                    None => number.parse().ok()?,
                };
                char::from_u32(code)?
            }
        };
        Some((named, &rest[end + 1..]))
    });
    let (c, rest) = found.unwrap_or(('&', &rest[1..]));
    plain.push(c);
    rest
}

fn tag<'a>(tag: &'a str, at: usize, open: &mut Vec<&'a str>) -> Result<(), String> {
    if let Some(name) = tag.strip_prefix('/') {
        let name = name.trim();
        return match open.pop() {
            None => Err(format!("Unexpected end tag at byte offset {at}")),
            Some(begun) if begun.eq_ignore_ascii_case(name) => Ok(()),
            Some(begun) => Err(format!(
                "Unmatched end tag at byte offset {at}, expected \"</{begun}>\", found \"</{name}>\""
            )),
        };
    }
    let (name, attributes) = tag.split_once(char::is_whitespace).unwrap_or((tag, ""));
    let known = TAGS.iter().any(|known| known.eq_ignore_ascii_case(name))
        || name == "span" && attributes.contains("tg-spoiler")
        || name == "tg-emoji" && attributes.contains("emoji-id");
    if !known {
        let shown = if name == "span" { "Tag \"span\" must have class \"tg-spoiler\"" } else { "" };
        return Err(match shown {
            "" => format!("Unsupported start tag \"{name}\" at byte offset {at}"),
            shown => format!("{shown} at byte offset {at}"),
        });
    }
    open.push(name);
    Ok(())
}

/// Plain text of MarkdownV2, as far as its strictness goes: reserved characters are escaped and
/// what begins ends.
///
/// # Errors
/// The platform's sentence, without "can't parse entities".
pub fn markdown(text: &str) -> Result<String, String> {
    const MARKS: [(&str, &str); 7] = [
        ("```", "PreCode"),
        ("`", "Code"),
        ("||", "Spoiler"),
        ("__", "Underline"),
        ("*", "Bold"),
        ("_", "Italic"),
        ("~", "Strikethrough"),
    ];
    let mut plain = String::new();
    let mut open: Vec<(&str, &str, usize)> = Vec::new();
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        let verbatim = open.last().map(|(mark, ..)| *mark).filter(|mark| mark.starts_with('`'));
        let begins = MARKS.iter().find(|(mark, _)| rest.starts_with(mark));
        match c {
            '\\' if rest.len() > 1 => {
                let escaped = rest[1..].chars().next().unwrap_or('\\');
                plain.push(escaped);
                at += 1 + escaped.len_utf8();
                continue;
            }
            _ if verbatim.is_some() && begins.is_none_or(|(mark, _)| Some(*mark) != verbatim) => {
                plain.push(c);
            }
            '>' if plain.is_empty() || plain.ends_with('\n') => {}
            '[' | ']' | '(' | ')' => {}
            _ => match begins {
                Some((mark, _)) if open.last().is_some_and(|(begun, ..)| begun == mark) => {
                    open.pop();
                    at += mark.len();
                    continue;
                }
                Some((mark, name)) => {
                    open.push((mark, name, at));
                    at += mark.len();
                    continue;
                }
                None if ">#+-=|{}.!".contains(c) => {
                    return Err(format!(
                        "Character '{c}' is reserved and must be escaped with the preceding '\\'"
                    ));
                }
                None => plain.push(c),
            },
        }
        at += c.len_utf8();
    }
    match open.pop() {
        Some((_, name, at)) => Err(format!("Can't find end of {name} entity at byte offset {at}")),
        None => Ok(plain),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_must_be_known_and_nest() {
        assert_eq!(html("<b>a<i>b</i></b> &lt;&amp;&#65;&nbsp;").as_deref(), Ok("ab <&A&nbsp;"));
        assert_eq!(html("<a href=\"x\">y</a>").as_deref(), Ok("y"));
        let wrong = [
            ("a<br>", "Unsupported start tag \"br\" at byte offset 1"),
            ("<b>a", "Can't find end tag corresponding to start tag \"b\""),
            ("a</b>", "Unexpected end tag at byte offset 1"),
            (
                "<b><i>a</b>",
                "Unmatched end tag at byte offset 7, expected \"</i>\", found \"</b>\"",
            ),
            ("1 < 2", "Unclosed start tag at byte offset 2"),
        ];
        for (text, error) in wrong {
            assert_eq!(html(text).as_ref().map_err(String::as_str), Err(error), "{text}");
        }
    }

    #[test]
    fn reserved_characters_are_escaped() {
        assert_eq!(markdown("*a* b\\. `c.d` _e_").as_deref(), Ok("a b. c.d e"));
        let error = markdown("a.b").expect_err("reserved");
        assert!(error.starts_with("Character '.' is reserved"), "{error}");
        assert_eq!(markdown("*a"), Err("Can't find end of Bold entity at byte offset 0".into()));
    }
}
