//! The control page: one document, one style sheet and a few JavaScript modules, embedded as they
//! stand in this folder. There is no build step and no framework; what is read here is what
//! runs in the browser.
//!
//! ```text
//!  app.js      starts, signs in, switches tabs, keeps the line at the top
//!    +- client.js    the WebSocket: handshake, requests, events, gaps, backoff
//!    +- device.js    the browser's own Ed25519 identity and what it keeps of sign-in
//!    +- dom.js       elements from text nodes only; dialogs, notices, plots
//!    +- words.js     every string, English and Chinese
//!    +- markdown.js  Markdown to elements, never to HTML
//!    +- json5.js     a JSON5 reader that names the line of an error
//!    +- tab_*.js     one tab each: mount(view, app) -> {close?, event?}
//! ```
//!
//! The page asks the gateway by the same protocol as everybody and holds nothing that the
//! protocol does not give it. It never makes HTML from text (no `innerHTML`, no `eval`, no inline
//! script: the Content-Security-Policy of `api::page` would stop them), takes a token from the
//! fragment of the address only, and connects to the host that served it and no other.

/// One embedded file.
#[derive(Debug, Clone, Copy)]
pub struct Asset {
    /// Its path below the base path, without a slash in front.
    pub path: &'static str,
    /// `Content-Type`.
    pub content_type: &'static str,
    /// The file.
    pub bytes: &'static [u8],
}

const JS: &str = "text/javascript; charset=utf-8";

macro_rules! assets {
    ($(($path:literal, $file:literal, $kind:expr)),* $(,)?) => {
        &[$(Asset { path: $path, content_type: $kind, bytes: include_bytes!($file) }),*]
    };
}

/// Every file but the document.
pub const ASSETS: &[Asset] = assets![
    ("favicon.svg", "favicon.svg", "image/svg+xml"),
    ("manifest.webmanifest", "manifest.webmanifest", "application/manifest+json"),
    ("assets/app.css", "app.css", "text/css; charset=utf-8"),
    ("assets/app.js", "app.js", JS),
];

/// The document; `{{base}}` stands for the base path, which needs no escaping.
pub const INDEX: &str = include_str!("index.html");

/// The file of a path, if it is one of ours.
pub fn find(path: &str) -> Option<&'static Asset> {
    ASSETS.iter().find(|asset| asset.path == path)
}

/// The document with its base path (empty, or `/x`) in its addresses.
pub fn index(base: &str) -> String {
    INDEX.replace("{{base}}", base)
}
