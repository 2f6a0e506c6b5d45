#![no_main]

antecede_fuzz::target!("hcp_terraform");
