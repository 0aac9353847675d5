//! A request that becomes a WebSocket.

use super::super::Gateway;
use super::super::conn::{Handshake, State};
use crate::api::Reply;
use crate::auth::origin::Refused;
use crate::auth::source::Source;
use crate::driver::{ConnId, Effects};
use crate::limits;
use crate::protocol::frame::write_event;
use crate::wire::http::head::Head;
use crate::wire::ws::{self, Receiver, Role, UpgradeError};
use serde_json::json;

impl Gateway {
    pub(super) fn upgrade(
        &mut self,
        id: ConnId,
        head: &Head,
        browser: Result<bool, Refused>,
        source: Source,
        fx: &mut Effects,
    ) {
        let accept = match ws::check_upgrade(head) {
            Ok(accept) => accept,
            Err(error) => {
                let text = match error {
                    UpgradeError::Version => "unsupported WebSocket version; use 13",
                    UpgradeError::Key => "missing or malformed Sec-WebSocket-Key",
                };
                let reply = Reply::text(400, text).with("Sec-WebSocket-Version", "13");
                return self.http_reply(id, &reply, head, fx);
            }
        };
        if self.leaving.is_some() {
            let reply = Reply::text(503, "the gateway is stopping").with("Retry-After", "5");
            return self.http_reply(id, &reply, head, fx);
        }
        let nonce = self.uuid();
        let challenge = json!({"nonce": nonce, "ts": self.now.wall_ms}).to_string();
        let hsts = self.config.gateway.hsts.clone();
        let extra = hsts.as_deref().map(|value| ("Strict-Transport-Security", value));
        self.send(id, fx, |out| {
            ws::upgrade_response(out, &accept, extra.as_slice());
            let mut frame = Vec::with_capacity(160);
            write_event(&mut frame, "connect.challenge", challenge.as_bytes(), None, None);
            ws::text(out, &frame);
        });
        let due = self.now.time.after_ms(self.config.gateway.handshake_timeout_ms);
        let Some(conn) = self.conns.get_mut(id) else { return };
        let State::Http(http) = &mut conn.state else { return };
        let rest = http.server.take_rest();
        let mut recv = Receiver::new(Role::Server, limits::WS_FRAME_PREAUTH);
        recv.push(&rest);
        conn.state = State::Handshake(Box::new(Handshake { recv, nonce, browser, source }));
        self.wait_until(id, Some(due));
        self.set_reading(id, true, fx);
        self.shake_hands(id, fx);
    }
}
