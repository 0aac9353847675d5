//! A model provider on a thread: speaks OpenAI's event stream as a script says.

use super::PATIENCE;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};

/// A request as it arrived.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Which request of this provider, from 0.
    pub number: usize,
    /// Request line and headers.
    pub head: String,
    /// The body.
    pub body: Value,
}

impl Asked {
    /// Text of the last user message.
    pub fn said(&self) -> String {
        let messages = self.body["messages"].as_array().expect("messages");
        let last = messages.iter().rev().find(|message| message["role"] == "user");
        last.and_then(|message| message["content"].as_str()).unwrap_or_default().to_owned()
    }

    /// The conversation without the system's part: `role: text`, for tools `tool <id>: text`.
    pub fn talk(&self) -> Vec<String> {
        let messages = self.body["messages"].as_array().expect("messages");
        let word = |message: &Value| {
            let role = message["role"].as_str().unwrap_or_default();
            let text = message["content"].as_str().unwrap_or_default();
            let id = message["tool_call_id"].as_str().map(|id| format!(" {id}"));
            format!("{role}{}: {text}", id.unwrap_or_default())
        };
        messages.iter().filter(|message| message["role"] != "system").map(word).collect()
    }

    /// Turns with tool calls since the last user message.
    pub fn rounds(&self) -> usize {
        let messages = self.body["messages"].as_array().expect("messages");
        let since = messages.iter().rposition(|message| message["role"] == "user").unwrap_or(0);
        messages[since..].iter().filter(|message| message["tool_calls"].is_array()).count()
    }
}

impl Asked {
    /// The result that the last message holds, if it is a tool's.
    pub fn result(&self) -> Option<String> {
        let last = self.body["messages"].as_array()?.last()?;
        let text = || last["content"].as_str().unwrap_or_default().to_owned();
        (last["role"] == "tool").then(text)
    }
}

/// The answering side of one connection.
pub struct Reply {
    /// The socket.
    pub stream: TcpStream,
}

impl Reply {
    /// Writes bytes; false when the gateway has gone.
    pub fn write(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).is_ok()
    }

    /// The head of a stream.
    pub fn head(&mut self) -> bool {
        self.write("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
    }

    /// One event.
    pub fn event(&mut self, data: &Value) -> bool {
        self.write(format!("data: {data}\n\n"))
    }

    /// More text.
    pub fn delta(&mut self, text: &str) -> bool {
        self.event(&json!({
            "id": "resp-1", "choices": [{"index": 0, "delta": {"content": text}}],
        }))
    }

    /// The good end.
    pub fn finish(&mut self, reason: &str) -> bool {
        let usage = json!({"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18});
        self.event(&json!({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}))
            && self.event(&json!({"choices": [], "usage": usage}))
            && self.write("data: [DONE]\n\n")
    }

    /// A whole turn that asks for tools: id, name, JSON text.
    pub fn tools(&mut self, calls: &[(&str, &str, &str)]) -> bool {
        let calls: Vec<Value> = calls
            .iter()
            .enumerate()
            .map(|(index, (id, name, arguments))| {
                json!({
                    "index": index, "id": id, "type": "function",
                    "function": {"name": name, "arguments": arguments},
                })
            })
            .collect();
        let delta = json!({"tool_calls": calls});
        self.head()
            && self.event(&json!({"id": "resp-1", "choices": [{"index": 0, "delta": delta}]}))
            && self.finish("tool_calls")
    }

    /// A whole answer.
    pub fn say(&mut self, text: &str) {
        self.head();
        self.delta(text);
        self.finish("stop");
    }

    /// The model asks for one tool; the call's id is `call-` and its name.
    pub fn call(&mut self, name: &str, args: impl std::fmt::Display) {
        let function = json!({"name": name, "arguments": args.to_string()});
        let id = format!("call-{name}");
        let call = json!({"index": 0, "id": id, "type": "function", "function": function});
        self.head();
        self.event(&json!({"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]}));
        self.finish("tool_calls");
    }

    /// An error status with further header lines.
    pub fn refuse(&mut self, status: &str, headers: &str, message: &str) {
        let body = json!({"error": {"message": message}}).to_string();
        self.write(format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
             {headers}\r\n{body}",
            body.len()
        ));
    }

    /// Waits until the gateway closes.
    pub fn wait_for_close(&mut self) {
        let mut rest = [0; 1024];
        while matches!(self.stream.read(&mut rest), Ok(n) if n > 0) {}
    }
}

type Script = dyn Fn(&Asked, &mut Reply) + Send + Sync;

/// A running provider.
pub struct Provider {
    /// Its port.
    pub port: u16,
    asked: Mutex<Receiver<Asked>>,
    ended: Arc<AtomicBool>,
}

impl Provider {
    /// Starts it; `script` answers each request, then the connection closes.
    pub fn start(script: impl Fn(&Asked, &mut Reply) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let script: Arc<Script> = Arc::new(script);
        let ended = Arc::new(AtomicBool::new(false));
        let (told, asked) = channel();
        let over = Arc::clone(&ended);
        let count = Arc::new(AtomicUsize::new(0));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if over.load(Ordering::Relaxed) {
                    return;
                }
                let (script, told) = (Arc::clone(&script), told.clone());
                let count = Arc::clone(&count);
                std::thread::spawn(move || {
                    let Some((head, body)) = request(&stream) else { return };
                    let number = count.fetch_add(1, Ordering::Relaxed);
                    let asked = Asked { number, head, body };
                    let _ = told.send(asked.clone());
                    let mut reply = Reply { stream };
                    script(&asked, &mut reply);
                    let _ = reply.stream.shutdown(Shutdown::Write);
                });
            }
        });
        Self { port, asked: Mutex::new(asked), ended }
    }

    /// A provider that repeats the last user message.
    pub fn echo() -> Self {
        Self::start(|asked, reply| reply.say(&format!("echo: {}", asked.said())))
    }

    /// The next request; waits for it.
    pub fn asked(&self) -> Asked {
        let asked = self.asked.lock().expect("one reader");
        asked.recv_timeout(PATIENCE).expect("the provider is asked")
    }

    /// Requests so far that nobody looked at.
    pub fn rest(&self) -> Vec<Asked> {
        self.asked.lock().expect("one reader").try_iter().collect()
    }

    /// A configuration of a gateway that asks this provider; `more` are further members.
    pub fn config(&self, more: &str) -> String {
        config(&[("mock", self.port)], "primary: 'mock/m1'", more)
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

/// A provider that begins each answer at once and ends it when the test says so.
pub fn patient() -> (Provider, std::sync::mpsc::Sender<()>) {
    let (go, wait): (_, Receiver<()>) = channel();
    let wait = Mutex::new(wait);
    let provider = Provider::start(move |_, reply| {
        reply.head();
        reply.delta("begun ");
        let _ = wait.lock().expect("one waits at a time").recv();
        reply.delta("done");
        reply.finish("stop");
    });
    (provider, go)
}

/// A configuration with providers by name and port, each with the model `m1`.
pub fn config(providers: &[(&str, u16)], model: &str, more: &str) -> String {
    let providers: Vec<String> = providers
        .iter()
        .map(|(name, port)| {
            format!(
                "{name}: {{baseUrl: 'http://127.0.0.1:{port}/v1', apiKey: 'sk-{name}', \
                 api: 'openai-completions', models: [{{id: 'm1', name: 'M1', maxTokens: 777}}]}}"
            )
        })
        .collect();
    format!(
        "{{gateway: {{mode: 'local', auth: {{token: '{}'}}, \
         http: {{endpoints: {{chatCompletions: {{enabled: true}}}}}}}}, \
         models: {{providers: {{{}}}}}, \
         agents: {{defaults: {{model: {{{model}}}}}}}, {more}}}",
        super::http::TOKEN,
        providers.join(", ")
    )
}

fn request(mut stream: &TcpStream) -> Option<(String, Value)> {
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let mut bytes = Vec::new();
    let mut chunk = [0; 64 * 1024];
    loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8(bytes[..at].to_vec()).ok()?;
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then_some(value)
            });
            let length: usize = length?.trim().parse().ok()?;
            if bytes.len() >= at + 4 + length {
                let body = serde_json::from_slice(&bytes[at + 4..]).ok()?;
                return Some((head, body));
            }
        }
        match stream.read(&mut chunk) {
            Ok(n) if n > 0 => bytes.extend_from_slice(&chunk[..n]),
            _ => return None,
        }
    }
}
