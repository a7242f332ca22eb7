//! `cargo xtask test`: everything that must hold before a change lands.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};

/// The steps, in the order in which they fail fastest.
pub(crate) fn run(root: &Path, args: &[String]) -> Result<()> {
    if let Some(unknown) = args.first() {
        bail!("cargo xtask test takes no arguments, got {unknown:?}");
    }
    let release = ["--release", "--workspace"];
    step(root, "format", &["fmt", "--all", "--check"], &[])?;
    step(root, "tests", &[&["test"], &release[..], &["--all-targets"]].concat(), &[])?;
    step(root, "doc tests", &[&["test"], &release[..], &["--doc"]].concat(), &[])?;
    let lints = [&["clippy"], &release[..], &["--all-targets", "--", "-D", "warnings"]].concat();
    step(root, "lints", &lints, &[])?;
    let docs = [&["doc"], &release[..], &["--no-deps"]].concat();
    step(root, "documentation", &docs, &[("RUSTDOCFLAGS", "-D warnings")])?;
    deny(root)?;
    eprintln_step("all steps passed");
    Ok(())
}

/// Licences and sources of dependencies, where cargo-deny is installed. Building it takes longer
/// than all other steps together, so that is left to whoever changes dependencies. The advisory
/// database needs the network, and is left to `cargo deny check advisories`.
fn deny(root: &Path) -> Result<()> {
    if Command::new("cargo-deny").arg("--version").output().is_err() {
        eprintln_step(
            "SKIPPED: licences, bans, sources (needs `cargo install cargo-deny --locked`)",
        );
        return Ok(());
    }
    eprintln_step("licences, bans, sources");
    let status = Command::new("cargo-deny")
        .current_dir(root)
        .args(["--log-level", "error", "check", "licenses", "bans", "sources"])
        .status()
        .context("cannot run cargo-deny")?;
    if status.success() { Ok(()) } else { bail!("cargo deny failed: see above") }
}

fn step(root: &Path, name: &str, args: &[&str], environment: &[(&str, &str)]) -> Result<()> {
    eprintln_step(&format!("{name}: cargo {}", args.join(" ")));
    let start = Instant::now();
    let status = Command::new(env!("CARGO"))
        .current_dir(root)
        .args(args)
        .envs(environment.iter().copied())
        .status()
        .with_context(|| format!("cannot run cargo {}", args.join(" ")))?;
    if !status.success() {
        bail!("{name} failed; run it alone with: cargo {}", args.join(" "));
    }
    eprintln_step(&format!("{name} passed in {:.0} s", start.elapsed().as_secs_f64()));
    Ok(())
}

#[expect(clippy::print_stderr, reason = "a chore tells what it does")]
fn eprintln_step(text: &str) {
    eprintln!("==> {text}");
}
