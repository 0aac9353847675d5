//! TLS for outbound connections: rustls with ring, behind one small face.
//!
//! Certificates are checked against the system's bundle (`SSL_CERT_FILE`, then the known
//! places), or against webpki-roots where the host has none, as in a scratch container.

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
    use super::{Progress, TcpStream, io};
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, ServerName};
    use rustls::{ClientConfig, ClientConnection, RootCertStore};
    use std::io::{Read, Write};
    use std::path::PathBuf;
    use std::sync::Arc;

    pub(in super::super) const AVAILABLE: bool = true;

    /// Where distributions keep the bundle.
    const BUNDLES: [&str; 6] = [
        "/etc/ssl/certs/ca-certificates.crt",
        "/etc/pki/tls/certs/ca-bundle.crt",
        "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
        "/etc/ssl/ca-bundle.pem",
        "/etc/ssl/cert.pem",
        "/etc/pki/tls/cacert.pem",
    ];

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
                None => Arc::clone(self.config.insert(load()?)),
            };
            let name = ServerName::try_from(host.to_owned()).map_err(|error| error.to_string())?;
            let session = ClientConnection::new(config, name).map_err(|error| error.to_string())?;
            Ok(Tls { session })
        }
    }

    fn load() -> Result<Arc<ClientConfig>, String> {
        let mut roots = RootCertStore::empty();
        let named = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
        for path in named.into_iter().chain(BUNDLES.map(PathBuf::from)) {
            let Ok(found) = CertificateDer::pem_file_iter(&path) else { continue };
            let (added, ignored) = roots.add_parsable_certificates(found.flatten());
            log::debug!(target: "tls", "{}: {added} roots, {ignored} ignored", path.display());
            if added > 0 {
                break;
            }
        }
        if roots.is_empty() {
            log::info!(target: "tls", "no CA bundle on this host; using the built-in roots");
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Arc::new(config))
    }

    /// One client session.
    pub(in super::super) struct Tls {
        session: ClientConnection,
    }

    impl Tls {
        /// Moves the handshake on as far as the socket allows.
        pub(in super::super) fn handshake(
            &mut self,
            stream: &mut TcpStream,
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

        /// Plaintext from the peer; `Ok(0)` at its close_notify or end of stream.
        pub(in super::super) fn read(
            &mut self,
            stream: &mut TcpStream,
            into: &mut [u8],
        ) -> io::Result<usize> {
            loop {
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
        }

        /// Takes plaintext; returns how much, and writes records until the socket blocks.
        pub(in super::super) fn write(
            &mut self,
            stream: &mut TcpStream,
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

        fn flush(&mut self, stream: &mut TcpStream) -> io::Result<()> {
            while self.session.wants_write() {
                self.session.write_tls(stream)?;
            }
            Ok(())
        }

        fn process(&mut self, stream: &mut TcpStream) -> io::Result<()> {
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
    }
}
