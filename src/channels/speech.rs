//! Voice notes that become text: what a service of transcripts is asked, what it answers, and
//! how what was heard stands before the model.
//!
//! ```text
//!   file, Listener --[request]--> POST --> [transcript] or [refusal]
//!   caption, transcripts --[body]--> [Audio] block for the model
//! ```
//!
//! Six forms are spoken ([`Form`]): a form with the file in it, JSON with the file in it, or, to
//! Deepgram, the file itself. An answer is never trusted to be short:
//! [`Listener::max_chars`] of it count.

use super::port::HttpRequest;
use super::{Inbound, Media};
use crate::config::Key;
use crate::config::audio::{Form, Listener};
use crate::limits;
use crate::wire::hash::base64;
use crate::wire::sniff;
use crate::wire::url::{Url, percent_encode};
use serde_json::{Value, json};

/// A file that is to be heard.
#[derive(Debug, Clone, Copy)]
pub struct Sound<'a> {
    /// What it holds.
    pub bytes: &'a [u8],
    /// Media type, judged by its bytes.
    pub mime: &'a str,
    /// Its name, if it has one.
    pub name: Option<&'a str>,
}

/// Whether a file is told to be one that can be heard.
pub fn is_sound(mime: Option<&str>, name: Option<&str>) -> bool {
    let named = || name.and_then(sniff::by_name).map(str::to_owned);
    mime.map(sniff::essence).or_else(named).is_some_and(|mime| mime.starts_with("audio/"))
}

/// The request. `mark` is random, so that a form's boundary stands in none of its parts.
///
/// # Errors
/// The service's address is none.
pub fn request(
    listener: &Listener,
    key: Option<&Key>,
    sound: Sound<'_>,
    mark: u64,
) -> Result<HttpRequest, String> {
    let url = Url::parse(&listener.base_url)
        .map_err(|error| format!("the baseUrl of {}: {error}", listener.provider))?;
    let below = match listener.form {
        Form::OpenAi | Form::OpenRouter => "audio/transcriptions",
        Form::Deepgram => "listen",
        Form::ElevenLabs => "v1/speech-to-text",
        Form::Xai => "stt",
        Form::Google => &format!("models/{}:generateContent", percent_encode(&listener.model)),
    };
    let mut path_and_query = url.join_path(below);
    if listener.form == Form::Deepgram {
        path_and_query.push_str(&format!("?model={}", percent_encode(&listener.model)));
        let language = listener.language.iter().map(|it| ("language", it));
        let own = listener.options.iter().map(|(name, value)| (&**name, value));
        for (name, value) in language.chain(own) {
            let (name, value) = (percent_encode(name), percent_encode(value));
            path_and_query.push_str(&format!("&{name}={value}"));
        }
    }
    let url = Url { path_and_query, ..url };
    let mut asked = HttpRequest::new("POST", url.to_string());
    asked.timeout_ms = listener.timeout_ms;
    asked.max_bytes = limits::TRANSCRIBE_ANSWER;
    let mut asked = match listener.form {
        Form::Deepgram => {
            asked.body = sound.bytes.to_vec();
            asked.header("Content-Type", sound.mime)
        }
        Form::OpenRouter => {
            let sound = json!({"data": base64(sound.bytes), "format": sniff::ending(sound.mime)});
            let mut body = json!({"model": listener.model, "input_audio": sound});
            if let Some(language) = &listener.language {
                body["language"] = language.as_str().into();
            }
            asked.json(&body)
        }
        Form::Google => {
            let prompt = listener.prompt.as_deref().unwrap_or(PROMPT);
            let sound = json!({"mime_type": sound.mime, "data": base64(sound.bytes)});
            let parts = json!([{"text": prompt}, {"inline_data": sound}]);
            asked.json(&json!({"contents": [{"role": "user", "parts": parts}]}))
        }
        form => {
            let fields: Vec<(&str, Option<&str>, &str)> = [
                (if form == Form::ElevenLabs { "model_id" } else { "model" }, &*listener.model),
                (
                    if form == Form::ElevenLabs { "language_code" } else { "language" },
                    listener.language.as_deref().unwrap_or_default(),
                ),
                ("prompt", listener.prompt.as_deref().unwrap_or_default()),
            ]
            .into_iter()
            .filter(|(name, value)| !value.is_empty() && (form != Form::Xai || *name == "language"))
            .map(|(name, value)| (name, None, value))
            .collect();
            asked.form(mark, &fields, &[("file", &file_name(sound), sound.bytes)])
        }
    };
    if let Some(key) = key.map(|key| key.secret.expose()) {
        asked = match listener.form {
            Form::Deepgram => asked.header("Authorization", format!("Token {key}")),
            Form::ElevenLabs => asked.header("xi-api-key", key),
            Form::Google => asked.header("x-goog-api-key", key),
            Form::OpenAi | Form::Xai | Form::OpenRouter => {
                asked.header("Authorization", format!("Bearer {key}"))
            }
        };
    }
    for (name, value) in &listener.headers {
        asked.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        asked = asked.header(name, value.expose());
    }
    Ok(asked)
}

/// Services tell what a file is by the end of its name.
fn file_name(sound: Sound<'_>) -> String {
    let name = sound.name.map(str::trim).filter(|name| !name.is_empty()).unwrap_or("audio");
    let name: String = name.chars().take(128).collect();
    match name.rsplit_once('.') {
        // AAC in its own name is refused, in that of its container it is taken.
        Some((stem, end)) if end.eq_ignore_ascii_case("aac") => format!("{stem}.m4a"),
        Some((_, end)) if !end.is_empty() && end.len() <= 5 => name,
        _ if sound.mime == "audio/aac" => format!("{name}.m4a"),
        _ => format!("{name}.{}", sniff::ending(sound.mime)),
    }
}

/// What was said, from an answer with status 200.
///
/// # Errors
/// It says nothing, or it is no answer.
pub fn transcript(listener: &Listener, body: &[u8]) -> Result<String, String> {
    let json: Value = serde_json::from_slice(body)
        .map_err(|_| format!("the answer of {} is no JSON", listener.name()))?;
    let text = match listener.form {
        Form::Deepgram => {
            let all = json.pointer("/results/channels").and_then(Value::as_array);
            let text = |it: &Value| it.pointer("/alternatives/0/transcript")?.as_str().map(trimmed);
            let parts = all.map(|all| all.iter().filter_map(text).filter(|it| !it.is_empty()));
            parts.map(|parts| parts.collect::<Vec<_>>().join("\n\n"))
        }
        Form::Google => {
            let parts = json.pointer("/candidates/0/content/parts").and_then(Value::as_array);
            let text = |part: &Value| part.get("text")?.as_str().map(trimmed);
            let words = |parts: &Vec<Value>| parts.iter().filter_map(text).collect::<Vec<_>>();
            parts.map(|parts| trimmed(&words(parts).join("\n")))
        }
        _ => json.get("text").and_then(Value::as_str).map(trimmed),
    };
    let text = text.ok_or_else(|| format!("the answer of {} has no text", listener.name()))?;
    let flat = text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    if ARTIFACTS.contains(&&*flat) {
        return Err(SILENCE.to_owned());
    }
    Ok(text.chars().take(listener.max_chars).collect())
}

/// What stands in the place of a transcript without words.
pub const SILENCE: &str = "nobody speaks in it";

/// What a model is told that hears, and is no service of transcripts.
const PROMPT: &str = "Write down what is said in this recording, in its own language. \
                      Answer with these words alone.";

/// What services give back where nobody speaks: their own prompt.
const ARTIFACTS: [&str; 5] =
    ["", "context:", "###", "transcribe the audio", "transcribe the audio."];

fn trimmed(text: &str) -> String {
    text.trim().to_owned()
}

/// A refusal, in the service's words and without a key.
pub fn refusal(listener: &Listener, status: u16, body: &[u8]) -> String {
    let json: Value = serde_json::from_slice(body).unwrap_or_default();
    let places = ["/error/message", "/error", "/detail/message", "/err_msg", "/message"];
    let said = places.iter().find_map(|place| json.pointer(place)?.as_str()).unwrap_or_default();
    let mut said: String = said.chars().take(300).collect();
    let keys = listener.keys.iter().map(|key| &key.secret);
    for secret in keys.chain(listener.headers.iter().map(|(_, value)| value)) {
        let secret = secret.expose().rsplit(' ').next().unwrap_or_default();
        if secret.len() >= 6 {
            said = said.replace(secret, "***");
        }
    }
    let colon = if said.is_empty() { "" } else { ": " };
    format!("{} answers {status}{colon}{said}", listener.name())
}

/// Whether another key of the same service may do.
pub fn is_of_key(status: u16) -> bool {
    matches!(status, 401 | 402 | 403 | 429)
}

/// Several transcripts as one text, for commands and mentions.
pub fn together(heard: &[&str]) -> String {
    match heard {
        [only] => (*only).to_owned(),
        all => {
            let one = |(at, text): (usize, &&str)| format!("Audio {}:\n{text}", at + 1);
            all.iter().enumerate().map(one).collect::<Vec<_>>().join("\n\n")
        }
    }
}

/// What the model reads, in the reference's shape; the caption alone when nothing was heard.
pub fn body(caption: &str, heard: &[&str]) -> String {
    let caption = caption.trim();
    match heard {
        [] => caption.to_owned(),
        [only] if caption.is_empty() => format!("[Audio]\nTranscript:\n{only}"),
        [only] => format!("[Audio]\nUser text:\n{caption}\nTranscript:\n{only}"),
        all => {
            let front = (!caption.is_empty()).then(|| format!("User text:\n{caption}"));
            let most = all.len();
            let one = |(at, text): (usize, &&str)| {
                format!("[Audio {}/{most}]\nTranscript:\n{text}", at + 1)
            };
            let parts = front.into_iter().chain(all.iter().enumerate().map(one));
            parts.collect::<Vec<_>>().join("\n\n")
        }
    }
}

/// What was heard in the files of a message.
pub fn heard(media: &[Media]) -> Vec<&str> {
    media.iter().filter_map(|it| it.heard.as_ref()?.as_deref().ok()).collect()
}

/// What the model reads of a message; `left` is its text without the command it began with.
pub fn said(message: &Inbound, left: &str) -> String {
    let all = heard(&message.media);
    match message.spoken {
        _ if all.is_empty() => left.to_owned(),
        true if left == message.text => body("", &all),
        true => body("", &[left]),
        false => body(left, &all),
    }
}

/// Whether a place is listened to: `tools.media.audio.scope`, whose first rule that fits counts.
pub fn in_scope(scope: &Value, channel: &str, kind: &str, key: &str) -> bool {
    let bare = key.splitn(3, ':').nth(2).filter(|_| key.starts_with("agent:")).unwrap_or(key);
    let fits = |rule: &&Value| {
        let Some(at) = rule.get("match") else { return true };
        let text = |name: &str| {
            let text = at.get(name).and_then(Value::as_str).map(|it| it.trim().to_lowercase());
            text.filter(|text| !text.is_empty())
        };
        text("channel").is_none_or(|it| it == channel)
            && text("chatType").is_none_or(|it| it == kind || (it == "dm" && kind == "direct"))
            && text("keyPrefix").is_none_or(|it| bare.to_lowercase().starts_with(&it))
            && text("rawKeyPrefix").is_none_or(|it| key.to_lowercase().starts_with(&it))
    };
    let rules = scope.get("rules").and_then(Value::as_array).map(Vec::as_slice);
    let rule = rules.unwrap_or_default().iter().find(fits);
    let action = rule.and_then(|rule| rule.get("action")).or_else(|| scope.get("default"));
    action.is_none_or(|action| action != "deny")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    fn listener(form: Form) -> Listener {
        let secret = || Secret::new("sk-secret".to_owned());
        Listener {
            provider: "p".to_owned(),
            form,
            model: "m/1".to_owned(),
            base_url: "https://h/v1".to_owned(),
            keys: vec![Key { name: "k".to_owned(), secret: secret() }],
            headers: vec![("X-Own".to_owned(), Secret::new("Bearer other-secret".to_owned()))],
            proxy: None,
            language: Some("en".to_owned()),
            prompt: Some("names".to_owned()),
            max_bytes: 1,
            max_chars: 12,
            timeout_ms: 9,
            options: vec![("a b".to_owned(), "c&d".to_owned())],
            broken: None,
        }
    }

    fn asked(form: Form, name: Option<&str>, mime: &str) -> (HttpRequest, String) {
        let listener = listener(form);
        let sound = Sound { bytes: b"OggS", mime, name };
        let asked = request(&listener, listener.keys.first(), sound, 7).expect("a request");
        let body = String::from_utf8(asked.body.clone()).expect("text");
        (asked, body)
    }

    #[test]
    fn each_form_names_its_parts_as_its_service_does() {
        let header = |asked: &HttpRequest, name: &str| {
            let found = asked.headers.iter().find(|(known, _)| known == name);
            found.map(|(_, value)| value.clone()).unwrap_or_default()
        };
        let part = |name: &str, value: &str| format!("name=\"{name}\"\r\n\r\n{value}\r\n");
        let (open, body) = asked(Form::OpenAi, None, "audio/ogg");
        assert_eq!(open.url, "https://h/v1/audio/transcriptions");
        assert_eq!((open.timeout_ms, open.max_bytes), (9, limits::TRANSCRIBE_ANSWER));
        assert_eq!(header(&open, "Authorization"), "Bearer sk-secret");
        assert_eq!(header(&open, "X-Own"), "Bearer other-secret");
        for (name, value) in [("model", "m/1"), ("language", "en"), ("prompt", "names")] {
            assert!(body.contains(&part(name, value)), "{body}");
        }
        assert!(body.contains("filename=\"audio.ogg\"") && body.contains("\r\nOggS\r\n"), "{body}");

        let (eleven, body) = asked(Form::ElevenLabs, Some("a.mp3"), "audio/mpeg");
        assert_eq!(eleven.url, "https://h/v1/v1/speech-to-text");
        assert_eq!(header(&eleven, "xi-api-key"), "sk-secret");
        assert!(body.contains(&part("model_id", "m/1")), "{body}");
        assert!(body.contains(&part("language_code", "en")), "{body}");
        assert!(body.contains("filename=\"a.mp3\""), "{body}");

        let (xai, body) = asked(Form::Xai, Some("a.AAC"), "audio/aac");
        assert_eq!(xai.url, "https://h/v1/stt");
        assert!(body.contains(&part("language", "en")) && !body.contains("\"model\""), "{body}");
        assert!(body.contains("filename=\"a.m4a\""), "{body}");

        let (deep, body) = asked(Form::Deepgram, Some("a"), "audio/wav");
        assert_eq!(deep.url, "https://h/v1/listen?model=m%2F1&language=en&a%20b=c%26d");
        assert_eq!(header(&deep, "Authorization"), "Token sk-secret");
        assert_eq!((header(&deep, "Content-Type").as_str(), body.as_str()), ("audio/wav", "OggS"));
        let (router, body) = asked(Form::OpenRouter, None, "audio/ogg");
        assert_eq!(router.url, "https://h/v1/audio/transcriptions");
        assert_eq!(header(&router, "Authorization"), "Bearer sk-secret");
        let body: Value = serde_json::from_str(&body).expect("JSON");
        let sound = json!({"data": base64(b"OggS"), "format": "ogg"});
        assert_eq!(body, json!({"model": "m/1", "input_audio": sound, "language": "en"}));

        let (google, body) = asked(Form::Google, None, "audio/ogg");
        assert_eq!(google.url, "https://h/v1/models/m%2F1:generateContent");
        assert_eq!(header(&google, "x-goog-api-key"), "sk-secret");
        let body: Value = serde_json::from_str(&body).expect("JSON");
        let parts = &body["contents"][0]["parts"];
        assert_eq!(parts[0]["text"], "names");
        let sound = json!({"mime_type": "audio/ogg", "data": base64(b"OggS")});
        assert_eq!(parts[1]["inline_data"], sound);
        let odd = Listener { base_url: "nowhere".to_owned(), ..listener(Form::Xai) };
        let sound = Sound { bytes: b"", mime: "audio/ogg", name: None };
        assert!(request(&odd, None, sound, 1).expect_err("no address").contains("baseUrl of p"));
    }

    #[test]
    fn only_words_are_a_transcript_and_only_so_many() {
        let (open, deep) = (listener(Form::OpenAi), listener(Form::Deepgram));
        let text = |it: &Listener, body: &Value| transcript(it, body.to_string().as_bytes());
        let said = |text: &str| json!({"text": text});
        assert_eq!(text(&open, &said(" hi\n")).as_deref(), Ok("hi"));
        assert_eq!(text(&open, &said("ääääääääääääää")).as_deref(), Ok("ääääääääääää"));
        for silence in ["", "  ", "###", "Context:", "Transcribe  the audio."] {
            assert_eq!(text(&open, &said(silence)), Err(SILENCE.to_owned()), "{silence}");
        }
        assert_eq!(text(&open, &said("Context: rain")).as_deref(), Ok("Context: rai"));
        let none = text(&open, &json!({"words": []})).expect_err("no text");
        assert_eq!(none, "the answer of p/m/1 has no text");
        assert!(transcript(&open, b"<p>").expect_err("no JSON").ends_with("is no JSON"));
        let one = |text: &str| json!({"alternatives": [{"transcript": text}, {"transcript": "x"}]});
        let two = json!({"results": {"channels": [one("a"), one(" "), one("b"), {}]}});
        assert_eq!(text(&deep, &two).as_deref(), Ok("a\n\nb"));
        assert!(text(&deep, &json!({"results": {}})).is_err());
        let google = listener(Form::Google);
        let parts = |parts: Value| json!({"candidates": [{"content": {"parts": parts}}]});
        let two = parts(json!([{"text": "a "}, {"thought": true}, {"text": "b"}]));
        assert_eq!(text(&google, &two).as_deref(), Ok("a\nb"));
        assert_eq!(text(&google, &parts(json!([]))), Err(SILENCE.to_owned()));
        assert!(text(&google, &json!({"candidates": []})).is_err());
    }

    #[test]
    fn a_refusal_tells_its_words_and_no_key() {
        let listener = listener(Form::OpenAi);
        let said = |body: &str| refusal(&listener, 401, body.as_bytes());
        let body = r#"{"error": {"message": "sk-secret and other-secret are wrong"}}"#;
        assert_eq!(said(body), "p/m/1 answers 401: *** and *** are wrong");
        assert_eq!(said(r#"{"detail": {"message": "x"}}"#), "p/m/1 answers 401: x");
        assert_eq!(said("<html>"), "p/m/1 answers 401");
        let long = json!({"error": "y".repeat(1000)}).to_string();
        assert_eq!(said(&long).len(), "p/m/1 answers 401: ".len() + 300);
        let of_key: Vec<u16> = (400..600).filter(|status| is_of_key(*status)).collect();
        assert_eq!(of_key, [401, 402, 403, 429]);
    }

    #[test]
    fn the_model_reads_a_block_a_file() {
        assert_eq!(body(" c ", &[]), "c");
        assert_eq!(body("", &["a"]), "[Audio]\nTranscript:\na");
        assert_eq!(body("c", &["a"]), "[Audio]\nUser text:\nc\nTranscript:\na");
        let two = "[Audio 1/2]\nTranscript:\na\n\n[Audio 2/2]\nTranscript:\nb";
        assert_eq!(body("", &["a", "b"]), two);
        assert_eq!(body("c", &["a", "b"]), format!("User text:\nc\n\n{two}"));
        assert_eq!(together(&["a", "b"]), "Audio 1:\na\n\nAudio 2:\nb");
        let heard = |text: &str| Media { heard: Some(Ok(text.to_owned())), ..Media::default() };
        let mut message = Inbound { media: vec![heard("/think high x")], ..Inbound::default() };
        (message.text, message.spoken) = ("/think high x".to_owned(), true);
        assert_eq!(said(&message, "x"), "[Audio]\nTranscript:\nx");
        assert_eq!(said(&message, "/think high x"), "[Audio]\nTranscript:\n/think high x");
        let none = Media { heard: Some(Err("why".to_owned())), ..Media::default() };
        let message = Inbound { media: vec![none], text: "t".to_owned(), ..Inbound::default() };
        assert_eq!(said(&message, "t"), "t");
    }

    #[test]
    fn the_first_rule_that_fits_says_where_is_listened() {
        let scope = json!({"default": "deny", "rules": [
            {"action": "deny", "match": {"channel": "telegram", "chatType": "group"}},
            {"action": "allow", "match": {"channel": "telegram"}},
            {"action": "allow", "match": {"keyPrefix": "slack:dm"}},
            {"action": "allow", "match": {"rawKeyPrefix": "agent:work:"}},
            {"action": "allow", "match": {"chatType": "channel"}},
        ]});
        for (channel, kind, key, want) in [
            ("telegram", "group", "agent:main:telegram:group:1", false),
            ("telegram", "direct", "agent:main:main", true),
            ("slack", "direct", "agent:main:slack:dm:u", true),
            ("slack", "direct", "agent:main:main", false),
            ("slack", "group", "agent:work:x", true),
            ("irc", "channel", "agent:main:x", true),
        ] {
            assert_eq!(in_scope(&scope, channel, kind, key), want, "{channel} {kind} {key}");
        }
        assert!(in_scope(&Value::Null, "irc", "direct", "x"));
        assert!(is_sound(Some("audio/ogg; codecs=opus"), None) && is_sound(None, Some("a.mp3")));
        assert!(!is_sound(Some("video/mp4"), Some("a.mp3")) && !is_sound(None, None));
    }
}
