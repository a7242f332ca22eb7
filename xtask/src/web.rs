//! The front end: is the committed bundle what its sources make, and does the page work in a browser?
//!
//! Cargo needs no Node: the bundle is committed, and a hash of its sources beside it says whether it
//! is current. With Node, it is built again and compared byte by byte, and the page is tested in
//! Chromium. What is missing on a developer's machine is said aloud and left out; in continuous
//! integration (`CI=true`) it is a failure, or is installed.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest as _, Sha256};

/// What a bundle is made of, as in `web/scripts/build.mjs`.
const SOURCES: [&str; 5] =
    ["index.html", "package-lock.json", "package.json", "tsconfig.json", "vite.config.ts"];
const FOLDERS: [&str; 2] = ["scripts", "src"];

/// What the build writes.
const BUNDLE: [&str; 5] = ["app.css", "app.js", "elements.js", "index.html", "sources.sha256"];

/// The browser of the end-to-end tests; `CHROMIUM` names another.
const CHROMIUM: &str = "/usr/bin/chromium";

/// Runs all steps; `note` tells what is done.
pub(crate) fn check(root: &Path, note: &dyn Fn(&str)) -> Result<()> {
    let web = root.join("web");
    note("front end: the bundle is of the sources that are there");
    current(&web)?;
    let ci = std::env::var_os("CI").is_some_and(|value| value == "true");
    if !works("node") || !works("npm") {
        ensure!(!ci, "Node 20 and npm are missing: the front end cannot be tested");
        note("NOT TESTED: the front end. Install Node 20 or newer and npm");
        return Ok(());
    }
    for (name, arguments) in [
        ("packages", &["ci"][..]),
        ("types", &["run", "check"]),
        ("lints", &["run", "lint"]),
        ("tests", &["test"]),
    ] {
        note(&format!("front end, {name}: npm {}", arguments.join(" ")));
        run(Command::new("npm").args(arguments).current_dir(&web))?;
    }
    note("front end: the bundle is what its sources make");
    rebuilt(root, &web)?;
    browser(root, &web, ci, note)
}

/// Compares the hash that the build wrote with that of the sources.
fn current(web: &Path) -> Result<()> {
    let path = web.join("dist/sources.sha256");
    let written = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let hash = sources_hash(web)?;
    ensure!(
        written.trim() == hash,
        "web/dist was built from other sources; in web/: npm ci && npm run build"
    );
    Ok(())
}

/// The hash of all sources: of each, in order, its path, a zero byte, its bytes, a zero byte.
fn sources_hash(web: &Path) -> Result<String> {
    let mut files: Vec<String> = SOURCES.map(str::to_owned).into();
    for folder in FOLDERS {
        walk(web, Path::new(folder), &mut files)?;
    }
    files.sort();
    let mut hash = Sha256::new();
    for file in files {
        let bytes = std::fs::read(web.join(&file)).with_context(|| format!("web/{file}"))?;
        hash.update(file.as_bytes());
        hash.update([0]);
        hash.update(bytes);
        hash.update([0]);
    }
    let mut text = String::new();
    for byte in hash.finalize() {
        write!(text, "{byte:02x}")?;
    }
    Ok(text)
}

/// Adds all files below `folder`, with slashes on every system.
fn walk(web: &Path, folder: &Path, files: &mut Vec<String>) -> Result<()> {
    let place = web.join(folder);
    for entry in std::fs::read_dir(&place).with_context(|| place.display().to_string())? {
        let entry = entry?;
        let path = folder.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            walk(web, &path, files)?;
        } else {
            files.push(path.to_string_lossy().replace('\\', "/"));
        }
    }
    Ok(())
}

/// Builds the bundle into a folder of its own and compares it with the one that is committed.
fn rebuilt(root: &Path, web: &Path) -> Result<()> {
    let out = root.join("target/web");
    run(Command::new("node").arg("scripts/build.mjs").arg(&out).current_dir(web))?;
    for name in BUNDLE {
        let (made, kept) = (out.join(name), web.join("dist").join(name));
        let read = |path: &PathBuf| std::fs::read(path).with_context(|| path.display().to_string());
        ensure!(
            read(&made)? == read(&kept)?,
            "web/dist/{name} is not what its sources make; in web/: npm run build"
        );
    }
    Ok(())
}

/// Tests the page in Chromium, against the program that is built.
fn browser(root: &Path, web: &Path, ci: bool, note: &dyn Fn(&str)) -> Result<()> {
    let chromium = std::env::var_os("CHROMIUM").map_or_else(|| CHROMIUM.into(), PathBuf::from);
    if !chromium.exists() && is_root() {
        note("front end: installing Chromium");
        run(Command::new("apt-get").args(["update", "-q"]))?;
        let install = ["install", "-y", "-q", "--no-install-recommends", "chromium"];
        run(Command::new("apt-get").args(install).env("DEBIAN_FRONTEND", "noninteractive"))?;
    }
    if !chromium.exists() {
        let path = chromium.display();
        ensure!(!ci, "there is no Chromium at {path}: the page cannot be tested");
        note(&format!("NOT TESTED: the page in a browser. There is no Chromium at {path}"));
        return Ok(());
    }
    let program =
        root.join("target/release").join(format!("glossator{}", std::env::consts::EXE_SUFFIX));
    ensure!(program.exists(), "{} is not built", program.display());
    note("front end, in a browser: npm run e2e");
    run(Command::new("npm")
        .args(["run", "e2e"])
        .current_dir(web)
        .env("CHROMIUM", chromium)
        .env("GLOSSATOR", program))
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output();
    output.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

fn works(program: &str) -> bool {
    let output = Command::new(program).arg("--version").output();
    output.is_ok_and(|output| output.status.success())
}

fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot run {command:?}"))?;
    if !status.success() {
        bail!("{command:?} ended with {status}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_sees_names_and_bytes() -> Result<()> {
        let web = std::env::temp_dir().join(format!("glossator-web-{}", std::process::id()));
        std::fs::create_dir_all(web.join("src/deep"))?;
        std::fs::create_dir_all(web.join("scripts"))?;
        for file in SOURCES {
            std::fs::write(web.join(file), file)?;
        }
        let empty = sources_hash(&web)?;
        std::fs::write(web.join("src/deep/a.ts"), "1")?;
        let one = sources_hash(&web)?;
        std::fs::write(web.join("src/deep/a.ts"), "2")?;
        let other = sources_hash(&web)?;
        std::fs::rename(web.join("src/deep/a.ts"), web.join("src/a.ts"))?;
        let moved = sources_hash(&web)?;
        std::fs::remove_dir_all(&web)?;
        assert!(empty != one && one != other && other != moved);
        Ok(())
    }

    #[test]
    fn the_committed_bundle_is_current() -> Result<()> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("no workspace")?;
        current(&root.join("web"))
    }
}
