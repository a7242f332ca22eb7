//! Looking into, and reaching into, one forward pass.

use std::collections::BTreeMap;
use std::str::FromStr;

use glossator_ops::recurrent::Stage;
use glossator_ops::{Tap, Tensor, dropout};

use crate::error::{Error, Result};
use crate::model::ModelInfo;

/// Which way a recurrent layer reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// From the first token to the last.
    Forward,
    /// From the last token to the first.
    Backward,
}

impl Direction {
    fn name(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::Backward => "backward",
        }
    }
}

/// What a stage of a recurrent unit is called in the name of its site.
const STAGES: [(&str, Stage); 8] = [
    ("input-gate", Stage::InputGate),
    ("forget-gate", Stage::ForgetGate),
    ("output-gate", Stage::OutputGate),
    ("reset-gate", Stage::ResetGate),
    ("update-gate", Stage::UpdateGate),
    ("candidate", Stage::Candidate),
    ("cell", Stage::Cell),
    ("hidden", Stage::Hidden),
];

/// A named place in a model's forward pass.
///
/// `Display` and `FromStr` round-trip, for example `layers.3.attention.probabilities`.
///
/// In a model that reads two texts with the same layers, the sites of these layers hold both, one
/// behind the other in the first dimension: first texts, then second texts.
///
/// In a model that reads a window of fixed length, `tokens` is that length in all sites but
/// [`Site::Embeddings`]; in such a language model, `batch` counts windows, one for each output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Site {
    /// Word embeddings, before positions and segments: `[batch, tokens, width]`.
    Embeddings,
    /// What layer `l` reads, `l` from 0 (the embedding block's output) to the number of layers
    /// (the last layer's output, before a final norm): `[batch, tokens, width]`.
    Residual(usize),
    /// Values of layer `l` per head: `[batch, key heads, tokens, head width]`.
    AttentionValues(usize),
    /// Scaled scores of layer `l`, `-∞` at masked keys: `[batch, heads, queries, keys]`.
    AttentionScores(usize),
    /// Attention probabilities of layer `l`: `[batch, heads, queries, keys]`.
    AttentionProbabilities(usize),
    /// What the attention of layer `l` adds to the residual: `[batch, tokens, width]`.
    AttentionOutput(usize),
    /// What the feed-forward block of layer `l` adds to the residual: `[batch, tokens, width]`.
    Mlp(usize),
    /// Values of the attention of decoder layer `l` to the encoder's output, per head.
    CrossAttentionValues(usize),
    /// Scores of that attention.
    CrossAttentionScores(usize),
    /// Probabilities of that attention: `[batch, heads, queries, source tokens]`.
    CrossAttentionProbabilities(usize),
    /// What that attention adds to the residual.
    CrossAttentionOutput(usize),
    /// The encoder's output before its final norm, in a model with a decoder. There, the layers of
    /// the decoder are numbered behind those of the encoder.
    Encoded,
    /// A gate or a state of the recurrent layer `l`, reading one way: `[batch, tokens, hidden]`.
    /// At padding, a state is the one that is kept.
    ///
    /// The layer makes it step by step, and so an edit runs once a step and sees
    /// `[batch, 1, hidden]`; what it returns is what later steps go on with.
    Recurrent(usize, Direction, Stage),
    /// What the convolutions of layer `l` give, before activation and gate:
    /// `[batch, tokens, filters]`.
    Convolution(usize),
    /// How much layer `l` lets through, of a gated convolution or a highway layer:
    /// `[batch, tokens, width]`.
    Gate(usize),
    /// Scores of attention over a text's tokens, `-∞` at a classifier's padding: `[batch, tokens]`.
    PoolingScores,
    /// Its probabilities: `[batch, tokens]`; in a language model, those of the tokens up to each
    /// one whose output is read: `[batch, read, tokens]`.
    PoolingProbabilities,
    /// The vector that stands for the whole text, or the pair: `[batch, width]`; in a language
    /// model, for the text up to each token that is read: `[batch, read, width]`.
    Pooled,
    /// Scores of each token of the first text with each of the second, `-∞` at padding:
    /// `[batch, first tokens, second tokens]`. Of question answering, the question is first.
    PairScores,
    /// Probabilities with which tokens of the first text attend to those of the second:
    /// `[batch, first tokens, second tokens]`; in BiDAF, those with which the question as a whole
    /// attends to the context: `[batch, 1, second tokens]`.
    FirstToSecond,
    /// Probabilities with which tokens of the second text attend to those of the first:
    /// `[batch, second tokens, first tokens]`.
    SecondToFirst,
    /// The outputs before any softmax; see [`Output::logits`](crate::Output::logits).
    Logits,
}

impl Site {
    /// Every site of a model, in the order of the forward pass: those of
    /// [`ModelInfo::sites`](crate::ModelInfo::sites).
    pub fn all(sites: &[Self]) -> impl Iterator<Item = Self> + '_ {
        sites.iter().copied()
    }

    /// The sites of a model that is a stack of Transformer layers, or two of them.
    pub(crate) fn of_layers(layers: Layers) -> impl Iterator<Item = Self> {
        let own = |l| {
            [
                Self::Residual(l),
                Self::AttentionValues(l),
                Self::AttentionScores(l),
                Self::AttentionProbabilities(l),
                Self::AttentionOutput(l),
            ]
        };
        let cross = |l| {
            [
                Self::CrossAttentionValues(l),
                Self::CrossAttentionScores(l),
                Self::CrossAttentionProbabilities(l),
                Self::CrossAttentionOutput(l),
            ]
        };
        let Layers { total, decoder } = layers;
        let first = decoder.unwrap_or(total);
        let encoder = (0..first).flat_map(move |l| own(l).into_iter().chain([Self::Mlp(l)]));
        let second = (first..total)
            .flat_map(move |l| own(l).into_iter().chain(cross(l)).chain([Self::Mlp(l)]));
        std::iter::once(Self::Embeddings)
            .chain(encoder)
            .chain(decoder.map(|_| Self::Encoded))
            .chain(second)
            .chain([Self::Residual(total), Self::Logits])
    }

    /// The layer that it is inside of; what a layer reads and what the last one leaves are not.
    #[must_use]
    pub fn layer(self) -> Option<usize> {
        match self {
            Self::Embeddings
            | Self::Logits
            | Self::Encoded
            | Self::Residual(_)
            | Self::PoolingScores
            | Self::PoolingProbabilities
            | Self::Pooled
            | Self::PairScores
            | Self::FirstToSecond
            | Self::SecondToFirst => None,
            Self::AttentionValues(l)
            | Self::AttentionScores(l)
            | Self::AttentionProbabilities(l)
            | Self::AttentionOutput(l)
            | Self::CrossAttentionValues(l)
            | Self::CrossAttentionScores(l)
            | Self::CrossAttentionProbabilities(l)
            | Self::CrossAttentionOutput(l)
            | Self::Recurrent(l, ..)
            | Self::Convolution(l)
            | Self::Gate(l)
            | Self::Mlp(l) => Some(l),
        }
    }
}

/// The layers of a model that is a stack of Transformer layers, or two of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layers {
    /// All of them.
    pub total: usize,
    /// The number of the decoder's first layer, in a model with an encoder and a decoder.
    pub decoder: Option<usize>,
}

impl std::fmt::Display for Site {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Embeddings => f.write_str("embeddings"),
            Self::Residual(l) => write!(f, "layers.{l}.residual"),
            Self::AttentionValues(l) => write!(f, "layers.{l}.attention.values"),
            Self::AttentionScores(l) => write!(f, "layers.{l}.attention.scores"),
            Self::AttentionProbabilities(l) => write!(f, "layers.{l}.attention.probabilities"),
            Self::AttentionOutput(l) => write!(f, "layers.{l}.attention.output"),
            Self::Mlp(l) => write!(f, "layers.{l}.mlp"),
            Self::CrossAttentionValues(l) => write!(f, "layers.{l}.cross-attention.values"),
            Self::CrossAttentionScores(l) => write!(f, "layers.{l}.cross-attention.scores"),
            Self::CrossAttentionProbabilities(l) => {
                write!(f, "layers.{l}.cross-attention.probabilities")
            }
            Self::CrossAttentionOutput(l) => write!(f, "layers.{l}.cross-attention.output"),
            Self::Encoded => f.write_str("encoder.output"),
            Self::Recurrent(l, direction, stage) => {
                let name = STAGES.iter().find(|(_, known)| known == stage).map_or("", |s| s.0);
                write!(f, "layers.{l}.{}.{name}", direction.name())
            }
            Self::Convolution(l) => write!(f, "layers.{l}.convolution"),
            Self::Gate(l) => write!(f, "layers.{l}.gate"),
            Self::PoolingScores => f.write_str("pooling.scores"),
            Self::PoolingProbabilities => f.write_str("pooling.probabilities"),
            Self::Pooled => f.write_str("pooling.output"),
            Self::PairScores => f.write_str("pair.scores"),
            Self::FirstToSecond => f.write_str("pair.first-to-second"),
            Self::SecondToFirst => f.write_str("pair.second-to-first"),
            Self::Logits => f.write_str("logits"),
        }
    }
}

impl FromStr for Site {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let unknown = || Error::UnknownSite { site: name.to_owned() };
        match name {
            "embeddings" => return Ok(Self::Embeddings),
            "logits" => return Ok(Self::Logits),
            "encoder.output" => return Ok(Self::Encoded),
            "pooling.scores" => return Ok(Self::PoolingScores),
            "pooling.probabilities" => return Ok(Self::PoolingProbabilities),
            "pooling.output" => return Ok(Self::Pooled),
            "pair.scores" => return Ok(Self::PairScores),
            "pair.first-to-second" => return Ok(Self::FirstToSecond),
            "pair.second-to-first" => return Ok(Self::SecondToFirst),
            _ => {}
        }
        let rest = name.strip_prefix("layers.").ok_or_else(unknown)?;
        let (layer, place) = rest.split_once('.').ok_or_else(unknown)?;
        let layer = layer.parse().map_err(|_| unknown())?;
        Ok(match place {
            "residual" => Self::Residual(layer),
            "attention.values" => Self::AttentionValues(layer),
            "attention.scores" => Self::AttentionScores(layer),
            "attention.probabilities" => Self::AttentionProbabilities(layer),
            "attention.output" => Self::AttentionOutput(layer),
            "mlp" => Self::Mlp(layer),
            "cross-attention.values" => Self::CrossAttentionValues(layer),
            "cross-attention.scores" => Self::CrossAttentionScores(layer),
            "cross-attention.probabilities" => Self::CrossAttentionProbabilities(layer),
            "cross-attention.output" => Self::CrossAttentionOutput(layer),
            "convolution" => Self::Convolution(layer),
            "gate" => Self::Gate(layer),
            _ => {
                let (way, stage) = place.split_once('.').ok_or_else(unknown)?;
                let ways = [Direction::Forward, Direction::Backward];
                let way = ways.into_iter().find(|d| d.name() == way).ok_or_else(unknown)?;
                let stage = STAGES.iter().find(|(name, _)| *name == stage).ok_or_else(unknown)?;
                Self::Recurrent(layer, way, stage.1)
            }
        })
    }
}

type EditFn<'a> = Box<dyn FnMut(&Tensor) -> glossator_ops::Result<Tensor> + 'a>;

enum Edit<'a> {
    With(EditFn<'a>),
    Replace(Tensor),
}

/// What to keep, change and differentiate in one forward pass.
///
/// ```
/// # use glossator_models::{Site, Trace};
/// let trace = Trace::new()
///     .keep(Site::AttentionProbabilities(0))
///     .edit(Site::Residual(1), |x| Ok((x * 0.5)?))
///     .gradient_at(Site::Mlp(0));
/// ```
#[derive(Default)]
pub struct Trace<'a> {
    edits: Vec<(Site, Edit<'a>)>,
    /// One, or one for each step of a recurrent layer.
    taps: BTreeMap<Site, Vec<Tap>>,
    kept: BTreeMap<Site, Option<Tensor>>,
    /// The steps of a recurrent layer that has not seen all of them yet.
    steps: BTreeMap<Site, Vec<Option<Tensor>>>,
    dropout: Option<Dropout>,
}

/// How values are dropped in a pass of a training run.
struct Dropout {
    rate: f64,
    seed: u64,
    /// The number of places that have dropped out so far: each draws its own mask.
    places: u64,
}

impl<'a> Trace<'a> {
    /// A trace that keeps and changes nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A trace for one pass of a training run, in which values drop out at `rate` behind the
    /// embeddings, behind each block of a layer, and before a classifier. Which ones is a pure
    /// function of `seed`.
    #[must_use]
    pub fn training(rate: f64, seed: u64) -> Self {
        let dropout = (rate > 0.0).then_some(Dropout { rate, seed, places: 0 });
        Self { dropout, ..Self::default() }
    }

    /// Drops values out, in a pass of a training run. Models call this where it is usual.
    ///
    /// # Errors
    /// If the rate is not in `0.0..1.0`.
    pub fn drop_out(&mut self, x: Tensor) -> Result<Tensor> {
        let Some(Dropout { rate, seed, places }) = &mut self.dropout else { return Ok(x) };
        *places += 1;
        // An odd factor: the seeds of neighbouring steps and places are far apart.
        let seed = seed.wrapping_add(places.wrapping_mul(0xD134_2543_DE82_EF95));
        Ok(dropout(&x, *rate, seed)?)
    }

    /// Keeps the value at `site` (after edits), for [`Trace::value`].
    #[must_use]
    pub fn keep(mut self, site: Site) -> Self {
        self.kept.insert(site, None);
        self
    }

    /// Passes the value at `site` through `f`. Shape and type must stay, and gradients must flow
    /// through `f`; to cut them on purpose, use [`Trace::replace`]. Several edits of a site run in
    /// the order in which they were added. At a [`Site::Recurrent`], `f` runs once a step, in the
    /// order in which the layer reads.
    #[must_use]
    pub fn edit(
        mut self,
        site: Site,
        f: impl FnMut(&Tensor) -> glossator_ops::Result<Tensor> + 'a,
    ) -> Self {
        self.edits.push((site, Edit::With(Box::new(f))));
        self
    }

    /// Puts a constant in place of the value at `site`: an intervention through which no gradient
    /// flows.
    #[must_use]
    pub fn replace(mut self, site: Site, value: Tensor) -> Self {
        self.edits.push((site, Edit::Replace(value)));
        self
    }

    /// Keeps the gradient at `site` of whatever is differentiated after the forward pass, for
    /// [`Trace::gradient`]. With edits, it is the gradient at the edited value.
    #[must_use]
    pub fn gradient_at(mut self, site: Site) -> Self {
        self.taps.insert(site, Vec::new());
        self
    }

    /// The value that was kept at `site`.
    ///
    /// # Errors
    /// If it was not asked for, or no forward pass has run.
    pub fn value(&self, site: Site) -> Result<&Tensor> {
        self.kept.get(&site).and_then(Option::as_ref).ok_or(Error::NotTraced { site })
    }

    /// The gradient at `site`.
    ///
    /// # Errors
    /// If it was not asked for, or no backward pass has reached it.
    pub fn gradient(&self, site: Site) -> Result<Tensor> {
        let taps = self.taps.get(&site).ok_or(Error::NotTraced { site })?;
        let missing = || glossator_ops::Error::MissingGradient { of: site.to_string() };
        if let ([tap], false) = (taps.as_slice(), matches!(site, Site::Recurrent(..))) {
            return Ok(tap.gradient().ok_or_else(missing)?);
        }
        let steps: Vec<Option<Tensor>> = taps.iter().map(Tap::gradient).collect();
        // A step that the backward pass did not come by has done nothing; if it came by none, that
        // is no gradient.
        let some = steps.iter().flatten().next().ok_or_else(missing)?;
        let zeros = some.zeros_like()?;
        let steps: Vec<&Tensor> = steps.iter().map(|s| s.as_ref().unwrap_or(&zeros)).collect();
        Ok(Tensor::stack(&steps, 1)?)
    }

    /// Checks that the model has every site that is asked for. Models call this first.
    ///
    /// # Errors
    /// [`Error::NoSuchSite`] with the first one that the model lacks.
    pub fn check(&self, info: &ModelInfo) -> Result<()> {
        let asked = self.edits.iter().map(|(site, _)| site);
        for &site in asked.chain(self.taps.keys()).chain(self.kept.keys()) {
            if !info.sites().contains(&site) {
                return Err(Error::NoSuchSite { site, layers: info.layers });
            }
        }
        Ok(())
    }

    /// Whether anything is asked for at a site that fits. Models use it to choose between a fused
    /// operation and its visible steps.
    pub fn wants(&self, fits: impl Fn(Site) -> bool) -> bool {
        let asked = self.edits.iter().map(|(site, _)| site);
        asked.chain(self.taps.keys()).chain(self.kept.keys()).any(|&site| fits(site))
    }

    /// The value that goes on from `site`. Models call this at each of their sites.
    ///
    /// # Errors
    /// If an edit fails, changes the shape or type, or loses the gradient.
    pub fn at(&mut self, site: Site, x: Tensor) -> Result<Tensor> {
        let mut x = self.edited(site, x, |value| Ok(value.clone()))?;
        if let Some(taps) = self.taps.get_mut(&site) {
            // A new one, lest a gradient of an earlier pass be taken for this one's.
            let tap = Tap::new();
            x = tap.watch(&x)?;
            *taps = vec![tap];
        }
        if let Some(slot) = self.kept.get_mut(&site) {
            *slot = Some(x.clone());
        }
        Ok(x)
    }

    /// The value that goes on from step `time` of `tokens` at `site`: `[batch, hidden]`.
    /// Recurrent layers call this at each step.
    ///
    /// # Errors
    /// As for [`Trace::at`].
    #[expect(clippy::needless_pass_by_value, reason = "as in `at`, whose value goes on")]
    pub fn at_step(&mut self, site: Site, time: usize, tokens: usize, x: Tensor) -> Result<Tensor> {
        let whole = [x.dim(0)?, tokens, x.dim(1)?];
        let step = self.edited(site, x.unsqueeze(1)?, |value| {
            if value.dims() != whole {
                return Err(Error::EditShape {
                    site,
                    expected: format!("{whole:?}"),
                    got: format!("{:?}", value.dims()),
                });
            }
            Ok(value.narrow(1, time, 1)?.contiguous()?)
        })?;
        let mut x = step.squeeze(1)?;
        if let Some(taps) = self.taps.get_mut(&site) {
            taps.resize_with(tokens, Tap::new);
            taps[time] = Tap::new();
            x = taps[time].watch(&x)?;
        }
        if let Some(slot) = self.kept.get_mut(&site) {
            let steps = self.steps.entry(site).or_default();
            steps.resize(tokens, None);
            steps[time] = Some(x.clone());
            if steps.iter().all(Option::is_some) {
                let all: Vec<Tensor> = steps.drain(..).flatten().collect();
                *slot = Some(Tensor::stack(&all, 1)?);
            }
        }
        Ok(x)
    }

    /// `x` after the edits of `site`; `replacement` makes what fits of a value in its place.
    fn edited(
        &mut self,
        site: Site,
        mut x: Tensor,
        replacement: impl Fn(&Tensor) -> Result<Tensor>,
    ) -> Result<Tensor> {
        for (_, edit) in self.edits.iter_mut().filter(|(at, _)| *at == site) {
            let edited = match edit {
                Edit::With(f) => f(&x)?,
                Edit::Replace(value) => replacement(value)?,
            };
            if edited.dims() != x.dims() || edited.dtype() != x.dtype() {
                return Err(Error::EditShape {
                    site,
                    expected: format!("{:?} {:?}", x.dims(), x.dtype()),
                    got: format!("{:?} {:?}", edited.dims(), edited.dtype()),
                });
            }
            if matches!(edit, Edit::With(_)) && x.track_op() && !edited.track_op() {
                return Err(Error::EditLosesGradient { site });
            }
            x = edited;
        }
        Ok(x)
    }
}

impl std::fmt::Debug for Trace<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trace")
            .field("edits", &self.edits.iter().map(|(site, _)| site).collect::<Vec<_>>())
            .field("gradients", &self.taps.keys().collect::<Vec<_>>())
            .field("kept", &self.kept.keys().collect::<Vec<_>>())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use glossator_ops::{Device, Var};

    #[test]
    fn site_names_round_trip() {
        let recurrent = STAGES.into_iter().flat_map(|(_, stage)| {
            [Direction::Forward, Direction::Backward].map(|way| Site::Recurrent(2, way, stage))
        });
        let others = [
            Site::Convolution(1),
            Site::Gate(0),
            Site::PoolingScores,
            Site::PoolingProbabilities,
            Site::Pooled,
            Site::PairScores,
            Site::FirstToSecond,
            Site::SecondToFirst,
        ];
        let layers = Site::of_layers(Layers { total: 3, decoder: Some(2) });
        for site in layers.chain(recurrent).chain(others) {
            assert_eq!(site.to_string().parse::<Site>().unwrap(), site);
        }
        for wrong in
            ["", "layers", "layers.x.mlp", "layers.1.nose", "layers.-1.mlp", "layers.1.up.cell"]
        {
            assert!(wrong.parse::<Site>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_edit_that_loses_the_gradient_is_an_error() {
        let x = Var::new(&[1.0, 2.0], &Device::Cpu).unwrap();
        let mut trace = Trace::new().edit(Site::Logits, |x| Ok(x.detach()));
        let error = trace.at(Site::Logits, x.as_tensor().clone()).unwrap_err();
        assert!(matches!(error, Error::EditLosesGradient { site: Site::Logits }));
        let mut trace = Trace::new().edit(Site::Logits, |x| Ok(x.narrow(0, 0, 1)?));
        let error = trace.at(Site::Logits, x.as_tensor().clone()).unwrap_err();
        assert!(matches!(error, Error::EditShape { .. }));
    }

    #[test]
    fn edits_run_in_order_and_what_was_not_asked_for_is_an_error() {
        let x = Tensor::new(&[1.0, 2.0], &Device::Cpu).unwrap();
        let mut trace = Trace::new()
            .edit(Site::Logits, |x| Ok((x + 1.0)?))
            .edit(Site::Logits, |x| Ok((x * 10.0)?))
            .keep(Site::Logits);
        trace.at(Site::Logits, x).unwrap();
        let kept = trace.value(Site::Logits).unwrap().to_vec1::<f64>().unwrap();
        assert_eq!(kept, [20.0, 30.0]);
        assert!(matches!(trace.value(Site::Mlp(0)), Err(Error::NotTraced { .. })));
        assert!(trace.gradient(Site::Logits).is_err());
    }
}
