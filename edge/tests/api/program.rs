//! The program itself: what is typed wrong is told, and nothing is served.
use std::process::{Command, Output};

fn edge(argument: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_edge-gateway")).arg(argument).env_clear().output().unwrap()
}

#[test]
fn a_command_line_that_means_nothing_ends_with_a_word_about_it() {
    let version = edge("--version");
    assert!(version.status.success() && version.stdout.starts_with(b"edge-gateway "), "{version:?}");
    for wrong in ["serve", "--port=80"] {
        let refused = edge(wrong);
        let said = String::from_utf8(refused.stderr).unwrap();
        assert!(refused.status.code() == Some(2) && said.contains(wrong.split('=').next().unwrap()), "{said}");
    }
}
