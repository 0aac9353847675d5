//! What of a job leaves the gateway: its answer by a channel or to a web address, and word of its
//! failures.
//!
//! ```text
//!   end of a run --ok--> announce: outbound journal | webhook: POST of the event `finished`
//!        |                        +--given up, refused--> "not-delivered", alert
//!        +--error, n times--> alert: failureAlert, failureDestination, the announce target
//!                              one an incident; a cooldown between; one more when it is over
//! ```

use super::super::Gateway;
use super::super::exchange::{BodyBound, ExchangeError, Post, Purpose, Reach, Response};
use super::Running;
use super::fire::Ended;
use super::job::Job;
use crate::driver::Effects;
use crate::limits;
use crate::sessions::key;
use crate::wire::url::Url;
use serde_json::{Map, Value, json};

/// Failures in a row before a word is said of them.
const ALERT_AFTER: u64 = 2;
/// Between two words of one job, in milliseconds.
const ALERT_COOLDOWN_MS: u64 = 3_600_000;

/// How failures of a job are told.
#[derive(Debug, Clone, PartialEq)]
struct Alert {
    after: u64,
    cooldown_ms: u64,
    skipped: bool,
    /// `{mode, channel, to, accountId, threadId}`.
    route: Value,
}

fn object(value: Option<&Value>) -> Option<&Map<String, Value>> {
    value.and_then(Value::as_object)
}

fn has_route(fields: &Map<String, Value>) -> bool {
    ["mode", "channel", "to", "accountId"].iter().any(|name| fields.contains_key(*name))
}

/// What a job and the configuration say of alerts; `None` when nobody is to be told.
fn alert_of(job: &Job, global: &Value) -> Option<Alert> {
    let own = object(job.failure_alert.as_ref());
    if job.failure_alert == Some(Value::Bool(false)) {
        return None;
    }
    let all = object(Some(global));
    let off = all.is_some_and(|all| all.get("enabled") == Some(&Value::Bool(false)));
    if own.is_none() && (off || job.best_effort()) {
        return None;
    }
    let said = |name: &str| {
        own.and_then(|own| own.get(name)).or_else(|| all.and_then(|all| all.get(name)))
    };
    let place = |fields: &Map<String, Value>| {
        let names = ["mode", "channel", "to", "accountId", "threadId"];
        let known = names.iter().filter_map(|name| Some(((*name).to_owned(), fields.get(*name)?)));
        known.map(|(name, value)| (name, value.clone())).collect::<Map<String, Value>>()
    };
    let delivery = object(job.delivery.as_ref());
    let named = delivery.and_then(|delivery| object(delivery.get("failureDestination")));
    let mut route = all.map(place).unwrap_or_default();
    for fields in [named, own.filter(|own| has_route(own))].into_iter().flatten() {
        route.extend(place(fields));
    }
    let announced = delivery.filter(|_| job.delivery_mode() == "announce");
    if route.is_empty() {
        route = announced.map(place)?;
        route.remove("mode");
    }
    let number = |name: &str, unset: u64| said(name).and_then(Value::as_u64).unwrap_or(unset);
    Some(Alert {
        after: number("after", ALERT_AFTER).max(1),
        cooldown_ms: number("cooldownMs", ALERT_COOLDOWN_MS),
        skipped: said("includeSkipped") == Some(&Value::Bool(true)),
        route: Value::Object(route),
    })
}

impl Gateway {
    /// `delivery`: the answer goes into the outbound journal, from where it reaches its channel
    /// also when that is away now; or it is posted. `None` when that is not known yet.
    pub(super) fn deliver_end(
        &mut self,
        running: &Running,
        ended: &Ended,
        event: &Value,
        fx: &mut Effects,
    ) -> Result<Option<()>, String> {
        let Some(job) = self.cron.jobs.get(&running.job).cloned() else { return Ok(Some(())) };
        let text = ended.answer.trim();
        let silent = matches!(text, "" | "NO_REPLY" | "HEARTBEAT_OK");
        match job.delivery_mode() {
            "webhook" if silent && ended.status == "ok" => Ok(Some(())),
            "webhook" => {
                let to = job.delivery.as_ref().and_then(|it| it.get("to")).and_then(Value::as_str);
                self.post_event(to.unwrap_or_default(), event, Some(&running.job), fx)?;
                Ok(None)
            }
            "announce" if ended.status == "ok" && !silent => {
                let spec = job.delivery.clone().unwrap_or_default();
                let session = self.main_of(&running.key);
                // The job's number leads back to it when the message is given up.
                let id = format!("cron:{}:{}", running.job, running.run);
                let text = text.to_owned();
                self.announce_by_channel(&id, &spec, &session, &text).map(Some)
            }
            _ => Ok(Some(())),
        }
    }

    fn main_of(&self, session: &str) -> String {
        let agent = key::agent_of(session).unwrap_or(self.config.agents.default_agent());
        key::main(agent, &self.config.session.main_key)
    }

    /// Posts an event of a job. `job`: whose delivery it is.
    fn post_event(
        &mut self,
        to: &str,
        event: &Value,
        job: Option<&str>,
        fx: &mut Effects,
    ) -> Result<(), String> {
        let url = Url::parse(to).map_err(|_| {
            format!(
                "delivery.to is no http(s):// address: {}",
                to.chars().take(80).collect::<String>()
            )
        })?;
        let cron = &self.config.cron;
        let reach = Reach {
            private: cron.webhook_private,
            allowed: cron.webhook_hosts.clone(),
            blocked: cron.webhook_blocked.clone(),
            ..Reach::default()
        };
        let mut headers = vec![("Content-Type".to_owned(), "application/json".to_owned())];
        if let Some(token) = &cron.webhook_token {
            headers.push(("Authorization".to_owned(), format!("Bearer {}", token.expose())));
        }
        let post = Post {
            url,
            headers,
            body: event.to_string().into_bytes(),
            bound: BodyBound { max: limits::CRON_WEBHOOK_ANSWER, cut: true },
            timeout_ms: limits::CRON_WEBHOOK_MS,
            reach,
            purpose: Purpose::CronHook(job.map(str::to_owned)),
        };
        self.post_url(post, fx).map(|_| ()).map_err(|error| hook_error(&error))
    }

    /// A posted event was answered, or was not.
    pub(in crate::gateway) fn cron_posted(
        &mut self,
        job: Option<String>,
        result: Result<Response, ExchangeError>,
        fx: &mut Effects,
    ) {
        let result = match result {
            Ok(answer) if (200..300).contains(&answer.status) => Ok(()),
            Ok(answer) => Err(format!("the webhook answered {}", answer.status)),
            Err(error) => Err(hook_error(&error)),
        };
        match job {
            Some(job) => self.cron_delivered(&job, result, fx),
            None => {
                if let Err(why) = result {
                    log::warn!(target: "cron", "an alert was not delivered: {why}");
                }
            }
        }
    }

    /// What became of a job's delivery, when it was not known at the end of its run.
    pub(in crate::gateway) fn cron_delivered(
        &mut self,
        id: &str,
        result: Result<(), String>,
        fx: &mut Effects,
    ) {
        let Some(job) = self.cron.jobs.get_mut(id) else { return };
        let word = if result.is_ok() { "delivered" } else { "not-delivered" };
        job.state.last_delivery_status = Some(word.to_owned());
        job.state.last_delivery_error = result.clone().err();
        self.cron.dirty = true;
        self.save_cron();
        if let Err(why) = result {
            log::warn!(target: "cron", "the answer of job {id} was not delivered: {why}");
            self.alert(id, "its answer could not be delivered", false, fx);
        }
    }

    /// A message of a job was given up by the outbox.
    pub(in crate::gateway) fn cron_given_up(
        &mut self,
        delivery: &str,
        why: &str,
        fx: &mut Effects,
    ) {
        let Some(job) = delivery.strip_prefix("cron:").and_then(|rest| rest.rsplit_once(':'))
        else {
            return;
        };
        self.cron_delivered(job.0, Err(why.to_owned()), fx);
    }

    /// The end of a run, for who is told of failures.
    pub(super) fn alert_end(&mut self, running: &Running, ended: &Ended, fx: &mut Effects) {
        let Some(job) = self.cron.jobs.get(&running.job).cloned() else { return };
        let Some(alert) = alert_of(&job, &self.config.cron.failure_alert) else { return };
        let count = match ended.status {
            "error" => job.state.consecutive_errors.unwrap_or(0),
            "skipped" if alert.skipped => job.state.consecutive_skipped.unwrap_or(0),
            "ok" => return self.recovered(&running.job, &alert, fx),
            _ => return,
        };
        if count >= alert.after {
            let cause = match ended.reason {
                Some(reason) => format!("it failed {count} times ({reason})"),
                None => format!("it was left out {count} times"),
            };
            self.alert(&running.job, &cause, true, fx);
        }
    }

    /// Says a word of a failure: one an incident, a cooldown between two incidents.
    fn alert(&mut self, id: &str, cause: &str, of_run: bool, fx: &mut Effects) {
        let now_ms = self.now.wall_ms;
        let Some(job) = self.cron.jobs.get(id).cloned() else { return };
        let Some(alert) = alert_of(&job, &self.config.cron.failure_alert) else { return };
        let said = job.state.extra.get("lastFailureAlertAtMs").and_then(Value::as_u64);
        let kind = if of_run { job.state.last_error_reason.as_deref() } else { Some("delivery") };
        let kind = kind.unwrap_or("skipped");
        let known = job.state.extra.get("lastFailureAlertCause").and_then(Value::as_str);
        let soon = said.is_some_and(|at| now_ms.saturating_sub(at) < alert.cooldown_ms);
        // The route that has just failed tells nobody of it.
        let same_route = !of_run
            && alert.route.get("mode").is_none()
            && job.delivery.as_ref().is_some_and(|own| own.get("to") == alert.route.get("to"));
        if known == Some(kind) || soon || same_route {
            return;
        }
        let text =
            format!("⚠️ Automation \"{}\": {cause}. See: openclaw cron runs --id {id}", job.name);
        let result = self.say_alert(&job, &alert, &text, fx);
        if let Some(job) = self.cron.jobs.get_mut(id) {
            let word = if result.is_ok() { "delivered" } else { "not-delivered" };
            job.state.last_failure_notification_delivery_status = Some(word.to_owned());
            let extra = &mut job.state.extra;
            extra.insert("lastFailureAlertAtMs".to_owned(), json!(now_ms));
            extra.insert("lastFailureAlertCause".to_owned(), json!(kind));
        }
        self.cron.dirty = true;
        if let Err(why) = result {
            log::warn!(target: "cron", "an alert of job {id} goes nowhere: {why}");
        }
    }

    fn recovered(&mut self, id: &str, alert: &Alert, fx: &mut Effects) {
        let Some(job) = self.cron.jobs.get_mut(id) else { return };
        if job.state.extra.remove("lastFailureAlertCause").is_none() {
            return;
        }
        let job = job.clone();
        self.cron.dirty = true;
        let text = format!("✅ Automation \"{}\" works again.", job.name);
        if let Err(why) = self.say_alert(&job, alert, &text, fx) {
            log::warn!(target: "cron", "the end of an incident of job {id} goes nowhere: {why}");
        }
    }

    fn say_alert(
        &mut self,
        job: &Job,
        alert: &Alert,
        text: &str,
        fx: &mut Effects,
    ) -> Result<(), String> {
        if alert.route.get("mode").and_then(Value::as_str) == Some("webhook") {
            let to = alert.route.get("to").and_then(Value::as_str).unwrap_or_default();
            let event = json!({
                "jobId": job.id, "jobName": job.name, "action": "failure-alert", "message": text,
                "status": job.state.last_status, "error": job.state.last_error,
                "runAtMs": job.state.last_run_at_ms,
            });
            return self.post_event(to, &event, None, fx);
        }
        let agent = self.agent_of_job(job);
        let agent = agent.unwrap_or_else(|| self.config.agents.default_agent().to_owned());
        let session = key::main(&agent, &self.config.session.main_key);
        let id = format!("cron-alert-{}", self.uuid());
        self.announce_by_channel(&id, &alert.route, &session, text)
    }
}

fn hook_error(error: &ExchangeError) -> String {
    match error {
        ExchangeError::Blocked(_) | ExchangeError::Dial(crate::driver::DialError::Forbidden(_)) => {
            format!(
                "{error}; to mean it: openclaw config set cron.webhookSsrfPolicy.allowedHostnames \
                 '[\"<host>\"]'"
            )
        }
        error => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(delivery: &Value, alert: Option<Value>) -> Job {
        let mut fields = json!({
            "id": "j", "name": "n", "createdAtMs": 1, "updatedAtMs": 1,
            "schedule": {"kind": "every", "everyMs": 1000}, "sessionTarget": "isolated",
            "wakeMode": "now", "payload": {"kind": "agentTurn", "message": "m"},
            "delivery": delivery, "enabled": true,
        });
        if let Some(alert) = alert {
            fields["failureAlert"] = alert;
        }
        serde_json::from_value(fields).expect("a job")
    }

    #[test]
    fn who_is_told_of_a_failure() {
        let announce = json!({"mode": "announce", "channel": "irc", "to": "#a"});
        let none = json!({"mode": "none"});
        let route = |job: &Job, global: &Value| alert_of(job, global).map(|alert| alert.route);
        let primary = json!({"channel": "irc", "to": "#a"});
        assert_eq!(route(&job(&announce, None), &Value::Null), Some(primary));
        assert_eq!(route(&job(&none, None), &Value::Null), None, "nobody is known");
        let global = json!({"channel": "irc", "to": "#ops", "after": 5});
        let found = alert_of(&job(&none, None), &global).expect("the global one");
        assert_eq!((found.route["to"].as_str(), found.after), (Some("#ops"), 5));
        let off = json!({"enabled": false, "channel": "irc", "to": "#ops"});
        assert_eq!(route(&job(&announce, None), &off), None);
        assert_eq!(route(&job(&announce, Some(json!(false))), &global), None);
        let own = json!({"channel": "slack", "to": "channel:C1", "after": 1, "cooldownMs": 0});
        let found = alert_of(&job(&announce, Some(own)), &off).expect("its own");
        assert_eq!((found.route["to"].as_str(), found.cooldown_ms), (Some("channel:C1"), 0));
        let named = json!({"mode": "announce", "channel": "irc", "to": "#a",
            "failureDestination": {"to": "#alerts"}});
        let found = route(&job(&named, None), &global).expect("the job's");
        assert_eq!(
            (found["to"].as_str(), found["channel"].as_str()),
            (Some("#alerts"), Some("irc"))
        );
        let best = json!({"mode": "announce", "channel": "irc", "to": "#a", "bestEffort": true});
        assert_eq!(route(&job(&best, None), &global), None);
    }
}
