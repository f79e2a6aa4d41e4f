//! The folder that holds a cluster between two runs, `.keystone/` by default. One process at a time has it.
//!
//! `lock` (with our pid), `version`, `secrets.json`, `admin.json`, `pg/`, `redis/`, `node-*/`, `caddy/`, `log/`. What `make setup`
//! puts there (`venv/`, `bin/`) is not ours and is left alone.

use crate::users::our_uid;
use std::{
    fs::{File, OpenOptions},
    io::{Read, Seek, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// How the folder is laid out. A change that an older or newer program cannot read takes the next number.
const LAYOUT: &str = "1";
/// What only a cluster makes; its presence without a `version` is a start that was cut short, or somebody else's folder.
const CONTENT: [&str; 3] = ["pg", "redis", "secrets.json"];

/// Why a folder cannot be used. Each text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// Another process has it.
    #[error("{} is in use by process {pid}: end that one (Ctrl-C in its terminal, or `kill {pid}`), or use another folder with --data", dir.display())]
    InUse {
        /// The folder.
        dir: PathBuf,
        /// Who has it.
        pid: String,
    },
    /// The folder is somebody else's.
    #[error("{} belongs to user id {owner} and we are {us}: run as that user, or remove it (`sudo rm -rf {}`)", path.display(), path.display())]
    Foreign {
        /// The file or folder.
        path: PathBuf,
        /// Whose.
        owner: u32,
        /// Who we are.
        us: u32,
    },
    /// Made by a program with another layout.
    #[error("{} was made by another version of keystone (layout {found}, this one reads {LAYOUT}): move it away and start again", dir.display())]
    Layout {
        /// The folder.
        dir: PathBuf,
        /// What it says.
        found: String,
    },
    /// There is content without a version.
    #[error("{} is not a complete cluster folder ({what} is there, `version` is not): remove {}", dir.display(), dir.join(what).display())]
    HalfMade {
        /// The folder.
        dir: PathBuf,
        /// What was found.
        what: &'static str,
    },
    /// A file of ours cannot be understood.
    #[error("{} is damaged ({why}): remove it together with {}", path.display(), path.with_file_name("pg").display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// In what way.
        why: String,
    },
    /// The file system says no.
    #[error("{}: {source}: make it readable and writable for us, or remove it", path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// What it said.
        source: std::io::Error,
    },
}

/// An open folder; the lock ends with the value.
#[derive(Debug)]
pub struct DataDir {
    root: PathBuf,
    _lock: File,
}

/// Names `path` in an I/O error.
pub(crate) fn at(path: &Path) -> impl FnOnce(std::io::Error) -> DataError + '_ {
    move |source| DataError::Io { path: path.to_path_buf(), source }
}

impl DataDir {
    /// Takes `root` for this process, making it when it is not there.
    ///
    /// # Errors
    /// All of [`DataError`]: in use, foreign, half-made, of another layout, or not accessible.
    pub fn open(root: &Path) -> Result<Self, DataError> {
        std::fs::create_dir_all(root).map_err(at(root))?;
        let root = root.canonicalize().map_err(at(root))?;
        let owner = root.metadata().map_err(at(&root))?.uid();
        if owner != our_uid() {
            return Err(DataError::Foreign { path: root, owner, us: our_uid() });
        }
        let lock = lock(&root)?;
        check_layout(&root)?;
        let logs = root.join("log");
        std::fs::create_dir_all(&logs).map_err(at(&logs))?;
        Ok(Self { root, _lock: lock })
    }

    /// The folder, absolute.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A path inside.
    #[must_use]
    pub fn join(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// The log of one child.
    #[must_use]
    pub fn log(&self, child: &str) -> PathBuf {
        self.root.join("log").join(format!("{child}.log"))
    }
}

fn lock(root: &Path) -> Result<File, DataError> {
    let path = root.join("lock");
    let mut file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(at(&path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(std::fs::TryLockError::WouldBlock) => {
            let mut pid = String::new();
            file.read_to_string(&mut pid).map_err(at(&path))?;
            return Err(DataError::InUse { dir: root.to_path_buf(), pid: pid.trim().to_owned() });
        }
        Err(std::fs::TryLockError::Error(source)) => return Err(DataError::Io { path, source }),
    }
    file.set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .map_err(at(&path))?;
    Ok(file)
}

fn check_layout(root: &Path) -> Result<(), DataError> {
    let path = root.join("version");
    match std::fs::read_to_string(&path) {
        Ok(found) if found.trim() == LAYOUT => Ok(()),
        Ok(found) => Err(DataError::Layout { dir: root.to_path_buf(), found: found.trim().chars().take(20).collect() }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            if let Some(what) = CONTENT.into_iter().find(|name| root.join(name).exists()) {
                return Err(DataError::HalfMade { dir: root.to_path_buf(), what });
            }
            write_private(&path, LAYOUT.as_bytes())
        }
        Err(source) => Err(DataError::Io { path, source }),
    }
}

/// Writes a whole file of mode 0600, or leaves the old one: no reader sees half of it.
///
/// # Errors
/// What the file system says, with the path.
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<(), DataError> {
    let mut fresh = path.as_os_str().to_owned();
    fresh.push(".new");
    let fresh = PathBuf::from(fresh);
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh).map_err(at(&fresh))?;
    // A file left by an earlier try keeps its old mode.
    file.set_permissions(std::fs::Permissions::from_mode(0o600)).map_err(at(&fresh))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(at(&fresh))?;
    std::fs::rename(&fresh, path).map_err(at(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("keystone-data-{}-{name}", std::process::id()));
        drop(std::fs::remove_dir_all(&dir));
        dir
    }

    #[test]
    fn a_folder_is_ours_alone_until_dropped() {
        let dir = scratch("lock");
        let first = DataDir::open(&dir).unwrap();
        let error = DataDir::open(&dir).unwrap_err();
        assert!(matches!(&error, DataError::InUse { pid, .. } if *pid == std::process::id().to_string()), "{error}");
        drop(first);
        DataDir::open(&dir).unwrap();
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn another_layout_and_a_half_made_folder_are_told_apart() {
        let dir = scratch("layout");
        drop(DataDir::open(&dir).unwrap());
        std::fs::write(dir.join("version"), "7\n").unwrap();
        assert!(matches!(DataDir::open(&dir), Err(DataError::Layout { found, .. }) if found == "7"));
        std::fs::remove_file(dir.join("version")).unwrap();
        std::fs::create_dir(dir.join("venv")).unwrap();
        drop(DataDir::open(&dir).unwrap());
        std::fs::remove_file(dir.join("version")).unwrap();
        std::fs::create_dir(dir.join("pg")).unwrap();
        let error = DataDir::open(&dir).unwrap_err().to_string();
        assert!(error.ends_with(&format!("remove {}", dir.join("pg").display())), "{error}");
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_file_in_the_way_is_named() {
        let dir = scratch("file");
        std::fs::write(&dir, "x").unwrap();
        assert!(matches!(DataDir::open(&dir), Err(DataError::Io { path, .. }) if path == dir));
        std::fs::remove_file(&dir).unwrap();
    }

    #[test]
    fn private_files_are_private() {
        let dir = scratch("private");
        std::fs::create_dir_all(&dir).unwrap();
        write_private(&dir.join("a.json"), b"1").unwrap();
        write_private(&dir.join("a.json"), b"2").unwrap();
        assert_eq!(std::fs::read(dir.join("a.json")).unwrap(), b"2");
        assert_eq!(dir.join("a.json").metadata().unwrap().mode() & 0o777, 0o600);
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
