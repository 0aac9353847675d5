//! The documents of devices: read at the start, written as a whole.
//!
//! A document that is no JSON is kept beside itself under another name, and nothing of it is
//! believed: nobody is paired by a damaged file. An entry that cannot be understood is left out,
//! and the document as it was kept beside likewise.

use super::setup::{Access, Setup};
use super::{Claim, Devices, Paired, Pending, Token, Via, authority, role};
use crate::limits;
use crate::protocol::{CLIENT_IDS, CLIENT_MODES};
use crate::store::Disk;
use crate::wire::hash::{base64_url_no_pad, base64_url_no_pad_decode, hex, hex_decode, sha256};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

const NAMES: [&str; 3] = ["paired.json", "pending.json", "bootstrap.json"];
const KEY: &str = "token-key";

impl Devices {
    /// Reads what `devices/` of the state directory holds.
    ///
    /// # Errors
    /// When a document is there and cannot be read; the text names it. A damaged one is no
    /// error, see the head.
    pub fn load(disk: &mut dyn Disk, state_dir: &Path, now_ms: u64) -> io::Result<Self> {
        let dir = state_dir.join("devices");
        let mut devices = Self {
            paired: BTreeMap::new(),
            pending: Vec::new(),
            setups: Vec::new(),
            outcomes: Vec::new(),
            key: None,
            dirty: [false; 3],
            dir,
        };
        devices.key = devices.read_key(disk)?;
        let mut entries = [Map::new(), Map::new(), Map::new()];
        for (name, entries) in NAMES.into_iter().zip(&mut entries) {
            *entries = read(disk, &devices.dir.join(name), now_ms)?;
        }
        let [paired, pending, setups] = entries;
        let mut bad = [0_usize; 3];
        for (id, value) in paired.into_iter().take(limits::DEVICES) {
            match device_of(&id, &value) {
                Some(device) => {
                    devices.paired.insert(id, device);
                }
                None => bad[0] += 1,
            }
        }
        for (id, value) in pending.into_iter().take(limits::PAIRING_PENDING) {
            match pending_of(&id, &value) {
                Some(pending) => devices.pending.push(pending),
                None => bad[1] += 1,
            }
        }
        devices.pending.sort_by_key(|pending| pending.at_ms);
        for (id, value) in setups.into_iter().take(limits::SETUP_CODES) {
            match setup_of(&id, &value) {
                Some(setup) => devices.setups.push(setup),
                None => bad[2] += 1,
            }
        }
        for (name, bad) in NAMES.into_iter().zip(bad) {
            if bad > 0 {
                let path = devices.dir.join(name);
                keep_aside(disk, &path, now_ms, &format!("{bad} of its entries are damaged"));
            }
        }
        devices.dirty = bad.map(|bad| bad > 0);
        Ok(devices)
    }

    /// Where the key of the tokens is.
    pub fn key_path(&self) -> PathBuf {
        self.dir.join(KEY)
    }

    fn read_key(&self, disk: &mut dyn Disk) -> io::Result<Option<[u8; 32]>> {
        let path = self.key_path();
        let text = match disk.read_at(&path, 0, 128) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(named(&path, &error)),
            Ok(bytes) => String::from_utf8(bytes).unwrap_or_default(),
        };
        let key = base64_url_no_pad_decode(text.trim()).and_then(|bytes| bytes.try_into().ok());
        if key.is_none() {
            log::error!(target: "devices", "{}: not 32 bytes of base64url; a new key takes its \
                place, and devices are given new tokens when they connect with the secret",
                path.display());
        }
        Ok(key)
    }

    /// Makes the key of the tokens from random bytes. On an error of the disk it serves until
    /// the end of the process.
    pub fn make_key(&mut self, disk: &mut dyn Disk, random: [u8; 32]) {
        self.set_key(random);
        let path = self.key_path();
        let text = format!("{}\n", base64_url_no_pad(&random));
        if let Err(error) = disk.replace(&path, text.as_bytes()) {
            log::error!(target: "devices", "{} was not written: {error}; after a restart \
                devices are given new tokens", path.display());
        }
    }

    /// Whether something is not on the disk yet.
    pub fn is_dirty(&self) -> bool {
        self.dirty.contains(&true)
    }

    /// Writes what has changed.
    ///
    /// # Errors
    /// The disk's, naming the document; what was not written stays to be written.
    pub fn save(&mut self, disk: &mut dyn Disk) -> io::Result<()> {
        for (at, name) in NAMES.into_iter().enumerate() {
            if !self.dirty.get(at).copied().unwrap_or(false) {
                continue;
            }
            let value: Map<String, Value> = match at {
                0 => self.paired.iter().map(|(id, d)| (id.clone(), device_value(d))).collect(),
                1 => self.pending.iter().map(pending_value).collect(),
                _ => self.setups.iter().map(setup_value).collect(),
            };
            let mut text = serde_json::to_string_pretty(&value).unwrap_or_default();
            text.push('\n');
            let path = self.dir.join(name);
            disk.replace(&path, text.as_bytes()).map_err(|error| named(&path, &error))?;
            if let Some(dirty) = self.dirty.get_mut(at) {
                *dirty = false;
            }
        }
        Ok(())
    }
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// The entries of a document, none of a damaged one.
fn read(disk: &mut dyn Disk, path: &Path, now_ms: u64) -> io::Result<Map<String, Value>> {
    let text = match disk.read_at(path, 0, limits::DEVICES_FILE + 1) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Map::new()),
        Err(error) => return Err(named(path, &error)),
        Ok(text) => text,
    };
    let why = if text.len() > limits::DEVICES_FILE {
        format!("it is longer than {} bytes", limits::DEVICES_FILE)
    } else {
        match serde_json::from_slice(&text) {
            Ok(Value::Object(entries)) => return Ok(entries),
            Ok(_) => "it is no object".to_owned(),
            Err(error) => error.to_string(),
        }
    };
    keep_aside(disk, path, now_ms, &why);
    Ok(Map::new())
}

fn keep_aside(disk: &mut dyn Disk, path: &Path, now_ms: u64, why: &str) {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("devices");
    let aside = path.with_file_name(format!("{name}.damaged-{now_ms}"));
    let kept = match disk.rename(path, &aside) {
        Ok(()) => format!("kept as {}", aside.display()),
        Err(error) => format!("and could not be kept aside: {error}"),
    };
    log::error!(target: "devices", "{} is damaged ({why}), {kept}; what cannot be read in it is \
        not paired: see `openclaw devices list`, and pair those devices again", path.display());
}

fn device_value(device: &Paired) -> Value {
    let claim = &device.claim;
    let tokens: Map<String, Value> = device
        .tokens
        .iter()
        .map(|(role, token)| {
            let value = json!({
                "role": role, "tokenSha256": token.digest, "previousSha256": token.previous,
                "scopes": token.scopes, "counter": token.counter,
                "createdAtMs": token.created_at_ms, "rotatedAtMs": token.rotated_at_ms,
                "revokedAtMs": token.revoked_at_ms, "lastUsedAtMs": token.last_used_at_ms,
            });
            ((*role).to_owned(), value)
        })
        .collect();
    let mut value = claim_value(claim);
    value["roles"] = json!(device.roles);
    value["operatorLabel"] = json!(device.operator_label);
    value["approvedVia"] = json!(device.approved_via.as_str());
    value["createdAtMs"] = json!(device.created_at_ms);
    value["approvedAtMs"] = json!(device.approved_at_ms);
    value["lastSeenAtMs"] = json!(device.last_seen_at_ms);
    value["lastSeenReason"] = json!(device.last_seen_reason);
    value["tokens"] = Value::Object(tokens);
    value
}

fn claim_value(claim: &Claim) -> Value {
    json!({
        "deviceId": claim.device_id, "publicKey": claim.public_key, "role": claim.role,
        "scopes": claim.scopes, "platform": claim.platform,
        "deviceFamily": claim.device_family, "clientId": claim.client_id,
        "clientMode": claim.client_mode, "displayName": claim.display_name,
        "remoteIp": claim.remote_ip,
    })
}

fn pending_value(pending: &Pending) -> (String, Value) {
    let mut value = claim_value(&pending.claim);
    value["isRepair"] = json!(pending.repair);
    value["ts"] = json!(pending.at_ms);
    (pending.request_id.clone(), value)
}

fn setup_value(setup: &Setup) -> (String, Value) {
    let value = json!({
        "tokenSha256": setup.digest, "access": setup.access.as_str(),
        "expiresAtMs": setup.expires_at_ms,
    });
    (setup.setup_id.clone(), value)
}

fn text<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    value.get(name).and_then(Value::as_str)
}

fn number(value: &Value, name: &str) -> Option<u64> {
    value.get(name).and_then(Value::as_u64)
}

/// Known names of a list; a list that is absent is empty, one that is no list is damage.
fn scopes_of(value: &Value) -> Option<Vec<&'static str>> {
    match value.get("scopes") {
        None | Some(Value::Null) => Some(Vec::new()),
        Some(Value::Array(list)) => Some(authority::known(list.iter().filter_map(Value::as_str))),
        Some(_) => None,
    }
}

fn claim_of(value: &Value) -> Option<Claim> {
    let device_id = text(value, "deviceId")?;
    let public_key = text(value, "publicKey")?;
    // The id is the key's digest: an entry that says otherwise was made by nobody.
    let key = base64_url_no_pad_decode(public_key).filter(|key| key.len() == 32)?;
    if hex(&sha256(&key)) != device_id {
        return None;
    }
    let one_of = |name: &str, list: &[&'static str]| {
        let word = text(value, name);
        list.iter().copied().find(|known| word == Some(*known))
    };
    let own = |name: &str| text(value, name).map(str::to_owned);
    let role = role(text(value, "role").unwrap_or("operator"))?;
    Some(Claim {
        device_id: device_id.to_owned(),
        public_key: public_key.to_owned(),
        role,
        scopes: scopes_of(value)?,
        platform: own("platform").unwrap_or_default().trim().to_ascii_lowercase(),
        device_family: own("deviceFamily").unwrap_or_default().trim().to_ascii_lowercase(),
        client_id: one_of("clientId", &CLIENT_IDS).unwrap_or("test"),
        client_mode: one_of("clientMode", &CLIENT_MODES).unwrap_or("test"),
        display_name: own("displayName"),
        remote_ip: own("remoteIp"),
    })
}

fn device_of(id: &str, value: &Value) -> Option<Paired> {
    let claim = claim_of(value).filter(|claim| claim.device_id == id)?;
    let roles: Vec<&'static str> = match value.get("roles") {
        Some(Value::Array(list)) => {
            let listed = |known: &str| list.iter().any(|name| name.as_str() == Some(known));
            super::ROLES.into_iter().filter(|known| listed(known)).collect()
        }
        _ => vec![claim.role],
    };
    let mut tokens = BTreeMap::new();
    if let Some(Value::Object(entries)) = value.get("tokens") {
        for (name, token) in entries {
            let role = role(name)?;
            let token = token_of(token)?;
            let live = token.revoked_at_ms.is_none();
            let scoped = if role == "operator" {
                authority::covers(&claim.scopes, &token.scopes)
            } else {
                token.scopes.is_empty()
            };
            // A token beyond what its device is approved for admits nobody.
            if !live || roles.contains(&role) && scoped {
                tokens.insert(role, token);
            }
        }
    }
    Some(Paired {
        roles,
        operator_label: text(value, "operatorLabel").map(str::to_owned),
        // What does not say how it was approved is never removed by itself.
        approved_via: text(value, "approvedVia").and_then(Via::from_str).unwrap_or(Via::Owner),
        created_at_ms: number(value, "createdAtMs").unwrap_or(0),
        approved_at_ms: number(value, "approvedAtMs").unwrap_or(0),
        last_seen_at_ms: number(value, "lastSeenAtMs"),
        last_seen_reason: ["connect", "device-token-auth"]
            .into_iter()
            .find(|reason| text(value, "lastSeenReason") == Some(*reason)),
        tokens,
        claim,
    })
}

fn digest(value: &Value, name: &str) -> Option<String> {
    let digest = text(value, name)?;
    let lower = digest.bytes().all(|byte| !byte.is_ascii_uppercase());
    (lower && hex_decode(digest).is_some_and(|bytes| bytes.len() == 32)).then(|| digest.to_owned())
}

fn token_of(value: &Value) -> Option<Token> {
    // The reference kept tokens in clear.
    let clear = text(value, "token").filter(|token| !token.is_empty());
    let digest_now = match clear {
        Some(token) => hex(&sha256(token.as_bytes())),
        None => digest(value, "tokenSha256")?,
    };
    Some(Token {
        digest: digest_now,
        previous: digest(value, "previousSha256"),
        scopes: scopes_of(value)?,
        counter: number(value, "counter").unwrap_or(0),
        created_at_ms: number(value, "createdAtMs").unwrap_or(0),
        rotated_at_ms: number(value, "rotatedAtMs"),
        // What says that it is revoked in a way we do not understand is revoked.
        revoked_at_ms: match value.get("revokedAtMs") {
            None | Some(Value::Null) => None,
            Some(at) => Some(at.as_u64().unwrap_or(0)),
        },
        last_used_at_ms: number(value, "lastUsedAtMs"),
    })
}

fn pending_of(id: &str, value: &Value) -> Option<Pending> {
    let claim = claim_of(value)?;
    let repair = value.get("isRepair").and_then(Value::as_bool).unwrap_or(false);
    let at_ms = number(value, "ts")?;
    Some(Pending { request_id: id.to_owned(), claim, repair, at_ms })
}

fn setup_of(id: &str, value: &Value) -> Option<Setup> {
    Some(Setup {
        setup_id: id.to_owned(),
        digest: digest(value, "tokenSha256")?,
        access: text(value, "access").and_then(Access::from_str)?,
        expires_at_ms: number(value, "expiresAtMs")?,
    })
}
