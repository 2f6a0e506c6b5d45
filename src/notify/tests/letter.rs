use proptest::prelude::*;
use serde_json::{Value, json};

use super::{
    super::{
        judge::News,
        letter::{BYTES_MAX, Occasion, write},
    },
    *,
};
use crate::store::{Notice, Published};

fn written(incident: &Incident, told: Option<&Published>) -> (Published, Notice, Value) {
    let link = "https://antecede.example.com/";
    let occasion = Occasion { news: News::Likely, told, now: at(30), link };
    let (published, notice) = write(incident, occasion).unwrap();
    let body = serde_json::from_str(&notice.body).unwrap();
    (published, notice, body)
}

#[test]
fn a_notice_says_who_is_suspected_why_and_who_is_not() {
    let (published, notice, body) = written(&incident(0, Answer::Likely, &["a", "b"]), None);
    assert_eq!(body["type"], "incident.suspect_likely");
    assert_eq!(body["timestamp"], "2023-02-23T12:00:30Z");
    let data = &body["data"];
    assert_eq!(data["incident"], "inc_0");
    assert_eq!((&data["answer"], &data["headline"]), (&json!("likely"), &json!("the headline")));
    assert_eq!(data["number"], 1);
    assert_eq!(
        (&data["alertnames"], &data["services"]),
        (&json!(["ProbeFailed"]), &json!(["sdk"]))
    );
    assert_eq!(data["suspect"]["change"], "a");
    assert_eq!(data["suspect"]["evidence"][0]["text"], "it fits");
    assert_eq!(data["other_suspects"][0]["title"], "the title of b");
    assert_eq!(data["cleared"][0]["reason"], "the symptoms were there before it");
    assert_eq!(data["told_before"], Value::Null);
    assert_eq!(data["link"], "https://antecede.example.com/incidents/inc_0");
    assert_eq!(published.claim, likely(&["a"]));
    assert_eq!((published.number, published.at, notice.made_at), (1, at(30), at(30)));

    let (second, other, body) = written(&incident(0, Answer::Suspects, &["b"]), Some(&published));
    assert_ne!(other.id, notice.id);
    assert_eq!(second.number, 2);
    let before = json!({"at": "2023-02-23T12:00:30Z", "says": "likely", "changes": ["a"]});
    assert_eq!(body["data"]["told_before"], before);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn a_notice_is_never_longer_than_receivers_take(
        text in "\\PC{0,1024}", id in "[a-z\u{1F600}\"]{1,256}", many in 1_usize..100,
    ) {
        let mut long = incident(0, Answer::Likely, &[&id, &id, &id]);
        long.headline = text.clone();
        for suspect in &mut long.suspects {
            suspect.title = text.clone();
            suspect.summary = text.clone();
            suspect.changes = vec![suspect.change.clone(); many];
            suspect.evidence[0].text = text.clone();
            suspect.evidence = vec![suspect.evidence[0].clone(); many];
        }
        long.cleared[0].title = text.clone();
        long.cleared[0].reason = text.clone();
        long.cleared = vec![long.cleared[0].clone(); many];
        long.families[0].services = (0..many).map(|n| format!("{n}{text}")).collect();
        let (.., body) = written(&long, None);
        prop_assert!(serde_json::to_string(&body).unwrap().len() <= BYTES_MAX);
        prop_assert_eq!(&body["data"]["suspect"]["change"], &json!(id));
    }
}
