//! `openclaw channels resolve` and `openclaw directory …`: names and the ids they stand for.
//!
//! The running gateway asks the services by `message.action`, one call at a time; what takes
//! several (pages of Slack's lists, Discord's servers) is put together here. IRC needs nobody:
//! its names are its ids.

use serde_json::{Map, Value, json};

use super::ask::call;
use super::channels_care::{chosen, named};
use super::client::{Target, Trouble};
use super::message_acts::request;
use super::table::Args;
use super::{Failed, channels, entropy, out};
use crate::channels::account::{accounts, default_id, normal_id};
use crate::channels::{Account, Kind};
use crate::limits;
use crate::wire::text::uuid_v4;

/// What an entry is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    User,
    Group,
}

/// A person or room.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    sort: Sort,
    id: String,
    name: Option<String>,
    handle: Option<String>,
}

impl Entry {
    fn json(&self) -> Value {
        let kind = if self.sort == Sort::User { "user" } else { "group" };
        let mut value = json!({"kind": kind, "id": self.id});
        for (name, field) in [("name", &self.name), ("handle", &self.handle)] {
            if let Some(field) = field {
                value[name] = json!(field);
            }
        }
        value
    }

    fn is_named(&self, wanted: &str) -> bool {
        let same =
            |text: &Option<String>| text.as_ref().is_some_and(|text| text.to_lowercase() == wanted);
        self.id.to_lowercase() == wanted || same(&self.name) || same(&self.handle)
    }

    fn matches(&self, query: &str) -> bool {
        let has = |text: &str| text.to_lowercase().contains(query);
        has(&self.id)
            || self.name.as_deref().is_some_and(has)
            || self.handle.as_deref().is_some_and(has)
    }
}

/// One account of a channel, asked through the gateway.
struct Desk<'a> {
    args: &'a Args,
    kind: &'static Kind,
    account: Account,
    target: Target,
    /// Why the service is not asked any more: the first trouble.
    trouble: Option<String>,
}

impl<'a> Desk<'a> {
    fn open(args: &'a Args) -> Result<Self, Failed> {
        let kind = chosen(args, "resolve")?;
        let config = channels::configured(args)?;
        let section = config.chat.channels.get(kind.id).unwrap_or(&Value::Null);
        let all = accounts(kind, section, config.env.all());
        let wanted = named(args, "account")?.map(normal_id);
        let wanted = wanted.or_else(|| default_id(section, &all)).unwrap_or_default();
        let Some(account) = all.into_iter().find(|one| one.id == wanted) else {
            let what = match wanted.is_empty() {
                true => format!("{} is not configured", kind.label),
                false => format!("{} has no account \"{wanted}\"", kind.label),
            };
            return Err(Failed::new(what, format!("openclaw channels add --channel {}", kind.id)));
        };
        Ok(Self { args, kind, account, target: Target::find(args)?, trouble: None })
    }

    /// One action of the account; `None` when it failed.
    fn ask(&mut self, action: &str, fields: Value) -> Option<Value> {
        let fields = fields.as_object().cloned().unwrap_or_default();
        let account = Some(self.account.id.as_str());
        let params = request(self.kind.id, action, fields, account, &uuid_v4(entropy::bytes()));
        match call(self.args, &self.target, "message.action", params) {
            Ok(answer) => Some(answer.get("result").cloned().unwrap_or(answer)),
            Err(trouble) => {
                let what = match &trouble {
                    Trouble::Rpc { message, .. } => message.clone(),
                    trouble => trouble.short(),
                };
                self.trouble.get_or_insert(what);
                None
            }
        }
    }

    /// Every page of one of Slack's lists.
    fn pages(&mut self, action: &str, key: &str) -> Vec<Value> {
        let (mut all, mut cursor) = (Vec::new(), String::new());
        for _ in 0..limits::DIRECTORY_PAGES {
            let Some(page) = self.ask(action, json!({"cursor": cursor})) else { break };
            all.extend(page.get(key).and_then(Value::as_array).cloned().unwrap_or_default());
            match page.get("nextCursor").and_then(Value::as_str) {
                Some(next) => cursor = next.to_owned(),
                None => break,
            }
        }
        all
    }

    /// Discord's servers of the bot: id and name.
    fn guilds(&mut self) -> Vec<(String, String)> {
        let list = self.ask("guild-list", json!({})).unwrap_or_default();
        let list = list.as_array().cloned().unwrap_or_default();
        let known = |guild: &Value| Some((word(guild, "id")?, word(guild, "name")?));
        list.iter().filter_map(known).take(limits::DIRECTORY_PAGES).collect()
    }

    /// The rooms that the service tells of.
    fn rooms(&mut self) -> Vec<Entry> {
        let entry = |value: &Value, name: Option<String>| {
            let id = word(value, "id")?;
            Some(Entry { sort: Sort::Group, id, name, handle: None })
        };
        match self.kind.id {
            "slack" => {
                let all = self.pages("channel-list", "channels");
                all.iter().filter_map(|it| entry(it, word(it, "name"))).collect()
            }
            "discord" => {
                let mut rooms = Vec::new();
                for (guild, server) in self.guilds() {
                    let list = self.ask("channel-list", json!({"guildId": guild}));
                    let list = list.unwrap_or_default().as_array().cloned().unwrap_or_default();
                    for room in &list {
                        let name = word(room, "name").map(|name| format!("{server}/#{name}"));
                        rooms.extend(entry(room, name));
                    }
                }
                rooms
            }
            _ => Vec::new(),
        }
    }

    /// The people that the service tells of; Discord wants to know whom one looks for.
    fn people(&mut self, query: Option<&str>) -> Vec<Entry> {
        match (self.kind.id, query) {
            ("slack", _) => {
                let all = self.pages("member-list", "members");
                let known = all.iter().filter(|it| it.get("deleted") != Some(&Value::Bool(true)));
                known.filter_map(slack_person).collect()
            }
            ("discord", Some(query)) => {
                let mut people = Vec::new();
                for (guild, _) in self.guilds() {
                    let asked = json!({"guildId": guild, "query": query, "limit": 100});
                    let list = self.ask("member-search", asked).unwrap_or_default();
                    let list = list.as_array().cloned().unwrap_or_default();
                    people.extend(list.iter().filter_map(discord_person));
                }
                people.sort_by(|a: &Entry, b| a.id.cmp(&b.id));
                people.dedup();
                people
            }
            _ => Vec::new(),
        }
    }

    /// What the configuration names, the reference's directory for services that have none.
    fn written(&self, sort: Sort) -> Vec<Entry> {
        let mut ids: Vec<String> = Vec::new();
        let mut take = |list: Option<Vec<String>>| ids.extend(list.unwrap_or_default());
        match sort {
            Sort::User => {
                for key in ["allowFrom", "dm.allowFrom", "groupAllowFrom", "defaultTo"] {
                    take(self.account.texts(key));
                }
                take(self.account.get("dms").and_then(Value::as_object).map(keys));
            }
            Sort::Group => {
                for key in ["groups", "channels"] {
                    take(self.account.get(key).and_then(Value::as_object).map(keys));
                }
                take(self.account.texts("channels"));
                let guilds = self.account.get("guilds").and_then(Value::as_object);
                for guild in guilds.into_iter().flat_map(Map::values) {
                    take(guild.get("channels").and_then(Value::as_object).map(keys));
                }
            }
        }
        ids.retain(|id| id != "*" && !id.is_empty());
        let mut entries: Vec<Entry> = ids
            .iter()
            .map(|id| Entry { sort, id: (self.kind.normal)(id), name: None, handle: None })
            .collect();
        entries.sort_by(|a, b| a.id.cmp(&b.id));
        entries.dedup();
        entries
    }

    /// An entry that is an id already.
    fn known(&self, text: &str, sort: Option<Sort>) -> Option<Entry> {
        let to = (self.kind.target)(text).ok()?;
        let by_name = self.kind.id == "telegram" && to.chat.starts_with('@');
        if by_name {
            return None;
        }
        let bare = to.chat.strip_prefix("user:").unwrap_or(&to.chat).to_owned();
        let sort = sort.unwrap_or_else(|| guess(text));
        Some(Entry { sort, id: bare, name: None, handle: None })
    }

    /// One entry of `channels resolve`.
    fn resolve(&mut self, text: &str, sort: Option<Sort>, lists: &mut Lists) -> Value {
        if let Some(known) = self.known(text, sort) {
            return json!({"input": text, "resolved": true, "id": known.id, "name": known.name});
        }
        let none = |note: String| json!({"input": text, "resolved": false, "note": note});
        if self.kind.id == "telegram" {
            let Some(name) = text.strip_prefix('@').filter(|name| !name.is_empty()) else {
                return none("write @username or a numeric id".to_owned());
            };
            let found = self.ask("channel-info", json!({"to": format!("@{name}")}));
            let Some(chat) = found else {
                return none(self.trouble.take().unwrap_or_else(|| "not found".to_owned()));
            };
            let id = chat.get("id").and_then(Value::as_i64).map(|id| id.to_string());
            let name = word(&chat, "title").or_else(|| word(&chat, "first_name"));
            return json!({"input": text, "resolved": id.is_some(), "id": id, "name": name});
        }
        let sort = sort.unwrap_or_else(|| guess(text));
        let wanted = text.trim_start_matches(['#', '@']).to_lowercase();
        let found = match sort {
            Sort::Group => {
                let rooms = lists.rooms.get_or_insert_with(|| self.rooms());
                rooms.iter().find(|room| is_room(room, text, &wanted)).cloned()
            }
            Sort::User => {
                let people = match self.kind.id {
                    // Slack tells everybody at once.
                    "slack" => lists.people.get_or_insert_with(|| self.people(None)).clone(),
                    _ => self.people(Some(&wanted)),
                };
                people.into_iter().find(|one| one.is_named(&wanted))
            }
        };
        match found {
            Some(one) => {
                json!({"input": text, "resolved": true, "id": one.id, "name": one.name})
            }
            None => none(self.trouble.clone().unwrap_or_else(|| match sort {
                Sort::User => "nobody of that name is seen by the bot".to_owned(),
                Sort::Group => "no room of that name is seen by the bot".to_owned(),
            })),
        }
    }
}

/// Lists that were asked for once.
#[derive(Default)]
struct Lists {
    rooms: Option<Vec<Entry>>,
    people: Option<Vec<Entry>>,
}

fn word(value: &Value, name: &str) -> Option<String> {
    value.get(name).and_then(Value::as_str).map(str::to_owned).filter(|text| !text.is_empty())
}

fn keys(map: &Map<String, Value>) -> Vec<String> {
    map.keys().cloned().collect()
}

/// `#room` and `Server/#room` are rooms, everything else is somebody.
fn guess(text: &str) -> Sort {
    let room = text.contains('#') || text.starts_with("channel:") || text.starts_with('-');
    if room { Sort::Group } else { Sort::User }
}

/// Discord's rooms are `Server/#room`; the room alone does when it is said so.
fn is_room(room: &Entry, text: &str, wanted: &str) -> bool {
    let name = room.name.as_deref().unwrap_or_default().to_lowercase();
    let text = text.to_lowercase();
    let last = name.rsplit('/').next().unwrap_or_default().trim_start_matches('#');
    room.id.to_lowercase() == wanted
        || name == text
        || name.replace("/#", "/") == text.replace("/#", "/")
        || !text.contains('/') && last == wanted
}

fn slack_person(value: &Value) -> Option<Entry> {
    let profile = value.get("profile").unwrap_or(&Value::Null);
    let name = word(profile, "display_name").or_else(|| word(profile, "real_name"));
    let name = name.or_else(|| word(value, "real_name"));
    Some(Entry { sort: Sort::User, id: word(value, "id")?, name, handle: word(value, "name") })
}

fn discord_person(value: &Value) -> Option<Entry> {
    let user = value.get("user")?;
    let name = word(value, "nick").or_else(|| word(user, "global_name"));
    Some(Entry { sort: Sort::User, id: word(user, "id")?, name, handle: word(user, "username") })
}

/// `openclaw channels resolve <entries…> --channel <id> [--kind user|group|channel|auto]`.
///
/// # Errors
/// There is no such account. What cannot be resolved is an entry with a note, as in the reference.
pub fn resolve(args: &Args) -> Result<u8, Failed> {
    let entries: Vec<String> =
        args.operands.iter().map(|it| it.trim().to_owned()).filter(|it| !it.is_empty()).collect();
    if entries.is_empty() {
        return Err(Failed::new(
            "at least one entry is needed",
            "openclaw channels resolve --channel slack \"#general\" \"@jane\"",
        ));
    }
    let sort = match args.value("kind") {
        Some("user") => Some(Sort::User),
        Some("group" | "channel") => Some(Sort::Group),
        _ => None,
    };
    let mut desk = Desk::open(args)?;
    let mut lists = Lists::default();
    let rows: Vec<Value> =
        entries.iter().map(|entry| desk.resolve(entry, sort, &mut lists)).collect();
    if args.has("json") {
        out::json(&Value::Array(rows));
        return Ok(0);
    }
    for row in &rows {
        let text = |name: &str| row.get(name).and_then(Value::as_str).unwrap_or_default();
        let name = text("name");
        let name = if name.is_empty() { String::new() } else { format!(" ({name})") };
        let said = match row["resolved"] == true {
            true => format!("{} -> {}{name}", text("input"), text("id")),
            false => format!("{} -> unresolved: {}", text("input"), text("note")),
        };
        out::line(&out::foreign(&said));
    }
    Ok(0)
}

/// `openclaw directory self`: who the account is on the service.
///
/// # Errors
/// There is no such account, or no gateway answers.
pub fn me(args: &Args) -> Result<u8, Failed> {
    let desk = Desk::open(args)?;
    let answer = match call(args, &desk.target, "channels.status", json!({})) {
        Ok(answer) => answer,
        Err(trouble) => return desk.target.fail(args, &trouble),
    };
    let rows = answer.pointer(&format!("/channelAccounts/{}", desk.kind.id));
    let rows = rows.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let own = rows.iter().find(|row| row["accountId"] == desk.account.id.as_str());
    let bot = own.and_then(|row| row.get("bot")).cloned().unwrap_or_default();
    let (channel, account) = (desk.kind.id, &desk.account.id);
    let Some(id) = word(&bot, "id") else {
        match args.has("json") {
            true => out::json(&json!({
                "status": "unavailable", "channel": channel, "accountId": account,
                "reason": "plugin-returned-no-self-identity",
            })),
            false => out::line(&format!(
                "No self identity was returned for channel \"{channel}\", account \"{account}\": \
                 openclaw channels status --probe"
            )),
        }
        return Ok(0);
    };
    let entry = Entry { sort: Sort::User, id, name: word(&bot, "username"), handle: None };
    match args.has("json") {
        true => out::json(&entry.json()),
        false => table(&[entry]),
    }
    Ok(0)
}

fn list(args: &Args, sort: Sort) -> Result<u8, Failed> {
    let mut desk = Desk::open(args)?;
    let query = args.value("query").map(str::to_lowercase);
    let mut all = match sort {
        Sort::Group => desk.rooms(),
        Sort::User => desk.people(query.as_deref()),
    };
    for known in desk.written(sort) {
        if !all.iter().any(|one| one.id == known.id) {
            all.push(known);
        }
    }
    all.retain(|one| query.as_deref().is_none_or(|query| one.matches(query)));
    let most = args.number("limit").and_then(|n| usize::try_from(n).ok());
    all.truncate(most.unwrap_or(usize::MAX));
    if let Some(trouble) = &desk.trouble {
        out::note(&format!("only what the configuration names: {trouble}"));
    }
    if args.has("json") {
        out::json(&Value::Array(all.iter().map(Entry::json).collect()));
        return Ok(0);
    }
    if all.is_empty() {
        let what = if sort == Sort::User { "peers" } else { "groups" };
        out::line(&format!(
            "No {what} found for channel \"{}\", account \"{}\".",
            desk.kind.id, desk.account.id
        ));
        return Ok(0);
    }
    table(&all);
    Ok(0)
}

fn table(entries: &[Entry]) {
    let wide = entries.iter().map(|one| one.id.chars().count()).max().unwrap_or(0);
    for one in entries {
        let name = one.name.as_deref().or(one.handle.as_deref()).unwrap_or_default();
        out::line(out::foreign(&format!("{:wide$}  {name}", one.id)).trim_end());
    }
}

/// `openclaw directory peers list`.
///
/// # Errors
/// There is no such account.
pub fn peers(args: &Args) -> Result<u8, Failed> {
    list(args, Sort::User)
}

/// `openclaw directory groups list`.
///
/// # Errors
/// As [`peers`].
pub fn groups(args: &Args) -> Result<u8, Failed> {
    list(args, Sort::Group)
}

/// `openclaw directory groups members --group-id <id>`.
///
/// # Errors
/// The channel tells nobody who is in a group, or no gateway answers.
pub fn members(args: &Args) -> Result<u8, Failed> {
    let Some(group) = args.value("group-id").map(str::trim).filter(|id| !id.is_empty()) else {
        return Err(Failed::new("--group-id is missing", "openclaw directory groups list"));
    };
    let mut desk = Desk::open(args)?;
    if desk.kind.id != "slack" {
        return Err(Failed::new(
            format!("Channel {} does not support group members listing", desk.kind.id),
            "openclaw directory peers list",
        ));
    }
    let (mut ids, mut cursor) = (Vec::new(), String::new());
    for _ in 0..limits::DIRECTORY_PAGES {
        let asked = json!({"channelId": group, "cursor": cursor});
        let Some(page) = desk.ask("group-members", asked) else { break };
        let more = page.get("members").and_then(Value::as_array).cloned().unwrap_or_default();
        ids.extend(more.iter().filter_map(Value::as_str).map(str::to_owned));
        match page.get("nextCursor").and_then(Value::as_str) {
            Some(next) => cursor = next.to_owned(),
            None => break,
        }
    }
    if let Some(trouble) = &desk.trouble {
        return Err(Failed::new(trouble.clone(), "openclaw channels status --probe"));
    }
    let most = args.number("limit").and_then(|n| usize::try_from(n).ok());
    ids.truncate(most.unwrap_or(usize::MAX));
    let entry = |id: &String| Entry { sort: Sort::User, id: id.clone(), name: None, handle: None };
    let all: Vec<Entry> = ids.iter().map(entry).collect();
    match args.has("json") {
        true => out::json(&Value::Array(all.iter().map(Entry::json).collect())),
        false => table(&all),
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_apart() {
        assert_eq!(guess("#general"), Sort::Group);
        assert_eq!(guess("My Server/#support"), Sort::Group);
        assert_eq!(guess("channel:C1"), Sort::Group);
        assert_eq!(guess("@jane"), Sort::User);
        let room = |name: &str| Entry {
            sort: Sort::Group,
            id: "9".to_owned(),
            name: Some(name.to_owned()),
            handle: None,
        };
        let support = room("My Server/#support");
        for text in ["My Server/#support", "my server/support", "#support", "support"] {
            let wanted = text.trim_start_matches('#').to_lowercase();
            assert!(is_room(&support, text, &wanted), "{text}");
        }
        assert!(!is_room(&support, "Other/#support", "other/#support"));
        assert!(is_room(&room("general"), "#General", "general"));
    }

    #[test]
    fn people_of_the_services() {
        let slack = json!({"id": "U1", "name": "jane", "profile": {"display_name": "Jane D"}});
        let jane = slack_person(&slack).unwrap();
        assert!(jane.is_named("jane") && jane.is_named("jane d") && jane.is_named("u1"));
        assert_eq!(
            jane.json(),
            json!({"kind": "user", "id": "U1", "name": "Jane D", "handle": "jane"})
        );
        let discord = json!({"nick": null, "user": {"id": "5", "username": "joe",
            "global_name": "Joe"}});
        let joe = discord_person(&discord).unwrap();
        assert_eq!((joe.id.as_str(), joe.name.as_deref()), ("5", Some("Joe")));
        assert!(joe.matches("jo") && !joe.matches("x"));
        assert_eq!(discord_person(&json!({})), None);
    }
}
