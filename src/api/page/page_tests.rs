use super::*;
use crate::wire::http::server::{Event, Server};

fn head(line: &str, more: &str) -> Head {
    let mut server = Server::new();
    server.push(format!("{line} HTTP/1.1\r\nHost: pi:18789\r\n{more}\r\n").as_bytes());
    match server.next() {
        Some(Event::Head(head)) => head,
        other => panic!("{other:?}"),
    }
}

fn config(base: &str) -> Config {
    let mut config = Config::defaults();
    config.gateway.control_ui.base_path = base.to_owned();
    config
}

#[test]
fn which_path_is_which_file() {
    let html = "Accept: text/html,application/xhtml+xml;q=0.9\r\n";
    let file = |path: &str| Some(Asked::File(path.to_owned()));
    let table = [
        ("", "GET /", "", Some(Asked::Index)),
        ("", "HEAD /?token=x", "", Some(Asked::Index)),
        ("", "GET /index.html", "", Some(Asked::Index)),
        ("", "GET /sessions", html, Some(Asked::Index)),
        ("", "GET /chat/agent:main", html, None),
        ("", "GET /chat/main/", "Accept: */*\r\n", Some(Asked::Index)),
        ("", "GET /sessions", "", None),
        ("", "GET /sessions", "Accept: application/json\r\n", None),
        ("", "GET /app.js", html, file("app.js")),
        ("", "GET /assets/a", html, file("assets/a")),
        ("", "GET /assets", html, file("assets")),
        ("", "GET /control-ui-config.json", "", Some(Asked::Config)),
        ("", "GET /__openclaw/control-ui-config.json", "", Some(Asked::Config)),
        ("", "POST /", html, None),
        ("", "OPTIONS /", html, None),
        ("", "GET /v1/x", html, None),
        ("", "GET /tools", html, None),
        ("", "GET /hooks/x", html, None),
        ("", "GET /api/x.js", html, None),
        ("", "GET /../etc/passwd", html, None),
        ("", "GET /assets/..%2f..%2fetc", html, None),
        ("", "GET /%2e%2e/x.js", html, None),
        ("", "GET /assets//x.js", html, None),
        ("", "GET /assets/x%5c..%5cy.js", html, None),
        ("", "GET /assets/.git/x.js", html, None),
        ("", "GET /c:/x.js", html, None),
        ("", "GET /a%00.js", html, None),
        ("/ui", "GET /", html, None),
        ("/ui", "GET /ui", "", Some(Asked::Index)),
        ("/ui", "GET /ui/", "", Some(Asked::Index)),
        ("/ui", "GET /ui/assets/app.js", "", file("assets/app.js")),
        ("/ui", "GET /uix", html, None),
        ("/ui", "GET /ui/v1/models", html, None),
    ];
    for (base, line, more, want) in table {
        assert_eq!(asked(&head(line, more), &config(base)), want, "{base} {line} {more}");
    }
    let mut off = config("");
    off.gateway.control_ui.enabled = false;
    assert_eq!(asked(&head("GET /", html), &off), None);
}

fn header<'a>(reply: &'a Reply, name: &str) -> Option<&'a str> {
    reply.headers.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
}

#[test]
fn the_page_may_run_its_own_files_and_talk_to_its_own_host() {
    let reply = index(&head("GET /", ""), "/ui");
    let policy = header(&reply, "Content-Security-Policy").unwrap();
    for part in [
        "default-src 'self';",
        "base-uri 'none';",
        "object-src 'none';",
        "frame-ancestors 'none';",
        "script-src 'self';",
        "style-src 'self';",
    ] {
        assert!(policy.contains(part), "{part}: {policy}");
    }
    assert!(policy.ends_with("connect-src 'self' ws://pi:18789 wss://pi:18789"), "{policy}");
    assert!(!policy.contains("unsafe") && !policy.contains("http"), "{policy}");
    assert_eq!(header(&reply, "X-Frame-Options"), Some("DENY"));
    let text = String::from_utf8(reply.body).unwrap();
    assert!(text.contains("src=\"/ui/assets/app.js\"") && !text.contains("{{"), "{text}");
    assert!(!text.contains("<style") && !text.contains(" style="), "{text}");
    for script in text.split("<script").skip(1) {
        assert!(script.contains("src=\""), "no script stands in the document: {script}");
    }
}

#[test]
fn a_host_that_is_none_does_not_reach_the_policy() {
    for host in ["x;script-src *", "a b", "", "x, y"] {
        let mut server = Server::new();
        server.push(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes());
        let Some(Event::Head(head)) = server.next() else { continue };
        assert_eq!(socket_origins(&head.headers), "", "{host}");
    }
}

#[test]
fn a_known_copy_is_not_sent_again_and_a_new_one_is_packed() {
    let plain = file(&head("GET /", ""), "assets/app.css").unwrap();
    let tag = header(&plain, "ETag").unwrap().to_owned();
    assert_eq!(header(&plain, "Cache-Control"), Some("no-cache"));
    assert_eq!(header(&plain, "Content-Encoding"), None);
    for known in [tag.clone(), format!("W/{tag}"), format!("\"x\", {tag}"), "*".to_owned()] {
        let again = file(&head("GET /", &format!("If-None-Match: {known}\r\n")), "assets/app.css");
        let again = again.unwrap();
        assert_eq!((again.status, again.body.len()), (304, 0), "{known}");
        assert_eq!(header(&again, "ETag"), Some(tag.as_str()));
    }
    let other = file(&head("GET /", "If-None-Match: \"x\"\r\n"), "assets/app.css").unwrap();
    assert_eq!(other.status, 200);
    for (accept, packs) in
        [("gzip, br", true), ("br;q=1, GZIP;q=0.5", true), ("gzip;q=0", false), ("br", false)]
    {
        let head = head("GET /", &format!("Accept-Encoding: {accept}\r\n"));
        let reply = file(&head, "assets/app.css").unwrap();
        assert_eq!(header(&reply, "Content-Encoding").is_some(), packs, "{accept}");
        assert_eq!(reply.body.len() < plain.body.len(), packs, "{accept}");
        assert_eq!(header(&reply, "Vary"), Some("Accept-Encoding"));
    }
    assert!(file(&head("GET /", ""), "assets/nothing.js").is_none());
}
