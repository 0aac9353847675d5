//! Devices: a key pair that a client proves to hold.
//!
//! `device.id` is the lower-case hex SHA-256 of the raw Ed25519 public key; the signature
//! covers one canonical line that names the client, what it asks for, the secret it shows and
//! our nonce (FACTS.md section 2.2). Pairing and device tokens are not kept yet: a device that
//! proves itself still needs the shared secret.

use crate::wire::hash::{base64_url_no_pad_decode, hex, sha256};
use serde_json::{Map, Value};

/// How far `signedAt` may be from our clock, both ways (observed: 119 s passes, 125 s does not).
const SKEW_MS: u64 = 120_000;

/// Why a device was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadDevice {
    /// `device.id` is not the digest of its key, or the key is none.
    Id,
    /// The nonce is blank.
    NonceMissing,
    /// The nonce is not the one of this connection's challenge.
    NonceMismatch,
    /// Signed too long ago, or in the future.
    Expired,
    /// The signature does not cover what was asked.
    Signature,
    /// This build has no Ed25519 (`--no-default-features`).
    Unsupported,
}

impl BadDevice {
    /// `details.code`.
    pub fn code(self) -> &'static str {
        match self {
            Self::Id => "DEVICE_AUTH_DEVICE_ID_MISMATCH",
            Self::NonceMissing => "DEVICE_AUTH_NONCE_REQUIRED",
            Self::NonceMismatch => "DEVICE_AUTH_NONCE_MISMATCH",
            Self::Expired => "DEVICE_AUTH_SIGNATURE_EXPIRED",
            Self::Signature => "DEVICE_AUTH_SIGNATURE_INVALID",
            Self::Unsupported => "DEVICE_AUTH_UNSUPPORTED",
        }
    }

    /// `details.reason`.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Id => "device-id-mismatch",
            Self::NonceMissing => "device-nonce-missing",
            Self::NonceMismatch => "device-nonce-mismatch",
            Self::Expired => "device-signature-stale",
            Self::Signature => "device-signature",
            Self::Unsupported => "device-unsupported",
        }
    }

    /// The reference's sentence.
    pub fn message(self) -> &'static str {
        match self {
            Self::Id => "device identity mismatch",
            Self::NonceMissing => "device nonce required",
            Self::NonceMismatch => "device nonce mismatch",
            Self::Expired => "device signature expired",
            Self::Signature => "device signature invalid",
            Self::Unsupported => {
                "device signatures need the default features of this build; \
                 connect with the shared secret and without a device"
            }
        }
    }
}

/// Checks a device against the connect params it came with, our nonce and our clock.
///
/// # Errors
/// The first of: id, nonce, age, signature.
pub fn verify(
    device: &Map<String, Value>,
    params: &Map<String, Value>,
    nonce: &str,
    now_ms: u64,
) -> Result<(), BadDevice> {
    let text = |name| device.get(name).and_then(Value::as_str).unwrap_or_default();
    let key = base64_url_no_pad_decode(text("publicKey"))
        .filter(|key| key.len() == 32)
        .ok_or(BadDevice::Id)?;
    if hex(&sha256(&key)) != text("id") {
        return Err(BadDevice::Id);
    }
    if text("nonce").trim().is_empty() {
        return Err(BadDevice::NonceMissing);
    }
    if text("nonce") != nonce {
        return Err(BadDevice::NonceMismatch);
    }
    let signed_at = device.get("signedAt").and_then(Value::as_u64).unwrap_or(0);
    if signed_at.abs_diff(now_ms) > SKEW_MS {
        return Err(BadDevice::Expired);
    }
    let signature = base64_url_no_pad_decode(text("signature")).ok_or(BadDevice::Signature)?;
    for version in ["v3", "v2"] {
        let line = canonical(version, text("id"), signed_at, nonce, params);
        match check(&key, line.as_bytes(), &signature) {
            Err(BadDevice::Signature) => {}
            other => return other,
        }
    }
    Err(BadDevice::Signature)
}

/// The line that is signed.
fn canonical(
    version: &str,
    id: &str,
    signed_at: u64,
    nonce: &str,
    params: &Map<String, Value>,
) -> String {
    let of = |outer: &str, name: &str| {
        params.get(outer).and_then(|v| v.get(name)).and_then(Value::as_str).unwrap_or_default()
    };
    let scopes: Vec<&str> = match params.get("scopes") {
        Some(Value::Array(scopes)) => scopes.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let role = params.get("role").and_then(Value::as_str).unwrap_or("operator");
    let token = ["token", "deviceToken", "bootstrapToken"]
        .into_iter()
        .map(|name| of("auth", name))
        .find(|token| !token.is_empty())
        .unwrap_or_default();
    let mut line = format!(
        "{version}|{id}|{}|{}|{role}|{}|{signed_at}|{token}|{nonce}",
        of("client", "id"),
        of("client", "mode"),
        scopes.join(","),
    );
    if version == "v3" {
        for name in ["platform", "deviceFamily"] {
            line.push('|');
            line.push_str(&of("client", name).trim().to_ascii_lowercase());
        }
    }
    line
}

#[cfg(feature = "tls")]
fn check(key: &[u8], line: &[u8], signature: &[u8]) -> Result<(), BadDevice> {
    ring::signature::UnparsedPublicKey::new(&ring::signature::ED25519, key)
        .verify(line, signature)
        .map_err(|_| BadDevice::Signature)
}

#[cfg(not(feature = "tls"))]
fn check(_: &[u8], _: &[u8], _: &[u8]) -> Result<(), BadDevice> {
    Err(BadDevice::Unsupported)
}

#[cfg(all(test, feature = "tls"))]
mod tests {
    use super::*;
    use crate::wire::hash::base64_url_no_pad;
    use ring::signature::{Ed25519KeyPair, KeyPair};
    use serde_json::json;

    const NOW: u64 = 1_700_000_000_000;

    fn signed(version: &str, change: impl Fn(&mut Value)) -> Result<(), BadDevice> {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
        let key = pair.public_key().as_ref();
        let id = hex(&sha256(key));
        let mut params = json!({
            "client": {"id": "cli", "mode": "cli", "platform": " Linux ", "version": "1"},
            "scopes": ["operator.read"], "auth": {"token": "t"},
        });
        let line = canonical(version, &id, NOW, "n", params.as_object().unwrap());
        params["device"] = json!({
            "id": id, "publicKey": base64_url_no_pad(key), "signedAt": NOW, "nonce": "n",
            "signature": base64_url_no_pad(pair.sign(line.as_bytes()).as_ref()),
        });
        change(&mut params);
        let params = params.as_object().unwrap();
        verify(params["device"].as_object().unwrap(), params, "n", NOW)
    }

    #[test]
    fn both_lines_are_accepted_and_every_change_is_noticed() {
        assert_eq!(signed("v3", |_| {}), Ok(()));
        assert_eq!(signed("v2", |_| {}), Ok(()));
        type Change = fn(&mut Value);
        let table: [(Change, BadDevice); 8] = [
            (|p| p["scopes"] = json!(["operator.admin"]), BadDevice::Signature),
            (|p| p["client"]["platform"] = json!("macos"), BadDevice::Signature),
            (|p| p["auth"]["token"] = json!("u"), BadDevice::Signature),
            (|p| p["device"]["id"] = json!("deadbeef"), BadDevice::Id),
            (|p| p["device"]["publicKey"] = json!("AAAA"), BadDevice::Id),
            (|p| p["device"]["nonce"] = json!("m"), BadDevice::NonceMismatch),
            (|p| p["device"]["nonce"] = json!(" "), BadDevice::NonceMissing),
            (|p| p["device"]["signedAt"] = json!(NOW - SKEW_MS - 1), BadDevice::Expired),
        ];
        for (change, want) in table {
            assert_eq!(signed("v3", change), Err(want));
        }
    }
}
