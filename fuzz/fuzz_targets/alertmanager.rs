#![no_main]

antecede_fuzz::target!("alertmanager");
