//! Which keys rest, for how long, and why. One ring for the whole gateway, in memory: a restart
//! tries every key again.
//!
//! ```text
//! 401 403        30 s, 1 min, 5 min, 5 min ...  not used meanwhile
//! 402, no money  10 min                         not used meanwhile
//! 429            30 s, 1 min, 5 min ...         the model's last resort meanwhile
//! ```
//!
//! The times are the reference's (`docs/concepts/model-failover.md`). A success forgets.

use super::Class;
use crate::config::Key;
use crate::driver::Time;
use crate::limits;

/// Pauses by the count of failures in a row, milliseconds.
const PAUSES: [u64; 3] = [30_000, 60_000, 300_000];
/// The pause of an account without money.
const BILLING_MS: u64 = 600_000;
/// Failures are counted together when no more time is between them.
const WINDOW_MS: u64 = 24 * 3_600_000;

/// What was wrong with a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It was refused.
    Auth,
    /// Its account has no money or quota.
    Billing,
    /// It was used too often, for one model.
    Rate,
}

impl Fault {
    /// What an error says about the key; `None` when it says nothing about it.
    pub fn of(class: Class, status: Option<u16>) -> Option<Self> {
        match (class, status) {
            (Class::Auth, _) => Some(Self::Auth),
            (Class::Billing, _) => Some(Self::Billing),
            (Class::Transient, Some(429)) => Some(Self::Rate),
            _ => None,
        }
    }

    /// Why, for people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Auth => "the provider refused it",
            Self::Billing => "its account has no credit or quota left",
            Self::Rate => "it was used too often",
        }
    }
}

/// News of a key, from a run to the ring.
#[derive(Debug, Clone)]
pub struct News {
    /// Of which provider.
    pub provider: String,
    /// For which model.
    pub model: String,
    /// Which key.
    pub key: Key,
    /// What was wrong; `None`: it worked.
    pub fault: Option<Fault>,
    /// The provider's own wish, milliseconds.
    pub retry_after_ms: Option<u64>,
}

struct Rest {
    provider: String,
    /// Empty: all models.
    model: String,
    key: Key,
    fault: Fault,
    failures: u32,
    since: Time,
    until: Time,
}

/// A key that rests, for reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resting {
    /// The key's name, never its value.
    pub name: String,
    /// Why.
    pub fault: Fault,
    /// For how much longer, milliseconds.
    pub left_ms: u64,
}

/// All keys that rest, at most [`limits::KEYS_RESTING`].
#[derive(Default)]
pub struct Keyring {
    rests: Vec<Rest>,
}

impl Keyring {
    /// Takes a run's news of a key.
    pub fn note(&mut self, now: Time, news: News) {
        let same = |rest: &Rest| {
            rest.provider == news.provider && rest.key.secret.expose() == news.key.secret.expose()
        };
        let Some(fault) = news.fault else {
            let others = |rest: &Rest| !rest.model.is_empty() && rest.model != news.model;
            return self.rests.retain(|rest| !same(rest) || others(rest));
        };
        let model = if fault == Fault::Rate { news.model.clone() } else { String::new() };
        let before = self.rests.iter().find(|rest| same(rest) && rest.model == model);
        let before = before.filter(|rest| now < rest.since.after_ms(WINDOW_MS));
        let failures = before.map_or(0, |rest| rest.failures);
        let step = usize::try_from(failures).unwrap_or(usize::MAX).min(PAUSES.len() - 1);
        let pause = match fault {
            Fault::Billing => BILLING_MS,
            Fault::Auth | Fault::Rate => PAUSES.get(step).copied().unwrap_or(BILLING_MS),
        };
        let asked = news.retry_after_ms.unwrap_or(0).min(BILLING_MS);
        self.rests.retain(|rest| !(same(rest) && rest.model == model));
        if self.rests.len() >= limits::KEYS_RESTING {
            self.rests.remove(0);
        }
        self.rests.push(Rest {
            provider: news.provider,
            model,
            key: news.key,
            fault,
            failures: failures.saturating_add(1),
            since: now,
            until: now.after_ms(pause.max(asked)),
        });
    }

    /// The longest rest of a key for a model.
    fn rest(&self, now: Time, provider: &str, model: &str, key: &Key) -> Option<&Rest> {
        let rests = self.rests.iter().filter(|rest| {
            now < rest.until
                && rest.provider == provider
                && (rest.model.is_empty() || rest.model == model)
                && rest.key.secret.expose() == key.secret.expose()
        });
        rests.max_by_key(|rest| (rest.fault != Fault::Rate, rest.until))
    }

    /// Puts a model's keys into the order in which they are tried: those that rest from too
    /// much use go last, the soonest ready first; those that were refused are left out.
    ///
    /// # Errors
    /// All of them were refused: a sentence that names them and says until when.
    pub fn arrange(
        &self,
        now: Time,
        provider: &str,
        model: &str,
        keys: &mut Vec<Key>,
    ) -> Result<(), String> {
        let had = keys.len();
        let rested = self.resting(now, provider, model, keys);
        keys.retain(|key| {
            let rest = self.rest(now, provider, model, key);
            rest.is_none_or(|rest| rest.fault == Fault::Rate)
        });
        // Stable: healthy keys stay in the operator's order.
        keys.sort_by_key(|key| self.rest(now, provider, model, key).map(|rest| rest.until));
        if had == 0 || !keys.is_empty() {
            return Ok(());
        }
        let each: Vec<String> = rested
            .iter()
            .map(|rest| {
                let seconds = rest.left_ms.div_ceil(1000);
                format!("{} rests for {seconds} s ({})", rest.name, rest.fault.words())
            })
            .collect();
        let plural = if had == 1 { "the key" } else { "every key" };
        Err(format!(
            "{plural} of provider \"{provider}\" is temporarily disabled: {}; correct it, or wait",
            each.join(", ")
        ))
    }

    /// The keys of a model that rest.
    pub fn resting(&self, now: Time, provider: &str, model: &str, keys: &[Key]) -> Vec<Resting> {
        let rests = keys.iter().filter_map(|key| {
            let rest = self.rest(now, provider, model, key)?;
            let left_ms = rest.until.ms_since(now);
            Some(Resting { name: key.name.clone(), fault: rest.fault, left_ms })
        });
        rests.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    fn key(name: &str) -> Key {
        Key { name: name.to_owned(), secret: Secret::new(format!("secret of {name}")) }
    }

    fn news(name: &str, fault: Option<Fault>) -> News {
        News {
            provider: "p".to_owned(),
            model: "m".to_owned(),
            key: key(name),
            fault,
            retry_after_ms: None,
        }
    }

    fn order(ring: &Keyring, now: Time, model: &str) -> Result<String, String> {
        let mut keys = vec![key("a"), key("b"), key("c")];
        ring.arrange(now, "p", model, &mut keys)?;
        Ok(keys.into_iter().map(|key| key.name).collect())
    }

    #[test]
    fn refused_keys_are_left_out_and_tired_ones_go_last() {
        let start = Time::default();
        let mut ring = Keyring::default();
        assert_eq!(order(&ring, start, "m").unwrap(), "abc");
        ring.note(start, news("a", Some(Fault::Rate)));
        assert_eq!(order(&ring, start, "m").unwrap(), "bca");
        assert_eq!(order(&ring, start, "other").unwrap(), "abc", "a rate is a model's");
        ring.note(start, news("b", Some(Fault::Auth)));
        assert_eq!(order(&ring, start, "m").unwrap(), "ca");
        assert_eq!(order(&ring, start, "other").unwrap(), "ac");
        assert_eq!(order(&ring, start.after_ms(30_000), "m").unwrap(), "abc");
        ring.note(start, news("c", Some(Fault::Billing)));
        assert_eq!(order(&ring, start.after_ms(599_999), "m").unwrap(), "ab");
        ring.note(start, news("a", Some(Fault::Auth)));
        let error = order(&ring, start.after_ms(500), "m").unwrap_err();
        assert!(error.contains("a rests for 30 s (the provider refused it)"), "{error}");
        assert!(error.contains("c rests for 600 s") && !error.contains("secret"), "{error}");
        ring.note(start, news("b", None));
        assert_eq!(order(&ring, start, "m").unwrap(), "b");
        let mut none = Vec::new();
        assert_eq!(ring.arrange(start, "p", "m", &mut none), Ok(()));
    }

    #[test]
    fn rests_grow_with_the_failures_and_are_bounded_in_number() {
        let mut ring = Keyring::default();
        let mut now = Time::default();
        for want in [30_000, 60_000, 300_000, 300_000] {
            ring.note(now, news("a", Some(Fault::Auth)));
            let [rest] = ring.resting(now, "p", "m", &[key("a")]).try_into().unwrap();
            assert_eq!(rest.left_ms, want);
            now = now.after_ms(want);
        }
        ring.note(now, News { retry_after_ms: Some(400_000), ..news("a", Some(Fault::Rate)) });
        let [rest] = ring.resting(now, "p", "m", &[key("a")]).try_into().unwrap();
        assert_eq!(rest.left_ms, 400_000);
        let later = now.after_ms(WINDOW_MS);
        ring.note(later, news("a", Some(Fault::Auth)));
        assert_eq!(ring.resting(later, "p", "m", &[key("a")])[0].left_ms, 30_000);
        for n in 0..2 * limits::KEYS_RESTING {
            ring.note(now, news(&format!("k{n}"), Some(Fault::Auth)));
        }
        assert_eq!(ring.rests.len(), limits::KEYS_RESTING);
    }
}
