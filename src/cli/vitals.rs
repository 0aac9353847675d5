//! What the system says of this process, for `health`, `status` and `/metrics`: memory from
//! `/proc/self/status`, processor time from `/proc/self/stat`. Elsewhere nobody tells without a
//! system call that safe Rust here does not have.

use crate::gateway::Vitals;

/// Ticks of a second in `/proc/<pid>/stat`: Linux shows every program 100.
const TICKS_PER_SECOND: u64 = 100;

/// Reads them; `None` when it cannot.
pub fn read() -> Option<Vitals> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    parse(&status, &stat)
}

fn parse(status: &str, stat: &str) -> Option<Vitals> {
    let kib = |name: &str| -> Option<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().strip_suffix("kB")?.trim().parse().ok()
    };
    // The name in parentheses may hold anything; behind it the state is field 3.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    let ticks = ticks()?.saturating_add(ticks()?);
    Some(Vitals {
        rss_bytes: kib("VmRSS:")?.saturating_mul(1024),
        data_bytes: kib("VmData:")?.saturating_mul(1024),
        cpu_ms: ticks.saturating_mul(1000 / TICKS_PER_SECOND),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_texts_are_read() {
        let status = "Name:\tx\nVmData:\t    2048 kB\nVmRSS:\t    1024 kB\n";
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194560 83 0 0 0 12 30 0 0 20 0 1 0 1 1 1";
        let want = Vitals { rss_bytes: 1 << 20, data_bytes: 2 << 20, cpu_ms: 420 };
        assert_eq!(parse(status, stat), Some(want));
        assert_eq!(parse("", stat), None);
        assert_eq!(parse(status, "7 (x"), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_has_some() {
        let vitals = read().unwrap();
        assert!(vitals.rss_bytes > 100_000 && vitals.data_bytes > 0, "{vitals:?}");
    }
}
