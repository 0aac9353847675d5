//! The control page's door: which path is which file, what the browser may do with it, and the
//! answers. The files are those of [`crate::ui`], or those of `gateway.controlUi.root`, which
//! `gateway::http` reads.
//!
//! ```text
//!  GET/HEAD below basePath, never /v1 /tools /hooks /api
//!    /control-ui-config.json           -> Config   (bearer asked)
//!    / and /index.html                 -> Index
//!    last part with a dot, /assets/*   -> File
//!    else, if Accept takes HTML        -> Index    (the page's own addresses)
//! ```

pub mod foreign;

use super::{Reply, is_openai_path};
use crate::config::Config;
use crate::ui;
use crate::wire::archive::deflate;
use crate::wire::hash::{hex, sha256};
use crate::wire::http::head::{Head, Headers, Method};
use crate::wire::url::{parse_host_port, percent_decode};

/// What a request wants of the page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// The document.
    Index,
    /// A file by its path below the base path, decoded and free of `.`, `..` and separators.
    File(String),
    /// `control-ui-config.json`.
    Config,
}

/// What a request wants of the page; `None` when it is not for the page.
pub fn asked(head: &Head, config: &Config) -> Option<Asked> {
    let page = &config.gateway.control_ui;
    if !page.enabled || !matches!(head.method, Method::Get | Method::Head) {
        return None;
    }
    let rest = head.path().strip_prefix(page.base_path.as_str())?;
    if !rest.is_empty() && !rest.starts_with('/') || is_reserved(head.path()) || is_reserved(rest) {
        return None;
    }
    let path = clean(rest)?;
    if let "control-ui-config.json" | "__openclaw/control-ui-config.json" = path.as_str() {
        return Some(Asked::Config);
    }
    if path.is_empty() || path == "index.html" {
        return Some(Asked::Index);
    }
    let last = path.rsplit('/').next().unwrap_or_default();
    if last.contains('.') || path == "assets" || path.starts_with("assets/") {
        return Some(Asked::File(path));
    }
    takes_html(&head.headers).then_some(Asked::Index)
}

/// Paths that are never the page's, whatever else is switched off.
fn is_reserved(path: &str) -> bool {
    is_openai_path(path)
        || path.strip_prefix("/hooks").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The parts of a path, decoded; `None` when one of them is no plain name.
fn clean(path: &str) -> Option<String> {
    let path = path.strip_prefix('/').unwrap_or(path);
    if path.is_empty() {
        return Some(String::new());
    }
    let mut parts = Vec::new();
    for part in path.strip_suffix('/').unwrap_or(path).split('/') {
        let part = percent_decode(part)?;
        let plain = !part.is_empty()
            && !part.starts_with('.')
            && !part.contains(['/', '\\', ':'])
            && !part.chars().any(char::is_control);
        if !plain {
            return None;
        }
        parts.push(part);
    }
    Some(parts.join("/"))
}

/// Whether the client would show a page: nothing said counts as no.
fn takes_html(headers: &Headers) -> bool {
    let kinds = headers.get_all("accept").flat_map(|value| value.split(','));
    let mut kinds = kinds.map(|kind| kind.split(';').next().unwrap_or_default().trim());
    kinds.any(|kind| matches!(kind, "text/html" | "text/*" | "*/*"))
}

/// Origins of the page's own WebSocket, for browsers that do not count them as `'self'`: of a
/// Host that is one, and of nothing else.
fn socket_origins(headers: &Headers) -> String {
    let Some(host) = headers.only("host") else { return String::new() };
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | ':' | '-' | '[' | ']');
    if parse_host_port(host).is_none() || !host.chars().all(plain) {
        return String::new();
    }
    format!(" ws://{host} wss://{host}")
}

/// The headers of every answer of the page.
fn dressed(reply: Reply, policy: String) -> Reply {
    reply
        .with("X-Frame-Options", "DENY")
        .with("Cross-Origin-Opener-Policy", "same-origin")
        .with("Cross-Origin-Resource-Policy", "same-origin")
        .with("Content-Security-Policy", policy)
}

/// What our own page may do: its own files, its own socket, pictures that it was handed.
fn policy(headers: &Headers) -> String {
    format!(
        "default-src 'self'; base-uri 'none'; object-src 'none'; frame-ancestors 'none'; \
         frame-src 'none'; form-action 'none'; script-src 'self'; style-src 'self'; \
         img-src 'self' data: blob:; media-src 'none'; worker-src 'none'; connect-src 'self'{}",
        socket_origins(headers)
    )
}

/// The document of our own page.
pub fn index(head: &Head, base: &str) -> Reply {
    let body = ui::index(base).into_bytes();
    let reply = Reply { content_type: "text/html; charset=utf-8", ..Reply::raw(200, body) };
    dressed(fresh(reply, head), policy(&head.headers))
}

/// A file of our own page; `None` when there is none of that name.
pub fn file(head: &Head, path: &str) -> Option<Reply> {
    let asset = ui::find(path)?;
    let body = asset.bytes.to_vec();
    let reply = Reply { content_type: asset.content_type, ..Reply::raw(200, body) };
    Some(dressed(fresh(reply, head), policy(&head.headers)))
}

/// 404 of the page's paths.
pub fn missing() -> Reply {
    Reply::text(404, "Not Found")
}

/// Adds `ETag`; answers 304 to whoever has this very body; packs it for whoever takes that.
fn fresh(mut reply: Reply, head: &Head) -> Reply {
    let digest = sha256(&reply.body);
    let tag = format!("\"{}\"", hex(digest.get(..12).unwrap_or_default()));
    if has_tag(&head.headers, &tag) {
        let empty = Reply { status: 304, body: Vec::new(), ..reply };
        return empty.with("ETag", tag).with("Cache-Control", "no-cache");
    }
    if reply.body.len() > PACK_FROM && takes_gzip(&head.headers) {
        reply.body = deflate::gzip(&reply.body);
        reply = reply.with("Content-Encoding", "gzip");
    }
    reply.with("ETag", tag).with("Cache-Control", "no-cache").with("Vary", "Accept-Encoding")
}

/// Smaller files are sent as they are.
const PACK_FROM: usize = 512;

/// Whether a copy of that tag is there (RFC 9110 section 13.1.2, weak comparison).
fn has_tag(headers: &Headers, tag: &str) -> bool {
    let known = headers.get_all("if-none-match").flat_map(|value| value.split(','));
    known
        .map(str::trim)
        .any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag)
}

/// Whether `Accept-Encoding` names this coding without refusing it.
fn takes(headers: &Headers, coding: &str) -> bool {
    headers.get_all("accept-encoding").flat_map(|value| value.split(',')).any(|part| {
        let (name, weight) = part.split_once(';').unwrap_or((part, ""));
        let weight = weight.trim().trim_start_matches("q=");
        let refused = weight.starts_with('0') && weight.trim_matches(['0', '.']).is_empty();
        name.trim().eq_ignore_ascii_case(coding) && (weight.is_empty() || !refused)
    })
}

fn takes_gzip(headers: &Headers) -> bool {
    takes(headers, "gzip")
}

#[cfg(test)]
#[path = "page_tests.rs"]
mod tests;
