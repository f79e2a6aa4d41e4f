//! The audit log and the list of users.
use crate::helpers::Test;
use serde_json::json;

#[actix_web::test]
async fn admins_see_who_did_what() {
    let test = Test::start().await;
    let control = &test.control;
    let (ann, root) = (control.user("ann").await, control.admin("root").await);
    let id = control.stream(&ann, "public").await.stream.id;
    control.patch(&format!("/v1/streams/{id}"), Some(&ann), json!({ "title": "New" })).await.is(200);
    control.post(&format!("/v1/streams/{id}/tokens"), Some(&ann), json!({ "action": "play" })).await.is(201);
    for path in ["/v1/audit", "/v1/users"] {
        control.get(path, Some(&ann)).await.is_problem(403, "forbidden");
        control.get(path, None).await.is_problem(401, "unauthenticated");
    }
    let page = control.get(&format!("/v1/audit?target=stream/{id}&limit=2"), Some(&root)).await.is(200).body;
    let actions = |page: &serde_json::Value| -> Vec<String> {
        page["items"].as_array().unwrap().iter().map(|e| e["action"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(actions(&page), ["token.issue", "stream.update"]);
    assert_eq!(page["items"][0]["actor"], json!(ann.token.user.id));
    assert_eq!(page["items"][0]["ip"], "127.0.0.1");
    let cursor = page["next_cursor"].as_str().unwrap();
    let rest = control.get(&format!("/v1/audit?target=stream/{id}&cursor={cursor}"), Some(&root)).await.is(200).body;
    assert_eq!(actions(&rest), ["stream.create"]);
    let text = control.get("/v1/audit", Some(&root)).await.body.to_string();
    assert!(!text.contains("sk_") && !text.contains("rt_"), "the audit log shows a secret");
    let users = control.get("/v1/users?limit=1", Some(&root)).await.is(200).body;
    assert_eq!(users["items"][0]["email"], "root@example.org");
    assert!(users["next_cursor"].is_string() && users["items"][0].get("password_hash").is_none());
    test.stop().await;
}
