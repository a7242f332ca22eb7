//! Fetching a model into the cache.
//!
//! Of a repository only the files are fetched that this program reads. A file is written beside its
//! final place, checked, and then moved there; the name of the revision is written last. What is in
//! the cache is therefore always whole.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::id::is_hash;
use super::{Hub, ModelId};
use crate::checkpoint::{exists, is_plain_name};
use crate::error::{Error, Result, clip};

/// The longest answer that describes a repository; its largest have some thousand files.
const MAX_LISTING: u64 = 64 << 20;

/// The longest index of shards.
const MAX_INDEX: u64 = 100_000_000;

/// How often a broken transfer is continued.
const ATTEMPTS: usize = 5;

/// Files beside the weights.
const SMALL: [&str; 11] = [
    "config.json",
    "adapter_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.txt",
    "generation_config.json",
    "modules.json",
    "1_Pooling/config.json",
    "sentence_bert_config.json",
    "README.md",
];

/// Weights, or the index of their shards; the first that there is.
const WEIGHTS: [&str; 4] = [
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
];

/// Weights of an adapter.
const ADAPTERS: [&str; 2] = ["adapter_model.safetensors", "adapter_model.bin"];

/// How far a download is.
#[derive(Debug, Clone, Copy)]
pub struct Progress<'a> {
    /// The file that is being fetched.
    pub file: &'a str,
    /// Its number, from 0.
    pub index: usize,
    /// How many files there are.
    pub files: usize,
    /// The bytes of it that are there.
    pub done: u64,
    /// The bytes that it has.
    pub total: u64,
}

/// A repository as the hub describes it.
#[derive(Deserialize)]
struct Listing {
    sha: String,
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sibling {
    #[serde(rename = "rfilename")]
    name: String,
    size: Option<u64>,
    blob_id: Option<String>,
    lfs: Option<Lfs>,
}

#[derive(Deserialize)]
struct Lfs {
    sha256: String,
    size: u64,
}

impl Sibling {
    /// The name of its content in the cache, as `huggingface_hub` has it.
    fn hash(&self) -> Option<&str> {
        let hash = match &self.lfs {
            Some(lfs) => Some(lfs.sha256.as_str()),
            None => self.blob_id.as_deref(),
        };
        hash.filter(|hash| is_hash(hash))
    }

    fn size(&self) -> Option<u64> {
        self.lfs.as_ref().map(|lfs| lfs.size).or(self.size)
    }
}

impl Hub {
    /// Fetches what this program reads of a model, and gives its directory in the cache.
    ///
    /// # Errors
    /// If the model cannot be reached or read, or a file arrives damaged.
    pub fn download(
        &self,
        id: &ModelId,
        progress: &mut dyn FnMut(&Progress<'_>),
    ) -> Result<PathBuf> {
        Fetcher::new(self, id).run(progress)
    }
}

/// One download.
struct Fetcher<'a> {
    hub: &'a Hub,
    id: &'a ModelId,
    agent: ureq::Agent,
    repository: PathBuf,
}

impl<'a> Fetcher<'a> {
    fn new(hub: &'a Hub, id: &'a ModelId) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(Duration::from_secs(30)))
            .timeout_recv_response(Some(Duration::from_secs(60)))
            .redirect_auth_headers(ureq::config::RedirectAuthHeaders::SameHost)
            .user_agent(concat!("glossator/", env!("CARGO_PKG_VERSION")));
        // A proxy is for the world, not for this machine.
        let config = if is_loopback(&hub.endpoint) { config.proxy(None) } else { config };
        let agent = config.build().into();
        Self { hub, id, agent, repository: hub.repository(id) }
    }

    fn run(&self, progress: &mut dyn FnMut(&Progress<'_>)) -> Result<PathBuf> {
        let listing = self.listing()?;
        let snapshot = self.repository.join("snapshots").join(&listing.sha);
        for dir in [&snapshot, &self.repository.join("blobs"), &self.repository.join("refs")] {
            fs::create_dir_all(dir).map_err(|error| Error::io(dir, error))?;
        }
        let mut files = self.choose(&listing)?;
        // An index is fetched first: it says which files follow.
        if let Some(at) = files.iter().position(|file| file.name.ends_with(".index.json")) {
            let index = files.remove(at);
            let one = |done, total| Progress { file: &index.name, index: 0, files: 1, done, total };
            let path = self.fetch(&listing, index, &snapshot, &mut |done, total| {
                progress(&one(done, total));
            })?;
            files.extend(self.shards(&listing, &path)?);
        }
        // What makes a directory a model comes last, so that it is one only when it is whole.
        files.sort_by_key(|file| file.name == SMALL[0] || file.name == SMALL[1]);
        for (i, file) in files.iter().enumerate() {
            let one = |done, total| Progress {
                file: &file.name,
                index: i,
                files: files.len(),
                done,
                total,
            };
            self.fetch(&listing, file, &snapshot, &mut |done, total| progress(&one(done, total)))?;
        }
        self.name_revision(&listing.sha)?;
        Ok(snapshot)
    }

    /// The files of the repository.
    fn listing(&self) -> Result<Listing> {
        let (id, revision) = (self.id.repository(), self.id.revision());
        let url = format!("{}/api/models/{id}/revision/{revision}?blobs=true", self.hub.endpoint);
        let mut answer = self.get(&url, 0)?;
        let bytes = answer.body_mut().with_config().limit(MAX_LISTING).read_to_vec();
        let bytes = bytes.map_err(|error| failed(&url, &error))?;
        let listing: Listing =
            serde_json::from_slice(&bytes).map_err(|error| failed(&url, &error))?;
        if !is_hash(&listing.sha) {
            return Err(failed(&url, &"the answer does not name a commit"));
        }
        Ok(listing)
    }

    fn choose<'l>(&self, listing: &'l Listing) -> Result<Vec<&'l Sibling>> {
        let find = |name: &str| listing.siblings.iter().find(|file| file.name == name);
        let first = |names: &[&str]| names.iter().copied().find_map(find);
        let weights = [first(&WEIGHTS), first(&ADAPTERS)];
        let mut chosen: Vec<&Sibling> = weights.into_iter().flatten().collect();
        if !chosen.is_empty() {
            chosen.extend(SMALL.into_iter().filter_map(find));
            return Ok(chosen);
        }
        let is_gguf = |file: &&Sibling| file.name.ends_with(".gguf") && is_plain_name(&file.name);
        let files: Vec<&Sibling> = listing.siblings.iter().filter(is_gguf).collect();
        if files.len() == 1 {
            return Ok(files);
        }
        Err(Error::NothingToDownload { id: self.id.to_string(), gguf: files.len() })
    }

    /// The shards that an index names.
    fn shards<'l>(&self, listing: &'l Listing, index: &Path) -> Result<Vec<&'l Sibling>> {
        #[derive(Deserialize)]
        struct Index {
            weight_map: std::collections::BTreeMap<String, String>,
        }
        let bytes = crate::checkpoint::read_file(index, MAX_INDEX, "an index of shards")?;
        let read: Index = serde_json::from_slice(&bytes)
            .map_err(|error| Error::weights(index, format!("bad index of shards: {error}")))?;
        let mut names: Vec<String> = read.weight_map.into_values().collect();
        names.sort_unstable();
        names.dedup();
        let shard = |name: String| {
            let found = listing.siblings.iter().find(|file| file.name == name);
            found
                .filter(|file| is_plain_name(&file.name))
                .ok_or_else(|| Error::MissingShard { index: index.to_owned(), shard: clip(name) })
        };
        names.into_iter().map(shard).collect()
    }

    /// Fetches one file unless it is there, and gives its path in the snapshot.
    fn fetch(
        &self,
        listing: &Listing,
        file: &Sibling,
        snapshot: &Path,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<PathBuf> {
        let path = snapshot.join(&file.name);
        let (id, name) = (self.id.repository(), &file.name);
        let url = format!("{}/{id}/resolve/{}/{name}", self.hub.endpoint, listing.sha);
        let (Some(hash), Some(size)) = (file.hash(), file.size()) else {
            return Err(failed(&url, &"the hub does not say its size and hash"));
        };
        let blob = self.repository.join("blobs").join(hash);
        let whole = fs::metadata(&blob).is_ok_and(|metadata| metadata.len() == size);
        if !whole {
            self.fetch_blob(&url, file, &blob, size, progress)?;
        }
        progress(size, size);
        if !exists(&path)? {
            link(&blob, &path, name)?;
        }
        Ok(path)
    }

    fn fetch_blob(
        &self,
        url: &str,
        file: &Sibling,
        blob: &Path,
        size: u64,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<()> {
        let part = blob.with_extension("part");
        let open = File::options().create(true).truncate(false).read(true).write(true).open(&part);
        let mut out = open.map_err(|error| Error::io(&part, error))?;
        // Another process that fetches the same file goes first.
        out.lock().map_err(|error| Error::io(&part, error))?;
        if fs::metadata(blob).is_ok_and(|metadata| metadata.len() == size) {
            return Ok(());
        }
        let mut problem = None;
        for attempt in 0..ATTEMPTS {
            let had = out.metadata().map_err(|error| Error::io(&part, error))?.len();
            match self.transfer(url, file, &part, &mut out, size, progress) {
                Ok(()) => {
                    problem = None;
                    break;
                }
                Err(Stop::Final(error)) => return Err(error),
                Err(Stop::Broken(error)) => {
                    let has = out.metadata().map_or(0, |metadata| metadata.len());
                    problem = Some(error);
                    if has <= had && attempt > 0 {
                        break;
                    }
                }
            }
        }
        if let Some(error) = problem {
            return Err(error);
        }
        if let Some(lfs) = &file.lfs {
            let got = sha256(&part, &mut out)?;
            if got != lfs.sha256 {
                // What is wrong cannot be continued.
                let _ = fs::remove_file(&part);
                let what = format!("damaged: expected SHA-256 {}, got {got}", lfs.sha256);
                return Err(failed(url, &what));
            }
        }
        out.sync_all().map_err(|error| Error::io(&part, error))?;
        fs::rename(&part, blob).map_err(|error| Error::io(blob, error))
    }

    /// Appends what is missing of a file.
    fn transfer(
        &self,
        url: &str,
        file: &Sibling,
        part: &Path,
        out: &mut File,
        size: u64,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<(), Stop> {
        let io = |error| Stop::Final(Error::io(part, error));
        let mut done = out.metadata().map_err(io)?.len();
        if done > size {
            done = 0;
        }
        if done < size || size == 0 {
            let answer = self.get(url, done)?;
            let continued = answer.status().as_u16() == 206;
            let header = |name: &str| answer.headers().get(name)?.to_str().ok();
            if continued {
                let range = header("content-range").unwrap_or_default();
                if !range.starts_with(&format!("bytes {done}-")) {
                    return Err(Stop::Final(failed(url, &format!("got another part: {range:?}"))));
                }
            } else {
                done = 0;
            }
            let tag = header("x-linked-etag").or_else(|| header("etag")).unwrap_or_default();
            let tag = tag.trim_start_matches("W/").trim_matches('"').to_owned();
            if is_hash(&tag)
                && tag.len() == file.hash().map_or(0, str::len)
                && file.hash() != Some(&*tag)
            {
                let what =
                    format!("expected the file {}, got {tag}", file.hash().unwrap_or_default());
                return Err(Stop::Final(failed(url, &what)));
            }
            out.set_len(done).map_err(io)?;
            out.seek(SeekFrom::Start(done)).map_err(io)?;
            // One byte more than expected shows that there is more.
            let mut body = answer.into_body().into_reader().take(size - done + 1);
            let mut buffer = vec![0; 1 << 16];
            loop {
                progress(done.min(size), size);
                let read = match body.read(&mut buffer) {
                    Ok(0) => break,
                    Ok(read) => read,
                    Err(error) => return Err(Stop::Broken(failed(url, &error))),
                };
                out.write_all(&buffer[..read]).map_err(io)?;
                done += read as u64;
            }
        } else {
            out.set_len(done).map_err(io)?;
        }
        if done > size {
            out.set_len(0).map_err(io)?;
            let what = format!("damaged: expected {size} bytes, got more");
            return Err(Stop::Final(failed(url, &what)));
        }
        if done < size {
            return Err(Stop::Broken(failed(url, &format!("expected {size} bytes, got {done}"))));
        }
        Ok(())
    }

    /// An answer to a request for what comes after `start` bytes.
    fn get(&self, url: &str, start: u64) -> Result<ureq::http::Response<ureq::Body>, Error> {
        let mut request = self.agent.get(url).header("accept-encoding", "identity");
        if let Some(token) = &self.hub.token {
            // Never in the clear, but for a server on this machine.
            if url.starts_with("https://") || is_loopback(url) {
                request = request.header("authorization", format!("Bearer {token}"));
            }
        }
        if start > 0 {
            request = request.header("range", format!("bytes={start}-"));
        }
        let answer = request.call().map_err(|error| failed(url, &error))?;
        match answer.status().as_u16() {
            200 | 206 => Ok(answer),
            status => Err(Error::Refused { url: url.to_owned(), status }),
        }
    }

    /// Writes which commit the revision is.
    fn name_revision(&self, commit: &str) -> Result<()> {
        if self.id.revision() == commit {
            return Ok(());
        }
        let path = self.repository.join("refs").join(self.id.revision());
        let new = self.repository.join("refs").join(format!(".{}.part", self.id.revision()));
        fs::write(&new, commit).map_err(|error| Error::io(&new, error))?;
        fs::rename(&new, &path).map_err(|error| Error::io(&path, error))
    }
}

/// Why a transfer ended early.
enum Stop {
    /// It may be continued.
    Broken(Error),
    /// Trying again would not help.
    Final(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        match error {
            Error::Refused { status: 429 | 500..=599, .. } | Error::Download { .. } => {
                Self::Broken(error)
            }
            other => Self::Final(other),
        }
    }
}

fn failed(url: &str, what: &dyn std::fmt::Display) -> Error {
    Error::Download { url: url.to_owned(), what: clip(what.to_string().replace('\n', " ")) }
}

/// Whether an address is one of this machine.
fn is_loopback(url: &str) -> bool {
    let host = url.strip_prefix("http://").unwrap_or_default();
    let host = host.split(['/', ':']).next().unwrap_or_default();
    matches!(host, "127.0.0.1" | "localhost")
}

fn sha256(path: &Path, file: &mut File) -> Result<String> {
    let io = |error| Error::io(path, error);
    file.seek(SeekFrom::Start(0)).map_err(io)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = file.read(&mut buffer).map_err(io)?;
        if read == 0 {
            break;
        }
        hasher.update(&buffer[..read]);
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Puts a file of the cache into a snapshot under its name.
fn link(blob: &Path, path: &Path, name: &str) -> Result<()> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir).map_err(|error| Error::io(dir, error))?;
    }
    let hash = blob.file_name().unwrap_or_default();
    // From the snapshot's directory up to that of the repository.
    let up = "../".repeat(2 + name.matches('/').count());
    let target = Path::new(&up).join("blobs").join(hash);
    #[cfg(unix)]
    let linked = std::os::unix::fs::symlink(&target, path);
    #[cfg(windows)]
    let linked = std::os::windows::fs::symlink_file(&target, path);
    #[cfg(not(any(unix, windows)))]
    let linked: std::io::Result<()> = Err(std::io::ErrorKind::Unsupported.into());
    match linked {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        // Links may not be allowed; a second name or a copy always is.
        Err(_) => fs::hard_link(blob, path)
            .or_else(|_| fs::copy(blob, path).map(drop))
            .map_err(|error| Error::io(path, error)),
    }
}
