//! The published gateway protocol: frames, errors, parameter checks, the operations table.
//!
//! Facts come from `protocol.schema.json` of `@openclaw/gateway-protocol` 2026.9.1 and from
//! recordings of the reference; nothing here knows a socket, a clock or the configuration.

pub mod error;
pub mod events;
pub mod frame;
pub mod operations;
pub mod params;

/// What we call ourselves on the wire; the reference's scheme year.month.patch with our own tag.
pub const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "-rs");
/// The newest protocol we speak, and what `expectedProtocol` says.
pub const NEWEST: u32 = 4;
/// The oldest protocol we speak.
pub const OLDEST: u32 = 3;

/// `client.id` values that may connect (schema, `GatewayClientId`).
pub const CLIENT_IDS: [&str; 17] = [
    "webchat-ui",
    "openclaw-control-ui",
    "openclaw-browser-copilot",
    "openclaw-tui",
    "webchat",
    "cli",
    "gateway-client",
    "openclaw-macos",
    "openclaw-linux",
    "openclaw-ios",
    "openclaw-watchos",
    "openclaw-android",
    "node-host",
    "openclaw-worker",
    "test",
    "fingerprint",
    "openclaw-probe",
];
/// `client.mode` values that may connect.
pub const CLIENT_MODES: [&str; 8] =
    ["webchat", "cli", "ui", "backend", "node", "worker", "probe", "test"];

/// Every operator scope there is; the shared secret's ceiling.
pub const OPERATOR_SCOPES: [&str; 8] = [
    "operator.admin",
    "operator.read",
    "operator.write",
    "operator.approvals",
    "operator.questions",
    "operator.pairing",
    "operator.talk",
    "operator.talk.secrets",
];

/// Close codes the gateway sends (RFC 6455 section 7.4.1).
pub mod close {
    /// Normal end; also the answer to bytes that are not a frame at all.
    pub const NORMAL: u16 = 1000;
    /// Protocol mismatch.
    pub const PROTOCOL: u16 = 1002;
    /// Policy: refused connect, slow consumer.
    pub const POLICY: u16 = 1008;
    /// A frame over the limit.
    pub const TOO_BIG: u16 = 1009;
    /// The gateway stops or restarts.
    pub const SERVICE_RESTART: u16 = 1012;
    /// The device was removed, or its node role (the reference's own number).
    pub const DEVICE_REMOVED: u16 = 4001;
    /// Out of memory for now.
    pub const TRY_AGAIN: u16 = 1013;
}

/// Picks the protocol for a client's range: the newest both speak.
pub fn negotiate(min: u32, max: u32) -> Option<u32> {
    let best = max.min(NEWEST);
    (min <= best && best >= OLDEST).then_some(best)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_common_protocol_wins() {
        let table = [
            (4, 4, Some(4)),
            (3, 3, Some(3)),
            (3, 9, Some(4)),
            (1, 3, Some(3)),
            (1, 2, None),
            (5, 9, None),
            (4, 3, None),
        ];
        for (min, max, want) in table {
            assert_eq!(negotiate(min, max), want, "{min}..{max}");
        }
    }
}
