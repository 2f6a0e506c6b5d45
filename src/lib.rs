//! antecede: which change came before these alerts and caused them?

pub mod event;
pub mod wire;
pub mod store;
pub mod catalog;
pub mod rules;
pub mod correlate;
pub mod timeline;
pub mod engine;
pub mod http;
pub mod clock;
pub mod document;
pub mod duration;
pub mod metrics;
pub mod problem;
