#![no_main]

antecede_fuzz::target!("json_alert");
