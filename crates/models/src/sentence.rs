//! The settings of a sentence-transformers directory: how token vectors become one.

use std::path::Path;

use crate::checkpoint::exists;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::heads::Pooling;

/// What `modules.json`, `1_Pooling/config.json` and `sentence_bert_config.json` say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SentenceSettings {
    pub(crate) pooling: Option<Pooling>,
    pub(crate) max_tokens: Option<usize>,
}

impl SentenceSettings {
    /// Reads them; none if the directory is not one of sentence-transformers.
    pub(crate) fn open(dir: &Path) -> Result<Option<Self>> {
        if !exists(&dir.join("modules.json"))? {
            return Ok(None);
        }
        let mut settings = Self::default();
        let pooling = dir.join("1_Pooling");
        if exists(&pooling.join("config.json"))? {
            let config = Config::open(&pooling)?;
            let first = config.flag_or("pooling_mode_cls_token", false)?;
            let mean = config.flag_or("pooling_mode_mean_tokens", true)?;
            settings.pooling = Some(match (first, mean) {
                (true, false) => Pooling::First,
                (false, true) => Pooling::Mean,
                _ => {
                    let path = config.path().to_owned();
                    let what = "pooling: expected mean tokens or the CLS token alone".to_owned();
                    return Err(Error::Unsupported { path, what });
                }
            });
        }
        let limits = dir.join("sentence_bert_config.json");
        if exists(&limits)? {
            let bytes = crate::checkpoint::read_file(&limits, 1 << 20, "a configuration")?;
            let config = Config::parse(limits, &bytes)?;
            if !config.is_absent("max_seq_length") {
                settings.max_tokens = Some(config.count("max_seq_length")?);
            }
        }
        Ok(Some(settings))
    }
}
