//! Jobs from their time to their end, on a gateway whose clock is ours.

use super::super::fuzz::{Memory, boot};
use super::super::socket::Answer;
use super::zone::tests::{BERLIN, tzif};
use super::*;
use crate::config::AuthMode;
use crate::driver::{ConnId, Core, Input, Now, Time};
use crate::protocol::operations::Op;

const WALL: u64 = 1_795_000_000_000;
const HOUR: u64 = 3_600_000;

/// A gateway and its clock.
pub(in crate::gateway) struct Clock {
    pub(in crate::gateway) gateway: Gateway,
    fx: Effects,
    pub(in crate::gateway) now: Now,
}

impl Clock {
    pub(in crate::gateway) fn start(disk: &Memory, wall_ms: u64) -> Self {
        let now = Now { time: Time(1), wall_ms };
        let mut gateway = boot(0, AuthMode::None, disk, now);
        // Tests set the configuration themselves; no file brings back another.
        gateway.reload = None;
        Self { gateway, fx: Effects::new(), now }
    }

    /// Everything that comes up within so many milliseconds.
    pub(in crate::gateway) fn pass(&mut self, ms: u64) {
        let end = self.now.time.after_ms(ms);
        let mut turns = 0;
        while let Some(due) = self.gateway.deadline().filter(|due| *due <= end) {
            turns += 1;
            assert!(turns < 100_000, "it turns in a circle");
            self.to(due);
        }
        self.to(end);
    }

    fn to(&mut self, time: Time) {
        let time = time.max(self.now.time);
        let passed = time.ms_since(self.now.time);
        self.now = Now { time, wall_ms: self.now.wall_ms + passed };
        self.gateway.on(self.now, Input::Wake, &mut self.fx);
        self.gateway.turn_end(self.now, &mut self.fx);
        self.fx = Effects::new();
    }

    pub(in crate::gateway) fn call(&mut self, op: Op, params: Value) -> Result<Value, String> {
        let Value::Object(params) = params else { panic!("an object") };
        let conn = ConnId { slot: 9, generation: 1 };
        let answer = self.gateway.handle(op, conn, "r", &params, &mut self.fx);
        let value = match answer.map_err(|error| error.message)? {
            Answer::Value(value) => value,
            Answer::Json(_) | Answer::Handled => Value::Null,
        };
        self.gateway.turn_end(self.now, &mut self.fx);
        Ok(value)
    }

    fn add(&mut self, more: Value) -> String {
        let known: Vec<String> = self.gateway.cron.jobs.keys().cloned().collect();
        self.call(Op::CronAdd, event(&more)).expect("a job");
        let mut ids = self.gateway.cron.jobs.keys();
        ids.find(|id| !known.contains(id)).expect("a new one").clone()
    }

    fn job(&self, id: &str) -> &Job {
        &self.gateway.cron.jobs[id]
    }

    fn runs(&mut self, id: &str) -> Vec<Value> {
        let value = self.call(Op::CronRuns, json!({"id": id, "sortDir": "asc"})).expect("runs");
        value["entries"].as_array().expect("entries").clone()
    }
}

fn event(more: &Value) -> Value {
    let mut value = json!({
        "name": "n", "schedule": {"kind": "every", "everyMs": HOUR},
        "wakeMode": "next-heartbeat", "payload": {"kind": "systemEvent", "text": "t"},
    });
    for (name, field) in more.as_object().expect("an object") {
        value[name.as_str()] = field.clone();
    }
    value
}

fn turn() -> Value {
    json!({"kind": "agentTurn", "message": "say it"})
}

fn at(ms: u64) -> Value {
    json!({"kind": "at", "at": crate::wire::text::rfc3339_ms(ms)})
}

#[test]
fn a_recurring_job_comes_at_its_times() {
    let mut clock = Clock::start(&Memory::default(), WALL);
    let id = clock.add(json!({}));
    clock.pass(3 * HOUR + 1);
    let runs = clock.runs(&id);
    let times: Vec<u64> = runs.iter().map(|run| run["runAtMs"].as_u64().expect("ms")).collect();
    assert_eq!(times, [WALL + HOUR, WALL + 2 * HOUR, WALL + 3 * HOUR]);
    assert_eq!(runs[0]["summary"], "t");
    assert_eq!(clock.job(&id).state.next_run_at_ms, Some(WALL + 4 * HOUR));
    clock.call(Op::CronUpdate, json!({"id": id, "patch": {"enabled": false}})).expect("off");
    assert_eq!(clock.job(&id).state.next_run_at_ms, None);
    clock.pass(3 * HOUR);
    assert_eq!(clock.runs(&id).len(), 3, "a job that is off does not run");
    clock.call(Op::CronRun, json!({"id": id, "mode": "force"})).expect("by hand");
    clock.pass(1);
    assert_eq!(clock.runs(&id).len(), 4);
    assert!(!clock.job(&id).enabled, "by hand switches nothing on");
    assert_eq!(clock.job(&id).state.next_run_at_ms, None);
}

#[test]
fn an_agent_answers_in_a_session_of_its_own() {
    let mut clock = Clock::start(&Memory::default(), WALL);
    let id =
        clock.add(json!({"payload": turn(), "schedule": {"kind": "every", "everyMs": 60_000}}));
    clock.pass(60_001);
    let runs = clock.runs(&id);
    assert_eq!(runs.len(), 1, "{runs:?}");
    let key = format!("agent:main:cron:{id}");
    assert_eq!(runs[0]["sessionKey"], key.as_str());
    assert_eq!((&runs[0]["status"], &runs[0]["model"]), (&json!("ok"), &json!("echo")));
    assert!(runs[0]["summary"].as_str().expect("text").contains("say it"), "{runs:?}");
    let first = clock.gateway.sessions.get(&key).expect("a session").session_id.clone();
    clock.pass(60_000);
    let second = clock.gateway.sessions.get(&key).expect("a session").session_id.clone();
    assert_ne!(first, second, "each run begins anew");
    clock.call(Op::CronRemove, json!({"id": id})).expect("removed");
    assert!(clock.gateway.sessions.get(&key).is_none());
    assert_eq!(clock.runs(&id).len(), 2, "the history stays");
}

#[test]
fn a_single_job_goes_when_it_went_well() {
    let mut clock = Clock::start(&Memory::default(), WALL);
    let gone = clock.add(json!({"schedule": at(WALL + 5_000)}));
    let kept = clock.add(json!({"schedule": at(WALL + 5_000), "deleteAfterRun": false}));
    let late = clock.add(json!({"schedule": at(WALL - 5_000)}));
    let unsaid = clock.add(json!({"schedule": at(WALL + 5_000), "payload": turn(),
        "delivery": {"mode": "announce"}}));
    clock.pass(5_001);
    assert!(!clock.gateway.cron.jobs.contains_key(&gone));
    assert!(!clock.gateway.cron.jobs.contains_key(&late), "what is past comes at once");
    assert!(!clock.job(&kept).enabled);
    assert_eq!(clock.job(&kept).state.next_run_at_ms, None);
    // Nothing delivers its answer: it says so and stays.
    let job = clock.job(&unsaid);
    assert_eq!(job.state.last_run_status.as_deref(), Some("ok"));
    assert_eq!(job.state.last_delivery_status.as_deref(), Some("not-delivered"));
    assert!(!job.enabled);
    assert_eq!(clock.runs(&unsaid)[0]["completionStatus"], "failed");
    assert_eq!(clock.runs(&gone)[0]["completionStatus"], "succeeded");
}

#[test]
fn errors_pause_a_job_longer_and_longer() {
    let mut clock = Clock::start(&Memory::default(), WALL);
    let mut payload = turn();
    payload["model"] = json!("nobody/has-it");
    let every = json!({"kind": "every", "everyMs": 1_000});
    let id = clock.add(json!({"payload": payload, "schedule": every}));
    let once = clock.add(json!({"payload": payload, "schedule": at(WALL + 1_000)}));
    clock.pass(1_000);
    let job = clock.job(&id);
    assert!(job.state.last_error.as_deref().expect("why").contains("nobody/has-it"));
    assert_eq!(job.state.last_error_reason.as_deref(), Some("model_not_found"));
    assert_eq!(job.state.next_run_at_ms, Some(WALL + 1_000 + limits::CRON_BACKOFF_MS[0]));
    assert!(!clock.job(&once).enabled, "trying again does not help");
    clock.pass(4 * HOUR);
    let runs = clock.runs(&id);
    let times: Vec<u64> = runs.iter().map(|run| run["runAtMs"].as_u64().expect("ms")).collect();
    let gaps: Vec<u64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(gaps[..5], limits::CRON_BACKOFF_MS);
    assert!(gaps[5..].iter().all(|gap| *gap == HOUR), "{gaps:?}");
    let patch = json!({"payload": {"kind": "agentTurn", "model": null}});
    clock.call(Op::CronUpdate, json!({"id": id, "patch": patch})).expect("mended");
    clock.call(Op::CronRun, json!({"id": id})).expect("by hand");
    clock.pass(1);
    assert_eq!(clock.job(&id).state.consecutive_errors, Some(0));
}

#[test]
fn only_so_many_run_at_once() {
    let disk = Memory::default();
    let now = Now { time: Time(1), wall_ms: WALL };
    // With a provider: runs wait for it.
    let gateway = boot(1, AuthMode::None, &disk, now);
    let mut clock = Clock { gateway, fx: Effects::new(), now };
    let ids: Vec<String> = (0..4).map(|_| clock.add(json!({"payload": turn()}))).collect();
    clock.pass(HOUR);
    let running = |clock: &Clock| clock.gateway.cron.running.len();
    assert_eq!(running(&clock), 2);
    let again = clock.call(Op::CronRun, json!({"id": ids[0], "mode": "due"})).expect("asked");
    assert!(
        matches!(again["reason"].as_str(), Some("already-running" | "not-due"))
            || again["enqueued"] == true
    );
    // A run that is cut off makes room for the next.
    let first = clock.gateway.runs.numbers()[0];
    clock.gateway.cancel_run(first, "rpc", &mut clock.fx);
    clock.pass(1);
    assert_eq!(running(&clock), 2);
    let ended = clock.gateway.cron.jobs.values().filter(|job| job.state.last_run_at_ms.is_some());
    assert_eq!(ended.count(), 1);
    // And what is asked for by hand stands in line, up to a bound.
    for n in 0..=limits::CRON_QUEUE {
        let id = clock.add(json!({"name": format!("m{n}"), "payload": turn()}));
        let asked = clock.call(Op::CronRun, json!({"id": id}));
        assert_eq!(asked.is_ok(), n < limits::CRON_QUEUE, "{n}: {asked:?}");
    }
}

#[test]
fn jobs_are_bounded() {
    let mut clock = Clock::start(&Memory::default(), WALL);
    let id = clock.add(json!({}));
    let job = clock.job(&id).clone();
    for n in 1..limits::CRON_JOBS {
        let id = format!("j{n}");
        clock.gateway.cron.jobs.insert(id.clone(), Job { id, ..job.clone() });
    }
    let error = clock.call(Op::CronAdd, event(&json!({}))).expect_err("one too many");
    assert!(error.contains("openclaw cron rm"), "{error}");
}

#[test]
fn a_restart_keeps_every_job_and_brings_what_was_missed_once() {
    let disk = Memory::default();
    let mut clock = Clock::start(&disk, WALL);
    let hourly = clock.add(json!({}));
    let other = clock.add(json!({}));
    let once = clock.add(json!({"schedule": at(WALL + HOUR)}));
    let cut = clock.add(json!({}));
    clock.gateway.cron.jobs.get_mut(&cut).expect("it").state.running_at_ms = Some(WALL);
    clock.gateway.write_cron().expect("memory");
    drop(clock);
    // Five hours later.
    let mut clock = Clock::start(&disk, WALL + 5 * HOUR);
    assert_eq!(clock.gateway.cron.jobs.len(), 4);
    let state = &clock.job(&cut).state;
    assert_eq!((state.running_at_ms, state.consecutive_errors), (None, Some(1)));
    assert!(state.last_error.as_deref().expect("why").contains("stopped"));
    assert_eq!(clock.runs(&cut)[0]["status"], "error");
    clock.pass(limits::CRON_CATCH_UP_MS * 4 + 1);
    assert_eq!(
        (clock.runs(&hourly).len(), clock.runs(&other).len()),
        (1, 1),
        "once, not five times"
    );
    let (first, second) = (clock.runs(&hourly), clock.runs(&other));
    assert_ne!(first[0]["runAtMs"], second[0]["runAtMs"], "one after the other");
    assert!(!clock.gateway.cron.jobs.contains_key(&once));
    assert_eq!(clock.job(&hourly).state.next_run_at_ms, Some(WALL + 6 * HOUR));
    drop(clock);
    let clock = Clock::start(&disk, WALL + 5 * HOUR + 10_000);
    assert_eq!(clock.job(&hourly).state.next_run_at_ms, Some(WALL + 6 * HOUR), "nothing is due");
}

#[test]
fn missed_jobs_are_left_out_where_that_is_asked() {
    let disk = Memory::default();
    let mut clock = Clock::start(&disk, WALL);
    let hourly = clock.add(json!({}));
    let once = clock.add(json!({"schedule": at(WALL + HOUR)}));
    drop(clock);
    let mut clock = Clock::start(&disk, WALL + 5 * HOUR + 1);
    let mut config = clock.gateway.config.as_ref().clone();
    config.cron.skip_missed_jobs = true;
    clock.gateway.config = std::rc::Rc::new(config);
    clock.gateway.open_cron();
    clock.pass(60_000);
    assert!(clock.runs(&hourly).is_empty());
    assert_eq!(clock.job(&hourly).state.next_run_at_ms, Some(WALL + 6 * HOUR));
    assert_eq!(clock.runs(&once).len(), 1, "a single time always comes");
}

#[test]
fn a_run_that_is_cut_short_again_and_again_is_given_up() {
    let disk = Memory::default();
    let mut clock = Clock::start(&disk, WALL);
    let id = clock.add(json!({"schedule": at(WALL + HOUR)}));
    for _ in 0..=limits::CRON_RETRIES {
        assert!(clock.job(&id).enabled);
        clock.gateway.cron.jobs.get_mut(&id).expect("it").state.running_at_ms = Some(WALL);
        clock.gateway.write_cron().expect("memory");
        clock = Clock::start(&disk, WALL + HOUR);
    }
    assert!(!clock.job(&id).enabled);
}

#[test]
fn what_is_off_does_not_run_and_a_clock_that_is_set_is_noticed() {
    let mut clock = Clock::start(&Memory::default(), WALL);
    let id = clock.add(json!({}));
    let mut config = clock.gateway.config.as_ref().clone();
    config.cron.enabled = false;
    let on = std::mem::replace(&mut clock.gateway.config, std::rc::Rc::new(config));
    clock.pass(2 * HOUR);
    assert!(clock.runs(&id).is_empty());
    let status = clock.call(Op::CronStatus, json!({})).expect("status");
    assert_eq!((&status["enabled"], &status["nextWakeAtMs"]), (&json!(false), &Value::Null));
    clock.gateway.config = on;
    clock.pass(limits::CRON_LOOK_MS);
    assert_eq!(clock.runs(&id).len(), 1, "switched on again without a restart");
    // The machine's clock jumps ahead by a day.
    clock.now.wall_ms += 24 * HOUR;
    clock.pass(limits::CRON_LOOK_MS);
    assert_eq!(clock.runs(&id).len(), 2);
}

#[test]
fn zones_are_those_of_the_disk() {
    let mut disk = Memory::default();
    let path = Path::new("/usr/share/zoneinfo/Europe/Berlin");
    crate::store::Disk::replace(&mut disk, path, &tzif(0, &[], BERLIN)).expect("memory");
    crate::store::Disk::replace(&mut disk, Path::new("/usr/share/zoneinfo/Bad"), b"x")
        .expect("memory");
    let mut clock = Clock::start(&disk, WALL);
    let cron = |tz: &str| json!({"schedule": {"kind": "cron", "expr": "0 7 * * *", "tz": tz}});
    let id = clock.add(cron("Europe/Berlin"));
    assert_eq!(clock.job(&id).state.next_run_at_ms.expect("a time") % (24 * HOUR), 6 * HOUR);
    let id = clock.add(cron("-03:30"));
    assert_eq!(clock.job(&id).state.next_run_at_ms.expect("a time") % (24 * HOUR), 37_800_000);
    for (tz, part) in [
        ("Europe/Nowhere", "tzdata"),
        ("../../etc/passwd", "is no time zone"),
        ("Bad", "zoneinfo/Bad: it ends too early"),
    ] {
        let error = clock.call(Op::CronAdd, event(&cron(tz))).expect_err(tz);
        assert!(error.contains(part), "{tz}: {error}");
    }
    let never = json!({"schedule": {"kind": "cron", "expr": "0 0 30 2 *"}});
    let error = clock.call(Op::CronAdd, event(&never)).expect_err("never");
    assert!(error.contains("never comes"), "{error}");
}

#[test]
fn a_disk_that_refuses_changes_nothing() {
    let disk = Memory::default();
    let mut clock = Clock::start(&disk, WALL);
    let id = clock.add(json!({}));
    disk.refuse(true);
    assert!(clock.call(Op::CronAdd, event(&json!({}))).is_err());
    assert_eq!(clock.gateway.cron.jobs.len(), 1);
    assert!(clock.call(Op::CronUpdate, json!({"id": id, "patch": {"name": "x"}})).is_err());
    assert_eq!(clock.job(&id).name, "n");
    assert!(clock.call(Op::CronRemove, json!({"id": id})).is_err());
    assert!(clock.gateway.cron.jobs.contains_key(&id));
    clock.pass(HOUR);
    assert!(clock.job(&id).state.last_run_at_ms.is_some(), "it runs all the same");
    disk.refuse(false);
    clock.pass(limits::CRON_LOOK_MS);
    drop(clock);
    let clock = Clock::start(&disk, WALL + 2 * HOUR);
    assert!(clock.job(&id).state.last_run_at_ms.is_some(), "and was written once it could be");
}

#[test]
fn a_job_without_its_agent_is_skipped_and_says_so() {
    let disk = Memory::default();
    let mut clock = Clock::start(&disk, WALL);
    let error = clock.call(Op::CronAdd, event(&json!({"agentId": "nobody"})));
    assert!(error.expect_err("unknown").contains("agents list"));
    let id = clock.add(json!({}));
    clock.gateway.cron.jobs.get_mut(&id).expect("it").agent_id = Some("gone".to_owned());
    clock.pass(HOUR);
    let state = &clock.job(&id).state;
    assert_eq!(state.last_run_status.as_deref(), Some("skipped"));
    assert!(state.last_error.as_deref().expect("why").contains("openclaw cron edit"));
    assert_eq!(state.next_run_at_ms, Some(WALL + 2 * HOUR), "no pause: nothing failed");
    assert!(clock.runs(&id).is_empty());
}

#[test]
fn a_declared_job_is_one_job() {
    let mut clock = Clock::start(&Memory::default(), WALL);
    let declared = |name: &str| event(&json!({"declarationKey": "k", "name": name}));
    for name in ["a", "a", "b"] {
        clock.call(Op::CronAdd, declared(name)).expect("declared");
        assert_eq!(clock.gateway.cron.jobs.len(), 1);
    }
    let job = clock.gateway.cron.jobs.values().next().expect("one").clone();
    assert_eq!(job.name, "b");
    let stale = json!({"id": job.id, "patch": {"name": "c"}, "expectedConfigRevision": "sha256:x"});
    assert!(clock.call(Op::CronUpdate, stale).expect_err("stale").contains("has changed"));
    let list = clock.call(Op::CronList, json!({"query": "B", "limit": 1})).expect("a list");
    assert_eq!((&list["total"], &list["hasMore"]), (&json!(1), &json!(false)));
    assert_eq!(list["jobs"][0]["effectiveAgentId"], "main");
    let none = clock.call(Op::CronList, json!({"query": "zzz"})).expect("a list");
    assert_eq!(none["total"], 0);
}
