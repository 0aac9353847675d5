//! The recorder: what happened lately, without a word of anybody.
//!
//! A field of an event is a number or one of this program's own words: no text of a message, no
//! name, no id and no secret has a type that would fit. At most [`limits::STABILITY_EVENTS`]
//! are kept; the oldest goes first and is counted.

use crate::limits;
use crate::wire::text::rfc3339_ms;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, VecDeque};

/// Events told when nobody says how many (reference: 50; its command asks for 25).
pub(super) const LIMIT: usize = 50;
/// Most fields of an event.
const FIELDS: usize = 4;

/// A value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    /// A word of this program.
    Word(&'static str),
    /// A count, size or time.
    Number(u64),
}

impl Field {
    fn value(self) -> Value {
        match self {
            Self::Word(word) => json!(word),
            Self::Number(number) => json!(number),
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Event {
    seq: u64,
    ts: u64,
    kind: &'static str,
    fields: [Option<(&'static str, Field)>; FIELDS],
}

impl Event {
    fn number(&self, name: &str) -> Option<u64> {
        self.fields.iter().flatten().find_map(|(own, field)| match field {
            Field::Number(number) if *own == name => Some(*number),
            _ => None,
        })
    }

    fn word(&self, name: &str) -> Option<&'static str> {
        self.fields.iter().flatten().find_map(|(own, field)| match field {
            Field::Word(word) if *own == name => Some(*word),
            _ => None,
        })
    }

    fn value(&self) -> Value {
        let mut value = json!({"seq": self.seq, "ts": self.ts, "type": self.kind});
        for (name, field) in self.fields.iter().flatten() {
            value[*name] = field.value();
        }
        value
    }
}

/// See the module's head.
#[derive(Debug, Default)]
pub(super) struct Recorder {
    events: VecDeque<Event>,
    last_seq: u64,
    dropped: u64,
}

impl Recorder {
    /// Keeps an event; fields beyond the fourth are not kept.
    pub(super) fn push(&mut self, ts: u64, kind: &'static str, given: &[(&'static str, Field)]) {
        debug_assert!(given.len() <= FIELDS, "{kind} has too many fields");
        let mut fields = [None; FIELDS];
        for (place, field) in fields.iter_mut().zip(given) {
            *place = Some(*field);
        }
        if self.events.len() >= limits::STABILITY_EVENTS {
            self.events.pop_front();
            self.dropped += 1;
        }
        self.last_seq += 1;
        self.events.push_back(Event { seq: self.last_seq, ts, kind, fields });
    }

    /// The reference's snapshot: the newest `limit` of those that are asked for, and a summary
    /// of all of these.
    pub(super) fn report(
        &self,
        now_ms: u64,
        limit: usize,
        kind: Option<&str>,
        since: Option<u64>,
    ) -> Value {
        let asked: Vec<&Event> = self
            .events
            .iter()
            .filter(|event| kind.is_none_or(|kind| event.kind == kind))
            .filter(|event| since.is_none_or(|since| event.seq > since))
            .collect();
        let shown = asked.get(asked.len().saturating_sub(limit)..).unwrap_or_default();
        let events: Vec<Value> = shown.iter().map(|event| event.value()).collect();
        let mut report = json!({
            "generatedAt": rfc3339_ms(now_ms), "capacity": limits::STABILITY_EVENTS,
            "count": asked.len(), "dropped": self.dropped,
        });
        if let (Some(first), Some(last)) = (asked.first(), asked.last()) {
            report["firstSeq"] = json!(first.seq);
            report["lastSeq"] = json!(last.seq);
        }
        report["events"] = json!(events);
        report["summary"] = summary(&asked);
        report
    }
}

fn summary(events: &[&Event]) -> Value {
    let mut by_type: BTreeMap<&str, u64> = BTreeMap::new();
    for event in events {
        *by_type.entry(event.kind).or_default() += 1;
    }
    let of = |kind: &'static str| events.iter().filter(move |event| event.kind == kind);
    let mut whole = Map::new();
    whole.insert("byType".to_owned(), json!(by_type));
    let pressed = of("diagnostic.memory.pressure").count();
    let latest = of("diagnostic.memory.sample").next_back();
    if latest.is_some() || pressed > 0 {
        let most = |name: &str| {
            of("diagnostic.memory.sample").filter_map(|event| event.number(name)).max()
        };
        let mut memory = json!({"pressureCount": pressed});
        if let Some(latest) = latest {
            let number = |name: &str| latest.number(name).unwrap_or_default();
            memory["latest"] = json!({
                "rssBytes": number("rssBytes"), "heapTotalBytes": number("heapTotalBytes"),
                "heapUsedBytes": number("heapUsedBytes"), "externalBytes": 0,
                "arrayBuffersBytes": 0,
            });
            memory["maxRssBytes"] = json!(most("rssBytes"));
            memory["maxHeapUsedBytes"] = json!(most("heapUsedBytes"));
        }
        whole.insert("memory".to_owned(), memory);
    }
    let large = of("payload.large").count();
    if large > 0 {
        let mut surfaces: BTreeMap<&str, u64> = BTreeMap::new();
        for event in of("payload.large") {
            *surfaces.entry(event.word("surface").unwrap_or("unknown")).or_default() += 1;
        }
        whole.insert(
            "payloadLarge".to_owned(),
            json!({
                "count": large, "rejected": large, "truncated": 0, "chunked": 0,
                "bySurface": surfaces,
            }),
        );
    }
    Value::Object(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_goes_first_and_is_counted() {
        let mut recorder = Recorder::default();
        assert_eq!(recorder.report(0, 25, None, None)["events"], json!([]));
        let more = 3;
        for n in 0..limits::STABILITY_EVENTS as u64 + more {
            recorder.push(n, "message.queued", &[("queueDepth", Field::Number(n))]);
        }
        let report = recorder.report(0, 25, None, None);
        assert_eq!(report["dropped"], more);
        assert_eq!(report["count"], limits::STABILITY_EVENTS);
        assert_eq!(report["firstSeq"], more + 1);
        assert_eq!(report["events"].as_array().map(Vec::len), Some(25));
        assert_eq!(report["events"][24]["seq"], report["lastSeq"]);
    }

    #[test]
    fn what_is_asked_for_is_told_in_the_references_shape() {
        let mut recorder = Recorder::default();
        let sample = |rss| [("rssBytes", Field::Number(rss)), ("heapUsedBytes", Field::Number(1))];
        recorder.push(1, "diagnostic.memory.sample", &sample(9));
        recorder.push(2, "diagnostic.memory.sample", &sample(5));
        recorder.push(3, "payload.large", &[("surface", Field::Word("gateway.ws"))]);
        let all = recorder.report(0, 25, None, None);
        assert_eq!(all["generatedAt"], "1970-01-01T00:00:00.000Z");
        let summary = &all["summary"];
        assert_eq!(summary["byType"]["diagnostic.memory.sample"], 2);
        assert_eq!(summary["memory"]["latest"]["rssBytes"], 5);
        assert_eq!(summary["memory"]["maxRssBytes"], 9);
        assert_eq!(summary["payloadLarge"]["bySurface"]["gateway.ws"], 1);
        assert_eq!(
            all["events"][2],
            json!({
                "seq": 3, "ts": 3, "type": "payload.large", "surface": "gateway.ws",
            })
        );
        let one = recorder.report(0, 25, Some("payload.large"), None);
        assert_eq!((&one["count"], &one["firstSeq"]), (&json!(1), &json!(3)));
        let none = recorder.report(0, 25, None, Some(3));
        assert_eq!(none["count"], 0);
        assert!(none.get("firstSeq").is_none() && none["summary"].get("memory").is_none());
    }
}
