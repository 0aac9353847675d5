//! A raw HTTP/1.1 client: it sends the bytes it is given and reads what really comes back.

use super::PATIENCE;
use serde_json::Value;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

/// The shared secret of the gateways in these tests.
pub const TOKEN: &str = "t0ken-of-the-tests";

/// One connection.
pub struct Http {
    /// The socket; reads give up after [`PATIENCE`].
    pub stream: TcpStream,
    buffer: Vec<u8>,
    /// How much of it was used.
    at: usize,
}

/// One answer.
#[derive(Debug)]
pub struct Response {
    /// Its status.
    pub status: u16,
    /// `HTTP/1.1`.
    pub version: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, unchunked.
    pub body: Vec<u8>,
}

impl Response {
    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The `data:` lines of an event stream.
    pub fn data(&self) -> Vec<String> {
        let text = self.text();
        text.lines().filter_map(|line| line.strip_prefix("data: ")).map(str::to_owned).collect()
    }
}

impl Http {
    /// Connects.
    pub fn connect(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("the gateway listens");
        Self::over(stream)
    }

    /// Over a connected socket.
    pub fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
        stream.set_nodelay(true).expect("nodelay");
        Self { stream, buffer: Vec::new(), at: 0 }
    }

    /// The socket, and what was read of it too early.
    pub fn into_parts(self) -> (TcpStream, Vec<u8>) {
        let rest = self.buffer[self.at..].to_vec();
        (self.stream, rest)
    }

    /// Sends bytes; a peer that has closed already is no error.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(bytes.as_ref());
    }

    /// Reads more; false at the end.
    fn more(&mut self) -> bool {
        let mut chunk = [0; 64 * 1024];
        self.buffer.drain(..std::mem::take(&mut self.at));
        match self.stream.read(&mut chunk) {
            Ok(0) => false,
            Ok(n) => {
                self.buffer.extend_from_slice(&chunk[..n]);
                true
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => false,
            Err(error) => panic!("{error}; so far {:?}", String::from_utf8_lossy(&self.buffer)),
        }
    }

    fn line(&mut self) -> Option<String> {
        loop {
            if let Some(at) = self.buffer[self.at..].windows(2).position(|pair| pair == b"\r\n") {
                let line = self.take(at);
                self.at += 2;
                return Some(String::from_utf8(line).expect("a line of text"));
            }
            if !self.more() {
                return None;
            }
        }
    }

    fn exactly(&mut self, count: usize) -> Vec<u8> {
        while self.buffer.len() < self.at + count {
            assert!(self.more(), "cut after {} of {count} bytes", self.buffer.len() - self.at);
        }
        self.take(count)
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        let taken = self.buffer[self.at..self.at + count].to_vec();
        self.at += count;
        taken
    }

    /// The head of the next answer; `None` when the connection ended instead.
    pub fn head(&mut self) -> Option<Response> {
        let line = self.line()?;
        let mut words = line.splitn(3, ' ');
        let version = words.next().expect("a version").to_owned();
        let status = words.next().and_then(|word| word.parse().ok()).expect("a status");
        let mut headers = Vec::new();
        loop {
            let line = self.line().expect("a whole head");
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(": ").expect("a header line");
            headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        Some(Response { status, version, headers, body: Vec::new() })
    }

    /// One chunk of a chunked body; `None` at its end.
    pub fn chunk(&mut self) -> Option<Vec<u8>> {
        let size = self.line().expect("a chunk size");
        let size = usize::from_str_radix(&size, 16).expect("a chunk size");
        let data = self.exactly(size);
        assert_eq!(self.line().as_deref(), Some(""), "the end of a chunk");
        (size > 0).then_some(data)
    }

    /// The next answer; `None` when the connection ended instead.
    pub fn answer(&mut self, head_only: bool) -> Option<Response> {
        let mut response = self.head()?;
        if head_only || response.status < 200 || response.status == 204 {
            return Some(response);
        }
        if response.header("transfer-encoding") == Some("chunked") {
            while let Some(data) = self.chunk() {
                response.body.extend(data);
            }
        } else if let Some(length) = response.header("content-length") {
            let length = length.parse().expect("a length");
            response.body = self.exactly(length);
        } else {
            while self.more() {}
            response.body = self.take(self.buffer.len() - self.at);
        }
        Some(response)
    }

    /// The next answer.
    pub fn response(&mut self) -> Response {
        self.answer(false).expect("an answer")
    }

    /// Sends and reads the answer.
    pub fn exchange(&mut self, bytes: impl AsRef<[u8]>) -> Response {
        self.send(bytes);
        self.response()
    }

    /// Asserts that the connection ends without another byte.
    pub fn ends(&mut self) {
        while self.more() {}
        assert!(self.at == self.buffer.len(), "{:?}", String::from_utf8_lossy(&self.buffer));
    }
}

/// One request on a connection of its own.
pub fn ask(port: u16, bytes: impl AsRef<[u8]>) -> Response {
    Http::connect(port).exchange(bytes)
}

/// A GET with the secret.
pub fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n\r\n")
}

/// A POST with the secret and a JSON body.
pub fn post(path: &str, body: &Value) -> String {
    let body = body.to_string();
    format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// A chat completion.
pub fn chat(body: &Value) -> String {
    post("/v1/chat/completions", body)
}
