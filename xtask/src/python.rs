//! The Python environment of the reference scripts and peers.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// Installed without its dependencies: see tools/requirements-textattack.txt.
const TEXTATTACK: &str = "textattack==0.3.11";

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

/// The interpreter of `target/python-textattack`: TextAttack, with PyTorch and transformers as they
/// are in `target/python`.
pub(crate) fn textattack(root: &Path) -> Result<PathBuf> {
    let packages = |python: &Path| -> Result<PathBuf> {
        let program = "import sysconfig; print(sysconfig.get_path('purelib'))";
        let output = Command::new(python).args(["-c", program]).output()?;
        Ok(PathBuf::from(String::from_utf8(output.stdout)?.trim()))
    };
    let base = packages(&environment(root)?)?;
    let home = root.join("target/python-textattack");
    let python = home.join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" });
    if !python.exists() {
        run(Command::new("python3").args(["-m", "venv"]).arg(&home))?;
    }
    let link = packages(&python)?.join("torch.pth");
    std::fs::write(&link, format!("{}\n", base.display()))
        .with_context(|| link.display().to_string())?;
    let pip = || {
        let mut pip = Command::new(&python);
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
        pip
    };
    run(pip().arg("-r").arg(root.join("tools/requirements-textattack.txt")))?;
    run(pip().args(["--no-deps", TEXTATTACK]))?;
    Ok(python)
}

fn run(command: &mut Command) -> Result<()> {
    let shown = format!("{command:?}");
    let status = command.status().with_context(|| format!("cannot run {shown}"))?;
    if status.success() { Ok(()) } else { bail!("failed: {shown}") }
}
