//! Another password, other rights, and accounts that are disabled.
use crate::{
    edge::key_of,
    helpers::{Answer, Control, PASSWORD, Session, Test, send},
    media::Scene,
};
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;

const OTHER: &str = "another long password";

async fn login(control: &Control, email: &str, password: &str) -> Answer {
    control.post("/v1/auth/login", None, json!({ "email": email, "password": password })).await
}

async fn refresh(control: &Control, session: &Session) -> Answer {
    let body = json!({ "refresh_token": session.token.refresh_token });
    send(control.request(Method::POST, "/v1/auth/refresh").json(&body)).await
}

fn of(session: &Session) -> String {
    format!("/v1/users/{}", session.token.user.id)
}

async fn code_for(control: &Control, admin: &Session, user: &Session) -> String {
    let made = control.post(&format!("{}:reset-password", of(user)), Some(admin), json!({})).await.is(200);
    assert_eq!(made.header("cache-control"), Some("no-store"));
    made.body["code"].as_str().unwrap().to_owned()
}

#[actix_web::test]
async fn a_changed_password_ends_the_other_sign_ins() {
    let test = Test::start().await;
    let control = &test.control;
    let here = control.user("ann").await;
    let there = control.login(&here.email).await;
    let change = async |current: &str, password: &str| {
        let body = json!({ "current_password": current, "password": password });
        control.post("/v1/auth/password", Some(&here), body).await
    };
    change("not the password", OTHER).await.is_problem(403, "wrong-password");
    let short = change(PASSWORD, "short").await;
    short.is_problem(422, "invalid-value");
    assert_eq!(short.body["field"], "password");
    refresh(control, &there).await.is(200);
    change(PASSWORD, OTHER).await.is(204);
    refresh(control, &there).await.is_problem(401, "refresh-invalid");
    refresh(control, &here).await.is(200);
    login(control, &here.email, PASSWORD).await.is_problem(401, "bad-login");
    login(control, &here.email, OTHER).await.is(200);
    let body = json!({ "current_password": OTHER, "password": PASSWORD });
    control.post("/v1/auth/password", None, body).await.is_problem(401, "unauthenticated");
    test.stop().await;
}

#[actix_web::test]
async fn tries_at_the_current_password_are_limited_like_sign_ins() {
    let test = Test::start().await;
    let control = &test.control;
    let ann = control.user("ann").await;
    let tries = (0..16).map(|n| {
        let body = json!({ "current_password": format!("guess number {n}"), "password": OTHER });
        control.post("/v1/auth/password", Some(&ann), body)
    });
    let limited = join_all(tries).await.iter().filter(|answer| answer.status == 429).count();
    assert!((5..=6).contains(&limited), "{limited}");
    test.stop().await;
}

#[actix_web::test]
async fn a_code_sets_a_password_once_and_within_a_day() {
    let test = Test::start().await;
    let control = &test.control;
    let (ann, root) = (control.user("ann").await, control.admin("root").await);
    let reset = async |code: &str| {
        control.post("/v1/auth/password:reset", None, json!({ "code": code, "password": OTHER })).await
    };
    control.post(&format!("{}:reset-password", of(&ann)), Some(&ann), json!({})).await.is_problem(403, "forbidden");
    let nobody = format!("/v1/users/{}:reset-password", uuid::Uuid::nil());
    control.post(&nobody, Some(&root), json!({})).await.is_problem(404, "user-not-found");

    let void = code_for(control, &root, &ann).await;
    let good = code_for(control, &root, &ann).await;
    for bad in [void.as_str(), "pr_nonsense", ""] {
        reset(bad).await.is_problem(403, "reset-invalid");
    }
    login(control, &ann.email, PASSWORD).await.is(200);
    // Of two at once one gets it.
    let mut both: Vec<u16> = join_all([reset(&good), reset(&good)]).await.iter().map(|a| a.status.as_u16()).collect();
    both.sort_unstable();
    assert_eq!(both, [204, 403]);
    refresh(control, &ann).await.is_problem(401, "refresh-invalid");
    login(control, &ann.email, PASSWORD).await.is_problem(401, "bad-login");
    login(control, &ann.email, OTHER).await.is(200);

    let late = code_for(control, &root, &ann).await;
    test.database.run("UPDATE password_resets SET expires_at = now()").await;
    reset(&late).await.is_problem(403, "reset-invalid");
    // A password that its owner changed is no longer forgotten.
    let unused = code_for(control, &root, &ann).await;
    let again: Session =
        Session { email: ann.email.clone(), token: login(control, &ann.email, OTHER).await.is(200).read() };
    let body = json!({ "current_password": OTHER, "password": PASSWORD });
    control.post("/v1/auth/password", Some(&again), body).await.is(204);
    reset(&unused).await.is_problem(403, "reset-invalid");

    let audit = control.get(&format!("/v1/audit?target=user/{}", ann.token.user.id), Some(&root)).await.is(200).body;
    let actions: Vec<&str> = audit["items"].as_array().unwrap().iter().map(|e| e["action"].as_str().unwrap()).collect();
    for action in ["user.reset_code", "user.reset_password", "user.change_password"] {
        assert!(actions.contains(&action), "{action}: {actions:?}");
    }
    assert!(!audit.to_string().contains("pr_"), "the audit log shows a code");
    test.stop().await;
}

#[actix_web::test]
async fn with_registration_closed_admins_make_accounts() {
    let test = Test::start().await;
    let root = test.control.admin("root").await;
    let control = test.another(&[("REGISTRATION", "closed")]).await;
    assert_eq!(test.control.get("/v1/auth/register", None).await.is(200).body, json!({ "open": true }));
    assert_eq!(control.get("/v1/auth/register", None).await.is(200).body, json!({ "open": false }));
    let body = json!({ "email": "ann@example.org", "password": PASSWORD });
    control.post("/v1/auth/register", None, body).await.is_problem(403, "registration-closed");
    let body = json!({ "email": "Ann@example.org", "display_name": "Ann" });
    control.post("/v1/users", None, body.clone()).await.is_problem(401, "unauthenticated");
    let made = control.post("/v1/users", Some(&root), body.clone()).await.is(201).body;
    assert_eq!((&made["user"]["display_name"], &made["user"]["role"]), (&json!("Ann"), &json!("user")));
    control.post("/v1/users", Some(&root), body).await.is_problem(409, "email-taken");
    let wrong = control.post("/v1/users", Some(&root), json!({ "email": "nobody" })).await;
    wrong.is_problem(422, "invalid-value");
    assert_eq!(wrong.body["field"], "email");

    let begin = json!({ "code": made["reset"]["code"], "password": PASSWORD });
    control.post("/v1/auth/password:reset", None, begin).await.is(204);
    let ann = control.login("ann@example.org").await;
    control.post("/v1/users", Some(&ann), json!({ "email": "x@example.org" })).await.is_problem(403, "forbidden");
    control.stop().await;
    test.stop().await;
}

#[actix_web::test]
async fn a_disabled_account_neither_signs_in_nor_publishes() {
    let scene = Scene::start("public").await;
    let control = scene.control();
    let root = control.admin("root").await;
    let (owner, node, edge) = (&scene.owner, &scene.node, &scene.edge);
    scene.live("pub1").await;
    assert_eq!(scene.play("rtmp", "view1", "").await, 0);
    node.connect("view1", scene.stream.as_str(), false, 1);
    let waiting = control.stream(owner, "public").await;
    let set = async |disabled: bool| {
        control.patch(&of(owner), Some(&root), json!({ "disabled": disabled })).await.is(200).body
    };

    let since = set(true).await["disabled_at"].clone();
    assert!(since.is_string());
    assert_eq!(set(true).await["disabled_at"], since, "it is disabled since then, not since now");
    node.has_kicked("pub1").await;
    node.has_kicked("view1").await;
    assert!(scene.route().await.is_null());
    login(control, &owner.email, PASSWORD).await.is_problem(403, "account-disabled");
    login(control, &owner.email, "not the password").await.is_problem(401, "bad-login");
    refresh(control, owner).await.is_problem(401, "refresh-invalid");
    // The access token is good for minutes yet: for reading only.
    control.get("/v1/auth/me", Some(owner)).await.is(200);
    let body = json!({ "title": "More", "visibility": "public" });
    control.post("/v1/streams", Some(owner), body.clone()).await.is_problem(401, "unauthenticated");
    for made in [&scene.made, &waiting] {
        let key = key_of(made);
        edge.reserve(control, &made.stream.id, node, &key).await.is_problem(404, "stream-not-found");
    }

    set(false).await;
    let again = control.login(&owner.email).await;
    control.post("/v1/streams", Some(&again), body).await.is(201);
    edge.reserve(control, &scene.stream, node, &scene.key).await.is(200);
    scene.stop().await;
}

#[actix_web::test]
async fn rights_are_given_and_taken_and_nobody_takes_their_own() {
    let test = Test::start().await;
    let control = &test.control;
    let (ann, root) = (control.user("ann").await, control.admin("root").await);
    let role = async |by: &Session, of_whom: &Session, role: &str| {
        control.patch(&of(of_whom), Some(by), json!({ "role": role })).await
    };
    role(&ann, &root, "user").await.is_problem(403, "forbidden");
    role(&root, &root, "user").await.is_problem(409, "own-account");
    control.patch(&of(&root), Some(&root), json!({ "disabled": true })).await.is_problem(409, "own-account");
    role(&root, &ann, "emperor").await.is_problem(400, "bad-request");
    control.patch("/v1/users/nobody", Some(&root), json!({})).await.is_problem(404, "user-not-found");

    assert_eq!(role(&root, &ann, "admin").await.is(200).body["role"], "admin");
    let ann = control.login(&ann.email).await;
    let found = control.get("/v1/users?email=ROOT@example.org", Some(&ann)).await.is(200).body;
    assert_eq!(found["items"].as_array().map(Vec::len), Some(1));
    assert_eq!(found["items"][0]["email"], root.email);
    assert_eq!(control.get("/v1/users?email=x@y.zz", Some(&ann)).await.is(200).body["items"], json!([]));
    // What the admin's access token says is good for reading; what is changed is asked after.
    role(&ann, &root, "user").await.is(200);
    role(&root, &ann, "user").await.is_problem(403, "forbidden");
    test.stop().await;
}

/// Sign-ins against the old password while it is changed: whatever the order, none of them outlives the change.
#[actix_web::test]
async fn no_sign_in_slips_past_a_change() {
    let test = Test::start().await;
    let control = &test.control;
    let (ann, root) = (control.user("ann").await, control.admin("root").await);
    for _ in 0..4 {
        let disable = async { control.patch(&of(&ann), Some(&root), json!({ "disabled": true })).await.is(200) };
        let came = join_all((0..2).map(|_| login(control, &ann.email, PASSWORD)));
        let (came, _) = futures_util::join!(came, disable);
        for answer in came.into_iter().filter(|answer| answer.status == 200) {
            let session = Session { email: ann.email.clone(), token: answer.read() };
            refresh(control, &session).await.is_problem(401, "refresh-invalid");
        }
        control.patch(&of(&ann), Some(&root), json!({ "disabled": false })).await.is(200);
    }
    test.stop().await;
}
