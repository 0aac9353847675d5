//! A proxy is asked for a tunnel: `CONNECT host:port` (RFC 9110 section 9.3.6), over a socket
//! that does not block. What follows its answer's head belongs to the target, which, speaking
//! TLS, says nothing before it is spoken to: a proxy that sends more is not believed.

use super::tls::Progress;
use crate::driver::{DialError, Target};
use crate::limits;
use std::io::{ErrorKind, Read, Write};

/// One request for a tunnel.
#[derive(Debug)]
pub(super) struct Tunnel {
    /// Not written yet.
    ask: Vec<u8>,
    /// The answer so far, at most [`limits::PROXY_HEAD`].
    head: Vec<u8>,
}

impl Tunnel {
    pub(super) fn new(target: &Target) -> Self {
        let host = match target.host.contains(':') {
            true => format!("[{}]", target.host),
            false => target.host.clone(),
        };
        let to = format!("{host}:{}", target.port);
        let mut ask = format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n");
        let secret = target.proxy.as_ref().and_then(|proxy| proxy.authorization.as_ref());
        if let Some(secret) = secret {
            ask.push_str(&format!("Proxy-Authorization: {secret}\r\n"));
        }
        ask.push_str("\r\n");
        Self { ask: ask.into_bytes(), head: Vec::new() }
    }

    /// Writes and reads as far as it goes without waiting.
    ///
    /// # Errors
    /// The connection failed, or the proxy will not.
    pub(super) fn go_on(
        &mut self,
        stream: &mut (impl Read + Write),
    ) -> Result<Progress, DialError> {
        let broken = |error: std::io::Error| DialError::Proxy(error.to_string());
        while !self.ask.is_empty() {
            match stream.write(&self.ask) {
                Ok(0) => return Err(DialError::Proxy("it closed the connection".to_owned())),
                Ok(n) => {
                    self.ask.drain(..n);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    return Ok(Progress::Pending);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(broken(error)),
            }
        }
        loop {
            let mut buffer = [0; 1024];
            match stream.read(&mut buffer) {
                Ok(0) => return Err(DialError::Proxy("it closed the connection".to_owned())),
                Ok(n) => self.head.extend_from_slice(buffer.get(..n).unwrap_or_default()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    return Ok(Progress::Pending);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(broken(error)),
            }
            if let Some(end) = self.head.windows(4).position(|four| four == b"\r\n\r\n") {
                return self.judge(end.saturating_add(4));
            }
            if self.head.len() > limits::PROXY_HEAD {
                return Err(DialError::Proxy("its answer has no end".to_owned()));
            }
        }
    }

    fn judge(&self, end: usize) -> Result<Progress, DialError> {
        let line = self.head.split(|byte| *byte == b'\r').next().unwrap_or_default();
        let line = crate::wire::text::escape_log(&String::from_utf8_lossy(line), 100);
        let status = line.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)?.parse().ok());
        match status {
            Some(200..=299u16) if self.head.len() == end => Ok(Progress::Done),
            Some(200..=299) => Err(DialError::Proxy("it sent more than its answer".to_owned())),
            Some(400..=499) => Err(DialError::ProxyRefused(line)),
            _ => Err(DialError::Proxy(line)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::Proxy;
    use std::io;

    /// A peer that takes and gives a byte at a time, and blocks between any two.
    struct Slow {
        taken: Vec<u8>,
        gives: Vec<u8>,
        ready: bool,
    }

    impl Slow {
        fn turn<T>(&mut self, act: impl FnOnce(&mut Self) -> T) -> io::Result<T> {
            self.ready = !self.ready;
            if self.ready { Ok(act(self)) } else { Err(ErrorKind::WouldBlock.into()) }
        }
    }

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.turn(|slow| {
                slow.taken.extend(bytes.first());
                1
            })
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Read for Slow {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.turn(|slow| {
                if slow.gives.is_empty() {
                    return 0;
                }
                buffer[0] = slow.gives.remove(0);
                1
            })
        }
    }

    fn run(answer: &str) -> (String, Result<(), DialError>) {
        let proxy = Proxy {
            host: "proxy".to_owned(),
            port: 1,
            authorization: Some("Basic eDp5".to_owned()),
        };
        let target = Target {
            host: "2001:db8::1".to_owned(),
            port: 443,
            tls: true,
            public_only: false,
            proxy: Some(Box::new(proxy)),
        };
        let mut tunnel = Tunnel::new(&target);
        let mut slow = Slow { taken: Vec::new(), gives: answer.as_bytes().to_vec(), ready: false };
        let end = loop {
            match tunnel.go_on(&mut slow) {
                Ok(Progress::Pending) => {}
                Ok(Progress::Done) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        (String::from_utf8(slow.taken).unwrap(), end)
    }

    #[test]
    fn a_tunnel_is_asked_for_and_opened_byte_by_byte() {
        let (asked, end) = run("HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n");
        assert_eq!(end, Ok(()));
        let want = "CONNECT [2001:db8::1]:443 HTTP/1.1\r\nHost: [2001:db8::1]:443\r\n\
            Proxy-Authorization: Basic eDp5\r\n\r\n";
        assert_eq!(asked, want);
    }

    #[test]
    fn refusals_and_nonsense_are_told_apart() {
        let refused = "HTTP/1.1 407 Proxy Authentication Required";
        let (_, end) = run(&format!("{refused}\r\n\r\n"));
        assert_eq!(end, Err(DialError::ProxyRefused(refused.to_owned())));
        let (_, end) = run("HTTP/1.1 502 Bad Gateway\r\n\r\n");
        assert_eq!(end, Err(DialError::Proxy("HTTP/1.1 502 Bad Gateway".to_owned())));
        let (_, end) = run("SSH-2.0\r\n\r\n");
        assert!(matches!(end, Err(DialError::Proxy(_))));
        let (_, end) = run("HTTP/1.1 200 OK\r\n");
        assert_eq!(end, Err(DialError::Proxy("it closed the connection".to_owned())));
        let (_, end) = run(&format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(limits::PROXY_HEAD)));
        assert_eq!(end, Err(DialError::Proxy("its answer has no end".to_owned())));
    }
}
