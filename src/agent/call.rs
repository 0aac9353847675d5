//! One model call on an open connection: HTTP response, event stream, dialect.

pub use super::provider::Class;
use super::provider::errors::{class_of_refusal, error_text};
use super::provider::{Delta, Dialect, Reader, Step, StreamError, Whole};
use crate::config::Secret;
use crate::limits;
use crate::wire::http::client::{Client, ClientEvent};
use crate::wire::http::head::Headers;
use crate::wire::sse::{Parser, SseItem};

/// Bytes of an error body that are read for its message.
const ERROR_BODY: usize = 16 * 1024;
/// Characters of a provider's error that are passed on.
const ERROR_CHARS: usize = 500;
/// A secret's first characters at the end of a text that was cut: so many give it away.
const TELLING: usize = 8;

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallError {
    /// What to do about it.
    pub class: Class,
    /// HTTP status, if an answer came.
    pub status: Option<u16>,
    /// For the operator, without secrets.
    pub message: String,
    /// The provider's `Retry-After`, from the moment it was read.
    pub retry_after_ms: Option<u64>,
}

/// What came out of the bytes.
#[derive(Debug, PartialEq)]
pub enum CallEvent {
    /// A piece of the answer.
    Delta(Delta),
    /// The answer is complete; nothing follows.
    Done,
    /// The call failed; nothing follows.
    Failed(CallError),
}

enum State {
    Head,
    /// A good status: what came of the body is not enough yet to know what it is.
    Unknown(Plain),
    Stream,
    /// A body that is read to its end: it may be an answer in one piece, or an error.
    Whole(Plain),
    /// An error status whose body is read for its message.
    Refused {
        status: u16,
        retry_after_ms: Option<u64>,
        body: Vec<u8>,
    },
    Over,
}

/// A body under a good status that is not, or not yet, a stream.
#[derive(Default)]
struct Plain {
    content_type: Option<String>,
    retry_after_ms: Option<u64>,
    body: Vec<u8>,
}

/// What a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Undecided,
    Stream,
    Json,
    Neither,
}

impl Plain {
    /// By its first bytes, since content types are wrong more often than these, and only then
    /// by its content type; `ended`: no more bytes come.
    fn kind(&self, ended: bool) -> Kind {
        /// Blanks before the first word.
        const LOOK: usize = 1024;
        const BOM: &[u8] = b"\xef\xbb\xbf";
        const FIELDS: [&[u8]; 5] = [b":", b"data:", b"event:", b"id:", b"retry:"];
        // The same bytes whatever the pieces they come in.
        let body = self.body.get(..LOOK).unwrap_or(&self.body);
        let start = body.strip_prefix(BOM).unwrap_or(body).trim_ascii_start();
        if start.starts_with(b"{") {
            return Kind::Json;
        }
        if FIELDS.iter().any(|field| start.starts_with(field)) {
            return Kind::Stream;
        }
        let may_become = |word: &[u8]| word.starts_with(start);
        if !ended && body.len() < LOOK && (may_become(BOM) || FIELDS.into_iter().any(may_become)) {
            return Kind::Undecided;
        }
        let Some(content_type) = &self.content_type else { return Kind::Stream };
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        match essence.to_ascii_lowercase() {
            text if text == "text/event-stream" || text.is_empty() => Kind::Stream,
            text if text.ends_with("/json") || text.ends_with("+json") => Kind::Json,
            _ => Kind::Neither,
        }
    }
}

/// How long the provider asks to be left alone: `retry-after-ms`, or `Retry-After` in seconds,
/// whole or not, or as a date.
fn retry_after_ms(headers: &Headers, wall_ms: u64) -> Option<u64> {
    if let Some(thousandths) = headers.get("retry-after-ms").and_then(thousandths) {
        return Some(thousandths.div_ceil(1000));
    }
    let text = headers.get("retry-after")?.trim();
    let until = || crate::wire::text::http_date_ms(text);
    thousandths(text).or_else(|| until().map(|until| until.saturating_sub(wall_ms)))
}

/// Thousandths of a decimal number, rounded up; the largest number for one that is too large.
fn thousandths(text: &str) -> Option<u64> {
    let text = text.trim();
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return None;
    }
    let zeros = std::iter::repeat(b'0');
    let three = fraction.bytes().chain(zeros).take(3);
    let three = three.fold(0, |sum, digit| sum * 10 + u64::from(digit.wrapping_sub(b'0')));
    let more = u64::from(fraction.bytes().skip(3).any(|digit| digit != b'0'));
    let whole: u64 = whole.parse().unwrap_or(u64::MAX);
    Some(whole.saturating_mul(1000).saturating_add(three + more))
}

/// The receiving side of one call.
pub struct Call {
    client: Client,
    sse: Parser,
    reader: Reader,
    state: State,
    /// Unix time when the last bytes came.
    wall_ms: u64,
    /// What we sent and must not come back in an error, the longest first.
    secrets: Vec<Secret>,
    /// The dialect said that the stream is complete, or gave a finish reason: a close after
    /// that is a good end (some servers never send `[DONE]`).
    finished: bool,
    ended: bool,
}

impl Call {
    /// A call whose request is on its way; `secrets` are taken out of the provider's errors.
    pub fn new(reader: Reader, mut secrets: Vec<Secret>) -> Self {
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.expose().len()));
        Self {
            secrets,
            reader,
            client: Client::new(false),
            sse: Parser::new(),
            state: State::Head,
            wall_ms: 0,
            finished: false,
            ended: false,
        }
    }

    /// Takes bytes from the provider. `wall_ms` is Unix time, for the dates among them.
    pub fn push(&mut self, bytes: &[u8], wall_ms: u64, tell: &mut dyn FnMut(CallEvent)) {
        self.wall_ms = wall_ms;
        self.client.push(bytes);
        self.pump(tell);
    }

    /// The provider closed the connection.
    pub fn eof(&mut self, tell: &mut dyn FnMut(CallEvent)) {
        self.client.eof();
        self.pump(tell);
        if !matches!(self.state, State::Over) {
            self.end(tell);
        }
    }

    fn pump(&mut self, tell: &mut dyn FnMut(CallEvent)) {
        while !matches!(self.state, State::Over) {
            match self.client.next() {
                None => return,
                Some(ClientEvent::Head { status, headers }) => {
                    let retry_after_ms = retry_after_ms(&headers, self.wall_ms);
                    self.state = if (200..300).contains(&status) {
                        let content_type = headers.get("content-type").map(str::to_owned);
                        State::Unknown(Plain { content_type, retry_after_ms, body: Vec::new() })
                    } else {
                        State::Refused { status, retry_after_ms, body: Vec::new() }
                    };
                }
                Some(ClientEvent::Data(bytes)) => match &mut self.state {
                    State::Stream => {
                        self.sse.push(&bytes);
                        self.events(tell);
                    }
                    State::Unknown(plain) => {
                        plain.body.extend(bytes);
                        self.recognize(false, tell);
                    }
                    State::Whole(plain) => {
                        plain.body.extend(bytes);
                        self.bound(tell);
                    }
                    State::Refused { body, .. } => {
                        let room = ERROR_BODY.saturating_sub(body.len());
                        body.extend(bytes.into_iter().take(room));
                    }
                    State::Head | State::Over => {}
                },
                Some(ClientEvent::End { .. }) => self.end(tell),
                Some(ClientEvent::Failed(error)) => {
                    self.fail(Class::Transient, None, format!("bad HTTP from it: {error}"), tell);
                }
            }
        }
    }

    /// Goes on from [`State::Unknown`] once it is known.
    fn recognize(&mut self, ended: bool, tell: &mut dyn FnMut(CallEvent)) {
        let State::Unknown(plain) = &mut self.state else { return };
        match plain.kind(ended) {
            Kind::Undecided => {}
            Kind::Stream => {
                let plain = std::mem::take(plain);
                self.state = State::Stream;
                self.sse.push(&plain.body);
                self.events(tell);
            }
            Kind::Json => {
                self.state = State::Whole(std::mem::take(plain));
                self.bound(tell);
            }
            Kind::Neither => {
                let plain = std::mem::take(plain);
                self.no_stream(&plain, tell);
            }
        }
    }

    /// An answer in one piece is as long as an event may be.
    fn bound(&mut self, tell: &mut dyn FnMut(CallEvent)) {
        if matches!(&self.state, State::Whole(plain) if plain.body.len() > limits::SSE_EVENT) {
            let message = "its answer did not come as a stream and is over the limit".to_owned();
            self.fail(Class::Request, None, message, tell);
        }
    }

    fn no_stream(&mut self, plain: &Plain, tell: &mut dyn FnMut(CallEvent)) {
        let content_type = match &plain.content_type {
            Some(text) => {
                let text = crate::wire::text::escape_log(&self.redacted(text), 100);
                format!("content type {text}")
            }
            None => "no content type".to_owned(),
        };
        let message =
            format!("the provider did not stream ({content_type}); check baseUrl and api");
        self.fail(Class::Request, None, message, tell);
    }

    fn whole(&mut self, plain: &Plain, tell: &mut dyn FnMut(CallEvent)) {
        match self.reader.whole(&plain.body, &mut |delta| tell(CallEvent::Delta(delta))) {
            Whole::Answer => tell(CallEvent::Done),
            Whole::Error(StreamError { class, status, text }) => {
                self.refuse(class, status, &text, plain.retry_after_ms, tell);
            }
            Whole::Neither => self.no_stream(plain, tell),
        }
    }

    fn events(&mut self, tell: &mut dyn FnMut(CallEvent)) {
        while let Some(item) = self.sse.next() {
            let data = match item {
                // Keep-alive comments re-arm the idle timer by being bytes at all.
                Ok(SseItem::Comment) => continue,
                Ok(SseItem::Event { data, .. }) => data,
                Err(error) => {
                    return self.fail(Class::Transient, None, error.to_string(), tell);
                }
            };
            if data.is_empty() {
                continue;
            }
            let mut finished = false;
            let step = self.reader.event(&data, &mut |delta| {
                finished |= matches!(delta, Delta::Finish(_));
                tell(CallEvent::Delta(delta));
            });
            self.finished |= finished;
            match step {
                Ok(Step::More) => {}
                // Some providers send usage after `[DONE]`: read on to the end of the body.
                Ok(Step::End) => {
                    self.finished = true;
                    self.ended = true;
                }
                // After [DONE] nothing can spoil the answer any more.
                Err(_) if self.ended => {}
                Err(StreamError { class, status, text }) => {
                    return self.fail(class, status, text, tell);
                }
            }
        }
    }

    /// True once `[DONE]` was read; the caller need not wait for the connection's end long.
    pub fn said_done(&self) -> bool {
        self.ended
    }

    fn end(&mut self, tell: &mut dyn FnMut(CallEvent)) {
        self.recognize(true, tell);
        match std::mem::replace(&mut self.state, State::Over) {
            State::Stream => {
                if let Some(Ok(SseItem::Event { data, .. })) = self.sse.finish() {
                    let finished = &mut self.finished;
                    let step = self.reader.event(&data, &mut |delta| {
                        *finished |= matches!(delta, Delta::Finish(_));
                        tell(CallEvent::Delta(delta));
                    });
                    *finished |= step == Ok(Step::End);
                }
                if self.finished {
                    tell(CallEvent::Done);
                } else {
                    let message = "the connection ended in the middle of the answer".to_owned();
                    self.fail(Class::Transient, None, message, tell);
                }
            }
            State::Refused { status, retry_after_ms, body } => {
                let said = match serde_json::from_slice(&body) {
                    Ok(json) => error_text(&json),
                    Err(_) => {
                        let said = self.redacted(String::from_utf8_lossy(&body).trim());
                        crate::wire::text::escape_log(&said, 200)
                    }
                };
                let message = format!("HTTP {status}: {said}");
                let class = class_of_refusal(status, &body);
                self.refuse(class, Some(status), &message, retry_after_ms, tell);
            }
            State::Head => {
                let message = "it closed the connection without an answer".to_owned();
                self.fail(Class::Transient, None, message, tell);
            }
            State::Whole(plain) => self.whole(&plain, tell),
            State::Unknown(_) | State::Over => {}
        }
    }

    fn fail(
        &mut self,
        class: Class,
        status: Option<u16>,
        message: String,
        tell: &mut dyn FnMut(CallEvent),
    ) {
        self.refuse(class, status, &message, None, tell);
    }

    /// The one way out for an error: without our secrets, and short. In this order, since half
    /// a secret would not be found.
    fn refuse(
        &mut self,
        class: Class,
        status: Option<u16>,
        message: &str,
        retry_after_ms: Option<u64>,
        tell: &mut dyn FnMut(CallEvent),
    ) {
        self.state = State::Over;
        let message = self.redacted(message).chars().take(ERROR_CHARS).collect();
        tell(CallEvent::Failed(CallError { class, status, message, retry_after_ms }));
    }

    /// The text with `***` for each secret, and for the beginning of one at its end.
    fn redacted(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in &self.secrets {
            text = text.replace(secret.expose(), "***");
        }
        for secret in self.secrets.iter().map(Secret::expose) {
            let cut = (TELLING..secret.len()).rev().find_map(|length| {
                text.strip_suffix(secret.get(..length)?).map(|rest| format!("{rest}***"))
            });
            text = cut.unwrap_or(text);
        }
        text
    }
}

/// Some time, for tests: 2026-11-18T13:20:00Z.
const WALL_MS: u64 = 1_795_008_000_000;

/// Arbitrary bytes as a provider's answer, in two pieces: the same events as in one piece.
/// No error holds the key.
pub fn fuzz(data: &[u8]) {
    const KEY: &str = "sk-canary-1";
    let Some((first, rest)) = data.split_first() else { return };
    let run = |dialect: Dialect, pieces: &[&[u8]]| {
        let mut events = Vec::new();
        let mut call = Call::new(dialect.reader(), vec![Secret::new(KEY.to_owned())]);
        for piece in pieces {
            call.push(piece, WALL_MS, &mut |event| events.push(event));
        }
        call.eof(&mut |event| events.push(event));
        let ends = events
            .iter()
            .filter(|event| matches!(event, CallEvent::Done | CallEvent::Failed(_)))
            .count();
        assert_eq!(ends, 1, "a call ends exactly once");
        if let Some(CallEvent::Failed(error)) = events.last() {
            assert!(!error.message.contains(KEY), "{}", error.message);
        }
        events
    };
    let cut = usize::from(*first).min(rest.len());
    let (a, b) = rest.split_at(cut);
    for dialect in Dialect::ALL {
        assert_eq!(run(dialect, &[rest]), run(dialect, &[a, b]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::{StopReason, Usage};

    const STREAM: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
        Connection: close\r\n\r\n: hello\n\n\
        data: {\"id\":\"r\",\"choices\":[{\"delta\":{\"content\":\"one \"}}]}\n\n\
        data: {\"choices\":[{\"delta\":{\"content\":\"two\"}}]}\r\n\r\n\
        data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n\
        data: [DONE]\n\n\
        data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2,\"total_tokens\":3}}\n\n";

    fn answer(pieces: &[&[u8]]) -> Vec<CallEvent> {
        let mut events = Vec::new();
        let mut call = Call::new(Reader::OpenAiCompletions, Vec::new());
        for piece in pieces {
            call.push(piece, WALL_MS, &mut |event| events.push(event));
        }
        call.eof(&mut |event| events.push(event));
        events
    }

    #[test]
    fn a_stream_split_at_every_byte_reads_the_same() {
        let want = vec![
            CallEvent::Delta(Delta::Text("one ".to_owned())),
            CallEvent::Delta(Delta::Text("two".to_owned())),
            CallEvent::Delta(Delta::Finish(StopReason::Stop)),
            CallEvent::Delta(Delta::Usage(Usage {
                input: 1,
                output: 2,
                total: 3,
                ..Usage::default()
            })),
            CallEvent::Done,
        ];
        for cut in 0..STREAM.len() {
            let (a, b) = STREAM.as_bytes().split_at(cut);
            assert_eq!(answer(&[a, b]), want, "cut at {cut}");
        }
    }

    #[test]
    fn refusals_are_classed_and_keep_the_providers_words() {
        let table = [
            (401, Class::Auth),
            (429, Class::Transient),
            (400, Class::Request),
            (503, Class::Transient),
        ];
        for (status, class) in table {
            let text = format!(
                "HTTP/1.1 {status} X\r\nRetry-After: 2\r\nContent-Length: 28\r\n\r\n\
                 {{\"error\":{{\"message\":\"nope\"}}}} "
            );
            let events = answer(&[text.as_bytes()]);
            let [CallEvent::Failed(error)] = events.as_slice() else { panic!("{events:?}") };
            assert_eq!((error.class, error.status), (class, Some(status)));
            assert_eq!(error.retry_after_ms, Some(2000));
            assert!(error.message.ends_with("nope"), "{}", error.message);
        }
    }

    #[test]
    fn our_secrets_do_not_come_back_in_an_error() {
        let words = ["key-0123456789", "Bearer key-0123456789", "quo\"te\\key"];
        let quoted = words[2].replace('\\', "\\\\").replace('"', "\\\"");
        let secrets = words.iter().copied().chain([quoted.as_str()]);
        let secrets: Vec<Secret> = secrets.map(|text| Secret::new(text.to_owned())).collect();
        let json = |value: &str| {
            let body = format!("{{\"error\":{{\"message\":\"{value}\"}}}}");
            let length = body.len();
            format!("HTTP/1.1 401 X\r\nContent-Length: {length}\r\n\r\n{body}")
        };
        let plain = |body: &str| format!("HTTP/1.1 500 X\r\n\r\n{body}");
        let event = |body: &str| format!("HTTP/1.1 200 X\r\n\r\ndata: {body}\n\n");
        let table = [
            (json("no Bearer key-0123456789!"), "HTTP 401: no ***!"),
            // What JSON hides, and what the cut at 500 characters would leave half of.
            (json("k\\u0065y-0123456789 twice key-0123456789"), "HTTP 401: *** twice ***"),
            (json(&format!("{}key-0123456789", " ".repeat(480))), "HTTP 401: "),
            (json(&quoted), "HTTP 401: ***"),
            (plain(&format!("{{\"x\":\"{quoted}\"}}")), "HTTP 500: {\"x\":\"***\"}"),
            (plain(&format!("{}key-0123456789", "x ".repeat(95))), "HTTP 500: x"),
            (plain(&format!("{}key-0123456789", " ".repeat(ERROR_BODY - 9))), "HTTP 500: ***"),
            (event("{\"error\":\"key-0123456789\"}"), "***"),
            (event("{\"choices\":\"key-0123456789\"}"), "an event is no completion chunk"),
        ];
        for (text, want) in table {
            let mut events = Vec::new();
            let mut call = Call::new(Reader::OpenAiCompletions, secrets.clone());
            call.push(text.as_bytes(), WALL_MS, &mut |event| events.push(event));
            call.eof(&mut |event| events.push(event));
            let [CallEvent::Failed(error)] = events.as_slice() else { panic!("{events:?}") };
            let message = &error.message;
            assert!(message.starts_with(want), "{message}");
            assert!(!message.contains("key-01") && !message.contains("te\\"), "{message}");
            assert!(message.contains('*') || want.ends_with(' '), "{message}");
        }
    }

    #[test]
    fn how_long_to_wait_is_read_in_every_form() {
        let table = [
            ("Retry-After: 7", Some(7000)),
            ("Retry-After: 0", Some(0)),
            ("Retry-After: 1.5", Some(1500)),
            ("Retry-After: 0.0001", Some(1)),
            ("Retry-After: 2.0010", Some(2001)),
            ("Retry-After: 99999999999999999999999", Some(u64::MAX)),
            ("retry-after-ms: 250", Some(250)),
            ("Retry-After: 9\r\nRetry-After-Ms: 12.5", Some(13)),
            ("Retry-After: 9\r\nRetry-After-Ms: soon", Some(9000)),
            ("Retry-After: Wed, 18 Nov 2026 13:21:30 GMT", Some(90_000)),
            ("Retry-After: Wed, 18 Nov 2026 13:19:59 GMT", Some(0)),
            ("Retry-After: -1", None),
            ("Retry-After: 1e3", None),
            ("Retry-After: .5", None),
            ("Retry-After: 1.", None),
            ("Retry-After: inf", None),
            ("Retry-After:", None),
            ("Retry-After: tomorrow", None),
        ];
        for (line, want) in table {
            let events = answer(&[format!("HTTP/1.1 503 X\r\n{line}\r\n\r\n").as_bytes()]);
            let [CallEvent::Failed(error)] = events.as_slice() else { panic!("{events:?}") };
            assert_eq!(error.retry_after_ms, want, "{line}");
        }
    }

    #[test]
    fn a_cut_stream_is_a_failure_and_an_unterminated_but_finished_one_is_not() {
        let cut = STREAM.split("data: {\"choices\":[{\"delta\":{},").next().unwrap();
        assert!(matches!(answer(&[cut.as_bytes()]).last(), Some(CallEvent::Failed(_))));
        let finished = STREAM.split("data: [DONE]").next().unwrap();
        assert_eq!(answer(&[finished.as_bytes()]).last(), Some(&CallEvent::Done));
    }

    #[test]
    fn an_answer_that_is_no_stream_is_told_at_once() {
        let text = |text: &str| CallEvent::Delta(Delta::Text(text.to_owned()));
        let failed = |class, status, message: &str| {
            let message = message.to_owned();
            CallEvent::Failed(CallError { class, status, message, retry_after_ms: None })
        };
        let no_stream = |kind: &str| {
            let told = format!("the provider did not stream ({kind}); check baseUrl and api");
            failed(Class::Request, None, &told)
        };
        let whole = r#"{"id":"i","choices":[{"message":{"content":"hi"}}]}"#;
        let sse = "data: {\"choices\":[{\"delta\":{\"content\":\"hi\"},\
            \"finish_reason\":\"stop\"}]}\n\n";
        let transient = |status| failed(Class::Transient, status, "m");
        let answer_of = |head: &str, body: &str| {
            answer(&[format!("HTTP/1.1 200 OK\r\n{head}\r\n{body}").as_bytes()])
        };
        for (kind, body, want) in [
            ("text/html", "<html>", no_stream("content type text/html")),
            ("text/html", "", no_stream("content type text/html")),
            ("text/plain", " \n d", no_stream("content type text/plain")),
            ("text/plain", sse, CallEvent::Done),
            ("application/json", sse, CallEvent::Done),
            ("application/json", whole, CallEvent::Done),
            ("text/event-stream", whole, CallEvent::Done),
            (
                "Application/JSON; charset=x",
                "[]",
                no_stream("content type Application/JSON; charset=x"),
            ),
            ("application/json", "", no_stream("content type application/json")),
            ("application/json", r#"{"models":[]}"#, no_stream("content type application/json")),
            ("application/json", r#"{"error":"m"}"#, failed(Class::Request, None, "m")),
            ("x/y", r#"{"error":{"message":"m","code":429}}"#, transient(Some(429))),
            ("x/y", r#"{"error":{"message":"m","code":"503"}}"#, transient(Some(503))),
            ("x/y", r#"{"error":{"message":"m","type":"overloaded_error"}}"#, transient(None)),
            (
                "x/y",
                r#"{"error":{"message":"m","code":"rate_limit_exceeded"}}"#,
                transient(Some(429)),
            ),
            ("x/y", r#"[{"error":{"message":"m"}}]"#, no_stream("content type x/y")),
            (
                "x/json",
                r#"[{"error":{"message":"m","code":401}}]"#,
                failed(Class::Auth, Some(401), "m"),
            ),
        ] {
            let events = answer_of(&format!("Content-Type: {kind}\r\n"), body);
            assert_eq!(events.last(), Some(&want), "{kind}: {body}");
            assert_eq!(events.contains(&text("hi")), want == CallEvent::Done, "{kind}: {body}");
        }
        assert_eq!(answer_of("", "  nonsense").len(), 1);
        assert_eq!(answer_of("", "\u{feff}{}"), [no_stream("no content type")]);
        let long = format!("{{{}", " ".repeat(limits::SSE_EVENT));
        let events = answer_of("", &long);
        let [CallEvent::Failed(error)] = events.as_slice() else { panic!("{}", events.len()) };
        assert!(error.class == Class::Request && error.message.contains("limit"), "{error:?}");
    }

    #[test]
    fn an_answer_in_one_piece_has_everything() {
        let body = r#" {"id":"i","object":"chat.completion","choices":[{"index":0,"message":{
            "role":"assistant","content":"t","reasoning_content":"r","tool_calls":[
            {"id":"a","type":"function","function":{"name":"f","arguments":"{}"}},
            {"id":"b","type":"function","function":{"name":"g","arguments":"[]"}}]},
            "finish_reason":"tool_calls"}],
            "usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}} "#;
        let length = body.len();
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
        let text = format!("{head}Content-Length: {length}\r\n\r\n{body}");
        let call = |index, id: &str, name: &str, arguments: &str| {
            let (id, name) = (Some(id.to_owned()), Some(name.to_owned()));
            CallEvent::Delta(Delta::ToolCall { index, id, name, arguments: arguments.to_owned() })
        };
        let want = [
            CallEvent::Delta(Delta::ResponseId("i".to_owned())),
            CallEvent::Delta(Delta::Reasoning("r".to_owned())),
            CallEvent::Delta(Delta::Text("t".to_owned())),
            call(0, "a", "f", "{}"),
            call(1, "b", "g", "[]"),
            CallEvent::Delta(Delta::Usage(Usage {
                input: 1,
                output: 2,
                total: 3,
                ..Usage::default()
            })),
            CallEvent::Delta(Delta::Finish(StopReason::ToolUse)),
            CallEvent::Done,
        ];
        for cut in 0..text.len() {
            let (a, b) = text.as_bytes().split_at(cut);
            assert_eq!(answer(&[a, b]), want, "cut at {cut}");
        }
    }
}
