//! Accounts and sign-ins.
use crate::helpers::{Answer, Control, PASSWORD, Session, Test, send, signed};
use reqwest::Method;
use serde_json::json;

async fn refresh(control: &Control, token: &str, agent: &str) -> Answer {
    let request = control.request(Method::POST, "/v1/auth/refresh").header("user-agent", agent);
    send(request.json(&json!({ "refresh_token": token }))).await
}

fn refresh_token(session: &Session) -> String {
    session.token.refresh_token.clone().unwrap()
}

#[actix_web::test]
async fn register_login_me() {
    let test = Test::start().await;
    let control = &test.control;
    let body = json!({ "email": "Ann@Example.org", "password": PASSWORD, "display_name": "Ann" });
    let made = control.post("/v1/auth/register", None, body.clone()).await.is(201);
    assert_eq!((&made.body["role"], &made.body["display_name"]), (&json!("user"), &json!("Ann")));
    control.post("/v1/auth/register", None, body).await.is_problem(409, "email-taken");
    let body = json!({ "email": "ann@example.ORG", "password": PASSWORD });
    control.post("/v1/auth/register", None, body).await.is_problem(409, "email-taken");

    let session = control.login("ANN@example.org").await;
    assert_eq!((session.token.expires_in, session.token.token_type.as_str()), (900, "Bearer"));
    let me = control.get("/v1/auth/me", Some(&session)).await.is(200);
    assert_eq!(me.body["email"], "Ann@Example.org");

    let wrong = json!({ "email": "ann@example.org", "password": "not the password" });
    let answer = control.post("/v1/auth/login", None, wrong).await;
    answer.is_problem(401, "bad-login");
    assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    let nobody = json!({ "email": "nobody@example.org", "password": PASSWORD });
    assert_eq!(control.post("/v1/auth/login", None, nobody).await.body["detail"], answer.body["detail"]);

    control.get("/v1/auth/me", None).await.is_problem(401, "unauthenticated");
    let forged = signed(control.request(Method::GET, "/v1/auth/me"), None).bearer_auth("a.b.c");
    send(forged).await.is_problem(401, "unauthenticated");
    test.stop().await;
}

#[actix_web::test]
async fn what_breaks_a_rule_is_told_with_its_field() {
    let test = Test::start().await;
    let cases = [
        (json!({ "email": "x", "password": PASSWORD }), 422, "invalid-value", Some("email")),
        (json!({ "email": "a@b.c", "password": "short" }), 422, "invalid-value", Some("password")),
        (json!({ "email": "a@b.c" }), 400, "bad-request", Some("password")),
        (json!({ "email": "a@b.c", "password": PASSWORD, "role": "admin" }), 400, "bad-request", Some("role")),
        (json!({ "email": 1, "password": PASSWORD }), 400, "bad-request", Some("email")),
        (json!([]), 400, "bad-request", None),
    ];
    for (body, status, code, field) in cases {
        let answer = test.control.post("/v1/auth/register", None, body).await;
        answer.is_problem(status, code);
        assert_eq!(answer.body["field"].as_str(), field, "{answer:?}");
    }
    test.stop().await;
}

#[actix_web::test]
async fn refresh_rotates_and_two_tabs_get_one_successor() {
    let test = Test::start().await;
    let control = &test.control;
    let user = control.user("ann").await;
    let first = refresh_token(&user);
    let a = refresh(control, &first, "tab").await.is(200).body["refresh_token"].clone();
    let b = refresh(control, &first, "tab").await.is(200).body["refresh_token"].clone();
    assert_eq!(a, b, "the second tab gets the first one's successor");
    assert_ne!(a, json!(first));
    // The first tab goes on; a tab that still holds the very first token follows it.
    let next = refresh(control, a.as_str().unwrap(), "tab").await.is(200).body["refresh_token"].clone();
    assert_eq!(refresh(control, &first, "tab").await.is(200).body["refresh_token"], next);
    assert!(control.metric("keystone_control_refreshes_total{outcome=\"repeated\"}").await >= 2.0);
    test.stop().await;
}

#[actix_web::test]
async fn of_many_refreshes_at_once_all_get_one_successor() {
    let test = Test::start().await;
    let other = test.another(&[]).await;
    let user = test.control.user("ann").await;
    let first = refresh_token(&user);
    let tabs = (0..8).map(|n| refresh(if n % 2 == 0 { &test.control } else { &other }, &first, "tab"));
    let answers = futures_util::future::join_all(tabs).await;
    let tokens: Vec<_> = answers.into_iter().map(|answer| answer.is(200).body["refresh_token"].clone()).collect();
    assert!(tokens.iter().all(|token| *token == tokens[0]), "{tokens:?}");
    other.stop().await;
    test.stop().await;
}

#[actix_web::test]
async fn a_copied_refresh_token_ends_the_sign_in() {
    let test = Test::start().await;
    let control = &test.control;
    let user = control.user("ann").await;
    let first = refresh_token(&user);
    let second = refresh(control, &first, "owner").await.is(200).body["refresh_token"].clone();
    refresh(control, &first, "thief").await.is_problem(401, "refresh-reused");
    refresh(control, second.as_str().unwrap(), "owner").await.is_problem(401, "refresh-invalid");

    // The same client, but after the ten seconds.
    let first = refresh_token(&control.login(&user.email).await);
    let second = refresh(control, &first, "owner").await.is(200).body["refresh_token"].clone();
    test.database.run("UPDATE refresh_tokens SET used_at = used_at - interval '11 s' WHERE used_at IS NOT NULL").await;
    refresh(control, &first, "owner").await.is_problem(401, "refresh-reused");
    refresh(control, second.as_str().unwrap(), "owner").await.is_problem(401, "refresh-invalid");
    refresh(control, "rt_nonsense", "owner").await.is_problem(401, "refresh-invalid");
    assert!(control.metric("keystone_control_refreshes_total{outcome=\"reused\"}").await >= 2.0);
    test.stop().await;
}

#[actix_web::test]
async fn an_unused_refresh_token_expires() {
    let test = Test::start().await;
    let token = refresh_token(&test.control.user("ann").await);
    test.database.run("UPDATE refresh_tokens SET expires_at = now()").await;
    refresh(&test.control, &token, "x").await.is_problem(401, "refresh-invalid");
    test.stop().await;
}

#[actix_web::test]
async fn logout_here_and_everywhere() {
    let test = Test::start().await;
    let control = &test.control;
    let user = control.user("ann").await;
    let (a, b, c) =
        (control.login(&user.email).await, control.login(&user.email).await, control.login(&user.email).await);
    let body = |session: &Session| json!({ "refresh_token": refresh_token(session) });
    control.post("/v1/auth/logout", None, body(&a)).await.is(204);
    control.post("/v1/auth/logout", None, body(&a)).await.is(204);
    refresh(control, &refresh_token(&a), "x").await.is_problem(401, "refresh-invalid");
    refresh(control, &refresh_token(&b), "x").await.is(200);
    // With no refresh token at hand the bearer does.
    send(signed(control.request(Method::POST, "/v1/auth/logout"), Some(&b))).await.is(204);
    control.post("/v1/auth/logout?everywhere=1", None, body(&c)).await.is(204);
    refresh(control, &refresh_token(&user), "x").await.is_problem(401, "refresh-invalid");
    send(control.request(Method::POST, "/v1/auth/logout")).await.is_problem(401, "unauthenticated");
    test.stop().await;
}

#[actix_web::test]
async fn the_cookie_form() {
    let test = Test::start_with(&[("EDGE_BASE_URL", "https://live.example.org")]).await;
    let control = &test.control;
    let user = control.user("ann").await;
    let login = json!({ "email": user.email, "password": PASSWORD });
    control.post("/v1/auth/login?session=cookie", None, login.clone()).await.is_problem(403, "header-missing");
    let request = control.request(Method::POST, "/v1/auth/login?session=cookie").header("x-keystone", "1");
    let answer = send(request.json(&login)).await.is(200);
    assert!(answer.body.get("refresh_token").is_none(), "{answer:?}");
    let cookie = answer.header("set-cookie").unwrap().to_owned();
    for part in ["ks_refresh=rt_", "HttpOnly", "SameSite=Strict", "Secure", "Path=/api/v1/auth", "Max-Age=2592000"] {
        assert!(cookie.contains(part), "{part} in {cookie}");
    }
    let pair = cookie.split(';').next().unwrap().to_owned();
    let by_cookie = |path: &str| {
        let path = format!("{path}?session=cookie");
        control.request(Method::POST, &path).header("x-keystone", "1").header("cookie", &pair)
    };
    let refreshed = send(by_cookie("/v1/auth/refresh")).await.is(200);
    assert_ne!(refreshed.header("set-cookie").unwrap().split(';').next().unwrap(), pair);
    send(by_cookie("/v1/auth/refresh").header("x-keystone", "0")).await.is(200);
    let request = control.request(Method::POST, "/v1/auth/refresh?session=cookie").header("cookie", &pair);
    send(request).await.is_problem(403, "header-missing");
    let gone = send(by_cookie("/v1/auth/logout")).await.is(204);
    assert!(gone.header("set-cookie").unwrap().contains("Max-Age=0"), "{gone:?}");
    send(by_cookie("/v1/auth/refresh")).await.is_problem(401, "refresh-invalid");
    test.stop().await;
}

#[actix_web::test]
async fn a_rotated_jwt_secret_signs_nobody_out() {
    let test = Test::start().await;
    let user = test.control.user("ann").await;
    let new = "quite another secret of 32 bytes or more";
    let previous = crate::helpers::JWT_SECRET;
    let rotated = test.another(&[("JWT_SECRET", new), ("JWT_SECRET_PREVIOUS", previous)]).await;
    rotated.get("/v1/auth/me", Some(&user)).await.is(200);
    // The first start with the new secret sealed the cluster's secrets again, so the old one may go.
    let later = test.another(&[("JWT_SECRET", new)]).await;
    later.get("/v1/auth/me", Some(&user)).await.is_problem(401, "unauthenticated");
    let again = later.login(&user.email).await;
    later.get("/v1/auth/me", Some(&again)).await.is(200);
    later.stop().await;
    rotated.stop().await;
    test.stop().await;
}
