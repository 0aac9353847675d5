//! A page that somebody else built, in a folder of the operator's (`gateway.controlUi.root`): the
//! reference's own, as its npm package has it under `dist/control-ui`.
//!
//! Its document has inline scripts, which run by their digests in the Content-Security-Policy
//! and by nothing else; it may connect to the host that served it and no other, whatever it is
//! told by an address. Its other files are handed out in slices by `gateway::http`.

use super::{Reply, dressed, fresh, socket_origins, takes};
use crate::wire::hash::{base64, sha256};
use crate::wire::http::head::{Head, Headers};
use crate::wire::http::respond::Response;

/// The document, with the base path (empty, or `/x`) in it.
pub fn index(head: &Head, document: &str, base: &str) -> Reply {
    let body = patched(document, base);
    let policy = policy(&head.headers, &digests(&body));
    let reply = Reply { content_type: "text/html; charset=utf-8", ..Reply::raw(200, body.into()) };
    dressed(fresh(reply, head), policy)
}

/// Addresses that begin at the document's own place begin at the base path, since the document
/// answers at every address of the page; and the page is told the base path.
fn patched(document: &str, base: &str) -> String {
    let document = document.replace("=\"./", &format!("=\"{base}/"));
    match document.split_once("<html") {
        Some((before, after)) if !base.is_empty() => {
            format!("{before}<html data-openclaw-control-ui-base-path=\"{base}\"{after}")
        }
        _ => document,
    }
}

/// `'sha256-…'` of every script that stands in the document itself.
fn digests(document: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = document;
    while let Some((_, after)) = rest.split_once("<script") {
        let Some((head, body)) = after.split_once('>') else { break };
        let Some((script, next)) = body.split_once("</script>") else { break };
        if !head.contains("src=") {
            found.push(format!("'sha256-{}'", base64(&sha256(script.as_bytes()))));
        }
        rest = next;
    }
    found
}

fn policy(headers: &Headers, digests: &[String]) -> String {
    let scripts: String = digests.iter().flat_map(|digest| [" ", digest]).collect();
    format!(
        "default-src 'self'; base-uri 'none'; object-src 'none'; frame-ancestors 'none'; \
         frame-src 'self'; form-action 'self'; script-src 'self'{scripts} 'wasm-unsafe-eval'; \
         style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; \
         media-src 'self' data: blob:; font-src 'self' data:; worker-src 'self' blob:; \
         connect-src 'self'{} data: blob:",
        socket_origins(headers)
    )
}

/// Packed copies that may lie beside a file: coding, and what its name ends with.
pub const PACKED: [(&str, &str); 2] = [("br", ".br"), ("gzip", ".gz")];

/// Packed copies that this client takes, the best first.
pub fn packed(headers: &Headers) -> impl Iterator<Item = (&'static str, &'static str)> {
    PACKED.into_iter().filter(|(coding, _)| takes(headers, coding))
}

/// The head of a file's answer; its body follows.
pub fn file_head(headers: &Headers, path: &str, coding: Option<&str>) -> Response<'static> {
    let named_by_content = path.starts_with("assets/") || path.starts_with("fonts/");
    let cache = if named_by_content { "public, max-age=31536000, immutable" } else { "no-cache" };
    let dressed = dressed(Reply::text(200, ""), policy(headers, &[]));
    let mut response = Response::new(200).content_type(content_type(path));
    for (name, value) in dressed.headers {
        response = response.header(name, &value);
    }
    response = response.header("Cache-Control", cache).header("Vary", "Accept-Encoding");
    match coding {
        Some(coding) => response.header("Content-Encoding", coding),
        None => response,
    }
}

/// By the name; what is not known is not run and not shown.
fn content_type(path: &str) -> &'static str {
    match path.rsplit('.').next().unwrap_or_default() {
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "html" => "text/html; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "webp" => "image/webp",
        "jpg" | "jpeg" => "image/jpeg",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "json" | "map" => "application/json; charset=utf-8",
        "webmanifest" => "application/manifest+json",
        "wasm" => "application/wasm",
        "txt" | "md" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_of_the_document_run_by_their_digests() {
        let document = "<!doctype html><html lang=\"en\"><script data-x>one();</script>\
             <script type=\"module\" src=\"./assets/a.js\"></script><script>two</script>";
        let found = digests(document);
        let want = |text: &str| format!("'sha256-{}'", base64(&sha256(text.as_bytes())));
        assert_eq!(found, [want("one();"), want("two")]);
        assert!(digests("<script>never ends").is_empty());
        let text = policy(&Headers::default(), &found);
        assert!(text.contains(&format!("script-src 'self' {} {} ", found[0], found[1])), "{text}");
        let scripts = text.split("script-src").nth(1).unwrap().split(';').next().unwrap();
        assert!(!scripts.contains("unsafe-inline"), "{scripts}");
    }

    #[test]
    fn the_document_answers_at_every_address_below_its_base() {
        let document = "<html lang=\"en\"><script src=\"./assets/a.js\">";
        assert_eq!(patched(document, ""), "<html lang=\"en\"><script src=\"/assets/a.js\">");
        assert_eq!(
            patched(document, "/ui"),
            "<html data-openclaw-control-ui-base-path=\"/ui\" lang=\"en\">\
             <script src=\"/ui/assets/a.js\">"
        );
    }
}
