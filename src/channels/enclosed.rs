//! Files that an answer names: `MEDIA:` lines, as the reference reads them.
//!
//! A line counts when it begins with `MEDIA:` after at most three spaces and stands outside of
//! code: not in a fence, not indented by four or a tab. What follows is one path or `https://`
//! address, in double quotes when spaces or punctuation belong to it. Everything else stays text.
//! `[[audio_as_voice]]` anywhere asks for a voice note.

/// An answer without the lines that name files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Split {
    /// What is left to say.
    pub text: String,
    /// Paths and addresses, in order, each once.
    pub media: Vec<String>,
    /// Sound goes as a voice note.
    pub voice: bool,
}

const VOICE: &str = "[[audio_as_voice]]";

/// Takes the files out of an answer.
pub fn split(answer: &str) -> Split {
    let mut out = Split::default();
    if !answer.contains("MEDIA:") && !answer.contains(VOICE) {
        out.text = answer.to_owned();
        return out;
    }
    let mut fence: Option<(char, usize)> = None;
    let mut kept: Vec<&str> = Vec::new();
    for line in answer.lines() {
        let trimmed = line.trim_start_matches(' ');
        let indented = line.len() - trimmed.len() > 3 || trimmed.starts_with('\t');
        let mark = trimmed.chars().next().filter(|c| matches!(c, '`' | '~')).map(|mark| {
            let count = trimmed.chars().take_while(|c| *c == mark).count();
            (mark, count)
        });
        match (fence, mark.filter(|(_, count)| *count >= 3 && !indented)) {
            (None, Some(opens)) => fence = Some(opens),
            (Some((open, wide)), Some((mark, count))) if mark == open && count >= wide => {
                fence = None;
            }
            (None, None) if !indented => {
                if let Some(reference) = trimmed.strip_prefix("MEDIA:").and_then(reference) {
                    if !out.media.contains(&reference) {
                        out.media.push(reference);
                    }
                    continue;
                }
            }
            _ => {}
        }
        kept.push(line);
    }
    out.text = kept.join("\n");
    if out.text.contains(VOICE) {
        out.voice = true;
        out.text = out.text.replace(VOICE, "");
    }
    out.text = out.text.trim().to_owned();
    out
}

/// One path or address; `None` for words that are neither.
fn reference(rest: &str) -> Option<String> {
    let rest = rest.trim();
    let quoted = rest.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let text = quoted.unwrap_or(rest);
    let looks = text.starts_with("https://")
        || text.starts_with("media://")
        || text.starts_with(['/', '.', '~'])
        || text.rsplit_once('.').is_some_and(|(front, end)| {
            !front.is_empty()
                && (1..=5).contains(&end.len())
                && end.chars().all(|c| c.is_ascii_alphanumeric())
        });
    let scheme = text.contains("://") && !text.starts_with("https://");
    let odd = text.is_empty() || text.contains('"') || text.chars().any(char::is_control);
    let spaced = quoted.is_none() && text.contains(char::is_whitespace);
    let foreign = scheme && !text.starts_with("media://");
    (looks && !odd && !spaced && !foreign).then(|| text.to_owned())
}

/// For the fuzzer: any answer is split, nothing is invented, and no line is taken twice.
#[doc(hidden)]
pub fn fuzz(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let out = split(&text);
    assert!(out.text.len() <= text.len());
    for media in &out.media {
        assert!(text.contains(media.as_str()), "{media:?}");
        assert!(!media.is_empty() && !media.contains('\n'));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lines_of_their_own_name_files() {
        let answer = "Here it is.\n\nMEDIA:/workspace/image.png\n   MEDIA: ./a.pdf \n\
                      MEDIA:\"https://example.com/v.mp4?token=ends,\"\nMEDIA:./a.pdf\n\
                      **MEDIA:/workspace/no.png**\n`MEDIA:/workspace/no.png`\n\
                      Look: MEDIA:/workspace/no.png\n    MEDIA:/code.png\n\tMEDIA:/code.png\n\
                      ```\nMEDIA:/fenced.png\n```\nMEDIA:http://plain.example/a.png\n\
                      MEDIA:two words.png\nMEDIA:\nMEDIA:\"my photo.png\"";
        let out = split(answer);
        assert_eq!(
            out.media,
            [
                "/workspace/image.png",
                "./a.pdf",
                "https://example.com/v.mp4?token=ends,",
                "my photo.png"
            ]
        );
        for line in ["**MEDIA:", "`MEDIA:", "Look: MEDIA:", "    MEDIA:/code.png", "/fenced.png"] {
            assert!(out.text.contains(line), "{line} in {}", out.text);
        }
        assert!(out.text.contains("http://plain.example") && out.text.contains("two words"));
        assert!(out.text.starts_with("Here it is.\n\n"));
        assert!(!out.voice);
        let voice = split("[[audio_as_voice]]\nMEDIA:out.ogg");
        assert_eq!((voice.text.as_str(), voice.voice), ("", true));
        assert_eq!(split("plain  \n").text, "plain  \n", "what names nothing stays as it is");
    }
}
