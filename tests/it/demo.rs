//! `demo`: the founding incident, posted into a live daemon.

use std::process::{Command, Stdio};

fn demo(arguments: &[&str]) -> std::process::Output {
    Command::new(env!("CARGO_BIN_EXE_antecede"))
        .args(["demo", "--listen", "127.0.0.1:0", "--speed", "0", "--exit"])
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

#[test]
fn the_demo_tells_the_founding_incident_as_it_happens() {
    let output = demo(&[]);
    let (out, err) =
        (str::from_utf8(&output.stdout).unwrap(), str::from_utf8(&output.stderr).unwrap());
    assert!(output.status.success(), "{out}\n{err}");
    let place = |words: &str| {
        out.find(words).unwrap_or_else(|| panic!("{words:?} is not in:\n{out}\n{err}"))
    };
    let in_order = [
        "13:21  started   Remove legacy node groups, node-groups (staging)",
        "15:06  ALERT     KarpenterErrorLogs, karpenter (staging)",
        "  Remove legacy node groups  ",
        "19:20  started   api 2023.2.23-2, api (production)",
        "=> cleared  api 2023.2.23-2: ",
        "20:00  started   Revert: Remove legacy node groups",
        "21:30  resolved  KarpenterErrorRateHigh, karpenter (production)",
        "\nLIKELY  Remove legacy node groups  ",
        "\nTRY, against http://127.0.0.1:",
    ]
    .map(place);
    assert!(in_order.is_sorted(), "{in_order:?}\n{out}");
}

#[test]
fn for_programs_the_demo_prints_the_incidents_at_the_end() {
    let output = demo(&["--format", "json"]);
    let incidents: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(incidents[0]["answer"], "likely");
    assert_eq!(incidents[0]["alerts"].as_array().map(Vec::len), Some(11));
}
