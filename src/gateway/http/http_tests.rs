use super::super::{Gateway, Host, Setup};
use crate::auth::Credentials;
use crate::config::{AuthMode, Config, Provider, Secret};
use crate::driver::{ConnId, Core, Effect, Effects, Entropy, Input, Now, Time};
use crate::limits;
use crate::store::RealDisk;
use std::rc::Rc;

struct Zero;

impl Entropy for Zero {
    fn fill(&mut self, out: &mut [u8]) {
        out.fill(0);
    }
}

const CONN: ConnId = ConnId { slot: 0, generation: 0 };

/// One client of a gateway that keeps nothing; what it was sent.
struct Client {
    gateway: Gateway,
    fx: Effects,
    now: Now,
}

impl Client {
    fn new() -> Self {
        Self::with(Config::defaults())
    }

    /// With a model behind a provider that never answers: a dial is all that happens.
    fn of_a_silent_provider() -> Self {
        let mut config = Config::defaults();
        let provider =
            Provider { base_url: "http://127.0.0.1:9/v1".to_owned(), ..Provider::default() };
        config.models.providers.insert("p".to_owned(), provider);
        config.agents.defaults.model.primary = Some("p/m".to_owned());
        Self::with(config)
    }

    fn with(config: Config) -> Self {
        let secret = Secret::new("secret".to_owned());
        let host = Host {
            name: "pi".to_owned(),
            address: None,
            platform: "linux",
            pid: 1,
            port: 18789,
            listening: vec![([127, 0, 0, 1], 18_789).into()],
            interfaces: || Some(Vec::new()),
            vitals: || None,
        };
        let nowhere = std::env::temp_dir().join("openclaw-http-tests-keep-nothing");
        let setup = Setup {
            config: Rc::new(config),
            credentials: Credentials::new(AuthMode::Token, Some(secret), None),
            reload: None,
            resolved: Default::default(),
            host,
            log_path: nowhere.join("log"),
            state_dir: nowhere,
            disk: Box::new(RealDisk),
            entropy: Box::new(Zero),
        };
        let now = Now::default();
        let mut gateway = Gateway::new(setup, now).unwrap();
        let mut fx = Effects::new();
        let addr = "127.0.0.1:1".parse().unwrap();
        gateway.on(now, Input::Accepted { conn: CONN, peer: addr, local: addr }, &mut fx);
        Self { gateway, fx, now }
    }

    fn sent(&mut self) -> String {
        let bytes = self.fx.drain().filter_map(|effect| match effect {
            Effect::Send { bytes, .. } => Some(bytes),
            _ => None,
        });
        String::from_utf8(bytes.flatten().collect()).unwrap()
    }

    fn says(&mut self, text: &str) -> String {
        let input = Input::Received { conn: CONN, bytes: text.as_bytes() };
        self.gateway.on(self.now, input, &mut self.fx);
        self.gateway.turn_end(self.now, &mut self.fx);
        self.sent()
    }

    fn waits(&mut self, ms: u64) -> String {
        self.now.time = Time(self.now.time.0).after_ms(ms);
        self.gateway.on(self.now, Input::Wake, &mut self.fx);
        self.sent()
    }
}

#[test]
fn each_pipelined_head_has_its_own_time() {
    let (first, rest) = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n".split_at(10);
    let mut client = Client::new();
    assert_eq!(client.says(first), "");
    for _ in 0..4 {
        // Never idle, never late: half of the next request comes with the rest of this.
        assert_eq!(client.waits(limits::HTTP_HEAD_MS - 1), "");
        let answer = client.says(&format!("{rest}{first}"));
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    let late = client.waits(limits::HTTP_HEAD_MS);
    assert!(late.starts_with("HTTP/1.1 408"), "{late}");
}

#[test]
fn whatever_is_refused_below_v1_is_refused_in_json() {
    let long = format!("X: {}", "x".repeat(limits::HTTP_HEAD));
    let table = [
        ("/v1/models?x", "Host: x\r\nContent-Length: 1\r\nContent-Length: 2", 400, true),
        ("/v1/models", "Accept: */*", 400, true),
        ("/v1/chat/completions", "Host: x\r\nContent-Length: 1\r\nExpect: y", 417, true),
        ("/v1/models", long.as_str(), 431, true),
        ("/healthz", long.as_str(), 431, false),
        ("/v10", "Accept: */*", 400, false),
    ];
    for (path, header, status, json) in table {
        let answer = Client::new().says(&format!("GET {path} HTTP/1.1\r\n{header}\r\n\r\n"));
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{path} {answer}");
        assert_eq!(answer.contains("{\"error\":{"), json, "{path} {answer}");
    }
    let mut client = Client::new();
    client.says("POST /v1/chat/completions HTTP/1.1\r\nHo");
    let late = client.waits(limits::HTTP_HEAD_MS);
    assert!(late.starts_with("HTTP/1.1 408") && late.contains("{\"error\":{"), "{late}");
}

/// A connection that a dial of the gateway came to.
const SERVER: ConnId = ConnId { slot: 1, generation: 0 };

impl Client {
    fn posts(&mut self, path: &str, body: &str) -> Vec<Effect> {
        let length = body.len();
        let text = format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer secret\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        );
        let input = Input::Received { conn: CONN, bytes: text.as_bytes() };
        self.hears(input)
    }

    fn hears(&mut self, input: Input<'_>) -> Vec<Effect> {
        self.gateway.on(self.now, input, &mut self.fx);
        self.gateway.turn_end(self.now, &mut self.fx);
        self.fx.drain().collect()
    }

    /// The server that was dialled answers.
    fn answers(&mut self, effects: &[Effect], answer: &[u8]) -> Vec<Effect> {
        let dial = effects.iter().find_map(|effect| match effect {
            Effect::Dial { dial, .. } => Some(*dial),
            _ => None,
        });
        let dial = dial.unwrap_or_else(|| panic!("a dial: {effects:?}"));
        let asked = self.hears(Input::Dialed { dial, result: Ok(SERVER) });
        assert!(shown(&asked).starts_with("GET "), "{asked:?}");
        self.hears(Input::Received { conn: SERVER, bytes: answer })
    }
}

fn shown(effects: &[Effect]) -> String {
    let bytes = effects.iter().filter_map(|effect| match effect {
        Effect::Send { bytes, .. } => Some(bytes.as_slice()),
        _ => None,
    });
    String::from_utf8_lossy(&bytes.flatten().copied().collect::<Vec<u8>>()).into_owned()
}

const LOOK: &str = r#"{"model": "openclaw", "input": [{"role": "user", "content": [
    {"type": "input_file", "file_url": "http://files.example/a/notes.txt?x"},
    {"type": "input_image", "image_url": "https://images.example/x.png"}]}]}"#;

#[test]
fn what_a_request_names_by_address_is_fetched_first() {
    let mut client = Client::of_a_silent_provider();
    let dialed = client.posts("/v1/responses", LOOK);
    let Some(Effect::Dial { target, .. }) = dialed.first() else { panic!("{dialed:?}") };
    assert_eq!(
        (target.host.as_str(), target.tls, target.public_only),
        ("images.example", true, true)
    );
    let png = b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n\x89PNG\r\n\x1a\n";
    let dialed = client.answers(&dialed, png);
    let text = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello";
    let dialed = client.answers(&dialed, text);
    // Now the model is asked.
    let dial = dialed.iter().find_map(|effect| match effect {
        Effect::Dial { dial, target, .. } if target.host == "127.0.0.1" => Some(*dial),
        _ => None,
    });
    let dial = dial.unwrap_or_else(|| panic!("{dialed:?}"));
    let asked = client.hears(Input::Dialed { dial, result: Ok(SERVER) });
    let asked = shown(&asked);
    assert!(asked.contains("notes.txt") && asked.contains("hello"), "{asked}");
    assert!(asked.contains("data:image/png;base64,iVBORw0KGgo="), "{asked}");
}

#[test]
fn what_cannot_be_fetched_is_told_and_nothing_runs() {
    for (answer, part) in [
        (&b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"[..], "answered with 404"),
        (b"HTTP/1.1 302 Found\r\nLocation: ftp://x/\r\n\r\n", "could not be fetched"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nhi",
            "responses.images.allowedMimes",
        ),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n", ""),
    ] {
        let mut client = Client::of_a_silent_provider();
        let dialed = client.posts("/v1/responses", LOOK);
        let told = client.answers(&dialed, answer);
        if part.is_empty() {
            // Its client leaves: the fetch is let go.
            let left = client.hears(Input::Ended { conn: CONN });
            assert!(left.contains(&Effect::Abort { conn: SERVER }), "{left:?}");
        } else {
            let text = shown(&told);
            assert!(text.starts_with("HTTP/1.1 400") && text.contains(part), "{text}");
        }
        assert_eq!(client.gateway.idle().runs, 0);
        assert_eq!(client.gateway.idle().held, 0, "nothing of the request is kept");
    }
}

#[test]
fn a_silent_stream_pings() {
    for (path, body) in [
        ("/v1/chat/completions", r#"{"stream":true,"messages":[{"role":"user","content":"x"}]}"#),
        ("/v1/responses", r#"{"stream":true,"model":"openclaw","store":false,"input":"x"}"#),
    ] {
        let mut client = Client::of_a_silent_provider();
        let length = body.len();
        let opening = client.says(&format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer secret\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        ));
        assert!(opening.starts_with("HTTP/1.1 200"), "{opening}");
        for _ in 0..3 {
            assert_eq!(client.waits(limits::STREAM_PING_MS - 1), "");
            assert_eq!(client.waits(1), "8\r\n: ping\n\n\r\n");
        }
        assert!(client.waits(limits::PROVIDER_CONNECT_MS).contains(": ping"), "as long as it runs");
    }
    // A whole answer has nothing to say before its head.
    let mut client = Client::of_a_silent_provider();
    let body = r#"{"messages":[{"role":"user","content":"x"}]}"#;
    let length = body.len();
    client.says(&format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer secret\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    ));
    assert_eq!(client.waits(limits::STREAM_PING_MS), "");
}

impl Client {
    /// Time passes; whether the connection has ended by then.
    fn is_gone_after(&mut self, ms: u64) -> bool {
        self.now.time = Time(self.now.time.0).after_ms(ms);
        self.hears(Input::Wake).iter().any(|effect| {
            matches!(effect, Effect::Close { conn } | Effect::Abort { conn } if *conn == CONN)
        })
    }

    /// It says this again and again, a second apart; after how many it is closed.
    fn ends_after(&mut self, piece: &[u8], seconds: u64) -> Option<u64> {
        (1..=seconds).find(|_| {
            let heard = self.hears(Input::Received { conn: CONN, bytes: piece });
            assert!(!heard.contains(&Effect::Abort { conn: CONN }));
            self.is_gone_after(1_000)
        })
    }
}

const KNOWN: &str = "GET /v1/models HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer secret\r\n\r\n";

#[test]
fn no_byte_renews_a_deadline() {
    let mut client = Client::new();
    client.says("GET / HTTP/1.1\r\nX: ");
    let head = limits::HTTP_HEAD_MS / 1000;
    assert_eq!(client.ends_after(b"x", 2 * head), Some(head), "a slow head");

    let mut client = Client::new();
    client.says(
        "POST /v1/responses HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer secret\r\n\
         Content-Length: 1000\r\n\r\n",
    );
    let body = limits::HTTP_BODY_MS / 1000;
    assert_eq!(client.ends_after(b"x", 2 * body), Some(body), "a slow body");

    let mut client = Client::new();
    let refused =
        client.says("POST /v1/responses HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n");
    assert!(refused.starts_with("HTTP/1.1 401"), "{refused}");
    assert_eq!(client.ends_after(b"x", 2 * head), Some(head), "a slow body that was refused");

    let mut client = Client::new();
    let upgraded = client.hears(Input::Received {
        conn: CONN,
        bytes: b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
            Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    });
    assert!(shown(&upgraded).starts_with("HTTP/1.1 101"), "{upgraded:?}");
    let shake = limits::WS_HANDSHAKE_MS / 1000;
    let ping = b"\x89\x80\0\0\0\0";
    assert_eq!(client.ends_after(ping, 2 * shake), Some(shake), "a handshake of pings");
}

#[test]
fn a_refused_body_that_goes_wrong_ends_the_connection_at_once() {
    for rest in ["1\r\nx\r\n".repeat(limits::HTTP_DISCARD / 4), "zz\r\n".to_owned()] {
        let mut client = Client::new();
        let refused = client
            .says("POST /v1/responses HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
        assert!(refused.starts_with("HTTP/1.1 401"), "{refused}");
        let heard = client.hears(Input::Received { conn: CONN, bytes: rest.as_bytes() });
        assert!(heard.contains(&Effect::Close { conn: CONN }), "{heard:?}");
        assert_eq!(client.gateway.idle().conns, 0);
    }
}

#[test]
fn who_has_proved_nothing_is_idle_for_less_long() {
    let mut client = Client::new();
    client.says("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(!client.is_gone_after(limits::STRANGER_IDLE_MS - 1));
    assert!(client.is_gone_after(1));
    let mut client = Client::new();
    assert!(client.says(KNOWN).starts_with("HTTP/1.1 200"));
    assert!(!client.is_gone_after(limits::HTTP_IDLE_MS - 1));
    assert!(client.is_gone_after(1));
}

#[test]
fn who_does_not_read_is_owed_little_and_not_for_ever() {
    // A stranger's further requests wait at much less than a client's.
    for (first, owed, max) in [
        ("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", limits::STRANGER_OUT, 3_000),
        (KNOWN, limits::STREAM_HIGH, 40_000),
    ] {
        let mut client = Client::new();
        client.says(first);
        let many = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n".repeat(max);
        let sent = client.says(&many).len();
        assert!((owed..=owed + 1_024).contains(&sent), "{sent}");
        client.hears(Input::Queued { conn: CONN, bytes: sent });
        assert!(client.is_gone_after(limits::HTTP_HEAD_MS), "it never reads");
        assert_eq!(client.gateway.idle().held, 0);
    }
    // A stream that nobody reads is cut off, and its run with it.
    let mut client = Client::of_a_silent_provider();
    let body = r#"{"stream":true,"messages":[{"role":"user","content":"x"}]}"#;
    client.posts("/v1/chat/completions", body);
    let queued = limits::STREAM_HIGH + 1;
    client.hears(Input::Queued { conn: CONN, bytes: queued });
    let mut waited = 0;
    while !client.is_gone_after(limits::STREAM_PING_MS) {
        waited += limits::STREAM_PING_MS;
        assert!(waited <= limits::HTTP_STALL_MS, "{waited}");
        if waited == 30_000 {
            // It takes a little: the time begins anew.
            client.hears(Input::Queued { conn: CONN, bytes: queued + 1 });
        }
    }
    assert_eq!(client.gateway.idle().runs, 0);
    assert_eq!(client.gateway.idle().conns, 0);
}
