//! Where the secret of a command came from, and which side is stale when a gateway refuses it.
//!
//! A refused client is nearly always one of two copies of a secret that was changed: this
//! module knows which copies there are (flag, file, variable, the file that a gateway without
//! configuration keeps) and says which one was shown, never its value. The rule itself is in
//! [`crate::config::credentials`].

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::config::credentials::{Credential, Credentials, Origin};

/// A place that may hold a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// `--token` or `--password`.
    Flag,
    /// The variable.
    Variable,
    /// `gateway.auth.*`.
    File,
    /// `gateway.remote.*`.
    Remote,
    /// What a gateway without a secret in its configuration made up for itself.
    Kept(PathBuf),
}

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `auth.token`.
    Token,
    /// `auth.password`.
    Password,
}

impl Kind {
    /// As in keys and flags.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Password => "password",
        }
    }

    const fn variable(self) -> &'static str {
        match self {
            Self::Token => "OPENCLAW_GATEWAY_TOKEN",
            Self::Password => "OPENCLAW_GATEWAY_PASSWORD",
        }
    }
}

/// A secret that is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// Which one.
    pub kind: Kind,
    /// Where it was found.
    pub from: Place,
    /// Who holds another one and is passed over.
    pub other: Option<Place>,
}

/// What is known of the secrets of a command.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Whence {
    /// What is shown; empty when nothing is.
    pub shown: Vec<Shown>,
    /// Where a secret would have been looked for, for the one who has none.
    pub looked: Vec<String>,
    /// References that stand for nothing: key and why.
    pub unresolved: Vec<(&'static str, String)>,
    /// The configuration file, when it may be asked.
    pub file: PathBuf,
    /// It is the gateway of this profile on this machine.
    pub local: bool,
}

/// A refusal in words.
#[derive(Debug, PartialEq, Eq)]
pub struct Advice {
    /// Which secret was shown, from where, and which side is stale.
    pub what: String,
    /// What to type.
    pub next: String,
}

impl Whence {
    /// Of a gateway that was named by `--url` or the variable: only what stands beside it.
    pub fn named(by_flag: bool, token: Option<Place>, password: Option<Place>) -> Self {
        let looked = if by_flag {
            vec!["--token and --password (--url uses nothing else)".to_owned()]
        } else {
            vec![
                "--token, --password, OPENCLAW_GATEWAY_TOKEN, OPENCLAW_GATEWAY_PASSWORD \
                 (OPENCLAW_GATEWAY_URL uses nothing else)"
                    .to_owned(),
            ]
        };
        let shown = |kind, from: Option<Place>| from.map(|from| Shown { kind, from, other: None });
        let both = [shown(Kind::Token, token), shown(Kind::Password, password)];
        Self { shown: both.into_iter().flatten().collect(), looked, ..Self::default() }
    }

    /// Of the gateway that the configuration means.
    pub fn configured(found: &Credentials, file: &Path, remote: bool) -> Self {
        let shown = |kind, one: &Option<Credential>| {
            let one = one.as_ref()?;
            let (from, other) = (place(one.origin), one.shadows.map(place));
            Some(Shown { kind, from, other })
        };
        let both = [shown(Kind::Token, &found.token), shown(Kind::Password, &found.password)];
        let keys = if remote { "gateway.remote" } else { "gateway.auth" };
        Self {
            shown: both.into_iter().flatten().collect(),
            looked: vec![
                "--token and --password".to_owned(),
                format!("{keys}.token and .password in {}", file.display()),
                "OPENCLAW_GATEWAY_TOKEN and OPENCLAW_GATEWAY_PASSWORD".to_owned(),
            ],
            unresolved: found.unresolved.clone(),
            file: file.to_path_buf(),
            local: !remote,
        }
    }

    /// The kept secret is what is shown as this kind.
    pub fn kept(&mut self, kind: Kind, path: &Path) {
        let other = self.shown.iter().find(|one| one.kind == kind).map(|one| one.from.clone());
        self.shown.retain(|one| one.kind != kind);
        self.shown.push(Shown { kind, from: Place::Kept(path.to_path_buf()), other });
    }

    /// The place as it is printed.
    fn text(&self, kind: Kind, at: &Place) -> String {
        let word = kind.as_str();
        match at {
            Place::Flag => format!("--{word}"),
            Place::Variable => kind.variable().to_owned(),
            Place::File => format!("gateway.auth.{word} in {}", self.file.display()),
            Place::Remote => format!("gateway.remote.{word} in {}", self.file.display()),
            Place::Kept(path) => path.display().to_string(),
        }
    }

    /// One line for each secret: which, from where, what was passed over. Never a value.
    pub fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.shown.iter().map(|one| self.line(one)).collect();
        for (key, why) in &self.unresolved {
            lines.push(format!("nothing from {key}: {why}"));
        }
        if lines.is_empty() {
            lines.push("none".to_owned());
        }
        lines
    }

    fn line(&self, one: &Shown) -> String {
        let from = self.text(one.kind, &one.from);
        let mut line = format!("{} from {from}", one.kind.as_str());
        if let Some(other) = &one.other {
            line.push_str(&format!("; {} holds another one", self.text(one.kind, other)));
        }
        line
    }

    /// The same for `--json`.
    pub fn json(&self) -> Value {
        let of = |one: &Shown| {
            json!({
                "kind": one.kind.as_str(),
                "source": self.text(one.kind, &one.from),
                "shadows": one.other.as_ref().map(|other| self.text(one.kind, other)),
            })
        };
        self.shown.iter().map(of).collect()
    }

    /// What to say of a refusal with this detail code; `None` when the secret is not the matter.
    pub fn advice(&self, detail: &str) -> Option<Advice> {
        let kind = match detail {
            "AUTH_TOKEN_MISMATCH" | "AUTH_TOKEN_MISSING" => Kind::Token,
            "AUTH_PASSWORD_MISMATCH" | "AUTH_PASSWORD_MISSING" => Kind::Password,
            "DEVICE_IDENTITY_REQUIRED" if self.shown.is_empty() => Kind::Token,
            _ => return None,
        };
        let shown = self.shown.iter().find(|one| one.kind == kind).or(self.shown.first());
        match shown {
            Some(shown) => Some(self.stale(kind, shown)),
            None => Some(self.missing(kind)),
        }
    }

    fn missing(&self, kind: Kind) -> Advice {
        let word = kind.as_str();
        let mut what = format!("No secret was shown. Looked at: {}", self.looked.join("; "));
        for (key, why) in &self.unresolved {
            what.push_str(&format!("\nNothing from {key}: {why}"));
        }
        let next = match (self.unresolved.is_empty(), self.local) {
            (false, _) => "openclaw secrets audit".to_owned(),
            (true, true) => format!(
                "give the secret that the gateway was started with: --{word} or {}",
                kind.variable()
            ),
            (true, false) if !self.file.as_os_str().is_empty() => {
                format!("openclaw config set gateway.remote.{word} <the gateway's {word}>")
            }
            (true, false) => format!("the same command with --{word} <the gateway's {word}>"),
        };
        Advice { what, next }
    }

    fn stale(&self, kind: Kind, shown: &Shown) -> Advice {
        let word = kind.as_str();
        let mut what = format!("Tried: {}", self.line(shown));
        if shown.kind != kind {
            what.push_str(&format!(". The gateway wants its {word}"));
        }
        let (stale, next) = match (&shown.from, self.local) {
            (Place::Flag, true) => (
                format!("--{word} of this command"),
                format!(
                    "leave --{word} out: {}",
                    match &shown.other {
                        Some(other) => format!("{} is taken then", self.text(kind, other)),
                        None => "this machine's own secret is found by itself".to_owned(),
                    }
                ),
            ),
            (Place::Flag, false) => (
                format!("--{word} of this command; its gateway has another one"),
                format!("ask that gateway's operator for its {word}"),
            ),
            (Place::File, true) => (
                format!(
                    "the running gateway: it was started with another {word} (--{word}), has not \
                     taken that file over, or belongs to another profile"
                ),
                "openclaw gateway restart; openclaw gateway status".to_owned(),
            ),
            (Place::Variable, true) => (
                format!(
                    "{} of this shell, or of the shell that started the gateway: they differ",
                    kind.variable()
                ),
                format!("unset {}, or start the gateway with the same one", kind.variable()),
            ),
            (Place::Kept(_), _) => (
                format!("the running gateway: it was started with another {word}"),
                format!("give that one: --{word} or {}", kind.variable()),
            ),
            (Place::Variable, false) => (
                format!("{} of this shell; the gateway there has another one", kind.variable()),
                format!("export {}=<the gateway's {word}>", kind.variable()),
            ),
            (Place::Remote, _) | (Place::File, false) => (
                format!(
                    "{}; the gateway there has another one",
                    self.text(shown.kind, &shown.from)
                ),
                format!("openclaw config set gateway.remote.{word} <the gateway's {word}>"),
            ),
        };
        what.push_str(&format!("\nStale: {stale}"));
        Advice { what, next }
    }
}

fn place(origin: Origin) -> Place {
    match origin {
        Origin::Flag => Place::Flag,
        Origin::File => Place::File,
        Origin::Remote => Place::Remote,
        Origin::Environment => Place::Variable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whence(from: Place, other: Option<Place>, local: bool) -> Whence {
        let shown = vec![Shown { kind: Kind::Token, from, other }];
        Whence { shown, local, file: PathBuf::from("/s/openclaw.json"), ..Whence::default() }
    }

    #[test]
    fn every_place_names_the_stale_side_and_a_next_step() {
        let kept = || Place::Kept(PathBuf::from("/s/gateway-token"));
        let table = [
            (Place::Flag, true, "Stale: --token of this command", "leave --token out"),
            (Place::Flag, false, "its gateway has another", "ask that gateway's operator"),
            (Place::File, true, "Stale: the running gateway", "openclaw gateway restart"),
            (Place::Variable, true, "Stale: OPENCLAW_GATEWAY_TOKEN of", "unset OPENCLAW_"),
            (Place::Variable, false, "OPENCLAW_GATEWAY_TOKEN of this shell;", "export OPENCLAW"),
            (kept(), true, "started with another token", "--token or OPENCLAW"),
            (Place::Remote, false, "gateway.remote.token in /s/openclaw.json", "config set"),
        ];
        for (from, local, what, next) in table {
            let advice = whence(from.clone(), None, local).advice("AUTH_TOKEN_MISMATCH").unwrap();
            assert!(advice.what.starts_with("Tried: token from "), "{advice:?}");
            assert!(advice.what.contains(what), "{from:?}: {advice:?}");
            assert!(advice.next.contains(next), "{from:?}: {advice:?}");
        }
    }

    #[test]
    fn what_was_passed_over_is_told_and_other_refusals_are_not_ours() {
        let both = whence(Place::File, Some(Place::Variable), true);
        let advice = both.advice("AUTH_TOKEN_MISMATCH").unwrap();
        assert!(advice.what.contains("OPENCLAW_GATEWAY_TOKEN holds another one"), "{advice:?}");
        assert_eq!(both.advice("PAIRING_REQUIRED"), None);
        assert_eq!(both.json()[0]["shadows"], "OPENCLAW_GATEWAY_TOKEN");
        let wrong = whence(Place::File, None, true).advice("AUTH_PASSWORD_MISSING").unwrap();
        assert!(wrong.what.contains("The gateway wants its password"), "{wrong:?}");
    }

    #[test]
    fn without_a_secret_it_says_where_it_looked() {
        let advice = Whence::named(true, None, None).advice("AUTH_TOKEN_MISSING").unwrap();
        assert!(advice.what.contains("--url uses nothing else"), "{advice:?}");
        assert!(advice.next.contains("--token <the gateway's token>"), "{advice:?}");
        let mut none = Whence { local: true, ..Whence::default() };
        none.unresolved.push(("gateway.auth.token", "env X is not set".to_owned()));
        let advice = none.advice("AUTH_TOKEN_MISSING").unwrap();
        assert!(advice.what.contains("Nothing from gateway.auth.token: env X"), "{advice:?}");
        assert_eq!(advice.next, "openclaw secrets audit");
        assert_eq!(none.lines(), ["nothing from gateway.auth.token: env X is not set"]);
        assert_eq!(Whence::default().lines(), ["none"]);
    }
}
