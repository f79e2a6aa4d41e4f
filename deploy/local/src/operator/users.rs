//! `keystone users …`.

use super::{
    door::{Door, DoorError},
    read::{pretty, text},
    table::Table,
};
use crate::say;
use reqwest::StatusCode;
use serde_json::{Value, json};

/// Accounts read at most.
const USERS_MAX: usize = 10_000;

pub(crate) async fn list(door: &mut Door, json: bool) -> Result<(), DoorError> {
    let (users, more) = door.all("/v1/users", USERS_MAX).await?;
    if json {
        say::out(&pretty(&Value::Array(users)));
        return Ok(());
    }
    table(&users).lines().iter().for_each(|line| say::out(line));
    if more {
        say::note(&format!("there are more than {USERS_MAX}; those are the newest"));
    }
    Ok(())
}

fn table(users: &[Value]) -> Table {
    let mut table = Table::new(&["e-mail", "name", "role", "disabled since", "registered", "id"]);
    for user in users {
        let fields = ["/email", "/display_name", "/role", "/disabled_at", "/created_at", "/id"];
        table.row(fields.iter().map(|field| text(user, &[field])).collect());
    }
    table
}

/// The account with an e-mail.
async fn find(door: &mut Door, email: &str) -> Result<String, DoorError> {
    let asked: String = url::form_urlencoded::byte_serialize(email.as_bytes()).collect();
    let found = door.get(&format!("/v1/users?email={asked}")).await?;
    found["items"][0]["id"].as_str().map(str::to_owned).ok_or_else(|| DoorError::Refused {
        code: "user-not-found".to_owned(),
        detail: format!("nobody has registered as {email}; `keystone users list` shows who has"),
        status: StatusCode::NOT_FOUND,
    })
}

pub(crate) async fn add(door: &mut Door, email: &str, name: Option<&str>, role: &str) -> Result<(), DoorError> {
    let made = door.post("/v1/users", &json!({ "email": email, "display_name": name, "role": role })).await?;
    code(email, &made["reset"]);
    Ok(())
}

pub(crate) async fn reset_password(door: &mut Door, email: &str) -> Result<(), DoorError> {
    let user = find(door, email).await?;
    let made = door.post(&format!("/v1/users/{user}:reset-password"), &json!({})).await?;
    code(email, &made);
    Ok(())
}

/// The code alone on standard output, for scripts.
fn code(email: &str, made: &Value) {
    let until = text(made, &["/expires_at"]);
    say::note(&format!("a code for {email}, good once until {until}. On the page they open /reset# with it behind:"));
    say::out(&text(made, &["/code"]));
}

pub(crate) async fn disable(door: &mut Door, email: &str, disabled: bool) -> Result<(), DoorError> {
    let user = find(door, email).await?;
    door.patch(&format!("/v1/users/{user}"), &json!({ "disabled": disabled })).await?;
    say::out(&format!(
        "{email} is {}",
        if disabled { "disabled; its sign-ins and live streams have ended" } else { "enabled" }
    ));
    Ok(())
}

pub(crate) async fn set_role(door: &mut Door, email: &str, role: &str) -> Result<(), DoorError> {
    let user = find(door, email).await?;
    door.patch(&format!("/v1/users/{user}"), &json!({ "role": role })).await?;
    say::out(&format!("{email} has the role {role}"));
    Ok(())
}
