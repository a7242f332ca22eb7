//! What the integration tests of models share.

use std::path::{Path, PathBuf};

use glossator_models::{DType, LoadOptions, Model, Tensor, load};

/// A directory of test data.
pub(crate) fn testdata(path: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata")).join(path)
}

/// Loads a model to compute in `dtype`.
pub(crate) fn open(dir: &Path, dtype: DType) -> Box<dyn Model> {
    load(dir, &LoadOptions { dtype, ..Default::default() })
        .unwrap_or_else(|error| panic!("{}: {error}", dir.display()))
}

/// The elements of a tensor of any floating-point type.
pub(crate) fn values(x: &Tensor) -> Vec<f64> {
    x.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}
