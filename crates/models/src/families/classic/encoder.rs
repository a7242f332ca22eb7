//! Lists of layers.

use glossator_ops::attention::Heads;
use glossator_ops::conv1d::Conv1d;
use glossator_ops::recurrent::{Cell, Recurrent};
use glossator_ops::{Activation, Mlp, Weight};

use super::{MAX_KERNEL, MAX_LAYERS, MAX_LIST, MAX_WIDTH, drawn, linear};
use crate::blocks::attention::{Attention, CrossAttention};
use crate::blocks::convolution::{Convolution, GatedConvolution, Sight};
use crate::blocks::encoder::{Encoder, EncoderLayer};
use crate::blocks::highway::Highway;
use crate::blocks::layer::{FeedForward, Layer, Norms};
use crate::blocks::recurrent::RecurrentLayer;
use crate::config::Config;
use crate::error::Result;
use crate::initial::Init;
use crate::registry::Builder;
use crate::trace::Site;

/// The epsilon of `nn.LayerNorm`.
const EPS: f64 = 1e-5;

/// Where a list of layers stands in the model.
pub(super) struct Place<'a> {
    /// The key of the list, which the names of its tensors begin with.
    pub(super) key: &'a str,
    /// Elements of what the first layer reads.
    pub(super) input: usize,
    /// The number of the first layer.
    pub(super) first: usize,
    /// Which tokens layers may see.
    pub(super) sight: Sight,
    /// What is added to what the first layer reads.
    pub(super) positions: Option<Weight>,
}

/// The layers of a list.
pub(super) fn encoder(builder: &Builder<'_>, config: &Config, place: Place<'_>) -> Result<Encoder> {
    let Place { key, input, first, sight, positions } = place;
    let sections = config.sections(key, MAX_LAYERS)?;
    let mut layers = Vec::with_capacity(sections.len());
    let mut width = input;
    for (i, section) in sections.iter().enumerate() {
        let layer = layer(builder, section, &format!("{key}.{i}"), width, sight)?;
        width = layer.width();
        layers.push(layer);
    }
    // What the next layer would read.
    let output_site = Some(Site::Residual(first + layers.len()));
    Ok(Encoder { layers, first_site: first, output_site, input, positions, concatenate: false })
}

fn layer(
    builder: &Builder<'_>,
    section: &Config,
    name: &str,
    width: usize,
    sight: Sight,
) -> Result<EncoderLayer> {
    let weights = builder.weights;
    Ok(match section.string("kind")? {
        Some("rnn" | "gru" | "lstm") => {
            let layer = recurrent(builder, section, name, width, "size")?;
            if layer.backward.is_some() && sight == Sight::Before {
                let expected = "false: what comes next is not known to this model";
                return Err(section.bad("bidirectional", expected));
            }
            EncoderLayer::Recurrent(layer)
        }
        Some("cnn") => {
            EncoderLayer::Convolution(convolution(builder, section, name, width, sight)?)
        }
        Some("gated-cnn") => EncoderLayer::Gated(gated(builder, section, name, width, sight)?),
        Some("transformer") => EncoderLayer::Transformer(Box::new(layer_of(
            builder, section, name, width, sight, false,
        )?)),
        Some("highway") => EncoderLayer::Highway(Highway {
            map: linear(builder, &format!("{name}.map"), width, width, true)?,
            gate: linear(builder, &format!("{name}.gate"), width, width, true)?,
            activation: section.activation("activation", "relu")?,
        }),
        Some("linear") => {
            let size = section.count_within("size", MAX_WIDTH)?;
            let bias = section.flag_or("bias", true)?;
            let map = linear(builder, name, width, size, bias)?;
            EncoderLayer::Linear(map, activation(section, None)?)
        }
        Some("layer-norm") => EncoderLayer::Norm(weights.layer_norm(name, width, EPS)?, width),
        _ => {
            let kinds =
                "rnn, gru, lstm, cnn, gated-cnn, transformer, highway, linear or layer-norm";
            return Err(section.unsupported("kind", kinds));
        }
    })
}

/// An activation by its name; none where the key is absent and there is no usual one.
pub(super) fn activation(section: &Config, usual: Option<&str>) -> Result<Option<Activation>> {
    match (section.string("activation")?, usual) {
        (None, None) | (Some("none"), _) => Ok(None),
        (_, usual) => Ok(Some(section.activation("activation", usual.unwrap_or("tanh"))?)),
    }
}

/// A recurrent layer; `size` is the key of its width.
pub(super) fn recurrent(
    builder: &Builder<'_>,
    section: &Config,
    name: &str,
    input: usize,
    size: &str,
) -> Result<RecurrentLayer> {
    let cell = cell(section)?;
    let hidden = section.count_within(size, MAX_WIDTH)?;
    let bias = section.flag_or("bias", true)?;
    let way = |way: &str| unit(builder, cell, &format!("{name}.{way}"), input, hidden, bias);
    let both = section.flag_or("bidirectional", false)?;
    Ok(RecurrentLayer {
        forward: way("forward")?,
        backward: both.then(|| way("backward")).transpose()?,
    })
}

/// The kind of a recurrent unit.
pub(super) fn cell(section: &Config) -> Result<Cell> {
    match section.string("kind")? {
        Some("rnn") => Ok(Cell::Rnn),
        Some("gru") => Ok(Cell::Gru),
        Some("lstm") => Ok(Cell::Lstm),
        _ => Err(section.unsupported("kind", "rnn, gru or lstm")),
    }
}

/// One way of a recurrent layer, with PyTorch's layout of gates.
pub(super) fn unit(
    builder: &Builder<'_>,
    cell: Cell,
    name: &str,
    input: usize,
    hidden: usize,
    bias: bool,
) -> Result<Recurrent> {
    let rows = cell.gates() * hidden;
    let get = |part: &str, shape: &[usize], init| {
        builder.weights.get_init(&format!("{name}.{part}"), shape, init)
    };
    let spread = Init::Uniform(1.0 / (hidden as f64).sqrt());
    let w_ih = get("weight_ih", &[rows, input], Init::glorot(&[hidden, input]))?;
    let w_hh = get("weight_hh", &[rows, hidden], spread)?;
    // At first, an LSTM forgets little (Gers et al. 2000; Jozefowicz et al. 2015).
    let first = if cell == Cell::Lstm { Init::Parts(&[0.0, 1.0, 0.0, 0.0]) } else { Init::ZEROS };
    let bias = |part, init| bias.then(|| get(part, &[rows], init)).transpose();
    let (b_ih, b_hh) = (bias("bias_ih", first)?, bias("bias_hh", Init::ZEROS)?);
    Ok(Recurrent::new(cell, w_ih, w_hh, b_ih, b_hh)?)
}

/// Filters side by side: `filters` of each of `widths`.
pub(super) fn convolution(
    builder: &Builder<'_>,
    section: &Config,
    name: &str,
    input: usize,
    sight: Sight,
) -> Result<Convolution> {
    let count = section.count_within("filters", MAX_WIDTH)?;
    let widths = section.counts("widths", MAX_KERNEL, MAX_LIST)?;
    let mut sorted = widths.clone();
    sorted.sort_unstable();
    sorted.dedup();
    let (Some(&widest), true) = (sorted.last(), sorted.len() == widths.len()) else {
        return Err(section.bad("widths", "a list of different widths, [3, 4, 5] for instance"));
    };
    let filter = |&width: &usize| {
        let part = |part: &str| format!("{name}.filters.{width}.{part}");
        let weight = drawn(builder, &part("weight"), &[count, input, width])?;
        let bias = builder.weights.get(&part("bias"), &[count])?;
        Ok(Conv1d::new(weight, Some(bias))?)
    };
    Ok(Convolution {
        filters: widths.iter().map(filter).collect::<Result<_>>()?,
        widest,
        sight,
        activation: activation(section, Some("relu"))?,
    })
}

fn gated(
    builder: &Builder<'_>,
    section: &Config,
    name: &str,
    input: usize,
    sight: Sight,
) -> Result<GatedConvolution> {
    let size = section.count_within("size", MAX_WIDTH)?;
    let kernel = section.count_within("width", MAX_KERNEL)?;
    let residual = section.flag_or("residual", false)?;
    if residual && size != input {
        let expected = format!("false, for a layer of size {size} that reads {input}");
        return Err(section.bad("residual", &expected));
    }
    let weight = drawn(builder, &format!("{name}.weight"), &[2 * size, input, kernel])?;
    let bias = builder.weights.get(&format!("{name}.bias"), &[2 * size])?;
    Ok(GatedConvolution { filter: Conv1d::new(weight, Some(bias))?, kernel, sight, residual })
}

/// A Transformer layer; `crosses`: whether it attends to an encoder's output, too.
pub(super) fn layer_of(
    builder: &Builder<'_>,
    section: &Config,
    name: &str,
    width: usize,
    sight: Sight,
    crosses: bool,
) -> Result<Layer> {
    let weights = builder.weights;
    let count = section.count_within("heads", MAX_WIDTH)?;
    if !width.is_multiple_of(count) {
        return Err(section.bad("heads", &format!("a divisor of the width {width}")));
    }
    let heads = Heads::equal(count, width / count);
    let hidden = section.count_within("hidden", MAX_WIDTH)?;
    let map = |part: &str| weights.linear(&format!("{name}.{part}"), width, width);
    let norm = |part: &str| weights.layer_norm(&format!("{name}.{part}"), width, EPS);
    let place: fn(_) -> Norms = match section.string("norm")? {
        None | Some("before") => Norms::before,
        Some("after") => Norms::sum,
        Some(_) => return Err(section.unsupported("norm", "before or after")),
    };
    let maps = |kind: &str| {
        let map = |part: &str| map(&format!("{kind}.{part}"));
        Ok::<_, crate::Error>([map("query")?, map("key")?, map("value")?, map("output")?])
    };
    let cross = crosses.then(|| {
        let [query, key, value, output] = maps("cross_attention")?;
        let scale = 1.0 / (heads.width as f64).sqrt();
        let cross = CrossAttention { query, key, value, output, heads, scale };
        Ok::<_, crate::Error>((cross, place(norm("cross_attention_norm")?)))
    });
    Ok(Layer {
        attention: Attention {
            causal: sight == Sight::Before,
            ..Attention::new(maps("attention")?, heads)
        },
        attention_norms: place(norm("attention_norm")?),
        cross: cross.transpose()?,
        feed_forward: FeedForward::Plain(Mlp {
            up: weights.linear(&format!("{name}.up"), width, hidden)?,
            activation: section.activation("activation", "gelu")?,
            down: weights.linear(&format!("{name}.down"), hidden, width)?,
        }),
        feed_forward_norms: place(norm("feed_forward_norm")?),
        parallel: false,
    })
}
