//! A database for each test, cloned from a template that is migrated once.

use super::settings;
use control::cli::set_up;
use secrecy::SecretString;
use tokio_postgres::Client;
use url::Url;

/// Under this lock one process makes the template.
const LOCK: i64 = 0x6b73_7470;

/// One database.
pub(crate) struct Database {
    /// Its URL.
    pub(crate) url: String,
    name: String,
    admin: String,
}

async fn connect(url: &str) -> Client {
    kit::pg::direct(&SecretString::from(url.to_owned())).await.unwrap()
}

fn with_name(url: &str, name: &str) -> String {
    let mut url = Url::parse(url).expect("TEST_DATABASE_URL is a URL");
    url.set_path(name);
    url.to_string()
}

/// Changes with the migrations, so that an old template is not taken for the new one.
fn template_name() -> String {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations");
    let mut files: Vec<_> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let text: Vec<u8> = files.iter().flat_map(|path| std::fs::read(path).unwrap()).collect();
    format!("ks_template_{}", &proto::secret::sha256_hex(&text)[..16])
}

impl Database {
    /// Clones the template, making it first if nobody has.
    pub(crate) async fn clone_template() -> Self {
        let admin = kit::testing::database_url();
        let client = connect(&admin).await;
        let template = template_name();
        client.batch_execute(&format!("SELECT pg_advisory_lock({LOCK})")).await.unwrap();
        let found =
            client.simple_query(&format!("SELECT 1 FROM pg_database WHERE datname = '{template}'")).await.unwrap();
        let there = found.iter().any(|message| matches!(message, tokio_postgres::SimpleQueryMessage::Row(_)));
        if !there {
            make_template(&client, &admin, &template).await;
        }
        let name = format!("ks_test_{}", kit::random::letters(12));
        client.batch_execute(&format!("CREATE DATABASE {name} TEMPLATE {template}")).await.unwrap();
        client.batch_execute(&format!("SELECT pg_advisory_unlock({LOCK})")).await.unwrap();
        Self { url: with_name(&admin, &name), name, admin }
    }

    /// An empty database.
    pub(crate) async fn empty() -> Self {
        let admin = kit::testing::database_url();
        let name = format!("ks_test_{}", kit::random::letters(12));
        connect(&admin).await.batch_execute(&format!("CREATE DATABASE {name}")).await.unwrap();
        Self { url: with_name(&admin, &name), name, admin }
    }

    /// Lets nobody in and throws everybody out, as if Postgres were away.
    pub(crate) async fn close(&self) {
        let client = connect(&self.admin).await;
        client.batch_execute(&format!("ALTER DATABASE {} ALLOW_CONNECTIONS false", self.name)).await.unwrap();
        let sql = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}'", self.name);
        client.simple_query(&sql).await.unwrap();
    }

    /// Lets everybody in again.
    pub(crate) async fn open(&self) {
        let client = connect(&self.admin).await;
        client.batch_execute(&format!("ALTER DATABASE {} ALLOW_CONNECTIONS true", self.name)).await.unwrap();
    }

    /// Runs statements.
    pub(crate) async fn run(&self, sql: &str) {
        connect(&self.url).await.batch_execute(sql).await.unwrap();
    }

    /// Drops it.
    pub(crate) async fn drop_it(self) {
        connect(&self.admin).await.batch_execute(&format!("DROP DATABASE {} WITH (FORCE)", self.name)).await.unwrap();
    }
}

async fn make_template(client: &Client, admin: &str, template: &str) {
    let building = format!("{template}_building");
    client.batch_execute(&format!("DROP DATABASE IF EXISTS {building} WITH (FORCE)")).await.unwrap();
    client.batch_execute(&format!("CREATE DATABASE {building}")).await.unwrap();
    set_up(&settings(&with_name(admin, &building), "redis://127.0.0.1:1", &[])).await.unwrap();
    // Its connections end a moment after they are dropped.
    let sql = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{building}'");
    client.simple_query(&sql).await.unwrap();
    client.batch_execute(&format!("ALTER DATABASE {building} RENAME TO {template}")).await.unwrap();
}
