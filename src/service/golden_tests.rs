//! Definitions of all three systems, byte for byte, and what they refuse. `GOLDEN=write` writes
//! the files anew; the diff is then read.

use super::*;

/// A gateway as most people have it, with what is hard to write in every place.
pub(super) fn service(manager: Manager, profile: Option<&str>) -> Service {
    let windows = manager == Manager::ScheduledTask;
    let dir = profile.map_or_else(String::new, |profile| format!("-{profile}"));
    let (program, state) = match manager {
        Manager::ScheduledTask => {
            (r"C:\Program Files\openclaw\openclaw.exe", format!(r"C:\Users\me\.openclaw{dir}"))
        }
        Manager::LaunchAgent | Manager::LaunchDaemon => {
            ("/usr/local/bin/openclaw", format!("/Users/me/.openclaw{dir}"))
        }
        _ => ("/usr/local/bin/openclaw", format!("/home/claw/.openclaw{dir}")),
    };
    let slash = if windows { '\\' } else { '/' };
    Service {
        manager,
        profile: profile.map(str::to_owned),
        program: program.to_owned(),
        port: profile.map(|_| 19_555),
        allow_unconfigured: false,
        config_path: format!("{state}{slash}openclaw.json"),
        writes: vec![format!("{state}{slash}workspace")],
        state_dir: state,
        account: (manager == Manager::SystemdSystem).then(|| "claw".to_owned()),
        env: BTreeMap::new(),
        budget: ShutdownBudget::default(),
        version: "0.1.0".to_owned(),
    }
}

/// The same with paths that mean something to a careless manager.
fn odd(manager: Manager) -> Service {
    let mut service = service(manager, None);
    let windows = manager == Manager::ScheduledTask;
    service.program = if windows {
        r"C:\Pröfit 100%\%TEMP% & $it's ^(!x!)\日本語\openclaw.exe".to_owned()
    } else {
        r#"/opt/Pröfit 100%h/$HOME & it's "so"\n <b>/日本語/openclaw"#.to_owned()
    };
    if matches!(manager, Manager::SystemdUser | Manager::SystemdSystem) {
        // It takes neither quotes nor backslashes there.
        service.program = "/opt/Pröfit 100%h/$HOME & it <b>/日本語/openclaw".to_owned();
    }
    service.state_dir = if windows {
        r"D:\a b\100% $x".to_owned()
    } else {
        r#"/srv/a b/100% $x "q" \ <é>"#.to_owned()
    };
    service.writes = vec![format!("{} work", service.state_dir)];
    service.env.insert("TZ".to_owned(), "Europe/Berlin".to_owned());
    // Whoever puts one in: it stays out.
    service.env.insert("OPENAI_API_KEY".to_owned(), "canary-key".to_owned());
    service.env.insert("OPENCLAW_GATEWAY_TOKEN".to_owned(), "canary-token".to_owned());
    service
}

fn golden(name: &str, text: &str) {
    let path = format!("{}/tests/data/service/{name}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("GOLDEN").is_some() {
        std::fs::create_dir_all(std::path::Path::new(&path).parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, kept, "{path} differs; GOLDEN=write cargo test --lib service, then read it");
}

#[test]
fn definitions_are_these() {
    for (manager, kind) in [
        (Manager::SystemdUser, "systemd-user"),
        (Manager::SystemdSystem, "systemd-system"),
        (Manager::LaunchAgent, "launchd"),
        (Manager::ScheduledTask, "schtasks"),
    ] {
        golden(&format!("{kind}-default.txt"), &service(manager, None).definition().unwrap());
        golden(
            &format!("{kind}-rescue.txt"),
            &service(manager, Some("rescue")).definition().unwrap(),
        );
        golden(&format!("{kind}-odd.txt"), &odd(manager).definition().unwrap());
    }
    for (name, service) in [
        ("default", service(Manager::ScheduledTask, None)),
        ("rescue", service(Manager::ScheduledTask, Some("rescue"))),
        ("odd", odd(Manager::ScheduledTask)),
    ] {
        golden(&format!("schtasks-task-{name}.xml"), &schtasks::task(&service));
        golden(&format!("schtasks-startup-{name}.txt"), &schtasks::startup(&service));
    }
}

#[test]
fn every_definition_reads_back_as_it_was_meant() {
    for manager in
        [Manager::SystemdUser, Manager::SystemdSystem, Manager::LaunchAgent, Manager::ScheduledTask]
    {
        for service in [service(manager, None), service(manager, Some("rescue")), odd(manager)] {
            let text = service.definition().unwrap();
            assert!(!text.contains("canary"), "{text}");
            let written = Written::read(manager, &text);
            assert_eq!(written.command[0], service.program, "{text}");
            assert_eq!(written.command[1..], service.words(), "{text}");
            let mut env = service.environment();
            if matches!(manager, Manager::LaunchAgent) {
                env.insert("PATH".to_owned(), written.env["PATH"].clone());
            }
            assert_eq!(written.env, env, "{text}");
            assert_eq!(written.port(), service.port);
            assert_eq!(written.profile(), service.profile.as_deref());
            assert!(written.restarts && written.starts_by_itself && written.is_gateway());
        }
    }
}

#[test]
fn what_cannot_be_written_is_refused() {
    let all = [Manager::SystemdUser, Manager::LaunchAgent, Manager::ScheduledTask];
    for manager in all {
        for bad in ["\n", "\r", "\t", "\u{0}", "\u{1b}", "\u{7f}", "\u{85}"] {
            let mut it = service(manager, None);
            it.program.push_str(bad);
            assert_eq!(it.definition(), Err(Refused::Control { what: "the program's path" }));
            let mut it = service(manager, None);
            it.writes.push(format!("/a{bad}b"));
            assert!(matches!(it.definition(), Err(Refused::Control { .. })), "{bad:?}");
            let mut it = service(manager, None);
            it.env.insert("TZ".to_owned(), format!("x{bad}"));
            assert!(matches!(it.definition(), Err(Refused::Control { .. })), "{bad:?}");
        }
        let mut it = service(manager, None);
        it.state_dir = "relative/dir".to_owned();
        assert!(matches!(it.definition(), Err(Refused::Relative { .. })));
        let mut it = service(manager, None);
        it.program.clear();
        assert!(matches!(it.definition(), Err(Refused::Empty { .. })));
    }
    let mut it = service(Manager::ScheduledTask, None);
    it.state_dir = "C:\\a\"b".to_owned();
    assert!(matches!(it.definition(), Err(Refused::Quote { .. })));
    for bad in ["\"", "'", "\\"] {
        let mut it = service(Manager::SystemdUser, None);
        it.program.push_str(bad);
        assert!(matches!(it.definition(), Err(Refused::Program { .. })), "{bad}");
    }
    let mut it = service(Manager::SystemdSystem, None);
    it.account = None;
    assert_eq!(it.definition(), Err(Refused::NoAccount));
    for name in ["", "Root", "a b", "root\nExecStart=/x", "%u", "-x", &"a".repeat(33)] {
        it.account = Some(name.to_owned());
        let refused = it.definition().unwrap_err();
        assert!(matches!(refused, Refused::Account { .. }), "{name}");
        assert!(!refused.to_string().contains('\n'));
    }
}

#[test]
fn names_and_places_are_the_runbooks() {
    let places = Places::of("/home/me", None, "/home/me/.openclaw");
    let place = |manager: Manager, profile| manager.place(profile, &places);
    let user = "/home/me/.config/systemd/user/";
    assert_eq!(place(Manager::SystemdUser, None), format!("{user}openclaw-gateway.service"));
    assert_eq!(
        place(Manager::SystemdUser, Some("rescue")),
        format!("{user}openclaw-gateway-rescue.service")
    );
    assert_eq!(
        place(Manager::SystemdSystem, Some("rescue")),
        "/etc/systemd/system/openclaw-gateway-rescue.service"
    );
    assert_eq!(
        place(Manager::LaunchAgent, None),
        "/home/me/Library/LaunchAgents/ai.openclaw.gateway.plist"
    );
    assert_eq!(Manager::LaunchAgent.name(Some("rescue")), "ai.openclaw.rescue");
    assert_eq!(Manager::ScheduledTask.name(None), "OpenClaw Gateway");
    assert_eq!(Manager::ScheduledTask.name(Some("rescue")), "OpenClaw Gateway (rescue)");
    assert_eq!(schtasks::script_place(r"C:\s\"), r"C:\s\gateway.cmd");
    let startup = schtasks::startup_place(r"C:\Users\me\AppData\Roaming", Some("rescue"));
    assert!(startup.ends_with(r"\Startup\OpenClaw Gateway (rescue).cmd"), "{startup}");
    assert_eq!(schtasks::utf16("é"), [0xff, 0xfe, 0xe9, 0]);
}
