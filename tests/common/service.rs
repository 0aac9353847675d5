//! A chat service on threads: plain HTTP, one request a connection, answered as a script says.

use super::PATIENCE;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// A request as it arrived.
#[derive(Debug, Clone)]
pub struct Call {
    /// Request line and headers.
    pub head: String,
    /// Path and query.
    pub target: String,
    /// The body.
    pub body: Vec<u8>,
}

impl Call {
    /// The last part of the path.
    pub fn method(&self) -> &str {
        let path = self.target.split('?').next().unwrap_or_default();
        path.rsplit('/').next().unwrap_or_default()
    }

    /// The body as JSON; null when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// Whether the body holds these bytes.
    pub fn holds(&self, bytes: &[u8]) -> bool {
        self.body.windows(bytes.len()).any(|window| window == bytes)
    }
}

/// How a request is answered.
pub enum Answer {
    /// Status, header lines and body.
    Bytes(u16, String, Vec<u8>),
    /// Nothing for as long as the other side stays.
    Silence,
}

impl Answer {
    /// JSON with status 200.
    pub fn json(value: &Value) -> Self {
        Self::Bytes(200, "Content-Type: application/json\r\n".into(), value.to_string().into())
    }

    /// A file.
    pub fn file(bytes: impl Into<Vec<u8>>) -> Self {
        Self::Bytes(200, "Content-Type: application/octet-stream\r\n".into(), bytes.into())
    }
}

type Script = dyn Fn(&Call) -> Answer + Send + Sync;

/// A running service.
pub struct Service {
    /// Its port.
    pub port: u16,
    calls: Arc<(Mutex<Vec<Call>>, Condvar)>,
    ended: Arc<AtomicBool>,
}

impl Service {
    /// Starts it.
    pub fn start(script: impl Fn(&Call) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let script: Arc<Script> = Arc::new(script);
        let ended = Arc::new(AtomicBool::new(false));
        let calls: Arc<(Mutex<Vec<Call>>, Condvar)> = Arc::default();
        let (over, told) = (Arc::clone(&ended), Arc::clone(&calls));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if over.load(Ordering::Relaxed) {
                    return;
                }
                let (script, told) = (Arc::clone(&script), Arc::clone(&told));
                std::thread::spawn(move || serve(stream, &script, &told));
            }
        });
        Self { port, calls, ended }
    }

    /// Waits for the first request that this is true of, and takes it.
    pub fn call(&self, what: &str, is: impl Fn(&Call) -> bool) -> Call {
        let end = Instant::now() + PATIENCE;
        let mut calls = self.calls.0.lock().expect("calls");
        loop {
            if let Some(at) = calls.iter().position(&is) {
                return calls.remove(at);
            }
            let left = end.saturating_duration_since(Instant::now());
            let seen: Vec<&str> = calls.iter().map(Call::method).collect();
            assert!(!left.is_zero(), "no {what} among {seen:?}");
            calls = self.calls.1.wait_timeout(calls, left).expect("calls").0;
        }
    }

    /// How many requests so far nobody took this is true of.
    pub fn count(&self, is: impl Fn(&Call) -> bool) -> usize {
        self.calls.0.lock().expect("calls").iter().filter(|call| is(call)).count()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn serve(mut stream: TcpStream, script: &Arc<Script>, told: &(Mutex<Vec<Call>>, Condvar)) {
    let Some(call) = read(&mut stream) else { return };
    told.0.lock().expect("calls").push(call.clone());
    told.1.notify_all();
    match script(&call) {
        Answer::Silence => {
            let mut rest = [0; 1024];
            while matches!(stream.read(&mut rest), Ok(n) if n > 0) {}
        }
        Answer::Bytes(status, headers, body) => {
            let head = format!(
                "HTTP/1.1 {status} Answered\r\n{headers}Content-Length: {}\r\n\r\n",
                body.len()
            );
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
            let _ = stream.shutdown(Shutdown::Write);
        }
    }
}

fn read(stream: &mut TcpStream) -> Option<Call> {
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let (mut bytes, mut chunk) = (Vec::new(), vec![0; 64 * 1024]);
    loop {
        if let Some(at) = bytes.windows(4).position(|four: &[u8]| four == b"\r\n\r\n") {
            let head = String::from_utf8(bytes[..at].to_vec()).ok()?;
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
            });
            let length: usize = length.unwrap_or(0);
            if bytes.len() >= at + 4 + length {
                let target = head.split(' ').nth(1)?.to_owned();
                return Some(Call { head, target, body: bytes[at + 4..].to_vec() });
            }
        }
        match stream.read(&mut chunk) {
            Ok(n) if n > 0 => bytes.extend_from_slice(&chunk[..n]),
            _ => return None,
        }
    }
}

/// A Bot API server: updates that are said are polled, files are served, everything else is ok.
pub struct Telegram {
    /// The service.
    pub service: Service,
    shared: Arc<(Mutex<State>, Condvar)>,
}

/// What the script and the test share.
#[derive(Default)]
struct State {
    updates: VecDeque<Value>,
    next: i64,
    files: Vec<(String, Vec<u8>)>,
    /// Requests whose path holds this are never answered.
    silent: Option<&'static str>,
}

/// The token of the bot.
pub const TOKEN: &str = "123456:ABCDEFGHIJ";

impl Telegram {
    /// Starts it.
    pub fn start() -> Self {
        let shared: Arc<(Mutex<State>, Condvar)> = Arc::default();
        let own = Arc::clone(&shared);
        let service = Service::start(move |call| telegram(call, &own));
        Self { service, shared }
    }

    /// The account's keys.
    pub fn config(&self, more: &str) -> String {
        let port = self.service.port;
        format!(
            "telegram: {{botToken: '{TOKEN}', apiRoot: 'http://127.0.0.1:{port}', \
             dmPolicy: 'open', allowFrom: ['*'], {more}}}"
        )
    }

    /// Somebody writes; `more` are further members of the message.
    pub fn says(&self, more: &Value) {
        let (lock, news) = &*self.shared;
        let mut state = lock.lock().expect("state");
        state.next += 1;
        let mut message = json!({
            "message_id": state.next, "date": 1_795_000_000,
            "chat": {"id": 77, "type": "private"}, "from": {"id": 77, "first_name": "Ann"},
        });
        for (name, value) in more.as_object().expect("members") {
            message[name] = value.clone();
        }
        let update = json!({"update_id": state.next, "message": message});
        state.updates.push_back(update);
        news.notify_all();
    }

    /// A file that can be had by this id.
    pub fn file(&self, id: &str, bytes: impl Into<Vec<u8>>) {
        self.shared.0.lock().expect("state").files.push((id.to_owned(), bytes.into()));
    }

    /// Requests whose path holds this get no answer; `None` answers all again.
    pub fn silence(&self, part: Option<&'static str>) {
        self.shared.0.lock().expect("state").silent = part;
    }

    /// The next request of this method.
    pub fn asked(&self, method: &str) -> Call {
        self.service.call(method, |call| call.method() == method)
    }
}

fn telegram(call: &Call, shared: &(Mutex<State>, Condvar)) -> Answer {
    let (lock, news) = shared;
    let mut state = lock.lock().expect("state");
    let ok = |result: Value| Answer::json(&json!({"ok": true, "result": result}));
    let bad = |what: &str| {
        let body = json!({"ok": false, "error_code": 400, "description": what});
        Answer::Bytes(400, String::new(), body.to_string().into())
    };
    if state.silent.is_some_and(|part| call.target.contains(part)) {
        return Answer::Silence;
    }
    if call.target.starts_with("/file/") {
        let id = call.method();
        let found = state.files.iter().find(|(known, _)| known == id);
        return match found {
            Some((_, bytes)) if bytes.starts_with(b"302 ") => {
                let location = String::from_utf8_lossy(&bytes[4..]);
                Answer::Bytes(302, format!("Location: {location}\r\n"), Vec::new())
            }
            Some((_, bytes)) => Answer::file(bytes.clone()),
            None => bad("Not Found"),
        };
    }
    let args = call.json();
    match call.method() {
        "getMe" => ok(json!({"id": 123_456, "is_bot": true, "username": "fake_bot"})),
        "getUpdates" => {
            let offset = args["offset"].as_i64().unwrap_or(0);
            let hold = args["timeout"].as_u64().unwrap_or(0).min(20);
            let until = Instant::now() + Duration::from_secs(hold);
            loop {
                state.updates.retain(|update| update["update_id"].as_i64() >= Some(offset));
                let left = until.saturating_duration_since(Instant::now());
                if !state.updates.is_empty() || left.is_zero() {
                    return ok(json!(state.updates));
                }
                state = news.wait_timeout(state, left).expect("state").0;
            }
        }
        "getFile" => {
            let id = args["file_id"].as_str().unwrap_or_default();
            match state.files.iter().find(|(known, _)| known == id) {
                Some((_, bytes)) => ok(json!({
                    "file_id": id, "file_size": bytes.len(), "file_path": format!("files/{id}"),
                })),
                None => bad("Bad Request: file is too big"),
            }
        }
        _ => {
            state.next += 1;
            ok(json!({"message_id": state.next + 1000, "chat": {"id": 77}}))
        }
    }
}
