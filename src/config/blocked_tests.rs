use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::super::{Flags, Loaded, Paths, Source, load};
use super::*;

/// One root file, or none.
struct One(Option<&'static str>);

impl Source for One {
    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        Ok(self.0.filter(|_| path.ends_with("openclaw.json")).map(|text| text.as_bytes().to_vec()))
    }

    fn canonical(&self, path: &Path) -> io::Result<PathBuf> {
        Ok(path.to_path_buf())
    }

    fn digest(&self, _: &[u8]) -> String {
        String::new()
    }
}

fn loaded(text: Option<&'static str>) -> Result<Loaded, ConfigError> {
    let env = BTreeMap::from([("HOME".to_owned(), "/h".to_owned())]);
    load(&One(text), &env, &Paths::resolve(&env, &Flags::default()).unwrap())
}

fn start(has_token: bool, has_password: bool) -> Start {
    Start { has_token, has_password, ..Start::default() }
}

const UNCONFIGURED: Start = Start {
    allow_unconfigured: true,
    has_token: false,
    has_password: false,
    token_named: false,
    auth: None,
};

#[test]
fn the_mode_must_be_local() {
    for (text, parts) in [
        (
            None,
            &[
                "Missing config: there is no /h/.openclaw/openclaw.json",
                "openclaw setup",
                "--dev",
                "--allow-unconfigured",
            ][..],
        ),
        (Some("{}"), &["existing config is missing gateway.mode", "openclaw setup"]),
        (Some("{gateway: {port: 1}}"), &["existing config is missing gateway.mode"]),
        (
            Some("{gateway: {mode: 'remote'}}"),
            &["current: remote", "config set gateway.mode local"],
        ),
    ] {
        let config = loaded(text).unwrap().config;
        let sentence = mode(&config, &Start::default()).unwrap_err().to_string();
        assert!(
            sentence.starts_with("Gateway start blocked: set gateway.mode=local"),
            "{sentence}"
        );
        for part in parts {
            assert!(sentence.contains(part), "{sentence}");
        }
        assert_eq!(mode(&config, &UNCONFIGURED), Ok(()));
    }
    let local = loaded(Some("{gateway: {mode: 'local'}}")).unwrap().config;
    assert_eq!(mode(&local, &Start::default()), Ok(()));
}

#[test]
fn a_damaged_file_says_both() {
    for (text, lost, part) in [
        ("{gateway: {mode: 'local'", true, "openclaw.json:1:25: <root>: the file ends inside"),
        ("", true, "the file is empty"),
        ("{gateway: {mode: 'locl'}}", true, "did you mean \"local\"?"),
        ("{gateway: {port: 'x'}}", true, "gateway.port: expected"),
        ("{gateway: {mode: 'remote', port: 'x'}}", true, "current: remote"),
        ("{gateway: {mode: 'local', port: 'x'}}", false, "gateway.port: expected"),
        ("{gateway: {mode: 'local', auth: {token: '${NOPE}'}}}", false, "NOPE is not set"),
    ] {
        let error = loaded(Some(text)).expect_err(text);
        let sentence = damaged(&error, &Start::default()).to_string();
        let says = sentence.contains("Gateway start blocked: set gateway.mode=local");
        assert_eq!(says, lost, "{sentence}");
        assert!(sentence.starts_with("Gateway start blocked: "), "{sentence}");
        assert!(sentence.contains(part), "{sentence}");
        assert!(sentence.contains("openclaw config validate"), "{sentence}");
        assert!(damaged(&error, &UNCONFIGURED).to_string().contains("does not pass over"));
    }
}

#[test]
fn the_credential_in_force() {
    let mut config = Config::defaults();
    for (mode, has_token, has_password, want) in [
        (None, true, false, Ok(AuthMode::Token)),
        (None, true, true, Ok(AuthMode::Token)),
        (None, false, true, Ok(AuthMode::Password)),
        (None, false, false, Err("OPENCLAW_GATEWAY_TOKEN")),
        (Some(AuthMode::None), true, true, Ok(AuthMode::None)),
        (Some(AuthMode::Token), false, true, Err("no token is set")),
        (Some(AuthMode::Password), true, false, Err("no password is set")),
        (Some(AuthMode::Password), true, true, Ok(AuthMode::Password)),
        (Some(AuthMode::TrustedProxy), true, true, Err("gateway.trustedProxies is empty")),
    ] {
        // From the file, and by the flag over a file that says otherwise.
        config.gateway.auth.mode = mode;
        let mut start = start(has_token, has_password);
        for flag in [None, mode] {
            start.auth = flag;
            match (auth_mode(&config, &start), want) {
                (Ok(got), Ok(want)) => assert_eq!(got, want),
                (Err(got), Err(part)) => assert!(got.to_string().contains(part), "{got}"),
                (got, want) => panic!("{mode:?}: {got:?}, not {want:?}"),
            }
            config.gateway.auth.mode = mode.and(Some(AuthMode::None));
        }
    }
    assert_eq!(auth_mode(&Config::defaults(), &UNCONFIGURED), Ok(AuthMode::Token));
}

#[test]
fn two_secrets_need_a_mode() {
    let both = "{gateway: {auth: {token: 't', password: 'p'}}}";
    let config = loaded(Some(both)).unwrap().config;
    let known = start(true, true);
    let sentence = auth_mode(&config, &known).unwrap_err().to_string();
    assert!(sentence.contains("gateway.auth.mode to token or password"), "{sentence}");
    let chosen = Start { auth: Some(AuthMode::Password), ..known };
    assert_eq!(auth_mode(&config, &chosen), Ok(AuthMode::Password));
    let one = loaded(Some("{gateway: {auth: {password: 'p'}}}")).unwrap().config;
    assert_eq!(auth_mode(&one, &known), Ok(AuthMode::Token), "the other is a variable");
}

#[test]
fn a_trusted_proxy_needs_a_proxy_and_a_user_and_no_token() {
    const WHOLE: &str = "{gateway: {trustedProxies: ['10.0.0.1'],
        auth: {mode: 'trusted-proxy', trustedProxy: {userHeader: 'x-user'}}}}";
    const NOBODY: &str =
        "{gateway: {auth: {mode: 'trusted-proxy', trustedProxy: {userHeader: 'x-user'}}}}";
    const NO_USER: &str =
        "{gateway: {trustedProxies: ['10.0.0.1'], auth: {mode: 'trusted-proxy'}}}";
    for (text, token_named, want) in [
        (WHOLE, false, None),
        (WHOLE, true, Some("shared token")),
        (NOBODY, false, Some("gateway.trustedProxies is empty")),
        (NO_USER, false, Some("gateway.auth.trustedProxy.userHeader is not set")),
    ] {
        let config = loaded(Some(text)).unwrap().config;
        let got = auth_mode(&config, &Start { token_named, ..start(false, false) });
        match want {
            None => assert_eq!(got, Ok(AuthMode::TrustedProxy), "{text}"),
            Some(part) => assert!(got.unwrap_err().to_string().contains(part), "{text}"),
        }
    }
}

#[test]
fn no_open_door_without_a_secret() {
    let refuses = |host: &str, mode, start: &Start| {
        exposure(host.parse().unwrap(), 18_789, mode, start).map_err(|blocked| blocked.0)
    };
    for host in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
        assert_eq!(refuses(host, AuthMode::None, &Start::default()), Ok(()), "{host}");
    }
    for (host, shown) in [
        ("0.0.0.0", "0.0.0.0:18789"),
        ("192.168.1.2", "192.168.1.2:18789"),
        ("100.64.0.1", "100.64.0.1:18789"),
        ("::", "[::]:18789"),
        ("fe80::1", "[fe80::1]:18789"),
    ] {
        let sentence = format!(
            "refusing to bind gateway to {shown} without auth (set gateway.auth.token/password, \
             or OPENCLAW_GATEWAY_TOKEN/OPENCLAW_GATEWAY_PASSWORD)"
        );
        for (mode, start) in [
            (AuthMode::None, start(true, true)),
            (AuthMode::Token, start(false, true)),
            (AuthMode::Password, start(true, false)),
            (AuthMode::Token, UNCONFIGURED),
        ] {
            assert_eq!(refuses(host, mode, &start), Err(sentence.clone()), "{host} {mode:?}");
        }
        assert_eq!(refuses(host, AuthMode::Token, &start(true, false)), Ok(()));
        assert_eq!(refuses(host, AuthMode::Password, &start(false, true)), Ok(()));
        assert_eq!(refuses(host, AuthMode::TrustedProxy, &start(false, false)), Ok(()));
    }
}
