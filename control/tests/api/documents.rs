//! What the code says and what the documents say.
use crate::helpers::{Test, send};
use control::routes::{Right, Row, table};
use reqwest::Method;
use std::{collections::BTreeSet, fmt::Write as _};

const RIGHTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/rights.md");
const SETTINGS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/config.md");
const ERRORS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/errors.md");

fn rights() -> String {
    let mut text = String::from(
        "# Who may do what\n\nMade from the route table in `control/src/routes.rs`; a test compares the two.\n\
         `owner`: the owner of the stream or session in the path, and admins. `node`: the media node in the path, by its secret. `internal`: an\n\
         edge of this cluster. Everybody else gets 401, 403 or, where even knowing would be too much, 404.\n\n\
         | Method | Path | Who |\n|---|---|---|\n",
    );
    for Row { method, path, right, .. } in table() {
        writeln!(text, "| {method} | `{path}` | {right} |").unwrap();
    }
    text
}

#[test]
fn the_rights_page_is_the_route_table() {
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(RIGHTS, rights()).unwrap();
    }
    let page = std::fs::read_to_string(RIGHTS).unwrap_or_default();
    assert!(page == rights(), "docs/rights.md is not what the route table says: run this test with UPDATE_DOCS=1");
}

#[test]
fn the_errors_page_lists_every_code_with_its_status() {
    let source = include_str!("../../src/error.rs");
    let rows: Vec<(String, String)> = source
        .split("row(StatusCode::")
        .skip(1)
        .map(|rest| {
            let (status, rest) = rest.split_once(',').unwrap();
            let code = rest.split('"').nth(1).unwrap();
            (status_number(status), code.to_owned())
        })
        .collect();
    assert!(rows.len() > 20, "the table in error.rs was not found");
    let page = std::fs::read_to_string(ERRORS).unwrap_or_default();
    let listed: BTreeSet<(String, String)> = page
        .lines()
        .filter_map(|line| {
            let mut cells = line.strip_prefix("| `")?.split(" | ");
            let (code, status) = (cells.next()?, cells.next()?);
            Some((status.to_owned(), code.trim_end_matches('`').to_owned()))
        })
        .collect();
    let wanted: BTreeSet<_> = rows.into_iter().collect();
    let missing: Vec<_> = wanted.difference(&listed).collect();
    let old: Vec<_> = listed.difference(&wanted).collect();
    assert!(missing.is_empty() && old.is_empty(), "docs/errors.md lacks {missing:?} and has {old:?} too many");
}

/// The settings that a page's section lists.
fn listed_settings(page: &str, section: &str) -> BTreeSet<String> {
    let text = page.split(&format!("## {section}\n")).nth(1).unwrap_or_default();
    let rows = text.split("\n## ").next().unwrap_or_default().lines().filter_map(|line| line.strip_prefix("| `"));
    let names = rows.filter_map(|row| row.split(" | ").next()).flat_map(|cell| cell.split([',', '`', ' ']));
    names.filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

#[test]
fn the_settings_page_lists_every_setting() {
    let sources = [include_str!("../../src/config.rs"), include_str!("../../../kit/src/kv/redis.rs")];
    let read: BTreeSet<String> = sources
        .iter()
        .flat_map(|source| source.split("#[cfg(test)]").next().unwrap().split('"'))
        .filter(|text| text.len() > 5 && text.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'))
        .map(str::to_owned)
        .collect();
    let page = std::fs::read_to_string(SETTINGS).unwrap();
    let (shared, own) = (listed_settings(&page, "Both services"), listed_settings(&page, "control-api"));
    let missing: Vec<_> = read.iter().filter(|name| !shared.contains(*name) && !own.contains(*name)).collect();
    let old: Vec<_> = own.iter().filter(|name| !read.contains(*name)).collect();
    assert!(
        read.len() > 15 && missing.is_empty() && old.is_empty(),
        "docs/config.md lacks {missing:?} and has {old:?} too many"
    );
}

fn status_number(name: &str) -> String {
    (400..600_u16)
        .filter_map(|n| reqwest::StatusCode::from_u16(n).ok())
        .find(|status| status.canonical_reason().unwrap_or_default().replace([' ', '-'], "_").to_uppercase() == name)
        .map_or_else(|| panic!("{name}"), |status| status.as_u16().to_string())
}

#[test]
fn every_public_route_is_described() {
    let api = serde_json::to_value(control::openapi::describe("/api")).unwrap();
    let public = |row: &Row| row.path.starts_with("/v1/") && !matches!(row.right, Right::Node | Right::Internal);
    let rows: BTreeSet<(String, String)> = table()
        .iter()
        .filter(|row| public(row))
        .map(|row| (row.path.to_owned(), row.method.as_str().to_lowercase()))
        .collect();
    let described: BTreeSet<(String, String)> = api["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, methods)| methods.as_object().unwrap().keys().map(|method| (path.clone(), method.clone())))
        .collect();
    assert_eq!(rows, described);
    let operations =
        api["paths"].as_object().unwrap().values().flat_map(|methods| methods.as_object().unwrap().values());
    let mut names: Vec<_> = operations.clone().map(|operation| operation["operationId"].as_str().unwrap()).collect();
    names.sort_unstable();
    let count = names.len();
    names.dedup();
    assert_eq!(names.len(), count, "two operations have one name");
    for operation in operations {
        let failure = &operation["responses"]["default"]["content"]["application/problem+json"]["schema"]["$ref"];
        assert_eq!(failure, "#/components/schemas/Problem", "{operation}");
    }
}

/// The page's types are made from this copy.
#[test]
fn the_page_knows_this_api() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../web/openapi.json");
    let copy: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let now = serde_json::to_value(control::openapi::describe("/api")).unwrap();
    assert!(copy == now, "web/openapi.json is not what the code says: make web-types");
}

/// Every row answers a stranger, a user and an admin as its right says.
#[actix_web::test]
async fn the_route_table_is_kept() {
    let test = Test::start().await;
    let control = &test.control;
    let (ann, eve, root) = (control.user("ann").await, control.user("eve").await, control.admin("root").await);
    let stream = control.stream(&ann, "public").await.stream.id;
    for row in table() {
        let path = row.path.replace("{stream}", stream.as_str()).replace("{node}", "n1").replace("{file:.*}", "");
        let path = path
            .replace("{secret}", "wrong-secret")
            .replace("{token}", "x")
            .replace("{session}", "x")
            .replace("{id}", "x");
        let method = Method::from_bytes(row.method.as_str().as_bytes()).unwrap();
        let ask = async |who| {
            let request = crate::helpers::signed(control.request(method.clone(), &path), who);
            let request = request.timeout(std::time::Duration::from_secs(5));
            // An event stream never ends: its head is enough.
            request.send().await.unwrap().status().as_u16()
        };
        let stranger = ask(None).await;
        match row.right {
            Right::Anyone => assert!(!(path.starts_with("/v1/streams") && stranger == 403), "{row:?}: {stranger}"),
            Right::User => assert_eq!(stranger, 401, "{row:?}"),
            Right::Owner => {
                assert_eq!(stranger, 401, "{row:?}");
                let eve = ask(Some(&eve)).await;
                assert!(matches!(eve, 403 | 404), "{row:?}: {eve}");
            }
            Right::Admin => {
                assert_eq!((stranger, ask(Some(&eve)).await), (401, 403), "{row:?}");
                assert_ne!(ask(Some(&root)).await, 403, "{row:?}");
            }
            Right::Node => assert_eq!((stranger, ask(Some(&root)).await), (403, 403), "{row:?}"),
            Right::Internal => assert_eq!((stranger, ask(Some(&root)).await), (401, 401), "{row:?}"),
        }
    }
    send(control.request(Method::POST, "/v1/hooks/srs/n9/node-one-secret")).await.is_problem(403, "node-unknown");
    test.stop().await;
}
