//! The control page as it is served: its files and their headers, its settings, a built page from
//! a folder of the operator's, and what none of that may give away.

mod common;

use common::http::{Http, Response};
use common::{Gateway, Home};

const TOKEN: &str = "0123456789abcdef-0123456789abcdef";

fn start(page: &str) -> (Home, Gateway) {
    let home = Home::new();
    home.configure(&format!(
        "{{gateway: {{mode: 'local', auth: {{token: '{TOKEN}'}}, controlUi: {{{page}}}}}}}"
    ));
    let gateway = home.start("");
    (home, gateway)
}

fn ask(gateway: &Gateway, line: &str, headers: &str) -> Response {
    let mut http = Http::connect(gateway.port);
    http.send(format!("{line} HTTP/1.1\r\nHost: localhost\r\n{headers}Connection: close\r\n\r\n"));
    http.answer(line.starts_with("HEAD")).expect("an answer")
}

const HTML: &str = "Accept: text/html\r\n";

#[test]
fn the_page_is_small_and_complete() {
    let (_home, gateway) = start("");
    let index = ask(&gateway, "GET /", HTML);
    assert_eq!(index.status, 200);
    assert_eq!(index.header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(index.header("x-frame-options"), Some("DENY"));
    assert_eq!(index.header("referrer-policy"), Some("no-referrer"));
    assert_eq!(index.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(ask(&gateway, "GET /sessions", HTML).body, index.body);
    assert_eq!(ask(&gateway, "GET /sessions", "Accept: application/json\r\n").status, 404);
    assert_eq!(ask(&gateway, "POST /", HTML).status, 404);
    let head = ask(&gateway, "HEAD /", HTML);
    assert_eq!(head.header("content-length"), index.header("content-length"));

    let mut total = index.body.len();
    for asset in openclaw_gateway::ui::ASSETS {
        let got = ask(&gateway, &format!("GET /{}", asset.path), "");
        assert_eq!((got.status, got.body.as_slice()), (200, asset.bytes), "{}", asset.path);
        assert_eq!(got.header("content-type"), Some(asset.content_type), "{}", asset.path);
        assert_eq!(got.header("cache-control"), Some("no-cache"));
        let tag = got.header("etag").expect("a tag").to_owned();
        let known = format!("If-None-Match: {tag}\r\n");
        let again = ask(&gateway, &format!("GET /{}", asset.path), &known);
        assert_eq!((again.status, again.body.len()), (304, 0), "{}", asset.path);
        let packed = ask(&gateway, &format!("GET /{}", asset.path), "Accept-Encoding: gzip\r\n");
        assert!(packed.body.len() <= asset.bytes.len(), "{}", asset.path);
        total += asset.bytes.len();
    }
    assert!(total < 150_000, "{total} bytes: the page stays below 150 KB");
}

/// What every module names is there, and every module that is there is named.
#[test]
fn the_modules_find_each_other() {
    let (mut named, mut there) = (std::collections::BTreeSet::new(), vec![]);
    for asset in openclaw_gateway::ui::ASSETS {
        let Some(name) = asset.path.strip_prefix("assets/") else { continue };
        there.push(name.to_owned());
        let text = std::str::from_utf8(asset.bytes).expect("UTF-8");
        let rest = text.split("from \"./").skip(1);
        named.extend(rest.filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())));
        // The tabs are loaded as they are shown.
        if let Some(tabs) = text.split("const TABS = [").nth(1).and_then(|t| t.split(']').next()) {
            named.extend(tabs.split('"').skip(1).step_by(2).map(|tab| format!("tab_{tab}.js")));
        }
    }
    for document in openclaw_gateway::ui::index("").split("/assets/").skip(1) {
        named.insert(document.split_once('"').expect("an end").0.to_owned());
    }
    there.sort();
    assert_eq!(named.into_iter().collect::<Vec<_>>(), there);
}

/// CVE-2026-53841 and its kind: nothing makes HTML or code from text.
#[test]
fn the_modules_make_no_html_from_text() {
    for asset in openclaw_gateway::ui::ASSETS {
        let text = std::str::from_utf8(asset.bytes).expect("UTF-8");
        for word in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "new Function",
            "DOMParser",
            "createContextualFragment",
            "gatewayUrl",
            "location.search",
        ] {
            assert!(!text.contains(word), "{}: {word}", asset.path);
        }
    }
}

/// CVE-2026-41335: what a page is told before it has shown anything is the page alone.
#[test]
fn the_settings_are_for_whoever_is_signed_in() {
    let (_home, gateway) = start("");
    let path = "GET /control-ui-config.json";
    for headers in ["", "Authorization: Bearer wrong\r\n", "Cookie: token=x\r\n"] {
        let got = ask(&gateway, path, headers);
        assert_eq!(got.status, 401, "{headers}");
        assert!(!got.text().contains("erver"), "{}", got.text());
    }
    for token in ["?token=", "?auth=", "?access_token="] {
        assert_eq!(ask(&gateway, &format!("{path}{token}{TOKEN}"), "").status, 401);
    }
    let bearer = format!("Authorization: Bearer {TOKEN}\r\n");
    for path in [path, "GET /__openclaw/control-ui-config.json"] {
        let got = ask(&gateway, path, &bearer);
        assert_eq!((got.status, got.header("cache-control")), (200, Some("no-store")));
        let told = got.json();
        assert_eq!(told["assistantAgentId"], "main");
        assert_eq!(told["assistantName"], "Assistant");
        assert_eq!(told["basePath"], "");
        assert_eq!(told["serverVersion"], openclaw_gateway::protocol::VERSION);
    }
}

#[cfg(feature = "tls")]
#[test]
fn the_settings_are_for_the_token_of_a_paired_device_too() {
    use common::device::{Device, by_token, cli, token_of};
    let (_home, gateway) = start("");
    let device = Device::new(7);
    let mut params = by_token(cli(), TOKEN);
    params["scopes"] = serde_json::json!(["operator.read"]);
    let token = token_of(&device.connect(gateway.port, &params));
    let path = "GET /control-ui-config.json";
    let bearer = |token: &str| format!("Authorization: Bearer {token}\r\n");
    assert_eq!(ask(&gateway, path, &bearer(&token)).status, 200);
    assert_eq!(ask(&gateway, path, &bearer(&token[1..])).status, 401);
    assert_eq!(ask(&gateway, "GET /v1/models", &bearer(&token)).status, 401, "no other door");
}

#[test]
fn it_can_be_switched_off_and_moved_while_the_gateway_runs() {
    let (home, gateway) = start("basePath: 'panel/'");
    let moved = ask(&gateway, "GET /panel", HTML);
    assert!(moved.text().contains("src=\"/panel/assets/app.js\""), "{}", moved.text());
    assert_eq!(ask(&gateway, "GET /panel/assets/app.js", "").status, 200);
    for path in ["/", "/assets/app.js", "/panelx", "/panel/v1/models"] {
        assert_eq!(ask(&gateway, &format!("GET {path}"), HTML).status, 404, "{path}");
    }
    let file = home.state().join("openclaw.json");
    let text = std::fs::read_to_string(&file).expect("written above");
    std::fs::write(&file, text.replace("basePath: 'panel/'", "enabled: false")).expect("written");
    let end = std::time::Instant::now() + common::PATIENCE;
    while ask(&gateway, "GET /panel", HTML).status != 404 {
        assert!(std::time::Instant::now() < end, "the edit was never seen");
    }
    assert_eq!(ask(&gateway, "GET /", HTML).status, 404);
}

#[test]
fn a_path_that_would_be_another_doors_is_refused_at_start() {
    for (path, says) in [("/v1/ui", "other doors"), ("/a\"b", "a path of letters")] {
        let home = Home::new();
        home.configure(&format!(
            "{{gateway: {{mode: 'local', auth: {{token: '{TOKEN}'}}, \
             controlUi: {{basePath: '{path}'}}}}}}"
        ));
        let ran = home.run("gateway --port 0");
        assert_ne!(ran.code, 0);
        assert!(ran.err.contains("gateway.controlUi.basePath"), "{}", ran.err);
        assert!(ran.err.contains(says), "{}", ran.err);
    }
}

const DOCUMENT: &str = "<!doctype html><html lang=\"en\"><head><script>theme();</script>\
    <script type=\"module\" src=\"./assets/a.js\"></script></head></html>";

/// A built page in a folder, beside a secret that is not in it.
fn built() -> (Home, std::path::PathBuf) {
    let home = Home::new();
    let root = home.0.join("page");
    std::fs::create_dir_all(root.join("assets")).expect("made");
    std::fs::write(root.join("index.html"), DOCUMENT).expect("written");
    std::fs::write(root.join("assets/a.js"), "a();".repeat(300_000)).expect("written");
    std::fs::write(root.join("assets/a.js.gz"), "packed").expect("written");
    std::fs::write(root.join("sw.js"), "sw();").expect("written");
    std::fs::write(home.0.join("secret.js"), "the secret").expect("written");
    let page = format!("root: '{}'", root.display());
    home.configure(&format!(
        "{{gateway: {{mode: 'local', auth: {{token: '{TOKEN}'}}, controlUi: {{{page}}}}}}}"
    ));
    (home, root)
}

#[test]
fn a_built_page_is_served_from_its_folder() {
    let (home, root) = built();
    let gateway = home.start("");
    for path in ["/", "/chat/main"] {
        let index = ask(&gateway, &format!("GET {path}"), HTML);
        assert!(index.text().contains("src=\"/assets/a.js\""), "{}", index.text());
        let policy = index.header("content-security-policy").expect("a policy");
        let digest = "'sha256-CzHvFNhLvXK4TfIMNWD3vTOcY6SiqnWiqQTttD8arGk='";
        assert!(policy.contains(&format!("script-src 'self' {digest} ")), "{policy}");
        assert!(policy.contains("connect-src 'self' ws://localhost wss://localhost"), "{policy}");
    }
    let mut params = common::socket::params();
    params["auth"]["token"] = TOKEN.into();
    let hello = common::socket::Socket::with(gateway.port, &params).hello;
    assert_eq!(hello["server"]["controlUiBuildSource"], "configured", "no page is out of date");
    let large = ask(&gateway, "GET /assets/a.js", "");
    assert_eq!((large.status, large.body.len()), (200, 1_200_000), "by slices, whole");
    assert!(large.body.chunks(4).all(|piece| piece == b"a();"));
    assert!(large.header("cache-control").is_some_and(|value| value.contains("immutable")));
    let packed = ask(&gateway, "GET /assets/a.js", "Accept-Encoding: br, gzip\r\n");
    assert_eq!(
        (packed.header("content-encoding"), packed.text().as_str()),
        (Some("gzip"), "packed")
    );
    let worker = ask(&gateway, "GET /sw.js", "");
    assert_eq!(
        (worker.header("cache-control"), worker.text().as_str()),
        (Some("no-cache"), "sw();")
    );
    let head = ask(&gateway, "HEAD /assets/a.js", "");
    assert_eq!((head.status, head.body.len()), (200, 0));
    // One connection, several files: each answer ends where it ends.
    let mut http = Http::connect(gateway.port);
    for _ in 0..3 {
        http.send("GET /assets/a.js HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(http.response().body.len(), 1_200_000);
        http.send("GET /sw.js HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(http.response().text(), "sw();");
    }
    std::fs::remove_file(root.join("index.html")).expect("removed");
    let none = ask(&gateway, "GET /", HTML);
    assert_eq!(none.status, 404);
    assert!(none.text().contains("gateway.controlUi.root"), "{}", none.text());
}

/// CVE-2026-32020: what is not in the folder does not leave, whatever leads to it.
#[cfg(unix)]
#[test]
fn nothing_leaves_a_built_page_by_a_link() {
    use std::os::unix::fs::symlink;
    let (home, root) = built();
    symlink(home.0.join("secret.js"), root.join("assets/link.js")).expect("linked");
    symlink(&home.0, root.join("home")).expect("linked");
    symlink(root.join("sw.js"), root.join("inside.js")).expect("linked");
    std::fs::create_dir(root.join("folder.js")).expect("made");
    let gateway = home.start("");
    for path in [
        "/assets/link.js",
        "/home/secret.js",
        "/home/.openclaw/openclaw.json",
        "/inside.js",
        "/folder.js",
        "/../secret.js",
        "/assets/..%2f..%2fsecret.js",
        "/%2e%2e/secret.js",
        "/assets/%2e%2e/%2e%2e/secret.js",
        "//secret.js",
    ] {
        let got = ask(&gateway, &format!("GET {path}"), HTML);
        assert!(matches!(got.status, 400 | 404), "{path}: {got:?}");
        assert!(!got.text().contains("secret") && !got.text().contains(TOKEN), "{path}: {got:?}");
    }
    // The folder itself may be reached by a link: an installation often is.
    symlink(&root, home.0.join("current")).expect("linked");
    let file = home.state().join("openclaw.json");
    let text = std::fs::read_to_string(&file).expect("written above");
    let moved = text.replace("/page'", "/current'");
    assert_ne!(moved, text);
    drop(gateway);
    std::fs::write(&file, moved).expect("written");
    let gateway = home.start("");
    assert_eq!(ask(&gateway, "GET /sw.js", "").status, 200);
    assert_eq!(ask(&gateway, "GET /assets/link.js", "").status, 404);
}
