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
            interfaces: || Some(Vec::new()),
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
