//! `cargo xtask test`: everything that must hold before a change lands.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::cargo::cargo;

/// The steps, in the order in which they fail fastest.
pub(crate) fn run(root: &Path, args: &[String]) -> Result<()> {
    if let Some(unknown) = args.first() {
        bail!("cargo xtask test takes no arguments, got {unknown:?}");
    }
    // With what is off by default: it is tested too, against a server on this machine.
    let release = ["--release", "--workspace", "--features=glossator/download"];
    step(root, "format", &["fmt", "--all", "--check"], &[])?;
    step(root, "tests", &[&["test"], &release[..], &["--all-targets"]].concat(), &[])?;
    step(root, "doc tests", &[&["test"], &release[..], &["--doc"]].concat(), &[])?;
    let lints = [&["clippy"], &release[..], &["--all-targets", "--", "-D", "warnings"]].concat();
    step(root, "lints", &lints, &[])?;
    let docs = [&["doc"], &release[..], &["--no-deps"]].concat();
    step(root, "documentation", &docs, &[("RUSTDOCFLAGS", "-D warnings")])?;
    crate::web::check(root, &say)?;
    deny(root)?;
    say("all steps passed");
    Ok(())
}

/// The version of cargo-deny that is installed where there is none.
const DENY_VERSION: &str = "0.20.2";

/// Licences and sources of dependencies, and what may not be among them. The advisory database
/// needs the network at each run, and is left to `cargo deny check advisories`.
fn deny(root: &Path) -> Result<()> {
    let program = cargo_deny(root)?;
    say("licences, bans, sources");
    let status = Command::new(program)
        .current_dir(root)
        .args(["--log-level", "error", "check", "licenses", "bans", "sources"])
        .status()
        .context("cannot run cargo-deny")?;
    if status.success() { Ok(()) } else { bail!("cargo deny failed: see above") }
}

/// The cargo-deny on the path, else one that is built into `target/tools` once.
fn cargo_deny(root: &Path) -> Result<PathBuf> {
    let home = root.join("target/tools");
    let own = home.join("bin").join(format!("cargo-deny{}", std::env::consts::EXE_SUFFIX));
    for program in [PathBuf::from("cargo-deny"), own.clone()] {
        if Command::new(&program).arg("--version").output().is_ok_and(|out| out.status.success()) {
            return Ok(program);
        }
    }
    say("building cargo-deny into target/tools, once");
    let status = cargo(root)
        .args(["install", "cargo-deny", "--locked", "--quiet", "--version", DENY_VERSION, "--root"])
        .arg(&home)
        .status()
        .context("cannot run cargo install")?;
    if status.success() { Ok(own) } else { bail!("cargo-deny cannot be installed: see above") }
}

fn step(root: &Path, name: &str, args: &[&str], environment: &[(&str, &str)]) -> Result<()> {
    say(&format!("{name}: cargo {}", args.join(" ")));
    let start = Instant::now();
    let status = cargo(root)
        .args(args)
        .envs(environment.iter().copied())
        .status()
        .with_context(|| format!("cannot run cargo {}", args.join(" ")))?;
    if !status.success() {
        bail!("{name} failed; run it alone with: cargo {}", args.join(" "));
    }
    say(&format!("{name} passed in {:.0} s", start.elapsed().as_secs_f64()));
    Ok(())
}

#[expect(clippy::print_stderr, reason = "a chore tells what it does")]
pub(crate) fn say(text: &str) {
    eprintln!("==> {text}");
}
