//! The place of `certificate` in a build without the feature `tls`: there is none to show.

use super::tls::Tls;
use crate::driver::{TlsFile, TlsFiles};

/// Never built.
pub(super) enum Server {}

const NO_TLS: &str = "gateway.tls.enabled: this build speaks no TLS; build it with the feature \
                      tls (cargo build --features tls), or set gateway.tls.enabled to false";

impl Server {
    pub(super) fn new(_: &TlsFiles) -> Result<Self, String> {
        Err(NO_TLS.to_owned())
    }

    pub(super) fn session(&self) -> Result<Tls, String> {
        match *self {}
    }
}

/// SHA-256 of the certificate in a PEM file.
///
/// # Errors
/// Always: there is no TLS in this build.
pub fn fingerprint(_: &TlsFile) -> Result<[u8; 32], String> {
    Err(NO_TLS.to_owned())
}
