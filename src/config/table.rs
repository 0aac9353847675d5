//! The table of configuration keys: one row a key, read by validation, reload planning,
//! redaction and `config.schema.lookup`.
//!
//! A pattern is the key path with `*` for the keys of a map and `[]` for the elements of an
//! array. A row says what may stand there, what an edit of it costs, whether it is a secret, and
//! what this gateway does with it. A key of the reference that has no row does not exist for us
//! and is refused as unknown, so a misspelt key is never taken for an accepted one.
//!
//! A channel has the rows of `channels.*` beside its own, and an account those of its channel.
//!
//! Sections that belong to doors we have not built (plugins, media, ...) are one row of kind
//! [`Kind::Open`]: what they grant or forbid concerns senders and tools that cannot reach us, so
//! they are accepted as a whole with one warning. Sections about what runs do or
//! who may call (`tools.exec`, `sandbox`, `approvals`, `security`, `gateway.nodes`, ...) are
//! [`Status::Security`]: an operator who wrote them counts on them, so they refuse the start
//! until they are acted on, unless they say what we do anyway.

use crate::wire::json5::Step;

mod help;
mod keys;
mod reasons;

pub use keys::KEYS;

/// What may stand at a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An object with the keys that the table lists below this one.
    Object,
    /// An object with any key; the values are described by the row that ends in `*`.
    Map,
    /// An array; its elements are described by the row that ends in `[]`.
    List,
    /// Anything at all.
    Open,
    /// A string.
    Text,
    /// A string that is not empty.
    Name,
    /// An array of strings.
    Texts,
    /// An array of ids: strings, or whole numbers.
    Ids,
    /// An array of strings, each one of these.
    WordList(&'static [&'static str]),
    /// One of these strings.
    Words(&'static [&'static str]),
    /// `true` or `false`.
    Bool,
    /// A whole number within these bounds.
    Integer(u64, u64),
    /// A number of at least 0.
    Number,
    /// A credential: a string, or a SecretRef object.
    Secret,
    /// `"provider/model"`, or `{ primary, fallbacks }`.
    Model,
    /// `{ allow, alsoAllow, deny }`: names of tools.
    Tools,
    /// An `http://` or `https://` address.
    HttpUrl,
    /// A `ws://` or `wss://` address.
    WsUrl,
    /// An IPv4 address literal.
    Ipv4,
    /// A browser origin, `scheme://host[:port]`, or `*`, in an array.
    Origins,
    /// SHA-256 of a certificate in hexadecimal, with or without colons, or an empty string.
    Fingerprint,
    /// The value of an HTTP header in visible ASCII and spaces, or `false` for none.
    HeaderOrFalse,
}

/// What an edit of the key needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reload {
    /// Taken over at once.
    Live,
    /// The channel it belongs to connects anew, or the one account of it; the others go on.
    Channel,
    /// A new listener opens before the old one closes.
    Rebind,
    /// The process starts anew when its runs are done.
    Restart,
}

/// What this gateway does with the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It has its documented effect.
    Acted,
    /// It belongs to the reference and has no effect here yet: one warning.
    Accepted,
    /// It would weaken or tighten security and has no effect here yet: refused, unless its JSON
    /// is one of these, which say what we do anyway.
    Security(&'static [&'static str]),
    /// It has another name now, which `Key::advice` says: refused, and mended by
    /// `openclaw doctor --fix`.
    Moved,
}

/// One row.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// The key path with `*` and `[]`.
    pub pattern: &'static str,
    /// What may stand there.
    pub kind: Kind,
    /// What an edit needs.
    pub reload: Reload,
    /// Never shown. True for the whole subtree.
    pub secret: bool,
    /// What we do with it.
    pub status: Status,
    /// Its absence is an error where its parent is present.
    pub required: bool,
    /// What to write or do instead, for a refusal or a warning.
    pub advice: &'static str,
}

impl Key {
    const fn new(pattern: &'static str, kind: Kind) -> Self {
        let secret = matches!(kind, Kind::Secret);
        Self {
            pattern,
            kind,
            reload: Reload::Live,
            secret,
            status: Status::Acted,
            required: false,
            advice: "",
        }
    }

    const fn channel(mut self) -> Self {
        self.reload = Reload::Channel;
        self
    }

    const fn rebind(mut self) -> Self {
        self.reload = Reload::Rebind;
        self
    }

    const fn restart(mut self) -> Self {
        self.reload = Reload::Restart;
        self
    }

    const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    const fn advice(mut self, advice: &'static str) -> Self {
        self.advice = advice;
        self
    }

    /// Not acted on yet, harmless.
    const fn later(mut self) -> Self {
        self.status = Status::Accepted;
        self
    }

    /// Not acted on yet, and not harmless unless it is one of these.
    const fn only(mut self, harmless: &'static [&'static str]) -> Self {
        self.status = Status::Security(harmless);
        self
    }

    /// Stands somewhere else now, seen from where its parent stands.
    const fn moved(mut self, to: &'static str) -> Self {
        self.status = Status::Moved;
        self.advice = to;
        self
    }

    /// Why it is not acted on, or what to do instead; empty for a key that is.
    pub fn reason(&self) -> &'static str {
        match self.status {
            Status::Acted => "",
            _ if !self.advice.is_empty() => self.advice,
            Status::Moved => "openclaw doctor --fix gives it its new name",
            Status::Accepted | Status::Security(_) => reasons::of(self.pattern),
        }
    }

    /// What it does, or the advice of its row; empty where neither says more than its name.
    pub fn help(&self) -> &'static str {
        if self.advice.is_empty() { help::of(self.pattern) } else { self.advice }
    }

    /// The last part of the pattern: a key, `*` or `[]`.
    pub fn name(&self) -> &'static str {
        if self.pattern.ends_with("[]") {
            return "[]";
        }
        self.pattern.rsplit('.').next().unwrap_or(self.pattern)
    }
}

/// The part of `pattern` below `parent`, when it is exactly one step.
fn below(pattern: &'static str, parent: &str) -> Option<&'static str> {
    let rest = if parent.is_empty() {
        pattern
    } else {
        let rest = pattern.strip_prefix(parent)?;
        if rest == "[]" {
            return Some(rest);
        }
        rest.strip_prefix('.')?
    };
    (!rest.is_empty() && !rest.contains(['.', '['])).then_some(rest)
}

/// The rows one step below a pattern (`""` for the root).
pub fn children(parent: &str) -> impl Iterator<Item = &'static Key> {
    let (home, common) = (home(parent), common(parent));
    let named = move |name: &str| KEYS.iter().any(|key| is_child(key.pattern, home, name));
    let own = KEYS.iter().filter(move |key| {
        below(key.pattern, home).is_some() && (home == parent || !is_of_channel(key.name()))
    });
    let shared = KEYS.iter().filter(move |key| {
        common.is_some_and(|common| below(key.pattern, common).is_some())
            && key.name() != "*"
            && !named(key.name())
            && (home == parent || !is_of_channel(key.name()))
    });
    own.chain(shared)
}

/// Where the rows of a pattern stand: an account has the keys of its channel.
fn home(parent: &str) -> &str {
    parent.strip_suffix(".accounts.*").filter(|it| it.starts_with("channels.")).unwrap_or(parent)
}

/// What an account does not have of its channel.
fn is_of_channel(name: &str) -> bool {
    matches!(name, "accounts" | "defaultAccount")
}

/// Where the rows stand that a channel shares with the others.
fn common(parent: &str) -> Option<&'static str> {
    let id = home(parent).strip_prefix("channels.")?;
    let is_one = !id.contains('.') && !matches!(id, "*" | "defaults" | "modelByChannel");
    is_one.then_some("channels.*")
}

/// The row of an object's key: the one that names it, else the map's.
pub fn member(parent: &str, name: &str) -> Option<&'static Key> {
    // A name with punctuation of patterns must not pass for a path (`"auth.token"` in `gateway`).
    let plain = !name.contains(['.', '[', '*']);
    let home = home(parent);
    if home != parent && is_of_channel(name) {
        return None;
    }
    let find = |parent: &str, name: &str| {
        plain.then(|| KEYS.iter().find(|key| is_child(key.pattern, parent, name))).flatten()
    };
    find(home, name)
        .or_else(|| find(common(parent)?, name))
        .or_else(|| KEYS.iter().find(|key| is_child(key.pattern, home, "*")))
}

/// True when `pattern` is `parent.name`; lengths first, for this runs for every key of a file.
fn is_child(pattern: &str, parent: &str, name: &str) -> bool {
    if parent.is_empty() {
        return pattern == name;
    }
    pattern.len() == parent.len() + 1 + name.len()
        && pattern.as_bytes().get(parent.len()) == Some(&b'.')
        && pattern.starts_with(parent)
        && pattern.ends_with(name)
}

/// The row of an array's elements.
pub fn element(parent: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.pattern.strip_suffix("[]") == Some(parent))
}

/// The row that rules a path: its own, or that of the nearest part above it which stands for
/// all below. `None` for a path that does not exist.
pub fn lookup(path: &[Step]) -> Option<&'static Key> {
    let mut found: Option<&'static Key> = None;
    for step in path {
        let parent = found.map_or("", |key| key.pattern);
        let next = match step {
            Step::Key(name) => member(parent, name),
            Step::Index(_) => element(parent),
        };
        match (next, found) {
            (Some(key), _) => found = Some(key),
            (None, Some(above)) if !matches!(above.kind, Kind::Object) => return Some(above),
            (None, _) => return None,
        }
    }
    found
}

/// The row that rules a pattern, as [`lookup`] does for a path.
pub fn row(pattern: &str) -> Option<&'static Key> {
    let known = |part: &str| KEYS.iter().find(|key| key.pattern == part);
    let mut part = pattern;
    loop {
        if let Some(key) = known(part) {
            return Some(key);
        }
        part = part.get(..part.rfind(['.', '['])?)?;
    }
}

/// Every key that has no effect here: its pattern, what happens to it, and why. What holds for
/// `agents.entries.*` holds for `agents.list[]` and is listed once.
pub fn without_effect() -> impl Iterator<Item = (&'static str, String, &'static str)> {
    let twin = |key: &Key| {
        let rest = key.pattern.strip_prefix("agents.list[].");
        rest.and_then(|rest| row(&format!("agents.entries.*.{rest}")))
            .is_some_and(|other| other.status == key.status && other.reason() == key.reason())
    };
    KEYS.iter().filter(move |key| key.status != Status::Acted && !twin(key)).map(|key| {
        let happens = match key.status {
            Status::Security([]) => "refused".to_owned(),
            Status::Security(harmless) => {
                let unless: Vec<String> = harmless.iter().map(|it| format!("`{it}`")).collect();
                format!("refused unless {}", unless.join(", "))
            }
            Status::Moved => format!("refused: it is `{}` now", key.advice),
            Status::Acted | Status::Accepted => "ignored, with a warning".to_owned(),
        };
        (key.pattern, happens, key.reason())
    })
}

/// [`without_effect`] as a table for the README.
pub fn markdown() -> String {
    let mut out = "| key | what happens | why, or what to do |\n|---|---|---|\n".to_owned();
    for (pattern, happens, why) in without_effect() {
        out.push_str(&format!("| `{pattern}` | {happens} | {why} |\n"));
    }
    out
}

/// A path as operators write it: `agents.list[0].id`, `models["a.b"]` where a key is not plain.
pub fn shown(path: &[Step]) -> String {
    let mut out = String::new();
    for step in path {
        match step {
            Step::Index(index) => out.push_str(&format!("[{index}]")),
            Step::Key(key) => push_key(&mut out, key),
        }
    }
    out
}

fn push_key(out: &mut String, key: &str) {
    let plain = !key.is_empty()
        && key.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '$' | '/' | '@'));
    if plain {
        if !out.is_empty() {
            out.push('.');
        }
        out.push_str(key);
    } else {
        let key = crate::wire::text::escape_log(key, 120).replace('"', "\\\"");
        out.extend(["[\"", &key, "\"]"]);
    }
}

/// The other way: `agents.list[0].id` or `a["b.c"].d`, as commands take it. `None` when it is
/// not a path.
pub fn parse_path(text: &str) -> Option<Vec<Step>> {
    let mut path = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        if rest.starts_with("[\"") {
            // The quoted form is a JSON string; find its end by parsing what stands there.
            let text = rest.get(1..)?;
            let mut strings = serde_json::Deserializer::from_str(text).into_iter::<String>();
            let key = strings.next()?.ok()?;
            let end = strings.byte_offset();
            path.push(Step::Key(key));
            rest = text.get(end..)?.strip_prefix(']')?;
        } else if let Some(inner) = rest.strip_prefix('[') {
            let (index, after) = inner.split_once(']')?;
            path.push(Step::Index(index.parse().ok()?));
            rest = after;
        } else {
            let rest_key = if path.is_empty() { rest } else { rest.strip_prefix('.')? };
            let end = rest_key.find(['.', '[']).unwrap_or(rest_key.len());
            let (key, after) = rest_key.split_at(end);
            if key.is_empty() {
                return None;
            }
            path.push(Step::Key(key.to_owned()));
            rest = after;
        }
    }
    (!path.is_empty()).then_some(path)
}

/// The key that was probably meant by an unknown one: a sibling spelt alike, else the one place
/// elsewhere that has this very name.
pub fn nearest(parent: &str, name: &str) -> Option<String> {
    let siblings = children(parent).map(Key::name).filter(|n| !matches!(*n, "*" | "[]"));
    if let Some(near) = crate::wire::text::nearest(name, siblings) {
        return Some(if parent.is_empty() { near.to_owned() } else { format!("{parent}.{near}") });
    }
    let mut same = KEYS.iter().filter(|key| key.name() == name);
    // A name that stands in several places says nothing, except that the first section of the
    // path is the same.
    let section = parent.split('.').next().unwrap_or_default();
    let first = same.clone().find(|key| key.pattern.split('.').next() == Some(section));
    let only = same.next().filter(|_| same.next().is_none());
    first.or(only).map(|key| key.pattern.to_owned())
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
