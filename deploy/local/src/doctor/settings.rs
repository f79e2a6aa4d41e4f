//! The settings that the services have: from `--env-file`, else from the folder of `keystone up`, over the environment.

use crate::{cli::Doctor, config::Config};
use std::{collections::BTreeMap, path::Path};

/// The file that `keystone up` leaves in its folder.
pub const FILE: &str = "doctor.env";

/// Settings by name, and where they are from.
pub(super) fn read(
    args: &Doctor,
    config: &Config,
    folder: &Path,
) -> anyhow::Result<(BTreeMap<String, String>, String)> {
    let mut settings = config.services.clone();
    if let Some(file) = &args.env_file {
        let text = std::fs::read_to_string(file).map_err(|error| anyhow::anyhow!("{}: {error}", file.display()))?;
        settings.extend(parse(&text));
        return Ok((settings, file.display().to_string()));
    }
    let left = folder.join(FILE);
    match std::fs::read_to_string(&left) {
        // The environment of a shell says little of a cluster that has its own folder.
        Ok(text) => Ok((parse(&text), left.display().to_string())),
        Err(_) => Ok((settings, "the environment".to_owned())),
    }
}

/// `NAME=value` lines; quotes around a value, comments and `export` are taken off.
fn parse(text: &str) -> BTreeMap<String, String> {
    let line = |line: &str| {
        let (name, value) = line.trim().strip_prefix("export ").unwrap_or(line.trim()).split_once('=')?;
        if name.starts_with('#') {
            return None;
        }
        let value = value.trim();
        let bare = ['"', '\''].iter().find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote));
        Some((name.trim().to_owned(), bare.unwrap_or(value).to_owned()))
    };
    text.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_shells_and_compose_write_them() {
        let read = parse("# x\nA=1\nexport B='two words'\n#C=3\n D=\"4\"\nE=\nnonsense\nF=a=b\n");
        let wanted = [("A", "1"), ("B", "two words"), ("D", "4"), ("E", ""), ("F", "a=b")];
        assert_eq!(read, wanted.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    }
}
