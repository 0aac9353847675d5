//! `device.pair.setupCode`: a code that lets one new device in, and where it shall connect.
//!
//! The code is base64url of `{"url", "bootstrapToken"}`. A code that goes over a wire without
//! TLS can be caught by whoever listens, so it hands administration only to an address with
//! TLS or of this machine; and no code names a public address without TLS at all.

use super::super::Gateway;
use super::super::socket::Answer;
use crate::auth::devices::Access;
use crate::config::{AuthMode, Bind};
use crate::protocol::error::ErrorShape;
use crate::wire::hash::base64_url_no_pad;
use crate::wire::url::Url;
use serde_json::{Map, Value, json};
use std::net::IpAddr;

type Params = Map<String, Value>;

/// How far a WebSocket address may be trusted with a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// TLS, or this very machine.
    Safe,
    /// In clear through a private network.
    Private,
    /// In clear through anything else.
    Open,
}

/// `ws://` or `wss://` of an address that is one, and how safe it is.
fn way(address: &str) -> Result<(String, Way), String> {
    let bad = |why: &str| format!("{address:?} is no address for devices: {why}");
    let (scheme, rest) = address.split_once("://").ok_or_else(|| bad("no ws:// or wss://"))?;
    let tls = match scheme.to_ascii_lowercase().as_str() {
        "ws" | "http" => false,
        "wss" | "https" => true,
        _ => return Err(bad("use ws:// or wss://")),
    };
    let plain = format!("http{}://{rest}", if tls { "s" } else { "" });
    let url = Url::parse(&plain).map_err(|error| bad(&error.to_string()))?;
    let host = url.host.trim_end_matches('.').to_ascii_lowercase();
    let ip = host.parse::<IpAddr>().ok().map(|ip| ip.to_canonical());
    let way = match ip {
        _ if tls => Way::Safe,
        Some(ip) if ip.is_loopback() => Way::Safe,
        None if host == "localhost" => Way::Safe,
        Some(ip) if is_lan(ip) => Way::Private,
        None if host.ends_with(".local") => Way::Private,
        _ => Way::Open,
    };
    Ok((format!("ws{}://{rest}", if tls { "s" } else { "" }), way))
}

/// A private address; one of a carrier (100.64.0.0/10, where Tailscale is) is none.
fn is_lan(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_private() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

impl Gateway {
    /// `device.pair.setupCode`.
    pub(in super::super) fn device_setup_code(
        &mut self,
        params: &Params,
    ) -> Result<Answer, ErrorShape> {
        if params.get("joinUrl").is_some() {
            return Err(ErrorShape::invalid(
                "join URLs are not served; hand the setup code itself to the machine",
            ));
        }
        let (url, source) = self.setup_url(params).map_err(ErrorShape::invalid)?;
        let (url, way) = way(&url).map_err(ErrorShape::invalid)?;
        if way == Way::Open {
            return Err(ErrorShape::invalid(format!(
                "{url} is in clear and not of a private network: whoever listens could use the \
                 code; give a wss:// address (publicUrl or gateway.remote.url)"
            )));
        }
        let asked = match params.get("bootstrapProfile").and_then(Value::as_str) {
            Some("node") => Access::Node,
            Some("limited") => Access::Limited,
            _ => Access::Full,
        };
        let downgraded = asked == Access::Full && way == Way::Private;
        let access = if downgraded { Access::Limited } else { asked };
        let mut random = [0; 32];
        self.entropy.fill(&mut random);
        let token = base64_url_no_pad(&random);
        let setup_id = self.uuid();
        let expires = self.devices.add_setup(setup_id.clone(), &token, access, self.now.wall_ms);
        if let Err(error) = self.save_devices() {
            self.devices.use_setup(&setup_id);
            return Err(ErrorShape::unavailable(format!("the code was not kept: {error}")));
        }
        let code = json!({"url": url, "bootstrapToken": token}).to_string();
        let auth = match self.credentials.mode {
            AuthMode::Password => "password",
            _ => "token",
        };
        let mut answer = json!({
            "setupId": setup_id, "setupCode": base64_url_no_pad(code.as_bytes()),
            "gatewayUrl": url, "auth": auth, "urlSource": source, "access": access.as_str(),
            "expiresAtMs": expires,
        });
        if downgraded {
            answer["accessDowngraded"] = json!(true);
        }
        Ok(Answer::Value(answer))
    }

    /// Where a device shall connect, and whence we know.
    fn setup_url(&self, params: &Params) -> Result<(String, &'static str), String> {
        if let Some(url) = params.get("publicUrl").and_then(Value::as_str) {
            return Ok((url.to_owned(), "publicUrl"));
        }
        let gateway = &self.config.gateway;
        let remote = params.get("preferRemoteUrl").and_then(Value::as_bool).unwrap_or(false);
        if remote {
            let url = gateway.remote.as_ref().map(|remote| remote.url.clone());
            return url
                .map(|url| (url, "gateway.remote.url"))
                .ok_or_else(|| "gateway.remote.url is not set".to_owned());
        }
        let host = match gateway.bind {
            Bind::Custom => gateway.custom_bind_host.clone(),
            Bind::Loopback => None,
            _ => self.host.address.clone(),
        };
        let host = host.ok_or_else(|| {
            "devices cannot reach this gateway: set gateway.bind to lan, or give an address that \
             they reach (openclaw qr --url wss://…)"
                .to_owned()
        })?;
        let host = if host.contains(':') { format!("[{host}]") } else { host };
        Ok((format!("ws://{host}:{}", self.host.port), "gateway.bind"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_goes_in_clear_through_private_networks_only() {
        for (address, want) in [
            ("wss://a.example/ws", Ok(Way::Safe)),
            ("https://a.example", Ok(Way::Safe)),
            ("ws://127.0.0.1:18789", Ok(Way::Safe)),
            ("ws://[::ffff:127.0.0.1]:1", Ok(Way::Safe)),
            ("ws://localhost.:1", Ok(Way::Safe)),
            ("ws://192.168.1.5:18789", Ok(Way::Private)),
            ("ws://box.local", Ok(Way::Private)),
            ("ws://100.64.0.1", Ok(Way::Open)),
            ("ws://a.example", Ok(Way::Open)),
            ("ws://127.evil.com", Ok(Way::Open)),
            ("ws://a.ts.net", Ok(Way::Open)),
            ("ftp://a.example", Err(())),
            ("a.example", Err(())),
            ("ws://", Err(())),
        ] {
            assert_eq!(way(address).map(|(_, way)| way).map_err(|_| ()), want, "{address}");
        }
        assert_eq!(way("HTTPS://a.example/x").map(|(url, _)| url), Ok("wss://a.example/x".into()));
    }
}
