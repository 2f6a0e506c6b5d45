use proptest::prelude::*;

use super::*;

#[track_caller]
fn parsed(text: &str) -> TimeDelta {
    parse_duration(text).unwrap()
}

#[test]
fn every_unit_of_prometheus_is_read() {
    let all = parsed("1y2w3d4h5m6s7ms");
    let want = TimeDelta::days(365 + 14 + 3)
        + TimeDelta::hours(4)
        + TimeDelta::minutes(5)
        + TimeDelta::seconds(6)
        + TimeDelta::milliseconds(7);
    assert_eq!(all, want);
    assert_eq!(parsed("0"), TimeDelta::zero());
    assert_eq!(parsed("0s"), TimeDelta::zero());
    assert_eq!(parsed("90m"), TimeDelta::minutes(90));
    assert_eq!(parsed("500ms"), TimeDelta::milliseconds(500));
}

#[test]
fn what_prometheus_refuses_is_refused_with_its_text() {
    for text in ["", "1", "h", "1.5h", "1h 30m", "30m1h", "1h1h", "-1h", "1µs", "10x", "1hour"] {
        let error = parse_duration(text).unwrap_err();
        assert!(error.starts_with(&format!("{text:?} is not a duration")), "{error}");
    }
    for text in ["293y", "99999999999999999999s", "292y999999999999d"] {
        let error = parse_duration(text).unwrap_err();
        assert!(error.contains("too long"), "{error}");
    }
}

#[test]
fn durations_are_written_as_prometheus_writes_them() {
    let cases = [
        (TimeDelta::zero(), "0s"),
        (TimeDelta::minutes(90), "1h30m"),
        (TimeDelta::hours(24), "1d"),
        (TimeDelta::days(7), "1w"),
        (TimeDelta::days(8), "8d"),
        (TimeDelta::milliseconds(1_500), "1s500ms"),
    ];
    for (duration, want) in cases {
        assert_eq!(show_duration(duration), want);
    }
}

#[test]
fn durations_are_said_in_two_units_at_most() {
    let cases = [
        (15_240, "4 h 14 min"),
        (15_270, "4 h 14 min"),
        (360, "6 min"),
        (380, "6 min 20 s"),
        (40, "40 s"),
        (0, "0 s"),
        (3_600, "1 h"),
        (3 * 86_400 + 2 * 3_600 + 59 * 60, "3 d 2 h"),
        (86_400, "1 d"),
        (-360, "6 min"),
    ];
    for (seconds, want) in cases {
        assert_eq!(say_duration(TimeDelta::seconds(seconds)), want);
    }
}

proptest! {
    #[test]
    fn what_is_written_reads_back(milliseconds in 0..=MILLISECONDS_MAX) {
        let duration = TimeDelta::milliseconds(milliseconds);
        prop_assert_eq!(parse_duration(&show_duration(duration)).unwrap(), duration);
    }

    #[test]
    fn any_text_is_read_or_refused(text in ".{0,12}|[0-9ywdhms]{0,12}") {
        if let Ok(duration) = parse_duration(&text) {
            prop_assert_eq!(parse_duration(&show_duration(duration)).unwrap(), duration);
        }
    }
}
