//! Why a gateway did not do what was asked, and what is said about it: a sentence with the next
//! command for people, a document for `--json`.

use serde_json::{Value, json};

use super::client::Target;
use super::out::foreign;
use super::table::Args;
use super::{Failed, next};

/// Why a gateway did not do what was asked.
#[derive(Debug, Clone, PartialEq)]
pub enum Trouble {
    /// Nothing answers at the address; why.
    NoGateway(String),
    /// It did not answer in time; what was waited for.
    Slow(String),
    /// The operator stopped the command; the signal's number.
    Interrupted(i32),
    /// Something answers, but not a gateway, or it hung up; how.
    NotGateway(String),
    /// Whoever answers may not be the gateway that is meant: its certificate is not good.
    Untrusted {
        /// What is wrong with it.
        why: String,
        /// What to type.
        next: String,
    },
    /// The gateway refused the connection; its own words.
    Refused {
        /// Error code such as `INVALID_REQUEST`.
        code: String,
        /// The detail code such as `AUTH_TOKEN_MISMATCH`, maybe empty.
        detail: String,
        /// Its sentence.
        message: String,
    },
    /// The gateway answered a request with an error.
    Rpc {
        /// Error code.
        code: String,
        /// Its sentence.
        message: String,
        /// Trying again may help.
        retryable: bool,
        /// Whatever it added.
        details: Value,
    },
}

impl Trouble {
    /// The sentence for an operator: what happened where, and what to type next.
    pub fn failed(&self, target: &Target) -> Failed {
        let url = target.shown();
        match self {
            Self::NoGateway(why) => {
                Failed::new(format!("no gateway answers on {url} ({why})"), target.start_hint())
            }
            Self::Slow(what) => Failed::new(
                format!("the gateway on {url} did not send {what} in time"),
                "openclaw gateway status; a longer --timeout may help",
            ),
            Self::Interrupted(_) => Failed::new("interrupted", ""),
            Self::NotGateway(how) => Failed::new(
                format!("what answers on {url} does not speak like a gateway: {}", foreign(how)),
                next::STATUS,
            ),
            Self::Untrusted { why, next } => {
                Failed::new(format!("{url} is not trusted: {}", foreign(why)), next.clone())
            }
            Self::Refused { detail, message, .. } => {
                let message = words(detail, message);
                let what = format!("the gateway on {url} refused us: {message}");
                match target.whence.advice(detail) {
                    Some(advice) => Failed::new(format!("{what}\n{}", advice.what), advice.next),
                    None => Failed::new(what, next::STATUS),
                }
            }
            Self::Rpc { code, message, .. } => {
                let fix = if code == "INVALID_REQUEST" { "" } else { next::STATUS };
                Failed::new(format!("{}: {}", foreign(code), foreign(message)), fix)
            }
        }
    }

    /// A few words without the address, for a line of `gateway status`.
    pub fn short(&self) -> String {
        match self {
            Self::NoGateway(why) => format!("no gateway answers ({why})"),
            Self::Slow(what) => format!("{what} did not come in time"),
            Self::Interrupted(_) => "interrupted".to_owned(),
            Self::NotGateway(how) => foreign(how),
            Self::Untrusted { why, .. } => foreign(why),
            Self::Refused { detail, message, .. } => words(detail, message),
            Self::Rpc { code, message, .. } => foreign(&format!("{code}: {message}")),
        }
    }

    /// The document that `--json` prints in place of a result.
    pub fn json(&self, target: &Target) -> Value {
        let failed = self.failed(target);
        let error = match self {
            Self::Rpc { code, message, retryable, details } => {
                let mut error = json!({
                    "type": "gateway_request_error",
                    "code": code,
                    "message": message,
                    "retryable": retryable,
                });
                if let (false, Some(object)) = (details.is_null(), error.as_object_mut()) {
                    object.insert("details".to_owned(), details.clone());
                }
                error
            }
            Self::Refused { code, detail, message } => json!({
                "type": "gateway_connect_error",
                "code": code,
                "detailCode": detail,
                "message": message,
                "next": failed.next,
            }),
            Self::NoGateway(_)
            | Self::Slow(_)
            | Self::Interrupted(_)
            | Self::NotGateway(_)
            | Self::Untrusted { .. } => {
                json!({
                    "type": "gateway_transport_error",
                    "message": failed.what,
                    "next": failed.next,
                })
            }
        };
        json!({"ok": false, "error": error})
    }
}

/// A refusal with the word that runbooks look for: a gateway that was shown nothing at all asks
/// for a device instead.
fn words(detail: &str, message: &str) -> String {
    let word = if detail == "DEVICE_IDENTITY_REQUIRED" { "unauthorized: " } else { "" };
    format!("{word}{}", foreign(message))
}

impl Target {
    /// What to type when nothing answers.
    fn start_hint(&self) -> &str {
        match &self.tunnel {
            Some(tunnel) => tunnel,
            None if self.local => next::RUN,
            None => "check the address and that its gateway runs",
        }
    }

    /// Fails a command: with `--json` the document goes to standard output.
    pub fn fail(&self, args: &Args, trouble: &Trouble) -> Result<u8, Failed> {
        let failed = trouble.failed(self);
        if args.has("json") {
            super::out::json(&trouble.json(self));
            return Ok(failed.code);
        }
        Err(failed)
    }
}
