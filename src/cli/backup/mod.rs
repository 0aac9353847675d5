//! `openclaw backup`: state, configuration and workspaces in one `.tar.gz`, and a look whether
//! such an archive is whole.
//!
//! ```text
//!   plan (what, from where) -> walk (entries, what is left out) -> write beside -> link in place
//! ```
//!
//! Layout and manifest are the reference's: `<root>/manifest.json` and
//! `<root>/payload/posix/<absolute path>`. A gateway may run meanwhile: its journals and
//! transcripts are only ever appended to, its documents replaced as a whole, and the journals are
//! copied first, so that what the copy has accepted and not finished is finished or reported by
//! whoever starts from it. Links are kept as links, never followed. The archive holds every
//! secret of the profile: it is 0600, and the command says so. Unpacking is left to `tar`.

mod verify;
mod walk;
mod write;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::belongings::{Belongings, now_ms};
use super::table::Args;
use super::{Failed, out, place};
use crate::protocol::VERSION;
use crate::wire::text::rfc3339_ms;
pub use verify::run as verify;
use walk::{Item, Skipped};

/// One tree or file that is backed up.
#[derive(Debug, Clone)]
struct Asset {
    kind: &'static str,
    source: PathBuf,
    /// Its place in the archive.
    inside: String,
}

/// What a backup is made of.
struct Plan {
    ours: Belongings,
    created_ms: u64,
    root: String,
    archive: PathBuf,
    workspaces: bool,
    only_config: bool,
    assets: Vec<Asset>,
    skipped: Vec<Skipped>,
}

/// `openclaw backup create`.
///
/// # Errors
/// When there is nothing to back up, the archive would lie in what it holds, exists already, or
/// cannot be written; nothing half-written stays.
pub fn create(args: &Args) -> Result<u8, Failed> {
    let mut plan = plan(args)?;
    let items = walk::walk(&plan.assets, &plan.ours, plan.workspaces, &mut plan.skipped)?;
    let links = walk::outward(&items);
    let mut verified = false;
    let mut vanished = Vec::new();
    if !args.has("dry-run") {
        vanished = write::write(&plan, &items, &manifest(&plan, &links))?;
        if args.has("verify") {
            verify::check(&plan.archive).map_err(|why| {
                let what = format!("{} was written, but: {why}", plan.archive.display());
                Failed::new(what, "openclaw backup create")
            })?;
            verified = true;
        }
    }
    plan.skipped.extend(vanished);
    if args.has("json") {
        out::json(&plan.value(args.has("dry-run"), verified, &links));
    } else {
        out::text(&plan.text(args.has("dry-run"), verified, &items));
    }
    Ok(0)
}

/// `openclaw backup restore` is `tar`.
///
/// # Errors
/// Always: programs of ours unpack no archives.
pub fn restore(args: &Args) -> Result<u8, Failed> {
    let archive = args.operands.first().map_or("<archive>", String::as_str);
    let archive = out::foreign(archive);
    Err(Failed::new(
        "this program unpacks no archives; tar does, with the gateway stopped",
        format!(
            "tar xzpf '{archive}' -C / --strip-components=3\n\
             (puts every file back where it was; first look at it elsewhere with: \
             tar xzpf '{archive}' -C <empty directory>)"
        ),
    ))
}

fn plan(args: &Args) -> Result<Plan, Failed> {
    let env = place::environment();
    let paths = place::paths(&env, args)?;
    let only_config = args.has("only-config");
    let workspaces = !only_config && !args.has("no-include-workspace");
    let loaded = place::load(&place::Files::new(), &env, &paths);
    let config = match &loaded {
        Ok(loaded) => Some(&*loaded.config),
        Err(_) if !workspaces => None,
        Err(error) => {
            return Err(Failed::new(
                format!("where the workspaces are cannot be read:\n{error}"),
                "openclaw backup create --no-include-workspace (or --only-config)",
            ));
        }
    };
    let ours = Belongings::of(&paths, config);
    let created_ms = now_ms();
    let stamp = rfc3339_ms(created_ms).replace(':', "-").replace('Z', "+00-00");
    let root = format!("{stamp}-openclaw-backup");
    let mut plan = Plan {
        archive: PathBuf::new(),
        workspaces,
        only_config,
        assets: Vec::new(),
        skipped: Vec::new(),
        created_ms,
        root,
        ours,
    };
    plan.sources(config.map_or(&[], |config| &config.source.includes));
    if plan.assets.is_empty() {
        let what = format!("there is nothing to back up in {}", plan.ours.state_dir.display());
        return Err(Failed::new(what, super::next::SETUP));
    }
    plan.archive = plan.target(args.value("output"))?;
    Ok(plan)
}

impl Plan {
    /// What is backed up: a source inside another one comes with it.
    fn sources(&mut self, includes: &[PathBuf]) {
        let ours = self.ours.clone();
        let mut wanted = vec![("config", ours.config_path.clone())];
        if !self.only_config {
            wanted.insert(0, ("state", ours.state_dir.clone()));
            wanted.extend(includes.iter().map(|path| ("config", path.clone())));
        }
        if self.workspaces {
            wanted.extend(ours.workspaces.iter().map(|path| ("workspace", path.clone())));
        }
        for (kind, source) in wanted {
            let skip = |reason| Skipped { kind, source: source.clone(), reason };
            let Ok(real) = source.canonicalize() else {
                self.skipped.push(skip("missing"));
                continue;
            };
            if self.assets.iter().any(|asset| real.starts_with(&asset.source)) {
                if kind == "workspace" {
                    self.skipped.push(skip("covered"));
                }
                continue;
            }
            let inside = format!("{}/payload/posix{}", self.root, real.display());
            self.assets.push(Asset { kind, source: real, inside });
        }
    }

    /// Where the archive goes: never over a file, never into what it holds.
    fn target(&self, output: Option<&str>) -> Result<PathBuf, Failed> {
        let name = format!("{}.tar.gz", self.root);
        let here = std::env::current_dir().unwrap_or_else(|_| self.ours.home.clone());
        let inside = |path: &Path| self.assets.iter().any(|asset| path.starts_with(&asset.source));
        let wanted = match output {
            None if inside(&real(&here)) => self.ours.home.join(name),
            None => here.join(name),
            Some(path) => {
                let full = match path.strip_prefix("~/") {
                    Some(rest) => self.ours.home.join(rest),
                    None => here.join(path),
                };
                if path.ends_with('/') || full.is_dir() { full.join(name) } else { full }
            }
        };
        let (Some(dir), Some(file)) = (wanted.parent(), wanted.file_name()) else {
            let what = format!("{} cannot be the name of an archive", wanted.display());
            return Err(Failed::new(what, "openclaw backup create --output <file or directory>"));
        };
        if !dir.is_dir() {
            let what = format!("there is no directory {}", dir.display());
            return Err(Failed::new(what, format!("mkdir -p '{}'", dir.display())));
        }
        let wanted = real(dir).join(file);
        if inside(&wanted) {
            let what = format!("{} lies in what is backed up", wanted.display());
            return Err(Failed::new(what, "openclaw backup create --output <elsewhere>"));
        }
        if wanted.symlink_metadata().is_ok() {
            let what = format!("{} exists; no archive is written over", wanted.display());
            return Err(Failed::new(what, "openclaw backup create --output <other file>"));
        }
        Ok(wanted)
    }

    fn value(&self, dry_run: bool, verified: bool, links: &[Value]) -> Value {
        let shown = |path: &Path| self.ours.shown(path);
        let assets: Vec<Value> = self
            .assets
            .iter()
            .map(|asset| {
                json!({
                    "kind": asset.kind, "sourcePath": asset.source,
                    "displayPath": shown(&asset.source), "archivePath": asset.inside,
                })
            })
            .collect();
        let skipped: Vec<Value> = self
            .skipped
            .iter()
            .map(|one| {
                json!({
                    "kind": one.kind, "sourcePath": one.source,
                    "displayPath": shown(&one.source), "reason": one.reason,
                })
            })
            .collect();
        json!({
            "createdAt": rfc3339_ms(self.created_ms), "archiveRoot": self.root,
            "archivePath": self.archive, "dryRun": dry_run,
            "includeWorkspace": self.workspaces, "onlyConfig": self.only_config,
            "verified": verified, "assets": assets, "agentRoots": self.agents(),
            "skipped": skipped, "skippedVolatileCount": self.count("volatile"),
            "externalSymbolicLinks": links, "warnings": self.warnings(),
        })
    }

    fn agents(&self) -> Vec<Value> {
        let roots = self.ours.agents.iter().filter(|_| !self.only_config);
        roots.map(|(id, root)| json!({"agentId": id, "sourcePath": root})).collect()
    }

    fn count(&self, reason: &str) -> usize {
        self.skipped.iter().filter(|one| one.reason == reason).count()
    }

    fn warnings(&self) -> Vec<String> {
        let changed = self.skipped.iter().filter(|one| matches!(one.reason, "vanished" | "shrank"));
        changed
            .map(|one| format!("{}: {} while it was read", one.source.display(), one.reason))
            .collect()
    }

    fn text(&self, dry_run: bool, verified: bool, items: &[Item]) -> String {
        use std::fmt::Write as _;
        let mut text = String::new();
        let word = if dry_run { "Would write" } else { "Wrote" };
        let _ = writeln!(text, "{word} {}", self.archive.display());
        for asset in &self.assets {
            let _ = writeln!(text, "  {:10} {}", asset.kind, self.ours.shown(&asset.source));
        }
        for one in self.skipped.iter().filter(|one| one.reason != "volatile") {
            let _ =
                writeln!(text, "  left out   {} ({})", self.ours.shown(&one.source), one.reason);
        }
        let bytes: u64 = items.iter().map(|item| item.entry.size).sum();
        let _ = writeln!(text, "  {} entries, {} KiB", items.len(), bytes.div_ceil(1024));
        if verified {
            text.push_str("  verified: the archive is whole\n");
        }
        if dry_run {
            return text;
        }
        text.push_str("It holds tokens and keys: only you can read it, keep it so.\n");
        let archive = self.archive.display();
        let _ = writeln!(text, "Check:    openclaw backup verify '{archive}'");
        let _ = writeln!(text, "Restore:  tar xzpf '{archive}' -C / --strip-components=3");
        text
    }
}

fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_path_buf())
}

/// `manifest.json`: what the archive was made of.
fn manifest(plan: &Plan, links: &[Value]) -> String {
    let assets: Vec<Value> = plan
        .assets
        .iter()
        .map(|asset| {
            json!({
                "kind": asset.kind, "sourcePath": asset.source, "archivePath": asset.inside,
            })
        })
        .collect();
    let skipped = plan.skipped.iter().filter(|one| one.reason != "volatile");
    let skipped: Vec<Value> = skipped
        .map(|one| json!({"kind": one.kind, "sourcePath": one.source, "reason": one.reason}))
        .collect();
    let value = json!({
        "schemaVersion": 1, "createdAt": rfc3339_ms(plan.created_ms), "archiveRoot": plan.root,
        "runtimeVersion": VERSION, "platform": std::env::consts::OS,
        "options": {"includeWorkspace": plan.workspaces, "onlyConfig": plan.only_config},
        "paths": {
            "stateDir": plan.ours.state_dir, "configPath": plan.ours.config_path,
            "oauthDir": plan.ours.credentials,
            "workspaceDirs": if plan.workspaces { plan.ours.workspaces.clone() } else { Vec::new() },
            "agentRoots": plan.agents(),
        },
        "assets": assets, "skipped": skipped, "externalSymbolicLinks": links,
    });
    let mut text = serde_json::to_string_pretty(&value).unwrap_or_default();
    text.push('\n');
    text
}
