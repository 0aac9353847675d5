//! Rate limits of the REST API: buckets by route and major parameter, and one for all.

use crate::driver::Time;
use crate::sim::peers::fake::{Answer, Asked, FLIGHT_MS};
use serde_json::json;
use std::collections::{BTreeMap, VecDeque};

/// Requests a second in all.
const ALL: usize = 50;

#[derive(Debug)]
struct Bucket {
    left: u64,
    reset: Time,
    /// Since when the client knows that none is left, and when some are again.
    wait: Option<(Time, Time)>,
}

/// The limits and where the client stands.
#[derive(Debug, Default)]
pub struct Limits {
    buckets: BTreeMap<String, Bucket>,
    all: VecDeque<Time>,
    wait: Option<(Time, Time)>,
}

/// A bucket's key, its public name, how many requests in how many milliseconds.
fn bucket(asked: &Asked) -> (String, String, u64, u64) {
    let segments = asked.segments();
    let parts: Vec<&str> = segments.iter().skip(2).map(String::as_str).collect();
    let method = asked.head.method.as_str();
    let (route, major, most, ms) = match parts.as_slice() {
        ["channels", id, "messages", _, "reactions", ..] => ("reactions", *id, 1, 250),
        ["channels", id, "messages"] if method == "POST" => ("messages", *id, 5, 5_000),
        ["channels", id, "messages", _] if method == "PATCH" => ("edit", *id, 5, 5_000),
        ["channels", id, "messages", _] if method == "DELETE" => ("delete", *id, 5, 1_000),
        ["channels", id, "typing"] => ("typing", *id, 5, 5_000),
        ["channels", id, ..] => ("channel", *id, 10, 5_000),
        ["guilds", id, ..] => ("guild", *id, 10, 5_000),
        ["webhooks", _, token, ..] => ("webhook", *token, 5, 2_000),
        ["interactions", id, ..] => ("interaction", *id, 100, 5_000),
        [first, ..] => (*first, "", 10, 5_000),
        [] => ("none", "", 10, 5_000),
    };
    let name: String = crate::wire::hash::hex(&crate::wire::hash::sha256(route.as_bytes()));
    let name = name.get(..32).unwrap_or_default().to_owned();
    (format!("{route}/{major}"), name, most, ms)
}

fn refusal(ms: u64, scope: &str) -> Answer {
    let seconds = ms as f64 / 1000.0;
    let body = json!({
        "message": "You are being rate limited.", "retry_after": seconds,
        "global": scope == "global",
    });
    let answer = Answer::json(429, &body)
        .with("Retry-After", &ms.div_ceil(1000).max(1).to_string())
        .with("X-RateLimit-Scope", scope);
    if scope == "global" { answer.with("X-RateLimit-Global", "true") } else { answer }
}

impl Limits {
    /// The script wants the client to wait: its bucket is empty for so long.
    pub fn order(&mut self, now: Time, asked: &Asked, seconds: u64) -> Answer {
        let (key, name, most, _) = bucket(asked);
        let reset = now.after_ms(seconds * 1000);
        self.buckets.insert(key, Bucket { left: 0, reset, wait: Some((now, reset)) });
        let answer = refusal(seconds * 1000, "user");
        Self::headers(answer, &name, most, 0, seconds * 1000)
    }

    /// The client was told nothing.
    pub fn forget(&mut self) {
        self.wait = None;
        self.buckets.values_mut().for_each(|bucket| bucket.wait = None);
    }

    fn headers(answer: Answer, name: &str, most: u64, left: u64, ms: u64) -> Answer {
        answer
            .with("X-RateLimit-Limit", &most.to_string())
            .with("X-RateLimit-Remaining", &left.to_string())
            .with("X-RateLimit-Reset-After", &format!("{:.3}", ms as f64 / 1000.0))
            .with("X-RateLimit-Bucket", name)
    }

    /// The refusal, if this request is one too many; into `broken` if the client could know.
    pub fn refuses(
        &mut self,
        now: Time,
        asked: &Asked,
        broken: &mut Vec<String>,
    ) -> Option<Answer> {
        let (key, name, most, ms) = bucket(asked);
        let path = asked.head.path();
        let fresh = || Bucket { left: most, reset: now.after_ms(ms), wait: None };
        let bucket = self.buckets.entry(key).or_insert_with(fresh);
        if bucket.reset <= now {
            *bucket = fresh();
        }
        self.wait.take_if(|(_, until)| *until <= now);
        for (said, until) in [self.wait, bucket.wait].into_iter().flatten() {
            // What it says has no more than milliseconds.
            let early = until.ms_since(now);
            if now.ms_since(said) > FLIGHT_MS && early > 0 {
                broken.push(format!("{path}: {early} ms before its rate limit resets"));
            }
        }
        // An answer to an interaction counts in no limit for all.
        if !path.contains("/interactions/") {
            self.all.retain(|at| now.ms_since(*at) < 1000);
            if self.wait.is_some() || self.all.len() >= ALL {
                let (_, until) = *self.wait.get_or_insert((now, now.after_ms(1000)));
                return Some(refusal(until.ms_since(now), "global"));
            }
            self.all.push_back(now);
        }
        if bucket.left == 0 {
            let wait = bucket.reset.ms_since(now);
            bucket.wait.get_or_insert((now, bucket.reset));
            return Some(Self::headers(refusal(wait, "user"), &name, most, 0, wait));
        }
        bucket.left -= 1;
        if bucket.left == 0 {
            bucket.wait = Some((now, bucket.reset));
        }
        None
    }

    /// Says with an answer where the bucket stands.
    pub fn says(&self, now: Time, wall_ms: u64, asked: &Asked, answer: Answer) -> Answer {
        let (key, name, most, _) = bucket(asked);
        let Some(bucket) = self.buckets.get(&key) else { return answer };
        let ms = bucket.reset.ms_since(now);
        let reset = format!("{:.3}", (wall_ms + ms) as f64 / 1000.0);
        Self::headers(answer, &name, most, bucket.left, ms).with("X-RateLimit-Reset", &reset)
    }
}
