//! As whom a child runs. PostgreSQL refuses to run as root, so root hands the stores to their own users.

use std::{
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::{Path, PathBuf},
};

/// Whom a child runs as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunAs {
    /// As we do.
    Us,
    /// As another user, which only root can do.
    Other {
        /// Its name.
        name: String,
        /// Its user id.
        uid: u32,
        /// Its group id.
        gid: u32,
    },
}

/// The user of the package that brings a store, when we are root; ourselves otherwise, or when the package made none.
#[must_use]
pub fn of_store(name: &str) -> RunAs {
    if our_uid() != 0 {
        return RunAs::Us;
    }
    let known = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    find(&known, name).unwrap_or(RunAs::Us)
}

/// Our effective user id.
#[must_use]
pub fn our_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

fn find(passwd: &str, name: &str) -> Option<RunAs> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then_some(())?;
        let mut ids = fields.skip(1).map(str::parse);
        Some(RunAs::Other { name: name.to_owned(), uid: ids.next()?.ok()?, gid: ids.next()?.ok()? })
    })
}

impl RunAs {
    /// The user id in the end.
    #[must_use]
    pub fn uid(&self) -> u32 {
        match self {
            Self::Us => our_uid(),
            Self::Other { uid, .. } => *uid,
        }
    }

    /// Makes `dir` (its parents exist), of mode 0700 and owned by this user.
    ///
    /// # Errors
    /// What the file system says.
    pub fn make_dir(&self, dir: &Path) -> std::io::Result<()> {
        std::fs::create_dir_all(dir)?;
        std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700))?;
        self.own(dir)
    }

    /// Gives one file or folder to this user.
    ///
    /// # Errors
    /// What the file system says.
    pub fn own(&self, path: &Path) -> std::io::Result<()> {
        match self {
            Self::Us => Ok(()),
            Self::Other { uid, gid, .. } => chown(path, Some(*uid), Some(*gid)),
        }
    }

    /// The first folder on the way to `path` that this user may not pass. `path` is absolute.
    #[must_use]
    pub fn barred_at(&self, path: &Path) -> Option<PathBuf> {
        let Self::Other { uid, gid, .. } = self else { return None };
        let mut ways: Vec<_> = path.ancestors().collect();
        ways.reverse();
        ways.into_iter()
            .find(|dir| dir.metadata().is_ok_and(|meta| !may_pass(&meta, *uid, *gid)))
            .map(Path::to_path_buf)
    }
}

/// Supplementary groups are left out: the answer may be too strict, never too lax.
fn may_pass(meta: &std::fs::Metadata, uid: u32, gid: u32) -> bool {
    let bit = if meta.uid() == uid {
        0o100
    } else if meta.gid() == gid {
        0o010
    } else {
        0o001
    };
    meta.mode() & bit != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_its_whole_name() {
        let passwd =
            "postgresx:x:1:1::/:/x\npostgres:x:104:109:PostgreSQL:/var/lib/postgresql:/bin/bash\nbad:x:a:b::/:/x\n";
        assert_eq!(find(passwd, "postgres"), Some(RunAs::Other { name: "postgres".into(), uid: 104, gid: 109 }));
        assert_eq!(find(passwd, "bad"), None);
        assert_eq!(find(passwd, "nobody"), None);
    }

    #[test]
    fn a_closed_folder_bars_others_and_never_ourselves() {
        let dir = std::env::temp_dir().join(format!("keystone-barred-{}", std::process::id()));
        std::fs::create_dir_all(dir.join("inside")).unwrap();
        std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o700)).unwrap();
        let other = RunAs::Other { name: "x".into(), uid: 4_000_000, gid: 4_000_000 };
        assert_eq!(other.barred_at(&dir.join("inside")), Some(dir.clone()));
        assert_eq!(RunAs::Us.barred_at(&dir.join("inside")), None);
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
