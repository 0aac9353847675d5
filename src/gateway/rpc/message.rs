//! `send` and `message.action`: sending by a channel. No channel is built into this gateway yet,
//! and that is what they say; nothing is kept for one that may come later.

use super::super::Gateway;
use super::{Handled, Params, text};
use crate::protocol::error::ErrorShape;

impl Gateway {
    /// `send {to, message?, channel?, ...}` and `message.action {channel, action, params, ...}`.
    pub(super) fn send_message(&self, params: &Params) -> Handled {
        Err(no_channel(text(params, "channel")))
    }
}

/// Why nothing can be delivered.
fn no_channel(name: Option<&str>) -> ErrorShape {
    let name = name.map(str::trim).filter(|name| !name.is_empty());
    ErrorShape::invalid(match name {
        Some(name) => {
            let name: String = name.chars().take(64).collect();
            format!(
                "unsupported channel: {name} (no channel is built into this gateway yet; \
                 channels.{name} configures it once it is)"
            )
        }
        None => "channel required: name one; no channel is built into this gateway yet, and \
                 channels.<name> configures it once it is"
            .to_owned(),
    })
}
