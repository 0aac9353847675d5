//! Opening the port, and knowing who else holds it.
//!
//! Who listens is read from `/proc`: the socket's inode from `/proc/net/tcp` and `tcp6`, the
//! process from the links in `/proc/<pid>/fd`, its name from `/proc/<pid>/comm` (never its
//! arguments: they may hold a secret). No program is started. Where there is no `/proc` the
//! sentence says that the holder cannot be named, and nothing is ended.
//!
//! With `--force` a listener of our own user gets TERM, [`limits::FORCE_TERM_MS`] to leave, then
//! KILL. A process is pinned by a pidfd and looked at again before it is signalled, so that a
//! reused pid is never hit.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Failed, place};
use crate::limits;

/// A listening socket of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listening {
    /// Where.
    pub addr: SocketAddr,
    /// Its owner.
    pub uid: u32,
    /// Its number, as in `socket:[n]`.
    pub inode: u64,
}

/// A process that holds a listening socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Process id; `None` when its descriptors are hidden from us.
    pub pid: Option<u32>,
    /// Owner of the socket.
    pub uid: u32,
    /// Short name, or a few words when it is hidden.
    pub name: String,
    /// Socket number.
    pub inode: u64,
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.pid {
            Some(pid) => write!(f, "{} (pid {pid}, uid {})", self.name, self.uid),
            None => write!(f, "a process of uid {} that /proc hides from us", self.uid),
        }
    }
}

/// Opens the port. `say` hears of what `--force` does.
///
/// # Errors
/// The port is taken (the sentence names by whom), or the system refuses.
pub fn open(
    addr: SocketAddr,
    force: bool,
    say: &mut dyn FnMut(&str),
) -> Result<TcpListener, Failed> {
    match crate::reactor::bind(addr) {
        Ok(listener) => return Ok(listener),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
        Err(error) => {
            let what = format!("cannot listen on {addr}: {error}");
            return Err(Failed::new(what, "openclaw gateway --bind loopback --port 18789"));
        }
    }
    let holders = holders(addr);
    if !force {
        return Err(taken(addr, &holders));
    }
    for holder in &holders {
        end(addr, holder, say)?;
    }
    // The kernel frees the port when the last descriptor is gone, which is now.
    for _ in 0..limits::FORCE_KILL_MS / POLL_MS {
        match crate::reactor::bind(addr) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => pause(),
            Ok(listener) => return Ok(listener),
            Err(error) => return Err(Failed::new(format!("cannot listen on {addr}: {error}"), "")),
        }
    }
    Err(taken(addr, &self::holders(addr)))
}

/// Whether a running gateway that listens on `bound` could move to a port.
///
/// # Errors
/// When it is taken (the sentence names by whom), or the system refuses.
pub fn free(addr: SocketAddr, bound: SocketAddr) -> Result<(), Failed> {
    let Err(error) = TcpListener::bind(addr) else { return Ok(()) };
    let holders = holders(addr);
    let who: Vec<String> = holders.iter().map(Holder::to_string).collect();
    let who = if who.is_empty() { String::new() } else { format!("\nHeld by: {}", who.join(", ")) };
    Err(Failed::config(
        format!(
            "gateway.port: the gateway cannot move to {addr}: {error}; it still listens on \
             ws://{bound}{who}"
        ),
        "openclaw config set gateway.port <a free one>",
    ))
}

/// The pause between two looks at a process or a port.
pub const POLL_MS: u64 = 10;

/// Waits a moment; nothing is lost when it ends early.
pub fn pause() {
    std::thread::park_timeout(Duration::from_millis(POLL_MS));
}

fn taken(addr: SocketAddr, holders: &[Holder]) -> Failed {
    let shown = SocketAddr::new(place::reachable(addr.ip()), addr.port());
    let who = match holders {
        [] => "a process that cannot be named here".to_owned(),
        some => some.iter().map(Holder::to_string).collect::<Vec<_>>().join(", "),
    };
    // Only what --force would end is offered to it.
    let ours = own_uid();
    let may_end = !holders.is_empty() && holders.iter().all(|holder| Some(holder.uid) == ours);
    let force = if may_end { "or end it: openclaw gateway --force; " } else { "" };
    Failed::new(
        format!(
            "another gateway instance is already listening on ws://{shown} (EADDRINUSE)\n\
             Held by: {who}"
        ),
        format!(
            "openclaw gateway status; {force}or use another port: openclaw gateway --port <port>"
        ),
    )
}

/// Ends one holder, or says why not.
fn end(addr: SocketAddr, holder: &Holder, say: &mut dyn FnMut(&str)) -> Result<(), Failed> {
    let port = addr.port();
    let ours = own_uid();
    if ours.is_none_or(|uid| uid != holder.uid) {
        let what = format!("port {port} is held by {holder}, another user's process");
        return Err(Failed::new(what, "openclaw gateway --port <other port>"));
    }
    let Some(pid) = holder.pid else {
        let what = format!("port {port} is held by {holder}; it cannot be ended");
        return Err(Failed::new(what, "openclaw gateway --port <other port>"));
    };
    // The socket is ours, the process may still be somebody else's that inherited it.
    if owner(pid).is_some_and(|uid| ours != Some(uid)) {
        let what = format!("port {port} is held by pid {pid}, another user's process");
        return Err(Failed::new(what, "openclaw gateway --port <other port>"));
    }
    let Some(started) = started(pid) else { return Ok(()) };
    say(&format!("--force: ending {holder} on port {port}"));
    let still = || holds(pid, holder.inode);
    signal(pid, Send::Term, still)?;
    if gone(pid, started, limits::FORCE_TERM_MS) {
        return Ok(());
    }
    say(&format!("--force: {holder} did not leave in {} ms, killing it", limits::FORCE_TERM_MS));
    signal(pid, Send::Kill, still)?;
    if gone(pid, started, limits::FORCE_KILL_MS) {
        return Ok(());
    }
    Err(Failed::new(format!("{holder} does not die"), format!("ps -o pid,stat,wchan -p {pid}")))
}

/// Waits until the process of that start time has left; a zombie has.
pub fn gone(pid: u32, start: u64, ms: u64) -> bool {
    for _ in 0..ms / POLL_MS {
        if started(pid) != Some(start) {
            return true;
        }
        pause();
    }
    started(pid) != Some(start)
}

/// What a process can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Send {
    /// Finish and leave.
    Term,
    /// Leave now.
    Kill,
    /// Re-execute in place (a gateway of ours).
    Restart,
    /// Look at the configuration and its secrets anew (a gateway of ours).
    Reload,
}

/// Sends a signal, if the process is `still` who it was when that was looked up.
///
/// # Errors
/// When the system refuses, or this build cannot.
#[cfg(all(unix, feature = "process"))]
pub fn signal(pid: u32, send: Send, still: impl Fn() -> bool) -> Result<(), Failed> {
    use rustix::process::{Pid, Signal};
    let signal = match send {
        Send::Term => Signal::TERM,
        Send::Kill => Signal::KILL,
        Send::Restart => Signal::USR1,
        Send::Reload => Signal::HUP,
    };
    let Some(target) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return Ok(()) };
    #[cfg(target_os = "linux")]
    let sent = match rustix::process::pidfd_open(target, rustix::process::PidfdFlags::empty()) {
        // From here on the number cannot pass to another process; look once more who it is.
        Ok(_) if !still() => Ok(()),
        Ok(pidfd) => rustix::process::pidfd_send_signal(pidfd, signal),
        Err(rustix::io::Errno::NOSYS) if still() => rustix::process::kill_process(target, signal),
        Err(rustix::io::Errno::NOSYS) => Ok(()),
        Err(error) => Err(error),
    };
    #[cfg(not(target_os = "linux"))]
    let sent = if still() { rustix::process::kill_process(target, signal) } else { Ok(()) };
    match sent {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(error) => {
            Err(Failed::new(format!("cannot signal pid {pid}: {error}"), format!("kill {pid}")))
        }
    }
}

/// This build cannot.
///
/// # Errors
/// Always.
#[cfg(not(all(unix, feature = "process")))]
pub fn signal(pid: u32, _send: Send, _still: impl Fn() -> bool) -> Result<(), Failed> {
    Err(Failed::new("this build cannot signal processes", format!("kill {pid}")))
}

/// Every process with a listening socket that keeps us from `addr`.
pub fn holders(addr: SocketAddr) -> Vec<Holder> {
    let mut found = Vec::new();
    for socket in listening().into_iter().filter(|socket| conflicts(socket.addr, addr)) {
        let mut pids: Vec<u32> =
            processes().into_iter().filter(|pid| holds(*pid, socket.inode)).collect();
        pids.sort_unstable();
        if pids.is_empty() {
            let (uid, inode) = (socket.uid, socket.inode);
            found.push(Holder { pid: None, uid, name: String::new(), inode });
        }
        for pid in pids {
            let Listening { uid, inode, .. } = socket;
            found.push(Holder { pid: Some(pid), uid, name: process_name(pid), inode });
        }
    }
    found
}

/// Where one process listens.
pub fn listening_of(pid: u32) -> Vec<SocketAddr> {
    let inodes = socket_inodes(pid);
    let all = listening().into_iter();
    all.filter(|socket| inodes.contains(&socket.inode)).map(|socket| socket.addr).collect()
}

/// The process that holds a state directory: the pid in `gateway.lock`, if that process lives
/// and still has that file open. The lock itself is not touched, so that a gateway which is
/// just starting is not disturbed.
pub fn lock_holder(state_dir: &Path) -> Option<u32> {
    let path = state_dir.join("gateway.lock");
    let text = std::fs::read_to_string(&path).ok()?;
    let pid: u32 = text.lines().next()?.trim().parse().ok()?;
    let path = path.canonicalize().ok()?;
    descriptors(pid).contains(&path).then_some(pid)
}

/// The process that started a process.
pub fn parent(pid: u32) -> Option<u32> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()
}

/// The short name of a process.
pub fn process_name(pid: u32) -> String {
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    let name = crate::wire::text::escape_log(name.trim_end_matches('\n'), 64);
    if name.is_empty() { "a process".to_owned() } else { name }
}

/// Two addresses of one port cannot both be listened on.
fn conflicts(held: SocketAddr, wanted: SocketAddr) -> bool {
    let (a, b) = (held.ip().to_canonical(), wanted.ip().to_canonical());
    let wide = |ip: IpAddr| ip.is_unspecified();
    // A v6 wildcard takes IPv4 as well, unless it was told not to; then it cannot be in our way
    // and bind would have succeeded.
    let related =
        a.is_ipv4() == b.is_ipv4() || (a.is_ipv6() && wide(a)) || (b.is_ipv6() && wide(b));
    held.port() == wanted.port() && related && (a == b || wide(a) || wide(b))
}

fn listening() -> Vec<Listening> {
    let mut all = Vec::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        all.extend(parse_table(&kernel_table(table).unwrap_or_default()));
    }
    all
}

/// The user of the process at the other end of a connection from this machine; `None` where the
/// kernel does not tell.
pub fn owner_of_connection(peer: SocketAddr) -> Option<u32> {
    let row = |line: &str| {
        let mut fields = line.split_ascii_whitespace();
        let local = parse_address(fields.nth(1)?)?;
        let uid = fields.nth(5)?.parse().ok()?;
        (local == peer).then_some(uid)
    };
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].into_iter();
    tables.filter_map(|table| kernel_table(table).ok()).find_map(|text| text.lines().find_map(row))
}

/// A table of the kernel, which walks all its sockets for every read: few large reads.
fn kernel_table(path: &str) -> std::io::Result<String> {
    let mut bytes = Vec::with_capacity(64 * 1024);
    let mut file = std::fs::File::open(path)?;
    std::io::Read::read_to_end(&mut file, &mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The rows in state LISTEN of `/proc/net/tcp` or `tcp6`.
fn parse_table(text: &str) -> Vec<Listening> {
    text.lines().skip(1).filter_map(parse_row).collect()
}

fn parse_row(line: &str) -> Option<Listening> {
    let mut fields = line.split_ascii_whitespace();
    let local = fields.nth(1)?;
    let state = fields.nth(1)?;
    let uid = fields.nth(3)?.parse().ok()?;
    let inode = fields.nth(1)?.parse().ok()?;
    (state == "0A").then_some(())?;
    Some(Listening { addr: parse_address(local)?, uid, inode })
}

/// `0100007F:4965`: words of the address in the machine's byte order, port in plain hex.
fn parse_address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| u32::from_str_radix(ip.get(at..at + 8)?, 16).ok().map(u32::to_ne_bytes);
    let ip = match ip.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let mut bytes = [0u8; 16];
            for (index, part) in bytes.chunks_mut(4).enumerate() {
                part.copy_from_slice(&word(index * 8)?);
            }
            IpAddr::V6(Ipv6Addr::from(bytes))
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

fn processes() -> Vec<u32> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// What the descriptors of a process point to; empty when it is gone or hidden from us.
fn descriptors(pid: u32) -> BTreeSet<PathBuf> {
    let Ok(entries) = std::fs::read_dir(format!("/proc/{pid}/fd")) else {
        return BTreeSet::new();
    };
    entries.flatten().filter_map(|entry| std::fs::read_link(entry.path()).ok()).collect()
}

fn socket_inodes(pid: u32) -> BTreeSet<u64> {
    let inode =
        |link: &PathBuf| link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok();
    descriptors(pid).iter().filter_map(inode).collect()
}

fn holds(pid: u32, inode: u64) -> bool {
    socket_inodes(pid).contains(&inode)
}

/// When a process started, in ticks; `None` when it is gone or a zombie.
pub fn started(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    start_of(&stat)
}

/// Field 22 of a stat line; the name in parentheses may hold anything.
fn start_of(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

/// The user that a process belongs to.
#[cfg(unix)]
pub fn owner(pid: u32) -> Option<u32> {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(format!("/proc/{pid}")).ok().map(|meta| meta.uid())
}

/// Other systems tell it by their own means.
#[cfg(not(unix))]
pub fn owner(_pid: u32) -> Option<u32> {
    None
}

fn own_uid() -> Option<u32> {
    owner(std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "  sl  local_address rem_address   st tx_queue rx_queue ...\n";
    const TAIL: &str = "00000000:00000000 00:00000000 00000000";

    fn row(local: &str, remote: &str, state: &str, uid: u32, inode: u64) -> String {
        format!("   0: {local} {remote} {state} {TAIL}  {uid}        0 {inode} 1\n")
    }

    #[test]
    fn listeners_are_read_from_the_kernel_table() {
        if cfg!(target_endian = "big") {
            return;
        }
        let tcp = [
            HEAD,
            &row("0100007F:4965", "00000000:0000", "0A", 1000, 12345),
            &row("0100007F:4965", "0100007F:9C40", "01", 1000, 777),
            &row("00000000:0016", "00000000:0000", "0A", 0, 99),
            "   3: garbage\n",
        ];
        let rows = parse_table(&tcp.concat());
        let addrs: Vec<_> = rows.iter().map(|row| row.addr.to_string()).collect();
        assert_eq!(addrs, ["127.0.0.1:18789", "0.0.0.0:22"]);
        assert_eq!((rows[0].uid, rows[0].inode), (1000, 12345));
        let loopback = "00000000000000000000000001000000:4965";
        let rows = parse_table(&[HEAD, &row(loopback, "0:0", "0A", 5, 4242)].concat());
        assert_eq!(rows[0].addr.to_string(), "[::1]:18789");
        assert_eq!((rows[0].uid, rows[0].inode), (5, 4242));
    }

    #[test]
    fn only_addresses_in_the_way_conflict() {
        let table = [
            ("127.0.0.1:1", "127.0.0.1:1", true),
            ("127.0.0.1:1", "127.0.0.1:2", false),
            ("0.0.0.0:1", "127.0.0.1:1", true),
            ("127.0.0.1:1", "0.0.0.0:1", true),
            ("10.0.0.1:1", "127.0.0.1:1", false),
            ("[::]:1", "127.0.0.1:1", true),
            ("[::1]:1", "127.0.0.1:1", false),
            ("[::ffff:127.0.0.1]:1", "127.0.0.1:1", true),
        ];
        for (held, wanted, want) in table {
            let (a, b) = (held.parse().unwrap(), wanted.parse().unwrap());
            assert_eq!(conflicts(a, b), want, "{held} {wanted}");
        }
    }

    #[test]
    fn a_stat_line_survives_odd_names_and_zombies_are_gone() {
        let rest = "1 1 1 0 -1 4194304 100 0 0 0 1 2 0 0 20 0 1 0 98765 1000 10";
        assert_eq!(start_of(&format!("7 (a) b) S {rest}")), Some(98765));
        assert_eq!(start_of(&format!("7 (x) Z {rest}")), None);
        assert_eq!(start_of("7"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_connection_of_ours_is_ours() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let here = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (_, peer) = listener.accept().unwrap();
        assert_eq!(peer, here.local_addr().unwrap());
        assert_eq!(owner_of_connection(peer), own_uid());
        assert_eq!(owner_of_connection("127.0.0.1:1".parse().unwrap()), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn our_own_listener_is_found_and_named() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let found = holders(addr);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].pid, Some(std::process::id()));
        assert!(!found[0].name.is_empty());
        assert!(listening_of(std::process::id()).contains(&addr));
        let failed = open(addr, false, &mut |_| {}).unwrap_err();
        let start = format!("another gateway instance is already listening on ws://{addr}");
        assert!(failed.what.starts_with(&start), "{failed}");
        assert!(failed.what.contains("EADDRINUSE"), "{failed}");
        assert!(failed.what.contains(&format!("pid {}", std::process::id())), "{failed}");
    }
}
