//! Which variables a definition carries, and which it never may.
//!
//! A definition can be read by other users of the machine (`systemctl show`, a plist of mode
//! 0644), so a variable that may hold a secret stays out of it, whatever it holds. Proxies stay
//! out too: their addresses may carry a password.

use std::collections::BTreeMap;

/// Carried when the shell of the installation has them: where things lie, not what is secret.
const CARRIED: [&str; 8] = [
    "OPENCLAW_HOME",
    "OPENCLAW_SKIP_CHANNELS",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "TMPDIR",
    "TZ",
    "XDG_CONFIG_HOME",
    "XDG_STATE_HOME",
];

/// Parts of a name that say its value is a secret.
const SECRET_PARTS: [&str; 12] = [
    "TOKEN",
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "SECRET",
    "API_KEY",
    "APIKEY",
    "PRIVATE_KEY",
    "ACCESS_KEY",
    "CREDENTIAL",
    "COOKIE",
    "AUTHORIZATION",
];

/// Whether a variable of this name may hold a secret: no definition has it.
pub fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    SECRET_PARTS.iter().any(|part| name.contains(part))
        || name.ends_with("_KEY")
        || name.ends_with("_AUTH")
        || name.ends_with("_PROXY")
        || name.ends_with("_DSN")
        || name.ends_with("_DATABASE_URL")
}

/// Whether a value looks like a secret whatever its variable is called: credentials inside an
/// address, or the beginning of a well-known kind of key.
pub fn looks_secret(value: &str) -> bool {
    let inside = value.split_once("://").and_then(|(_, rest)| {
        let host = rest.split(['/', '?', '#']).next()?;
        host.rsplit_once('@').map(|(user, _)| user.contains(':'))
    });
    let known = ["sk-", "ghp_", "github_pat_", "xoxb-", "xoxp-", "xapp-", "AKIA", "glpat-"];
    inside == Some(true) || known.iter().any(|head| value.starts_with(head))
}

/// What an installation takes along from the shell it is typed in.
pub fn carried(env: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let fit = |name: &'static str| {
        let value = env.get(name)?;
        let good =
            !value.is_empty() && !looks_secret(value) && !value.chars().any(char::is_control);
        good.then(|| (name.to_owned(), value.clone()))
    };
    CARRIED.iter().filter_map(|name| fit(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_hold_secrets_are_known() {
        for name in [
            "OPENCLAW_GATEWAY_TOKEN",
            "OPENCLAW_GATEWAY_PASSWORD",
            "OPENAI_API_KEY",
            "anthropic_api_key",
            "AWS_SECRET_ACCESS_KEY",
            "GH_TOKEN",
            "SOME_KEY",
            "HTTPS_PROXY",
            "http_proxy",
            "DATABASE_URL_SECRET",
            "SENTRY_DSN",
        ] {
            assert!(is_secret(name), "{name}");
        }
        for name in ["OPENCLAW_STATE_DIR", "OPENCLAW_PROFILE", "PATH", "TZ", "KEYBOARD", "HOME"] {
            assert!(!is_secret(name), "{name}");
        }
        assert!(CARRIED.iter().all(|name| !is_secret(name)));
    }

    #[test]
    fn values_that_are_secrets_are_known() {
        assert!(looks_secret("http://me:word@proxy:3128"));
        assert!(looks_secret("sk-abc") && looks_secret("ghp_abc"));
        assert!(!looks_secret("http://proxy:3128/a@b:c") && !looks_secret("/etc/ssl/certs"));
    }

    #[test]
    fn only_what_is_carried_is_carried() {
        let env = [("TZ", "Europe/Berlin"), ("TMPDIR", "a\nb"), ("OPENAI_API_KEY", "sk-1")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let carried = carried(&BTreeMap::from(env));
        assert_eq!(carried.len(), 1);
        assert_eq!(carried["TZ"], "Europe/Berlin");
    }
}
