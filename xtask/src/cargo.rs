//! Cargo, started as if from a shell.

use std::path::Path;
use std::process::Command;

/// A cargo in the workspace. What cargo tells this program about its own package is taken away:
/// build scripts that look at those variables (that of `ring` does) would take the change for one of
/// theirs, and half of the workspace would be built again after each `cargo run`.
pub(crate) fn cargo(root: &Path) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| env!("CARGO").into());
    let mut command = Command::new(program);
    command.current_dir(root);
    for (name, _) in std::env::vars_os() {
        let about_us = name.to_str().is_some_and(|name| {
            name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
        });
        if about_us {
            command.env_remove(name);
        }
    }
    command
}
