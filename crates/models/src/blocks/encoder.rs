//! Layers of several kinds on top of each other.

use std::sync::Arc;

use glossator_ops::recurrent::State;
use glossator_ops::{Activation, Linear, Tensor, Weight, embedding};

use crate::blocks::attention::{KeyValues, Scope};
use crate::blocks::convolution::{Convolution, GatedConvolution};
use crate::blocks::highway::Highway;
use crate::blocks::layer::Layer;
use crate::blocks::norm::Norm;
use crate::blocks::recurrent::RecurrentLayer;
use crate::error::Result;
use crate::trace::{Site, Trace};

/// One layer.
#[expect(clippy::large_enum_variant, reason = "a model has a few, and moves none while it runs")]
pub enum EncoderLayer {
    /// An RNN, GRU or LSTM.
    Recurrent(RecurrentLayer),
    /// Filters with an activation.
    Convolution(Convolution),
    /// Filters with a gate.
    Gated(GatedConvolution),
    /// Attention and a feed-forward block.
    Transformer(Box<Layer>),
    /// A map with a gate around it.
    Highway(Highway),
    /// A map of each token by itself.
    Linear(Linear, Option<Activation>),
    /// A norm of each token.
    Norm(Norm, usize),
}

/// What a layer needs of the tokens before, to go on behind them.
pub(crate) enum Carried {
    /// Nothing.
    Nothing,
    /// The state, once there is one.
    State(Option<State>),
    /// The last inputs: `[batch, tokens, in]`, zeros before the first.
    Window(Tensor),
    /// Keys and values.
    Keys(KeyValues),
}

impl EncoderLayer {
    /// Elements of an output.
    #[must_use]
    pub fn width(&self) -> usize {
        match self {
            Self::Recurrent(layer) => layer.width(),
            Self::Convolution(layer) => layer.width(),
            Self::Gated(layer) => layer.width(),
            Self::Transformer(layer) => layer.attention.output.out_features(),
            Self::Highway(layer) => layer.map.out_features(),
            Self::Linear(map, _) => map.out_features(),
            Self::Norm(_, width) => *width,
        }
    }

    /// Attention heads.
    #[must_use]
    pub fn heads(&self) -> usize {
        match self {
            Self::Transformer(layer) => layer.attention.heads.queries,
            _ => 1,
        }
    }

    fn sites(&self, l: usize) -> Vec<Site> {
        match self {
            Self::Recurrent(layer) => layer.sites(l),
            Self::Convolution(_) => vec![Site::Convolution(l)],
            Self::Gated(_) => vec![Site::Convolution(l), Site::Gate(l)],
            Self::Transformer(_) => vec![
                Site::AttentionValues(l),
                Site::AttentionScores(l),
                Site::AttentionProbabilities(l),
                Site::AttentionOutput(l),
                Site::Mlp(l),
            ],
            Self::Highway(_) => vec![Site::Gate(l)],
            Self::Linear(..) | Self::Norm(..) => Vec::new(),
        }
    }

    fn forward(
        &self,
        l: usize,
        x: &Tensor,
        lengths: Option<&Arc<[usize]>>,
        trace: &mut Trace<'_>,
    ) -> Result<(Tensor, Vec<State>)> {
        let real = lengths.map(|lengths| &lengths[..]);
        let y = match self {
            Self::Recurrent(layer) => return layer.run(l, x, real, None, trace),
            Self::Convolution(layer) => layer.forward(l, x, real, trace)?,
            Self::Gated(layer) => layer.forward(l, x, real, trace)?,
            Self::Transformer(layer) => {
                let scope = Scope { lengths: lengths.cloned(), rows: None, start: 0 };
                layer.forward(l, x, &scope, None, None, trace)?
            }
            Self::Highway(layer) => layer.forward(l, x, trace)?,
            Self::Linear(..) | Self::Norm(..) => self.each(x)?,
        };
        Ok((y, Vec::new()))
    }

    /// Of layers that look at each token by itself.
    fn each(&self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::Linear(map, activation) => {
                let y = map.forward(&x.contiguous()?)?;
                match activation {
                    Some(activation) => Ok(activation.forward(&y)?),
                    None => Ok(y),
                }
            }
            Self::Norm(norm, _) => norm.forward(x),
            _ => Ok(x.clone()),
        }
    }

    /// Goes on behind the tokens before, of which there are `start`.
    fn carry_on(
        &self,
        x: &Tensor,
        carried: &mut Carried,
        start: usize,
        trace: &mut Trace<'_>,
    ) -> Result<Tensor> {
        Ok(match (self, carried) {
            (Self::Recurrent(layer), Carried::State(state)) => {
                let (y, left) = layer.run(0, x, None, state.as_ref(), trace)?;
                *state = left.into_iter().next();
                y
            }
            (Self::Convolution(layer), Carried::Window(window)) => {
                layer.carry_on(&slide(window, x, layer.widest - 1)?)?
            }
            (Self::Gated(layer), Carried::Window(window)) => {
                layer.carry_on(&slide(window, x, layer.kernel - 1)?)?
            }
            (Self::Transformer(layer), Carried::Keys(cache)) => {
                let scope = Scope { lengths: None, rows: None, start };
                layer.forward(0, x, &scope, None, Some(cache), trace)?
            }
            (Self::Highway(layer), _) => layer.forward(0, x, trace)?,
            _ => self.each(x)?,
        })
    }
}

/// `x` behind the window, whose place its last `keep` tokens take.
fn slide(window: &mut Tensor, x: &Tensor, keep: usize) -> Result<Tensor> {
    let all = Tensor::cat(&[&*window, x], 1)?;
    *window = all.narrow(1, all.dim(1)? - keep, keep)?.contiguous()?;
    Ok(all)
}

/// Layers on top of each other.
pub struct Encoder {
    /// The layers; there may be none.
    pub layers: Vec<EncoderLayer>,
    /// The number of the first layer among the model's.
    pub first_site: usize,
    /// The site of the last layer's output, if it is shown.
    pub output_site: Option<Site>,
    /// Elements of what the first layer reads.
    pub input: usize,
    /// `[positions, input]`: what is added to what the first layer reads.
    pub positions: Option<Weight>,
    /// Whether what comes behind reads what the first layer reads and the outputs of all layers,
    /// side by side.
    pub concatenate: bool,
}

/// What an encoder makes of a text.
pub(crate) struct Encoded {
    /// `[batch, tokens, width]`
    pub(crate) states: Tensor,
    /// The states that the last layer leaves, one for each way, if it is recurrent and its output
    /// stands alone.
    pub(crate) left: Vec<State>,
}

impl Encoder {
    /// Elements of an output.
    #[must_use]
    pub fn width(&self) -> usize {
        if self.concatenate {
            return self.input + self.layers.iter().map(EncoderLayer::width).sum::<usize>();
        }
        self.layers.last().map_or(self.input, EncoderLayer::width)
    }

    /// The sites, in the order of the forward pass.
    pub(crate) fn sites(&self) -> Vec<Site> {
        let mut sites = Vec::new();
        for (l, layer) in (self.first_site..).zip(&self.layers) {
            sites.push(Site::Residual(l));
            sites.extend(layer.sites(l));
        }
        sites.extend(self.output_site);
        sites
    }

    /// With the positions of tokens that follow `start` others.
    fn placed(&self, x: Tensor, start: usize) -> Result<Tensor> {
        let Some(table) = &self.positions else { return Ok(x) };
        let (rows, tokens, _) = x.dims3()?;
        let first = start as u32;
        let ids: Vec<u32> = (first..first + tokens as u32).cycle().take(rows * tokens).collect();
        Ok((x + embedding(table, &ids, &[rows, tokens])?)?)
    }

    /// Runs all layers; `lengths` where there is padding.
    pub(crate) fn forward(
        &self,
        x: Tensor,
        lengths: Option<&Arc<[usize]>>,
        trace: &mut Trace<'_>,
    ) -> Result<Encoded> {
        let mut x = trace.drop_out(self.placed(x, 0)?)?;
        let (mut left, mut all) = (Vec::new(), Vec::new());
        for (l, layer) in (self.first_site..).zip(&self.layers) {
            x = trace.at(Site::Residual(l), x)?;
            all.extend(self.concatenate.then(|| x.clone()));
            (x, left) = layer.forward(l, &x, lengths, trace)?;
            if !matches!(layer, EncoderLayer::Transformer(_) | EncoderLayer::Norm(..)) {
                x = trace.drop_out(x)?;
            }
        }
        let states = match self.output_site {
            Some(site) => trace.at(site, x)?,
            None => x,
        };
        if all.is_empty() {
            return Ok(Encoded { states, left });
        }
        all.push(states);
        Ok(Encoded { states: Tensor::cat(&all, 2)?, left: Vec::new() })
    }

    /// What is carried along before the first token. `like` has the type.
    pub(crate) fn start(&self, like: &Tensor) -> Result<Vec<Carried>> {
        let mut carried = Vec::with_capacity(self.layers.len());
        let mut width = self.input;
        for layer in &self.layers {
            let zeros = |n: usize| Tensor::zeros((1, n, width), like.dtype(), like.device());
            carried.push(match layer {
                EncoderLayer::Recurrent(_) => Carried::State(None),
                EncoderLayer::Convolution(layer) => Carried::Window(zeros(layer.widest - 1)?),
                EncoderLayer::Gated(layer) => Carried::Window(zeros(layer.kernel - 1)?),
                EncoderLayer::Transformer(_) => Carried::Keys(KeyValues::default()),
                _ => Carried::Nothing,
            });
            width = layer.width();
        }
        Ok(carried)
    }

    /// Goes on behind the tokens before, of which there are `start`.
    pub(crate) fn carry_on(
        &self,
        x: Tensor,
        carried: &mut [Carried],
        start: usize,
    ) -> Result<Tensor> {
        let mut x = self.placed(x, start)?;
        let trace = &mut Trace::new();
        let mut all = Vec::new();
        for (layer, carried) in self.layers.iter().zip(carried) {
            all.extend(self.concatenate.then(|| x.clone()));
            x = layer.carry_on(&x, carried, start, trace)?;
        }
        if all.is_empty() {
            return Ok(x);
        }
        all.push(x);
        Ok(Tensor::cat(&all, 2)?)
    }
}
