//! The HTTP proxy on the way to a provider: `models.providers.*.request.proxy`, else the
//! environment's `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`, lower case first, as
//! curl reads them. The environment never leads this machine's own addresses through a proxy.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde_json::Value;

use super::secret::Secret;
use super::snapshot::Proxy;
use crate::wire::hash::base64;
use crate::wire::url::{Scheme, Url, percent_decode};

/// The proxy of a provider.
///
/// # Errors
/// A sentence that names the key or the variable, and no credential.
pub(super) fn of(
    id: &str,
    configured: &Value,
    base_url: &str,
    env: &BTreeMap<String, String>,
) -> Result<Option<Proxy>, String> {
    let place = format!("models.providers.{id}.request.proxy");
    if configured["mode"] == "explicit-proxy" {
        let url = configured["url"].as_str().unwrap_or_default();
        return read(&format!("{place}.url"), url).map(Some);
    }
    if configured["url"].is_string() && configured["mode"].is_null() {
        return Err(format!("{place}: set mode to \"explicit-proxy\" for its url to count"));
    }
    let Ok(url) = Url::parse(base_url) else { return Ok(None) };
    if is_local(&url.host) || is_excluded(&url, env) {
        return Ok(None);
    }
    let names = match url.scheme {
        Scheme::Https | Scheme::Wss => ["https_proxy", "HTTPS_PROXY"],
        // `HTTP_PROXY` may be a request header's in a CGI script; we are none.
        Scheme::Http | Scheme::Ws => ["http_proxy", "HTTP_PROXY"],
    };
    let names = names.into_iter().chain(["all_proxy", "ALL_PROXY"]);
    let found = names.filter_map(|name| Some((name, env.get(name)?.trim())));
    let Some((name, text)) = found.into_iter().find(|(_, text)| !text.is_empty()) else {
        return Ok(None);
    };
    read(&format!("the environment's {name}"), text).map(Some)
}

fn is_local(host: &str) -> bool {
    host == "localhost"
        || host.ends_with(".localhost")
        || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// `NO_PROXY`: names and their subdomains, addresses, `*`, each perhaps with a port.
fn is_excluded(url: &Url, env: &BTreeMap<String, String>) -> bool {
    let list = env.get("no_proxy").or_else(|| env.get("NO_PROXY"));
    let list = list.map(String::as_str).unwrap_or_default();
    list.split([',', ' ']).map(str::trim).filter(|entry| !entry.is_empty()).any(|entry| {
        let (name, port) = match entry.rsplit_once(':') {
            Some((name, port)) if !name.contains(':') || name.ends_with(']') => {
                (name, port.parse::<u16>().ok())
            }
            _ => (entry, None),
        };
        if port.is_some_and(|port| port != url.port) {
            return false;
        }
        let name = name.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        let name = name.trim_start_matches('*').trim_start_matches('.');
        name.is_empty()
            || url.host == name
            || url.host.strip_suffix(name).is_some_and(|rest| rest.ends_with('.'))
    })
}

/// `[http://][user:password@]host:port`.
fn read(place: &str, text: &str) -> Result<Proxy, String> {
    let text = text.trim();
    let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
    if !scheme.eq_ignore_ascii_case("http") {
        let scheme: String = scheme.chars().filter(char::is_ascii_alphanumeric).collect();
        return Err(format!(
            "{place}: {scheme} proxies are not supported; use an http:// one (its traffic to \
             https providers is encrypted end to end)"
        ));
    }
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let authority = rest.get(..end).unwrap_or_default();
    let (user, host) = match authority.rsplit_once('@') {
        Some((user, host)) => (Some(user), host),
        None => (None, authority),
    };
    let url = Url::parse(&format!("http://{host}"))
        .map_err(|error| format!("{place}: {error} (expected http://host:port)"))?;
    let authorization = match user {
        None => None,
        Some(user) => {
            let (name, password) = user.split_once(':').unwrap_or((user, ""));
            let decoded = percent_decode(name).zip(percent_decode(password));
            let (name, password) = decoded
                .ok_or_else(|| format!("{place}: the user or password has a bad % escape"))?;
            let text = base64(format!("{name}:{password}").as_bytes());
            Some(Secret::new(format!("Basic {text}")))
        }
    };
    Ok(Proxy { host: url.host, port: url.port, authorization })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn env(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn found(configured: &Value, base_url: &str, pairs: &[(&str, &str)]) -> String {
        match of("p", configured, base_url, &env(pairs)) {
            Ok(None) => "direct".to_owned(),
            Ok(Some(proxy)) => {
                let user = proxy.authorization.map(|text| text.expose().to_owned());
                format!("{}:{} {}", proxy.host, proxy.port, user.unwrap_or_default())
            }
            Err(why) => why,
        }
    }

    #[test]
    fn a_proxy_comes_from_the_file_or_the_environment() {
        let both = [("HTTPS_PROXY", "http://s:1"), ("http_proxy", "h:2"), ("HTTP_PROXY", "x:3")];
        for (base, want) in [
            ("https://api.x/v1", "s:1 "),
            ("http://api.x/v1", "h:2 "),
            ("http://127.0.0.1:9/v1", "direct"),
            ("https://localhost/v1", "direct"),
        ] {
            assert_eq!(found(&Value::Null, base, &both), want, "{base}");
            assert_eq!(found(&json!({"mode": "env-proxy"}), base, &both), want, "{base}");
            let own = json!({"mode": "explicit-proxy", "url": "http://u:p%40@e:4/"});
            assert_eq!(found(&own, base, &both), "e:4 Basic dTpwQA==", "{base}");
        }
        assert_eq!(found(&Value::Null, "https://a", &[]), "direct");
        assert_eq!(found(&Value::Null, "https://a", &[("ALL_PROXY", "q")]), "q:80 ");
    }

    #[test]
    fn exclusions_are_names_suffixes_ports_and_everything() {
        for (list, direct) in [
            ("api.x", true),
            (".x", true),
            ("x", true),
            ("*.x", true),
            ("*", true),
            ("pi.x", false),
            ("other, api.x:443", true),
            ("api.x:444", false),
            ("", false),
        ] {
            let pairs = [("https_proxy", "s:1"), ("NO_PROXY", list)];
            let got = found(&Value::Null, "https://api.x/v1", &pairs);
            assert_eq!(got == "direct", direct, "{list}");
        }
    }

    #[test]
    fn what_is_no_proxy_is_said_without_its_password() {
        for url in ["socks5://u:canary@h:1", "http://u:canary@h h:1", "http://u:canary%zz@h:1", ""]
        {
            let own = json!({"mode": "explicit-proxy", "url": url});
            let why = found(&own, "https://a", &[]);
            assert!(why.starts_with("models.providers.p.request.proxy.url: "), "{why}");
            assert!(!why.contains("canary"), "{why}");
        }
        let why = found(&Value::Null, "https://a", &[("HTTPS_PROXY", "https://h")]);
        assert!(why.starts_with("the environment's HTTPS_PROXY: https proxies"), "{why}");
        let why = found(&json!({"url": "http://h"}), "https://a", &[]);
        assert!(why.contains("explicit-proxy"), "{why}");
    }
}
