#![no_main]

antecede_fuzz::target!("grafana_annotations");
