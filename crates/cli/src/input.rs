//! Texts from arguments, standard input and files.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use glossator_interpret::Input;
use glossator_view::convert::{self, InputError};
use glossator_view::wire::InputRequest;
use serde_json::{Map, Value};

use crate::args::{ExplainArgs, InputFormat};
use crate::exit::CliError;

/// One input, with where it came from.
pub(crate) struct Item {
    /// For error messages; none for a single text given as an argument.
    pub(crate) place: Option<String>,
    pub(crate) input: Input,
    /// Whether the second text is a question about the first, and no text to go with it.
    pub(crate) asks: bool,
    /// What the file says is the right label, where it was asked for.
    pub(crate) label: Option<String>,
}

/// What the flags say of every text.
#[derive(Clone)]
struct Common {
    pair: Option<String>,
    continuation: Option<String>,
    /// The key of the right label.
    label_key: Option<String>,
}

impl Common {
    fn of(args: &ExplainArgs, label_key: Option<&str>) -> Self {
        // A question stands where the second text of a pair does; it cannot be both.
        let pair = args.question.clone().or_else(|| args.pair.clone());
        let label_key = label_key.map(str::to_owned);
        Self { pair, continuation: args.continuation.clone(), label_key }
    }

    fn input(&self, text: String) -> Input {
        Input { text, pair: self.pair.clone(), continuation: self.continuation.clone() }
    }
}

/// The texts, read as they are needed; a text that cannot be read is an error in its place.
pub(crate) type Items = Box<dyn Iterator<Item = Result<Item, CliError>> + Send>;

/// The texts that the arguments name, and whether there is exactly one.
pub(crate) fn items(args: &ExplainArgs) -> Result<(Items, bool), CliError> {
    labelled(args, None)
}

/// The same with the right label of each, by its key in JSON Lines.
pub(crate) fn labelled(
    args: &ExplainArgs,
    label_key: Option<&str>,
) -> Result<(Items, bool), CliError> {
    let stdin = Path::new("-");
    if let Some(path) = &args.file {
        return Ok((read(path, args, label_key)?, false));
    }
    let flag = args.input_format.map(|_| "--input-format");
    let flag = flag.or(args.text_key.as_ref().map(|_| "--text-key"));
    let flag = flag.or(label_key.map(|_| "--label-key"));
    match (args.texts.as_slice(), flag) {
        ([], _) => Err(CliError::input(
            // Attacks have no method.
            if args.method.is_empty() { "no text to attack" } else { "no text to explain" },
            "give a text as an argument, - for standard input, or --file PATH",
        )),
        ([one], _) if one == "-" => Ok((read(stdin, args, label_key)?, false)),
        (texts, _) if texts.iter().any(|text| text == "-") => Err(CliError::input(
            "- is standard input, which does not go with other texts",
            "give - alone, or all texts as lines of one file",
        )),
        (_, Some(flag)) => Err(CliError::input(
            format!("{flag} is for --file and standard input, not for texts as arguments"),
            format!("leave out {flag}, or give the file with --file"),
        )),
        (texts, None) => {
            let single = texts.len() == 1;
            let common = Common::of(args, None);
            let item = |(i, text): (usize, String)| {
                let place = (!single).then(|| format!("text {}", i + 1));
                Ok(Item { place, input: common.input(text), asks: false, label: None })
            };
            let texts: Vec<_> = texts.iter().cloned().enumerate().map(item).collect();
            Ok((Box::new(texts.into_iter()), single))
        }
    }
}

/// A line longer than this is not a text that any model reads.
const MAX_LINE: u64 = 256 << 20;

fn read(path: &Path, args: &ExplainArgs, label_key: Option<&str>) -> Result<Items, CliError> {
    let (name, reader): (String, Box<dyn BufRead + Send>) = if path == Path::new("-") {
        ("standard input".to_owned(), Box::new(BufReader::new(io::stdin())))
    } else {
        let name = path.display().to_string();
        let failed = |error: io::Error| {
            let hint = match error.kind() {
                io::ErrorKind::PermissionDenied => "give this user the right to read the file",
                _ => "check the path given to --file",
            };
            CliError::input(format!("{name}: {error}"), hint)
        };
        let file = File::open(path).map_err(failed)?;
        if file.metadata().map_err(failed)?.is_dir() {
            let hint = "--file takes a file; --model takes a directory";
            return Err(CliError::input(format!("{name}: is a directory"), hint));
        }
        (name, Box::new(BufReader::new(file)))
    };
    let by_ending = || path.extension().is_some_and(|e| e == "jsonl" || e == "ndjson");
    let json = match args.input_format {
        None => by_ending(),
        Some(InputFormat::Lines) => false,
        Some(InputFormat::Jsonl) => true,
    };
    let key = match (&args.text_key, json) {
        (Some(key), true) => Some(key.clone()),
        (None, true) => Some("text".to_owned()),
        (None, false) => None,
        (Some(_), false) => {
            let message =
                format!("--text-key is for JSON Lines, but {name} is read as plain lines");
            return Err(CliError::input(message, "add --input-format jsonl"));
        }
    };
    if label_key.is_some() && !json {
        let message = format!("--label-key is for JSON Lines, but {name} is read as plain lines");
        return Err(CliError::input(message, "add --input-format jsonl"));
    }
    let common = Common::of(args, label_key);
    Ok(Box::new(Lines { name, reader, key, common, number: 0, ended: false }))
}

struct Lines {
    name: String,
    reader: Box<dyn BufRead + Send>,
    /// The key of the text, for JSON Lines.
    key: Option<String>,
    common: Common,
    number: usize,
    ended: bool,
}

impl Iterator for Lines {
    type Item = Result<Item, CliError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if self.ended {
                return None;
            }
            let mut line = Vec::new();
            let limit = &mut io::Read::take(&mut self.reader, MAX_LINE + 1);
            let read = limit.read_until(b'\n', &mut line);
            self.number += 1;
            let place = format!("{}:{}", self.name, self.number);
            match read {
                Ok(0) => {
                    self.ended = true;
                    return None;
                }
                Ok(n) if n as u64 > MAX_LINE => {
                    self.ended = true;
                    let message = format!("{place}: the line is longer than {MAX_LINE} bytes");
                    return Some(Err(CliError::input(message, "put one text on each line")));
                }
                Ok(_) => {}
                Err(error) => {
                    self.ended = true;
                    let hint = "check that the file can be read";
                    return Some(Err(CliError::input(format!("{place}: {error}"), hint)));
                }
            }
            if line.ends_with(b"\n") {
                line.pop();
                if line.ends_with(b"\r") {
                    line.pop();
                }
            }
            if self.number == 1 && line.starts_with(b"\xEF\xBB\xBF") {
                line.drain(..3);
            }
            // A blank line between JSON objects is no object; as plain text it is an empty text.
            if self.key.is_some() && line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let item = item(line, self.key.as_deref(), &self.common);
            let item = item.map_err(|error| error.at(&place));
            return Some(item.map(|item| Item { place: Some(place), ..item }));
        }
    }
}

fn item(line: Vec<u8>, key: Option<&str>, common: &Common) -> Result<Item, CliError> {
    let plain = |text| match &common.label_key {
        None => Ok(Item { place: None, input: common.input(text), asks: false, label: None }),
        Some(key) => {
            let hint = "leave out --label-key, or make each line an object";
            Err(CliError::input(format!("a string has no key {key:?}"), hint))
        }
    };
    let line = String::from_utf8(line).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        CliError::input(format!("not UTF-8 after byte {at}"), "convert the file to UTF-8")
    })?;
    let Some(key) = key else { return plain(line) };
    let hint = format!("each line is an object with the key {key:?} (--text-key), or a string");
    match serde_json::from_str(&line) {
        Ok(Value::String(text)) => plain(text),
        Ok(Value::Object(object)) => from_object(&object, key, common, &hint),
        Ok(_) => Err(CliError::input("neither an object nor a string", hint)),
        Err(error) => {
            // The line is known better than "line 1".
            let what = error.to_string();
            let what = what.rsplit_once(" at line ").map_or(what.as_str(), |(what, _)| what);
            let message = format!("not JSON: {what} at byte {}", error.column());
            Err(CliError::input(message, hint))
        }
    }
}

/// The parts of an input by their keys; what the object does not say is as the flags say.
fn from_object(
    object: &Map<String, Value>,
    key: &str,
    common: &Common,
    hint: &str,
) -> Result<Item, CliError> {
    let part = |key: &str| match object.get(key) {
        Some(Value::String(text)) => Ok(Some(text.clone())),
        // Some files write null for what is not there.
        None | Some(Value::Null) => Ok(None),
        Some(_) => Err(CliError::input(format!("the value of {key:?} is not a string"), hint)),
    };
    let mut request = InputRequest::default();
    (request.question, request.pair) = (part("question")?, part("pair")?);
    request.context = part("context")?;
    request.continuation = part("continuation")?.or_else(|| common.continuation.clone());
    let asks = request.question.is_some();
    // What is not needed may be anything.
    request.text = match object.get(key) {
        _ if asks && request.context.is_some() => None,
        None => None,
        Some(Value::String(text)) => Some(text.clone()),
        Some(_) => {
            return Err(CliError::input(format!("the value of {key:?} is not a string"), hint));
        }
    };
    if !asks && common.pair.is_some() {
        // The flags' question is about the row's context.
        request.text = request.text.take().or_else(|| request.context.take());
    }
    if !asks && request.pair.is_none() {
        request.pair.clone_from(&common.pair);
    }
    let input = convert::input(request).map_err(|error| match error {
        InputError::QuestionAndPair => CliError::input(error.to_string(), "give one of them"),
        _ => CliError::input(format!("no key {key:?}"), hint),
    })?;
    let label = match &common.label_key {
        None => None,
        Some(key) => match object.get(key) {
            Some(Value::String(label)) => Some(label.clone()),
            // The number of a label is as good as its name.
            Some(Value::Number(number)) => Some(number.to_string()),
            _ => {
                let hint = "--label-key names the key of a label's name or number";
                return Err(CliError::input(format!("no label at the key {key:?}"), hint));
            }
        },
    };
    Ok(Item { place: None, input, asks, label })
}
