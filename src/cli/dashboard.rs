//! `openclaw dashboard`: the control page's address, and a browser that is signed in to it.
//!
//! The token stands in the fragment of the address only, which no server and no log sees; and it
//! never stands in the browser's argv, which every user of the machine can read: the browser is
//! sent to a door of ours on the loopback, open once and for a moment, that answers this user
//! alone (where the kernel tells whose a connection is) and points on to the page.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use super::client::{QUICK, Target};
use super::table::Args;
use super::{Failed, belongings, entropy, out, place, port};
use crate::config::secrets::Need;
use crate::config::{AuthMode, Loaded};

/// How long the browser may take to start and ask.
const DOOR: Duration = Duration::from_secs(15);
/// Bytes of its request that are looked at.
const REQUEST: usize = 4 * 1024;

/// Runs the command.
///
/// # Errors
/// When no gateway answers.
pub fn run(args: &Args) -> Result<u8, Failed> {
    let env = place::environment();
    let paths = place::paths(&env, args)?;
    let loaded = place::load_with_programs(&place::Files::new(), &env, &paths, Need::Client)
        .map_err(|error| Failed::config(error.to_string(), "openclaw doctor"))?
        .0;
    let target = Target::configured(args, &paths, &loaded)?;
    let page = Page::of(&target, &loaded);
    if let Err(trouble) = target.get("/healthz", QUICK) {
        if args.has("json") {
            out::json(&json!({"ok": false, "reason": trouble.short()}));
            return Ok(1);
        }
        return Err(trouble.failed(&target));
    }
    if args.has("json") {
        out::json(&json!({
            "url": page.link(), "browserUrl": page.link(), "browserBootstrapExpiresAtMs": null,
            "httpUrl": page.http, "wsUrl": page.ws, "port": target.url.port,
            "tokenIncluded": page.token.is_some(),
        }));
        return Ok(0);
    }
    out::line(&format!("Dashboard: {}", page.http));
    if args.has("no-open") {
        hint(args, &page);
        return Ok(0);
    }
    match open(&page) {
        Ok(()) => out::line("Opened in your browser."),
        Err(why) => {
            out::line(&format!("No browser was opened: {why}."));
            if target.local {
                let near = target.url.port;
                out::line(&format!("From afar: ssh -N -L {near}:127.0.0.1:{near} <this host>"));
            }
            hint(args, &page);
        }
    }
    Ok(0)
}

/// How to sign in by hand; the secret itself is not said.
fn hint(args: &Args, page: &Page) {
    if page.token.is_some() {
        let program = belongings::program(args);
        out::line("It asks for gateway.auth.token (or OPENCLAW_GATEWAY_TOKEN), or takes it behind");
        out::line("#token= in the address; the whole link, with the secret:");
        out::line(&format!("  {program} dashboard --json"));
    }
}

struct Page {
    http: String,
    ws: String,
    token: Option<String>,
}

impl Page {
    fn of(target: &Target, loaded: &Loaded) -> Self {
        let base = &loaded.config.gateway.control_ui.base_path;
        let ws = target.shown();
        let http = format!("{}{base}/", ws.replacen("ws", "http", 1));
        // Who keeps it elsewhere does not want it in an address.
        let refers = loaded.config.secrets.iter().any(|one| one.path == "gateway.auth.token");
        let mode = loaded.config.gateway.auth.mode.unwrap_or(AuthMode::Token);
        let token = target.token.as_ref().filter(|_| !refers && mode == AuthMode::Token);
        Self { http, ws, token: token.map(|token| escaped(token.expose())) }
    }

    fn link(&self) -> String {
        match &self.token {
            Some(token) => format!("{}#token={token}", self.http),
            None => self.http.clone(),
        }
    }
}

/// Percent-encoded but for what is plain in a fragment.
fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let one = |byte: u8| match plain(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    text.bytes().map(one).collect()
}

/// Starts the browser and lets it in.
fn open(page: &Page) -> Result<(), String> {
    let var = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let named = std::env::var("BROWSER").ok().filter(|name| !name.trim().is_empty());
    let opener = match named {
        Some(name) => name.split(':').next().unwrap_or_default().to_owned(),
        None if cfg!(target_os = "macos") => "open".to_owned(),
        None if cfg!(windows) => "explorer".to_owned(),
        None if var("DISPLAY") || var("WAYLAND_DISPLAY") => "xdg-open".to_owned(),
        None => return Err("there is no display here".to_owned()),
    };
    let Some(_) = &page.token else { return start(&opener, &page.http) };
    let failed = |error: std::io::Error| error.to_string();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let addr = listener.local_addr().map_err(failed)?;
    let path = format!("/{}", entropy::token());
    start(&opener, &format!("http://{addr}{path}"))?;
    let deadline = Instant::now() + DOOR;
    while Instant::now() < deadline {
        match listener.accept() {
            Ok((stream, peer)) if is_ours(peer) => {
                if answer(stream, &path, &page.link()).unwrap_or(false) {
                    return Ok(());
                }
            }
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => port::pause(),
            Err(error) => return Err(error.to_string()),
        }
    }
    Err(format!("{opener} was started, but asked for nothing"))
}

/// By its own name, without a shell.
fn start(opener: &str, address: &str) -> Result<(), String> {
    let mut command = Command::new(opener);
    command.arg(address).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().map(drop).map_err(|error| format!("{opener} cannot be started: {error}"))
}

/// Whether the other end is a process of this user; where the kernel does not tell, the path,
/// which only the browser was given, has to do.
fn is_ours(peer: SocketAddr) -> bool {
    port::owner_of_connection(peer).is_none_or(|uid| Some(uid) == port::owner(std::process::id()))
}

/// Points on to the page, if the path is the right one; whether it was.
fn answer(mut stream: TcpStream, path: &str, link: &str) -> std::io::Result<bool> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(QUICK))?;
    let mut head = vec![0; REQUEST];
    let mut len = 0;
    while len < head.len() && !head[..len].windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut head[len..])? {
            0 => break,
            more => len += more,
        }
    }
    let right = head.starts_with(format!("GET {path} ").as_bytes());
    let text = match right {
        true => format!(
            "HTTP/1.1 302 Found\r\nLocation: {link}\r\nCache-Control: no-store\r\n\
             Referrer-Policy: no-referrer\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        ),
        false => "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".into(),
    };
    stream.write_all(text.as_bytes())?;
    Ok(right)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_escaped_for_the_fragment() {
        assert_eq!(escaped("aB9-._~"), "aB9-._~");
        assert_eq!(escaped("a b#&%ü"), "a%20b%23%26%25%C3%BC");
    }
}
