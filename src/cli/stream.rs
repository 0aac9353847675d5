//! The socket of a command, in the clear or by TLS, with every wait under a deadline.
//!
//! With a pin exactly one certificate is good, whatever its name, date and issuer; without one
//! the authorities of this machine decide. A pin that is given and cannot be checked, because
//! the address is not `wss://` or `https://`, is an error: nothing is sent then.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use super::client::{Target, Trouble};
use secure::Secure;

/// A connection to a gateway.
pub struct Stream {
    socket: TcpStream,
    secure: Option<Box<Secure>>,
    /// Nothing was read yet: what comes first may tell that the other side speaks TLS.
    fresh: bool,
}

impl Stream {
    /// Connects, and shakes hands where the address says so.
    ///
    /// # Errors
    /// See [`Trouble`].
    pub fn connect(target: &Target, deadline: Instant) -> Result<Self, Trouble> {
        let tls = target.url.scheme.is_tls();
        if target.pin.is_some() && !tls {
            return Err(Trouble::Untrusted {
                why: "a certificate is pinned, but this address is not encrypted".to_owned(),
                next: "give the address as wss://, or leave the fingerprint out".to_owned(),
            });
        }
        let socket = open(target, deadline)?;
        let mut stream = Self { socket, secure: None, fresh: true };
        if tls {
            let _ = stream.socket.set_write_timeout(Some(left(deadline, "a TLS handshake")?));
            let secure = Secure::shake_hands(target, &mut stream.socket, deadline)?;
            stream.secure = Some(Box::new(secure));
        }
        Ok(stream)
    }

    /// Reads some bytes; none is the end. `what` is waited for.
    ///
    /// # Errors
    /// See [`Trouble`].
    pub fn read<'a>(
        &mut self,
        into: &'a mut [u8],
        deadline: Instant,
        what: &str,
    ) -> Result<&'a [u8], Trouble> {
        loop {
            let _ = self.socket.set_read_timeout(Some(left(deadline, what)?));
            let read = match &mut self.secure {
                None => self.socket.read(into),
                Some(secure) => secure.read(&mut self.socket, into),
            };
            match read {
                Ok(n) => {
                    let bytes = into.get(..n).unwrap_or_default();
                    // A TLS alert: record type 21, version 3.x.
                    if self.fresh && self.secure.is_none() && bytes.starts_with(&[21, 3]) {
                        let what = "it speaks TLS; give its address as wss://";
                        return Err(Trouble::NotGateway(what.to_owned()));
                    }
                    self.fresh = false;
                    return Ok(bytes);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if timed_out(&error) => return Err(Trouble::Slow(what.to_owned())),
                Err(error) => return Err(Trouble::NotGateway(plain(&error))),
            }
        }
    }

    /// Writes all of it.
    ///
    /// # Errors
    /// See [`Trouble`].
    pub fn write(&mut self, bytes: &[u8], deadline: Instant) -> Result<(), Trouble> {
        const WHAT: &str = "room for our request";
        let _ = self.socket.set_write_timeout(Some(left(deadline, WHAT)?));
        let written = match &mut self.secure {
            None => self.socket.write_all(bytes),
            Some(secure) => secure.write(&mut self.socket, bytes),
        };
        match written {
            Ok(()) => Ok(()),
            Err(error) if timed_out(&error) => Err(Trouble::Slow(WHAT.to_owned())),
            Err(error) => Err(Trouble::NotGateway(plain(&error))),
        }
    }
}

fn open(target: &Target, deadline: Instant) -> Result<TcpStream, Trouble> {
    let addresses = (target.url.host.as_str(), target.url.port)
        .to_socket_addrs()
        .map_err(|error| Trouble::NoGateway(error.to_string()))?;
    let mut last = "the name has no address".to_owned();
    for address in addresses {
        match TcpStream::connect_timeout(&address, left(deadline, "a connection")?) {
            // A port of the ephemeral range where nobody listens may meet itself: the system gave
            // this very port to our own end.
            Ok(stream) if stream.local_addr().is_ok_and(|own| own == address) => {
                "connection refused".clone_into(&mut last);
            }
            Ok(stream) => {
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Err(error) => last = plain(&error),
        }
    }
    Err(Trouble::NoGateway(last))
}

fn left(deadline: Instant, what: &str) -> Result<Duration, Trouble> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(Trouble::Slow(what.to_owned())) } else { Ok(left) }
}

fn timed_out(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// The system's words in one short form.
fn plain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::ConnectionReset => "connection reset".to_owned(),
        io::ErrorKind::TimedOut => "no answer in time".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(feature = "tls")]
mod secure {
    use super::{Instant, Read, Target, TcpStream, Trouble, Write, io, left, plain, timed_out};
    use crate::reactor::trust::{self, WrongPin};
    use crate::wire::hash::fingerprint;
    use rustls::pki_types::ServerName;
    use rustls::{ClientConnection, Error};

    /// A session after its handshake.
    pub(super) struct Secure {
        session: ClientConnection,
    }

    impl Secure {
        /// Every step of it under the deadline.
        pub(super) fn shake_hands(
            target: &Target,
            socket: &mut TcpStream,
            deadline: Instant,
        ) -> Result<Self, Trouble> {
            let host = &target.url.host;
            let unusable = |why: String| Trouble::NotGateway(format!("no TLS with {host}: {why}"));
            let config = trust::client_config(target.pin).map_err(unusable)?;
            let name = ServerName::try_from(host.clone());
            let name = name.map_err(|error| unusable(error.to_string()))?;
            let session = ClientConnection::new(config, name);
            let mut session = session.map_err(|error| unusable(error.to_string()))?;
            while session.is_handshaking() {
                let what = "a TLS handshake";
                let lost = |error: io::Error| match timed_out(&error) {
                    true => Trouble::Slow(what.to_owned()),
                    false => Trouble::NotGateway(plain(&error)),
                };
                flush(&mut session, socket).map_err(lost)?;
                if !session.is_handshaking() {
                    break;
                }
                let _ = socket.set_read_timeout(Some(left(deadline, what)?));
                match session.read_tls(socket) {
                    Ok(0) => {
                        let what = "it hung up before the TLS handshake was done";
                        return Err(Trouble::NotGateway(what.to_owned()));
                    }
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(lost(error)),
                }
                if let Err(error) = session.process_new_packets() {
                    // The alert tells the other side why.
                    let _ = flush(&mut session, socket);
                    return Err(refused(target, &error));
                }
            }
            Ok(Self { session })
        }

        pub(super) fn read(
            &mut self,
            socket: &mut TcpStream,
            into: &mut [u8],
        ) -> io::Result<usize> {
            loop {
                match self.session.reader().read(into) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    // Without close_notify: what it carried tells whether it was whole.
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
                    other => return other,
                }
                self.session.read_tls(socket)?;
                let state = self.session.process_new_packets();
                flush(&mut self.session, socket)?;
                state.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            }
        }

        pub(super) fn write(&mut self, socket: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
            let mut rest = bytes;
            while !rest.is_empty() {
                let taken = self.session.writer().write(rest)?;
                rest = rest.get(taken..).unwrap_or_default();
                flush(&mut self.session, socket)?;
            }
            Ok(())
        }
    }

    fn flush(session: &mut ClientConnection, socket: &mut TcpStream) -> io::Result<()> {
        while session.wants_write() {
            session.write_tls(socket)?;
        }
        Ok(())
    }

    fn refused(target: &Target, error: &Error) -> Trouble {
        if let Some(wrong) = WrongPin::of(error) {
            let shown = fingerprint(&wrong.shown);
            return Trouble::Untrusted {
                why: wrong.to_string(),
                next: if target.local {
                    "openclaw gateway restart, if gateway.tls.certPath is what it should show; \
                     else find out who holds its port: openclaw gateway status"
                        .to_owned()
                } else {
                    format!(
                        "compare it with what the gateway printed at its start; if it is right: \
                         --tls-fingerprint {shown}, or set gateway.remote.tlsFingerprint"
                    )
                },
            };
        }
        match error {
            Error::InvalidCertificate(why) => Trouble::Untrusted {
                why: format!("no authority of this machine vouches for its certificate ({why:?})"),
                next: "pin it: --tls-fingerprint <what the gateway printed at its start>; or \
                       name its authority's PEM file in SSL_CERT_FILE"
                    .to_owned(),
            },
            Error::InvalidMessage(_) => Trouble::NotGateway(
                "it does not speak TLS; give its address as ws:// if that is meant".to_owned(),
            ),
            other => Trouble::NotGateway(other.to_string()),
        }
    }
}

#[cfg(not(feature = "tls"))]
mod secure {
    use super::{Instant, Target, TcpStream, Trouble, io};

    /// Never built.
    pub(super) enum Secure {}

    impl Secure {
        pub(super) fn shake_hands(
            _: &Target,
            _: &mut TcpStream,
            _: Instant,
        ) -> Result<Self, Trouble> {
            Err(Trouble::Untrusted {
                why: "this build speaks no TLS: it was built without the feature `tls`".to_owned(),
                next: "cargo build --features tls, or an SSH tunnel and ws://".to_owned(),
            })
        }

        pub(super) fn read(&mut self, _: &mut TcpStream, _: &mut [u8]) -> io::Result<usize> {
            match *self {}
        }

        pub(super) fn write(&mut self, _: &mut TcpStream, _: &[u8]) -> io::Result<()> {
            match *self {}
        }
    }
}
