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
//!    +- json5.js     a JSON5 reader that names the line of an error; differences
//!    +- tab_*.js     one tab each: mount(view, app, rest) -> {moved?, resync?, event?, close?}
//!    +- chat_view.js the messages of one session
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
    ("assets/chat_view.js", "chat_view.js", JS),
    ("assets/client.js", "client.js", JS),
    ("assets/device.js", "device.js", JS),
    ("assets/dom.js", "dom.js", JS),
    ("assets/json5.js", "json5.js", JS),
    ("assets/markdown.js", "markdown.js", JS),
    ("assets/tab_approvals.js", "tab_approvals.js", JS),
    ("assets/tab_channels.js", "tab_channels.js", JS),
    ("assets/tab_chat.js", "tab_chat.js", JS),
    ("assets/tab_config.js", "tab_config.js", JS),
    ("assets/tab_cron.js", "tab_cron.js", JS),
    ("assets/tab_debug.js", "tab_debug.js", JS),
    ("assets/tab_devices.js", "tab_devices.js", JS),
    ("assets/tab_logs.js", "tab_logs.js", JS),
    ("assets/tab_overview.js", "tab_overview.js", JS),
    ("assets/words.js", "words.js", JS),
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
