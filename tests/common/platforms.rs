//! The fakes of the platforms over real TCP on a thread, for black-box tests.

#![allow(dead_code, reason = "each test binary uses its own part")]

#[path = "../real/fakes.rs"]
mod fakes;

use super::common::{PATIENCE, http};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::mpsc::channel;
use std::time::Instant;

/// The platforms, and how to look at them.
pub struct Fakes {
    /// Ports by name; `control` too.
    pub ports: BTreeMap<&'static str, u16>,
}

impl Fakes {
    /// Starts them.
    pub fn new() -> Self {
        let (told, ports) = channel();
        std::thread::spawn(move || {
            fakes::serve(|ports| told.send(ports.clone()).expect("the test waits"));
        });
        Self { ports: ports.recv_timeout(PATIENCE).expect("ports") }
    }

    /// What it has seen.
    pub fn report(&self, platform: &str) -> Value {
        http::ask(self.ports["control"], http::get(&format!("/{platform}"))).json()
    }

    /// Has it carry out an act; what came of it.
    pub fn act(&self, platform: &str, act: Value) -> Value {
        http::ask(self.ports["control"], http::post(&format!("/{platform}"), &act)).json()
    }

    /// Looks until it holds; no rule of the platform may be broken meanwhile.
    pub fn until(&self, platform: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let end = Instant::now() + PATIENCE;
        loop {
            let report = self.report(platform);
            assert_eq!(report["broken"], json!([]), "{report:#}");
            if holds(&report) {
                return report;
            }
            assert!(Instant::now() < end, "never: {report:#}");
            std::thread::yield_now();
        }
    }

    /// The same of what can be read in the chats.
    pub fn reads(&self, platform: &str, texts: &[&str]) {
        self.until(platform, |report| read(report) == texts);
    }

    /// Looks until the gateway's account is connected.
    pub fn connected(&self, platform: &str) {
        self.until(platform, |report| match platform {
            "telegram" => report["polled"] == true,
            "discord" => report["live"] == 1,
            _ => report["sockets"] == 1,
        });
    }
}

/// Accounts of all three, open to everyone; `keys` of each.
pub fn channels(fakes: &Fakes, keys: &str) -> String {
    let comma = if keys.is_empty() { "" } else { ", " };
    let open = format!("dmPolicy: 'open', allowFrom: ['*'], groupPolicy: 'open'{comma}{keys}");
    let port = |name: &str| fakes.ports[name];
    let channels = format!(
        "telegram: {{botToken: '42:fake-telegram-token', \
         apiRoot: 'http://127.0.0.1:{}', {open}}}, \
         discord: {{token: 'fake-discord-token', \
         apiRoot: 'http://127.0.0.1:{}/api/v10', {open}, guilds: {{'*': {{}}}}}}, \
         slack: {{botToken: 'xoxb-fake-slack-token', appToken: 'xapp-fake-slack-token', \
         apiUrl: 'http://127.0.0.1:{}/api', {open}}}",
        port("telegram"),
        port("discord"),
        port("slack")
    );
    format!("channels: {{{channels}}}")
}

/// What stands in the chats of a platform, in the order in which it was posted.
pub fn read(report: &Value) -> Vec<String> {
    let mut all: Vec<(String, String)> = Vec::new();
    for post in report["posted"].as_array().expect("posts") {
        let of = |key: &str| post[key].as_str().unwrap_or_default().to_owned();
        let (id, text) = (format!("{} {}", of("to"), of("id")), of("text"));
        match of("method").as_str() {
            "sendMessage" | "create" | "chat.postMessage" => all.push((id, text)),
            "editMessageText" | "edit" | "chat.update" => {
                let old = all.iter_mut().find(|(known, _)| *known == id);
                old.expect("a message of ours").1 = text;
            }
            "deleteMessage" | "delete" | "chat.delete" => all.retain(|(known, _)| *known != id),
            _ => {}
        }
    }
    all.into_iter().map(|(_, text)| text).collect()
}
