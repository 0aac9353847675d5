//! What [`NodePolicy`] is built from.

use super::At;
use crate::config::NodePolicy;

pub(super) fn nodes(at: At<'_>) -> NodePolicy {
    let commands = at.get("commands");
    let both = |new: &str, old: &str| {
        let mut names = commands.get(new).texts();
        names.extend(at.get(old).texts());
        names.into_iter().map(|name| name.trim().to_owned()).filter(|it| !it.is_empty()).collect()
    };
    NodePolicy { allow: both("allow", "allowCommands"), deny: both("deny", "denyCommands") }
}
