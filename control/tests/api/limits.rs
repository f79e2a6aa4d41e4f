//! Rate limits, bodies that never end, sign-in floods.
use crate::helpers::{PASSWORD, Test, send, until};
use futures_util::{StreamExt as _, stream};
use reqwest::Method;
use serde_json::json;
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// The flood of ten thousand, a tenth of it: what is hashed is bounded by the limit, not by the number of tries.
#[actix_web::test]
async fn a_flood_of_sign_ins_is_refused_cheaply_and_harms_nobody_else() {
    let test = Test::start().await;
    let control = &test.control;
    let ann = control.user("ann").await;
    let began = Instant::now();
    let tries = stream::iter(0..1_000).map(|n| {
        let email = if n % 2 == 0 { ann.email.clone() } else { format!("nobody{n}@example.org") };
        let request = control.request(Method::POST, "/v1/auth/login").header("x-forwarded-for", "203.0.113.9");
        send(request.json(&json!({ "email": email, "password": format!("guess number {n}") })))
    });
    let answers: Vec<_> = tries.buffer_unordered(32).collect().await;
    let mut counts = BTreeMap::new();
    for answer in &answers {
        *counts.entry(answer.status.as_u16()).or_insert(0) += 1;
        if answer.status == 429 {
            answer.is_problem(429, "rate-limited");
            assert!(answer.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
        }
    }
    let allowed = 20 + began.elapsed().as_secs() / 3 + 1;
    assert!(control.state.hasher.checked() <= allowed, "{counts:?} in {:?}", began.elapsed());
    assert!(control.metric("keystone_control_rate_limited_total{limit=\"login\"}").await >= 900.0);
    // Somebody else, from elsewhere, signs in.
    let bob = json!({ "email": "bob@example.org", "password": PASSWORD });
    control.post("/v1/auth/register", None, bob.clone()).await.is(201);
    control.post("/v1/auth/login", None, bob).await.is(200);
    test.stop().await;
}

#[actix_web::test]
async fn one_account_is_guarded_against_many_addresses() {
    let test = Test::start().await;
    let control = &test.control;
    let ann = control.user("ann").await;
    let mut refused = 0;
    for n in 0..16 {
        let request =
            control.request(Method::POST, "/v1/auth/login").header("x-forwarded-for", format!("203.0.113.{n}"));
        let answer = send(request.json(&json!({ "email": ann.email.to_uppercase(), "password": "guess guess" }))).await;
        refused += u32::from(answer.status == 429);
    }
    assert!((5..=6).contains(&refused), "{refused}");
    test.stop().await;
}

#[actix_web::test]
async fn an_unknown_email_costs_what_a_wrong_password_costs() {
    let test = Test::start().await;
    let control = &test.control;
    let ann = control.user("ann").await;
    // Counted, not timed: this machine does other things too. Each check is a whole argon2id run (src/password.rs).
    for email in [ann.email.as_str(), "nobody@example.org"] {
        let before = control.state.hasher.checked();
        let body = json!({ "email": email, "password": "guess guess" });
        control.post("/v1/auth/login", None, body).await.is_problem(401, "bad-login");
        assert_eq!(control.state.hasher.checked() - before, 1, "{email}");
    }
    test.stop().await;
}

#[actix_web::test]
async fn a_user_who_writes_too_much_is_slowed() {
    let test = Test::start().await;
    let control = &test.control;
    let (ann, bob) = (control.user("ann").await, control.user("bob").await);
    let id = control.stream(&ann, "public").await.stream.id;
    let body = json!({ "title": "x" });
    let path = format!("/v1/streams/{id}");
    let answers = futures_util::future::join_all((0..90).map(|_| control.patch(&path, Some(&ann), body.clone()))).await;
    assert!(answers.iter().any(|answer| answer.status == 429));
    assert!(answers.iter().filter(|answer| answer.status == 200).count() >= 55);
    control.stream(&bob, "public").await;
    control.get(&path, Some(&ann)).await.is(200);
    test.stop().await;
}

#[actix_web::test]
async fn a_body_that_never_ends_is_given_up() {
    let test = Test::start().await;
    let address = test.control.url.strip_prefix("http://").unwrap().to_owned();
    let mut socket = tokio::net::TcpStream::connect(&address).await.unwrap();
    let head = "POST /v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    socket.write_all(head.as_bytes()).await.unwrap();
    let began = Instant::now();
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    let drip = async {
        loop {
            // A byte a second keeps any idle timer happy.
            socket.write_all(b"1\r\n \r\n").await.ok();
            match tokio::time::timeout(Duration::from_secs(1), socket.read(&mut buffer)).await {
                Ok(Ok(0) | Err(_)) => break,
                Ok(Ok(got)) => {
                    answer.extend_from_slice(&buffer[..got]);
                    break;
                }
                Err(_) => {}
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(15), drip).await.unwrap();
    assert!(String::from_utf8_lossy(&answer).starts_with("HTTP/1.1 408"), "{}", String::from_utf8_lossy(&answer));
    assert!(began.elapsed() < Duration::from_secs(13));
    until("others are served", async || (test.control.get("/healthz", None).await.status == 200).then_some(())).await;
    test.stop().await;
}
