//! `openclaw gateway [run]`: from words to an open port, and back to an exit code.
//!
//! ```text
//!   places -> (--dev: first configuration) -> load -> may it start? -> which secret
//!     -> address -> state lock -> port (or who holds it) -> log -> reactor -> gateway
//!     -> "listening on ws://..." -> loop -> exit code | re-execute with the listener
//! ```
//!
//! Everything that can refuse does so before the gateway exists. The token is shown only on a
//! terminal; elsewhere the place where it lies.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::PathBuf;

use log::LevelFilter;

use super::entropy::SystemEntropy;
use super::logger::{self, Logger};
use super::table::Args;
use super::{Failed, entropy, interfaces, listen, next, place, port, reexec, tls, vitals};
use crate::auth::Credentials;
use crate::config::blocked::{self, Start};
use crate::config::credentials::{self, Credential, Given};
use crate::config::load::load_with;
use crate::config::secrets::{Asked, Need, Resolved};
use crate::config::tailscale;
use crate::config::{AuthMode, Bind, Config, ConfigError, Loaded, Paths, Secret};
use crate::gateway::{Gateway, Host, NotLoaded, Reloaded, Reloader, Setup};
use crate::reactor::notify::Notify;
use crate::reactor::{Leave, Reactor};
use crate::store::lock::{LockError, StateLock};
use crate::store::{Disk, RealDisk, copies};

/// Runs the command.
///
/// # Errors
/// Whatever keeps the gateway from starting, or from going on.
pub fn run(args: &Args) -> Result<u8, Failed> {
    // First of all: an upgrade may replace the file while we run.
    let remembered = reexec::Remembered::now();
    if let Ok(remembered) = &remembered {
        remembered.with_memory_given_back();
    }
    let env = place::environment();
    let paths = place::paths(&env, args)?;
    if args.has("reset") {
        if !args.has("dev") {
            let what = "--reset is for the dev profile: openclaw gateway --dev --reset";
            return Err(Failed { code: 2, ..Failed::new(what, "openclaw reset --help") });
        }
        super::reset::apply(args, "full")?;
    }
    if args.has("dev") {
        write_dev_config(&paths)?;
    }
    let files = place::Files::new();
    let loaded = match place::load_with_programs(&files, &env, &paths, Need::Active) {
        Err(error) if args.has("last-known-good") => last_known_good(&files, &env, &paths, &error)?,
        other => other,
    };
    let (loaded, resolved) = match loaded {
        Ok((loaded, resolved)) => (Ok(loaded), resolved),
        Err(error) => (Err(*error), Resolved::default()),
    };
    let plan = plan(args, loaded, paths)?;

    let (lock, listener) = claim(&plan, args.has("force"))?;
    let tls = tls::ready(&plan.loaded.config.gateway.tls, plan.addr.ip(), true)?;
    let secret = plan.secret()?;

    let host_name = place::host_name();
    let logger = open_log(args, &plan, host_name.clone())?.install();
    let failed = |error: io::Error| Failed::new(format!("the gateway cannot start: {error}"), "");
    let mut reactor = Reactor::new().map_err(failed)?;
    match Notify::named(&env, std::process::id()) {
        Ok(Some(notify)) => reactor.report_to(notify),
        Ok(None) => {}
        Err(text) => log::warn!(target: "gateway", "the service manager hears nothing: {text}"),
    }
    let addr = reactor.listen(listener).map_err(failed)?;
    let mut listening = vec![addr];
    if let Some(beside) = listen::companion(addr)? {
        listening.push(reactor.listen(beside).map_err(failed)?);
    }
    if let Some(tls) = &tls {
        reactor.speak_tls(Some(&tls.files)).map_err(|text| Failed::config(text, ""))?;
    }
    let config = &plan.loaded.config;
    let setup = Setup {
        config: config.clone(),
        credentials: secret.credentials(plan.mode),
        resolved,
        reload: Some(Box::new(Again {
            args: args.clone(),
            files,
            env,
            paths: plan.paths.clone(),
            bound: addr,
            logger,
        })),
        host: Host {
            name: host_name,
            address: outward(addr.ip()).map(|ip| ip.to_string()),
            platform: std::env::consts::OS,
            pid: std::process::id(),
            port: addr.port(),
            listening,
            interfaces: interfaces::read,
            vitals: vitals::read,
        },
        state_dir: plan.paths.state_dir.clone(),
        log_path: place::log_path(&plan.paths, config),
        disk: Box::new(RealDisk),
        entropy: Box::new(SystemEntropy),
    };
    let mut gateway = Gateway::new(setup, reactor.now()).map_err(|error| {
        Failed::new(format!("the gateway cannot start: {error}"), "openclaw gateway status")
    })?;

    gateway.seed_workspaces();
    gateway.keep_last_good();
    greet(&plan, &secret, addr, tls.as_ref());
    let scheme = if tls.is_some() { "wss" } else { "ws" };
    logger.note(log::Level::Info, "gateway", &format!("listening on {scheme}://{addr}"));
    if let Some(tls) = tls {
        let shown = crate::wire::hash::fingerprint(&tls.fingerprint);
        let made = if tls.made { "new self-signed certificate" } else { "certificate" };
        log::info!(target: "tls", "{made}, SHA-256 {shown}");
    }
    logger.open_console();
    warn_if_readable(&plan.paths.config_path);
    warn_if_doubled(&secret);
    if let Some(warning) = place::bind_warning(plan.bind) {
        log::warn!(target: "gateway", "{warning}");
    }
    let section = config.source.resolved.get("gateway").unwrap_or(&serde_json::Value::Null);
    let mode = args.value("tailscale");
    if let Some(advice) = mode.and_then(|mode| tailscale::advice(mode, addr.port(), section)) {
        log::warn!(target: "gateway", "--tailscale: {advice}");
    }
    for warning in &config.warnings {
        log::warn!(target: "config", "{warning}");
    }
    warn_if_shared(&plan);
    gateway.warn_of_tool_names();

    let left = reactor.run(&mut gateway);
    drop(gateway);
    match left {
        Ok(Leave::Exit(code)) => {
            log::info!(target: "gateway", "stopped");
            log::logger().flush();
            Ok(code)
        }
        Ok(Leave::Reexec) => {
            log::info!(target: "gateway", "re-executing in place");
            log::logger().flush();
            let error = match remembered {
                Ok(remembered) => {
                    let listener = reactor.take_listener();
                    // Descriptors of ours close with the old image, the lock's too.
                    remembered.again(listener)
                }
                Err(error) => error,
            };
            drop(lock);
            log::error!(target: "gateway", "re-executing failed: {error}");
            Err(Failed::new(format!("re-executing failed: {error}"), next::RUN))
        }
        Err(error) => {
            log::error!(target: "gateway", "the loop failed: {error}");
            Err(Failed::new(format!("the gateway's loop failed: {error}"), next::RUN))
        }
    }
}

/// A load, and what programs answered for its secrets.
type Load = Result<(Loaded, Resolved), Box<ConfigError>>;

/// What the last gateway ran with, since the file is damaged and this was asked for. The file
/// stays as it is: the gateway watches it and takes it over when it is valid again.
fn last_known_good(
    files: &place::Files,
    env: &BTreeMap<String, String>,
    paths: &Paths,
    damaged: &ConfigError,
) -> Result<Load, Failed> {
    let path = copies::last_good(&paths.config_path);
    let text = RealDisk.read(&path).map_err(|error| {
        let what =
            format!("{damaged}\nThere is no last-known-good copy {}: {error}", path.display());
        Failed::config(what, "openclaw config validate")
    })?;
    let text = String::from_utf8_lossy(&text).into_owned();
    for issue in &damaged.issues {
        note(&super::out::foreign(&issue.to_string()));
    }
    note(&format!(
        "running with the last configuration that was good, {}; the damaged file is left alone, \
         fix it, then: openclaw config validate",
        path.display()
    ));
    Ok(place::load_text_with_programs(files, env, paths, Some(&text), Need::Active))
}

/// Takes the state directory, then the port. A gateway that holds both is told of by its port,
/// and is what `--force` ends; nothing is ended for a start that the lock forbids anyway.
fn claim(plan: &Plan, force: bool) -> Result<(StateLock, TcpListener), Failed> {
    let dir = &plan.paths.state_dir;
    let taken = StateLock::take(dir);
    if let Err(error) = &taken {
        let here = match error {
            LockError::Held(Some(pid)) => {
                port::holders(plan.addr).iter().any(|holder| holder.pid == Some(*pid))
            }
            _ => false,
        };
        if !here {
            return Err(lock_failed(plan, error));
        }
    }
    let listener = match reexec::inherited(plan.addr) {
        Some(listener) => listener,
        None => port::open(plan.addr, force, &mut |line| note(line))?,
    };
    match taken.or_else(|_| StateLock::take(dir)) {
        Ok(lock) => Ok((lock.reading(&plan.paths.config_path), listener)),
        Err(error) => Err(lock_failed(plan, &error)),
    }
}

/// What was decided before anything was opened.
struct Plan {
    paths: Paths,
    loaded: Loaded,
    mode: AuthMode,
    bind: Bind,
    addr: SocketAddr,
    token: Option<Known>,
    password: Option<Known>,
}

/// The key and the variable of each secret.
const TOKEN: (&str, &str) = ("gateway.auth.token", "OPENCLAW_GATEWAY_TOKEN");
const PASSWORD: (&str, &str) = ("gateway.auth.password", "OPENCLAW_GATEWAY_PASSWORD");

/// A secret and where it came from.
#[derive(Clone)]
struct Known {
    secret: Secret,
    from: Origin,
    /// The environment holds a different one.
    shadows: bool,
}

/// Where a secret lies.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Origin {
    /// On the command line.
    Flag(&'static str),
    /// In a variable.
    Variable(&'static str),
    /// In the configuration, under this key.
    Config(&'static str),
    /// In a file of the state directory, alone.
    Kept(PathBuf),
}

/// The same decisions again, for a configuration that was edited.
struct Again {
    args: Args,
    files: place::Files,
    env: BTreeMap<String, String>,
    paths: Paths,
    /// Where we listen.
    bound: SocketAddr,
    logger: &'static Logger,
}

impl Reloader for Again {
    fn load(&mut self, raw: Option<&str>, known: &Resolved) -> Result<Reloaded, NotLoaded> {
        let asked = Asked { known, need: Need::Active };
        let loaded = load_with(&self.files, &self.env, &self.paths, raw, asked);
        let loaded = loaded.map_err(|error| NotLoaded::from(&error))?;
        let (config, files) = (loaded.config.clone(), loaded.files.clone());
        let refused =
            |failed: Failed| NotLoaded::because(failed.to_string(), &config, files.clone());
        let plan = decide(&self.args, loaded, self.paths.clone()).map_err(refused)?;
        tls::ready(&config.gateway.tls, plan.addr.ip(), raw.is_none()).map_err(refused)?;
        let secret = plan.secret().map_err(refused)?;
        let bound = self.bound;
        let mut addr = plan.addr;
        if addr.port() == 0 {
            addr.set_port(bound.port());
        }
        if addr.port() != bound.port() {
            // Told before anything is written or moved; the driver may still find it taken.
            port::free(addr, bound).map_err(|failed| refused(failed).at("gateway.port"))?;
        }
        let credentials = secret.credentials(plan.mode);
        let moves = (addr != bound).then(|| listen::places(addr));
        Ok(Reloaded { credentials, moves, config, files })
    }

    fn read_only(&self) -> Option<&'static str> {
        place::READ_ONLY.into_iter().find(|name| self.env.get(*name).is_some_and(|it| it == "1"))
    }

    fn moved(&mut self, first: SocketAddr) {
        self.bound = first;
    }

    fn holder(&self, addr: SocketAddr) -> String {
        let all: Vec<String> = port::holders(addr).iter().map(port::Holder::to_string).collect();
        all.join(", ")
    }

    fn applied(&mut self, config: &Config) {
        let (level, console) = levels(&self.args, config);
        self.logger.set_levels(level, console);
        let flag = self.args.value("bind").and_then(Bind::parse);
        if let Some(warning) = place::bind_warning(crate::config::paths::bind(flag, config)) {
            log::warn!(target: "gateway", "{warning}");
        }
    }
}

fn plan(args: &Args, loaded: Result<Loaded, ConfigError>, paths: Paths) -> Result<Plan, Failed> {
    let auth = args.value("auth").and_then(AuthMode::parse);
    let allow_unconfigured = args.has("allow-unconfigured");
    let loaded = loaded.map_err(|error| {
        let start = Start { allow_unconfigured, auth, ..Start::default() };
        let next = match copies::last_good(&paths.config_path).exists() {
            true => "or start with the last one that was good: openclaw gateway --last-known-good",
            false => "",
        };
        Failed::config(blocked::damaged(&error, &start).to_string(), next)
    })?;
    decide(args, loaded, paths)
}

/// Whether and how a gateway with these flags runs with a valid configuration.
fn decide(args: &Args, loaded: Loaded, paths: Paths) -> Result<Plan, Failed> {
    let auth = args.value("auth").and_then(AuthMode::parse);
    let allow_unconfigured = args.has("allow-unconfigured");
    let config = &loaded.config;
    let token = known_token(args, &loaded, &paths)?;
    let password = known_password(args, &loaded)?;
    let mut start = Start {
        allow_unconfigured,
        has_token: token.is_some(),
        has_password: password.is_some(),
        token_named: token.as_ref().is_some_and(|it| !matches!(it.from, Origin::Kept(_))),
        auth,
    };
    let refuse = |blocked: blocked::Blocked| Failed::config(blocked.to_string(), "");
    blocked::mode(config, &start).map_err(refuse)?;
    let mode = blocked::auth_mode(config, &start).map_err(refuse)?;
    // Mode token passed: if there is none, one will be made before the port opens.
    start.has_token |= mode == AuthMode::Token;
    let bind = crate::config::paths::bind(args.value("bind").and_then(Bind::parse), config);
    let ip = place::bind_address(bind, config)?;
    let flag = args.number("port").and_then(|port| u16::try_from(port).ok());
    let number = place::port(&paths, flag, &loaded.env, config)?;
    blocked::exposure(ip, number, mode, &start).map_err(refuse)?;
    let addr = SocketAddr::new(ip, number);
    not_exposed(addr, mode)?;
    Ok(Plan { mode, bind, addr, token, password, paths, loaded })
}

/// The room `config` decides; this is the one rule that must hold even if it errs.
fn not_exposed(addr: SocketAddr, mode: AuthMode) -> Result<(), Failed> {
    if mode != AuthMode::None || addr.ip().to_canonical().is_loopback() {
        return Ok(());
    }
    Err(Failed::config(
        format!("refusing to bind gateway to {addr} without auth"),
        "openclaw gateway --auth token, or --bind loopback",
    ))
}

/// Flag, file, environment (the reference's order), then what an earlier unconfigured start
/// kept.
fn known_token(args: &Args, loaded: &Loaded, paths: &Paths) -> Result<Option<Known>, Failed> {
    let token = args.value("token").map(|token| Secret::new(token.to_owned()));
    let given = Given { token, password: None };
    match credentials::server(&loaded.config, &loaded.env, &given).token {
        Some(found) => Ok(Some(Known::found(found, ["--token", TOKEN.0, TOKEN.1]))),
        None => {
            let from = Origin::Kept(place::token_file(paths));
            let kept = place::kept_token(paths)?;
            Ok(kept.map(|secret| Known { secret, from, shadows: false }))
        }
    }
}

fn known_password(args: &Args, loaded: &Loaded) -> Result<Option<Known>, Failed> {
    let password = args.value("password").map(|password| Secret::new(password.to_owned()));
    if let (None, Some(path)) = (&password, args.value("password-file")) {
        let from = Origin::Kept(PathBuf::from(path));
        return Ok(Some(Known { secret: place::password_file(path)?, from, shadows: false }));
    }
    let given = Given { token: None, password };
    let found = credentials::server(&loaded.config, &loaded.env, &given).password;
    Ok(found.map(|found| Known::found(found, ["--password", PASSWORD.0, PASSWORD.1])))
}

impl Known {
    /// `names`: the flag, the key and the variable of this secret.
    fn found(found: Credential, [flag, key, variable]: [&'static str; 3]) -> Self {
        let from = match found.origin {
            credentials::Origin::Flag => Origin::Flag(flag),
            credentials::Origin::File | credentials::Origin::Remote => Origin::Config(key),
            credentials::Origin::Environment => Origin::Variable(variable),
        };
        let shadows = found.shadows == Some(credentials::Origin::Environment);
        Self { secret: found.secret, from, shadows }
    }
}

/// The secrets in force.
struct InForce {
    token: Option<Known>,
    password: Option<Known>,
}

impl InForce {
    fn credentials(&self, mode: AuthMode) -> Credentials {
        let secret = |known: &Option<Known>| known.as_ref().map(|known| known.secret.clone());
        Credentials::new(mode, secret(&self.token), secret(&self.password))
    }

    /// The secret that callers show.
    fn shown(&self, mode: AuthMode) -> Option<&Known> {
        match mode {
            AuthMode::Token => self.token.as_ref(),
            AuthMode::Password => self.password.as_ref(),
            AuthMode::None | AuthMode::TrustedProxy => None,
        }
    }
}

impl Plan {
    /// The secrets, with a token made and kept where the mode wants one and nobody named one.
    fn secret(&self) -> Result<InForce, Failed> {
        let (mut token, mut password) = (self.token.clone(), self.password.clone());
        if self.mode == AuthMode::Token && token.is_none() {
            token = Some(self.make_kept()?);
        }
        // Behind a proxy no secret is shared; the commands of this host and user have this one,
        // which counts for direct local peers only.
        if self.mode == AuthMode::TrustedProxy && password.is_none() {
            let from = Origin::Kept(place::token_file(&self.paths));
            let kept = place::kept_token(&self.paths)?;
            password = Some(match kept {
                Some(secret) => Known { secret, from, shadows: false },
                None => self.make_kept()?,
            });
        }
        Ok(InForce { token, password })
    }

    /// Makes a secret and keeps it in a 0600 file of the state directory.
    fn make_kept(&self) -> Result<Known, Failed> {
        let text = entropy::token();
        let path = place::token_file(&self.paths);
        RealDisk.replace(&path, format!("{text}\n").as_bytes()).map_err(|error| {
            let what = format!("cannot keep a token in {}: {error}", path.display());
            Failed::new(what, "openclaw gateway --token <token>")
        })?;
        let from = Origin::Kept(path);
        Ok(Known { secret: Secret::new(text), from, shadows: false })
    }
}

fn write_dev_config(paths: &Paths) -> Result<(), Failed> {
    let path = &paths.config_path;
    let text = blocked::minimal_dev_config(&entropy::token());
    match place::write_new_config(path, &text) {
        Ok(()) => {
            note(&format!("wrote a dev configuration with a new token: {}", path.display()));
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => {
            let what = format!("cannot write {}: {error}", path.display());
            Err(Failed::new(what, "check the directory's owner and free space"))
        }
    }
}

fn lock_failed(plan: &Plan, error: &LockError) -> Failed {
    let dir = plan.paths.state_dir.display();
    match error {
        LockError::Held(pid) => {
            let pid = pid.map_or_else(|| "pid unknown".to_owned(), |pid| format!("pid {pid}"));
            Failed::new(
                format!("another gateway ({pid}) already uses the state directory {dir}"),
                "openclaw gateway status; or give this one its own place: \
                 openclaw --profile <name> gateway",
            )
        }
        LockError::Io(error) => {
            let what = format!("cannot use the state directory {dir}: {error}");
            Failed::new(what, "check its owner, or set OPENCLAW_STATE_DIR")
        }
    }
}

fn open_log(args: &Args, plan: &Plan, host: String) -> Result<Logger, Failed> {
    let (level, console) = levels(args, &plan.loaded.config);
    let path = place::log_path(&plan.paths, &plan.loaded.config);
    let options = logger::Options {
        path: path.clone(),
        level,
        console,
        max_file_bytes: plan.loaded.config.logging.max_file_bytes,
        host,
    };
    Logger::open(options).map_err(|error| {
        let what = format!("cannot open the log {}: {error}", path.display());
        Failed::new(what, "check its owner, or set logging.file")
    })
}

/// A stale copy of a secret is the commonest cause of refused clients.
fn warn_if_doubled(secret: &InForce) {
    for (known, (key, variable)) in [(&secret.token, TOKEN), (&secret.password, PASSWORD)] {
        if let Some(Known { from: Origin::Config(_), shadows: true, .. }) = known {
            log::warn!(target: "config",
                "{key} and {variable} hold different secrets: the file wins, here and for every \
                 command of this host; unset the variable or make them equal");
        }
    }
}

/// For the file and for standard output.
fn levels(args: &Args, config: &Config) -> (LevelFilter, LevelFilter) {
    let level = logger::filter(config.logging.level);
    let console = config.logging.console_level.map_or(level, logger::filter);
    (level, if args.has("verbose") { console.max(LevelFilter::Debug) } else { console })
}

/// Two gateways that write the same files undo each other's work.
fn warn_if_shared(plan: &Plan) {
    let ours = super::belongings::Belongings::of(&plan.paths, Some(&plan.loaded.config));
    for (other, workspace) in ours.shared_workspaces() {
        log::warn!(target: "gateway",
            "the workspace {} is also used by {}: give each its own agents.defaults.workspace",
            workspace.display(), other.display());
    }
}

/// Others can read a file that holds a secret: worth a line, no reason to stop.
fn warn_if_readable(path: &std::path::Path) {
    if place::open_to_others(path) {
        let path = path.display();
        log::warn!(target: "config", "{path} is open to other users: chmod 600 {path}");
    }
}

/// An address worth telling others.
fn outward(ip: IpAddr) -> Option<IpAddr> {
    (!ip.is_unspecified() && !ip.to_canonical().is_loopback()).then_some(ip)
}

/// What an operator sees first. The first line is for scripts, too: it holds the address.
fn greet(plan: &Plan, secret: &InForce, addr: SocketAddr, tls: Option<&tls::Ready>) {
    let near = SocketAddr::new(place::reachable(addr.ip()), addr.port());
    // Who keeps the secret elsewhere does not want it on a screen.
    let refers = plan.loaded.config.secrets.iter().any(|one| one.path == TOKEN.0);
    let terminal = io::stdout().is_terminal() && !refers;
    let s = if tls.is_some() { "s" } else { "" };
    let mut text = format!("OpenClaw gateway is listening on ws{s}://{near}");
    if near != addr {
        text.push_str(&format!(" (every interface: {addr})"));
    }
    let source = &plan.loaded.config.source;
    let config = if source.exists {
        plan.paths.config_path.display().to_string()
    } else {
        format!("none; write one with: {}", next::SETUP)
    };
    text.push_str(&format!("\n  Config:  {config}"));
    let log = place::log_path(&plan.paths, &plan.loaded.config);
    text.push_str(&format!("\n  Log:     {}", log.display()));
    let cert = plan.loaded.config.gateway.tls.cert_path.display();
    if let Some(tls) = tls {
        let shown = crate::wire::hash::fingerprint(&tls.fingerprint);
        let made = if tls.made { " (self-signed, made just now)" } else { "" };
        text.push_str(&format!("\n  TLS:     {cert}{made}\n           SHA-256 {shown}"));
    }
    let known = secret.shown(plan.mode);
    if let Some(known) = known {
        let word = if plan.mode == AuthMode::Password { "Password:" } else { "Token:  " };
        // A flag's or variable's secret is known to whoever typed it; a password is never shown.
        let here = terminal && plan.mode == AuthMode::Token;
        text.push_str(&format!("\n  {word} {}", lies(known, here, plan)));
    } else if plan.mode == AuthMode::TrustedProxy {
        text.push_str("\n  Auth:    by the proxies of gateway.trustedProxies");
    } else {
        text.push_str("\n  Auth:    none: every local process may use this gateway");
    }
    let trust = match tls {
        Some(tls) if tls.self_signed => format!("--cacert '{cert}' "),
        _ => String::new(),
    };
    let header = known.map_or_else(String::new, |known| {
        format!("-H \"Authorization: Bearer {}\" ", typed(known, terminal, plan.mode))
    });
    text.push_str(&format!("\n  Try it:  curl {trust}{header}http{s}://{near}/v1/models\n"));
    let mut stdout = io::stdout().lock();
    // A closed standard output does not end a gateway.
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

/// The secret on a terminal, elsewhere the place where it lies.
fn lies(known: &Known, terminal: bool, plan: &Plan) -> String {
    match &known.from {
        Origin::Flag(flag) => format!("as given by {flag}"),
        Origin::Variable(name) => format!("as given in {name}"),
        Origin::Config(_) | Origin::Kept(_) if terminal => known.secret.expose().to_owned(),
        Origin::Config(key) => format!("{key} in {}", plan.paths.config_path.display()),
        Origin::Kept(path) => format!("in {}", path.display()),
    }
}

/// What to type for the secret in a shell.
fn typed(known: &Known, terminal: bool, mode: AuthMode) -> String {
    match &known.from {
        Origin::Variable(name) => format!("${name}"),
        Origin::Kept(path) => format!("$(cat '{}')", path.display()),
        Origin::Config(_) if terminal && mode == AuthMode::Token => {
            known.secret.expose().to_owned()
        }
        Origin::Config(_) | Origin::Flag(_) => format!("<{}>", mode.as_str()),
    }
}

/// A line for the operator before the log exists; on standard error, since the first line of
/// standard output is the address.
fn note(line: &str) {
    let _ = writeln!(io::stderr(), "openclaw: {line}");
}
