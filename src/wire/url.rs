//! URLs as a gateway meets them: absolute `http`, `https`, `ws` and `wss` addresses from the
//! configuration, host and port of a Host header, percent-encoding of paths, query strings.
//! RFC 3986, without relative references, without userinfo (a secret in a URL ends in logs),
//! without international names (the caller writes them in punycode).

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

/// The schemes that mean something here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// `http`, port 80.
    Http,
    /// `https`, port 443.
    Https,
    /// `ws`, port 80.
    Ws,
    /// `wss`, port 443.
    Wss,
}

impl Scheme {
    /// The name before `://`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Ws => "ws",
            Self::Wss => "wss",
        }
    }

    /// The port that need not be written.
    pub const fn default_port(self) -> u16 {
        if self.is_tls() { 443 } else { 80 }
    }

    /// True for `https` and `wss`.
    pub const fn is_tls(self) -> bool {
        matches!(self, Self::Https | Self::Wss)
    }
}

/// An absolute URL. `Display` writes it back in normal form (default port left out).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    /// How to speak.
    pub scheme: Scheme,
    /// Lower-case name or address literal, without brackets.
    pub host: String,
    /// Written or the scheme's default.
    pub port: u16,
    /// Starts with `/`; the fragment is gone; percent-escapes are as written.
    pub path_and_query: String,
}

/// Why a text is no [`Url`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UrlError {
    /// Not `http://`, `https://`, `ws://` or `wss://`.
    Scheme,
    /// A user name or password before `@`: put the secret into its own key.
    Userinfo,
    /// No host, or characters a host cannot have.
    Host,
    /// Not a number from 1 to 65535.
    Port,
    /// A space, a control character or another character that must be percent-encoded.
    Character,
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scheme => "a URL must start with http://, https://, ws:// or wss://",
            Self::Userinfo => "a URL must not hold a user name or password",
            Self::Host => "the URL's host is missing or has invalid characters",
            Self::Port => "the URL's port is not a number from 1 to 65535",
            Self::Character => "the URL has a character that must be percent-encoded",
        })
    }
}

impl std::error::Error for UrlError {}

impl Url {
    /// Parses an absolute URL (RFC 3986 section 3).
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        let (scheme, rest) = text.split_once("://").ok_or(UrlError::Scheme)?;
        let scheme = [Scheme::Http, Scheme::Https, Scheme::Ws, Scheme::Wss]
            .into_iter()
            .find(|known| known.as_str().eq_ignore_ascii_case(scheme))
            .ok_or(UrlError::Scheme)?;
        if !rest.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte)) {
            return Err(UrlError::Character);
        }
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, tail) = rest.split_at(end);
        if authority.contains('@') {
            return Err(UrlError::Userinfo);
        }
        let (host, port) = parse_host_port(authority).ok_or_else(|| why_not(authority))?;
        let tail = tail.split('#').next().unwrap_or_default();
        let slash = if tail.starts_with('/') { "" } else { "/" };
        let path_and_query = format!("{slash}{tail}");
        Ok(Self { scheme, host, port: port.unwrap_or(scheme.default_port()), path_and_query })
    }

    /// `host` or `host:port` as a Host header wants it: brackets around IPv6, default port
    /// left out.
    pub fn host_header(&self) -> String {
        let host = bracketed(&self.host);
        if self.port == self.scheme.default_port() { host } else { format!("{host}:{}", self.port) }
    }

    /// The path without its query.
    pub fn path(&self) -> &str {
        self.path_and_query.split('?').next().unwrap_or("/")
    }

    /// Where a `Location` header leads from here (RFC 3986 section 5.2): absolute, or relative to
    /// this URL; dot segments are removed.
    ///
    /// # Errors
    /// As [`Url::parse`].
    pub fn resolve(&self, location: &str) -> Result<Self, UrlError> {
        let location = location.trim_matches([' ', '\t']).split('#').next().unwrap_or_default();
        let scheme = location.split_once(':').map_or("", |(scheme, _)| scheme);
        let letters = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+');
        if !scheme.is_empty() && letters(scheme) {
            return Self::parse(location);
        }
        let here = format!("{}://{}", self.scheme.as_str(), self.host_header());
        if location.starts_with("//") {
            return Self::parse(&format!("{}:{location}", self.scheme.as_str()));
        }
        let (path, query) = location.split_at(location.find('?').unwrap_or(location.len()));
        let base = self.path();
        let path = match path {
            "" if query.is_empty() => return Ok(self.clone()),
            "" => base.to_owned(),
            path if path.starts_with('/') => path.to_owned(),
            path => format!("{}/{path}", base.rsplit_once('/').map_or("", |(dir, _)| dir)),
        };
        Self::parse(&format!("{here}{}{query}", without_dots(&path)))
    }

    /// The same server with `suffix` (`chat/completions`, with or without a leading slash)
    /// appended to the path, the query dropped: how a provider's base URL is used.
    pub fn join_path(&self, suffix: &str) -> String {
        format!("{}/{}", self.path().trim_end_matches('/'), suffix.trim_start_matches('/'))
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme.as_str(), self.host_header(), self.path_and_query)
    }
}

/// Removes `.` and `..` segments of an absolute path (RFC 3986 section 5.2.4).
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    kept.pop();
                }
                if last {
                    kept.push("");
                }
            }
            segment => kept.push(segment),
        }
    }
    format!("/{}", kept.join("/"))
}

fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

/// Which part of an authority that does not parse is to blame.
fn why_not(authority: &str) -> UrlError {
    let end = match authority.find(']') {
        Some(at) => at.saturating_add(1),
        None => authority.find(':').unwrap_or(authority.len()),
    };
    let host = authority.get(..end).unwrap_or_default();
    if parse_host_port(host).is_some() { UrlError::Port } else { UrlError::Host }
}

/// Whether two addresses name the same server: scheme, host and port.
pub fn same_server(one: &str, other: &str) -> bool {
    let server = |text: &str| Url::parse(text).ok().map(|url| (url.scheme, url.host, url.port));
    server(one).is_some_and(|one| server(other) == Some(one))
}

/// Splits `host`, `host:port`, `[v6]` or `[v6]:port` (RFC 3986 section 3.2, the value of a Host
/// header). The host comes back in lower case without brackets, IPv6 in its canonical form; a
/// port is 1 to 65535, and an empty one (`host:`) is none. `None` for userinfo, an empty host,
/// zone ids, characters outside a registered name, or a bare IPv6 address.
pub fn parse_host_port(text: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (literal, after) = rest.split_once(']')?;
        let address: Ipv6Addr = literal.parse().ok()?;
        let port = if after.is_empty() { "" } else { after.strip_prefix(':')? };
        (address.to_string(), port)
    } else {
        let (host, port) = text.split_once(':').unwrap_or((text, ""));
        if !is_host_name(host) {
            return None;
        }
        (host.to_ascii_lowercase(), port)
    };
    Some((host, parse_port(port)?))
}

/// Checks the syntax of `host[:port]` without copying it: what [`parse_host_port`] accepts, and
/// more names, since any Host is served and only its characters are at stake here. Characters
/// are those of RFC 3986 section 3.2.2 without the comma (a joined list is no host).
pub(crate) fn parse_authority(text: &str) -> Option<()> {
    let port = if let Some(rest) = text.strip_prefix('[') {
        let (literal, after) = rest.split_once(']')?;
        literal.parse::<Ipv6Addr>().ok()?;
        if after.is_empty() { "" } else { after.strip_prefix(':')? }
    } else {
        let (host, port) = text.split_once(':').unwrap_or((text, ""));
        let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+;=".contains(&byte);
        if host.is_empty() || !host.bytes().all(known) {
            return None;
        }
        port
    };
    (port.len() <= 5 && port.bytes().all(|byte| byte.is_ascii_digit())).then_some(())
}

/// Outer `None`: invalid. Inner `None`: nothing written.
#[expect(clippy::option_option, reason = "three outcomes, used once")]
fn parse_port(text: &str) -> Option<Option<u16>> {
    if text.is_empty() {
        return Some(None);
    }
    if text.len() > 5 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok().filter(|port| *port != 0).map(Some)
}

/// A registered name or an IPv4 literal: letters, digits, `-._~`, at most 253 bytes. A name
/// that ends in a number must be an IPv4 address, so that `0x7f.1` and `127.1` are no hosts.
fn is_host_name(host: &str) -> bool {
    if host.is_empty() || host.len() > 253 {
        return false;
    }
    if !host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)) {
        return false;
    }
    let last = host.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
    let numeric = last.bytes().all(|byte| byte.is_ascii_digit())
        || last.get(..2).is_some_and(|start| start.eq_ignore_ascii_case("0x"));
    !numeric || host.parse::<Ipv4Addr>().is_ok()
}

/// Decodes the percent-escapes of one path segment or query value, strictly: `None` for a bad
/// or cut escape, a NUL (written or escaped), or a result that is not UTF-8. `+` stays `+`.
pub fn percent_decode(text: &str) -> Option<String> {
    decode(text, false)
}

fn decode(text: &str, plus_is_space: bool) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let byte = match byte {
            b'%' => {
                let high = char::from(bytes.next()?).to_digit(16)?;
                let low = char::from(bytes.next()?).to_digit(16)?;
                u8::try_from(high << 4 | low).ok()?
            }
            b'+' if plus_is_space => b' ',
            other => other,
        };
        if byte == 0 {
            return None;
        }
        out.push(byte);
    }
    String::from_utf8(out).ok()
}

/// Encodes everything but the unreserved characters of RFC 3986 section 2.3; fit for a path
/// segment or a query value.
pub fn percent_encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let digit =
        |nibble: u8| char::from_digit(nibble.into(), 16).unwrap_or('0').to_ascii_uppercase();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(byte.into());
        } else {
            out.extend(['%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
    out
}

/// The segments of a path, decoded one by one, so that an escaped slash stays inside its
/// segment. `None` when the path does not start with `/` or a segment does not decode.
pub fn path_segments(path: &str) -> Option<Vec<String>> {
    path.strip_prefix('/')?.split('/').map(percent_decode).collect()
}

/// The pairs of a query string, decoded as forms are (`+` is a space), in order. A name without
/// `=` has an empty value. `None` when a part does not decode.
pub fn query_pairs(query: &str) -> Option<Vec<(String, String)>> {
    let pairs = query.split('&').filter(|part| !part.is_empty());
    pairs
        .map(|part| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            Some((decode(name, true)?, decode(value, true)?))
        })
        .collect()
}

/// The first value of `name` in a query string; `None` when absent or undecodable.
pub fn query_value(query: &str, name: &str) -> Option<String> {
    query_pairs(query)?.into_iter().find(|(key, _)| key == name).map(|(_, value)| value)
}

/// What parses must print as something that parses to the same.
pub fn fuzz(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(url) = Url::parse(text) {
        assert_eq!(Url::parse(&url.to_string()).as_ref(), Ok(&url));
        assert!(url.path_and_query.starts_with('/') && url.port != 0);
    }
    if let Some((host, port)) = parse_host_port(text) {
        let again = port.map_or_else(|| bracketed(&host), |p| format!("{}:{p}", bracketed(&host)));
        assert_eq!(parse_host_port(&again), Some((host, port)));
    }
    if let Some(plain) = percent_decode(text) {
        assert_eq!(percent_decode(&percent_encode(&plain)), Some(plain));
    }
    let _ = (path_segments(text), query_pairs(text));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_and_prints() {
        for (text, want) in [
            ("HTTP://Example.COM", "http://example.com/"),
            ("https://example.com:443/v1?x=1#frag", "https://example.com/v1?x=1"),
            ("ws://[::1]:18789/", "ws://[::1]:18789/"),
            ("wss://a.b:80?q", "wss://a.b:80/?q"),
            ("http://127.0.0.1:11434/api", "http://127.0.0.1:11434/api"),
            ("http://host:/x", "http://host/x"),
        ] {
            let url = Url::parse(text).unwrap();
            assert_eq!(url.to_string(), want);
            fuzz(text.as_bytes());
        }
        let url = Url::parse("https://h/v1/?k=1").unwrap();
        assert_eq!(url.join_path("/chat/completions"), "/v1/chat/completions");
        assert_eq!(Url::parse("https://h").unwrap().join_path("models"), "/models");
        assert_eq!(Url::parse("http://[::1]").unwrap().host, "::1");
    }

    #[test]
    fn resolves_references() {
        let base = Url::parse("http://h.example:81/a/b/c?q").unwrap();
        for (location, want) in [
            ("https://o.example/x#f", "https://o.example/x"),
            ("//o.example", "http://o.example/"),
            ("/x", "http://h.example:81/x"),
            ("x?y=/z", "http://h.example:81/a/b/x?y=/z"),
            ("?n", "http://h.example:81/a/b/c?n"),
            ("", "http://h.example:81/a/b/c?q"),
            ("./d", "http://h.example:81/a/b/d"),
            ("../..", "http://h.example:81/"),
            ("../../../d/.", "http://h.example:81/d/"),
            ("/x:y", "http://h.example:81/x:y"),
        ] {
            let got = base.resolve(location).map(|url| url.to_string());
            assert_eq!(got.as_deref(), Ok(want), "{location}");
        }
        assert_eq!(base.resolve("data:x"), Err(UrlError::Scheme));
        assert_eq!(base.resolve("http://u@h/"), Err(UrlError::Userinfo));
        assert_eq!(base.resolve("/a b"), Err(UrlError::Character));
    }

    #[test]
    fn refuses() {
        for (text, why) in [
            ("example.com", UrlError::Scheme),
            ("file:///etc/passwd", UrlError::Scheme),
            ("http://user:pw@host/", UrlError::Userinfo),
            ("http://user@host", UrlError::Userinfo),
            ("http:///x", UrlError::Host),
            ("http://:80", UrlError::Host),
            ("http://a_b,c/", UrlError::Host),
            ("http://[::1", UrlError::Host),
            ("http://[fe80::1%25eth0]/", UrlError::Host),
            ("http://::1/", UrlError::Host),
            ("http://127.1/", UrlError::Host),
            ("http://0x7f000001/", UrlError::Host),
            ("http://h:0/", UrlError::Port),
            ("http://h:65536/", UrlError::Port),
            ("http://h:+80/", UrlError::Port),
            ("http://[::1]:x/", UrlError::Port),
            ("http://h/a b", UrlError::Character),
            ("http://h/\n", UrlError::Character),
            ("http://h\\@evil/", UrlError::Character),
            ("http://m\u{fc}nchen/", UrlError::Character),
        ] {
            assert_eq!(Url::parse(text), Err(why), "{text}");
        }
    }

    #[test]
    fn hosts() {
        assert_eq!(parse_host_port("LOCALHOST:80"), Some(("localhost".into(), Some(80))));
        assert_eq!(parse_host_port("[::0001]"), Some(("::1".into(), None)));
        assert_eq!(parse_host_port("a_b.local."), Some(("a_b.local.".into(), None)));
        for bad in ["", ":1", "a b", "a,b", "a/b", "a@b", "::1", "[::1]x", "[127.0.0.1]", "a:b"] {
            assert_eq!(parse_host_port(bad), None, "{bad}");
        }
        assert_eq!(parse_host_port(&"a".repeat(254)), None);
    }

    #[test]
    fn escapes() {
        assert_eq!(percent_decode("openclaw%2Fdefault").as_deref(), Some("openclaw/default"));
        assert_eq!(percent_decode("a+b").as_deref(), Some("a+b"));
        for bad in ["%", "%2", "%zz", "%+1", "%00", "\0", "%ff"] {
            assert_eq!(percent_decode(bad), None, "{bad}");
        }
        assert_eq!(percent_encode("a/b \u{fc}"), "a%2Fb%20%C3%BC");
        assert_eq!(path_segments("/v1/a%2Fb/"), Some(vec!["v1".into(), "a/b".into(), "".into()]));
        assert_eq!(path_segments("v1"), None);
        assert_eq!(query_value("a=1&b=x+y%26&&c", "b").as_deref(), Some("x y&"));
        assert_eq!(query_value("c", "c").as_deref(), Some(""));
        assert_eq!(query_value("a=%", "a"), None);
    }
}
