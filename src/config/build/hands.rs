//! Sections `tools.exec` and `tools.web.fetch` of the snapshot.

use super::super::hands::{Exec, ExecAsk, ExecSecurity, WebFetch};
use super::super::paths::Paths;
use super::At;
use crate::limits;

pub(super) fn exec(at: At<'_>, paths: &Paths) -> Exec {
    let unset = Exec::default();
    let word = |name: &str| at.get(name).text().unwrap_or_default();
    let security = ExecSecurity::from_word(&word("security")).unwrap_or(unset.security);
    let ask = ExecAsk::from_word(&word("ask")).unwrap_or(unset.ask);
    // The mode is the newer spelling of both.
    let (security, ask) = match word("mode").as_str() {
        "deny" => (ExecSecurity::Deny, ExecAsk::Off),
        "allowlist" => (ExecSecurity::Allowlist, ExecAsk::Off),
        "ask" => (ExecSecurity::Allowlist, ExecAsk::OnMiss),
        "full" => (ExecSecurity::Full, ExecAsk::Off),
        _ => (security, ask),
    };
    let [low, high] = limits::EXEC_YIELD_MS;
    let [least, most] = limits::EXEC_KEEP_MS;
    let seconds = at.get("timeoutSeconds").number().or_else(|| at.get("timeoutSec").number());
    Exec {
        security,
        ask,
        timeout_seconds: seconds.unwrap_or(unset.timeout_seconds),
        background_ms: at
            .get("backgroundMs")
            .number()
            .map_or(unset.background_ms, |ms| ms.clamp(low, high)),
        cleanup_ms: at.get("cleanupMs").number().map_or(unset.cleanup_ms, |m| m.clamp(least, most)),
        path_prepend: at.get("pathPrepend").texts().iter().map(|dir| paths.expand(dir)).collect(),
    }
}

pub(super) fn web_fetch(at: At<'_>) -> WebFetch {
    let unset = WebFetch::default();
    let number = |name: &str| at.get(name).number().and_then(|n| usize::try_from(n).ok());
    let [low, high] = limits::WEB_BODY;
    let policy = at.get("ssrfPolicy");
    let headers = at.get("headers").entries();
    WebFetch {
        enabled: at.get("enabled").flag(true),
        max_chars: number("maxChars").unwrap_or(unset.max_chars),
        max_chars_cap: number("maxCharsCap").unwrap_or(unset.max_chars_cap),
        max_response_bytes: number("maxResponseBytes")
            .map_or(unset.max_response_bytes, |bytes| bytes.clamp(low, high)),
        timeout_seconds: at.get("timeoutSeconds").number().unwrap_or(unset.timeout_seconds),
        cache_minutes: at.get("cacheTtlMinutes").number().unwrap_or(unset.cache_minutes),
        max_redirects: number("maxRedirects")
            .and_then(|count| u32::try_from(count).ok())
            .unwrap_or(unset.max_redirects),
        user_agent: at.get("userAgent").text().unwrap_or(unset.user_agent),
        headers: headers.filter_map(|(name, at)| Some((name.to_owned(), at.secret()?))).collect(),
        private: policy.get("dangerouslyAllowPrivateNetwork").flag(false),
        allowed: policy.get("allowedHostnames").texts(),
        blocked: policy.get("blockedHostnames").texts(),
    }
}
