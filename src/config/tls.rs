//! `gateway.tls`: what the port speaks TLS with. The files themselves are read by whoever may
//! touch the disk, through [`Tls::files`]; what is in them is looked into by the reactor alone.

use std::io;
use std::path::{Path, PathBuf};

use super::paths::Paths;
use crate::driver::{TlsFile, TlsFiles};
use crate::limits;
use crate::wire::der::Certificate;

/// `gateway.tls`, paths resolved.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// `gateway.tls.enabled`: the port speaks TLS and nothing else.
    pub enabled: bool,
    /// `gateway.tls.autoGenerate`: make a self-signed pair where both files are missing.
    pub auto_generate: bool,
    /// `gateway.tls.certPath`; by default where the reference keeps its own.
    pub cert_path: PathBuf,
    /// `gateway.tls.keyPath`.
    pub key_path: PathBuf,
    /// `gateway.tls.caPath`: certificates that complete the chain we send. As in the reference
    /// clients are not asked for certificates of theirs.
    pub ca_path: Option<PathBuf>,
}

impl Tls {
    /// The default pair of a state directory (the reference's names).
    pub fn own(paths: &Paths) -> (PathBuf, PathBuf) {
        let dir = paths.state_dir.join("gateway").join("tls");
        (dir.join("gateway-cert.pem"), dir.join("gateway-key.pem"))
    }

    /// The files there are, in a fixed order: certificate, key, bundle.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        let pair = [self.cert_path.as_path(), self.key_path.as_path()];
        pair.into_iter().chain(self.ca_path.as_deref())
    }

    /// Reads the files. `read` is given the path and how many bytes to read at most.
    ///
    /// # Errors
    /// The text names key and file.
    pub fn files(
        &self,
        read: &dyn Fn(&Path, usize) -> io::Result<Vec<u8>>,
    ) -> Result<TlsFiles, String> {
        let file = |key: &str, path: &Path| {
            let bytes = read(path, limits::TLS_FILE.saturating_add(1)).map_err(|error| {
                format!("gateway.tls.{key}: cannot read {}: {error}", path.display())
            })?;
            if bytes.len() > limits::TLS_FILE {
                return Err(format!(
                    "gateway.tls.{key}: {} is larger than {} bytes",
                    path.display(),
                    limits::TLS_FILE
                ));
            }
            Ok(TlsFile { path: path.to_owned(), bytes })
        };
        Ok(TlsFiles {
            cert: file("certPath", &self.cert_path)?,
            key: file("keyPath", &self.key_path)?,
            ca: self.ca_path.as_deref().map(|path| file("caPath", path)).transpose()?,
        })
    }
}

/// Does the first certificate of a PEM text look so?
pub fn has_certificate(pem: &[u8], looks: impl Fn(&Certificate<'_>) -> bool) -> bool {
    let text = String::from_utf8_lossy(pem);
    let body = text
        .split_once("-----BEGIN CERTIFICATE-----")
        .and_then(|(_, rest)| rest.split_once("-----END CERTIFICATE-----"))
        .map(|(body, _)| body.split_whitespace().collect::<String>());
    body.and_then(|body| crate::wire::hash::base64_decode(&body))
        .is_some_and(|der| Certificate::read(&der).is_some_and(|read| looks(&read)))
}

/// SHA-256 of a certificate as people write it: 64 hexadecimal digits in either case, with or
/// without colons, maybe behind `sha256:` or openssl's `sha256 Fingerprint=`.
pub fn fingerprint(text: &str) -> Option<[u8; 32]> {
    let text = text.trim().to_ascii_lowercase();
    let text = text.strip_prefix("sha256 fingerprint=").unwrap_or(&text);
    let text = text.strip_prefix("sha256:").unwrap_or(text);
    let digits: String = text.chars().filter(|c| *c != ':').collect();
    crate::wire::hash::hex_decode(&digits)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_read_in_every_usual_form() {
        let digest = crate::wire::hash::sha256(b"x");
        let shown = crate::wire::hash::fingerprint(&digest);
        assert_eq!(shown.len(), 95);
        let plain = crate::wire::hash::hex(&digest);
        for text in [
            shown.clone(),
            shown.to_lowercase(),
            plain.clone(),
            plain.to_uppercase(),
            format!("sha256:{plain}"),
            format!(" sha256 Fingerprint={shown} "),
        ] {
            assert_eq!(fingerprint(&text), Some(digest), "{text}");
        }
        for text in ["", "ab", "zz", &plain[2..], &format!("{plain}00"), "sha1:00"] {
            assert_eq!(fingerprint(text), None, "{text}");
        }
    }

    #[test]
    fn a_file_is_read_up_to_its_limit_and_errors_name_key_and_path() {
        let tls = Tls {
            cert_path: PathBuf::from("/x/c.pem"),
            key_path: PathBuf::from("/x/k.pem"),
            ..Tls::default()
        };
        let huge = |_: &Path, max: usize| Ok(vec![0; max]);
        let text = tls.files(&huge).expect_err("too large");
        assert!(text.contains("gateway.tls.certPath: /x/c.pem is larger than"), "{text}");
        let missing = |path: &Path, _: usize| match path.ends_with("k.pem") {
            true => Err(io::ErrorKind::NotFound.into()),
            false => Ok(vec![1]),
        };
        let text = tls.files(&missing).expect_err("no key");
        assert!(text.starts_with("gateway.tls.keyPath: cannot read /x/k.pem: "), "{text}");
        let files = tls.files(&|_: &Path, _| Ok(b"secret".to_vec())).expect("both");
        assert!(!format!("{files:?}").contains("115"), "bytes are not shown: {files:?}");
    }
}
