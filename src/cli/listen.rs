//! Where a gateway listens beside its first address.
//!
//! `loopback` means both loopbacks: a program that finds `localhost` as `::1` is not turned away.
//! A machine without IPv6 has just the one. An address of an interface (`tailnet`, `custom`) has
//! 127.0.0.1 beside it on the same port, for the commands of this machine; there both must open.

use super::Failed;
use crate::driver::Place;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

/// The other address, and whether a start without it is none.
fn beside(first: SocketAddr) -> Option<(SocketAddr, bool)> {
    match first.ip() {
        ip if ip == Ipv4Addr::LOCALHOST => {
            Some((SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), first.port()), false))
        }
        ip if ip.is_unspecified() || ip.is_loopback() => None,
        _ => Some((SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), first.port()), true)),
    }
}

/// Where a running gateway that moves to `first` listens.
pub fn places(first: SocketAddr) -> Vec<Place> {
    let beside = beside(first).map(|(addr, needed)| Place { addr, needed });
    [Place { addr: first, needed: true }].into_iter().chain(beside).collect()
}

/// Opens what belongs beside an open listener.
///
/// # Errors
/// When an address that must be there is taken.
pub fn companion(first: SocketAddr) -> Result<Option<TcpListener>, Failed> {
    let Some((addr, needed)) = beside(first) else { return Ok(None) };
    match crate::reactor::bind(addr) {
        Ok(listener) => Ok(Some(listener)),
        Err(error) if needed => Err(Failed::new(
            format!("cannot listen on {addr}, which belongs beside {first}: {error}"),
            "openclaw gateway --port <other port>, or --bind lan",
        )),
        Err(error) => {
            log::debug!(target: "gateway", "not listening on {addr}: {error}");
            Ok(None)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_first_address_has_its_companion() {
        let of =
            |text: &str| beside(text.parse().unwrap()).map(|(addr, need)| (addr.to_string(), need));
        assert_eq!(of("127.0.0.1:7"), Some(("[::1]:7".to_owned(), false)));
        assert_eq!(of("100.64.0.9:7"), Some(("127.0.0.1:7".to_owned(), true)));
        for alone in ["0.0.0.0:7", "127.0.0.2:7", "[::1]:7"] {
            assert_eq!(of(alone), None, "{alone}");
        }
    }

    #[test]
    fn an_address_that_is_taken_is_an_error_only_where_it_must_be() {
        let Ok(held) = TcpListener::bind("127.0.0.1:0") else { panic!("a port") };
        let port = held.local_addr().unwrap().port();
        let Err(failed) = companion(SocketAddr::from(([100, 64, 0, 9], port))) else {
            panic!("127.0.0.1 is taken");
        };
        assert!(format!("{failed:?}").contains("127.0.0.1"));
        let _six = TcpListener::bind((Ipv6Addr::LOCALHOST, port));
        assert!(companion(SocketAddr::from(([127, 0, 0, 1], port))).unwrap().is_none());
    }
}
