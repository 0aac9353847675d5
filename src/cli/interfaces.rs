//! The addresses of this machine's interfaces, as Linux tells them: IPv4 in
//! `/proc/net/fib_trie`, IPv6 in `/proc/net/if_inet6`. Elsewhere nobody tells without a system
//! call that safe Rust here does not have; mode `trusted-proxy` then trusts no proxy beyond the
//! loopback.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Reads them; `None` when it cannot.
pub fn read() -> Option<Vec<IpAddr>> {
    let mut found = ipv4(&std::fs::read_to_string("/proc/net/fib_trie").ok()?);
    match std::fs::read_to_string("/proc/net/if_inet6") {
        Ok(text) => found.extend(ipv6(&text)),
        // A kernel without IPv6 has no such file.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(_) => return None,
    }
    (!found.is_empty()).then_some(found)
}

/// A line with an address, and below it a line that says it is one of the host's own.
fn ipv4(text: &str) -> Vec<IpAddr> {
    let mut found = Vec::new();
    let mut last: Option<Ipv4Addr> = None;
    for line in text.lines() {
        let line = line.trim();
        match line.strip_prefix("|-- ") {
            Some(address) => last = address.parse().ok(),
            None if line == "/32 host LOCAL" => found.extend(last.map(IpAddr::from)),
            None => {}
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// Each line begins with 32 hexadecimal digits.
fn ipv6(text: &str) -> Vec<IpAddr> {
    let digits = text.lines().filter_map(|line| line.split_whitespace().next());
    let words = digits.filter(|word| word.len() == 32);
    let numbers = words.filter_map(|word| u128::from_str_radix(word, 16).ok());
    numbers.map(|bits| IpAddr::from(Ipv6Addr::from(bits))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRIE: &str = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe \
        UNICAST\n     +-- 192.0.2.0/24 2 0 2\n        |-- 192.0.2.0\n           /24 link \
        UNICAST\n        |-- 192.0.2.2\n           /32 host LOCAL\n        |-- 192.0.2.255\n  \
                 /32 link BROADCAST\nLocal:\n     |-- 192.0.2.2\n        /32 host LOCAL\n";

    #[test]
    fn what_the_kernel_tells() {
        assert_eq!(ipv4(TRIE), ["192.0.2.2".parse::<IpAddr>().unwrap()]);
        let lines = "00000000000000000000000000000001 01 80 10 80       lo\n\
                     fe80000000000000021122fffe334455 02 40 20 80     eth0\nshort 1\n";
        let want = ["::1", "fe80::211:22ff:fe33:4455"].map(|ip| ip.parse::<IpAddr>().unwrap());
        assert_eq!(ipv6(lines), want);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_machine_has_a_loopback() {
        assert!(read().unwrap().contains(&IpAddr::from(Ipv4Addr::LOCALHOST)));
    }
}
