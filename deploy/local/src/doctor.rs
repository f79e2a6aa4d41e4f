//! `keystone doctor`: a cluster against the production checklist of docs/hosting.md.
//!
//! [`gather`] asks stores, services, nodes and addresses, and decides nothing; [`judge`] decides, and asks nobody. What could not be asked is
//! told as skipped, never as well.

pub mod certificate;
pub mod facts;
mod gather;
pub mod judge;
mod settings;
mod srs_conf;
mod stores;
mod web;

use crate::{cli::Doctor, config::Config, say};
use judge::{Finding, Verdict};
use serde_json::json;
use std::process::ExitCode;

pub use settings::FILE as SETTINGS_FILE;
pub use srs_conf::{HookLines, hook_lines};

/// Runs the command. Exit code 0 when nothing failed, 1 when something did.
///
/// # Errors
/// When the settings cannot be read at all.
pub async fn run(args: Doctor, config: Config) -> anyhow::Result<ExitCode> {
    let facts = gather::gather(&args, &config).await?;
    let findings = judge::judge(&facts);
    if args.json {
        say::out(&report(&findings));
    } else {
        findings.iter().flat_map(lines).for_each(|line| say::out(&line));
        say::out(&summary(&findings));
    }
    let failed = findings.iter().any(|finding| finding.verdict == Verdict::Fail);
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn count(findings: &[Finding], verdict: Verdict) -> usize {
    findings.iter().filter(|finding| finding.verdict == verdict).count()
}

fn report(findings: &[Finding]) -> String {
    let rows: Vec<_> = findings
        .iter()
        .map(|f| json!({"check": f.check, "verdict": f.verdict.word(), "reason": f.reason, "remedy": f.remedy}))
        .collect();
    json!({
        "healthy": count(findings, Verdict::Fail) == 0,
        "failed": count(findings, Verdict::Fail),
        "warned": count(findings, Verdict::Warn),
        "skipped": count(findings, Verdict::Skipped),
        "checks": rows,
    })
    .to_string()
}

fn lines(finding: &Finding) -> Vec<String> {
    let mut lines = vec![format!("{:<7}  {:<14}  {}", finding.verdict.word(), finding.check, finding.reason)];
    if matches!(finding.verdict, Verdict::Fail | Verdict::Warn) && !finding.remedy.is_empty() {
        lines.push(format!("{:25}-> {}", "", finding.remedy));
    }
    lines
}

fn summary(findings: &[Finding]) -> String {
    format!(
        "{} well, {} to look at, {} wrong, {} not checked",
        count(findings, Verdict::Ok),
        count(findings, Verdict::Warn),
        count(findings, Verdict::Fail),
        count(findings, Verdict::Skipped)
    )
}

/// `keystone probe URL`.
///
/// # Errors
/// What came instead of 200.
pub async fn probe(url: &str) -> anyhow::Result<ExitCode> {
    crate::ready::Ready::Http { url: url.to_owned() }.look().await.map_err(|why| anyhow::anyhow!("{url}: {why}"))?;
    Ok(ExitCode::SUCCESS)
}
