//! Migrations, embedded. They only add (expand); what is no longer used goes one release later (contract), so that old and new processes
//! run side by side.

use kit::pg;
use refinery::{Migration, Runner};
use secrecy::SecretString;

/// Number, name and text of every migration. One that was released is never edited.
const MIGRATIONS: &[(&str, &str)] = &[
    ("V1__accounts_streams", include_str!("../../migrations/0001_accounts_streams.sql")),
    ("V2__claims_broadcasts", include_str!("../../migrations/0002_claims_broadcasts.sql")),
    ("V3__nodes", include_str!("../../migrations/0003_nodes.sql")),
    ("V5__claims_load", include_str!("../../migrations/0005_claims_load.sql")),
    ("V6__node_srt_encrypted", include_str!("../../migrations/0006_node_srt_encrypted.sql")),
    ("V7__account_changes", include_str!("../../migrations/0007_account_changes.sql")),
];

/// Names the lock under which migrations run. A number of our own; any would do that nothing else in this database locks.
const LOCK: i64 = 0x6b73_6d69;

/// Brings the database up to date. Safe when several processes start at once: they take turns.
///
/// # Errors
/// A text for the operator.
pub async fn migrate(direct_url: &SecretString) -> anyhow::Result<usize> {
    let mut client = pg::direct(direct_url).await.map_err(anyhow::Error::msg)?;
    // Of this session, and given back when it ends, however it ends. A direct connection has one session.
    client.batch_execute(&format!("SELECT pg_advisory_lock({LOCK})")).await?;
    let migrations = MIGRATIONS.iter().map(|(name, sql)| Migration::unapplied(name, sql));
    let migrations = migrations.collect::<Result<Vec<_>, _>>()?;
    let report = Runner::new(&migrations).run_async(&mut client).await?;
    client.batch_execute(&format!("SELECT pg_advisory_unlock({LOCK})")).await?;
    Ok(report.applied_migrations().len())
}
