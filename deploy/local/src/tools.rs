//! Finds the programs that a cluster is made of, and says which package is missing.

use crate::config::{Config, Media, is_executable};
use std::path::{Path, PathBuf};

/// Where Debian keeps one folder per PostgreSQL version.
const DEBIAN_POSTGRES: &str = "/usr/lib/postgresql";
/// Oldest SRS major that speaks what Keystone needs.
const SRS_MAJOR_MIN: u32 = 5;

/// A program is not where it is wanted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ToolError {
    /// Its package is not installed.
    #[error("{program} is not installed (Debian package {package}): run `make setup`")]
    Missing {
        /// What was looked for.
        program: &'static str,
        /// What brings it.
        package: &'static str,
    },
    /// One of our own programs was not built.
    #[error("{program} is not in {}: run `cargo build --workspace`, or set KEYSTONE_BIN_DIR", dir.display())]
    NotBuilt {
        /// Which program.
        program: &'static str,
        /// Where it was looked for.
        dir: PathBuf,
    },
    /// SRS was asked for by name and is not there.
    #[error("no SRS {SRS_MAJOR_MIN} or later: {why}; set SRS_BIN to one, or use --media builtin")]
    NoSrs {
        /// What was found instead.
        why: String,
    },
}

/// The media node that a cluster runs, and why that one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MediaChoice {
    /// A real SRS.
    Srs {
        /// The binary.
        program: PathBuf,
        /// What `-v` said.
        version: String,
    },
    /// The built-in node.
    Builtin {
        /// Why not SRS.
        why: String,
    },
}

/// PostgreSQL's folder of programs: on the PATH with `initdb`, else Debian's newest.
///
/// # Errors
/// [`ToolError::Missing`].
pub fn postgres_bin(config: &Config) -> Result<PathBuf, ToolError> {
    let mut debian: Vec<(u32, PathBuf)> = std::fs::read_dir(DEBIAN_POSTGRES)
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            Some((path.file_name()?.to_str()?.parse().ok()?, path.join("bin")))
        })
        .filter(|(_, bin)| is_executable(&bin.join("postgres")))
        .collect();
    debian.sort();
    let on_path =
        || Some(config.on_path("postgres")?.parent()?.to_path_buf()).filter(|bin| is_executable(&bin.join("initdb")));
    debian
        .pop()
        .map(|(_, bin)| bin)
        .or_else(on_path)
        .ok_or(ToolError::Missing { program: "PostgreSQL", package: "postgresql" })
}

/// A program on the PATH or in the folders that a user's PATH often lacks.
///
/// # Errors
/// [`ToolError::Missing`] naming `package`.
pub fn system(config: &Config, program: &'static str, package: &'static str) -> Result<PathBuf, ToolError> {
    let elsewhere = || {
        ["/usr/sbin", "/usr/bin", "/sbin", "/bin"].iter().map(|d| Path::new(d).join(program)).find(|f| is_executable(f))
    };
    config.on_path(program).or_else(elsewhere).ok_or(ToolError::Missing { program, package })
}

/// One of our own programs.
///
/// # Errors
/// [`ToolError::NotBuilt`].
pub fn ours(config: &Config, program: &'static str) -> Result<PathBuf, ToolError> {
    let dir = config.bin_dir.clone().or_else(beside_us).unwrap_or_default();
    let file = dir.join(program);
    if is_executable(&file) { Ok(file) } else { Err(ToolError::NotBuilt { program, dir }) }
}

/// Test programs are one folder deeper than the binaries.
fn beside_us() -> Option<PathBuf> {
    let dir = std::env::current_exe().ok()?.parent()?.to_path_buf();
    if dir.ends_with("deps") { dir.parent().map(Path::to_path_buf) } else { Some(dir) }
}

/// Picks the media node: `SRS_BIN`, then `srs` on the PATH, if it is new enough; else the built-in one, unless SRS was insisted on.
///
/// # Errors
/// [`ToolError::NoSrs`] when SRS was asked for (by `media` or by `SRS_BIN`) and there is none.
pub fn media(config: &Config, media: Media) -> Result<MediaChoice, ToolError> {
    if media == Media::Builtin {
        return Ok(MediaChoice::Builtin { why: "asked for".to_owned() });
    }
    let found = match (&config.srs_bin, config.on_path("srs")) {
        (Some(named), _) => probe(named).map_err(|why| format!("SRS_BIN={}: {why}", named.display())),
        (None, Some(program)) => probe(&program).map_err(|why| format!("{}: {why}", program.display())),
        (None, None) => Err("there is no `srs` on the PATH".to_owned()),
    };
    match found {
        Ok(choice) => Ok(choice),
        Err(why) if media == Media::Srs || config.srs_bin.is_some() => Err(ToolError::NoSrs { why }),
        Err(why) => Ok(MediaChoice::Builtin { why }),
    }
}

fn probe(program: &Path) -> Result<MediaChoice, String> {
    // An SRS built with the address sanitizer reports leaks at exit and then looks as if it had failed.
    let output = std::process::Command::new(program)
        .arg("-v")
        .env("ASAN_OPTIONS", "detect_leaks=0")
        .output()
        .map_err(|error| format!("cannot be run ({error})"))?;
    let said =
        String::from_utf8_lossy(if output.stdout.is_empty() { &output.stderr } else { &output.stdout }).into_owned();
    let version = version_in(&said).ok_or("does not say its version with -v")?;
    match version.split('.').next().and_then(|major| major.parse::<u32>().ok()) {
        Some(major) if major >= SRS_MAJOR_MIN => Ok(MediaChoice::Srs { program: program.to_path_buf(), version }),
        _ => Err(format!("is version {version}")),
    }
}

/// The first word of the form `digits.digits.digits`.
fn version_in(text: &str) -> Option<String> {
    text.split(|c: char| !c.is_ascii_digit() && c != '.')
        .find(|word| word.split('.').count() == 3 && word.split('.').all(|part| part.parse::<u32>().is_ok()))
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn fake_srs(says: &str) -> (PathBuf, Config) {
        let dir = std::env::temp_dir().join(format!("keystone-srs-{}-{}", std::process::id(), says.len()));
        std::fs::create_dir_all(&dir).unwrap();
        let file = dir.join("srs");
        std::fs::write(&file, format!("#!/bin/sh\necho '{says}'\n")).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        (file.clone(), Config { path: vec![dir], ..Config::default() })
    }

    #[test]
    fn a_version_is_read_from_either_form() {
        assert_eq!(version_in("5.0.216\n").as_deref(), Some("5.0.216"));
        assert_eq!(version_in("SRS/6.0.157(Hang) 2024").as_deref(), Some("6.0.157"));
        assert_eq!(version_in("1.2"), None);
    }

    #[test]
    fn auto_takes_a_new_srs_and_passes_over_an_old_one_with_the_reason() {
        let (file, config) = fake_srs("5.0.200");
        assert_eq!(media(&config, Media::Auto), Ok(MediaChoice::Srs { program: file, version: "5.0.200".into() }));
        let (_, config) = fake_srs("SRS 4.0.271");
        assert!(matches!(media(&config, Media::Auto), Ok(MediaChoice::Builtin { why }) if why.contains("4.0.271")));
        assert!(matches!(media(&config, Media::Srs), Err(ToolError::NoSrs { .. })));
    }

    #[test]
    fn a_named_srs_that_is_not_there_is_an_error_even_in_auto() {
        let config = Config { srs_bin: Some("/nowhere/srs".into()), ..Config::default() };
        assert!(matches!(media(&config, Media::Auto), Err(ToolError::NoSrs { .. })));
        assert!(matches!(media(&config, Media::Builtin), Ok(MediaChoice::Builtin { .. })));
    }

    #[test]
    fn a_missing_program_names_its_package() {
        let error = system(&Config::default(), "no-such-program", "some-package").unwrap_err();
        assert_eq!(
            error.to_string(),
            "no-such-program is not installed (Debian package some-package): run `make setup`"
        );
    }
}
