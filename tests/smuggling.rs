//! Requests that two readers may cut differently, each with a second request hidden behind it.
//!
//! Every case runs against an authenticated POST door and against one for everybody. What is
//! wrong in a head is refused with 400 at both; what is wrong in a body is refused by the door
//! that reads it, and costs the connection at the one that reads it over. Nowhere is the hidden
//! request answered. The same bytes are seeds of `fuzz/corpus/http_second`, where two parsers
//! must agree on them, and go to node's parser in `tests/real/second_parser`.
//!
//! Sources: RFC 9112 sections 2 to 7 and 11.2, llhttp's tests, Http11Probe, and the CVEs of
//! `SECURITY.md` E.

mod common;

use common::http::{Http, TOKEN, ask, get};
use common::provider::config;
use common::{Gateway, Home};
use openclaw_gateway::wire::hash::sha256;
use openclaw_gateway::wire::http::second;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;

/// What a case does.
#[derive(Clone, Copy)]
enum Case {
    /// Header lines and what follows the empty line: wrong in the head.
    Head(&'static str, &'static str),
    /// Header lines and a body: wrong in the body.
    Body(&'static str, &'static str),
    /// The whole head, from its first line.
    Whole(&'static str),
}
use Case::{Body, Head, Whole};

const CHUNKED: &str = "Transfer-Encoding: chunked\r\n";
/// What a reader sees who does not believe in the framing before it.
const ZERO: &str = "0\r\n\r\n";

const CASES: [(&str, Case); 84] = [
    // Two lengths, or one that is none (RFC 9110 section 8.6).
    ("cl-twice-different", Head("Content-Length: 5\r\nContent-Length: 6\r\n", ZERO)),
    ("cl-twice-same", Head("Content-Length: 5\r\nContent-Length: 5\r\n", ZERO)),
    ("cl-list", Head("Content-Length: 5, 5\r\n", ZERO)),
    ("cl-list-different", Head("Content-Length: 5,6\r\n", ZERO)),
    ("cl-plus", Head("Content-Length: +5\r\n", ZERO)),
    ("cl-minus", Head("Content-Length: -5\r\n", ZERO)),
    ("cl-hex", Head("Content-Length: 0x5\r\n", ZERO)),
    ("cl-octal-like-underscore", Head("Content-Length: 0_5\r\n", ZERO)),
    ("cl-empty", Head("Content-Length: \r\n", ZERO)),
    ("cl-spaces-inside", Head("Content-Length: 5 0\r\n", ZERO)),
    ("cl-float", Head("Content-Length: 5.0\r\n", ZERO)),
    ("cl-exponent", Head("Content-Length: 5e0\r\n", ZERO)),
    ("cl-overflow-64", Head("Content-Length: 18446744073709551621\r\n", ZERO)),
    ("cl-overflow-huge", Head("Content-Length: 99999999999999999999999999\r\n", ZERO)),
    ("cl-vertical-tab", Head("Content-Length: \x0b5\r\n", ZERO)),
    ("cl-quoted", Head("Content-Length: \"5\"\r\n", ZERO)),
    ("cl-arabic-digits", Head("Content-Length: \u{665}\r\n", ZERO)),
    // Both framings.
    ("cl-te", Head("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", ZERO)),
    ("te-cl", Head("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", ZERO)),
    ("te-cl-zero", Head("Transfer-Encoding: chunked\r\nContent-Length: 0\r\n", ZERO)),
    ("te-identity-cl", Head("Transfer-Encoding: identity\r\nContent-Length: 5\r\n", ZERO)),
    ("te-empty-cl", Head("Transfer-Encoding: \r\nContent-Length: 5\r\n", ZERO)),
    ("te-upper-name-cl", Head("TRANSFER-ENCODING: chunked\r\nContent-Length: 5\r\n", ZERO)),
    // A coding that is not chunked and nothing else.
    ("te-xchunked", Head("Transfer-Encoding: xchunked\r\n", ZERO)),
    ("te-chunkedx", Head("Transfer-Encoding: chunkedx\r\n", ZERO)),
    ("te-chunked-not-last", Head("Transfer-Encoding: chunked, identity\r\n", ZERO)),
    ("te-identity-chunked", Head("Transfer-Encoding: identity, chunked\r\n", ZERO)),
    ("te-gzip-chunked", Head("Transfer-Encoding: gzip, chunked\r\n", ZERO)),
    ("te-chunked-chunked", Head("Transfer-Encoding: chunked, chunked\r\n", ZERO)),
    ("te-twice", Head("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", ZERO)),
    ("te-twice-x", Head("Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n", ZERO)),
    ("te-trailing-comma", Head("Transfer-Encoding: chunked,\r\n", ZERO)),
    ("te-leading-comma", Head("Transfer-Encoding: ,chunked\r\n", ZERO)),
    ("te-parameter", Head("Transfer-Encoding: chunked;q=1\r\n", ZERO)),
    ("te-quoted", Head("Transfer-Encoding: \"chunked\"\r\n", ZERO)),
    ("te-vertical-tab", Head("Transfer-Encoding: \x0bchunked\r\n", ZERO)),
    ("te-form-feed", Head("Transfer-Encoding: chunked\x0c\r\n", ZERO)),
    ("te-nul", Head("Transfer-Encoding: chunked\0\r\n", ZERO)),
    ("te-nbsp", Head("Transfer-Encoding: \u{a0}chunked\r\n", ZERO)),
    (
        "te-chunked-1.0",
        Whole("POST /P HTTP/1.0\r\nHost: x\r\nA\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ),
    // Names and lines.
    ("space-before-colon-te", Head("Transfer-Encoding : chunked\r\n", ZERO)),
    ("tab-before-colon-te", Head("Transfer-Encoding\t: chunked\r\n", ZERO)),
    ("space-before-colon-cl", Head("Content-Length : 5\r\n", ZERO)),
    ("obs-fold", Head("X-A: 1\r\n Transfer-Encoding: chunked\r\n", ZERO)),
    ("obs-fold-tab", Head("X-A: 1\r\n\tTransfer-Encoding: chunked\r\n", ZERO)),
    ("obs-fold-value", Head("Transfer-Encoding:\r\n chunked\r\n", ZERO)),
    ("obs-fold-first", Whole("POST /P HTTP/1.1\r\n Host: x\r\n\r\n")),
    ("name-nul", Head("X-\0A: 1\r\n", ZERO)),
    ("name-empty", Head(": 1\r\n", ZERO)),
    ("name-high", Head("X-\u{e4}: 1\r\n", ZERO)),
    ("name-brackets", Head("X-(A): 1\r\n", ZERO)),
    ("no-colon", Head("X-A\r\n", ZERO)),
    ("value-nul", Head("X-A: 1\0\r\n", ZERO)),
    ("value-bare-cr", Head("X-A: 1\rTransfer-Encoding: chunked\r\n", ZERO)),
    ("value-bare-lf", Head("X-A: 1\nTransfer-Encoding: chunked\r\n", ZERO)),
    ("value-delete", Head("X-A: \x7f\r\n", ZERO)),
    ("line-cr-cr-lf", Head("X-A: 1\r\r\n", ZERO)),
    ("lf-only", Whole("GET /healthz HTTP/1.1\nHost: x\n\n")),
    ("lf-at-the-end", Whole("GET /healthz HTTP/1.1\r\nHost: x\r\n\n")),
    ("lf-behind-the-first-line", Whole("GET /healthz HTTP/1.1\nHost: x\r\n\r\n")),
    // The first line.
    ("two-spaces", Whole("GET  /healthz HTTP/1.1\r\nHost: x\r\n\r\n")),
    ("tab-for-space", Whole("GET\t/healthz\tHTTP/1.1\r\nHost: x\r\n\r\n")),
    ("space-in-target", Whole("GET /healthz x HTTP/1.1\r\nHost: x\r\n\r\n")),
    ("space-at-line-end", Whole("GET /healthz HTTP/1.1 \r\nHost: x\r\n\r\n")),
    ("nul-in-target", Whole("GET /health\0z HTTP/1.1\r\nHost: x\r\n\r\n")),
    ("version-1.2", Whole("GET /healthz HTTP/1.2\r\nHost: x\r\n\r\n")),
    ("version-1.01", Whole("GET /healthz HTTP/1.01\r\nHost: x\r\n\r\n")),
    ("version-0.9", Whole("GET /healthz\r\n\r\n")),
    ("version-lower-case", Whole("GET /healthz http/1.1\r\nHost: x\r\n\r\n")),
    ("http2-preface", Whole("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")),
    ("no-host", Whole("GET /healthz HTTP/1.1\r\n\r\n")),
    ("two-hosts", Whole("GET /healthz HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n")),
    ("host-with-a-user", Whole("GET /healthz HTTP/1.1\r\nHost: a@x\r\n\r\n")),
    ("host-with-two-ports", Whole("GET /healthz HTTP/1.1\r\nHost: x:1:2\r\n\r\n")),
    ("another-authority", Whole("GET http://a/healthz HTTP/1.1\r\nHost: x\r\n\r\n")),
    ("fragment", Whole("GET /healthz#a HTTP/1.1\r\nHost: x\r\n\r\n")),
    // Chunks (RFC 9112 section 7.1).
    ("chunk-size-0x", Body(CHUNKED, "0x1\r\na\r\n0\r\n\r\n")),
    ("chunk-size-plus", Body(CHUNKED, "+1\r\na\r\n0\r\n\r\n")),
    ("chunk-size-overflow", Body(CHUNKED, "10000000000000001\r\na\r\n0\r\n\r\n")),
    ("chunk-size-space", Body(CHUNKED, "1 \r\na\r\n0\r\n\r\n")),
    ("chunk-size-lf", Body(CHUNKED, "1\na\r\n0\r\n\r\n")),
    ("chunk-extension-lf", Body(CHUNKED, "1;a\nb\r\na\r\n0\r\n\r\n")),
    ("chunk-without-its-end", Body(CHUNKED, "1\r\naX0\r\n\r\n")),
    ("chunk-trailer-fold", Body(CHUNKED, "0\r\nA: 1\r\n Content-Length: 5\r\n\r\n")),
];

/// The bytes of a case at a door, the hidden request behind them.
fn bytes(case: Case, path: &str, token: &str) -> String {
    let bearer = format!("Authorization: Bearer {token}");
    let request = match case {
        Head(lines, rest) | Body(lines, rest) => {
            format!("POST {path} HTTP/1.1\r\nHost: x\r\n{bearer}\r\n{lines}\r\n{rest}")
        }
        Whole(text) => text.replace("/P", path).replace("\r\nA\r\n", &format!("\r\n{bearer}\r\n")),
    };
    format!("{request}{}", get("/v1/models").replace(TOKEN, token))
}

fn start(home: &Home) -> Gateway {
    home.configure(&config(&[], "primary: 'local/echo'", ""));
    home.start("")
}

#[test]
fn nothing_hidden_is_answered() {
    let home = Home::new();
    let gateway = start(&home);
    for (what, case) in CASES {
        for (path, reads_body) in [("/v1/chat/completions", true), ("/healthz", false)] {
            let mut http = Http::connect(gateway.port);
            http.send(bytes(case, path, TOKEN));
            let answer = http.response();
            let over = matches!(case, Body(..)) && !reads_body;
            let status = if over { 405 } else { 400 };
            assert_eq!(answer.status, status, "{what} at {path}: {answer:?}");
            if !over {
                assert_eq!(answer.header("connection"), Some("close"), "{what} at {path}");
            }
            http.ends();
        }
    }
    assert_eq!(ask(gateway.port, get("/v1/models")).status, 200);
}

#[test]
fn nothing_hidden_is_answered_however_the_bytes_are_cut() {
    let home = Home::new();
    let gateway = start(&home);
    for (what, case) in CASES.into_iter().step_by(5) {
        let mut http = Http::connect(gateway.port);
        for byte in bytes(case, "/v1/responses", TOKEN).bytes() {
            http.send([byte]);
        }
        assert_eq!(http.response().status, 400, "{what}");
        http.ends();
    }
}

/// What is allowed is read the one way there is, and the next request follows.
#[test]
fn what_is_allowed_is_cut_where_it_ends() {
    let home = Home::new();
    let gateway = start(&home);
    let post =
        |lines: &str, body: &str| format!("POST /nowhere HTTP/1.1\r\nHost: x\r\n{lines}\r\n{body}");
    for (what, request, status) in [
        ("an empty line before", "\r\nGET /healthz HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), 200),
        ("a length of zeros", post("Content-Length: 0000\r\n", ""), 404),
        ("leading zeros", post("Content-Length: 0005\r\n", "GET /"), 404),
        ("blanks around a length", post("Content-Length: \t 5 \t\r\n", "GET /"), 404),
        (
            "chunked in capitals",
            post("Transfer-Encoding: CHUNKED\r\n", "5\r\nGET /\r\n0\r\n\r\n"),
            404,
        ),
        ("an extension", post(CHUNKED, "5;a=\"b\";c\r\nGET /\r\n0;z\r\n\r\n"), 404),
        ("a size with zeros", post(CHUNKED, "0005\r\nGET /\r\n000\r\n\r\n"), 404),
        ("a framing in the trailers", post(CHUNKED, "0\r\nContent-Length: 50\r\n\r\n"), 404),
        (
            "a body of a GET",
            "GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nGET /".to_owned(),
            200,
        ),
        (
            "its own absolute form",
            "GET http://x/healthz HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
            200,
        ),
    ] {
        let mut http = Http::connect(gateway.port);
        http.send(format!("{request}GET /startupz HTTP/1.1\r\nHost: x\r\n\r\n"));
        assert_eq!(http.response().status, status, "{what}");
        assert_eq!(http.response().json()["status"], "started", "{what}");
    }
}

/// The fuzz corpus and node see the very same bytes. `BLESS=1` writes them.
#[test]
fn every_case_is_a_seed_of_the_differential_run() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/http_second");
    for (what, case) in CASES {
        let want = bytes(case, "/v1/chat/completions", "t");
        let path = dir.join(what);
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&path, &want).expect("the corpus is writable");
        }
        let kept = std::fs::read(&path).unwrap_or_default();
        assert!(kept == want.as_bytes(), "{what}: run with BLESS=1");
        second::fuzz(&kept);
    }
}

/// Where node's parser stops and we go on, and why we keep to our reading.
const EXPLAINED: [(&str, &str); 1] =
    [("HPE_INVALID_METHOD", "it has a list of methods; to us any token is one, answered with 405")];

/// A third opinion: llhttp, by `tests/real/second_parser.mjs`. Whatever we hand over, it reads the
/// same, to the byte; what we refuse and it takes is refused on purpose and harms nobody.
#[test]
fn nodes_parser_agrees_with_whatever_we_accept() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("tests/data/llhttp.json")).expect("kept");
    let kept: Value = serde_json::from_str(&text).expect("JSON");
    let (mut same, mut explained) = (0, BTreeSet::new());
    for (name, theirs) in kept["inputs"].as_object().expect("inputs") {
        // The corpus may have lost an input since.
        let Ok(bytes) = std::fs::read(root.join("fuzz/corpus").join(name)) else { continue };
        let (ours, _) = second::ours(&bytes);
        for (n, our) in ours.iter().enumerate() {
            let digest = sha256(&our.body);
            let hex: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
            let their = &theirs["requests"][n];
            let target = their["target"].as_str().unwrap_or("-");
            let agree = their["method"] == our.method.as_str()
                && target.ends_with(&our.target)
                && their["length"] == our.body.len()
                && their["body"] == hex.as_str();
            if agree {
                same += 1;
                continue;
            }
            let ended = theirs["requests"].as_array().is_some_and(|found| found.len() == n);
            let fault = theirs["fault"].as_str().unwrap_or("-");
            let why = EXPLAINED.iter().find(|(known, _)| ended && *known == fault);
            assert!(
                why.is_some(),
                "{name}, request {n}: {} {}; node: {theirs}",
                our.method,
                our.target
            );
            explained.insert(fault);
            break;
        }
    }
    assert!(same > 100, "{same}");
    assert_eq!(explained.len(), EXPLAINED.len(), "{explained:?}");
    for (what, _) in CASES {
        assert!(kept["inputs"].get(format!("http_second/{what}")).is_some(), "{what} is new");
    }
}
