//! The vectors that vendors publish, and what must not get in.

use super::*;
use crate::{event::parse_time, wire::source::Headers};

fn verdict(
    scheme: Scheme,
    secrets: &str,
    headers: &[(&str, &str)],
    body: &str,
    seconds: i64,
) -> Verdict {
    let mut held = Secrets::default();
    held.add(secrets);
    let headers: Headers<'_> = headers.iter().copied().collect();
    let received = parse_time(&seconds.to_string()).unwrap();
    let post = Post { headers: &headers, query: &[], body: body.as_bytes(), received };
    Verifier::new(vec![scheme], held).judge(&post)
}

const BODY: &str = r#"{"a":1}"#;
const SHA256: &str = "aa9e2e3575f5d7098b6caccd790888c36d5fdb63342a73bada2d6a51747a8494";
const SHA512: &str = "42f08c0da01c9a46d4e5663d5f2140526a016507c598182c6769cca2bcf7ba43c395b719b01d2\
                      88f5ad322564dce1d40ca28ef50b876fc49a33d13d6783114dd";
const NOW: i64 = 1_700_000_000;

#[test]
fn githubs_published_vector_is_good() {
    let signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    let told = |body: &str| {
        let secret = "It's a Secret to Everybody";
        verdict(Scheme::GITHUB, secret, &[("X-Hub-Signature-256", signature)], body, NOW)
    };
    assert_eq!(told("Hello, World!"), Verdict::Good);
    assert_eq!(told("Hello, World"), WRONG);
}

#[test]
fn standard_webhooks_published_vector_is_good_within_its_window() {
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let headers = [
        ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
        ("webhook-timestamp", "1614265330"),
        ("webhook-signature", "v1a,xyz v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
    ];
    let body = r#"{"test": 2432232314}"#;
    let told = |seconds: i64, headers: &[_]| {
        verdict(Scheme::StandardWebhooks, secret, headers, body, 1_614_265_330 + seconds)
    };
    for seconds in [0, 300, -300] {
        assert_eq!(told(seconds, &headers), Verdict::Good);
    }
    for seconds in [301, -301] {
        assert_eq!(told(seconds, &headers), STALE);
    }
    let other_id = [("webhook-id", "msg_2"), headers[1], headers[2]];
    assert_eq!(told(0, &other_id), WRONG);
    assert!(matches!(told(0, &headers[1..]), Verdict::Wrong(_)), "an id is part of it");
}

#[test]
fn every_vendors_signature_is_good_as_it_writes_it_and_wrong_with_another_secret() {
    let flux = format!("sha512={SHA512}");
    let buildkite = "timestamp=1700000000,signature=\
                     49f24e537407743fa4a0242bb63b94b9a47ee99cbbe071ccd8a22550ae411686";
    let timed = "4f0bff5cd8903c8149837f5187dd1ebbb1ba3fe7acd2a8b61cb3fb91e509a6ad";
    let grafana = [(GRAFANA[0], timed), (GRAFANA[1], "1700000000")];
    let schemes: [(Scheme, &[(&str, &str)]); 10] = [
        (Scheme::FLUX, &[("X-Signature", &flux)]),
        (Scheme::HCP_TERRAFORM, &[("X-TFE-Notification-Signature", SHA512)]),
        (Scheme::LAUNCHDARKLY, &[("X-LD-Signature", SHA256)]),
        (Scheme::Grafana, &[(GRAFANA[0], SHA256)]),
        (Scheme::Grafana, &grafana),
        (Scheme::Buildkite, &[("X-Buildkite-Signature", buildkite)]),
        (Scheme::GITLAB_TOKEN, &[("X-Gitlab-Token", "secret")]),
        (Scheme::Bearer, &[("Authorization", "bearer secret")]),
        (Scheme::Basic, &[("Authorization", "Basic YW55Ym9keTpzZWNyZXQ=")]),
        (Scheme::token("dd-api-key"), &[("DD-API-KEY", "secret")]),
    ];
    for (scheme, headers) in schemes {
        let told = |secrets| verdict(scheme.clone(), secrets, headers, BODY, NOW);
        assert_eq!(told("secret"), Verdict::Good, "{scheme:?}");
        assert_eq!(told("new\n\n secret \n"), Verdict::Good, "{scheme:?} while it is replaced");
        assert_ne!(told("another"), Verdict::Good, "{scheme:?}");
        assert_eq!(verdict(scheme.clone(), "secret", &[], BODY, NOW), Verdict::Absent);
    }
}

#[test]
fn what_is_no_signature_is_wrong_and_an_empty_one_is_none() {
    for sent in ["sha256=", "sha256=zz", "sha256=a", "é", "sha1=00", &format!("sha256={SHA512}")] {
        let headers = [("X-Hub-Signature-256", sent)];
        assert_eq!(verdict(Scheme::GITHUB, "secret", &headers, BODY, NOW), WRONG, "{sent}");
        let headers = [("X-Buildkite-Signature", sent)];
        let told = verdict(Scheme::Buildkite, "secret", &headers, BODY, NOW);
        assert!(matches!(told, Verdict::Wrong(_)), "{sent}");
    }
    let headers = [("X-TFE-Notification-Signature", "")];
    assert_eq!(verdict(Scheme::HCP_TERRAFORM, "secret", &headers, BODY, NOW), Verdict::Absent);
}

#[test]
fn a_routing_key_vouches_for_the_body_that_it_stands_in() {
    let told = |body| verdict(Scheme::RoutingKey, "R0", &[], body, NOW);
    assert_eq!(told(r#"{"event_action": "trigger", "routing_key": "R0"}"#), Verdict::Good);
    for body in [r#"{"routing_key": "R1"}"#, r#"{"routing_key": 0}"#, "{}", "R0"] {
        assert_eq!(told(body), Verdict::Absent, "{body}");
    }
}

#[test]
fn words_for_schemes_are_read_and_secrets_never_shown() {
    assert!(Scheme::WORDS.iter().all(|word| Scheme::parse(word, Some("X-Own")).is_some()));
    assert_eq!(Scheme::parse("none", None), None);
    assert_eq!(Scheme::parse("token", None), None, "a token is in some header");
    assert_eq!(Scheme::parse("token", Some("X-Own")), Some(Scheme::token("x-own")));
    let mut secrets = Secrets::default();
    assert!(!secrets.add(" \n"), "no secret is none");
    assert!(secrets.add("hunter2\nhunter3"));
    let shown = format!("{:?}", Verifier::new(vec![Scheme::Basic], secrets));
    assert!(shown.contains("Secrets(2)") && !shown.contains("hunter"), "{shown}");
}
