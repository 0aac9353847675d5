//! TLS on the port, seen from outside: rustls as the client, our own commands, raw sockets.

#![cfg(feature = "tls")]

mod common;

use common::{Gateway, Home, PATIENCE, mode, rss_kb};
use openclaw_gateway::wire::hash;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion,
};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

const TOKEN: &str = "0123456789abcdef-0123456789abcdef";

fn configured(tls: &str) -> String {
    format!("{{gateway: {{mode: 'local', auth: {{token: '{TOKEN}'}}, tls: {{{tls}}}}}}}")
}

fn home(tls: &str) -> Home {
    let home = Home::new();
    home.configure(&configured(tls));
    home
}

fn cert_path(home: &Home) -> PathBuf {
    home.state().join("gateway/tls/gateway-cert.pem")
}

fn key_path(home: &Home) -> PathBuf {
    home.state().join("gateway/tls/gateway-key.pem")
}

/// A pair that another gateway made, under these names in that home.
fn other_pair(home: &Home) -> (PathBuf, PathBuf) {
    let (cert, key) = openclaw_gateway::cli::tls::self_signed([127, 0, 0, 1].into()).expect("made");
    let paths = (home.0.join("other-cert.pem"), home.0.join("other-key.pem"));
    std::fs::write(&paths.0, cert).expect("written");
    std::fs::write(&paths.1, key).expect("written");
    paths
}

fn leaf(path: &Path) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(path).expect("a certificate")
}

type Secure = StreamOwned<ClientConnection, TcpStream>;

/// A session that trusts this one certificate as an authority, and checks names and dates.
fn client(cert: &Path, versions: &[&'static SupportedProtocolVersion]) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(leaf(cert)).expect("usable as an authority");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}

fn socket(port: u16) -> TcpStream {
    let socket = TcpStream::connect(("127.0.0.1", port)).expect("the port is open");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    socket
}

fn secure(port: u16, name: &str, config: &Arc<ClientConfig>) -> Secure {
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    let session = ClientConnection::new(Arc::clone(config), name).expect("a session");
    StreamOwned::new(session, socket(port))
}

fn trusting(home: &Home) -> Arc<ClientConfig> {
    client(&cert_path(home), rustls::DEFAULT_VERSIONS)
}

/// One request that closes; everything up to close_notify. A cut without one is an error.
fn get(stream: &mut Secure, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("written");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer that ends with close_notify");
    answer
}

/// The certificate that new connections are shown now.
fn shown(port: u16) -> Option<Vec<u8>> {
    let config = openclaw_gateway::reactor::trust::client_config(Some([0; 32])).expect("a config");
    let mut stream = secure(port, "localhost", &config);
    let error = stream.write_all(b"x").expect_err("no certificate has this digest");
    let error = error.into_inner()?.downcast::<rustls::Error>().ok()?;
    let wrong = openclaw_gateway::reactor::trust::WrongPin::of(&error)?;
    Some(wrong.shown.to_vec())
}

fn digest(cert: &Path) -> [u8; 32] {
    hash::sha256(&leaf(cert))
}

#[test]
fn https_by_tls_1_2_and_1_3_with_a_certificate_made_at_the_start() {
    let home = home("enabled: true");
    let gateway = home.start("");
    assert!(gateway.seen().iter().any(|line| line.contains("listening on wss://127.0.0.1:")));
    for versions in [&[&rustls::version::TLS13], &[&rustls::version::TLS12]] {
        for name in ["localhost", "127.0.0.1", "::1"] {
            let config = client(&cert_path(&home), versions);
            let mut stream = secure(gateway.port, name, &config);
            let answer = get(&mut stream, "/healthz");
            assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
            assert!(answer.ends_with("{\"ok\":true,\"status\":\"live\"}"), "{answer}");
            let spoken = stream.conn.protocol_version();
            assert_eq!(spoken, Some(versions[0].version));
        }
    }
    let foreign = client(&cert_path(&home), rustls::DEFAULT_VERSIONS);
    let mut stream = secure(gateway.port, "example.com", &foreign);
    stream.write_all(b"x").expect_err("not a name of this machine");
    for path in [cert_path(&home), key_path(&home)] {
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
    assert_eq!(mode(&home.state().join("gateway/tls")), 0o700);
}

#[test]
fn the_fingerprint_is_printed_and_stays_over_a_restart() {
    let home = home("enabled: true");
    let mut gateway = home.start("");
    gateway.wait_for("Try it:  curl --cacert ");
    let before = digest(&cert_path(&home));
    let printed = format!("SHA-256 {}", hash::fingerprint(&before));
    assert!(gateway.seen().iter().any(|line| line.contains(&printed)), "{:?}", gateway.seen());
    drop(gateway);
    let gateway = home.start("");
    assert_eq!(shown(gateway.port), Some(before.to_vec()));
}

#[test]
fn our_own_commands_find_the_local_gateway_by_its_certificate() {
    let home = home("enabled: true");
    let gateway = home.start("");
    let status = home.ask(gateway.port, "gateway status");
    assert_eq!(status.code, 0, "{status:?}");
    assert!(status.out.contains(&format!("wss://127.0.0.1:{}", gateway.port)), "{status:?}");
    assert!(status.out.contains("RPC probe: ok"), "{status:?}");
    for line in ["health", "status", "sessions --json", "gateway call system-presence"] {
        let ran = home.ask(gateway.port, line);
        assert_eq!(ran.code, 0, "{line}: {ran:?}");
    }
}

#[test]
fn a_pin_is_exactly_one_certificate_and_without_one_authorities_decide() {
    let home = home("enabled: true");
    let gateway = home.start("");
    let plain = hash::hex(&digest(&cert_path(&home)));
    let url = format!("health --url wss://127.0.0.1:{} --token {TOKEN}", gateway.port);
    let colons = hash::fingerprint(&digest(&cert_path(&home)));
    for pin in [&plain, &colons, &colons.to_lowercase()] {
        let ran = home.run(&format!("{url} --tls-fingerprint {pin}"));
        assert_eq!(ran.code, 0, "{ran:?}");
    }
    let wrong = "AB".repeat(32);
    let ran = home.run(&format!("{url} --tls-fingerprint {wrong}"));
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.err.contains(&colons) && ran.err.contains("AB:AB:AB"), "{ran:?}");
    assert!(ran.err.contains(&format!("--tls-fingerprint {colons}")), "{ran:?}");

    let ran = home.run(&url);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.err.contains("--tls-fingerprint"), "{ran:?}");
    let ran = common::Ran::of(home.command(&url).env("SSL_CERT_FILE", cert_path(&home)));
    assert_eq!(ran.code, 0, "{ran:?}");

    let plain_url = url.replace("wss://", "ws://");
    let ran = home.run(&format!("{plain_url} --tls-fingerprint {plain}"));
    assert!(ran.code == 1 && ran.err.contains("not encrypted"), "{ran:?}");
    let ran = home.run(&plain_url);
    assert!(ran.code == 1 && ran.err.contains("it speaks TLS"), "{ran:?}");
    let ran = home.run(&format!("{url} --tls-fingerprint 12"));
    assert_eq!(ran.code, 2, "{ran:?}");
}

#[test]
fn a_pin_holds_for_the_gateway_of_mode_remote() {
    let server = home("enabled: true");
    let gateway = server.start("");
    let remote = |pin: &str| {
        let client = Home::new();
        client.configure(&format!(
            "{{gateway: {{mode: 'remote', remote: {{url: 'wss://127.0.0.1:{}', \
             token: '{TOKEN}', tlsFingerprint: '{pin}'}}}}}}",
            gateway.port
        ));
        client.run("health")
    };
    let ran = remote(&hash::hex(&digest(&cert_path(&server))));
    assert_eq!(ran.code, 0, "{ran:?}");
    let ran = remote(&"00".repeat(32));
    assert!(ran.code == 1 && ran.err.contains("not the pinned one"), "{ran:?}");
    let ran = remote("xyz");
    assert!(ran.err.contains("gateway.remote.tlsFingerprint"), "{ran:?}");
}

#[test]
fn plain_http_on_a_tls_port_gets_an_alert_and_no_answer() {
    let home = home("enabled: true");
    let gateway = home.start("");
    for request in [
        &b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"[..],
        b"\x00\x01\x02\x03\x04\x05\x06\x07",
        b"\x16\x03\x01\xff\xff\x01\x00\xff\xff",
        &[b'x'; 100_000],
    ] {
        let mut socket = socket(gateway.port);
        // The far end may be closed before all of it is written.
        let _ = socket.write_all(request);
        let _ = socket.shutdown(Shutdown::Write);
        let mut answer = Vec::new();
        match socket.read_to_end(&mut answer) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
        assert!(!answer.windows(4).any(|part| part == b"HTTP"), "{answer:?}");
        assert!(answer.is_empty() || answer.starts_with(&[21, 3]), "{answer:?}");
    }
    let answer = get(&mut secure(gateway.port, "localhost", &trusting(&home)), "/healthz");
    assert!(answer.contains("\"live\""), "{answer}");
}

/// The first flight of a client.
fn hello() -> Vec<u8> {
    let config = openclaw_gateway::reactor::trust::client_config(Some([0; 32])).expect("a config");
    let name = ServerName::try_from("localhost").expect("a name");
    let mut session = ClientConnection::new(config, name).expect("a session");
    let mut bytes = Vec::new();
    session.write_tls(&mut bytes).expect("to memory");
    bytes
}

#[test]
fn handshakes_cut_at_every_length_cost_nothing() {
    let home = home("enabled: true");
    let gateway = home.start("");
    let hello = hello();
    let before = rss_kb(gateway.pid());
    for round in 0..4 {
        for cut in 0..hello.len() {
            let mut socket = socket(gateway.port);
            let _ = socket.write_all(&hello[..cut]);
            if round % 2 == 0 {
                let _ = socket.shutdown(Shutdown::Write);
                let mut rest = Vec::new();
                let _ = socket.read_to_end(&mut rest);
                assert!(rest.is_empty() || rest.starts_with(&[21, 3]), "cut at {cut}: {rest:?}");
            }
        }
    }
    let answer = get(&mut secure(gateway.port, "localhost", &trusting(&home)), "/healthz");
    assert!(answer.contains("\"live\""), "{answer}");
    let grown = rss_kb(gateway.pid()).saturating_sub(before);
    assert!(grown < 4_000, "{grown} kB more after {} cut handshakes", 4 * hello.len());
}

#[test]
fn a_slow_handshake_is_cut_at_its_deadline_whatever_arrives_meanwhile() {
    let home = home("enabled: true");
    let gateway = home.start("");
    let began = Instant::now();
    let mut socket = socket(gateway.port);
    socket.set_read_timeout(Some(Duration::from_millis(500))).expect("a timeout");
    let hello = hello();
    let mut bytes = hello.iter();
    let end = loop {
        if let Some(byte) = bytes.next() {
            let _ = socket.write_all(&[*byte]);
        }
        match socket.read(&mut [0; 64]) {
            Ok(0) => break began.elapsed(),
            Ok(_) => panic!("an answer to half a hello"),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break began.elapsed(),
            Err(_) => assert!(began.elapsed() < PATIENCE, "it is never cut"),
        }
    };
    let deadline = Duration::from_millis(openclaw_gateway::limits::TLS_HANDSHAKE_MS);
    assert!(end + Duration::from_millis(50) >= deadline, "{end:?}");
    assert!(end < deadline + Duration::from_secs(3), "{end:?}");
}

/// Processor time of a process in hundredths of a second.
fn ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    let after = stat.rsplit_once(')').expect("a name").1;
    let fields: Vec<&str> = after.split_whitespace().collect();
    [11, 12].iter().map(|at| fields[*at].parse::<u64>().expect("a number")).sum()
}

/// CVE-2024-32650: a close_notify right behind the hello made a server of rustls spin.
#[test]
fn a_close_notify_behind_the_hello_does_not_spin_the_loop() {
    let home = home("enabled: true");
    let gateway = home.start("");
    let mut bytes = hello();
    bytes.extend([21, 3, 3, 0, 2, 1, 0]);
    let held: Vec<TcpStream> = (0..20)
        .map(|_| {
            let mut socket = socket(gateway.port);
            socket.write_all(&bytes).expect("written");
            socket
        })
        .collect();
    let answer = get(&mut secure(gateway.port, "localhost", &trusting(&home)), "/healthz");
    assert!(answer.contains("\"live\""), "{answer}");
    let before = ticks(gateway.pid());
    let mut quiet = socket(gateway.port);
    quiet.set_read_timeout(Some(Duration::from_secs(1))).expect("a timeout");
    quiet.read(&mut [0; 1]).expect_err("a server speaks second");
    let spent = ticks(gateway.pid()) - before;
    assert!(spent < 30, "{spent} hundredths of a second with {} sockets", held.len());
}

#[test]
fn many_silent_sockets_leave_room_for_a_legitimate_client() {
    let home = home("enabled: true");
    let gateway = home.start("");
    let before = rss_kb(gateway.pid());
    let hello = hello();
    let held: Vec<TcpStream> = (0..600)
        .map(|number| {
            let mut socket = socket(gateway.port);
            if number % 2 == 0 {
                let _ = socket.write_all(&hello[..hello.len() / 2]);
            }
            socket
        })
        .collect();
    let answer = get(&mut secure(gateway.port, "localhost", &trusting(&home)), "/healthz");
    assert!(answer.contains("\"live\""), "{answer}");
    let grown = rss_kb(gateway.pid()).saturating_sub(before);
    assert!(grown < 24 * 600, "{grown} kB for {} silent sockets", held.len());
}

#[test]
fn half_close_and_reset_end_one_connection_only() {
    let home = home("enabled: true");
    let gateway = home.start("");
    let config = trusting(&home);
    let mut stream = secure(gateway.port, "localhost", &config);
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("written");
    stream.conn.send_close_notify();
    stream.flush().expect("close_notify leaves");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the answer comes after our end, and then its own");
    assert!(answer.contains("\"live\""), "{answer}");
    for _ in 0..50 {
        let mut stream = secure(gateway.port, "localhost", &config);
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("written");
        // Unread bytes make this a reset.
        drop(stream);
    }
    let answer = get(&mut secure(gateway.port, "localhost", &config), "/healthz");
    assert!(answer.contains("\"live\""), "{answer}");
}

#[test]
fn a_changed_pair_is_shown_to_new_connections_and_a_bad_one_is_not() {
    let home = home("enabled: true");
    let mut gateway = home.start("");
    let first = digest(&cert_path(&home));
    let mut old = secure(gateway.port, "localhost", &trusting(&home));
    old.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("written");
    let mut part = [0; 4096];
    assert!(old.read(&mut part).expect("an answer") > 0);

    std::fs::write(cert_path(&home), "rubbish").expect("written");
    let line = gateway.wait_for("the previous certificate stays in use");
    assert!(line.contains("gateway.tls.certPath"), "{line}");
    assert_eq!(shown(gateway.port), Some(first.to_vec()));

    let (cert, key) = other_pair(&home);
    let second = digest(&cert);
    // In two steps, as people do it: between them the pair does not match.
    std::fs::rename(&cert, cert_path(&home)).expect("moved");
    gateway.wait_for("does not belong to the first certificate");
    std::fs::rename(&key, key_path(&home)).expect("moved");
    let deadline = Instant::now() + PATIENCE;
    while shown(gateway.port) != Some(second.to_vec()) {
        assert!(Instant::now() < deadline, "the new certificate is never shown");
    }
    assert_ne!(first, second);
    let answer = get(&mut old, "/healthz");
    assert!(answer.contains("\"live\""), "the old connection goes on: {answer}");
    let ran = home.ask(gateway.port, "health");
    assert_eq!(ran.code, 0, "{ran:?}");
}

#[cfg(feature = "process")]
#[test]
fn an_edited_config_switches_tls_on_and_off_and_refuses_bad_files() {
    use rustix::process::Signal;
    let home = home("enabled: false");
    let mut gateway = home.start("");
    let plain = |gateway: &Gateway| {
        let mut socket = socket(gateway.port);
        let request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        let _ = socket.write_all(request);
        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    };
    assert!(plain(&gateway).contains("\"live\""));

    home.configure(&configured("enabled: true, certPath: '/nowhere/c', keyPath: '/dev/null'"));
    gateway.signal(Signal::HUP);
    gateway.wait_for("the running one stays");
    assert!(plain(&gateway).contains("\"live\""), "a bad pair changes nothing");

    home.configure(&configured("enabled: true"));
    gateway.signal(Signal::HUP);
    gateway.wait_for("new connections speak TLS");
    assert!(!plain(&gateway).contains("HTTP"));
    let answer = get(&mut secure(gateway.port, "localhost", &trusting(&home)), "/healthz");
    assert!(answer.contains("\"live\""), "{answer}");

    let (cert, key) = other_pair(&home);
    let (cert_text, key_text) = (cert.display(), key.display());
    home.configure(&configured(&format!(
        "enabled: true, certPath: '{cert_text}', keyPath: '{key_text}'"
    )));
    gateway.signal(Signal::HUP);
    gateway.wait_for("new connections speak TLS");
    assert_eq!(shown(gateway.port), Some(digest(&cert).to_vec()));

    home.configure(&configured("enabled: false"));
    gateway.signal(Signal::HUP);
    gateway.wait_for("new connections speak plain text");
    assert!(plain(&gateway).contains("\"live\""));
}

#[test]
fn what_cannot_be_shown_refuses_to_start_and_says_why() {
    let files = Home::new();
    let (cert, key) = other_pair(&files);
    let rubbish = files.0.join("rubbish.pem");
    std::fs::write(&rubbish, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
        .expect("written");
    let (stranger, _) = openclaw_gateway::cli::tls::self_signed([127, 0, 0, 1].into()).expect("x");
    let other = files.0.join("stranger.pem");
    std::fs::write(&other, stranger).expect("written");
    let pair = |cert: &Path, key: &Path| {
        format!("enabled: true, certPath: '{}', keyPath: '{}'", cert.display(), key.display())
    };
    let nowhere = files.0.join("nowhere.pem");
    for (tls, parts) in [
        ("enabled: true, autoGenerate: false".to_owned(), ["gateway.tls.certPath", "there is no"]),
        (pair(&cert, &nowhere), ["gateway.tls.keyPath", "nowhere.pem"]),
        (pair(&nowhere, &key), ["gateway.tls.certPath", "nowhere.pem"]),
        (pair(&rubbish, &key), ["gateway.tls.certPath", "rubbish.pem"]),
        (pair(&cert, &rubbish), ["gateway.tls.keyPath", "rubbish.pem"]),
        (pair(&other, &key), ["does not belong to the first certificate", "stranger.pem"]),
        (pair(&files.0, &key), ["gateway.tls.certPath: cannot read", "directory"]),
        (
            format!("{}, caPath: '{}'", pair(&cert, &key), key.display()),
            ["gateway.tls.caPath", "holds no certificate"],
        ),
    ] {
        let home = home(&tls);
        let ran = home.run("gateway --port 0");
        assert_eq!(ran.code, 78, "{tls}: {ran:?}");
        for part in parts {
            assert!(ran.err.contains(part), "{tls}: {part}: {ran:?}");
        }
        assert!(ran.err.contains("\nNext: "), "{ran:?}");
        assert!(!ran.out.contains("listening"), "{ran:?}");
        assert!(!home.state().join("gateway/tls").exists(), "nothing was made: {tls}");
    }
}
