use super::*;
use crate::lines::{LinesBuf, Matrix};
use proptest::prelude::*;

/// The kernel with the tiles of another machine.
struct Tiles<'a, const R: usize, const H: usize, const Q: usize, const P: usize>(Product<'a>);

impl<const R: usize, const H: usize, const Q: usize, const P: usize> WithSimd
    for Tiles<'_, R, H, Q, P>
{
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match S::F32_LANES {
            16 => self.0.run::<S, R, H, Q, P, 1, 1>(simd),
            8 => self.0.run::<S, R, H, Q, P, 2, 1>(simd),
            4 => self.0.run::<S, R, H, Q, P, 4, 2>(simd),
            _ => self.0.run::<S, R, H, Q, P, 16, 8>(simd),
        }
    }
}

fn all_tiles() -> [fn(Product<'_>); 4] {
    [
        product,
        |p| Arch::new().dispatch(Tiles::<'_, 12, 6, 2, 2>(p)),
        |p| Arch::new().dispatch(Tiles::<'_, 2, 2, 1, 1>(p)),
        |p| p.with_simd(pulp::Scalar::new()),
    ]
}

fn value(i: usize) -> f32 {
    ((i * 2_654_435_761) % 1000) as f32 / 500.0 - 1.0
}

proptest! {
    /// Both directions agree with the definition on all edge sizes, with all tiles, and write only
    /// their part.
    #[test]
    fn agree_with_the_definition(
        m in 1usize..60, k in 1usize..70, n in 1usize..70, long in 0usize..8,
        accumulate in any::<bool>(), biased in any::<bool>(),
    ) {
        // Long enough for several passes over the terms and the rows of both directions.
        let (m, k, n) = match long {
            0 => (m, k + 2 * DEPTH, n.min(20)),
            1 => (m, k.min(20), n + 2 * DEPTH),
            2 => (m + 2 * ROWS, k.min(20), n.min(20)),
            _ => (m, k, n),
        };
        let x: Vec<f32> = (0..m * (k + 2)).map(value).collect();
        let w: Vec<f32> = (0..n * k).map(|i| value(i + 77)).collect();
        let dy: Vec<f32> = (0..m * (n + 1)).map(|i| value(i + 177)).collect();
        let bias: Vec<f32> = (0..n).map(|i| value(i + 277)).collect();
        let packed =
            LinesBuf::kept_along_columns(Matrix { data: &w, rows: n, columns: k, stride: k });
        let x_lines =
            LinesBuf::along_rows(Matrix { data: &x, rows: m, columns: k, stride: k + 2 }, |_| (), None);
        let dy_lines =
            LinesBuf::along_columns(Matrix { data: &dy, rows: m, columns: n, stride: n + 1 });
        let check = |out: &[f32], width: usize, want: &dyn Fn(usize, usize) -> f64| {
            for (i, out) in out.chunks(width + 3).enumerate() {
                prop_assert_eq!(&out[width..], &[7.0; 3]);
                for (j, &got) in out[..width].iter().enumerate() {
                    let want = want(i, j);
                    // Sums of products below 1: a few units in the last place of their number.
                    let error = (f64::from(got) - want).abs();
                    prop_assert!(error < 1e-6 * k.max(n) as f64 + 3e-6, "{got} {want}");
                }
            }
            Ok(())
        };
        let dot = |terms: usize, a: &dyn Fn(usize) -> f32, b: &dyn Fn(usize) -> f32| {
            (0..terms).map(|p| f64::from(a(p)) * f64::from(b(p))).sum::<f64>()
        };
        for tiles in all_tiles() {
            let mut out = vec![7.0; m * (n + 3)];
            tiles(Product {
                a: x_lines.as_lines(),
                b: packed.as_lines(),
                terms: k,
                rows: 0..m,
                columns: 0..n,
                store: Store::Rows { bias: biased.then_some(&bias) },
                out: &mut out,
                stride: n + 3,
            });
            check(&out, n, &|i, j| {
                let bias = if biased { f64::from(bias[j]) } else { 0.0 };
                bias + dot(k, &|p| x[i * (k + 2) + p], &|p| w[j * k + p])
            })?;

            let mut out = vec![7.0; m * (k + 3)];
            tiles(Product {
                a: packed.as_lines(),
                b: dy_lines.as_lines(),
                terms: n,
                rows: 0..k,
                columns: 0..m,
                store: Store::Columns { accumulate },
                out: &mut out,
                stride: k + 3,
            });
            check(&out, k, &|i, j| {
                let before = if accumulate { 7.0 } else { 0.0 };
                before + dot(n, &|p| dy[i * (n + 1) + p], &|p| w[p * k + j])
            })?;
        }
    }
}
