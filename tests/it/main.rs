//! Tests of the program as its users meet it, in one binary: each binary links everything.
//!
//! `cfg(test)` on each module makes clippy know helpers for what they are: tests.

#[cfg(test)]
mod alerts;
#[cfg(test)]
mod answer;
#[cfg(test)]
mod browser;
#[cfg(test)]
mod chance;
#[cfg(test)]
mod check;
#[cfg(test)]
mod cli;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod damage;
#[cfg(test)]
mod dashboards;
#[cfg(test)]
mod days;
#[cfg(test)]
mod demo;
#[cfg(test)]
mod disk;
#[cfg(test)]
mod docker;
#[cfg(test)]
mod docs;
#[cfg(test)]
mod dormant;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod feedback;
#[cfg(test)]
mod feeds;
#[cfg(test)]
mod founding;
#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod git;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod import;
#[cfg(test)]
mod infrastructure;
#[cfg(test)]
mod layering;
#[cfg(test)]
mod lists;
#[cfg(test)]
mod load;
#[cfg(test)]
mod notices;
#[cfg(test)]
mod orders;
#[cfg(test)]
mod others;
#[cfg(test)]
mod page;
#[cfg(test)]
mod real_programs;
#[cfg(test)]
mod rebuild;
#[cfg(test)]
mod reload;
#[cfg(test)]
mod retention;
#[cfg(test)]
mod rust_text;
#[cfg(test)]
mod sdk;
#[cfg(test)]
mod shipped;
#[cfg(test)]
mod sources;
#[cfg(test)]
mod topology;
