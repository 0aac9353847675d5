//! What is shown of devices: rows of lists, events, and the details of a refusal.

use super::super::Gateway;
use super::super::broadcast::To;
use crate::auth::devices::{Approver, Claim, Paired, Pending, Reason, SetupOutcome};
use crate::driver::Effects;
use serde_json::{Map, Value, json};

/// Drops members without a value, as the schemas want them absent.
fn present(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let kept: Map<String, Value> =
                members.into_iter().filter(|(_, value)| !value.is_null()).collect();
            Value::Object(kept)
        }
        other => other,
    }
}

fn words(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

fn claim_row(claim: &Claim) -> Value {
    json!({
        "deviceId": claim.device_id, "publicKey": claim.public_key,
        "displayName": claim.display_name, "platform": words(&claim.platform),
        "deviceFamily": words(&claim.device_family), "clientId": claim.client_id,
        "clientMode": claim.client_mode, "role": claim.role, "scopes": claim.scopes,
        "remoteIp": claim.remote_ip,
    })
}

/// A row of `device.pair.list`; never a token or its digest.
pub(super) fn paired_row(device: &Paired, connected: bool) -> Value {
    let mut row = claim_row(&device.claim);
    let tokens: Vec<Value> = device
        .tokens
        .iter()
        .map(|(role, token)| {
            let mut scopes = token.scopes.clone();
            scopes.sort_unstable();
            present(json!({
                "role": role, "scopes": scopes, "createdAtMs": token.created_at_ms,
                "rotatedAtMs": token.rotated_at_ms, "revokedAtMs": token.revoked_at_ms,
                "lastUsedAtMs": token.last_used_at_ms,
            }))
        })
        .collect();
    row["roles"] = json!(device.roles);
    row["operatorLabel"] = json!(device.operator_label);
    row["approvedVia"] = json!(device.approved_via.as_str());
    row["createdAtMs"] = json!(device.created_at_ms);
    row["approvedAtMs"] = json!(device.approved_at_ms);
    row["lastSeenAtMs"] = json!(device.last_seen_at_ms);
    row["lastSeenReason"] = json!(device.last_seen_reason);
    row["connected"] = json!(connected);
    row["tokens"] = json!(tokens);
    present(row)
}

/// A request, as the list and `device.pair.requested` have it.
pub(super) fn pending_row(pending: &Pending) -> Value {
    let mut row = claim_row(&pending.claim);
    row["requestId"] = json!(pending.request_id);
    row["roles"] = json!([pending.claim.role]);
    row["silent"] = json!(false);
    row["isRepair"] = json!(pending.repair);
    row["ts"] = json!(pending.at_ms);
    present(row)
}

/// The reference's sentence for a reason.
pub(super) fn pairing_message(reason: Reason) -> String {
    let what = match reason {
        Reason::NotPaired => "device is not approved yet",
        Reason::RoleUpgrade => "device is asking for a higher role than currently approved",
        Reason::ScopeUpgrade => "device is asking for more scopes than currently approved",
        Reason::MetadataUpgrade => "device identity changed and must be re-approved",
    };
    format!("pairing required: {what}")
}

/// `details` of `PAIRING_REQUIRED`.
pub(super) fn pairing_details(
    claim: &Claim,
    reason: Reason,
    request_id: &str,
    device: Option<&Paired>,
) -> Value {
    present(json!({
        "code": "PAIRING_REQUIRED", "reason": reason.as_str(), "requestId": request_id,
        "remediationHint": format!(
            "On the gateway's host: openclaw devices approve {request_id}; then connect again."
        ),
        "deviceId": claim.device_id, "requestedRole": claim.role,
        "requestedScopes": claim.scopes,
        "approvedRoles": device.map(|device| device.roles.clone()),
        "approvedScopes": device.map(|device| device.claim.scopes.clone()),
        "recommendedNextStep": "wait_then_retry", "retryable": false, "pauseReconnect": true,
    }))
}

/// Result of `device.pair.setupStatus` and payload of `device.pair.setup.completed`.
pub(super) fn outcome_row(outcome: &SetupOutcome) -> Value {
    present(json!({
        "setupId": outcome.setup_id, "deviceId": outcome.device_id,
        "deviceName": outcome.device_name, "access": outcome.access.as_str(),
        "ts": outcome.at_ms,
    }))
}

impl Gateway {
    /// Result of `device.pair.list`: what the caller may manage.
    pub(super) fn pair_list(&mut self, by: &Approver) -> Value {
        self.devices.expire(self.now.wall_ms);
        let pending: Vec<Value> = self
            .devices
            .waiting()
            .iter()
            .filter(|pending| by.manages(&pending.claim.device_id))
            .map(pending_row)
            .collect();
        let mut shown: Vec<&Paired> =
            self.devices.all().filter(|device| by.manages(&device.claim.device_id)).collect();
        shown.sort_by_key(|device| std::cmp::Reverse(device.approved_at_ms));
        let paired: Vec<Value> = shown
            .into_iter()
            .map(|device| paired_row(device, self.device_connected(&device.claim.device_id)))
            .collect();
        json!({"pending": pending, "paired": paired})
    }

    pub(super) fn tell_requested(&mut self, request_id: &str, fx: &mut Effects) {
        let Some(pending) = self.devices.request_of(request_id) else { return };
        let row = pending_row(pending);
        let device = pending.claim.device_id.clone();
        self.broadcast("device.pair.requested", To::Device(&device), fx, &|_| Some(row.clone()));
    }

    pub(super) fn tell_resolved(
        &mut self,
        request_id: &str,
        device: &str,
        decision: &str,
        fx: &mut Effects,
    ) {
        let payload = json!({
            "requestId": request_id, "deviceId": device, "decision": decision,
            "ts": self.now.wall_ms,
        });
        self.broadcast("device.pair.resolved", To::Device(device), fx, &|_| Some(payload.clone()));
    }

    pub(super) fn tell_setup_completed(&mut self, outcome: &SetupOutcome, fx: &mut Effects) {
        let payload = outcome_row(outcome);
        let to = To::Device(&outcome.device_id);
        self.broadcast("device.pair.setup.completed", to, fx, &|_| Some(payload.clone()));
    }
}
