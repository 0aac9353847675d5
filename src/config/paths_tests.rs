use std::path::Path;

use super::*;

fn env(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn flags(profile: Option<&str>, dev: bool) -> Flags {
    Flags { profile: profile.map(str::to_owned), dev }
}

#[test]
fn places_by_precedence() {
    let home = ("HOME", "/home/u");
    for (pairs, flags, state, config, port) in [
        (
            &[home][..],
            flags(None, false),
            "/home/u/.openclaw",
            "/home/u/.openclaw/openclaw.json",
            18_789,
        ),
        (
            &[home],
            flags(None, true),
            "/home/u/.openclaw-dev",
            "/home/u/.openclaw-dev/openclaw.json",
            19_001,
        ),
        (
            &[home],
            flags(Some("dev"), true),
            "/home/u/.openclaw-dev",
            "/home/u/.openclaw-dev/openclaw.json",
            19_001,
        ),
        (
            &[home],
            flags(Some("rescue"), false),
            "/home/u/.openclaw-rescue",
            "/home/u/.openclaw-rescue/openclaw.json",
            18_789,
        ),
        (
            &[home],
            flags(Some("default"), false),
            "/home/u/.openclaw",
            "/home/u/.openclaw/openclaw.json",
            18_789,
        ),
        (
            &[home, ("OPENCLAW_PROFILE", " x ")],
            flags(None, false),
            "/home/u/.openclaw-x",
            "/home/u/.openclaw-x/openclaw.json",
            18_789,
        ),
        (
            &[home, ("OPENCLAW_PROFILE", "x")],
            flags(Some("y"), false),
            "/home/u/.openclaw-y",
            "/home/u/.openclaw-y/openclaw.json",
            18_789,
        ),
        (
            &[home, ("OPENCLAW_HOME", "~/oc")],
            flags(None, false),
            "/home/u/oc/.openclaw",
            "/home/u/oc/.openclaw/openclaw.json",
            18_789,
        ),
        (
            &[home, ("OPENCLAW_HOME", "/srv")],
            flags(None, false),
            "/srv/.openclaw",
            "/srv/.openclaw/openclaw.json",
            18_789,
        ),
        (
            &[home, ("OPENCLAW_STATE_DIR", "~/s"), ("OPENCLAW_CONFIG_PATH", "~/a.json")],
            flags(Some("y"), false),
            "/home/u/s",
            "/home/u/a.json",
            18_789,
        ),
        (
            &[home, ("OPENCLAW_STATE_DIR", ""), ("OPENCLAW_CONFIG_PATH", " ")],
            flags(None, false),
            "/home/u/.openclaw",
            "/home/u/.openclaw/openclaw.json",
            18_789,
        ),
        (
            &[("OPENCLAW_STATE_DIR", "/var/oc")],
            flags(None, false),
            "/var/oc",
            "/var/oc/openclaw.json",
            18_789,
        ),
    ] {
        let paths = Paths::resolve(&env(pairs), &flags).unwrap();
        assert_eq!(paths.state_dir, Path::new(state), "{pairs:?}");
        assert_eq!(paths.config_path, Path::new(config), "{pairs:?}");
        assert_eq!(paths.default_port, port, "{pairs:?}");
    }
}

#[test]
fn no_place_says_what_to_do() {
    let home = env(&[("HOME", "/home/u")]);
    for name in ["", "../x", "-x", "a b", "a/b", "\u{fc}", &"x".repeat(65)] {
        let error = Paths::resolve(&home, &flags(Some(name), false)).unwrap_err();
        assert_eq!(error, PathsError::BadProfile(name.to_owned()));
        assert!(error.to_string().contains("is not a profile name"));
    }
    let error = Paths::resolve(&home, &flags(Some("x"), true)).unwrap_err();
    assert_eq!(error, PathsError::DevAndProfile("x".to_owned()));
    assert!(error.to_string().contains("--profile x"));
    for pairs in
        [&[][..], &[("HOME", "")], &[("OPENCLAW_STATE_DIR", "rel")], &[("OPENCLAW_HOME", "~/x")]]
    {
        let error = Paths::resolve(&env(pairs), &Flags::default()).unwrap_err();
        assert_eq!(error, PathsError::NoHome, "{pairs:?}");
        assert!(error.to_string().contains("set HOME"));
    }
}

#[test]
fn tilde_is_the_home_and_nothing_else() {
    let paths = Paths::resolve(&env(&[("HOME", "/h")]), &Flags::default()).unwrap();
    for (text, want) in
        [("~", "/h"), ("~/a", "/h/a"), ("~//a", "/h/a"), ("~bob/a", "~bob/a"), ("/~/a", "/~/a")]
    {
        assert_eq!(paths.expand(text), Path::new(want));
    }
}

#[test]
fn port_by_precedence() {
    let paths = Paths::resolve(&env(&[("HOME", "/h")]), &flags(None, true)).unwrap();
    let mut config = Config::defaults();
    let set = env(&[("OPENCLAW_GATEWAY_PORT", " 4000 ")]);
    let unset = env(&[("OPENCLAW_GATEWAY_PORT", "")]);
    assert_eq!(paths.port(None, &unset, &config), Ok(DEV_PORT));
    config.gateway.port = Some(3000);
    assert_eq!(paths.port(None, &unset, &config), Ok(3000));
    assert_eq!(paths.port(None, &set, &config), Ok(4000));
    assert_eq!(paths.port(Some(5000), &set, &config), Ok(5000));
    for text in ["abc", "0", "65536", "+80", "-1", "80a", "127.0.0.1:80"] {
        let error = paths.port(None, &env(&[("OPENCLAW_GATEWAY_PORT", text)]), &config);
        assert_eq!(error, Err(format!("OPENCLAW_GATEWAY_PORT={text} is not a port (1-65535)")));
    }
    assert_eq!(bind(None, &config), Bind::Loopback);
    assert_eq!(bind(Some(Bind::Lan), &config), Bind::Lan);
}
