//! Everything a run needs to go on as if nothing had happened, in one file that is replaced in one
//! step: whoever is killed while it is written leaves the one before.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use glossator_ops::Var;
use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensorError, SafeTensors};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::optimizer::{in_place, read};

/// Where a run is, apart from weights.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct State {
    /// Steps that are done. Batches, masks and dropout are functions of it.
    pub(super) step: u64,
    /// Whether there is nothing left to train.
    pub(super) done: bool,
    /// Bytes of the log.
    pub(super) log: u64,
    /// Seconds of training.
    pub(super) seconds: f64,
    /// Tokens that were seen.
    pub(super) tokens: u64,
    /// The best measurement.
    pub(super) best: Option<Best>,
    /// Measurements since then.
    pub(super) since_best: u32,
}

/// The best measurement of a run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Best {
    pub(super) step: u64,
    pub(super) value: f64,
}

/// The key of the state among a file's metadata.
const STATE: &str = "state";

/// Writes weights, slots of the optimiser and state.
pub(super) fn save(
    path: &Path,
    variables: &[(String, Var)],
    slots: &[Vec<Vec<f32>>],
    state: &State,
) -> Result<()> {
    let mut weights = Vec::with_capacity(variables.len());
    for (_, var) in variables {
        weights.push(read(var, <[f32]>::to_vec)?);
    }
    let mut tensors = Vec::new();
    for (v, (name, var)) in variables.iter().enumerate() {
        tensors.push((format!("weights/{name}"), view(path, var.dims(), &weights[v])?));
        for (s, slot) in slots.get(v).into_iter().flatten().enumerate() {
            tensors.push((format!("slot{s}/{name}"), view(path, var.dims(), slot)?));
        }
    }
    let state = serde_json::to_string(state).map_err(|error| damaged(path, &error))?;
    let metadata = HashMap::from([(STATE.to_owned(), state)]);
    replace(path, |to| {
        safetensors::serialize_to_file(tensors, Some(metadata), to).map_err(|error| match error {
            SafeTensorError::IoError(error) => Error::io(path, error),
            error => damaged(path, &error),
        })
    })
}

/// Reads what [`save`] wrote into the variables and slots.
pub(super) fn load(
    path: &Path,
    variables: &[(String, Var)],
    slots: &mut [Vec<Vec<f32>>],
) -> Result<State> {
    let bytes = std::fs::read(path).map_err(|error| Error::io(path, error))?;
    let (_, metadata) =
        SafeTensors::read_metadata(&bytes).map_err(|error| damaged(path, &error))?;
    let file = SafeTensors::deserialize(&bytes).map_err(|error| damaged(path, &error))?;
    let state = metadata.metadata().as_ref().and_then(|metadata| metadata.get(STATE));
    let state = state.ok_or_else(|| damaged(path, &"it holds no state"))?;
    let state = serde_json::from_str(state).map_err(|error| damaged(path, &error))?;
    let tensor = |name: String, count: usize| -> Result<Vec<f32>> {
        let tensor = file.tensor(&name).map_err(|error| damaged(path, &error))?;
        let (chunks, rest) = tensor.data().as_chunks::<4>();
        if tensor.dtype() != Dtype::F32 || chunks.len() != count || !rest.is_empty() {
            return Err(damaged(path, &format!("the tensor {name:?} has another shape")));
        }
        Ok(chunks.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect())
    };
    for (v, (name, var)) in variables.iter().enumerate() {
        let weights = tensor(format!("weights/{name}"), var.elem_count())?;
        in_place(var, |elements| elements.copy_from_slice(&weights))?;
        for (s, slot) in slots.get_mut(v).into_iter().flatten().enumerate() {
            *slot = tensor(format!("slot{s}/{name}"), var.elem_count())?;
        }
    }
    Ok(state)
}

fn view<'a>(path: &Path, dims: &[usize], elements: &'a [f32]) -> Result<TensorView<'a>> {
    TensorView::new(Dtype::F32, dims.to_vec(), bytemuck::cast_slice(elements))
        .map_err(|error| damaged(path, &error))
}

fn damaged(path: &Path, what: &dyn std::fmt::Display) -> Error {
    let hint = "delete the directory of the run and start again";
    Error::data(path.display(), format!("the checkpoint cannot be used: {what}"), hint)
}

/// Writes a file beside its place, waits until it is on the disk, and puts it in its place.
pub(super) fn replace(path: &Path, write: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let temporary = temporary(path);
    let finish = || -> Result<()> {
        write(&temporary)?;
        let fail = |error| Error::io(path, error);
        File::open(&temporary).and_then(|file| file.sync_all()).map_err(fail)?;
        std::fs::rename(&temporary, path).map_err(fail)?;
        sync_directory(path).map_err(fail)
    };
    let result = finish();
    if result.is_err() {
        // Half a file only takes room.
        let _ = std::fs::remove_file(&temporary);
    }
    result
}

/// A new name lasts only once its directory is on the disk.
fn sync_directory(path: &Path) -> std::io::Result<()> {
    #[cfg(unix)]
    if let Some(dir) = path.parent() {
        File::open(if dir == Path::new("") { Path::new(".") } else { dir })?.sync_all()?;
    }
    Ok(())
}

fn temporary(path: &Path) -> PathBuf {
    let mut name = path.to_owned();
    name.as_mut_os_string().push(".tmp");
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use glossator_ops::Device;

    #[test]
    fn what_was_saved_comes_back_and_damage_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.safetensors");
        let var = |values: &[f32]| Var::new(values, &Device::Cpu).unwrap();
        let variables = vec![("a".to_owned(), var(&[1.0, 2.0])), ("b".to_owned(), var(&[3.0]))];
        let slots = vec![vec![vec![4.0, 5.0]], vec![vec![6.0]]];
        let best = Some(Best { step: 2, value: 0.1 });
        let state = State { step: 7, seconds: 0.1, best, ..State::default() };
        save(&path, &variables, &slots, &state).unwrap();
        let others = vec![("a".to_owned(), var(&[0.0; 2])), ("b".to_owned(), var(&[0.0]))];
        let mut empty = vec![vec![vec![0.0; 2]], vec![vec![0.0]]];
        assert_eq!(load(&path, &others, &mut empty).unwrap(), state);
        assert_eq!(empty, slots);
        assert_eq!(others[0].1.to_vec1::<f32>().unwrap(), [1.0, 2.0]);
        assert!(!temporary(&path).exists());

        let error = load(&path, &[("c".to_owned(), var(&[0.0]))], &mut []).unwrap_err();
        assert!(error.to_string().contains("the checkpoint cannot be used"), "{error}");
        let bytes = std::fs::read(&path).unwrap();
        for length in [0, 7, 20, bytes.len() - 1] {
            std::fs::write(&path, &bytes[..length]).unwrap();
            assert!(load(&path, &others, &mut empty).is_err(), "{length}");
        }
    }

    #[test]
    fn a_file_that_cannot_be_written_leaves_the_old_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, "old").unwrap();
        let full = std::io::ErrorKind::StorageFull;
        let error = replace(&path, |to| {
            std::fs::write(to, "ne").unwrap();
            Err(Error::io(&path, full.into()))
        });
        assert!(error.unwrap_err().hint().unwrap().contains("make room"));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "old");
        assert!(!temporary(&path).exists());
    }
}
