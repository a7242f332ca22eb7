//! DeBERTa's disentangled attention: scores of content with content, content with distance, and
//! distance with content (He et al. 2021, arXiv 2006.03654, equation 4).

use std::sync::Arc;

use glossator_ops::attention::Heads;
use glossator_ops::{Linear, Tensor, Weight};

use crate::blocks::norm::Norm;
use crate::error::Result;

/// The embeddings of distances, which all layers share.
pub struct Distances {
    /// `[2 * span, width]`
    pub table: Weight,
    /// A norm over them.
    pub norm: Option<Norm>,
    /// Distances beyond half of this many share logarithmic buckets; 0: none do.
    pub buckets: usize,
    /// The largest distance that is told apart.
    pub max_distance: usize,
}

impl Distances {
    /// Half the number of embeddings.
    fn span(&self) -> usize {
        self.table.shape()[0] / 2
    }

    /// The bucket of `query - key`, negative for later keys.
    fn bucket(&self, offset: i64) -> i64 {
        let distance = offset.unsigned_abs() as usize;
        let middle = self.buckets / 2;
        if self.buckets == 0 || distance <= middle {
            return offset;
        }
        // In f32, as the reference computes it: at the borders of buckets the rounding decides.
        let range = ((self.max_distance as f32 - 1.0) / middle as f32).ln();
        let ratio = (distance as f32 / middle as f32).ln() / range;
        let far = (ratio * (middle as f32 - 1.0)).ceil() as i64 + middle as i64;
        far * offset.signum()
    }

    /// The row of the table for `query - key`.
    fn row(&self, offset: i64) -> u32 {
        let span = self.span() as i64;
        (self.bucket(offset) + span).clamp(0, 2 * span - 1) as u32
    }
}

/// One layer's part: how it projects the distances.
pub struct Disentangled {
    /// The embeddings of distances.
    pub distances: Arc<Distances>,
    /// Projects distances to keys, for content-to-distance scores.
    pub key: Option<Linear>,
    /// Projects distances to queries, for distance-to-content scores.
    pub query: Option<Linear>,
    /// Factor of both.
    pub scale: f64,
}

impl Disentangled {
    /// What is added to the scores of content with content: `[batch, heads, queries, keys]`.
    ///
    /// `q`: `[batch, queries, width]`, `k`: `[batch, keys, width]`; `positions` of the queries.
    pub(crate) fn bias(
        &self,
        q: &Tensor,
        k: &Tensor,
        positions: &[usize],
        heads: Heads,
    ) -> Result<Tensor> {
        let (batch, n_queries, _) = q.dims3()?;
        let n_keys = k.dim(1)?;
        let table = self.distances.table.to_tensor(q.device())?;
        let table = match &self.distances.norm {
            Some(norm) => norm.forward(&table)?,
            None => table,
        };
        let split = |x: &Tensor, n: usize| {
            x.reshape((
                x.elem_count() / (n * heads.queries * heads.width),
                n,
                heads.queries,
                heads.width,
            ))?
            .transpose(1, 2)?
            .contiguous()
        };
        // The row of each pair's distance.
        let pairs = positions.iter().flat_map(|&query| {
            (0..n_keys).map(move |key| self.distances.row(query as i64 - key as i64))
        });
        let rows: Vec<u32> = pairs.collect();
        let span = 2 * self.distances.span();
        let shape = (batch, heads.queries, n_queries, n_keys);
        let mut sum: Option<Tensor> = None;
        if let Some(key) = &self.key {
            // [batch, heads, queries, 2 * span], of which each pair takes the one of its distance.
            let keys = split(&key.forward(&table)?, span)?.t()?;
            let scores = split(q, n_queries)?.broadcast_matmul(&keys.contiguous()?)?;
            let index = Tensor::from_slice(&rows, (1, 1, n_queries, n_keys), q.device())?;
            let index = index.broadcast_as(shape)?.contiguous()?;
            sum = Some((scores.contiguous()?.gather(&index, 3)? * self.scale)?);
        }
        if let Some(query) = &self.query {
            let queries = split(&query.forward(&table)?, span)?.t()?;
            let scores = split(k, n_keys)?.broadcast_matmul(&queries.contiguous()?)?;
            let by_key = |key: usize| rows.iter().skip(key).step_by(n_keys.max(1)).copied();
            let transposed: Vec<u32> = (0..n_keys).flat_map(by_key).collect();
            let index = Tensor::from_vec(transposed, (1, 1, n_keys, n_queries), q.device())?;
            let index = index.broadcast_as((batch, heads.queries, n_keys, n_queries))?;
            let scores = scores.contiguous()?.gather(&index.contiguous()?, 3)?;
            let scores = (scores.transpose(2, 3)?.contiguous()? * self.scale)?;
            sum = Some(match sum {
                Some(sum) => (sum + scores)?,
                None => scores,
            });
        }
        match sum {
            Some(sum) => Ok(sum),
            None => Ok(Tensor::zeros(shape, q.dtype(), q.device())?),
        }
    }
}
