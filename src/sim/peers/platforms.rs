//! Which fake stands behind which name: the Internet of chat platforms, as a world dials it.

use super::Peer;
use super::discord::Discord;
use super::fake::{Session, Shared, Ticker};
use super::irc::Irc;
use super::slack::Slack;
use super::telegram::Telegram;
use crate::driver::Target;
use crate::sim::rng::Rng;
use std::cell::RefCell;
use std::rc::Rc;

/// Tokens of the bots, as a configuration names them.
pub const TELEGRAM_TOKEN: &str = "42:fake-telegram-token";
/// Of Discord's bot.
pub const DISCORD_TOKEN: &str = "fake-discord-token";
/// Of Slack's bot, and of its app.
pub const SLACK_TOKENS: (&str, &str) = ("xoxb-fake-slack-token", "xapp-fake-slack-token");
/// What Slack signs events with.
pub const SLACK_SECRET: &str = "fake-signing-secret";

/// Where the IRC server is.
pub const IRC_HOST: &str = "irc.example.org";
/// What it, or its services, know our bot by.
pub const IRC_PASSWORD: &str = "fake-irc-password";

/// One fake of each platform; a scenario keeps its handles for acts and for what was posted.
pub struct Platforms {
    /// `api.telegram.org`.
    pub telegram: Rc<RefCell<Telegram>>,
    /// `discord.com`, its gateways and its files.
    pub discord: Rc<RefCell<Discord>>,
    /// `slack.com`, its sockets and its files.
    pub slack: Rc<RefCell<Slack>>,
    /// [`IRC_HOST`].
    pub irc: Rc<RefCell<Irc>>,
}

impl Platforms {
    /// Fresh ones; `wall_zero_ms` is Unix time at time zero
    /// ([`EPOCH_MS`](crate::sim::net::EPOCH_MS) in a world).
    pub fn new(rng: &mut Rng, wall_zero_ms: u64) -> Self {
        let telegram = Telegram::new(rng.fork(), TELEGRAM_TOKEN, wall_zero_ms);
        let discord = Discord::new(rng.fork(), DISCORD_TOKEN, wall_zero_ms);
        let slack = Slack::new(rng.fork(), SLACK_TOKENS, SLACK_SECRET, wall_zero_ms);
        Self {
            telegram: Rc::new(RefCell::new(telegram)),
            discord: Rc::new(RefCell::new(discord)),
            slack: Rc::new(RefCell::new(slack)),
            // What it is like is the first act of whoever needs one.
            irc: Rc::new(RefCell::new(Irc::new(wall_zero_ms))),
        }
    }

    fn of(&self, host: &str) -> Option<Shared> {
        match host {
            "api.telegram.org" => Some(self.telegram.clone()),
            "discord.com" | "cdn.discordapp.com" => Some(self.discord.clone()),
            gateway if gateway.ends_with(".discord.gg") => Some(self.discord.clone()),
            "slack.com" | "wss-primary.slack.com" | "files.slack.com" => Some(self.slack.clone()),
            _ => None,
        }
    }

    /// The server behind a dial; `None` when the name is none of theirs.
    pub fn dial(&self, target: &Target) -> Option<Box<dyn Peer>> {
        if target.host == IRC_HOST {
            return Some(Box::new(Session::plain(self.irc.clone())));
        }
        let fake = self.of(&target.host)?;
        Some(Box::new(Session::new(fake)))
    }

    /// Their clocks, for [`Net::attend`](crate::sim::net::Net::attend); not that of the IRC
    /// server, which most worlds have no use for.
    pub fn clocks(&self) -> Vec<Box<dyn Peer>> {
        let fakes: [Shared; 3] = [self.telegram.clone(), self.discord.clone(), self.slack.clone()];
        fakes.into_iter().map(|fake| Box::new(Ticker::new(fake)) as Box<dyn Peer>).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_to_platforms() {
        let platforms = Platforms::new(&mut Rng::new(1), 0);
        let dial = |host: &str| {
            let host = host.to_owned();
            let target = Target { host, port: 443, tls: true, public_only: false, proxy: None };
            platforms.dial(&target).is_some()
        };
        for host in ["api.telegram.org", "discord.com", "gateway.discord.gg", "slack.com", IRC_HOST]
        {
            assert!(dial(host), "{host}");
        }
        assert!(!dial("example.com"));
    }
}
