use std::fs;

use super::super::Secrets;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OTHER: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const BODY: &str = "{\"test\": 2432232314}";

#[test]
fn the_published_vector_of_standard_webhooks_is_met() {
    let signature =
        Secrets::parse(SECRET).unwrap().sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, BODY);
    assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
}

#[test]
fn while_a_secret_is_replaced_both_sign() {
    let sign = |text: &str| Secrets::parse(text).unwrap().sign("msg_1", 1, BODY);
    assert_eq!(
        sign(&format!("{SECRET}\n\n{OTHER}\n")),
        format!("{} {}", sign(SECRET), sign(OTHER))
    );
}

#[test]
fn what_is_no_secret_is_told_by_its_line_and_never_shown() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secret");
    for (text, why) in [
        ("", "it has no secret"),
        ("\nhunter2-hunter2-hunter2-hunter2\n", "line 2 is not a secret"),
        ("whsec_hunter2", "line 1 is not a secret"),
        ("whsec_AAECAwQFBgcICQoLDA0ODw==", "24 to 64 bytes"),
    ] {
        fs::write(&path, text).unwrap();
        let error = format!("{:#}", Secrets::load(&path).unwrap_err());
        assert!(error.contains(why) && error.contains("secret file"), "{error}");
        assert!(!error.contains("hunter2") && !error.contains("AAEC"), "{error}");
    }
    fs::remove_file(&path).unwrap();
    assert!(format!("{:#}", Secrets::load(&path).unwrap_err()).contains("cannot read"));
    assert_eq!(format!("{:?}", Secrets::parse(SECRET).unwrap()), "Secrets(1)");
}
