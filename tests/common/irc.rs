//! A scripted IRC server.

use super::PATIENCE;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

/// The server's side of one connection.
pub struct Peer {
    /// Its lines.
    pub lines: BufReader<TcpStream>,
    /// Whoever wants to join does.
    pub lets_in: bool,
}

impl Peer {
    /// Says a line.
    pub fn say(&mut self, line: &str) {
        self.lines.get_mut().write_all(format!("{line}\r\n").as_bytes()).expect("it reads");
    }

    /// The next line that is no PING or USERHOST; those are answered as a server does.
    pub fn line(&mut self) -> String {
        loop {
            let mut line = String::new();
            let n = self.lines.read_line(&mut line).expect("a line in time");
            assert!(n > 0, "the gateway closed");
            let line = line.trim_end().to_owned();
            if let Some(token) = line.strip_prefix("PING ") {
                let answer = format!(":srv PONG srv {token}");
                self.say(&answer);
            } else if let Some(nick) = line.strip_prefix("USERHOST ") {
                let answer = format!(":srv 302 bot :{nick}=+u@host");
                self.say(&answer);
            } else {
                if self.lets_in && line.starts_with("JOIN ") {
                    self.say(&format!(":bot!u@host {line}"));
                }
                return line;
            }
        }
    }

    /// The receipt of a message is the answer to the ping behind it.
    pub fn answers_a_ping(&mut self) {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("a line in time");
        let token = line.trim_end().strip_prefix("PING ").expect("a ping");
        self.say(&format!(":srv PONG srv {token}"));
    }

    /// Until a line holds this.
    pub fn hears(&mut self, what: &str) -> String {
        loop {
            let line = self.line();
            if line.contains(what) {
                return line;
            }
        }
    }
}

/// A scripted IRC server.
pub struct Server {
    /// Where it listens.
    pub listener: TcpListener,
    /// Its port.
    pub port: u16,
}

impl Server {
    /// On a free port.
    pub fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("it").port();
        Self { listener, port }
    }

    /// The next connection, welcomed.
    pub fn accept(&self) -> Peer {
        self.listener.set_nonblocking(true).expect("it");
        let end = Instant::now() + PATIENCE;
        let stream = loop {
            match self.listener.accept() {
                Ok((stream, _)) => break stream,
                Err(_) if Instant::now() < end => std::thread::yield_now(),
                Err(error) => panic!("nobody connects: {error}"),
            }
        };
        stream.set_nonblocking(false).expect("it");
        stream.set_read_timeout(Some(PATIENCE)).expect("it");
        let mut peer = Peer { lines: BufReader::new(stream), lets_in: true };
        peer.hears("USER ");
        peer.say(":srv 001 bot :Welcome");
        peer
    }

    /// Nobody connects for a moment.
    pub fn is_left_alone(&self) -> bool {
        let end = Instant::now() + Duration::from_millis(300);
        while Instant::now() < end {
            if self.listener.accept().is_ok() {
                return false;
            }
            std::thread::yield_now();
        }
        true
    }
}

/// Keys of an account of it.
pub fn irc(port: u16, more: &str) -> String {
    format!("host: '127.0.0.1', port: {port}, tls: false, nick: 'bot', {more}")
}
