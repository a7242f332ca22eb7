//! LoRA adapters as peft saves them: a small change to some matrices of another model.
//!
//! `W` becomes `W + s B A`, with `A: [r, in]`, `B: [out, r]` and `s` = alpha / r, or alpha / √r
//! (rank-stabilised). It is computed in double precision when the tensor is read, so that the base
//! model's file stays as it is and is mapped, not copied.
//!
//! # References
//! LoRA: Hu et al. 2021, arXiv 2106.09685. Its rank-stabilised form: Kalajdzievski 2023, arXiv
//! 2312.03732.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use glossator_ops::{Device, Tensor};

use super::bytes::{Bytes, check_directory, exists};
use super::tensor::{RawTensor, RawType};
use super::view::Entry;
use super::{Checkpoint, read_file};
use crate::config::Config;
use crate::error::{Error, Result, clip};

/// The settings beside an adapter's weights.
const SETTINGS: &str = "adapter_config.json";

/// The files that may hold an adapter's weights, in the order in which they are looked for.
const CANDIDATES: &[&str] = &["adapter_model.safetensors", "adapter_model.bin"];

const MAX_SETTINGS: u64 = 16 << 20;

/// What names of tensors begin with: the wrapper, and the model in it.
const PREFIX: &str = "base_model.model.";

/// Whether a path is the directory of an adapter.
///
/// # Errors
/// If the system does not say.
pub(crate) fn is_one(path: &Path) -> Result<bool> {
    Ok(path.is_dir() && exists(&path.join(SETTINGS))?)
}

/// An adapter's settings and where its weights are.
#[derive(Debug)]
pub(crate) struct Adapter {
    settings: Config,
    weights: PathBuf,
    rank: usize,
    alpha: f64,
    stabilised: bool,
    transposed: bool,
}

/// A change to one matrix.
#[derive(Debug)]
pub(super) struct Change {
    /// `A`
    down: Entry,
    /// `B`
    up: Entry,
    scale: f64,
    /// Whether the matrix is stored as `[in, out]`.
    transposed: bool,
}

/// The two parts of a change, while they are collected.
#[derive(Default)]
struct Parts {
    down: Option<Entry>,
    up: Option<Entry>,
    embedding: bool,
}

impl Adapter {
    /// Reads the settings of the adapter in `dir`.
    ///
    /// # Errors
    /// If they cannot be read, or ask for what is not supported.
    pub(crate) fn open(dir: &Path) -> Result<Self> {
        check_directory(dir)?;
        let path = dir.join(SETTINGS);
        let bytes = read_file(&path, MAX_SETTINGS, "settings of an adapter")?;
        let settings = Config::parse(path, &bytes)?;
        if settings.string("peft_type")? != Some("LORA") {
            return Err(settings.unsupported("peft_type", "\"LORA\""));
        }
        if !matches!(settings.string("bias")?, None | Some("none")) {
            return Err(settings.unsupported("bias", "\"none\""));
        }
        for key in ["use_dora", "use_qalora", "lora_bias"] {
            if settings.flag_or(key, false)? {
                return Err(settings.unsupported(key, "false"));
            }
        }
        let absent = [
            "layer_replication",
            "megatron_config",
            "trainable_token_indices",
            "alora_invocation_tokens",
            "target_parameters",
        ];
        if let Some(key) = absent.into_iter().find(|key| !settings.is_absent(key)) {
            return Err(settings.unsupported(key, "null"));
        }
        // Others change the base model's weights when training begins.
        let starts = settings.flag_or("init_lora_weights", true).is_ok()
            || ["gaussian", "eva", "orthogonal"]
                .map(Some)
                .contains(&settings.string("init_lora_weights")?);
        if !starts {
            return Err(settings.unsupported("init_lora_weights", "true or \"gaussian\""));
        }
        let (rank, alpha) = (settings.count("r")?, settings.number_or("lora_alpha", 8.0)?);
        let stabilised = settings.flag_or("use_rslora", false)?;
        let transposed = settings.flag_or("fan_in_fan_out", false)?;
        for name in CANDIDATES {
            let weights = dir.join(name);
            if exists(&weights)? {
                return Ok(Self { settings, weights, rank, alpha, stabilised, transposed });
            }
        }
        Err(Error::NoWeights { dir: dir.to_owned(), looked_for: CANDIDATES, found: None })
    }

    /// What the settings call the model that is changed.
    ///
    /// # Errors
    /// If they do not name it.
    pub(crate) fn base(&self) -> Result<&str> {
        let key = "base_model_name_or_path";
        let base = self.settings.string(key)?.filter(|base| !base.is_empty());
        base.ok_or_else(|| self.settings.bad(key, "the directory of a model"))
    }

    /// The settings.
    pub(crate) fn settings(&self) -> &Config {
        &self.settings
    }

    /// `s` of a module: patterns give some an alpha or a rank of their own.
    fn scale(&self, module: &str, rank: usize) -> Result<f64> {
        let found = self.pattern("rank_pattern", module)?;
        let expected = found.unwrap_or(self.rank as f64);
        if rank as f64 != expected {
            let what = format!("expected rank {expected} of {module:?}, got {rank}");
            return Err(Error::tensor(&self.weights, module, what));
        }
        let alpha = self.pattern("alpha_pattern", module)?.unwrap_or(self.alpha);
        Ok(alpha / if self.stabilised { expected.sqrt() } else { expected })
    }

    /// The number that a pattern gives to a module: by its name, or by the end of it.
    fn pattern(&self, key: &str, module: &str) -> Result<Option<f64>> {
        let Some(section) = self.settings.section(key)? else { return Ok(None) };
        for name in section.keys() {
            let plain = name.chars().all(|c| c.is_alphanumeric() || ".-_".contains(c));
            if !plain {
                return Err(self.settings.unsupported(key, "names of modules"));
            }
            let end = module.strip_suffix(name);
            if end.is_some_and(|before| before.is_empty() || before.ends_with('.')) {
                return section.number_or(name, 0.0).map(Some);
            }
        }
        Ok(None)
    }
}

impl Checkpoint {
    /// Changes what this gives from now on. `prefix`: what names of the family begin with, except
    /// where a bare model was saved. Gives the names of the tensors that were replaced.
    ///
    /// # Errors
    /// If the adapter is damaged, or changes a tensor that is not there or has another shape.
    pub(crate) fn adapt(&mut self, adapter: &Adapter, prefix: &str) -> Result<Vec<String>> {
        let path = adapter.weights.as_path();
        let mut parts = BTreeMap::<String, Parts>::new();
        let mut replaced = Vec::new();
        for (name, entry) in self.add_file(path.to_owned())? {
            let bare = name.strip_prefix(PREFIX).unwrap_or(&name);
            let part = |ending: &str| bare.strip_suffix(ending);
            let (module, is_down, embedding) = if let Some(module) = part(".lora_A.weight") {
                (module, true, false)
            } else if let Some(module) = part(".lora_B.weight") {
                (module, false, false)
            } else if let Some(module) = part(".lora_embedding_A") {
                (module, true, true)
            } else if let Some(module) = part(".lora_embedding_B") {
                (module, false, true)
            } else {
                if bare.contains("lora_") {
                    return Err(Error::tensor(path, &name, "a part of LoRA that is not known"));
                }
                // Saved whole: a new head, or embeddings with more rows.
                let bare = bare.replace(".modules_to_save.", ".");
                let bare = bare.replace(".base_layer.", ".").replace(".default.", ".");
                let name = self.target(&bare, prefix).unwrap_or(bare);
                self.tensors.insert(name.clone(), entry);
                replaced.push(name);
                continue;
            };
            let known = parts.entry(module.to_owned()).or_default();
            let place = if is_down { &mut known.down } else { &mut known.up };
            if place.replace(entry).is_some() || (known.embedding && !embedding) {
                return Err(Error::tensor(path, &name, "it stands twice"));
            }
            known.embedding = embedding;
        }
        if parts.is_empty() && replaced.is_empty() {
            return Err(Error::weights(path, "the adapter has no tensors"));
        }
        for (module, parts) in parts {
            self.add_change(adapter, prefix, &module, parts)?;
        }
        Ok(replaced)
    }

    fn add_change(
        &mut self,
        adapter: &Adapter,
        prefix: &str,
        module: &str,
        parts: Parts,
    ) -> Result<()> {
        let bad = |what: String| Error::tensor(&adapter.weights, module, what);
        let (Some(down), Some(up)) = (parts.down, parts.up) else {
            return Err(bad("expected both lora_A and lora_B, got one of them".to_owned()));
        };
        let target = format!("{module}.weight");
        let target = self.target(&target, prefix).ok_or_else(|| {
            bad(format!("the model that is adapted has no tensor {:?}", clip(target)))
        })?;
        let shape = self.describe(&target).map(|(shape, _)| shape.to_vec()).unwrap_or_default();
        let (&[rank, n_in], &[n_out, other]) = (&*down.view.shape, &*up.view.shape) else {
            return Err(bad("expected matrices for lora_A and lora_B".to_owned()));
        };
        if rank != other || rank == 0 {
            return Err(bad(format!("lora_A has rank {rank}, lora_B {other}")));
        }
        // An embedding is a table of the columns of its map.
        let transposed = adapter.transposed || parts.embedding;
        let expected = if transposed { [n_in, n_out] } else { [n_out, n_in] };
        if shape != expected {
            return Err(bad(format!("the change has shape {expected:?}, the tensor {shape:?}")));
        }
        let scale = adapter.scale(module, rank)?;
        self.changes.insert(target, Change { down, up, scale, transposed });
        Ok(())
    }

    /// The name under which there is a tensor: as it is, or without or with the family's prefix.
    fn target(&self, name: &str, prefix: &str) -> Option<String> {
        let bare = name.strip_prefix(prefix).map(str::to_owned);
        let all = [Some(name.to_owned()), bare, Some(format!("{prefix}{name}"))];
        all.into_iter().flatten().find(|name| self.contains(name))
    }

    /// A tensor with its change.
    pub(super) fn changed(&self, raw: RawTensor, change: &Change) -> Result<RawTensor> {
        let matrix = |entry: &Entry| {
            let part = self.read(&raw.name, entry)?;
            Ok::<_, Error>(Tensor::from_vec(part.to_f64_vec()?, &*part.shape, &Device::Cpu)?)
        };
        let mut delta = matrix(&change.up)?.matmul(&matrix(&change.down)?)?;
        if change.transposed {
            delta = delta.t()?.contiguous()?;
        }
        let mut numbers = raw.to_f64_vec()?;
        let delta = delta.flatten_all()?.to_vec1::<f64>()?;
        for (number, delta) in numbers.iter_mut().zip(delta) {
            *number += change.scale * delta;
        }
        let bytes = Bytes::from_numbers(numbers);
        Ok(RawTensor { dtype: RawType::F64, bytes, ..raw })
    }
}
