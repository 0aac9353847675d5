use super::*;

fn words(line: &str) -> Result<Parsed, Usage> {
    parse(line.split_whitespace().map(OsString::from))
}

fn args(line: &str) -> Args {
    match words(line) {
        Ok(Parsed::Run(args)) => args,
        other => panic!("{line}: {other:?}"),
    }
}

fn wrong(line: &str) -> String {
    words(line).map(|parsed| panic!("{line}: {parsed:?}")).unwrap_err().0
}

#[test]
fn the_table_is_sound() {
    assert!(root().path.is_empty());
    for (index, row) in commands().enumerate() {
        assert!(
            !commands().skip(index + 1).any(|other| other.path == row.path),
            "{:?} twice",
            row.path
        );
        if let Some((_, parent)) = row.path.split_last() {
            assert!(commands().any(|other| other.path == parent), "{parent:?}");
        }
        for (at, flag) in row.flags.iter().enumerate() {
            let again = |other: &Flag| {
                other.long == flag.long || flag.short.is_some() && other.short == flag.short
            };
            assert!(!row.flags.iter().skip(at + 1).chain(GLOBALS).any(again), "{}", flag.long);
        }
    }
}

#[test]
fn a_flag_means_what_its_command_says() {
    let parsed = |line: &str| match parse(line.split(' ').map(OsString::from)) {
        Ok(Parsed::Run(args)) => args,
        other => panic!("{line}: {other:?}"),
    };
    // `--node` chooses a kind of setup code here, and names a node there.
    let qr = parsed("qr --node --json");
    assert!(qr.has("node") && qr.has("json"));
    assert_eq!(parsed("nodes describe --node pi").value("node"), Some("pi"));
}

#[test]
fn global_flags_stand_anywhere() {
    for line in ["--dev gateway --port 0", "gateway --dev --port=0", "gateway --port 0 --dev"] {
        let args = args(line);
        assert_eq!(args.command.path, ["gateway"], "{line}");
        assert!(args.has("dev"), "{line}");
        assert_eq!(args.number("port"), Some(0), "{line}");
    }
    let args = args("--profile rescue gateway status --json");
    assert_eq!(args.value("profile"), Some("rescue"));
    assert_eq!(args.command.path, ["gateway", "status"]);
}

#[test]
fn flags_may_come_before_the_last_word() {
    let args = self::args("gateway --port 7 run --force");
    assert_eq!(args.command.path, ["gateway", "run"]);
    assert!(args.has("force"));
    assert_eq!(args.number("port"), Some(7));
    let status = self::args("gateway --port 7 status");
    assert_eq!(status.number("port"), Some(7), "as the reference takes it");
    assert!(wrong("gateway --force status").contains("unknown option --force"));
}

#[test]
fn operands_and_short_flags() {
    let call = args("gateway call health --params {}");
    assert_eq!(call.operands, ["health"]);
    assert_eq!(call.value("params"), Some("{}"));
    assert_eq!(args("agent -m hi").value("message"), Some("hi"));
    assert!(wrong("gateway call").contains("needs a <method>"));
    assert!(wrong("gateway call a b").contains("does not take `b`"));
}

#[test]
fn mistakes_name_what_is_near_and_the_help_to_read() {
    let table = [
        ("gatway", "did you mean `openclaw gateway`?"),
        ("gateway stauts", "did you mean `openclaw gateway status`?"),
        ("gateway --prot 1", "did you mean --port?"),
        ("gateway --port", "--port needs a value"),
        ("gateway --port x", "a number from 0 to 65535, not `x`"),
        ("gateway --port 65536", "a number from 0 to 65535"),
        ("gateway --bind moon", "loopback, lan, tailnet, auto, custom"),
        ("gateway --force=yes", "--force"),
        ("logs --limit 0", "a number from 1 to 5000"),
        ("logs -x", "unknown option -x"),
        ("health --follow", "unknown option --follow for `openclaw health`"),
    ];
    for (line, want) in table {
        let text = wrong(line);
        assert!(text.contains(want), "{line}: {text}");
        assert!(text.contains("\nRun: openclaw"), "{line}: {text}");
        assert!(text.ends_with(" --help"), "{line}: {text}");
    }
}

#[test]
fn typed_control_characters_do_not_reach_the_terminal() {
    let Err(Usage(text)) = parse([OsString::from("x\u{1b}[31m")]) else { panic!() };
    assert!(!text.contains('\u{1b}'), "{text:?}");
}

#[test]
fn help_exists_at_every_level_and_names_every_flag() {
    for row in commands() {
        let mut line: Vec<OsString> = row.path.iter().map(OsString::from).collect();
        line.push("--help".into());
        let Ok(Parsed::Text(text)) = parse(line) else { panic!("{:?}", row.path) };
        assert!(text.contains(&name(row)), "{text}");
        for flag in row.flags.iter().chain(GLOBALS).filter(|flag| !flag.about.is_empty()) {
            assert!(text.contains(&format!("--{}", flag.long)), "{}: {text}", flag.long);
        }
        assert!(text.lines().all(|line| line.len() <= 80), "{text}");
    }
    for line in ["", "help", "--help"] {
        let Ok(Parsed::Text(text)) = words(line) else { panic!("{line}") };
        assert!(text.contains("gateway") && text.contains("setup"), "{text}");
    }
    let Ok(Parsed::Text(text)) = words("help gateway call") else { panic!() };
    assert!(text.contains("Usage: openclaw gateway call <method> [options]"), "{text}");
}

#[test]
fn version_wins_wherever_it_stands() {
    for line in ["--version", "-V", "gateway --version", "--version gateway status"] {
        let Ok(Parsed::Text(text)) = words(line) else { panic!("{line}") };
        assert_eq!(text, format!("openclaw {}\n", env!("CARGO_PKG_VERSION")));
    }
}

#[test]
fn a_value_may_be_left_out_where_the_table_says_so() {
    let bundle = |line: &str| args(line).value("bundle").map(str::to_owned);
    for (line, want) in [
        ("gateway stability", None),
        ("gateway stability --bundle", Some("latest")),
        ("gateway stability --bundle --json", Some("latest")),
        ("gateway stability --bundle x.json --json", Some("x.json")),
        ("gateway stability --bundle=y.json", Some("y.json")),
    ] {
        assert_eq!(bundle(line).as_deref(), want, "{line}");
    }
}
