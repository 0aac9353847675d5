//! A client that was let in: its place in the table of connections, and `hello-ok`.

use super::super::Gateway;
use super::super::conn::{Client, Role, State};
use super::{Asked, known_caps};
use crate::auth::devices::Issued;
use crate::auth::identity::Proof;
use crate::auth::{granted_scopes, known_scopes};
use crate::config::AuthMode;
use crate::driver::{ConnId, Effects};
use crate::limits;
use crate::protocol::events::EVENTS;
use crate::protocol::frame::{Request, write_ok};
use crate::protocol::operations::OPERATIONS;
use crate::wire::ws::{self, Receiver};
use serde_json::{Map, Value, json};

impl Gateway {
    /// Turns the connection into a client and says hello.
    pub(super) fn welcome(
        &mut self,
        id: ConnId,
        request: &Request,
        asked: Asked,
        fx: &mut Effects,
    ) {
        if asked.role == Role::Operator && matches!(asked.mode, "ui" | "webchat") {
            log::info!(target: "gateway/ws", "{} connected", asked.id);
        }
        let scopes: Vec<&'static str> = match asked.role {
            Role::Node => Vec::new(),
            Role::Operator => {
                // A page of the control UI is a person; any other page cannot speak for one.
                let browser = asked.browser && asked.id != "openclaw-control-ui";
                let with_device = request.params.contains_key("device");
                let vouched = matches!(asked.identity.proof, Proof::Proxy { .. });
                let granted = if vouched && !with_device {
                    // It cannot declare scopes for itself; its user's own are added.
                    Vec::new()
                } else if with_device && !browser {
                    known_scopes(&asked.scopes)
                } else {
                    granted_scopes(&asked.scopes, asked.id, asked.mode, browser)
                };
                asked.identity.grant(&granted)
            }
        };
        let conn_id = self.uuid();
        let shown = asked.role == Role::Node || matches!(asked.mode, "ui" | "webchat");
        let row = shown.then(|| {
            Box::new(self.presence.client_row(&request.params, &asked.role, &scopes, self.now))
        });
        let Some(conn) = self.conns.get_mut(id) else { return };
        let State::Handshake(shake) = &mut conn.state else { return };
        let spent = Receiver::new(ws::Role::Server, 0);
        let mut recv = std::mem::replace(&mut shake.recv, spent);
        recv.set_max(limits::WS_MESSAGE);
        conn.state = State::Client(Box::new(Client {
            recv,
            protocol: asked.protocol,
            role: asked.role,
            scopes: scopes.clone(),
            proof: asked.identity.proof.clone(),
            device: device_id(&request.params),
            id: asked.id,
            mode: asked.mode,
            caps: known_caps(&request.params),
            presence: row,
            seq: 0,
            all_sessions: false,
            sessions: Vec::new(),
        }));
        conn.due = None;
        self.conns.is_client_now(id);
        self.is_known_now(id);
        let hello = self.hello(&conn_id, &asked, &scopes);
        self.send(id, fx, |out| {
            let mut frame = Vec::with_capacity(hello.len() + 128);
            write_ok(&mut frame, &request.id, hello.as_bytes());
            ws::text(out, &frame);
        });
        if asked.role == Role::Node {
            self.node_arrived(id, &request.params, fx);
        }
        if shown {
            self.presence_changed(fx);
        }
        self.serve_socket(id, fx);
    }

    fn hello(&mut self, conn_id: &str, asked: &Asked, scopes: &[&str]) -> String {
        let newest = asked.protocol >= 4;
        let methods: Vec<&str> = OPERATIONS
            .iter()
            .filter(|row| row.exists_in(asked.protocol))
            .map(|row| row.name)
            .collect();
        let mut server = json!({"version": crate::protocol::VERSION, "connId": conn_id});
        let mut auth = json!({"role": asked.role.as_str(), "scopes": scopes});
        if let Some(own) = &asked.granted.own {
            auth["deviceToken"] = json!(own.token);
            if newest {
                auth["issuedAtMs"] = json!(own.issued_at_ms);
                if asked.role == Role::Operator {
                    auth["recoveryMigrationAllowed"] = json!(true);
                }
            }
        }
        if !asked.granted.further.is_empty() {
            let token = |issued: &Issued| {
                json!({
                    "deviceToken": issued.token, "role": issued.role,
                    "scopes": issued.scopes, "issuedAtMs": issued.issued_at_ms,
                })
            };
            let further: Vec<Value> = asked.granted.further.iter().map(token).collect();
            auth["deviceTokens"] = json!(further);
        }
        if newest && asked.role == Role::Operator {
            let user = match &asked.identity.proof {
                Proof::Proxy { user, .. } => Some(user.as_str()),
                _ => None,
            };
            if let Some(scope) = self.recovery_scope(user) {
                auth["recoveryScope"] = json!(scope);
            }
        }
        let mut snapshot = json!({
            "presence": self.presence_list(),
            "health": self.health_snapshot(),
            "stateVersion": {"presence": self.presence.version, "health": self.health_version},
            "uptimeMs": self.uptime_ms(),
            "sessionDefaults": self.session_defaults(asked.protocol),
        });
        if scopes.contains(&"operator.admin") {
            // Where things lie is for those who may change them, as in the reference.
            snapshot["configPath"] = json!(self.config.source.path);
            snapshot["stateDir"] = json!(self.state_dir);
            snapshot["authMode"] = json!(self.credentials.mode.as_str());
        }
        let events: Vec<&str> = EVENTS.iter().map(|event| event.name).collect();
        let mut features = json!({"methods": methods, "events": events});
        if newest {
            server["buildId"] = json!(crate::protocol::VERSION);
            if self.config.gateway.control_ui.root.is_some() {
                // A page of another build need not ask to be loaded anew: it would be the same.
                server["controlUiBuildSource"] = json!("configured");
            }
            server["bootId"] = json!(self.boot_id);
            auth["method"] = json!(match (&asked.identity.proof, self.credentials.mode) {
                (Proof::Secret, AuthMode::TrustedProxy) => "password",
                (_, mode) => mode.as_str(),
            });
            // `models.list` has the catalog: command lines of that generation ask for this word.
            features["capabilities"] = json!(["published-model-catalog"]);
            let phase = if self.leaving.is_some() { "draining" } else { "accepting" };
            snapshot["suspension"] = json!({"phase": phase});
            snapshot["appliedConfigHash"] = json!(self.config.source.hash);
        }
        let mut policy = json!({
            "maxPayload": limits::WS_MESSAGE,
            "maxBufferedBytes": limits::WS_BUFFERED,
            "tickIntervalMs": limits::TICK_MS,
        });
        if newest {
            policy["attachments"] =
                json!({"maxBytes": limits::ATTACHMENTS, "maxImageBytes": limits::IMAGE});
        }
        json!({
            "type": "hello-ok",
            "protocol": asked.protocol,
            "server": server,
            "features": features,
            "snapshot": snapshot,
            "auth": auth,
            "policy": policy,
        })
        .to_string()
    }
}

/// The device that proved itself, by its id.
fn device_id(params: &Map<String, Value>) -> Option<String> {
    params.get("device")?.get("id")?.as_str().map(str::to_owned)
}
