//! What the checks look at: read once, changed by none of them.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::super::table::Args;
use super::super::{Failed, belongings, place, port};
use crate::config::secrets::{Need, Resolved};
use crate::config::{Config, ConfigError, Loaded, Paths};

/// This profile on this machine.
pub struct Here<'a> {
    /// The words.
    pub args: &'a Args,
    /// The process's environment.
    pub env: BTreeMap<String, String>,
    /// Its places.
    pub paths: Paths,
    /// The configuration, or why there is none.
    pub loaded: Result<Loaded, Box<ConfigError>>,
    /// It, or the defaults.
    pub config: Rc<Config>,
    /// What programs answered, with `--allow-exec`.
    pub resolved: Resolved,
    /// The process that has the state directory.
    pub holder: Option<u32>,
    /// `openclaw` with the flags of this profile.
    pub program: String,
    /// Wall clock, Unix milliseconds.
    pub now_ms: u64,
}

impl<'a> Here<'a> {
    /// Reads it.
    ///
    /// # Errors
    /// When there is no home.
    pub fn look(args: &'a Args) -> Result<Self, Failed> {
        let env = place::environment();
        let paths = place::paths(&env, args)?;
        let need = if args.has("allow-exec") { Need::Everything } else { Need::Look };
        let loaded = place::load_with_programs(&place::Files::new(), &env, &paths, need);
        let (loaded, resolved) = match loaded {
            Ok((loaded, resolved)) => (Ok(loaded), resolved),
            Err(error) => (Err(error), Resolved::default()),
        };
        let config =
            loaded.as_ref().map_or_else(|_| Rc::new(Config::defaults()), |it| it.config.clone());
        let holder = port::lock_holder(&paths.state_dir);
        let (program, now_ms) = (belongings::program(args), belongings::now_ms());
        Ok(Self { args, env, paths, loaded, config, resolved, holder, program, now_ms })
    }

    /// A command of this profile.
    pub fn command(&self, words: &str) -> String {
        format!("{} {words}", self.program)
    }
}
