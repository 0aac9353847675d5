//! What a file is, by its first bytes or by its name.
//!
//! The first bytes are asked first: what a service or a sender says of a file is a hint and no
//! more. Formats that are ZIP archives inside (documents of office programs) are told apart by
//! their names alone.

/// How many bytes [`kind`] and [`is_text`] want to see; fewer will do.
pub const HEAD: usize = 8 * 1024;

/// Media types by their first bytes: offset and magic.
const MAGIC: &[(usize, &[u8], &str)] = &[
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"GIF87a", "image/gif"),
    (0, b"GIF89a", "image/gif"),
    (0, b"%PDF-", "application/pdf"),
    (0, b"OggS", "audio/ogg"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"\xff\xfb", "audio/mpeg"),
    (0, b"\xff\xf3", "audio/mpeg"),
    (0, b"\xff\xf2", "audio/mpeg"),
    (0, b"\xff\xf1", "audio/aac"),
    (0, b"\xff\xf9", "audio/aac"),
    (0, b"fLaC", "audio/flac"),
    (0, b"#!AMR", "audio/amr"),
    (0, b"\x1a\x45\xdf\xa3", "video/webm"),
    (0, b"PK\x03\x04", "application/zip"),
    (0, b"PK\x05\x06", "application/zip"),
    (0, b"\x1f\x8b", "application/gzip"),
    (0, b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (0, b"Rar!\x1a\x07", "application/vnd.rar"),
    (0, b"BZh", "application/x-bzip2"),
    (0, b"\xfd7zXZ\x00", "application/x-xz"),
    (0, b"\x7fELF", "application/x-executable"),
    (0, b"II*\x00", "image/tiff"),
    (0, b"MM\x00*", "image/tiff"),
    (0, b"BM", "image/bmp"),
    (257, b"ustar", "application/x-tar"),
];

/// Brands of ISO base media files (`ftyp` at 4) and what they hold.
const BRANDS: &[(&[u8], &str)] = &[
    (b"heic", "image/heic"),
    (b"heix", "image/heic"),
    (b"mif1", "image/heif"),
    (b"msf1", "image/heif"),
    (b"avif", "image/avif"),
    (b"M4A ", "audio/mp4"),
    (b"M4B ", "audio/mp4"),
    (b"qt  ", "video/quicktime"),
    (b"3gp4", "video/3gpp"),
    (b"3gp5", "video/3gpp"),
];

/// Names of files by their ends, and what they are; of one type the first is the one we give.
const NAMES: &[(&str, &str)] = &[
    ("png", "image/png"),
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("gif", "image/gif"),
    ("webp", "image/webp"),
    ("heic", "image/heic"),
    ("heif", "image/heif"),
    ("avif", "image/avif"),
    ("bmp", "image/bmp"),
    ("tiff", "image/tiff"),
    ("tif", "image/tiff"),
    ("svg", "image/svg+xml"),
    ("mp4", "video/mp4"),
    ("mov", "video/quicktime"),
    ("webm", "video/webm"),
    ("mkv", "video/x-matroska"),
    ("3gp", "video/3gpp"),
    ("ogg", "audio/ogg"),
    ("oga", "audio/ogg"),
    ("opus", "audio/opus"),
    ("mp3", "audio/mpeg"),
    ("m4a", "audio/mp4"),
    ("wav", "audio/wav"),
    ("flac", "audio/flac"),
    ("aac", "audio/aac"),
    ("amr", "audio/amr"),
    ("pdf", "application/pdf"),
    ("zip", "application/zip"),
    ("gz", "application/gzip"),
    ("tar", "application/x-tar"),
    ("7z", "application/x-7z-compressed"),
    ("rar", "application/vnd.rar"),
    ("bz2", "application/x-bzip2"),
    ("xz", "application/x-xz"),
    ("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    ("pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
    ("odt", "application/vnd.oasis.opendocument.text"),
    ("ods", "application/vnd.oasis.opendocument.spreadsheet"),
    ("epub", "application/epub+zip"),
    ("doc", "application/msword"),
    ("xls", "application/vnd.ms-excel"),
    ("txt", "text/plain"),
    ("log", "text/plain"),
    ("md", "text/markdown"),
    ("csv", "text/csv"),
    ("tsv", "text/tab-separated-values"),
    ("html", "text/html"),
    ("htm", "text/html"),
    ("css", "text/css"),
    ("js", "text/javascript"),
    ("json", "application/json"),
    ("xml", "application/xml"),
    ("yaml", "application/yaml"),
    ("yml", "application/yaml"),
    ("toml", "application/toml"),
];

/// What the first bytes say; `None` for what has no mark, text above all.
pub fn kind(bytes: &[u8]) -> Option<&'static str> {
    let at = |offset: usize, magic: &[u8]| {
        bytes.get(offset..).is_some_and(|rest| rest.starts_with(magic))
    };
    if at(0, b"RIFF") {
        return [
            (&b"WEBP"[..], "image/webp"),
            (b"WAVE", "audio/wav"),
            (b"AVI ", "video/x-msvideo"),
        ]
        .into_iter()
        .find(|(form, _)| at(8, form))
        .map(|(_, mime)| mime);
    }
    // Behind the length of that box, which is short: a text in UTF-16 has its mark there.
    if at(0, b"\0") && at(4, b"ftyp") {
        let known = BRANDS.iter().find(|(brand, _)| at(8, brand));
        return Some(known.map_or("video/mp4", |(_, mime)| mime));
    }
    let known = MAGIC.iter().find(|(offset, magic, _)| at(*offset, magic));
    known.map(|(_, _, mime)| *mime)
}

/// Whether the first bytes of a file are text: UTF-8, perhaps cut inside its last character, or
/// marked as UTF-16.
pub fn is_text(head: &[u8]) -> bool {
    if head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff") {
        return true;
    }
    let control = |byte: &u8| *byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r' | 0x0c | 0x1b);
    if kind(head).is_some() || head.iter().any(control) {
        return false;
    }
    match std::str::from_utf8(head) {
        Ok(_) => true,
        Err(error) => error.error_len().is_none() && error.valid_up_to() > 0,
    }
}

/// What a name says.
pub fn by_name(name: &str) -> Option<&'static str> {
    let end = name.rsplit_once('.')?.1.to_ascii_lowercase();
    NAMES.iter().find(|(known, _)| *known == end).map(|(_, mime)| *mime)
}

/// The end that a file of this type gets; `bin` for an unknown one.
pub fn ending(mime: &str) -> &'static str {
    NAMES.iter().find(|(_, known)| *known == mime).map_or("bin", |(end, _)| end)
}

/// The media type without parameters, lower case.
pub fn essence(mime: &str) -> String {
    mime.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// What a file is: its bytes first, then its name, then what was told. A bare container does not
/// overrule a name that says more (`.xlsx` is a ZIP archive inside), and a name or a word that
/// speaks of pictures or sound counts only when the bytes say so.
pub fn judge(head: &[u8], name: Option<&str>, told: Option<&str>) -> String {
    let named = name.and_then(by_name);
    let told = told.map(essence).filter(|told| told.contains('/'));
    let inside =
        |mime: &str| mime.starts_with("application/vnd.") || mime == "application/epub+zip";
    match kind(head) {
        Some("application/zip") => {
            let told = told.as_deref().filter(|told| inside(told));
            named.filter(|named| inside(named)).or(told).unwrap_or("application/zip").to_owned()
        }
        // Sound alone in a container that may hold pictures too.
        Some(video @ ("video/mp4" | "video/webm")) => {
            let audio = video.replace("video", "audio");
            match told.as_deref() == Some(&*audio) || named == Some("audio/mp4") {
                true => audio,
                false => video.to_owned(),
            }
        }
        Some(known) => known.to_owned(),
        None if is_text(head) => {
            let texts = |mime: &&str| is_textual(mime);
            let told = told.as_deref().filter(texts);
            named.filter(texts).or(told).unwrap_or("text/plain").to_owned()
        }
        None => {
            let claims = |mime: &str| {
                let family = mime.split('/').next().unwrap_or_default();
                matches!(family, "image" | "audio" | "video" | "text")
            };
            let named = named.map(str::to_owned).or(told).filter(|mime| !claims(mime));
            named.unwrap_or_else(|| "application/octet-stream".to_owned())
        }
    }
}

/// Types that are text to read.
pub fn is_textual(mime: &str) -> bool {
    mime.starts_with("text/")
        || matches!(
            mime,
            "application/json"
                | "application/xml"
                | "application/yaml"
                | "application/toml"
                | "image/svg+xml"
        )
}

/// For the fuzzer: any bytes have a type of printable characters and a short ending.
#[doc(hidden)]
pub fn fuzz(data: &[u8]) {
    let (name, rest) = data.split_at(data.len().min(16));
    let name = String::from_utf8_lossy(name);
    let mime = judge(rest, Some(&name), Some(&name));
    assert!(mime.contains('/') || mime.is_empty(), "{mime:?}");
    assert!(ending(&mime).len() <= 4);
    if is_text(rest) {
        assert!(kind(rest).is_none() || rest.starts_with(b"\xff") || rest.starts_with(b"\xfe"));
        assert!(is_textual(&mime) || !mime.starts_with("image/"), "{mime}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_what_their_bytes_say() {
        type Row<'a> = (&'a [u8], Option<&'a str>, Option<&'a str>, &'a str);
        let table: &[Row<'_>] = &[
            (b"\x89PNG\r\n\x1a\n...", Some("a.txt"), Some("image/jpeg"), "image/png"),
            (b"\xff\xd8\xff\xe0", None, None, "image/jpeg"),
            (b"RIFF....WEBPVP8 ", None, None, "image/webp"),
            (b"RIFF....WAVEfmt ", None, None, "audio/wav"),
            (b"OggS\0", Some("voice.oga"), Some("audio/ogg"), "audio/ogg"),
            (b"\0...ftypisom", None, Some("audio/mp4"), "audio/mp4"),
            (b"\0...ftypisom", Some("a.mp4"), None, "video/mp4"),
            (b"\0...ftypM4A ", None, None, "audio/mp4"),
            (b"PK\x03\x04..", Some("b.zip"), None, "application/zip"),
            (
                b"PK\x03\x04..",
                Some("b.XLSX"),
                None,
                "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            ),
            (b"PK\x03\x04..", Some("b.png"), Some("image/png"), "application/zip"),
            (b"a,b\n1,2\n", Some("t.csv"), Some("application/vnd.ms-excel"), "text/csv"),
            (b"<!doctype html>", None, Some("text/html; charset=utf-8"), "text/html"),
            (b"just words", Some("a.png"), Some("image/png"), "text/plain"),
            (b"\x00\x01\x02", Some("a.png"), Some("image/png"), "application/octet-stream"),
            (b"\x00\x01\x02", Some("a.doc"), None, "application/msword"),
            (b"", None, None, "text/plain"),
        ];
        for (bytes, name, told, want) in table {
            assert_eq!(judge(bytes, *name, *told), *want, "{name:?} {told:?}");
        }
    }

    #[test]
    fn text_is_told_from_bytes() {
        for (bytes, text) in [
            (&b"plain\r\n\twords"[..], true),
            ("grüße".as_bytes(), true),
            (&"grü".as_bytes()[..3], true),
            (b"\xff\xfeh\0", true),
            (b"nul\0", false),
            (b"\xff\xff\xff\xff", false),
            (b"%PDF-1.7", false),
        ] {
            assert_eq!(is_text(bytes), text, "{bytes:?}");
        }
    }

    #[test]
    fn types_have_endings() {
        for (_, _, mime) in MAGIC {
            assert!(ending(mime) != "bin" || *mime == "application/x-executable", "{mime}");
        }
        assert_eq!((ending("image/jpeg"), ending("x/y")), ("jpg", "bin"));
        assert_eq!(by_name("A.JPEG"), Some("image/jpeg"));
        assert_eq!(by_name("none"), None);
    }
}
