//! One TLS session of a slot, in either direction: rustls with ring, behind one small face.
//!
//! ```text
//!   socket -> read_tls -> records -> process -> plaintext -> core
//!   core -> queue of the slot -> writer -> records (at most TLS_BUFFER) -> write_tls -> socket
//! ```
//!
//! rustls grows its buffers as bytes arrive, up to one record, or 64 KiB of handshake; nothing
//! is reserved for a length that a peer announced. Plain bytes never reach a socket that has a
//! session: what is queued before the handshake is done waits, and is dropped with it.
//!
//! Outbound certificates are checked in `trust`; what we show to clients is in `inbound`.

#[cfg(not(feature = "tls"))]
use mio::net::TcpStream;
use std::io;

/// How far a handshake is.
pub(super) enum Progress {
    /// It waits for the peer.
    Pending,
    /// Application bytes may flow.
    Done,
}

#[cfg(feature = "tls")]
pub(super) use real::{AVAILABLE, Roots, Tls};
#[cfg(not(feature = "tls"))]
pub(super) use without::{AVAILABLE, Roots, Tls};

#[cfg(feature = "tls")]
mod real {
    use super::super::trust;
    use super::{Progress, io};
    use crate::limits;
    use rustls::pki_types::ServerName;
    use rustls::{ClientConfig, ClientConnection, Connection, ServerConfig, ServerConnection};
    use std::io::{Read, Write};
    use std::sync::Arc;

    pub(in super::super) const AVAILABLE: bool = true;

    /// The client configuration, read from disk at the first TLS dial.
    #[derive(Default)]
    pub(in super::super) struct Roots {
        config: Option<Arc<ClientConfig>>,
    }

    impl Roots {
        /// A session that will check the certificate against `host`.
        pub(in super::super) fn client(&mut self, host: &str) -> Result<Tls, String> {
            let config = match &self.config {
                Some(config) => Arc::clone(config),
                None => Arc::clone(self.config.insert(trust::client_config(None)?)),
            };
            let name = ServerName::try_from(host.to_owned()).map_err(|error| error.to_string())?;
            let session = ClientConnection::new(config, name).map_err(|error| error.to_string())?;
            Ok(Tls::of(session.into()))
        }
    }

    /// One session.
    pub(in super::super) struct Tls {
        session: Connection,
    }

    impl Tls {
        fn of(mut session: Connection) -> Self {
            session.set_buffer_limit(Some(limits::TLS_BUFFER));
            Self { session }
        }

        /// The session of a client that has just connected.
        pub(in super::super) fn server(config: &Arc<ServerConfig>) -> Result<Self, String> {
            let session = ServerConnection::new(Arc::clone(config));
            Ok(Self::of(session.map_err(|error| error.to_string())?.into()))
        }

        /// Nothing of ours may pass yet.
        pub(in super::super) fn is_handshaking(&self) -> bool {
            self.session.is_handshaking()
        }

        /// Queues the end of our direction, once; it leaves with the next flush.
        pub(in super::super) fn say_goodbye(&mut self) {
            self.session.send_close_notify();
        }

        /// Moves the handshake on as far as the socket allows.
        pub(in super::super) fn handshake(
            &mut self,
            stream: &mut (impl Read + Write),
        ) -> io::Result<Progress> {
            loop {
                self.flush(stream)?;
                if !self.session.is_handshaking() {
                    return Ok(Progress::Done);
                }
                match self.session.read_tls(stream) {
                    Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                    Ok(_) => self.process(stream)?,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        return Ok(Progress::Pending);
                    }
                    Err(error) => return Err(error),
                }
            }
        }

        /// Plaintext from the peer; `Ok(0)` at its close_notify or end of stream; Interrupted
        /// when it keeps us busy with records that hold nothing for the core. What the session
        /// has to say meanwhile waits for the next flush ([`Tls::wants_write`]).
        pub(in super::super) fn read(
            &mut self,
            stream: &mut (impl Read + Write),
            into: &mut [u8],
        ) -> io::Result<usize> {
            for _ in 0..limits::TLS_EMPTY_READS {
                match self.session.reader().read(into) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    // Many servers close without close_notify; HTTP framing tells a cut body.
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
                    other => return other,
                }
                // Nothing decrypted is left: take more from the socket, or report WouldBlock.
                if self.session.read_tls(stream)? == 0 {
                    let _ = self.session.process_new_packets();
                    return match self.session.reader().read(into) {
                        Err(_) => Ok(0),
                        other => other,
                    };
                }
                self.process(stream)?;
            }
            Err(io::ErrorKind::Interrupted.into())
        }

        /// Takes plaintext; returns how much, and writes records until the socket blocks.
        pub(in super::super) fn write(
            &mut self,
            stream: &mut (impl Read + Write),
            plain: &[u8],
        ) -> io::Result<usize> {
            let taken = self.session.writer().write(plain)?;
            match self.flush(stream) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && taken > 0 => Ok(taken),
                Err(error) => Err(error),
                Ok(()) => Ok(taken),
            }
        }

        pub(in super::super) fn wants_write(&self) -> bool {
            self.session.wants_write()
        }

        /// Writes records until none is left or the socket blocks.
        pub(in super::super) fn flush(
            &mut self,
            stream: &mut (impl Read + Write),
        ) -> io::Result<()> {
            while self.session.wants_write() {
                self.session.write_tls(stream)?;
            }
            Ok(())
        }

        fn process(&mut self, stream: &mut (impl Read + Write)) -> io::Result<()> {
            self.session.process_new_packets().map(|_| ()).map_err(|error| {
                // The alert tells the peer why.
                let _ = self.session.write_tls(stream);
                io::Error::new(io::ErrorKind::InvalidData, error)
            })
        }
    }
}

#[cfg(not(feature = "tls"))]
mod without {
    use super::{Progress, TcpStream, io};

    pub(in super::super) const AVAILABLE: bool = false;

    #[derive(Default)]
    pub(in super::super) struct Roots {
        _config: (),
    }

    impl Roots {
        pub(in super::super) fn client(&mut self, _host: &str) -> Result<Tls, String> {
            Err("this build has no TLS".to_owned())
        }
    }

    /// Never built: `Roots::client` refuses.
    pub(in super::super) enum Tls {}

    impl Tls {
        pub(in super::super) fn handshake(&mut self, _: &mut TcpStream) -> io::Result<Progress> {
            match *self {}
        }
        pub(in super::super) fn read(
            &mut self,
            _: &mut TcpStream,
            _: &mut [u8],
        ) -> io::Result<usize> {
            match *self {}
        }
        pub(in super::super) fn write(&mut self, _: &mut TcpStream, _: &[u8]) -> io::Result<usize> {
            match *self {}
        }
        pub(in super::super) fn wants_write(&self) -> bool {
            match *self {}
        }
        pub(in super::super) fn is_handshaking(&self) -> bool {
            match *self {}
        }
        pub(in super::super) fn say_goodbye(&mut self) {
            match *self {}
        }
        pub(in super::super) fn flush(&mut self, _: &mut TcpStream) -> io::Result<()> {
            match *self {}
        }
    }
}
