//! The registry: claims, requests, approvals, and what is kept.

use super::*;

fn claims(caps: &[&str], commands: &[&str]) -> Claims {
    let value = json!({
        "client": {"id": "node-host", "mode": "node", "platform": "linux", "version": "1",
            "displayName": "kit\u{7}"},
        "caps": caps, "commands": commands, "permissions": {"screen": true},
    });
    Claims::of(value.as_object().expect("an object"))
}

fn arrive(registry: &mut Registry, claims: &Claims, request: &str) -> Arrival {
    let policy = NodePolicy::default();
    registry.arrived("n", claims, &policy, Asking { request, silent: true, now_ms: 7 }, |_| false)
}

#[test]
fn claims_are_bounded_plain_and_unique() {
    let many: Vec<String> = (0..limits::NODE_COMMANDS + 9).map(|n| format!("c{n}")).collect();
    let mut list: Vec<&str> = vec!["", " a ", "a", "x\ny"];
    let long = "l".repeat(limits::NODE_WORD + 1);
    list.push(&long);
    list.extend(many.iter().map(String::as_str));
    let claims = claims(&["system", "system"], &list);
    assert_eq!(claims.caps, ["system"]);
    assert_eq!(claims.commands.len(), limits::NODE_COMMANDS);
    assert_eq!(claims.commands[..2], ["a", "c0"]);
    assert!(!claims.about.contains_key("displayName"), "it held a control character");
    assert_eq!(claims.platform(), "linux");
}

#[test]
fn a_first_surface_waits_and_grants_nothing() {
    let mut registry = Registry::default();
    let policy = NodePolicy::default();
    let wants = claims(&["system"], &["system.run", "camera.snap", "no.such"]);
    assert!(arrive(&mut registry, &wants, "r1").requested);
    let node = registry.get("n").expect("known");
    let pending = node.pending.as_ref().expect("waits");
    assert_eq!(pending.asked.commands, ["system.run"], "what no policy permits is not asked");
    assert_eq!(pending.scopes(), ["operator.pairing", "operator.admin"]);
    assert!(!node.may(&policy, &wants, "system.run"));
    assert_eq!(arrive(&mut registry, &wants, "r2"), Arrival::default(), "the request is kept");
    assert_eq!(registry.approve("r2", 9), None);
    assert_eq!(registry.approve("r1", 9).as_deref(), Some("n"));
    let node = registry.get("n").expect("known");
    assert!(node.may(&policy, &wants, "system.run"));
    assert!(!node.may(&policy, &wants, "camera.snap"));
}

#[test]
fn only_what_is_declared_approved_and_permitted_is_usable() {
    let mut registry = Registry::default();
    let wants = claims(&[], &["system.run", "system.which", "system.notify"]);
    arrive(&mut registry, &wants, "r1");
    registry.approve("r1", 9);
    let node = registry.get("n").expect("known");
    let policy = NodePolicy::default();
    assert!(node.may(&policy, &wants, "system.which"));
    let fewer = claims(&[], &["system.notify"]);
    assert!(!node.may(&policy, &fewer, "system.which"), "no longer declared");
    let denied = NodePolicy { deny: vec!["system.which".to_owned()], ..NodePolicy::default() };
    assert!(!node.may(&denied, &wants, "system.which"), "denied");
    let phone = json!({"client": {"platform": "ios"}, "commands": ["system.which"]});
    let phone = Claims::of(phone.as_object().expect("an object"));
    assert!(!node.may(&policy, &phone, "system.which"), "not on that platform");
    let more = claims(&[], &["system.notify", "computer.act"]);
    assert!(!node.may(&policy, &more, "computer.act"), "never approved");
}

#[test]
fn a_wider_surface_asks_anew_and_a_narrower_one_does_not() {
    let mut registry = Registry::default();
    arrive(&mut registry, &claims(&["a"], &["system.notify"]), "r1");
    registry.approve("r1", 9);
    assert_eq!(arrive(&mut registry, &claims(&[], &[]), "r2"), Arrival::default());
    assert!(arrive(&mut registry, &claims(&["b"], &["system.notify"]), "r3").requested);
    let wider = arrive(&mut registry, &claims(&["a"], &["system.notify", "system.run"]), "r4");
    assert_eq!(wider.resolved, Some(("r3".to_owned(), "superseded")));
    let same = arrive(&mut registry, &claims(&["a"], &["system.notify"]), "r5");
    assert_eq!(same.resolved, Some(("r4".to_owned(), "cleared")));
    assert!(!same.requested);
    let mut grown = claims(&["a"], &["system.notify"]);
    grown.permissions.insert("accessibility".to_owned(), true);
    assert!(arrive(&mut registry, &grown, "r6").requested, "a permission is a widening");
    assert_eq!(registry.reject("r6").as_deref(), Some("n"));
    assert!(registry.get("n").expect("known").approved.is_some(), "what was approved stays");
    assert!(!registry.retain(|id| id == "n"));
    assert!(registry.retain(|_| false));
    assert!(registry.get("n").is_none());
}

#[test]
fn a_flood_of_strangers_forgets_strangers_only() {
    let mut registry = Registry::default();
    let policy = NodePolicy::default();
    let wants = claims(&[], &["system.notify"]);
    arrive(&mut registry, &wants, "r");
    registry.approve("r", 9);
    let add = |registry: &mut Registry, n: usize, online: bool| {
        let (id, request) = (format!("s{n}"), format!("q{n}"));
        let asking = Asking { request: &request, silent: true, now_ms: n as u64 + 10 };
        registry.arrived(&id, &wants, &policy, asking, |_| online)
    };
    for n in 0..limits::NODES + 20 {
        assert!(add(&mut registry, n, false).requested);
    }
    assert_eq!(registry.all().count(), limits::NODES);
    assert!(registry.get("n").is_some(), "approved nodes are never forgotten for strangers");
    assert!(add(&mut registry, 9_999, true).full, "nobody that is connected is forgotten");
}

#[test]
fn the_document_holds_everything_and_nonsense_grants_nothing() {
    let mut registry = Registry::default();
    arrive(&mut registry, &claims(&["a"], &["system.notify"]), "r1");
    registry.approve("r1", 9);
    arrive(&mut registry, &claims(&["a"], &["system.notify", "system.run"]), "r2");
    registry.rename("n", "Kitchen");
    registry.get_mut("n").expect("known").stats = Some(json!({"cpuCount": 1}));
    let again = Registry::from_value(&registry.to_value()).expect("a document");
    assert_eq!(again, registry);
    assert!(Registry::from_value(&json!({"version": 2})).is_err());
    assert!(Registry::from_value(&json!({"version": 1})).is_err());
    let odd =
        json!({"version": 1, "nodes": {"x": {"approved": true, "pending": {"ts": 1}}, "y": 3}});
    let odd = Registry::from_value(&odd).expect("a document");
    assert!(odd.get("x").is_some_and(|node| node.approved.is_none() && node.pending.is_none()));
}
