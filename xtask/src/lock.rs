//! One xtask at a time where two would spoil each other's work.

use anyhow::Result;
use std::{
    fs::{self, File, TryLockError},
    path::Path,
};

/// What is held; the kernel lets go of it when this is dropped, also should we be killed.
pub struct Lock(#[expect(dead_code, reason = "it is held, not read")] File);

/// Takes the lock `file`, or `None` when another process has it.
pub fn try_take(file: &Path) -> Result<Option<Lock>> {
    let lock = open(file)?;
    match lock.try_lock() {
        Ok(()) => Ok(Some(Lock(lock))),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error.into()),
    }
}

/// Takes the lock `file`; waits while another process has it.
pub fn take(file: &Path) -> Result<Lock> {
    if let Some(lock) = try_take(file)? {
        return Ok(lock);
    }
    println!("   waiting for another cargo xtask");
    let lock = open(file)?;
    lock.lock()?;
    Ok(Lock(lock))
}

fn open(file: &Path) -> Result<File> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    Ok(File::create(file)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_held_once_and_free_again() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a/lock");
        let held = take(&file).unwrap();
        assert!(try_take(&file).unwrap().is_none());
        drop(held);
        assert!(try_take(&file).unwrap().is_some());
    }
}
