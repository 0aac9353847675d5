//! The server's side of TLS: sessions over a pipe in memory that splits and spoils records by
//! seed, and the loop with real sockets against rustls' own client.

use super::certificate::Server;
use super::tls::Progress;
use super::*;
use crate::driver::{TlsFile, TlsFiles};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConnection, StreamOwned};
use std::collections::VecDeque;
use std::io::Write;
use std::net::{Ipv4Addr, TcpStream as StdStream};
use std::path::PathBuf;

fn files() -> TlsFiles {
    let (cert, key) = crate::cli::tls::self_signed(Ipv4Addr::LOCALHOST.into()).unwrap();
    let file =
        |name: &str, text: String| TlsFile { path: PathBuf::from(name), bytes: text.into_bytes() };
    TlsFiles { cert: file("cert", cert), key: file("key", key), ca: None }
}

fn client(files: &TlsFiles) -> ClientConnection {
    let pin = fingerprint(&files.cert).unwrap();
    let config = trust::client_config(Some(pin)).unwrap();
    ClientConnection::new(config, ServerName::try_from("localhost").unwrap()).unwrap()
}

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ z >> 31) % below.max(1) as u64) as usize
    }
}

/// A socket in memory: gives and takes a random number of bytes, and blocks now and then.
struct Pipe<'a> {
    dice: &'a mut Dice,
    input: &'a mut VecDeque<u8>,
    output: &'a mut VecDeque<u8>,
}

impl Read for Pipe<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let size = self.dice.roll(400).min(self.input.len()).min(into.len());
        if size == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        for (place, byte) in into.iter_mut().zip(self.input.drain(..size)) {
            *place = byte;
        }
        Ok(size)
    }
}

impl Write for Pipe<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let size = self.dice.roll(900).min(bytes.len());
        if size == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.output.extend(&bytes[..size]);
        Ok(size)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// One session under a seed: the server echoes what it reads. A spoiled byte ends it.
struct Played {
    echoed: Vec<u8>,
    heard: Vec<u8>,
    error: bool,
    /// What the client saw of the server, for a look whether any of it is in the clear.
    wire: Vec<u8>,
}

fn play(server: &Server, files: &TlsFiles, seed: u64, said: &[u8], spoil: bool) -> Played {
    let mut dice = Dice(seed);
    let (mut tls, mut client) = (server.session().unwrap(), client(files));
    let (mut up, mut down) = (VecDeque::new(), VecDeque::new());
    let mut played =
        Played { echoed: Vec::new(), heard: Vec::new(), error: false, wire: Vec::new() };
    client.writer().write_all(said).unwrap();
    let mut pending: VecDeque<u8> = VecDeque::new();
    let mut spoil_at = spoil.then(|| dice.roll(4000));
    let mut chunk = [0; 1500];
    for _ in 0..40_000 {
        let mut sent = Vec::new();
        client.write_tls(&mut sent).unwrap();
        for byte in sent {
            spoil_at = spoil_at.map(|at| at.wrapping_sub(1));
            up.push_back(if spoil_at == Some(0) { byte ^ 0x40 } else { byte });
        }
        let mut pipe = Pipe { dice: &mut dice, input: &mut up, output: &mut down };
        match tls.read(&mut pipe, &mut chunk) {
            Ok(n) => {
                played.heard.extend(&chunk[..n]);
                pending.extend(&chunk[..n]);
            }
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                played.error = true;
                return played;
            }
            Err(_) => {}
        }
        if tls.is_handshaking() {
            assert!(played.heard.is_empty(), "bytes before the end of the handshake");
            let _ = tls.flush(&mut pipe);
        } else if let Ok(taken) = tls.write(&mut pipe, pending.make_contiguous()) {
            pending.drain(..taken);
        }
        let mut got: Vec<u8> = down.drain(..).collect();
        played.wire.extend(&got);
        let mut rest = got.as_mut_slice() as &[u8];
        while !rest.is_empty() && client.read_tls(&mut rest).is_ok_and(|n| n > 0) {
            if client.process_new_packets().is_err() {
                played.error = true;
                return played;
            }
            let mut plain = Vec::new();
            let _ = client.reader().read_to_end(&mut plain);
            played.echoed.extend(plain);
        }
        if played.echoed.len() == said.len() {
            break;
        }
    }
    played
}

#[test]
fn records_split_anywhere_carry_the_same_bytes() {
    let files = files();
    let server = Server::new(&files).unwrap();
    let said: Vec<u8> = (0..20_000u32).map(|n| (n % 251) as u8).collect();
    for seed in 0..64 {
        let played = play(&server, &files, seed, &said, false);
        assert!(!played.error, "seed {seed}");
        assert!(played.heard == said && played.echoed == said, "seed {seed}");
    }
}

#[test]
fn a_spoiled_byte_ends_the_session_and_nothing_false_is_heard() {
    let files = files();
    let server = Server::new(&files).unwrap();
    let said = vec![b'A'; 6_000];
    let mut ended = 0;
    for seed in 0..128 {
        let played = play(&server, &files, seed, &said, true);
        assert!(said.starts_with(&played.heard), "seed {seed}");
        assert!(said.starts_with(&played.echoed), "seed {seed}");
        assert!(!played.wire.windows(8).any(|part| part == b"AAAAAAAA"), "in the clear: {seed}");
        ended += usize::from(played.error);
    }
    assert!(ended > 100, "most spoiled bytes are noticed at once: {ended}");
}

#[test]
fn a_handshake_moves_only_with_its_client() {
    let files = files();
    let server = Server::new(&files).unwrap();
    let mut tls = server.session().unwrap();
    let (mut dice, mut up, mut down) = (Dice(1), VecDeque::new(), VecDeque::new());
    let mut pipe = Pipe { dice: &mut dice, input: &mut up, output: &mut down };
    assert!(matches!(tls.handshake(&mut pipe), Ok(Progress::Pending)));
    assert!(down.is_empty(), "a server speaks second");
}

/// A core that answers the first bytes of each peer with `answer`, then closes.
struct Answers {
    answer: usize,
    queued: usize,
    served: usize,
    closed: Option<Closed>,
    wanted: usize,
}

impl Core for Answers {
    fn on(&mut self, now: Now, input: Input<'_>, fx: &mut Effects) {
        match input {
            Input::Accepted { conn, .. } if self.answer == 0 => fx.close(conn),
            Input::Received { conn, .. } => {
                fx.send(conn).resize(self.answer, b'A');
                fx.close(conn);
                self.served += 1;
            }
            Input::Queued { bytes, .. } => self.queued = self.queued.max(bytes),
            Input::Closed { why, .. } => self.closed = Some(why),
            Input::Wake => fx.push(Effect::Exit { code: 1 }),
            Input::Ended { conn } => fx.close(conn),
            _ => {}
        }
        let _ = now;
        if self.wanted == 0 {
            fx.push(Effect::Exit { code: 0 });
        }
    }

    fn deadline(&self) -> Option<Time> {
        Some(Time(30_000_000))
    }

    fn turn_end(&mut self, _: Now, fx: &mut Effects) {
        if self.served >= self.wanted || self.closed.is_some() {
            fx.push(Effect::Exit { code: 0 });
        }
    }
}

fn answers(answer: usize, wanted: usize) -> Answers {
    Answers { answer, queued: 0, served: 0, closed: None, wanted }
}

fn listening(files: &TlsFiles) -> (Reactor, SocketAddr) {
    let mut reactor = Reactor::new().unwrap();
    let listener = bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let addr = reactor.listen(listener).unwrap();
    reactor.speak_tls(Some(files)).unwrap();
    (reactor, addr)
}

#[test]
fn a_slow_reader_gets_all_of_it_and_then_our_close_notify() {
    const SIZE: usize = 6_000_000;
    let files = files();
    let (mut reactor, addr) = listening(&files);
    let session = client(&files);
    let reader = std::thread::spawn(move || {
        let socket = StdStream::connect(addr).unwrap();
        let mut stream = StreamOwned::new(session, socket);
        stream.write_all(b"give").unwrap();
        let mut all = Vec::new();
        // Without close_notify this is an error.
        stream.read_to_end(&mut all).unwrap();
        all
    });
    let mut core = answers(SIZE, 1);
    assert_eq!(reactor.run(&mut core).unwrap(), Leave::Exit(0));
    let all = reader.join().unwrap();
    assert!(all.len() == SIZE && all.iter().all(|byte| *byte == b'A'));
}

#[test]
fn what_is_queued_before_a_close_in_the_handshake_is_never_sent() {
    let files = files();
    let (mut reactor, addr) = listening(&files);
    let mut socket = StdStream::connect(addr).unwrap();
    socket.write_all(&[0x16, 3, 1]).unwrap();
    let reader = std::thread::spawn(move || {
        let mut all = Vec::new();
        let _ = socket.read_to_end(&mut all);
        all
    });
    struct Hasty(bool);
    impl Core for Hasty {
        fn on(&mut self, _: Now, input: Input<'_>, fx: &mut Effects) {
            match input {
                Input::Accepted { conn, .. } => {
                    fx.send(conn).extend_from_slice(b"HTTP/1.1 408 Request Timeout\r\n\r\n");
                    fx.close(conn);
                    self.0 = true;
                }
                Input::Wake => fx.push(Effect::Exit { code: 1 }),
                _ => {}
            }
            if self.0 {
                fx.push(Effect::Exit { code: 0 });
            }
        }
        fn deadline(&self) -> Option<Time> {
            Some(Time(20_000_000))
        }
    }
    assert_eq!(reactor.run(&mut Hasty(false)).unwrap(), Leave::Exit(0));
    drop(reactor);
    let all = reader.join().unwrap();
    assert!(all.is_empty() || all.starts_with(&[21, 3]), "{all:?}");
}

#[test]
fn bad_files_keep_what_is_in_force_and_never_leave_plain_text() {
    let good = files();
    let mut bad = good.clone();
    bad.key.bytes = files().key.bytes;
    let mut inbound = inbound::Inbound::new();
    assert!(inbound.is_plain() && inbound.session().unwrap().is_none());
    let text = inbound.speak(Some(&bad)).unwrap_err();
    assert!(text.contains("does not belong"), "{text}");
    assert!(!inbound.is_plain());
    assert!(inbound.session().is_err(), "refused, not served in the clear");
    inbound.speak(Some(&good)).unwrap();
    inbound.speak(Some(&bad)).unwrap_err();
    assert!(inbound.session().unwrap().is_some(), "the good pair stays");
    inbound.speak(None).unwrap();
    assert!(inbound.is_plain());
}

/// Made with openssl for a hundred years: ours, the one between, the authority; no keys.
const CHAIN: &[u8] = include_bytes!("../../tests/data/tls-chain.pem");

#[test]
fn a_bundle_completes_the_chain_without_the_root() {
    let all: Vec<_> = CertificateDer::pem_slice_iter(CHAIN).map(Result::unwrap).collect();
    assert_eq!(all.len(), 3);
    let bundle = TlsFile { path: PathBuf::from("ca"), bytes: CHAIN.to_vec() };
    let mut chain = vec![all[0].clone()];
    certificate::complete(&mut chain, Some(&bundle)).unwrap();
    assert_eq!(chain, all[..2], "the root need not travel");
    certificate::complete(&mut chain, Some(&bundle)).unwrap();
    assert_eq!(chain.len(), 2, "a whole chain stays");
    let mut own = vec![all[2].clone()];
    certificate::complete(&mut own, Some(&bundle)).unwrap();
    assert_eq!(own.len(), 1, "nobody stands above a self-signed one");
}

#[test]
fn chains_longer_than_any_real_one_are_refused() {
    let mut files = files();
    files.cert.bytes = files.cert.bytes.repeat(limits::TLS_CHAIN + 1);
    let text = Server::new(&files).err().unwrap();
    assert!(text.contains("more than 8 certificates"), "{text}");
}
