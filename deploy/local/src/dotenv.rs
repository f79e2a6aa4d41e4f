//! `.env` in the repository: settings for services run from a terminal against `keystone up --deps-only`.

use crate::{
    data::{DataError, write_private},
    plan::Plan,
    services::Var,
};
use std::path::Path;

/// Writes the file, mode 0600.
///
/// # Errors
/// What the file system says.
pub fn write(file: &Path, plan: &Plan) -> Result<(), DataError> {
    let settings = plan.settings();
    // Without Caddy the edge itself is the origin.
    let origin = format!("http://{}", std::net::SocketAddr::new(plan.options.host, plan.ports.edge_http(0)));
    let mut vars = settings.control(&origin);
    vars.extend(settings.edge(&origin));
    vars.extend(settings.control_listen(0));
    vars.extend(settings.edge_listen(0));
    // For the web page's development server, and for deploy/docker-compose.dev.yml.
    vars.push(("KEYSTONE_CONTROL", format!("http://127.0.0.1:{}", plan.ports.control(0))));
    vars.push(("KEYSTONE_EDGE", format!("http://127.0.0.1:{}", plan.ports.edge_http(0))));
    vars.push(("POSTGRES_PASSWORD", plan.postgres.password.clone()));
    write_private(file, render(&vars).as_bytes())
}

/// One `NAME='value'` a line, for `. ./.env` of a shell; the first of two equal names counts.
fn render(vars: &[Var]) -> String {
    let mut text = String::from("# Written by `make up` at each start; changes are lost.\n");
    let mut seen = std::collections::HashSet::new();
    for (name, value) in vars.iter().filter(|(name, _)| seen.insert(*name)) {
        text.push_str(&format!("{name}='{}'\n", value.replace('\'', "'\\''")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_quoted_for_a_shell_and_names_come_once() {
        let text = render(&[("A", "x?id=1&b".into()), ("A", "second".into()), ("B", "it's".into())]);
        assert_eq!(text.lines().skip(1).collect::<Vec<_>>(), ["A='x?id=1&b'", "B='it'\\''s'"]);
    }
}
