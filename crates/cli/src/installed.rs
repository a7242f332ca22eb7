//! Models that are found by name though they are not inside the binary: those of a checkout, and
//! those that `glossator models get` has fetched.

use std::path::{Path, PathBuf};

/// Where a model is looked for by its name, in this order: `GLOSSATOR_MODELS` (directories, apart as
/// in `PATH`), the folder for a user's data, `models` in the directory at hand, and in the checkout
/// that the program was built in, if it still stands there.
pub(crate) fn places() -> Vec<PathBuf> {
    let mut places = Vec::new();
    if let Some(list) = std::env::var_os("GLOSSATOR_MODELS") {
        places.extend(std::env::split_paths(&list).filter(|dir| !dir.as_os_str().is_empty()));
    }
    places.extend(home());
    places.push(PathBuf::from("models"));
    if let Ok(program) = std::env::current_exe() {
        // <checkout>/target/<profile>/glossator
        places.extend(program.ancestors().skip(3).take(1).map(|root| root.join("models")));
    }
    places
}

/// The folder for models that are fetched: of the user's data, as each system has it.
pub(crate) fn home() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|dir| !dir.is_empty()).map(PathBuf::from);
    let data = if cfg!(windows) {
        set("LOCALAPPDATA")
    } else if cfg!(target_os = "macos") {
        set("HOME").map(|home| home.join("Library/Application Support"))
    } else {
        set("XDG_DATA_HOME").or_else(|| set("HOME").map(|home| home.join(".local/share")))
    };
    data.map(|data| data.join("glossator/models"))
}

/// The model of that name: the first directory that holds one.
pub(crate) fn find(name: &Path) -> Option<PathBuf> {
    places().into_iter().map(|place| place.join(name)).find(|dir| is_model(dir))
}

/// The models there are, by name, each once.
pub(crate) fn all() -> Vec<(String, PathBuf)> {
    let mut found: Vec<(String, PathBuf)> = Vec::new();
    for place in places() {
        let Ok(entries) = std::fs::read_dir(&place) else { continue };
        for dir in entries.flatten().map(|entry| entry.path()) {
            let Some(name) = dir.file_name().and_then(|name| name.to_str()) else { continue };
            if is_model(&dir) && !found.iter().any(|(known, _)| known == name) {
                found.push((name.to_owned(), dir));
            }
        }
    }
    found.sort();
    found
}

/// Whether a directory holds a model: a configuration, or a GGUF file.
fn is_model(dir: &Path) -> bool {
    if dir.join("config.json").is_file() {
        return true;
    }
    let Ok(entries) = std::fs::read_dir(dir) else { return false };
    entries.flatten().any(|entry| entry.path().extension().is_some_and(|end| end == "gguf"))
}
