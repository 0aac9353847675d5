//! What we show to clients that speak TLS to us: a certificate, its chain and its key, looked
//! into before anything depends on them. TLS 1.2 and 1.3, no client certificates, no early data.

use super::tls::Tls;
use crate::driver::{TlsFile, TlsFiles};
use crate::limits;
use crate::wire::der::Certificate;
use crate::wire::hash::sha256;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::ServerSessionMemoryCache;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use std::sync::Arc;

/// What a listener shows.
pub(super) struct Server {
    config: Arc<ServerConfig>,
}

impl Server {
    pub(super) fn new(files: &TlsFiles) -> Result<Self, String> {
        let (mut chain, key) = parts(files)?;
        complete(&mut chain, files.ca.as_ref())?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let certified = CertifiedKey::from_der(chain, key, &provider).map_err(|error| {
            let (cert, key) = (files.cert.path.display(), files.key.path.display());
            match error {
                rustls::Error::InconsistentKeys(_) => format!(
                    "gateway.tls: the key in {key} does not belong to the first certificate in \
                     {cert}; put the pair that was made together there"
                ),
                error => format!(
                    "gateway.tls.keyPath: the key in {key} cannot be used ({error}); take an \
                     ECDSA P-256 or P-384, RSA or Ed25519 key without passphrase"
                ),
            }
        })?;
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.session_storage = ServerSessionMemoryCache::new(limits::TLS_SESSIONS);
        // A client that comes back uses one; the others would only cost bytes.
        config.send_tls13_tickets = 1;
        Ok(Self { config: Arc::new(config) })
    }

    /// The session of a client that has just connected.
    pub(super) fn session(&self) -> Result<Tls, String> {
        Tls::server(&self.config)
    }
}

/// SHA-256 of the certificate in a PEM file; the first one, ours.
///
/// # Errors
/// When there is none; the text names key and file.
pub fn fingerprint(cert: &TlsFile) -> Result<[u8; 32], String> {
    Ok(sha256(chain(cert)?.first().ok_or_else(|| no_certificate(cert))?))
}

fn parts(
    files: &TlsFiles,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), String> {
    let chain = chain(&files.cert)?;
    let key = PrivateKeyDer::from_pem_slice(&files.key.bytes).map_err(|_| {
        format!(
            "gateway.tls.keyPath: {} holds no private key; it must be PEM, -----BEGIN PRIVATE \
             KEY-----, without passphrase",
            files.key.path.display()
        )
    })?;
    Ok((chain, key))
}

fn chain(cert: &TlsFile) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> =
        CertificateDer::pem_slice_iter(&cert.bytes).take(limits::TLS_CHAIN + 1).collect();
    match found {
        Ok(chain) if chain.len() > limits::TLS_CHAIN => Err(format!(
            "gateway.tls.certPath: {} holds more than {} certificates; keep ours and those \
             between it and its authority",
            cert.path.display(),
            limits::TLS_CHAIN
        )),
        Ok(chain) if chain.iter().all(|der| Certificate::read(der).is_some()) => {
            if chain.is_empty() { Err(no_certificate(cert)) } else { Ok(chain) }
        }
        _ => Err(no_certificate(cert)),
    }
}

fn no_certificate(cert: &TlsFile) -> String {
    format!(
        "gateway.tls.certPath: {} holds no certificate that can be read; it must be PEM, \
         -----BEGIN CERTIFICATE-----",
        cert.path.display()
    )
}

/// Adds from the bundle what lies between our chain's end and an authority.
pub(super) fn complete(
    chain: &mut Vec<CertificateDer<'static>>,
    bundle: Option<&TlsFile>,
) -> Result<(), String> {
    let Some(bundle) = bundle else { return Ok(()) };
    let found: Vec<_> = CertificateDer::pem_slice_iter(&bundle.bytes).flatten().collect();
    if found.is_empty() {
        let path = bundle.path.display();
        return Err(format!(
            "gateway.tls.caPath: {path} holds no certificate; it must be PEM, or remove the key"
        ));
    }
    while chain.len() < limits::TLS_CHAIN {
        let Some(last) = chain.last().and_then(|der| Certificate::read(der)) else { break };
        if last.issuer == last.subject {
            break;
        }
        let issuer = found.iter().find(|der| {
            Certificate::read(der).is_some_and(|candidate| {
                // A root need not travel: whoever trusts it has it.
                candidate.subject == last.issuer && candidate.issuer != candidate.subject
            })
        });
        match issuer {
            Some(issuer) if !chain.contains(issuer) => chain.push(issuer.clone()),
            _ => break,
        }
    }
    Ok(())
}
