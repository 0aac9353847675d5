//! Devices as a table: who is let in, who may approve what, what a damaged document does.

use super::*;
use crate::protocol::OPERATOR_SCOPES;
use crate::store::{Disk, Stat};
use crate::wire::hash::{base64_url_no_pad, hex, sha256};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

/// Files in memory.
#[derive(Default)]
struct Memory(BTreeMap<PathBuf, Vec<u8>>);

impl Disk for Memory {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.0.get(path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
    fn read_at(&self, path: &Path, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        Ok(self.read(path)?.into_iter().skip(start).take(len).collect())
    }
    fn stat(&self, path: &Path) -> io::Result<Stat> {
        let len = self.read(path)?.len() as u64;
        Ok(Stat { len, modified_ns: 0, inode: 0 })
    }
    fn append(&mut self, _: &Path, _: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
    fn replace(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.0.insert(path.to_path_buf(), bytes.to_vec());
        Ok(())
    }
    fn sync(&mut self, _: &Path) -> io::Result<()> {
        Ok(())
    }
    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let bytes = self.0.remove(from).ok_or(io::ErrorKind::NotFound)?;
        self.0.insert(to.to_path_buf(), bytes);
        Ok(())
    }
    fn list(&self, _: &Path) -> io::Result<Vec<String>> {
        Ok(Vec::new())
    }
    fn remove(&mut self, path: &Path) -> io::Result<()> {
        self.0.remove(path).map(|_| ()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

fn devices() -> Devices {
    let mut devices = Devices::load(&mut Memory::default(), Path::new("/s"), 0).unwrap();
    devices.set_key([7; 32]);
    devices
}

fn claim(number: u64, role: &'static str, scopes: &[&'static str]) -> Claim {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&number.to_le_bytes());
    Claim {
        device_id: hex(&sha256(&key)),
        public_key: base64_url_no_pad(&key),
        role,
        scopes: known(scopes.iter().copied()),
        platform: "linux".to_owned(),
        client_id: "cli",
        client_mode: "cli",
        ..Claim::default()
    }
}

fn by(scopes: &[&'static str], token_of: Option<&Claim>) -> Approver {
    let token_of = token_of.map(|claim| claim.device_id.clone());
    Approver { scopes: scopes.to_vec(), token_of }
}

#[test]
fn who_may_approve_what() {
    const ADMIN: &[&str] = &["operator.admin"];
    const PAIRING: &[&str] = &["operator.pairing"];
    const SOME: &[&str] = &["operator.pairing", "operator.write"];
    let asked = claim(1, "operator", &["operator.read"]);
    let wide = claim(1, "operator", &["operator.admin"]);
    let empty = claim(1, "operator", &[]);
    let node = claim(1, "node", &[]);
    let other = claim(2, "operator", &[]);
    let lacks = |scope| Err(Refused::Scope(scope));
    // (what is asked, scopes of the approver, its own token's device, verdict)
    type Row<'a> = (&'a Claim, &'a [&'static str], Option<&'a Claim>, Result<(), Refused>);
    let table: [Row<'_>; 12] = [
        (&asked, ADMIN, None, Ok(())),
        (&asked, SOME, None, Ok(())),
        (&asked, PAIRING, None, lacks("operator.read")),
        (&wide, SOME, None, lacks("operator.admin")),
        (&wide, ADMIN, None, Ok(())),
        (&empty, PAIRING, None, Ok(())),
        (&node, SOME, None, lacks("operator.admin")),
        (&node, ADMIN, None, Ok(())),
        (&asked, SOME, Some(&other), Err(Refused::NotOwn)),
        (&asked, SOME, Some(&asked), Ok(())),
        (&asked, ADMIN, Some(&other), Ok(())),
        (&wide, SOME, Some(&wide), lacks("operator.admin")),
    ];
    for (at, (asked, scopes, token_of, want)) in table.into_iter().enumerate() {
        let mut devices = devices();
        devices.request(asked.clone(), "r".to_owned(), 0).unwrap();
        let got = devices.approve("r", &by(scopes, token_of), 1).map(|_| ());
        assert_eq!(got, want, "row {at}");
        assert_eq!(devices.paired(&asked.device_id).is_some(), want.is_ok(), "row {at}");
        assert_eq!(devices.request_of("r").is_none(), want.is_ok(), "row {at}");
        devices.check_invariants();
    }
    // One that asks for nothing new keeps what it has: that is what the approver must hold.
    let mut devices = devices();
    devices.admit(&wide, Via::Silent, 0).unwrap();
    devices.request(empty, "r".to_owned(), 0).unwrap();
    assert_eq!(devices.approve("r", &by(PAIRING, None), 1), lacks("operator.admin").map(|()| wide));
}

#[test]
fn requests_are_bounded_and_end_by_themselves() {
    let mut devices = devices();
    let full = limits::PAIRING_PENDING as u64;
    for number in 0..full {
        assert!(devices.request(claim(number, "node", &[]), format!("{number}"), 5).is_ok());
    }
    let one_more = devices.request(claim(full, "node", &[]), "more".to_owned(), 5);
    assert_eq!(one_more, Err(Full("PAIRING_PENDING")));
    let again = devices.request(claim(3, "node", &[]), "other".to_owned(), 6);
    assert_eq!(again, Ok(("3".to_owned(), false)), "the same wish keeps its number");
    let gone = devices.expire(5 + limits::PAIRING_PENDING_MS);
    assert_eq!(gone.len() as u64, full - 1, "all but the one that asked again");
    devices.check_invariants();
}

#[test]
fn paired_devices_are_bounded_and_none_is_thrown_out() {
    let mut devices = devices();
    for number in 0..limits::DEVICES as u64 {
        devices.admit(&claim(number, "node", &[]), Via::Owner, 0).unwrap();
    }
    let next = claim(limits::DEVICES as u64, "node", &[]);
    assert_eq!(devices.admit(&next, Via::Owner, 0), Err(Full("DEVICES")));
    let again = claim(7, "operator", &["operator.read"]);
    assert_eq!(devices.admit(&again, Via::Owner, 0), Ok(()), "one that is known stays welcome");
    for number in 0..limits::SETUP_CODES + 3 {
        devices.add_setup(format!("{number}"), &format!("t{number}"), Access::Node, 0);
    }
    assert!(devices.setup("t0", 1).is_none() && devices.setup("t34", 1).is_some());
    assert!(devices.setup("t34", limits::SETUP_CODE_MS).is_none(), "too old");
    devices.check_invariants();
}

#[test]
fn tokens_are_told_again_replaced_and_revoked() {
    let mut devices = devices();
    let reader = claim(1, "operator", &["operator.read"]);
    let id = reader.device_id.clone();
    assert_eq!(devices.token(&id, "operator", None, 1), None, "not paired");
    devices.admit(&reader, Via::Silent, 1).unwrap();
    assert_eq!(devices.token(&id, "node", None, 1), None, "not this role");
    let first = devices.token(&id, "operator", None, 2).unwrap();
    assert_eq!(devices.token(&id, "operator", None, 9).as_ref(), Some(&first));
    let is = |devices: &Devices, token: &str, scopes: &[&'static str]| {
        devices.verify(&id, "operator", token, scopes)
    };
    assert_eq!(is(&devices, &first.token, &["operator.read"]), Verified::Yes);
    assert_eq!(is(&devices, &first.token, &["operator.write"]), Verified::Scopes);
    for wrong in ["", "x", &first.token[1..], &format!("{} ", first.token)] {
        assert_eq!(is(&devices, wrong, &[]), Verified::No, "{wrong:?}");
    }
    assert_eq!(devices.verify(&id, "node", &first.token, &[]), Verified::No);
    let admin = by(&["operator.admin"], None);
    let second = devices.rotate(&id, "operator", None, &admin, 3).unwrap();
    assert_ne!(second.token, first.token);
    assert_eq!(is(&devices, &first.token, &[]), Verified::No, "no grace for what was rotated");
    assert_eq!(devices.token(&id, "operator", None, 4).as_ref(), Some(&second));
    devices.revoke(&id, "operator", &admin, 5).unwrap();
    assert_eq!(is(&devices, &second.token, &[]), Verified::No);
    assert_eq!(devices.wants(&reader), Some(Reason::NotPaired), "new again");
    assert_eq!(devices.token(&id, "operator", None, 6), None);
    devices.admit(&reader, Via::Owner, 7).unwrap();
    let third = devices.token(&id, "operator", None, 7).unwrap();
    assert!(third.token != second.token && third.token != first.token, "no token comes back");
    devices.remove(&id);
    devices.admit(&reader, Via::Owner, 9).unwrap();
    let anew = devices.token(&id, "operator", None, 9).unwrap();
    assert!(![&first, &second, &third].iter().any(|old| old.token == anew.token), "nor then");
    let third = anew;
    // Another key: what it cannot tell again it makes anew.
    devices.set_key([8; 32]);
    assert_ne!(devices.token(&id, "operator", None, 8), Some(third.clone()));
    assert_eq!(is(&devices, &third.token, &[]), Verified::No);
    devices.check_invariants();
}

#[test]
fn documents_come_back_as_they_were_and_damage_admits_nobody() {
    let mut disk = Memory::default();
    let mut kept = Devices::load(&mut disk, Path::new("/s"), 0).unwrap();
    kept.make_key(&mut disk, [9; 32]);
    let operator = claim(1, "operator", &["operator.admin", "operator.read"]);
    kept.admit(&operator, Via::Owner, 1).unwrap();
    kept.admit(&claim(1, "node", &[]), Via::Bootstrap, 2).unwrap();
    let token = kept.token(&operator.device_id, "operator", None, 3).unwrap();
    kept.rename(&operator.device_id, "Küche");
    kept.seen(&operator.device_id, "operator", true, 4);
    kept.request(claim(2, "node", &[]), "r".to_owned(), 5).unwrap();
    kept.add_setup("s".to_owned(), "code", Access::Limited, 6);
    kept.save(&mut disk).unwrap();
    assert!(!kept.is_dirty());
    let again = Devices::load(&mut disk, Path::new("/s"), 7).unwrap();
    assert_eq!((&again.paired, &again.pending), (&kept.paired, &kept.pending));
    assert_eq!((&again.setups, again.key), (&kept.setups, kept.key));
    let paired = Path::new("/s/devices/paired.json");
    let text = String::from_utf8(disk.read(paired).unwrap()).unwrap();
    // Every cut, and wrong values in every place that decides.
    let mut damaged: Vec<String> = (0..text.len())
        .step_by(7)
        .filter(|at| text.is_char_boundary(*at))
        .map(|at| text[..at].to_owned())
        .collect();
    let digest = hex(&sha256(token.token.as_bytes()));
    damaged.push(text.replace(&operator.public_key, "AAAA"));
    damaged.push(text.replace(&digest, "00"));
    damaged.push(
        text.replace("\"operator\",\n      \"node\"", "\"node\"").replace("\"operator\"\n", ""),
    );
    damaged.push(text.replace("\"revokedAtMs\": null", "\"revokedAtMs\": \"yes\""));
    damaged.push(text.replace("\"scopes\": [", "\"scopes\": [\"operator.write\"], \"x\": ["));
    for (at, damage) in damaged.into_iter().enumerate() {
        let mut disk = Memory(disk.0.clone());
        disk.replace(paired, damage.as_bytes()).unwrap();
        let read = Devices::load(&mut disk, Path::new("/s"), 8).unwrap();
        read.check_invariants();
        let admits = read.verify(&operator.device_id, "operator", &token.token, &[]);
        let admin = read.verify(&operator.device_id, "operator", &token.token, &["operator.admin"]);
        assert!(damage == text || admin != Verified::Yes, "{at}: {admits:?} {damage}");
    }
    // The reference's own document, with its token in clear, is kept by the digest.
    let reference = format!(
        r#"{{"{id}": {{"deviceId": "{id}", "publicKey": "{key}", "role": "operator",
          "roles": ["operator"], "scopes": ["operator.read"], "createdAtMs": 1,
          "approvedAtMs": 1, "tokens": {{"operator": {{"token": "clear", "role": "operator",
          "scopes": ["operator.read"], "createdAtMs": 1}}}}}}}}"#,
        id = operator.device_id,
        key = operator.public_key,
    );
    disk.replace(paired, reference.as_bytes()).unwrap();
    let read = Devices::load(&mut disk, Path::new("/s"), 9).unwrap();
    let asked = ["operator.read"];
    assert_eq!(read.verify(&operator.device_id, "operator", "clear", &asked), Verified::Yes);
}

#[test]
fn a_document_without_end_is_not_read() {
    let mut disk = Memory::default();
    let paired = Path::new("/s/devices/paired.json");
    disk.replace(paired, &vec![b' '; limits::DEVICES_FILE + 1]).unwrap();
    let read = Devices::load(&mut disk, Path::new("/s"), 1).unwrap();
    assert_eq!(read.all().count(), 0);
    assert!(disk.read(paired).is_err(), "it is kept under another name");
}

#[test]
fn an_earlier_silent_device_of_the_same_client_is_replaced() {
    let mut devices = devices();
    for (number, via) in [(1, Via::Silent), (2, Via::Owner), (3, Via::Silent), (4, Via::Silent)] {
        devices.admit(&claim(number, "operator", &[]), via, 0).unwrap();
    }
    devices.rename(&claim(4, "operator", &[]).device_id, "mine");
    let live = claim(3, "operator", &[]).device_id;
    let new = claim(9, "operator", &[]);
    let late = limits::SUPERSEDE_MS + 1;
    let old = devices.superseded(&new, late, |id| id == live);
    assert_eq!(old, [claim(1, "operator", &[]).device_id]);
    assert!(devices.superseded(&new, late - 1, |_| false).is_empty(), "too young");
    let other = Claim { client_id: "test", ..new };
    assert!(devices.superseded(&other, late, |_| false).is_empty(), "another client");
}

/// Whatever happens in whatever order: nobody below admin ever makes a device hold more than
/// the approver does, and no token outlives its revocation.
#[test]
fn no_order_of_events_widens_anybody() {
    for seed in 0..256_u64 {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut next = |below: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % below
        };
        let mut devices = devices();
        let mut dead: Vec<(String, String)> = Vec::new();
        let mut live: BTreeMap<String, String> = BTreeMap::new();
        // The most that anybody in this world may give.
        let ceiling = ["operator.pairing", "operator.read", "operator.write"];
        for step in 0..96_u64 {
            let bits = next(256);
            let asked: Vec<&'static str> = OPERATOR_SCOPES
                .into_iter()
                .enumerate()
                .filter(|(at, _)| bits >> at & 1 == 1)
                .map(|(_, scope)| scope)
                .collect();
            let role = if next(4) == 0 { "node" } else { "operator" };
            let scopes: &[&'static str] = if role == "operator" { &asked } else { &[] };
            let who = claim(next(4), role, scopes);
            let own = claim(next(4), "operator", &[]);
            let by = by(&ceiling, (next(2) == 0).then_some(&own));
            let id = who.device_id.clone();
            match next(6) {
                0 => drop(devices.request(who, format!("r{step}"), step)),
                1 | 2 => {
                    let waiting = devices.waiting().first().map(|p| p.request_id.clone());
                    drop(devices.approve(&waiting.unwrap_or_default(), &by, step));
                }
                3 => {
                    if let Some(issued) = devices.token(&id, "operator", None, step) {
                        live.insert(id, issued.token);
                    }
                }
                4 => {
                    if let Ok(issued) = devices.rotate(&id, "operator", Some(asked), &by, step) {
                        dead.extend(live.insert(id.clone(), issued.token).map(|old| (id, old)));
                    }
                }
                _ => {
                    if devices.revoke(&id, "operator", &by, step).is_ok() {
                        dead.extend(live.remove(&id).map(|old| (id, old)));
                    }
                }
            }
            devices.check_invariants();
            for device in devices.all() {
                assert!(authority::covers(&ceiling, &device.claim.scopes), "seed {seed} {step}");
                assert_eq!(
                    device.roles,
                    ["operator"]
                        .iter()
                        .filter(|r| device.roles.contains(r))
                        .copied()
                        .collect::<Vec<_>>(),
                    "seed {seed}: only an administrator makes nodes"
                );
            }
            for (id, token) in &dead {
                assert_eq!(devices.verify(id, "operator", token, &[]), Verified::No, "seed {seed}");
            }
        }
    }
}
