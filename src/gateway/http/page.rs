//! The control page: whether it may be had, its settings for whoever is signed in, and the files
//! of a built page (`gateway.controlUi.root`), which are read here.
//!
//! A file of that folder leaves only when every part of its path is what it seems: no symbolic
//! link below the folder is followed, whatever it points to (CVE-2026-32020). It is sent by
//! slices of [`limits::PAGE_SLICE`], each when there is room for it, so that a client holds no
//! more of our memory with a large file than with a small one; a file that changes meanwhile
//! ends the connection, not the file.

use super::{Doing, Http};
use crate::api::page::{self, Asked, foreign};
use crate::api::{self, Reply};
use crate::auth::limiter::Shown;
use crate::auth::source::Source;
use crate::driver::{ConnId, Effect, Effects, Time};
use crate::gateway::Gateway;
use crate::gateway::socket::Answer;
use crate::limits;
use crate::protocol::NEWEST;
use crate::protocol::operations::find;
use crate::store::{Kind, Stat};
use crate::wire::http::head::{Head, Method};
use crate::wire::http::respond::Framing;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

/// A file that is being sent.
pub(super) struct Slices {
    path: PathBuf,
    stat: Stat,
    sent: u64,
    framing: Framing,
    /// When its reader has taken nothing for too long.
    due: Time,
}

impl Slices {
    /// When its reader has taken nothing for too long.
    pub(super) fn due(&self) -> Time {
        self.due
    }
}

impl Gateway {
    /// Answers for the page.
    pub(super) fn page(
        &mut self,
        id: ConnId,
        asked: Asked,
        source: &Source,
        head: &Head,
        fx: &mut Effects,
    ) {
        let config = self.config.clone();
        let ui = &config.gateway.control_ui;
        let reply = match (asked, &ui.root) {
            (Asked::Config, _) => self.page_settings(source, head),
            (Asked::Index, None) => page::index(head, &ui.base_path),
            (Asked::File(path), None) => page::file(head, &path).unwrap_or_else(page::missing),
            (Asked::Index, Some(root)) => self.foreign_index(root, head, &ui.base_path),
            (Asked::File(path), Some(root)) => match self.foreign_file(root, &path, head) {
                Some((file, coding)) => return self.send_file(id, file, &path, coding, head, fx),
                None => page::missing(),
            },
        };
        self.http_reply(id, &reply, head, fx);
    }

    /// `control-ui-config.json`: what a page is told once it has shown a secret or the token of a
    /// paired device (FACTS.md section 8.2).
    fn page_settings(&mut self, source: &Source, head: &Head) -> Reply {
        if let Err(reply) = self.may_have_settings(source, head) {
            return reply;
        }
        let told = match self.agent_identity(&Map::new()) {
            Ok(Answer::Value(told)) => told,
            _ => Value::Null,
        };
        Reply::json(
            200,
            &json!({
                "basePath": self.config.gateway.control_ui.base_path,
                "assistantName": told["name"],
                "assistantAvatar": told["avatar"],
                "assistantAgentId": self.config.agents.default_agent(),
                "serverVersion": crate::protocol::VERSION,
                "serverBuildId": crate::protocol::VERSION,
                "embedSandbox": "strict",
                "allowExternalEmbedUrls": false,
                "automaticallyFetchFavicons": false,
                "communityInvite": false,
                "terminalEnabled": false,
                "cliAgentsEnabled": false,
                "pluginAssetsRequireAuth": true,
                "pluginFrameGrants": [],
            }),
        )
        .with("Cache-Control", "no-store")
    }

    /// A shared secret, or the token of a paired device: those that a page has.
    fn may_have_settings(&mut self, source: &Source, head: &Head) -> Result<(), Reply> {
        if let Some(token) = head.bearer() {
            self.may_guess(source, Shown::Device, true)
                .map_err(|wait_ms| api::too_many_attempts(head.path(), wait_ms))?;
            if self.devices.admits(token, "operator", &["operator.read"]) {
                self.guessed(source, Shown::Device, Some(true));
                return Ok(());
            }
        }
        let operation = find("agent.identity.get", NEWEST).ok_or_else(page::missing)?;
        self.admit(source, head, operation).map(|_| ())
    }

    /// The document of a built page. A folder without one says so to the operator's browser.
    fn foreign_index(&self, root: &Path, head: &Head, base: &str) -> Reply {
        match self.foreign_document(root) {
            Some(document) => foreign::index(head, &document, base),
            None => {
                log::warn!(target: "gateway", "gateway.controlUi.root has no readable index.html: \
                    {}; remove the key to serve the built-in page", root.display());
                Reply::text(
                    404,
                    "gateway.controlUi.root has no readable index.html; remove the key to serve \
                     the built-in page",
                )
            }
        }
    }

    fn foreign_document(&self, root: &Path) -> Option<String> {
        let (path, stat) = self.below(root, "index.html")?;
        let max = limits::PAGE_INDEX;
        let bytes = self.disk.read_at(&path, 0, max).ok()?;
        (stat.len <= max as u64).then(|| String::from_utf8(bytes).ok())?
    }

    /// The file behind a path of a built page, packed if it lies there packed and the client
    /// takes that.
    fn foreign_file(
        &self,
        root: &Path,
        path: &str,
        head: &Head,
    ) -> Option<((PathBuf, Stat), Option<&'static str>)> {
        let plain = self.below(root, path)?;
        let packed = foreign::packed(&head.headers).find_map(|(coding, suffix)| {
            Some((self.below(root, &format!("{path}{suffix}"))?, Some(coding)))
        });
        Some(packed.unwrap_or((plain, None)))
    }

    /// A regular file below a folder, reached through no symbolic link.
    fn below(&self, root: &Path, path: &str) -> Option<(PathBuf, Stat)> {
        let real = self.disk.canonical(root).ok()?;
        let named = real.join(path);
        let found = self.disk.canonical(&named).ok()?;
        let same = found == named && self.disk.kind(&found).ok()? == Kind::File;
        let stat = self.disk.stat(&found).ok()?;
        same.then_some((found, stat))
    }

    fn send_file(
        &mut self,
        id: ConnId,
        (path, stat): (PathBuf, Stat),
        name: &str,
        coding: Option<&str>,
        head: &Head,
        fx: &mut Effects,
    ) {
        let Some(http) = self.http(id) else { return };
        http.server.skip_body();
        let keep_alive = http.server.keep_alive();
        let hsts = self.config.gateway.hsts.clone();
        let response = foreign::file_head(&head.headers, name, coding).hsts(hsts.as_deref());
        let mut framing = Framing::Close;
        self.send(id, fx, |out| framing = response.stream_head(out, head.http10, keep_alive));
        if head.method == Method::Head {
            return self.file_sent(id, framing, fx);
        }
        let due = self.now.time.after_ms(limits::HTTP_STALL_MS);
        if let Some(http) = self.http(id) {
            http.doing = Doing::File(Box::new(Slices { path, stat, sent: 0, framing, due }));
        }
        self.page_slices(id, fx);
    }

    /// Sends as much of a file as there is room for.
    pub(super) fn page_slices(&mut self, id: ConnId, fx: &mut Effects) {
        let turn = self.turn;
        while let Some(conn) = self.conns.get(id)
            && conn.waiting(turn) <= conn.out_max()
        {
            let Some(Http { doing: Doing::File(slices), .. }) = self.http(id) else { return };
            let (path, stat, sent) = (slices.path.clone(), slices.stat, slices.sent);
            let framing = slices.framing;
            if sent >= stat.len {
                self.send(id, fx, |out| framing.end(out));
                return self.file_sent(id, framing, fx);
            }
            let left = usize::try_from(stat.len - sent).unwrap_or(usize::MAX);
            let same = self.disk.stat(&path).is_ok_and(|now| now == stat);
            let slice = self.disk.read_at(&path, sent, left.min(limits::PAGE_SLICE));
            let Some(slice) = slice.ok().filter(|slice| same && !slice.is_empty()) else {
                fx.push(Effect::Abort { conn: id });
                return self.forget(id, fx);
            };
            self.send(id, fx, |out| framing.write(out, &slice));
            let due = self.now.time.after_ms(limits::HTTP_STALL_MS);
            self.wait_until(id, Some(due));
            if let Some(Http { doing: Doing::File(slices), .. }) = self.http(id) {
                slices.sent += slice.len() as u64;
                slices.due = due;
            }
        }
    }

    fn file_sent(&mut self, id: ConnId, framing: Framing, fx: &mut Effects) {
        self.responded(id, fx);
        if framing == Framing::Close {
            self.close(id, fx);
        }
    }

    /// A client that takes nothing of its file is cut off; true when it was one.
    pub(super) fn page_stuck(&mut self, id: ConnId, fx: &mut Effects) -> bool {
        let Some(Http { doing: Doing::File(_), .. }) = self.http(id) else { return false };
        fx.push(Effect::Abort { conn: id });
        self.forget(id, fx);
        true
    }
}
