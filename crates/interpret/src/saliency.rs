//! Methods that read gradients.

pub mod gradient;
pub mod input_x_gradient;
pub mod integrated_gradients;
pub mod reduction;
pub mod smoothgrad;
