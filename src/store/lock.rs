//! One gateway a state directory: an OS file lock, freed by the kernel when the holder dies.

use std::fs::{File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::Path;

/// The held lock; dropping it frees the directory.
#[derive(Debug)]
pub struct StateLock {
    file: File,
}

/// Why the lock was not taken.
#[derive(Debug)]
pub enum LockError {
    /// Another process holds it; its pid as it wrote it, if readable.
    Held(Option<u32>),
    /// The file could not be opened or written.
    Io(io::Error),
}

impl StateLock {
    /// Takes `gateway.lock` in the state directory and writes our pid into it.
    ///
    /// # Errors
    /// See [`LockError`].
    pub fn take(state_dir: &Path) -> Result<Self, LockError> {
        let path = state_dir.join("gateway.lock");
        super::make_parents(&path).map_err(LockError::Io)?;
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false);
        super::private(&mut options);
        let mut file = options.open(&path).map_err(LockError::Io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                let _ = file.read_to_string(&mut text);
                return Err(LockError::Held(pid_of(&text)));
            }
            Err(TryLockError::Error(error)) => return Err(LockError::Io(error)),
        }
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .map_err(LockError::Io)?;
        Ok(Self { file })
    }

    /// Notes which configuration file the holder reads, for whoever looks at it; a disk that
    /// refuses is no reason not to start.
    #[must_use]
    pub fn reading(mut self, config: &Path) -> Self {
        let _ = writeln!(self.file, "{}", config.display());
        self
    }
}

/// The first line.
fn pid_of(text: &str) -> Option<u32> {
    text.lines().next()?.trim().parse().ok()
}

/// The configuration file that the holder of a state directory noted; whether it still holds it
/// is not looked at.
pub fn config_of_holder(state_dir: &Path) -> Option<String> {
    let text = std::fs::read_to_string(state_dir.join("gateway.lock")).ok()?;
    text.lines().nth(1).map(str::to_owned).filter(|line| !line.is_empty())
}

#[cfg(test)]
mod tests {
    use super::super::tests::Scratch;
    use super::*;

    #[test]
    fn the_second_taker_learns_who_holds_it() {
        let scratch = Scratch::new("lock");
        let held = StateLock::take(&scratch.0).unwrap();
        let Err(LockError::Held(pid)) = StateLock::take(&scratch.0) else { panic!("taken twice") };
        assert_eq!(pid, Some(std::process::id()));
        assert_eq!(config_of_holder(&scratch.0), None);
        let held = held.reading(Path::new("/etc/a.json"));
        let Err(LockError::Held(again)) = StateLock::take(&scratch.0) else { panic!("twice") };
        assert_eq!(again, pid);
        assert_eq!(config_of_holder(&scratch.0).as_deref(), Some("/etc/a.json"));
        drop(held);
        assert!(StateLock::take(&scratch.0).is_ok());
    }
}
