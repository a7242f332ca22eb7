//! `cargo xtask golden`: writes the reference numbers again, with PyTorch and Captum.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::python;

/// The scripts with their arguments, in the order in which they depend on each other.
const SCRIPTS: [&[&str]; 12] = [
    &["make_models.py"],
    &["bert_golden.py"],
    &["captum_golden.py"],
    &["tokenizer_golden.py"],
    &["make_family_models.py"],
    &["family_golden.py"],
    &["task_golden.py"],
    &["recurrent_golden.py"],
    &["classic_golden.py"],
    &["gguf_golden.py", "blocks"],
    &["gguf_golden.py", "tiny"],
    &["optimizer_golden.py"],
];

/// Runs every script; `git diff testdata` then shows what changed, which should be nothing.
pub(crate) fn run(root: &Path, args: &[String]) -> Result<()> {
    if let Some(unknown) = args.first() {
        bail!("cargo xtask golden takes no arguments, got {unknown:?}");
    }
    let python = python::environment(root)?;
    for command in SCRIPTS {
        let [script, arguments @ ..] = command else { continue };
        let path = root.join("tools/reference").join(script);
        let status = Command::new(&python)
            .current_dir(root)
            .arg(&path)
            .args(arguments)
            .status()
            .with_context(|| format!("cannot run {}", python.display()))?;
        if !status.success() {
            bail!("tools/reference/{script} failed");
        }
    }
    Ok(())
}
