//! What the simulated services hold: alerts with their evidence, audit records, and the blobs of the
//! content store, all generated from the seed of the world.
//!
//! Nothing here knows requests, tokens or answers.

mod alert_values;
pub(super) mod alerts;
pub(super) mod audit;
mod audit_template;
pub(super) mod content_store;
mod demo;
pub(super) mod evidence;
pub(super) mod random;
