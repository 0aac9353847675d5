//! `heartbeat` of an agent: how often it is asked unprompted whether anything needs attention,
//! with what words, where, at which hours.
//!
//! What an agent says for itself goes before `agents.defaults.heartbeat`, key by key. As soon as
//! one agent has a block of its own only those with one beat; else one agent does, the default
//! one or `agents.defaults.heartbeat.agentId`.

use super::cron::duration_ms;
use serde_json::Value;

/// `every` when nobody says (the reference's).
const EVERY_MS: u64 = 30 * 60_000;
/// `ackMaxChars` when nobody says (the reference's).
const ACK_MAX_CHARS: usize = 300;
/// A bare number in `every` counts these.
const MINUTE_MS: u64 = 60_000;
/// What an agent is asked when nobody says.
const PROMPT: &str = "Read HEARTBEAT.md of the workspace if there is one and do what it says. Do \
                      not take up what earlier conversations left over. When nothing needs \
                      attention, answer HEARTBEAT_OK.";

/// How one agent beats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heartbeat {
    /// Between two beats, in milliseconds; 0: none comes by itself.
    pub every_ms: u64,
    /// When a beat may come; `None`: at any time.
    pub active_hours: Option<ActiveHours>,
    /// `provider/model` instead of the agent's.
    pub model: Option<String>,
    /// What is asked, as it is.
    pub prompt: String,
    /// `owner`, `last`, `none` or the name of a channel.
    pub target: String,
    /// Where in the channel; `None` is where somebody last wrote.
    pub to: Option<String>,
    /// By which account of the channel; `None` is its default one.
    pub account: Option<String>,
    /// `directPolicy: "block"`: nothing goes to one person alone.
    pub no_direct: bool,
    /// The session; `None` is the agent's main one.
    pub session: Option<String>,
    /// Every beat begins with an empty transcript, in a session of its own.
    pub isolated_session: bool,
    /// Of the workspace's files the prompt has HEARTBEAT.md alone.
    pub light_context: bool,
    /// An answer that acknowledges may have as many other characters and counts as one.
    pub ack_max_chars: usize,
    /// For one beat, in milliseconds.
    pub timeout_ms: Option<u64>,
}

impl Default for Heartbeat {
    fn default() -> Self {
        Self {
            every_ms: EVERY_MS,
            active_hours: None,
            model: None,
            prompt: PROMPT.to_owned(),
            target: "owner".to_owned(),
            to: None,
            account: None,
            no_direct: false,
            session: None,
            isolated_session: false,
            light_context: false,
            ack_max_chars: ACK_MAX_CHARS,
            timeout_ms: None,
        }
    }
}

/// `activeHours`: a window of the day by some clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActiveHours {
    /// Minutes since midnight, the first inside.
    pub start: u16,
    /// The first outside; 1440 is the end of the day.
    pub end: u16,
    /// Whose clock.
    pub timezone: Clock,
}

/// `activeHours.timezone`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Clock {
    /// `agents.defaults.userTimezone`, else the machine's.
    User,
    /// The machine's.
    Local,
    /// That zone's; where the machine knows none of the name, as [`Clock::User`].
    Zone(String),
}

impl ActiveHours {
    /// Whether a minute of the day is inside. A window that ends before it starts goes over
    /// midnight; one that ends when it starts holds nothing.
    pub fn contains(&self, minute: u16) -> bool {
        if self.start <= self.end {
            (self.start..self.end).contains(&minute)
        } else {
            minute >= self.start || minute < self.end
        }
    }

    fn read(value: &Value) -> Option<Self> {
        let minute = |key: &str, unset| match value.get(key).and_then(Value::as_str) {
            None | Some("") => Some(unset),
            Some(text) => minute_of_day(text),
        };
        value.as_object()?;
        let timezone = match value.get("timezone").and_then(Value::as_str).map(str::trim) {
            None | Some("" | "user") => Clock::User,
            Some("local") => Clock::Local,
            Some(name) => Clock::Zone(name.to_owned()),
        };
        Some(Self { start: minute("start", 0)?, end: minute("end", 1440)?, timezone })
    }
}

/// `HH:MM`, up to `24:00`.
fn minute_of_day(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let two = |part: &str| {
        let digits = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| part.parse::<u16>().ok()).flatten()
    };
    let minute = two(hours)? * 60 + two(minutes).filter(|minutes| *minutes < 60)?;
    (minute <= 1440).then_some(minute)
}

/// What is written once for all agents and for one, put together. `turn_seconds`:
/// `agents.defaults.timeoutSeconds` as far as somebody wrote it.
pub(super) fn resolve(own: &Value, shared: &Value, turn_seconds: Option<u64>) -> Heartbeat {
    let unset = Heartbeat::default();
    let get = |key: &str| own.get(key).or_else(|| shared.get(key));
    let text = |key: &str| {
        let text = get(key).and_then(Value::as_str).map(str::trim);
        text.filter(|text| !text.is_empty()).map(str::to_owned)
    };
    let flag = |key: &str| get(key).and_then(Value::as_bool).unwrap_or(false);
    let every_ms = text("every").and_then(|every| duration_ms(&every, MINUTE_MS));
    let every_ms = every_ms.unwrap_or(unset.every_ms);
    let seconds = get("timeoutSeconds").and_then(Value::as_u64).or(turn_seconds);
    let cadence = if every_ms == 0 { EVERY_MS } else { every_ms };
    let timeout_ms = seconds.map_or_else(|| cadence.min(600_000), |s| s.saturating_mul(1000));
    let ack = get("ackMaxChars").and_then(Value::as_u64);
    Heartbeat {
        every_ms,
        active_hours: get("activeHours").and_then(ActiveHours::read),
        model: text("model"),
        prompt: text("prompt").unwrap_or(unset.prompt),
        target: text("target").unwrap_or(unset.target),
        to: text("to"),
        account: text("accountId"),
        no_direct: get("directPolicy").and_then(Value::as_str) == Some("block"),
        session: text("session").filter(|key| key != "main"),
        isolated_session: flag("isolatedSession"),
        light_context: flag("lightContext"),
        ack_max_chars: ack
            .map_or(unset.ack_max_chars, |n| usize::try_from(n).unwrap_or(usize::MAX)),
        timeout_ms: Some(timeout_ms),
    }
}

/// What kinds of values cannot say: path below `heartbeat`, and what is wrong there.
pub(super) fn faults(heartbeat: &Value) -> Vec<(Vec<&'static str>, String)> {
    let mut found = Vec::new();
    let every = heartbeat.get("every").and_then(Value::as_str).map(str::trim);
    if let Some(every) = every.filter(|every| !every.is_empty())
        && duration_ms(every, MINUTE_MS).is_none()
    {
        let what = format!("invalid duration \"{every}\": write 30m, 1h30m, or 0m for no beats");
        found.push((vec!["every"], what));
    }
    for key in ["start", "end"] {
        let time = heartbeat.get("activeHours").and_then(|hours| hours.get(key));
        let Some(time) = time.and_then(Value::as_str).filter(|time| !time.is_empty()) else {
            continue;
        };
        let minute = minute_of_day(time);
        if minute.is_none() || key == "start" && minute == Some(1440) {
            let what = format!("invalid time \"{time}\": write HH:MM, such as 09:00 or 22:30");
            found.push((vec!["activeHours", key], what));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_agents_own_keys_go_before_those_of_all() {
        let shared =
            json!({"every": "1h", "prompt": "all", "target": "none", "lightContext": true});
        let own = json!({"every": "5", "prompt": " ", "session": "main", "ackMaxChars": 0,
            "lightContext": false, "timeoutSeconds": 7});
        let both = resolve(&own, &shared, Some(9));
        // What is blank is said, and says nothing: the default counts, not the other layer.
        assert_eq!((both.every_ms, both.prompt.as_str()), (300_000, PROMPT));
        assert_eq!((both.target.as_str(), both.session.as_deref()), ("none", None));
        assert_eq!((both.ack_max_chars, both.light_context), (0, false));
        assert_eq!(both.timeout_ms, Some(7_000));
        assert_eq!(resolve(&Value::Null, &shared, Some(9)).timeout_ms, Some(9_000));
        assert_eq!(resolve(&Value::Null, &shared, None).timeout_ms, Some(600_000));
        let unset = resolve(&Value::Null, &Value::Null, None);
        assert_eq!(unset, Heartbeat { timeout_ms: Some(600_000), ..Heartbeat::default() });
        let quick = resolve(&json!({"every": "90s"}), &Value::Null, None);
        assert_eq!((quick.every_ms, quick.timeout_ms), (90_000, Some(90_000)));
        let off = resolve(&json!({"every": "0m"}), &Value::Null, None);
        assert_eq!((off.every_ms, off.timeout_ms), (0, Some(600_000)));
    }

    #[test]
    fn a_window_may_go_over_midnight() {
        let window = |start: &str, end: &str| {
            ActiveHours::read(&json!({"start": start, "end": end})).expect("a window")
        };
        let table = [
            ("09:00", "17:00", [(539, false), (540, true), (1019, true), (1020, false)]),
            ("22:00", "06:00", [(1319, false), (1320, true), (359, true), (360, false)]),
            ("00:00", "24:00", [(0, true), (1, true), (720, true), (1439, true)]),
            ("08:00", "08:00", [(0, false), (479, false), (480, false), (481, false)]),
            ("", "", [(0, true), (1, true), (720, true), (1439, true)]),
        ];
        for (start, end, minutes) in table {
            for (minute, inside) in minutes {
                let found = window(start, end).contains(minute);
                assert_eq!(found, inside, "{start}-{end} {minute}");
            }
        }
        let zone =
            |name: &str| ActiveHours::read(&json!({"timezone": name})).map(|hours| hours.timezone);
        assert_eq!(zone("user"), Some(Clock::User));
        assert_eq!(zone("local"), Some(Clock::Local));
        assert_eq!(zone("Europe/Berlin"), Some(Clock::Zone("Europe/Berlin".to_owned())));
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let keys = |value: Value| -> Vec<String> {
            faults(&value).into_iter().map(|(path, _)| path.join(".")).collect()
        };
        assert!(
            keys(json!({"every": "30m", "activeHours": {"start": "09:00", "end": "24:00"}}))
                .is_empty()
        );
        assert!(keys(json!({"every": "", "activeHours": {"start": ""}})).is_empty());
        assert_eq!(keys(json!({"every": "often"})), ["every"]);
        for (start, end) in
            [("24:00", "9:00"), ("25:00", "24:01"), ("9", "09:60"), ("x:y", "٠٩:00")]
        {
            let found = keys(json!({"activeHours": {"start": start, "end": end}}));
            assert_eq!(found, ["activeHours.start", "activeHours.end"], "{start} {end}");
        }
    }
}
