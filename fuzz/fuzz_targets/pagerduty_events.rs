#![no_main]

antecede_fuzz::target!("pagerduty_events");
