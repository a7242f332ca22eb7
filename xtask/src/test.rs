//! `cargo xtask test`: everything that must hold before a change lands.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};

/// The version that is installed where the command is missing.
const CARGO_DENY: &str = "0.20.2";

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
    let docs = [&["doc"], &release[..], &["--no-deps", "--document-private-items"]].concat();
    step(root, "documentation", &docs, &[("RUSTDOCFLAGS", "-D warnings")])?;
    deny(root)?;
    eprintln_step("all steps passed");
    Ok(())
}

/// Licences and sources of dependencies. The advisory database needs the network, and is left to
/// `cargo deny check advisories`.
fn deny(root: &Path) -> Result<()> {
    let tools = root.join("target").join("tools");
    let installed = tools.join("bin").join(format!("cargo-deny{}", std::env::consts::EXE_SUFFIX));
    let on_path = Command::new("cargo-deny").arg("--version").output().is_ok();
    let program = if on_path { Path::new("cargo-deny") } else { &installed };
    if !on_path && !installed.exists() {
        eprintln_step("installing cargo-deny into target/tools (once, some minutes)");
        let tools = tools.to_string_lossy().into_owned();
        let version = format!("cargo-deny@{CARGO_DENY}");
        let install = ["install", &version, "--locked", "--root", &tools];
        step(root, "install cargo-deny", &install, &[("CARGO_TARGET_DIR", "target/tools/build")])?;
        // Its build is ten times as large as the program.
        let _ = std::fs::remove_dir_all(root.join("target/tools/build"));
    }
    eprintln_step("licences, bans, sources");
    let status = Command::new(program)
        .current_dir(root)
        .args(["--log-level", "error", "check", "licenses", "bans", "sources"])
        .status()
        .with_context(|| format!("cannot run {}", program.display()))?;
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
