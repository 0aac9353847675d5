//! A device of a test: a key pair, and connect requests signed with it.

use super::http::TOKEN;
use super::socket::{ALL, Socket, upgrade_request};
use openclaw_gateway::wire::hash::{base64_url_no_pad, hex, sha256};
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};

/// A `Host` that makes a peer none of this machine.
const AFAR: &str = "192.0.2.7";

/// Its key.
pub struct Device {
    pair: Ed25519KeyPair,
    /// `device.id`.
    pub id: String,
    /// `device.publicKey`.
    pub key: String,
}

/// How a refused connect ended.
#[derive(Debug)]
pub struct Refused {
    /// The error.
    pub error: Value,
    /// The close code behind it.
    pub code: Option<u16>,
}

impl Refused {
    /// `details.code`.
    pub fn details(&self) -> &str {
        self.error["details"]["code"].as_str().unwrap_or_default()
    }
}

/// `connect` of a command line, as an operator with every scope that tests use.
pub fn cli() -> Value {
    json!({
        "minProtocol": 4, "maxProtocol": 4, "role": "operator", "scopes": ALL,
        "client": {"id": "cli", "version": "1", "platform": "linux", "mode": "cli"},
        "auth": {"token": TOKEN},
    })
}

/// `connect` of a node.
pub fn node() -> Value {
    let mut params = cli();
    params["role"] = json!("node");
    params["scopes"] = json!([]);
    params["client"]["id"] = json!("node-host");
    params["client"]["mode"] = json!("node");
    params
}

/// Asks by this token of its own, in both fields, as the official client does.
pub fn by_token(mut params: Value, token: &str) -> Value {
    params["auth"] = json!({"token": token, "deviceToken": token});
    params
}

impl Device {
    /// One key a number.
    pub fn new(number: u8) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[number; 32]).expect("a key");
        let key = pair.public_key().as_ref().to_vec();
        Self { pair, id: hex(&sha256(&key)), key: base64_url_no_pad(&key) }
    }

    /// The params with this device in them, signed for a challenge (payload v3).
    pub fn sign(&self, mut params: Value, challenge: &Value) -> Value {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let plain = |value: &Value| text(value).trim().to_ascii_lowercase();
        let scopes: Vec<String> =
            params["scopes"].as_array().into_iter().flatten().map(text).collect();
        let token = ["token", "deviceToken", "bootstrapToken"]
            .into_iter()
            .map(|name| text(&params["auth"][name]))
            .find(|token| !token.is_empty())
            .unwrap_or_default();
        let client = &params["client"];
        let line = format!(
            "v3|{}|{}|{}|{}|{}|{}|{token}|{}|{}|{}",
            self.id,
            text(&client["id"]),
            text(&client["mode"]),
            params["role"].as_str().unwrap_or("operator"),
            scopes.join(","),
            challenge["ts"],
            text(&challenge["nonce"]),
            plain(&client["platform"]),
            plain(&client["deviceFamily"]),
        );
        let signature = base64_url_no_pad(self.pair.sign(line.as_bytes()).as_ref());
        params["device"] = json!({
            "id": self.id, "publicKey": self.key, "signature": signature,
            "signedAt": challenge["ts"], "nonce": challenge["nonce"],
        });
        params
    }

    /// Connects with this `Host` and further header lines; `Err` when refused.
    pub fn try_connect(
        &self,
        port: u16,
        host: &str,
        headers: &str,
        params: &Value,
    ) -> Result<Socket, Box<Refused>> {
        let request = upgrade_request("/", headers);
        let request = request.replace("Host: localhost", &format!("Host: {host}"));
        let mut socket = Socket::upgrade_by(port, &request).expect("101");
        let params = self.sign(params.clone(), &socket.challenge);
        match socket.call("connect", &params) {
            Ok(hello) => {
                assert_eq!(hello["type"], "hello-ok", "{hello}");
                socket.hello = hello;
                Ok(socket)
            }
            Err(error) => {
                let code = socket.closed().0;
                Err(Box::new(Refused { error, code }))
            }
        }
    }

    /// Connects.
    pub fn connect(&self, port: u16, params: &Value) -> Socket {
        match self.try_connect(port, "localhost", "", params) {
            Ok(socket) => socket,
            Err(refused) => panic!("{refused:?}"),
        }
    }

    /// Is refused from afar: by a Host that is no name of this machine.
    pub fn refused_afar(&self, port: u16, params: &Value) -> Refused {
        match self.try_connect(port, AFAR, "", params) {
            Ok(socket) => panic!("let in: {}", socket.hello["auth"]),
            Err(refused) => *refused,
        }
    }

    /// Connects from afar.
    pub fn connect_afar(&self, port: u16, params: &Value) -> Socket {
        match self.try_connect(port, AFAR, "", params) {
            Ok(socket) => socket,
            Err(refused) => panic!("{refused:?}"),
        }
    }

    /// Is refused.
    pub fn refused(&self, port: u16, params: &Value) -> Refused {
        match self.try_connect(port, "localhost", "", params) {
            Ok(socket) => panic!("let in: {}", socket.hello["auth"]),
            Err(refused) => *refused,
        }
    }
}

/// `hello-ok.auth.deviceToken`.
pub fn token_of(socket: &Socket) -> String {
    let token = socket.hello["auth"]["deviceToken"].as_str();
    token.unwrap_or_else(|| panic!("no device token in {}", socket.hello["auth"])).to_owned()
}
