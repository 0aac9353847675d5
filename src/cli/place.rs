//! Where a command runs: environment, directories, configuration, secrets, addresses.
//! Every command that needs one of these asks here, so that the gateway and its own clients
//! cannot disagree.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use super::entropy;
use super::table::Args;
use super::{Failed, next};
use crate::config::load::load_with;
use crate::config::secrets::{Asked, Need, Resolved};
#[cfg(unix)]
use crate::config::secrets::{FactKind, Facts};
use crate::config::{self, Bind, Config, Flags, Paths, Secret, Source};
use crate::limits;
use crate::store::{Disk, RealDisk};
use crate::wire::hash;

/// Environment variables that hold text; others cannot be settings of ours.
pub fn environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// A variable that is set to something.
pub fn var<'a>(env: &'a BTreeMap<String, String>, name: &str) -> Option<&'a str> {
    env.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
}

/// The places of this profile.
///
/// # Errors
/// When there is no home, or the profile cannot be a directory's name.
pub fn paths(env: &BTreeMap<String, String>, args: &Args) -> Result<Paths, Failed> {
    let flags = Flags { profile: args.value("profile").map(str::to_owned), dev: args.has("dev") };
    Paths::resolve(env, &flags).map_err(|error| Failed::new(error.to_string(), next::HELP))
}

/// The configuration's files on this disk. Digests are keyed with bytes of this process: they
/// tell one text from another and let nobody guess what was redacted.
pub struct Files {
    key: [u8; 32],
}

impl Files {
    /// With a new key.
    pub fn new() -> Self {
        Self { key: entropy::bytes() }
    }
}

impl Default for Files {
    fn default() -> Self {
        Self::new()
    }
}

impl Source for Files {
    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        let file = match std::fs::File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut bytes = Vec::new();
        file.take(limits::CONFIG_BYTES as u64 + 1).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    fn canonical(&self, path: &Path) -> io::Result<PathBuf> {
        path.canonicalize()
    }

    #[cfg(unix)]
    fn facts(&self, path: &Path) -> io::Result<Facts> {
        Ok(facts(&std::fs::symlink_metadata(path)?))
    }

    /// Looked at before it is opened, for a pipe would keep us waiting; and again when it is
    /// open, for another file may have taken its place.
    #[cfg(unix)]
    fn secret_file(&self, path: &Path, max: usize) -> io::Result<(Facts, Vec<u8>)> {
        use std::os::unix::fs::MetadataExt;
        let before = std::fs::symlink_metadata(path)?;
        if !before.is_file() {
            return Ok((facts(&before), Vec::new()));
        }
        let file = std::fs::File::open(path)?;
        let opened = file.metadata()?;
        if (before.dev(), before.ino()) != (opened.dev(), opened.ino()) {
            let what = "another file took its place meanwhile; try again";
            return Err(io::Error::other(what));
        }
        let mut bytes = Vec::new();
        file.take(max as u64 + 1).read_to_end(&mut bytes)?;
        Ok((facts(&opened), bytes))
    }

    /// Owner and mode are what a secret's file or program is trusted by; here they are unknown,
    /// so files and programs of secrets are refused.
    #[cfg(not(unix))]
    fn facts(&self, _path: &Path) -> io::Result<config::secrets::Facts> {
        Err(unsupported())
    }

    #[cfg(not(unix))]
    fn secret_file(
        &self,
        _path: &Path,
        _max: usize,
    ) -> io::Result<(config::secrets::Facts, Vec<u8>)> {
        Err(unsupported())
    }

    #[cfg(all(unix, feature = "process"))]
    fn user(&self) -> u32 {
        rustix::process::geteuid().as_raw()
    }

    /// Without rustix: whoever owns the process's own entry.
    #[cfg(all(unix, not(feature = "process")))]
    fn user(&self) -> u32 {
        use std::os::unix::fs::MetadataExt;
        std::fs::metadata("/proc/self").map_or(u32::MAX, |meta| meta.uid())
    }

    fn digest(&self, bytes: &[u8]) -> String {
        let digest = hash::hmac_sha256(&self.key, bytes);
        format!("hmac-sha256:v1:{}", hash::base64_url_no_pad(&digest))
    }
}

#[cfg(not(unix))]
fn unsupported() -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, "unsupported on this platform")
}

/// What a secret's file or program is judged by.
#[cfg(unix)]
fn facts(meta: &std::fs::Metadata) -> Facts {
    use std::os::unix::fs::MetadataExt;
    let kind = match meta.file_type() {
        kind if kind.is_file() => FactKind::File,
        kind if kind.is_dir() => FactKind::Dir,
        kind if kind.is_symlink() => FactKind::Link,
        _ => FactKind::Other,
    };
    Facts { kind, mode: meta.mode(), owner: meta.uid(), links: meta.nlink() }
}

/// A whole file that may have so many bytes.
///
/// # Errors
/// The system's, and `InvalidData` for a longer one.
pub fn read_capped(path: &Path, max: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(max as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > max {
        let what = format!("is longer than {} KiB", max / 1024);
        return Err(io::Error::new(io::ErrorKind::InvalidData, what));
    }
    Ok(bytes)
}

/// Where the generated token of a gateway without one in its configuration is kept.
pub fn token_file(paths: &Paths) -> PathBuf {
    paths.state_dir.join("gateway-token")
}

/// The kept token, if there is one.
///
/// # Errors
/// When others can read or write the file: the token may be known to them, or be theirs.
pub fn kept_token(paths: &Paths) -> Result<Option<Secret>, Failed> {
    let path = token_file(paths);
    let Ok(bytes) = RealDisk.read(&path) else { return Ok(None) };
    if open_to_others(&path) {
        let path = path.display();
        let what = format!("the token in {path} is not used: other users can get at the file");
        return Err(Failed::config(what, format!("rm {path}, for a new one at the next start")));
    }
    let text = String::from_utf8(bytes).unwrap_or_default();
    let text = text.trim();
    Ok((!text.is_empty()).then(|| Secret::new(text.to_owned())))
}

/// Whether users other than the owner may read or write a file.
#[cfg(unix)]
pub fn open_to_others(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).is_ok_and(|meta| meta.permissions().mode() & 0o077 != 0)
}

/// Other systems keep it by their own means.
#[cfg(not(unix))]
pub fn open_to_others(_path: &Path) -> bool {
    false
}

/// A path for people: the home is `~`.
pub fn tilde(path: &str) -> String {
    let home = std::env::var("HOME").unwrap_or_default();
    match path.strip_prefix(home.trim_end_matches('/')) {
        Some(rest) if home.len() > 1 && rest.starts_with('/') => format!("~{rest}"),
        _ => path.to_owned(),
    }
}

/// The name behind a user id where the system lists it, else the number.
pub fn user_name(uid: u32) -> String {
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let named = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    });
    named.unwrap_or_else(|| uid.to_string())
}

/// The home of an account, where the system lists it.
pub fn home_of(name: &str) -> Option<String> {
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let home = (fields.next()? == name).then(|| fields.nth(4)).flatten()?;
        home.starts_with('/').then(|| home.to_owned())
    })
}

/// Where the log lies.
pub fn log_path(paths: &Paths, config: &Config) -> PathBuf {
    let default = || paths.state_dir.join("logs").join("openclaw.log");
    config.logging.file.clone().unwrap_or_else(default)
}

/// `--password-file`: its first line.
///
/// # Errors
/// When it cannot be read or is empty.
pub fn password_file(path: &str) -> Result<Secret, Failed> {
    let fix = "check --password-file";
    let mut text = String::new();
    let file = std::fs::File::open(path)
        .map_err(|error| Failed::new(format!("cannot read {path}: {error}"), fix))?;
    file.take(limits::PASSWORD_FILE as u64)
        .read_to_string(&mut text)
        .map_err(|error| Failed::new(format!("cannot read {path}: {error}"), fix))?;
    match text.lines().next().map(str::trim_end).filter(|line| !line.is_empty()) {
        Some(line) => Ok(Secret::new(line.to_owned())),
        None => Err(Failed::new(format!("{path} holds no password in its first line"), fix)),
    }
}

/// The address behind a `bind` word. Loopback is 127.0.0.1: there is one listener, and every
/// client of ours asks that address.
///
/// # Errors
/// When this machine has no such address, or `gateway.customBindHost` is missing.
pub fn bind_address(bind: Bind, config: &Config) -> Result<IpAddr, Failed> {
    match bind {
        Bind::Loopback | Bind::Auto => Ok(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        Bind::Lan => Ok(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        Bind::Custom => {
            let host = config.gateway.custom_bind_host.as_deref().unwrap_or_default();
            host.parse().map_err(|_| {
                Failed::config(
                    format!(
                        "bind=custom needs an IP address in gateway.customBindHost, not `{host}`"
                    ),
                    "set gateway.customBindHost, or openclaw gateway --bind loopback",
                )
            })
        }
        // As in the reference: at boot Tailscale may come later than we do.
        Bind::Tailnet => Ok(IpAddr::V4(tailnet().unwrap_or(Ipv4Addr::LOCALHOST))),
    }
}

/// The address at which the commands of this machine find a gateway that is bound so: the
/// loopback, beside every other address, unless it is bound to another loopback address.
///
/// # Errors
/// As [`bind_address`].
pub fn near_address(bind: Bind, config: &Config) -> Result<IpAddr, Failed> {
    match bind {
        Bind::Tailnet => Ok(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        _ => Ok(reachable(bind_address(bind, config)?)),
    }
}

/// What is wrong with a `bind` word that fell back to the loopback.
pub fn bind_warning(bind: Bind) -> Option<&'static str> {
    (bind == Bind::Tailnet && tailnet().is_none()).then_some(
        "gateway.bind is tailnet, but this machine has no 100.64.0.0/10 address: listening on \
         127.0.0.1 only. Type: tailscale up; then: openclaw gateway restart",
    )
}

/// This machine's address in its tailnet, as the kernel shows it.
pub fn tailnet() -> Option<Ipv4Addr> {
    tailnet_address(&std::fs::read_to_string("/proc/net/fib_trie").unwrap_or_default())
}

/// The first local address of 100.64.0.0/10 in the kernel's routing trie.
fn tailnet_address(fib_trie: &str) -> Option<Ipv4Addr> {
    locals(fib_trie).into_iter().find(|ip| {
        let [first, second, ..] = ip.octets();
        first == 100 && (64..128).contains(&second)
    })
}

/// The IPv4 addresses of this machine; none where the kernel does not show them.
pub fn local_addresses() -> Vec<Ipv4Addr> {
    locals(&std::fs::read_to_string("/proc/net/fib_trie").unwrap_or_default())
}

/// Local addresses of the kernel's routing trie: a leaf `|-- a.b.c.d` followed by
/// `/32 host LOCAL`.
fn locals(fib_trie: &str) -> Vec<Ipv4Addr> {
    let mut found = Vec::new();
    let mut leaf = None;
    for line in fib_trie.lines().map(str::trim) {
        if let Some(address) = line.strip_prefix("|-- ") {
            leaf = address.parse::<Ipv4Addr>().ok();
        } else if line.starts_with("/32 host LOCAL")
            && let Some(ip) = leaf
            && !found.contains(&ip)
        {
            found.push(ip);
        }
    }
    found
}

/// The address at which this machine itself reaches what is bound there.
pub fn reachable(bound: IpAddr) -> IpAddr {
    match bound {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(std::net::Ipv6Addr::LOCALHOST),
        other => other,
    }
}

/// The machine's name.
pub fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if !name.is_empty() {
        return crate::wire::text::escape_log(name, 255);
    }
    std::env::var("HOSTNAME").unwrap_or_else(|_| "localhost".to_owned())
}

/// The port of the configuration or whatever overrides it.
///
/// # Errors
/// When the environment names something that is no port.
pub fn port(
    paths: &Paths,
    flag: Option<u16>,
    env: &BTreeMap<String, String>,
    config: &Config,
) -> Result<u16, Failed> {
    paths
        .port(flag, env, config)
        .map_err(|why| Failed::config(why, "unset OPENCLAW_GATEWAY_PORT, or set it to a number"))
}

/// Writes a new configuration file; never over another one.
///
/// # Errors
/// When it exists or cannot be written.
pub fn write_new_config(path: &Path, text: &str) -> io::Result<()> {
    crate::store::make_parents(path)?;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    let written = io::Write::write_all(&mut file, text.as_bytes());
    if written.is_err() {
        // Half a configuration would block the next start.
        let _ = std::fs::remove_file(path);
    }
    written
}

/// Loads the configuration for a look at it, through the same [`Files`] each time, so that the
/// digests agree. Secrets that a program knows are not asked for.
///
/// # Errors
/// The room's own, with every issue.
pub fn load(
    files: &Files,
    env: &BTreeMap<String, String>,
    paths: &Paths,
) -> Result<config::Loaded, Box<config::ConfigError>> {
    let none = Resolved::default();
    load_with(files, env, paths, None, Asked { known: &none, need: Need::Look }).map_err(Box::new)
}

/// Variables of the process that make the configuration file somebody else's to write.
pub const READ_ONLY: [&str; 2] = ["OPENCLAW_CONFIG_READONLY", "OPENCLAW_NIX_MODE"];

/// Loads the configuration with what programs know of its secrets; they are run now, each
/// within its own time.
///
/// # Errors
/// The room's own, with every issue.
pub fn load_with_programs(
    files: &Files,
    env: &BTreeMap<String, String>,
    paths: &Paths,
    need: Need,
) -> Result<(config::Loaded, Resolved), Box<config::ConfigError>> {
    load_text_with_programs(files, env, paths, None, need)
}

/// As [`load_with_programs`], perhaps with another text in place of the root file's.
///
/// # Errors
/// The room's own, with every issue.
pub fn load_text_with_programs(
    files: &Files,
    env: &BTreeMap<String, String>,
    paths: &Paths,
    raw: Option<&str>,
    need: Need,
) -> Result<(config::Loaded, Resolved), Box<config::ConfigError>> {
    let mut known = Resolved::default();
    loop {
        match load_with(files, env, paths, raw, Asked { known: &known, need }) {
            Ok(loaded) => return Ok((loaded, known)),
            // Every round knows more answers than the last; a file that is edited all the time
            // could go on for ever.
            Err(error) if !error.pending.is_empty() && known.len() < limits::SECRETS => {
                known = super::secrets::ask(error.pending, known);
            }
            Err(error) => return Err(Box::new(error)),
        }
    }
}

/// What a configuration that cannot be read is replaced by, where only a look is wanted.
pub fn defaults(env: &BTreeMap<String, String>) -> config::Loaded {
    let config = std::rc::Rc::new(Config::defaults());
    config::Loaded { config, env: env.clone(), files: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tailnet_address_is_the_local_one() {
        let trie = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n\
            Local:\n     |-- 10.0.0.7\n        /32 host LOCAL\n\
            \x20    |-- 100.64.0.0\n        /10 universe UNICAST\n\
            \x20    |-- 100.100.3.4\n        /32 host LOCAL\n";
        assert_eq!(tailnet_address(trie), Some(Ipv4Addr::new(100, 100, 3, 4)));
        assert_eq!(tailnet_address(&trie.replace("100.100", "100.128")), None);
        assert_eq!(tailnet_address(""), None);
    }

    #[test]
    fn digests_have_the_published_form_and_tell_texts_apart() {
        let files = Files::new();
        let one = files.digest(b"{}");
        assert_eq!(one.len(), "hmac-sha256:v1:".len() + 43);
        assert_eq!(one, files.digest(b"{}"));
        assert_ne!(one, files.digest(b"{ }"));
        assert_ne!(one, Files::new().digest(b"{}"));
    }
}
