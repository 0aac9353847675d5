//! What [`NodePolicy`] is built from.

use super::At;
use crate::config::NodePolicy;
use crate::wire::cidr::Cidr;

pub(super) fn nodes(at: At<'_>) -> NodePolicy {
    let commands = at.get("commands");
    let both = |new: &str, old: &str| {
        let mut names = commands.get(new).texts();
        names.extend(at.get(old).texts());
        names.into_iter().map(|name| name.trim().to_owned()).filter(|it| !it.is_empty()).collect()
    };
    let ranges = at.get("pairing").get("autoApproveCidrs");
    NodePolicy {
        allow: both("allow", "allowCommands"),
        deny: both("deny", "denyCommands"),
        pair_from: ranges.items().filter_map(|at| Cidr::parse(at.value.as_str()?)).collect(),
    }
}
