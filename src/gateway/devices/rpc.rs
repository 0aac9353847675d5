//! `device.pair.*`, `device.token.*`, `device.scopes.*`, `gateway.identity.get`.
//!
//! A change is on the disk before its answer. What withdraws something (remove, rotate, revoke)
//! counts from here on even when the disk refuses, and closes the sockets it concerns in the
//! same turn; what grants something is taken back then.

use super::super::Gateway;
use super::super::rpc::{Handled, Params};
use super::super::socket::Answer;
use super::super::timers::Timer;
use super::show::{outcome_row, paired_row};
use crate::auth::devices::{Refused, known, role};
use crate::driver::{ConnId, Effects};
use crate::limits;
use crate::protocol::error::{Code, ErrorShape};
use serde_json::{Value, json};

fn text<'a>(params: &'a Params, name: &str) -> &'a str {
    params.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// A refusal, as the reference words it for this kind of change.
fn refused(why: Refused, unknown: &str, denied: &str) -> ErrorShape {
    match why {
        Refused::Unknown => ErrorShape::invalid(unknown),
        Refused::NotOwn => ErrorShape::invalid(format!("{denied} denied")),
        Refused::Beyond => ErrorShape::invalid(format!(
            "{denied} denied: more than the device is approved for (openclaw devices list)"
        )),
        Refused::Scope(scope) => ErrorShape::missing_scope(scope),
        Refused::Full(full) => ErrorShape::new(Code::Unavailable, full.to_string()),
    }
}

impl Gateway {
    /// `device.pair.list`.
    pub(in super::super) fn device_pair_list(&mut self, conn: ConnId) -> Answer {
        let by = self.approver(conn);
        Answer::Value(self.pair_list(&by))
    }

    /// `device.pair.approve`.
    pub(in super::super) fn device_pair_approve(
        &mut self,
        conn: ConnId,
        params: &Params,
        fx: &mut Effects,
    ) -> Handled {
        let request_id = text(params, "requestId");
        let by = self.approver(conn);
        let before = self.devices.checkpoint();
        let claim = self
            .devices
            .approve(request_id, &by, self.now.wall_ms)
            .map_err(|why| refused(why, "unknown requestId", "device pairing approval"))?;
        if let Err(error) = self.save_devices() {
            self.devices.restore(before);
            return Err(unwritten("nothing was approved", &error));
        }
        log::info!(target: "devices", "{} {} was approved as {}",
            claim.client_id, claim.device_id, claim.role);
        self.tell_resolved(request_id, &claim.device_id, "approved", fx);
        self.upgrade_settled(request_id, "approved", fx);
        let connected = self.device_connected(&claim.device_id);
        let device = self.devices.paired(&claim.device_id).map(|d| paired_row(d, connected));
        Ok(Answer::Value(json!({"requestId": request_id, "device": device})))
    }

    /// `device.pair.reject`.
    pub(in super::super) fn device_pair_reject(
        &mut self,
        conn: ConnId,
        params: &Params,
        fx: &mut Effects,
    ) -> Handled {
        let request_id = text(params, "requestId");
        let by = self.approver(conn);
        let pending = self
            .devices
            .reject(request_id, &by, self.now.wall_ms)
            .map_err(|why| refused(why, "unknown requestId", "device pairing rejection"))?;
        let device = &pending.claim.device_id;
        self.tell_resolved(request_id, device, "rejected", fx);
        self.upgrade_settled(request_id, "rejected", fx);
        self.save_devices().map_err(|error| unwritten("it is rejected until a restart", &error))?;
        Ok(Answer::Value(json!({"requestId": request_id, "deviceId": device})))
    }

    /// `device.pair.remove`: answers first, for the caller may be the device.
    pub(in super::super) fn device_pair_remove(
        &mut self,
        conn: ConnId,
        request: &str,
        params: &Params,
        fx: &mut Effects,
    ) -> Handled {
        let id = text(params, "deviceId");
        let by = self.approver(conn);
        self.devices
            .may_remove(id, &by)
            .map_err(|why| refused(why, "unknown deviceId", "device pairing removal"))?;
        self.devices.remove(id);
        log::info!(target: "devices", "device {id} was removed");
        let answer = self.withdrawn(json!({"deviceId": id}));
        self.answer_then_close(conn, request, answer, (id, None, "device removed"), fx)
    }

    /// `device.pair.rename`.
    pub(in super::super) fn device_pair_rename(
        &mut self,
        conn: ConnId,
        params: &Params,
    ) -> Handled {
        let id = text(params, "deviceId");
        let label = super::name_of(text(params, "label"))
            .ok_or_else(|| ErrorShape::params("device.pair.rename", "at /label: is blank"))?;
        if !self.approver(conn).manages(id) {
            return Err(ErrorShape::invalid("device pairing rename denied"));
        }
        if !self.devices.rename(id, &label) {
            return Err(ErrorShape::invalid("unknown deviceId"));
        }
        self.save_devices().map_err(|error| unwritten("it is renamed until a restart", &error))?;
        Ok(Answer::Value(json!({"deviceId": id, "label": label})))
    }

    /// `device.token.rotate`: the token itself only for the device that came by it.
    pub(in super::super) fn device_token_rotate(
        &mut self,
        conn: ConnId,
        request: &str,
        params: &Params,
        fx: &mut Effects,
    ) -> Handled {
        let id = text(params, "deviceId");
        let by = self.approver(conn);
        let denied = || ErrorShape::invalid("device token rotation denied");
        let role = role(text(params, "role")).ok_or_else(denied)?;
        let scopes = match params.get("scopes") {
            Some(Value::Array(names)) => {
                let names: Vec<&str> = names.iter().filter_map(Value::as_str).collect();
                let scopes = known(names.iter().copied());
                if names.iter().any(|name| !scopes.contains(name)) {
                    return Err(ErrorShape::params("device.token.rotate", "at /scopes: unknown"));
                }
                Some(scopes)
            }
            _ => None,
        };
        let what = "device token rotation";
        let issued = self
            .devices
            .rotate(id, role, scopes, &by, self.now.wall_ms)
            .map_err(|why| refused(why, "device token rotation denied", what))?;
        log::info!(target: "devices", "the {role} token of device {id} was rotated");
        let mut sorted = issued.scopes.clone();
        sorted.sort_unstable();
        let own = by.token_of.as_deref() == Some(id)
            && self.conns.client(conn).is_some_and(|client| client.role.as_str() == role);
        let mut answer = json!({
            "deviceId": id, "role": role, "scopes": sorted, "rotatedAtMs": issued.issued_at_ms,
            "tokenDelivery": if own { "in-band" } else { "withheld-cross-device" },
        });
        if own {
            answer["token"] = json!(issued.token);
        }
        let answer = self.withdrawn(answer);
        let which = (id, Some(role), "device token rotated");
        self.answer_then_close(conn, request, answer, which, fx)
    }

    /// `device.token.revoke`.
    pub(in super::super) fn device_token_revoke(
        &mut self,
        conn: ConnId,
        request: &str,
        params: &Params,
        fx: &mut Effects,
    ) -> Handled {
        let (id, role) = (text(params, "deviceId"), text(params, "role"));
        let by = self.approver(conn);
        let at = self.devices.revoke(id, role, &by, self.now.wall_ms).map_err(|why| {
            refused(why, "device token revocation denied", "device token revocation")
        })?;
        log::info!(target: "devices", "the {role} token of device {id} was revoked");
        let answer = self.withdrawn(json!({"deviceId": id, "role": role, "revokedAtMs": at}));
        let which = (id, Some(role), "device token revoked");
        self.answer_then_close(conn, request, answer, which, fx)
    }

    /// After something was withdrawn: it is, whatever the disk says, but the caller must know.
    fn withdrawn(&mut self, answer: Value) -> Result<Value, ErrorShape> {
        match self.save_devices() {
            Ok(()) => Ok(answer),
            Err(error) => Err(unwritten("it holds until a restart and is tried again", &error)),
        }
    }

    fn answer_then_close(
        &mut self,
        conn: ConnId,
        request: &str,
        answer: Result<Value, ErrorShape>,
        (id, role, why): (&str, Option<&str>, &str),
        fx: &mut Effects,
    ) -> Handled {
        match answer {
            Ok(value) => self.respond_ok(conn, request, &value, fx),
            Err(error) => self.respond_error(conn, request, &error, fx),
        }
        self.close_device(id, role, why, fx);
        Ok(Answer::Handled)
    }

    /// `device.scopes.requestUpgrade`: the device of this connection asks for more.
    pub(in super::super) fn device_scopes_request(
        &mut self,
        conn: ConnId,
        params: &Params,
        fx: &mut Effects,
    ) -> Handled {
        let client = self.conns.client(conn);
        let device = client.and_then(|client| client.device.clone());
        let device = device.and_then(|id| self.devices.paired(&id));
        let Some(device) = device.filter(|device| device.roles.contains(&"operator")) else {
            return Err(ErrorShape::invalid("scope upgrade needs a paired operator device"));
        };
        let names: Vec<&str> = match params.get("scopes") {
            Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        let scopes = known(names.iter().copied());
        if scopes.is_empty() || names.iter().any(|name| !scopes.contains(name)) {
            return Err(ErrorShape::params("device.scopes.requestUpgrade", "at /scopes: unknown"));
        }
        let mut claim = device.claim.clone();
        claim.role = "operator";
        claim.scopes = scopes;
        let id = self.uuid();
        let (id, new) = self
            .devices
            .request(claim, id, self.now.wall_ms)
            .map_err(|full| ErrorShape::unavailable(full.to_string()))?;
        self.save_devices().map_err(|error| unwritten("ask again", &error))?;
        if new {
            self.tell_requested(&id, fx);
        }
        Ok(Answer::Value(json!({"requestId": id})))
    }

    /// `device.scopes.waitUpgrade`: answered when the request is settled.
    pub(in super::super) fn device_scopes_wait(
        &mut self,
        conn: ConnId,
        request: &str,
        params: &Params,
    ) -> Handled {
        let request_id = text(params, "requestId");
        self.devices.expire(self.now.wall_ms);
        let own = self.conns.client(conn).and_then(|client| client.device.clone());
        let pending = self.devices.request_of(request_id);
        let device = pending.map(|pending| pending.claim.device_id.clone());
        if own.is_none() || device.is_some() && device != own {
            return Err(ErrorShape::invalid("unknown requestId"));
        }
        let (Some(device), Some(pending)) = (device, pending) else {
            let gone = json!({"requestId": request_id, "status": "expired"});
            return Ok(Answer::Value(gone));
        };
        self.upgrades.retain(|wait| self.conns.client(wait.conn).is_some());
        if self.upgrades.len() >= limits::UPGRADE_WAITS {
            return Err(ErrorShape::unavailable("too many wait already (limit UPGRADE_WAITS)"));
        }
        let due = pending.at_ms.saturating_add(limits::PAIRING_PENDING_MS);
        let left = due.saturating_sub(self.now.wall_ms);
        self.timers.arm(self.now.time.after_ms(left.max(1)), Timer::Pairing);
        self.upgrades.push(super::Upgrade {
            conn,
            request: request.to_owned(),
            request_id: request_id.to_owned(),
            device,
        });
        Ok(Answer::Handled)
    }

    /// Tells whoever waits for a request what became of it. The device's new token goes to its
    /// own connection only.
    pub(super) fn upgrade_settled(&mut self, request_id: &str, status: &str, fx: &mut Effects) {
        let (mine, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut self.upgrades)
            .into_iter()
            .partition(|wait| wait.request_id == request_id);
        self.upgrades = rest;
        for wait in mine {
            let mut answer = json!({"requestId": request_id, "status": status});
            if status == "approved" {
                match self.device_token(&wait.device, "operator", None) {
                    Some(issued) => {
                        answer["deviceToken"] = json!(issued.token);
                        answer["scopes"] = json!(issued.scopes);
                        answer["issuedAtMs"] = json!(issued.issued_at_ms);
                    }
                    None => answer["status"] = json!("rejected"),
                }
            }
            self.respond_ok(wait.conn, &wait.request, &answer, fx);
        }
    }

    /// Requests that nobody answered in time.
    pub(in super::super) fn pairing_due(&mut self, fx: &mut Effects) {
        for id in self.devices.expire(self.now.wall_ms) {
            self.upgrade_settled(&id, "expired", fx);
        }
        // What was settled or replaced otherwise has nobody to say so.
        let gone: Vec<String> = self
            .upgrades
            .iter()
            .filter(|wait| self.devices.request_of(&wait.request_id).is_none())
            .map(|wait| wait.request_id.clone())
            .collect();
        for id in gone {
            self.upgrade_settled(&id, "expired", fx);
        }
        // A device that asked again meanwhile has its time anew.
        let left = self.upgrades.iter().filter_map(|wait| {
            let at_ms = self.devices.request_of(&wait.request_id)?.at_ms;
            let due = at_ms.saturating_add(limits::PAIRING_PENDING_MS);
            Some(due.saturating_sub(self.now.wall_ms))
        });
        if let Some(left) = left.min() {
            self.timers.arm(self.now.time.after_ms(left.max(1)), Timer::Pairing);
        }
        let _ = self.save_devices();
    }

    /// `device.pair.setupStatus`.
    pub(in super::super) fn device_setup_status(&self, params: &Params) -> Answer {
        let outcome = self.devices.setup_outcome(text(params, "setupId"));
        Answer::Value(match outcome {
            Some(outcome) => json!({"completion": outcome_row(outcome)}),
            None => json!({}),
        })
    }
}

fn unwritten(what: &str, error: &std::io::Error) -> ErrorShape {
    ErrorShape::unavailable(format!("{what}: {error}; free the disk and call again"))
}
