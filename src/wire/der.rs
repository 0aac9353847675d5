//! The little DER (X.690) that a self-signed certificate takes, and the little that is read
//! back from one: who issued it, whose it is, how long it is good. RFC 5280 section 4.1 has the
//! shape; nothing here signs, checks a signature or trusts anything.

use std::net::IpAddr;

use super::text::{civil, days};

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const OID: u8 = 0x06;
const UTF8: u8 = 0x0c;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const BOOLEAN: u8 = 0x01;
/// Explicit `[0]` and `[3]` of a TBSCertificate.
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;

/// ecdsa-with-SHA256, 1.2.840.10045.4.3.2.
const ECDSA_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
/// ecPublicKey, 1.2.840.10045.2.1.
const EC_PUBLIC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
/// prime256v1, 1.2.840.10045.3.1.7.
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
/// commonName, 2.5.4.3.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
/// keyUsage, subjectAltName, basicConstraints, extKeyUsage: 2.5.29.*.
const KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x0f];
const ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
const EXT_KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x25];
/// serverAuth, 1.3.6.1.5.5.7.3.1.
const SERVER_AUTH: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01];

/// A certificate of a server that vouches for itself, on an ECDSA key over P-256.
#[derive(Debug, Clone)]
pub struct SelfSigned<'a> {
    /// Random bytes; the first bits are set so that it is a positive number of 16 bytes.
    pub serial: [u8; 16],
    /// Subject and issuer.
    pub common_name: &'a str,
    /// Unix seconds.
    pub not_before: u64,
    /// Unix seconds.
    pub not_after: u64,
    /// The uncompressed point, 65 bytes.
    pub public_key: &'a [u8],
    /// Host names it is good for; ASCII.
    pub names: &'a [String],
    /// Addresses it is good for.
    pub addresses: &'a [IpAddr],
}

impl SelfSigned<'_> {
    /// The bytes to sign with ECDSA over SHA-256.
    pub fn to_be_signed(&self) -> Vec<u8> {
        let mut serial = self.serial;
        serial[0] = serial[0] & 0x3f | 0x40;
        let name = name(self.common_name);
        let key = sequence(&[
            &sequence(&[&tlv(OID, EC_PUBLIC_KEY), &tlv(OID, P256)]),
            &bits(self.public_key),
        ]);
        sequence(&[
            &tlv(VERSION, &tlv(INTEGER, &[2])),
            &tlv(INTEGER, &serial),
            &algorithm(),
            &name,
            &sequence(&[&time(self.not_before), &time(self.not_after)]),
            &name,
            &key,
            &tlv(EXTENSIONS, &self.extensions()),
        ])
    }

    fn extensions(&self) -> Vec<u8> {
        let mut names = Vec::new();
        for name in self.names {
            names.extend(tlv(0x82, name.as_bytes()));
        }
        for address in self.addresses {
            match address {
                IpAddr::V4(ip) => names.extend(tlv(0x87, &ip.octets())),
                IpAddr::V6(ip) => names.extend(tlv(0x87, &ip.octets())),
            }
        }
        sequence(&[
            // Not an authority: CA is false, the default, which DER leaves out.
            &extension(BASIC_CONSTRAINTS, true, &sequence(&[])),
            // digitalSignature, the first bit of one byte.
            &extension(KEY_USAGE, true, &tlv(BIT_STRING, &[7, 0x80])),
            &extension(EXT_KEY_USAGE, false, &sequence(&[&tlv(OID, SERVER_AUTH)])),
            &extension(ALT_NAME, false, &tlv(SEQUENCE, &names)),
        ])
    }
}

/// The certificate, from what was signed and its signature (ASN.1 form).
pub fn certificate(to_be_signed: &[u8], signature: &[u8]) -> Vec<u8> {
    sequence(&[to_be_signed, &algorithm(), &bits(signature)])
}

/// PEM text (RFC 7468) with a label such as `CERTIFICATE`.
pub fn pem(label: &str, der: &[u8]) -> String {
    let mut text = format!("-----BEGIN {label}-----\n");
    let body = super::hash::base64(der);
    for (at, digit) in body.chars().enumerate() {
        if at > 0 && at % 64 == 0 {
            text.push('\n');
        }
        text.push(digit);
    }
    text.push_str(&format!("\n-----END {label}-----\n"));
    text
}

fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    match u8::try_from(content.len()) {
        Ok(short @ 0..=127) => out.push(short),
        _ => {
            let length = content.len().to_be_bytes();
            let skip = length.iter().take_while(|byte| **byte == 0).count();
            let significant = length.get(skip..).unwrap_or_default();
            out.push(0x80 | u8::try_from(significant.len()).unwrap_or(8));
            out.extend_from_slice(significant);
        }
    }
    out.extend_from_slice(content);
    out
}

fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    tlv(SEQUENCE, &parts.concat())
}

/// Whole bytes as a bit string.
fn bits(bytes: &[u8]) -> Vec<u8> {
    tlv(BIT_STRING, &[&[0], bytes].concat())
}

fn algorithm() -> Vec<u8> {
    sequence(&[&tlv(OID, ECDSA_SHA256)])
}

fn name(common_name: &str) -> Vec<u8> {
    let pair = sequence(&[&tlv(OID, COMMON_NAME), &tlv(UTF8, common_name.as_bytes())]);
    sequence(&[&tlv(SET, &pair)])
}

fn extension(id: &[u8], critical: bool, value: &[u8]) -> Vec<u8> {
    let critical = if critical { tlv(BOOLEAN, &[0xff]) } else { Vec::new() };
    sequence(&[&tlv(OID, id), &critical, &tlv(OCTET_STRING, value)])
}

/// Two digits of the year until 2049, four from then on (RFC 5280 section 4.1.2.5).
fn time(unix: u64) -> Vec<u8> {
    let (year, month, day) = civil(unix / 86_400);
    let rest = unix % 86_400;
    let clock =
        format!("{month:02}{day:02}{:02}{:02}{:02}Z", rest / 3600, rest / 60 % 60, rest % 60);
    if (1950..2050).contains(&year) {
        tlv(UTC_TIME, format!("{:02}{clock}", year % 100).as_bytes())
    } else {
        tlv(GENERALIZED_TIME, format!("{year:04}{clock}").as_bytes())
    }
}

/// What is read of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Certificate<'a> {
    /// The issuer's name, encoded.
    pub issuer: &'a [u8],
    /// The subject's name, encoded.
    pub subject: &'a [u8],
    /// Unix seconds of its last moment.
    pub not_after: u64,
}

impl<'a> Certificate<'a> {
    /// Reads one; `None` for what is none.
    pub fn read(der: &'a [u8]) -> Option<Self> {
        let mut outer = Walk(der);
        let mut body = Walk(outer.expect(SEQUENCE)?);
        let mut fields = Walk(body.expect(SEQUENCE)?);
        let (tag, _) = fields.next()?;
        if tag == VERSION {
            fields.expect(INTEGER)?;
        } else if tag != INTEGER {
            return None;
        }
        fields.expect(SEQUENCE)?;
        let issuer = fields.expect(SEQUENCE)?;
        let mut validity = Walk(fields.expect(SEQUENCE)?);
        validity.next()?;
        let (tag, text) = validity.next()?;
        let subject = fields.expect(SEQUENCE)?;
        Some(Self { issuer, subject, not_after: read_time(tag, text)? })
    }

    /// It was issued under this common name and nothing else.
    pub fn is_self_issued_as(&self, common_name: &str) -> bool {
        self.issuer == self.subject
            && Walk(&name(common_name)).expect(SEQUENCE) == Some(self.subject)
    }
}

/// One element after the other.
struct Walk<'a>(&'a [u8]);

impl<'a> Walk<'a> {
    /// Tag and content of the next element.
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, mut rest) = rest.split_first()?;
        let length = if first < 0x80 {
            usize::from(first)
        } else {
            // Indefinite lengths are no DER; four bytes are more than any certificate has.
            let count = usize::from(first & 0x7f);
            if !(1..=4).contains(&count) {
                return None;
            }
            let (bytes, after) = rest.split_at_checked(count)?;
            rest = after;
            bytes.iter().fold(0usize, |length, byte| length << 8 | usize::from(*byte))
        };
        let (content, after) = rest.split_at_checked(length)?;
        self.0 = after;
        Some((tag, content))
    }

    fn expect(&mut self, wanted: u8) -> Option<&'a [u8]> {
        self.next().filter(|(tag, _)| *tag == wanted).map(|(_, content)| content)
    }
}

fn read_time(tag: u8, text: &[u8]) -> Option<u64> {
    let digits = text.strip_suffix(b"Z")?;
    let (year, rest) = match tag {
        UTC_TIME => {
            let (year, rest) = digits.split_at_checked(2)?;
            let year = number(year)?;
            (if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        GENERALIZED_TIME => {
            let (year, rest) = digits.split_at_checked(4)?;
            (number(year)?, rest)
        }
        _ => return None,
    };
    let (pairs, rest) = rest.as_chunks::<2>();
    let [month, day, hour, minute, second] = pairs else { return None };
    if !rest.is_empty() {
        return None;
    }
    // Before 1970 is over, however long ago.
    let day = if year < 1970 { 0 } else { days(year, number(month)?, number(day)?)? };
    Some(day * 86_400 + number(hour)? * 3600 + number(minute)? * 60 + number(second)?)
}

fn number(digits: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(digits).ok()?;
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

/// One input of the fuzzer: whatever it is, reading it ends without a panic.
#[doc(hidden)]
pub fn fuzz(data: &[u8]) {
    if let Some(read) = Certificate::read(data) {
        assert!(read.issuer.len() < data.len() && read.subject.len() < data.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(names: &[String], addresses: &[IpAddr]) -> Vec<u8> {
        let one = SelfSigned {
            serial: [0xff; 16],
            common_name: "openclaw-gateway",
            not_before: 1_700_000_000,
            not_after: 2_000_000_000,
            public_key: &[4; 65],
            names,
            addresses,
        };
        certificate(&one.to_be_signed(), b"signature")
    }

    #[test]
    fn what_is_written_is_read_back() {
        let der = example(&["localhost".to_owned()], &[IpAddr::from([127, 0, 0, 1])]);
        let read = Certificate::read(&der).expect("a certificate");
        assert_eq!(read.not_after, 2_000_000_000);
        assert!(read.is_self_issued_as("openclaw-gateway"));
        assert!(!read.is_self_issued_as("openclaw"));
        for end in 0..der.len() {
            assert_eq!(Certificate::read(&der[..end]), None, "cut at {end}");
        }
        for at in 0..der.len() {
            for bit in 0..8 {
                let mut spoiled = der.clone();
                spoiled[at] ^= 1 << bit;
                fuzz(&spoiled);
            }
        }
    }

    #[test]
    fn lengths_are_short_or_long_and_announced_ones_do_not_count() {
        assert_eq!(tlv(OCTET_STRING, &[7; 127])[..2], [4, 127]);
        assert_eq!(tlv(OCTET_STRING, &[7; 128])[..3], [4, 0x81, 128]);
        assert_eq!(tlv(OCTET_STRING, &[7; 300])[..4], [4, 0x82, 1, 44]);
        for text in [&[0x30, 0x80, 0, 0][..], &[0x30, 0x85, 1, 1, 1, 1, 1], &[0x30, 0x84, 255, 255]]
        {
            assert!(Walk(text).next().is_none());
        }
        assert!(Walk(&[0x30, 0x84, 255, 255, 255, 255, 0]).next().is_none());
    }

    #[test]
    fn times_turn_to_four_digits_in_2050() {
        assert_eq!(&time(0)[2..], b"700101000000Z");
        assert_eq!(&time(2_524_607_999)[2..], b"491231235959Z");
        assert_eq!(&time(2_524_608_000)[2..], b"20500101000000Z");
        for unix in [0, 951_782_400, 2_524_607_999, 2_524_608_000, 4_102_444_800] {
            let der = time(unix);
            assert_eq!(read_time(der[0], &der[2..]), Some(unix));
        }
        assert_eq!(read_time(UTC_TIME, b"991301000000Z"), None);
        assert_eq!(read_time(UTC_TIME, b"+91201000000Z"), None);
        assert_eq!(read_time(UTC_TIME, b"991201000000"), None);
    }

    #[test]
    fn pem_lines_have_64_digits() {
        let text = pem("CERTIFICATE", &[0; 60]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "-----BEGIN CERTIFICATE-----");
        assert_eq!((lines[1].len(), lines[2].len()), (64, 16));
        assert_eq!(lines[3], "-----END CERTIFICATE-----");
    }
}
