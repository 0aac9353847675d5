//! Jobs that are kept and do not run. Whether the file can be read at all is seen with the other
//! documents.

use super::finding::{Finding, Severity};
use super::here::Here;
use crate::gateway::cron_complaints;
use crate::limits;

const CRON: &str = "core/doctor/cron-store";

/// `core/doctor/cron-store`.
pub fn check(here: &Here<'_>) -> Vec<Finding> {
    let default = here.paths.state_dir.join("cron").join("jobs.json");
    let path = here.config.cron.store.clone().unwrap_or(default);
    let most = usize::try_from(limits::CRON_STORE_BYTES).unwrap_or(usize::MAX);
    let bytes = match super::super::place::read_capped(&path, most) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => {
            let message = format!("the jobs cannot be read: {error}");
            let found = Finding::new(CRON, Severity::Error, message);
            let shown = path.display().to_string();
            return vec![found.at(&shown).hint(format!("ls -l {shown}"))];
        }
    };
    let say = |what: String| {
        let found = Finding::new(CRON, Severity::Warning, what).at(path.display().to_string());
        found.hint(format!("{}, then openclaw cron edit or rm", here.command("cron list --all")))
    };
    cron_complaints(&bytes, here.now_ms).into_iter().map(say).collect()
}
