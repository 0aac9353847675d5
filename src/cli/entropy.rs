//! Random bytes from the system, and what is made of them here.

use crate::driver::Entropy;
use crate::wire::hash;

/// The system's source: ring's where it is built in, `/dev/urandom` otherwise.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    /// # Panics
    /// When the system gives no random bytes: nothing that needs a secret may go on then.
    fn fill(&mut self, out: &mut [u8]) {
        #[cfg(feature = "tls")]
        {
            use ring::rand::SecureRandom;
            let filled = ring::rand::SystemRandom::new().fill(out);
            assert!(filled.is_ok(), "the system gives no random bytes");
        }
        #[cfg(not(feature = "tls"))]
        {
            use std::io::Read;
            let filled =
                std::fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(out));
            assert!(filled.is_ok(), "no random bytes from /dev/urandom: {filled:?}");
        }
    }
}

/// `N` random bytes.
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut out = [0; N];
    SystemEntropy.fill(&mut out);
    out
}

/// A new shared secret: 32 random bytes in base64url.
pub fn token() -> String {
    hash::base64_url_no_pad(&bytes::<32>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_long_and_never_the_same() {
        let (a, b) = (token(), token());
        assert_eq!(a.len(), 43);
        assert_ne!(a, b);
        assert_ne!(bytes::<16>(), [0; 16]);
    }
}
