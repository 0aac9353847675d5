//! One look at a gateway: connect, then as many questions as its scopes allow. What `gateway
//! status`, `gateway probe`, `status` and the diagnostics export are made of.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::client::{Identity, Session, Target};
use super::out;
use super::trouble::Trouble;

/// What a gateway showed.
#[derive(Debug)]
pub struct Seen {
    /// The payload of `hello-ok`.
    pub hello: Value,
    /// From the first byte to `hello-ok`, in milliseconds.
    pub latency_ms: u64,
    answers: BTreeMap<&'static str, Result<Value, Trouble>>,
}

/// Connects and asks these methods in order. A method that is refused does not stop the others;
/// a connection that is lost does.
///
/// # Errors
/// See [`Trouble`]; only when there was no `hello-ok`.
pub fn look(
    target: &Target,
    who: Identity,
    methods: &[(&'static str, Option<Value>)],
    timeout: Duration,
) -> Result<Seen, Trouble> {
    let began = Instant::now();
    let mut session = Session::open(target, who, &["operator.read"], timeout)?;
    let latency_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let mut answers = BTreeMap::new();
    let mut lost = None;
    for (method, params) in methods {
        let answer = match &lost {
            Some(trouble) => Err(Trouble::clone(trouble)),
            None => session.request(method, params.clone()),
        };
        if let Err(trouble) = &answer
            && !matches!(trouble, Trouble::Rpc { .. })
        {
            lost = Some(trouble.clone());
        }
        answers.insert(*method, answer);
    }
    let hello = std::mem::take(&mut session.hello);
    if lost.is_none() {
        session.close();
    }
    Ok(Seen { hello, latency_ms, answers })
}

#[cfg(test)]
impl Seen {
    /// One with this `hello-ok`.
    pub fn of(hello: Value) -> Self {
        Self { hello, latency_ms: 1, answers: BTreeMap::new() }
    }

    /// With this answer to a method.
    pub fn put(&mut self, method: &'static str, answer: Value) {
        self.answers.insert(method, Ok(answer));
    }
}

impl Seen {
    /// What a method answered; null when it was refused or not asked.
    pub fn answer(&self, method: &str) -> &Value {
        match self.answers.get(method) {
            Some(Ok(value)) => value,
            _ => &Value::Null,
        }
    }

    /// The first method that was refused or lost, if any was.
    pub fn trouble(&self) -> Option<&Trouble> {
        self.answers.values().find_map(|answer| answer.as_ref().err())
    }

    /// The gateway's version, escaped.
    pub fn version(&self) -> Option<String> {
        let said = self.hello.pointer("/server/version").and_then(Value::as_str);
        let said = said.or_else(|| self.answer("status").get("runtimeVersion")?.as_str());
        said.map(out::foreign)
    }

    /// Protocol in force, 0 when it is not told.
    pub fn protocol(&self) -> u64 {
        self.hello.get("protocol").and_then(Value::as_u64).unwrap_or_default()
    }

    /// See [`capability`].
    pub fn capability(&self) -> &'static str {
        capability(&self.hello)
    }

    /// `{role, scopes, capability}` of the documents.
    pub fn auth(&self) -> Value {
        json!({
            "role": self.hello.pointer("/auth/role"),
            "scopes": self.hello.pointer("/auth/scopes"),
            "capability": self.capability(),
        })
    }

    /// `{version, buildId, bootId, connId}` as far as they were told.
    pub fn server(&self) -> Value {
        let mut server = self.hello.get("server").cloned().unwrap_or_else(|| json!({}));
        if let Some(fields) = server.as_object_mut() {
            fields.retain(|name, _| ["version", "buildId", "bootId", "connId"].contains(&&**name));
        }
        server
    }
}

/// What the granted scopes allow, in the words of the reference's documents.
pub fn capability(hello: &Value) -> &'static str {
    let scopes = hello.pointer("/auth/scopes").and_then(Value::as_array);
    let has = |scope: &str| scopes.is_some_and(|all| all.iter().any(|own| own == scope));
    if has("operator.admin") {
        "admin_capable"
    } else if has("operator.write") {
        "write_capable"
    } else if has("operator.read") {
        "read_only"
    } else {
        "connected_no_operator_scope"
    }
}

/// The same of a gateway that let nobody in.
pub fn capability_refused(trouble: &Trouble) -> &'static str {
    match trouble {
        Trouble::Refused { detail, .. } if detail.contains("PAIRING") => "pairing_pending",
        _ => "unknown",
    }
}

/// A capability for people: `read-only`.
pub fn spoken(capability: &str) -> String {
    match capability {
        "connected_no_operator_scope" => "connect-only".to_owned(),
        other => other.replace('_', "-"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_scope_names_the_capability() {
        let of = |scopes: &[&str]| capability(&json!({"auth": {"scopes": scopes}}));
        assert_eq!(of(&[]), "connected_no_operator_scope");
        assert_eq!(of(&["operator.read"]), "read_only");
        assert_eq!(of(&["operator.read", "operator.write"]), "write_capable");
        assert_eq!(of(&["operator.admin", "operator.read"]), "admin_capable");
        assert_eq!(capability(&Value::Null), "connected_no_operator_scope");
        assert_eq!(spoken(of(&[])), "connect-only");
        assert_eq!(spoken(of(&["operator.read"])), "read-only");
    }

    #[test]
    fn what_is_told_of_the_server_is_chosen() {
        let hello = json!({"server": {"version": "1\u{1b}", "connId": "c", "host": "secret"}});
        let seen = Seen { hello, latency_ms: 1, answers: BTreeMap::new() };
        assert_eq!(seen.server().get("host"), None);
        assert_eq!(seen.server()["connId"], "c");
        assert!(!seen.version().unwrap_or_default().contains('\u{1b}'));
        assert!(seen.trouble().is_none() && seen.answer("status").is_null());
    }
}
