#![no_main]

antecede_fuzz::target!("kubernetes_audit");
