//! antecede: which change came before these alerts and caused them?
//!
//! The rooms, in the order in which an event goes through them; `ARCHITECTURE.md` draws the map.
//!
//! - [`wire`] makes [`event`]s of what a source sent: changes, alerts, notes.
//! - [`store`] keeps them in the log, and says so only when they are durable.
//! - [`engine`] tails the log and keeps the state up to date with what
//! - [`correlate`] makes of it, with what [`rules`] and [`catalog`] know: incidents, each with its
//!   suspects and why. It is a function of events, configuration and time.
//! - [`timeline`] tells an incident line by line, in the words that [`say`] has for times and chances,
//!   [`picture`] draws it, and [`postmortem`] begins the document of the day after.
//! - [`replay`] does the same for a recorded incident, and [`backtest`] measures the answers on many.
//! - [`hearing`] keeps when each [`feed`] was heard, and knows who is silent.
//! - [`notify`] tells somebody when a suspect is found, and when it is cleared.
//! - [`topology`] asks a Prometheus which service calls which, through [`prom_api`].
//! - [`page`] is what people see in a browser.
//! - [`http`] takes and answers, [`cli`] does so for people, [`app`] starts and stops it all.
//!
//! [`config`] reads what the operator wrote, through [`document`], and tells every [`problem`].

pub mod event;

pub mod wire;

pub mod store;

pub mod catalog;
pub mod rules;

pub mod correlate;
pub mod feed;

pub mod picture;
pub mod postmortem;
pub mod say;
pub mod timeline;

pub mod backtest;
pub mod replay;

pub mod engine;

pub mod hearing;
pub mod notify;
pub mod topology;

pub mod page;

pub mod http;

pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod document;
pub mod duration;
pub mod metrics;
pub mod problem;
pub mod prom_api;
