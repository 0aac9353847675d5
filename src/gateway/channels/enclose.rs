//! Files on their way out: where they may come from, and how they survive until they are gone.
//!
//! ```text
//!   path --followed, judged by the roots--+
//!   buffer (base64) ----------------------+--> copy in media/outbound/ --> journal names the copy
//!   https address ------------------------------------------------------> journal has the address
//!                                    piece with its files --> read --> service; over --> removed
//! ```
//!
//! * A path is made absolute and every link in it followed before it is judged; it must then lie
//!   below one of the roots: the agent's workspace, `media` and `canvas` of the state directory,
//!   `openclaw` in the system's temporary directory. What a model or client names may be words of
//!   a stranger, so nothing else leaves, whatever file tools may read.
//! * The copy is durable before the delivery is accepted, so neither a crash nor an edit of the
//!   original changes what is sent.
//! * Bounds: `mediaMaxMb` of the account and [`limits::MEDIA_UPLOAD`], [`limits::CHANNEL_MEDIA`]
//!   files of a message.

use super::super::Gateway;
use super::outbound::Delivery;
use crate::channels::{Attachment, enclosed};
use crate::config::normal;
use crate::limits;
use crate::store::Kind;
use crate::wire::hash::base64_decode;
use crate::wire::sniff;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// A file of a delivery, as the journal has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(in crate::gateway) enum Enclosure {
    /// A public address.
    Url(String),
    /// A copy of ours.
    Kept {
        /// Where it lies.
        path: PathBuf,
        /// Its name for people.
        name: String,
        /// Media type.
        mime: String,
    },
}

/// What of a request is to be sent along.
enum Source {
    Url(String),
    Path(String),
    Bytes { data: String, name: Option<String>, mime: Option<String> },
}

/// Names of parameters that hold one path or address.
const NAMED: [&str; 5] = ["media", "mediaUrl", "path", "filePath", "fileUrl"];

fn text<'a>(params: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    params.get(name).and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty())
}

/// What the parameters of a send name, in order.
fn sources(params: &Map<String, Value>) -> Vec<Source> {
    let place = |text: &str| match text.starts_with("https://") || text.starts_with("http://") {
        true => Source::Url(text.to_owned()),
        false => Source::Path(text.to_owned()),
    };
    let one = |params: &Map<String, Value>| -> Option<Source> {
        let mime = text(params, "contentType").or(text(params, "mimeType")).map(str::to_owned);
        let name = text(params, "filename").or(text(params, "name")).map(str::to_owned);
        if let Some(buffer) = text(params, "buffer") {
            let (told, data) = match buffer.strip_prefix("data:").and_then(|it| it.split_once(','))
            {
                Some((head, data)) => (head.strip_suffix(";base64").map(str::to_owned), data),
                None => (None, buffer),
            };
            let mime = mime.or(told).filter(|mime| !mime.is_empty());
            return Some(Source::Bytes { data: data.to_owned(), name, mime });
        }
        NAMED.iter().find_map(|name| text(params, name)).map(place)
    };
    let mut all: Vec<Source> = one(params).into_iter().collect();
    let urls = params.get("mediaUrls").and_then(Value::as_array);
    all.extend(urls.into_iter().flatten().filter_map(Value::as_str).map(place));
    let more = params.get("attachments").and_then(Value::as_array);
    all.extend(more.into_iter().flatten().filter_map(Value::as_object).filter_map(one));
    all
}

/// A name as it may stand in a file's name and in a header.
fn clean(name: &str) -> String {
    let odd = |c: char| c.is_control() || "/\\\"<>:|?*".contains(c);
    let name: String = name.chars().map(|c| if odd(c) { '_' } else { c }).take(120).collect();
    let name = name.trim_matches([' ', '.']).to_owned();
    if name.is_empty() { "file".to_owned() } else { name }
}

impl Gateway {
    fn outbound_dir(&self) -> PathBuf {
        self.state_dir.join("media").join("outbound")
    }

    /// Directories from which an agent's files may leave.
    fn media_roots(&self, agent: &str) -> Vec<PathBuf> {
        let temp = self.config.env.get("TMPDIR").filter(|dir| dir.starts_with('/'));
        vec![
            self.config.agents.workspace(agent, &self.state_dir),
            self.state_dir.join("media"),
            self.state_dir.join("canvas"),
            Path::new(temp.unwrap_or("/tmp")).join("openclaw"),
        ]
    }

    /// A path as somebody wrote it: the file that it means, links followed.
    ///
    /// # Errors
    /// That it is none, or lies outside the roots; the text names them.
    fn local_media(&self, agent: &str, said: &str) -> Result<PathBuf, String> {
        let roots = self.media_roots(agent);
        let written = said.strip_prefix("file://").unwrap_or(said);
        let full = match (written.strip_prefix("~/"), written.strip_prefix("media://")) {
            (Some(rest), _) => self.config.home.join(rest),
            (_, Some(rest)) => self.state_dir.join("media").join(rest),
            _ => roots.first().map(|workspace| workspace.join(written)).unwrap_or_default(),
        };
        let full = normal(&full);
        let shown: String = said.chars().filter(|c| !c.is_control()).take(200).collect();
        let outside = || {
            let names: Vec<String> = roots.iter().map(|root| root.display().to_string()).collect();
            format!(
                "{shown} is not below a directory from which files may be sent ({}): copy it there",
                names.join(", ")
            )
        };
        let below = |path: &Path, canonical: bool| {
            roots.iter().any(|root| {
                let real = self.disk.canonical(root).ok().filter(|_| canonical);
                path.starts_with(real.as_deref().unwrap_or(root))
            })
        };
        // What is outside by its text alone is not even looked at.
        let real = match self.disk.canonical(&full) {
            Ok(real) if below(&real, true) => real,
            Ok(_) => return Err(outside()),
            Err(_) if !below(&full, false) && !below(&full, true) => return Err(outside()),
            Err(error) => return Err(format!("{shown}: {error}")),
        };
        match self.disk.kind(&real) {
            Ok(Kind::File) => Ok(real),
            Ok(_) => Err(format!("{shown} is not a regular file")),
            Err(error) => Err(format!("{shown}: {error}")),
        }
    }

    /// Puts the files that a request names into its delivery.
    ///
    /// # Errors
    /// What is wrong with one of them; nothing is kept then.
    pub(super) fn enclose(
        &mut self,
        delivery: &mut Delivery,
        params: &Map<String, Value>,
        agent: &str,
    ) -> Result<(), String> {
        delivery.voice |= params.get("asVoice") == Some(&Value::Bool(true));
        delivery.as_file |= params.get("asDocument") == Some(&Value::Bool(true));
        if self.channels.outbox.knows(&delivery.id) {
            // It was accepted before, with its files.
            return Ok(());
        }
        for source in sources(params) {
            if delivery.media.len() >= limits::CHANNEL_MEDIA {
                self.let_go_of(&delivery.media);
                return Err(format!("a message has at most {} files", limits::CHANNEL_MEDIA));
            }
            match self.enclosed(source, delivery, agent) {
                Ok(one) => delivery.media.push(one),
                Err(why) => {
                    self.let_go_of(&delivery.media);
                    return Err(why);
                }
            }
        }
        self.without_files(delivery)
    }

    /// A channel without files: addresses become words.
    fn without_files(&mut self, delivery: &mut Delivery) -> Result<(), String> {
        let kind = crate::channels::find(&delivery.channel);
        if kind.is_some_and(|kind| kind.caps.media) {
            return Ok(());
        }
        let media = std::mem::take(&mut delivery.media);
        self.let_go_of(&media);
        for one in media {
            let Enclosure::Url(url) = one else {
                return Err(format!(
                    "{} takes no files: put it where people can fetch it and send the address",
                    kind.map_or(delivery.channel.as_str(), |kind| kind.label)
                ));
            };
            let gap = if delivery.text.is_empty() { "" } else { "\n" };
            delivery.text.push_str(&format!("{gap}{url}"));
        }
        Ok(())
    }

    fn enclosed(
        &mut self,
        source: Source,
        delivery: &Delivery,
        agent: &str,
    ) -> Result<Enclosure, String> {
        let live = self.channels.find(&delivery.channel, &delivery.account);
        let own = live.map_or(limits::MEDIA_UPLOAD, |live| self.media_bytes(live));
        let most = own.min(limits::MEDIA_UPLOAD);
        let fits = |name: &str, bytes: u64| match bytes {
            0 => Err(format!("{name} is empty")),
            _ if bytes > most => Err(format!(
                "{name} has {}, and {} are sent at most (mediaMaxMb, and this gateway's own bound)",
                super::media::megabytes(bytes),
                super::media::megabytes(most)
            )),
            _ => Ok(()),
        };
        let (bytes, name, told) = match source {
            Source::Url(url) => return Ok(Enclosure::Url(url)),
            Source::Path(said) => {
                let path = self.local_media(agent, &said)?;
                let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
                let name = name.unwrap_or_default();
                let len = self.disk.stat(&path).map_err(|error| format!("{said}: {error}"))?.len;
                fits(&name, len)?;
                // No more than was judged, whatever it grows to meanwhile.
                let len = usize::try_from(len).unwrap_or(usize::MAX);
                let bytes = self.disk.read_at(&path, 0, len);
                (bytes.map_err(|error| format!("{said}: {error}"))?, Some(name), None)
            }
            Source::Bytes { data, name, mime } => {
                let about = (data.len() / 4 * 3) as u64;
                let shown = name.clone().unwrap_or_else(|| "buffer".to_owned());
                fits(&shown, about.saturating_sub(2).max(u64::from(!data.is_empty())))?;
                let bytes = base64_decode(&data);
                let bytes = bytes.ok_or_else(|| format!("{shown}: the buffer is no base64"))?;
                (bytes, name, mime)
            }
        };
        let head = bytes.get(..sniff::HEAD).unwrap_or(&bytes);
        let mime = sniff::judge(head, name.as_deref(), told.as_deref());
        let end = sniff::ending(&mime);
        let name = clean(&name.unwrap_or_else(|| format!("file.{end}")));
        let path = self.outbound_dir().join(format!("{}.{end}", self.uuid()));
        let written = self.disk.replace(&path, &bytes);
        written.map_err(|error| format!("{name} could not be kept: {error}"))?;
        Ok(Enclosure::Kept { path, name, mime })
    }

    /// Takes the files out of an answer's text. What cannot be sent is said in its place.
    pub(super) fn enclose_answer(&mut self, delivery: &mut Delivery, agent: &str) {
        let split = enclosed::split(&delivery.text);
        delivery.text = split.text;
        delivery.voice |= split.voice;
        if self.channels.outbox.knows(&delivery.id) {
            return;
        }
        for said in split.media {
            let source = match said.starts_with("https://") {
                true => Source::Url(said.clone()),
                false => Source::Path(said.clone()),
            };
            let full = delivery.media.len() >= limits::CHANNEL_MEDIA;
            let one = match full {
                true => Err(format!("a message has at most {} files", limits::CHANNEL_MEDIA)),
                false => self.enclosed(source, delivery, agent),
            };
            match one {
                Ok(one) => delivery.media.push(one),
                Err(why) => self.not_sent(delivery, &why),
            }
        }
        if let Err(why) = self.without_files(delivery) {
            self.not_sent(delivery, &why);
        }
    }

    /// The reader hears that a file is missing; why stands in the log, since it names paths.
    fn not_sent(&self, delivery: &mut Delivery, why: &str) {
        let line = crate::wire::text::escape_log(&format!("a file was not sent: {why}"), 600);
        super::speak::say(log::Level::Warn, &delivery.channel, &delivery.account, &line);
        let gap = if delivery.text.is_empty() { "" } else { "\n\n" };
        delivery.text.push_str(&format!("{gap}⚠️ A file could not be sent (see openclaw logs)."));
    }

    /// Copies that nobody needs any more.
    pub(super) fn let_go_of(&mut self, media: &[Enclosure]) {
        for one in media {
            if let Enclosure::Kept { path, .. } = one {
                let _ = self.disk.remove(path);
            }
        }
    }

    /// Copies that neither a delivery nor a dead letter names: an earlier life died before one was
    /// accepted, or the letter was dismissed.
    pub(super) fn sweep_outbound(&mut self) {
        let dir = self.outbound_dir();
        let names = self.disk.list(&dir).unwrap_or_default();
        if names.is_empty() {
            return;
        }
        // Letters that cannot be read may name any of them.
        let Ok(letters) = self.channels.dead.all(self.disk.as_ref()) else { return };
        let mut wanted = self.channels.outbox.enclosures();
        for letter in letters {
            let media = letter.payload.get("media").cloned().unwrap_or_default();
            let media: Vec<Enclosure> = serde_json::from_value(media).unwrap_or_default();
            wanted.extend(media.into_iter().filter_map(Enclosure::into_path));
        }
        for name in names {
            let path = dir.join(name);
            if !wanted.contains(&path) {
                let _ = self.disk.remove(&path);
            }
        }
    }
}

impl Enclosure {
    /// Where the copy lies, if it is one.
    pub(super) fn into_path(self) -> Option<PathBuf> {
        match self {
            Self::Kept { path, .. } => Some(path),
            Self::Url(_) => None,
        }
    }

    /// What the account gets.
    ///
    /// # Errors
    /// That the copy is gone.
    pub(super) fn attachment(
        &self,
        disk: &dyn crate::store::Disk,
        (as_file, voice): (bool, bool),
    ) -> Result<Attachment, String> {
        match self {
            Self::Url(url) => {
                let path = url.split(['?', '#']).next().unwrap_or_default();
                let name = path.rsplit('/').next().unwrap_or_default().to_owned();
                let mime = sniff::by_name(&name).unwrap_or("application/octet-stream").to_owned();
                Ok(Attachment { url: Some(url.clone()), bytes: None, mime, name, as_file, voice })
            }
            Self::Kept { path, name, mime } => {
                let bytes = disk.read(path).map_err(|error| format!("{name} is gone: {error}"))?;
                Ok(Attachment {
                    url: None,
                    bytes: Some(Rc::new(bytes)),
                    mime: mime.clone(),
                    name: name.clone(),
                    as_file,
                    voice,
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_request_names_files_in_many_ways() {
        let told = |params: Value| -> Vec<String> {
            let all = sources(params.as_object().expect("an object"));
            all.into_iter()
                .map(|source| match source {
                    Source::Url(url) => format!("url {url}"),
                    Source::Path(path) => format!("path {path}"),
                    Source::Bytes { data, name, mime } => format!("{data} {name:?} {mime:?}"),
                })
                .collect()
        };
        assert_eq!(told(json!({"message": "x"})), [""; 0]);
        assert_eq!(
            told(json!({"media": "./a.png", "mediaUrls": ["https://e/b", "/c"]})),
            ["path ./a.png", "url https://e/b", "path /c"]
        );
        assert_eq!(
            told(json!({"buffer": "data:image/png;base64,AAAA", "filename": "a"})),
            ["AAAA Some(\"a\") Some(\"image/png\")"]
        );
        assert_eq!(
            told(json!({"buffer": "data:image/png;base64,AA==", "mimeType": "x/z",
                "contentType": "x/y"})),
            ["AA== None Some(\"x/y\")"]
        );
        assert_eq!(
            told(json!({"attachments": [{"media": "a"}, {"type": "image"}, {"path": "b"}]})),
            ["path a", "path b"]
        );
    }

    #[test]
    fn names_are_harmless_and_paths_normal() {
        assert_eq!(clean("../../etc/pass\"wd\n"), "_.._etc_pass_wd_");
        assert_eq!((clean("").as_str(), clean("...").as_str()), ("file", "file"));
        assert_eq!(normal(Path::new("/a/./b/../../c")), Path::new("/c"));
        assert_eq!(normal(Path::new("/../../x")), Path::new("/x"));
    }

    #[test]
    fn a_file_that_is_sent_has_so_many_bytes_whatever_the_account_says() {
        use crate::gateway::fuzz::{Memory, boot_with, parse};
        use crate::store::Disk;
        let disk = Memory::default();
        let config = "{gateway: {mode: 'local', auth: {mode: 'none'}}, channels: {telegram: \
             {botToken: '123456:ABCDEFGHIJ', apiRoot: 'http://bot.test', mediaMaxMb: 50}}}";
        let now = crate::driver::Now { time: crate::driver::Time(1), wall_ms: 1 };
        let mut gateway = boot_with(parse(config), crate::config::AuthMode::None, &disk, now);
        let delivery = Delivery { channel: "telegram".into(), ..Delivery::default() };
        let mut sent = |bytes: u64| {
            let place = Path::new("/state/media/out.bin");
            let bytes = vec![b'x'; usize::try_from(bytes).expect("a size")];
            disk.clone().replace(place, &bytes).expect("written");
            gateway.enclosed(Source::Path("media://out.bin".into()), &delivery, "main")
        };
        let kept = sent(limits::MEDIA_UPLOAD);
        assert!(matches!(kept, Ok(Enclosure::Kept { .. })), "{kept:?}");
        let error = sent(limits::MEDIA_UPLOAD + 1).expect_err("too large");
        assert!(error.contains("out.bin has") && error.contains("mediaMaxMb"), "{error}");
        assert!(sent(0).expect_err("nothing").contains("out.bin is empty"));
    }

    #[test]
    fn a_journal_of_an_older_build_is_read() {
        let old: Vec<Enclosure> = serde_json::from_value(json!(["https://e/a.png"])).expect("old");
        assert_eq!(old, [Enclosure::Url("https://e/a.png".to_owned())]);
        let new = Enclosure::Kept { path: "/x".into(), name: "a".into(), mime: "b/c".into() };
        let value = serde_json::to_value(&new).expect("JSON");
        assert_eq!(serde_json::from_value::<Enclosure>(value).expect("again"), new);
    }
}
