//! `openclaw gateway usage-cost`, `gateway stability` and `gateway discover`: what the gateway
//! counted, what happened to it lately, and who else is on the network.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::client::Target;
use super::page::{Page, Tone};
use super::table::Args;
use super::{Failed, ask, export, next, out, place};
use crate::limits;
use crate::wire::text::rfc3339_ms;

/// `openclaw gateway usage-cost`.
///
/// # Errors
/// When no gateway answers, or two flags contradict.
pub fn usage_cost(args: &Args) -> Result<u8, Failed> {
    let agent = args.value("agent");
    if agent.is_some() && args.has("all-agents") {
        let what = "--agent and --all-agents cannot stand together";
        return Err(Failed { code: 2, ..Failed::new(what, "openclaw gateway usage-cost --help") });
    }
    let days = args.number("days").unwrap_or(30);
    let mut params = json!({"days": days});
    if let Some(agent) = agent {
        params["agentId"] = json!(agent);
    }
    let target = Target::find(args)?;
    let answer = match ask::call(args, &target, "usage.cost", params) {
        Ok(answer) => answer,
        Err(trouble) => return target.fail(args, &trouble),
    };
    if args.has("json") {
        out::json(&answer);
    } else {
        usage_page(Page::new(args), &answer).print();
    }
    Ok(0)
}

fn usage_page(mut page: Page, answer: &Value) -> Page {
    let days = answer.get("days").and_then(Value::as_u64).unwrap_or_default();
    page.title(&format!("Usage cost ({days} days)"));
    let line = |row: &Value| {
        let number = |name: &str| row.get(name).and_then(Value::as_u64).unwrap_or_default();
        let cost = row.get("totalCost").and_then(Value::as_f64).unwrap_or_default();
        format!("${cost:.4} · {} tokens", number("totalTokens"))
    };
    let totals = answer.get("totals").cloned().unwrap_or_default();
    page.fact("Total", &line(&totals), Tone::Plain);
    let latest = answer.get("daily").and_then(Value::as_array).and_then(|days| days.last());
    if let Some(day) = latest {
        let date = day.get("date").and_then(Value::as_str).unwrap_or_default();
        page.fact("Latest day", &format!("{date} · {}", line(day)), Tone::Plain);
    }
    let missing = totals.get("missingCostEntries").and_then(Value::as_u64).unwrap_or_default();
    if missing > 0 {
        let text = format!("{missing} answers of models without a price are not in the total");
        page.line(&text, Tone::Warn);
        page.next("openclaw config set models.providers.<id>.models[0].cost.input <USD/1M>");
    }
    let status = answer.pointer("/cacheStatus/status").and_then(Value::as_str);
    if status.is_some_and(|status| status != "fresh") {
        let text = "the figures are being counted anew and may be incomplete; ask again";
        page.line(text, Tone::Warn);
    }
    page
}

/// `openclaw gateway stability`.
///
/// # Errors
/// When no gateway answers, or there is no bundle to read.
pub fn stability(args: &Args) -> Result<u8, Failed> {
    if args.has("export") {
        return export::run(args);
    }
    let limit = args.number("limit").unwrap_or(25);
    let mut params = json!({"limit": limit});
    if let Some(kind) = args.value("type") {
        params["type"] = json!(kind);
    }
    if let Some(since) = args.number("since-seq") {
        params["sinceSeq"] = json!(since);
    }
    if let Some(named) = args.value("bundle") {
        return of_bundle(args, named, &params);
    }
    let target = Target::find(args)?;
    let answer = match ask::call(args, &target, "diagnostics.stability", params) {
        Ok(answer) => answer,
        Err(trouble) => return target.fail(args, &trouble),
    };
    if args.has("json") {
        out::json(&answer);
    } else {
        let mut page = Page::new(args);
        page.title("Gateway Stability");
        events(&mut page, &answer);
        page.print();
    }
    Ok(0)
}

fn events(page: &mut Page, report: &Value) {
    let number = |name: &str| report.get(name).and_then(Value::as_u64).unwrap_or_default();
    page.fact("Events", &format!("{}/{}", number("count"), number("capacity")), Tone::Plain);
    if number("dropped") > 0 {
        page.fact("Forgotten", &format!("{} older ones", number("dropped")), Tone::Dim);
    }
    let types = report.pointer("/summary/byType").and_then(Value::as_object);
    let types: Vec<String> =
        types.into_iter().flatten().map(|(kind, count)| format!("{kind}={count}")).collect();
    if !types.is_empty() {
        page.fact("Types", &types.join(" "), Tone::Plain);
    }
    if let Some(rss) = report.pointer("/summary/memory/latest/rssBytes").and_then(Value::as_u64) {
        let most = report.pointer("/summary/memory/maxRssBytes").and_then(Value::as_u64);
        let most = most.unwrap_or(rss);
        let text = format!("{} resident, at most {}", mib(rss), mib(most));
        page.fact("Memory", &text, Tone::Plain);
    }
    let list = report.get("events").and_then(Value::as_array).map(Vec::as_slice);
    let list = list.unwrap_or_default();
    page.line(if list.is_empty() { "Recent: nothing" } else { "Recent:" }, Tone::Plain);
    for event in list {
        let fields = event.as_object();
        let known = ["seq", "ts", "type"];
        let rest: Vec<String> = fields
            .into_iter()
            .flatten()
            .filter(|(name, _)| !known.contains(&name.as_str()))
            .map(|(name, value)| match value {
                Value::String(text) => format!("{name}={text}"),
                other => format!("{name}={other}"),
            })
            .collect();
        let time = event.get("ts").and_then(Value::as_u64).unwrap_or_default();
        let kind = event.get("type").and_then(Value::as_str).unwrap_or("unknown");
        let seq = event.get("seq").and_then(Value::as_u64).unwrap_or_default();
        let tone = match kind {
            "payload.large" | "diagnostic.liveness.warning" => Tone::Warn,
            "diagnostic.memory.pressure" => Tone::Bad,
            _ => Tone::Plain,
        };
        page.line(&format!("  {} #{seq} {kind} {}", rfc3339_ms(time), rest.join(" ")), tone);
    }
}

/// `10.2 MiB`.
pub(super) fn mib(bytes: u64) -> String {
    let tenths = bytes.saturating_mul(10) / (1024 * 1024);
    format!("{}.{} MiB", tenths / 10, tenths % 10)
}

/// Where the gateway leaves its bundles.
pub(super) fn bundles(state_dir: &Path) -> PathBuf {
    state_dir.join("logs").join("stability")
}

/// The newest bundle, if there is one.
pub(super) fn newest_bundle(state_dir: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(bundles(state_dir)).ok()?;
    let bundle = |path: &PathBuf| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        name.is_some_and(|name| name.starts_with("openclaw-stability-") && name.ends_with(".json"))
    };
    entries.flatten().map(|entry| entry.path()).filter(bundle).max()
}

/// A bundle that a gateway left, cut to what is asked for.
fn of_bundle(args: &Args, named: &str, params: &Value) -> Result<u8, Failed> {
    let paths = place::paths(&place::environment(), args)?;
    let path = if named == "latest" {
        newest_bundle(&paths.state_dir).ok_or_else(|| {
            let what = format!(
                "no stability bundle in {}; one is kept when a stop cuts runs short",
                bundles(&paths.state_dir).display()
            );
            Failed::new(what, "openclaw gateway stability")
        })?
    } else {
        PathBuf::from(named)
    };
    let unreadable = |why: String| {
        let what = format!("cannot read the bundle {}: {why}", path.display());
        Failed::new(what, "openclaw gateway stability --bundle latest")
    };
    let bytes = place::read_capped(&path, limits::STABILITY_BUNDLE)
        .map_err(|error| unreadable(error.to_string()))?;
    let mut bundle: Value =
        serde_json::from_slice(&bytes).map_err(|error| unreadable(error.to_string()))?;
    if !bundle.pointer("/snapshot/events").is_some_and(Value::is_array) {
        return Err(unreadable("it has no snapshot.events".to_owned()));
    }
    narrow(&mut bundle["snapshot"], params);
    if args.has("json") {
        out::json(&json!({"path": path, "bundle": bundle}));
        return Ok(0);
    }
    let mut page = Page::new(args);
    page.title("Gateway Stability Bundle");
    let word = |name: &str| bundle.get(name).and_then(Value::as_str).unwrap_or("unknown");
    page.fact("Bundle", &path.display().to_string(), Tone::Plain);
    page.fact("Kept", &format!("{} ({})", word("generatedAt"), word("reason")), Tone::Plain);
    events(&mut page, &bundle["snapshot"]);
    page.print();
    Ok(0)
}

/// The events of a snapshot that `{limit, type?, sinceSeq?}` asks for.
fn narrow(snapshot: &mut Value, params: &Value) {
    let kind = params.get("type").and_then(Value::as_str).map(str::to_owned);
    let since = params.get("sinceSeq").and_then(Value::as_u64);
    let limit = params.get("limit").and_then(Value::as_u64).unwrap_or(25);
    let Some(events) = snapshot["events"].as_array_mut() else { return };
    events.retain(|event| {
        let seq = event.get("seq").and_then(Value::as_u64).unwrap_or_default();
        kind.as_deref().is_none_or(|kind| event.get("type").and_then(Value::as_str) == Some(kind))
            && since.is_none_or(|since| seq > since)
    });
    let count = events.len();
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    events.drain(..count.saturating_sub(limit));
    snapshot["count"] = json!(count);
}

/// `openclaw gateway discover`: nobody is looked for, and that is said. Names on a network are
/// announced and found by mDNS, which this program does not speak.
///
/// # Errors
/// Never.
pub fn discover(args: &Args) -> Result<u8, Failed> {
    const WHY: &str = "this build speaks no mDNS: it looks for no gateway and announces none";
    if args.has("json") {
        out::json(&json!({
            "timeoutMs": args.number("timeout").unwrap_or(2_000), "domains": [], "count": 0,
            "beacons": [], "supported": false, "reason": WHY,
        }));
        return Ok(0);
    }
    let mut page = Page::new(args);
    page.title("Gateway Discovery");
    page.line(WHY, Tone::Warn);
    page.line("Found 0 gateways", Tone::Plain);
    page.line(
        "A gateway whose address you know: openclaw gateway probe --url ws://<host>:18789 \
         --token <token>; through SSH: ssh -N -L 18789:127.0.0.1:18789 <user>@<host>",
        Tone::Plain,
    );
    page.next(next::STATUS);
    page.print();
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::super::page::Ink;
    use super::*;

    #[test]
    fn costs_in_words() {
        let answer = json!({"days": 30, "totals": {"totalTokens": 12, "totalCost": 0.5,
            "missingCostEntries": 2}, "daily": [{"date": "2026-11-29", "totalTokens": 3,
            "totalCost": 0.25}], "cacheStatus": {"status": "refreshing"}});
        let page = usage_page(Page::with(Ink::NONE, 80), &answer);
        let text = page.text();
        assert!(text.starts_with("Usage cost (30 days)\nTotal: $0.5000 · 12 tokens\n"), "{text}");
        assert!(text.contains("Latest day: 2026-11-29 · $0.2500 · 3 tokens\n"), "{text}");
        assert!(text.contains("2 answers of models without a price"), "{text}");
        assert!(text.contains("may be incomplete"), "{text}");
    }

    #[test]
    fn a_snapshot_is_cut_to_what_is_asked() {
        let mut snapshot = json!({"capacity": 1000, "count": 3, "dropped": 1, "events": [
            {"seq": 1, "ts": 0, "type": "a"}, {"seq": 2, "ts": 0, "type": "b", "n": 7},
            {"seq": 3, "ts": 0, "type": "b", "word": "\u{1b}x"},
        ]});
        narrow(&mut snapshot, &json!({"limit": 1, "type": "b"}));
        assert_eq!(snapshot["count"], 2);
        let mut page = Page::with(Ink::NONE, 80);
        events(&mut page, &snapshot);
        let text = page.text();
        assert!(text.contains("Events: 2/1000") && text.contains("Forgotten: 1 older"), "{text}");
        assert!(text.contains("#3 b word=") && !text.contains('\u{1b}'), "{text}");
        assert_eq!(mib(10 << 20), "10.0 MiB");
    }
}
