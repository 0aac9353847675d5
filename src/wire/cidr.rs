//! Address ranges (RFC 4632, RFC 4291): which peers an operator named.

use std::net::IpAddr;

/// A range of addresses. IPv4 in its IPv4-mapped form is IPv4, on both sides: `::ffff:10.0.0.0/104`
/// is `10.0.0.0/8`, and `::ffff:10.1.2.3` is in it. An IPv6 range never holds an IPv4 address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cidr {
    /// In canonical form, without bits beyond the prefix.
    base: IpAddr,
    /// At most 32 or 128, by the family of `base`.
    prefix: u8,
}

/// Bits in front of the IPv4 address in its mapped form.
const MAPPED: u8 = 96;

impl Cidr {
    /// An address, or a range `address/prefix`. `None` for anything else: names, zone ids, a
    /// prefix with sign, spaces or leading zeroes, or one that the family does not have.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(number(prefix)?)),
            None => (text, None),
        };
        let written: IpAddr = address.parse().ok()?;
        let widest = if written.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.unwrap_or(widest);
        if prefix > widest {
            return None;
        }
        let base = written.to_canonical();
        if base.is_ipv4() == written.is_ipv4() {
            return Some(Self { base: cut(written, prefix), prefix });
        }
        match prefix.checked_sub(MAPPED) {
            Some(prefix) => Some(Self { base: cut(base, prefix), prefix }),
            // Wider than all of IPv4: native IPv6, which no IPv4 peer is in.
            None => Some(Self { base: cut(written, prefix), prefix }),
        }
    }

    /// Whether an address is in the range.
    pub fn contains(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        ip.is_ipv4() == self.base.is_ipv4() && cut(ip, self.prefix) == self.base
    }
}

impl std::fmt::Display for Cidr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.base, self.prefix)
    }
}

/// Without the bits beyond the prefix.
fn cut(ip: IpAddr, prefix: u8) -> IpAddr {
    let prefix = u32::from(prefix);
    match ip {
        IpAddr::V4(ip) => {
            let mask = u32::MAX.checked_shl(32u32.saturating_sub(prefix)).unwrap_or(0);
            IpAddr::from((u32::from(ip) & mask).to_be_bytes())
        }
        IpAddr::V6(ip) => {
            let mask = u128::MAX.checked_shl(128u32.saturating_sub(prefix)).unwrap_or(0);
            IpAddr::from((u128::from(ip) & mask).to_be_bytes())
        }
    }
}

/// A decimal number as a prefix is written.
fn number(text: &str) -> Option<u8> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit())
        && (text.len() == 1 || !text.starts_with('0'));
    plain.then(|| text.parse().ok()).flatten()
}

/// Any text; a range that is read holds its own base and reads back as itself.
pub fn fuzz(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Some(range) = Cidr::parse(text) else { return };
    assert!(range.contains(range.base));
    assert_eq!(Cidr::parse(&range.to_string()), Some(range));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_in_a_range() {
        for (range, ip, want) in [
            ("10.0.0.1", "10.0.0.1", true),
            ("10.0.0.1", "::ffff:10.0.0.1", true),
            ("10.0.0.1", "10.0.0.2", false),
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.9.9.9/8", "10.0.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.0.0.0/8", "::ffff:10.1.2.3", true),
            ("::ffff:10.0.0.0/104", "10.1.2.3", true),
            ("::ffff:10.0.0.0/104", "::ffff:10.1.2.3", true),
            ("::ffff:10.0.0.0/104", "11.1.2.3", false),
            ("::ffff:0:0/96", "127.0.0.1", true),
            ("::ffff:0:0/96", "::1", false),
            ("::ffff:0:0/96", "2001:db8::1", false),
            ("::ffff:10.0.0.1", "10.0.0.1", true),
            ("::/0", "2001:db8::1", true),
            ("::/0", "10.0.0.1", false),
            ("::/0", "::ffff:10.0.0.1", false),
            ("::ffff:0:0/90", "10.0.0.1", false),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("0.0.0.0/0", "::1", false),
            ("fd00::/8", "fd12::1", true),
            ("fd00::/8", "fe80::1", false),
            ("2001:db8::1", "2001:db8:0::1", true),
        ] {
            let cidr = Cidr::parse(range).unwrap();
            assert_eq!(cidr.contains(ip.parse().unwrap()), want, "{range} {ip}");
            fuzz(range.as_bytes());
        }
    }

    #[test]
    fn what_is_no_range() {
        for text in [
            "",
            "/",
            "localhost",
            "10.0.0",
            "10.0.0.0/",
            "10.0.0.0/33",
            "10.0.0.0/+8",
            "10.0.0.0/08",
            "10.0.0.0/8 ",
            " 10.0.0.0/8",
            "10.0.0.0/8/8",
            "10.0.0.0/-1",
            "::1/129",
            "::1/999",
            "fe80::1%eth0",
            "[::1]",
            "2130706433",
            "0x7f.1",
            "010.0.0.1",
            "*",
        ] {
            assert_eq!(Cidr::parse(text), None, "{text}");
        }
    }
}
