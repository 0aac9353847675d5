//! Images and files of a request: from base64 at once, by URL as something to fetch first.
//!
//! An image is known by its first bytes, else by what the client says, and must be of a type
//! and size that the door's section of the configuration allows. A file becomes text of the
//! system prompt, marked as coming from outside; it is not kept in the session. PDF files,
//! which the reference converts, are refused here: this gateway reads no PDF.

use super::invalid;
use super::request::Result;
use crate::agent::turn::{Part, Turn};
use crate::api::Reply;
use crate::api::external::wrap;
use crate::config::Media;
use crate::wire::hash::{base64, base64_decode};
use crate::wire::sniff;
use crate::wire::url::{Scheme, Url};

/// Something to fetch before the run can begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetch {
    /// `http://` or `https://`.
    pub url: String,
    /// What it becomes.
    pub place: Place,
}

/// What a fetched thing becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// An image, in place of this part of this turn.
    Image {
        /// Index among the turns.
        turn: usize,
        /// Index among its parts.
        part: usize,
    },
    /// A text of the system prompt.
    File,
}

/// Where a client says an image or file is.
pub(super) enum Source<'a> {
    /// Media type, if told, and base64.
    Inline(Option<&'a str>, &'a str),
    /// To be fetched.
    Url(&'a str),
}

/// A `data:` URL, or one to fetch; `None` for anything else.
pub(super) fn source(url: &str) -> Option<Source<'_>> {
    if let Some(rest) = url.strip_prefix("data:") {
        let (mime, data) = rest.split_once(";base64,")?;
        return Some(Source::Inline(Some(mime).filter(|mime| !mime.is_empty()), data));
    }
    let parsed = Url::parse(url).ok()?;
    matches!(parsed.scheme, Scheme::Http | Scheme::Https).then_some(Source::Url(url))
}

/// What the first bytes say, of the types that this door tells apart.
fn sniffed(bytes: &[u8]) -> Option<&'static str> {
    let known = ["png", "jpeg", "gif", "webp", "heic", "heif"];
    sniff::kind(bytes).filter(|mime| {
        let image = mime.strip_prefix("image/").is_some_and(|it| known.contains(&it));
        image || *mime == "application/pdf"
    })
}

fn allowed(mime: &str, media: &Media) -> Result<()> {
    if media.allowed_mimes.iter().any(|known| known == mime) {
        return Ok(());
    }
    let shown: String = mime.chars().take(64).collect();
    Err(invalid(400, &format!("media type \"{shown}\" is not among {}.allowedMimes", media.path)))
}

fn too_large(bytes: usize, media: &Media) -> Reply {
    let (path, max) = (media.path, media.max_bytes);
    invalid(400, &format!("{bytes} bytes are more than {path}.maxBytes allows ({max})"))
}

/// Bytes of base64 that decode to no more than allowed.
fn decoded(data: &str, media: &Media) -> Result<Vec<u8>> {
    let about = data.len() / 4 * 3;
    if about > media.max_bytes.saturating_add(2) {
        return Err(too_large(about, media));
    }
    let bytes = base64_decode(data)
        .ok_or_else(|| invalid(400, "an image or file is not valid base64 (RFC 4648, padded)"))?;
    if bytes.len() > media.max_bytes {
        return Err(too_large(bytes.len(), media));
    }
    Ok(bytes)
}

/// An image that came with the request, and its size.
pub(super) fn image(mime: Option<&str>, data: &str, media: &Media) -> Result<(Part, usize)> {
    let bytes = decoded(data, media)?;
    let mime = image_type(mime, &bytes, media)?;
    Ok((Part::Image { mime, data: data.to_owned() }, bytes.len()))
}

/// An image that was fetched.
///
/// # Errors
/// The reply for the client: a type or size that is not allowed.
pub fn fetched_image(mime: Option<&str>, bytes: &[u8], media: &Media) -> Result<Part> {
    if bytes.len() > media.max_bytes {
        return Err(too_large(bytes.len(), media));
    }
    let mime = image_type(mime, bytes, media)?;
    Ok(Part::Image { mime, data: base64(bytes) })
}

fn image_type(told: Option<&str>, bytes: &[u8], media: &Media) -> Result<String> {
    let mime = match sniffed(bytes) {
        Some(known) => known.to_owned(),
        None => told.map(sniff::essence).unwrap_or_default(),
    };
    allowed(&mime, media)?;
    Ok(mime)
}

/// What is said of a file.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    /// Media type, parameters included.
    pub mime: Option<&'a str>,
    /// Its name.
    pub name: Option<&'a str>,
    /// Characters that reach the model.
    pub max_chars: usize,
    /// Unpredictable: marks the borders of what came from outside.
    pub nonce: &'a str,
}

/// A file that came with the request.
pub(super) fn file(data: &str, about: About<'_>, media: &Media) -> Result<Turn> {
    fetched_file(&decoded(data, media)?, about, media)
}

/// A file's bytes as a text of the system prompt.
///
/// # Errors
/// The reply for the client: a type or size that is not allowed, or no text.
pub fn fetched_file(bytes: &[u8], about: About<'_>, media: &Media) -> Result<Turn> {
    if bytes.len() > media.max_bytes {
        return Err(too_large(bytes.len(), media));
    }
    let told = about.mime.map(sniff::essence).filter(|mime| mime != "application/octet-stream");
    let mime = match (sniffed(bytes), told) {
        (Some(known), _) => known.to_owned(),
        (None, Some(told)) => told,
        (None, None) => "text/plain".to_owned(),
    };
    allowed(&mime, media)?;
    if mime == "application/pdf" {
        let what = "application/pdf: this gateway reads no PDF; send the file's text instead";
        return Err(invalid(400, what));
    }
    let charset = about.mime.and_then(charset);
    let text = text_of(bytes, charset.as_deref())
        .ok_or_else(|| invalid(400, "the file is not text in UTF-8, UTF-16 or Windows-1252"))?;
    Ok(Turn::System(block(&text, about)))
}

/// A file's text for a model: its name and its marked text, cut at [`About::max_chars`].
pub fn block(text: &str, about: About<'_>) -> String {
    let cut: String = text.chars().take(about.max_chars).collect();
    let name: String = about
        .name
        .unwrap_or("file")
        .chars()
        .filter(|c| !c.is_control() && !matches!(c, '<' | '>' | '"'))
        .take(128)
        .collect();
    let body = if cut.trim().is_empty() {
        "[the file has no text]".to_owned()
    } else {
        wrap(&cut, "External", about.nonce)
    };
    format!("<file name=\"{name}\">\n{body}\n</file>")
}

fn charset(mime: &str) -> Option<String> {
    mime.split(';').skip(1).find_map(|part| {
        let (name, value) = part.split_once('=')?;
        let value = value.trim().trim_matches('"').to_ascii_lowercase();
        name.trim().eq_ignore_ascii_case("charset").then_some(value)
    })
}

/// Text in the encoding that is told or shown by its first bytes; `None` for what is no text.
pub fn text_of(bytes: &[u8], charset: Option<&str>) -> Option<String> {
    let utf16 = |bytes: &[u8], big: bool| {
        let units = bytes.chunks_exact(2).filter_map(|pair| <[u8; 2]>::try_from(pair).ok());
        let units: Vec<u16> = units
            .map(|pair| if big { u16::from_be_bytes(pair) } else { u16::from_le_bytes(pair) })
            .collect();
        String::from_utf16_lossy(&units)
    };
    if let Some(rest) = bytes.strip_prefix(b"\xef\xbb\xbf") {
        return Some(String::from_utf8_lossy(rest).into_owned());
    }
    if let Some(rest) = bytes.strip_prefix(b"\xff\xfe") {
        return Some(utf16(rest, false));
    }
    if let Some(rest) = bytes.strip_prefix(b"\xfe\xff") {
        return Some(utf16(rest, true));
    }
    match charset {
        Some("utf-16" | "utf-16le") => return Some(utf16(bytes, false)),
        Some("utf-16be") => return Some(utf16(bytes, true)),
        Some("iso-8859-1" | "latin1" | "windows-1252") => return Some(western(bytes)),
        _ => {}
    }
    if bytes.contains(&0) {
        return None;
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Some(text.to_owned()),
        Err(_) => Some(western(bytes)),
    }
}

/// Windows-1252, of which ISO 8859-1 is the printable part.
fn western(bytes: &[u8]) -> String {
    const HIGH: &str = "€\u{81}‚ƒ„…†‡ˆ‰Š‹Œ\u{8d}Ž\u{8f}\u{90}‘’“”•–—˜™š›œ\u{9d}žŸ";
    let high: Vec<char> = HIGH.chars().collect();
    let letter = |byte: &u8| match byte {
        0x80..=0x9f => high.get(usize::from(byte - 0x80)).copied().unwrap_or('\u{fffd}'),
        byte => char::from(*byte),
    };
    bytes.iter().map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Endpoints;

    fn files() -> Media {
        Endpoints::default().responses.files
    }

    fn about<'a>(mime: Option<&'a str>, name: Option<&'a str>) -> About<'a> {
        About { mime, name, max_chars: 20, nonce: "n0" }
    }

    fn status(result: Result<Turn>) -> String {
        match result {
            Ok(Turn::System(text)) => text,
            Ok(other) => panic!("{other:?}"),
            Err(reply) => String::from_utf8(reply.body).expect("UTF-8"),
        }
    }

    #[test]
    fn images_are_what_their_bytes_say() {
        let media = Endpoints::default().chat_completions.images;
        let png = base64(b"\x89PNG\r\n\x1a\nrest");
        let (part, bytes) = image(Some("image/jpeg"), &png, &media).expect("a PNG");
        assert_eq!(part, Part::Image { mime: "image/png".to_owned(), data: png });
        assert_eq!(bytes, 12);
        let odd = base64(b"no magic");
        assert!(image(Some("image/gif"), &odd, &media).is_ok(), "nothing speaks against it");
        for (mime, data) in [
            (Some("image/svg+xml"), odd.as_str()),
            (None, odd.as_str()),
            (Some("image/png"), "not base64!"),
            (Some("image/png"), &base64(b"%PDF-1.7")),
        ] {
            assert_eq!(image(mime, data, &media).expect_err("refused").status, 400, "{mime:?}");
        }
    }

    #[test]
    fn an_image_or_file_has_its_size() {
        let media = Media { max_bytes: 9, ..files() };
        for (bytes, fits) in [(9, true), (10, false), (11, false), (4000, false)] {
            let data = base64(&vec![b'a'; bytes]);
            let inline = file(&data, about(None, None), &media);
            assert_eq!(inline.is_ok(), fits, "{bytes}");
            let fetched = fetched_file(&vec![b'a'; bytes], about(None, None), &media);
            assert_eq!(fetched.is_ok(), fits, "{bytes}");
        }
        // Its length is judged before anything of it is decoded.
        let told = status(file(&"!".repeat(4000), about(None, None), &media));
        assert!(!told.contains("base64"), "{told}");
    }

    #[test]
    fn files_become_marked_text_or_are_refused() {
        let shown = status(fetched_file(b"hello", about(None, Some("a\"<b>.txt")), &files()));
        assert!(shown.starts_with("<file name=\"ab.txt\">\n<<<EXTERNAL"), "{shown}");
        assert!(shown.contains("hello"), "{shown}");
        let table: [(&[u8], Option<&str>, &str); 8] = [
            (b"\xff\xfeh\0i\0", None, "hi"),
            (b"\xfe\xff\0h\0i", None, "hi"),
            (b"caf\xe9", Some("text/plain; charset=ISO-8859-1"), "caf\u{e9}"),
            (b"caf\xe9 \x80", None, "caf\u{e9} \u{20ac}"),
            (b"0123456789012345678901234", None, "01234567890123456789\n"),
            (b"a\0b", Some("text/plain"), "is not text"),
            (b"%PDF-1.4 ...", Some("text/plain"), "reads no PDF"),
            (b"x", Some("application/zip"), "files.allowedMimes"),
        ];
        for (bytes, mime, want) in table {
            let got = status(fetched_file(bytes, about(mime, None), &files()));
            assert!(got.contains(want), "{mime:?}: {got}");
        }
    }
}
