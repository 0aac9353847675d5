//! Whom we believe when we connect by TLS: the authorities of this machine, or, with a pin,
//! exactly one certificate and no authority at all.
//!
//! Authorities come from the system's bundle (`SSL_CERT_FILE`, then the known places), or from
//! webpki-roots where the host has none, as in a scratch container.

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, OtherError, RootCertStore,
    SignatureScheme,
};
use std::path::PathBuf;
use std::sync::Arc;

use crate::wire::hash;

/// Where distributions keep the bundle.
const BUNDLES: [&str; 6] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
    "/etc/pki/tls/cacert.pem",
];

/// How a client checks its server; `pin` is the SHA-256 of the one certificate that may be
/// shown.
///
/// # Errors
/// When rustls has no usable protocol version; the text is its own.
pub fn client_config(pin: Option<[u8; 32]>) -> Result<Arc<ClientConfig>, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let config = match pin {
        None => builder.with_root_certificates(authorities()).with_no_client_auth(),
        Some(digest) => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Pinned { digest, provider }))
            .with_no_client_auth(),
    };
    Ok(Arc::new(config))
}

fn authorities() -> RootCertStore {
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
    roots
}

/// The server showed another certificate than the pinned one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WrongPin {
    /// SHA-256 of the certificate it showed.
    pub shown: [u8; 32],
    /// SHA-256 of the one it should have shown.
    pub pinned: [u8; 32],
}

impl std::fmt::Display for WrongPin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [shown, pinned] = [self.shown, self.pinned].map(|digest| hash::fingerprint(&digest));
        write!(f, "it shows the certificate {shown}, not the pinned one {pinned}")
    }
}

impl std::error::Error for WrongPin {}

impl WrongPin {
    /// The reason behind an error of a session, if it is this one.
    pub fn of(error: &Error) -> Option<Self> {
        match error {
            Error::InvalidCertificate(CertificateError::Other(OtherError(inner))) => {
                inner.downcast_ref::<Self>().copied()
            }
            _ => None,
        }
    }
}

/// Exactly this certificate: no authority, name or date can make another one good, or this one
/// bad. That the server has its key is checked as ever.
#[derive(Debug)]
struct Pinned {
    digest: [u8; 32],
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let shown = hash::sha256(end_entity);
        if hash::constant_time_eq(&shown, &self.digest) {
            return Ok(ServerCertVerified::assertion());
        }
        let wrong = WrongPin { shown, pinned: self.digest };
        Err(CertificateError::Other(OtherError(Arc::new(wrong))).into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, signed, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, signed, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
