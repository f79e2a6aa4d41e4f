//! docs/whip-whep.md against the tests: every line of the list has a test that bears its number, and every such test is in the list.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

/// Lines of the list by letter: RFC 9725 and what a server adds to it, draft-ietf-wish-whep-04.
const LINES: [(char, u32); 2] = [('w', 56), ('p', 19)];

/// Names of functions like `w05_..` under `folder`, in `.rs` files.
fn numbered_tests(folder: &Path, into: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            numbered_tests(&path, into);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let names =
                text.lines().filter_map(|line| line.trim_start().trim_start_matches("async ").strip_prefix("fn "));
            into.extend(
                names
                    .filter_map(|rest| rest.split('(').next())
                    .filter(|name| line_of(name).is_some())
                    .map(str::to_owned),
            );
        }
    }
}

/// `w05` of `w05_a_valid_offer`.
fn line_of(name: &str) -> Option<&str> {
    let (line, _) = name.split_once('_')?;
    let (letter, digits) = line.split_at_checked(1)?;
    let known = LINES.iter().any(|(l, _)| letter.starts_with(*l)) && digits.len() == 2;
    (known && digits.bytes().all(|b| b.is_ascii_digit())).then_some(line)
}

#[test]
fn the_list_names_a_test_for_every_line_and_no_other() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let docs = std::fs::read_to_string(root.join("../docs/whip-whep.md")).unwrap();
    let mut listed: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for row in docs.lines().filter_map(|line| line.strip_prefix("| ")) {
        let cells: Vec<&str> = row.split(" | ").collect();
        let Some((letter, number)) = cells[0].split_at_checked(1) else { continue };
        let Ok(number) = number.parse::<u32>() else { continue };
        let line = format!("{}{number:02}", letter.to_ascii_lowercase());
        let names = cells[2].split('`').skip(1).step_by(2).map(str::to_owned).collect();
        assert!(listed.insert(line.clone(), names).is_none(), "{line} stands twice");
    }
    let mut tests = BTreeSet::new();
    numbered_tests(&root.join("src"), &mut tests);
    numbered_tests(&root.join("tests"), &mut tests);
    for (letter, last) in LINES {
        for number in 1..=last {
            let line = format!("{letter}{number:02}");
            let names = listed.get(&line).unwrap_or_else(|| panic!("{line} is not in docs/whip-whep.md"));
            let have: BTreeSet<String> = tests.iter().filter(|t| line_of(t) == Some(&line)).cloned().collect();
            assert!(!have.is_empty(), "{line} has no test");
            assert_eq!(*names, have, "{line}: docs/whip-whep.md against the tests");
        }
    }
    let lines = usize::try_from(LINES.iter().map(|(_, last)| last).sum::<u32>()).unwrap();
    assert_eq!(listed.len(), lines, "docs/whip-whep.md has lines that do not exist");
}
