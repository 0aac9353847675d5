//! The machine: its clock, its disk, its limits.

use std::path::Path;

use super::finding::{Finding, Severity};
use super::here::Here;
use crate::limits;

const DISK: &str = "core/doctor/disk-space";
const CLOCK: &str = "core/doctor/clock";
const FILES: &str = "core/doctor/file-limits";

/// 2025-01-01: no clock of a machine that runs this shows less.
const EPOCH_MS: u64 = 1_735_689_600_000;
/// 2100-01-01: nor more.
const END_MS: u64 = 4_102_444_800_000;

/// `core/doctor/clock`.
pub fn clock(here: &Here<'_>) -> Vec<Finding> {
    judge_clock(here.now_ms).into_iter().collect()
}

fn judge_clock(now_ms: u64) -> Option<Finding> {
    if (EPOCH_MS..END_MS).contains(&now_ms) {
        return None;
    }
    let message = format!(
        "the clock of this machine is wrong ({}): certificates, jobs and pairing need the time.",
        crate::wire::text::date(now_ms)
    );
    let found = Finding::new(CLOCK, Severity::Error, message);
    Some(found.hint("timedatectl set-ntp true; a host without a battery needs it at every boot"))
}

/// `core/doctor/disk-space`.
pub fn disk(here: &Here<'_>) -> Vec<Finding> {
    let dir = here.paths.state_dir.ancestors().find(|dir| dir.is_dir());
    let free = dir.and_then(|dir| Some((dir, free(dir)?)));
    free.and_then(|(dir, free)| judge_disk(dir, free)).into_iter().collect()
}

fn judge_disk(dir: &Path, free: u64) -> Option<Finding> {
    if free >= limits::DISK_LOW {
        return None;
    }
    let severity = if free < limits::DISK_LOW / 20 { Severity::Error } else { Severity::Warning };
    let message = format!("only {} MiB are free on the disk.", free / 1024 / 1024);
    let shown = dir.display().to_string();
    let hint = format!("df -h {shown}; a full disk stops messages from being accepted");
    Some(Finding::new(DISK, severity, message).at(shown).hint(hint))
}

/// Bytes that we may still write there.
#[cfg(all(unix, feature = "process"))]
fn free(dir: &Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(dir).ok()?;
    Some(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// This build cannot tell.
#[cfg(not(all(unix, feature = "process")))]
fn free(_dir: &Path) -> Option<u64> {
    None
}

/// `core/doctor/file-limits`: what we may open, which a gateway started from here inherits.
pub fn files(_: &Here<'_>) -> Vec<Finding> {
    let text = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    soft_limit(&text).and_then(judge_files).into_iter().collect()
}

/// The soft limit of open files; `None` when it is not told, or there is none.
fn soft_limit(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

fn judge_files(soft: u64) -> Option<Finding> {
    if soft >= limits::OPEN_FILES_LOW {
        return None;
    }
    let message = format!("only {soft} files may be open at once; each connection is one.");
    let found = Finding::new(FILES, Severity::Warning, message);
    Some(found.hint(format!("ulimit -n {}; the service has LimitNOFILE=", limits::OPEN_FILES_LOW)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_judged_at_their_limits() {
        assert_eq!(judge_clock(EPOCH_MS), None);
        assert!(judge_clock(EPOCH_MS - 1).unwrap().message.contains("clock"));
        assert!(judge_clock(END_MS).is_some());
        let dir = Path::new("/s");
        assert_eq!(judge_disk(dir, limits::DISK_LOW), None);
        assert_eq!(judge_disk(dir, limits::DISK_LOW - 1).unwrap().severity, Severity::Warning);
        assert_eq!(judge_disk(dir, 0).unwrap().severity, Severity::Error);
        assert_eq!(judge_files(limits::OPEN_FILES_LOW), None);
        assert!(judge_files(limits::OPEN_FILES_LOW - 1).is_some());
        let text = "Limit  Soft Limit\nMax processes  5 6 p\nMax open files  256  4096  files\n";
        assert_eq!(soft_limit(text), Some(256));
        assert_eq!(soft_limit("Max open files   unlimited unlimited files"), None);
    }

    #[cfg(all(unix, feature = "process"))]
    #[test]
    fn this_disk_has_some_room() {
        assert!(free(Path::new("/")).is_some());
        assert_eq!(free(Path::new("/no/such/place")), None);
    }
}
