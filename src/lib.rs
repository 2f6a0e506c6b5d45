//! antecede: which change came before these alerts and caused them?

pub mod event;
