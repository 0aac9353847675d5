//! `gateway.tls` before the port speaks it: reads the files, looks into them, and makes a
//! self-signed pair where there is none and `gateway.tls.autoGenerate` is not off.
//!
//! A pair is made only where both files are missing; half a pair is an error, since the other
//! half may be somebody's. Our own certificate, at its default place, is made anew when it has
//! expired, on a new key.

use std::io;
use std::net::IpAddr;
use std::path::Path;

use super::{Failed, place};
use crate::config::Tls;
use crate::config::tls::has_certificate;
use crate::driver::TlsFiles;
use crate::reactor;

/// What the listener will show.
pub struct Ready {
    /// The files as read.
    pub files: TlsFiles,
    /// SHA-256 of the certificate.
    pub fingerprint: [u8; 32],
    /// The certificate vouches for itself, so that clients have to be told of it.
    pub self_signed: bool,
    /// It was made just now.
    pub made: bool,
}

/// Everything a listener at `bound` needs; none when TLS is off. `make` allows a missing pair to
/// be made.
///
/// # Errors
/// The text names file and key, and what to do about it.
pub fn ready(tls: &Tls, bound: IpAddr, make: bool) -> Result<Option<Ready>, Failed> {
    if !tls.enabled {
        return Ok(None);
    }
    if !reactor::HAS_TLS {
        let what = "gateway.tls.enabled: this build speaks no TLS: it was built without the \
                    feature `tls`";
        return Err(Failed::config(what, "cargo build --features tls, or disable gateway.tls"));
    }
    let there = |path: &Path| path.exists();
    let (cert, key) = (tls.cert_path.display(), tls.key_path.display());
    let mut made = false;
    match (there(&tls.cert_path), there(&tls.key_path)) {
        (true, true) => {
            if make && own::has_expired(tls) {
                renew(tls, bound)?;
                made = true;
            }
        }
        (false, false) if tls.auto_generate => {
            if !make {
                return Ok(None);
            }
            publish(tls, bound)?;
            made = true;
        }
        (false, false) => {
            return Err(Failed::config(
                format!("gateway.tls.certPath: there is no {cert}, and no key in {key}"),
                "put the pair there, or set gateway.tls.autoGenerate to true",
            ));
        }
        (true, false) => return Err(half("keyPath", &key.to_string(), &cert.to_string())),
        (false, true) => return Err(half("certPath", &cert.to_string(), &key.to_string())),
    }
    let bad =
        |text: String| Failed::config(text, "correct it, or set gateway.tls.enabled to false");
    let files = tls.files(&read).map_err(bad)?;
    reactor::check_tls(&files).map_err(bad)?;
    let fingerprint = reactor::fingerprint(&files.cert).map_err(bad)?;
    let self_signed = !has_certificate(&files.cert.bytes, |der| der.issuer != der.subject);
    Ok(Some(Ready { files, fingerprint, self_signed, made }))
}

/// SHA-256 of the certificate that the gateway of this machine shows; none when it cannot be
/// read, and then the usual checks hold.
pub fn local_pin(tls: &Tls) -> Option<[u8; 32]> {
    let bytes = read(&tls.cert_path, crate::limits::TLS_FILE).ok()?;
    let file = crate::driver::TlsFile { path: tls.cert_path.clone(), bytes };
    reactor::fingerprint(&file).ok()
}

/// A self-signed certificate and its key as PEM, good for this machine's names and `bound`.
///
/// # Errors
/// When the system gives no random bytes, or the build has no TLS.
pub fn self_signed(bound: IpAddr) -> Result<(String, String), Failed> {
    own::pair(bound)
}

/// At most `max` bytes.
fn read(path: &Path, max: usize) -> io::Result<Vec<u8>> {
    use io::Read;
    let mut bytes = Vec::new();
    let max = u64::try_from(max).unwrap_or(u64::MAX);
    std::fs::File::open(path)?.take(max).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn half(key: &str, missing: &str, there: &str) -> Failed {
    Failed::config(
        format!("gateway.tls.{key}: there is no {missing}, but there is {there}"),
        "restore the missing file, or move the other one away and a new pair is made",
    )
}

fn publish(tls: &Tls, bound: IpAddr) -> Result<(), Failed> {
    let (cert, key) = self_signed(bound)?;
    write_new(&tls.key_path, &key)?;
    write_new(&tls.cert_path, &cert).inspect_err(|_| {
        // Half a pair would block the next start.
        let _ = std::fs::remove_file(&tls.key_path);
    })
}

fn renew(tls: &Tls, bound: IpAddr) -> Result<(), Failed> {
    use crate::store::{Disk, RealDisk};
    let (cert, key) = self_signed(bound)?;
    for (path, text) in [(&tls.key_path, key), (&tls.cert_path, cert)] {
        RealDisk.replace(path, text.as_bytes()).map_err(|error| unwritten(path, &error))?;
    }
    Ok(())
}

fn write_new(path: &Path, text: &str) -> Result<(), Failed> {
    place::write_new_config(path, text).map_err(|error| unwritten(path, &error))
}

fn unwritten(path: &Path, error: &io::Error) -> Failed {
    Failed::config(
        format!("gateway.tls: cannot write {}: {error}", path.display()),
        "check the directory's owner and free space, or name a pair of your own in \
         gateway.tls.certPath and gateway.tls.keyPath",
    )
}

/// The pair we make ourselves.
#[cfg(feature = "tls")]
mod own {
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
    use std::time::{SystemTime, UNIX_EPOCH};

    use ring::rand::SystemRandom;
    use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};

    use super::super::{Failed, entropy, place};
    use crate::config::Tls;
    use crate::config::tls::has_certificate;
    use crate::wire::der;

    /// As the reference calls its own.
    const COMMON_NAME: &str = "openclaw-gateway";
    const DAY: u64 = 86_400;
    /// Ten years, as the reference: a new certificate breaks every pin.
    const GOOD_FOR: u64 = 3_650 * DAY;

    fn now() -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_secs())
    }

    /// It is one that we made, and over.
    pub(super) fn has_expired(tls: &Tls) -> bool {
        let bytes = super::read(&tls.cert_path, crate::limits::TLS_FILE).unwrap_or_default();
        has_certificate(&bytes, |der| der.is_self_issued_as(COMMON_NAME) && der.not_after <= now())
    }

    /// Certificate and key as PEM.
    pub(super) fn pair(bound: IpAddr) -> Result<(String, String), Failed> {
        pair_of(COMMON_NAME, bound, now())
    }

    /// As [`pair`], for another name or another moment.
    fn pair_of(common_name: &str, bound: IpAddr, now: u64) -> Result<(String, String), Failed> {
        let failed = |_| Failed::new("no key could be made: the system gives no random bytes", "");
        let rng = SystemRandom::new();
        let kind = &ECDSA_P256_SHA256_ASN1_SIGNING;
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(kind, &rng).map_err(failed)?;
        let key = EcdsaKeyPair::from_pkcs8(kind, pkcs8.as_ref(), &rng)
            .map_err(|error| Failed::new(format!("no key could be made: {error}"), ""))?;
        let (names, addresses) = (names(&place::host_name()), addresses(bound));
        let to_be_signed = der::SelfSigned {
            serial: entropy::bytes(),
            common_name,
            // The clock of a phone may be behind ours.
            not_before: now.saturating_sub(DAY),
            not_after: now.saturating_add(GOOD_FOR),
            public_key: key.public_key().as_ref(),
            names: &names,
            addresses: &addresses,
        }
        .to_be_signed();
        let signature = key.sign(&rng, &to_be_signed).map_err(failed)?;
        let certificate = der::certificate(&to_be_signed, signature.as_ref());
        let key = der::pem("PRIVATE KEY", pkcs8.as_ref());
        Ok((der::pem("CERTIFICATE", &certificate), key))
    }

    /// `localhost`, the machine's name and its name in the local network.
    fn names(host: &str) -> Vec<String> {
        let mut names = vec!["localhost".to_owned()];
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
        if !host.is_empty() && host.len() <= 240 && host.chars().all(plain) && host != names[0] {
            if !host.contains('.') {
                names.push(format!("{host}.local"));
            }
            names.push(host);
        }
        names
    }

    /// Both loopback addresses, and those we listen on.
    fn addresses(bound: IpAddr) -> Vec<IpAddr> {
        let mut list: Vec<IpAddr> = vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        let more = if bound.is_unspecified() {
            place::local_addresses().into_iter().map(IpAddr::V4).collect()
        } else {
            vec![bound]
        };
        for address in more {
            if !list.contains(&address) {
                list.push(address);
            }
        }
        list
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn our_own_expired_certificate_is_made_anew_and_nobody_elses() {
            let dir = std::env::temp_dir().join(format!("openclaw-tls-{}", std::process::id()));
            std::fs::create_dir_all(&dir).expect("a directory");
            let tls = Tls {
                enabled: true,
                auto_generate: true,
                cert_path: dir.join("c.pem"),
                key_path: dir.join("k.pem"),
                ca_path: None,
            };
            let here: IpAddr = Ipv4Addr::LOCALHOST.into();
            let long_ago = now() - GOOD_FOR - DAY;
            for (name, then, renewed) in [
                (COMMON_NAME, long_ago, true),
                ("somebody", long_ago, false),
                (COMMON_NAME, now(), false),
            ] {
                let (cert, key) = pair_of(name, here, then).expect("made");
                std::fs::write(&tls.cert_path, &cert).expect("written");
                std::fs::write(&tls.key_path, &key).expect("written");
                let looked = super::super::ready(&tls, here, false).expect("usable");
                assert!(!looked.expect("on").made, "looking changes nothing");
                let ready = super::super::ready(&tls, here, true).expect("usable").expect("on");
                assert_eq!(ready.made, renewed, "{name}");
                let kept = std::fs::read_to_string(&tls.cert_path).expect("there");
                assert_eq!(kept != cert, renewed, "{name}");
            }
            std::fs::remove_dir_all(&dir).expect("removed");
        }

        #[test]
        fn the_names_are_those_that_reach_this_machine() {
            assert_eq!(names("Box"), ["localhost", "box.local", "box"]);
            assert_eq!(names("box.example."), ["localhost", "box.example"]);
            assert_eq!(names("localhost"), ["localhost"]);
            assert_eq!(names("ö\n"), ["localhost"]);
            let lan: IpAddr = "192.168.1.7".parse().expect("an address");
            let shown: Vec<String> = addresses(lan).iter().map(ToString::to_string).collect();
            assert_eq!(shown, ["127.0.0.1", "::1", "192.168.1.7"]);
        }
    }
}

#[cfg(not(feature = "tls"))]
mod own {
    use super::{Failed, IpAddr, Tls};

    pub(super) fn has_expired(_: &Tls) -> bool {
        false
    }

    pub(super) fn pair(_: IpAddr) -> Result<(String, String), Failed> {
        Err(Failed::new("this build makes no keys", ""))
    }
}
