//! Rules about the tree itself, as an ordinary test: sizes, purity of cores, links, and words that do not belong in a repository.
#![expect(clippy::unwrap_used, reason = "a checkout that cannot be read has nothing to say")]
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Longest source file, in lines, inline tests not counted (CONTRIBUTING.md).
const LINES_MAX: usize = 400;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Every file of the working tree that git tracks or would track.
fn files() -> Vec<PathBuf> {
    let out = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .expect("git is on the PATH");
    assert!(out.status.success(), "git ls-files failed: run this inside a checkout");
    let text = String::from_utf8(out.stdout).unwrap();
    text.lines().map(PathBuf::from).filter(|path| root().join(path).is_file()).collect()
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(root().join(path)).unwrap()).into_owned()
}

fn is_test(path: &Path) -> bool {
    path.components().any(|c| ["tests", "benches", "fuzz", "testing"].iter().any(|t| c.as_os_str() == *t))
}

fn ends_with(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|e| e == extension)
}

/// The file without its inline test modules.
fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod ").next().unwrap_or(text)
}

#[test]
fn source_files_stay_short() {
    let long: Vec<_> = files()
        .into_iter()
        .filter(|path| (ends_with(path, "rs") || ends_with(path, "ts") || ends_with(path, "tsx")) && !is_test(path))
        .map(|path| (without_tests(&read(&path)).lines().count(), path))
        .filter(|(lines, _)| *lines > LINES_MAX)
        .collect();
    assert!(long.is_empty(), "over {LINES_MAX} lines; has one two reasons to change? {long:#?}");
}

/// Crates and modules that take time, bytes and randomness as inputs.
fn is_core(path: &Path) -> bool {
    let text = path.to_string_lossy();
    text.starts_with("proto/src/")
        || text.starts_with("placement/src/")
        || text.starts_with("control/gossip/src/")
        || text.contains("/domain/")
        || path.file_name().is_some_and(|name| name == "core.rs")
}

#[test]
fn cores_do_no_io() {
    const FORBIDDEN: [&str; 12] = [
        "tokio",
        "actix",
        "reqwest",
        "fred",
        "std::fs",
        "std::env",
        "std::net::Tcp",
        "std::net::Udp",
        "std::time::Instant",
        "Instant::now",
        "SystemTime",
        "kit::random",
    ];
    let mut found = Vec::new();
    for path in files().into_iter().filter(|path| ends_with(path, "rs") && is_core(path)) {
        for (number, line) in without_tests(&read(&path)).lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            if let Some(word) = FORBIDDEN.iter().find(|word| code.contains(*word)) {
                found.push(format!("{}:{}: {word}", path.display(), number + 1));
            }
        }
    }
    assert!(found.is_empty(), "a core reaches outside itself:\n{}", found.join("\n"));
}

#[test]
fn documents_link_to_files_that_exist() {
    let mut broken = Vec::new();
    for path in files().into_iter().filter(|path| ends_with(path, "md")) {
        let text = read(&path);
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = target.split('#').next().unwrap_or_default();
            if file.is_empty() || file.contains("://") || file.starts_with("mailto:") {
                continue;
            }
            if !root().join(&path).parent().unwrap().join(file).exists() {
                broken.push(format!("{}: {target}", path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "broken links:\n{}", broken.join("\n"));
}

#[test]
fn no_machine_path_is_written_down() {
    // Written in pieces so that this file does not find itself.
    let words = [concat!("/wo", "rk/"), concat!("/home", "/runner"), concat!("/root", "/.cargo")];
    let binary = ["png", "jpg", "ico", "woff2", "lock", "h264", "opus", "bin"];
    let mut found = Vec::new();
    for path in files().into_iter().filter(|path| !binary.iter().any(|e| ends_with(path, e))) {
        let text = read(&path);
        for word in words.iter().filter(|word| text.contains(**word)) {
            found.push(format!("{}: {word}", path.display()));
        }
    }
    assert!(found.is_empty(), "paths of one machine:\n{}", found.join("\n"));
}

#[test]
fn every_variable_is_documented() {
    let docs = read(Path::new("docs/config.md"));
    let mut missing = Vec::new();
    for path in
        files().into_iter().filter(|path| path.to_string_lossy().contains("src/config") && ends_with(path, "rs"))
    {
        let text = read(&path);
        for name in without_tests(&text).split('"').skip(1).step_by(2).filter(|word| is_variable(word)) {
            if !docs.contains(&format!("`{name}`")) {
                missing.push(format!("{}: {name}", path.display()));
            }
        }
    }
    assert!(missing.is_empty(), "docs/config.md lacks:\n{}", missing.join("\n"));
}

fn is_variable(word: &str) -> bool {
    word.len() > 4
        && word.contains('_')
        && word.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}
