use super::*;
use crate::config::secrets::ExecProvider;

fn exec() -> ExecProvider {
    ExecProvider {
        command: "/b/v".into(),
        args: vec!["-x".to_owned()],
        env: BTreeMap::from([("A".to_owned(), "1".to_owned())]),
        timeout_ms: 1000,
        silence_ms: 300,
        max_output: 64,
        json_only: true,
        trusted_dirs: Vec::new(),
        follow_link: false,
    }
}

fn batch(provider: &str) -> Batch {
    let ids = vec!["k".to_owned()];
    Batch { provider: provider.to_owned(), exec: exec(), program: "/b/v".into(), ids }
}

fn started(asking: &mut Asking, number: &mut u64) -> Vec<(ChildId, Spawn)> {
    let mut fx = Effects::new();
    asking.go_on(Time(0), number, &mut fx);
    let spawned = fx.drain().map(|effect| match effect {
        Effect::Spawn { child, spawn } => (child, spawn),
        other => panic!("{other:?}"),
    });
    spawned.collect()
}

fn kills(fx: &mut Effects) -> usize {
    fx.drain().filter(|effect| matches!(effect, Effect::Kill { kill: true, .. })).count()
}

/// What was answered.
fn token(asking: &mut Asking) -> Result<String, String> {
    let resolved = asking.finished().expect("all have answered");
    assert_eq!(resolved.len(), 1);
    resolved.of(&batch("v"), "k").expect("it was asked").map(|secret| secret.expose().to_owned())
}

#[test]
fn a_program_is_spawned_without_a_shell_and_with_its_own_environment() {
    let mut asking = Asking::new(vec![batch("v")], Resolved::default());
    let mut number = 41;
    let spawned = started(&mut asking, &mut number);
    let (child, spawn) = &spawned[0];
    assert_eq!((*child, number, spawned.len()), (ChildId(42), 42, 1));
    assert_eq!(spawn.program, std::path::Path::new("/b/v"));
    assert_eq!(spawn.cwd, std::path::Path::new("/b"));
    assert_eq!((spawn.args.len(), spawn.env.len(), spawn.keep_stdin), (1, 1, false));
    let asked = String::from_utf8_lossy(&spawn.stdin).into_owned();
    assert_eq!(asked, "{\"ids\":[\"k\"],\"protocolVersion\":1,\"provider\":\"v\"}\n");
    let mut fx = Effects::new();
    let good = br#"{"protocolVersion":1,"values":{"k":"s3cret"}}"#;
    let (one, two) = good.split_at(20);
    for bytes in [one, two] {
        assert!(asking.on(Time(1), *child, &ChildEvent::Stdout(bytes), &mut fx));
    }
    assert!(asking.finished().is_none());
    assert!(asking.on(Time(2), *child, &ChildEvent::Exited(Exit::Code(0)), &mut fx));
    assert!(!asking.on(Time(2), *child, &ChildEvent::Exited(Exit::Code(0)), &mut fx), "no more");
    assert_eq!(token(&mut asking), Ok("s3cret".to_owned()));
}

#[test]
fn time_silence_and_output_are_bounded() {
    let ask = |events: &dyn Fn(&mut Asking, ChildId, &mut Effects)| {
        let mut asking = Asking::new(vec![batch("v")], Resolved::default());
        let child = started(&mut asking, &mut 0)[0].0;
        let mut fx = Effects::new();
        events(&mut asking, child, &mut fx);
        assert_eq!(kills(&mut fx), 1);
        // It has been killed; what it says now counts no more.
        let good = ChildEvent::Stdout(br#"{"protocolVersion":1,"values":{"k":"late"}}"#);
        asking.on(Time(0).after_ms(1100), child, &good, &mut fx);
        asking.wake(Time(0).after_ms(3000), &mut fx);
        assert_eq!(kills(&mut fx), 1, "what holds the pipes still is let go of");
        asking.on(Time(0).after_ms(3001), child, &ChildEvent::Exited(Exit::Signal(9)), &mut fx);
        token(&mut asking).expect_err("no secret")
    };
    let silent = ask(&|asking, _, fx| {
        assert_eq!(asking.due(), Some(Time(0).after_ms(300)));
        asking.wake(Time(0).after_ms(299), fx);
        assert!(fx.is_empty());
        asking.wake(Time(0).after_ms(300), fx);
    });
    assert!(silent.contains("wrote nothing for 300 ms"), "{silent}");
    let slow = ask(&|asking, child, fx| {
        for ms in [200, 400, 600, 800, 999] {
            asking.on(Time(0).after_ms(ms), child, &ChildEvent::Stderr(b"."), fx);
            asking.wake(Time(0).after_ms(ms), fx);
        }
        asking.wake(Time(0).after_ms(1000), fx);
    });
    assert!(slow.contains("did not end within 1000 ms"), "{slow}");
    let loud = ask(&|asking, child, fx| {
        asking.on(Time(1), child, &ChildEvent::Stdout(&[b'x'; 64]), fx);
        assert!(fx.is_empty());
        asking.on(Time(1), child, &ChildEvent::Stderr(b"x"), fx);
    });
    assert!(loud.contains("more than 64 bytes"), "{loud}");
}

#[test]
fn few_run_at_once_and_all_have_an_answer() {
    let count = limits::SECRET_CHILDREN * 2 + 1;
    let batches = (0..count).map(|n| batch(&format!("v{n}"))).collect();
    let mut asking = Asking::new(batches, Resolved::default());
    let (mut number, mut fx, mut over) = (0, Effects::new(), 0);
    while over < count {
        let spawned = started(&mut asking, &mut number);
        assert!(asking.running.len() <= limits::SECRET_CHILDREN);
        assert!(!spawned.is_empty());
        for (child, _) in spawned {
            let event = ChildEvent::Failed("no such file".to_owned());
            assert!(asking.on(Time(0), child, &event, &mut fx));
            over += 1;
        }
    }
    assert_eq!(asking.finished().expect("all").len(), count);
    let mut asking = Asking::new(vec![batch("v")], Resolved::default());
    let child = started(&mut asking, &mut 0)[0].0;
    asking.on(Time(0), child, &ChildEvent::Exited(Exit::Code(3)), &mut fx);
    assert_eq!(token(&mut asking), Err("it ended with exit code 3".to_owned()));
}
