//! The data of the simulated services: alerts with evidence, audit records and blobs, generated
//! from the seed of the world. Nothing here depends on requests or tokens.

mod alert_values;
pub(super) mod alerts;
pub(super) mod audit;
pub(super) mod audit_log;
mod audit_template;
pub(super) mod content_store;
mod demo;
pub(super) mod evidence;
pub(super) mod random;
pub(super) mod story;
