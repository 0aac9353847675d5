//! The gateway's own identity: an Ed25519 key in a 0600 file.
//!
//! The file (`identity/device.json` of the state directory) has the reference's shape, so that
//! a gateway that takes another's state directory over keeps its identity. It is made when
//! somebody first asks.

use super::super::Gateway;
use crate::protocol::error::ErrorShape;
use crate::wire::hash::{base64_decode, base64_url_no_pad, hex, sha256};
use serde_json::{Value, json};
use std::io;

/// The gateway's public half.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct OwnIdentity {
    /// Lower-case hex SHA-256 of the raw key.
    pub(super) device_id: String,
    /// The raw key, base64url.
    pub(super) public_key: String,
}

impl OwnIdentity {
    fn of(key: &[u8]) -> Self {
        Self { device_id: hex(&sha256(key)), public_key: base64_url_no_pad(key) }
    }
}

impl Gateway {
    /// `gateway.identity.get`.
    pub(in super::super) fn gateway_identity(&mut self) -> Result<Value, ErrorShape> {
        let own = self.own_identity().map_err(ErrorShape::unavailable)?;
        Ok(json!({"deviceId": own.device_id, "publicKey": own.public_key}))
    }

    /// Reads or makes it; the text of an error names the file.
    pub(super) fn own_identity(&mut self) -> Result<OwnIdentity, String> {
        if let Some(own) = &self.own_identity {
            return Ok(own.clone());
        }
        let path = self.state_dir.join("identity").join("device.json");
        let own = match self.disk.read_at(&path, 0, 16 * 1024) {
            Ok(text) => serde_json::from_slice::<Value>(&text)
                .ok()
                .and_then(|value| public_half(value.get("publicKeyPem")?.as_str()?))
                .map(|key| OwnIdentity::of(&key))
                .ok_or_else(|| {
                    format!("{}: no Ed25519 public key in it; restore or remove it", path.display())
                })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let mut seed = [0; 32];
                self.entropy.fill(&mut seed);
                let key = public_of(&seed)?;
                let own = OwnIdentity::of(&key);
                let mut text = serde_json::to_vec_pretty(&json!({
                    "version": 1, "deviceId": own.device_id,
                    "publicKeyPem": pem("PUBLIC KEY", &SPKI, &key),
                    "privateKeyPem": pem("PRIVATE KEY", &PKCS8, &seed),
                    "createdAtMs": self.now.wall_ms,
                }))
                .unwrap_or_default();
                text.push(b'\n');
                self.disk
                    .replace(&path, &text)
                    .map_err(|error| format!("{} was not written: {error}", path.display()))?;
                own
            }
            Err(error) => return Err(format!("{}: {error}", path.display())),
        };
        Ok(self.own_identity.insert(own).clone())
    }

    /// `hello-ok.auth.recoveryScope`: the same for the same gateway and person, so that a client
    /// finds what it kept for them, and nobody else's.
    pub(in super::super) fn recovery_scope(&mut self, user: Option<&str>) -> Option<String> {
        let own = self.own_identity().ok()?;
        let line = format!("openclaw-recovery|{}|{}", own.device_id, user.unwrap_or_default());
        Some(base64_url_no_pad(&sha256(line.as_bytes())))
    }
}

/// What stands before the raw key in DER (RFC 8410): SubjectPublicKeyInfo, and PKCS #8.
const SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0];
const PKCS8: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

fn pem(label: &str, head: &[u8], key: &[u8]) -> String {
    let body = crate::wire::hash::base64(&[head, key].concat());
    format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
}

fn public_half(pem: &str) -> Option<Vec<u8>> {
    let body: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    let der = base64_decode(body.trim())?;
    let key = der.strip_prefix(&SPKI)?;
    (key.len() == 32).then(|| key.to_vec())
}

#[cfg(feature = "tls")]
fn public_of(seed: &[u8; 32]) -> Result<Vec<u8>, String> {
    use ring::signature::KeyPair;
    ring::signature::Ed25519KeyPair::from_seed_unchecked(seed)
        .map(|pair| pair.public_key().as_ref().to_vec())
        .map_err(|_| "no Ed25519 key could be made".to_owned())
}

#[cfg(not(feature = "tls"))]
fn public_of(_: &[u8; 32]) -> Result<Vec<u8>, String> {
    Err("an identity needs the default features of this build".to_owned())
}

#[cfg(all(test, feature = "tls"))]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_its_file() {
        let key = public_of(&[7; 32]).unwrap();
        let pem = pem("PUBLIC KEY", &SPKI, &key);
        assert_eq!(public_half(&pem), Some(key.clone()));
        assert!(public_half("").is_none() && public_half("-----\nAAAA\n").is_none());
        let own = OwnIdentity::of(&key);
        assert_eq!((own.device_id.len(), own.public_key.len()), (64, 43));
        // RFC 8410, section 10.3: the PKCS #8 head.
        let private = super::pem("PRIVATE KEY", &PKCS8, &[0; 32]);
        assert!(private.contains("MC4CAQAwBQYDK2VwBCIEI"), "{private}");
    }
}
