//! The operator's commands against a cluster that runs: what they print is what is there.
use crate::support::{Up, eventually};
use keystone::media::SessionHandle;
use proto::ids::StreamId;
use serde_json::Value;
use tokio::process::Command;

/// Runs `keystone` with these words against the cluster; its exit code and what it printed.
async fn keystone(up: &Up, args: &[&str]) -> (i32, String, String) {
    let data = up.cluster.plan().data.root();
    let mut command = Command::new(env!("CARGO_BIN_EXE_keystone"));
    command.args(args).arg("--data").arg(data).env_remove("KEYSTONE_API").env_remove("KEYSTONE_TOKEN");
    let output = command.output().await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// With one publisher, no viewer, and this viewer that is then kicked.
pub(crate) async fn commands(up: &Up, stream: &StreamId, viewer: SessionHandle) {
    let id = stream.as_str();
    let seen = eventually("the status is whole", async || {
        let (code, out, _) = keystone(up, &["status", "--json"]).await;
        let seen: Value = serde_json::from_str(&out).unwrap();
        let streams = seen["streams"].as_array()?;
        (code == 0 && streams.iter().any(|known| known["id"] == id && known["viewers"] == 1)).then_some(seen)
    })
    .await;
    for part in ["nodes", "edges", "controls"] {
        assert_eq!(seen[part].as_array().unwrap().len(), 2, "{part}: {seen}");
    }
    let (code, table, _) = keystone(up, &["status"]).await;
    assert_eq!(code, 0);
    for line in ["nodes: 2", "edges: 2", "controls: 2", "streams: 1", "sessions: 2"] {
        assert!(table.lines().any(|shown| shown == line), "{line}: {table}");
    }
    assert!(table.contains(id) && table.contains("publish") && table.contains("play"), "{table}");

    let home = seen["streams"].as_array().unwrap().iter().find(|known| known["id"] == id).unwrap()["node"].clone();
    let home = home.as_str().unwrap();
    let (code, why, _) = keystone(up, &["route", id]).await;
    assert!(code == 0 && why.starts_with(&format!("{id} is on {home}: epoch 1, by webrtc")), "{why}");
    let (code, _, said) = keystone(up, &["route", "neverwas"]).await;
    assert!(code == 1 && said.contains("stream-not-found"), "{said}");

    let other = up.cluster.plan().nodes.iter().map(keystone::node::Node::id).find(|node| node != home).unwrap();
    assert_eq!(keystone(up, &["nodes", "cordon", &other]).await.0, 0);
    let (code, _, said) = keystone(up, &["nodes", "drain", home, "--deadline", "60s", "--no-wait"]).await;
    assert!(code == 1 && said.contains("last-node"), "{said}");
    assert_eq!(keystone(up, &["nodes", "undrain", &other]).await.0, 0);

    let invited = format!("invited-{id}@example.com");
    let (code, out, _) = keystone(up, &["users", "add", &invited, "--name", "Invited", "--role", "admin"]).await;
    assert!(code == 0 && out.starts_with("pr_"), "{out}");
    let (code, _, said) = keystone(up, &["users", "add", &invited]).await;
    assert!(code == 1 && said.contains("email-taken"), "{said}");
    let accounts: Value = serde_json::from_str(&keystone(up, &["users", "list", "--json"]).await.1).unwrap();
    let user = accounts.as_array().unwrap().iter().find(|user| user["role"] == "user").unwrap();
    let email = user["email"].as_str().unwrap();
    let (code, out, said) = keystone(up, &["users", "reset-password", email]).await;
    assert!(code == 0 && out.starts_with("pr_") && said.contains(email), "{said}");
    let (code, _, said) = keystone(up, &["users", "disable", "nobody@example.com"]).await;
    assert!(code == 1 && said.contains("user-not-found"), "{said}");
    for (words, shown) in
        [(vec!["users", "set-role", email, "admin"], "admin"), (vec!["users", "set-role", email, "user"], "user")]
    {
        assert_eq!(keystone(up, &words).await.0, 0);
        let (_, table, _) = keystone(up, &["users", "list"]).await;
        let line = table.lines().find(|line| line.starts_with(email)).unwrap();
        assert!(line.split_whitespace().any(|word| word == shown), "{line}");
    }

    let sessions = seen["sessions"].as_array().unwrap();
    let plays = sessions.iter().find(|session| session["role"] == "play").unwrap()["id"].as_str().unwrap();
    let (code, _, said) = keystone(up, &["kick", plays]).await;
    assert_eq!(code, 0, "{said}");
    eventually("the kicked viewer is gone", async || {
        let (_, out, _) = keystone(up, &["status", "--json"]).await;
        let seen: Value = serde_json::from_str(&out).unwrap();
        (seen["sessions"].as_array()?.len() == 1).then_some(())
    })
    .await;
    viewer.abandon();
}
