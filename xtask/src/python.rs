//! The Python environment of the reference scripts and peers.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// The interpreter of `target/python`, with everything in `tools/requirements.txt` installed.
pub(crate) fn environment(root: &Path) -> Result<PathBuf> {
    let home = root.join("target/python");
    let python = home.join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" });
    if !python.exists() {
        run(Command::new("python3").args(["-m", "venv"]).arg(&home))
            .context("python3 with venv is needed (on Debian: apt install python3-venv)")?;
    }
    // pip sees in a second whether everything is there already.
    run(Command::new(&python)
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"])
        .arg(root.join("tools/requirements.txt")))?;
    Ok(python)
}

fn run(command: &mut Command) -> Result<()> {
    let shown = format!("{command:?}");
    let status = command.status().with_context(|| format!("cannot run {shown}"))?;
    if status.success() { Ok(()) } else { bail!("failed: {shown}") }
}
