//! Where does a model read?

use glossator_interpret::{Attention, Progress, attention};
use glossator_view::convert;
use glossator_view::wire::AttentionRequest;

use super::{Desk, done, read};
use crate::problem::{Code, Failure};
use crate::task::Done;

pub(super) fn run(
    desk: &Desk,
    request: AttentionRequest,
    progress: &dyn Progress,
) -> Result<Done, Failure> {
    let loaded = desk.entry.load()?;
    let model = loaded.model.as_ref();
    let (input, options) = read(model, request.input, &request.options, &desk.limits)?;
    let encoding = attention::encode(model, &input, &options, progress)?;
    let (tokens, most) = (encoding.tokens.len(), desk.limits.attention_tokens);
    if tokens > most {
        let detail = format!("the attention of {tokens} tokens; this server tells that of {most}");
        return Err(Failure::new(Code::AttentionTooLarge, detail).with_hint("shorten the text"));
    }
    let attention = Attention::of(model, encoding, progress)?;
    let name = convert::model(model.info(), Some(loaded.sha256()));
    let document = convert::attention_document(name, &attention);
    document.check().map_err(|_| Failure::internal())?;
    done(&document, true)
}
